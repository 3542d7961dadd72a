#include "config.h"

#include "lib/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/descriptors.h"
#include "lib/base/machine_id.h"

/* Newer than the headers that we build with may be. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* Reads a small file whole, as text; false when there is none. */
static bool read_text(const char *path, char *text, size_t bytes)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	const ssize_t n = read(fd, text, bytes - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* When the process began, by its number as /proc has it; 0: there is no such process. */
static uint64_t start_of(const char *process)
{
	char path[64], text[1024];
	unsigned long long start;
	snprintf(path, sizeof(path), "/proc/%s/stat", process);
	if (!read_text(path, text, sizeof(text)))
		return 0;
	/* The name is in brackets and may hold any byte; 19 fields lie between it and the start. */
	const char *at = strrchr(text, ')');
	if (at == NULL ||
	    sscanf(at,
	           ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
	           "%*s %llu",
	           &start) != 1)
		return 0;
	return start;
}

/* FNV-1a; strangers have no say in what goes in. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *at = bytes;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	return hash;
}

void fr_process_self(struct fr_process_id *out)
{
	struct stat pids;
	memset(out, 0, sizeof(*out));
	const uint64_t start = start_of("self");
	if (start == 0 || stat("/proc/self/ns/pid", &pids) != 0)
		return;
	uint64_t space = mix(fr_machine_id(), &pids.st_dev, sizeof(pids.st_dev));
	space = mix(space, &pids.st_ino, sizeof(pids.st_ino));
	*out = (struct fr_process_id){
		.space = space | 1,
		.start = start,
		.pid = (uint32_t)getpid(),
	};
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	return poll(&poll_fd, 1, 0) > 0;
}

/* The start of the process behind a pidfd; 0 when /proc does not tell.  Its number there need not
 * be ours: /proc may belong to another PID namespace. */
static uint64_t start_behind(int pidfd)
{
	char path[64], text[512], number[16];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	if (!read_text(path, text, sizeof(text)))
		return 0;
	const char *at = strstr(text, "\nPid:");
	if (at == NULL || sscanf(at, "\nPid: %15[0-9]", number) != 1)
		return 0;
	const uint64_t start = start_of(number);
	/* Whoever has not ended by now was the owner of that number all the time. */
	return is_readable(pidfd) ? 0 : start;
}

static const char *watch_socket(struct fr_process *p, int socket)
{
	int fd = -1;
	socklen_t length = sizeof(fd);
	if (socket < 0 || getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) != 0)
		return NULL;
	p->fd = fr_fd_own(fd);
	return "a pidfd of the peer, by its socket";
}

const char *fr_process_watch(struct fr_process *p, int socket, const struct fr_process_id *id)
{
	struct fr_process_id self;
	*p = (struct fr_process){.fd = -1};
	const char *how = watch_socket(p, socket);
	if (how != NULL)
		return how;
	fr_process_self(&self);
	if (id->space == 0 || self.space == 0)
		return "its connection alone, as /proc does not tell processes apart";
	if (id->space != self.space)
		return "its connection alone, as it is on another host or in another PID namespace";
	p->fd = fr_fd_own((int)syscall(SYS_pidfd_open, (pid_t)id->pid, 0));
	if (p->fd < 0 && errno == ESRCH) {
		p->is_gone = true;
		return "that its process has ended already";
	}
	if (p->fd < 0)
		return "its connection alone, as the kernel gives no pidfd";
	if (start_behind(p->fd) == id->start)
		return "a pidfd of the peer, by its number and start";
	fr_process_unwatch(p);
	return "its connection alone, as another process has its number";
}

bool fr_process_is_watched(const struct fr_process *p)
{
	return p->fd >= 0 || p->is_gone;
}

bool fr_process_has_ended(const struct fr_process *p)
{
	return p->is_gone || (p->fd >= 0 && is_readable(p->fd));
}

void fr_process_unwatch(struct fr_process *p)
{
	if (p->fd >= 0)
		fr_fd_close(p->fd);
	p->fd = -1;
}

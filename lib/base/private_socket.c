#include "config.h"

#include "lib/base/private_socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/descriptors.h"

#define PREFIX  "ferrule-"
#define BACKLOG 256
/* A folder of ours in which nobody listens is left over when it is older than this; younger ones
 * may be about to listen. */
#define STALE_SECONDS 60
#define OVERFLOW_UID  65534

static bool make_name(struct sockaddr_un *name, const char *path)
{
	*name = (struct sockaddr_un){.sun_family = AF_UNIX};
	const int n = snprintf(name->sun_path, sizeof(name->sun_path), "%s", path);

	return n > 0 && (size_t)n < sizeof(name->sun_path);
}

int fr_private_connect(const char *path)
{
	struct sockaddr_un name;

	if (!make_name(&name, path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	const int fd = fr_fd_own(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	const int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* ---- sweeping ---- */

/* "ferrule-PID-XXXXXX": a person would hardly name a folder so. */
static bool is_our_name(const char *name)
{
	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return false;
	name += strlen(PREFIX);
	const size_t digits = strspn(name, "0123456789");
	return digits > 0 && name[digits] == '-' && strlen(name + digits + 1) == 6;
}

/* Is it a folder of ours in which nobody listens any more? */
static bool is_stale(int base_fd, const char *base, const char *name, char *socket_path,
                     size_t bytes)
{
	struct stat st;

	if (!is_our_name(name) || fstatat(base_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    time(NULL) - st.st_mtime < STALE_SECONDS)
		return false;
	if ((size_t)snprintf(socket_path, bytes, "%s/%s/s", base, name) >= bytes)
		return false;
	if (lstat(socket_path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return false;
	const int fd = fr_private_connect(socket_path);
	if (fd >= 0) {
		close(fd);
		return false;
	}
	return errno == ECONNREFUSED || errno == ENOENT;
}

/* Removes what killed processes left.  A folder that holds something else stays. */
static void sweep(const char *base)
{
	char path[FR_PRIVATE_PATH_BYTES];
	DIR *dir = opendir(base);

	if (!dir)
		return;
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (!is_stale(dirfd(dir), base, e->d_name, path, sizeof(path)))
			continue;
		unlink(path);
		unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

/* ---- listening ---- */

/* Nobody else must be able to rename what lies in the folder. */
static bool is_safe_base(const char *base, char *why, size_t why_bytes)
{
	struct stat st;

	if (stat(base, &st) != 0) {
		snprintf(why, why_bytes, "%s: %s", base, strerror(errno));
		return false;
	}
	/* In a container the host's root has no name but the one of all who have none. */
	const bool is_owner_safe =
		st.st_uid == 0 || st.st_uid == geteuid() || st.st_uid == OVERFLOW_UID;
	if (S_ISDIR(st.st_mode) && is_owner_safe &&
	    (!(st.st_mode & (S_IWGRP | S_IWOTH)) || st.st_mode & S_ISVTX))
		return true;
	snprintf(why, why_bytes, "%s: others can rename what lies there", base);
	return false;
}

static int bind_at(const char *path)
{
	struct sockaddr_un name;
	const int fd = fr_fd_own(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	if (fd < 0)
		return -1;
	if (make_name(&name, path) && bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	const int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* OK, or why not in `why`. */
static bool listen_in(const char *base, struct fr_private_socket *s, char *why, size_t why_bytes)
{
	char folder[FR_PRIVATE_PATH_BYTES];

	if (!is_safe_base(base, why, why_bytes))
		return false;
	const int n = snprintf(folder, sizeof(folder), "%s/" PREFIX "%d-XXXXXX", base, getpid());
	if ((size_t)n + sizeof("/s") > sizeof(folder)) {
		snprintf(why, why_bytes, "%s: too long a name", base);
		return false;
	}
	/* The mask of the process may have left us out. */
	if (!mkdtemp(folder) || chmod(folder, S_IRWXU) != 0) {
		snprintf(why, why_bytes, "%s: cannot make a folder: %s", base, strerror(errno));
		return false;
	}
	snprintf(s->path, sizeof(s->path), "%.*s/s", (int)sizeof(s->path) - 3, folder);
	s->fd = bind_at(s->path);
	if (s->fd >= 0)
		return true;
	snprintf(why, why_bytes, "%s: cannot listen: %s", s->path, strerror(errno));
	unlink(s->path);
	rmdir(folder);
	return false;
}

ferrule_status_t fr_private_listen(struct fr_private_socket *s, char *why, size_t why_bytes)
{
	/* What ranks of one host are most likely to share comes first. */
	const char *const bases[] = {"/dev/shm", getenv("XDG_RUNTIME_DIR"), "/tmp"};
	size_t used = 0;

	if (why_bytes > 0)
		why[0] = '\0';
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		char reason[160] = "";

		if (!bases[i] || bases[i][0] != '/')
			continue;
		*s = (struct fr_private_socket){.fd = -1};
		if (listen_in(bases[i], s, reason, sizeof(reason))) {
			sweep(bases[i]);
			return FERRULE_OK;
		}
		const int n =
			snprintf(why + used, why_bytes - used, "%s%s", used ? "; " : "", reason);
		used += (size_t)n < why_bytes - used ? (size_t)n : 0;
	}
	*s = (struct fr_private_socket){.fd = -1};
	return FERRULE_ERR_SYSTEM;
}

void fr_private_close(struct fr_private_socket *s)
{
	char *const slash = strrchr(s->path, '/');

	if (s->fd >= 0)
		close(s->fd);
	if (slash) {
		unlink(s->path);
		*slash = '\0';
		rmdir(s->path);
	}
	*s = (struct fr_private_socket){.fd = -1};
}

int fr_private_accept(const struct fr_private_socket *s)
{
	for (;;) {
		struct ucred who;
		socklen_t length = sizeof(who);
		const int fd = fr_fd_own(accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));

		if (fd < 0)
			return -1;
		/* The folder keeps others out already; root may come in, and means no job of
		 * this user. */
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 &&
		    who.uid == geteuid())
			return fd;
		close(fd);
	}
}

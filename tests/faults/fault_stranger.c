/*
 * Another user of the host who means ill: looks up where ranks listen, which everybody may, and
 * connects to say nothing, to say nonsense, to hang up at once, or to hand over a descriptor
 * whose close takes long.
 */
#include "config.h"

#include "tests/faults/fault.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NOBODY      65534
#define CONNECTIONS 200
#define NEEDLE      "@ferrule-"
#define LINGER_S    20

struct stranger {
	uint64_t random;
	int held[CONNECTIONS]; /* connections that stay open, oldest first, in a ring */
	int next;
};

static void hold(struct stranger *s, int fd)
{
	if (s->held[s->next] > 0)
		close(s->held[s->next]);
	s->held[s->next] = fd;
	s->next = (s->next + 1) % CONNECTIONS;
}

/* A TCP connection with unread data and a long linger: who closes it last waits. */
static int slow_to_close(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(addr);
	const struct linger linger = {.l_onoff = 1, .l_linger = LINGER_S};
	static char junk[1 << 16];
	const int listener = socket(AF_INET, SOCK_STREAM, 0);
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(listener, 1) != 0 ||
	    getsockname(listener, (struct sockaddr *)&addr, &length) != 0 ||
	    connect(fd, (struct sockaddr *)&addr, length) != 0)
		_exit(3);
	while (send(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	return fd; /* the listener stays open, and nobody ever accepts */
}

static void hand_over(int fd)
{
	char junk[128] = {0};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = junk, .iov_len = sizeof(junk)};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	const int slow = slow_to_close();

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &slow, sizeof(slow));
	sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(slow, SHUT_RDWR);
}

static void harass(struct stranger *s, int fd)
{
	char junk[300];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (char)fault_random(&s->random);
	switch (fault_random(&s->random) % 4) {
	case 0:
		break;
	case 1:
		send(fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT);
		break;
	case 2:
		close(fd);
		return;
	default:
		hand_over(fd);
	}
	hold(s, fd);
}

static void visit_unix(struct stranger *s)
{
	char line[512];
	FILE *f = fopen("/proc/net/unix", "r");

	while (f && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, NEEDLE);
		struct sockaddr_un name = {.sun_family = AF_UNIX};

		if (!at)
			continue;
		const size_t n = strcspn(at + 1, "\n");
		const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

		memcpy(name.sun_path + 1, at + 1, n);
		if (connect(fd, (struct sockaddr *)&name,
		            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) == 0)
			harass(s, fd);
		else
			close(fd);
	}
	if (f)
		fclose(f);
}

/* Every port on which somebody listens. */
static void visit_tcp(struct stranger *s)
{
	char line[512];
	FILE *f = fopen("/proc/net/tcp", "r");

	while (f && fgets(line, sizeof(line), f)) {
		unsigned port, state, uid;
		struct sockaddr_in addr = {.sin_family = AF_INET,
		                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

		if (sscanf(line, " %*d: %*8x:%x %*x:%*x %x %*s %*s %*s %u", &port, &state, &uid) !=
		            3 ||
		    state != 10 || uid == NOBODY)
			continue;
		const int fd = socket(AF_INET, SOCK_STREAM, 0);

		addr.sin_port = htons((uint16_t)port);
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
			harass(s, fd);
		else
			close(fd);
	}
	if (f)
		fclose(f);
}

pid_t fault_stranger_start(uint64_t seed)
{
	struct stranger s = {.random = seed};

	if (geteuid() != 0)
		return -1;
	const pid_t pid = fork();
	if (pid != 0)
		return pid;
	if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
		_exit(3);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		visit_unix(&s);
		visit_tcp(&s);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

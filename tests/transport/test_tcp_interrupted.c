/*
 * The suite over TCP where system calls are interrupted and move less than they were asked to:
 * the functions of libc below are this program's own.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/transport/transport.h"
#include "tests/transport/conformance.h"

/* One call in so many is interrupted, one in so many moves a part only. */
#define INTERRUPTED 3
#define SHORT       5
#define SHORT_BYTES 3000

static atomic_uint n_calls;

static bool is_interrupted(void)
{
	if (atomic_fetch_add(&n_calls, 1) % INTERRUPTED != 0)
		return false;
	errno = EINTR;
	return true;
}

static size_t shorter(size_t bytes)
{
	const bool is_short = atomic_load(&n_calls) % SHORT == 0;

	return is_short && bytes > SHORT_BYTES ? SHORT_BYTES : bytes;
}

ssize_t send(int fd, const void *buf, size_t bytes, int flags)
{
	if (is_interrupted())
		return -1;
	return syscall(SYS_sendto, fd, buf, shorter(bytes), flags, NULL, 0);
}

ssize_t recv(int fd, void *buf, size_t bytes, int flags)
{
	if (is_interrupted())
		return -1;
	return syscall(SYS_recvfrom, fd, buf, shorter(bytes), flags, NULL, NULL);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return is_interrupted() ? -1 : syscall(SYS_sendmsg, fd, msg, flags);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	return is_interrupted() ? -1 : syscall(SYS_recvmsg, fd, msg, flags);
}

int accept4(int fd, struct sockaddr *addr, socklen_t *length, int flags)
{
	return is_interrupted() ? -1 : (int)syscall(SYS_accept4, fd, addr, length, flags);
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	const struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	if (is_interrupted())
		return -1;
	return (int)syscall(SYS_ppoll, fds, n, ms < 0 ? NULL : &limit, NULL, 0);
}

int main(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("tcp")};

	return t_conformance("transport/tcp_interrupted", &subject);
}

#include "tests/support/t_faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "tests/support/t_sanitizer.h"

static struct t_faults *armed;
static unsigned long fault_at;
static int fault;

void t_faults_arm(struct t_faults *record, unsigned long at, int what)
{
	fault_at = at;
	fault = what;
	armed = record;
}

void t_faults_disarm(void)
{
	armed = NULL;
}

static bool is_reached(const char *call)
{
	if (atomic_fetch_add(&armed->n_calls, 1) + 1 != fault_at)
		return false;
	snprintf(armed->call, sizeof(armed->call), "%s", call);
	atomic_store(&armed->hit_ns, fr_clock_ns());
	return true;
}

/* Counts one call.  True: it is to fail, and errno says how. */
static bool is_hit(const char *call)
{
	if (armed == NULL || fault == T_FAULT_NO_MEMORY || !is_reached(call))
		return false;
	if (fault == T_FAULT_KILL)
		raise(SIGKILL);
	errno = fault;
	return true;
}

/* The C library's own; the conversion is the one that dlsym's users have. */
static void find(void *pointer_to_function, const char *name)
{
	*(void **)pointer_to_function = dlsym(RTLD_NEXT, name);
}

/*
 * T_FAULTS_WRAP - a function of the C library by its result, name, parameters, arguments and what
 * it returns when it fails.
 */
#define T_FAULTS_WRAP(result, name, parameters, arguments, failed) \
	result name parameters                                     \
	{                                                          \
		static result(*next) parameters;                   \
		if (next == NULL)                                  \
			find(&next, #name);                        \
		return is_hit(#name) ? (failed) : next arguments;  \
	}

T_FAULTS_WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1)
T_FAULTS_WRAP(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), -1)
T_FAULTS_WRAP(int, listen, (int fd, int backlog), (fd, backlog), -1)
T_FAULTS_WRAP(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), -1)
T_FAULTS_WRAP(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags),
              (fd, a, n, flags), -1)
T_FAULTS_WRAP(ssize_t, send, (int fd, const void *buf, size_t n, int flags), (fd, buf, n, flags),
              -1)
T_FAULTS_WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags), -1)
T_FAULTS_WRAP(ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags), -1)
T_FAULTS_WRAP(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags), -1)
T_FAULTS_WRAP(int, poll, (struct pollfd * p, nfds_t n, int ms), (p, n, ms), -1)
T_FAULTS_WRAP(int, epoll_create1, (int flags), (flags), -1)
T_FAULTS_WRAP(int, epoll_ctl, (int epoll, int op, int fd, struct epoll_event *e),
              (epoll, op, fd, e), -1)
T_FAULTS_WRAP(int, epoll_wait, (int epoll, struct epoll_event *e, int max, int ms),
              (epoll, e, max, ms), -1)
T_FAULTS_WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1)
T_FAULTS_WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), -1)
T_FAULTS_WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)
T_FAULTS_WRAP(int, ftruncate, (int fd, off_t bytes), (fd, bytes), -1)
T_FAULTS_WRAP(int, fallocate, (int fd, int mode, off_t at, off_t bytes), (fd, mode, at, bytes), -1)
T_FAULTS_WRAP(off_t, lseek, (int fd, off_t at, int whence), (fd, at, whence), -1)
T_FAULTS_WRAP(void *, mmap, (void *at, size_t bytes, int prot, int flags, int fd, off_t place),
              (at, bytes, prot, flags, fd, place), MAP_FAILED)
T_FAULTS_WRAP(int, pthread_create,
              (pthread_t * t, const pthread_attr_t *a, void *(*run)(void *), void *arg),
              (t, a, run, arg), errno)

/* A sanitizer has an allocator of its own. */
#if !T_SANITIZED

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static bool is_out_of_memory(const char *call)
{
	if (armed == NULL || fault != T_FAULT_NO_MEMORY || !is_reached(call))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t bytes)
{
	return is_out_of_memory("malloc") ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	return is_out_of_memory("calloc") ? NULL : __libc_calloc(n, bytes);
}

void *realloc(void *old, size_t bytes)
{
	return is_out_of_memory("realloc") ? NULL : __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return is_out_of_memory("aligned_alloc") ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
	void *memory =
		is_out_of_memory("posix_memalign") ? NULL : __libc_memalign(alignment, bytes);

	if (!memory)
		return ENOMEM;
	*out = memory;
	return 0;
}
#endif

#include "config.h"

#include "lib/perf/perf_connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"

/* Between two tries to reach a server that is not there yet. */
#define RETRY_NS 50000000u

static ferrule_status_t resolve(const char *host, const char *port, struct addrinfo **out)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = host ? 0 : AI_PASSIVE,
	};
	char bare[256];

	/* "[::1]" for "::1", as people write addresses beside ports. */
	const size_t length = host ? strlen(host) : 0;
	if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
		snprintf(bare, sizeof(bare), "%.*s", (int)length - 2, host + 1);
		host = bare;
	}
	const int result = getaddrinfo(host, port, &hints, out);

	if (result == 0)
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_ARGUMENT, "%s%sport '%s': %s", host ? host : "",
	                host ? ", " : "", port,
	                result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
}

static void name_peer(const struct sockaddr *addr, socklen_t length, char *peer, size_t bytes)
{
	char host[64], port[16];

	if (getnameinfo(addr, length, host, sizeof(host), port, sizeof(port),
	                NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	/* An IPv4 client of a socket for both families. */
	const char *bare = strncmp(host, "::ffff:", 7) == 0 ? host + 7 : host;
	snprintf(peer, bytes, strchr(bare, ':') ? "[%s]:%s" : "%s:%s", bare, port);
}

/* Waits until the socket is ready or the deadline has passed: then 0. */
static int await(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		const uint64_t now = fr_clock_ns();
		if (now >= deadline_ns)
			return 0;
		const uint64_t left_ms = (deadline_ns - now) / 1000000 + 1;
		const int n = poll(&p, 1, left_ms > 1000 ? 1000 : (int)left_ms);
		if (n > 0 || (n < 0 && errno != EINTR))
			return n;
	}
}

static int listen_at(const struct addrinfo *a)
{
	const int one = 1, zero = 0;
	const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* One socket for both families. */
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 4) == 0)
		return fd;
	const int err = errno;
	close(fd);
	errno = err;
	return -1;
}

static ferrule_status_t listen_on(const char *port, int *fd_out)
{
	struct addrinfo *list;
	const ferrule_status_t status = resolve(NULL, port, &list);
	int fd = -1;

	if (status != FERRULE_OK)
		return status;
	/* IPv6 first: its socket takes IPv4, too.  A host without IPv6 has the other one. */
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		if (a->ai_family == AF_INET6)
			fd = listen_at(a);
	}
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		if (a->ai_family == AF_INET)
			fd = listen_at(a);
	}
	const int err = errno;
	freeaddrinfo(list);
	if (fd < 0)
		return fr_error(FERRULE_ERR_SYSTEM, "port %s: cannot listen: %s", port,
		                strerror(err));
	*fd_out = fd;
	return FERRULE_OK;
}

ferrule_status_t fr_perf_accept(const char *port, uint64_t deadline_ns, int *fd_out, char *peer,
                                size_t peer_bytes)
{
	struct sockaddr_storage from;
	int listener = -1;
	const ferrule_status_t status = listen_on(port, &listener);

	if (status != FERRULE_OK)
		return status;
	int fd = -1;
	while (fd < 0) {
		socklen_t length = sizeof(from);
		if (await(listener, POLLIN, deadline_ns) <= 0)
			break;
		fd = accept4(listener, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
		if (fd >= 0)
			name_peer((struct sockaddr *)&from, length, peer, peer_bytes);
	}
	close(listener);
	if (fd < 0)
		return fr_error(FERRULE_ERR_TIMEOUT, "no client came to port %s in time", port);
	*fd_out = fd;
	return FERRULE_OK;
}

/* One try at one address; errno says why not. */
static int connect_to(const struct addrinfo *a, uint64_t deadline_ns)
{
	const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0;
	socklen_t length = sizeof(err);

	if (fd < 0)
		return -1;
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
		err = errno;
	if (err == EINPROGRESS) {
		err = ETIMEDOUT;
		if (await(fd, POLLOUT, deadline_ns) > 0)
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length);
	}
	if (err == 0)
		return fd;
	close(fd);
	errno = err;
	return -1;
}

ferrule_status_t fr_perf_connect(const char *host, const char *port, uint64_t deadline_ns,
                                 int *fd_out, char *peer, size_t peer_bytes)
{
	struct addrinfo *list;
	const ferrule_status_t status = resolve(host, port, &list);
	const struct timespec pause = {.tv_nsec = RETRY_NS};
	int fd = -1, err = 0;

	if (status != FERRULE_OK)
		return status;
	for (;;) {
		for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
			fd = connect_to(a, deadline_ns);
			err = errno;
			if (fd >= 0)
				name_peer(a->ai_addr, a->ai_addrlen, peer, peer_bytes);
		}
		if (fd >= 0 || fr_clock_ns() + RETRY_NS >= deadline_ns)
			break;
		nanosleep(&pause, NULL);
	}
	freeaddrinfo(list);
	if (fd < 0)
		return fr_error(FERRULE_ERR_TIMEOUT, "cannot reach a server at %s, port %s: %s",
		                host, port, strerror(err));
	*fd_out = fd;
	return FERRULE_OK;
}

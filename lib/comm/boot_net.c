#include "config.h"

#include "lib/comm/boot_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/descriptors.h"
#include "lib/base/netif.h"
#include "lib/base/system.h"

#define LISTEN_BACKLOG 1024

void fr_net_numeric(int family, const unsigned char *bytes, uint16_t port, struct fr_net_addr *out)
{
	memset(out, 0, sizeof(*out));
	if (family == 4) {
		struct sockaddr_in *in4 = (struct sockaddr_in *)&out->storage;
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		memcpy(&in4->sin_addr, bytes, 4);
		out->length = sizeof(*in4);
		return;
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->storage;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, bytes, 16);
	if (fr_netif_is_link_local(bytes))
		in6->sin6_scope_id = fr_netif_scope(bytes);
	out->length = sizeof(*in6);
}

/* "localhost" is loopback whatever /etc/hosts says, and on a host of one family that family's. */
static int resolve_localhost(uint16_t port, struct fr_net_addr *out, int max)
{
	static const unsigned char ipv4[16] = {127, 0, 0, 1}, ipv6[16] = {[15] = 1};

	fr_net_numeric(4, ipv4, port, &out[0]);
	if (max > 1)
		fr_net_numeric(6, ipv6, port, &out[1]);
	return max > 1 ? 2 : 1;
}

/* Out of descriptors or memory looks like a name server that is away; errno tells. */
static int resolve_errno(int rc)
{
	if (fr_is_exhaustion(errno))
		return errno;
	if (rc == EAI_MEMORY)
		return ENOMEM;
	return rc == EAI_AGAIN || rc == EAI_SYSTEM ? EAGAIN : ENOENT;
}

int fr_net_resolve(const char *host, uint16_t port, struct fr_net_addr *out, int max,
                   const char **why_out)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list;
	char port_text[8];
	int n = 0;

	if (strcmp(host, "localhost") == 0)
		return resolve_localhost(port, out, max);
	snprintf(port_text, sizeof(port_text), "%u", port);
	errno = 0;
	const int rc = getaddrinfo(host, port_text, &hints, &list);
	if (rc != 0) {
		errno = resolve_errno(rc);
		*why_out = gai_strerror(rc);
		return 0;
	}
	for (const struct addrinfo *at = list; at && n < max; at = at->ai_next) {
		memset(&out[n], 0, sizeof(out[n]));
		memcpy(&out[n].storage, at->ai_addr, at->ai_addrlen);
		out[n++].length = at->ai_addrlen;
	}
	freeaddrinfo(list);
	*why_out = n > 0 ? "" : "the name has no address";
	errno = ENOENT;
	return n;
}

bool fr_net_is_numeric(const char *host)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
	struct addrinfo *list;

	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return false;
	freeaddrinfo(list);
	return true;
}

/* The address with an IPv4 address inside IPv6 taken out of its wrapping. */
static struct fr_net_addr unmapped(const struct fr_net_addr *a)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->storage;
	struct fr_net_addr plain = *a;

	if (a->storage.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		fr_net_numeric(4, in6->sin6_addr.s6_addr + 12, ntohs(in6->sin6_port), &plain);
	return plain;
}

char *fr_net_host(const struct fr_net_addr *a, char buf[FR_NET_HOST_BYTES])
{
	const struct fr_net_addr plain = unmapped(a);

	if (getnameinfo((const struct sockaddr *)&plain.storage, plain.length, buf,
	                FR_NET_HOST_BYTES, NULL, 0, NI_NUMERICHOST) != 0)
		snprintf(buf, FR_NET_HOST_BYTES, "unknown address");
	return buf;
}

char *fr_net_text(const struct fr_net_addr *a, char buf[FR_NET_TEXT_BYTES])
{
	const struct fr_net_addr plain = unmapped(a);
	char host[FR_NET_HOST_BYTES];

	fr_net_host(&plain, host);
	if (plain.storage.ss_family == AF_INET6)
		snprintf(buf, FR_NET_TEXT_BYTES, "[%s]:%u", host,
		         ntohs(((const struct sockaddr_in6 *)&plain.storage)->sin6_port));
	else
		snprintf(buf, FR_NET_TEXT_BYTES, "%s:%u", host,
		         ntohs(((const struct sockaddr_in *)&plain.storage)->sin_port));
	return buf;
}

bool fr_net_is_loopback(const struct fr_net_addr *a)
{
	const struct fr_net_addr plain = unmapped(a);

	if (plain.storage.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(
			&((const struct sockaddr_in6 *)&plain.storage)->sin6_addr);
	return ntohl(((const struct sockaddr_in *)&plain.storage)->sin_addr.s_addr) >> 24 == 127;
}

bool fr_net_is_loopback_host(const char *host)
{
	struct fr_net_addr a;
	const char *why;

	if (strcmp(host, "localhost") == 0)
		return true;
	return fr_net_is_numeric(host) && fr_net_resolve(host, 0, &a, 1, &why) == 1 &&
	       fr_net_is_loopback(&a);
}

static int listen_on(const struct fr_net_addr *a, uint16_t *port_out)
{
	struct fr_net_addr bound = {.length = sizeof(bound.storage)};
	const int one = 1, zero = 0;
	const int fd = fr_fd_own(
		socket(a->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	if (fd < 0)
		return -1;
	/* A port whose last connections are in TIME_WAIT is free enough for a new job. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a->storage.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (const struct sockaddr *)&a->storage, a->length) != 0 ||
	    listen(fd, LISTEN_BACKLOG) != 0 ||
	    getsockname(fd, (struct sockaddr *)&bound.storage, &bound.length) != 0) {
		const int saved_errno = errno;
		close(fd);
		errno = saved_errno;
		return -1;
	}
	/* The port lies at the same place in both families. */
	*port_out = ntohs(((const struct sockaddr_in *)&bound.storage)->sin_port);
	return fd;
}

int fr_net_listen(const struct fr_net_addr *a, uint16_t port, uint16_t *port_out)
{
	static const unsigned char any[16];
	struct fr_net_addr everywhere;

	if (a)
		return listen_on(a, port_out);
	/* One IPv6 socket takes both families; a host without IPv6 gets an IPv4 one. */
	fr_net_numeric(6, any, port, &everywhere);
	const int fd = listen_on(&everywhere, port_out);
	if (fd >= 0 || errno == EADDRINUSE || errno == EACCES)
		return fd;
	fr_net_numeric(4, any, port, &everywhere);
	return listen_on(&everywhere, port_out);
}

int fr_net_poll_ms(uint64_t deadline_ns)
{
	const uint64_t now = fr_clock_ns();

	if (now >= deadline_ns)
		return 0;
	/* Rounded up, or the last millisecond would be spent spinning. */
	const uint64_t ms = (deadline_ns - now + 999999) / 1000000;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Waits for `events`; FR_NET_DONE when something (also an error) is there to be seen. */
static enum fr_net_end wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		const int ms = fr_net_poll_ms(deadline_ns);
		const int n = poll(&p, 1, ms);
		if (n > 0)
			return FR_NET_DONE;
		if (n < 0 && errno != EINTR)
			return FR_NET_ERROR;
		if (ms == 0)
			return FR_NET_LATE;
	}
}

void fr_net_prepare(int fd)
{
	const int one = 1;

	/* Set-up messages are small and each waits for an answer.  Not fatal when refused. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Outcome of a non-blocking connect once it is writable: 0 or an errno. */
static int connect_result(int fd, uint64_t deadline_ns)
{
	int error = 0;
	socklen_t length = sizeof(error);
	const enum fr_net_end end = wait_for(fd, POLLOUT, deadline_ns);

	if (end == FR_NET_LATE)
		return ETIMEDOUT;
	if (end == FR_NET_ERROR || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
		return errno;
	return error;
}

/*
 * Dialling a free port of one's own host may draw that very port as the local one and so
 * connect to itself, which would keep the rightful listener out.
 */
static bool is_connected_to_itself(int fd)
{
	struct fr_net_addr here = {.length = sizeof(here.storage)};
	struct fr_net_addr there = {.length = sizeof(there.storage)};
	const struct linger reset = {.l_onoff = 1};

	if (getsockname(fd, (struct sockaddr *)&here.storage, &here.length) != 0 ||
	    getpeername(fd, (struct sockaddr *)&there.storage, &there.length) != 0)
		return false;
	if (here.length != there.length || memcmp(&here.storage, &there.storage, here.length) != 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* leaves no TIME_WAIT */
	return true;
}

int fr_net_dial(const struct fr_net_addr *a, uint64_t deadline_ns)
{
	const int fd = fr_fd_own(
		socket(a->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	int error = 0;

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&a->storage, a->length) != 0)
		error = errno == EINPROGRESS ? connect_result(fd, deadline_ns) : errno;
	if (error == 0 && is_connected_to_itself(fd))
		error = ECONNREFUSED;
	if (error == 0) {
		fr_net_prepare(fd);
		return fd;
	}
	close(fd);
	errno = error;
	return -1;
}

bool fr_net_has_way(const struct fr_net_addr *a)
{
	const int fd = socket(a->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno != EAFNOSUPPORT;
	/* Sends nothing: the kernel only looks for a route. */
	const bool has_way =
		connect(fd, (const struct sockaddr *)&a->storage, a->length) == 0 ||
		(errno != ENETUNREACH && errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT);
	close(fd);
	return has_way;
}

static enum fr_net_end end_of_errno(void)
{
	return errno == ECONNRESET || errno == EPIPE ? FR_NET_EOF : FR_NET_ERROR;
}

enum fr_net_end fr_net_send(int fd, const void *buf, size_t bytes, uint64_t deadline_ns)
{
	const char *from = buf;

	while (bytes > 0) {
		const ssize_t n = send(fd, from, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			from += n;
			bytes -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return end_of_errno();
		const enum fr_net_end end = wait_for(fd, POLLOUT, deadline_ns);
		if (end != FR_NET_DONE)
			return end;
	}
	return FR_NET_DONE;
}

enum fr_net_end fr_net_recv(int fd, void *buf, size_t bytes, uint64_t deadline_ns)
{
	char *to = buf;

	while (bytes > 0) {
		const ssize_t n = recv(fd, to, bytes, MSG_DONTWAIT);
		if (n > 0) {
			to += n;
			bytes -= (size_t)n;
			continue;
		}
		if (n == 0)
			return FR_NET_EOF;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return end_of_errno();
		const enum fr_net_end end = wait_for(fd, POLLIN, deadline_ns);
		if (end != FR_NET_DONE)
			return end;
	}
	return FR_NET_DONE;
}

#include "config.h"

#include "tests/support/t_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#define ATTEMPTS 100

/* Any address of either family; of IPv4 where this host has no other. */
static int hold_one(uint16_t port)
{
	const int one = 1, zero = 0;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int bound = -1;

	if (fd >= 0) {
		const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		bound = bind(fd, (const struct sockaddr *)&any, sizeof(any));
	} else {
		const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};

		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		bound = bind(fd, (const struct sockaddr *)&any, sizeof(any));
	}
	if (bound == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		return -1;
	if (address.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&address)->sin_port);
}

static int hold_from(int n, int *fds)
{
	fds[0] = hold_one(0);
	const int first = fds[0] < 0 ? -1 : port_of(fds[0]);
	int held = fds[0] < 0 ? 0 : 1;

	while (first > 0 && held < n && first + held <= UINT16_MAX) {
		fds[held] = hold_one((uint16_t)(first + held));
		if (fds[held] < 0)
			break;
		held++;
	}
	if (first > 0 && held == n)
		return first;
	while (held > 0)
		close(fds[--held]);
	return -1;
}

int t_port_hold(int n, int *fds)
{
	int first = -1;

	for (int i = 0; first < 0 && i < ATTEMPTS; i++)
		first = hold_from(n, fds);
	return first;
}

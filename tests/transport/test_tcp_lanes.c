/* The suite over several sockets a peer, on IPv6 where this machine has it. */
#include "config.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/transport/transport.h"
#include "tests/transport/conformance.h"

static bool has_ipv6(void)
{
	const struct sockaddr_in6 at = {.sin6_family = AF_INET6,
	                                .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const int fd = socket(AF_INET6, SOCK_STREAM, 0);
	const bool is_bound = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
	if (fd >= 0)
		close(fd);
	return is_bound;
}

int main(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("tcp")};
	setenv("FERRULE_SOCKETS_PER_PEER", "3", 1);
	setenv("FERRULE_SOCKET_FAMILY", has_ipv6() ? "ipv6" : "ipv4", 1);
	return t_conformance("transport/tcp_lanes", &subject);
}

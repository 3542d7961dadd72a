/* link_place.h - which addresses a rank listens on. */
#ifndef FR_LINK_PLACE_H
#define FR_LINK_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "lib/transport/link/link_wire.h"

struct ifaddrs;

/* What is wanted, from the settings and the communicator. */
struct fr_link_wish {
	const char *ifname; /* FERRULE_SOCKET_IFNAME */
	const char *family; /* FERRULE_SOCKET_FAMILY: any, ipv4 or ipv6 */
	bool one_network;   /* loopback reaches all ranks */
	/* The local address that packets to the master leave from; ss_family 0: unknown. */
	struct sockaddr_storage route;
};

/*
 * fr_link_places_choose - at most `max` places (ports 0) out of `list`, best first; returns how
 * many.  None fit: returns 0 and `why` names the setting, its value and what there is.
 */
int fr_link_places_choose(const struct ifaddrs *list, const struct fr_link_wish *wish,
                          struct fr_link_place *places, int max, char *why, size_t why_bytes);

/* fr_link_route - the local address towards `master_addr`; ss_family 0 when there is none. */
void fr_link_route(const char *master_addr, struct sockaddr_storage *out);

/* fr_link_place_sockaddr - as the socket calls want it; returns the length. */
socklen_t fr_link_place_sockaddr(const struct fr_link_place *place, struct sockaddr_storage *out);
/* fr_link_place_text - "127.0.0.1:4242" or "[::1]:4242"; returns buf. */
char *fr_link_place_text(const struct fr_link_place *place, char *buf, size_t bytes);

#endif

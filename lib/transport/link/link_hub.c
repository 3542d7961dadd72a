/* The hub: where a rank listens, and what it makes of all addresses once it knows them. */
#include "config.h"

#include "lib/transport/link/link_hub.h"

#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/descriptors.h"
#include "lib/base/settings.h"
#include "lib/transport/link/link_place.h"
#include "lib/transport/transport.h"

/* More addresses of one rank than this help nobody. */
#define PLACES_USED 4

/* ---- listening ---- */

/* A listening socket at the place, whose port it fills in; -1 and errno when refused. */
static int listen_at(struct fr_link_place *place)
{
	struct sockaddr_storage at;
	socklen_t length = fr_link_place_sockaddr(place, &at);
	const int one = 1;
	const int fd =
		fr_fd_own(socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	if (fd < 0)
		return -1;
	if (at.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, length) != 0 || listen(fd, SOMAXCONN) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &length) != 0) {
		const int err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	place->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
	                                             : ((struct sockaddr_in *)&at)->sin_port);
	return fd;
}

/* Listens at every place that can be listened at; OK when there is one. */
static ferrule_status_t listen_at_all(struct fr_link_hub *hub, struct fr_link_place *places, int n,
                                      char *why, size_t why_bytes)
{
	for (int i = 0; i < n; i++) {
		const int fd = listen_at(&places[i]);
		char text[64];
		if (fd < 0) {
			snprintf(why, why_bytes, "%s: cannot listen at %s: %s", hub->context,
			         fr_link_place_text(&places[i], text, sizeof(text)),
			         strerror(errno));
			continue;
		}
		hub->listeners[hub->address.n_places] = fd;
		hub->address.places[hub->address.n_places++] = places[i];
	}
	return hub->address.n_places > 0 ? FERRULE_OK : FERRULE_ERR_SYSTEM;
}

static ferrule_status_t hub_listen(struct fr_link_hub *hub,
                                   const struct fr_transport_params *params, char *why,
                                   size_t why_bytes)
{
	const struct fr_settings *set = fr_settings();
	struct fr_link_wish wish = {
		.ifname = set->socket_ifname,
		.family = set->socket_family,
		.one_network = params->one_network,
	};
	struct fr_link_place places[PLACES_USED];
	struct ifaddrs *list;
	fr_link_route(params->master_addr, &wish.route);
	if (getifaddrs(&list) != 0) {
		snprintf(why, why_bytes, "%s: getifaddrs: %s", hub->context, strerror(errno));
		return FERRULE_ERR_SYSTEM;
	}
	const int n = fr_link_places_choose(list, &wish, places, PLACES_USED, why, why_bytes);
	freeifaddrs(list);
	if (n == 0)
		return wish.ifname[0] != '\0' || strcmp(wish.family, "any") != 0
		               ? FERRULE_ERR_SETTING
		               : FERRULE_ERR_TRANSPORT;
	return listen_at_all(hub, places, n, why, why_bytes);
}

static void unlisten(struct fr_link_hub *hub)
{
	for (int i = 0; i < FR_LINK_PLACES_MAX; i++) {
		if (hub->listeners[i] >= 0)
			close(hub->listeners[i]);
		hub->listeners[i] = -1;
	}
}

/* ---- the hub ---- */

ferrule_status_t fr_link_hub_open(const struct fr_transport_params *params, const char *context,
                                  unsigned n_lanes, struct fr_link_hub **out, char *why,
                                  size_t why_bytes)
{
	assert(n_lanes <= FR_LINK_LANES_MAX && strlen(context) < sizeof((*out)->context));
	struct fr_link_hub *hub = calloc(1, sizeof(*hub));
	if (hub == NULL) {
		snprintf(why, why_bytes, "%s: no memory for a hub", context);
		return FERRULE_ERR_NO_MEMORY;
	}
	hub->rank = params->rank;
	hub->n_ranks = params->n_ranks;
	hub->comm_id = params->comm_id;
	hub->n_lanes = n_lanes;
	hub->supervisor = params->supervisor;
	memcpy(hub->job_key, params->job_key, sizeof(hub->job_key));
	snprintf(hub->context, sizeof(hub->context), "%s", context);
	memset(hub->listeners, 0xff, sizeof(hub->listeners));
	hub->address = (struct fr_link_address){
		.magic = FR_LINK_MAGIC,
		.version = FR_LINK_VERSION,
		.n_lanes = (uint8_t)n_lanes,
	};
	fr_process_self(&hub->address.process);
	const ferrule_status_t status = hub_listen(hub, params, why, why_bytes);
	if (status != FERRULE_OK) {
		fr_link_hub_close(hub);
		return status;
	}
	*out = hub;
	return FERRULE_OK;
}

void fr_link_hub_address(const struct fr_link_hub *hub, void *buf)
{
	memcpy(buf, &hub->address, sizeof(hub->address));
}

/* Checks the wanted ranks' addresses, and agrees on lanes. */
static ferrule_status_t read_addresses(const struct fr_link_hub *hub, const unsigned char *wire,
                                       size_t stride, struct fr_link_address *addresses,
                                       struct fr_link_sockets *sockets, char *why, size_t why_bytes)
{
	for (int r = 0; r < hub->n_ranks; r++) {
		if (!sockets[r].is_wanted)
			continue;
		struct fr_link_address *a = &addresses[r];
		if (fr_link_address_parse(wire + (size_t)r * stride, a) != FERRULE_OK ||
		    (a->n_lanes == 0) != (hub->n_lanes == 0)) {
			snprintf(why, why_bytes, "%s: rank %d published no valid address",
			         hub->context, r);
			return FERRULE_ERR_PROTOCOL;
		}
		sockets[r].n_lanes = a->n_lanes < hub->n_lanes ? a->n_lanes : hub->n_lanes;
		sockets[r].process = a->process;
	}
	return FERRULE_OK;
}

static void close_all(struct fr_link_sockets *sockets, int n_ranks)
{
	for (int r = 0; r < n_ranks; r++) {
		for (unsigned i = 0; i <= FR_LINK_LANES_MAX; i++) {
			if (sockets[r].fd[i] >= 0)
				close(sockets[r].fd[i]);
			sockets[r].fd[i] = -1;
		}
	}
}

ferrule_status_t fr_link_hub_join(struct fr_link_hub *hub, const bool *wanted,
                                  const unsigned char *wire, size_t stride, uint64_t deadline_ns,
                                  struct fr_link_sockets *sockets, char *why, size_t why_bytes)
{
	struct fr_link_address *addresses = calloc((size_t)hub->n_ranks, sizeof(*addresses));
	if (addresses == NULL) {
		snprintf(why, why_bytes, "%s: no memory for the addresses of %d ranks",
		         hub->context, hub->n_ranks);
		return FERRULE_ERR_NO_MEMORY;
	}
	for (int r = 0; r < hub->n_ranks; r++) {
		sockets[r] = (struct fr_link_sockets){.is_wanted = wanted[r] && r != hub->rank};
		memset(sockets[r].fd, 0xff, sizeof(sockets[r].fd));
	}
	ferrule_status_t status =
		read_addresses(hub, wire, stride, addresses, sockets, why, why_bytes);
	if (status == FERRULE_OK)
		status = fr_link_join(hub, addresses, sockets, deadline_ns, why, why_bytes);
	if (status != FERRULE_OK)
		close_all(sockets, hub->n_ranks);
	free(addresses);
	return status;
}

void fr_link_hub_close(struct fr_link_hub *hub)
{
	if (hub == NULL)
		return;
	unlisten(hub);
	fr_wipe(hub->job_key, sizeof(hub->job_key));
	free(hub);
}

#include "config.h"

#include "lib/transport/verbs/verbs_cm_place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

bool fr_cm_is_on(const struct rdma_cm_id *id, const struct fr_verbs_device *d)
{
	return id->verbs && strcmp(d->v->get_device_name(id->verbs->device), d->port.device) == 0 &&
	       id->port_num == d->port.port;
}

bool fr_cm_sockaddr(const struct fr_verbs_cm_address *a, uint16_t port, uint32_t scope,
                    struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (a->family == 4) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, a->ip, sizeof(in->sin_addr));
		return true;
	}
	if (a->family != 6)
		return false;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, a->ip, sizeof(in6->sin6_addr));
	if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
		in6->sin6_scope_id = scope;
	return true;
}

char *fr_verbs_cm_address_text(const struct fr_verbs_cm_address *a, char *buf, size_t bytes)
{
	char ip[INET6_ADDRSTRLEN];
	const bool is_ipv4 = a->family == 4;

	if ((!is_ipv4 && a->family != 6) ||
	    !inet_ntop(is_ipv4 ? AF_INET : AF_INET6, a->ip, ip, sizeof(ip)))
		snprintf(buf, bytes, "no address");
	else
		snprintf(buf, bytes, is_ipv4 ? "%s:%u" : "[%s]:%u", ip, a->port);
	return buf;
}

/* An interface's address, without a port; false for other families. */
static bool take(const struct sockaddr *from, struct fr_verbs_cm_address *out, uint32_t *scope_out)
{
	*out = (struct fr_verbs_cm_address){.family = 0};
	*scope_out = 0;
	if (from && from->sa_family == AF_INET) {
		out->family = 4;
		memcpy(out->ip, &((const struct sockaddr_in *)from)->sin_addr, 4);
	} else if (from && from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
		out->family = 6;
		memcpy(out->ip, &in6->sin6_addr, 16);
		*scope_out = in6->sin6_scope_id;
	}
	return out->family != 0;
}

/* How good an address is for the device, 0 best; -1: it is not the device's. */
static int rank_address(const struct fr_verbs_device *d, const struct fr_verbs_cm_address *a)
{
	unsigned char raw[16] = {[10] = 0xff, [11] = 0xff};

	/* Of InfiniBand nothing tells but the manager, when it is asked to bind. */
	if (!d->port.is_ethernet)
		return a->family == 4 ? 0 : a->ip[0] == 0xfe ? 2 : 1;
	if (a->family == 4)
		memcpy(raw + 12, a->ip, 4);
	else
		memcpy(raw, a->ip, 16);
	for (int i = 0; i < d->n_gids; i++)
		if (memcmp(d->gids[i].raw, raw, sizeof(raw)) == 0)
			return i;
	return -1;
}

static struct rdma_cm_id *try_address(const struct fr_rdmacm *c, struct rdma_event_channel *channel,
                                      const struct fr_verbs_device *d,
                                      struct fr_verbs_cm_address *a, uint32_t scope)
{
	struct sockaddr_storage address;
	struct rdma_cm_id *id;

	fr_cm_sockaddr(a, 0, scope, &address);
	if (c->create_id(channel, &id, NULL, RDMA_PS_TCP) != 0)
		return NULL;
	/* A backlog of 0 is the system's largest. */
	if (c->bind_addr(id, (struct sockaddr *)&address) == 0 && fr_cm_is_on(id, d) &&
	    c->listen(id, 0) == 0) {
		a->port = ntohs(c->get_src_port(id));
		return id;
	}
	c->destroy_id(id);
	return NULL;
}

struct rdma_cm_id *fr_cm_listen(const struct fr_rdmacm *c, struct rdma_event_channel *channel,
                                const struct fr_verbs_device *d, struct fr_verbs_cm_address *out,
                                uint32_t *scope_out, char *why, size_t why_bytes)
{
	struct ifaddrs *list = NULL;
	struct rdma_cm_id *id = NULL;
	int n_tried = 0;

	if (getifaddrs(&list) != 0) {
		snprintf(why, why_bytes, "%s port %d: getifaddrs: %s", d->port.device, d->port.port,
		         strerror(errno));
		return NULL;
	}
	for (int rank = 0; rank < FR_VERBS_GIDS_MAX && !id; rank++) {
		for (const struct ifaddrs *i = list; i && !id; i = i->ifa_next) {
			if (!(i->ifa_flags & IFF_UP) || !take(i->ifa_addr, out, scope_out) ||
			    rank_address(d, out) != rank)
				continue;
			n_tried++;
			id = try_address(c, channel, d, out, *scope_out);
		}
	}
	freeifaddrs(list);
	if (!id)
		snprintf(why, why_bytes,
		         "%s port %d: FERRULE_IB_CONNECT=cm needs an IP address of the port's "
		         "interface, but rdma_cm takes none of the %d that there could be",
		         d->port.device, d->port.port, n_tried);
	return id;
}

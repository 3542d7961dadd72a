#include "config.h"

#include "lib/transport/link/link_place.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/netif.h"

socklen_t fr_link_place_sockaddr(const struct fr_link_place *place, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (place->family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;
		in->sin_family = AF_INET;
		in->sin_port = htons(place->port);
		memcpy(&in->sin_addr, place->addr, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(place->port);
	memcpy(&in6->sin6_addr, place->addr, 16);
	/* Interfaces have other numbers at the peer, so each end finds its own. */
	if (fr_netif_is_link_local(place->addr))
		in6->sin6_scope_id = fr_netif_scope(place->addr);
	return sizeof(*in6);
}

char *fr_link_place_text(const struct fr_link_place *place, char *buf, size_t bytes)
{
	char text[INET6_ADDRSTRLEN] = "?";
	inet_ntop(place->family == 4 ? AF_INET : AF_INET6, place->addr, text, sizeof(text));
	snprintf(buf, bytes, place->family == 4 ? "%s:%u" : "[%s]:%u", text, (unsigned)place->port);
	return buf;
}

void fr_link_route(const char *master_addr, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	/* Connecting a datagram socket sends nothing; it only asks the routing table. */
	struct fr_link_place to = {.port = 9};
	if (master_addr == NULL)
		return;
	if (inet_pton(AF_INET, master_addr, to.addr) == 1)
		to.family = 4;
	else if (inet_pton(AF_INET6, master_addr, to.addr) == 1)
		to.family = 6;
	else
		return;
	struct sockaddr_storage master;
	socklen_t length = fr_link_place_sockaddr(&to, &master);
	const int fd = socket(master.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&master, length) == 0) {
		length = sizeof(*out);
		if (getsockname(fd, (struct sockaddr *)out, &length) != 0)
			memset(out, 0, sizeof(*out));
	}
	close(fd);
}

/* The address as a place, or family 0 for what no peer could connect to. */
static struct fr_link_place place_of(const struct sockaddr *addr)
{
	struct fr_link_place place = {.family = 0};
	if (addr == NULL)
		return place;
	if (addr->sa_family == AF_INET) {
		place.family = 4;
		memcpy(place.addr, &((const struct sockaddr_in *)addr)->sin_addr, 4);
	} else if (addr->sa_family == AF_INET6) {
		place.family = 6;
		memcpy(place.addr, &((const struct sockaddr_in6 *)addr)->sin6_addr, 16);
	}
	return place;
}

static bool is_same(const struct fr_link_place *a, const struct fr_link_place *b)
{
	return a->family == b->family && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

/* Which interfaces the rules without names allow. */
enum scope { SCOPE_LOOPBACK, SCOPE_ROUTE, SCOPE_OUTSIDE, SCOPE_ANY };

struct choice {
	const struct fr_link_wish *wish;
	enum scope scope;
	const char *route_ifname; /* the interface of wish->route, or NULL */
};

static bool fits(const struct choice *c, const struct ifaddrs *ifa, struct fr_link_place *place)
{
	const struct fr_link_wish *wish = c->wish;
	*place = place_of(ifa->ifa_addr);
	if (place->family == 0 || !(ifa->ifa_flags & IFF_UP))
		return false;
	if (place->family == 4 ? strcmp(wish->family, "ipv6") == 0
	                       : strcmp(wish->family, "ipv4") == 0)
		return false;
	if (!fr_netif_fits(wish->ifname, ifa->ifa_name, ifa->ifa_addr))
		return false;
	if (fr_netif_is_choice(wish->ifname))
		return true;
	switch (c->scope) {
	case SCOPE_LOOPBACK:
		return (ifa->ifa_flags & IFF_LOOPBACK) != 0;
	case SCOPE_ROUTE:
		return c->route_ifname != NULL && strcmp(c->route_ifname, ifa->ifa_name) == 0;
	case SCOPE_OUTSIDE:
		return (ifa->ifa_flags & IFF_LOOPBACK) == 0;
	default:
		return true;
	}
}

/* Smaller is better: the very address of the route, then IPv4, then IPv6.  Link-local addresses
 * stand in where there is no other, since which interface reaches them is a guess. */
#define PENALTY_MAX 3
static int penalty(const struct fr_link_place *place, const struct fr_link_place *route)
{
	if (is_same(place, route))
		return 0;
	if (place->family == 6 && fr_netif_is_link_local(place->addr))
		return PENALTY_MAX;
	return place->family == 4 ? 1 : 2;
}

static int collect(const struct choice *c, const struct ifaddrs *list,
                   const struct fr_link_place *route, struct fr_link_place *places, int max)
{
	int n = 0;
	for (int wanted = 0; wanted <= PENALTY_MAX; wanted++) {
		if (wanted == PENALTY_MAX && n > 0)
			break;
		for (const struct ifaddrs *ifa = list; ifa != NULL && n < max;
		     ifa = ifa->ifa_next) {
			struct fr_link_place place;
			if (fits(c, ifa, &place) && penalty(&place, route) == wanted)
				places[n++] = place;
		}
	}
	return n;
}

int fr_link_places_choose(const struct ifaddrs *list, const struct fr_link_wish *wish,
                          struct fr_link_place *places, int max, char *why, size_t why_bytes)
{
	struct choice c = {.wish = wish};
	const struct fr_link_place route = place_of((const struct sockaddr *)&wish->route);
	for (const struct ifaddrs *ifa = list; ifa != NULL; ifa = ifa->ifa_next) {
		const struct fr_link_place place = place_of(ifa->ifa_addr);
		if (route.family != 0 && is_same(&place, &route))
			c.route_ifname = ifa->ifa_name;
	}
	/* From the rule to what may stand in for it. */
	static const enum scope here[] = {SCOPE_LOOPBACK, SCOPE_OUTSIDE};
	static const enum scope wide[] = {SCOPE_ROUTE, SCOPE_OUTSIDE, SCOPE_ANY};
	const enum scope *scopes = wish->one_network ? here : wide;
	const int n_scopes = wish->one_network ? 2 : 3;
	for (int i = 0; i < n_scopes; i++) {
		c.scope = scopes[i];
		const int n = collect(&c, list, &route, places, max);
		if (n > 0)
			return n;
	}
	char names[160];
	snprintf(why, why_bytes,
	         "no interface fits FERRULE_SOCKET_IFNAME=%.60s and FERRULE_SOCKET_FAMILY=%s; with "
	         "addresses and up are: %s",
	         wish->ifname, wish->family, fr_netif_text(list, names, sizeof(names)));
	return 0;
}

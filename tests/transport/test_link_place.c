#include "config.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/transport/link/link_place.h"
#include "tests/support/t_main.h"

#define N_ENTRIES 8

/* A machine with loopback, two networks and one that is down. */
struct machine {
	struct ifaddrs list[N_ENTRIES];
	struct sockaddr_storage addr[N_ENTRIES];
	int n;
};

static void add(struct machine *m, const char *name, const char *text, unsigned flags)
{
	struct ifaddrs *ifa = &m->list[m->n];
	struct sockaddr_in *in = (struct sockaddr_in *)&m->addr[m->n];
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&m->addr[m->n];
	memset(&m->addr[m->n], 0, sizeof(m->addr[m->n]));
	*ifa = (struct ifaddrs){.ifa_name = (char *)name, .ifa_flags = flags};
	if (text != NULL)
		ifa->ifa_addr = (struct sockaddr *)&m->addr[m->n];
	if (text != NULL && inet_pton(AF_INET, text, &in->sin_addr) == 1)
		in->sin_family = AF_INET;
	else if (text != NULL && inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		in6->sin6_family = AF_INET6;
	if (m->n > 0)
		m->list[m->n - 1].ifa_next = ifa;
	m->n++;
}

static void build(struct machine *m)
{
	m->n = 0;
	add(m, "tun0", NULL, IFF_UP);
	add(m, "lo", "127.0.0.1", IFF_UP | IFF_LOOPBACK);
	add(m, "lo", "::1", IFF_UP | IFF_LOOPBACK);
	add(m, "eth0", "fe80::1", IFF_UP);
	add(m, "eth0", "2001:db8::5", IFF_UP);
	add(m, "eth0", "192.0.2.5", IFF_UP);
	add(m, "ib0", "198.51.100.5", IFF_UP);
	add(m, "eth1", "203.0.113.5", 0);
}

struct expectation {
	const char *ifname, *family;
	bool one_network;
	const char *route;  /* local address towards the master, or NULL */
	const char *places; /* "127.0.0.1:0 [::1]:0" */
};

static void expect(const struct expectation *x)
{
	struct machine m;
	struct fr_link_place places[4];
	char why[400] = "", text[200] = "", one[64];
	struct fr_link_wish wish = {
		.ifname = x->ifname, .family = x->family, .one_network = x->one_network};
	build(&m);
	if (x->route != NULL) {
		struct machine route = {.n = 0};
		add(&route, "", x->route, 0);
		wish.route = route.addr[0];
	}
	const int n = fr_link_places_choose(m.list, &wish, places, 4, why, sizeof(why));
	for (int i = 0; i < n; i++) {
		if (i > 0)
			strcat(text, " ");
		strcat(text, fr_link_place_text(&places[i], one, sizeof(one)));
	}
	CU_ASSERT_STRING_EQUAL(text, x->places);
	if (n > 0)
		return;
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "FERRULE_SOCKET_IFNAME"));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, x->ifname));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "lo 127.0.0.1 ::1, eth0 fe80::1 2001:db8::5"));
}

static void test_one_host_uses_loopback_alone(void)
{
	expect(&(struct expectation){"", "any", true, NULL, "127.0.0.1:0 [::1]:0"});
	expect(&(struct expectation){"", "ipv4", true, "192.0.2.5", "127.0.0.1:0"});
	expect(&(struct expectation){"", "ipv6", true, NULL, "[::1]:0"});
}

static void test_several_hosts_use_the_route_to_the_master(void)
{
	expect(&(struct expectation){"", "any", false, "198.51.100.5", "198.51.100.5:0"});
	expect(&(struct expectation){"", "any", false, "2001:db8::5",
	                             "[2001:db8::5]:0 192.0.2.5:0"});
	expect(&(struct expectation){"", "ipv4", false, "2001:db8::5", "192.0.2.5:0"});
}

static void test_without_a_route_every_network_is_offered(void)
{
	expect(&(struct expectation){"", "any", false, NULL,
	                             "192.0.2.5:0 198.51.100.5:0 [2001:db8::5]:0"});
}

static void test_named_interfaces_alone_are_used(void)
{
	expect(&(struct expectation){"ib0", "any", false, "192.0.2.5", "198.51.100.5:0"});
	expect(&(struct expectation){"ib0,lo", "ipv4", true, NULL, "127.0.0.1:0 198.51.100.5:0"});
}

static void test_beginnings_and_networks_are_used(void)
{
	expect(&(struct expectation){"eth", "ipv4", false, NULL, "192.0.2.5:0"});
	expect(&(struct expectation){"=eth0", "ipv4", true, NULL, "192.0.2.5:0"});
	expect(&(struct expectation){"198.51.100.0/24", "any", true, NULL, "198.51.100.5:0"});
	expect(&(struct expectation){"2001:db8::/32,lo", "ipv6", true, NULL,
	                             "[::1]:0 [2001:db8::5]:0"});
}

static void test_link_local_addresses_stand_in(void)
{
	expect(&(struct expectation){"fe80::/10", "any", false, NULL, "[fe80::1]:0"});
	expect(&(struct expectation){"^ib,lo,192.0.2.0/24,2001:db8::/32", "any", false, NULL,
	                             "[fe80::1]:0"});
	expect(&(struct expectation){"eth", "ipv6", false, NULL, "[2001:db8::5]:0"});
}

static void test_excluded_interfaces_are_not_used(void)
{
	expect(&(struct expectation){"^192.0.2.0/24", "ipv4", false, NULL, "198.51.100.5:0"});
	expect(&(struct expectation){"^=lo", "ipv4", true, NULL, "192.0.2.5:0 198.51.100.5:0"});
	expect(&(struct expectation){"^eth0", "any", false, "192.0.2.5", "198.51.100.5:0"});
	expect(&(struct expectation){"^lo", "ipv4", true, NULL, "192.0.2.5:0 198.51.100.5:0"});
}

static void test_nothing_that_fits_names_what_there_is(void)
{
	expect(&(struct expectation){"=eth", "any", false, NULL, ""});
	expect(&(struct expectation){"eth1", "any", false, NULL, ""});
	expect(&(struct expectation){"ib0", "ipv6", false, NULL, ""});
	expect(&(struct expectation){"^lo,eth0,ib0", "any", true, NULL, ""});
}

static void test_route_of_nonsense_is_none(void)
{
	struct sockaddr_storage out;
	fr_link_route(NULL, &out);
	CU_ASSERT_EQUAL(out.ss_family, 0);
	fr_link_route("not.an.address", &out);
	CU_ASSERT_EQUAL(out.ss_family, 0);
	fr_link_route("127.0.0.1", &out);
	CU_ASSERT_EQUAL(out.ss_family, AF_INET);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"one host uses loopback alone", test_one_host_uses_loopback_alone},
		{"several hosts use the route to the master",
	         test_several_hosts_use_the_route_to_the_master},
		{"without a route every network is offered",
	         test_without_a_route_every_network_is_offered},
		{"named interfaces alone are used", test_named_interfaces_alone_are_used},
		{"beginnings and networks are used", test_beginnings_and_networks_are_used},
		{"link-local addresses stand in", test_link_local_addresses_stand_in},
		{"excluded interfaces are not used", test_excluded_interfaces_are_not_used},
		{"nothing that fits names what there is",
	         test_nothing_that_fits_names_what_there_is},
		{"route of nonsense is none", test_route_of_nonsense_is_none},
		{NULL, NULL},
	};
	return t_main("transport/link_place", cases);
}

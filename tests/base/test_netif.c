/* FERRULE_SOCKET_IFNAME on a described machine: which selector lets which address be used. */
#include "config.h"

#include "lib/base/netif.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/t_main.h"

#define N_ENTRIES 10

static const struct {
	const char *name, *addr;
	unsigned flags;
} machine[N_ENTRIES] = {
	{"lo", "127.0.0.1", IFF_UP | IFF_LOOPBACK},
	{"lo", "::1", IFF_UP | IFF_LOOPBACK},
	{"eth0", "10.0.0.5", IFF_UP},
	{"eth0", "fd00:1::5", IFF_UP},
	{"eth1", "10.1.0.5", IFF_UP},
	{"eth10", "192.168.7.5", IFF_UP},
	{"docker0", "172.17.0.1", IFF_UP},
	{"ib0", "fd00:2::5", IFF_UP},
	{"eth2", "10.2.0.5", 0},
	{"tun0", NULL, IFF_UP},
};

struct addresses {
	struct ifaddrs list[N_ENTRIES];
	struct sockaddr_storage addr[N_ENTRIES];
};

static const struct ifaddrs *build(struct addresses *a)
{
	memset(a, 0, sizeof(*a));
	for (int i = 0; i < N_ENTRIES; i++) {
		struct sockaddr_in *in = (struct sockaddr_in *)&a->addr[i];
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->addr[i];
		a->list[i].ifa_name = (char *)machine[i].name;
		a->list[i].ifa_flags = machine[i].flags;
		a->list[i].ifa_next = i + 1 < N_ENTRIES ? &a->list[i + 1] : NULL;
		if (!machine[i].addr)
			continue;
		a->list[i].ifa_addr = (struct sockaddr *)&a->addr[i];
		if (inet_pton(AF_INET, machine[i].addr, &in->sin_addr) == 1)
			in->sin_family = AF_INET;
		else if (inet_pton(AF_INET6, machine[i].addr, &in6->sin6_addr) == 1)
			in6->sin6_family = AF_INET6;
	}
	return a->list;
}

/* The last numbers of the addresses that a selector allows: enough to tell them apart. */
static void expect(const char *selector, const char *chosen)
{
	struct addresses a;
	char text[400] = "", why[200] = "";

	CU_ASSERT_TRUE(fr_netif_check(selector, why, sizeof(why)));
	for (const struct ifaddrs *i = build(&a); i; i = i->ifa_next) {
		if (!i->ifa_addr || !fr_netif_fits(selector, i->ifa_name, i->ifa_addr))
			continue;
		if (text[0])
			strcat(text, " ");
		strcat(text, machine[i - a.list].addr);
	}
	CU_ASSERT_STRING_EQUAL(text, chosen);
	if (strcmp(text, chosen) != 0)
		fprintf(stderr, "%s: %s, not %s; %s\n", selector, text, chosen, why);
}

#define LO     "127.0.0.1 ::1"
#define ETH0   "10.0.0.5 fd00:1::5"
#define ETH1   "10.1.0.5"
#define ETH10  "192.168.7.5"
#define DOCKER "172.17.0.1"
#define IB0    "fd00:2::5"
#define ETH2   "10.2.0.5"

static void test_nothing_named_allows_everything(void)
{
	expect("", LO " " ETH0 " " ETH1 " " ETH10 " " DOCKER " " IB0 " " ETH2);
}

static void test_names_are_beginnings(void)
{
	expect("eth", ETH0 " " ETH1 " " ETH10 " " ETH2);
	expect("eth1", ETH1 " " ETH10);
	expect("ib,docker", DOCKER " " IB0);
	expect("eth99", "");
	expect("et0", "");
	expect("ETH", "");
}

static void test_an_equals_sign_asks_for_whole_names(void)
{
	expect("=eth1", ETH1);
	expect("=eth", "");
	expect("=eth0,ib0", ETH0 " " IB0);
	expect("=eth0,=ib0", ETH0 " " IB0);
}

static void test_a_caret_excludes(void)
{
	expect("^eth", LO " " DOCKER " " IB0);
	expect("^docker,lo", ETH0 " " ETH1 " " ETH10 " " IB0 " " ETH2);
	expect("^docker,^lo", ETH0 " " ETH1 " " ETH10 " " IB0 " " ETH2);
	expect("^=eth1", LO " " ETH0 " " ETH10 " " DOCKER " " IB0 " " ETH2);
	expect("^=eth", LO " " ETH0 " " ETH1 " " ETH10 " " DOCKER " " IB0 " " ETH2);
	expect("^=eth1,^=eth10", LO " " ETH0 " " DOCKER " " IB0 " " ETH2);
	expect("^lo,eth,docker,ib", "");
}

static void test_networks_are_of_addresses(void)
{
	expect("10.0.0.0/8", "10.0.0.5 " ETH1 " " ETH2);
	expect("10.99.0.7/8", "10.0.0.5 " ETH1 " " ETH2);
	expect("10.0.0.0/15", "10.0.0.5 " ETH1);
	expect("10.0.0.0/16", "10.0.0.5");
	expect("10.0.0.5", "10.0.0.5");
	expect("10.0.0.4/32", "");
	expect("10.0.0.4/31", "10.0.0.5");
	expect("0.0.0.0/0", "127.0.0.1 10.0.0.5 " ETH1 " " ETH10 " " DOCKER " " ETH2);
	expect("fd00::/8", "fd00:1::5 " IB0);
	expect("fd00:2::/32", IB0);
	expect("fd00:2::/33", IB0);
	expect("fd00:0:8000::/33", "");
	expect("::1", "::1");
	expect("::/0", "::1 fd00:1::5 " IB0);
	expect("=10.0.0.0/8", "10.0.0.5 " ETH1 " " ETH2);
	expect("^10.0.0.0/8", LO " fd00:1::5 " ETH10 " " DOCKER " " IB0);
	expect("ib,192.168.0.0/16", ETH10 " " IB0);
	expect("^fd00::/8,127.0.0.0/8,docker", "::1 10.0.0.5 " ETH1 " " ETH10 " " ETH2);
}

static void test_what_is_no_selector_is_told(void)
{
	static const struct {
		const char *selector, *why;
	} rows[] = {
		{"^", "entry '' is empty"},
		{"=", "entry '' is empty"},
		{"^=", "entry '' is empty"},
		{",", "entry '' is empty"},
		{"eth0,", "entry '' is empty"},
		{"eth0,,ib0", "entry '' is empty"},
		{"eth0,^lo", "entry '^lo' has a ^ or ="},
		{"eth0,=ib0", "entry '=ib0' has a ^ or ="},
		{"=^eth0", "entry '^eth0' has a ^ or ="},
		{"^eth0,=ib0", "entry '=ib0' has a ^ or ="},
		{"eth0, ib0", "entry ' ib0' has a blank"},
		{"10.0.0.0/33", "entry '10.0.0.0/33' is no network; allowed: as 10.0.0.0/8"},
		{"10.0.0.0/-1", "is no network"},
		{"10.0.0.0/", "is no network"},
		{"10.0.0.0/8/8", "is no network"},
		{"10.0.0/8", "is no network"},
		{"fd00::/129", "is no network"},
		{"/8", "is no network"},
		{"eth0/24", "is no network"},
		{"a123456789012345678901234567890123456789012345678901234567890123456789",
	         "is too long"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[200] = "";
		CU_ASSERT_FALSE(fr_netif_check(rows[i].selector, why, sizeof(why)));
		CU_ASSERT_PTR_NOT_NULL(strstr(why, rows[i].why));
		if (!strstr(why, rows[i].why))
			fprintf(stderr, "%s: \"%s\", not \"%s\"\n", rows[i].selector, why,
			        rows[i].why);
	}
}

static void test_what_there_is_is_listed_once(void)
{
	struct addresses a;
	char text[300], small[40];

	CU_ASSERT_STRING_EQUAL(fr_netif_text(build(&a), text, sizeof(text)),
	                       "lo 127.0.0.1 ::1, eth0 10.0.0.5 fd00:1::5, eth1 10.1.0.5, "
	                       "eth10 192.168.7.5, docker0 172.17.0.1, ib0 fd00:2::5");
	CU_ASSERT_STRING_EQUAL(fr_netif_text(a.list, small, sizeof(small)),
	                       "lo 127.0.0.1 ::1, eth0 10.0.0.5 ...");
	CU_ASSERT_STRING_EQUAL(fr_netif_text(&a.list[N_ENTRIES - 1], text, sizeof(text)), "none");
}

static void test_link_local_is_told_from_the_rest(void)
{
	static const unsigned char local[16] = {0xfe, 0x80}, last[16] = {0xfe, 0xbf},
				   site[16] = {0xfe, 0xc0}, global[16] = {0x20, 0x01};

	CU_ASSERT_TRUE(fr_netif_is_link_local(local));
	CU_ASSERT_TRUE(fr_netif_is_link_local(last));
	CU_ASSERT_FALSE(fr_netif_is_link_local(site));
	CU_ASSERT_FALSE(fr_netif_is_link_local(global));
}

int main(void)
{
	static const struct t_case cases[] = {
		{"nothing named allows everything", test_nothing_named_allows_everything},
		{"names are beginnings", test_names_are_beginnings},
		{"an equals sign asks for whole names", test_an_equals_sign_asks_for_whole_names},
		{"a caret excludes", test_a_caret_excludes},
		{"networks are of addresses", test_networks_are_of_addresses},
		{"what is no selector is told", test_what_is_no_selector_is_told},
		{"what there is, is listed once", test_what_there_is_is_listed_once},
		{"link-local is told from the rest", test_link_local_is_told_from_the_rest},
		{NULL, NULL},
	};

	return t_main("netif", cases);
}

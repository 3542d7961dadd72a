/* Which GIDs are used, and in which order pairs of them are probed. */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "lib/transport/verbs/verbs_device.h"
#include "tests/support/t_main.h"

/* A list of GIDs from words "ADDRESS" (RoCE v2), "v1:ADDRESS" or "ib:ADDRESS", by index. */
static int build(const char *text, struct fr_gid *out)
{
	char copy[512], *next = NULL;
	int n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strtok_r(copy, " ", &next); word; word = strtok_r(NULL, " ", &next)) {
		struct fr_gid *g = &out[n];
		struct in_addr in;

		*g = (struct fr_gid){.index = (uint8_t)n, .type = FR_GID_ROCE_V2};
		if (strncmp(word, "v1:", 3) == 0)
			g->type = FR_GID_ROCE_V1;
		if (strncmp(word, "ib:", 3) == 0)
			g->type = FR_GID_IB;
		if (g->type != FR_GID_ROCE_V2)
			word += 3;
		if (inet_pton(AF_INET, word, &in) == 1) {
			g->raw[10] = g->raw[11] = 0xff;
			memcpy(g->raw + 12, &in, 4);
		} else {
			CU_ASSERT_EQUAL(inet_pton(AF_INET6, word, g->raw), 1);
		}
		n++;
	}
	return n;
}

/* Positions of the chosen entries, best first, against "2 0 1". */
static void expect_chosen(const char *table, int forced, const char *expected)
{
	struct fr_gid all[FR_VERBS_GIDS_MAX], chosen[FR_VERBS_GIDS_MAX];
	char text[64] = "";
	const int n = fr_gids_choose(all, build(table, all), forced, chosen, FR_VERBS_GIDS_MAX);

	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d", i ? " " : "",
		         chosen[i].index);
	CU_ASSERT_STRING_EQUAL(text, expected);
}

/* The pairs as "LOWER-HIGHER" positions.  Asked from both sides, which must agree. */
static void expect_pairs(const char *lower, const char *higher, const char *expected)
{
	struct fr_gid low[FR_VERBS_GIDS_MAX], high[FR_VERBS_GIDS_MAX];
	struct fr_gid_pair by_low[64], by_high[64];
	char text[256] = "";
	const int n_low = build(lower, low), n_high = build(higher, high);
	const int n = fr_gid_pairs(low, n_low, high, n_high, true, by_low, 64);

	CU_ASSERT_EQUAL_FATAL(fr_gid_pairs(high, n_high, low, n_low, false, by_high, 64), n);
	for (int i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(by_low[i].mine, by_high[i].theirs);
		CU_ASSERT_EQUAL(by_low[i].theirs, by_high[i].mine);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d-%d", i ? " " : "",
		         by_low[i].mine, by_low[i].theirs);
	}
	CU_ASSERT_STRING_EQUAL(text, expected);
}

static void test_v2_and_ipv4_are_chosen_first(void)
{
	/* The table of a usual RoCE port: v1 and v2 of each address, in turn. */
	expect_chosen("v1:fe80::1 fe80::1 v1:192.0.2.1 192.0.2.1", -1, "3 1 2 0");
	expect_chosen("fe80::1 2001:db8::1 192.0.2.1", -1, "2 1 0");
	expect_chosen("192.0.2.9 192.0.2.1", -1, "0 1");
}

static void test_empty_entries_are_left_out(void)
{
	expect_chosen(":: fe80::1 ::", -1, "1");
	expect_chosen(":: ::", -1, "");
	expect_chosen("", -1, "");
}

static void test_link_local_alone_remains(void)
{
	expect_chosen("fe80::1", -1, "0");
	expect_chosen("v1:fe80::1 fe80::1", -1, "1 0");
}

static void test_forced_index_is_the_only_one(void)
{
	expect_chosen("fe80::1 192.0.2.1 2001:db8::1", 0, "0");
	expect_chosen("fe80::1 192.0.2.1 2001:db8::1", 2, "2");
	expect_chosen("fe80::1 192.0.2.1", 7, "");
	expect_chosen(":: 192.0.2.1", 0, "");
}

static void test_infiniband_goes_by_the_table(void)
{
	expect_chosen("ib:fe80::2:c903:1 ib:fec0::2:c903:1", -1, "0 1");
	expect_pairs("ib:fe80::1 ib:fec0::1", "ib:fe80::2 ib:fec0::2", "0-0 1-1 0-1 1-0");
}

static void test_a_table_longer_than_the_list_keeps_the_best(void)
{
	struct fr_gid all[40], out[FR_VERBS_GIDS_MAX];

	for (int i = 0; i < 40; i++) {
		all[i] = (struct fr_gid){.index = (uint8_t)i, .type = FR_GID_ROCE_V1};
		all[i].raw[0] = 0x20;
		all[i].raw[15] = (unsigned char)i;
	}
	all[39].type = FR_GID_ROCE_V2;
	CU_ASSERT_EQUAL(fr_gids_choose(all, 40, -1, out, FR_VERBS_GIDS_MAX), FR_VERBS_GIDS_MAX);
	CU_ASSERT_EQUAL(out[0].index, 39);
	CU_ASSERT_EQUAL(out[1].index, 0);
}

static void test_pairs_of_one_kind_alone(void)
{
	expect_pairs("192.0.2.1", "192.0.2.2", "0-0");
	expect_pairs("192.0.2.1", "2001:db8::2", "");
	expect_pairs("192.0.2.1", "v1:192.0.2.2", "");
	expect_pairs("fe80::1", "2001:db8::2", "");
	expect_pairs("", "192.0.2.2", "");
	expect_pairs("::", "::", "");
}

static void test_pairs_begin_with_the_best_kind(void)
{
	expect_pairs("192.0.2.1 2001:db8::1 fe80::1 v1:192.0.2.1",
	             "192.0.2.2 2001:db8::2 fe80::2 v1:192.0.2.2", "0-0 1-1 2-2 3-3");
}

static void test_two_subnets_pair_within_each(void)
{
	expect_pairs("10.0.0.1 10.1.0.1", "10.1.0.2 10.0.0.2", "0-1 1-0 0-0 1-1");
	expect_pairs("fd00:1::1 fd00:2::1", "fd00:2::2 fd00:1::2", "0-1 1-0 0-0 1-1");
}

static void test_ipv6_only_fabric_has_its_pairs(void)
{
	expect_pairs("2001:db8::1 fe80::1", "2001:db8::2 fe80::2", "0-0 1-1");
	expect_pairs("fe80::1", "fe80::2 2001:db8::2", "0-0");
}

static void test_link_local_ends_do_not_count(void)
{
	/* By their ends 0-1 is nearer; in one network both are. */
	expect_pairs("fe80::1 fe80::9", "fe80::f001 fe80::2", "0-0 0-1 1-0 1-1");
}

static void test_pairs_stop_where_there_is_no_room(void)
{
	struct fr_gid g[4];
	struct fr_gid_pair out[2];
	const int n = build("10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4", g);

	CU_ASSERT_EQUAL(fr_gid_pairs(g, n, g, n, true, out, 2), 2);
	CU_ASSERT_EQUAL(out[1].mine, 1);
	CU_ASSERT_EQUAL(out[1].theirs, 1);
}

static void test_text(void)
{
	struct fr_gid g[4];
	char text[80];

	build("fe80::1 192.168.7.1 v1:2001:db8::1 ib:fe80::2", g);
	CU_ASSERT_STRING_EQUAL(fr_gid_text(&g[0], text, sizeof(text)), "fe80::1 (v2, index 0)");
	CU_ASSERT_STRING_EQUAL(fr_gid_text(&g[1], text, sizeof(text)), "192.168.7.1 (v2, index 1)");
	CU_ASSERT_STRING_EQUAL(fr_gid_text(&g[2], text, sizeof(text)), "2001:db8::1 (v1, index 2)");
	CU_ASSERT_STRING_EQUAL(fr_gid_text(&g[3], text, sizeof(text)),
	                       "fe80::2 (InfiniBand, index 3)");
	g[0].type = 77; /* A stranger's. */
	CU_ASSERT_STRING_EQUAL(fr_gid_text(&g[0], text, sizeof(text)),
	                       "fe80::1 (unknown type, index 0)");
	CU_ASSERT_STRING_EQUAL(fr_gid_text(&g[0], text, 5), "fe80");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"v2 and IPv4 are chosen first", test_v2_and_ipv4_are_chosen_first},
		{"empty entries are left out", test_empty_entries_are_left_out},
		{"link-local alone remains", test_link_local_alone_remains},
		{"forced index is the only one", test_forced_index_is_the_only_one},
		{"InfiniBand goes by the table", test_infiniband_goes_by_the_table},
		{"a table longer than the list keeps the best",
	         test_a_table_longer_than_the_list_keeps_the_best},
		{"pairs of one kind alone", test_pairs_of_one_kind_alone},
		{"pairs begin with the best kind", test_pairs_begin_with_the_best_kind},
		{"two subnets pair within each", test_two_subnets_pair_within_each},
		{"IPv6-only fabric has its pairs", test_ipv6_only_fabric_has_its_pairs},
		{"link-local ends do not count", test_link_local_ends_do_not_count},
		{"pairs stop where there is no room", test_pairs_stop_where_there_is_no_room},
		{"text", test_text},
		{NULL, NULL},
	};
	return t_main("transport/verbs_gid", cases);
}

/* Which ranks are on one host, from who reached whom. */
#include "config.h"

#include <string.h>

#include "lib/comm/place.h"
#include "lib/comm/reach.h"
#include "tests/support/t_main.h"

#define N 6

/* Rows as pictures: '1' where the rank of the row reached that of the column. */
static void group(const char *const pictures[N], const char *hosts)
{
	unsigned char rows[N] = {0};
	struct fr_place places[N] = {{0}};

	for (int a = 0; a < N; a++) {
		places[a].host_id = 77;
		for (int b = 0; b < N; b++)
			if (pictures[a][b] == '1')
				rows[a] |= (unsigned char)(1 << b);
	}
	fr_reach_group(rows, N, places);
	fr_places_number(places, N);
	for (int r = 0; r < N; r++)
		CU_ASSERT_EQUAL(places[r].host, hosts[r] - '0');
}

static void test_all_reach_all(void)
{
	static const char *const rows[] = {"111111", "111111", "111111",
	                                   "111111", "111111", "111111"};
	group(rows, "000000");
}

static void test_two_hosts_in_turn(void)
{
	static const char *const rows[] = {"101010", "010101", "101010",
	                                   "010101", "101010", "010101"};
	group(rows, "010101");
}

static void test_reaching_one_way_is_not_enough(void)
{
	static const char *const rows[] = {"111111", "010000", "101111",
	                                   "101111", "101111", "101111"};
	group(rows, "010000");
}

/* 0 and 2 both reach 1, but not each other: 2 may not join them. */
static void test_a_host_is_where_all_reach_all(void)
{
	static const char *const rows[] = {"110000", "111000", "011000",
	                                   "000111", "000111", "000111"};
	group(rows, "001222");
}

static void test_nobody_reaches_anybody(void)
{
	static const char *const rows[] = {"100000", "010000", "001000",
	                                   "000100", "000010", "000001"};
	group(rows, "012345");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"all reach all", test_all_reach_all},
		{"two hosts in turn", test_two_hosts_in_turn},
		{"reaching one way is not enough", test_reaching_one_way_is_not_enough},
		{"a host is where all reach all", test_a_host_is_where_all_reach_all},
		{"nobody reaches anybody", test_nobody_reaches_anybody},
		{NULL, NULL},
	};

	return t_main("reach", cases);
}

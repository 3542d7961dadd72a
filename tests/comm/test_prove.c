/* Which pairs of ranks try whether their hosts reach each other. */
#include "config.h"

#include <string.h>

#include "lib/comm/prove.h"
#include "tests/support/t_main.h"

#define RANKS_MAX 60

static struct fr_place places[RANKS_MAX];

/* Ranks on hosts in blocks, or in turn; returns the number of hosts. */
static int lay_out(int n_ranks, int n_hosts, bool in_turn)
{
	memset(places, 0, sizeof(places));
	for (int r = 0; r < n_ranks; r++)
		places[r].host_id = 1 + (uint64_t)(in_turn ? r % n_hosts : r * n_hosts / n_ranks);
	return fr_places_number(places, n_ranks);
}

/* How many pairs try hosts g and h, seen from both sides alike. */
static int pairs_between(int n_ranks, int g, int h)
{
	int n = 0;

	for (int a = 0; a < n_ranks; a++)
		for (int b = 0; b < n_ranks; b++) {
			if (places[a].host != g || places[b].host != h)
				continue;
			CU_ASSERT_EQUAL(fr_prove_tries(places, n_ranks, a, b),
			                fr_prove_tries(places, n_ranks, b, a));
			n += fr_prove_tries(places, n_ranks, a, b);
		}
	return n;
}

static void check(int n_ranks, int n_hosts, bool in_turn)
{
	const int n = lay_out(n_ranks, n_hosts, in_turn);

	CU_ASSERT_EQUAL(n, n_hosts);
	for (int g = 0; g < n; g++)
		for (int h = 0; h < g; h++)
			CU_ASSERT_EQUAL(pairs_between(n_ranks, g, h), 1);
	for (int a = 0; a < n_ranks; a++)
		for (int b = 0; b < n_ranks; b++)
			CU_ASSERT_FALSE(places[a].host == places[b].host &&
			                fr_prove_tries(places, n_ranks, a, b));
}

static void test_one_pair_tries_two_hosts_of_many_ranks(void)
{
	static const int hosts[] = {1, 2, 3, 5, 8, 17};

	for (int i = 0; i < 6; i++) {
		check(17, hosts[i], false);
		check(40, hosts[i], false);
		check(60, hosts[i], true);
	}
}

/* No rank has much more to do than its share. */
static void test_the_work_goes_round(void)
{
	const int n_ranks = 48, n_hosts = lay_out(48, 12, false);

	for (int a = 0; a < n_ranks; a++) {
		int n = 0;

		for (int b = 0; b < n_ranks; b++)
			n += a != b && fr_prove_tries(places, n_ranks, a, b);
		CU_ASSERT(n >= 2 && n <= 3);
	}
	CU_ASSERT_EQUAL(n_hosts, 12);
}

static void test_few_ranks_try_all_pairs(void)
{
	lay_out(16, 2, false);
	for (int a = 0; a < 16; a++)
		for (int b = 0; b < 16; b++)
			CU_ASSERT(fr_prove_tries(places, 16, a, b));
}

int main(void)
{
	static const struct t_case cases[] = {
		{"one pair tries two hosts of many ranks",
	         test_one_pair_tries_two_hosts_of_many_ranks},
		{"the work goes round", test_the_work_goes_round},
		{"few ranks try all pairs", test_few_ranks_try_all_pairs},
		{NULL, NULL},
	};
	return t_main("comm/prove", cases);
}

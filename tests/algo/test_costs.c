/* test_costs.c - the cost model: sane everywhere, and right where everybody knows the answer. */
#include "config.h"

#include "collectives/algo/algo.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/t_main.h"

#define RANKS_MAX   64
#define BOARD_BYTES ((size_t)64 << 10)
#define LARGE_BYTES ((size_t)64 << 20)

static bool has_blocks(enum fr_coll coll)
{
	return coll != FR_COLL_ALLREDUCE && coll != FR_COLL_REDUCE && coll != FR_COLL_BROADCAST;
}

/* A call of float32 on `bytes` in all, on hosts of `per_host` ranks each (0: one host). */
static struct fr_coll_args call(enum fr_coll coll, int n, size_t bytes, int per_host, int *host_of)
{
	struct fr_coll_args a = {.coll = coll,
	                         .n_ranks = n,
	                         .count = bytes / 4 / (has_blocks(coll) ? (size_t)n : 1),
	                         .elem_bytes = 4,
	                         .board_count = BOARD_BYTES / 4,
	                         .n_hosts = 1};

	if (!per_host || per_host >= n)
		return a;
	for (int r = 0; r < n; r++)
		host_of[r] = r / per_host;
	a.host_of = host_of;
	a.n_hosts = (n + per_host - 1) / per_host;
	a.board_count = 0;
	return a;
}

static const char *choice(const struct fr_coll_args *a, const struct fr_machine *m)
{
	return fr_algo_choose(a, m, NULL)->name;
}

static bool is_one_of(const char *name, const char *list)
{
	const char *at = strstr(list, name);

	if (!at)
		printf("      %s, not one of: %s\n", name, list);
	return at != NULL;
}

static void test_costs_are_finite_and_grow_with_bytes(void)
{
	int host_of[RANKS_MAX];

	for (int i = 0; i < fr_n_algos; i++) {
		for (int n = 1; n <= RANKS_MAX; n++) {
			double last = 0;

			for (size_t bytes = 0; bytes <= LARGE_BYTES;
			     bytes = bytes ? 4 * bytes : 256) {
				const struct fr_coll_args a =
					call(fr_algos[i]->coll, n, bytes, n % 5, host_of);
				double s;

				if (!fr_algos[i]->applies(&a))
					continue;
				s = fr_algos[i]->cost(&a, &fr_machine_default);
				CU_ASSERT(isfinite(s) && (n == 1 || s > 0));
				/* Where pipelining or reading in place sets in, it may get cheaper.
				 */
				CU_ASSERT(s >= last / 2);
				last = s;
			}
		}
	}
}

/* Every rank must come to the same choice on its own. */
static void test_costs_do_not_depend_on_the_rank(void)
{
	for (int i = 0; i < fr_n_algos; i++) {
		struct fr_coll_args a = call(fr_algos[i]->coll, 7, 4096 * 7, 0, NULL);
		double s;

		if (!fr_algos[i]->applies(&a))
			continue;
		s = fr_algos[i]->cost(&a, &fr_machine_default);
		for (a.rank = 0; a.rank < 7; a.rank++) {
			a.in_place = a.rank % 2;
			CU_ASSERT(fr_algos[i]->applies(&a));
			CU_ASSERT_EQUAL(fr_algos[i]->cost(&a, &fr_machine_default), s);
		}
	}
}

static void test_small_calls_on_one_host_use_the_board(void)
{
	for (int coll = 0; coll < FR_COLL_P2P; coll++) {
		for (int n = 2; n <= 16; n *= 2) {
			const struct fr_coll_args a =
				call((enum fr_coll)coll, n, 8 * (size_t)n, 0, NULL);

			CU_ASSERT_STRING_EQUAL(choice(&a, &fr_machine_default), "publish");
		}
	}
}

static void test_large_allreduce_of_two_is_rsag(void)
{
	for (size_t bytes = 32 << 10; bytes <= LARGE_BYTES; bytes *= 2) {
		const struct fr_coll_args a = call(FR_COLL_ALLREDUCE, 2, bytes, 0, NULL);

		CU_ASSERT_STRING_EQUAL(choice(&a, &fr_machine_default), "rsag");
	}
}

static void test_large_calls_use_algorithms_that_send_little(void)
{
	static const char *const best[] = {
		[FR_COLL_ALLREDUCE] = "rsag ring halving",
		[FR_COLL_REDUCE] = "rsg",
		[FR_COLL_REDUCE_SCATTER] = "direct ring halving",
		[FR_COLL_ALLGATHER] = "direct ring bruck",
		[FR_COLL_BROADCAST] = "scatter_ring",
		[FR_COLL_GATHER] = "direct binomial",
		[FR_COLL_SCATTER] = "direct binomial",
		[FR_COLL_ALLTOALL] = "pairwise",
	};

	for (int coll = 0; coll < FR_COLL_BARRIER; coll++) {
		for (int n = 4; n <= RANKS_MAX; n += n < 10 ? 1 : 9) {
			const struct fr_coll_args a =
				call((enum fr_coll)coll, n, LARGE_BYTES, 0, NULL);

			CU_ASSERT(is_one_of(choice(&a, &fr_machine_default), best[coll]));
		}
	}
}

static void test_several_ranks_a_host_are_combined_there_first(void)
{
	int host_of[RANKS_MAX];

	for (int n = 16; n <= RANKS_MAX; n *= 2) {
		const struct fr_coll_args a = call(FR_COLL_ALLREDUCE, n, LARGE_BYTES, 8, host_of);

		CU_ASSERT_STRING_EQUAL(choice(&a, &fr_machine_default), "hierarchical");
	}
}

static void test_few_messages_win_between_hosts_when_small(void)
{
	int host_of[RANKS_MAX];
	struct fr_coll_args a = call(FR_COLL_ALLREDUCE, RANKS_MAX, 64, 1, host_of);

	CU_ASSERT(is_one_of(choice(&a, &fr_machine_default), "halving tree"));
	a = call(FR_COLL_BROADCAST, RANKS_MAX, 64, 1, host_of);
	CU_ASSERT_STRING_EQUAL(choice(&a, &fr_machine_default), "binomial");
	a = call(FR_COLL_ALLTOALL, RANKS_MAX, 64 * RANKS_MAX, 1, host_of);
	CU_ASSERT_STRING_EQUAL(choice(&a, &fr_machine_default), "bruck");
}

static void test_sharing_cores_costs(void)
{
	struct fr_machine few = fr_machine_default;

	few.cores = 2;
	for (int i = 0; i < fr_n_algos; i++) {
		const struct fr_coll_args a = call(fr_algos[i]->coll, 8, 8 * 4096, 0, NULL);

		if (fr_algos[i]->applies(&a))
			CU_ASSERT(fr_algos[i]->cost(&a, &few) >
			          fr_algos[i]->cost(&a, &fr_machine_default));
	}
}

/* With more ranks than cores, each round costs a hand-over: the ring has too many. */
static void test_sharing_cores_favours_few_rounds(void)
{
	const struct fr_coll_args a = call(FR_COLL_ALLREDUCE, 8, 256 << 10, 0, NULL);
	const struct fr_algo *ring = fr_algo_find(FR_COLL_ALLREDUCE, "ring");
	const struct fr_algo *rsag = fr_algo_find(FR_COLL_ALLREDUCE, "rsag");
	struct fr_machine few = fr_machine_default;

	few.cores = 2;
	CU_ASSERT(ring->cost(&a, &few) - rsag->cost(&a, &few) > 10 * few.handoff_s);
}

static void test_the_runner_up_is_second_best(void)
{
	for (int coll = 0; coll < FR_COLL_P2P; coll++) {
		const struct fr_coll_args a = call((enum fr_coll)coll, 6, 6 * 4096, 0, NULL);
		const struct fr_algo *second;
		const struct fr_algo *best = fr_algo_choose(&a, &fr_machine_default, &second);
		double best_s, second_s;

		CU_ASSERT_PTR_NOT_NULL_FATAL(second);
		CU_ASSERT_PTR_NOT_EQUAL(best, second);
		best_s = best->cost(&a, &fr_machine_default);
		second_s = second->cost(&a, &fr_machine_default);
		for (int i = 0; i < fr_n_algos; i++) {
			if (fr_algos[i]->coll != a.coll || !fr_algos[i]->applies(&a))
				continue;
			CU_ASSERT(fr_algos[i]->cost(&a, &fr_machine_default) >= best_s);
			CU_ASSERT(fr_algos[i] == best ||
			          fr_algos[i]->cost(&a, &fr_machine_default) >= second_s);
		}
	}
}

static void test_algorithms_are_found_by_name(void)
{
	for (int i = 0; i < fr_n_algos; i++) {
		CU_ASSERT_PTR_EQUAL(fr_algo_find(fr_algos[i]->coll, fr_algos[i]->name),
		                    fr_algos[i]);
		CU_ASSERT(fr_algos[i]->summary[0] != '\0');
	}
	CU_ASSERT_PTR_NULL(fr_algo_find(FR_COLL_ALLREDUCE, "no such thing"));
	CU_ASSERT_PTR_NULL(fr_algo_find(FR_COLL_BARRIER, "ring"));
	/* A call message carries the index in eight bits; 255 means none. */
	CU_ASSERT(fr_n_algos < 255);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"costs are finite and grow with bytes", test_costs_are_finite_and_grow_with_bytes},
		{"costs do not depend on the rank", test_costs_do_not_depend_on_the_rank},
		{"small calls on one host use the board",
	         test_small_calls_on_one_host_use_the_board},
		{"large allreduce of two is rsag", test_large_allreduce_of_two_is_rsag},
		{"large calls use algorithms that send little",
	         test_large_calls_use_algorithms_that_send_little},
		{"several ranks a host are combined there first",
	         test_several_ranks_a_host_are_combined_there_first},
		{"few messages win between hosts when small",
	         test_few_messages_win_between_hosts_when_small},
		{"sharing cores costs", test_sharing_cores_costs},
		{"sharing cores favours few rounds", test_sharing_cores_favours_few_rounds},
		{"the runner-up is second best", test_the_runner_up_is_second_best},
		{"algorithms are found by name", test_algorithms_are_found_by_name},
		{NULL, NULL},
	};

	return t_main("costs", cases);
}

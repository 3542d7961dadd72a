/*
 * test_registry.c - every algorithm proven by the verifier.
 *
 * Each row runs for n = 1 to RANKS_MAX ranks; up to FULL_RANKS with all counts, roots and ways to
 * lie in place, above that with some of each, taken in turn.  What was covered is printed.
 */
#include "config.h"

#include "tests/algo/t_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/t_main.h"
#include "tests/support/t_sanitizer.h"

/* The code is the same for more ranks: a sanitizer, which takes ten times as long, looks at some.
 */
#define RANKS_MAX  (T_SANITIZED ? 20 : 64)
#define FULL_RANKS 10
#define N_COUNTS   7
#define SEED       20240229u
/* Elements that all ranks hold together, or that they send to each other: keeps a run short. */
#define MOST_ELEMENTS ((size_t)500000)
#define MOST_BLOCKS   ((size_t)100000)

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static bool has_blocks(enum fr_coll coll)
{
	return coll != FR_COLL_ALLREDUCE && coll != FR_COLL_REDUCE && coll != FR_COLL_BROADCAST;
}

/* The largest count, about a thousand and odd, that exchanges of all with all can bear. */
static size_t large_count(const struct fr_algo *algo, size_t ranks)
{
	size_t most = (has_blocks(algo->coll) ? MOST_BLOCKS : MOST_ELEMENTS) / (ranks * ranks);

	/* Where every rank reads the blocks of all, there are n times more of them. */
	if (has_blocks(algo->coll) && strcmp(algo->name, "publish") == 0)
		most = 4 * most / ranks;
	return most < 1001 ? most | 1 : 1001;
}

/* Is this one of those taken at a large n?  Each k comes up every fourth n. */
static bool in_turn(int n, int k)
{
	return n <= FULL_RANKS || (n + k) % 4 == 0;
}

/* How much was verified, and whether all was right. */
struct tally {
	unsigned calls, failures;
	size_t steps;
};

static void try(struct tally *tally, const struct t_call *c, uint64_t seed)
{
	const struct fr_coll_args a = t_call_args(c, 0, NULL);
	struct fr_verify_report report;

	if (!c->algo->applies(&a) || tally->failures > 20)
		return;
	tally->calls++;
	if (!t_call_verify(c, seed, &report))
		tally->failures++;
	tally->steps += report.steps;
}

static void try_roots(struct tally *tally, struct t_call *c, uint64_t seed)
{
	const int n = c->n_ranks;
	const int roots[3] = {0, n - 1, n / 2};

	for (int i = 0; i < 3; i++) {
		if (i && (!fr_coll_has_root(c->algo->coll) || roots[i] == roots[i - 1]))
			continue;
		c->root = n > FULL_RANKS && fr_coll_has_root(c->algo->coll) ? n * 5 / 7 : roots[i];
		try(tally, c, seed + (uint64_t)i);
		if (n > FULL_RANKS)
			return;
	}
}

static void try_row(struct tally *tally, const struct fr_algo *algo, int n)
{
	const size_t ranks = (size_t)n, large = large_count(algo, ranks);
	const size_t counts[N_COUNTS] = {0, 1, 2, ranks - 1, ranks, ranks + 1, large};

	for (int k = 0; k < N_COUNTS; k++) {
		for (int in_place = T_APART; in_place <= T_MIXED; in_place++) {
			struct t_call c = {
				.algo = algo,
				.n_ranks = n,
				.count = counts[k],
				.in_place = (enum t_in_place)in_place,
				.board_count = MOST_ELEMENTS,
			};

			const bool barrier = algo->coll == FR_COLL_BARRIER;

			/* A barrier has neither counts nor buffers. */
			if (barrier ? k + in_place == 0
			            : in_turn(n, k + in_place) && counts[k] <= large)
				try_roots(tally, &c, SEED + (uint64_t)(k * 3 + in_place));
		}
	}
}

static void report(const struct fr_algo *algo, const char *what, const struct tally *tally)
{
	printf("      %s %s: %u %s, %zu steps\n", fr_coll_name(algo->coll), algo->name,
	       tally->calls, what, tally->steps);
	CU_ASSERT_EQUAL(tally->failures, 0);
	CU_ASSERT(tally->calls > 0);
}

static void verify_rows(enum fr_coll coll)
{
	for (int i = 0; i < fr_n_algos; i++) {
		struct tally tally = {0};

		if (fr_algos[i]->coll != coll || strcmp(fr_algos[i]->name, "hierarchical") == 0)
			continue;
		for (int n = 1; n <= RANKS_MAX; n++)
			try_row(&tally, fr_algos[i], n);
		report(fr_algos[i], "calls", &tally);
	}
}

static void test_allreduce(void)
{
	verify_rows(FR_COLL_ALLREDUCE);
}

static void test_reduce(void)
{
	verify_rows(FR_COLL_REDUCE);
}

static void test_reduce_scatter(void)
{
	verify_rows(FR_COLL_REDUCE_SCATTER);
}

static void test_allgather(void)
{
	verify_rows(FR_COLL_ALLGATHER);
}

static void test_broadcast(void)
{
	verify_rows(FR_COLL_BROADCAST);
}

static void test_gather_and_scatter(void)
{
	verify_rows(FR_COLL_GATHER);
	verify_rows(FR_COLL_SCATTER);
}

static void test_alltoall(void)
{
	verify_rows(FR_COLL_ALLTOALL);
}

static void test_barrier(void)
{
	verify_rows(FR_COLL_BARRIER);
}

/* Large elements, so that vectors of a few hundred are cut into pieces. */
static void test_pipelines_of_many_pieces(void)
{
	for (int i = 0; i < fr_n_algos; i++) {
		const struct fr_algo *algo = fr_algos[i];
		struct tally tally = {0};

		if (strcmp(algo->name, "tree") != 0 &&
		    (has_blocks(algo->coll) || strcmp(algo->name, "binomial") != 0))
			continue;
		for (int n = 2; n <= RANKS_MAX; n += n < FULL_RANKS ? 1 : 7) {
			struct t_call c = {.algo = algo,
			                   .n_ranks = n,
			                   .root = n / 3,
			                   .count = 331,
			                   .elem_bytes = 8192,
			                   .in_place = (enum t_in_place)(n % 3)};

			try(&tally, &c, SEED + (uint64_t)n);
		}
		report(algo, "pipelines", &tally);
	}
}

/* Ways to spread ranks over hosts, none of them even. */
static void spread(int *host_of, int n, int hosts, int way, uint64_t *random)
{
	for (int r = 0; r < n; r++) {
		if (way == 0)
			host_of[r] = r * hosts / n;
		else if (way == 1)
			host_of[r] = r % hosts;
		else
			host_of[r] = r < hosts ? r : (int)(next_random(random) % (unsigned)hosts);
	}
	/* One rank apart from its neighbours. */
	if (way == 0 && n > 2 && n > hosts + 1)
		host_of[n - 1] = 0;
}

static void test_hierarchical_on_uneven_hosts(void)
{
	const struct fr_algo *algo = fr_algo_find(FR_COLL_ALLREDUCE, "hierarchical");
	struct tally tally = {0};
	uint64_t random = SEED;

	CU_ASSERT_PTR_NOT_NULL_FATAL(algo);
	for (int n = 3; n <= RANKS_MAX; n += n < FULL_RANKS ? 1 : 5) {
		for (int hosts = 2; hosts < n; hosts += hosts < 4 ? 1 : 7) {
			for (int way = 0; way < 3; way++) {
				const size_t counts[4] = {0, 1, (size_t)n + 1, 331};
				int host_of[RANKS_MAX];
				struct t_call c = {.algo = algo,
				                   .n_ranks = n,
				                   .count = counts[(n + hosts + way) % 4],
				                   .host_of = host_of,
				                   .n_hosts = hosts,
				                   .in_place = (enum t_in_place)((n + way) % 3)};

				spread(host_of, n, hosts, way, &random);
				try(&tally, &c, random);
			}
		}
	}
	report(algo, "calls", &tally);
}

/* Blocks of 0 to 6 elements, a third of them empty; with gaps and out of order if displs. */
static void random_blocks(size_t *counts, size_t *displs, int n, uint64_t *random)
{
	size_t next = 0;

	for (int r = 0; r < n; r++)
		counts[r] = next_random(random) % 3 ? next_random(random) % 7 : 0;
	for (int i = 0; i < n; i++) {
		/* 5 has no factor in common with any n but its multiples. */
		const int r = n % 5 ? i * 5 % n : n - 1 - i;

		displs[r] = next;
		next += counts[r] + next_random(random) % 3;
	}
}

static void test_blocks_of_different_counts(void)
{
	for (int i = 0; i < fr_n_algos; i++) {
		const struct fr_algo *algo = fr_algos[i];
		struct tally tally = {0};
		uint64_t random = SEED + (uint64_t)i;

		if (!has_blocks(algo->coll) || algo->coll == FR_COLL_ALLTOALL ||
		    algo->coll == FR_COLL_BARRIER)
			continue;
		for (int n = 1; n <= RANKS_MAX; n += n < FULL_RANKS ? 1 : 3) {
			for (int way = 0; way < 6; way++) {
				size_t counts[RANKS_MAX], displs[RANKS_MAX];
				const bool apart = way % 2 && algo->coll != FR_COLL_REDUCE_SCATTER;
				struct t_call c = {
					.algo = algo,
					.n_ranks = n,
					.root = (int)(next_random(&random) % (unsigned)n),
					.counts = counts,
					.displs = apart ? displs : NULL,
					.in_place = (enum t_in_place)(way / 2),
					.board_count = MOST_ELEMENTS};

				random_blocks(counts, displs, n, &random);
				try(&tally, &c, random);
			}
		}
		report(algo, "calls with counts", &tally);
	}
}

static void test_alltoallv(void)
{
	const struct fr_algo *algo = fr_algo_find(FR_COLL_ALLTOALL, "pairwise");
	size_t *matrix = malloc(RANKS_MAX * RANKS_MAX * sizeof(*matrix));
	struct tally tally = {0};
	uint64_t random = SEED;

	CU_ASSERT_PTR_NOT_NULL_FATAL(algo);
	CU_ASSERT_PTR_NOT_NULL_FATAL(matrix);
	for (int n = 1; n <= RANKS_MAX; n += n < FULL_RANKS ? 1 : 4) {
		struct t_call c = {.algo = algo, .n_ranks = n, .matrix = matrix};
		struct fr_verify_report result;

		for (int i = 0; i < n * n; i++)
			matrix[i] = next_random(&random) % 3 ? next_random(&random) % 5 : 0;
		tally.calls++;
		tally.failures += !t_call_verify(&c, random, &result);
		tally.steps += result.steps;
	}
	free(matrix);
	report(algo, "calls with counts", &tally);
}

/* Whatever the arguments, there is something that can run them. */
static void test_something_always_applies(void)
{
	for (int coll = 0; coll < FR_COLL_P2P; coll++) {
		for (int n = 1; n <= 4096; n = 2 * n + 1) {
			const size_t displs[1] = {0};
			struct fr_coll_args a = {.coll = (enum fr_coll)coll,
			                         .n_ranks = n,
			                         .elem_bytes = 4,
			                         .n_hosts = 1};

			CU_ASSERT_PTR_NOT_NULL(fr_algo_choose(&a, &fr_machine_default, NULL));
			a.displs = displs;
			CU_ASSERT_PTR_NOT_NULL(fr_algo_choose(&a, &fr_machine_default, NULL));
		}
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"allreduce", test_allreduce},
		{"reduce", test_reduce},
		{"reduce_scatter", test_reduce_scatter},
		{"allgather", test_allgather},
		{"broadcast", test_broadcast},
		{"gather and scatter", test_gather_and_scatter},
		{"alltoall", test_alltoall},
		{"barrier", test_barrier},
		{"pipelines of many pieces", test_pipelines_of_many_pieces},
		{"hierarchical on uneven hosts", test_hierarchical_on_uneven_hosts},
		{"blocks of different counts", test_blocks_of_different_counts},
		{"alltoallv", test_alltoallv},
		{"something always applies", test_something_always_applies},
		{NULL, NULL},
	};

	printf("seed %u\n", SEED);
	return t_main("registry", cases);
}

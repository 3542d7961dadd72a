/* test_theory.c - messages and elements the busiest rank sends, against the formulas. */
#include "config.h"

#include "tests/algo/t_call.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/t_main.h"

#define RANKS_MAX 64
#define BLOCK     2 /* elements a rank: small enough not to be cut into pieces */
/* Parts are cut between cache lines; with elements that fill one the cuts are exact. */
#define EXACT 64

/* One formula: of n ranks, and S elements in the vector or in all blocks. */
typedef size_t formula(size_t n, size_t total);

static size_t log2_up(size_t n)
{
	size_t rounds = 0;

	while ((size_t)1 << rounds < n)
		rounds++;
	return rounds;
}

static size_t nothing(size_t n, size_t total)
{
	(void)n, (void)total;
	return 0;
}

static size_t one_message(size_t n, size_t total)
{
	(void)n, (void)total;
	return 1;
}

static size_t others(size_t n, size_t total)
{
	(void)total;
	return n - 1;
}

static size_t twice_others(size_t n, size_t total)
{
	(void)total;
	return 2 * (n - 1);
}

static size_t rounds(size_t n, size_t total)
{
	(void)total;
	return log2_up(n);
}

static size_t twice_rounds(size_t n, size_t total)
{
	(void)total;
	return 2 * log2_up(n);
}

static size_t whole(size_t n, size_t total)
{
	(void)n;
	return total;
}

static size_t one_block(size_t n, size_t total)
{
	return total / n;
}

static size_t whole_to_others(size_t n, size_t total)
{
	return (n - 1) * total;
}

static size_t whole_by_rounds(size_t n, size_t total)
{
	return log2_up(n) * total;
}

static size_t all_but_one(size_t n, size_t total)
{
	return (n - 1) * (total / n);
}

static size_t twice_all_but_one(size_t n, size_t total)
{
	return 2 * (n - 1) * (total / n);
}

static size_t all_but_one_and_one(size_t n, size_t total)
{
	return n * (total / n);
}

static size_t half_by_rounds(size_t n, size_t total)
{
	return log2_up(n) * (total / 2);
}

static size_t half(size_t n, size_t total)
{
	(void)n;
	return total / 2;
}

static size_t two_blocks(size_t n, size_t total)
{
	return n < 3 ? 0 : (n < 4 ? 1 : 2) * (total / n);
}

static size_t scratch_but_one(size_t n, size_t total)
{
	return n > 1 ? total / n : 0;
}

static size_t words_heard(size_t n, size_t total)
{
	(void)total;
	return ((size_t)1 << log2_up(n)) - 1;
}

static size_t words_heard_and_own(size_t n, size_t total)
{
	return words_heard(n, total) + 1;
}

static const struct expectation {
	enum fr_coll coll;
	const char *name;
	bool powers_of_two; /* where others fold, the formula is for these only */
	formula *sends, *sent, *tmp;
} expectations[] = {
	{FR_COLL_ALLREDUCE, "publish", false, nothing, nothing, nothing},
	{FR_COLL_ALLREDUCE, "rsag", false, twice_others, twice_all_but_one, nothing},
	{FR_COLL_ALLREDUCE, "direct", false, others, whole_to_others, nothing},
	{FR_COLL_ALLREDUCE, "ring", false, twice_others, twice_all_but_one, nothing},
	{FR_COLL_ALLREDUCE, "halving", true, twice_rounds, twice_all_but_one, nothing},
	{FR_COLL_REDUCE, "publish", false, nothing, nothing, nothing},
	{FR_COLL_REDUCE, "binomial", false, one_message, whole, NULL},
	{FR_COLL_REDUCE, "rsg", false, NULL, all_but_one_and_one, scratch_but_one},
	{FR_COLL_REDUCE_SCATTER, "publish", false, nothing, nothing, whole},
	{FR_COLL_REDUCE_SCATTER, "direct", false, others, all_but_one, nothing},
	{FR_COLL_REDUCE_SCATTER, "ring", false, others, all_but_one, two_blocks},
	{FR_COLL_REDUCE_SCATTER, "halving", true, rounds, all_but_one, NULL},
	{FR_COLL_ALLGATHER, "publish", false, nothing, nothing, nothing},
	{FR_COLL_ALLGATHER, "direct", false, others, all_but_one, nothing},
	{FR_COLL_ALLGATHER, "bruck", false, NULL, all_but_one, nothing},
	{FR_COLL_ALLGATHER, "ring", false, others, all_but_one, nothing},
	{FR_COLL_BROADCAST, "publish", false, nothing, nothing, nothing},
	{FR_COLL_BROADCAST, "direct", false, others, whole_to_others, nothing},
	{FR_COLL_BROADCAST, "binomial", false, rounds, whole_by_rounds, nothing},
	{FR_COLL_BROADCAST, "scatter_ring", false, NULL, NULL, nothing},
	{FR_COLL_GATHER, "publish", false, nothing, nothing, nothing},
	{FR_COLL_GATHER, "direct", false, one_message, one_block, nothing},
	{FR_COLL_GATHER, "binomial", true, one_message, half, NULL},
	{FR_COLL_SCATTER, "publish", false, nothing, nothing, nothing},
	{FR_COLL_SCATTER, "direct", false, others, all_but_one, nothing},
	{FR_COLL_SCATTER, "binomial", false, NULL, all_but_one, NULL},
	{FR_COLL_ALLTOALL, "publish", false, nothing, nothing, nothing},
	{FR_COLL_ALLTOALL, "pairwise", false, others, all_but_one, nothing},
	{FR_COLL_ALLTOALL, "bruck", true, rounds, half_by_rounds, whole_by_rounds},
	{FR_COLL_BARRIER, "publish", false, nothing, nothing, nothing},
	{FR_COLL_BARRIER, "dissemination", false, rounds, words_heard, words_heard_and_own},
};

static void compare(const struct expectation *e, const char *what, formula *f, size_t n,
                    size_t total, size_t got)
{
	if (!f || f(n, total) == got)
		return;
	printf("      %s %s, n = %zu, S = %zu: %s %zu, not %zu\n", fr_coll_name(e->coll), e->name,
	       n, total, what, got, f(n, total));
	CU_FAIL("not as in theory");
}

static void check(const struct expectation *e, int n)
{
	const size_t ranks = (size_t)n, total = BLOCK * ranks;
	const bool vector = e->coll == FR_COLL_ALLREDUCE || e->coll == FR_COLL_REDUCE ||
	                    e->coll == FR_COLL_BROADCAST;
	const struct t_call call = {.algo = fr_algo_find(e->coll, e->name),
	                            .n_ranks = n,
	                            .count = vector ? total : BLOCK,
	                            .elem_bytes = EXACT,
	                            .board_count = total};
	struct fr_verify_report report;
	struct t_call_run run;
	struct fr_verify_job job;

	CU_ASSERT_PTR_NOT_NULL_FATAL(call.algo);
	CU_ASSERT_EQUAL_FATAL(t_call_emit(&call, &run), FERRULE_OK);
	job = t_call_job(&run, false, 1);
	fr_verify_count(&job, &report);
	t_call_free(&run);
	compare(e, "messages", e->sends, ranks, total, report.most_sends);
	compare(e, "elements", e->sent, ranks, total, report.most_sent);
	compare(e, "scratch", e->tmp, ranks, total, report.most_tmp);
}

static void test_messages_and_bytes_are_as_in_theory(void)
{
	for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
		const struct expectation *e = &expectations[i];

		for (int n = 2; n <= RANKS_MAX; n = e->powers_of_two ? 2 * n : n + 1)
			check(e, n);
	}
}

/* Between two ranks, an exchange of halves: the shape that shared memory runs in one pass. */
static void test_rsag_of_two_is_two_sends_a_combination_and_a_receive(void)
{
	const enum fr_step_kind kinds[] = {FR_STEP_SEND, FR_STEP_RECV_REDUCE, FR_STEP_SEND,
	                                   FR_STEP_RECV};
	const struct t_call call = {
		.algo = fr_algo_find(FR_COLL_ALLREDUCE, "rsag"), .n_ranks = 2, .count = 1000};
	struct t_call_run run;

	CU_ASSERT_EQUAL_FATAL(t_call_emit(&call, &run), FERRULE_OK);
	for (int r = 0; r < 2; r++) {
		const struct fr_sched *s = &run.scheds[r];

		CU_ASSERT_EQUAL_FATAL(s->n_steps, 4);
		for (uint32_t i = 0; i < 4; i++)
			CU_ASSERT_EQUAL(s->steps[i].kind, kinds[i]);
		CU_ASSERT_EQUAL(s->steps[1].dst.space, FR_RECV);
		CU_ASSERT_EQUAL(s->steps[1].src.space, FR_SEND);
		CU_ASSERT_EQUAL(s->tmp_count, 0);
	}
	t_call_free(&run);
}

/* No rank of the two trees sends more than the vector up and the vector down. */
static void test_trees_send_at_most_two_vectors(void)
{
	for (int n = 2; n <= RANKS_MAX; n++) {
		const struct t_call call = {.algo = fr_algo_find(FR_COLL_ALLREDUCE, "tree"),
		                            .n_ranks = n,
		                            .count = 600,
		                            .elem_bytes = EXACT};
		struct fr_verify_report report;
		struct t_call_run run;
		struct fr_verify_job job;

		CU_ASSERT_EQUAL_FATAL(t_call_emit(&call, &run), FERRULE_OK);
		job = t_call_job(&run, false, 1);
		fr_verify_count(&job, &report);
		/* One rank of an odd number has children in both trees. */
		CU_ASSERT(report.most_sent <= (n % 2 ? 3 : 2) * 600);
		CU_ASSERT(report.most_sends <= 6);
		CU_ASSERT_EQUAL(report.total_sent, 2 * (size_t)(n - 1) * 600);
		t_call_free(&run);
	}
}

/* Only 2(h-1)/h of the vector leaves a host, however many ranks it has. */
static void test_hierarchical_sends_little_between_hosts(void)
{
	enum { HOSTS = 4, LOCAL = 6, COUNT = 960 };
	int host_of[HOSTS * LOCAL];
	const struct t_call call = {.algo = fr_algo_find(FR_COLL_ALLREDUCE, "hierarchical"),
	                            .n_ranks = HOSTS * LOCAL,
	                            .count = COUNT,
	                            .elem_bytes = EXACT,
	                            .host_of = host_of,
	                            .n_hosts = HOSTS};
	struct t_call_run run;
	size_t leaving = 0;

	for (int r = 0; r < HOSTS * LOCAL; r++)
		host_of[r] = r % HOSTS;
	CU_ASSERT_EQUAL_FATAL(t_call_emit(&call, &run), FERRULE_OK);
	for (int r = 0; r < HOSTS * LOCAL; r += HOSTS) {
		const struct fr_sched *s = &run.scheds[r];

		for (uint32_t i = 0; i < s->n_steps; i++) {
			if (s->steps[i].kind == FR_STEP_SEND && s->steps[i].peer % HOSTS != 0)
				leaving += s->steps[i].src.count;
		}
	}
	CU_ASSERT_EQUAL(leaving, 2 * (HOSTS - 1) * COUNT / HOSTS);
	t_call_free(&run);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"messages and bytes are as in theory", test_messages_and_bytes_are_as_in_theory},
		{"rsag of two is two sends, a combination and a receive",
	         test_rsag_of_two_is_two_sends_a_combination_and_a_receive},
		{"trees send at most two vectors", test_trees_send_at_most_two_vectors},
		{"hierarchical sends little between hosts",
	         test_hierarchical_sends_little_between_hosts},
		{NULL, NULL},
	};

	return t_main("theory", cases);
}

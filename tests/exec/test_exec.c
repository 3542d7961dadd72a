/* The executor on real transports: every algorithm, several runs at once, and every fault. */
#include "config.h"

#include <CUnit/CUnit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/transport/transport_list.h"
#include "tests/exec/t_exec.h"
#include "tests/support/simnet.h"
#include "tests/support/t_main.h"

static const struct t_subject shm = {.ops = &fr_transport_shm};
static const struct t_subject tcp = {.ops = &fr_transport_tcp};

/* ---- a network that reorders, splits and delays, from a seed ---- */

static uint64_t seed_of(int mood)
{
	const char *seed = getenv("T_SEED");

	return (seed ? strtoull(seed, NULL, 10) : 1) + (uint64_t)mood;
}

/* Payloads stay in the sender's memory for long. */
static void *create_lending(int n_ranks)
{
	return t_simnet_create(n_ranks, seed_of(0),
	                       (struct t_simnet_faults){.piece_max = 3001,
	                                                .delay_max = 20,
	                                                .stall_percent = 20,
	                                                .has_windows = true,
	                                                .is_lent = true,
	                                                .has_board = true});
}

/* Memory is rubbish as soon as it is posted, and windows are hardly ever free. */
static void *create_rude(int n_ranks)
{
	return t_simnet_create(n_ranks, seed_of(1),
	                       (struct t_simnet_faults){.piece_max = 9000,
	                                                .capacity = 10000,
	                                                .stall_percent = 50,
	                                                .has_windows = true,
	                                                .is_rude = true});
}

static void destroy_net(void *net)
{
	t_simnet_destroy(net);
}

static struct fr_transport *net_rank(void *net, int rank)
{
	return t_simnet_rank(net, rank);
}

static void net_kill(void *net, int rank)
{
	t_simnet_kill(net, rank);
}

static const struct t_subject lending = {.ops = &t_simnet_ops,
                                         .net_create = create_lending,
                                         .net_destroy = destroy_net,
                                         .net_rank = net_rank,
                                         .net_kill = net_kill};
static const struct t_subject rude = {.ops = &t_simnet_ops,
                                      .net_create = create_rude,
                                      .net_destroy = destroy_net,
                                      .net_rank = net_rank,
                                      .net_kill = net_kill};

/* Sizes around every change of path: empty, in a line, in a slot, in pieces, over the ring. */
static const size_t counts[] = {0, 1, 3, 14, 15, 300, 4096, 5000, 70001, 700001};
#define N_COUNTS ((int)(sizeof(counts) / sizeof(counts[0])))

static size_t largest(const struct t_rank *r, const struct fr_algo *algo)
{
	/* Blocks multiply by the ranks; direct algorithms need scratch for all of them. */
	const bool wide = algo->coll == FR_COLL_ALLTOALL || strcmp(algo->name, "direct") == 0;

	/* The simulated network moves a few thousand bytes a call. */
	if (r->subject->net_create)
		return 5000;
	return wide || r->n_ranks > 4 ? 70001 : 700001;
}

static int run_job(struct t_exec *e, const struct t_job *job)
{
	struct t_coll c;

	if (!t_coll_create(e, job, &c))
		return 0;
	/* Twice: the second run meets used rings, slots and scratch. */
	const bool ok = t_coll_run(e, &c) && t_coll_run(e, &c);

	t_coll_destroy(e, &c);
	if (!ok)
		fprintf(stderr, "algorithm %s\n", job->algo->name);
	return ok ? 0 : 1;
}

static int every_algorithm(struct t_rank *r)
{
	struct t_exec e;

	T_CHECK(t_exec_open(&e, r, 20));
	for (int a = 0; a < fr_n_algos; a++)
		for (int i = 0; i < N_COUNTS && counts[i] <= largest(r, fr_algos[a]); i++)
			for (int variant = 0; variant < 4; variant++) {
				const struct t_job job = {.algo = fr_algos[a],
				                          .count = counts[i],
				                          .root = (i + a) % r->n_ranks,
				                          .in_place = variant & 1,
				                          .shared = variant & 2};

				if (job.in_place && job.algo->coll == FR_COLL_ALLTOALL)
					continue;
				if (run_job(&e, &job))
					return 1;
			}
	t_exec_close(&e);
	return t_rank_barrier(r) ? 0 : 1;
}

static void test_every_algorithm_on_shared_memory(void)
{
	CU_ASSERT_EQUAL(t_world_run(&shm, 2, 60, every_algorithm, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&shm, 3, 60, every_algorithm, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&shm, 5, 90, every_algorithm, NULL), 0);
}

static void test_every_algorithm_on_tcp(void)
{
	CU_ASSERT_EQUAL(t_world_run(&tcp, 2, 60, every_algorithm, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&tcp, 4, 90, every_algorithm, NULL), 0);
}

static void test_every_algorithm_on_a_bad_network(void)
{
	CU_ASSERT_EQUAL(t_world_run(&lending, 2, 60, every_algorithm, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&lending, 4, 60, every_algorithm, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&rude, 3, 60, every_algorithm, NULL), 0);
}

#define N_FLIGHT 12

/* Many runs at once, of all sizes, tested from the last to the first. */
static int many_in_flight(struct t_rank *r)
{
	static const char *const names[] = {"ring", "publish", "rsag"};
	struct fr_run *runs[N_FLIGHT];
	struct t_coll colls[N_FLIGHT];
	struct t_exec e;

	T_CHECK(t_exec_open(&e, r, 20));
	for (int i = 0; i < N_FLIGHT; i++) {
		struct t_job job = {.algo = fr_algo_find(FR_COLL_ALLREDUCE, names[i % 3]),
		                    .count = counts[1 + i % 8]};

		if (!t_coll_create(&e, &job, &colls[i])) {
			job.algo = fr_algo_find(FR_COLL_ALLREDUCE, "ring");
			T_CHECK(t_coll_create(&e, &job, &colls[i]));
		}
		t_coll_fill(&e, &colls[i]);
	}
	for (int i = 0; i < N_FLIGHT; i++) {
		fr_call_number(&colls[i].call, ++e.sequence);
		T_CHECK(fr_exec_start(e.exec, colls[i].plan, colls[i].send, colls[i].recv, 1.0,
		                      &colls[i].call, &runs[i]) == FERRULE_OK);
	}
	for (int i = N_FLIGHT - 1; i >= 0; i--) {
		T_CHECK(fr_run_wait(runs[i]) == FERRULE_OK);
		T_CHECK(t_coll_wrong(&e, &colls[i]) == 0);
		fr_run_release(runs[i]);
		t_coll_destroy(&e, &colls[i]);
	}
	t_exec_close(&e);
	return t_rank_barrier(r) ? 0 : 1;
}

static void test_many_runs_in_flight(void)
{
	CU_ASSERT_EQUAL(t_world_run(&shm, 3, 30, many_in_flight, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&tcp, 3, 30, many_in_flight, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&lending, 3, 30, many_in_flight, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&rude, 4, 30, many_in_flight, NULL), 0);
}

/* ---- faults ---- */

static bool mentions_also(struct t_exec *e, const char *what)
{
	const char *text;

	fr_exec_fault(e->exec, &text);
	return strstr(text, what) != NULL;
}

static bool mentions(struct t_exec *e, const char *what)
{
	const char *text;

	fr_exec_fault(e->exec, &text);
	if (mentions_also(e, what))
		return true;
	fprintf(stderr, "rank %d: \"%s\" does not mention \"%s\"\n", e->rank->rank, text, what);
	return false;
}

static ferrule_status_t run_once(struct t_exec *e, const char *algo, size_t count)
{
	const struct t_job job = {.algo = fr_algo_find(FR_COLL_ALLREDUCE, algo), .count = count};
	ferrule_status_t status;
	struct t_coll c;

	if (!t_coll_create(e, &job, &c))
		return FERRULE_ERR_UNSUPPORTED;
	t_coll_fill(e, &c);
	fr_call_number(&c.call, ++e->sequence);
	status = fr_exec_run(e->exec, c.plan, c.send, c.recv, 1.0, &c.call);
	t_coll_destroy(e, &c);
	return status;
}

/* Rank 1 asks for one element more than the others. */
static int counts_differ(struct t_rank *r, const char *algo, size_t count)
{
	struct t_exec e;
	ferrule_status_t status;

	T_CHECK(t_exec_open(&e, r, 10));
	status = run_once(&e, algo, count + (r->rank == 1));
	T_CHECK(status == FERRULE_ERR_MISMATCH || status == FERRULE_ERR_ABORTED);
	T_CHECK(mentions(&e, "rank 1 called allreduce"));
	/* The executor stays in fault. */
	T_CHECK(run_once(&e, algo, count) == status);
	t_exec_close(&e);
	return t_rank_barrier(r) ? 0 : 1;
}

static int counts_differ_small(struct t_rank *r)
{
	return counts_differ(r, "publish", 10);
}

static int counts_differ_class(struct t_rank *r)
{
	return counts_differ(r, "publish", 14);
}

static int counts_differ_large(struct t_rank *r)
{
	return counts_differ(r, "ring", 70000);
}

static void test_ranks_that_disagree_are_told(void)
{
	CU_ASSERT_EQUAL(t_world_run(&shm, 2, 20, counts_differ_small, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&shm, 3, 20, counts_differ_class, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&shm, 3, 20, counts_differ_large, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&tcp, 3, 20, counts_differ_large, NULL), 0);
}

static int die_or_survive(struct t_rank *r, const char *algo, size_t count)
{
	struct t_exec e;
	ferrule_status_t status;
	uint64_t start;

	T_CHECK(t_exec_open(&e, r, 20));
	T_CHECK(run_once(&e, algo, count) == FERRULE_OK);
	/* Nobody dies while another is still in the first one. */
	T_CHECK(t_rank_barrier(r));
	if (r->rank == 1)
		t_rank_die(r);
	start = fr_clock_ns();
	status = run_once(&e, algo, count);
	T_CHECK(status == FERRULE_ERR_PEER_DIED || status == FERRULE_ERR_ABORTED);
	T_CHECK(mentions(&e, "rank 1"));
	T_CHECK(fr_clock_ns() - start < 2000000000u);
	t_exec_close(&e);
	return 0;
}

static int die_small(struct t_rank *r)
{
	return die_or_survive(r, r->subject == &shm ? "publish" : "ring", 8);
}

static int die_large(struct t_rank *r)
{
	return die_or_survive(r, "ring", 700000);
}

static void test_a_killed_rank_is_named_by_all(void)
{
	static const int expected[4] = {0, 128 + SIGKILL, 0, 0};

	CU_ASSERT_EQUAL(t_world_run(&shm, 4, 20, die_small, expected), 0);
	CU_ASSERT_EQUAL(t_world_run(&shm, 4, 20, die_large, expected), 0);
	CU_ASSERT_EQUAL(t_world_run(&tcp, 4, 20, die_small, expected), 0);
	CU_ASSERT_EQUAL(t_world_run(&tcp, 4, 20, die_large, expected), 0);
}

/* Rank 1 does not come; its clean leaving afterwards must not hide the timeout.  All others name
 * it, and it alone, however many ranks lie between. */
static int one_is_late(struct t_rank *r, const char *algo, size_t count)
{
	struct t_exec e;
	ferrule_status_t status;

	T_CHECK(t_exec_open(&e, r, 2));
	if (r->rank != 1) {
		status = run_once(&e, algo, count);
		T_CHECK(status == FERRULE_ERR_TIMEOUT || status == FERRULE_ERR_ABORTED);
		T_CHECK(mentions(&e, "without progress, for rank 1, which "));
		T_CHECK(!mentions_also(&e, " and rank "));
	}
	T_CHECK(t_rank_barrier(r));
	t_exec_close(&e);
	return 0;
}

static int late_in_a_ring(struct t_rank *r)
{
	return one_is_late(r, "ring", 1000);
}

static int late_in_a_large_ring(struct t_rank *r)
{
	return one_is_late(r, "ring", 700000);
}

static int late_in_a_tree(struct t_rank *r)
{
	return one_is_late(r, "tree", 1000);
}

static int late_at_halving(struct t_rank *r)
{
	return one_is_late(r, "halving", 1000);
}

static int late_on_the_board(struct t_rank *r)
{
	return one_is_late(r, "publish", 8);
}

static void test_a_rank_that_does_not_come_is_named(void)
{
	CU_ASSERT_EQUAL(t_world_run(&shm, 2, 20, late_on_the_board, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&shm, 6, 20, late_in_a_ring, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&shm, 6, 20, late_in_a_large_ring, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&shm, 6, 20, late_in_a_tree, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&tcp, 2, 20, late_in_a_ring, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&tcp, 6, 20, late_in_a_large_ring, NULL), 0);
	CU_ASSERT_EQUAL(t_world_run(&tcp, 6, 20, late_at_halving, NULL), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"every algorithm on shared memory", test_every_algorithm_on_shared_memory},
		{"every algorithm on tcp", test_every_algorithm_on_tcp},
		{"every algorithm on a bad network", test_every_algorithm_on_a_bad_network},
		{"many runs in flight", test_many_runs_in_flight},
		{"ranks that disagree are told", test_ranks_that_disagree_are_told},
		{"a killed rank is named by all", test_a_killed_rank_is_named_by_all},
		{"a rank that does not come is named", test_a_rank_that_does_not_come_is_named},
		{NULL, NULL},
	};

	return t_main("exec", cases);
}

/*
 * One rank dies, or has a system call fail, at every call that it makes while a communicator is
 * set up.  The others must notice at once and name it, and nobody may hang.
 *
 * T_TRANSPORT names the transport (shm and tcp by default), T_RANKS how many there are.
 */
#include "config.h"

#include <ferrule/ferrule.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "tests/support/t_faults.h"
#include "tests/support/t_main.h"
#include "tests/support/t_sanitizer.h"
#include "tests/support/t_spawn.h"

#define RANKS_MAX 8
/* Far beyond what a failure takes to be noticed, on a busy machine too; far before the set-up's
 * own deadline, so that one does not pass for the other. */
#define NOTICED_S 2.0
#define SETUP_S   "5"
/* A fault in one of the first calls comes before anybody can know of the rank: those left wait for
 * it to the end of the set-up, which is shorter then. */
#define EARLY_CALLS   36
#define EARLY_SETUP_S "0.8"
#define EARLY_STRIDE  5
#define N_TAKEN       4096

/* What a run of all ranks leaves behind. */
struct run {
	int n_ranks, culprit, what;
	unsigned long at;
	bool is_child; /* what is set up is a part of a communicator that stands */
	const char *transport, *setup_s;
	struct t_faults faults;
	struct {
		int status; /* of creation, or of the allreduce after it; 1: none yet */
		uint64_t ended_ns;
		char text[700];
	} of[RANKS_MAX];
};

/* Seconds from a death to each survivor's error, of all runs. */
static double taken[N_TAKEN];
static int n_taken;

static ferrule_status_t set_up_and_sum(struct run *run, int rank, const char **text)
{
	ferrule_comm_t parent = NULL, comm = NULL;
	float one = 1, sum = 0;
	ferrule_status_t status = FERRULE_OK;

	if (run->is_child)
		status = ferrule_comm_create_from_env(NULL, &parent);
	if (rank == run->culprit)
		t_faults_arm(&run->faults, run->at, run->what);
	if (status == FERRULE_OK)
		status = run->is_child ? ferrule_comm_split(parent, 0, 0, &comm)
		                       : ferrule_comm_create_from_env(NULL, &comm);
	t_faults_disarm();
	*text = fr_error_text();
	if (status != FERRULE_OK) {
		run->of[rank].ended_ns = fr_clock_ns();
		snprintf(run->of[rank].text, sizeof(run->of[rank].text), "%s", *text);
		*text = run->of[rank].text;
		ferrule_comm_destroy(parent);
		return status;
	}
	status = ferrule_allreduce(comm, &one, &sum, 1, FERRULE_FLOAT32, FERRULE_SUM);
	if (status == FERRULE_OK && sum != (float)run->n_ranks)
		status = FERRULE_ERR_INTERNAL;
	if (status == FERRULE_OK)
		status = ferrule_comm_finalize(comm);
	if (status != FERRULE_OK) {
		snprintf(run->of[rank].text, sizeof(run->of[rank].text), "%s",
		         ferrule_comm_error_text(comm));
		*text = run->of[rank].text;
	}
	run->of[rank].ended_ns = fr_clock_ns();
	ferrule_comm_destroy(comm);
	ferrule_comm_destroy(parent);
	return status;
}

static int rank_of_run(int rank, int n_ranks, void *arg)
{
	struct run *run = arg;
	const char *text;

	(void)n_ranks;
	setenv("FERRULE_TRANSPORT", run->transport, 1);
	setenv("FERRULE_SETUP_TIMEOUT", run->setup_s, 1);
	setenv("FERRULE_TIMEOUT", SETUP_S, 1);
	const ferrule_status_t status = set_up_and_sum(run, rank, &text);
	if (run->of[rank].ended_ns == 0)
		run->of[rank].ended_ns = fr_clock_ns();
	if (text != run->of[rank].text)
		snprintf(run->of[rank].text, sizeof(run->of[rank].text), "%s", text);
	run->of[rank].status = status;
	return 0;
}

static void start(struct run *run)
{
	for (int r = 0; r < run->n_ranks; r++) {
		run->of[r].status = 1;
		run->of[r].ended_ns = 0;
		run->of[r].text[0] = '\0';
	}
	atomic_store(&run->faults.n_calls, 0);
	atomic_store(&run->faults.hit_ns, 0);
	run->faults.call[0] = '\0';
	t_spawn(run->n_ranks, 30, rank_of_run, run, NULL);
}

static void describe(const struct run *run, const char *what)
{
	printf("      %s, %d ranks: %s at call %lu (%s) of rank %d: %s\n", run->transport,
	       run->n_ranks, run->what == T_FAULT_KILL ? "killed" : strerror(run->what), run->at,
	       run->faults.call, run->culprit, what);
	for (int r = 0; r < run->n_ranks; r++)
		printf("        rank %d: %d after %.3f s: %s\n", r, run->of[r].status,
		       ((double)run->of[r].ended_ns - (double)run->faults.hit_ns) * 1e-9,
		       run->of[r].text);
}

/* Does the text name the culprit as a rank? */
static bool names(const struct run *run, int rank)
{
	char name[16];
	const char *at = run->of[rank].text;

	snprintf(name, sizeof(name), "rank %d", run->culprit);
	while ((at = strstr(at, name)) != NULL) {
		at += strlen(name);
		if (*at < '0' || *at > '9')
			return true;
	}
	return false;
}

/* Moving bytes for the parent, whose peer then seems to be at fault as much as this rank. */
static bool is_parents_call(const struct run *run)
{
	return run->is_child && run->what != T_FAULT_KILL &&
	       (strcmp(run->faults.call, "recv") == 0 || strcmp(run->faults.call, "send") == 0);
}

/* What is wrong with how a run ended; NULL: nothing. */
static const char *judge(const struct run *run)
{
	int n_failed = 0;

	for (int r = 0; r < run->n_ranks; r++) {
		if (run->what == T_FAULT_KILL && r == run->culprit)
			continue;
		if (run->of[r].status == 1)
			return "a rank did not end";
		n_failed += run->of[r].status != FERRULE_OK;
		if (run->of[r].status == FERRULE_OK)
			continue;
		if (!is_parents_call(run) && !names(run, r))
			return "a text does not name the rank";
		if (run->at <= EARLY_CALLS && !run->is_child &&
		    run->of[r].status == FERRULE_ERR_TIMEOUT)
			continue;
		if ((double)run->of[r].ended_ns - (double)run->faults.hit_ns > NOTICED_S * 1e9)
			return "noticed late";
	}
	if (run->what == T_FAULT_KILL && n_failed != run->n_ranks - 1)
		return "a survivor went on";
	if (n_failed != 0 && n_failed < run->n_ranks - 1)
		return "some ranks failed, others did not";
	return NULL;
}

static void note_times(const struct run *run)
{
	for (int r = 0; r < run->n_ranks; r++)
		if (r != run->culprit && run->of[r].status < 0 &&
		    run->of[r].status != FERRULE_ERR_TIMEOUT && n_taken < N_TAKEN)
			taken[n_taken++] =
				((double)run->of[r].ended_ns - (double)run->faults.hit_ns) * 1e-9;
}

/* How many calls the culprit makes when nothing happens, and at which of them rank 0 knows it. */
static unsigned long count_calls(struct run *run)
{
	run->at = 0;
	run->setup_s = SETUP_S;
	start(run);
	CU_ASSERT_EQUAL(run->of[0].status, FERRULE_OK);
	if (run->of[0].status != FERRULE_OK)
		describe(run, "nothing was to happen here");
	return atomic_load(&run->faults.n_calls);
}

/* Tries every `stride`-th call from `from`. */
static void sweep(struct run *run, unsigned long from, unsigned long stride)
{
	const unsigned long n = count_calls(run);
	const unsigned long early = run->is_child ? 0 : EARLY_CALLS;

	for (unsigned long at = from; at <= n; at += at <= early ? EARLY_STRIDE : stride) {
		run->at = at;
		run->setup_s = at <= early ? EARLY_SETUP_S : SETUP_S;
		start(run);
		/* Which calls are made depends on who comes first, so the last few may not be. */
		if (atomic_load(&run->faults.hit_ns) == 0)
			continue;
		const char *wrong = judge(run);
		CU_ASSERT_PTR_NULL(wrong);
		if (wrong)
			describe(run, wrong);
		note_times(run);
	}
}

static struct run *new_run(const char *transport, int n_ranks, int culprit, int what)
{
	struct run *run =
		mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (run == MAP_FAILED)
		return NULL;
	run->transport = transport;
	run->n_ranks = n_ranks;
	run->culprit = culprit;
	run->what = what;
	return run;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report_times(const char *what)
{
	if (n_taken == 0)
		return;
	qsort(taken, (size_t)n_taken, sizeof(*taken), compare);
	printf("      %s: %d errors, %.1f ms after the fault at the median, %.1f ms at the 99th "
	       "percentile, %.1f ms at most\n",
	       what, n_taken, taken[n_taken / 2] * 1e3, taken[n_taken * 99 / 100] * 1e3,
	       taken[n_taken - 1] * 1e3);
	n_taken = 0;
}

static void sweep_transports(int n_ranks, int culprit, int what, unsigned long from,
                             unsigned long stride)
{
	static const char *const both[] = {"shm", "tcp"};
	const char *only = getenv("T_TRANSPORT"), *more = getenv("T_RANKS");

	if (more && atoi(more) > n_ranks && atoi(more) <= RANKS_MAX)
		n_ranks = atoi(more);
	for (int i = 0; i < (only ? 1 : 2); i++) {
		struct run *run = new_run(only ? only : both[i], n_ranks, culprit, what);

		CU_ASSERT_PTR_NOT_NULL_FATAL(run);
		sweep(run, from, stride);
		report_times(run->transport);
		munmap(run, sizeof(*run));
	}
}

/* Of a child, whose parent is all that can tell. */
static void sweep_split(const char *transport, int culprit, int what)
{
	struct run *run = new_run(transport, 3, culprit, what);

	CU_ASSERT_PTR_NOT_NULL_FATAL(run);
	run->is_child = true;
	sweep(run, 1, 1);
	report_times(transport);
	munmap(run, sizeof(*run));
}

static void test_a_rank_that_is_killed_in_split(void)
{
	sweep_split("shm", 1, T_FAULT_KILL);
	sweep_split("tcp", 1, T_FAULT_KILL);
}

static void test_a_rank_without_descriptors_in_split(void)
{
	sweep_split("shm", 2, EMFILE);
	sweep_split("tcp", 1, EMFILE);
}

static void test_a_rank_that_is_killed(void)
{
	sweep_transports(3, 1, T_FAULT_KILL, 1, 1);
}

static void test_rank_0_is_killed(void)
{
	sweep_transports(3, 0, T_FAULT_KILL, 1, 1);
}

static void test_no_descriptors(void)
{
	sweep_transports(3, 2, EMFILE, 1, 1);
}

static void test_no_descriptors_on_rank_0(void)
{
	sweep_transports(3, 0, EMFILE, 1, 1);
}

static void test_no_memory(void)
{
	sweep_transports(3, 1, ENOMEM, 1, 1);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a rank is killed at every call of set-up", test_a_rank_that_is_killed},
		{"rank 0 is killed at every call of set-up", test_rank_0_is_killed},
		{"descriptors run out at every call of set-up", test_no_descriptors},
		{"and on rank 0", test_no_descriptors_on_rank_0},
		{"a rank is killed at every call of a split", test_a_rank_that_is_killed_in_split},
		{"descriptors run out at every call of a split",
	         test_a_rank_without_descriptors_in_split},
		{"memory runs out at every call of set-up", test_no_memory},
		{NULL, NULL},
	};
	return t_main("setup_faults", cases);
}

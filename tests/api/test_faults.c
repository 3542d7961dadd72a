/*
 * What ranks learn when another one calls something else, dies, stops, leaves or aborts: the
 * right status, soon, with names.
 */
#include "config.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/api/t_job.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

static const char *const transports[] = {"shm", "tcp"};

/* ---- ranks that disagree ---- */

enum disagreement {
	OTHER_COUNT,
	OTHER_TYPE,
	OTHER_OP,
	OTHER_ROOT,
	OTHER_COLLECTIVE,
	N_DISAGREEMENTS
};

static ferrule_status_t disagree(struct t_job_rank *r, enum disagreement what, size_t count)
{
	const int odd = r->rank == 1;
	static float x[20000], y[20000];

	switch (what) {
	case OTHER_COUNT:
		return ferrule_allreduce(r->comm, x, y, count + (size_t)odd, FERRULE_FLOAT32,
		                         FERRULE_SUM);
	case OTHER_TYPE:
		return ferrule_allreduce(r->comm, x, y, count,
		                         odd ? FERRULE_INT32 : FERRULE_FLOAT32, FERRULE_SUM);
	case OTHER_OP:
		return ferrule_allreduce(r->comm, x, y, count, FERRULE_FLOAT32,
		                         odd ? FERRULE_MAX : FERRULE_SUM);
	case OTHER_ROOT:
		return ferrule_broadcast(r->comm, x, y, count, FERRULE_FLOAT32, odd);
	default:
		return odd ? ferrule_allgather(r->comm, x, y, count / 4, FERRULE_FLOAT32)
		           : ferrule_allreduce(r->comm, x, y, count, FERRULE_FLOAT32, FERRULE_SUM);
	}
}

static void check_disagreement(struct t_job_rank *r, enum disagreement what, size_t count)
{
	const double begin = t_now();
	ferrule_status_t status;

	t_ok(r, ferrule_barrier(r->comm));
	/* Two roots that only send wait for nobody: who is first may learn it a call later. */
	status = disagree(r, what, count);
	if (status == FERRULE_OK && what == OTHER_ROOT)
		status = ferrule_barrier(r->comm);
	t_check(r, status == FERRULE_ERR_MISMATCH || status == FERRULE_ERR_ABORTED);
	t_check(r, t_now() - begin < 2);
	t_says(r, "ranks disagree");
	t_says(r, "rank 0 called");
	t_says(r, "rank 1 called");
	t_says(r, what == OTHER_ROOT ? "broadcast" : "allreduce");
	/* It stays that way. */
	t_check(r, ferrule_barrier(r->comm) == status);
	t_check(r, ferrule_comm_status(r->comm) == status);
	t_says(r, "ranks disagree");
}

struct mismatch {
	enum disagreement what;
	size_t count;
};

static void mismatch(struct t_job_rank *r)
{
	const struct mismatch *m = r->arg;

	check_disagreement(r, m->what, m->count);
}

static void test_ranks_that_disagree(void)
{
	static const size_t counts[] = {4, 1000, 16000};

	for (int t = 0; t < 2; t++)
		for (int what = 0; what < N_DISAGREEMENTS; what++)
			for (int i = 0; i < 3; i++) {
				struct mismatch m = {(enum disagreement)what, counts[i]};

				if (t_job_broken(2, transports[t], NULL, 20, mismatch, &m) != 0)
					printf("      disagreement %d, %zu elements, %s\n", what,
					       counts[i], transports[t]);
			}
}

static void message_mismatch(struct t_job_rank *r)
{
	float x[10] = {0};
	ferrule_status_t status;

	if (r->rank == 0) {
		t_ok(r, ferrule_send(r->comm, x, 10, FERRULE_FLOAT32, 1));
		status = ferrule_recv(r->comm, x, 1, FERRULE_FLOAT32, 1);
		t_check(r, status == FERRULE_ERR_ABORTED || status == FERRULE_ERR_MISMATCH);
	} else {
		t_fails(r, ferrule_recv(r->comm, x, 9, FERRULE_FLOAT32, 0), FERRULE_ERR_MISMATCH);
	}
	t_says(r, "9 float");
	t_says(r, "10 float");
}

static void test_messages_that_disagree(void)
{
	t_job_broken(2, "shm", NULL, 20, message_mismatch, NULL);
	t_job_broken(2, "tcp", NULL, 20, message_mismatch, NULL);
}

/* ---- ranks that die ---- */

struct death {
	const char *transport;
	size_t count;
	int with_operations; /* survivors wait for started operations */
	atomic_int *n_told;  /* shared: survivors that heard of it; NULL: the rank has no child */
};

static ferrule_status_t work(struct t_job_rank *r, const struct death *d, float *x, float *y)
{
	ferrule_op_t op;
	ferrule_status_t status;

	if (!d->with_operations)
		return ferrule_allreduce(r->comm, x, y, d->count, FERRULE_FLOAT32, FERRULE_SUM);
	status =
		ferrule_allreduce_start(r->comm, x, y, d->count, FERRULE_FLOAT32, FERRULE_SUM, &op);
	if (status == FERRULE_OK) {
		status = ferrule_op_wait(op);
		ferrule_op_destroy(op);
	}
	return status;
}

/* A child that holds all the rank has until the survivors were told, or a while.  By the bare
 * system call, so that no handler lets go of anything in it. */
static void leave_child(const struct death *d, int n_survivors)
{
	const struct timespec moment = {.tv_nsec = 1000000};
	const double end = t_now() + 5;

	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) != 0)
		return;
	while (atomic_load(d->n_told) < n_survivors && t_now() < end)
		nanosleep(&moment, NULL);
	_exit(0);
}

/* The last rank kills itself in the middle; all others must hear of it within 2 seconds. */
static int dying_rank(int rank, int n, void *arg)
{
	const struct death *d = arg;
	struct t_job_rank r = {.rank = rank, .n = n};
	float *x = calloc(d->count, sizeof(*x)), *y = calloc(d->count, sizeof(*y));
	ferrule_status_t status = FERRULE_OK;
	char name[24];
	double last = 0;

	setenv("FERRULE_TRANSPORT", d->transport, 1);
	if (!t_ok(&r, ferrule_comm_create_from_env(NULL, &r.comm)))
		return 1;
	for (int i = 0; status == FERRULE_OK; i++) {
		if (i == 30 && rank == n - 1) {
			if (d->n_told)
				leave_child(d, n - 1);
			raise(SIGKILL);
		}
		last = t_now();
		status = work(&r, d, x, y);
	}
	t_check(&r, t_now() - last < 2);
	if (d->n_told)
		atomic_fetch_add(d->n_told, 1);
	t_check(&r, status == FERRULE_ERR_PEER_DIED || status == FERRULE_ERR_ABORTED);
	snprintf(name, sizeof(name), "rank %d", n - 1);
	t_says(&r, name);
	t_check(&r, ferrule_comm_status(r.comm) == status);
	t_check(&r, ferrule_barrier(r.comm) == status);
	t_check(&r, ferrule_comm_finalize(r.comm) == status);
	ferrule_comm_destroy(r.comm);
	free(x);
	free(y);
	return r.failures > 0;
}

static void try_death(struct death d, int n)
{
	int codes[8];

	t_spawn(n, 20, dying_rank, &d, codes);
	for (int r = 0; r < n; r++) {
		if (codes[r] != (r == n - 1 ? 128 + SIGKILL : 0))
			printf("      rank %d of %d ended with %d, %s, %zu elements\n", r, n,
			       codes[r], d.transport, d.count);
		CU_ASSERT_EQUAL(codes[r], r == n - 1 ? 128 + SIGKILL : 0);
	}
}

static void test_a_killed_rank(void)
{
	static const size_t counts[] = {2, 5000, 300000};

	for (int t = 0; t < 2; t++)
		for (int i = 0; i < 3; i++) {
			struct death d = {transports[t], counts[i], 0, NULL};

			try_death(d, 2);
			try_death(d, 4);
			d.with_operations = 1;
			try_death(d, 3);
		}
}

static void test_a_killed_rank_whose_child_lives(void)
{
	static const size_t counts[] = {2, 5000, 300000};
	atomic_int *n_told = mmap(NULL, sizeof(*n_told), PROT_READ | PROT_WRITE,
	                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(n_told != MAP_FAILED);
	for (int t = 0; t < 2; t++)
		for (int i = 0; i < 3; i++) {
			atomic_store(n_told, 0);
			try_death((struct death){transports[t], counts[i], i == 1, n_told}, 2 + i);
		}
	munmap(n_told, sizeof(*n_told));
}

/* ---- ranks that stop ---- */

/* Rank 1 stops itself; a helper process of rank 0's lets it go on afterwards. */
static int stopping_rank(int rank, int n, void *arg)
{
	struct t_job_rank r = {.rank = rank, .n = n};
	float x = 1, y;
	int pid = (int)getpid(), pids[2];

	setenv("FERRULE_TRANSPORT", arg, 1);
	setenv("FERRULE_TIMEOUT", "1", 1);
	if (!t_ok(&r, ferrule_comm_create_from_env(NULL, &r.comm)))
		return 1;
	t_ok(&r, ferrule_allgather(r.comm, &pid, pids, 1, FERRULE_INT32));
	t_ok(&r, ferrule_allreduce(r.comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM));
	if (rank == 1) {
		raise(SIGSTOP);
		/* What rank 0 had sent before it gave up may still be enough for this one. */
		(void)ferrule_allreduce(r.comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM);
		t_check(&r, ferrule_barrier(r.comm) != FERRULE_OK);
	} else {
		const double begin = t_now();

		t_fails(&r, ferrule_allreduce(r.comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM),
		        FERRULE_ERR_TIMEOUT);
		t_check(&r, t_now() - begin > 0.9 && t_now() - begin < 2.5);
		t_says(&r, "rank 1");
		t_says(&r, "allreduce");
		t_says(&r, "last seen in");
		kill(pids[1], SIGCONT);
	}
	ferrule_comm_destroy(r.comm);
	return r.failures > 0;
}

static void test_a_stopped_rank(void)
{
	for (int t = 0; t < 2; t++)
		CU_ASSERT_EQUAL(
			t_spawn(2, 20, stopping_rank, (void *)(uintptr_t)transports[t], NULL), 0);
}

/* The last of four stops in the middle of a large one, with what it has told of its waiting still
 * in sight of all: the others name it and nobody else. */
static int stopping_inside(int rank, int n, void *arg)
{
	struct t_job_rank r = {.rank = rank, .n = n};
	const size_t count = 2000000;
	float *x = calloc(count, sizeof(*x)), *y = calloc(count, sizeof(*y));
	ferrule_status_t status;
	int pid = (int)getpid(), pids[4];
	ferrule_op_t op;

	setenv("FERRULE_TRANSPORT", arg, 1);
	setenv("FERRULE_TIMEOUT", "2", 1);
	if (!t_ok(&r, ferrule_comm_create_from_env(NULL, &r.comm)))
		return 1;
	t_ok(&r, ferrule_allgather(r.comm, &pid, pids, 1, FERRULE_INT32));
	t_ok(&r, ferrule_allreduce_start(r.comm, x, y, count, FERRULE_FLOAT32, FERRULE_SUM, &op));
	if (rank == n - 1)
		raise(SIGSTOP);
	status = ferrule_op_wait(op);
	t_check(&r, status == FERRULE_ERR_TIMEOUT || status == FERRULE_ERR_ABORTED);
	t_says(&r, "without progress, for rank 3, which ");
	if (rank == 0)
		kill(pids[n - 1], SIGCONT);
	ferrule_op_destroy(op);
	ferrule_comm_destroy(r.comm);
	free(x);
	free(y);
	return r.failures > 0;
}

static void test_a_rank_that_stops_inside_is_named_by_all(void)
{
	for (int t = 0; t < 2; t++)
		CU_ASSERT_EQUAL(
			t_spawn(4, 20, stopping_inside, (void *)(uintptr_t)transports[t], NULL), 0);
}

/* Two ranks that each want to hear first from the other, a third that waits for one of them. */
static void deadlock(struct t_job_rank *r)
{
	float x;
	const ferrule_status_t status =
		ferrule_recv(r->comm, &x, 1, FERRULE_FLOAT32, r->rank == 0 ? 1 : 0);

	t_check(r, status == FERRULE_ERR_TIMEOUT || status == FERRULE_ERR_ABORTED);
	t_says(r, "a deadlock");
	/* Whoever comes first says it, and the others repeat that. */
	t_says(r, "which waits in recv");
	t_says(r, "for rank 1");
	t_says(r, "for rank 0");
}

static void test_ranks_that_wait_for_each_other_are_told_so(void)
{
	static const char *const settings[] = {"FERRULE_TIMEOUT=2", NULL};

	for (int t = 0; t < 2; t++)
		t_job_broken(3, transports[t], settings, 20, deadlock, NULL);
}

/* ---- ranks that leave, or abort ---- */

/* Nobody waits to the end for what a rank that has left will not do, whatever else it sent. */
static void expect_left(struct t_job_rank *r, ferrule_status_t status, double begin)
{
	t_check(r, status == FERRULE_ERR_PEER_LEFT || status == FERRULE_ERR_ABORTED);
	t_check(r, t_now() - begin < 2);
	t_says(r, "rank 1");
}

static void leaving_inside(struct t_job_rank *r)
{
	const size_t count = 4000000;
	float *x = calloc(count, sizeof(*x)), *y = calloc(count, sizeof(*y));
	const double begin = t_now();
	ferrule_op_t op;

	t_ok(r, ferrule_barrier(r->comm));
	if (r->rank == 1) {
		t_ok(r, ferrule_allreduce_start(r->comm, x, y, count, FERRULE_FLOAT32, FERRULE_SUM,
		                                &op));
		ferrule_op_test(op);
		/* The memory stays until the process ends: the operation is not over. */
		return;
	}
	expect_left(r, ferrule_allreduce(r->comm, x, y, count, FERRULE_FLOAT32, FERRULE_SUM),
	            begin);
	free(x);
	free(y);
}

static void leaving_with_a_message_unread(struct t_job_rank *r)
{
	float x = 1, y;
	const double begin = t_now();
	ferrule_status_t status;

	t_ok(r, ferrule_barrier(r->comm));
	if (r->rank == 1) {
		t_ok(r, ferrule_send(r->comm, &x, 1, FERRULE_FLOAT32, 0));
		return;
	}
	status = ferrule_allreduce(r->comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM);
	/* Where both are messages, the one that nobody reads is found to be another one. */
	expect_left(r, status == FERRULE_ERR_MISMATCH ? FERRULE_ERR_ABORTED : status, begin);
}

/* What it did before it left counts, also when this rank comes late. */
static void leaving_after_the_last_call(struct t_job_rank *r)
{
	float x = 1, y = 0;

	for (int i = 0; i < 200; i++) {
		if (r->rank == 0)
			sched_yield();
		t_ok(r,
		     ferrule_broadcast(r->comm, r->rank == 1 ? &x : &y, &y, 1, FERRULE_FLOAT32, 1));
	}
	t_check(r, y == 1);
}

static void leaving(struct t_job_rank *r)
{
	float x = 1, y;
	ferrule_status_t status;

	t_ok(r, ferrule_barrier(r->comm));
	if (r->rank == 1)
		return; /* t_job_broken() destroys, without finalize */
	status = ferrule_allreduce(r->comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM);
	t_check(r, status == FERRULE_ERR_PEER_LEFT || status == FERRULE_ERR_ABORTED);
	t_says(r, "rank 1");
	t_says(r, "left");
}

static void test_a_rank_that_leaves(void)
{
	for (int t = 0; t < 2; t++) {
		t_job_broken(2, transports[t], NULL, 20, leaving, NULL);
		t_job_broken(3, transports[t], NULL, 20, leaving, NULL);
		t_job_broken(2, transports[t], NULL, 20, leaving_inside, NULL);
		t_job_broken(2, transports[t], NULL, 20, leaving_with_a_message_unread, NULL);
		t_job_broken(3, transports[t], NULL, 20, leaving_with_a_message_unread, NULL);
		t_job_broken(3, transports[t], NULL, 20, leaving_after_the_last_call, NULL);
	}
}

static void aborting(struct t_job_rank *r)
{
	float x = 1, y;
	ferrule_status_t status = FERRULE_OK;
	const double begin = t_now();

	t_ok(r, ferrule_barrier(r->comm));
	if (r->rank == 1)
		t_ok(r, ferrule_comm_abort(r->comm, "loss is not a number"));
	status = ferrule_allreduce(r->comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM);
	t_check(r, status == FERRULE_ERR_ABORTED);
	t_check(r, ferrule_comm_status(r->comm) == FERRULE_ERR_ABORTED);
	t_says(r, "rank 1");
	t_says(r, "loss is not a number");
	t_check(r, t_now() - begin < 2);
	/* A second one changes nothing. */
	t_ok(r, ferrule_comm_abort(r->comm, "again"));
	t_says(r, "loss is not a number");
}

static void *abort_soon(void *arg)
{
	struct t_job_rank *r = arg;
	const struct timespec moment = {.tv_nsec = 20000000};

	nanosleep(&moment, NULL); /* any moment will do, but most find the wait begun */
	t_ok(r, ferrule_comm_abort(r->comm, "watchdog"));
	return NULL;
}

/* Another thread aborts while this one waits for a rank that never comes. */
static void aborting_from_outside(struct t_job_rank *r)
{
	pthread_t thread;
	const double begin = t_now();
	ferrule_status_t status;
	float x = 1;

	if (r->rank == 0) {
		t_check(r, pthread_create(&thread, NULL, abort_soon, r) == 0);
		t_fails(r, ferrule_recv(r->comm, &x, 1, FERRULE_FLOAT32, 1), FERRULE_ERR_ABORTED);
		pthread_join(thread, NULL);
	} else {
		status = ferrule_recv(r->comm, &x, 1, FERRULE_FLOAT32, 0);
		t_check(r, status == FERRULE_ERR_ABORTED);
	}
	t_says(r, "watchdog");
	t_check(r, t_now() - begin < 2);
}

static void aborting_alone(struct t_job_rank *r)
{
	t_ok(r, ferrule_comm_abort(r->comm, NULL));
	t_fails(r, ferrule_barrier(r->comm), FERRULE_ERR_ABORTED);
	t_says(r, "no reason given");
}

static void test_abort(void)
{
	for (int t = 0; t < 2; t++) {
		t_job_broken(2, transports[t], NULL, 20, aborting, NULL);
		t_job_broken(3, transports[t], NULL, 20, aborting, NULL);
		t_job_broken(2, transports[t], NULL, 20, aborting_from_outside, NULL);
	}
	t_job_broken(1, NULL, NULL, 20, aborting_alone, NULL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"ranks that disagree", test_ranks_that_disagree},
		{"messages that disagree", test_messages_that_disagree},
		{"a killed rank", test_a_killed_rank},
		{"a killed rank whose child lives", test_a_killed_rank_whose_child_lives},
		{"a stopped rank", test_a_stopped_rank},
		{"a rank that stops inside is named by all",
	         test_a_rank_that_stops_inside_is_named_by_all},
		{"ranks that wait for each other are told so",
	         test_ranks_that_wait_for_each_other_are_told_so},
		{"a rank that leaves", test_a_rank_that_leaves},
		{"abort", test_abort},
		{NULL, NULL},
	};

	return t_main("faults", cases);
}

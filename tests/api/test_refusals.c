/*
 * A call that one rank refuses: the others, who may be in it already, learn at once who and why;
 * where all refuse alike, or the one mends its call, nothing has happened.
 */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/api/t_job.h"
#include "tests/support/t_main.h"

static const char *const transports[] = {"shm", "tcp"};
enum { N_TRANSPORTS = sizeof(transports) / sizeof(transports[0]), LARGE = 4000000 };

static float x[LARGE], y[LARGE];

/* What a rank that did not refuse gets, and soon. */
static void check_told(struct t_job_rank *r, ferrule_status_t status, double begin,
                       const char *reason)
{
	t_check(r, status == FERRULE_ERR_MISMATCH || status == FERRULE_ERR_ABORTED);
	/* Far from the deadline, whatever the machine is doing. */
	t_check(r, t_now() - begin < 20);
	t_says(r, "rank 1 refused its call ");
	t_says(r, reason);
	t_check(r, ferrule_comm_status(r->comm) == status);
}

struct refusal {
	const char *what, *reason;
	ferrule_status_t (*call)(ferrule_comm_t comm, int odd);
};

static ferrule_status_t null_send(ferrule_comm_t comm, int odd)
{
	return ferrule_allreduce(comm, odd ? NULL : x, y, 2, FERRULE_FLOAT32, FERRULE_SUM);
}

static ferrule_status_t null_recv_of_much(ferrule_comm_t comm, int odd)
{
	return ferrule_allgather(comm, x, odd ? NULL : y, LARGE / 4, FERRULE_FLOAT32);
}

static ferrule_status_t overlapping(ferrule_comm_t comm, int odd)
{
	return ferrule_allreduce(comm, x, odd ? x + 1 : y, LARGE / 2, FERRULE_FLOAT32, FERRULE_SUM);
}

static ferrule_status_t no_type(ferrule_comm_t comm, int odd)
{
	return ferrule_broadcast(comm, x, y, 100, odd ? (ferrule_type_t)99 : FERRULE_INT32, 1);
}

static ferrule_status_t no_operator(ferrule_comm_t comm, int odd)
{
	return ferrule_reduce_scatter(comm, x, y, 100, FERRULE_FLOAT32, odd ? 77 : FERRULE_MAX);
}

static ferrule_status_t no_root(ferrule_comm_t comm, int odd)
{
	return ferrule_gather(comm, x, y, 100, FERRULE_FLOAT32, odd ? 5 : 0);
}

static ferrule_status_t too_much(ferrule_comm_t comm, int odd)
{
	return ferrule_alltoall(comm, x, y, odd ? SIZE_MAX / 2 : 100, FERRULE_FLOAT32);
}

static ferrule_status_t no_counts(ferrule_comm_t comm, int odd)
{
	static const size_t counts[3] = {10, 20, 30};

	return ferrule_allgatherv(comm, x, y, odd ? NULL : counts, NULL, FERRULE_FLOAT32);
}

static ferrule_status_t no_operation(ferrule_comm_t comm, int odd)
{
	ferrule_op_t op;
	ferrule_status_t status = ferrule_barrier_start(comm, odd ? NULL : &op);

	if (status == FERRULE_OK) {
		status = ferrule_op_wait(op);
		ferrule_op_destroy(op);
	}
	return status;
}

static ferrule_status_t in_a_group(ferrule_comm_t comm, int odd)
{
	if (odd && ferrule_group_begin(comm) != FERRULE_OK)
		return FERRULE_ERR_INTERNAL;
	return ferrule_barrier(comm);
}

static ferrule_status_t split_to_nowhere(ferrule_comm_t comm, int odd)
{
	ferrule_comm_t child;

	return ferrule_comm_split(comm, 0, 0, odd ? NULL : &child);
}

static ferrule_status_t dup_to_nowhere(ferrule_comm_t comm, int odd)
{
	ferrule_comm_t child;

	return ferrule_comm_dup(comm, odd ? NULL : &child);
}

/* Ranks 0 and 2 wait for what rank 1 should send, or take. */
static ferrule_status_t unsent(ferrule_comm_t comm, int odd)
{
	if (odd)
		return ferrule_sendrecv(comm, NULL, 10, 0, y, 10, 2, FERRULE_FLOAT32);
	if (ferrule_comm_rank(comm) == 0)
		return ferrule_recv(comm, x, 10, FERRULE_FLOAT32, 1);
	return ferrule_barrier(comm);
}

static ferrule_status_t unreceived(ferrule_comm_t comm, int odd)
{
	if (odd)
		return ferrule_recv(comm, NULL, LARGE, FERRULE_FLOAT32, 2);
	if (ferrule_comm_rank(comm) == 2)
		return ferrule_send(comm, x, LARGE, FERRULE_FLOAT32, 1);
	return ferrule_barrier(comm);
}

/* One of two messages is bad; the peer of the other one waits as well. */
static ferrule_status_t ungrouped(ferrule_comm_t comm, int odd)
{
	if (!odd)
		return ferrule_recv(comm, x, 10, FERRULE_FLOAT32, 1);
	ferrule_group_begin(comm);
	ferrule_send(comm, y, 10, FERRULE_FLOAT32, 0);
	ferrule_send(comm, NULL, 10, FERRULE_FLOAT32, 2);
	return ferrule_group_end(comm);
}

/* A message each way: what is refused of one must not hide the other. */
static ferrule_status_t unexchanged(ferrule_comm_t comm, int odd)
{
	const int peer = odd ? 0 : 1;

	if (ferrule_comm_rank(comm) == 2)
		return ferrule_barrier(comm);
	return ferrule_sendrecv(comm, x, 10, peer, y, 10, peer,
	                        odd ? (ferrule_type_t)99 : FERRULE_FLOAT32);
}

static ferrule_status_t ungrouped_both_ways(ferrule_comm_t comm, int odd)
{
	const int rank = ferrule_comm_rank(comm);

	ferrule_group_begin(comm);
	for (int peer = 0; peer < 3; peer++) {
		if (peer == rank)
			continue;
		ferrule_send(comm, x, 10, odd ? (ferrule_type_t)99 : FERRULE_FLOAT32, peer);
		ferrule_recv(comm, y + 10 * peer, 10, FERRULE_FLOAT32, peer);
	}
	return ferrule_group_end(comm);
}

static const struct refusal refusals[] = {
	{"no send buffer", "send: NULL, must be a buffer of 8 bytes", null_send},
	{"no recv buffer", "recv: NULL, must be a buffer of", null_recv_of_much},
	{"overlap", "overlaps send", overlapping},
	{"type", "type: 99, must be", no_type},
	{"operator", "op: 77, must be", no_operator},
	{"root", "root: 5, must be a rank from 0 to 2", no_root},
	{"count", "do not fit in memory", too_much},
	{"counts", "counts: NULL, must be an array", no_counts},
	{"op_out", "op_out: NULL", no_operation},
	{"group", "between ferrule_group_begin() and ferrule_group_end()", in_a_group},
	{"split", "comm_out: NULL", split_to_nowhere},
	{"dup", "comm_out: NULL", dup_to_nowhere},
	{"send", "send: NULL", unsent},
	{"recv", "recv: NULL", unreceived},
	{"message of a group", "send: NULL", ungrouped},
	{"messages both ways", "type: 99, must be", unexchanged},
	{"messages both ways of a group", "type: 99, must be", ungrouped_both_ways},
};

struct trial {
	const struct refusal *what;
	int fds[2]; /* who was told writes a byte */
};

static void one_refuses(struct t_job_rank *r)
{
	const struct trial *trial = r->arg;
	const struct refusal *what = trial->what;
	const double begin = t_now();
	ferrule_status_t status = what->call(r->comm, r->rank == 1);
	char told = 1;

	if (r->rank != 1) {
		/* Who only sends is through before it can know. */
		if (status == FERRULE_OK)
			status = ferrule_barrier(r->comm);
		check_told(r, status, begin, what->reason);
		t_check(r, write(trial->fds[1], &told, 1) == 1);
		return;
	}
	t_check(r, status == FERRULE_ERR_ARGUMENT);
	t_check(r, strstr(ferrule_comm_error_text(NULL), what->reason) != NULL);
	for (int i = 0; i < r->n - 1; i++)
		t_check(r, read(trial->fds[0], &told, 1) == 1);
	/* The others gave up, which reaches this rank as well, as its own doing. */
	if (strcmp(what->what, "group") == 0)
		ferrule_group_end(r->comm);
	status = ferrule_barrier(r->comm);
	/* That may be what the others were in, and have done their part of. */
	if (status == FERRULE_OK)
		status = ferrule_barrier(r->comm);
	check_told(r, status, begin, what->reason);
}

static void test_one_rank_that_refuses_is_named(void)
{
	struct trial trial;

	CU_ASSERT_EQUAL_FATAL(pipe(trial.fds), 0);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		for (int t = 0; t < N_TRANSPORTS; t++) {
			trial.what = &refusals[i];
			if (t_job_broken(3, transports[t], NULL, 60, one_refuses, &trial) != 0)
				fprintf(stderr, "  %s over %s\n", refusals[i].what, transports[t]);
		}
	close(trial.fds[0]);
	close(trial.fds[1]);
}

/* Rank 1 does not look at what it got, and goes on. */
static void one_goes_on(struct t_job_rank *r)
{
	ferrule_status_t status;

	if (r->rank == 1)
		t_fails(r, null_send(r->comm, 1), FERRULE_ERR_ARGUMENT);
	status = r->rank == 1 ? ferrule_barrier(r->comm) : null_send(r->comm, 0);
	t_check(r, status == FERRULE_ERR_MISMATCH || status == FERRULE_ERR_ABORTED);
	t_says(r, r->arg ? "rank 1 refused its call allreduce #1: send: NULL" : "rank 1 ");
}

static void test_one_rank_that_refuses_and_goes_on_is_told_why(void)
{
	for (int t = 0; t < N_TRANSPORTS; t++)
		/* Over TCP the reason may come behind the call that differs. */
		t_job_broken(2, transports[t], NULL, 60, one_goes_on, (void *)(uintptr_t)(t == 0));
}

static void all_refuse(struct t_job_rank *r)
{
	ferrule_comm_t child;
	float total = 0;

	for (int round = 0; round < 8; round++) {
		const float mine = (float)round;

		for (int i = 0; i <= round % 3; i++) {
			t_fails(r, null_send(r->comm, 1), FERRULE_ERR_ARGUMENT);
			t_fails(r, no_type(r->comm, 1), FERRULE_ERR_ARGUMENT);
		}
		t_fails(r, dup_to_nowhere(r->comm, 1), FERRULE_ERR_ARGUMENT);
		t_fails(r,
		        ferrule_sendrecv(r->comm, NULL, 1, (r->rank + 1) % r->n, y, 1,
		                         (r->rank + r->n - 1) % r->n, FERRULE_FLOAT32),
		        FERRULE_ERR_ARGUMENT);
		t_ok(r, ferrule_sendrecv(r->comm, x, 1, (r->rank + 1) % r->n, y, 1,
		                         (r->rank + r->n - 1) % r->n, FERRULE_FLOAT32));
		t_ok(r, ferrule_allreduce(r->comm, &mine, &total, 1, FERRULE_FLOAT32, FERRULE_SUM));
		t_check(r, total == mine * (float)r->n);
		/* Refused before they wait, so that the others find it while they do. */
		if (round % 5 == r->rank)
			usleep(300000);
	}
	t_ok(r, ferrule_comm_dup(r->comm, &child));
	t_ok(r, ferrule_comm_finalize(child));
	t_ok(r, ferrule_comm_destroy(child));
}

static void test_where_all_refuse_nothing_happened(void)
{
	for (int t = 0; t < N_TRANSPORTS; t++)
		t_job(3, transports[t], NULL, all_refuse, NULL);
}

/* Rank 1 refuses, and then comes to the call, before the others are in it. */
static void one_mends(struct t_job_rank *r)
{
	const int *fds = r->arg;
	ferrule_op_t op;
	char go[2] = {1, 1};

	for (int round = 0; round < 10; round++) {
		if (r->rank == 1) {
			t_fails(r, null_send(r->comm, 1), FERRULE_ERR_ARGUMENT);
			t_ok(r, ferrule_barrier_start(r->comm, &op));
			t_check(r, write(fds[1], go, 2) == 2);
			t_ok(r, ferrule_op_wait(op));
			t_ok(r, ferrule_op_destroy(op));
		} else {
			t_check(r, read(fds[0], go, 1) == 1);
			t_ok(r, ferrule_barrier(r->comm));
		}
	}
}

static void test_a_call_may_be_mended(void)
{
	int fds[2];

	for (int t = 0; t < N_TRANSPORTS; t++) {
		CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
		t_job(3, transports[t], NULL, one_mends, fds);
		close(fds[0]);
		close(fds[1]);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"one rank that refuses is named", test_one_rank_that_refuses_is_named},
		{"one rank that refuses and goes on is told why",
	         test_one_rank_that_refuses_and_goes_on_is_told_why},
		{"where all refuse nothing happened", test_where_all_refuse_nothing_happened},
		{"a call may be mended", test_a_call_may_be_mended},
		{NULL, NULL},
	};

	return t_main("refusals", cases);
}

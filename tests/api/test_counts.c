/*
 * Counts that differ between ranks, with nothing on one side among them: every rank is told, soon,
 * whatever the counts are, in numbers that the caller knows.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/t_job.h"
#include "tests/support/t_main.h"

#define RANKS_MAX 4

static const char *const transports[] = {"shm", "tcp"};

/* One call, of which the last rank thinks otherwise than the others. */
struct difference {
	const char *call;
	size_t count, odd_count;
	int root;
};

struct buffers {
	float *send, *recv;
	size_t count;              /* this rank's */
	size_t counts[RANKS_MAX];  /* the last one is as this rank has it */
	size_t regular[RANKS_MAX]; /* what all had if all agreed */
};

static ferrule_status_t vector(struct t_job_rank *r, const struct difference *d,
                               const struct buffers *b)
{
	const char *call = d->call;

	if (strcmp(call, "allgatherv") == 0)
		return ferrule_allgatherv(r->comm, b->send, b->recv, b->counts, NULL,
		                          FERRULE_FLOAT32);
	if (strcmp(call, "gatherv") == 0)
		return ferrule_gatherv(r->comm, b->send, b->recv, b->counts, NULL, FERRULE_FLOAT32,
		                       d->root);
	if (strcmp(call, "scatterv") == 0)
		return ferrule_scatterv(r->comm, b->send, b->recv, b->counts, NULL, FERRULE_FLOAT32,
		                        d->root);
	if (strcmp(call, "reduce_scatterv") == 0)
		return ferrule_reduce_scatterv(r->comm, b->send, b->recv, b->counts,
		                               FERRULE_FLOAT32, FERRULE_SUM);
	/* To the first rank, which thinks otherwise. */
	return ferrule_alltoallv(r->comm, b->send, b->counts, NULL, b->recv, b->regular, NULL,
	                         FERRULE_FLOAT32);
}

static ferrule_status_t message(struct t_job_rank *r, const struct difference *d,
                                const struct buffers *b)
{
	const int right = (r->rank + 1) % r->n, left = (r->rank + r->n - 1) % r->n;

	return ferrule_sendrecv(r->comm, b->send, b->count, right, b->recv, d->count, left,
	                        FERRULE_FLOAT32);
}

static ferrule_status_t call(struct t_job_rank *r, const struct difference *d,
                             const struct buffers *b)
{
	const size_t n = b->count;
	const char *name = d->call;

	if (strcmp(name, "allreduce") == 0)
		return ferrule_allreduce(r->comm, b->send, b->recv, n, FERRULE_FLOAT32,
		                         FERRULE_SUM);
	if (strcmp(name, "reduce") == 0)
		return ferrule_reduce(r->comm, b->send, b->recv, n, FERRULE_FLOAT32, FERRULE_SUM,
		                      d->root);
	if (strcmp(name, "broadcast") == 0)
		return ferrule_broadcast(r->comm, b->send, b->recv, n, FERRULE_FLOAT32, d->root);
	if (strcmp(name, "allgather") == 0)
		return ferrule_allgather(r->comm, b->send, b->recv, n, FERRULE_FLOAT32);
	if (strcmp(name, "gather") == 0)
		return ferrule_gather(r->comm, b->send, b->recv, n, FERRULE_FLOAT32, d->root);
	if (strcmp(name, "scatter") == 0)
		return ferrule_scatter(r->comm, b->send, b->recv, n, FERRULE_FLOAT32, d->root);
	if (strcmp(name, "reduce_scatter") == 0)
		return ferrule_reduce_scatter(r->comm, b->send, b->recv, n, FERRULE_FLOAT32,
		                              FERRULE_SUM);
	if (strcmp(name, "alltoall") == 0)
		return ferrule_alltoall(r->comm, b->send, b->recv, n, FERRULE_FLOAT32);
	if (strcmp(name, "sendrecv") == 0)
		return message(r, d, b);
	return vector(r, d, b);
}

static void fill_counts(struct t_job_rank *r, const struct difference *d, struct buffers *b)
{
	const bool is_odd = r->rank == r->n - 1;
	const size_t most = d->count > d->odd_count ? d->count : d->odd_count;

	b->count = is_odd ? d->odd_count : d->count;
	for (int i = 0; i < r->n; i++)
		b->counts[i] = b->regular[i] = d->count;
	if (is_odd)
		b->counts[0] = d->odd_count;
	b->send = calloc(most * (size_t)r->n + 1, sizeof(float));
	b->recv = calloc(most * (size_t)r->n + 1, sizeof(float));
}

/* The odd one, or who meets it, learns it inside the call; who was through before, in the next. */
static void differ(struct t_job_rank *r)
{
	const struct difference *d = r->arg;
	ferrule_status_t status;
	struct buffers b;

	fill_counts(r, d, &b);
	t_ok(r, ferrule_barrier(r->comm));
	const double begin = t_now();

	status = call(r, d, &b);
	if (status == FERRULE_OK)
		status = ferrule_barrier(r->comm);
	t_check(r, status == FERRULE_ERR_MISMATCH || status == FERRULE_ERR_ABORTED);
	t_check(r, t_now() - begin < 5);
	t_says(r, "ranks disagree");
	t_says(r, strcmp(d->call, "sendrecv") == 0 ? "send #1" : d->call);
	free(b.send);
	free(b.recv);
}

static const char *const calls[] = {
	"allreduce", "reduce",         "broadcast", "allgather",       "gather",
	"scatter",   "reduce_scatter", "alltoall",  "sendrecv",        "allgatherv",
	"gatherv",   "scatterv",       "alltoallv", "reduce_scatterv",
};
#define N_CALLS (sizeof(calls) / sizeof(calls[0]))

static void try_difference(int n, size_t count, size_t odd_count, int root)
{
	static const char *const settings[] = {"FERRULE_PROBE=0", NULL};

	for (int t = 0; t < 2; t++)
		for (size_t i = 0; i < N_CALLS; i++) {
			struct difference d = {calls[i], count, odd_count, root};

			if (t_job_broken(n, transports[t], settings, 30, differ, &d) != 0)
				printf("      %s over %s, %zu on the last of %d, else %zu\n",
				       calls[i], transports[t], odd_count, n, count);
		}
}

static void test_nothing_against_a_little_is_told(void)
{
	try_difference(2, 1, 0, 0);
	try_difference(3, 0, 1, 2);
}

static void test_nothing_against_much_is_told(void)
{
	try_difference(3, 300000, 0, 0);
	try_difference(2, 0, 300000, 1);
}

/* ---- what is legal ---- */

/* All ranks have nothing, or the first has: all results as they should be. */
static void agree(struct t_job_rank *r)
{
	float x[RANKS_MAX] = {1, 1, 1, 1}, y[RANKS_MAX];
	const size_t counts[RANKS_MAX] = {0, 1, 1, 1};
	size_t none[RANKS_MAX] = {0}, one[RANKS_MAX] = {0};

	for (size_t i = 0; i < N_CALLS; i++) {
		const struct difference d = {calls[i], 0, 0, 1};
		const struct buffers b = {.send = NULL, .recv = NULL};

		for (int k = 0; k < 3; k++)
			t_ok(r, call(r, &d, &b));
	}
	memset(y, 0, sizeof(y));
	t_ok(r, ferrule_allgatherv(r->comm, x, y, counts, NULL, FERRULE_FLOAT32));
	t_check(r, y[0] == 1 && y[r->n - 2] == 1 && y[r->n - 1] == 0);
	/* To the right neighbour alone. */
	one[(r->rank + 1) % r->n] = 1;
	none[(r->rank + r->n - 1) % r->n] = 1;
	x[0] = (float)r->rank;
	t_ok(r, ferrule_alltoallv(r->comm, x, one, NULL, y, none, NULL, FERRULE_FLOAT32));
	t_check(r, y[0] == (float)((r->rank + r->n - 1) % r->n));
}

static void test_nothing_that_all_agree_about_is_legal(void)
{
	for (int t = 0; t < 2; t++) {
		t_job(2, transports[t], NULL, agree, NULL);
		t_job(4, transports[t], NULL, agree, NULL);
	}
}

/* ---- words ---- */

static void one_count_differs(struct t_job_rank *r)
{
	float x[64] = {0}, y[64];
	const size_t counts[3] = {4, r->rank == 2 ? 7 : 6, 5};
	const ferrule_status_t status =
		ferrule_allgatherv(r->comm, x, y, counts, NULL, FERRULE_FLOAT32);

	t_check(r, status == FERRULE_ERR_MISMATCH || status == FERRULE_ERR_ABORTED);
	t_says(r, "allgatherv #1 (15 float in all)");
	t_says(r, "allgatherv #1 (16 float in all)");
	t_says(r, "counts[1] is ");
	t_says(r, "7 on rank 2");
	t_says(r, "6 on rank ");
}

static void two_counts_differ(struct t_job_rank *r)
{
	float x[64] = {0}, y[64];
	const size_t counts[2] = {r->rank ? 3 : 4, r->rank ? 4 : 3};
	const ferrule_status_t status =
		ferrule_gatherv(r->comm, x, y, counts, NULL, FERRULE_FLOAT32, 0);

	t_check(r, status != FERRULE_OK || ferrule_barrier(r->comm) != FERRULE_OK);
	t_says(r, "gatherv #1 (7 float in all, root 0)");
	t_says(r, "several of their counts differ");
}

static void a_part_differs(struct t_job_rank *r)
{
	float x[64] = {0}, y[64];
	const size_t send[2] = {2, 5}, receive[2] = {r->rank ? 4 : 2, r->rank ? 5 : 2};
	const ferrule_status_t status =
		ferrule_alltoallv(r->comm, x, send, NULL, y, receive, NULL, FERRULE_FLOAT32);

	t_check(r, status != FERRULE_OK || ferrule_barrier(r->comm) != FERRULE_OK);
	t_says(r, "in alltoallv #1 rank 0 sends 5 float to rank 1 (send_counts[1]), which expects "
	          "4 (recv_counts[0])");
}

static void directions(struct t_job_rank *r)
{
	float x[4] = {0};

	if (r->rank == 0)
		t_check(r, ferrule_send(r->comm, x, 3, FERRULE_FLOAT32, 1) != FERRULE_OK ||
		                   ferrule_barrier(r->comm) != FERRULE_OK);
	else
		t_fails(r, ferrule_recv(r->comm, x, 4, FERRULE_FLOAT32, 0), FERRULE_ERR_MISMATCH);
	t_says(r, "rank 0 called send #1 (3 float, rank 1)");
	t_says(r, "rank 1 called recv #1 (4 float, rank 0)");
}

/* What goes on inside has the name of what was called. */
static void the_end(struct t_job_rank *r)
{
	ferrule_comm_t child = NULL;

	if (r->rank == 0)
		t_check(r, ferrule_comm_finalize(r->comm) != FERRULE_OK);
	else
		t_check(r, ferrule_comm_dup(r->comm, &child) != FERRULE_OK);
	t_says(r, "rank 0 called comm_finalize #1");
	t_says(r, "rank 1 called comm_dup #1");
}

static void test_texts_have_the_callers_numbers(void)
{
	for (int t = 0; t < 2; t++) {
		t_job_broken(3, transports[t], NULL, 20, one_count_differs, NULL);
		t_job_broken(2, transports[t], NULL, 20, two_counts_differ, NULL);
		t_job_broken(2, transports[t], NULL, 20, a_part_differs, NULL);
	}
}

static void test_texts_have_the_callers_names(void)
{
	for (int t = 0; t < 2; t++) {
		t_job_broken(2, transports[t], NULL, 20, directions, NULL);
		t_job_broken(2, transports[t], NULL, 20, the_end, NULL);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"nothing against a little is told", test_nothing_against_a_little_is_told},
		{"nothing against much is told", test_nothing_against_much_is_told},
		{"nothing that all agree about is legal",
	         test_nothing_that_all_agree_about_is_legal},
		{"texts have the caller's numbers", test_texts_have_the_callers_numbers},
		{"texts have the caller's names", test_texts_have_the_callers_names},
		{NULL, NULL},
	};

	return t_main("counts", cases);
}

/* Operations as handles: many at once, wrong states, bad arguments, memory, threads. */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/api/t_job.h"
#include "tests/support/t_main.h"

/* Many operations under way at the same time, finished in another order. */
static void many_at_once(struct t_job_rank *r)
{
	enum { N = 64, COUNT = 300 };
	static float in[N][COUNT], out[N][COUNT];
	ferrule_op_t ops[N];

	for (int round = 0; round < 3; round++) {
		for (int k = 0; k < N; k++) {
			for (int i = 0; i < COUNT; i++)
				in[k][i] = (float)(r->rank + k);
			if (k % 3 == 0)
				t_ok(r,
				     ferrule_broadcast_start(r->comm, in[k], out[k], COUNT,
				                             FERRULE_FLOAT32, k % r->n, &ops[k]));
			else
				t_ok(r, ferrule_allreduce_start(
						r->comm, in[k], out[k], (size_t)(COUNT - k),
						FERRULE_FLOAT32, FERRULE_SUM, &ops[k]));
		}
		for (int k = N - 1; k >= 0; k--) {
			const int sum = r->n * (r->n - 1) / 2 + r->n * k;

			t_ok(r, ferrule_op_wait(ops[k]));
			t_ok(r, ferrule_op_wait(ops[k])); /* still done */
			t_check(r, out[k][0] == (float)(k % 3 == 0 ? k % r->n + k : sum));
			t_check(r, out[k][COUNT - k - 1] == out[k][0]);
			t_ok(r, ferrule_op_destroy(ops[k]));
		}
	}
}

/* Blocking calls while started ones are under way. */
static void blocking_beside_started(struct t_job_rank *r)
{
	enum { COUNT = 200000 };
	float *big = calloc(COUNT, sizeof(*big));
	float one = 1, sum;
	ferrule_op_t op;

	big[COUNT - 1] = 2;
	t_ok(r,
	     ferrule_allreduce_start(r->comm, big, big, COUNT, FERRULE_FLOAT32, FERRULE_SUM, &op));
	for (int i = 0; i < 10; i++) {
		t_ok(r, ferrule_allreduce(r->comm, &one, &sum, 1, FERRULE_FLOAT32, FERRULE_SUM));
		t_check(r, sum == (float)r->n);
	}
	t_ok(r, ferrule_op_wait(op));
	t_check(r, big[COUNT - 1] == (float)(2 * r->n));
	t_ok(r, ferrule_op_destroy(op));
	free(big);
}

static void states(struct t_job_rank *r)
{
	float x = 1, y = 0;
	ferrule_op_t op;

	t_ok(r, ferrule_op_destroy(NULL));
	t_fails(r, ferrule_op_wait(NULL), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_allreduce_init(r->comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM, &op));
	t_fails(r, ferrule_op_test(op), FERRULE_ERR_ARGUMENT);
	t_says(r, "not started");
	t_fails(r, ferrule_op_wait(op), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_op_start(op));
	t_ok(r, ferrule_op_wait(op));
	t_ok(r, ferrule_op_start(op));
	t_ok(r, ferrule_op_destroy(op)); /* waits */
	t_check(r, y == (float)r->n);
	t_ok(r, ferrule_allreduce_start(r->comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM, &op));
	t_fails(r, ferrule_op_start(op), FERRULE_ERR_ARGUMENT);
	t_says(r, "persistent");
	t_ok(r, ferrule_op_wait(op));
	t_ok(r, ferrule_op_destroy(op));
}

/* Rank 1 comes late on purpose, held back through a pipe. */
static void busy(struct t_job_rank *r)
{
	const int *pipe_fds = r->arg;
	float x = 1, y = 0;
	char go = 1;
	ferrule_op_t op;

	t_ok(r, ferrule_allreduce_init(r->comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM, &op));
	if (r->rank == 0) {
		t_ok(r, ferrule_op_start(op));
		t_fails(r, ferrule_op_test(op), FERRULE_INPROGRESS);
		t_fails(r, ferrule_op_start(op), FERRULE_ERR_BUSY);
		t_says(r, "still running");
		t_check(r, write(pipe_fds[1], &go, 1) == 1);
	} else {
		t_check(r, read(pipe_fds[0], &go, 1) == 1);
		t_ok(r, ferrule_op_start(op));
	}
	t_ok(r, ferrule_op_wait(op));
	t_ok(r, ferrule_op_destroy(op));
}

static void outlive(struct t_job_rank *r)
{
	ferrule_comm_t twin;
	ferrule_op_t idle, running;
	static float x[1000], y[1000];

	t_ok(r, ferrule_comm_dup(r->comm, &twin));
	t_ok(r, ferrule_barrier_init(twin, &idle));
	t_ok(r, ferrule_allreduce_start(twin, x, y, 1000, FERRULE_FLOAT32, FERRULE_SUM, &running));
	ferrule_comm_destroy(twin);
	t_fails(r, ferrule_op_start(idle), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_op_wait(running), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_op_destroy(idle));
	t_ok(r, ferrule_op_destroy(running));
}

static void handles(struct t_job_rank *r)
{
	many_at_once(r);
	blocking_beside_started(r);
	states(r);
	outlive(r);
}

static void test_handles(void)
{
	t_job(1, "shm", NULL, handles, NULL);
	t_job(2, "shm", NULL, handles, NULL);
	t_job(3, "shm", NULL, handles, NULL);
	t_job(2, "tcp", NULL, handles, NULL);
	t_job(3, "tcp", NULL, handles, NULL);
}

static void test_starting_what_runs(void)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	t_job(2, "shm", NULL, busy, fds);
	t_job(2, "tcp", NULL, busy, fds);
	close(fds[0]);
	close(fds[1]);
}

/* ---- arguments ---- */

static void bad_arguments(struct t_job_rank *r)
{
	ferrule_comm_t c = r->comm;
	static float x[8], y[8];
	size_t counts[2] = {1, 1}, huge[2] = {1, SIZE_MAX / 2};
	ferrule_op_t op;

	t_fails(r, ferrule_allreduce(NULL, x, y, 1, FERRULE_FLOAT32, FERRULE_SUM),
	        FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_allreduce(c, NULL, y, 1, FERRULE_FLOAT32, FERRULE_SUM),
	        FERRULE_ERR_ARGUMENT);
	t_says(r, "send: NULL");
	t_fails(r, ferrule_allreduce(c, x, NULL, 1, FERRULE_FLOAT32, FERRULE_SUM),
	        FERRULE_ERR_ARGUMENT);
	t_says(r, "recv: NULL");
	t_fails(r, ferrule_allreduce(c, x, y, 1, (ferrule_type_t)99, FERRULE_SUM),
	        FERRULE_ERR_ARGUMENT);
	t_says(r, "type: 99");
	t_fails(r, ferrule_allreduce(c, x, y, 1, (ferrule_type_t)(FERRULE_FLOAT32 + 65536), 0),
	        FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_allreduce(c, x, y, 1, FERRULE_FLOAT32, 5), FERRULE_ERR_ARGUMENT);
	t_says(r, "op: 5");
	t_fails(r, ferrule_allreduce(c, x, y, 1, FERRULE_FLOAT32, -1), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_allreduce(c, x, x + 1, 4, FERRULE_FLOAT32, FERRULE_SUM),
	        FERRULE_ERR_ARGUMENT);
	t_says(r, "overlaps");
	t_fails(r, ferrule_allreduce(c, x, y, 3000000000000u, FERRULE_FLOAT32, FERRULE_SUM),
	        FERRULE_ERR_ARGUMENT);
	t_says(r, "count: 3000000000000 elements of float");
	t_fails(r, ferrule_allgather(c, x, y, SIZE_MAX, FERRULE_FLOAT32), FERRULE_ERR_ARGUMENT);
	t_says(r, "send_count");
	t_fails(r, ferrule_broadcast(c, x, y, 1, FERRULE_FLOAT32, 2), FERRULE_ERR_ARGUMENT);
	t_says(r, "root: 2");
	t_fails(r, ferrule_reduce(c, x, y, 1, FERRULE_FLOAT32, FERRULE_SUM, -1),
	        FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_alltoall(c, x, x, 1, FERRULE_FLOAT32), FERRULE_ERR_ARGUMENT);
	t_says(r, "not possible in place");
	t_fails(r, ferrule_send(c, x, 1, FERRULE_FLOAT32, 2), FERRULE_ERR_ARGUMENT);
	t_says(r, "peer: 2");
	t_fails(r, ferrule_send(c, x, 0, FERRULE_FLOAT32, -1), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_recv(c, NULL, 1, FERRULE_FLOAT32, 1 - r->rank), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_allgatherv(c, x, y, NULL, NULL, FERRULE_FLOAT32), FERRULE_ERR_ARGUMENT);
	t_says(r, "counts: NULL");
	t_fails(r, ferrule_allgatherv(c, x, y, huge, NULL, FERRULE_FLOAT32), FERRULE_ERR_ARGUMENT);
	t_says(r, "counts[1]");
	t_fails(r, ferrule_allgatherv(c, x, y, counts, huge, FERRULE_FLOAT32),
	        FERRULE_ERR_ARGUMENT);
	t_says(r, "displs[1]");
	t_fails(r, ferrule_barrier_start(c, NULL), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_allreduce_init(c, NULL, y, 1, FERRULE_FLOAT32, FERRULE_SUM, &op),
	        FERRULE_ERR_ARGUMENT);
	/* None of it harmed the communicator. */
	t_check(r, ferrule_comm_status(c) == FERRULE_OK);
	t_ok(r, ferrule_allreduce(c, NULL, NULL, 0, FERRULE_FLOAT32, FERRULE_SUM));
	t_ok(r, ferrule_barrier(c));
}

static void bad_operators(struct t_job_rank *r)
{
	const double half = 0.5;
	const int64_t odd = (INT64_C(1) << 60) + 1;
	double x = 4, y = 0;
	ferrule_redop_t op, more[64];
	ferrule_op_t held;

	t_fails(r, ferrule_redop_create_premul_sum(r->comm, NULL, FERRULE_FLOAT64, &op),
	        FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_redop_create_premul_sum(r->comm, &odd, FERRULE_INT64, &op),
	        FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_redop_destroy(r->comm, FERRULE_SUM), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_redop_create_premul_sum(r->comm, &half, FERRULE_FLOAT64, &op));
	t_ok(r, ferrule_allreduce(r->comm, &x, &y, 1, FERRULE_FLOAT64, op));
	t_check(r, y == 2.0 * r->n);
	t_fails(r, ferrule_allreduce(r->comm, &x, &y, 1, FERRULE_FLOAT32, op),
	        FERRULE_ERR_ARGUMENT);
	t_says(r, "made for double");
	t_ok(r, ferrule_allreduce_init(r->comm, &x, &y, 1, FERRULE_FLOAT64, op, &held));
	t_fails(r, ferrule_redop_destroy(r->comm, op), FERRULE_ERR_BUSY);
	t_ok(r, ferrule_op_destroy(held));
	t_ok(r, ferrule_redop_destroy(r->comm, op));
	t_fails(r, ferrule_allreduce(r->comm, &x, &y, 1, FERRULE_FLOAT64, op),
	        FERRULE_ERR_ARGUMENT);
	for (int i = 0; i < 64; i++)
		t_ok(r, ferrule_redop_create_premul_sum(r->comm, &half, FERRULE_FLOAT64, &more[i]));
	t_fails(r, ferrule_redop_create_premul_sum(r->comm, &half, FERRULE_FLOAT64, &op),
	        FERRULE_ERR_NO_MEMORY);
	for (int i = 0; i < 64; i++)
		t_ok(r, ferrule_redop_destroy(r->comm, more[i]));
	t_ok(r, ferrule_barrier(r->comm));
}

static void arguments(struct t_job_rank *r)
{
	bad_arguments(r);
	bad_operators(r);
}

static void test_arguments(void)
{
	t_job(2, "shm", NULL, arguments, NULL);
	t_job(2, "tcp", NULL, arguments, NULL);
}

/* ---- more shapes than are kept ---- */

static void shapes(struct t_job_rank *r)
{
	static float x[2000], y[2000];
	struct ferrule_comm_stats stats = {.size = sizeof(stats)};

	for (int i = 0; i < 2000; i++)
		x[i] = 1;
	for (int round = 0; round < 2; round++)
		for (size_t count = 1; count <= 700; count++) {
			y[count - 1] = 0;
			t_ok(r,
			     ferrule_allreduce(r->comm, x, y, count, FERRULE_FLOAT32, FERRULE_SUM));
			if (!t_check(r, y[count - 1] == (float)r->n))
				return;
		}
	t_ok(r, ferrule_comm_get_stats(r->comm, &stats));
	t_check(r, stats.plans >= 700);
	t_check(r, stats.operations >= 1400);
	t_check(r, stats.memory_bytes < 16u << 20);
}

static void test_more_shapes_than_are_kept(void)
{
	t_job(2, "shm", NULL, shapes, NULL);
}

/* ---- memory of ferrule_mem_alloc ---- */

static void memory(struct t_job_rank *r)
{
	enum { COUNT = 400000 };
	float *a, *b;
	void *odd;

	t_ok(r, ferrule_mem_alloc(r->comm, COUNT * sizeof(float), (void **)&a));
	t_ok(r, ferrule_mem_alloc(r->comm, COUNT * sizeof(float), (void **)&b));
	t_check(r, (uintptr_t)a % 4096 == 0 && (uintptr_t)b % 4096 == 0);
	t_check(r, a[0] == 0 && a[COUNT - 1] == 0);
	for (int i = 0; i < COUNT; i++)
		a[i] = (float)(r->rank + 1);
	t_ok(r, ferrule_allreduce(r->comm, a, b, COUNT, FERRULE_FLOAT32, FERRULE_SUM));
	t_check(r, b[0] == (float)(r->n * (r->n + 1) / 2) && b[COUNT - 1] == b[0]);
	t_ok(r, ferrule_allreduce(r->comm, a, a, COUNT, FERRULE_FLOAT32, FERRULE_SUM));
	t_check(r, a[COUNT / 2] == b[0]);
	t_ok(r, ferrule_mem_free(r->comm, a));
	t_ok(r, ferrule_mem_free(r->comm, NULL));
	t_fails(r, ferrule_mem_free(r->comm, &odd), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_mem_alloc(r->comm, 0, &odd));
	t_ok(r, ferrule_mem_free(r->comm, odd));
	t_fails(r, ferrule_mem_alloc(r->comm, SIZE_MAX / 2, &odd), FERRULE_ERR_NO_MEMORY);
	t_fails(r, ferrule_mem_alloc(r->comm, 8, NULL), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_barrier(r->comm)); /* b is left to destroy */
}

static void test_memory(void)
{
	t_job(1, "shm", NULL, memory, NULL);
	t_job(2, "shm", NULL, memory, NULL);
	t_job(3, "shm", NULL, memory, NULL);
	t_job(2, "tcp", NULL, memory, NULL);
}

static void registered(struct t_job_rank *r)
{
	enum { COUNT = 300000 };
	float *a = malloc(COUNT * sizeof(*a)), *b = malloc(COUNT * sizeof(*b));

	t_check(r, a && b);
	for (int i = 0; a && i < COUNT; i++)
		a[i] = (float)(r->rank + i % 7);
	t_ok(r, ferrule_mem_register(r->comm, a, COUNT * sizeof(*a)));
	t_ok(r, ferrule_mem_register(r->comm, b, COUNT * sizeof(*b)));
	t_ok(r, ferrule_mem_register(r->comm, a, COUNT * sizeof(*a)));
	t_fails(r, ferrule_mem_register(r->comm, a + 1, 4), FERRULE_ERR_ARGUMENT);
	t_says(r, "are registered already");
	t_fails(r, ferrule_mem_register(r->comm, NULL, 4), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_mem_register(NULL, a, 4), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_allreduce(r->comm, a, b, COUNT, FERRULE_FLOAT32, FERRULE_SUM));
	for (int i = 0; b && i < COUNT; i++)
		if (!t_check(r, b[i] == (float)(r->n * (r->n - 1) / 2 + r->n * (i % 7))))
			break;
	t_ok(r, ferrule_mem_deregister(r->comm, a));
	t_ok(r, ferrule_mem_deregister(r->comm, a));
	t_fails(r, ferrule_mem_deregister(r->comm, a), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_mem_deregister(r->comm, NULL));
	t_ok(r, ferrule_mem_deregister(r->comm, b));
	t_ok(r, ferrule_barrier(r->comm));
	free(a);
	free(b);
}

static void test_registered_memory(void)
{
	t_job(1, "shm", NULL, registered, NULL);
	t_job(2, "shm", NULL, registered, NULL);
	t_job(3, "tcp", NULL, registered, NULL);
}

/* ---- threads ---- */

struct helper {
	struct t_job_rank *r;
	_Atomic int seen;
};

/* Calls until the main thread's blocking call makes one fail, then lets that call end. */
static void *overlap(void *arg)
{
	struct helper *h = arg;
	const double deadline = t_now() + 20;
	struct ferrule_comm_stats stats = {.size = sizeof(stats)};

	while (t_now() < deadline)
		if (ferrule_comm_get_stats(h->r->comm, &stats) == FERRULE_ERR_BUSY) {
			t_says(h->r, "another thread is inside a call on this communicator");
			atomic_store(&h->seen, 1);
			break;
		}
	return NULL;
}

/* Rank 0 waits inside a barrier until rank 1, told through a pipe, comes. */
static void misuse(struct t_job_rank *r)
{
	const int *pipe_fds = r->arg;
	struct helper h = {.r = r};
	pthread_t thread;
	char go = 1;

	if (r->rank == 1) {
		t_check(r, read(pipe_fds[0], &go, 1) == 1);
		t_ok(r, ferrule_barrier(r->comm));
		return;
	}
	t_check(r, pthread_create(&thread, NULL, overlap, &h) == 0);
	/* The other thread may be inside when this one tries; that is BUSY here, then. */
	for (int waited = 0; !waited;) {
		ferrule_op_t op;
		const ferrule_status_t status = ferrule_barrier_start(r->comm, &op);

		if (status == FERRULE_ERR_BUSY)
			continue;
		t_ok(r, status);
		while (!atomic_load(&h.seen) && ferrule_op_test(op) != FERRULE_OK)
			;
		pthread_join(thread, NULL);
		t_check(r, write(pipe_fds[1], &go, 1) == 1);
		t_ok(r, ferrule_op_wait(op));
		t_ok(r, ferrule_op_destroy(op));
		waited = 1;
	}
	t_check(r, atomic_load(&h.seen));
}

static void test_overlapping_calls_are_noticed(void)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	t_job(2, "shm", NULL, misuse, fds);
	close(fds[0]);
	close(fds[1]);
}

static void *sum_many(void *arg)
{
	struct helper *h = arg;
	float x = 1, y;

	for (int i = 0; i < 50; i++) {
		t_ok(h->r, ferrule_allreduce(h->r->comm, &x, &y, 1, FERRULE_FLOAT32, FERRULE_SUM));
		t_check(h->r, y == (float)h->r->n);
	}
	return NULL;
}

/* With one lock, and calls that all look alike, any order among the threads is the same. */
static void serialised(struct t_job_rank *r)
{
	const struct ferrule_comm_options options = {.size = sizeof(options),
	                                             .thread_mode = FERRULE_THREAD_MULTIPLE};
	struct t_job_rank mine = *r;
	struct helper h = {.r = &mine};
	ferrule_unique_id_t id;
	pthread_t threads[3];

	if (r->rank == 0)
		t_ok(r, ferrule_unique_id_create(&id));
	t_ok(r, ferrule_broadcast(r->comm, &id, &id, sizeof(id), FERRULE_UINT8, 0));
	if (!t_ok(r, ferrule_comm_create(&id, r->rank, r->n, &options, &mine.comm)))
		return;
	for (int i = 0; i < 3; i++)
		t_check(r, pthread_create(&threads[i], NULL, sum_many, &h) == 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	r->failures = mine.failures;
	t_ok(r, ferrule_comm_finalize(mine.comm));
	ferrule_comm_destroy(mine.comm);
}

static void test_threads_that_take_turns(void)
{
	t_job(2, "shm", NULL, serialised, NULL);
	t_job(2, "tcp", NULL, serialised, NULL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"handles", test_handles},
		{"starting what runs", test_starting_what_runs},
		{"arguments", test_arguments},
		{"more shapes than are kept", test_more_shapes_than_are_kept},
		{"memory", test_memory},
		{"registered memory", test_registered_memory},
		{"overlapping calls are noticed", test_overlapping_calls_are_noticed},
		{"threads that take turns", test_threads_that_take_turns},
		{NULL, NULL},
	};

	return t_main("ops", cases);
}

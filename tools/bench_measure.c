/*
 * bench_measure.c - how long a call takes.
 *
 * Design notes.  Two clock reads cost as much as a small collective between two near cores, so
 * calls are timed in batches that last at least BATCH_US.  Every batch begins with an untimed
 * barrier.  A batch counts as long as on the slowest rank (or as -a says); of the batches the
 * median is reported, which one descheduled batch does not move.
 */
#include "tools/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH_US          100.0
#define MIN_BATCHES       10
#define MAX_CALLS_A_BATCH 100000
/* A point that takes longer shows on a terminal that it is being worked on, this often. */
#define PATIENCE_US 2e6
#define REFRESH_US  2e5

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

struct fr_coll_call fr_bench_call(const struct fr_bench *b, const struct fr_bench_case *what)
{
	const struct fr_coll *const coll = what->coll;
	struct fr_coll_call c = {.comm = b->comm,
	                         .send = b->send,
	                         .recv = b->recv,
	                         .count = what->count,
	                         .type = what->type,
	                         .op = what->op,
	                         .root = what->root};
	const bool is_root = b->rank == what->root;

	if (!what->is_in_place)
		return c;
	/* A rank that does not both send and receive has nothing to share. */
	if ((coll->send_at_root_only || coll->recv_at_root_only) && !is_root)
		return c;
	char *const own = (char *)b->recv + fr_coll_in_place_offset(coll, what->count, b->rank) *
	                                            ferrule_type_bytes(what->type);
	c.send = coll->send_shape == FR_SHAPE_ALL ? b->recv : own;
	c.recv = coll->recv_shape == FR_SHAPE_ALL ? b->recv : own;
	return c;
}

/* Writes every cache line again with what it holds, so that peers cannot read stale copies out of
 * their own caches. */
static void rewrite_send(const struct fr_bench *b, const struct fr_bench_case *what,
                         const struct fr_coll_call *c)
{
	const size_t bytes =
		ferrule_type_bytes(what->type) *
		fr_coll_send_count(what->coll, what->count, b->rank, b->n_ranks, what->root);
	/* c->send points into b->send or b->recv, which are ours to write. */
	volatile char *const send = (volatile char *)c->send;
	for (size_t i = 0; i < bytes; i += 64)
		send[i] = send[i];
}

static ferrule_status_t time_calls(const struct fr_bench *b, const struct fr_bench_case *what,
                                   int64_t n_calls, double *us_out)
{
	const struct fr_coll_call c = fr_bench_call(b, what);

	if (b->options->rewrite)
		rewrite_send(b, what, &c);
	ferrule_status_t status = ferrule_barrier(b->comm);
	if (status != FERRULE_OK)
		return status;
	const double begin = now_us();
	for (int64_t i = 0; i < n_calls; i++) {
		status = what->coll->call(&c);
		if (status != FERRULE_OK)
			return status;
	}
	*us_out = now_us() - begin;
	return FERRULE_OK;
}

/* How many calls make a batch long enough: the same answer on every rank. */
static ferrule_status_t calibrate(const struct fr_bench *b, const struct fr_bench_case *what,
                                  int64_t *n_calls_out)
{
	int64_t n_calls = 1;
	double us = 0;

	while (!b->options->rewrite && n_calls < MAX_CALLS_A_BATCH) {
		ferrule_status_t status = time_calls(b, what, n_calls, &us);
		if (status == FERRULE_OK)
			status = ferrule_allreduce(b->comm, &us, &us, 1, FERRULE_FLOAT64,
			                           FERRULE_MAX);
		if (status != FERRULE_OK)
			return status;
		if (us >= BATCH_US)
			break;
		/* Short runs are not to be trusted far. */
		const double grow = us > 0 ? 1.2 * BATCH_US / us : 16;
		n_calls = (int64_t)((double)n_calls * (grow < 2 ? 2 : grow > 16 ? 16 : grow));
	}
	*n_calls_out = n_calls < MAX_CALLS_A_BATCH ? n_calls : MAX_CALLS_A_BATCH;
	return FERRULE_OK;
}

static int64_t batch_count(int64_t iterations, int64_t calls_a_batch)
{
	const int64_t n = (iterations + calls_a_batch - 1) / calls_a_batch;
	const int64_t least = iterations < MIN_BATCHES ? iterations : MIN_BATCHES;
	return n < least ? least : n;
}

/* Where that would be too many batches, each has more calls. */
static int64_t lengthen(const struct fr_bench_options *o, int64_t calls_a_batch)
{
	const int64_t most = fr_bench_max_batches(o);

	if (batch_count(o->iterations, calls_a_batch) <= most)
		return calls_a_batch;
	return (o->iterations + most - 1) / most;
}

/* Of all ranks' times for each batch, what -a asks for. */
static ferrule_status_t combine_ranks(const struct fr_bench *b, size_t n)
{
	static const ferrule_redop_t ops[] = {[FR_AVERAGE_MEAN] = FERRULE_AVG,
	                                      [FR_AVERAGE_MIN] = FERRULE_MIN,
	                                      [FR_AVERAGE_MAX] = FERRULE_MAX};
	if (b->options->average == FR_AVERAGE_RANK0)
		return ferrule_broadcast(b->comm, b->samples, b->samples, n, FERRULE_FLOAT64, 0);
	return ferrule_allreduce(b->comm, b->samples, b->samples, n, FERRULE_FLOAT64,
	                         ops[b->options->average]);
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void summarise(const struct fr_bench *b, const struct fr_bench_case *what, size_t n,
                      struct fr_bench_result *result)
{
	double *const s = b->samples;

	qsort(s, n, sizeof(*s), compare_doubles);
	result->min_us = s[0];
	result->median_us = n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
	/* Bytes per microsecond are MB/s; a clock that did not move gives no bandwidth. */
	result->algbw = result->median_us > 0 ? (double)what->bytes / result->median_us * 1e-3 : 0;
	/* Of one rank nothing crosses any bus. */
	result->busbw = b->n_ranks > 1 ? result->algbw * what->coll->bus_factor(b->n_ranks) : 0;
}

/* Rank 0's line on a terminal, which the next result overwrites. */
struct progress {
	bool is_wanted, is_shown;
	double next_us; /* when it is due */
};

static void show_progress(struct progress *p, const struct fr_bench_case *what, int64_t i,
                          int64_t n)
{
	const double now = now_us();

	if (!p->is_wanted || now < p->next_us)
		return;
	p->next_us = now + REFRESH_US;
	fprintf(stderr, "\r# %s %zu bytes%s: %lld of %lld batches", what->coll->name, what->bytes,
	        what->is_in_place ? " in place" : "", (long long)i, (long long)n);
	fflush(stderr);
	p->is_shown = true;
}

static void clear_progress(const struct progress *p)
{
	if (p->is_shown)
		fprintf(stderr, "\r\033[K");
}

/* Reducing in place again and again would overflow: zeros stay zeros. */
static void prepare_in_place(const struct fr_bench *b, const struct fr_bench_case *what)
{
	if (what->is_in_place)
		memset(b->recv, 0, what->bytes);
}

static ferrule_status_t warm_up(const struct fr_bench *b, const struct fr_bench_case *what)
{
	const struct fr_coll_call c = fr_bench_call(b, what);
	ferrule_status_t status = FERRULE_OK;

	for (int64_t i = 0; i < b->options->warmup && status == FERRULE_OK; i++)
		status = what->coll->call(&c);
	return status;
}

ferrule_status_t fr_bench_measure(struct fr_bench *b, const struct fr_bench_case *what,
                                  struct fr_bench_result *result)
{
	struct progress progress = {.is_wanted = b->rank == 0 && isatty(STDERR_FILENO),
	                            .next_us = now_us() + PATIENCE_US};
	int64_t n_calls = 1;

	prepare_in_place(b, what);
	ferrule_status_t status = warm_up(b, what);
	if (status == FERRULE_OK)
		status = calibrate(b, what, &n_calls);
	n_calls = lengthen(b->options, n_calls);
	const int64_t n = batch_count(b->options->iterations, n_calls);
	for (int64_t i = 0; i < n && status == FERRULE_OK; i++) {
		double us = 0;
		status = time_calls(b, what, n_calls, &us);
		b->samples[i] = us / (double)n_calls;
		show_progress(&progress, what, i + 1, n);
	}
	clear_progress(&progress);
	if (status == FERRULE_OK)
		status = combine_ranks(b, (size_t)n);
	if (status == FERRULE_OK)
		summarise(b, what, (size_t)n, result);
	result->n_calls = n * n_calls;
	return status;
}

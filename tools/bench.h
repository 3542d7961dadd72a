/*
 * bench.h - `ferrule bench`: what its files share.
 *
 * A run walks over collectives, types, operators and sizes; for each combination, out of place
 * and in place, it measures a point (bench_measure.c), verifies it (bench_verify.c) and reports
 * it (bench_report.c, on rank 0).
 */
#ifndef FR_BENCH_H
#define FR_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include <ferrule/ferrule.h>

#include "tools/coll_table.h"

/* Which of the ranks' times counts: nccl-tests' numbers for -a. */
enum fr_bench_average {
	FR_AVERAGE_RANK0 = 0,
	FR_AVERAGE_MEAN = 1,
	FR_AVERAGE_MIN = 2,
	FR_AVERAGE_MAX = 3,
};

struct fr_bench_options {
	uint64_t min_bytes, max_bytes, step_bytes;
	int64_t step_factor;
	int64_t iterations, warmup, checks;
	int64_t average;
	int64_t root;
	int64_t own_ranks; /* -N; 0: the environment says who we are */
	const char *type, *op;
	const char *memory, *transport;
	const char *plot;
	bool rewrite, json;
	const char *collective;
};

/* What is measured. */
struct fr_bench_case {
	const struct fr_coll *coll;
	ferrule_type_t type;
	ferrule_redop_t op;
	int root;
	size_t count, bytes;
	bool is_in_place;
};

/* What came out, the same on every rank. */
struct fr_bench_result {
	double min_us, median_us;
	double algbw, busbw; /* GB/s, of 10^9 bytes */
	int64_t n_calls;     /* that were timed */
	uint64_t n_wrong;    /* over all ranks and checks */
};

struct fr_bench {
	const struct fr_bench_options *options;
	ferrule_comm_t comm;
	int rank, n_ranks;
	size_t buffer_bytes; /* of each */
	void *send, *recv;
	double *samples; /* fr_bench_max_batches() of them */
};
/* Most batches of a point: more calls make longer batches, but for --rewrite, which times every
 * call by itself. */
#define FR_BENCH_MAX_BATCHES  1000
#define FR_BENCH_MAX_REWRITES 10000000
static inline int64_t fr_bench_max_batches(const struct fr_bench_options *o)
{
	return o->rewrite && o->iterations > FR_BENCH_MAX_BATCHES ? o->iterations
	                                                          : FR_BENCH_MAX_BATCHES;
}

/* fr_bench_measure - times the case; fills in all but n_wrong.  Collective. */
ferrule_status_t fr_bench_measure(struct fr_bench *b, const struct fr_bench_case *what,
                                  struct fr_bench_result *result);
/* fr_bench_verify - runs the case on known data, options->checks times; fills in n_wrong.
 * Collective. */
ferrule_status_t fr_bench_verify(struct fr_bench *b, const struct fr_bench_case *what,
                                 struct fr_bench_result *result);

/* fr_bench_call - the arguments of the case on this rank. */
struct fr_coll_call fr_bench_call(const struct fr_bench *b, const struct fr_bench_case *what);

/* fr_bench_run - the whole benchmark, as one rank of whatever job this process belongs to; returns
 * the exit status. */
int fr_bench_run(const struct fr_bench_options *options);

#endif

/* bench_report.h - what is printed: nccl-tests' table, or JSON.  Only rank 0 is not silent. */
#ifndef FR_BENCH_REPORT_H
#define FR_BENCH_REPORT_H

#include "tools/bench.h"

/* What all points have in common. */
struct fr_bench_report {
	const struct fr_bench_options *options;
	bool is_silent; /* this is not rank 0 */
	int n_ranks, n_hosts;
	char transports[64]; /* "shm", "shm+tcp" */
	char joins[480];     /* "shm to ranks 1-3, tcp to ranks 4-7" */
	/* For the lines at the end of a table. */
	uint64_t n_wrong;
	double busbw_sum;
	int n_busbw;
};

/* fr_report_job - collective: learns who takes part and prints it. */
ferrule_status_t fr_report_job(struct fr_bench_report *r, const struct fr_bench *b);
/* fr_report_begin, _end - around the rows of one collective. */
void fr_report_begin(struct fr_bench_report *r, const struct fr_coll *coll);
void fr_report_end(struct fr_bench_report *r);
/* fr_report_row - one size; in_place is NULL where there is no such thing. */
void fr_report_row(struct fr_bench_report *r, const struct fr_bench_case *what,
                   const struct fr_bench_result *out_of_place,
                   const struct fr_bench_result *in_place);

#endif

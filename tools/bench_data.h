/*
 * bench_data.h - inputs whose results are exact, and the results they must have.
 *
 * Every element is a pure function of (rank, index, repetition), so any rank can compute what
 * every rank sent and needs no help from the library under test.  For reductions the values are
 * chosen so that every partial result, in whatever order ranks are combined, is exact in the
 * element type; then there is one right answer and it is compared bit for bit:
 *   integers       any bits: sums and products wrap, in any order
 *   floats, sum    small integers times one power of two an element, whose absolute values add up
 *                  to no more than the integers that the type holds exactly
 *   floats, prod   signed powers of two, and one rank with a full significand
 *   floats, avg    the sum is a multiple of the number of ranks wherever the type can hold such
 *                  sums; elsewhere, and for double, the result may be off by one in the last place
 * Without a reduction the values are arbitrary bytes.
 */
#ifndef FR_BENCH_DATA_H
#define FR_BENCH_DATA_H

#include <stddef.h>
#include <stdint.h>

#include <ferrule/types.h>

/* One reduction's, or movement's, data. */
struct fr_bench_data {
	ferrule_type_t type;
	ferrule_redop_t op;
	int n_ranks;
	uint64_t repetition; /* different data for each */
};

/* fr_bench_fill - input of `rank`: elements [first, first + count) of its send buffer. */
void fr_bench_fill(const struct fr_bench_data *d, int rank, uint64_t first, size_t count,
                   void *out);
/* fr_bench_fill_bytes - the same for movement without arithmetic: arbitrary bits. */
void fr_bench_fill_bytes(const struct fr_bench_data *d, int rank, uint64_t first, size_t count,
                         void *out);

/* fr_bench_check_reduced - how many of got[0 .. count) are not the reduction over all ranks of
 * the elements [first, first + count). */
size_t fr_bench_check_reduced(const struct fr_bench_data *d, uint64_t first, size_t count,
                              const void *got);
/* fr_bench_check_bytes - how many are not what fr_bench_fill_bytes() makes for `rank`. */
size_t fr_bench_check_bytes(const struct fr_bench_data *d, int rank, uint64_t first, size_t count,
                            const void *got);

#endif

/* The bench's oracle against the reference kernels: any order of combining gives its answer. */
#include "config.h"

#include "tools/bench_data.h"

#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "kernels/kernels.h"
#include "tests/support/t_main.h"

#define COUNT     500
#define MAX_RANKS 40

static unsigned char inputs[MAX_RANKS][COUNT * 8];
static unsigned char result[COUNT * 8];

static const int rank_counts[] = {1, 2, 3, 4, 5, 8, 9, 17, 40};
#define N_RANK_COUNTS (sizeof(rank_counts) / sizeof(rank_counts[0]))

/* Combines all inputs, beginning with rank `begin` and going round. */
static void reduce_from(const struct fr_bench_data *d, int begin)
{
	const struct fr_kernel *const kernel = fr_kernel_get(d->type, d->op);
	const int n = d->n_ranks;

	memcpy(result, inputs[begin], COUNT * ferrule_type_bytes(d->type));
	for (int i = 1; i < n; i++)
		kernel->reduce[0](result, result, inputs[(begin + i) % n], COUNT);
	if (d->op == FERRULE_AVG)
		fr_kernel_scale(d->type)(result, result, 1.0 / n, COUNT);
}

static void check_case(const struct fr_bench_data *d)
{
	for (int rank = 0; rank < d->n_ranks; rank++)
		fr_bench_fill(d, rank, 1000, COUNT, inputs[rank]);
	for (int begin = 0; begin < d->n_ranks; begin += 1 + d->n_ranks / 3) {
		reduce_from(d, begin);
		const size_t n_wrong = fr_bench_check_reduced(d, 1000, COUNT, result);
		if (n_wrong)
			printf("%s %s, %d ranks from %d: %zu wrong\n", ferrule_type_name(d->type),
			       ferrule_redop_name(d->op), d->n_ranks, begin, n_wrong);
		CU_ASSERT_EQUAL(n_wrong, 0);
	}
}

static void test_any_order_gives_the_expected_bits(void)
{
	fr_kernel_use_isa("reference");
	for (int t = 0; t < FERRULE_N_TYPES; t++) {
		for (ferrule_redop_t op = 0; op < FERRULE_N_REDOPS; op++) {
			for (size_t k = 0; k < N_RANK_COUNTS; k++) {
				const struct fr_bench_data d = {.type = (ferrule_type_t)t,
				                                .op = op,
				                                .n_ranks = rank_counts[k],
				                                .repetition = k};
				check_case(&d);
			}
		}
	}
}

static void test_one_flipped_bit_is_found_in_every_type(void)
{
	for (int t = 0; t < FERRULE_N_TYPES; t++) {
		const struct fr_bench_data d = {
			.type = (ferrule_type_t)t, .op = FERRULE_SUM, .n_ranks = 1};
		fr_bench_fill(&d, 0, 0, COUNT, result);
		CU_ASSERT_EQUAL(fr_bench_check_reduced(&d, 0, COUNT, result), 0);
		result[ferrule_type_bytes(d.type) * (COUNT - 1)] ^= 1;
		CU_ASSERT_EQUAL(fr_bench_check_reduced(&d, 0, COUNT, result), 1);
	}
}

static void test_a_result_moved_by_one_element_is_found(void)
{
	const struct fr_bench_data d = {.type = FERRULE_FLOAT32, .op = FERRULE_SUM, .n_ranks = 3};
	for (int rank = 0; rank < 3; rank++)
		fr_bench_fill(&d, rank, 0, COUNT, inputs[rank]);
	reduce_from(&d, 0);
	CU_ASSERT(fr_bench_check_reduced(&d, 1, COUNT, result) > COUNT * 9 / 10);
}

static void test_data_differ_between_ranks_and_repetitions(void)
{
	struct fr_bench_data d = {.type = FERRULE_UINT8, .op = FERRULE_SUM, .n_ranks = 2};
	fr_bench_fill_bytes(&d, 0, 0, COUNT, inputs[0]);
	CU_ASSERT_EQUAL(fr_bench_check_bytes(&d, 0, 0, COUNT, inputs[0]), 0);
	CU_ASSERT(fr_bench_check_bytes(&d, 1, 0, COUNT, inputs[0]) > COUNT / 2);
	d.repetition = 1;
	CU_ASSERT(fr_bench_check_bytes(&d, 0, 0, COUNT, inputs[0]) > COUNT / 2);
}

static const struct t_case cases[] = {
	{"any order gives the expected bits", test_any_order_gives_the_expected_bits},
	{"one flipped bit is found in every type", test_one_flipped_bit_is_found_in_every_type},
	{"a result moved by one element is found", test_a_result_moved_by_one_element_is_found},
	{"data differ between ranks and repetitions",
         test_data_differ_between_ranks_and_repetitions},
	{NULL, NULL},
};

int main(void)
{
	return t_main("bench_data", cases);
}

/* The vector kernels give the reference's bits: every type, operator, variant, alignment,
 * count and allowed overlap. */
#include "config.h"

#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/t_kernels.h"
#include "tests/support/t_main.h"

#define MAX_SOURCES 9
#define N_OPS       4
#define ROOM        (70000 * 8)

/* What dst is. */
enum overlap { APART, IS_A, IS_B, N_OVERLAPS };

/* Memory of all cases of one test, and what is being compared. */
struct bench {
	const char *isa;
	ferrule_type_t type;
	int op;
	const struct fr_kernel *reference, *kernel;
	struct t_area src[MAX_SOURCES], dst, dst2;
	unsigned char *want;
	uint64_t random;
	unsigned long n_cases;
};

static void bench_init(struct bench *b, const char *isa, uint64_t seed)
{
	*b = (struct bench){.isa = isa, .random = seed, .want = malloc(ROOM)};
	for (int s = 0; s < MAX_SOURCES; s++)
		t_area_init(&b->src[s], ROOM);
	t_area_init(&b->dst, ROOM);
	t_area_init(&b->dst2, ROOM);
}

static void bench_fini(struct bench *b)
{
	for (int s = 0; s < MAX_SOURCES; s++)
		t_area_fini(&b->src[s]);
	t_area_fini(&b->dst);
	t_area_fini(&b->dst2);
	free(b->want);
	fr_kernel_use_isa("auto");
}

static void bench_choose(struct bench *b, ferrule_type_t type, int op)
{
	b->type = type;
	b->op = op;
	fr_kernel_use_isa("reference");
	b->reference = fr_kernel_get(type, op);
	fr_kernel_use_isa(b->isa);
	b->kernel = fr_kernel_get(type, op);
}

/* Mostly whole elements from a line, sometimes any byte. */
static size_t random_offset(struct bench *b)
{
	const size_t unit = t_random(&b->random) % 8 == 0 ? 1 : ferrule_type_bytes(b->type);
	return t_random(&b->random) % (64 / unit) * unit;
}

static void place_sources(struct bench *b, int n_src, size_t count)
{
	for (int s = 0; s < n_src; s++) {
		void *p = t_area_place(&b->src[s], random_offset(b),
		                       count * ferrule_type_bytes(b->type));
		t_fill_elements(b->type, p, count, &b->random);
	}
}

static void fail(const struct bench *b, const char *what, size_t count)
{
	static char text[160];
	snprintf(text, sizeof text, "%s %s %s, count %zu: %s", b->isa, ferrule_type_name(b->type),
	         ferrule_redop_name(b->op), count, what);
	CU_FAIL(text);
	printf("    %s\n", text);
}

/* Compares one destination; `area` may be a source. */
static void check_result(const struct bench *b, const struct t_area *area, const char *what,
                         size_t count)
{
	if (memcmp(area->data, b->want, area->bytes) != 0 || !t_area_is_intact(area))
		fail(b, what, count);
}

static struct t_area *choose_dst(struct bench *b, struct t_area *apart, enum overlap overlap,
                                 size_t count)
{
	if (overlap != APART)
		return &b->src[overlap == IS_A ? 0 : 1];
	t_area_place(apart, random_offset(b), count * ferrule_type_bytes(b->type));
	return apart;
}

static void try_reduce(struct bench *b, size_t count, int stream, enum overlap overlap)
{
	place_sources(b, 2, count);
	b->reference->reduce[0](b->want, b->src[0].data, b->src[1].data, count);
	struct t_area *dst = choose_dst(b, &b->dst, overlap, count);
	b->kernel->reduce[stream](dst->data, b->src[0].data, b->src[1].data, count);
	fr_stream_fence();
	check_result(b, dst, stream ? "reduce, streamed" : "reduce", count);
	b->n_cases++;
}

static void try_reduce2(struct bench *b, size_t count, int stream, enum overlap overlap,
                        enum overlap overlap2)
{
	place_sources(b, 2, count);
	b->reference->reduce[0](b->want, b->src[0].data, b->src[1].data, count);
	struct t_area *dst = choose_dst(b, &b->dst, overlap, count);
	struct t_area *dst2 = choose_dst(b, &b->dst2, overlap2, count);
	b->kernel->reduce2[stream](dst->data, dst2->data, b->src[0].data, b->src[1].data, count);
	fr_stream_fence();
	check_result(b, dst, "reduce2, dst", count);
	check_result(b, dst2, "reduce2, dst2", count);
	b->n_cases++;
}

/* `into`: the source that is the destination too, or -1. */
static void try_fold(struct bench *b, size_t count, int n_src, int into)
{
	const void *src[MAX_SOURCES];

	place_sources(b, n_src, count);
	for (int s = 0; s < n_src; s++)
		src[s] = b->src[s].data;
	b->reference->fold(b->want, src, n_src, count);
	struct t_area *dst = into >= 0 ? &b->src[into] : choose_dst(b, &b->dst, APART, count);
	b->kernel->fold(dst->data, src, n_src, count);
	check_result(b, dst, "fold", count);
	b->n_cases++;
}

static void try_all(struct bench *b, size_t count)
{
	for (int overlap = APART; overlap < N_OVERLAPS; overlap++) {
		for (int stream = 0; stream < 2; stream++)
			try_reduce(b, count, stream, (enum overlap)overlap);
		for (int i = 0; i < N_OVERLAPS * FR_N_STREAMS; i++)
			try_reduce2(b, count, i % FR_N_STREAMS, (enum overlap)overlap,
			            (enum overlap)(i / FR_N_STREAMS));
	}
	const int n_src = 1 + (int)(t_random(&b->random) % MAX_SOURCES);
	try_fold(b, count, n_src, -1);
	try_fold(b, count, n_src, (int)(t_random(&b->random) % (unsigned)n_src));
}

typedef void isa_test_fn(struct bench *b);

/* Runs `test` for every vector instruction set of this machine. */
static void for_each_isa(const char *name, isa_test_fn *test)
{
	const uint64_t seed = t_seed(name);
	bool any = false;

	for (int i = 0; t_vector_isas[i] != NULL; i++) {
		struct bench b;
		if (!fr_kernel_use_isa(t_vector_isas[i])) {
			printf("%s: not on this machine\n", t_vector_isas[i]);
			continue;
		}
		any = true;
		bench_init(&b, t_vector_isas[i], seed);
		test(&b);
		CU_ASSERT(b.n_cases > 0);
		bench_fini(&b);
	}
	if (!any)
		t_skip("this machine has neither AVX2 nor AVX-512, or they were not built");
}

static void every_small_count(struct bench *b)
{
	for (int type = 0; type < FERRULE_N_TYPES; type++) {
		for (int op = 0; op < N_OPS; op++) {
			bench_choose(b, (ferrule_type_t)type, op);
			for (size_t count = 0; count <= 130; count++)
				try_all(b, count);
		}
	}
}

static void test_every_small_count(void)
{
	for_each_isa("every small count", every_small_count);
}

static void large_odd_counts(struct bench *b)
{
	static const size_t counts[] = {257, 515, 1031, 4099, 16411, 65537};

	for (int type = 0; type < FERRULE_N_TYPES; type++) {
		for (int op = 0; op < N_OPS; op++) {
			bench_choose(b, (ferrule_type_t)type, op);
			for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
				const uint64_t overlaps = t_random(&b->random);
				const enum overlap overlap = (enum overlap)(overlaps % N_OVERLAPS);
				try_reduce(b, counts[i], (int)i % 2, overlap);
				try_reduce2(b, counts[i], (int)(i % FR_N_STREAMS), overlap,
				            (enum overlap)(overlaps / N_OVERLAPS % N_OVERLAPS));
				try_fold(b, counts[i], 2 + (int)i, -1);
			}
		}
	}
}

static void test_large_odd_counts(void)
{
	for_each_isa("large odd counts", large_odd_counts);
}

static void every_alignment(struct bench *b)
{
	static const size_t bytes[] = {24, 136, 808};

	for (int type = 0; type < FERRULE_N_TYPES; type++) {
		const size_t unit = ferrule_type_bytes((ferrule_type_t)type);
		bench_choose(b, (ferrule_type_t)type, FERRULE_SUM);
		for (size_t i = 0; i < 64 * 64 * 3; i++) {
			const size_t count = bytes[i / 4096] / unit;
			place_sources(b, 2, count);
			b->reference->reduce[0](b->want, b->src[0].data, b->src[1].data, count);
			t_area_place(&b->dst, i % 64, count * unit);
			t_area_place(&b->dst2, i / 64 % 64, count * unit);
			b->kernel->reduce2[i % 7 % 4](b->dst.data, b->dst2.data, b->src[0].data,
			                              b->src[1].data, count);
			fr_stream_fence();
			check_result(b, &b->dst, "alignment of dst", count);
			check_result(b, &b->dst2, "alignment of dst2", count);
			b->n_cases++;
		}
	}
}

static void test_every_alignment(void)
{
	for_each_isa("every alignment", every_alignment);
}

/* All bit patterns of a 16- or 8-bit type against `n_partners` others: all 256 of fp8. */
static void all_patterns(struct bench *b, ferrule_type_t type, size_t n_partners)
{
	const size_t bytes = ferrule_type_bytes(type);
	const size_t n_patterns = (size_t)1 << (8 * bytes);

	for (int op = 0; op < N_OPS; op++) {
		bench_choose(b, type, op);
		for (size_t k = 0; k < n_partners; k++) {
			char *x = t_area_place(&b->src[0], 0, n_patterns * bytes);
			char *y = t_area_place(&b->src[1], 0, n_patterns * bytes);
			t_area_place(&b->dst, 0, n_patterns * bytes);
			uint64_t partner = k;
			if (bytes == 2)
				t_fill_elements(type, &partner, 1, &b->random);
			for (size_t i = 0; i < n_patterns; i++) {
				memcpy(x + i * bytes, k % 2 ? &i : &partner, bytes);
				memcpy(y + i * bytes, k % 2 ? &partner : &i, bytes);
			}
			b->reference->reduce[0](b->want, x, y, n_patterns);
			b->kernel->reduce[0](b->dst.data, x, y, n_patterns);
			check_result(b, &b->dst, "all patterns", n_patterns);
			b->n_cases++;
		}
	}
}

static void every_pattern_of_small_floats(struct bench *b)
{
	all_patterns(b, FERRULE_FP8_E4M3, 256);
	all_patterns(b, FERRULE_FP8_E5M2, 256);
	all_patterns(b, FERRULE_FLOAT16, 40);
	all_patterns(b, FERRULE_BFLOAT16, 40);
}

static void test_every_pattern_of_small_floats(void)
{
	for_each_isa("every pattern of small floats", every_pattern_of_small_floats);
}

static void fold_of_two_is_reduce(struct bench *b)
{
	for (int type = 0; type < FERRULE_N_TYPES; type++) {
		for (int op = 0; op < N_OPS; op++) {
			const size_t count = 517;
			bench_choose(b, (ferrule_type_t)type, op);
			place_sources(b, 2, count);
			const void *src[2] = {b->src[0].data, b->src[1].data};
			b->kernel->reduce[0](b->want, src[0], src[1], count);
			t_area_place(&b->dst, 0, count * ferrule_type_bytes(b->type));
			b->kernel->fold(b->dst.data, src, 2, count);
			check_result(b, &b->dst, "fold of two", count);
			b->n_cases++;
		}
	}
}

static void test_fold_of_two_is_reduce(void)
{
	for_each_isa("fold of two", fold_of_two_is_reduce);
}

static void test_use_isa(void)
{
	CU_ASSERT(fr_kernel_use_isa("reference"));
	CU_ASSERT_STRING_EQUAL(fr_kernel_isa(), "reference");
	CU_ASSERT(!fr_kernel_use_isa("sse9"));
	CU_ASSERT(!fr_kernel_use_isa(""));
	CU_ASSERT_STRING_EQUAL(fr_kernel_isa(), "reference");
	CU_ASSERT(fr_kernel_use_isa("auto"));
	printf("auto is %s\n", fr_kernel_isa());
	for (int i = 0; t_vector_isas[i] != NULL; i++) {
		if (!fr_kernel_use_isa(t_vector_isas[i]))
			continue;
		CU_ASSERT_STRING_EQUAL(fr_kernel_isa(), t_vector_isas[i]);
	}
	fr_kernel_use_isa("auto");
}

static void test_every_kernel_is_there(void)
{
	for (int type = 0; type < FERRULE_N_TYPES; type++) {
		for (int op = 0; op < FERRULE_N_REDOPS; op++) {
			const struct fr_kernel *k = fr_kernel_get((ferrule_type_t)type, op);
			for (int stream = 0; stream < FR_N_STREAMS; stream++)
				CU_ASSERT(k->reduce2[stream] != NULL);
			CU_ASSERT(k->reduce[0] != NULL && k->reduce[1] != NULL && k->fold != NULL);
		}
		CU_ASSERT(fr_kernel_scale((ferrule_type_t)type) != NULL);
		CU_ASSERT(fr_kernel_get((ferrule_type_t)type, FERRULE_AVG) ==
		          fr_kernel_get((ferrule_type_t)type, FERRULE_SUM));
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"use isa", test_use_isa},
		{"every kernel is there", test_every_kernel_is_there},
		{"every small count", test_every_small_count},
		{"large odd counts", test_large_odd_counts},
		{"every alignment", test_every_alignment},
		{"every pattern of small floats", test_every_pattern_of_small_floats},
		{"fold of two is reduce", test_fold_of_two_is_reduce},
		{NULL, NULL},
	};
	return t_main("kernels", cases);
}

/*
 * The reference kernels against definitions that share nothing with them: small floats are
 * decoded with ldexp and rounded by searching the nearest number of the format; whole
 * numbers are computed in plain C.
 */
#include "config.h"

#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/small_float.h"
#include "tests/kernels/t_kernels.h"
#include "tests/support/t_main.h"

struct format {
	ferrule_type_t type;
	int bits, mantissa_bits, bias;
	unsigned last_finite, overflowed, nan;
	bool has_infinity;
	double *values; /* of the codes 0 .. last_finite */
};

#define N_FORMATS 4
static const struct format formats[N_FORMATS] = {
	{FERRULE_FLOAT16, 16, 10, 15, 0x7bff, 0x7c00, 0x7e00, true, NULL},
	{FERRULE_BFLOAT16, 16, 7, 127, 0x7f7f, 0x7f80, 0x7fc0, true, NULL},
	{FERRULE_FP8_E4M3, 8, 3, 7, 0x7e, 0x7e, 0x7f, false, NULL},
	{FERRULE_FP8_E5M2, 8, 2, 15, 0x7b, 0x7c, 0x7e, true, NULL},
};

static double decode(const struct format *f, unsigned code)
{
	const unsigned sign_bit = 1u << (f->bits - 1);
	const unsigned magnitude = code & (sign_bit - 1);
	const int exponent = (int)(magnitude >> f->mantissa_bits);
	const unsigned mantissa = magnitude & ((1u << f->mantissa_bits) - 1);
	double x;

	if (magnitude > f->last_finite)
		x = f->has_infinity && magnitude == f->last_finite + 1 ? INFINITY : NAN;
	else if (exponent == 0)
		x = ldexp(mantissa, 1 - f->bias - f->mantissa_bits);
	else
		x = ldexp(mantissa + (1u << f->mantissa_bits),
		          exponent - f->bias - f->mantissa_bits);
	return code & sign_bit ? -x : x;
}

static struct format open_format(int i)
{
	struct format f = formats[i];

	f.values = malloc((f.last_finite + 1) * sizeof *f.values);
	for (unsigned code = 0; code <= f.last_finite; code++)
		f.values[code] = decode(&f, code);
	return f;
}

/* The nearest code; of two that are as near, the even one. */
static unsigned nearest(const struct format *f, double x)
{
	const unsigned sign = signbit(x) ? 1u << (f->bits - 1) : 0;
	const double magnitude = fabs(x);
	unsigned low = 0, high = f->last_finite;

	if (isnan(x))
		return f->nan;
	const double last_step = f->values[high] - f->values[high - 1];
	const double end = f->values[high] + last_step / 2;
	if (magnitude > end || (magnitude == end && high % 2 != 0))
		return sign | f->overflowed;
	while (high - low > 1) {
		const unsigned middle = (low + high) / 2;
		if (f->values[middle] <= magnitude)
			low = middle;
		else
			high = middle;
	}
	const double below = magnitude - f->values[low], above = f->values[high] - magnitude;
	if (below == above)
		return sign | (low % 2 == 0 ? low : high);
	return sign | (below < above ? low : high);
}

static float combine_float(int op, float x, float y)
{
	switch (op) {
	case FERRULE_SUM:
		return x + y;
	case FERRULE_PROD:
		return x * y;
	default:
		if (isnan(x) || isnan(y))
			return NAN;
		if (x == y && signbit(x) != signbit(y))
			return op == FERRULE_MIN ? -0.0f : 0.0f;
		return (op == FERRULE_MIN ? x < y : x > y) ? x : y;
	}
}

/* All codes of the format combined with one. */
static unsigned long wrong_with_partner(const struct format *f, int op, unsigned partner)
{
	const struct fr_kernel *k = fr_kernel_get(f->type, op);
	const unsigned n_codes = 1u << f->bits;
	const float y = (float)decode(f, partner);
	unsigned long n_wrong = 0;

	for (unsigned code = 0; code < n_codes; code++) {
		unsigned got = 0;
		k->reduce[0](&got, &code, &partner, 1);
		const unsigned want = nearest(f, combine_float(op, (float)decode(f, code), y));
		n_wrong += got != want;
	}
	if (n_wrong != 0)
		printf("    %s %s: %lu results with %#x are wrong\n", ferrule_type_name(f->type),
		       ferrule_redop_name(op), n_wrong, partner);
	return n_wrong;
}

static void test_small_floats_round_to_nearest_even(void)
{
	uint64_t random = t_seed("small floats");

	fr_kernel_use_isa("reference");
	for (int i = 0; i < N_FORMATS; i++) {
		struct format f = open_format(i);
		const unsigned n_partners = f.bits == 8 ? 256 : 8;
		for (int op = FERRULE_SUM; op <= FERRULE_MAX; op++) {
			for (unsigned p = 0; p < n_partners; p++) {
				unsigned partner = p;
				if (f.bits == 16)
					t_fill_elements(f.type, &partner, 1, &random);
				CU_ASSERT_EQUAL(wrong_with_partner(&f, op, partner), 0);
			}
		}
		free(f.values);
	}
}

static unsigned narrow(ferrule_type_t type, float x)
{
	switch (type) {
	case FERRULE_FLOAT16:
		return fr_small_from_float(FR_FORMAT_HALF, x);
	case FERRULE_BFLOAT16:
		return fr_bfloat16_from_float(x);
	case FERRULE_FP8_E4M3:
		return fr_small_from_float(FR_FORMAT_E4M3, x);
	default:
		return fr_small_from_float(FR_FORMAT_E5M2, x);
	}
}

/* Every code, every midpoint between two codes, and the float32 numbers on both sides. */
static void test_narrowing_at_every_midpoint(void)
{
	for (int i = 0; i < N_FORMATS; i++) {
		struct format f = open_format(i);
		unsigned long n_wrong = 0;
		for (unsigned code = 0; code < f.last_finite; code++) {
			const float middle = (float)((f.values[code] + f.values[code + 1]) / 2);
			const float tries[] = {(float)f.values[code], middle, nextafterf(middle, 0),
			                       nextafterf(middle, INFINITY), -middle};
			for (int k = 0; k < 5; k++)
				n_wrong +=
					narrow(f.type, tries[k]) != nearest(&f, (double)tries[k]);
		}
		CU_ASSERT_EQUAL(n_wrong, 0);
		free(f.values);
	}
}

static void test_narrowing_of_any_float(void)
{
	uint64_t random = t_seed("any float");

	for (int i = 0; i < N_FORMATS; i++) {
		struct format f = open_format(i);
		unsigned long n_wrong = 0;
		for (int k = 0; k < 200000; k++) {
			float x;
			t_fill_elements(FERRULE_FLOAT32, &x, 1, &random);
			n_wrong += narrow(f.type, x) != nearest(&f, (double)x);
		}
		CU_ASSERT_EQUAL(n_wrong, 0);
		free(f.values);
	}
}

static void test_limits_of_small_floats(void)
{
	CU_ASSERT_EQUAL(narrow(FERRULE_FP8_E4M3, 448.0f), 0x7e);
	CU_ASSERT_EQUAL(narrow(FERRULE_FP8_E4M3, 1e30f), 0x7e);
	CU_ASSERT_EQUAL(narrow(FERRULE_FP8_E4M3, -INFINITY), 0xfe);
	CU_ASSERT_EQUAL(narrow(FERRULE_FP8_E4M3, NAN), 0x7f);
	CU_ASSERT_EQUAL(narrow(FERRULE_FP8_E5M2, 57344.0f), 0x7b);
	CU_ASSERT_EQUAL(narrow(FERRULE_FP8_E5M2, 61440.0f), 0x7c);
	CU_ASSERT_EQUAL(narrow(FERRULE_FP8_E5M2, -INFINITY), 0xfc);
	CU_ASSERT_EQUAL(narrow(FERRULE_FLOAT16, 65519.0f), 0x7bff);
	CU_ASSERT_EQUAL(narrow(FERRULE_FLOAT16, 65520.0f), 0x7c00);
	CU_ASSERT_EQUAL(narrow(FERRULE_FLOAT16, 5.9604645e-8f), 1);
	CU_ASSERT_EQUAL(narrow(FERRULE_BFLOAT16, 3.4028235e38f), 0x7f80);
	CU_ASSERT_EQUAL(narrow(FERRULE_BFLOAT16, -NAN), 0x7fc0);
}

static uint64_t bits_of(double x)
{
	uint64_t bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static double reduce_double(int op, double x, double y)
{
	double result;
	fr_kernel_get(FERRULE_FLOAT64, op)->reduce[0](&result, &x, &y, 1);
	return result;
}

static float reduce_float(int op, float x, float y)
{
	float result;
	fr_kernel_get(FERRULE_FLOAT32, op)->reduce[0](&result, &x, &y, 1);
	return result;
}

static void test_special_values_of_float_and_double(void)
{
	static const int ops[] = {FERRULE_SUM, FERRULE_PROD, FERRULE_MIN, FERRULE_MAX};
	const uint64_t nan64 = UINT64_C(0x7ff8000000000000);

	fr_kernel_use_isa("reference");
	for (int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(bits_of(reduce_double(ops[i], -NAN, 1.0)), nan64);
		CU_ASSERT_EQUAL(bits_of(reduce_double(ops[i], 1.0, -NAN)), nan64);
		CU_ASSERT_EQUAL(fr_float_bits(reduce_float(ops[i], -NAN, 1.0f)), 0x7fc00000u);
		CU_ASSERT_EQUAL(fr_float_bits(reduce_float(ops[i], 1.0f, -NAN)), 0x7fc00000u);
	}
	CU_ASSERT_EQUAL(bits_of(reduce_double(FERRULE_SUM, INFINITY, -INFINITY)), nan64);
	CU_ASSERT_EQUAL(bits_of(reduce_double(FERRULE_PROD, INFINITY, 0.0)), nan64);
	CU_ASSERT_EQUAL(bits_of(reduce_double(FERRULE_MIN, 0.0, -0.0)), bits_of(-0.0));
	CU_ASSERT_EQUAL(bits_of(reduce_double(FERRULE_MIN, -0.0, 0.0)), bits_of(-0.0));
	CU_ASSERT_EQUAL(bits_of(reduce_double(FERRULE_MAX, 0.0, -0.0)), bits_of(0.0));
	CU_ASSERT_EQUAL(bits_of(reduce_double(FERRULE_MAX, -0.0, 0.0)), bits_of(0.0));
	CU_ASSERT(reduce_double(FERRULE_MIN, -INFINITY, 3.0) == (double)-INFINITY);
	CU_ASSERT(reduce_double(FERRULE_SUM, 1.0, 0x1p-53) == 1.0);
	CU_ASSERT(reduce_float(FERRULE_MAX, -2.0f, -3.0f) == -2.0f);
	CU_ASSERT(reduce_float(FERRULE_PROD, 1e-30f, 1e-10f) == 1e-30f * 1e-10f);
}

#define N_WHOLE 2000
#define CHECK_WHOLE(ctype, wide)                                                                \
	static void check_##ctype(int op, const void *a, const void *b, const void *got)        \
	{                                                                                       \
		const ctype *x = a, *y = b, *r = got;                                           \
		for (int i = 0; i < N_WHOLE; i++)                                               \
			CU_ASSERT_EQUAL(r[i], (ctype)whole_##wide(op, (wide)x[i], (wide)y[i])); \
	}

/* Wrapping: computed without sign where the type has one, as C's signed overflow is undefined. */
#define DEFINE_WHOLE(wide)                                                            \
	static wide whole_##wide(int op, wide x, wide y)                              \
	{                                                                             \
		if (op == FERRULE_SUM || op == FERRULE_PROD)                          \
			return (wide)(op == FERRULE_SUM ? (uint64_t)x + (uint64_t)y   \
			                                : (uint64_t)x * (uint64_t)y); \
		return (op == FERRULE_MIN ? x < y : x > y) ? x : y;                   \
	}
DEFINE_WHOLE(int64_t)
DEFINE_WHOLE(uint64_t)
CHECK_WHOLE(int8_t, int64_t)
CHECK_WHOLE(uint8_t, uint64_t)
CHECK_WHOLE(int16_t, int64_t)
CHECK_WHOLE(uint16_t, uint64_t)
CHECK_WHOLE(int32_t, int64_t)
CHECK_WHOLE(uint32_t, uint64_t)
CHECK_WHOLE(int64_t, int64_t)
CHECK_WHOLE(uint64_t, uint64_t)

static void test_whole_numbers_wrap(void)
{
	typedef void check_fn(int op, const void *a, const void *b, const void *got);
	static check_fn *const checks[] = {check_int8_t,   check_uint8_t, check_int16_t,
	                                   check_uint16_t, check_int32_t, check_uint32_t,
	                                   check_int64_t,  check_uint64_t};
	static uint64_t a[N_WHOLE], b[N_WHOLE], got[N_WHOLE];
	uint64_t random = t_seed("whole numbers");

	fr_kernel_use_isa("reference");
	for (int type = FERRULE_INT8; type <= FERRULE_UINT64; type++) {
		t_fill_elements((ferrule_type_t)type, a, N_WHOLE, &random);
		t_fill_elements((ferrule_type_t)type, b, N_WHOLE, &random);
		for (int op = FERRULE_SUM; op <= FERRULE_MAX; op++) {
			fr_kernel_get((ferrule_type_t)type, op)->reduce[0](got, a, b, N_WHOLE);
			checks[type](op, a, b, got);
		}
	}
}

static void test_fold_rounds_once(void)
{
	/* Each 0.5 alone would vanish beside 256, whose next bfloat16 is 258. */
	const uint16_t big = 0x4380, small = 0x3f00, sum = 0x4382;
	const void *src[9] = {&big, &small, &small, &small, &small, &small, &small, &small, &small};
	uint16_t got = 0;

	fr_kernel_use_isa("auto");
	fr_kernel_get(FERRULE_BFLOAT16, FERRULE_SUM)->fold(&got, src, 9, 1);
	CU_ASSERT_EQUAL(got, sum);
	fr_kernel_use_isa("reference");
	fr_kernel_get(FERRULE_BFLOAT16, FERRULE_SUM)->fold(&got, src, 9, 1);
	CU_ASSERT_EQUAL(got, sum);
}

static void test_fold_is_a_chain_of_reduces_for_wide_types(void)
{
	static const ferrule_type_t types[] = {FERRULE_INT8, FERRULE_UINT64, FERRULE_FLOAT32,
	                                       FERRULE_FLOAT64};
	uint64_t random = t_seed("fold"), src[5][100], got[100], want[100];
	const void *sources[5] = {src[0], src[1], src[2], src[3], src[4]};

	fr_kernel_use_isa("reference");
	for (int t = 0; t < 4; t++) {
		for (int op = FERRULE_SUM; op <= FERRULE_MAX; op++) {
			const struct fr_kernel *k = fr_kernel_get(types[t], op);
			for (int s = 0; s < 5; s++)
				t_fill_elements(types[t], src[s], 100, &random);
			k->reduce[0](want, src[0], src[1], 100);
			for (int s = 2; s < 5; s++)
				k->reduce[0](want, want, src[s], 100);
			k->fold(got, sources, 5, 100);
			CU_ASSERT(memcmp(got, want, 100 * ferrule_type_bytes(types[t])) == 0);
		}
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"small floats round to nearest even", test_small_floats_round_to_nearest_even},
		{"narrowing at every midpoint", test_narrowing_at_every_midpoint},
		{"narrowing of any float", test_narrowing_of_any_float},
		{"limits of small floats", test_limits_of_small_floats},
		{"special values of float and double", test_special_values_of_float_and_double},
		{"whole numbers wrap", test_whole_numbers_wrap},
		{"fold rounds once", test_fold_rounds_once},
		{"fold is a chain of reduces", test_fold_is_a_chain_of_reduces_for_wide_types},
		{NULL, NULL},
	};
	return t_main("reference", cases);
}

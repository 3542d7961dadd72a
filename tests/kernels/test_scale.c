/* The scaling kernels: averages of whole numbers are exact quotients, everything else follows
 * scale_rule.h, and the instruction sets agree. */
#include "config.h"

#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/kernels/t_kernels.h"
#include "tests/support/t_main.h"

#define N 400

#define CHECK_QUOTIENTS(ctype)                                             \
	static void check_##ctype(const void *src, const void *got, int n) \
	{                                                                  \
		const ctype *x = src, *r = got;                            \
		for (int i = 0; i < N; i++)                                \
			CU_ASSERT_EQUAL(r[i], (ctype)(x[i] / (ctype)n));   \
	}
CHECK_QUOTIENTS(int8_t)
CHECK_QUOTIENTS(uint8_t)
CHECK_QUOTIENTS(int16_t)
CHECK_QUOTIENTS(uint16_t)
CHECK_QUOTIENTS(int32_t)
CHECK_QUOTIENTS(uint32_t)
CHECK_QUOTIENTS(int64_t)
CHECK_QUOTIENTS(uint64_t)

/* The ends of every range, and multiples of n, where a rounded 1/n shows. */
static void fill_whole(ferrule_type_t type, unsigned char *x, int n, uint64_t *random)
{
	static const uint64_t ends[] = {0,         1,          UINT64_MAX, UINT64_C(1) << 63,
	                                INT64_MAX, 0x80,       0x7f,       0x8000,
	                                0x7fff,    0x80000000, 0x7fffffff, (UINT64_C(1) << 53) + 1};
	const size_t n_ends = sizeof ends / sizeof ends[0];
	const size_t bytes = ferrule_type_bytes(type);

	t_fill_elements(type, x, N, random);
	for (size_t i = 0; i < n_ends; i++)
		memcpy(x + i * bytes, &ends[i], bytes);
	for (size_t i = n_ends; i < N / 2; i++) {
		const uint64_t multiple = (i - n_ends) * (uint64_t)n - (i % 3);
		memcpy(x + i * bytes, &multiple, bytes);
	}
}

static void test_averages_of_whole_numbers_truncate(void)
{
	typedef void check_fn(const void *src, const void *got, int n);
	static check_fn *const checks[] = {check_int8_t,   check_uint8_t, check_int16_t,
	                                   check_uint16_t, check_int32_t, check_uint32_t,
	                                   check_int64_t,  check_uint64_t};
	static uint64_t x[N], got[N];
	uint64_t random = t_seed("averages");

	for (int type = FERRULE_INT8; type <= FERRULE_UINT64; type++) {
		for (int n = 1; n <= 100; n++) {
			fill_whole((ferrule_type_t)type, (unsigned char *)x, n, &random);
			fr_kernel_scale((ferrule_type_t)type)(got, x, 1.0 / n, N);
			checks[type](x, got, n);
		}
	}
}

static void test_average_of_doubles_is_a_division(void)
{
	uint64_t random = t_seed("doubles");
	double x[N], got[N];

	for (int n = 1; n <= 200; n++) {
		for (int i = 0; i < N; i++)
			x[i] = i < N / 2 ? (double)(i * n) : (double)(int64_t)t_random(&random);
		fr_kernel_scale(FERRULE_FLOAT64)(got, x, 1.0 / n, N);
		for (int i = 0; i < N; i++)
			CU_ASSERT(got[i] == x[i] / n);
	}
}

static void test_average_of_floats_is_the_rounded_quotient(void)
{
	uint64_t random = t_seed("floats");
	float x[N], got[N];

	for (int n = 1; n <= 200; n++) {
		for (int i = 0; i < N; i++)
			x[i] = (float)(int64_t)t_random(&random);
		fr_kernel_scale(FERRULE_FLOAT32)(got, x, 1.0 / n, N);
		for (int i = 0; i < N; i++)
			CU_ASSERT(got[i] == x[i] / (float)n);
	}
}

static int64_t scale_int64(int64_t x, double factor)
{
	int64_t got;
	fr_kernel_scale(FERRULE_INT64)(&got, &x, factor, 1);
	return got;
}

static uint64_t scale_uint64(uint64_t x, double factor)
{
	uint64_t got;
	fr_kernel_scale(FERRULE_UINT64)(&got, &x, factor, 1);
	return got;
}

static int scale_int8(int8_t x, double factor)
{
	int8_t got;
	fr_kernel_scale(FERRULE_INT8)(&got, &x, factor, 1);
	return got;
}

static unsigned scale_uint16(uint16_t x, double factor)
{
	uint16_t got;
	fr_kernel_scale(FERRULE_UINT16)(&got, &x, factor, 1);
	return got;
}

static void test_other_factors_of_whole_numbers(void)
{
	CU_ASSERT_EQUAL(scale_int64(10, 0.3), 3);
	CU_ASSERT_EQUAL(scale_int64(-7, 0.75), -5);
	CU_ASSERT_EQUAL(scale_int64((INT64_C(1) << 53) + 1, 2.0), (INT64_C(1) << 54) + 2);
	CU_ASSERT_EQUAL(scale_int64((INT64_C(1) << 60) + 1, -3.0), -3 * (INT64_C(1) << 60) - 3);
	CU_ASSERT_EQUAL(scale_int64(INT64_MIN, -1.0), INT64_MAX);
	CU_ASSERT_EQUAL(scale_int64(INT64_MIN, 1.0), INT64_MIN);
	CU_ASSERT_EQUAL(scale_int64(INT64_MAX, 1e300), INT64_MAX);
	CU_ASSERT_EQUAL(scale_int64(INT64_MAX, -1e300), INT64_MIN);
	CU_ASSERT_EQUAL(scale_int64(INT64_MAX, 1e-300), 0);
	CU_ASSERT_EQUAL(scale_int64(INT64_MAX, 5e-324), 0);
	CU_ASSERT_EQUAL(scale_int64(INT64_MAX, 0.0), 0);
	CU_ASSERT_EQUAL(scale_int64(5, NAN), 0);
	CU_ASSERT_EQUAL(scale_int64(0, INFINITY), 0);
	CU_ASSERT_EQUAL(scale_int64(-1, INFINITY), INT64_MIN);
	CU_ASSERT_EQUAL(scale_uint64(UINT64_MAX, 1.5), UINT64_MAX);
	CU_ASSERT_EQUAL(scale_uint64(UINT64_MAX, 0.75), UINT64_C(0xbfffffffffffffff));
	CU_ASSERT_EQUAL(scale_uint64(7, -1.0), 0);
	CU_ASSERT_EQUAL(scale_int8(100, 2.0), 127);
	CU_ASSERT_EQUAL(scale_int8(100, -2.0), -128);
	CU_ASSERT_EQUAL(scale_int8(-7, 0.5), -3);
	CU_ASSERT_EQUAL(scale_int8(5, NAN), 0);
	CU_ASSERT_EQUAL(scale_int8(-5, INFINITY), -128);
	CU_ASSERT_EQUAL(scale_uint16(40000, 2.0), 65535);
	CU_ASSERT_EQUAL(scale_uint16(3, -2.0), 0);
}

static void try_instruction_set(const char *isa, ferrule_type_t type, double factor, size_t count,
                                uint64_t *random)
{
	static uint64_t x[N], want[N], got[N];
	const size_t bytes = count * ferrule_type_bytes(type);

	t_fill_elements(type, x, count, random);
	fr_kernel_use_isa("reference");
	fr_kernel_scale(type)(want, x, factor, count);
	fr_kernel_use_isa(isa);
	memset(got, 0x5a, sizeof got);
	fr_kernel_scale(type)(got, x, factor, count);
	CU_ASSERT(memcmp(got, want, bytes) == 0);
	CU_ASSERT(((unsigned char *)got)[bytes] == 0x5a);
	fr_kernel_scale(type)(x, x, factor, count);
	CU_ASSERT(memcmp(x, want, bytes) == 0);
}

static void test_instruction_sets_agree(void)
{
	static const double factors[] = {1.0,   0.5,   1.0 / 3, 1.0 / 7,  1.0 / 49, 0.3,  -1.0, 2.0,
	                                 1e300, 1e-40, 0.0,     INFINITY, NAN,      -0.1, 3e38};
	uint64_t random = t_seed("instruction sets");
	bool any = false;

	for (int i = 0; t_vector_isas[i] != NULL; i++) {
		if (!fr_kernel_use_isa(t_vector_isas[i]))
			continue;
		any = true;
		for (int type = 0; type < FERRULE_N_TYPES; type++) {
			for (size_t f = 0; f < sizeof factors / sizeof factors[0]; f++) {
				for (size_t count = 0; count < N; count += 1 + count / 9)
					try_instruction_set(t_vector_isas[i], (ferrule_type_t)type,
					                    factors[f], count, &random);
			}
		}
	}
	fr_kernel_use_isa("auto");
	if (!any)
		t_skip("this machine has neither AVX2 nor AVX-512, or they were not built");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"averages of whole numbers truncate", test_averages_of_whole_numbers_truncate},
		{"average of doubles is a division", test_average_of_doubles_is_a_division},
		{"average of floats is the rounded quotient",
	         test_average_of_floats_is_the_rounded_quotient},
		{"other factors of whole numbers", test_other_factors_of_whole_numbers},
		{"instruction sets agree", test_instruction_sets_agree},
		{NULL, NULL},
	};
	return t_main("scale", cases);
}

/* avx2.c - kernels for processors with AVX2, FMA and F16C (Haswell, Zen and later). */
#include "config.h"

#include "kernels/isa.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/scale_rule.h"
#include "kernels/small_float.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define VEC_BYTES     32

typedef __m256i vec;

ALWAYS_INLINE vec vec_load(const char *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

ALWAYS_INLINE void vec_store(char *p, vec x)
{
	_mm256_storeu_si256((__m256i *)p, x);
}

ALWAYS_INLINE void vec_stream(char *p, vec x)
{
	_mm256_stream_si256((__m256i *)p, x);
}

ALWAYS_INLINE uint64_t load_bits(const char *p, size_t bytes)
{
	uint64_t x = 0;
	memcpy(&x, p, bytes);
	return x;
}

/* Parts are the first and the last 2^k bytes, which overlap unless there are 2^(k+1); what
 * is in both is computed twice, from operands that were loaded before. */
ALWAYS_INLINE vec vec_load_part(const char *p, size_t n)
{
	if (n >= 16)
		return _mm256_set_m128i(_mm_loadu_si128((const __m128i *)(p + n - 16)),
		                        _mm_loadu_si128((const __m128i *)p));

	uint64_t first, last;
	if (n >= 8) {
		first = load_bits(p, 8);
		last = load_bits(p + n - 8, 8);
	} else if (n >= 4) {
		first = load_bits(p, 4);
		last = load_bits(p + n - 4, 4);
	} else {
		/* Not memcpy of n bytes, which a compiler would call. */
		first = (unsigned char)*p;
		last = 0;
		if (n >= 2) {
			first = load_bits(p, 2);
			last = load_bits(p + n - 2, 2);
		}
	}
	return _mm256_zextsi128_si256(_mm_set_epi64x((int64_t)last, (int64_t)first));
}

ALWAYS_INLINE void vec_store_part(char *p, size_t n, vec x)
{
	const __m128i low = _mm256_castsi256_si128(x);
	const uint64_t first = (uint64_t)_mm_cvtsi128_si64(low);
	const uint64_t last = (uint64_t)_mm_extract_epi64(low, 1);

	if (n >= 16) {
		_mm_storeu_si128((__m128i *)p, low);
		_mm_storeu_si128((__m128i *)(p + n - 16), _mm256_extracti128_si256(x, 1));
	} else if (n >= 8) {
		memcpy(p, &first, 8);
		memcpy(p + n - 8, &last, 8);
	} else if (n >= 4) {
		memcpy(p, &first, 4);
		memcpy(p + n - 4, &last, 4);
	} else if (n >= 2) {
		memcpy(p, &first, 2);
		memcpy(p + n - 2, &last, 2);
	} else {
		memcpy(p, &first, 1);
	}
}

ALWAYS_INLINE __m256i vec_half(vec x, int i)
{
	(void)i; /* Both halves are the same one vector. */
	return x;
}

ALWAYS_INLINE vec vec_join(__m256i low, __m256i high)
{
	(void)high;
	return low;
}

/* To nearest even: adds 0x7fff, and one more if the last kept bit is set. */
ALWAYS_INLINE vec bf16_rounded(vec x)
{
	const vec last_bit = _mm256_and_si256(_mm256_srli_epi32(x, 16), _mm256_set1_epi32(1));
	return _mm256_add_epi32(_mm256_add_epi32(x, _mm256_set1_epi32(0x7fff)), last_bit);
}

ALWAYS_INLINE vec bf16_round(vec even, vec odd)
{
	return _mm256_blend_epi16(_mm256_srli_epi32(bf16_rounded(even), 16), bf16_rounded(odd),
	                          0xaa);
}

/* All ones where every result was a number. */
typedef __m256 lanes;

ALWAYS_INLINE lanes lanes_start(ferrule_type_t type)
{
	(void)type;
	return (__m256)_mm256_set1_epi32(-1);
}

ALWAYS_INLINE bool lanes_full(ferrule_type_t type, lanes ok)
{
	const bool is_checked = type == FERRULE_FLOAT16 || type == FERRULE_BFLOAT16 ||
	                        type == FERRULE_FLOAT32 || type == FERRULE_FLOAT64;
	return !is_checked || _mm256_movemask_ps(ok) == 0xff;
}

ALWAYS_INLINE lanes lanes_half(lanes ok, __m256 x, __m256 y)
{
	return _mm256_and_ps(ok, _mm256_cmp_ps(x, y, _CMP_ORD_Q));
}

ALWAYS_INLINE lanes lanes_f32(lanes ok, vec x, vec y)
{
	return lanes_half(ok, (__m256)x, (__m256)y);
}

ALWAYS_INLINE lanes lanes_f64(lanes ok, vec x)
{
	return _mm256_and_ps(ok, (__m256)_mm256_cmp_pd((__m256d)x, (__m256d)x, _CMP_ORD_Q));
}

#include "kernels/vector_body.inc"
/* A copy is the reduction of one source. */
static void copy_vectors(void *dst, void *dst2, const void *src, size_t bytes, unsigned stream)
{
	const struct job j = {.type = FERRULE_UINT8,
	                      .op = FERRULE_SUM,
	                      .src = &(const void *){src},
	                      .n_src = 1,
	                      .dst = dst,
	                      .dst2 = dst2,
	                      .stream = stream};
	run(&j, bytes);
}

#define KERNEL_TYPE_MAP FERRULE_TYPE_MAP
/* Whole numbers are left to the reference: divisions dominate, and vectors bring little. */
#define SCALE_TYPE_MAP(X) \
	X(FLOAT16, , , )  \
	X(BFLOAT16, , , ) \
	X(FLOAT32, , , )  \
	X(FLOAT64, , , )  \
	X(FP8_E4M3, , , ) \
	X(FP8_E5M2, , , )
#include "kernels/instances.inc"

const struct fr_isa fr_isa_avx2 = {
	.name = "avx2",
	.base = &fr_isa_reference,
	.kernels = KERNEL_TABLE,
	.scale = SCALE_TABLE,
	.copy = copy_vectors,
};

/* avx512.c - kernels for processors with AVX-512 F, BW, DQ, VL and VNNI (Ice Lake, Zen 4 and
 * later; those before lower their clock for such vectors and are served better by AVX2). */
#include "config.h"

#include "kernels/isa.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/scale_rule.h"
#include "kernels/small_float.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define VEC_BYTES     64

typedef __m512i vec;

ALWAYS_INLINE vec vec_load(const char *p)
{
	return _mm512_loadu_si512(p);
}

ALWAYS_INLINE void vec_store(char *p, vec x)
{
	_mm512_storeu_si512(p, x);
}

ALWAYS_INLINE void vec_stream(char *p, vec x)
{
	_mm512_stream_si512((void *)p, x);
}

ALWAYS_INLINE __mmask64 first_bytes(size_t n)
{
	return (UINT64_C(1) << n) - 1;
}

ALWAYS_INLINE vec vec_load_part(const char *p, size_t n)
{
	return _mm512_maskz_loadu_epi8(first_bytes(n), p);
}

ALWAYS_INLINE void vec_store_part(char *p, size_t n, vec x)
{
	_mm512_mask_storeu_epi8(p, first_bytes(n), x);
}

ALWAYS_INLINE __m256i vec_half(vec x, int i)
{
	return i == 0 ? _mm512_castsi512_si256(x) : _mm512_extracti64x4_epi64(x, 1);
}

ALWAYS_INLINE vec vec_join(__m256i low, __m256i high)
{
	return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* To nearest even: adds 0x7fff, and one more if the last kept bit is set.  The dot product
 * adds both 16-bit halves of (x & 0x10000) | 0x7fff to x in one instruction. */
ALWAYS_INLINE vec bf16_rounded(vec x)
{
	const vec addend = _mm512_ternarylogic_epi32(x, _mm512_set1_epi32(0x10000),
	                                             _mm512_set1_epi32(0x7fff), 0xea);
	return _mm512_dpwssd_epi32(x, addend, _mm512_set1_epi16(1));
}

ALWAYS_INLINE vec bf16_round(vec even, vec odd)
{
	/* The upper 16 bits of each: word 2i + 1 of `even`, then the same of `odd`. */
	const vec upper_words =
		_mm512_add_epi32(_mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8,
	                                                             7, 6, 5, 4, 3, 2, 1, 0),
	                                            _mm512_set1_epi32(0x20002)),
	                         _mm512_set1_epi32(0x210001));
	return _mm512_permutex2var_epi16(bf16_rounded(even), upper_words, bf16_rounded(odd));
}

/* One bit a result; comparisons under a mask keep only what was set before. */
typedef __mmask16 lanes;

ALWAYS_INLINE lanes lanes_start(ferrule_type_t type)
{
	return type == FERRULE_FLOAT16 || type == FERRULE_FLOAT64 ? 0xff : 0xffff;
}

ALWAYS_INLINE bool lanes_full(ferrule_type_t type, lanes ok)
{
	return ok == lanes_start(type);
}

ALWAYS_INLINE lanes lanes_f32(lanes ok, vec x, vec y)
{
	return _mm512_mask_cmp_ps_mask(ok, (__m512)x, (__m512)y, _CMP_ORD_Q);
}

ALWAYS_INLINE lanes lanes_f64(lanes ok, vec x)
{
	return _mm512_mask_cmp_pd_mask((__mmask8)ok, (__m512d)x, (__m512d)x, _CMP_ORD_Q);
}

ALWAYS_INLINE lanes lanes_half(lanes ok, __m256 x, __m256 y)
{
	return _mm256_mask_cmp_ps_mask((__mmask8)ok, x, y, _CMP_ORD_Q);
}

#include "kernels/vector_body.inc"
/*
 * Only the types that are limited by arithmetic.  The others gain nothing in the caches, and
 * Zen 4 moves 10 % less from and to memory with 64-byte accesses than with 32-byte ones.
 */
#define KERNEL_TYPE_MAP(X) X(FLOAT16, , , ) X(BFLOAT16, , , )
#define SCALE_TYPE_MAP     KERNEL_TYPE_MAP
#include "kernels/instances.inc"

const struct fr_isa fr_isa_avx512 = {
	.name = "avx512",
	.base = &fr_isa_avx2,
	.kernels = KERNEL_TABLE,
	.scale = SCALE_TABLE,
};

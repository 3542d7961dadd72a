/*
 * reference.c - what every kernel computes, in plain C, an element at a time.
 *
 * Design: an element is read into a union that is wide enough for its class, combined
 * there, and written back with the type's rounding.  The integers live in 64 bits and are cut
 * when stored, which is the same as wrapping at every step.  The floats narrower than 32 bits
 * live in float32, so a fold rounds them once.  Every NaN is stored as the type's canonical
 * NaN: which operand's payload survives would otherwise depend on how a compiler orders the
 * operands of an addition, and ranks could end with different bytes.
 *
 * Elements are accessed with memcpy: buffers may be misaligned for their type.
 */
#include "config.h"

#include "kernels/isa.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/scale_rule.h"
#include "kernels/small_float.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load_bits() takes the low bytes");

#define ALWAYS_INLINE static inline __attribute__((always_inline))

union value {
	uint64_t bits; /* integers, sign-extended when signed */
	double d;      /* float64 */
	float f;       /* float32 and narrower */
};

ALWAYS_INLINE unsigned type_bytes(ferrule_type_t type)
{
	switch (type) {
#define TYPE_BYTES(code, number, name, bytes) \
	case FERRULE_##code:                  \
		return bytes;
		FERRULE_TYPE_MAP(TYPE_BYTES)
#undef TYPE_BYTES
	}
	return 0;
}

ALWAYS_INLINE bool is_integer(ferrule_type_t type)
{
	return type <= FERRULE_UINT64;
}

ALWAYS_INLINE bool is_signed(ferrule_type_t type)
{
	return type == FERRULE_INT8 || type == FERRULE_INT16 || type == FERRULE_INT32 ||
	       type == FERRULE_INT64;
}

ALWAYS_INLINE uint64_t load_bits(const void *base, size_t i, unsigned bytes)
{
	uint64_t bits = 0;
	memcpy(&bits, (const char *)base + i * bytes, bytes);
	return bits;
}

ALWAYS_INLINE union value load(ferrule_type_t type, const void *base, size_t i)
{
	const unsigned bytes = type_bytes(type);
	const unsigned unused = 64 - 8 * bytes;
	union value x = {.bits = load_bits(base, i, bytes)};

	if (is_signed(type))
		x.bits = (uint64_t)((int64_t)(x.bits << unused) >> unused);
	else if (type == FERRULE_FLOAT16)
		x.f = fr_small_to_float(FR_FORMAT_HALF, (uint32_t)x.bits);
	else if (type == FERRULE_BFLOAT16)
		x.f = fr_bfloat16_to_float((uint32_t)x.bits);
	else if (type == FERRULE_FP8_E4M3)
		x.f = fr_small_to_float(FR_FORMAT_E4M3, (uint32_t)x.bits);
	else if (type == FERRULE_FP8_E5M2)
		x.f = fr_small_to_float(FR_FORMAT_E5M2, (uint32_t)x.bits);
	return x;
}

ALWAYS_INLINE uint64_t rounded_bits(ferrule_type_t type, union value x)
{
	switch (type) {
	case FERRULE_FLOAT16:
		return fr_small_from_float(FR_FORMAT_HALF, x.f);
	case FERRULE_BFLOAT16:
		return fr_bfloat16_from_float(x.f);
	case FERRULE_FP8_E4M3:
		return fr_small_from_float(FR_FORMAT_E4M3, x.f);
	case FERRULE_FP8_E5M2:
		return fr_small_from_float(FR_FORMAT_E5M2, x.f);
	case FERRULE_FLOAT32:
		return x.f == x.f ? fr_float_bits(x.f) : FR_FLOAT_NAN_BITS;
	case FERRULE_FLOAT64:
		return x.d == x.d ? x.bits : FR_DOUBLE_NAN_BITS;
	default:
		return x.bits;
	}
}

ALWAYS_INLINE void store(ferrule_type_t type, void *base, size_t i, union value x)
{
	const unsigned bytes = type_bytes(type);
	const uint64_t bits = rounded_bits(type, x);
	memcpy((char *)base + i * bytes, &bits, bytes);
}

/* IEEE 754-2019 minimum and maximum: a NaN operand gives a NaN, -0 is less than +0. */
ALWAYS_INLINE bool takes_first(double x, double y, bool is_min)
{
	if (x != x || y != y)
		return x != x;
	if (x == y)
		return !__builtin_signbit(x) != is_min;
	return (x < y) == is_min;
}

ALWAYS_INLINE union value combine_floats(ferrule_type_t type, int op, union value x, union value y)
{
	const bool is_double = type == FERRULE_FLOAT64;

	switch (op) {
	case FERRULE_SUM:
		return is_double ? (union value){.d = x.d + y.d} : (union value){.f = x.f + y.f};
	case FERRULE_PROD:
		return is_double ? (union value){.d = x.d * y.d} : (union value){.f = x.f * y.f};
	default:
		if (is_double)
			return takes_first(x.d, y.d, op == FERRULE_MIN) ? x : y;
		return takes_first((double)x.f, (double)y.f, op == FERRULE_MIN) ? x : y;
	}
}

ALWAYS_INLINE union value combine(ferrule_type_t type, int op, union value x, union value y)
{
	if (!is_integer(type))
		return combine_floats(type, op, x, y);
	switch (op) {
	case FERRULE_SUM:
		return (union value){.bits = x.bits + y.bits};
	case FERRULE_PROD:
		return (union value){.bits = x.bits * y.bits};
	default: {
		const bool less =
			is_signed(type) ? (int64_t)x.bits < (int64_t)y.bits : x.bits < y.bits;
		return less == (op == FERRULE_MIN) ? x : y;
	}
	}
}

ALWAYS_INLINE bool small_pair_body(ferrule_type_t type, int op, const struct fr_pair *p)
{
	(void)type, (void)op, (void)p;
	return false;
}

ALWAYS_INLINE void large_pair_body(ferrule_type_t type, int op, const struct fr_pair *p,
                                   fr_pair_fn *small)
{
	(void)small;
	/* p->stream is a hint about caches, which plain C cannot follow. */
	for (size_t i = 0; i < p->count; i++) {
		const union value x = combine(type, op, load(type, p->a, i), load(type, p->b, i));
		store(type, p->dst, i, x);
		if (p->dst2 != NULL)
			store(type, p->dst2, i, x);
	}
}

ALWAYS_INLINE void fold_body(ferrule_type_t type, int op, void *dst, const void *const *src,
                             int n_src, size_t count)
{
	/* One source is a copy, NaN payloads included. */
	if (n_src == 1) {
		memmove(dst, src[0], count * type_bytes(type));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		union value x = load(type, src[0], i);
		for (int s = 1; s < n_src; s++)
			x = combine(type, op, x, load(type, src[s], i));
		store(type, dst, i, x);
	}
}

ALWAYS_INLINE union value scale(ferrule_type_t type, union value x, double factor, double divisor)
{
	const unsigned value_bits = 8 * type_bytes(type) - is_signed(type);

	if (type == FERRULE_FLOAT64)
		return (union value){.d = fr_scale_double(x.d, factor, divisor)};
	if (!is_integer(type))
		return (union value){.f = (float)((double)x.f * factor)};
	if (type_bytes(type) == 8)
		return (union value){
			.bits = fr_scale_int64(x.bits, is_signed(type), factor, divisor)};
	const double high = (double)((UINT64_C(1) << (value_bits & 63)) - 1);
	const double low = is_signed(type) ? -high - 1 : 0;
	const double scaled = fr_scale_double((double)(int64_t)x.bits, factor, divisor);
	return (union value){.bits = (uint64_t)fr_scale_clamp(scaled, low, high)};
}

ALWAYS_INLINE void scale_body(ferrule_type_t type, void *dst, const void *src, double factor,
                              size_t count)
{
	const double divisor = fr_scale_divisor(factor);
	for (size_t i = 0; i < count; i++)
		store(type, dst, i, scale(type, load(type, src, i), factor, divisor));
}

static void copy_reference(void *dst, void *dst2, const void *src, size_t bytes, unsigned stream)
{
	(void)stream;
	memcpy(dst, src, bytes);
	if (dst2 != NULL)
		memcpy(dst2, src, bytes);
}

#define KERNEL_TYPE_MAP FERRULE_TYPE_MAP
#define SCALE_TYPE_MAP  FERRULE_TYPE_MAP
#include "kernels/instances.inc"

const struct fr_isa fr_isa_reference = {
	.name = "reference",
	.kernels = KERNEL_TABLE,
	.scale = SCALE_TABLE,
	.copy = copy_reference,
};

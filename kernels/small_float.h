/*
 * small_float.h - float16, bfloat16 and fp8 to float32 and back, one element at a time.
 *
 * This is the definition that the vector versions are tested against: integer arithmetic
 * only, so that rounding mode and flush-to-zero settings of the process change nothing.
 * Widening is exact.  Narrowing rounds to nearest, ties to even, denormals included; every
 * NaN becomes the format's one canonical NaN (positive, quiet, no payload).
 */
#ifndef FR_SMALL_FLOAT_H
#define FR_SMALL_FLOAT_H

#include <stdint.h>
#include <string.h>

/* A binary format of one sign bit, an exponent and a mantissa, at most 16 bits in all. */
struct fr_small_format {
	unsigned bits;          /* of the whole element */
	unsigned mantissa_bits; /* stored ones */
	unsigned bias;
	uint32_t overflow;      /* smallest float32 (as bits) that has passed the largest finite
	                         * number after rounding */
	uint16_t overflowed;    /* what it then becomes, without sign */
	uint16_t first_special; /* magnitudes from here on are infinity or NaN */
	uint16_t infinity;      /* 0 when the format has none */
	uint16_t nan;
};

#define FR_FORMAT_HALF \
	((struct fr_small_format){16, 10, 15, 0x477ff000u, 0x7c00, 0x7c00, 0x7c00, 0x7e00})
#define FR_FORMAT_E5M2 ((struct fr_small_format){8, 2, 15, 0x47700000u, 0x7c, 0x7c, 0x7c, 0x7e})
/* Saturates: all above 448 becomes 448 (0x7e), infinity too. */
#define FR_FORMAT_E4M3 ((struct fr_small_format){8, 3, 7, 0x43e00000u, 0x7e, 0x7f, 0, 0x7f})

#define FR_FLOAT_NAN_BITS    0x7fc00000u
#define FR_BFLOAT16_NAN_BITS 0x7fc0
#define FR_DOUBLE_NAN_BITS   UINT64_C(0x7ff8000000000000)

static inline float fr_float_from_bits(uint32_t bits)
{
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

static inline uint32_t fr_float_bits(float x)
{
	uint32_t bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static inline float fr_small_to_float(struct fr_small_format f, uint32_t bits)
{
	const uint32_t sign = bits >> (f.bits - 1) << 31;
	uint32_t magnitude = bits & ((1u << (f.bits - 1)) - 1);
	const uint32_t hidden = 1u << f.mantissa_bits;
	uint32_t exponent = 127 - f.bias;

	if (magnitude >= f.first_special)
		return fr_float_from_bits(magnitude == f.infinity ? sign | 0x7f800000u
		                                                  : FR_FLOAT_NAN_BITS);
	if (magnitude == 0)
		return fr_float_from_bits(sign);
	if (magnitude < hidden) {
		/* Denormal here, normal in float32: move the leading one to the hidden place. */
		for (exponent++; magnitude < hidden; exponent--)
			magnitude <<= 1;
		magnitude -= hidden;
	}
	return fr_float_from_bits(sign |
	                          ((exponent << 23) + (magnitude << (23 - f.mantissa_bits))));
}

static inline uint32_t fr_small_from_float(struct fr_small_format f, float x)
{
	const uint32_t sign = fr_float_bits(x) >> 31 << (f.bits - 1);
	const uint32_t magnitude = fr_float_bits(x) & 0x7fffffffu;
	const uint32_t least_exponent = 128 - f.bias; /* float32's, of the smallest normal */
	const uint32_t exponent = magnitude >> 23;
	unsigned drop = 23 - f.mantissa_bits;
	uint32_t kept = magnitude - ((127 - f.bias) << 23);

	if (magnitude > 0x7f800000u)
		return f.nan;
	if (magnitude >= f.overflow)
		return sign | f.overflowed;
	if (exponent < least_exponent) {
		drop += least_exponent - exponent;
		if (drop > 24)
			return sign;
		kept = (magnitude & 0x7fffffu) | 0x800000u;
	}
	/* Adding just under half of the last kept place, and one more when that place is odd,
	 * carries exactly when rounding to nearest even goes up; a carry out of the mantissa
	 * steps the exponent, as it should. */
	return sign | ((kept + (1u << (drop - 1)) - 1 + (kept >> drop & 1)) >> drop);
}

static inline float fr_bfloat16_to_float(uint32_t bits)
{
	return fr_float_from_bits(bits << 16);
}

static inline uint32_t fr_bfloat16_from_float(float x)
{
	const uint32_t bits = fr_float_bits(x);

	if ((bits & 0x7fffffffu) > 0x7f800000u)
		return FR_BFLOAT16_NAN_BITS;
	return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}

#endif

/*
 * scale_rule.h - what factor * x means, one element at a time, for every instruction set.
 *
 * A factor that is the double nearest to 1/n, for a whole n up to 2^31, means x / n: an
 * average must not depend on the rounding of 1/n (49 * (1/49) is less than one).  All other
 * factors multiply.
 *
 * Integers: the quotient or product is rounded towards zero and clamped to the type's range;
 * a NaN factor gives 0.  Products are those of double arithmetic up to 2^53 and exact beyond.
 * float64: one division or multiplication.  Narrower floats are multiplied in float64 and
 * rounded to float32, then to the type; a quotient would give the same.
 */
#ifndef FR_SCALE_RULE_H
#define FR_SCALE_RULE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* fr_scale_divisor - n when `factor` means "divide by n", else 0. */
static inline double fr_scale_divisor(double factor)
{
	if (!(factor > 4e-10 && factor <= 1.0))
		return 0;
	const double n = (double)(int64_t)(1.0 / factor + 0.5);
	return n <= 2147483648.0 && 1.0 / n == factor ? n : 0;
}

/* fr_scale_double - of a float64, or of an integer of at most 32 bits before it is rounded. */
static inline double fr_scale_double(double x, double factor, double divisor)
{
	return divisor != 0 ? x / divisor : x * factor;
}

/* Clamps and rounds towards zero; `low` and `high` are exact in a double. */
static inline int64_t fr_scale_clamp(double x, double low, double high)
{
	if (!(x > low))
		return x != x ? 0 : (int64_t)low;
	return (int64_t)(x < high ? x : high);
}

/* The product of magnitudes, rounded down; UINT64_MAX when it is more.  `factor` >= 0. */
static inline uint64_t fr_scale_product(uint64_t x, double factor)
{
	const double rounded = (double)x * factor;
	if (!(rounded < 0x1p64))
		return rounded != rounded ? 0 : UINT64_MAX;
	if (x <= UINT64_C(1) << 53)
		return (uint64_t)rounded;

	/* factor = mantissa * 2^-shift; the product is below 2^64 and x above 2^53, so shift > 41.
	 */
	uint64_t bits;
	memcpy(&bits, &factor, sizeof bits);
	const uint64_t mantissa = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
	const int shift = 1075 - (int)(bits >> 52);
	const unsigned __int128 product = (unsigned __int128)x * mantissa;
	if (shift > 127)
		return 0;
	const unsigned __int128 whole = product >> shift;
	return whole > UINT64_MAX ? UINT64_MAX : (uint64_t)whole;
}

/* fr_scale_int64 - `bits` is an int64 or uint64, and so is the result. */
static inline uint64_t fr_scale_int64(uint64_t bits, bool is_signed, double factor, double divisor)
{
	const bool x_negative = is_signed && (int64_t)bits < 0;
	const uint64_t x = x_negative ? -bits : bits;
	const bool negative = x_negative != (factor < 0);
	const uint64_t high = is_signed  ? (uint64_t)INT64_MAX + negative
	                      : negative ? 0
	                                 : UINT64_MAX;

	if (factor != factor)
		return 0;
	const uint64_t scaled = divisor != 0 ? x / (uint64_t)divisor
	                                     : fr_scale_product(x, factor < 0 ? -factor : factor);
	const uint64_t clamped = scaled < high ? scaled : high;
	return negative ? -clamped : clamped;
}

#endif

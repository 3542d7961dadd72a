/*
 * kernels.h - arithmetic on memory: combine, scale, copy.
 *
 * Pure functions of memory; no allocation, no state but the table chosen at first use from
 * what the processor can do.  reference.c is the specification: every other version gives
 * the same bits, for every count, alignment and overlap allowed here.
 *
 * float16, bfloat16 and fp8 are combined in float32 and rounded once, to nearest even.
 * min and max follow IEEE 754-2019 minimum/maximum: a NaN operand gives a NaN, -0 < +0.
 * A result that is NaN is the type's canonical NaN (positive, quiet, no payload), so that the
 * bits do not depend on an instruction's or a compiler's order of operands.
 * fp8 e4m3 saturates to +-448 on overflow, e5m2 overflows to infinity.  Integer sums and
 * products wrap (two's complement).  Elements may be misaligned for their type.
 *
 * Floats are rounded as the calling thread has it set; the above holds for the default, to
 * nearest, with denormals.
 */
#ifndef FR_KERNELS_H
#define FR_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include <ferrule/types.h>

/* dst = a op b, `count` elements.  dst may be a or b, no other overlap. */
typedef void fr_reduce_fn(void *dst, const void *a, const void *b, size_t count);
/* dst = dst2 = a op b.  dst and dst2 may each be a or b (so no element may be read again after
 * it was written: no overlapping tails). */
typedef void fr_reduce2_fn(void *dst, void *dst2, const void *a, const void *b, size_t count);
/* dst = src[0] op src[1] op ... op src[n_src - 1], combined in that order; n_src >= 1; 16- and
 * 8-bit floats are rounded once, at the end.  One source is copied, bit for bit; two give what
 * reduce gives.  dst may be any one of the sources. */
typedef void fr_fold_fn(void *dst, const void *const *src, int n_src, size_t count);
/* dst = factor * src; dst may be src.  A factor that is the double nearest to 1/n, n up to 2^31,
 * means src / n.  Integers: rounded towards zero, clamped to the type's range, a NaN gives 0.
 * Floats: rounded once for float32 and float64; see scale_rule.h. */
typedef void fr_scale_fn(void *dst, const void *src, double factor, size_t count);

/* Where the results go past the caches ("non-temporal" stores): bits of a variant.  Any
 * alignment and count works; only whole aligned 64-byte lines are streamed, and nothing is
 * below 512 bytes or when no element begins a line.  Of two destinations that lie differently
 * within their lines, only dst2 is streamed.  No fence is included: see fr_stream_fence(). */
enum fr_stream {
	FR_STREAM_NONE = 0,
	FR_STREAM_DST = 1,
	FR_STREAM_DST2 = 2,
	FR_STREAM_BOTH = 3,
	FR_N_STREAMS = 4,
};

/* Everything for one (type, operator).  No member is ever NULL. */
struct fr_kernel {
	fr_reduce_fn *reduce[2]; /* by FR_STREAM_NONE, FR_STREAM_DST */
	fr_reduce2_fn *reduce2[FR_N_STREAMS];
	fr_fold_fn *fold;
};

/* fr_kernel_get - kernels for `type` and FERRULE_SUM, PROD, MIN or MAX (AVG is SUM here). */
const struct fr_kernel *fr_kernel_get(ferrule_type_t type, ferrule_redop_t op);
/* fr_kernel_scale - the scaling kernel of a type. */
fr_scale_fn *fr_kernel_scale(ferrule_type_t type);

/* fr_copy - memcpy; fr_copy2 - to two places in one pass.  `stream` as above. */
void fr_copy(void *dst, const void *src, size_t bytes, enum fr_stream stream);
void fr_copy2(void *dst, void *dst2, const void *src, size_t bytes, enum fr_stream stream);
/* fr_stream_fence - streamed stores before it are seen by others before stores after it. */
void fr_stream_fence(void);

/* The instruction set in use: "reference", "avx2", "avx512"; for info and tests. */
const char *fr_kernel_isa(void);
/* fr_kernel_use_isa - choose by name, or "auto" for the best; false when the name is unknown or
 * this processor or build lacks it.  For tests and the setting FERRULE_ISA; kernels that were
 * got before stay valid and keep their instruction set. */
bool fr_kernel_use_isa(const char *isa);

#endif

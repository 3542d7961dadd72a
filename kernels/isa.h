/*
 * isa.h - what one instruction set brings to the room.
 *
 * reference.c is the specification; avx2.c and avx512.c are compiled with the flags of their
 * instruction set and must only be called after dispatch.c has asked the processor.
 */
#ifndef FR_ISA_H
#define FR_ISA_H

#include "kernels/kernels.h"

/* What the reducing kernels of a (type, op) share: dst2 is NULL where there is one place. */
typedef void fr_pair_fn(void *dst, void *dst2, const void *a, const void *b, size_t count,
                        unsigned stream);
/* Its arguments. */
struct fr_pair {
	void *dst, *dst2;
	const void *a, *b;
	size_t count;
	unsigned stream;
};

/* SUM, PROD, MIN, MAX have kernels; AVG is SUM followed by a scaling. */
#define FR_N_KERNEL_OPS 4

struct fr_isa {
	const char *name;
	/* Whose kernels serve where a member below is NULL; NULL in the reference, which has
	 * them all. */
	const struct fr_isa *base;
	const struct fr_kernel *kernels[FERRULE_N_TYPES]; /* FR_N_KERNEL_OPS each */
	fr_scale_fn *scale[FERRULE_N_TYPES];
	/* Copies to one place (dst2 NULL) or two; `stream` is a bit set of enum fr_stream. */
	void (*copy)(void *dst, void *dst2, const void *src, size_t bytes, unsigned stream);
};

extern const struct fr_isa fr_isa_reference;
extern const struct fr_isa fr_isa_avx2;
extern const struct fr_isa fr_isa_avx512;

#endif

/* t_kernels.h - random elements, guarded memory and the list of instruction sets for the tests
 * of the kernels. */
#ifndef T_KERNELS_H
#define T_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/types.h>

/* Names for fr_kernel_use_isa(), NULL at the end: all but the reference. */
extern const char *const t_vector_isas[];

/* t_seed - of this run: T_SEED of the environment or a fixed number; printed. */
uint64_t t_seed(const char *test);
/* t_random - the next 64 bits. */
uint64_t t_random(uint64_t *state);

/*
 * t_fill_elements - `count` elements at `dst`: any bits at all, the special values of the type
 * (infinities, NaNs with payloads, zeros, denormals, the largest) and ordinary numbers.
 */
void t_fill_elements(ferrule_type_t type, void *dst, size_t count, uint64_t *random);

/* Room for `bytes` bytes at an offset of 0..63 from a line, with guard bytes on both sides. */
#define T_GUARD_BYTES 192
struct t_area {
	unsigned char *base; /* aligned to 64 */
	size_t room;         /* the largest `bytes` */
	unsigned char *data;
	size_t bytes;
};

void t_area_init(struct t_area *area, size_t room);
void t_area_fini(struct t_area *area);
/* t_area_place - repaints the guards; data lies at base + T_GUARD_BYTES + offset. */
void *t_area_place(struct t_area *area, size_t offset, size_t bytes);
/* t_area_is_intact - no byte around the data was written. */
bool t_area_is_intact(const struct t_area *area);

#endif

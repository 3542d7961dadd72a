#include "tests/kernels/t_kernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 0xa5

const char *const t_vector_isas[] = {"avx2", "avx512", NULL};

uint64_t t_seed(const char *test)
{
	const char *text = getenv("T_SEED");
	const uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20250611;

	printf("%s: seed %" PRIu64 " (T_SEED chooses another)\n", test, seed);
	return seed;
}

/* splitmix64. */
uint64_t t_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Where the exponent begins, in a type that is a float. */
struct layout {
	unsigned bits, mantissa_bits;
	uint64_t one;
};

static struct layout float_layout(ferrule_type_t type)
{
	switch (type) {
	case FERRULE_FLOAT16:
		return (struct layout){16, 10, 0x3c00};
	case FERRULE_BFLOAT16:
		return (struct layout){16, 7, 0x3f80};
	case FERRULE_FLOAT32:
		return (struct layout){32, 23, 0x3f800000};
	case FERRULE_FLOAT64:
		return (struct layout){64, 52, UINT64_C(0x3ff0000000000000)};
	case FERRULE_FP8_E4M3:
		return (struct layout){8, 3, 0x38};
	case FERRULE_FP8_E5M2:
		return (struct layout){8, 2, 0x3c};
	default:
		return (struct layout){0};
	}
}

static uint64_t special_bits(struct layout l, uint64_t *random)
{
	const uint64_t sign = t_random(random) % 2 << (l.bits - 1);
	const uint64_t hidden = UINT64_C(1) << l.mantissa_bits;
	const uint64_t infinity = (UINT64_C(1) << (l.bits - 1)) - hidden;

	switch (t_random(random) % 9) {
	case 0:
		return sign;
	case 1:
		return sign | 1; /* the smallest denormal */
	case 2:
		return sign | (hidden - 1); /* the largest */
	case 3:
		return sign | hidden;
	case 4:
		return sign | (infinity - 1);
	case 5:
		return sign | infinity;
	case 6:
		return sign | (infinity + 1 + t_random(random) % (hidden - 1)); /* NaN */
	case 7:
		return sign | ((UINT64_C(1) << (l.bits - 1)) - 1);
	default:
		return sign | l.one;
	}
}

static uint64_t element_bits(ferrule_type_t type, uint64_t *random)
{
	const struct layout l = float_layout(type);
	const uint64_t kind = t_random(random) % 4;

	if (l.bits == 0 || kind == 0)
		return t_random(random);
	if (kind == 1)
		return special_bits(l, random);
	/* About one, by up to 2^3 either way, so that sums need their rounding. */
	const uint64_t sign = t_random(random) % 2 << (l.bits - 1);
	const uint64_t spread = t_random(random) % (UINT64_C(6) << l.mantissa_bits);
	return sign | (l.one - (UINT64_C(3) << l.mantissa_bits) + spread);
}

void t_fill_elements(ferrule_type_t type, void *dst, size_t count, uint64_t *random)
{
	const size_t bytes = ferrule_type_bytes(type);

	for (size_t i = 0; i < count; i++) {
		const uint64_t x = element_bits(type, random);
		memcpy((char *)dst + i * bytes, &x, bytes);
	}
}

void t_area_init(struct t_area *area, size_t room)
{
	const size_t bytes = (room + 64 + 2 * T_GUARD_BYTES + 63) & ~(size_t)63;

	*area = (struct t_area){.base = aligned_alloc(64, bytes), .room = room};
	if (area->base == NULL) {
		perror("aligned_alloc");
		exit(1);
	}
}

void t_area_fini(struct t_area *area)
{
	free(area->base);
}

void *t_area_place(struct t_area *area, size_t offset, size_t bytes)
{
	area->data = area->base + T_GUARD_BYTES + offset;
	area->bytes = bytes;
	memset(area->data - T_GUARD_BYTES, GUARD, T_GUARD_BYTES);
	memset(area->data + bytes, GUARD, T_GUARD_BYTES - offset);
	return area->data;
}

bool t_area_is_intact(const struct t_area *area)
{
	unsigned char guard[T_GUARD_BYTES - 64];

	memset(guard, GUARD, sizeof guard);
	return memcmp(area->data - sizeof guard, guard, sizeof guard) == 0 &&
	       memcmp(area->data + area->bytes, guard, sizeof guard) == 0;
}

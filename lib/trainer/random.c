/* Seeded randomness, the same on every machine; see ferrule/trainer.h. */
#include "config.h"

#include <ferrule/trainer.h>

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

/* splitmix64 (Steele, Lea and Flood 2014): spreads any seed over all bits. */
static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void ferrule_random_init(struct ferrule_random *r, uint64_t seed, uint64_t stream)
{
	/* Hashing the stream first keeps (seed, stream) and (seed + 1, stream - 1) apart. */
	uint64_t state = splitmix64(&stream) ^ seed;

	for (int i = 0; i < 4; i++)
		r->state[i] = splitmix64(&state);
}

/* xoshiro256++ (Blackman and Vigna 2019). */
uint64_t ferrule_random_u64(struct ferrule_random *r)
{
	uint64_t *s = r->state;
	const uint64_t result = rotl(s[0] + s[3], 23) + s[0];
	const uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t ferrule_random_below(struct ferrule_random *r, uint64_t bound)
{
	if (bound == 0)
		return 0;
	/* The 2^64 mod bound smallest draws would make small results likelier: draw again. */
	const uint64_t unfair = (0 - bound) % bound;
	uint64_t x = ferrule_random_u64(r);

	while (x < unfair)
		x = ferrule_random_u64(r);
	return x % bound;
}

double ferrule_random_unit(struct ferrule_random *r)
{
	return (double)(ferrule_random_u64(r) >> 11) * 0x1p-53;
}

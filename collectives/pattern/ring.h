/*
 * ring.h - ranks in a circle: 0, 1, ..., n-1, 0.
 */
#ifndef FR_RING_H
#define FR_RING_H

/* fr_ring_ahead - the rank `steps` places after `rank`; 0 <= steps <= n. */
static inline int fr_ring_ahead(int rank, int steps, int n)
{
	const int at = rank + steps;

	return at >= n ? at - n : at;
}

/* fr_ring_behind - the rank `steps` places before `rank`; 0 <= steps <= n. */
static inline int fr_ring_behind(int rank, int steps, int n)
{
	const int at = rank - steps;

	return at < 0 ? at + n : at;
}

#endif

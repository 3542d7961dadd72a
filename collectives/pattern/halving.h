/*
 * halving.h - recursive halving and doubling over any number of ranks.
 *
 * The largest power of two, `size`, of ranks take part.  With `extra` ranks more, the first
 * 2 * extra ranks pair up: an even one hands its part to the odd one after it, which takes part
 * for both.
 */
#ifndef FR_HALVING_H
#define FR_HALVING_H

struct fr_halving {
	int size, extra;
	int place; /* this rank's among those that take part, -1: it does not */
	int buddy; /* the other of its pair, -1: none */
};

/* fr_halving - rank's role. */
struct fr_halving fr_halving(int rank, int n);

/* fr_halving_rank - the rank at a place. */
static inline int fr_halving_rank(const struct fr_halving *h, int place)
{
	return place < h->extra ? 2 * place + 1 : place + h->extra;
}

#endif

#include "config.h"

#include "collectives/pattern/halving.h"

struct fr_halving fr_halving(int rank, int n)
{
	struct fr_halving h = {.size = 1, .buddy = -1};

	while (2 * h.size <= n)
		h.size *= 2;
	h.extra = n - h.size;
	if (rank >= 2 * h.extra) {
		h.place = rank - h.extra;
		return h;
	}
	h.buddy = rank ^ 1;
	h.place = rank % 2 ? rank / 2 : -1;
	return h;
}

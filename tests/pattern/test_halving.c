/* test_halving.c - recursive halving's roles, and the ring's neighbours. */
#include "config.h"

#include "collectives/pattern/halving.h"
#include "collectives/pattern/ring.h"

#include "tests/support/t_main.h"

#define RANKS_MAX 130

static void test_the_largest_power_of_two_takes_part(void)
{
	for (int n = 1; n <= RANKS_MAX; n++) {
		const struct fr_halving h = fr_halving(0, n);

		CU_ASSERT_EQUAL(h.size & (h.size - 1), 0);
		CU_ASSERT(h.size <= n && 2 * h.size > n);
		CU_ASSERT_EQUAL(h.size + h.extra, n);
	}
}

static void test_places_and_ranks_are_one_to_one(void)
{
	for (int n = 1; n <= RANKS_MAX; n++) {
		int taken = 0;

		for (int rank = 0; rank < n; rank++) {
			const struct fr_halving h = fr_halving(rank, n);

			if (h.place < 0)
				continue;
			CU_ASSERT(h.place < h.size);
			CU_ASSERT_EQUAL(fr_halving_rank(&h, h.place), rank);
			taken++;
		}
		CU_ASSERT_EQUAL(taken, fr_halving(0, n).size);
	}
}

static void test_who_steps_aside_has_a_buddy_who_does_not(void)
{
	for (int n = 1; n <= RANKS_MAX; n++) {
		for (int rank = 0; rank < n; rank++) {
			const struct fr_halving h = fr_halving(rank, n);
			struct fr_halving buddy;

			if (h.place < 0)
				CU_ASSERT(h.buddy >= 0);
			if (h.buddy < 0)
				continue;
			CU_ASSERT_FATAL(h.buddy < n);
			buddy = fr_halving(h.buddy, n);
			CU_ASSERT_EQUAL(buddy.buddy, rank);
			CU_ASSERT((h.place < 0) != (buddy.place < 0));
		}
	}
}

static void test_ring_neighbours_go_round(void)
{
	for (int n = 1; n <= RANKS_MAX; n++) {
		for (int rank = 0; rank < n; rank++) {
			for (int steps = 0; steps <= n; steps++) {
				CU_ASSERT_EQUAL(fr_ring_ahead(rank, steps, n), (rank + steps) % n);
				CU_ASSERT_EQUAL(
					fr_ring_behind(fr_ring_ahead(rank, steps, n), steps, n),
					rank);
			}
		}
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"the largest power of two takes part", test_the_largest_power_of_two_takes_part},
		{"places and ranks are one to one", test_places_and_ranks_are_one_to_one},
		{"who steps aside has a buddy who does not",
	         test_who_steps_aside_has_a_buddy_who_does_not},
		{"ring neighbours go round", test_ring_neighbours_go_round},
		{NULL, NULL},
	};

	return t_main("halving", cases);
}

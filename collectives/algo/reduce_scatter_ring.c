/*
 * reduce_scatter_ring.c - blocks go round the ring, are combined on the way and end at their
 * rank.
 *
 *     round 1     3>0 +t0   0>1 +t0   1>2 +t0   2>3 +t0
 *     round 2     3>0 +t1   0>1 +t1   1>2 +t1   2>3 +t1
 *     round 3     3>0 +0   0>1 +0   1>2 +0   2>3 +0
 *
 * Steps: n-1 messages a rank, one after another.
 * Bytes sent: (n-1)/n S.
 * Scratch: two blocks.
 * Paper: Patarasuk and Yuan, "Bandwidth Optimal All-reduce Algorithms for Clusters of
 * Workstations", JPDC 2009.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	struct fr_round total = fr_cost_ring(&c, (c.n - 1) / c.n * c.bytes);

	total.messages = c.n - 1;
	total.reduce_bytes = (c.n - 1) / c.n * c.bytes;
	return fr_cost_rounds(&c, c.n - 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, rank = a->rank;
	const int right = fr_ring_ahead(rank, 1, n), left = fr_ring_behind(rank, 1, n);
	struct fr_range out = fr_emit_block(a, left), slots;
	size_t slot;

	if (fr_emit_alone(s, a))
		return;
	/* One block comes in while the one before it goes out. */
	slot = n > 2 ? fr_emit_largest_block(a) : 0;
	slots = fr_sched_tmp(s, n > 3 ? 2 * slot : slot);
	for (int k = 1; k < n; k++) {
		const struct fr_range own = fr_emit_block(a, fr_ring_behind(left, k, n));
		const struct fr_range sum =
			k == n - 1 ? fr_emit_small(a)
				   : fr_range(FR_TMP, slots.first + (k % 2 ? 0 : slot), own.count);

		fr_sched_send(s, right, out);
		fr_sched_recv_reduce(s, left, sum, own);
		out = sum;
	}
}

const struct fr_algo fr_reduce_scatter_ring = {
	.name = "ring",
	.coll = FR_COLL_REDUCE_SCATTER,
	.summary = "blocks go round the ring, are combined on the way and end at their rank",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

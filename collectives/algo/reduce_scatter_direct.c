/*
 * reduce_scatter_direct.c - every rank gets its block straight from all others.
 *
 *     round 1     3>0 +0   0>1 +0   1>2 +0   2>3 +0
 *     round 2     2>0 +0   3>1 +0   0>2 +0   1>3 +0
 *     round 3     1>0 +0   2>1 +0   3>2 +0   0>3 +0
 *
 * Steps: n-1 messages a rank, all together.
 * Bytes sent: (n-1)/n S.
 * Scratch: none.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	struct fr_round total = fr_cost_any(&c, c.n - 1, (c.n - 1) / c.n * c.bytes);

	total.reduce_bytes = (c.n - 1) / c.n * c.bytes;
	return fr_cost_rounds(&c, 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, rank = a->rank;
	struct fr_range sum = fr_emit_block(a, rank);

	if (fr_emit_alone(s, a))
		return;
	for (int k = 1; k < n; k++) {
		const int to = fr_ring_ahead(rank, k, n);

		fr_sched_send(s, to, fr_emit_block(a, to));
		fr_sched_recv_reduce(s, fr_ring_behind(rank, k, n), fr_emit_small(a), sum);
		sum = fr_emit_small(a);
	}
}

const struct fr_algo fr_reduce_scatter_direct = {
	.name = "direct",
	.coll = FR_COLL_REDUCE_SCATTER,
	.summary = "every rank gets its block straight from all others",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

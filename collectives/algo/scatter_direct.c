/*
 * scatter_direct.c - the root sends each rank its block.
 *
 *     round 1     0: 0=s0   0>1 =0   0>2 =0   0>3 =0
 *
 * Steps: n-1 messages at the root, all together.
 * Bytes sent: (n-1)/n S at the root.
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
	const struct fr_round total = fr_cost_root(&c, c.n - 1, (c.n - 1) / c.n * c.bytes);

	return fr_cost_rounds(&c, 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks;

	if (a->rank != a->root) {
		fr_sched_recv(s, a->root, fr_emit_small(a));
		return;
	}
	for (int k = 1; k < n; k++) {
		const int to = fr_ring_ahead(a->rank, k, n);

		fr_sched_send(s, to, fr_emit_block(a, to));
	}
	fr_emit_own(s, a);
}

const struct fr_algo fr_scatter_direct = {
	.name = "direct",
	.coll = FR_COLL_SCATTER,
	.summary = "the root sends each rank its block",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

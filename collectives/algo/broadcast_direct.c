/*
 * broadcast_direct.c - the root sends the vector to each of the others.
 *
 *     round 1     0: 0-3=s0-3   0>1 =0-3   0>2 =0-3   0>3 =0-3
 *
 * Steps: n-1 messages at the root, all together.
 * Bytes sent: (n-1) S at the root.
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
	const struct fr_round total = fr_cost_root(&c, c.n - 1, (c.n - 1) * c.bytes);

	return fr_cost_rounds(&c, 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks;

	if (a->rank != a->root) {
		fr_sched_recv(s, a->root, fr_emit_whole(a, FR_RECV));
		return;
	}
	for (int k = 1; k < n; k++)
		fr_sched_send(s, fr_ring_ahead(a->rank, k, n), fr_emit_whole(a, FR_SEND));
	fr_emit_own(s, a);
}

const struct fr_algo fr_broadcast_direct = {
	.name = "direct",
	.coll = FR_COLL_BROADCAST,
	.summary = "the root sends the vector to each of the others",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

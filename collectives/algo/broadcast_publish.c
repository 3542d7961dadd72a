/*
 * broadcast_publish.c - the root publishes the vector, the others collect it.
 *
 *     round 1     0>*   0: 0-3=s0-3   0>1 =0-3   0>2 =0-3   0>3 =0-3
 *
 * Steps: one publication; every rank reads it.
 * Bytes sent: S to the board.
 * Scratch: none.
 * Paper: Jain, Kaleem, Balmana, Langer, Durnov, Sannikov and Garzaran, "Framework for Scalable
 * Intra-Node Collective Operations using Shared Memory", SC 2018.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);

	return fr_cost_publish(&c, 1, c.bytes);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	if (fr_emit_alone(s, a))
		return;
	if (a->rank != a->root) {
		fr_sched_collect(s, a->root, fr_emit_whole(a, FR_RECV));
		return;
	}
	fr_sched_publish(s, fr_emit_whole(a, FR_SEND));
	fr_emit_own(s, a);
}

const struct fr_algo fr_broadcast_publish = {
	.name = "publish",
	.coll = FR_COLL_BROADCAST,
	.summary = "the root publishes the vector, the others collect it",
	.applies = fr_applies_board,
	.cost = cost,
	.emit = emit,
};

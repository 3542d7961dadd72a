/*
 * allreduce_publish.c - every rank publishes its vector on the board and combines all of them.
 *
 *     round 1     0>*   *>0 +0-3   1>*   *>1 +0-3   2>*   *>2 +0-3   3>*   *>3 +0-3
 *
 * Steps: one publication; every rank reads n-1.
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

	return fr_cost_publish(&c, c.n - 1, c.bytes) +
	       (c.n - 1) * c.bytes * m->reduce_byte_s * c.share;
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	if (fr_emit_alone(s, a))
		return;
	fr_sched_publish(s, fr_emit_whole(a, FR_SEND));
	fr_sched_fold(s, fr_emit_whole(a, FR_RECV), fr_emit_whole(a, FR_SEND));
}

const struct fr_algo fr_allreduce_publish = {
	.name = "publish",
	.coll = FR_COLL_ALLREDUCE,
	.summary = "every rank publishes its vector on the board and combines all of them",
	.applies = fr_applies_board,
	.cost = cost,
	.emit = emit,
};

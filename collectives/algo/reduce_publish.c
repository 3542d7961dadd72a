/*
 * reduce_publish.c - every rank publishes its vector and the root combines all of them.
 *
 *     round 1     0>*   *>0 +0-3   1>*   2>*   3>*
 *
 * Steps: one publication; the root reads n-1.
 * Bytes sent: S to the board.
 * Scratch: none.
 * Paper: Jain, Kaleem, Balmana, Langer, Durnov, Sannikov and Garzaran, "Framework for Scalable
 * Intra-Node Collective Operations using Shared Memory", SC 2018.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);

	return fr_cost_publish(&c, c.n - 1, c.bytes) + (c.n - 1) * c.bytes * m->reduce_byte_s;
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	if (fr_emit_alone(s, a))
		return;
	fr_sched_publish(s, fr_emit_whole(a, FR_SEND));
	if (a->rank == a->root) {
		fr_sched_fold(s, fr_emit_whole(a, FR_RECV), fr_emit_whole(a, FR_SEND));
		return;
	}
	/* The others let the publications pass. */
	for (int k = 1; k < a->n_ranks; k++)
		fr_sched_collect_part(s, fr_ring_ahead(a->rank, k, a->n_ranks),
		                      fr_range(FR_TMP, 0, 0), 0, a->count);
}

const struct fr_algo fr_reduce_publish = {
	.name = "publish",
	.coll = FR_COLL_REDUCE,
	.summary = "every rank publishes its vector and the root combines all of them",
	.applies = fr_applies_board,
	.cost = cost,
	.emit = emit,
};

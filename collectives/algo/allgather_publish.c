/*
 * allgather_publish.c - every rank publishes its block and collects those of all others.
 *
 *     round 1     0>*   0: 0=s0   3>0 =3   2>0 =2   1>0 =1   1>*   1: 1=s0   0>1 =0   3>1 =3
 *                 2>1 =2   2>*   2: 2=s0   1>2 =1   0>2 =0   3>2 =3   3>*   3: 3=s0   2>3 =2
 *                 1>3 =1   0>3 =0
 *
 * Steps: one publication; every rank reads n-1.
 * Bytes sent: S/n to the board.
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

	return fr_cost_publish(&c, c.n - 1, c.bytes / c.n);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks;

	if (fr_emit_alone(s, a))
		return;
	fr_sched_publish(s, fr_emit_small(a));
	fr_emit_own(s, a);
	for (int k = 1; k < n; k++) {
		const int from = fr_ring_behind(a->rank, k, n);

		fr_sched_collect(s, from, fr_emit_block(a, from));
	}
}

const struct fr_algo fr_allgather_publish = {
	.name = "publish",
	.coll = FR_COLL_ALLGATHER,
	.summary = "every rank publishes its block and collects those of all others",
	.applies = fr_applies_board,
	.cost = cost,
	.emit = emit,
};

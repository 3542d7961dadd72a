/*
 * gather_publish.c - every rank publishes its block, the root collects them.
 *
 *     round 1     0>*   0: 0=s0   1>0 =1   2>0 =2   3>0 =3   1>*   2>*   3>*
 *
 * Steps: one publication; the root reads n-1.
 * Bytes sent: S/n to the board.
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

	return fr_cost_publish(&c, c.n - 1, c.bytes / c.n);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks;

	if (fr_emit_alone(s, a))
		return;
	fr_sched_publish(s, fr_emit_small(a));
	if (a->rank == a->root)
		fr_emit_own(s, a);
	for (int k = 1; k < n; k++) {
		const int from = fr_ring_ahead(a->rank, k, n);

		/* All but the root let the publications pass. */
		fr_sched_collect_part(s, from,
		                      a->rank == a->root ? fr_emit_block(a, from)
		                                         : fr_range(FR_TMP, 0, 0),
		                      0, fr_emit_block_count(a, from));
	}
}

const struct fr_algo fr_gather_publish = {
	.name = "publish",
	.coll = FR_COLL_GATHER,
	.summary = "every rank publishes its block, the root collects them",
	.applies = fr_applies_board,
	.cost = cost,
	.emit = emit,
};

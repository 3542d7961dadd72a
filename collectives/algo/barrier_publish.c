/*
 * barrier_publish.c - every rank publishes that it is there and waits for all others.
 *
 *     round 1     0>*   *>0   1>*   *>1   2>*   *>2   3>*   *>3
 *
 * Steps: one empty publication; every rank reads n-1.
 * Bytes sent: none.
 * Scratch: none.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);

	return fr_cost_publish(&c, c.n - 1, 0);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	if (a->n_ranks == 1)
		return;
	fr_sched_publish(s, fr_range(FR_TMP, 0, 0));
	fr_sched_fold(s, fr_range(FR_TMP, 0, 0), fr_range(FR_TMP, 0, 0));
}

const struct fr_algo fr_barrier_publish = {
	.name = "publish",
	.coll = FR_COLL_BARRIER,
	.summary = "every rank publishes that it is there and waits for all others",
	.applies = fr_applies_board,
	.cost = cost,
	.emit = emit,
};

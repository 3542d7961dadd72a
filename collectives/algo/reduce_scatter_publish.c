/*
 * reduce_scatter_publish.c - every rank publishes all its blocks, combines all and keeps its
 * own.
 *
 *     round 1     0>*   *>0 +t0-3   1>*   *>1 +t0-3   2>*   *>2 +t0-3   3>*   *>3 +t0-3
 *     round 2     0: 0=t0   1: 0=t1   2: 0=t2   3: 0=t3
 *
 * Steps: one publication; every rank reads n-1.
 * Bytes sent: S, all blocks together, to the board.
 * Scratch: S.
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
	const struct fr_range all = fr_range(FR_SEND, 0, fr_coll_total_count(a));
	struct fr_range sum;

	if (fr_emit_alone(s, a))
		return;
	fr_sched_publish(s, all);
	sum = fr_sched_tmp(s, all.count);
	fr_sched_fold(s, sum, all);
	fr_sched_copy(s, fr_emit_small(a),
	              fr_range(FR_TMP, sum.first + fr_emit_block(a, a->rank).first,
	                       fr_emit_block_count(a, a->rank)));
}

const struct fr_algo fr_reduce_scatter_publish = {
	.name = "publish",
	.coll = FR_COLL_REDUCE_SCATTER,
	.summary = "every rank publishes all its blocks, combines all and keeps its own",
	.applies = fr_applies_board_total,
	.cost = cost,
	.emit = emit,
};

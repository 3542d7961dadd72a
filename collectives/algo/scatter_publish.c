/*
 * scatter_publish.c - the root publishes all blocks, every rank keeps its own.
 *
 *     round 1     0>*   0: 0=s0   0>1 =0   0>2 =0   0>3 =0
 *
 * Steps: one publication; every rank reads it.
 * Bytes sent: S to the board.
 * Scratch: none.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"

/* The blocks must lie one after the other to be published as one. */
static bool applies(const struct fr_coll_args *a)
{
	return fr_applies_packed(a) && fr_applies_board_total(a);
}

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);

	/* Writing all blocks, reading one. */
	return fr_cost_publish(&c, 1, c.bytes / c.n) + c.bytes * m->copy_byte_s;
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const size_t count = fr_coll_total_count(a);

	if (fr_emit_alone(s, a))
		return;
	if (a->rank == a->root) {
		fr_sched_publish(s, fr_range(FR_SEND, 0, count));
		fr_emit_own(s, a);
		return;
	}
	fr_sched_collect_part(s, a->root, fr_emit_small(a), fr_emit_block(a, a->rank).first, count);
}

const struct fr_algo fr_scatter_publish = {
	.name = "publish",
	.coll = FR_COLL_SCATTER,
	.summary = "the root publishes all blocks, every rank keeps its own",
	.applies = applies,
	.cost = cost,
	.emit = emit,
};

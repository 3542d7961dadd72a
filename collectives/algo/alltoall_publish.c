/*
 * alltoall_publish.c - every rank publishes all its blocks and picks its own from the others.
 *
 *     round 1     0>*   0: 0=s0   3>0 =3   2>0 =2   1>0 =1   1>*   1: 1=s1   0>1 =0   3>1 =3
 *                 2>1 =2   2>*   2: 2=s2   1>2 =1   0>2 =0   3>2 =3   3>*   3: 3=s3   2>3 =2
 *                 1>3 =1   0>3 =0
 *
 * Steps: one publication; every rank reads n-1.
 * Bytes sent: S to the board.
 * Scratch: none.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

/* With counts of its own, no rank knows whether all others' blocks fit. */
static bool applies(const struct fr_coll_args *a)
{
	return !a->send_counts && fr_applies_board_total(a);
}

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);

	/* Writing all blocks, reading one of every rank. */
	return fr_cost_publish(&c, c.n - 1, c.bytes / c.n) + c.bytes * m->copy_byte_s * c.share;
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks;
	const struct fr_range all = fr_range(FR_SEND, 0, (size_t)n * a->count);

	if (fr_emit_alone(s, a))
		return;
	fr_sched_publish(s, all);
	fr_emit_own(s, a);
	for (int k = 1; k < n; k++) {
		const int from = fr_ring_behind(a->rank, k, n);

		fr_sched_collect_part(s, from, fr_emit_from(a, from), (size_t)a->rank * a->count,
		                      all.count);
	}
}

const struct fr_algo fr_alltoall_publish = {
	.name = "publish",
	.coll = FR_COLL_ALLTOALL,
	.summary = "every rank publishes all its blocks and picks its own from the others",
	.applies = applies,
	.cost = cost,
	.emit = emit,
};

/*
 * barrier_dissemination.c - word of who is there spreads in doubling steps: log2 n messages.
 *
 *     round 1     3>0 =t1   0>1 =t1   1>2 =t1   2>3 =t1
 *     round 2     2>0 =t2-3   3>1 =t2-3   0>2 =t2-3   1>3 =t2-3
 *
 * Steps: log2 n messages a rank, one after another.
 * Bytes sent: n-1 of one byte.
 * Scratch: up to 2n bytes.
 * Paper: Hensgen, Finkel and Manber, "Two Algorithms for Barrier Synchronization", IJPP 1988.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

/*
 * Messages say nothing but that a rank is there, so their order must come from their place in
 * scratch: one element a rank that is known to be there, this one first.  What was heard is
 * passed on whole, because steps are ordered element by element.
 */

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const double rounds = fr_cost_log2(c.n);
	const struct fr_round total = fr_cost_any(&c, rounds, c.n);

	return fr_cost_rounds(&c, rounds, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks;

	for (int known = 1; known < n; known *= 2) {
		const size_t count = (size_t)known;

		if (known == 1)
			fr_sched_tmp(s, count);
		fr_sched_send(s, fr_ring_ahead(a->rank, known, n), fr_range(FR_TMP, 0, count));
		fr_sched_recv(s, fr_ring_behind(a->rank, known, n), fr_sched_tmp(s, count));
	}
}

const struct fr_algo fr_barrier_dissemination = {
	.name = "dissemination",
	.coll = FR_COLL_BARRIER,
	.summary = "word of who is there spreads in doubling steps: log2 n messages",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

/*
 * allgather_bruck.c - blocks gather in doubling steps: log2 n messages.
 *
 *     round 1     0: 0=s0   1>0 =1   1: 1=s0   2>1 =2   3>1 =3   2: 2=s0   3>2 =3   3: 3=s0
 *                 0>3 =0
 *     round 2     2>0 =2-3   3>1 =0   0>2 =0-1   1>3 =1-2
 *
 * Steps: log2 n rounds of at most two messages.
 * Bytes sent: (n-1)/n S.
 * Scratch: none: blocks are received where they belong.
 * Paper: Bruck, Ho, Kipnis, Upfal and Weathersby, "Efficient Algorithms for All-to-All
 * Communications in Multiport Message-Passing Systems", IEEE TPDS 1997.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const double rounds = fr_cost_log2(c.n);
	/* A step may take two messages: the blocks lie round the end of the buffer. */
	const struct fr_round total = fr_cost_any(&c, 1.5 * rounds, (c.n - 1) / c.n * c.bytes);

	return fr_cost_rounds(&c, rounds, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, rank = a->rank;

	fr_emit_own(s, a);
	/* With `have` blocks from this rank's on, as many come from that many ranks ahead. */
	for (int have = 1; have < n; have *= 2) {
		const int more = have < n - have ? have : n - have;
		const int to = fr_ring_behind(rank, have, n), from = fr_ring_ahead(rank, have, n);
		const struct fr_span out = fr_span(a, rank, more), in = fr_span(a, from, more);

		fr_sched_send(s, to, out.head);
		fr_sched_send(s, to, out.tail);
		fr_sched_recv(s, from, in.head);
		fr_sched_recv(s, from, in.tail);
	}
}

const struct fr_algo fr_allgather_bruck = {
	.name = "bruck",
	.coll = FR_COLL_ALLGATHER,
	.summary = "blocks gather in doubling steps: log2 n messages",
	.applies = fr_applies_packed,
	.cost = cost,
	.emit = emit,
};

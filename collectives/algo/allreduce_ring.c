/*
 * allreduce_ring.c - parts go round the ring twice: once to be combined, once to be handed
 * out.
 *
 *     round 1     3>0 +3   0>1 +0   1>2 +1   2>3 +2
 *     round 2     3>0 +2   0>1 +3   1>2 +0   2>3 +1
 *     round 3     3>0 +1   0>1 +2   1>2 +3   2>3 +0
 *     round 4     3>0 =0   0>1 =1   1>2 =2   2>3 =3
 *     round 5     3>0 =3   0>1 =0   1>2 =1   2>3 =2
 *     round 6     3>0 =2   0>1 =3   1>2 =0   2>3 =1
 *
 * Steps: 2(n-1) messages a rank, one after another.
 * Bytes sent: 2(n-1)/n S.
 * Scratch: none.
 * Paper: Patarasuk and Yuan, "Bandwidth Optimal All-reduce Algorithms for Clusters of
 * Workstations", JPDC 2009.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const double rounds = 2 * (c.n - 1);
	struct fr_round total = fr_cost_ring(&c, rounds / c.n * c.bytes);

	total.messages = rounds;
	total.reduce_bytes = (c.n - 1) / c.n * c.bytes;
	return fr_cost_rounds(&c, rounds, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, rank = a->rank;
	const int right = fr_ring_ahead(rank, 1, n), left = fr_ring_behind(rank, 1, n);

	if (fr_emit_alone(s, a))
		return;
	/* Part p starts at rank p and is complete n-1 places on, at rank p-1. */
	for (int k = 0; k < n - 1; k++) {
		const int out = fr_ring_behind(rank, k, n), in = fr_ring_behind(rank, k + 1, n);

		fr_sched_send(s, right, fr_emit_part(a, k ? FR_RECV : FR_SEND, n, out));
		fr_sched_recv_reduce(s, left, fr_emit_part(a, FR_RECV, n, in),
		                     fr_emit_part(a, FR_SEND, n, in));
	}
	/* From there it goes round once more. */
	for (int k = 0; k < n - 1; k++) {
		const int out = fr_ring_behind(right, k, n), in = fr_ring_behind(rank, k, n);

		fr_sched_send(s, right, fr_emit_part(a, FR_RECV, n, out));
		fr_sched_recv(s, left, fr_emit_part(a, FR_RECV, n, in));
	}
}

const struct fr_algo fr_allreduce_ring = {
	.name = "ring",
	.coll = FR_COLL_ALLREDUCE,
	.summary = "parts go round the ring twice: once to be combined, once to be handed out",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

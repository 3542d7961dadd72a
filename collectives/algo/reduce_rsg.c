/*
 * reduce_rsg.c - each rank combines its part from all others and sends it to the root.
 *
 *     round 1     3>0 +0   0>1 +t0   1>2 +t0   2>3 +t0
 *     round 2     2>0 +0   3>1 +t0   0>2 +t0   1>3 +t0
 *     round 3     1>0 +0   2>1 +t0   3>2 +t0   0>3 +t0
 *     round 4     3>0 =3   2>0 =2   1>0 =1
 *
 * Steps: n messages a rank at most, in two rounds.
 * Bytes sent: (n-1)/n S, and S/n to the root.
 * Scratch: S/n except at the root.
 * Paper: Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004 (with a
 * direct reduce-scatter).
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	struct fr_round scatter = fr_cost_any(&c, c.n - 1, (c.n - 1) / c.n * c.bytes);
	struct fr_round gather = fr_cost_any(&c, 1, (c.n - 1) / c.n * c.bytes);

	scatter.reduce_bytes = (c.n - 1) / c.n * c.bytes;
	gather.net_bytes /= c.per_host;
	return fr_cost_rounds(&c, 1, &scatter) + fr_cost_rounds(&c, 1, &gather);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, rank = a->rank;
	struct fr_range mine = fr_emit_part(a, FR_RECV, n, rank), sum;

	if (fr_emit_alone(s, a))
		return;
	if (rank != a->root)
		mine = fr_sched_tmp(s, mine.count);
	sum = fr_emit_part(a, FR_SEND, n, rank);
	for (int k = 1; k < n; k++) {
		const int to = fr_ring_ahead(rank, k, n);

		fr_sched_send(s, to, fr_emit_part(a, FR_SEND, n, to));
		fr_sched_recv_reduce(s, fr_ring_behind(rank, k, n), mine, sum);
		sum = mine;
	}
	if (rank != a->root) {
		fr_sched_send(s, a->root, sum);
		return;
	}
	for (int k = 1; k < n; k++) {
		const int from = fr_ring_behind(rank, k, n);

		fr_sched_recv(s, from, fr_emit_part(a, FR_RECV, n, from));
	}
}

const struct fr_algo fr_reduce_rsg = {
	.name = "rsg",
	.coll = FR_COLL_REDUCE,
	.summary = "each rank combines its part from all others and sends it to the root",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

/*
 * allgather_ring.c - blocks go round the ring.
 *
 *     round 1     0: 0=s0   3>0 =3   1: 1=s0   0>1 =0   2: 2=s0   1>2 =1   3: 3=s0   2>3 =2
 *     round 2     3>0 =2   0>1 =3   1>2 =0   2>3 =1
 *     round 3     3>0 =1   0>1 =2   1>2 =3   2>3 =0
 *
 * Steps: n-1 messages a rank, one after another.
 * Bytes sent: (n-1)/n S.
 * Scratch: none.
 * Paper: Barnett, Shuler, Gupta, Payne, van de Geijn and Watts, "Building a High-Performance
 * Collective Communication Library", SC 1994.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	struct fr_round total = fr_cost_ring(&c, (c.n - 1) / c.n * c.bytes);

	total.messages = c.n - 1;
	return fr_cost_rounds(&c, c.n - 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, rank = a->rank;
	const int right = fr_ring_ahead(rank, 1, n), left = fr_ring_behind(rank, 1, n);
	struct fr_range out = fr_emit_small(a);

	fr_emit_own(s, a);
	for (int k = 1; k < n; k++) {
		const struct fr_range in = fr_emit_block(a, fr_ring_behind(rank, k, n));

		fr_sched_send(s, right, out);
		fr_sched_recv(s, left, in);
		out = in;
	}
}

const struct fr_algo fr_allgather_ring = {
	.name = "ring",
	.coll = FR_COLL_ALLGATHER,
	.summary = "blocks go round the ring",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

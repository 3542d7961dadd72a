/*
 * broadcast_scatter_ring.c - the root hands out parts, which then go round the ring.
 *
 *     round 1     0: 0-3=s0-3   0>1 =1   0>2 =2   0>3 =3
 *     round 2     0>1 =0   1>2 =1   2>3 =2
 *     round 3     0>1 =3   1>2 =0   2>3 =1
 *     round 4     0>1 =2   1>2 =3   2>3 =0
 *
 * Steps: n rounds.
 * Bytes sent: 2(n-1)/n S at the root, less elsewhere.
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
	const struct fr_round scatter = fr_cost_root(&c, c.n - 1, (c.n - 1) / c.n * c.bytes);
	struct fr_round ring = fr_cost_ring(&c, (c.n - 1) / c.n * c.bytes);

	ring.messages = c.n - 1;
	return fr_cost_rounds(&c, 1, &scatter) + fr_cost_rounds(&c, c.n - 1, &ring);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, v = fr_ring_behind(a->rank, a->root, n);
	const int right = fr_ring_ahead(a->rank, 1, n), left = fr_ring_behind(a->rank, 1, n);
	const enum fr_space space = v ? FR_RECV : FR_SEND;

	/* Part i is for the i-th rank after the root. */
	for (int i = 1; i < n && v == 0; i++)
		fr_sched_send(s, fr_ring_ahead(a->root, i, n), fr_emit_part(a, space, n, i));
	if (v)
		fr_sched_recv(s, a->root, fr_emit_part(a, space, n, v));
	/* The root has all parts: nobody sends it any. */
	for (int k = 0; k < n - 1; k++) {
		if (right != a->root)
			fr_sched_send(s, right, fr_emit_part(a, space, n, fr_ring_behind(v, k, n)));
		if (v)
			fr_sched_recv(s, left,
			              fr_emit_part(a, space, n, fr_ring_behind(v, k + 1, n)));
	}
	if (v == 0)
		fr_emit_own(s, a);
}

const struct fr_algo fr_broadcast_scatter_ring = {
	.name = "scatter_ring",
	.coll = FR_COLL_BROADCAST,
	.summary = "the root hands out parts, which then go round the ring",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

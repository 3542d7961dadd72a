/*
 * broadcast_binomial.c - pieces go down a binomial tree.
 *
 *     round 1     0: 0-3=s0-3   0>1 =0-3   0>2 =0-3
 *     round 2     2>3 =0-3
 *
 * Steps: log2 n rounds, and one a further piece.
 * Bytes sent: log2 n S at the root.
 * Scratch: none.
 * Paper: Barnett, Shuler, Gupta, Payne, van de Geijn and Watts, "Building a High-Performance
 * Collective Communication Library", SC 1994.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/binomial.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const double depth = fr_binomial_depth(a->n_ranks);
	const double chunks = fr_emit_chunks(a, a->count, (int)depth);
	/* The root sends the whole vector to each of its children. */
	const struct fr_round total = fr_cost_root(&c, depth * chunks, depth * c.bytes);

	return fr_cost_rounds(&c, depth + chunks - 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, v = fr_ring_behind(a->rank, a->root, n);
	const int chunks = fr_emit_chunks(a, a->count, fr_binomial_depth(n));

	for (int chunk = 0; chunk < chunks; chunk++) {
		const struct fr_range piece = fr_emit_part(a, v ? FR_RECV : FR_SEND, chunks, chunk);

		if (v)
			fr_sched_recv(s, fr_ring_ahead(a->root, fr_binomial_parent(v), n), piece);
		/* The largest subtree has the longest way to go. */
		for (int i = fr_binomial_n_children(v, n) - 1; i >= 0; i--)
			fr_sched_send(s, fr_ring_ahead(a->root, fr_binomial_child(v, i), n), piece);
	}
	if (v == 0)
		fr_emit_own(s, a);
}

const struct fr_algo fr_broadcast_binomial = {
	.name = "binomial",
	.coll = FR_COLL_BROADCAST,
	.summary = "pieces go down a binomial tree",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

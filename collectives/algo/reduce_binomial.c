/*
 * reduce_binomial.c - pieces go up a binomial tree and are combined on the way.
 *
 *     round 1     1>0 +0-3   3>2 +t0-3
 *     round 2     2>0 +0-3
 *
 * Steps: log2 n rounds, and one a further piece.
 * Bytes sent: S.
 * Scratch: up to four pieces at ranks with children, but not at the root.
 * Paper: Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations
 * in MPICH", IJHPCA 2005.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/binomial.h"
#include "collectives/pattern/ring.h"

/* Pieces in flight at a rank between its children and its parent. */
#define SLOTS 4

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const double depth = fr_binomial_depth(a->n_ranks);
	const double chunks = fr_emit_chunks(a, a->count, (int)depth);
	/* The root takes in the whole vector from each of its children. */
	struct fr_round total = fr_cost_any(&c, depth + chunks - 1, depth * c.bytes);

	total.reduce_bytes = depth * c.bytes;
	return fr_cost_rounds(&c, depth + chunks - 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, v = fr_ring_behind(a->rank, a->root, n);
	const int children = fr_binomial_n_children(v, n);
	const int chunks = fr_emit_chunks(a, a->count, fr_binomial_depth(n));
	const int slots = chunks < SLOTS ? chunks : SLOTS;
	const size_t slot = fr_emit_part(a, FR_SEND, chunks, 0).count;
	struct fr_range scratch;

	if (fr_emit_alone(s, a))
		return;
	scratch = fr_sched_tmp(s, v && children ? slot * (size_t)slots : 0);
	for (int chunk = 0; chunk < chunks; chunk++) {
		struct fr_range sum = fr_emit_part(a, FR_SEND, chunks, chunk);
		struct fr_range to = v ? scratch : fr_emit_whole(a, FR_RECV);

		to.first += v ? slot * (size_t)(chunk % slots) : sum.first;
		to.count = sum.count;
		for (int i = 0; i < children; i++) {
			const int child = fr_ring_ahead(a->root, fr_binomial_child(v, i), n);

			fr_sched_recv_reduce(s, child, to, sum);
			sum = to;
		}
		if (v)
			fr_sched_send(s, fr_ring_ahead(a->root, fr_binomial_parent(v), n), sum);
	}
}

const struct fr_algo fr_reduce_binomial = {
	.name = "binomial",
	.coll = FR_COLL_REDUCE,
	.summary = "pieces go up a binomial tree and are combined on the way",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

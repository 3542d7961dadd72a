/*
 * scatter_binomial.c - blocks of subtrees go down a binomial tree.
 *
 *     round 1     0: 0=s0   0>1 =0   0>2 =t0-1
 *     round 2     2: 0=t0   2>3 =0
 *
 * Steps: log2 n rounds of at most two messages.
 * Bytes sent: (n-1)/n S at the root.
 * Scratch: the blocks of its subtree at a rank with children, but not at the root.
 * Paper: Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations
 * in MPICH", IJHPCA 2005.
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
	const struct fr_round total = fr_cost_root(&c, 1.5 * depth, (c.n - 1) / c.n * c.bytes);

	/* On the way half of all blocks are copied out from among others. */
	return fr_cost_rounds(&c, depth, &total) + c.bytes / 2 * m->copy_byte_s;
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, v = fr_ring_behind(a->rank, a->root, n);
	const int children = fr_binomial_n_children(v, n);
	struct fr_span mine = fr_span(a, a->rank, fr_binomial_subtree(v, n));
	struct fr_store store;

	/* Above the leaves a subtree's blocks come together in scratch, at the root in place. */
	fr_store_init(s, &store, v && children ? &mine : NULL);
	mine = fr_store_span(&store, mine);
	if (v && !children)
		mine.head = fr_emit_small(a);
	if (v) {
		const int parent = fr_ring_ahead(a->root, fr_binomial_parent(v), n);

		fr_sched_recv(s, parent, mine.head);
		fr_sched_recv(s, parent, mine.tail);
	}
	for (int i = children - 1; i >= 0; i--) {
		const int child_v = fr_binomial_child(v, i),
			  child = fr_ring_ahead(a->root, child_v, n);
		const struct fr_span out = fr_span(a, child, fr_binomial_subtree(child_v, n));

		fr_sched_send(s, child, fr_store_span(&store, out).head);
		fr_sched_send(s, child, fr_store_span(&store, out).tail);
	}
	if (!v || children)
		fr_sched_copy(s, fr_emit_small(a),
		              fr_store_range(&store, fr_emit_block(a, a->rank)));
}

const struct fr_algo fr_scatter_binomial = {
	.name = "binomial",
	.coll = FR_COLL_SCATTER,
	.summary = "blocks of subtrees go down a binomial tree",
	.applies = fr_applies_packed,
	.cost = cost,
	.emit = emit,
};

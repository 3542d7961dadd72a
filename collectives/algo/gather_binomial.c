/*
 * gather_binomial.c - blocks of subtrees go up a binomial tree.
 *
 *     round 1     0: 0=s0   1>0 =1   2: t0=s0   3>2 =t1
 *     round 2     2>0 =2-3
 *
 * Steps: log2 n rounds of at most two messages.
 * Bytes sent: S/2 at most.
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

	/* On the way half of all blocks are put behind another. */
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
	else
		fr_sched_copy(s, fr_store_range(&store, fr_emit_block(a, a->rank)),
		              fr_emit_small(a));
	for (int i = 0; i < children; i++) {
		const int child_v = fr_binomial_child(v, i),
			  child = fr_ring_ahead(a->root, child_v, n);
		const struct fr_span in = fr_span(a, child, fr_binomial_subtree(child_v, n));

		fr_sched_recv(s, child, fr_store_span(&store, in).head);
		fr_sched_recv(s, child, fr_store_span(&store, in).tail);
	}
	if (v) {
		const int parent = fr_ring_ahead(a->root, fr_binomial_parent(v), n);

		fr_sched_send(s, parent, mine.head);
		fr_sched_send(s, parent, mine.tail);
	}
}

const struct fr_algo fr_gather_binomial = {
	.name = "binomial",
	.coll = FR_COLL_GATHER,
	.summary = "blocks of subtrees go up a binomial tree",
	.applies = fr_applies_packed,
	.cost = cost,
	.emit = emit,
};

/*
 * allreduce_tree.c - two binary trees, one for each half; pieces go up combined and down
 * again.
 *
 *     round 1     2>1 +2-3   1>2 +0-1
 *     round 2     0>1 +2-3   3>2 +0-1
 *     round 3     2>0 +0-1   1>3 +2-3
 *     round 4     3>1 =2-3   0>2 =0-1
 *     round 5     1>0 =2-3   2>1 =0-1   1>2 =2-3   2>3 =0-1
 *
 * Steps: about 2 log2 n rounds, and one a further piece; at most 3 messages a piece and tree.
 * Bytes sent: at most 2 S, but 3 S at one rank where n is odd.
 * Scratch: none.
 * Paper: Sanders, Speck and Traff, "Two-Tree Algorithms for Full Bandwidth Broadcast,
 * Reduction and Scan", Parallel Computing 2009.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/double_tree.h"

/* Piece `chunk` of the half of the vector that belongs to a tree. */
static struct fr_range piece(const struct fr_coll_args *a, enum fr_space space, int tree, int chunk,
                             int chunks)
{
	return fr_emit_cut(a, fr_emit_part(a, space, 2, tree), chunks, chunk);
}

static void go_up(struct fr_sched *s, const struct fr_coll_args *a, int tree, int chunk, int chunks)
{
	const struct fr_tree_node node = fr_double_tree(tree, a->rank, a->n_ranks);
	const struct fr_range sum = piece(a, FR_RECV, tree, chunk, chunks);
	struct fr_range from = piece(a, FR_SEND, tree, chunk, chunks);

	for (int i = 0; i < node.n_children; i++) {
		fr_sched_recv_reduce(s, node.children[i], sum, from);
		from = sum;
	}
	if (node.parent >= 0)
		fr_sched_send(s, node.parent, from);
}

static void go_down(struct fr_sched *s, const struct fr_coll_args *a, int tree, int chunk,
                    int chunks)
{
	const struct fr_tree_node node = fr_double_tree(tree, a->rank, a->n_ranks);
	const struct fr_range result = piece(a, FR_RECV, tree, chunk, chunks);

	if (node.parent >= 0)
		fr_sched_recv(s, node.parent, result);
	for (int i = 0; i < node.n_children; i++)
		fr_sched_send(s, node.children[i], result);
}

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const double depth = fr_double_tree_depth(a->n_ranks);
	const double chunks = fr_emit_chunks(a, a->count / 2, 2 * (int)depth);
	/* While the pipeline fills and drains, half of the links rest. */
	const double work = (chunks - 1 + depth / 2) / chunks;
	struct fr_round total = fr_cost_any(&c, 4 * (depth + chunks - 1), 2 * c.bytes * work);

	total.reduce_bytes = c.bytes * work;
	return fr_cost_rounds(&c, 2 * depth + chunks - 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, depth = fr_double_tree_depth(n);
	const int chunks = fr_emit_chunks(a, a->count / 2, 2 * depth);

	if (fr_emit_alone(s, a))
		return;
	/* Every rank counts the same beats, so that messages between two ranks which are
	 * neighbours in both trees leave and arrive in one order.  The way down follows the way
	 * up by the depth of the tree: earlier there is nothing to send. */
	for (int beat = 0; beat < chunks + depth; beat++) {
		for (int tree = 0; tree < 2 && beat < chunks; tree++)
			go_up(s, a, tree, beat, chunks);
		for (int tree = 0; tree < 2 && beat >= depth; tree++)
			go_down(s, a, tree, beat - depth, chunks);
	}
}

const struct fr_algo fr_allreduce_tree = {
	.name = "tree",
	.coll = FR_COLL_ALLREDUCE,
	.summary = "two binary trees, one for each half; pieces go up combined and down again",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

/*
 * double_tree.h - two binary trees over the same ranks, for the two halves of a vector.
 *
 * A rank that has children in one tree has none in the other (but for one rank when n is odd),
 * so that every rank sends and receives about the whole vector once, whatever n is.
 *
 * In the first tree rank 0 is the root with one child, and every other even rank v has children
 * as far away as half its lowest bit; odd ranks are leaves.  The second is its mirror image when
 * n is even, and moved on by one rank when n is odd.
 */
#ifndef FR_DOUBLE_TREE_H
#define FR_DOUBLE_TREE_H

struct fr_tree_node {
	int parent; /* -1 at the root */
	int n_children;
	int children[2];
};

/* fr_double_tree - rank's place in tree 0 or 1. */
struct fr_tree_node fr_double_tree(int tree, int rank, int n);

/* fr_double_tree_depth - links on the longest way from a root to a leaf, at most. */
int fr_double_tree_depth(int n);

#endif

#include "config.h"

#include "collectives/pattern/double_tree.h"

static void add_child(struct fr_tree_node *node, int child)
{
	node->children[node->n_children++] = child;
}

static struct fr_tree_node root_node(int n)
{
	struct fr_tree_node node = {.parent = -1};
	int bit = 1;

	while (2 * bit < n)
		bit *= 2;
	if (n > 1)
		add_child(&node, bit);
	return node;
}

static struct fr_tree_node first_tree(int v, int n)
{
	const int lowest = v & -v;
	struct fr_tree_node node = {.n_children = 0};
	int reach = lowest / 2;

	if (v == 0)
		return root_node(n);
	/* One level up is the neighbour whose lowest bit is twice as high; the ranks that are
	 * missing there at the end of the row are skipped. */
	node.parent = (v ^ lowest) | 2 * lowest;
	if (node.parent >= n)
		node.parent = v ^ lowest;
	if (reach)
		add_child(&node, v - reach);
	while (reach && v + reach >= n)
		reach /= 2;
	if (reach)
		add_child(&node, v + reach);
	return node;
}

static int second_to_first(int rank, int n)
{
	if (n % 2 == 0)
		return n - 1 - rank;
	return rank == 0 ? n - 1 : rank - 1;
}

static int first_to_second(int v, int n)
{
	if (n % 2 == 0)
		return n - 1 - v;
	return v == n - 1 ? 0 : v + 1;
}

struct fr_tree_node fr_double_tree(int tree, int rank, int n)
{
	struct fr_tree_node node;

	if (tree == 0)
		return first_tree(rank, n);
	node = first_tree(second_to_first(rank, n), n);
	if (node.parent >= 0)
		node.parent = first_to_second(node.parent, n);
	for (int i = 0; i < node.n_children; i++)
		node.children[i] = first_to_second(node.children[i], n);
	return node;
}

int fr_double_tree_depth(int n)
{
	int depth = 0;

	while (1 << depth < n)
		depth++;
	return depth;
}

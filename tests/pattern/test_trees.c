/* test_trees.c - the binomial and the double binary tree, for any number of ranks. */
#include "config.h"

#include "collectives/pattern/binomial.h"
#include "collectives/pattern/double_tree.h"

#include "tests/support/t_main.h"

#define RANKS_MAX 130

static void test_binomial_children_know_their_parent(void)
{
	for (int n = 1; n <= RANKS_MAX; n++) {
		for (int v = 0; v < n; v++) {
			const int children = fr_binomial_n_children(v, n);

			for (int i = 0; i < children; i++) {
				CU_ASSERT(fr_binomial_child(v, i) < n);
				CU_ASSERT_EQUAL(fr_binomial_parent(fr_binomial_child(v, i)), v);
			}
		}
	}
}

static void test_binomial_subtrees_lie_together(void)
{
	for (int n = 1; n <= RANKS_MAX; n++) {
		CU_ASSERT_EQUAL(fr_binomial_subtree(0, n), n);
		for (int v = 0; v < n; v++) {
			int next = v + 1;

			for (int i = 0; i < fr_binomial_n_children(v, n); i++) {
				const int child = fr_binomial_child(v, i);

				CU_ASSERT_EQUAL(child, next);
				next += fr_binomial_subtree(child, n);
			}
			CU_ASSERT_EQUAL(next, v + fr_binomial_subtree(v, n));
		}
	}
}

static void test_binomial_depth_is_the_longest_way(void)
{
	for (int n = 1; n <= RANKS_MAX; n++) {
		int longest = 0;

		for (int leaf = 0; leaf < n; leaf++) {
			int way = 0;

			for (int v = leaf; v; v = fr_binomial_parent(v))
				way++;
			longest = way > longest ? way : longest;
		}
		CU_ASSERT(longest <= fr_binomial_depth(n));
		/* A power of two fills the tree. */
		CU_ASSERT((n & (n - 1)) || longest == fr_binomial_depth(n));
	}
}

/* Links on the way from a rank to the root, -1 when there is no way. */
static int way_up(int tree, int rank, int n)
{
	int way = 0;

	while (way < n) {
		const int parent = fr_double_tree(tree, rank, n).parent;

		if (parent < 0)
			return way;
		rank = parent;
		way++;
	}
	return -1;
}

static void test_every_rank_finds_the_root_of_both_trees(void)
{
	for (int n = 1; n <= RANKS_MAX; n++) {
		for (int tree = 0; tree < 2; tree++) {
			int roots = 0;

			for (int rank = 0; rank < n; rank++) {
				const int way = way_up(tree, rank, n);

				CU_ASSERT(way >= 0 && way <= fr_double_tree_depth(n));
				roots += way == 0;
			}
			CU_ASSERT_EQUAL(roots, 1);
		}
	}
}

static void test_tree_links_are_known_at_both_ends(void)
{
	for (int n = 1; n <= RANKS_MAX; n++) {
		for (int tree = 0; tree < 2; tree++) {
			int links = 0;

			for (int rank = 0; rank < n; rank++) {
				const struct fr_tree_node node = fr_double_tree(tree, rank, n);

				for (int i = 0; i < node.n_children; i++) {
					const int child = node.children[i];

					CU_ASSERT(child >= 0 && child < n && child != rank);
					CU_ASSERT_EQUAL(fr_double_tree(tree, child, n).parent,
					                rank);
				}
				links += node.n_children;
			}
			CU_ASSERT_EQUAL(links, n - 1);
		}
	}
}

static void test_a_rank_has_children_in_one_tree_only(void)
{
	for (int n = 2; n <= RANKS_MAX; n++) {
		int in_both = 0;

		for (int rank = 0; rank < n; rank++)
			in_both += fr_double_tree(0, rank, n).n_children &&
			           fr_double_tree(1, rank, n).n_children;
		CU_ASSERT_EQUAL(in_both, n % 2);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"binomial children know their parent", test_binomial_children_know_their_parent},
		{"binomial subtrees lie together", test_binomial_subtrees_lie_together},
		{"binomial depth is the longest way", test_binomial_depth_is_the_longest_way},
		{"every rank finds the root of both trees",
	         test_every_rank_finds_the_root_of_both_trees},
		{"tree links are known at both ends", test_tree_links_are_known_at_both_ends},
		{"a rank has children in one tree only", test_a_rank_has_children_in_one_tree_only},
		{NULL, NULL},
	};

	return t_main("trees", cases);
}

#include "config.h"

#include "collectives/pattern/binomial.h"

int fr_binomial_subtree(int v, int n)
{
	const int lowest_bit = v & -v;

	return v == 0 || lowest_bit > n - v ? n - v : lowest_bit;
}

int fr_binomial_n_children(int v, int n)
{
	const int subtree = fr_binomial_subtree(v, n);
	int children = 0;

	while (1 << children < subtree)
		children++;
	return children;
}

int fr_binomial_depth(int n)
{
	int depth = 0;

	while (1 << depth < n)
		depth++;
	return depth;
}

/*
 * binomial.h - the binomial tree over ranks 0 to n-1, rank 0 its root.
 *
 * The subtree under a rank is the ranks that follow it, so that blocks of a subtree lie
 * together.  For another root use ranks relative to it.
 */
#ifndef FR_BINOMIAL_H
#define FR_BINOMIAL_H

/* fr_binomial_parent - of a rank other than 0. */
static inline int fr_binomial_parent(int v)
{
	return v & (v - 1);
}

/* fr_binomial_subtree - how many ranks the subtree of v has, itself included. */
int fr_binomial_subtree(int v, int n);

/* fr_binomial_n_children - child i of v is v + 2^i; the last one has the largest subtree. */
int fr_binomial_n_children(int v, int n);
static inline int fr_binomial_child(int v, int i)
{
	return v + (1 << i);
}

/* fr_binomial_depth - messages on the longest way from the root: log2 n, rounded up. */
int fr_binomial_depth(int n);

#endif

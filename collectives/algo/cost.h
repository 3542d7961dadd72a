/*
 * cost.h - the words in which algorithms say what they cost.
 *
 * The model is alpha-beta-gamma: a synchronising round costs the latency of a message, the
 * bytes that its slowest part carries, and the bytes that are combined.  Two things are added
 * because they decide which algorithm is best: ranks that share a core take turns (their work
 * adds up and every round costs a hand-over), and ranks of one host share its network.
 */
#ifndef FR_COST_H
#define FR_COST_H

#include "collectives/algo/algo.h"

struct fr_cost {
	const struct fr_machine *m;
	double n;         /* ranks */
	double bytes;     /* of the whole vector, or of all blocks together */
	double hosts;     /* that take part */
	double per_host;  /* ranks of the fullest host */
	double crossings; /* links of the ring 0, 1, ... n-1, 0 that leave the host they come to
	                     most */
	double share;     /* ranks a core; 1 when every rank has its own */
};

/* What every rank does in one synchronising round. */
struct fr_round {
	double messages;     /* a rank sends, in flight together */
	double host_bytes;   /* a rank sends to others of its host */
	double net_bytes;    /* all ranks of one host send to other hosts */
	double reduce_bytes; /* a rank combines */
};

/* fr_cost_begin - derives the numbers above; total bytes as fr_coll_total_count() gives. */
struct fr_cost fr_cost_begin(const struct fr_coll_args *a, const struct fr_machine *m);

/* fr_cost_any, fr_cost_ring - a round in which a rank sends `bytes` in all, as `messages`
 * messages spread evenly over the other ranks, or as one to its right-hand neighbour. */
struct fr_round fr_cost_any(const struct fr_cost *c, double messages, double bytes);
struct fr_round fr_cost_ring(const struct fr_cost *c, double bytes);

/* fr_cost_root - a round in which the root alone sends or receives all that. */
struct fr_round fr_cost_root(const struct fr_cost *c, double messages, double bytes);

/* fr_cost_rounds - seconds of `rounds` rounds that together do what `total` says. */
double fr_cost_rounds(const struct fr_cost *c, double rounds, const struct fr_round *total);

/* fr_cost_publish - seconds until every rank has read `readings` publications of `bytes` each. */
double fr_cost_publish(const struct fr_cost *c, double readings, double bytes);

/* fr_cost_log2 - rounds a binary tree over `n` takes: the logarithm, rounded up. */
double fr_cost_log2(double n);

#endif

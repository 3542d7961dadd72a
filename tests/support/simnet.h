/*
 * simnet.h - a transport that lives in one process and misbehaves on purpose.
 *
 * Its ranks are threads, or objects that one thread drives in turn.  Each ordered stream of
 * messages stays ordered, as the contract promises; everything the contract leaves open is
 * drawn from a seed: how pieces are split, when they are seen (time is the number of calls
 * made, so nothing depends on a clock), which link is faster, when a try moves nothing.
 * Driven by one thread, a run repeats exactly for the same seed.
 *
 *     struct t_simnet *net = t_simnet_create(4, seed, (struct t_simnet_faults){.delay_max = 50});
 *     struct fr_transport *t = t_simnet_rank(net, 0);
 *     struct fr_ep *ep = t->ops->ep(t, 3);
 */
#ifndef T_SIMNET_H
#define T_SIMNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/transport/transport.h"

struct t_simnet;

/* All zero: a network that is slow but kind. */
struct t_simnet_faults {
	size_t piece_max;       /* the most that one call moves; 0: 64 KiB; else at least 8 */
	size_t capacity;        /* bytes under way on one link; 0: 128 KiB */
	unsigned delay_max;     /* what is sent is seen up to this many calls later */
	unsigned stall_percent; /* tries that move nothing for no reason, 0 to 90 */
	bool has_windows;       /* some messages may be written through send_window */
	bool is_lent; /* some payloads stay in the sender's memory until the receiver takes
	               * them, so that send_reusable lags */
	bool is_rude; /* the memory of a receive is filled with rubbish once it is posted */
	bool has_board;
	/* The link from one rank to another falls silent for good after so many payload bytes;
	 * nobody is told.  0: never. */
	int cut_from, cut_to;
	uint64_t cut_after;
};

/* t_simnet_create - prints the seed.  NULL when there is no memory. */
struct t_simnet *t_simnet_create(int n_ranks, uint64_t seed, struct t_simnet_faults faults);
/* Closes every rank that was not closed. */
void t_simnet_destroy(struct t_simnet *net);

/* t_simnet_rank - the opened and connected transport of a rank; close it or leave it. */
struct fr_transport *t_simnet_rank(struct t_simnet *net, int rank);
/* t_simnet_kill - the rank is dead from now on, as by kill -9; its transport must not be used. */
void t_simnet_kill(struct t_simnet *net, int rank);

/* The table behind t_simnet_rank(); it cannot open. */
extern const struct fr_transport_ops t_simnet_ops;

#endif

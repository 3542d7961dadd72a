/*
 * peer.h - one way to measure, for every library.
 *
 * peer_main.c holds the loop; each library adds these few functions.  All are linked with the
 * same loop, so that what differs is the library alone.
 */
#ifndef PEER_H
#define PEER_H

#include <stddef.h>

enum peer_coll {
	PEER_ALLREDUCE,
	PEER_ALLGATHER,
	PEER_BROADCAST,
	PEER_REDUCE_SCATTER,
	PEER_BARRIER,
	PEER_N_COLLS
};

/* Joins the job. */
void peer_init(int *argc, char ***argv, int *rank, int *n_ranks);
/* Buffers for one collective call of `bytes`; `fast`: the library's own kind of memory, where
 * it has one (else NULL is returned and the caller takes malloc). */
void *peer_alloc(size_t bytes, int fast);
void peer_free(void *buffer, int fast);
/* One blocking call on `count` float32: allreduce, broadcast: the vector; allgather,
 * reduce_scatter: a block of each rank. */
void peer_call(enum peer_coll coll, const float *send, float *recv, size_t count);
void peer_fini(void);

#endif

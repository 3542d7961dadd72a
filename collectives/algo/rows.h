/*
 * rows.h - every algorithm there is; registry.c puts them in order.
 *
 * Each has a file of its own name.  Its head comment shows what moves between four ranks, in the
 * words of print.h, and what it costs: n is the number of ranks, S the bytes of the vector, or
 * of all blocks together, log2 is rounded up.  A test keeps the pictures true.
 */
#ifndef FR_ROWS_H
#define FR_ROWS_H

#include "collectives/algo/algo.h"

extern const struct fr_algo fr_allreduce_publish;
extern const struct fr_algo fr_allreduce_rsag;
extern const struct fr_algo fr_allreduce_direct;
extern const struct fr_algo fr_allreduce_ring;
extern const struct fr_algo fr_allreduce_tree;
extern const struct fr_algo fr_allreduce_halving;
extern const struct fr_algo fr_allreduce_hierarchical;
extern const struct fr_algo fr_reduce_publish;
extern const struct fr_algo fr_reduce_binomial;
extern const struct fr_algo fr_reduce_rsg;
extern const struct fr_algo fr_reduce_scatter_publish;
extern const struct fr_algo fr_reduce_scatter_direct;
extern const struct fr_algo fr_reduce_scatter_ring;
extern const struct fr_algo fr_reduce_scatter_halving;
extern const struct fr_algo fr_allgather_publish;
extern const struct fr_algo fr_allgather_direct;
extern const struct fr_algo fr_allgather_bruck;
extern const struct fr_algo fr_allgather_ring;
extern const struct fr_algo fr_broadcast_publish;
extern const struct fr_algo fr_broadcast_direct;
extern const struct fr_algo fr_broadcast_binomial;
extern const struct fr_algo fr_broadcast_scatter_ring;
extern const struct fr_algo fr_gather_publish;
extern const struct fr_algo fr_gather_direct;
extern const struct fr_algo fr_gather_binomial;
extern const struct fr_algo fr_scatter_publish;
extern const struct fr_algo fr_scatter_direct;
extern const struct fr_algo fr_scatter_binomial;
extern const struct fr_algo fr_alltoall_publish;
extern const struct fr_algo fr_alltoall_pairwise;
extern const struct fr_algo fr_alltoall_bruck;
extern const struct fr_algo fr_barrier_publish;
extern const struct fr_algo fr_barrier_dissemination;

#endif

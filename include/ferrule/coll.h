/*
 * Collectives and point-to-point messages.
 *
 * Every operation comes in three forms:
 *   ferrule_X()        blocks until this rank's part is done;
 *   ferrule_X_start()  returns at once with an operation to test, wait for and destroy;
 *   ferrule_X_init()   prepares a persistent operation, run by ferrule_op_start() any
 *                      number of times on the same buffers.
 *
 * All ranks of a communicator must issue the same operations in the same order (send and
 * recv: matching ones, in order, per pair of ranks).  Ranks that disagree get
 * FERRULE_ERR_MISMATCH naming both ranks and both calls; over shared memory a message that nobody
 * receives is not noticed, as between roots that differ when each only sends.  Counts are elements
 * of `type`; zero is allowed everywhere, on the ranks that must agree alike: a message of no
 * elements needs its send and its recv, and counts of zero are compared as others are.  Buffers
 * belong to Ferrule from start until test or wait reports the operation done; send buffers are
 * never written. Buffers must not overlap, except in place, as stated with each call.  Outputs are
 * undefined after an error.
 *
 * Errors common to all: ERR_ARGUMENT (the text names argument, value and what is allowed),
 * ERR_MISMATCH, ERR_TIMEOUT, ERR_PEER_DIED, ERR_PEER_LEFT, ERR_ABORTED, ERR_BUSY,
 * ERR_NO_MEMORY.
 *
 * A call that is refused with ERR_ARGUMENT or ERR_NO_MEMORY before it began leaves the
 * communicator usable: where all ranks refuse alike nothing has happened.  When one rank refuses
 * alone, the ranks that wait in that call get ERR_MISMATCH (ERR_ABORTED when memory was the
 * reason) naming it and its reason, unless it makes the call after all within 0.2 s.  The _init()
 * forms are local, and so are their refusals.
 */
#ifndef FERRULE_COLL_H
#define FERRULE_COLL_H

#include <ferrule/status.h>
#include <ferrule/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ferrule_allreduce - combine `count` elements of all ranks; every rank gets the result.
 * In place: send == recv. */
ferrule_status_t ferrule_allreduce(ferrule_comm_t comm, const void *send, void *recv, size_t count,
                                   ferrule_type_t type, ferrule_redop_t op);
ferrule_status_t ferrule_allreduce_start(ferrule_comm_t comm, const void *send, void *recv,
                                         size_t count, ferrule_type_t type, ferrule_redop_t op,
                                         ferrule_op_t *op_out);
ferrule_status_t ferrule_allreduce_init(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t count, ferrule_type_t type, ferrule_redop_t op,
                                        ferrule_op_t *op_out);

/* ferrule_reduce - as allreduce, result only at `root`; recv is ignored elsewhere (may be NULL).
 * In place at the root: send == recv. */
ferrule_status_t ferrule_reduce(ferrule_comm_t comm, const void *send, void *recv, size_t count,
                                ferrule_type_t type, ferrule_redop_t op, int root);
ferrule_status_t ferrule_reduce_start(ferrule_comm_t comm, const void *send, void *recv,
                                      size_t count, ferrule_type_t type, ferrule_redop_t op,
                                      int root, ferrule_op_t *op_out);
ferrule_status_t ferrule_reduce_init(ferrule_comm_t comm, const void *send, void *recv,
                                     size_t count, ferrule_type_t type, ferrule_redop_t op,
                                     int root, ferrule_op_t *op_out);

/* ferrule_reduce_scatter - send holds size * recv_count elements; rank r gets the combined block r.
 * In place: recv == send + rank * recv_count. */
ferrule_status_t ferrule_reduce_scatter(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t recv_count, ferrule_type_t type, ferrule_redop_t op);
ferrule_status_t ferrule_reduce_scatter_start(ferrule_comm_t comm, const void *send, void *recv,
                                              size_t recv_count, ferrule_type_t type,
                                              ferrule_redop_t op, ferrule_op_t *op_out);
ferrule_status_t ferrule_reduce_scatter_init(ferrule_comm_t comm, const void *send, void *recv,
                                             size_t recv_count, ferrule_type_t type,
                                             ferrule_redop_t op, ferrule_op_t *op_out);

/* ferrule_reduce_scatterv - block r has counts[r] elements, blocks lie one after the other.
 * In place: recv == send + sum(counts[0..rank)). */
ferrule_status_t ferrule_reduce_scatterv(ferrule_comm_t comm, const void *send, void *recv,
                                         const size_t *counts, ferrule_type_t type,
                                         ferrule_redop_t op);
ferrule_status_t ferrule_reduce_scatterv_start(ferrule_comm_t comm, const void *send, void *recv,
                                               const size_t *counts, ferrule_type_t type,
                                               ferrule_redop_t op, ferrule_op_t *op_out);
ferrule_status_t ferrule_reduce_scatterv_init(ferrule_comm_t comm, const void *send, void *recv,
                                              const size_t *counts, ferrule_type_t type,
                                              ferrule_redop_t op, ferrule_op_t *op_out);

/* ferrule_allgather - recv holds size * send_count elements; block r comes from rank r.
 * In place: send == recv + rank * send_count. */
ferrule_status_t ferrule_allgather(ferrule_comm_t comm, const void *send, void *recv,
                                   size_t send_count, ferrule_type_t type);
ferrule_status_t ferrule_allgather_start(ferrule_comm_t comm, const void *send, void *recv,
                                         size_t send_count, ferrule_type_t type,
                                         ferrule_op_t *op_out);
ferrule_status_t ferrule_allgather_init(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t send_count, ferrule_type_t type,
                                        ferrule_op_t *op_out);

/* ferrule_allgatherv - block r has counts[r] elements at recv + displs[r]; displs NULL: one after
 * the other.  In place: send == recv + displs[rank]. */
ferrule_status_t ferrule_allgatherv(ferrule_comm_t comm, const void *send, void *recv,
                                    const size_t *counts, const size_t *displs,
                                    ferrule_type_t type);
ferrule_status_t ferrule_allgatherv_start(ferrule_comm_t comm, const void *send, void *recv,
                                          const size_t *counts, const size_t *displs,
                                          ferrule_type_t type, ferrule_op_t *op_out);
ferrule_status_t ferrule_allgatherv_init(ferrule_comm_t comm, const void *send, void *recv,
                                         const size_t *counts, const size_t *displs,
                                         ferrule_type_t type, ferrule_op_t *op_out);

/* ferrule_broadcast - recv of every rank becomes send of `root`; send is read at the root only.
 * In place at the root: send == recv. */
ferrule_status_t ferrule_broadcast(ferrule_comm_t comm, const void *send, void *recv, size_t count,
                                   ferrule_type_t type, int root);
ferrule_status_t ferrule_broadcast_start(ferrule_comm_t comm, const void *send, void *recv,
                                         size_t count, ferrule_type_t type, int root,
                                         ferrule_op_t *op_out);
ferrule_status_t ferrule_broadcast_init(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t count, ferrule_type_t type, int root,
                                        ferrule_op_t *op_out);

/* ferrule_gather - the root gets every rank's block of send_count elements; recv is ignored
 * elsewhere.  In place at the root: send == recv + root * send_count. */
ferrule_status_t ferrule_gather(ferrule_comm_t comm, const void *send, void *recv,
                                size_t send_count, ferrule_type_t type, int root);
ferrule_status_t ferrule_gather_start(ferrule_comm_t comm, const void *send, void *recv,
                                      size_t send_count, ferrule_type_t type, int root,
                                      ferrule_op_t *op_out);
ferrule_status_t ferrule_gather_init(ferrule_comm_t comm, const void *send, void *recv,
                                     size_t send_count, ferrule_type_t type, int root,
                                     ferrule_op_t *op_out);

/* ferrule_gatherv - block r has counts[r] elements at recv + displs[r].  counts and displs are the
 * same on every rank.  In place at the root: send == recv + displs[root]. */
ferrule_status_t ferrule_gatherv(ferrule_comm_t comm, const void *send, void *recv,
                                 const size_t *counts, const size_t *displs, ferrule_type_t type,
                                 int root);
ferrule_status_t ferrule_gatherv_start(ferrule_comm_t comm, const void *send, void *recv,
                                       const size_t *counts, const size_t *displs,
                                       ferrule_type_t type, int root, ferrule_op_t *op_out);
ferrule_status_t ferrule_gatherv_init(ferrule_comm_t comm, const void *send, void *recv,
                                      const size_t *counts, const size_t *displs,
                                      ferrule_type_t type, int root, ferrule_op_t *op_out);

/* ferrule_scatter - rank r gets block r of the root's send; send is ignored elsewhere.
 * In place at the root: recv == send + root * recv_count. */
ferrule_status_t ferrule_scatter(ferrule_comm_t comm, const void *send, void *recv,
                                 size_t recv_count, ferrule_type_t type, int root);
ferrule_status_t ferrule_scatter_start(ferrule_comm_t comm, const void *send, void *recv,
                                       size_t recv_count, ferrule_type_t type, int root,
                                       ferrule_op_t *op_out);
ferrule_status_t ferrule_scatter_init(ferrule_comm_t comm, const void *send, void *recv,
                                      size_t recv_count, ferrule_type_t type, int root,
                                      ferrule_op_t *op_out);

/* ferrule_scatterv - block r has counts[r] elements at send + displs[r].  counts and displs are the
 * same on every rank.  In place at the root: recv == send + displs[root]. */
ferrule_status_t ferrule_scatterv(ferrule_comm_t comm, const void *send, void *recv,
                                  const size_t *counts, const size_t *displs, ferrule_type_t type,
                                  int root);
ferrule_status_t ferrule_scatterv_start(ferrule_comm_t comm, const void *send, void *recv,
                                        const size_t *counts, const size_t *displs,
                                        ferrule_type_t type, int root, ferrule_op_t *op_out);
ferrule_status_t ferrule_scatterv_init(ferrule_comm_t comm, const void *send, void *recv,
                                       const size_t *counts, const size_t *displs,
                                       ferrule_type_t type, int root, ferrule_op_t *op_out);

/* ferrule_alltoall - block r of send goes to rank r, block r of recv comes from rank r; `count`
 * elements a block.  Not in place. */
ferrule_status_t ferrule_alltoall(ferrule_comm_t comm, const void *send, void *recv, size_t count,
                                  ferrule_type_t type);
ferrule_status_t ferrule_alltoall_start(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t count, ferrule_type_t type, ferrule_op_t *op_out);
ferrule_status_t ferrule_alltoall_init(ferrule_comm_t comm, const void *send, void *recv,
                                       size_t count, ferrule_type_t type, ferrule_op_t *op_out);

/* ferrule_alltoallv - the same with counts and displacements a peer (displs NULL: one after the
 * other).  send_counts[p] here must equal recv_counts[this rank] at p. */
ferrule_status_t ferrule_alltoallv(ferrule_comm_t comm, const void *send, const size_t *send_counts,
                                   const size_t *send_displs, void *recv, const size_t *recv_counts,
                                   const size_t *recv_displs, ferrule_type_t type);
ferrule_status_t ferrule_alltoallv_start(ferrule_comm_t comm, const void *send,
                                         const size_t *send_counts, const size_t *send_displs,
                                         void *recv, const size_t *recv_counts,
                                         const size_t *recv_displs, ferrule_type_t type,
                                         ferrule_op_t *op_out);
ferrule_status_t ferrule_alltoallv_init(ferrule_comm_t comm, const void *send,
                                        const size_t *send_counts, const size_t *send_displs,
                                        void *recv, const size_t *recv_counts,
                                        const size_t *recv_displs, ferrule_type_t type,
                                        ferrule_op_t *op_out);

/* ferrule_barrier - returns when every rank has entered it. */
ferrule_status_t ferrule_barrier(ferrule_comm_t comm);
ferrule_status_t ferrule_barrier_start(ferrule_comm_t comm, ferrule_op_t *op_out);
ferrule_status_t ferrule_barrier_init(ferrule_comm_t comm, ferrule_op_t *op_out);

/* ferrule_send - one message to `peer`; matched in order per pair of ranks.  May return before
 * the peer has received it.  To oneself only inside a group. */
ferrule_status_t ferrule_send(ferrule_comm_t comm, const void *send, size_t count,
                              ferrule_type_t type, int peer);
ferrule_status_t ferrule_send_start(ferrule_comm_t comm, const void *send, size_t count,
                                    ferrule_type_t type, int peer, ferrule_op_t *op_out);
ferrule_status_t ferrule_send_init(ferrule_comm_t comm, const void *send, size_t count,
                                   ferrule_type_t type, int peer, ferrule_op_t *op_out);

/* ferrule_recv - one message from `peer`, of exactly `count` elements. */
ferrule_status_t ferrule_recv(ferrule_comm_t comm, void *recv, size_t count, ferrule_type_t type,
                              int peer);
ferrule_status_t ferrule_recv_start(ferrule_comm_t comm, void *recv, size_t count,
                                    ferrule_type_t type, int peer, ferrule_op_t *op_out);
ferrule_status_t ferrule_recv_init(ferrule_comm_t comm, void *recv, size_t count,
                                   ferrule_type_t type, int peer, ferrule_op_t *op_out);

/* ferrule_sendrecv - both at once, without deadlock; send_peer and recv_peer may differ. */
ferrule_status_t ferrule_sendrecv(ferrule_comm_t comm, const void *send, size_t send_count,
                                  int send_peer, void *recv, size_t recv_count, int recv_peer,
                                  ferrule_type_t type);
ferrule_status_t ferrule_sendrecv_start(ferrule_comm_t comm, const void *send, size_t send_count,
                                        int send_peer, void *recv, size_t recv_count, int recv_peer,
                                        ferrule_type_t type, ferrule_op_t *op_out);
ferrule_status_t ferrule_sendrecv_init(ferrule_comm_t comm, const void *send, size_t send_count,
                                       int send_peer, void *recv, size_t recv_count, int recv_peer,
                                       ferrule_type_t type, ferrule_op_t *op_out);

/*
 * ferrule_group_begin, ferrule_group_end - every send and recv between the two runs as one
 * operation, in any order, without deadlock.  end blocks until all are done; end_start
 * returns an operation instead.  Only blocking ferrule_send() and ferrule_recv() may be
 * called in between.  A failed call inside a group is reported again by its end.
 */
ferrule_status_t ferrule_group_begin(ferrule_comm_t comm);
ferrule_status_t ferrule_group_end(ferrule_comm_t comm);
ferrule_status_t ferrule_group_end_start(ferrule_comm_t comm, ferrule_op_t *op_out);

/* ferrule_op_start - run a persistent operation again; ERR_BUSY while it is running. */
ferrule_status_t ferrule_op_start(ferrule_op_t op);

/*
 * ferrule_op_test - make progress on the whole communicator without waiting.
 * Returns FERRULE_OK when `op` is done, FERRULE_INPROGRESS when it is not, or its error.
 */
ferrule_status_t ferrule_op_test(ferrule_op_t op);

/* ferrule_op_wait - wait until `op` is done or the communicator's deadline has passed. */
ferrule_status_t ferrule_op_wait(ferrule_op_t op);

/*
 * ferrule_op_destroy - frees a finished, started or persistent operation.  One that still
 * runs is waited for first, unless its communicator was destroyed.  NULL is a no-op.  Whatever
 * is called with a destroyed operation gets ERR_ARGUMENT.
 */
ferrule_status_t ferrule_op_destroy(ferrule_op_t op);

/*
 * ferrule_redop_create_premul_sum - an operator that multiplies this rank's input by
 * *scalar (one element of `type`, copied) before summing.  Collective in the sense that
 * every rank must use an operator made by the same n-th call; scalars may differ.
 */
ferrule_status_t ferrule_redop_create_premul_sum(ferrule_comm_t comm, const void *scalar,
                                                 ferrule_type_t type, ferrule_redop_t *op_out);
ferrule_status_t ferrule_redop_destroy(ferrule_comm_t comm, ferrule_redop_t op);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

/*
 * t_exec.h - an executor at every rank of a t_world, and collectives run on it without a
 * communicator: every algorithm, any transport.
 */
#ifndef T_EXEC_H
#define T_EXEC_H

#include "collectives/algo/algo.h"
#include "lib/exec/exec.h"
#include "tests/transport/t_world.h"

#define T_EXEC_RANKS_MAX 16

struct t_exec {
	struct t_rank *rank;
	struct fr_exec *exec;
	struct fr_ep *eps[T_EXEC_RANKS_MAX];
	struct fr_transport *transports[2];
	bool has_board;
	uint64_t sequence;
};

/* Connects and creates the executor; waits give up after timeout_s. */
bool t_exec_open(struct t_exec *e, struct t_rank *r, double timeout_s);
void t_exec_close(struct t_exec *e);

/* One collective of one algorithm on int32 elements. */
struct t_job {
	const struct fr_algo *algo;
	size_t count;
	int root;
	bool in_place;
	bool shared; /* buffers from the transport's mem_alloc, where it has one */
};

/* A job's buffers, plan and call at this rank. */
struct t_coll {
	struct fr_coll_args args;
	struct fr_call call;
	struct fr_plan *plan;
	int32_t *send, *recv; /* recv may lie in send or the other way round */
	int32_t *blocks[2];
	size_t send_count, recv_count;
	bool shared;
};

/* False when the algorithm does not apply (nothing to destroy then). */
bool t_coll_create(struct t_exec *e, const struct t_job *job, struct t_coll *c);
void t_coll_destroy(struct t_exec *e, struct t_coll *c);
/* Fills the buffers anew. */
void t_coll_fill(struct t_exec *e, struct t_coll *c);
/* How many elements of the result are wrong. */
size_t t_coll_wrong(const struct t_exec *e, const struct t_coll *c);
/* Fills, runs and checks; prints what is wrong. */
bool t_coll_run(struct t_exec *e, struct t_coll *c);

#endif

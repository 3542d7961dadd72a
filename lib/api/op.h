/*
 * op.h - operations that the user holds.
 *
 * An operation has parts (lib/comm/part.h) and copies within this rank, and is in one of four
 * states.  Operations of a communicator are linked, so that its destruction finds them: one
 * that outlives it only accepts being destroyed.  Used ones are kept for reuse.  Users hold
 * handles of them: see op_table.h.
 */
#ifndef FR_OP_H
#define FR_OP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <ferrule/coll.h>
#include "lib/comm/comm.h"
#include "lib/comm/part.h"

enum fr_op_state {
	FR_OP_IDLE, /* persistent and not started, or a group still being gathered */
	FR_OP_RUNNING,
	FR_OP_DONE,
	FR_OP_FAILED, /* `status` says how */
};

/* A message of this rank to itself: the k-th send meets the k-th receive. */
struct fr_self_message {
	const void *send; /* or */
	void *recv;
	size_t count;
	ferrule_type_t type;
	bool is_send;
};

#define FR_OP_FEW_PARTS 2

struct ferrule_op {
	_Atomic uint64_t generation; /* how often its place was used; see op_table.h */
	uint32_t place;
	enum fr_op_state state;
	_Atomic ferrule_comm_t owner; /* the communicator's handle; NULL once that is destroyed */
	struct ferrule_comm *comm;    /* the same for who has entered it */
	ferrule_status_t status;
	bool is_persistent;
	int n_parts, parts_room;
	struct fr_part *parts; /* `few`, or allocated */
	struct fr_part few[FR_OP_FEW_PARTS];
	int n_selfs, selfs_room;
	struct fr_self_message *selfs;
	struct ferrule_op *prev, *next; /* in the communicator's list */
};

/* fr_op_take - an idle operation without parts, from the pool if there is one. */
ferrule_status_t fr_op_take(struct ferrule_comm *c, struct ferrule_op **out);
/* fr_op_give - drops its parts and returns it to the pool; it must not be running.  Its handle is
 * no good any more. */
void fr_op_give(struct ferrule_op *op);
/* fr_op_add - one more part: a request that was looked up. */
ferrule_status_t fr_op_add(struct ferrule_op *op, struct fr_shape *shape, const void *send,
                           void *recv, bool in_place);
/* fr_op_add_self - one more message of this rank to itself. */
ferrule_status_t fr_op_add_self(struct ferrule_op *op, const struct fr_self_message *message);
/* fr_op_refused - tells the peers of all its messages that it was refused; returns `status`. */
ferrule_status_t fr_op_refused(struct ferrule_op *op, ferrule_status_t status);
/* fr_op_begin - starts every part.  A failure is the communicator's fault. */
ferrule_status_t fr_op_begin(struct ferrule_op *op);
/* fr_op_progress, fr_op_finish - test and wait, for the thread that holds the communicator. */
ferrule_status_t fr_op_progress(struct ferrule_op *op);
ferrule_status_t fr_op_finish(struct ferrule_op *op);

/* fr_ops_finish - waits for all that run; the first error. */
ferrule_status_t fr_ops_finish(struct ferrule_comm *c);
/* fr_ops_orphan - before the communicator is destroyed: runs are dropped, the user keeps the
 * handles. */
void fr_ops_orphan(struct ferrule_comm *c);

#endif

#include "config.h"

#include "lib/api/op.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/api/op_table.h"
#include "lib/base/error.h"
#include "lib/comm/handle.h"

/* How often a thread looks whether a communicator that is being destroyed is gone. */
#define LOOK_NS 50000

/* ---- the pool ---- */

static void link_op(struct ferrule_comm *c, struct ferrule_op *op)
{
	op->prev = NULL;
	op->next = c->ops;
	if (c->ops)
		c->ops->prev = op;
	c->ops = op;
}

static void unlink_op(struct ferrule_comm *c, struct ferrule_op *op)
{
	if (op->prev)
		op->prev->next = op->next;
	else
		c->ops = op->next;
	if (op->next)
		op->next->prev = op->prev;
}

ferrule_status_t fr_op_take(struct ferrule_comm *c, struct ferrule_op **out)
{
	struct ferrule_op *op = c->idle_ops;

	if (op) {
		c->idle_ops = op->next;
	} else {
		op = fr_op_new();
		if (!op)
			return FERRULE_ERR_NO_MEMORY;
		op->parts = op->few;
		op->parts_room = FR_OP_FEW_PARTS;
		op->comm = c;
		atomic_store_explicit(&op->owner, fr_comm_handle(c), memory_order_release);
	}
	op->state = FR_OP_IDLE;
	op->status = FERRULE_OK;
	op->is_persistent = false;
	link_op(c, op);
	*out = op;
	return FERRULE_OK;
}

static void drop_parts(struct ferrule_op *op)
{
	for (int i = 0; i < op->n_parts; i++)
		fr_part_drop(&op->parts[i]);
	op->n_parts = 0;
	op->n_selfs = 0;
}

void fr_op_give(struct ferrule_op *op)
{
	struct ferrule_comm *c = op->comm;

	fr_op_retire(op);
	drop_parts(op);
	unlink_op(c, op);
	op->next = c->idle_ops;
	c->idle_ops = op;
}

/* One that no handle names any more, and no list. */
static void free_op(struct ferrule_op *op)
{
	if (op->parts != op->few)
		free(op->parts);
	free(op->selfs);
	op->selfs = NULL;
	op->n_selfs = op->selfs_room = 0;
	atomic_store_explicit(&op->owner, NULL, memory_order_release);
	fr_op_recycle(op);
}

void fr_ops_orphan(struct ferrule_comm *c)
{
	if (c->group)
		fr_op_give(c->group);
	c->group = NULL;
	while (c->ops) {
		struct ferrule_op *op = c->ops;

		drop_parts(op);
		unlink_op(c, op);
		atomic_store_explicit(&op->owner, NULL, memory_order_release);
	}
	while (c->idle_ops) {
		struct ferrule_op *op = c->idle_ops;

		c->idle_ops = op->next;
		free_op(op);
	}
}

/* ---- parts ---- */

static ferrule_status_t no_memory(int n)
{
	return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a group of %d messages", n);
}

static ferrule_status_t grow_parts(struct ferrule_op *op)
{
	const int room = 2 * op->parts_room;
	struct fr_part *parts = malloc((size_t)room * sizeof(*parts));

	if (!parts)
		return no_memory(room);
	memcpy(parts, op->parts, (size_t)op->n_parts * sizeof(*parts));
	if (op->parts != op->few)
		free(op->parts);
	op->parts = parts;
	op->parts_room = room;
	return FERRULE_OK;
}

ferrule_status_t fr_op_add(struct ferrule_op *op, struct fr_shape *shape, const void *send,
                           void *recv, bool in_place)
{
	ferrule_status_t status = FERRULE_OK;

	if (op->n_parts == op->parts_room)
		status = grow_parts(op);
	if (status == FERRULE_OK)
		status = fr_part_hold(op->comm, &op->parts[op->n_parts], shape, send, recv,
		                      in_place);
	if (status == FERRULE_OK)
		op->n_parts++;
	return status;
}

ferrule_status_t fr_op_add_self(struct ferrule_op *op, const struct fr_self_message *message)
{
	if (op->n_selfs == op->selfs_room) {
		const int room = op->selfs_room > 0 ? 2 * op->selfs_room : 4;
		struct fr_self_message *selfs = realloc(op->selfs, (size_t)room * sizeof(*selfs));

		if (!selfs)
			return no_memory(room);
		op->selfs = selfs;
		op->selfs_room = room;
	}
	op->selfs[op->n_selfs++] = *message;
	return FERRULE_OK;
}

/* ---- messages to oneself ---- */

/* The k-th message of one direction, or NULL. */
static const struct fr_self_message *self_message(const struct ferrule_op *op, bool is_send, int k)
{
	for (int i = 0; i < op->n_selfs; i++)
		if (op->selfs[i].is_send == is_send && k-- == 0)
			return &op->selfs[i];
	return NULL;
}

static ferrule_status_t copy_self(const struct fr_self_message *send,
                                  const struct fr_self_message *recv, int rank, int k)
{
	if (!send || !recv)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "peer: message %d of rank %d to itself has no %s in the same group",
		                k, rank, send ? "recv" : "send");
	if (send->count != recv->count || send->type != recv->type)
		return fr_error(
			FERRULE_ERR_MISMATCH,
			"ranks disagree: message %d of rank %d to itself is sent as %zu %s and "
			"received as %zu %s",
			k, rank, send->count, ferrule_type_name(send->type), recv->count,
			ferrule_type_name(recv->type));
	if (send->count > 0)
		memmove(recv->recv, send->send, send->count * ferrule_type_bytes(send->type));
	return FERRULE_OK;
}

static ferrule_status_t copy_selfs(struct ferrule_op *op)
{
	for (int k = 0;; k++) {
		const struct fr_self_message *send = self_message(op, true, k);
		const struct fr_self_message *recv = self_message(op, false, k);

		if (!send && !recv)
			return FERRULE_OK;
		const ferrule_status_t status = copy_self(send, recv, op->comm->rank, k);

		if (status != FERRULE_OK)
			return fr_comm_refuse(op->comm, status);
	}
}

/* ---- running ---- */

static ferrule_status_t fail(struct ferrule_op *op, ferrule_status_t status)
{
	/* The others failed with it; this collects them. */
	for (int i = 0; i < op->n_parts; i++)
		(void)fr_part_test(op->comm, &op->parts[i]);
	op->state = FR_OP_FAILED;
	op->status = status;
	return status;
}

ferrule_status_t fr_op_refused(struct ferrule_op *op, ferrule_status_t status)
{
	for (int i = 0; i < op->n_parts; i++)
		fr_part_refused(op->comm, op->parts[i].shape, status);
	return status;
}

ferrule_status_t fr_op_begin(struct ferrule_op *op)
{
	const ferrule_status_t selfs = copy_selfs(op);

	if (selfs != FERRULE_OK)
		return fr_op_refused(op, selfs);
	op->state = FR_OP_RUNNING;
	for (int i = 0; i < op->n_parts; i++) {
		const ferrule_status_t status = fr_part_start(op->comm, &op->parts[i]);

		if (status != FERRULE_OK)
			return fail(op, status);
	}
	if (op->n_parts == 0)
		op->state = FR_OP_DONE;
	return FERRULE_OK;
}

static ferrule_status_t not_started(const struct ferrule_op *op)
{
	return fr_comm_refuse(op->comm,
	                      fr_error(FERRULE_ERR_ARGUMENT,
	                               "op: was not started; call ferrule_op_start() first"));
}

static ferrule_status_t advance(struct ferrule_op *op,
                                ferrule_status_t (*step)(struct ferrule_comm *, struct fr_part *))
{
	if (op->state == FR_OP_DONE || op->state == FR_OP_FAILED)
		return op->status;
	if (op->state == FR_OP_IDLE)
		return not_started(op);
	for (int i = 0; i < op->n_parts; i++) {
		const ferrule_status_t status = step(op->comm, &op->parts[i]);

		if (status == FERRULE_INPROGRESS)
			return status;
		if (status != FERRULE_OK)
			return fail(op, status);
	}
	op->state = FR_OP_DONE;
	return FERRULE_OK;
}

ferrule_status_t fr_op_progress(struct ferrule_op *op)
{
	return advance(op, fr_part_test);
}

ferrule_status_t fr_op_finish(struct ferrule_op *op)
{
	return advance(op, fr_part_wait);
}

ferrule_status_t fr_ops_finish(struct ferrule_comm *c)
{
	for (struct ferrule_op *op = c->ops; op; op = op->next) {
		if (op->state != FR_OP_RUNNING)
			continue;
		const ferrule_status_t status = fr_op_finish(op);

		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

/* ---- ferrule/coll.h ---- */

/* Takes the communicator of a handle's operation for this thread. */
static ferrule_status_t enter(ferrule_op_t handle, struct ferrule_op **op_out,
                              struct ferrule_comm **comm_out)
{
	struct ferrule_op *op = fr_op_find(handle);

	if (!op)
		return FERRULE_ERR_ARGUMENT;
	ferrule_comm_t owner = atomic_load_explicit(&op->owner, memory_order_acquire);

	if (!owner)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "op: its communicator was destroyed; only ferrule_op_destroy() is "
		                "allowed");
	const ferrule_status_t status = fr_comm_enter(owner, comm_out);

	if (status != FERRULE_OK)
		return status;
	*op_out = op;
	if (fr_op_is(op, handle))
		return FERRULE_OK;
	/* Another thread was quicker, and destroyed it. */
	fr_comm_leave(*comm_out);
	fr_op_find(handle);
	return FERRULE_ERR_ARGUMENT;
}

static ferrule_status_t start_again(struct ferrule_op *op)
{
	struct ferrule_comm *c = op->comm;

	if (!op->is_persistent)
		return fr_comm_refuse(c,
		                      fr_error(FERRULE_ERR_ARGUMENT,
		                               "op: not a persistent operation; those are made by "
		                               "the ferrule_*_init() functions"));
	if (!fr_comm_is_ready(c))
		return fr_comm_not_ready(c);
	if (op->state == FR_OP_RUNNING && fr_op_progress(op) == FERRULE_INPROGRESS)
		return fr_comm_refuse(c,
		                      fr_error(FERRULE_ERR_BUSY,
		                               "op: still running; wait for it before starting it "
		                               "again"));
	if (op->state == FR_OP_FAILED)
		return op->status;
	return fr_op_begin(op);
}

/* What the three functions below have in common. */
static ferrule_status_t with_op(ferrule_op_t handle, ferrule_status_t (*act)(struct ferrule_op *))
{
	struct ferrule_comm *c = NULL;
	struct ferrule_op *op = NULL;
	ferrule_status_t status = enter(handle, &op, &c);

	if (status != FERRULE_OK)
		return status;
	status = act(op);
	fr_comm_leave(c);
	return status;
}

ferrule_status_t ferrule_op_start(ferrule_op_t op)
{
	return with_op(op, start_again);
}

ferrule_status_t ferrule_op_test(ferrule_op_t op)
{
	return with_op(op, fr_op_progress);
}

ferrule_status_t ferrule_op_wait(ferrule_op_t op)
{
	return with_op(op, fr_op_finish);
}

static ferrule_status_t finish_and_give(struct ferrule_op *op)
{
	const ferrule_status_t status = op->state == FR_OP_RUNNING ? fr_op_finish(op) : FERRULE_OK;

	fr_op_give(op);
	return status;
}

/* An operation without a communicator: whoever claims it frees it. */
static ferrule_status_t destroy_orphan(struct ferrule_op *op, ferrule_op_t handle)
{
	if (fr_op_claim(op, handle)) {
		free_op(op);
		return FERRULE_OK;
	}
	fr_op_find(handle);
	return FERRULE_ERR_ARGUMENT;
}

ferrule_status_t ferrule_op_destroy(ferrule_op_t op)
{
	const struct timespec nap = {.tv_nsec = LOOK_NS};

	if (!op)
		return FERRULE_OK;
	for (;;) {
		struct ferrule_op *found = fr_op_find(op);
		ferrule_comm_t owner;

		if (!found)
			return FERRULE_ERR_ARGUMENT;
		owner = atomic_load_explicit(&found->owner, memory_order_acquire);
		if (!owner)
			return destroy_orphan(found, op);
		/* A forked child's copy: the memory stays with that of its communicator. */
		if (fr_comm_is_forked(owner))
			return fr_op_claim(found, op) ? FERRULE_OK : FERRULE_ERR_ARGUMENT;
		if (fr_comm_peek(owner))
			return with_op(op, finish_and_give);
		/* Another thread is destroying the communicator; this operation is an orphan soon.
		 */
		nanosleep(&nap, NULL);
	}
}

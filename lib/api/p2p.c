/*
 * Messages between two ranks, alone, in pairs and in groups.
 *
 * A message without elements is one like any other, since the other side may mean some.  A message
 * to oneself is a copy, and needs both its ends in one group.
 */
#include "config.h"

#include "lib/api/check.h"
#include "lib/api/op.h"
#include "lib/api/op_table.h"
#include "lib/api/submit.h"
#include "lib/base/error.h"
#include "lib/comm/handle.h"

static struct fr_request send_request(const void *send, size_t count, ferrule_type_t type, int peer)
{
	return (struct fr_request){.coll = FR_COLL_P2P,
	                           .type = type,
	                           .op = FR_OP_SEND,
	                           .root = peer,
	                           .count = count,
	                           .send = send};
}

static struct fr_request recv_request(void *recv, size_t count, ferrule_type_t type, int peer)
{
	return (struct fr_request){.coll = FR_COLL_P2P,
	                           .type = type,
	                           .op = FR_OP_RECV,
	                           .root = peer,
	                           .count = count,
	                           .recv = recv};
}

static ferrule_status_t check_self(const struct fr_request *r)
{
	const bool missing = r->count > 0 && (r->op == FR_OP_SEND ? !r->send : !r->recv);

	if (!missing)
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_ARGUMENT, "%s: NULL, must be a buffer of %zu elements",
	                r->op == FR_OP_SEND ? "send" : "recv", r->count);
}

static ferrule_status_t add_self(struct ferrule_op *op, const struct fr_request *r)
{
	const struct fr_self_message message = {
		.send = r->send,
		.recv = r->recv,
		.count = r->count,
		.type = r->type,
		.is_send = r->op == FR_OP_SEND,
	};
	ferrule_status_t status = check_self(r);

	if (status == FERRULE_OK)
		status = fr_op_add_self(op, &message);
	return status == FERRULE_OK ? status : fr_comm_refuse(op->comm, status);
}

/* Adds one message to an operation, whichever kind it is. */
static ferrule_status_t add(struct ferrule_op *op, const struct fr_request *r)
{
	struct ferrule_comm *c = op->comm;
	struct fr_shape *shape;
	bool in_place;
	ferrule_status_t status = FERRULE_OK;

	if (r->root == c->rank) {
		status = fr_check_request(c, r);
		return status == FERRULE_OK ? add_self(op, r) : fr_comm_refuse(c, status);
	}
	status = fr_submit_prepare(c, r, &shape, &in_place);
	if (status != FERRULE_OK)
		return status;
	status = fr_op_add(op, shape, r->send, r->recv, in_place);
	return status == FERRULE_OK ? status : fr_comm_refuse(c, status);
}

static ferrule_status_t to_oneself(struct ferrule_comm *c)
{
	return fr_comm_refuse(c,
	                      fr_error(FERRULE_ERR_ARGUMENT,
	                               "peer: %d is this rank; a message to oneself needs its send "
	                               "and its recv in one group",
	                               c->rank));
}

/* ---- one message ---- */

static ferrule_status_t run_message(struct ferrule_comm *c, const struct fr_request *r)
{
	struct fr_shape *shape;
	bool in_place;
	ferrule_status_t status;

	if (!fr_comm_is_ready(c))
		return fr_comm_tell(c, r, fr_comm_not_ready(c));
	if (r->root == c->rank)
		return to_oneself(c);
	status = fr_submit_prepare(c, r, &shape, &in_place);
	if (status != FERRULE_OK)
		return fr_comm_tell(c, r, status);
	return fr_part_run(c, shape, r->send, r->recv, in_place);
}

/* Blocking, or a member of the group that is being gathered. */
static ferrule_status_t message(ferrule_comm_t comm, const struct fr_request *r)
{
	struct ferrule_comm *c;
	ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	if (c->group) {
		status = add(c->group, r);
		if (status != FERRULE_OK)
			c->group_error = fr_comm_tell(c, r, status);
	} else {
		status = run_message(c, r);
	}
	fr_comm_leave(c);
	return status;
}

/* ---- operations of several messages ---- */

static ferrule_status_t gather(struct ferrule_op *op, const struct fr_request *requests, int n)
{
	struct ferrule_comm *c = op->comm;

	for (int i = 0; i < n; i++) {
		if (n == 1 && requests[i].root == c->rank)
			return to_oneself(c);
		const ferrule_status_t status = add(op, &requests[i]);

		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

enum form { FORM_RUN, FORM_START, FORM_INIT };

/* Takes an operation through the rest of its form; given back unless the user gets it. */
static ferrule_status_t launch(struct ferrule_op *op, enum form form, ferrule_op_t *op_out)
{
	ferrule_status_t status = FERRULE_OK;

	op->is_persistent = form == FORM_INIT;
	if (form != FORM_INIT)
		status = fr_op_begin(op);
	if (status == FERRULE_OK && form == FORM_RUN)
		status = fr_op_finish(op);
	if (status == FERRULE_OK && form != FORM_RUN)
		*op_out = fr_op_handle(op);
	else
		fr_op_give(op);
	return status;
}

/* An operation of all the messages, not started. */
static ferrule_status_t gathered(struct ferrule_comm *c, const struct fr_request *requests, int n,
                                 struct ferrule_op **out)
{
	ferrule_status_t status;

	if (!fr_comm_is_ready(c))
		return fr_comm_not_ready(c);
	status = fr_op_take(c, out);
	if (status != FERRULE_OK)
		return fr_comm_refuse(c, status);
	status = gather(*out, requests, n);
	if (status != FERRULE_OK)
		fr_op_give(*out);
	return status;
}

/* The other ends of all messages may wait for them by now. */
static void tell_all(struct ferrule_comm *c, const struct fr_request *requests, int n,
                     ferrule_status_t status)
{
	for (int i = 0; i < n; i++)
		fr_comm_tell(c, &requests[i], status);
}

static ferrule_status_t submit_locked(struct ferrule_comm *c, const struct fr_request *requests,
                                      int n, enum form form, ferrule_op_t *op_out)
{
	struct ferrule_op *op;
	const ferrule_status_t status = gathered(c, requests, n, &op);

	if (status == FERRULE_OK)
		return launch(op, form, op_out);
	if (form != FORM_INIT)
		tell_all(c, requests, n, status);
	return status;
}

static ferrule_status_t submit(ferrule_comm_t comm, const struct fr_request *requests, int n,
                               enum form form, ferrule_op_t *op_out)
{
	struct ferrule_comm *c;
	ferrule_status_t status = form == FORM_RUN ? fr_comm_enter(comm, &c)
	                                           : fr_submit_enter(comm, op_out, NULL, &c);

	if (status != FERRULE_OK)
		return status;
	status = submit_locked(c, requests, n, form, op_out);
	fr_comm_leave(c);
	return status;
}

/* ---- ferrule/coll.h: send, recv ---- */

ferrule_status_t ferrule_send(ferrule_comm_t comm, const void *send, size_t count,
                              ferrule_type_t type, int peer)
{
	const struct fr_request r = send_request(send, count, type, peer);

	return message(comm, &r);
}

ferrule_status_t ferrule_send_start(ferrule_comm_t comm, const void *send, size_t count,
                                    ferrule_type_t type, int peer, ferrule_op_t *op_out)
{
	const struct fr_request r = send_request(send, count, type, peer);

	return submit(comm, &r, 1, FORM_START, op_out);
}

ferrule_status_t ferrule_send_init(ferrule_comm_t comm, const void *send, size_t count,
                                   ferrule_type_t type, int peer, ferrule_op_t *op_out)
{
	const struct fr_request r = send_request(send, count, type, peer);

	return submit(comm, &r, 1, FORM_INIT, op_out);
}

ferrule_status_t ferrule_recv(ferrule_comm_t comm, void *recv, size_t count, ferrule_type_t type,
                              int peer)
{
	const struct fr_request r = recv_request(recv, count, type, peer);

	return message(comm, &r);
}

ferrule_status_t ferrule_recv_start(ferrule_comm_t comm, void *recv, size_t count,
                                    ferrule_type_t type, int peer, ferrule_op_t *op_out)
{
	const struct fr_request r = recv_request(recv, count, type, peer);

	return submit(comm, &r, 1, FORM_START, op_out);
}

ferrule_status_t ferrule_recv_init(ferrule_comm_t comm, void *recv, size_t count,
                                   ferrule_type_t type, int peer, ferrule_op_t *op_out)
{
	const struct fr_request r = recv_request(recv, count, type, peer);

	return submit(comm, &r, 1, FORM_INIT, op_out);
}

/* ---- sendrecv ---- */

ferrule_status_t ferrule_sendrecv(ferrule_comm_t comm, const void *send, size_t send_count,
                                  int send_peer, void *recv, size_t recv_count, int recv_peer,
                                  ferrule_type_t type)
{
	const struct fr_request both[] = {
		send_request(send, send_count, type, send_peer),
		recv_request(recv, recv_count, type, recv_peer),
	};

	return submit(comm, both, 2, FORM_RUN, NULL);
}

ferrule_status_t ferrule_sendrecv_start(ferrule_comm_t comm, const void *send, size_t send_count,
                                        int send_peer, void *recv, size_t recv_count, int recv_peer,
                                        ferrule_type_t type, ferrule_op_t *op_out)
{
	const struct fr_request both[] = {
		send_request(send, send_count, type, send_peer),
		recv_request(recv, recv_count, type, recv_peer),
	};

	return submit(comm, both, 2, FORM_START, op_out);
}

ferrule_status_t ferrule_sendrecv_init(ferrule_comm_t comm, const void *send, size_t send_count,
                                       int send_peer, void *recv, size_t recv_count, int recv_peer,
                                       ferrule_type_t type, ferrule_op_t *op_out)
{
	const struct fr_request both[] = {
		send_request(send, send_count, type, send_peer),
		recv_request(recv, recv_count, type, recv_peer),
	};

	return submit(comm, both, 2, FORM_INIT, op_out);
}

/* ---- groups ---- */

ferrule_status_t ferrule_group_begin(ferrule_comm_t comm)
{
	struct ferrule_comm *c;
	ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	status = fr_comm_is_ready(c) ? fr_op_take(c, &c->group) : fr_comm_not_ready(c);
	if (status == FERRULE_OK) {
		int ready = FR_COMM_READY;

		c->group_error = FERRULE_OK;
		/* Unless it was aborted meanwhile. */
		atomic_compare_exchange_strong(&c->state, &ready, FR_COMM_GROUP);
	}
	fr_comm_leave(c);
	return status;
}

static ferrule_status_t end_group(struct ferrule_comm *c, enum form form, ferrule_op_t *op_out)
{
	struct ferrule_op *op = c->group;
	int group = FR_COMM_GROUP;

	if (!op)
		return fr_comm_refuse(
			c, fr_error(FERRULE_ERR_ARGUMENT,
		                    "comm: no group to end; ferrule_group_begin() comes first"));
	c->group = NULL;
	/* Unless it was aborted meanwhile. */
	atomic_compare_exchange_strong(&c->state, &group, FR_COMM_READY);
	ferrule_status_t status = c->group_error;

	if (status == FERRULE_OK && !fr_comm_is_ready(c))
		status = fr_comm_not_ready(c);
	if (status == FERRULE_OK)
		return launch(op, form, op_out);
	fr_op_refused(op, status);
	fr_op_give(op);
	return status;
}

ferrule_status_t ferrule_group_end(ferrule_comm_t comm)
{
	struct ferrule_comm *c;
	ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	status = end_group(c, FORM_RUN, NULL);
	fr_comm_leave(c);
	return status;
}

ferrule_status_t ferrule_group_end_start(ferrule_comm_t comm, ferrule_op_t *op_out)
{
	struct ferrule_comm *c;
	ferrule_status_t status = fr_submit_enter(comm, op_out, NULL, &c);

	if (status != FERRULE_OK)
		return status;
	status = end_group(c, FORM_START, op_out);
	fr_comm_leave(c);
	return status;
}

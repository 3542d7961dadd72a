#include "config.h"

#include "lib/api/submit.h"

#include "lib/api/check.h"
#include "lib/api/op.h"
#include "lib/api/op_table.h"
#include "lib/base/error.h"
#include "lib/comm/handle.h"
#include "lib/comm/part.h"

/* A call like none before: everything about it is looked at. */
static ferrule_status_t new_shape(struct ferrule_comm *c, const struct fr_request *r,
                                  struct fr_shape **out)
{
	ferrule_status_t status = fr_check_request(c, r);

	if (status == FERRULE_OK)
		status = fr_shape_add(c, r, out);
	return status == FERRULE_OK ? status : fr_comm_refuse(c, status);
}

static inline ferrule_status_t prepare(struct ferrule_comm *c, const struct fr_request *r,
                                       struct fr_shape **shape_out, bool *in_place_out)
{
	struct fr_shape *shape = fr_shape_find(&c->shapes, r, c->n_ranks);
	ferrule_status_t status;

	if (__builtin_expect(!shape, 0)) {
		status = new_shape(c, r, &shape);
		if (status != FERRULE_OK)
			return status;
	}
	if (__builtin_expect(shape->is_premul, 0)) {
		status = fr_check_redop(c, r->op, r->type);
		if (status != FERRULE_OK)
			return fr_comm_refuse(c, status);
	}
	status = fr_check_buffers(shape, r->send, r->recv, in_place_out);
	if (__builtin_expect(status != FERRULE_OK, 0))
		return fr_comm_refuse(c, status);
	*shape_out = shape;
	return FERRULE_OK;
}

ferrule_status_t fr_submit_prepare(struct ferrule_comm *c, const struct fr_request *r,
                                   struct fr_shape **shape_out, bool *in_place_out)
{
	return prepare(c, r, shape_out, in_place_out);
}

static inline ferrule_status_t run(struct ferrule_comm *c, const struct fr_request *r)
{
	struct fr_shape *shape;
	bool in_place;

	if (!fr_comm_is_ready(c))
		return fr_comm_tell(c, r, fr_comm_not_ready(c));
	const ferrule_status_t status = prepare(c, r, &shape, &in_place);

	if (__builtin_expect(status != FERRULE_OK, 0))
		return fr_comm_tell(c, r, status);
	return fr_part_run(c, shape, r->send, r->recv, in_place);
}

ferrule_status_t fr_submit_run(ferrule_comm_t comm, const struct fr_request *r)
{
	struct ferrule_comm *c;
	ferrule_status_t status = fr_comm_enter(comm, &c);

	if (__builtin_expect(status != FERRULE_OK, 0))
		return status;
	status = run(c, r);
	fr_comm_leave(c);
	return status;
}

/* An operation with the request as its one part.  A failure is not told to the peers: it is only
 * theirs to know when the call is also to start. */
static ferrule_status_t make_op(struct ferrule_comm *c, const struct fr_request *r,
                                struct ferrule_op **out)
{
	struct fr_shape *shape;
	struct ferrule_op *op;
	bool in_place;
	ferrule_status_t status;

	if (!fr_comm_is_ready(c))
		return fr_comm_not_ready(c);
	status = prepare(c, r, &shape, &in_place);
	if (status != FERRULE_OK)
		return status;
	status = fr_op_take(c, &op);
	if (status != FERRULE_OK)
		return fr_comm_refuse(c, status);
	status = fr_op_add(op, shape, r->send, r->recv, in_place);
	if (status != FERRULE_OK) {
		fr_op_give(op);
		return fr_comm_refuse(c, status);
	}
	*out = op;
	return FERRULE_OK;
}

ferrule_status_t fr_submit_enter(ferrule_comm_t comm, const ferrule_op_t *op_out,
                                 const struct fr_request *r, struct ferrule_comm **out)
{
	ferrule_status_t status = fr_comm_enter(comm, out);

	if (status != FERRULE_OK || op_out)
		return status;
	status = fr_no_output("op_out");
	if (r)
		fr_comm_tell(*out, r, status);
	fr_comm_leave(*out);
	return status;
}

ferrule_status_t fr_submit_start(ferrule_comm_t comm, const struct fr_request *r,
                                 ferrule_op_t *op_out)
{
	struct ferrule_comm *c;
	struct ferrule_op *op;
	ferrule_status_t status = fr_submit_enter(comm, op_out, r, &c);

	if (status != FERRULE_OK)
		return status;
	status = make_op(c, r, &op);
	if (status != FERRULE_OK) {
		fr_comm_tell(c, r, status);
	} else {
		status = fr_op_begin(op);
		if (status == FERRULE_OK)
			*op_out = fr_op_handle(op);
		else
			fr_op_give(op);
	}
	fr_comm_leave(c);
	return status;
}

ferrule_status_t fr_submit_init(ferrule_comm_t comm, const struct fr_request *r,
                                ferrule_op_t *op_out)
{
	struct ferrule_comm *c;
	struct ferrule_op *op;
	ferrule_status_t status = fr_submit_enter(comm, op_out, NULL, &c);

	if (status != FERRULE_OK)
		return status;
	status = make_op(c, r, &op);
	if (status == FERRULE_OK) {
		op->is_persistent = true;
		*op_out = fr_op_handle(op);
	}
	fr_comm_leave(c);
	return status;
}

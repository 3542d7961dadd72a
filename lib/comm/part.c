#include "config.h"

#include "lib/comm/part.h"

#include "lib/comm/comm.h"
#include "lib/exec/exec.h"

static double factor_of(const struct ferrule_comm *c, const struct fr_shape *shape)
{
	if (!shape->is_premul)
		return 1.0;
	return c->premuls[shape->op - FERRULE_N_REDOPS].factor;
}

/* Collectives are numbered on the communicator, messages on their pair of ranks. */
static inline uint64_t next_sequence(struct ferrule_comm *c, const struct fr_shape *shape)
{
	if (__builtin_expect(shape->algo != NULL, 1))
		return ++c->sequence;
	const int peer = shape->args.root;

	return shape->op == FR_OP_SEND ? ++c->send_sequence[peer] : ++c->recv_sequence[peer];
}

ferrule_status_t fr_part_refused(struct ferrule_comm *c, const struct fr_shape *shape,
                                 ferrule_status_t status)
{
	const struct fr_request r = {
		.coll = shape->args.coll, .op = shape->op, .root = shape->args.root};

	return fr_comm_tell(c, &r, status);
}

ferrule_status_t fr_part_run(struct ferrule_comm *c, struct fr_shape *shape, const void *send,
                             void *recv, bool in_place)
{
	ferrule_status_t status;

	if (__builtin_expect(!shape->plans[in_place], 0)) {
		status = fr_shape_compile(c, shape, in_place);
		if (status != FERRULE_OK)
			return fr_part_refused(c, shape, fr_comm_refuse(c, status));
	}
	atomic_store_explicit(&c->called, shape->call.coll, memory_order_relaxed);
	fr_call_number(&shape->call, next_sequence(c, shape));
	status = fr_exec_run(c->exec, shape->plans[in_place], send, recv, factor_of(c, shape),
	                     &shape->call);
	if (__builtin_expect(shape->is_unproven, 0) && status == FERRULE_OK) {
		shape->is_unproven = false;
		status = fr_exec_compare(c->exec, &shape->call);
	}
	return __builtin_expect(status == FERRULE_OK, 1) ? status : fr_comm_fail(c, status);
}

ferrule_status_t fr_part_hold(struct ferrule_comm *c, struct fr_part *part, struct fr_shape *shape,
                              const void *send, void *recv, bool in_place)
{
	if (!shape->plans[in_place]) {
		const ferrule_status_t status = fr_shape_compile(c, shape, in_place);

		if (status != FERRULE_OK)
			return fr_comm_refuse(c, status);
	}
	*part = (struct fr_part){.shape = shape, .send = send, .recv = recv, .in_place = in_place};
	shape->in_use++;
	return FERRULE_OK;
}

void fr_part_drop(struct fr_part *part)
{
	if (part->run)
		fr_run_release(part->run);
	part->run = NULL;
	part->shape->in_use--;
}

ferrule_status_t fr_part_start(struct ferrule_comm *c, struct fr_part *part)
{
	struct fr_call call = part->shape->call;

	atomic_store_explicit(&c->called, call.coll, memory_order_relaxed);
	fr_call_number(&call, next_sequence(c, part->shape));
	const ferrule_status_t status =
		fr_exec_start(c->exec, part->shape->plans[part->in_place], part->send, part->recv,
	                      factor_of(c, part->shape), &call, &part->run);

	return status == FERRULE_OK ? status : fr_comm_fail(c, status);
}

static ferrule_status_t settle(struct ferrule_comm *c, struct fr_part *part,
                               ferrule_status_t status)
{
	if (status == FERRULE_INPROGRESS)
		return status;
	fr_run_release(part->run);
	part->run = NULL;
	return status == FERRULE_OK ? status : fr_comm_fail(c, status);
}

ferrule_status_t fr_part_test(struct ferrule_comm *c, struct fr_part *part)
{
	return part->run ? settle(c, part, fr_run_test(part->run)) : FERRULE_OK;
}

ferrule_status_t fr_part_wait(struct ferrule_comm *c, struct fr_part *part)
{
	return part->run ? settle(c, part, fr_run_wait(part->run)) : FERRULE_OK;
}

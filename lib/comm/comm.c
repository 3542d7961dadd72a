/* Faults, the communicator's own collectives, and its end. */
#include "config.h"

#include "lib/comm/comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/comm/handle.h"
#include "lib/comm/part.h"
#include "lib/comm/report.h"
#include "lib/comm/user_memory.h"
#include "lib/exec/exec.h"
#include "lib/transport/transport.h"

ferrule_status_t fr_comm_refuse(struct ferrule_comm *c, ferrule_status_t status)
{
	snprintf(c->error_text, sizeof(c->error_text), "%s", fr_error_text());
	return status;
}

/* The call that this request would have been; false when nobody can be waiting in it. */
static bool call_to_come(const struct ferrule_comm *c, const struct fr_request *r,
                         struct fr_call *call)
{
	const bool is_message = r->coll == FR_COLL_P2P, sends = r->op == FR_OP_SEND;

	*call = (struct fr_call){
		.sequence = c->sequence + 1,
		.count = is_message ? c->sequence : 0,
		.comm = (uint32_t)c->comm_id,
		.root = is_message ? r->root : -1,
		.coll = (uint8_t)(r->called ? r->called
	                                    : (int)r->coll | (r->arrays ? FR_CALL_VECTOR : 0)),
		.type = FERRULE_N_TYPES,
		.op = is_message ? (uint8_t)r->op : FR_OP_NONE,
		.algo = is_message ? FR_CALL_PAIRWISE : FR_CALL_IDLE,
	};
	if (is_message && (r->root < 0 || r->root >= c->n_ranks || r->root == c->rank))
		return false;
	if (is_message)
		call->sequence = (sends ? c->send_sequence : c->recv_sequence)[r->root] + 1;
	fr_call_seal(call);
	return true;
}

ferrule_status_t fr_comm_tell(struct ferrule_comm *c, const struct fr_request *r,
                              ferrule_status_t status)
{
	struct fr_call call;

	if (call_to_come(c, r, &call))
		fr_exec_refuse(c->exec, &call, status, fr_error_text());
	return status;
}

ferrule_status_t fr_comm_fail(struct ferrule_comm *c, ferrule_status_t status)
{
	const char *text;

	if (fr_exec_fault(c->exec, &text) == FERRULE_OK)
		fr_exec_abort(c->exec, status, fr_error_text());
	status = fr_exec_fault(c->exec, &text);
	atomic_store_explicit(&c->fault, status, memory_order_release);
	atomic_store_explicit(&c->state, FR_COMM_FAULT, memory_order_relaxed);
	fr_error(status, "%s", text);
	return fr_comm_refuse(c, status);
}

ferrule_status_t fr_comm_not_ready(struct ferrule_comm *c)
{
	const ferrule_status_t fault = atomic_load_explicit(&c->fault, memory_order_acquire);

	switch (atomic_load_explicit(&c->state, memory_order_relaxed)) {
	case FR_COMM_FAULT:
		/* Aborted by another thread while this one was not waiting: tell the peers. */
		if (fr_exec_fault(c->exec, NULL) == FERRULE_OK)
			fr_exec_abort(c->exec, fault, c->abort_text);
		return fr_comm_fail(c, fault);
	case FR_COMM_GROUP:
		return fr_comm_refuse(
			c, fr_error(FERRULE_ERR_ARGUMENT,
		                    "comm: between ferrule_group_begin() and ferrule_group_end() "
		                    "only ferrule_send() and ferrule_recv() are allowed"));
	case FR_COMM_FINALIZED:
		return fr_comm_refuse(c, fr_error(FERRULE_ERR_ARGUMENT,
		                                  "comm: finalized; only ferrule_comm_destroy() is "
		                                  "allowed"));
	case FR_COMM_CLOSING:
		return fr_comm_refuse(
			c, fr_error(FERRULE_ERR_ABORTED, "comm: another thread is destroying it"));
	default:
		return FERRULE_OK;
	}
}

void fr_comm_abort(struct ferrule_comm *c, const char *text)
{
	int fault = FERRULE_OK;

	if (atomic_flag_test_and_set(&c->abort_claimed))
		return;
	snprintf(c->abort_text, sizeof(c->abort_text), "%s", text);
	if (!atomic_compare_exchange_strong(&c->fault, &fault, FERRULE_ERR_ABORTED))
		return;
	atomic_store(&c->state, FR_COMM_FAULT);
	fr_exec_cancel(c->exec, text);
	/* A thread that is inside sees the cancellation; else the peers learn it from here. */
	if (!fr_comm_enter_if_free(c))
		return;
	fr_comm_not_ready(c);
	fr_comm_leave(c);
}

/* ---- questions ---- */

const char *fr_comm_transport_name(const struct ferrule_comm *c, int peer)
{
	return c->eps[peer] ? c->eps[peer]->transport->ops->name : "self";
}

void fr_comm_get_stats(const struct ferrule_comm *c, struct ferrule_comm_stats *stats)
{
	struct fr_exec_stats exec;

	fr_exec_get_stats(c->exec, &exec);
	stats->operations = exec.runs;
	stats->bytes_sent = exec.bytes_sent;
	stats->bytes_received = exec.bytes_received;
	stats->memory_bytes = exec.memory_bytes + sizeof(*c);
	for (int t = 0; t < c->n_transports; t++)
		stats->memory_bytes += c->transports[t]->ops->memory_bytes(c->transports[t]);
	stats->plans = c->shapes.n_plans;
}

/* ---- the communicator's own collectives ---- */

static ferrule_status_t run(struct ferrule_comm *c, const struct fr_request *r)
{
	struct fr_shape *shape = fr_shape_find(&c->shapes, r, c->n_ranks);

	if (!shape) {
		const ferrule_status_t status = fr_shape_add(c, r, &shape);

		if (status != FERRULE_OK)
			return fr_comm_tell(c, r, status);
	}
	return fr_part_run(c, shape, r->send, r->recv, false);
}

ferrule_status_t fr_comm_allgather(struct ferrule_comm *c, const void *in, void *out, size_t bytes,
                                   int called)
{
	const struct fr_request r = {
		.coll = FR_COLL_ALLGATHER,
		.called = called,
		.type = FERRULE_UINT8,
		.op = FR_OP_NONE,
		.root = -1,
		.count = bytes,
		.send = in,
		.recv = out,
	};

	return run(c, &r);
}

ferrule_status_t fr_comm_barrier(struct ferrule_comm *c)
{
	const struct fr_request r = {
		.coll = FR_COLL_BARRIER,
		.called = FR_CALLED_FINALIZE,
		.type = FERRULE_UINT8,
		.op = FR_OP_NONE,
		.root = -1,
	};

	return run(c, &r);
}

void fr_comm_destroy(struct ferrule_comm *c)
{
	if (!c)
		return;
	fr_comm_log_end(c);
	fr_shape_cache_fini(&c->shapes);
	fr_exec_destroy(c->exec);
	c->exec = NULL;
	for (int t = 0; t < c->n_transports; t++)
		c->transports[t]->ops->close(c->transports[t]);
	c->n_transports = 0;
	fr_comm_discard(c);
}

void fr_comm_discard(struct ferrule_comm *c)
{
	fr_shape_cache_fini(&c->shapes);
	fr_exec_destroy(c->exec);
	fr_user_memory_fini(c);
	explicit_bzero(c->job_key, sizeof(c->job_key));
	free(c->places);
	free(c->host_of);
	free(c->transports);
	free(c->eps);
	free(c->send_sequence);
	free(c->recv_sequence);
	fr_comm_give(c);
}

/*
 * standin_move.c - one attempt at one send request: checks of both sides, bytes, completion of
 * the receiver.
 */
#include "tests/support/standin/standin_local.h"

#include <string.h>
#include <time.h>

/* A shorter pause is not worth a sleep, which takes this long at least. */
#define SLEEP_FROM_NS 10000u

/* A request under way. */
struct move {
	struct standin_local_qp *q;
	const struct standin_request *r;
	struct standin_qp *peer;
	struct standin_span local[STANDIN_SGES], remote[STANDIN_SGES];
	uint32_t n_local, n_remote;
	enum ibv_wc_status status;
};

static bool is_write(enum ibv_wr_opcode op)
{
	return op == IBV_WR_RDMA_WRITE || op == IBV_WR_RDMA_WRITE_WITH_IMM;
}

static bool is_atomic(enum ibv_wr_opcode op)
{
	return op == IBV_WR_ATOMIC_FETCH_AND_ADD || op == IBV_WR_ATOMIC_CMP_AND_SWP;
}

static bool takes_receive(enum ibv_wr_opcode op)
{
	return op == IBV_WR_SEND || op == IBV_WR_SEND_WITH_IMM || op == IBV_WR_RDMA_WRITE_WITH_IMM;
}

static enum standin_outcome move_fail(struct move *m, enum ibv_wc_status status)
{
	m->status = status;
	return STANDIN_FAILED;
}

/* ---- the sender's side ---- */

static enum standin_outcome move_check_local(struct move *m)
{
	const struct standin_request *r = m->r;
	const bool is_inline = (r->flags & IBV_SEND_INLINE) != 0;
	const bool is_written = r->opcode == IBV_WR_RDMA_READ || is_atomic(r->opcode);
	if (r->bytes > standin_self.config.max_msg)
		return move_fail(m, IBV_WC_LOC_LEN_ERR);
	if (is_atomic(r->opcode) && r->bytes != 8)
		return move_fail(m, IBV_WC_LOC_LEN_ERR);
	if (is_written && m->q->attr.max_rd_atomic == 0)
		return move_fail(m, IBV_WC_LOC_QP_OP_ERR);
	for (uint32_t i = 0; i < r->n_sge; i++) {
		const struct ibv_sge *e = &r->sge[i];
		struct standin_span *span = &m->local[m->n_local];
		if (e->length == 0)
			continue;
		span->bytes = e->length;
		span->address = e->addr;
		span->mr = NULL;
		if (!is_inline &&
		    standin_mr_find(e->lkey, m->q->shared, is_written ? IBV_ACCESS_LOCAL_WRITE : 0,
		                    e, e->length, &span->address) == NULL)
			return move_fail(m, IBV_WC_LOC_PROT_ERR);
		m->n_local++;
	}
	return STANDIN_DONE;
}

/* ---- the receiver's side; with its arrival lock ---- */

/* The responder refuses: it tells its owner and fails. */
static enum standin_outcome move_refuse(struct move *m, enum ibv_wc_status status,
                                        enum ibv_event_type type)
{
	struct standin_table *t = standin_self.table;
	const uint32_t slot = m->peer->number % STANDIN_QPS;
	standin_queue_push(t, m->peer->async, (struct standin_event){type, slot, m->peer->number});
	standin_qp_fail(t, m->peer);
	return move_fail(m, status);
}

/* move_check_target - the key and rights of a WRITE, READ or atomic. */
static enum standin_outcome move_check_target(struct move *m)
{
	const struct standin_request *r = m->r;
	const uint32_t access = is_write(r->opcode)             ? IBV_ACCESS_REMOTE_WRITE
	                        : r->opcode == IBV_WR_RDMA_READ ? IBV_ACCESS_REMOTE_READ
	                                                        : IBV_ACCESS_REMOTE_ATOMIC;
	if (r->bytes == 0)
		return STANDIN_DONE; /* names no memory */
	const struct ibv_sge range = {.addr = r->remote};
	struct standin_span *span = &m->remote[0];
	span->bytes = r->bytes;
	span->mr = standin_mr_find(r->rkey, m->peer, access, &range, r->bytes, &span->address);
	if (span->mr == NULL || (m->peer->access & access) == 0)
		return move_refuse(m, IBV_WC_REM_ACCESS_ERR, IBV_EVENT_QP_ACCESS_ERR);
	if (!is_write(r->opcode) && m->peer->max_dest_rd == 0)
		return move_refuse(m, IBV_WC_REM_INV_REQ_ERR, IBV_EVENT_QP_REQ_ERR);
	if (is_atomic(r->opcode) && (span->address & 7) != 0)
		return move_refuse(m, IBV_WC_REM_INV_REQ_ERR, IBV_EVENT_QP_REQ_ERR);
	m->n_remote = 1;
	return STANDIN_DONE;
}

static struct standin_recv *recv_at(const struct standin_qp *q, uint32_t position)
{
	unsigned char *ring = standin_self.table->arena + q->rq_offset;
	return (struct standin_recv *)(ring + (size_t)(position & q->rq_mask) * q->rq_stride);
}

/* recv_complete - the oldest receive is over. */
static void recv_complete(struct move *m, const struct standin_recv *recv,
                          enum ibv_wc_status status)
{
	const struct standin_request *r = m->r;
	const bool has_imm = r->opcode != IBV_WR_SEND;
	const struct standin_cell cell = {
		.wc = {.wr_id = recv->wr_id,
	               .status = status,
	               .opcode = is_write(r->opcode) ? IBV_WC_RECV_RDMA_WITH_IMM : IBV_WC_RECV,
	               .byte_len = (uint32_t)r->bytes,
	               .imm_data = has_imm ? r->imm : 0,
	               .qp_num = m->peer->number,
	               .src_qp = m->q->number,
	               .wc_flags = has_imm ? IBV_WC_WITH_IMM : 0},
	};
	const uint32_t cq = m->peer->recv_cq;
	const uint32_t head = atomic_load_explicit(&m->peer->rq_head, memory_order_relaxed);
	/* Its slot is free before it is known to be over: who polls may post anew at once. */
	atomic_store_explicit(&m->peer->rq_head, head + 1, memory_order_release);
	standin_cq_push(standin_self.table, cq, &cell, (r->flags & IBV_SEND_SOLICITED) != 0);
}

/* move_check_receive - the memory of a SEND's receive. */
static enum standin_outcome move_check_receive(struct move *m, const struct standin_recv *recv)
{
	uint64_t room = 0;
	bool has_rights = true;
	for (uint32_t i = 0; i < recv->n_sge && room < m->r->bytes; i++) {
		const struct ibv_sge *e = &recv->sge[i];
		struct standin_span *span = &m->remote[m->n_remote];
		if (e->length == 0)
			continue;
		span->bytes = e->length;
		span->mr = standin_mr_find(e->lkey, m->peer, IBV_ACCESS_LOCAL_WRITE, e, e->length,
		                           &span->address);
		has_rights = has_rights && span->mr != NULL;
		room += e->length;
		m->n_remote++;
	}
	if (has_rights && room >= m->r->bytes)
		return STANDIN_DONE;
	recv_complete(m, recv, has_rights ? IBV_WC_LOC_LEN_ERR : IBV_WC_LOC_PROT_ERR);
	standin_qp_fail(standin_self.table, m->peer);
	return move_fail(m, has_rights ? IBV_WC_REM_INV_REQ_ERR : IBV_WC_REM_OP_ERR);
}

/* is_ready - is there a receive?  If not, the receiver is asked to call when it posts one. */
static bool is_ready(struct standin_qp *peer)
{
	const uint32_t head = atomic_load_explicit(&peer->rq_head, memory_order_relaxed);
	if (atomic_load_explicit(&peer->rq_tail, memory_order_acquire) != head)
		return true;
	atomic_store(&peer->waiter, standin_self.slot + 1);
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load(&peer->rq_tail) != head;
}

/* ---- bytes ---- */

/* move_part - bytes [from, to) of the message. */
static bool move_part(const struct move *m, uint64_t from, uint64_t to)
{
	const bool is_in = m->r->opcode == IBV_WR_RDMA_READ;
	uint32_t i = 0, k = 0;
	uint64_t at_local = from, at_remote = from; /* in span i, in span k */
	while (from < to) {
		while (at_local >= m->local[i].bytes)
			at_local -= m->local[i++].bytes;
		while (at_remote >= m->remote[k].bytes)
			at_remote -= m->remote[k++].bytes;
		uint64_t n = to - from;
		if (n > m->local[i].bytes - at_local)
			n = m->local[i].bytes - at_local;
		if (n > m->remote[k].bytes - at_remote)
			n = m->remote[k].bytes - at_remote;
		struct standin_span here = m->local[i], there = m->remote[k];
		here.address += at_local;
		there.address += at_remote;
		if (!standin_copy(is_in ? &here : &there, is_in ? &there : &here, n))
			return false;
		at_local += n;
		at_remote += n;
		from += n;
	}
	return true;
}

/* Time for a reader to be deceived; a sleep also gives one that waits for a processor its turn. */
static void scramble_pause(void)
{
	const uint64_t pause = standin_self.config.scramble_ns;
	if (pause >= SLEEP_FROM_NS) {
		nanosleep(&(struct timespec){.tv_nsec = (long)pause}, NULL);
		return;
	}
	const uint64_t until = standin_now_ns() + pause;
	while (standin_now_ns() < until)
		continue;
}

static bool move_bytes(const struct move *m)
{
	const uint64_t bytes = m->r->bytes;
	if (standin_self.config.scramble_ns == 0 || bytes < 2 || m->r->opcode == IBV_WR_RDMA_READ)
		return move_part(m, 0, bytes);
	/* The end first, then time for a reader to be deceived. */
	const uint64_t middle = bytes > 128 ? bytes - 64 : bytes / 2;
	if (!move_part(m, middle, bytes))
		return false;
	scramble_pause();
	return move_part(m, 0, middle);
}

static bool move_atomic(const struct move *m)
{
	const struct standin_request *r = m->r;
	uint64_t old = 0;
	const struct standin_span old_span = {NULL, (uintptr_t)&old, 8};
	pthread_mutex_t *lock = &standin_self.table->atomics;
	standin_lock(lock);
	bool is_done = standin_copy(&old_span, &m->remote[0], 8);
	uint64_t new = old + r->compare_add;
	if (r->opcode == IBV_WR_ATOMIC_CMP_AND_SWP)
		new = old == r->compare_add ? r->swap : old;
	const struct standin_span new_span = {NULL, (uintptr_t) & new, 8};
	if (is_done && new != old)
		is_done = standin_copy(&m->remote[0], &new_span, 8);
	standin_unlock(lock);
	if (!is_done)
		return false;
	struct move back = *m;
	back.remote[0] = old_span;
	struct standin_request read = {.opcode = IBV_WR_RDMA_READ, .bytes = 8};
	back.r = &read;
	return move_part(&back, 0, 8);
}

/* move_arrive - with the peer's arrival lock held. */
static enum standin_outcome move_arrive(struct move *m)
{
	const struct standin_request *r = m->r;
	struct standin_qp *peer = m->peer;
	const uint32_t state = atomic_load_explicit(&peer->state, memory_order_acquire);
	if (peer->number != m->q->shared->peer_number ||
	    (state != IBV_QPS_RTR && state != IBV_QPS_RTS))
		return STANDIN_NO_ANSWER;
	/* Packets of a larger MTU than the receiver's are not taken. */
	if (m->q->shared->path_mtu > peer->path_mtu && r->bytes > 128u << peer->path_mtu)
		return move_refuse(m, IBV_WC_REM_INV_REQ_ERR, IBV_EVENT_QP_REQ_ERR);
	enum standin_outcome outcome = STANDIN_DONE;
	if (r->opcode != IBV_WR_SEND && r->opcode != IBV_WR_SEND_WITH_IMM)
		outcome = move_check_target(m);
	if (outcome != STANDIN_DONE)
		return outcome;
	const struct standin_recv *recv = NULL;
	if (takes_receive(r->opcode)) {
		if (!is_ready(peer))
			return STANDIN_NOT_READY;
		recv = recv_at(peer, atomic_load_explicit(&peer->rq_head, memory_order_relaxed));
		if (!is_write(r->opcode))
			outcome = move_check_receive(m, recv);
		if (outcome != STANDIN_DONE)
			return outcome;
	}
	if (is_atomic(r->opcode) ? !move_atomic(m) : !move_bytes(m))
		return standin_proc_is_alive(&standin_self.table->procs[peer->owner])
		               ? move_refuse(m, IBV_WC_REM_OP_ERR, IBV_EVENT_QP_FATAL)
		               : STANDIN_NO_ANSWER;
	if (recv != NULL)
		recv_complete(m, recv, IBV_WC_SUCCESS);
	return STANDIN_DONE;
}

enum standin_outcome standin_execute(struct standin_local_qp *q, const struct standin_request *r,
                                     enum ibv_wc_status *status_out)
{
	struct move m; /* its spans are written before they are read: no time for zeros */
	m.q = q;
	m.r = r;
	m.n_local = m.n_remote = 0;
	m.status = IBV_WC_SUCCESS;
	enum standin_outcome outcome = move_check_local(&m);
	if (outcome == STANDIN_DONE)
		outcome = standin_route(q, &m.peer);
	if (outcome == STANDIN_DONE) {
		standin_lock(&m.peer->arrival);
		outcome = move_arrive(&m);
		standin_unlock(&m.peer->arrival);
	}
	*status_out = m.status;
	return outcome;
}

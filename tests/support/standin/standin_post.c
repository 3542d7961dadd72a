/*
 * standin_post.c - posting, and the send queue of what could not be done at once.
 *
 * A send request is tried in the caller's own thread.  One that cannot be done yet, and all that
 * are posted after it, are held in the order of posting; standin_progress() tries the oldest when
 * its time has come.  A slot of the send queue is taken by posting and comes back only when the
 * program polls the completion of its request or of a later one.
 */
#include "tests/support/standin/standin_local.h"

#include <errno.h>
#include <string.h>

/* RNR timers by their code, in units of 10 us; 0 is the longest. */
static const uint32_t rnr_10us[32] = {65536, 1,    2,    3,     4,     6,     8,     12,
                                      16,    24,   32,   48,    64,    96,    128,   192,
                                      256,   384,  512,  768,   1024,  1536,  2048,  3072,
                                      4096,  6144, 8192, 12288, 16384, 24576, 32768, 49152};

/* Who waits for a receive without end looks now and then whether the peer still lives. */
#define RNR_LOOK_NS 20000000u

static uint64_t scaled(uint64_t ns)
{
	return (uint64_t)((double)ns * standin_self.config.time_scale);
}

/* ---- completions of sends ---- */

static enum ibv_wc_opcode completion_opcode(enum ibv_wr_opcode op)
{
	switch (op) {
	case IBV_WR_RDMA_WRITE:
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return IBV_WC_RDMA_WRITE;
	case IBV_WR_RDMA_READ:
		return IBV_WC_RDMA_READ;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		return IBV_WC_COMP_SWAP;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		return IBV_WC_FETCH_ADD;
	default:
		return IBV_WC_SEND;
	}
}

static void send_complete(struct standin_local_qp *q, const struct standin_request *r,
                          enum ibv_wc_status status)
{
	if (status == IBV_WC_SUCCESS && !q->all_signalled && (r->flags & IBV_SEND_SIGNALED) == 0)
		return;
	const struct standin_cell cell = {
		.wc = {.wr_id = r->wr_id,
	               .status = status,
	               .opcode = completion_opcode(r->opcode),
	               .byte_len = (uint32_t)r->bytes,
	               .qp_num = q->number},
		.sq_position = r->position,
		.is_send = 1,
	};
	standin_cq_push(standin_self.table, q->send_cq->slot, &cell, false);
}

/* ---- errors ---- */

static const struct standin_recv *recv_at(const struct standin_qp *q, uint32_t position)
{
	const unsigned char *ring = standin_self.table->arena + q->rq_offset;
	return (const struct standin_recv *)(ring + (size_t)(position & q->rq_mask) * q->rq_stride);
}

/* flush_receives - the arrival lock makes this the only consumer. */
static void flush_receives(struct standin_local_qp *q)
{
	struct standin_qp *shared = q->shared;
	if (!standin_lock_patiently(&shared->arrival))
		return;
	uint32_t head = shared->rq_head;
	while (head != atomic_load(&shared->rq_tail)) {
		const struct standin_cell cell = {.wc = {.wr_id = recv_at(shared, head)->wr_id,
		                                         .status = IBV_WC_WR_FLUSH_ERR,
		                                         .opcode = IBV_WC_RECV,
		                                         .qp_num = q->number}};
		atomic_store(&shared->rq_head, ++head);
		standin_cq_push(standin_self.table, q->recv_cq->slot, &cell, false);
	}
	standin_unlock(&shared->arrival);
}

static void held_clear(struct standin_local_qp *q)
{
	atomic_fetch_sub(&standin_self.n_held, q->held_tail - q->held_head);
	q->held_head = q->held_tail;
	q->wait = STANDIN_WAIT_NOT;
}

void standin_flush(struct standin_local_qp *q)
{
	atomic_store(&q->shared->must_flush, 0);
	for (uint32_t i = q->held_head; i != q->held_tail; i++)
		send_complete(q, &q->held[i & q->held_mask], IBV_WC_WR_FLUSH_ERR);
	held_clear(q);
	flush_receives(q);
}

void standin_forget(struct standin_local_qp *q)
{
	struct standin_qp *shared = q->shared;
	held_clear(q);
	q->posted = 0;
	atomic_store(&q->done, 0);
	const bool is_locked = standin_lock_patiently(&shared->arrival);
	shared->rq_head = shared->rq_tail = 0;
	shared->must_flush = 0;
	if (is_locked)
		standin_unlock(&shared->arrival);
}

/* send_fail - the first request that failed; everything behind it is flushed. */
static void send_fail(struct standin_local_qp *q, const struct standin_request *r,
                      enum ibv_wc_status status)
{
	send_complete(q, r, status);
	atomic_store(&q->shared->state, IBV_QPS_ERR);
}

/* ---- the held ones ---- */

/* hold - keeps a copy of the request, inline data and all. */
static void hold(struct standin_local_qp *q, const struct standin_request *r)
{
	const uint32_t i = q->held_tail & q->held_mask;
	struct standin_request *h = &q->held[i];
	struct ibv_sge *sge = q->held_sge + (size_t)i * q->cap.max_send_sge;
	*h = *r;
	h->sge = sge;
	if ((r->flags & IBV_SEND_INLINE) != 0) {
		unsigned char *data = q->held_inline + (size_t)i * q->cap.max_inline_data;
		uint32_t at = 0;
		for (uint32_t k = 0; k < r->n_sge; k++) {
			memcpy(data + at, (const void *)(uintptr_t)r->sge[k].addr,
			       r->sge[k].length);
			at += r->sge[k].length;
		}
		h->n_sge = at != 0;
		*sge = (struct ibv_sge){.addr = (uintptr_t)data, .length = at};
	} else if (r->n_sge != 0) {
		memcpy(sge, r->sge, r->n_sge * sizeof *sge);
	}
	q->held_tail++;
	atomic_fetch_add(&standin_self.n_held, 1);
}

static uint64_t ack_timeout_ns(const struct standin_local_qp *q)
{
	return scaled((uint64_t)4096 << q->attr.timeout);
}

/* wait_for_ack - nobody answered; false when that was once too often. */
static bool wait_for_ack(struct standin_local_qp *q, uint64_t now)
{
	if (q->wait != STANDIN_WAIT_ACK) {
		q->wait = STANDIN_WAIT_ACK;
		q->tries = 0;
	}
	/* Code 0 is no timeout at all: the hardware would never know; nor does the program. */
	if (q->attr.timeout == 0) {
		q->next_try = now + RNR_LOOK_NS;
		return true;
	}
	q->next_try = now + ack_timeout_ns(q);
	return q->tries++ <= q->attr.retry_cnt;
}

/* wait_for_receive - as wait_for_ack(), by the receiver's timer and this side's rnr_retry. */
static bool wait_for_receive(struct standin_local_qp *q, uint64_t now)
{
	const struct standin_qp *peer =
		&standin_self.table->qps[q->shared->peer_number % STANDIN_QPS];
	const uint64_t timer = scaled((uint64_t)rnr_10us[peer->min_rnr_timer & 31] * 10000);
	if (q->wait != STANDIN_WAIT_RNR) {
		q->wait = STANDIN_WAIT_RNR;
		q->rnr_until =
			q->attr.rnr_retry == 7 ? UINT64_MAX : now + q->attr.rnr_retry * timer;
	}
	q->next_try = now + RNR_LOOK_NS;
	if (q->next_try > q->rnr_until)
		q->next_try = q->rnr_until;
	return now < q->rnr_until;
}

/*
 * attempt - one try; true when the request is over, one way or the other.  A request that was
 * refused by `wait_...` is over too: its peer is given up.
 */
static bool attempt(struct standin_local_qp *q, const struct standin_request *r, bool is_last_ack)
{
	enum ibv_wc_status status = IBV_WC_SUCCESS;
	enum standin_outcome outcome = STANDIN_FAILED;
	if (q->wait != STANDIN_WAIT_NOT || !standin_is_killed(q, &status))
		outcome = is_last_ack ? STANDIN_NO_ANSWER : standin_execute(q, r, &status);
	switch (outcome) {
	case STANDIN_DONE:
		q->wait = STANDIN_WAIT_NOT;
		send_complete(q, r, IBV_WC_SUCCESS);
		return true;
	case STANDIN_FAILED:
		send_fail(q, r, status);
		return true;
	case STANDIN_STUCK:
		q->wait = STANDIN_WAIT_STUCK;
		return false;
	case STANDIN_NO_ANSWER:
		if (wait_for_ack(q, standin_now_ns()))
			return false;
		send_fail(q, r, IBV_WC_RETRY_EXC_ERR);
		return true;
	case STANDIN_NOT_READY:
		if (wait_for_receive(q, standin_now_ns()))
			return false;
		send_fail(q, r, IBV_WC_RNR_RETRY_EXC_ERR);
		return true;
	}
	return true;
}

/* is_time - may the oldest be tried?  Who waits for a receive may be whenever it is asked. */
static bool is_time(const struct standin_local_qp *q, uint64_t now, uint64_t *next_out)
{
	const struct standin_request *r = &q->held[q->held_head & q->held_mask];
	*next_out = UINT64_MAX;
	if (q->wait == STANDIN_WAIT_STUCK)
		return false;
	*next_out = q->wait == STANDIN_WAIT_ACK ? q->next_try : r->due;
	return now >= *next_out;
}

uint64_t standin_progress(struct standin_local_qp *q)
{
	uint64_t next = UINT64_MAX;
	if (atomic_load(&q->shared->must_flush))
		standin_flush(q);
	while (q->held_head != q->held_tail) {
		if (!is_time(q, standin_now_ns(), &next))
			return next;
		/* The last answer that was waited for is that of the last retry. */
		const bool is_last = q->wait == STANDIN_WAIT_ACK && q->attr.timeout != 0 &&
		                     q->tries > q->attr.retry_cnt;
		if (!attempt(q, &q->held[q->held_head & q->held_mask], is_last))
			return q->wait == STANDIN_WAIT_STUCK ? UINT64_MAX : q->next_try;
		q->held_head++;
		atomic_fetch_sub(&standin_self.n_held, 1);
		if (atomic_load(&q->shared->state) == IBV_QPS_ERR)
			standin_flush(q);
	}
	return UINT64_MAX;
}

uint64_t standin_progress_all(bool may_wait)
{
	struct standin_self *s = &standin_self;
	uint64_t next = UINT64_MAX;
	if (may_wait)
		pthread_mutex_lock(&s->objects);
	else if (pthread_mutex_trylock(&s->objects) != 0)
		return next;
	atomic_store(&s->me->attention, 0);
	for (struct standin_local_qp *q = s->all_qps; q != NULL; q = q->next) {
		if (q->held_head == q->held_tail && !atomic_load(&q->shared->must_flush))
			continue;
		pthread_mutex_lock(&q->send_lock);
		const uint64_t when = standin_progress(q);
		pthread_mutex_unlock(&q->send_lock);
		next = when < next ? when : next;
	}
	pthread_mutex_unlock(&s->objects);
	return next;
}

/* ---- posting ---- */

static int request_check(const struct standin_local_qp *q, const struct ibv_send_wr *wr,
                         uint64_t bytes)
{
	const uint32_t state = atomic_load_explicit(&q->shared->state, memory_order_relaxed);
	if (state != IBV_QPS_RTS && state != IBV_QPS_ERR)
		return EINVAL;
	if (q->posted - atomic_load_explicit(&q->done, memory_order_acquire) >= q->cap.max_send_wr)
		return ENOMEM;
	if (wr->num_sge < 0 || (uint32_t)wr->num_sge > q->cap.max_send_sge)
		return EINVAL;
	if (wr->opcode > IBV_WR_ATOMIC_FETCH_AND_ADD)
		return EINVAL; /* windows, invalidation, segmentation */
	if ((wr->send_flags & IBV_SEND_INLINE) != 0 &&
	    (bytes > q->cap.max_inline_data || wr->opcode >= IBV_WR_RDMA_READ))
		return EINVAL;
	return 0;
}

static void request_fill(struct standin_request *r, const struct ibv_send_wr *wr, uint64_t bytes)
{
	const bool is_atomic = wr->opcode >= IBV_WR_ATOMIC_CMP_AND_SWP;
	r->wr_id = wr->wr_id;
	r->opcode = wr->opcode;
	r->flags = wr->send_flags;
	r->imm = wr->imm_data;
	r->remote = is_atomic ? wr->wr.atomic.remote_addr : wr->wr.rdma.remote_addr;
	r->rkey = is_atomic ? wr->wr.atomic.rkey : wr->wr.rdma.rkey;
	r->compare_add = is_atomic ? wr->wr.atomic.compare_add : 0;
	r->swap = is_atomic ? wr->wr.atomic.swap : 0;
	r->bytes = bytes;
	r->due = 0;
	r->n_sge = (uint32_t)wr->num_sge;
	r->sge = wr->sg_list;
}

/* pace - when the port of this process will have sent that much, by its settings. */
static uint64_t pace(const struct standin_local_qp *q, uint64_t bytes)
{
	const struct standin_config *c = &standin_self.config;
	if ((c->gbps | c->lat_ns) == 0)
		return 0;
	_Atomic uint64_t *busy = &standin_self.port_busy[q->shared->device];
	const uint64_t now = standin_now_ns();
	const uint64_t takes = c->gbps != 0 ? bytes * 8 / c->gbps : 0;
	uint64_t was = atomic_load(busy), until;
	do {
		until = (was > now ? was : now) + takes;
	} while (!atomic_compare_exchange_weak(busy, &was, until));
	return until + c->lat_ns;
}

static int post_one(struct standin_local_qp *q, const struct ibv_send_wr *wr, bool *must_kick)
{
	uint64_t bytes = 0;
	for (int i = 0; i < wr->num_sge; i++)
		bytes += wr->sg_list[i].length;
	const int rc = request_check(q, wr, bytes);
	if (rc != 0)
		return rc;
	struct standin_request r;
	request_fill(&r, wr, bytes);
	r.position = ++q->posted;
	if (atomic_load_explicit(&q->shared->state, memory_order_acquire) == IBV_QPS_ERR) {
		if (atomic_load(&q->shared->must_flush))
			standin_flush(q);
		send_complete(q, &r, IBV_WC_WR_FLUSH_ERR);
		return 0;
	}
	r.due = pace(q, bytes);
	if (q->held_head == q->held_tail && r.due == 0) {
		if (attempt(q, &r, false)) {
			if (atomic_load_explicit(&q->shared->state, memory_order_relaxed) ==
			    IBV_QPS_ERR)
				standin_flush(q);
			return 0;
		}
	}
	*must_kick |= q->held_head == q->held_tail;
	hold(q, &r);
	return 0;
}

int standin_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct standin_local_qp *q = (struct standin_local_qp *)qp;
	bool must_kick = false;
	int rc = 0;
	pthread_mutex_lock(&q->send_lock);
	for (; wr != NULL; wr = wr->next) {
		rc = post_one(q, wr, &must_kick);
		if (rc != 0) {
			*bad = wr;
			break;
		}
	}
	pthread_mutex_unlock(&q->send_lock);
	if (must_kick)
		standin_kick(standin_self.table, standin_self.slot);
	return rc;
}

/* recv_append - false when the queue is full. */
static bool recv_append(struct standin_local_qp *q, const struct ibv_recv_wr *wr)
{
	struct standin_qp *shared = q->shared;
	const uint32_t tail = atomic_load_explicit(&shared->rq_tail, memory_order_relaxed);
	if (tail - atomic_load_explicit(&shared->rq_head, memory_order_acquire) >= shared->rq_limit)
		return false;
	struct standin_recv *recv = (struct standin_recv *)(uintptr_t)recv_at(shared, tail);
	recv->wr_id = wr->wr_id;
	recv->n_sge = (uint32_t)wr->num_sge;
	for (int i = 0; i < wr->num_sge; i++)
		recv->sge[i] = wr->sg_list[i];
	atomic_store(&shared->rq_tail, tail + 1);
	return true;
}

int standin_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct standin_local_qp *q = (struct standin_local_qp *)qp;
	struct standin_qp *shared = q->shared;
	int rc = 0;
	pthread_mutex_lock(&q->recv_lock);
	for (; wr != NULL && rc == 0; wr = wr->next) {
		if (atomic_load_explicit(&shared->state, memory_order_relaxed) == IBV_QPS_RESET ||
		    wr->num_sge < 0 || (uint32_t)wr->num_sge > q->cap.max_recv_sge)
			rc = EINVAL;
		else if (!recv_append(q, wr))
			rc = ENOMEM;
		if (rc != 0)
			*bad = wr;
	}
	pthread_mutex_unlock(&q->recv_lock);
	/* The tail was stored before these looks, as state and waiter are before others look at the
	 * tail: nobody is missed. */
	if (atomic_load(&shared->state) == IBV_QPS_ERR)
		flush_receives(q);
	const uint32_t waiter = atomic_load(&shared->waiter);
	if (waiter != 0 && atomic_exchange(&shared->waiter, 0) != 0)
		standin_kick(standin_self.table, waiter - 1);
	return rc;
}

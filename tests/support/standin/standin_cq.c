/*
 * standin_cq.c - completion queues.
 *
 * A ring in shared memory with many producers, of any process, and one consumer, the owner.
 * There is no lock, because a producer may be stopped or killed at any instruction and that must
 * cost nobody else anything.  Positions count up for ever; the cell of a position is its
 * remainder, and the cell's state says which position it serves and how far that is:
 *
 *     FREE -> CLAIMED by a producer, who writes the completion -> READY -> FREE, a round later
 *
 * Who finds a cell claimed takes the next one.  The consumer goes on past a claimed cell as well
 * and remembers it as a hole, which it visits again: it may become ready, or its producer is dead
 * and it is given up.  Completions of one queue pair stay in order: its producer announced the
 * earlier one first, so before a later one is taken the holes are looked at again.
 */
#include "tests/support/standin/standin_local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- producers ---- */

/* cq_overrun - the queue is dead, and so is every queue pair that uses it. */
static void cq_overrun(struct standin_table *t, uint32_t slot)
{
	const struct standin_cq *cq = &t->cqs[slot];
	standin_queue_push(t, cq->async,
	                   (struct standin_event){IBV_EVENT_CQ_ERR, slot, cq->number});
	for (uint32_t i = 0; i < STANDIN_QPS; i++) {
		struct standin_qp *q = &t->qps[i];
		if (q->number != 0 && (q->send_cq == slot || q->recv_cq == slot) &&
		    q->state != IBV_QPS_RESET)
			standin_qp_fail(t, q);
	}
}

static uint64_t cell_state(uint32_t position, uint32_t process, enum standin_phase phase)
{
	return (uint64_t)position << 32 | process << 2 | phase;
}

/* cq_claim_cell - the next position that can be had; NULL when the queue is full. */
static struct standin_cell *cq_claim_cell(struct standin_table *t, struct standin_cq *cq,
                                          uint32_t *position_out)
{
	struct standin_cell *cells = (struct standin_cell *)(t->arena + cq->offset);
	uint32_t p = atomic_load_explicit(&cq->tail, memory_order_acquire);
	for (;; p++) {
		const uint32_t ahead = p - atomic_load_explicit(&cq->head, memory_order_acquire);
		if ((int32_t)ahead < 0) { /* overtaken since the tail was read */
			p = atomic_load_explicit(&cq->tail, memory_order_acquire) - 1;
			continue;
		}
		if (ahead >= cq->limit)
			return NULL;
		struct standin_cell *cell = &cells[p & cq->mask];
		uint64_t expected = cell_state(p, 0, STANDIN_FREE);
		if (atomic_compare_exchange_strong(
			    &cell->state, &expected,
			    cell_state(p, standin_self.slot, STANDIN_CLAIMED))) {
			*position_out = p;
			return cell;
		}
	}
}

/* cq_append - false when there is no room. */
static bool cq_append(struct standin_table *t, struct standin_cq *cq,
                      const struct standin_cell *completion)
{
	uint32_t p;
	struct standin_cell *cell = cq_claim_cell(t, cq, &p);
	if (cell == NULL)
		return false;
	cell->wc = completion->wc;
	cell->sq_position = completion->sq_position;
	cell->is_send = completion->is_send;
	atomic_store_explicit(&cell->state, cell_state(p, 0, STANDIN_READY), memory_order_release);
	uint32_t tail = atomic_load_explicit(&cq->tail, memory_order_relaxed);
	while ((int32_t)(p + 1 - tail) > 0 &&
	       !atomic_compare_exchange_weak(&cq->tail, &tail, p + 1))
		continue;
	return true;
}

static void cq_notify(struct standin_table *t, uint32_t slot, bool is_solicited)
{
	struct standin_cq *cq = &t->cqs[slot];
	uint32_t armed = atomic_load(&cq->armed);
	if (armed == 0 || (armed == 1 && !is_solicited))
		return;
	if (atomic_compare_exchange_strong(&cq->armed, &armed, 0) && cq->channel != STANDIN_NONE) {
		atomic_fetch_add(&cq->n_events, 1);
		standin_queue_ring(t, cq->channel);
	}
}

void standin_cq_push(struct standin_table *t, uint32_t slot, const struct standin_cell *cell,
                     bool is_solicited)
{
	struct standin_cq *cq = &t->cqs[slot];
	if (atomic_load_explicit(&cq->is_dead, memory_order_relaxed))
		return;
	if (!cq_append(t, cq, cell)) {
		if (!atomic_exchange(&cq->is_dead, 1))
			cq_overrun(t, slot);
		return;
	}
	/* Between the tail and the look at `armed`, as between arming and the last look at the
	 * tail in the program: one of the two sees the other. */
	atomic_thread_fence(memory_order_seq_cst);
	cq_notify(t, slot, is_solicited || cell->wc.status != IBV_WC_SUCCESS);
}

/* ---- consumer ---- */

/* cq_take - a completion into *wc; false when its queue pair is no more, as then it is no more
 * either. */
static bool cq_take(const struct standin_cell *cell, struct ibv_wc *wc)
{
	struct standin_local_qp *q = standin_self.qps[cell->wc.qp_num % STANDIN_QPS];
	if (q == NULL || q->number != cell->wc.qp_num)
		return false;
	*wc = cell->wc;
	if (cell->is_send)
		atomic_store_explicit(&q->done, cell->sq_position, memory_order_release);
	return true;
}

/* cell_release - free for the first position of its own that is not behind the head. */
static void cell_release(struct standin_local_cq *cq, uint32_t position)
{
	const uint32_t ring = cq->shared->mask + 1, head = cq->head;
	while ((int32_t)(position - head) < 0)
		position += ring;
	atomic_store_explicit(&cq->cells[position & cq->shared->mask].state,
	                      cell_state(position, 0, STANDIN_FREE), memory_order_release);
}

/* holes_take - the oldest hole that is ready now; those of the dead are filled up. */
static bool holes_take(struct standin_local_cq *cq, struct standin_cell *out)
{
	for (uint32_t i = 0; i < cq->n_holes; i++) {
		const uint32_t position = cq->holes[i];
		struct standin_cell *cell = &cq->cells[position & cq->shared->mask];
		const uint64_t state = atomic_load_explicit(&cell->state, memory_order_acquire);
		const bool is_ready = state == cell_state(position, 0, STANDIN_READY);
		const uint32_t process = (uint32_t)state >> 2;
		if (!is_ready && standin_proc_is_alive(&standin_self.table->procs[process]))
			continue;
		if (is_ready)
			memcpy(out, cell, sizeof *out);
		cell_release(cq, position);
		cq->n_holes--;
		memmove(&cq->holes[i], &cq->holes[i + 1], (cq->n_holes - i) * sizeof *cq->holes);
		if (is_ready)
			return true;
		i--;
	}
	return false;
}

/* cq_next - the next completion, whosever it is; false when there is none. */
static bool cq_next(struct standin_local_cq *cq, struct standin_cell *out)
{
	struct standin_cq *shared = cq->shared;
	while (cq->head != atomic_load_explicit(&shared->tail, memory_order_acquire)) {
		const uint32_t p = cq->head;
		struct standin_cell *cell = &cq->cells[p & shared->mask];
		uint64_t state = atomic_load_explicit(&cell->state, memory_order_acquire);
		if (state == cell_state(p, 0, STANDIN_READY)) {
			if (cq->n_holes != 0 && holes_take(cq, out))
				return true;
			memcpy(out, cell, sizeof *out);
			cq->head++;
			cell_release(cq, p);
			return true;
		}
		if ((uint32_t)(state >> 32) == p && (state & 3) == STANDIN_CLAIMED) {
			if (cq->n_holes == STANDIN_HOLES)
				return holes_take(cq, out);
			cq->holes[cq->n_holes++] = p;
		} else if (state == cell_state(p, 0, STANDIN_FREE) &&
		           !atomic_compare_exchange_strong(
				   &cell->state, &state,
				   cell_state(p + shared->mask + 1, 0, STANDIN_FREE))) {
			continue; /* just claimed by somebody slow */
		}
		cq->head++;
	}
	return cq->n_holes != 0 && holes_take(cq, out);
}

static int cq_drain(struct standin_local_cq *cq, int n, struct ibv_wc *wc)
{
	struct standin_cell cell;
	int taken = 0;
	pthread_mutex_lock(&cq->lock);
	while (taken < n && cq_next(cq, &cell))
		taken += cq_take(&cell, &wc[taken]);
	atomic_store_explicit(&cq->shared->head, cq->head, memory_order_release);
	pthread_mutex_unlock(&cq->lock);
	return taken;
}

static bool cq_is_empty(const struct standin_local_cq *cq)
{
	return cq->head == atomic_load_explicit(&cq->shared->tail, memory_order_acquire) &&
	       cq->n_holes == 0;
}

int standin_poll_cq(struct ibv_cq *handle, int n, struct ibv_wc *wc)
{
	struct standin_local_cq *cq = (struct standin_local_cq *)handle;
	struct standin_self *s = &standin_self;
	if (cq_is_empty(cq)) {
		struct standin_proc *p = s->me;
		if (atomic_load_explicit(&s->n_held, memory_order_relaxed) == 0 &&
		    atomic_load_explicit(&p->attention, memory_order_relaxed) == 0)
			return 0;
		/* Nothing to tell: a good moment to move on what is held. */
		if (!atomic_load_explicit(&p->is_polling, memory_order_relaxed))
			atomic_store(&p->is_polling, 1);
		standin_progress_all(false);
	}
	return cq_drain(cq, n, wc);
}

int standin_req_notify_cq(struct ibv_cq *handle, int solicited_only)
{
	struct standin_local_cq *cq = (struct standin_local_cq *)handle;
	atomic_store(&cq->shared->armed, solicited_only ? 1 : 2);
	return 0;
}

/* ---- coming and going ---- */

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;
	while (p < n)
		p *= 2;
	return p;
}

/* cq_claim - a free slot with its ring, under the table's lock; STANDIN_NONE: none. */
static uint32_t cq_claim(struct standin_table *t, uint32_t entries)
{
	uint32_t slot = 0;
	while (slot < STANDIN_CQS && t->cqs[slot].number != 0)
		slot++;
	if (slot == STANDIN_CQS)
		return STANDIN_NONE;
	struct standin_cq *cq = &t->cqs[slot];
	const uint32_t ring = power_of_two(entries);
	cq->pages =
		(uint32_t)((ring * sizeof(struct standin_cell) + STANDIN_PAGE - 1) / STANDIN_PAGE);
	cq->offset = standin_arena_get(t, cq->pages);
	if (cq->offset == UINT64_MAX)
		return STANDIN_NONE;
	cq->limit = entries;
	cq->mask = ring - 1;
	cq->owner = standin_self.slot;
	cq->is_dead = 0;
	cq->head = cq->tail = cq->armed = cq->n_events = 0;
	struct standin_cell *cells = (struct standin_cell *)(t->arena + cq->offset);
	for (uint32_t i = 0; i < ring; i++)
		cells[i].state = cell_state(i, 0, STANDIN_FREE);
	cq->number = ++t->next_cq != 0 ? t->next_cq : ++t->next_cq;
	return slot;
}

STANDIN_EXPORT struct ibv_cq *ibv_create_cq(struct ibv_context *context, int entries,
                                            void *cq_context, struct ibv_comp_channel *channel,
                                            int vector)
{
	struct standin_self *s = &standin_self;
	if (entries < 1 || entries > STANDIN_CQE_MAX || vector != 0) {
		errno = EINVAL;
		return NULL;
	}
	struct standin_local_cq *cq = calloc(1, sizeof *cq);
	if (cq == NULL)
		return NULL;
	standin_lock(&s->table->lock);
	cq->slot = cq_claim(s->table, (uint32_t)entries);
	standin_unlock(&s->table->lock);
	if (cq->slot == STANDIN_NONE) {
		free(cq);
		errno = ENOMEM;
		return NULL;
	}
	cq->shared = &s->table->cqs[cq->slot];
	cq->shared->async = ((struct standin_context *)((char *)context -
	                                                offsetof(struct verbs_context, context)))
	                            ->queue;
	cq->shared->channel =
		channel != NULL ? ((struct standin_channel *)channel)->queue : STANDIN_NONE;
	cq->cells = (struct standin_cell *)(s->table->arena + cq->shared->offset);
	cq->cq = (struct ibv_cq){.context = context,
	                         .channel = channel,
	                         .cq_context = cq_context,
	                         .handle = cq->slot,
	                         .cqe = entries};
	pthread_mutex_init(&cq->cq.mutex, NULL);
	pthread_cond_init(&cq->cq.cond, NULL);
	pthread_mutex_init(&cq->lock, NULL);
	pthread_mutex_lock(&s->objects);
	if (channel != NULL)
		channel->refcnt++;
	s->cqs[cq->slot] = cq;
	pthread_mutex_unlock(&s->objects);
	s->me->n_cqs++;
	return &cq->cq;
}

STANDIN_EXPORT int ibv_resize_cq(struct ibv_cq *handle, int entries)
{
	(void)handle;
	(void)entries;
	return ENOSYS;
}

STANDIN_EXPORT int ibv_destroy_cq(struct ibv_cq *handle)
{
	struct standin_self *s = &standin_self;
	struct standin_local_cq *cq = (struct standin_local_cq *)handle;
	if (cq->n_users != 0)
		return EBUSY;
	pthread_mutex_lock(&s->objects);
	if (s->cqs[cq->slot] == cq)
		s->cqs[cq->slot] = NULL;
	pthread_mutex_unlock(&s->objects);
	if (standin_acked(&handle->mutex, &handle->cond, &cq->n_events,
	                  &handle->comp_events_completed) != 0 ||
	    standin_acked(&handle->mutex, &handle->cond, &cq->n_async,
	                  &handle->async_events_completed) != 0)
		return EBUSY;
	if (handle->channel != NULL)
		handle->channel->refcnt--;
	if (s->slot != STANDIN_NONE) {
		standin_lock(&s->table->lock);
		standin_arena_put(s->table, cq->shared->offset, cq->shared->pages);
		cq->shared->number = 0;
		standin_unlock(&s->table->lock);
		s->me->n_cqs--;
	}
	free(cq);
	return 0;
}

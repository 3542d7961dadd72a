/* standin_qp.c - queue pairs: making, states, asking, ending. */
#include "tests/support/standin/standin_local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

static int cap_check(const struct ibv_qp_init_attr *a)
{
	const struct ibv_qp_cap *c = &a->cap;
	if (a->qp_type != IBV_QPT_RC || a->srq != NULL)
		return EOPNOTSUPP;
	if (a->send_cq == NULL || a->recv_cq == NULL || c->max_send_wr > STANDIN_WR_MAX ||
	    c->max_recv_wr > STANDIN_WR_MAX || c->max_send_sge > STANDIN_SGES ||
	    c->max_recv_sge > STANDIN_SGES || c->max_inline_data > STANDIN_INLINE_MAX)
		return EINVAL;
	return 0;
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;
	while (p < n)
		p *= 2;
	return p;
}

/* qp_claim - a slot with its receive ring; under the table's lock. */
static int qp_claim(struct standin_table *t, struct standin_local_qp *q)
{
	uint32_t slot = t->next_qp % STANDIN_QPS, n = 0;
	while (n < STANDIN_QPS && t->qps[slot].number != 0) {
		slot = (slot + 1) % STANDIN_QPS;
		n++;
	}
	if (n == STANDIN_QPS)
		return ENOMEM;
	struct standin_qp *s = &t->qps[slot];
	s->rq_limit = q->cap.max_recv_wr;
	s->rq_mask = power_of_two(s->rq_limit) - 1;
	s->rq_stride = (uint32_t)(sizeof(struct standin_recv) +
	                          q->cap.max_recv_sge * sizeof(struct ibv_sge));
	s->rq_pages = (uint32_t)(((uint64_t)(s->rq_mask + 1) * s->rq_stride + STANDIN_PAGE - 1) /
	                         STANDIN_PAGE);
	s->rq_offset = standin_arena_get(t, s->rq_pages);
	if (s->rq_offset == UINT64_MAX)
		return ENOMEM;
	/* A number comes again only after all others: a late request finds nobody. */
	t->next_qp += n + 1;
	const uint32_t round = t->next_qp / STANDIN_QPS % 8191 + 1;
	q->slot = slot;
	q->number = (round * STANDIN_QPS + slot) & 0xffffff;
	q->shared = s;
	s->owner = standin_self.slot;
	s->state = IBV_QPS_RESET;
	s->access = s->must_flush = s->waiter = 0;
	s->rq_head = s->rq_tail = 0;
	s->peer_number = 0;
	s->peer_device = STANDIN_NONE;
	return 0;
}

/* held_create - room for every request that may be posted. */
static int held_create(struct standin_local_qp *q)
{
	const uint32_t n = power_of_two(q->cap.max_send_wr);
	q->held_mask = n - 1;
	q->held = calloc(n, sizeof *q->held);
	q->held_sge = calloc((size_t)n * q->cap.max_send_sge + 1, sizeof *q->held_sge);
	q->held_inline = calloc((size_t)n * q->cap.max_inline_data + 1, 1);
	return q->held != NULL && q->held_sge != NULL && q->held_inline != NULL ? 0 : ENOMEM;
}

static void local_free(struct standin_local_qp *q)
{
	standin_batch_destroy(q->batch);
	free(q->held);
	free(q->held_sge);
	free(q->held_inline);
	free(q);
}

static void handle_init(struct standin_local_qp *q, struct ibv_pd *pd,
                        const struct ibv_qp_init_attr *attr)
{
	q->qp = (struct ibv_qp){.context = pd->context,
	                        .qp_context = attr->qp_context,
	                        .pd = pd,
	                        .send_cq = attr->send_cq,
	                        .recv_cq = attr->recv_cq,
	                        .handle = q->slot,
	                        .qp_num = q->number,
	                        .state = IBV_QPS_RESET,
	                        .qp_type = IBV_QPT_RC};
	pthread_mutex_init(&q->qp.mutex, NULL);
	pthread_cond_init(&q->qp.cond, NULL);
	pthread_mutex_init(&q->send_lock, NULL);
	pthread_mutex_init(&q->recv_lock, NULL);
}

/* qp_announce - from now on others find it, and its completions are told apart. */
static void qp_announce(struct standin_local_qp *q, struct ibv_pd *pd)
{
	struct standin_self *s = &standin_self;
	const struct standin_context *c =
		(const struct standin_context *)((char *)pd->context -
	                                         offsetof(struct verbs_context, context));
	q->shared->device = c->device;
	q->shared->async = c->queue;
	q->shared->pd = pd->handle;
	q->shared->send_cq = q->send_cq->slot;
	q->shared->recv_cq = q->recv_cq->slot;
	q->send_cq->n_users++;
	q->recv_cq->n_users++;
	((struct standin_pd *)pd)->n_users++;
	s->me->n_qps++;
	pthread_mutex_lock(&s->objects);
	s->qps[q->slot] = q;
	q->next = s->all_qps;
	s->all_qps = q;
	pthread_mutex_unlock(&s->objects);
	atomic_store(&q->shared->number, q->number);
}

STANDIN_EXPORT struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct standin_self *s = &standin_self;
	int rc = cap_check(attr);
	struct standin_local_qp *q = rc == 0 ? calloc(1, sizeof *q) : NULL;
	if (q == NULL) {
		errno = rc != 0 ? rc : ENOMEM;
		return NULL;
	}
	q->cap = attr->cap;
	q->all_signalled = attr->sq_sig_all != 0;
	q->send_cq = (struct standin_local_cq *)attr->send_cq;
	q->recv_cq = (struct standin_local_cq *)attr->recv_cq;
	rc = held_create(q);
	if (rc == 0) {
		standin_lock(&s->table->lock);
		rc = qp_claim(s->table, q);
		standin_unlock(&s->table->lock);
	}
	if (rc != 0) {
		local_free(q);
		errno = rc;
		return NULL;
	}
	handle_init(q, pd, attr);
	qp_announce(q, pd);
	return &q->qp;
}

/* ---- states ---- */

/* What a change of state must set, and what else it may. */
struct edge {
	enum ibv_qp_state from, to;
	int required, optional;
};

static const struct edge edges[] = {
	{IBV_QPS_RESET, IBV_QPS_INIT, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, 0},
	{IBV_QPS_INIT, IBV_QPS_INIT, 0, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS},
	{IBV_QPS_INIT, IBV_QPS_RTR,
         IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
                 IBV_QP_MIN_RNR_TIMER,
         IBV_QP_ALT_PATH | IBV_QP_ACCESS_FLAGS | IBV_QP_PKEY_INDEX},
	{IBV_QPS_RTR, IBV_QPS_RTS,
         IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
                 IBV_QP_MAX_QP_RD_ATOMIC,
         IBV_QP_CUR_STATE | IBV_QP_ALT_PATH | IBV_QP_ACCESS_FLAGS | IBV_QP_MIN_RNR_TIMER |
                 IBV_QP_PATH_MIG_STATE},
	{IBV_QPS_RTS, IBV_QPS_RTS, 0,
         IBV_QP_CUR_STATE | IBV_QP_ACCESS_FLAGS | IBV_QP_ALT_PATH | IBV_QP_PATH_MIG_STATE |
                 IBV_QP_MIN_RNR_TIMER},
};

static bool edge_is_allowed(uint32_t from, uint32_t to, int mask)
{
	const int given = mask & ~IBV_QP_STATE;
	if (to == IBV_QPS_RESET || to == IBV_QPS_ERR)
		return given == 0;
	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
		if (edges[i].from == from && edges[i].to == to)
			return (given & edges[i].required) == edges[i].required &&
			       (given & ~(edges[i].required | edges[i].optional)) == 0;
	return false;
}

/* address_is_valid - of the path to the peer. */
static bool address_is_valid(const struct standin_local_qp *q, const struct ibv_ah_attr *a)
{
	const struct standin_self *s = &standin_self;
	if (a->port_num != 1)
		return false;
	if (s->config.is_infiniband)
		return a->dlid != 0;
	/* RoCE needs addresses; this side's must exist. */
	return a->is_global != 0 && a->grh.sgid_index < STANDIN_GIDS &&
	       s->table->devices[q->shared->device].gids[a->grh.sgid_index].mode !=
	               STANDIN_GID_REMOVED;
}

static bool values_are_valid(const struct standin_local_qp *q, const struct ibv_qp_attr *a,
                             int mask)
{
	return ((mask & IBV_QP_PORT) == 0 || a->port_num == 1) &&
	       ((mask & IBV_QP_PKEY_INDEX) == 0 || a->pkey_index == 0) &&
	       ((mask & IBV_QP_PATH_MTU) == 0 ||
	        (a->path_mtu >= IBV_MTU_256 && a->path_mtu <= IBV_MTU_4096)) &&
	       ((mask & IBV_QP_TIMEOUT) == 0 || a->timeout < 32) &&
	       ((mask & IBV_QP_RETRY_CNT) == 0 || a->retry_cnt < 8) &&
	       ((mask & IBV_QP_RNR_RETRY) == 0 || a->rnr_retry < 8) &&
	       ((mask & IBV_QP_MIN_RNR_TIMER) == 0 || a->min_rnr_timer < 32) &&
	       ((mask & IBV_QP_MAX_QP_RD_ATOMIC) == 0 || a->max_rd_atomic <= 16) &&
	       ((mask & IBV_QP_MAX_DEST_RD_ATOMIC) == 0 || a->max_dest_rd_atomic <= 16) &&
	       ((mask & IBV_QP_AV) == 0 || address_is_valid(q, &a->ah_attr));
}

/* attr_keep - what the sending side looks at itself. */
static void attr_keep(struct ibv_qp_attr *keep, const struct ibv_qp_attr *a, int mask)
{
	if (mask & IBV_QP_PATH_MTU)
		keep->path_mtu = a->path_mtu;
	if (mask & IBV_QP_AV)
		keep->ah_attr = a->ah_attr;
	if (mask & IBV_QP_DEST_QPN)
		keep->dest_qp_num = a->dest_qp_num;
	if (mask & IBV_QP_RQ_PSN)
		keep->rq_psn = a->rq_psn & 0xffffff;
	if (mask & IBV_QP_SQ_PSN)
		keep->sq_psn = a->sq_psn & 0xffffff;
	if (mask & IBV_QP_TIMEOUT)
		keep->timeout = a->timeout;
	if (mask & IBV_QP_RETRY_CNT)
		keep->retry_cnt = a->retry_cnt;
	if (mask & IBV_QP_RNR_RETRY)
		keep->rnr_retry = a->rnr_retry;
	if (mask & IBV_QP_MIN_RNR_TIMER)
		keep->min_rnr_timer = a->min_rnr_timer;
	if (mask & IBV_QP_MAX_QP_RD_ATOMIC)
		keep->max_rd_atomic = a->max_rd_atomic;
	if (mask & IBV_QP_MAX_DEST_RD_ATOMIC)
		keep->max_dest_rd_atomic = a->max_dest_rd_atomic;
	if (mask & IBV_QP_ACCESS_FLAGS)
		keep->qp_access_flags = a->qp_access_flags;
	if (mask & IBV_QP_PORT)
		keep->port_num = a->port_num;
}

/* attr_share - what the peer's requests look at. */
static void attr_share(struct standin_qp *s, const struct ibv_qp_attr *keep, int mask)
{
	s->access = keep->qp_access_flags;
	s->path_mtu = (uint8_t)keep->path_mtu;
	s->min_rnr_timer = keep->min_rnr_timer;
	s->max_dest_rd = keep->max_dest_rd_atomic;
	s->rq_psn = keep->rq_psn;
	s->sq_psn = keep->sq_psn;
	s->peer_number = keep->dest_qp_num;
	if ((mask & IBV_QP_AV) == 0)
		return;
	s->peer_device = STANDIN_NONE;
	s->sgid = keep->ah_attr.grh.sgid_index;
	s->dlid = keep->ah_attr.dlid;
	memcpy(s->dgid, keep->ah_attr.grh.dgid.raw, 16);
	standin_resolve(s);
}

/* qp_change - with the send lock. */
static int qp_change(struct standin_local_qp *q, const struct ibv_qp_attr *attr, int mask)
{
	const uint32_t from = q->shared->state;
	const uint32_t to = (mask & IBV_QP_STATE) ? attr->qp_state : from;
	if ((mask & IBV_QP_CUR_STATE) != 0 && attr->cur_qp_state != from)
		return EINVAL;
	if (!edge_is_allowed(from, to, mask) || !values_are_valid(q, attr, mask))
		return EINVAL;
	if (to == IBV_QPS_RESET) {
		q->shared->state = IBV_QPS_RESET;
		standin_forget(q);
		memset(&q->attr, 0, sizeof q->attr);
		attr_share(q->shared, &q->attr, 0);
		q->shared->peer_device = STANDIN_NONE;
		return 0;
	}
	attr_keep(&q->attr, attr, mask);
	attr_share(q->shared, &q->attr, mask);
	/* It may have failed meanwhile, which then stands. */
	uint32_t expected = from;
	if (to == IBV_QPS_ERR)
		atomic_store(&q->shared->state, IBV_QPS_ERR);
	else if (!atomic_compare_exchange_strong(&q->shared->state, &expected, to))
		return EINVAL;
	if (to == IBV_QPS_ERR)
		standin_flush(q);
	return 0;
}

STANDIN_EXPORT int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	struct standin_local_qp *q = (struct standin_local_qp *)qp;
	pthread_mutex_lock(&q->send_lock);
	const int rc = qp_change(q, attr, mask);
	if (rc == 0)
		qp->state = q->shared->state;
	pthread_mutex_unlock(&q->send_lock);
	return rc;
}

STANDIN_EXPORT int ibv_query_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask,
                                struct ibv_qp_init_attr *init)
{
	struct standin_local_qp *q = (struct standin_local_qp *)qp;
	(void)mask;
	pthread_mutex_lock(&q->send_lock);
	*attr = q->attr;
	attr->qp_state = attr->cur_qp_state = qp->state = q->shared->state;
	attr->cap = q->cap;
	pthread_mutex_unlock(&q->send_lock);
	if (init != NULL)
		*init = (struct ibv_qp_init_attr){.qp_context = qp->qp_context,
		                                  .send_cq = qp->send_cq,
		                                  .recv_cq = qp->recv_cq,
		                                  .cap = q->cap,
		                                  .qp_type = qp->qp_type,
		                                  .sq_sig_all = q->all_signalled};
	return 0;
}

/* ---- ending ---- */

/* qp_hide - nobody polls a completion of it any more, nothing arrives. */
static void qp_hide(struct standin_local_qp *q)
{
	struct standin_self *s = &standin_self;
	pthread_mutex_lock(&s->objects);
	pthread_mutex_lock(&q->send_cq->lock);
	if (q->recv_cq != q->send_cq)
		pthread_mutex_lock(&q->recv_cq->lock);
	if (s->qps[q->slot] == q) {
		s->qps[q->slot] = NULL;
		struct standin_local_qp **link = &s->all_qps;
		while (*link != q)
			link = &(*link)->next;
		*link = q->next;
	}
	if (q->recv_cq != q->send_cq)
		pthread_mutex_unlock(&q->recv_cq->lock);
	pthread_mutex_unlock(&q->send_cq->lock);
	pthread_mutex_unlock(&s->objects);
}

STANDIN_EXPORT int ibv_destroy_qp(struct ibv_qp *qp)
{
	struct standin_self *s = &standin_self;
	struct standin_local_qp *q = (struct standin_local_qp *)qp;
	qp_hide(q);
	pthread_mutex_lock(&q->send_lock);
	atomic_fetch_sub(&s->n_held, q->held_tail - q->held_head);
	q->held_head = q->held_tail;
	pthread_mutex_unlock(&q->send_lock);
	if (s->slot != STANDIN_NONE) {
		const bool is_locked = standin_lock_patiently(&q->shared->arrival);
		q->shared->state = IBV_QPS_RESET;
		if (is_locked)
			standin_unlock(&q->shared->arrival);
	}
	if (standin_acked(&qp->mutex, &qp->cond, &q->n_async, &qp->events_completed) != 0)
		return EBUSY;
	if (s->slot != STANDIN_NONE) {
		standin_lock(&s->table->lock);
		standin_arena_put(s->table, q->shared->rq_offset, q->shared->rq_pages);
		q->shared->number = 0;
		standin_unlock(&s->table->lock);
		s->me->n_qps--;
	}
	q->send_cq->n_users--;
	q->recv_cq->n_users--;
	((struct standin_pd *)qp->pd)->n_users--;
	local_free(q);
	return 0;
}

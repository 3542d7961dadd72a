/* standin_channel.c - completion channels and asynchronous events, as the program sees them. */
#include "tests/support/standin/standin_local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

int standin_acked(pthread_mutex_t *m, pthread_cond_t *c, const uint32_t *delivered,
                  const uint32_t *acked)
{
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 10;
	int rc = 0;
	pthread_mutex_lock(m);
	while (*delivered != *acked && rc == 0)
		rc = pthread_cond_timedwait(c, m, &end);
	pthread_mutex_unlock(m);
	if (rc == 0)
		return 0;
	fprintf(stderr,
	        "standin: an object is destroyed with %u of its events not acknowledged; "
	        "hardware would wait for ever\n",
	        *delivered - *acked);
	return EBUSY;
}

STANDIN_EXPORT struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
	struct standin_self *s = &standin_self;
	struct standin_channel *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->channel.context = context;
	c->queue = standin_queue_create(s->table, s->slot, STANDIN_NONE, &c->channel.fd);
	if (c->queue == STANDIN_NONE) {
		free(c);
		return NULL;
	}
	return &c->channel;
}

STANDIN_EXPORT int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	struct standin_channel *c = (struct standin_channel *)channel;
	if (channel->refcnt != 0)
		return EBUSY;
	standin_queue_destroy(standin_self.table, c->queue, channel->fd);
	free(c);
	return 0;
}

/* Objects that an event names may be gone; `number` tells.  With `objects` held. */
static struct standin_local_cq *event_cq(const struct standin_event *e)
{
	struct standin_local_cq *q = standin_self.cqs[e->slot];
	return q != NULL && q->shared->number == e->number ? q : NULL;
}

static struct standin_local_qp *event_qp(const struct standin_event *e)
{
	struct standin_local_qp *q = standin_self.qps[e->slot];
	return q != NULL && q->number == e->number ? q : NULL;
}

/* channel_take - a queue of the channel that has an event, which is counted as delivered; and
 * whether there are more. */
static struct standin_local_cq *channel_take(const struct ibv_comp_channel *channel,
                                             bool *has_more_out)
{
	struct standin_self *s = &standin_self;
	struct standin_local_cq *taken = NULL;
	*has_more_out = false;
	pthread_mutex_lock(&s->objects);
	for (uint32_t i = 0; i < STANDIN_CQS && !*has_more_out; i++) {
		struct standin_local_cq *q = s->cqs[i];
		if (q == NULL || q->cq.channel != channel)
			continue;
		if (taken == NULL && atomic_load(&q->shared->n_events) != 0) {
			atomic_fetch_sub(&q->shared->n_events, 1);
			taken = q;
			pthread_mutex_lock(&q->cq.mutex);
			q->n_events++;
			pthread_mutex_unlock(&q->cq.mutex);
		}
		*has_more_out = atomic_load(&q->shared->n_events) != 0;
	}
	pthread_mutex_unlock(&s->objects);
	return taken;
}

/* channel_has_event - without taking it. */
static bool channel_has_event(const struct ibv_comp_channel *channel)
{
	struct standin_self *s = &standin_self;
	bool has_one = false;
	pthread_mutex_lock(&s->objects);
	for (uint32_t i = 0; i < STANDIN_CQS && !has_one; i++)
		has_one = s->cqs[i] != NULL && s->cqs[i]->cq.channel == channel &&
		          atomic_load(&s->cqs[i]->shared->n_events) != 0;
	pthread_mutex_unlock(&s->objects);
	return has_one;
}

STANDIN_EXPORT int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq_out,
                                    void **context_out)
{
	const uint32_t queue = ((struct standin_channel *)channel)->queue;
	struct standin_local_cq *taken;
	bool has_more;
	char bell;
	while ((taken = channel_take(channel, &has_more)) == NULL)
		if (recv(channel->fd, &bell, 1, 0) < 0)
			return -1;
	if (!has_more) {
		while (recv(channel->fd, &bell, 1, MSG_DONTWAIT) >= 0)
			continue;
		/* The bell of one that came just now may be among them. */
		if (channel_has_event(channel))
			standin_queue_ring(standin_self.table, queue);
	}
	*cq_out = &taken->cq;
	*context_out = taken->cq.cq_context;
	return 0;
}

STANDIN_EXPORT void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int n)
{
	pthread_mutex_lock(&cq->mutex);
	cq->comp_events_completed += n;
	pthread_cond_signal(&cq->cond);
	pthread_mutex_unlock(&cq->mutex);
}

/* event_take - fills in the element and counts it; false when the element is gone. */
static bool event_take(const struct standin_event *e, struct ibv_async_event *out)
{
	out->event_type = e->type;
	if (e->number == 0) {
		out->element.port_num = 1;
		return true;
	}
	if (e->type == IBV_EVENT_CQ_ERR) {
		struct standin_local_cq *q = event_cq(e);
		if (q == NULL)
			return false;
		q->n_async++;
		out->element.cq = &q->cq;
		return true;
	}
	struct standin_local_qp *q = event_qp(e);
	if (q == NULL)
		return false;
	q->n_async++;
	out->element.qp = &q->qp;
	return true;
}

STANDIN_EXPORT int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *event)
{
	struct standin_self *s = &standin_self;
	const struct standin_context *c =
		(const struct standin_context *)((char *)context -
	                                         offsetof(struct verbs_context, context));
	struct standin_event e;
	bool has_element;
	do {
		if (standin_queue_pop(s->table, c->queue, context->async_fd, &e) != 0)
			return -1;
		pthread_mutex_lock(&s->objects);
		has_element = event_take(&e, event);
		pthread_mutex_unlock(&s->objects);
	} while (!has_element);
	return 0;
}

STANDIN_EXPORT void ibv_ack_async_event(struct ibv_async_event *event)
{
	if (event->event_type == IBV_EVENT_CQ_ERR) {
		struct ibv_cq *cq = event->element.cq;
		pthread_mutex_lock(&cq->mutex);
		cq->async_events_completed++;
		pthread_cond_signal(&cq->cond);
		pthread_mutex_unlock(&cq->mutex);
	} else if (event->event_type <= IBV_EVENT_PATH_MIG_ERR) { /* those of queue pairs */
		struct ibv_qp *qp = event->element.qp;
		pthread_mutex_lock(&qp->mutex);
		qp->events_completed++;
		pthread_cond_signal(&qp->cond);
		pthread_mutex_unlock(&qp->mutex);
	}
}

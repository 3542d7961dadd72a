/*
 * The slow look: is the peer alive, does posted work come to an end, what does the device say?
 *
 * Soft-RoCE loses requests without a word when a link flaps or a GID goes (no completion, not
 * even an error), and unsignalled work behind a failure says nothing anywhere.  So while
 * somebody waits, a signalled request of no bytes is put behind unsignalled ones, and a queue
 * pair whose work does not end within FERRULE_IB_STALL is connected anew.
 */
#include "config.h"

#include "lib/transport/verbs/verbs.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/settings.h"

/* A wait asks about every peer once a millisecond; one look at the links serves all of them. */
#define SERVE_EVERY_NS 500000u
/* A rank that waits looks far more often than this. */
#define AWAY_NS 200000000u

char *fr_vb_path_text(const struct fr_vb_ep *e, int rail, char *buf, size_t bytes)
{
	const struct fr_verbs_port *port = &fr_vb_of_ep(e)->rails[rail].device.port;
	const struct fr_verbs_offer_rail *a = &e->mine.rails[rail], *b = &e->theirs.rails[rail];
	char mine[64] = "", theirs[64] = "";

	if (!port->is_ethernet)
		snprintf(buf, bytes, "%s port %d, LID %u to %u", port->device, port->port, a->lid,
		         b->lid);
	else
		snprintf(buf, bytes, "%s port %d, GID %s to %s", port->device, port->port,
		         fr_gid_text(&a->gids[e->pairs[rail].mine], mine, sizeof(mine)),
		         fr_gid_text(&b->gids[e->pairs[rail].theirs], theirs, sizeof(theirs)));
	return buf;
}

/* ---- asynchronous events ---- */

static struct fr_vb_ep *ep_of_qp(struct fr_vb *t, const struct ibv_qp *qp)
{
	for (int r = 0; r < t->n_ranks; r++)
		for (unsigned i = 0; t->eps[r] != NULL && i < t->eps[r]->n_qps; i++)
			if (t->eps[r]->qps[i].qp == qp)
				return t->eps[r];
	return NULL;
}

/* Is the GID that an endpoint uses on this rail still the port's? */
static bool still_has_gid(const struct fr_vb_ep *e, int rail)
{
	const struct fr_verbs_device *d = &fr_vb_of_ep(e)->rails[rail].device;
	const struct fr_gid *used = &e->mine.rails[rail].gids[e->pairs[rail].mine];

	for (int i = 0; i < d->n_gids; i++)
		if (d->gids[i].index == used->index &&
		    memcmp(d->gids[i].raw, used->raw, sizeof(used->raw)) == 0)
			return true;
	return !d->port.is_ethernet;
}

static void for_rail(struct fr_vb *t, int rail, const char *event, bool is_fatal)
{
	const struct fr_verbs_port *port = &t->rails[rail].device.port;

	for (int r = 0; r < t->n_ranks; r++) {
		struct fr_vb_ep *e = t->eps[r];

		if (e == NULL || e->state != FR_VB_READY || !e->mine.rails[rail].n_qps)
			continue;
		if (is_fatal || !still_has_gid(e, rail))
			fr_vb_trouble(e, "%s port %d: %s", port->device, port->port, event);
	}
}

void fr_vb_lose_rail(struct fr_vb *t, int rail, const char *why)
{
	for_rail(t, rail, why, true);
}

static void on_event(struct fr_vb *t, int rail, const struct ibv_async_event *event)
{
	struct fr_verbs_device *d = &t->rails[rail].device;
	const char *text = fr_verbs_event_text(event->event_type);
	struct fr_vb_ep *e;
	char why[160];

	switch (event->event_type) {
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
		e = ep_of_qp(t, event->element.qp);
		if (e != NULL)
			fr_vb_trouble(e, "%s port %d: %s", d->port.device, d->port.port, text);
		break;
	case IBV_EVENT_CQ_ERR:
	case IBV_EVENT_DEVICE_FATAL:
		for_rail(t, rail, text, true);
		break;
	case IBV_EVENT_GID_CHANGE:
	case IBV_EVENT_PORT_ACTIVE:
	case IBV_EVENT_LID_CHANGE:
		if (fr_verbs_device_refresh(d, why, sizeof(why)) != FERRULE_OK)
			fr_log(FR_LOG_INFO, "verbs: %s", why);
		for_rail(t, rail, text, event->event_type == IBV_EVENT_LID_CHANGE);
		break;
	case IBV_EVENT_PORT_ERR:
		fr_log(FR_LOG_WARNING, "verbs: %s port %d: %s; going on when it is back",
		       d->port.device, d->port.port, text);
		break;
	default:
		fr_log(FR_LOG_DEBUG, "verbs: %s port %d: %s", d->port.device, d->port.port, text);
	}
}

void fr_vb_serve_events(struct fr_vb *t, int rail)
{
	struct ibv_async_event event;

	while (t->v->get_async_event(t->rails[rail].device.context, &event) == 0) {
		on_event(t, rail, &event);
		/* Last: the queue pair it names may go away once it is acknowledged. */
		t->v->ack_async_event(&event);
	}
}

/* ---- check ---- */

static void watch_work(struct fr_vb_ep *e, uint64_t now)
{
	uint64_t sum = 0;
	bool is_outstanding = false;
	char path[200];

	for (unsigned i = 0; i < e->n_qps; i++) {
		struct fr_vb_qp *q = &e->qps[i];

		if (!q->is_live)
			continue;
		if (q->posted != q->completed && q->signalled == q->completed)
			fr_vb_post_marker(e, q);
		is_outstanding |= q->posted != q->completed;
		sum += q->completed;
	}
	/* Time in which nobody looked, and so nobody took completions, is no evidence. */
	const bool was_away = now - e->looked_ns > AWAY_NS;

	e->looked_ns = now;
	if (!is_outstanding || sum != e->watch_sum || was_away) {
		e->watch_sum = sum;
		e->watch_ns = now;
		return;
	}
	const double stalled_s = (double)(now - e->watch_ns) / 1e9;

	if (stalled_s > fr_settings()->ib_stall_s)
		fr_vb_trouble(e, "%s: posted work without completion for %.1f s (FERRULE_IB_STALL)",
		              fr_vb_path_text(e, e->live[0]->rail, path, sizeof(path)), stalled_s);
}

/* Registrations that the cache wants to give up may go while nothing is under way. */
static void settle_regions(struct fr_vb *t)
{
	for (int r = 0; r < t->n_ranks; r++) {
		const struct fr_vb_ep *e = t->eps[r];

		if (e != NULL && (e->tx.next != e->tx.credited || e->tx.moved != e->tx.bytes ||
		                  e->rx.n_posted != e->rx.n_begun || e->rx.moved != e->rx.bytes))
			return;
		for (unsigned i = 0; e != NULL && i < e->n_qps; i++)
			if (e->qps[i].posted != e->qps[i].completed)
				return;
	}
	fr_regions_settle(t->regions);
}

/* Does this rank still need something of its peer for what it sends?  One that has left takes no
 * more and grants no more. */
static bool has_unsent(const struct fr_vb_ep *e)
{
	return e->tx.is_held || e->tx.moved != e->tx.bytes;
}

ferrule_status_t fr_vb_check(struct fr_ep *ep)
{
	struct fr_vb_ep *e = fr_vb_ep_of(ep);
	struct fr_vb *t = fr_vb_of_ep(e);
	const uint64_t now = fr_clock_ns();

	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	if (now - t->served_ns >= SERVE_EVERY_NS) {
		t->served_ns = now;
		fr_vb_serve_links(t);
		settle_regions(t);
	}
	fr_vb_progress(t);
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	/* It said goodbye after its last write was acknowledged, so all it wrote is here. */
	if (e->link.has_left && (!(e->rx.arrived & 1) || has_unsent(e)))
		return fr_link_lost(&e->link, 0);
	if (e->state == FR_VB_READY) {
		watch_work(e, now);
		fr_vb_tell_credit(e);
		fr_vb_flush_grants(e);
	}
	fr_link_tell_status(&e->link, &t->status);
	return fr_link_look(&e->link);
}

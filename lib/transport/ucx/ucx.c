/* The contract's table: open, connect, close, and what concerns no single endpoint. */
#include "config.h"

#include "lib/transport/ucx/ucx.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/settings.h"
#include "lib/transport/transport_list.h"

#define CACHE_LINE 64
/* How long close() lets UCX send what peers may still want to read: it is little, and a peer that
 * does not look into UCX may keep it from ever being done. */
#define FLUSH_NS 200000000u
/* And how long it waits for UCX to let go of connections. */
#define CLOSE_NS 500000000u

static bool ucx_usable(char *why, size_t why_bytes)
{
	return fr_ucx_api_get(why, why_bytes) != NULL;
}

void *fr_ucx_alloc(struct fr_ucx *t, size_t bytes)
{
	/* Aligned sizes, as aligned_alloc() wants them; zeroed, so that nothing is undefined. */
	bytes = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	void *memory = aligned_alloc(CACHE_LINE, bytes);
	if (memory != NULL) {
		memset(memory, 0, bytes);
		t->memory_bytes += bytes;
	}
	return memory;
}

/* ---- endpoints ---- */

static void ep_destroy(struct fr_ucx_ep *e)
{
	if (e == NULL)
		return;
	fr_link_close(&e->link);
	free(e->address);
	free(e->out_window);
	free(e->stages);
	free(e);
}

/* Takes the socket over, also when it fails. */
static struct fr_ucx_ep *ep_create(struct fr_ucx *t, int peer, struct fr_link_sockets *s)
{
	struct fr_ucx_ep *e = fr_ucx_alloc(t, sizeof(*e));
	if (e == NULL) {
		close(s->fd[0]);
		return NULL;
	}
	e->base.ops = &fr_ucx_ep_ops;
	e->base.transport = &t->base;
	e->base.peer = peer;
	/* begin counts up: the first message is number 0. */
	e->in_number = e->out_number = UINT32_MAX;
	fr_link_init(&e->link, s->fd[0], peer, s->where, e->base.why, sizeof(e->base.why));
	fr_link_watch(&e->link, &s->process, fr_settings()->link_keepalive_s);
	e->out_window = fr_ucx_alloc(t, (size_t)FR_UCX_WINDOWS * FR_UCX_EAGER_BYTES);
	e->stages = fr_ucx_alloc(t, (size_t)FR_UCX_STAGES * FR_UCX_BULK_BYTES);
	if (e->out_window != NULL && e->stages != NULL)
		return e;
	ep_destroy(e);
	return NULL;
}

/* ---- the transport ---- */

static void destroy(struct fr_ucx *t)
{
	fr_ucx_worker_close(t);
	for (int r = 0; t->eps != NULL && r < t->n_ranks; r++)
		ep_destroy(t->eps[r]);
	fr_link_hub_close(t->hub);
	free(t->naps);
	free(t->eps);
	free(t);
}

static ferrule_status_t ucx_open(const struct fr_transport_params *params,
                                 struct fr_transport **out, char *why, size_t why_bytes)
{
	const struct fr_ucx_api *api = fr_ucx_api_get(why, why_bytes);
	if (api == NULL)
		return FERRULE_ERR_TRANSPORT;
	struct fr_ucx *t = calloc(1, sizeof(*t));
	if (t == NULL) {
		snprintf(why, why_bytes, "ucx: no memory for a transport");
		return FERRULE_ERR_NO_MEMORY;
	}
	t->base.ops = &fr_transport_ucx;
	t->base.supervisor = params->supervisor;
	t->api = api;
	t->rank = params->rank;
	t->n_ranks = params->n_ranks;
	t->memory_bytes = sizeof(*t);
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;
	t->eps = fr_ucx_alloc(t, (size_t)t->n_ranks * sizeof(struct fr_ucx_ep *));
	t->naps = fr_ucx_alloc(t, (2 * (size_t)t->n_ranks + 1) * sizeof(*t->naps));
	if (t->eps == NULL || t->naps == NULL) {
		snprintf(why, why_bytes, "ucx: no memory for %d ranks", t->n_ranks);
		goto err_destroy;
	}
	status = fr_ucx_worker_open(t, why, why_bytes);
	if (status != FERRULE_OK)
		goto err_destroy;
	status = fr_link_hub_open(params, "ucx", 0, &t->hub, why, why_bytes);
	if (status != FERRULE_OK)
		goto err_destroy;
	*out = &t->base;
	return FERRULE_OK;
err_destroy:
	destroy(t);
	return status;
}

static size_t ucx_address(struct fr_transport *base, void *buf)
{
	fr_link_hub_address(fr_ucx_of(base)->hub, buf);
	return FR_LINK_ADDRESS_BYTES;
}

/* Endpoints out of connected sockets; all sockets are taken over. */
static bool make_eps(struct fr_ucx *t, struct fr_link_sockets *sockets)
{
	bool has_all = true;
	for (int r = 0; r < t->n_ranks; r++) {
		if (!sockets[r].is_wanted)
			continue;
		t->eps[r] = ep_create(t, r, &sockets[r]);
		has_all &= t->eps[r] != NULL;
	}
	return has_all;
}

static ferrule_status_t ucx_connect(struct fr_transport *base, const bool *wanted,
                                    const unsigned char *addresses, uint64_t deadline_ns, char *why,
                                    size_t why_bytes)
{
	struct fr_ucx *t = fr_ucx_of(base);
	const size_t n = (size_t)t->n_ranks;
	struct fr_link_sockets *sockets = calloc(n, sizeof(*sockets));
	if (sockets == NULL) {
		snprintf(why, why_bytes, "ucx: no memory for the connections to %zu ranks", n);
		return FERRULE_ERR_NO_MEMORY;
	}
	ferrule_status_t status = fr_link_hub_join(t->hub, wanted, addresses, FR_ADDRESS_BYTES,
	                                           deadline_ns, sockets, why, why_bytes);
	if (status == FERRULE_OK && !make_eps(t, sockets)) {
		snprintf(why, why_bytes, "ucx: no memory for the buffers to %zu ranks", n);
		status = FERRULE_ERR_NO_MEMORY;
	}
	if (status == FERRULE_OK)
		status = fr_ucx_wire_up(t, deadline_ns, why, why_bytes);
	fr_link_hub_close(t->hub);
	t->hub = NULL;
	free(sockets);
	return status;
}

static struct fr_ep *ucx_ep(struct fr_transport *base, int peer)
{
	struct fr_ucx_ep *e = fr_ucx_of(base)->eps[peer];
	return e != NULL ? &e->base : NULL;
}

static void ucx_announce(struct fr_transport *base, const struct fr_call *call)
{
	fr_link_announce(&fr_ucx_of(base)->status, call);
}

static void ucx_wait(struct fr_transport *base, const struct fr_wait *wait)
{
	fr_ucx_of(base)->status.wait = *wait;
}

static void ucx_abort(struct fr_transport *base, const char *reason)
{
	struct fr_ucx *t = fr_ucx_of(base);
	if (t->is_aborted)
		return;
	t->is_aborted = true;
	for (int r = 0; r < t->n_ranks; r++) {
		if (t->eps[r] != NULL)
			fr_link_abort(&t->eps[r]->link, reason);
	}
}

static uint64_t ucx_memory_bytes(struct fr_transport *base)
{
	return fr_ucx_of(base)->memory_bytes;
}

/* ---- leaving ---- */

/* Progress until all of these requests are done, or the deadline. */
static void finish(struct fr_ucx *t, void **requests, uint64_t deadline_ns)
{
	bool is_done = false;
	while (!is_done && fr_clock_ns() < deadline_ns) {
		t->api->worker_progress(t->worker);
		is_done = true;
		for (int r = 0; r < t->n_ranks; r++)
			is_done &= t->eps[r] == NULL || fr_ucx_is_done(t->eps[r], &requests[r]);
	}
	for (int r = 0; r < t->n_ranks; r++) {
		if (requests[r] != NULL)
			t->api->request_free(requests[r]);
		requests[r] = NULL;
	}
}

/* What was sent leaves this process, as far as UCX and peers let it. */
static void flush_all(struct fr_ucx *t, void **requests)
{
	static const ucp_request_param_t param = {.op_attr_mask = 0};
	for (int r = 0; r < t->n_ranks; r++) {
		struct fr_ucx_ep *e = t->eps[r];
		if (e != NULL && e->ucp != NULL && e->broken == UCS_OK && !e->link.has_left &&
		    e->link.fault == FERRULE_OK && e->acked != e->n_sent)
			requests[r] = fr_ucx_started(e, t->api->ep_flush_nbx(e->ucp, &param));
	}
	finish(t, requests, fr_clock_ns() + FLUSH_NS);
}

static void say_goodbye(struct fr_ucx_ep *e)
{
	const struct fr_ucx_leaving leaving = {.pieces = e->n_sent};
	/* Without room for the note the peer only knows less when it looks for unread data. */
	fr_link_send_note(&e->link, FR_UCX_LEAVING, &leaving, sizeof(leaving));
	fr_link_goodbye(&e->link);
}

/* UCX lets go of all endpoints; nothing is sent any more. */
static void close_all(struct fr_ucx *t, void **requests)
{
	for (int r = 0; r < t->n_ranks; r++) {
		struct fr_ucx_ep *e = t->eps[r];
		if (e == NULL || e->ucp == NULL)
			continue;
		fr_ucx_drop_unread(e);
		const ucp_request_param_t param = {
			.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
			.flags = e->can_be_forced ? UCP_EP_CLOSE_FLAG_FORCE : 0};
		requests[r] = fr_ucx_started(e, t->api->ep_close_nbx(e->ucp, &param));
	}
	finish(t, requests, fr_clock_ns() + CLOSE_NS);
	/* Closing ended them, one way or the other. */
	for (int r = 0; r < t->n_ranks; r++) {
		struct fr_ucx_ep *e = t->eps[r];
		if (e == NULL)
			continue;
		fr_ucx_drop_requests(e);
		fr_ucx_drop_unread(e);
	}
}

static void ucx_close(struct fr_transport *base)
{
	struct fr_ucx *t = fr_ucx_of(base);
	if (t == NULL)
		return;
	void **requests = calloc((size_t)t->n_ranks, sizeof(*requests));
	if (requests != NULL && !t->is_aborted)
		flush_all(t, requests);
	for (int r = 0; r < t->n_ranks; r++) {
		if (t->eps[r] != NULL && !t->is_aborted)
			say_goodbye(t->eps[r]);
	}
	if (requests != NULL)
		close_all(t, requests);
	free(requests);
	destroy(t);
}

const struct fr_transport_ops fr_transport_ucx = {
	.name = "ucx",
	.summary = "UCP of UCX, between any two ranks; used when asked for",
	/* Loading UCX has effects on the whole process, and tcp reaches whom it reaches. */
	.only_when_named = true,
	.usable = ucx_usable,
	.open = ucx_open,
	.address = ucx_address,
	.connect = ucx_connect,
	.ep = ucx_ep,
	.announce = ucx_announce,
	.wait = ucx_wait,
	.nap = fr_ucx_nap,
	.abort = ucx_abort,
	.memory_bytes = ucx_memory_bytes,
	.close = ucx_close,
};

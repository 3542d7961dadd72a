/* The contract's table: open, connect, close, and what concerns no single endpoint. */
#include "config.h"

#include "lib/transport/verbs/verbs.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/descriptors.h"
#include "lib/base/settings.h"
#include "lib/transport/transport_list.h"

/* Leaving waits so long for the last writes to be acknowledged, and FERRULE_IB_RECOVER longer when
 * the way there is broken. */
#define LEAVE_NS  1000000000u
#define PORTS_MAX 32

static bool is_usable_port(const struct fr_verbs_port *p)
{
	return p->why_not[0] == '\0';
}

static bool vb_usable(char *why, size_t why_bytes)
{
	struct fr_verbs_port ports[PORTS_MAX];
	const struct fr_verbs *v = fr_verbs_get(why, why_bytes);
	const int n = v != NULL ? fr_verbs_ports(v, ports, PORTS_MAX, why, why_bytes) : 0;

	if (n <= 0)
		return false;
	if (is_usable_port(&ports[0]))
		return true;
	snprintf(why, why_bytes, "%.64s port %d: %.110s", ports[0].device, ports[0].port,
	         ports[0].why_not);
	return false;
}

/* ---- open ---- */

/* The ports that carry traffic: the nearest ones that are alike. */
static int choose_rails(const struct fr_verbs *v, struct fr_verbs_port *out, char *why,
                        size_t why_bytes)
{
	struct fr_verbs_port ports[PORTS_MAX];
	const int n = fr_verbs_ports(v, ports, PORTS_MAX, why, why_bytes);
	const bool is_named = fr_settings()->ib_hca[0] != '\0' && fr_settings()->ib_hca[0] != '^';
	int n_rails = 0;

	for (int i = 0; i < n && n_rails < fr_settings()->ib_rails; i++) {
		if (!is_usable_port(&ports[i]))
			break;
		if (n_rails > 0 && (ports[i].is_ethernet != out[0].is_ethernet ||
		                    (!is_named && ports[i].distance > out[0].distance)))
			continue;
		out[n_rails++] = ports[i];
	}
	if (n > 0 && n_rails == 0)
		snprintf(why, why_bytes, "%.64s port %d: %.110s", ports[0].device, ports[0].port,
		         ports[0].why_not);
	return n_rails;
}

static bool watch_fd(struct fr_vb *t, int fd, uint32_t what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};

	return epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void vb_destroy(struct fr_vb *t)
{
	for (int r = 0; t->eps != NULL && r < t->n_ranks; r++) {
		if (t->eps[r] == NULL)
			continue;
		fr_vb_disconnect(t->eps[r]);
		fr_vb_ep_memory_free(t->eps[r]);
		fr_link_close(&t->eps[r]->link);
		free(t->eps[r]);
	}
	fr_regions_destroy(t->regions);
	for (int i = 0; i < t->n_rails; i++) {
		free(t->rails[i].by_number);
		fr_verbs_cm_close(t->rails[i].cm);
		fr_verbs_device_close(&t->rails[i].device);
	}
	if (t->hub != NULL)
		fr_link_hub_close(t->hub);
	if (t->epoll >= 0)
		fr_fd_close(t->epoll);
	free(t->eps);
	free(t);
}

static ferrule_status_t open_cm(struct fr_vb *t, int rail, const struct fr_transport_params *params,
                                char *why, size_t why_bytes)
{
	struct fr_vb_rail *r = &t->rails[rail];
	const struct fr_verbs_cm_params cm = {
		.rank = params->rank, .comm_id = params->comm_id, .job_key = params->job_key};

	if (strcmp(fr_settings()->ib_connect, "cm") != 0)
		return FERRULE_OK;
	const ferrule_status_t status = fr_verbs_cm_open(&r->device, &cm, &r->cm, why, why_bytes);

	if (status != FERRULE_OK ||
	    watch_fd(t, fr_verbs_cm_fd(r->cm), (uint32_t)(t->n_ranks + FR_VERBS_RAILS_MAX + rail)))
		return status;
	snprintf(why, why_bytes, "epoll: %s", strerror(errno));
	return FERRULE_ERR_SYSTEM;
}

static ferrule_status_t open_rails(struct fr_vb *t, const struct fr_transport_params *params,
                                   char *why, size_t why_bytes)
{
	struct fr_verbs_port ports[FR_VERBS_RAILS_MAX];
	const int n = choose_rails(t->v, ports, why, why_bytes);
	const uint32_t n_qps = (uint32_t)(t->n_ranks - 1) * t->qps_per_rail;
	const uint32_t entries = (n_qps > 0 ? n_qps : 1) * (t->send_depth + t->recv_depth);

	if (n <= 0)
		return FERRULE_ERR_TRANSPORT;
	for (int i = 0; i < n; i++) {
		struct fr_verbs_device *d = &t->rails[i].device;
		ferrule_status_t status =
			fr_verbs_device_open(t->v, &ports[i], (int)entries, d, why, why_bytes);

		if (status != FERRULE_OK)
			return status;
		t->n_rails++;
		if (!watch_fd(t, d->context->async_fd, (uint32_t)(t->n_ranks + i))) {
			snprintf(why, why_bytes, "epoll: %s", strerror(errno));
			return FERRULE_ERR_SYSTEM;
		}
		status = open_cm(t, i, params, why, why_bytes);
		if (status != FERRULE_OK)
			return status;
	}
	return fr_vb_table_create(t, n_qps) ? FERRULE_OK : FERRULE_ERR_NO_MEMORY;
}

/* From the settings, which are the same on all ranks or refused when two ranks connect. */
static void size_up(struct fr_vb *t)
{
	const struct fr_settings *set = fr_settings();

	t->n_slots = 4;
	while (2 * t->n_slots <= (uint32_t)set->ib_slots)
		t->n_slots *= 2;
	t->slot_bytes = (uint32_t)set->ib_slot & ~63u;
	t->slot_stride = t->slot_bytes + FR_VERBS_PAYLOAD_AT;
	t->zero_copy = set->ib_zero_copy;
	t->qps_per_rail = (unsigned)set->ib_qps;
	t->send_depth = t->n_slots + FR_VB_EXTRA_WRS + FR_VB_SIGNAL_EVERY;
	/* Whole chains. */
	t->recv_depth =
		(t->n_slots + FR_VB_EXTRA_WRS + FR_VB_RECV_CHAIN - 1) & ~(FR_VB_RECV_CHAIN - 1u);
	for (int i = 0; i + 1 < FR_VB_RECV_CHAIN; i++)
		t->recv_chain[i].next = &t->recv_chain[i + 1];
}

/* Listeners, epoll, and what a device takes; of each peer the link, and its process. */
static size_t vb_descriptors(size_t n_peers)
{
	return 12 + 2 * n_peers;
}

static ferrule_status_t vb_open(const struct fr_transport_params *params, struct fr_transport **out,
                                char *why, size_t why_bytes)
{
	struct fr_vb *t = calloc(1, sizeof(*t));
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;

	if (t == NULL) {
		snprintf(why, why_bytes, "verbs: no memory for a transport");
		return status;
	}
	t->base.ops = &fr_transport_verbs;
	t->base.supervisor = params->supervisor;
	t->rank = params->rank;
	t->n_ranks = params->n_ranks;
	t->host_of = params->host_of;
	t->memory_bytes = sizeof(*t);
	size_up(t);
	t->epoll = fr_fd_own(epoll_create1(EPOLL_CLOEXEC));
	t->eps = calloc((size_t)t->n_ranks, sizeof(struct fr_vb_ep *));
	snprintf(why, why_bytes, "verbs: no memory for %d ranks", t->n_ranks);
	if (t->eps == NULL || t->epoll < 0)
		goto err_destroy;
	t->v = fr_verbs_get(why, why_bytes);
	status = t->v != NULL ? open_rails(t, params, why, why_bytes) : FERRULE_ERR_TRANSPORT;
	if (status == FERRULE_OK)
		status = fr_regions_create(&fr_vb_region_ops, t, fr_settings()->mr_cache,
		                           &t->regions, why, why_bytes);
	if (status == FERRULE_OK)
		status = fr_link_hub_open(params, "verbs", 0, &t->hub, why, why_bytes);
	if (status != FERRULE_OK)
		goto err_destroy;
	t->has_regions = fr_settings()->mr_cache;
	*out = &t->base;
	return FERRULE_OK;
err_destroy:
	vb_destroy(t);
	return status;
}

static size_t vb_address(struct fr_transport *base, void *buf)
{
	fr_link_hub_address(fr_vb_of(base)->hub, buf);
	return FR_LINK_ADDRESS_BYTES;
}

/* ---- connect ---- */

static bool make_ep(struct fr_vb *t, int peer, struct fr_link_sockets *s)
{
	struct fr_vb_ep *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return false;
	e->base.ops = &fr_vb_ep_ops;
	e->base.transport = &t->base;
	e->base.peer = peer;
	e->tx.grants_from = e->rx.grants_from = UINT32_MAX;
	fr_link_init(&e->link, s->fd[0], peer, s->where, e->base.why, sizeof(e->base.why));
	s->fd[0] = -1;
	fr_link_watch(&e->link, &s->process, fr_settings()->link_keepalive_s);
	t->eps[peer] = e;
	t->memory_bytes += sizeof(*e);
	return watch_fd(t, e->link.fd, (uint32_t)peer) &&
	       (e->link.process.fd < 0 || watch_fd(t, e->link.process.fd, (uint32_t)peer));
}

static ferrule_status_t vb_connect(struct fr_transport *base, const bool *wanted,
                                   const unsigned char *addresses, uint64_t deadline_ns, char *why,
                                   size_t why_bytes)
{
	struct fr_vb *t = fr_vb_of(base);
	struct fr_link_sockets *sockets = calloc((size_t)t->n_ranks, sizeof(*sockets));
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;

	snprintf(why, why_bytes, "verbs: no memory for %d links", t->n_ranks);
	if (sockets == NULL)
		return status;
	status = fr_link_hub_join(t->hub, wanted, addresses, FR_ADDRESS_BYTES, deadline_ns, sockets,
	                          why, why_bytes);
	for (int r = 0; r < t->n_ranks && status == FERRULE_OK; r++) {
		if (sockets[r].is_wanted && !make_ep(t, r, &sockets[r])) {
			snprintf(why, why_bytes, "verbs: no memory for an endpoint to rank %d", r);
			status = FERRULE_ERR_NO_MEMORY;
		}
	}
	for (int r = 0; r < t->n_ranks; r++)
		if (sockets[r].is_wanted && sockets[r].fd[0] >= 0 && status != FERRULE_OK)
			close(sockets[r].fd[0]);
	free(sockets);
	fr_link_hub_close(t->hub);
	t->hub = NULL;
	return status;
}

static struct fr_ep *vb_ep(struct fr_transport *base, int peer)
{
	struct fr_vb_ep *e = fr_vb_of(base)->eps[peer];

	return e != NULL ? &e->base : NULL;
}

static void vb_announce(struct fr_transport *base, const struct fr_call *call)
{
	fr_link_announce(&fr_vb_of(base)->status, call);
}

static void vb_wait(struct fr_transport *base, const struct fr_wait *wait)
{
	fr_vb_of(base)->status.wait = *wait;
}

/* ---- nap ---- */

static void take_channel_events(struct fr_verbs_device *d)
{
	struct ibv_cq *cq;
	void *context;

	while (d->v->get_cq_event(d->channel, &cq, &context) == 0)
		d->events_unacked++;
	/* Each acknowledgement takes a lock in the library. */
	if (d->events_unacked >= 64) {
		d->v->ack_cq_events(d->cq, d->events_unacked);
		d->events_unacked = 0;
	}
}

static void vb_nap(struct fr_transport *base, uint64_t ns)
{
	struct fr_vb *t = fr_vb_of(base);
	const struct timespec limit = {.tv_sec = (time_t)(ns / 1000000000u),
	                               .tv_nsec = (long)(ns % 1000000000u)};
	struct pollfd fds[FR_VERBS_RAILS_MAX + 1];

	for (int i = 0; i < t->n_rails; i++) {
		struct fr_verbs_device *d = &t->rails[i].device;

		fds[i] = (struct pollfd){.fd = d->channel->fd, .events = POLLIN};
		t->v->req_notify_cq(d->cq, 0);
	}
	fds[t->n_rails] = (struct pollfd){.fd = t->epoll, .events = POLLIN};
	/* What came before the request to be told is told to nobody. */
	if (fr_vb_progress(t) > 0)
		return;
	if (ppoll(fds, (nfds_t)t->n_rails + 1, &limit, NULL) <= 0)
		return;
	for (int i = 0; i < t->n_rails; i++)
		if (fds[i].revents != 0)
			take_channel_events(&t->rails[i].device);
	if (fds[t->n_rails].revents != 0)
		fr_vb_serve_links(t);
}

/* ---- the end ---- */

static void vb_abort(struct fr_transport *base, const char *reason)
{
	struct fr_vb *t = fr_vb_of(base);

	if (t->is_aborted)
		return;
	t->is_aborted = true;
	for (int r = 0; r < t->n_ranks; r++) {
		struct fr_vb_ep *e = t->eps[r];

		if (e == NULL)
			continue;
		fr_link_abort(&e->link, reason);
		/* From here on nobody writes into memory that goes back to the user. */
		for (unsigned i = 0; i < e->n_qps; i++)
			fr_verbs_qp_stop(&t->rails[e->qps[i].rail].device, e->qps[i].qp);
	}
}

static bool has_unacknowledged(struct fr_vb_ep *e)
{
	bool is_outstanding = false;

	if (e->link.fault != FERRULE_OK || e->link.has_left)
		return false;
	/* Broken, or being mended, with pieces that the peer may not have. */
	if (e->state != FR_VB_READY)
		return e->state != FR_VB_IDLE && e->tx.next != e->tx.credited;
	for (unsigned i = 0; i < e->n_qps; i++) {
		struct fr_vb_qp *q = &e->qps[i];

		if (!q->is_live || q->posted == q->completed)
			continue;
		if (q->signalled == q->completed)
			fr_vb_post_marker(e, q);
		is_outstanding = true;
	}
	return is_outstanding;
}

/* The peer must have what was sent before it is told goodbye. */
static void wait_for_acknowledgements(struct fr_vb *t)
{
	const uint64_t until =
		fr_clock_ns() + LEAVE_NS + (uint64_t)(fr_settings()->ib_recover_s * 1e9);
	bool is_outstanding = true;

	while (is_outstanding && fr_clock_ns() < until) {
		is_outstanding = false;
		fr_vb_progress(t);
		fr_vb_serve_links(t);
		for (int r = 0; r < t->n_ranks; r++)
			is_outstanding |= t->eps[r] != NULL && has_unacknowledged(t->eps[r]);
		fr_cpu_relax();
	}
}

static void vb_close(struct fr_transport *base)
{
	struct fr_vb *t = fr_vb_of(base);

	if (t == NULL)
		return;
	if (!t->is_aborted) {
		wait_for_acknowledgements(t);
		for (int r = 0; r < t->n_ranks; r++)
			if (t->eps[r] != NULL)
				fr_link_goodbye(&t->eps[r]->link);
	}
	for (int i = 0; i < t->n_rails; i++) {
		struct fr_verbs_device *d = &t->rails[i].device;

		if (d->events_unacked > 0)
			t->v->ack_cq_events(d->cq, d->events_unacked);
		d->events_unacked = 0;
	}
	vb_destroy(t);
}

static ferrule_status_t vb_mem_register(struct fr_transport *base, const struct fr_mem_block *block,
                                        char *why, size_t why_bytes)
{
	return fr_regions_add(fr_vb_of(base)->regions, block, why, why_bytes);
}

static ferrule_status_t vb_mem_deregister(struct fr_transport *base, const void *ptr, char *why,
                                          size_t why_bytes)
{
	return fr_regions_remove(fr_vb_of(base)->regions, ptr, why, why_bytes);
}

static uint64_t vb_memory_bytes(struct fr_transport *base)
{
	return fr_vb_of(base)->memory_bytes;
}

const struct fr_transport_ops fr_transport_verbs = {
	.name = "verbs",
	.summary = "InfiniBand and RoCE, between any two ranks",
	.nap_after_ns = 200000,
	.usable = vb_usable,
	.descriptors = vb_descriptors,
	.open = vb_open,
	.address = vb_address,
	.connect = vb_connect,
	.prove = fr_vb_prove,
	.ep = vb_ep,
	.announce = vb_announce,
	.wait = vb_wait,
	.nap = vb_nap,
	.abort = vb_abort,
	.mem_register = vb_mem_register,
	.mem_deregister = vb_mem_deregister,
	.memory_bytes = vb_memory_bytes,
	.report = fr_vb_report,
	.path = fr_vb_path,
	.close = vb_close,
};

/* The contract's table: open, connect, close, and what concerns no single endpoint. */
#include "config.h"

#include "lib/transport/tcp/tcp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/settings.h"
#include "lib/transport/tcp/tcp_ep.h"
#include "lib/transport/transport_list.h"

#define CACHE_LINE 64
/* What close() reads and throws away at most, so that unread bytes make no reset. */
#define DRAIN_BYTES (4u << 20)

static bool tcp_usable(char *why, size_t why_bytes)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		snprintf(why, why_bytes, "cannot create a socket: %s", strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

static void *tcp_alloc(struct fr_tcp *t, size_t bytes)
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

static void close_socket(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void ep_destroy(struct fr_tcp_ep *e)
{
	if (e == NULL)
		return;
	for (unsigned i = 0; e->lanes != NULL && i < e->n_lanes; i++) {
		close_socket(e->lanes[i].fd);
		free(e->lanes[i].buffer);
	}
	fr_link_close(&e->link);
	free(e->lanes);
	free(e);
}

/* Takes the sockets over, also when it fails. */
static struct fr_tcp_ep *ep_create(struct fr_tcp *t, int peer, struct fr_link_sockets *s)
{
	struct fr_tcp_ep *e = tcp_alloc(t, sizeof(*e));
	struct fr_tcp_lane *lanes = tcp_alloc(t, s->n_lanes * sizeof(*lanes));
	if (e == NULL || lanes == NULL) {
		free(lanes);
		free(e);
		return NULL;
	}
	e->base.ops = &fr_tcp_ep_ops;
	e->base.transport = &t->base;
	e->base.peer = peer;
	e->n_lanes = s->n_lanes;
	e->lanes = lanes;
	/* begin counts up: the first message is number 0. */
	e->in.number = e->out.number = UINT32_MAX;
	fr_link_init(&e->link, s->fd[0], peer, s->where, e->base.why, sizeof(e->base.why));
	s->fd[0] = -1;
	fr_link_watch(&e->link, &s->process, fr_settings()->socket_keepalive_s);
	const bool is_local = t->host_of[peer] == t->host_of[t->rank];
	const int local_sndbuf = FR_TCP_LOCAL_SNDBUF;
	bool is_whole = true;
	for (unsigned i = 0; i < e->n_lanes; i++) {
		lanes[i].fd = s->fd[1 + i];
		s->fd[1 + i] = -1;
		if (is_local)
			setsockopt(lanes[i].fd, SOL_SOCKET, SO_SNDBUF, &local_sndbuf,
			           sizeof(local_sndbuf));
		lanes[i].buffer = tcp_alloc(t, FR_TCP_BUFFER_BYTES);
		is_whole &= lanes[i].buffer != NULL;
	}
	if (is_whole)
		return e;
	ep_destroy(e);
	return NULL;
}

/* Says goodbye and lets go without a reset, which could overtake what the peer has to read. */
static void ep_leave(struct fr_tcp *t, struct fr_tcp_ep *e)
{
	if (!t->is_aborted)
		fr_link_goodbye(&e->link);
	fr_link_close(&e->link);
	for (unsigned i = 0; i < e->n_lanes; i++) {
		const struct fr_tcp_lane *lane = &e->lanes[i];
		shutdown(lane->fd, SHUT_WR);
		for (size_t drained = 0; drained < DRAIN_BYTES;) {
			const ssize_t n =
				recv(lane->fd, lane->buffer, FR_TCP_BUFFER_BYTES, MSG_DONTWAIT);
			if (n <= 0)
				break;
			drained += (size_t)n;
		}
	}
}

/* ---- the transport ---- */

static void destroy(struct fr_tcp *t)
{
	for (int r = 0; t->eps != NULL && r < t->n_ranks; r++)
		ep_destroy(t->eps[r]);
	fr_link_hub_close(t->hub);
	free(t->naps);
	free(t->eps);
	free(t);
}

/* Listeners; of each peer the lanes, the link, and its process. */
static size_t tcp_descriptors(size_t n_peers)
{
	return 4 + (2 + (size_t)fr_settings()->sockets_per_peer) * n_peers;
}

static ferrule_status_t tcp_open(const struct fr_transport_params *params,
                                 struct fr_transport **out, char *why, size_t why_bytes)
{
	struct fr_tcp *t = calloc(1, sizeof(*t));
	if (t == NULL) {
		snprintf(why, why_bytes, "tcp: no memory for a transport");
		return FERRULE_ERR_NO_MEMORY;
	}
	t->base.ops = &fr_transport_tcp;
	t->base.supervisor = params->supervisor;
	t->rank = params->rank;
	t->n_ranks = params->n_ranks;
	t->host_of = params->host_of;
	t->memory_bytes = sizeof(*t);
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;
	t->eps = tcp_alloc(t, (size_t)t->n_ranks * sizeof(struct fr_tcp_ep *));
	if (t->eps == NULL) {
		snprintf(why, why_bytes, "tcp: no memory for %d ranks", t->n_ranks);
		goto err_destroy;
	}
	status = fr_link_hub_open(params, "tcp", (unsigned)fr_settings()->sockets_per_peer, &t->hub,
	                          why, why_bytes);
	if (status != FERRULE_OK)
		goto err_destroy;
	*out = &t->base;
	return FERRULE_OK;
err_destroy:
	destroy(t);
	return status;
}

static size_t tcp_address(struct fr_transport *base, void *buf)
{
	fr_link_hub_address(fr_tcp_of(base)->hub, buf);
	return FR_LINK_ADDRESS_BYTES;
}

/* Endpoints out of connected sockets. */
static ferrule_status_t make_eps(struct fr_tcp *t, struct fr_link_sockets *sockets)
{
	size_t n_sockets = 0; /* and processes */
	for (int r = 0; r < t->n_ranks; r++) {
		if (!sockets[r].is_wanted)
			continue;
		n_sockets += sockets[r].n_lanes + 2;
		t->eps[r] = ep_create(t, r, &sockets[r]);
		if (t->eps[r] == NULL)
			return FERRULE_ERR_NO_MEMORY;
	}
	t->naps = tcp_alloc(t, (n_sockets + 1) * sizeof(*t->naps));
	return t->naps != NULL ? FERRULE_OK : FERRULE_ERR_NO_MEMORY;
}

static ferrule_status_t tcp_connect(struct fr_transport *base, const bool *wanted,
                                    const unsigned char *addresses, uint64_t deadline_ns, char *why,
                                    size_t why_bytes)
{
	struct fr_tcp *t = fr_tcp_of(base);
	const size_t n = (size_t)t->n_ranks;
	struct fr_link_sockets *sockets = calloc(n, sizeof(*sockets));
	if (sockets == NULL) {
		snprintf(why, why_bytes, "tcp: no memory for the connections to %zu ranks", n);
		return FERRULE_ERR_NO_MEMORY;
	}
	ferrule_status_t status = fr_link_hub_join(t->hub, wanted, addresses, FR_ADDRESS_BYTES,
	                                           deadline_ns, sockets, why, why_bytes);
	if (status == FERRULE_OK) {
		status = make_eps(t, sockets);
		if (status != FERRULE_OK)
			snprintf(why, why_bytes, "tcp: no memory for the buffers to %zu ranks", n);
		/* Those that became part of an endpoint are -1 here. */
		for (size_t r = 0; r < n; r++) {
			for (unsigned i = 0; i <= FR_LINK_LANES_MAX; i++)
				close_socket(sockets[r].fd[i]);
		}
	}
	fr_link_hub_close(t->hub);
	t->hub = NULL;
	free(sockets);
	return status;
}

static struct fr_ep *tcp_ep(struct fr_transport *base, int peer)
{
	struct fr_tcp_ep *e = fr_tcp_of(base)->eps[peer];
	return e != NULL ? &e->base : NULL;
}

static void tcp_announce(struct fr_transport *base, const struct fr_call *call)
{
	fr_link_announce(&fr_tcp_of(base)->status, call);
}

static void tcp_wait(struct fr_transport *base, const struct fr_wait *wait)
{
	fr_tcp_of(base)->status.wait = *wait;
}

/* Only what somebody waits for: data that nobody asks for yet must not end every nap. */
static void tcp_nap(struct fr_transport *base, uint64_t ns)
{
	struct fr_tcp *t = fr_tcp_of(base);
	const struct timespec limit = {.tv_sec = (time_t)(ns / 1000000000u),
	                               .tv_nsec = (long)(ns % 1000000000u)};
	nfds_t n = 0;
	for (int r = 0; t->naps != NULL && r < t->n_ranks; r++) {
		const struct fr_tcp_ep *e = t->eps[r];
		if (e == NULL || e->link.fault != FERRULE_OK)
			continue;
		if (!e->link.has_left)
			t->naps[n++] = (struct pollfd){.fd = e->link.fd, .events = POLLIN};
		if (!e->link.has_left && e->link.process.fd >= 0)
			t->naps[n++] = (struct pollfd){.fd = e->link.process.fd, .events = POLLIN};
		for (unsigned i = 0; i < e->n_lanes; i++) {
			const struct fr_tcp_lane *lane = &e->lanes[i];
			const int events =
				(lane->wants_read ? POLLIN : 0) | (lane->wants_write ? POLLOUT : 0);
			if (events != 0 && e->link.lost_at == 0)
				t->naps[n++] =
					(struct pollfd){.fd = lane->fd, .events = (short)events};
		}
	}
	ppoll(t->naps, n, &limit, NULL);
}

static void tcp_abort(struct fr_transport *base, const char *reason)
{
	struct fr_tcp *t = fr_tcp_of(base);
	if (t->is_aborted)
		return;
	t->is_aborted = true;
	for (int r = 0; r < t->n_ranks; r++) {
		if (t->eps[r] != NULL)
			fr_link_abort(&t->eps[r]->link, reason);
	}
}

static uint64_t tcp_memory_bytes(struct fr_transport *base)
{
	return fr_tcp_of(base)->memory_bytes;
}

static void tcp_close(struct fr_transport *base)
{
	struct fr_tcp *t = fr_tcp_of(base);
	if (t == NULL)
		return;
	for (int r = 0; r < t->n_ranks; r++) {
		if (t->eps[r] != NULL)
			ep_leave(t, t->eps[r]);
	}
	destroy(t);
}

const struct fr_transport_ops fr_transport_tcp = {
	.name = "tcp",
	.summary = "sockets, between any two ranks",
	.usable = tcp_usable,
	.descriptors = tcp_descriptors,
	.open = tcp_open,
	.address = tcp_address,
	.connect = tcp_connect,
	.ep = tcp_ep,
	.announce = tcp_announce,
	.wait = tcp_wait,
	.nap = tcp_nap,
	.abort = tcp_abort,
	.memory_bytes = tcp_memory_bytes,
	.close = tcp_close,
};

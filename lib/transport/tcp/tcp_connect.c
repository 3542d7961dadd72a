/*
 * Every rank listens; rank i connects to ranks below it and accepts those above, all in one
 * poll loop.  A link is one connection on its way through the handshake of tcp_wire.h; what
 * it does when its bytes are here is the table by state below.
 *
 * Nobody is believed before the proof.  Accepted connections that say nothing, or nonsense,
 * are dropped without a word; there is a limit to how many are looked at together and for how
 * long, so they cost a wait nothing.
 */
#include "config.h"

#include "lib/transport/tcp/tcp_connect.h"

#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/settings.h"
#include "lib/transport/tcp/tcp_place.h"

#define MILLISECOND 1000000u
/* An accepted connection proves itself within this time. */
#define STRANGER_NS (5000u * (uint64_t)MILLISECOND)
/* One address of several is tried this long. */
#define ATTEMPT_NS (2000u * (uint64_t)MILLISECOND)
/* Between tries: doubles from the first to the last. */
#define REST_FIRST_NS (2u * (uint64_t)MILLISECOND)
#define REST_LAST_NS  (200u * (uint64_t)MILLISECOND)
/* Connections under way that nobody is waiting for. */
#define STRANGERS_MAX 64
/* A peer that turns our proof away this often means it. */
#define REFUSALS_MAX 3
/* More addresses of one rank than this help nobody. */
#define PLACES_USED 4

enum link_state {
	LINK_FREE,       /* the slot holds no connection */
	LINK_RESTING,    /* ours: the last try failed, the next comes at `due` */
	LINK_CONNECTING, /* ours: connect() is under way */
	LINK_GREETED,    /* ours: sent HELLO, the peer's HELLO is next */
	LINK_CLAIMED,    /* ours: sent PROOF, the peer's PROOF is next */
	LINK_STRANGER,   /* accepted: a HELLO is next */
	LINK_CHALLENGED, /* accepted: sent HELLO, a PROOF is next */
	LINK_N_STATES
};

struct link {
	enum link_state state;
	int fd;
	int peer; /* STRANGER: not known yet */
	unsigned lane;
	unsigned place; /* which of the peer's addresses is tried */
	unsigned n_refusals;
	uint64_t due; /* when to try again, or to give up on an attempt or a stranger */
	uint64_t rest;
	struct fr_auth auth;
	unsigned have;
	unsigned char in[sizeof(struct fr_tcp_hello)];
};

struct join {
	struct fr_tcp *t;
	const struct fr_tcp_address *addresses;
	struct fr_tcp_sockets *sockets;
	struct link *links; /* ours first, then slots for accepted ones */
	struct pollfd *polls;
	int *polled; /* the link of each entry after the listeners */
	int n_ours, n_links;
	int n_missing;
	ferrule_status_t failure; /* ends the join before the deadline */
	char trouble[120];        /* what went wrong last, "" when nothing did */
};

typedef void step_fn(struct join *j, struct link *l);
static step_fn on_connected, on_answer, on_accepted, on_hello, on_proof;

static const struct behaviour {
	const char *name;
	short events;
	unsigned bytes; /* what `step` wants to have read */
	step_fn *step;
	unsigned next; /* states that may follow, a bit each */
} behaviours[LINK_N_STATES] = {
	[LINK_FREE] = {"free", 0, 0, NULL, 1u << LINK_STRANGER | 1u << LINK_RESTING},
	[LINK_RESTING] = {"resting", 0, 0, NULL, 1u << LINK_CONNECTING | 1u << LINK_RESTING},
	[LINK_CONNECTING] = {"connecting", POLLOUT, 0, on_connected,
                             1u << LINK_GREETED | 1u << LINK_RESTING},
	[LINK_GREETED] = {"greeted", POLLIN, sizeof(struct fr_tcp_hello), on_answer,
                          1u << LINK_CLAIMED | 1u << LINK_RESTING},
	[LINK_CLAIMED] = {"claimed", POLLIN, FR_AUTH_PROOF_BYTES, on_accepted,
                          1u << LINK_FREE | 1u << LINK_RESTING},
	[LINK_STRANGER] = {"stranger", POLLIN, sizeof(struct fr_tcp_hello), on_hello,
                           1u << LINK_CHALLENGED | 1u << LINK_FREE},
	[LINK_CHALLENGED] = {"challenged", POLLIN, FR_AUTH_PROOF_BYTES, on_proof, 1u << LINK_FREE},
};

static void set_state(struct link *l, enum link_state state)
{
	assert(behaviours[l->state].next & 1u << state);
	fr_log(FR_LOG_DEBUG, "tcp link of rank %d, lane %u: %s -> %s", l->peer, l->lane,
	       behaviours[l->state].name, behaviours[state].name);
	l->state = state;
	l->have = 0;
}

__attribute__((format(printf, 2, 3))) static void trouble(struct join *j, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(j->trouble, sizeof(j->trouble), format, args);
	va_end(args);
}

static bool is_ours(const struct join *j, const struct link *l)
{
	return l - j->links < j->n_ours;
}

/* Gives the connection up: ours rests before the next address, an accepted one is gone. */
static void drop(struct join *j, struct link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (!is_ours(j, l)) {
		set_state(l, LINK_FREE);
		return;
	}
	l->place++;
	if (l->place % j->addresses[l->peer].n_places == 0)
		l->rest = l->rest * 2 > REST_LAST_NS ? REST_LAST_NS : l->rest * 2;
	l->due = fr_clock_ns() + l->rest;
	set_state(l, LINK_RESTING);
}

static void tune(int fd)
{
	const int one = 1, idle_s = 10, every_s = 5, tries = 3, unacked_ms = 20000;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* A host that vanishes sends no end of file: found out by probes when the connection is
	 * quiet, by missing acknowledgements when it is not. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof(unacked_ms));
}

/* All of a handshake message or nothing: a fresh connection has room for it. */
static bool send_whole(const struct link *l, const void *bytes, size_t n)
{
	return send(l->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

static struct fr_tcp_hello make_hello(const struct join *j, struct link *l, enum fr_auth_role role)
{
	struct fr_tcp_hello hello = {
		.magic = FR_TCP_MAGIC,
		.version = FR_TCP_VERSION,
		.role = (uint16_t)role,
		.statement =
			{
				.comm_id = j->t->comm_id,
				.rank = (uint32_t)j->t->rank,
				.peer = (uint32_t)l->peer,
				.lane = l->lane,
				.n_lanes = j->sockets[l->peer].n_lanes,
			},
	};
	fr_auth_init(&l->auth, role, j->t->job_key, "tcp", (const unsigned char *)&hello.statement);
	memcpy(hello.nonce, l->auth.nonce[role], sizeof(hello.nonce));
	return hello;
}

/* The connection stands.  A newer one replaces an older one: the peer gave that up. */
static void keep(struct join *j, struct link *l)
{
	struct fr_tcp_sockets *s = &j->sockets[l->peer];
	if (s->fd[l->lane] >= 0)
		close(s->fd[l->lane]);
	else
		j->n_missing--;
	s->fd[l->lane] = l->fd;
	l->fd = -1;
	set_state(l, LINK_FREE);
}

/* ---- our connections ---- */

static void try_connect(struct join *j, struct link *l)
{
	const struct fr_tcp_address *a = &j->addresses[l->peer];
	const struct fr_tcp_place *place = &a->places[l->place % a->n_places];
	struct sockaddr_storage to;
	const socklen_t length = fr_tcp_place_sockaddr(place, &to);
	l->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			j->failure = FERRULE_ERR_SYSTEM;
		trouble(j, "socket: %s", strerror(errno));
		drop(j, l);
		return;
	}
	tune(l->fd);
	set_state(l, LINK_CONNECTING);
	l->due = a->n_places > 1 ? fr_clock_ns() + ATTEMPT_NS : UINT64_MAX;
	/* An error that is known at once is also told by SO_ERROR or by the send that follows. */
	if (connect(l->fd, (struct sockaddr *)&to, length) != 0 && errno != EINPROGRESS) {
		trouble(j, "rank %d: connect: %s", l->peer, strerror(errno));
		drop(j, l);
	}
}

static void on_connected(struct join *j, struct link *l)
{
	const struct fr_tcp_address *a = &j->addresses[l->peer];
	char where[64];
	int err = 0;
	socklen_t length = sizeof(err);
	getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &err, &length);
	const struct fr_tcp_hello hello = make_hello(j, l, FR_AUTH_CLIENT);
	if (err == 0 && send_whole(l, &hello, sizeof(hello))) {
		l->due = UINT64_MAX;
		set_state(l, LINK_GREETED);
		return;
	}
	trouble(j, "rank %d (%s): %s", l->peer,
	        fr_tcp_place_text(&a->places[l->place % a->n_places], where, sizeof(where)),
	        err != 0 ? strerror(err) : "closed the connection");
	drop(j, l);
}

static void on_answer(struct join *j, struct link *l)
{
	struct fr_tcp_hello hello;
	unsigned char proof[FR_AUTH_PROOF_BYTES];
	const struct fr_tcp_statement *s = &hello.statement;
	if (fr_tcp_hello_parse(l->in, FR_AUTH_SERVER, &hello) != FERRULE_OK ||
	    s->comm_id != j->t->comm_id || s->rank != (uint32_t)l->peer ||
	    s->peer != (uint32_t)j->t->rank || s->lane != l->lane ||
	    s->n_lanes != j->sockets[l->peer].n_lanes) {
		trouble(j, "somebody else answers at the address of rank %d", l->peer);
		drop(j, l);
		return;
	}
	fr_auth_peer(&l->auth, hello.nonce, (const unsigned char *)s);
	fr_auth_prove(&l->auth, proof);
	if (send_whole(l, proof, sizeof(proof)))
		set_state(l, LINK_CLAIMED);
	else
		drop(j, l);
}

static void on_accepted(struct join *j, struct link *l)
{
	if (fr_auth_verify(&l->auth, l->in)) {
		keep(j, l);
		return;
	}
	trouble(j, "rank %d did not prove the job key", l->peer);
	drop(j, l);
}

/* The other side closed while we waited for its next message. */
static void on_closed(struct join *j, struct link *l)
{
	if (l->state == LINK_CLAIMED) {
		trouble(j, "rank %d refused this rank's proof of the job key", l->peer);
		if (++l->n_refusals == REFUSALS_MAX)
			j->failure = FERRULE_ERR_AUTH;
	} else if (is_ours(j, l)) {
		trouble(j, "rank %d closed the connection during the handshake", l->peer);
	}
	drop(j, l);
}

/* ---- accepted connections ---- */

static void on_hello(struct join *j, struct link *l)
{
	struct fr_tcp_hello theirs;
	const struct fr_tcp_statement *s = &theirs.statement;
	if (fr_tcp_hello_parse(l->in, FR_AUTH_CLIENT, &theirs) != FERRULE_OK ||
	    s->comm_id != j->t->comm_id || s->peer != (uint32_t)j->t->rank ||
	    s->rank <= (uint32_t)j->t->rank || s->rank >= (uint32_t)j->t->n_ranks ||
	    j->sockets[s->rank].n_lanes == 0 || s->n_lanes != j->sockets[s->rank].n_lanes ||
	    s->lane > s->n_lanes) {
		drop(j, l);
		return;
	}
	l->peer = (int)s->rank;
	l->lane = s->lane;
	const struct fr_tcp_hello ours = make_hello(j, l, FR_AUTH_SERVER);
	fr_auth_peer(&l->auth, theirs.nonce, (const unsigned char *)s);
	if (send_whole(l, &ours, sizeof(ours)))
		set_state(l, LINK_CHALLENGED);
	else
		drop(j, l);
}

static void on_proof(struct join *j, struct link *l)
{
	unsigned char proof[FR_AUTH_PROOF_BYTES];
	if (!fr_auth_verify(&l->auth, l->in)) {
		trouble(j, "a connection that claimed to be rank %d did not prove the job key",
		        l->peer);
		drop(j, l);
		return;
	}
	fr_auth_prove(&l->auth, proof);
	if (send_whole(l, proof, sizeof(proof)))
		keep(j, l);
	else
		drop(j, l);
}

/* A slot for one more: a free one, or that of whoever has been silent longest. */
static struct link *stranger_slot(struct join *j)
{
	struct link *oldest = NULL;
	for (int i = j->n_ours; i < j->n_links; i++) {
		struct link *l = &j->links[i];
		if (l->state == LINK_FREE)
			return l;
		if (oldest == NULL || l->due < oldest->due)
			oldest = l;
	}
	drop(j, oldest);
	return oldest;
}

static void accept_all(struct join *j, int listener)
{
	for (;;) {
		const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			j->failure = FERRULE_ERR_SYSTEM;
			trouble(j, "accept: %s", strerror(errno));
		}
		if (fd < 0)
			return;
		tune(fd);
		struct link *l = stranger_slot(j);
		l->fd = fd;
		l->peer = -1;
		l->lane = 0;
		l->due = fr_clock_ns() + STRANGER_NS;
		set_state(l, LINK_STRANGER);
	}
}

/* ---- the loop ---- */

/* Reads what the state wants; its step runs when that is complete. */
static void serve(struct join *j, struct link *l)
{
	const struct behaviour *b = &behaviours[l->state];
	if (l->have < b->bytes) {
		const ssize_t n = recv(l->fd, l->in + l->have, b->bytes - l->have, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			on_closed(j, l);
			return;
		}
		l->have += (unsigned)n;
	}
	if (l->have == b->bytes)
		b->step(j, l);
}

/* What is due by the clock; returns when the next thing is. */
static uint64_t serve_clock(struct join *j, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	for (int i = 0; i < j->n_links; i++) {
		struct link *l = &j->links[i];
		if (l->state == LINK_FREE)
			continue;
		if (l->due <= now && l->state == LINK_RESTING)
			try_connect(j, l);
		else if (l->due <= now)
			drop(j, l);
		if (l->state != LINK_FREE && l->due < next)
			next = l->due;
	}
	return next;
}

static int fill_polls(struct join *j)
{
	int n = 0;
	for (int i = 0; i < j->t->address.n_places; i++)
		j->polls[n++] = (struct pollfd){.fd = j->t->listeners[i], .events = POLLIN};
	for (int i = 0; i < j->n_links; i++) {
		if (j->links[i].fd < 0)
			continue;
		j->polled[n] = i;
		j->polls[n++] = (struct pollfd){
			.fd = j->links[i].fd,
			.events = behaviours[j->links[i].state].events,
		};
	}
	return n;
}

static void serve_once(struct join *j, uint64_t deadline_ns)
{
	const uint64_t now = fr_clock_ns();
	uint64_t until = serve_clock(j, now);
	if (until > deadline_ns)
		until = deadline_ns;
	const int n = fill_polls(j);
	const uint64_t wait_ms = until > now ? (until - now) / MILLISECOND + 1 : 0;
	if (poll(j->polls, (nfds_t)n, wait_ms > 1000 ? 1000 : (int)wait_ms) <= 0)
		return;
	const int n_listeners = j->t->address.n_places;
	for (int i = n_listeners; i < n; i++) {
		if (j->polls[i].revents != 0)
			serve(j, &j->links[j->polled[i]]);
	}
	/* Last, so that no slot changes hands under an entry of `polls`. */
	for (int i = 0; i < n_listeners; i++) {
		if (j->polls[i].revents != 0)
			accept_all(j, j->t->listeners[i]);
	}
}

static bool is_complete(const struct fr_tcp_sockets *s)
{
	for (unsigned lane = 0; s->n_lanes > 0 && lane <= s->n_lanes; lane++) {
		if (s->fd[lane] < 0)
			return false;
	}
	return true;
}

/* "ranks 2, 5 did not connect in time (connection refused)" */
static void name_missing(const struct join *j, char *why, size_t why_bytes)
{
	char ranks[100];
	size_t at = 0;
	int n = 0, n_more = 0;
	for (int r = 0; r < j->t->n_ranks; r++) {
		if (is_complete(&j->sockets[r]))
			continue;
		n++;
		if (at + 16 > sizeof(ranks))
			n_more++;
		else
			at += (size_t)snprintf(ranks + at, sizeof(ranks) - at, "%s%d",
			                       n > 1 ? ", " : "", r);
	}
	if (n_more > 0)
		snprintf(ranks + at, sizeof(ranks) - at, ", +%d", n_more);
	snprintf(why, why_bytes, "tcp: rank%s %s did not connect to rank %d in time%s%s",
	         n > 1 ? "s" : "", ranks, j->t->rank, j->trouble[0] != '\0' ? "; " : "",
	         j->trouble);
}

/* Fills in our links and counts what is missing. */
static void plan_links(struct join *j, uint64_t now)
{
	for (int i = 0; i < j->n_links; i++)
		j->links[i] = (struct link){.state = LINK_FREE, .fd = -1, .peer = -1};
	int next = 0;
	for (int r = 0; r < j->t->n_ranks; r++) {
		const unsigned n = j->sockets[r].n_lanes;
		if (n == 0)
			continue;
		j->n_missing += (int)n + 1;
		for (unsigned lane = 0; r < j->t->rank && lane <= n; lane++) {
			struct link *l = &j->links[next++];
			l->peer = r;
			l->lane = lane;
			l->due = now;
			l->rest = REST_FIRST_NS;
			set_state(l, LINK_RESTING);
		}
	}
}

static void note_places(const struct join *j)
{
	for (int r = 0; r < j->t->n_ranks; r++) {
		struct sockaddr_storage from;
		socklen_t length = sizeof(from);
		struct fr_tcp_sockets *s = &j->sockets[r];
		struct fr_tcp_place place = {.family = 4};
		if (s->n_lanes == 0 || getpeername(s->fd[0], (struct sockaddr *)&from, &length))
			continue;
		if (from.ss_family == AF_INET6) {
			const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&from;
			place.family = 6;
			place.port = ntohs(in6->sin6_port);
			memcpy(place.addr, &in6->sin6_addr, 16);
		} else {
			const struct sockaddr_in *in = (const struct sockaddr_in *)&from;
			place.port = ntohs(in->sin_port);
			memcpy(place.addr, &in->sin_addr, 4);
		}
		fr_tcp_place_text(&place, s->where, sizeof(s->where));
	}
}

ferrule_status_t fr_tcp_join(struct fr_tcp *t, const struct fr_tcp_address *addresses,
                             struct fr_tcp_sockets *sockets, uint64_t deadline_ns, char *why,
                             size_t why_bytes)
{
	struct join j = {.t = t, .addresses = addresses, .sockets = sockets};
	int n_theirs = STRANGERS_MAX;
	for (int r = 0; r < t->n_ranks; r++) {
		const int n = sockets[r].n_lanes > 0 ? (int)sockets[r].n_lanes + 1 : 0;
		if (r < t->rank)
			j.n_ours += n;
		else
			n_theirs += n;
	}
	j.n_links = j.n_ours + n_theirs;
	const size_t n_polls = (size_t)j.n_links + FR_TCP_PLACES_MAX;
	j.links = calloc((size_t)j.n_links, sizeof(*j.links));
	j.polls = calloc(n_polls, sizeof(*j.polls));
	j.polled = calloc(n_polls, sizeof(*j.polled));
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;
	if (j.links == NULL || j.polls == NULL || j.polled == NULL) {
		snprintf(why, why_bytes, "tcp: no memory for %d connections", j.n_links);
		goto out_free;
	}
	plan_links(&j, fr_clock_ns());
	while (j.n_missing > 0 && j.failure == FERRULE_OK && fr_clock_ns() < deadline_ns)
		serve_once(&j, deadline_ns);
	status = j.failure;
	if (status != FERRULE_OK) {
		snprintf(why, why_bytes, "tcp: %s", j.trouble);
	} else if (j.n_missing > 0) {
		status = FERRULE_ERR_TIMEOUT;
		name_missing(&j, why, why_bytes);
	} else {
		note_places(&j);
	}
	for (int i = 0; i < j.n_links; i++) {
		if (j.links[i].fd >= 0)
			close(j.links[i].fd);
	}
out_free:
	free(j.polled);
	free(j.polls);
	free(j.links);
	return status;
}

/* ---- listening ---- */

/* A listening socket at the place, whose port it fills in; -1 and errno when refused. */
static int listen_at(struct fr_tcp_place *place)
{
	struct sockaddr_storage at;
	socklen_t length = fr_tcp_place_sockaddr(place, &at);
	const int one = 1;
	const int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (at.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, length) != 0 || listen(fd, SOMAXCONN) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &length) != 0) {
		const int err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	place->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
	                                             : ((struct sockaddr_in *)&at)->sin_port);
	return fd;
}

ferrule_status_t fr_tcp_listen(struct fr_tcp *t, const struct fr_transport_params *params,
                               char *why, size_t why_bytes)
{
	const struct fr_settings *set = fr_settings();
	struct fr_tcp_wish wish = {
		.ifname = set->socket_ifname,
		.family = set->socket_family,
		.one_host = params->one_host,
	};
	struct fr_tcp_place places[PLACES_USED];
	struct ifaddrs *list;
	fr_tcp_route(params->master_addr, &wish.route);
	if (getifaddrs(&list) != 0) {
		snprintf(why, why_bytes, "tcp: getifaddrs: %s", strerror(errno));
		return FERRULE_ERR_SYSTEM;
	}
	const int n = fr_tcp_places_choose(list, &wish, places, PLACES_USED, why, why_bytes);
	freeifaddrs(list);
	if (n == 0)
		return wish.ifname[0] != '\0' || strcmp(wish.family, "any") != 0
		               ? FERRULE_ERR_SETTING
		               : FERRULE_ERR_TRANSPORT;
	t->address = (struct fr_tcp_address){
		.magic = FR_TCP_MAGIC,
		.version = FR_TCP_VERSION,
		.n_lanes = (uint8_t)t->n_lanes,
	};
	for (int i = 0; i < n; i++) {
		const int fd = listen_at(&places[i]);
		char text[64];
		if (fd < 0) {
			snprintf(why, why_bytes, "tcp: cannot listen at %s: %s",
			         fr_tcp_place_text(&places[i], text, sizeof(text)),
			         strerror(errno));
			continue;
		}
		t->listeners[t->address.n_places] = fd;
		t->address.places[t->address.n_places++] = places[i];
	}
	return t->address.n_places > 0 ? FERRULE_OK : FERRULE_ERR_SYSTEM;
}

void fr_tcp_unlisten(struct fr_tcp *t)
{
	for (int i = 0; i < FR_TCP_PLACES_MAX; i++) {
		if (t->listeners[i] >= 0)
			close(t->listeners[i]);
		t->listeners[i] = -1;
	}
}

/*
 * Every rank listens; rank i connects to ranks below it and accepts those above, all in one
 * poll loop.  A conn is one connection on its way through the handshake of link_wire.h; what
 * it does when its bytes are here is the table by state below.
 *
 * Nobody is believed before the proof.  Accepted connections that say nothing, or nonsense,
 * are dropped without a word; there is a limit to how many are looked at together and for how
 * long, so they cost a wait nothing.
 */
#include "config.h"

#include "lib/base/descriptors.h"
#include "lib/transport/link/link_hub.h"

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
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/settings.h"
#include "lib/base/supervisor.h"
#include "lib/base/system.h"
#include "lib/base/text.h"
#include "lib/transport/link/link_place.h"

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

enum conn_state {
	CONN_FREE,       /* the slot holds no connection */
	CONN_RESTING,    /* ours: the last try failed, the next comes at `due` */
	CONN_CONNECTING, /* ours: connect() is under way */
	CONN_GREETED,    /* ours: sent HELLO, the peer's HELLO is next */
	CONN_CLAIMED,    /* ours: sent PROOF, the peer's PROOF is next */
	CONN_STRANGER,   /* accepted: a HELLO is next */
	CONN_CHALLENGED, /* accepted: sent HELLO, a PROOF is next */
	CONN_N_STATES
};

struct conn {
	enum conn_state state;
	int fd;
	int peer; /* STRANGER: not known yet */
	unsigned lane;
	unsigned place; /* which of the peer's addresses is tried */
	uint64_t due;   /* when to try again, or to give up on an attempt or a stranger */
	uint64_t rest;
	struct fr_auth auth;
	unsigned have;
	unsigned char in[sizeof(struct fr_link_hello)];
};

struct join {
	struct fr_link_hub *hub;
	const struct fr_link_address *addresses;
	struct fr_link_sockets *sockets;
	struct conn *conns; /* ours first, then slots for accepted ones */
	struct pollfd *polls;
	int *polled; /* the connection of each entry after the listeners */
	int n_ours, n_conns;
	int n_missing;
	ferrule_status_t failure; /* ends the join before the deadline */
	char trouble[320];        /* what went wrong last, "" when nothing did */
};

typedef void step_fn(struct join *j, struct conn *c);
static step_fn on_connected, on_answer, on_accepted, on_hello, on_proof;

static const struct behaviour {
	const char *name;
	short events;
	unsigned bytes; /* what `step` wants to have read */
	step_fn *step;
	unsigned next; /* states that may follow, a bit each */
} behaviours[CONN_N_STATES] = {
	[CONN_FREE] = {"free", 0, 0, NULL, 1u << CONN_STRANGER | 1u << CONN_RESTING},
	[CONN_RESTING] = {"resting", 0, 0, NULL, 1u << CONN_CONNECTING | 1u << CONN_RESTING},
	[CONN_CONNECTING] = {"connecting", POLLOUT, 0, on_connected,
                             1u << CONN_GREETED | 1u << CONN_RESTING},
	[CONN_GREETED] = {"greeted", POLLIN, sizeof(struct fr_link_hello), on_answer,
                          1u << CONN_CLAIMED | 1u << CONN_RESTING},
	[CONN_CLAIMED] = {"claimed", POLLIN, FR_AUTH_PROOF_BYTES, on_accepted,
                          1u << CONN_FREE | 1u << CONN_RESTING},
	[CONN_STRANGER] = {"stranger", POLLIN, sizeof(struct fr_link_hello), on_hello,
                           1u << CONN_CHALLENGED | 1u << CONN_FREE},
	[CONN_CHALLENGED] = {"challenged", POLLIN, FR_AUTH_PROOF_BYTES, on_proof, 1u << CONN_FREE},
};

static void set_state(struct conn *c, enum conn_state state)
{
	assert(behaviours[c->state].next & 1u << state);
	fr_log(FR_LOG_DEBUG, "link of rank %d, lane %u: %s -> %s", c->peer, c->lane,
	       behaviours[c->state].name, behaviours[state].name);
	c->state = state;
	c->have = 0;
}

__attribute__((format(printf, 2, 3))) static void trouble(struct join *j, const char *format, ...)
{
	va_list args;
	if (j->failure != FERRULE_OK)
		return; /* that text stays */
	va_start(args, format);
	fr_vformat(j->trouble, sizeof(j->trouble), format, args);
	va_end(args);
}

static bool is_ours(const struct join *j, const struct conn *c)
{
	return c - j->conns < j->n_ours;
}

/* Gives the connection up: ours rests before the next address, an accepted one is gone. */
static void drop(struct join *j, struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (!is_ours(j, c)) {
		set_state(c, CONN_FREE);
		return;
	}
	c->place++;
	if (c->place % j->addresses[c->peer].n_places == 0)
		c->rest = c->rest * 2 > REST_LAST_NS ? REST_LAST_NS : c->rest * 2;
	c->due = fr_clock_ns() + c->rest;
	set_state(c, CONN_RESTING);
}

static void tune(int fd)
{
	const int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* This rank cannot go on, whatever the others do. */
static void fail_call(struct join *j, const char *call, int err)
{
	if (j->failure != FERRULE_OK)
		return;
	j->failure = FERRULE_ERR_SYSTEM;
	fr_system_text(call, err, j->trouble, sizeof(j->trouble));
}

/* All of a handshake message or nothing: a fresh connection has room for it. */
static bool send_whole(struct join *j, const struct conn *c, const void *bytes, size_t n)
{
	const ssize_t sent = fr_link_send(c->fd, bytes, n);
	if (sent < 0 && fr_is_exhaustion(errno))
		fail_call(j, "send", errno);
	return sent == (ssize_t)n;
}

static struct fr_link_hello make_hello(const struct join *j, struct conn *c, enum fr_auth_role role)
{
	struct fr_link_hello hello = {
		.magic = FR_LINK_MAGIC,
		.version = FR_LINK_VERSION,
		.role = (uint16_t)role,
		.statement =
			{
				.comm_id = j->hub->comm_id,
				.rank = (uint32_t)j->hub->rank,
				.peer = (uint32_t)c->peer,
				.lane = c->lane,
				.n_lanes = j->sockets[c->peer].n_lanes,
			},
	};
	fr_auth_init(&c->auth, role, j->hub->job_key, j->hub->context,
	             (const unsigned char *)&hello.statement);
	memcpy(hello.nonce, c->auth.nonce[role], sizeof(hello.nonce));
	return hello;
}

/* The connection stands.  A newer one replaces an older one: the peer gave that up. */
static void keep(struct join *j, struct conn *c)
{
	struct fr_link_sockets *s = &j->sockets[c->peer];
	if (s->fd[c->lane] >= 0)
		close(s->fd[c->lane]);
	else
		j->n_missing--;
	s->fd[c->lane] = c->fd;
	c->fd = -1;
	set_state(c, CONN_FREE);
}

/* ---- running out ---- */

/* The accepted connection that has been unproven longest; NULL when there is none. */
static struct conn *oldest_stranger(struct join *j)
{
	struct conn *oldest = NULL;
	for (int i = j->n_ours; i < j->n_conns; i++) {
		struct conn *c = &j->conns[i];
		if (c->state != CONN_FREE && (oldest == NULL || c->due < oldest->due))
			oldest = c;
	}
	return oldest;
}

/* A call failed for want of something: may it be tried again, now that a stranger has gone? */
static bool make_room(struct join *j, int err)
{
	struct conn *oldest = err == EMFILE || err == ENFILE ? oldest_stranger(j) : NULL;
	if (oldest != NULL)
		drop(j, oldest);
	return oldest != NULL;
}

/* ---- our connections ---- */

static void try_connect(struct join *j, struct conn *c)
{
	const struct fr_link_address *a = &j->addresses[c->peer];
	const struct fr_link_place *place = &a->places[c->place % a->n_places];
	struct sockaddr_storage to;
	const socklen_t length = fr_link_place_sockaddr(place, &to);
	c->fd = fr_fd_own(socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	if (c->fd < 0) {
		const int err = errno;
		if (!make_room(j, err))
			fail_call(j, "socket", err);
		drop(j, c);
		return;
	}
	tune(c->fd);
	set_state(c, CONN_CONNECTING);
	c->due = a->n_places > 1 ? fr_clock_ns() + ATTEMPT_NS : UINT64_MAX;
	/* An error that is known at once is also told by SO_ERROR or by the send that follows. */
	if (connect(c->fd, (struct sockaddr *)&to, length) != 0 && errno != EINPROGRESS) {
		if (fr_is_exhaustion(errno))
			fail_call(j, "connect", errno);
		else
			trouble(j, "rank %d: connect: %s", c->peer, strerror(errno));
		drop(j, c);
	}
}

static void on_connected(struct join *j, struct conn *c)
{
	const struct fr_link_address *a = &j->addresses[c->peer];
	char where[64];
	int err = 0;
	socklen_t length = sizeof(err);
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &length);
	const struct fr_link_hello hello = make_hello(j, c, FR_AUTH_CLIENT);
	if (err == 0 && send_whole(j, c, &hello, sizeof(hello))) {
		c->due = UINT64_MAX;
		set_state(c, CONN_GREETED);
		return;
	}
	trouble(j, "rank %d (%s): %s", c->peer,
	        fr_link_place_text(&a->places[c->place % a->n_places], where, sizeof(where)),
	        err != 0 ? strerror(err) : "closed the connection");
	drop(j, c);
}

static void on_answer(struct join *j, struct conn *c)
{
	struct fr_link_hello hello;
	unsigned char proof[FR_AUTH_PROOF_BYTES];
	const struct fr_link_statement *s = &hello.statement;
	if (fr_link_hello_parse(c->in, FR_AUTH_SERVER, &hello) != FERRULE_OK ||
	    s->comm_id != j->hub->comm_id || s->rank != (uint32_t)c->peer ||
	    s->peer != (uint32_t)j->hub->rank || s->lane != c->lane ||
	    s->n_lanes != j->sockets[c->peer].n_lanes) {
		trouble(j, "somebody else answers at the address of rank %d", c->peer);
		drop(j, c);
		return;
	}
	fr_auth_peer(&c->auth, hello.nonce, (const unsigned char *)s);
	fr_auth_prove(&c->auth, proof);
	if (send_whole(j, c, proof, sizeof(proof)))
		set_state(c, CONN_CLAIMED);
	else
		drop(j, c);
}

static void on_accepted(struct join *j, struct conn *c)
{
	if (fr_auth_verify(&c->auth, c->in)) {
		keep(j, c);
		return;
	}
	trouble(j, "rank %d did not prove the job key", c->peer);
	drop(j, c);
}

/* The other side closed while we waited for its next message. */
static void on_closed(struct join *j, struct conn *c)
{
	if (c->state == CONN_CLAIMED) {
		/* Nothing that has not proved itself ends the join: the peer may come yet. */
		trouble(j,
		        "what answers at the address of rank %d refused this rank's proof of the "
		        "job key",
		        c->peer);
	} else if (is_ours(j, c)) {
		trouble(j, "rank %d closed the connection during the handshake", c->peer);
	}
	drop(j, c);
}

/* ---- accepted connections ---- */

static void on_hello(struct join *j, struct conn *c)
{
	struct fr_link_hello theirs;
	const struct fr_link_statement *s = &theirs.statement;
	if (fr_link_hello_parse(c->in, FR_AUTH_CLIENT, &theirs) != FERRULE_OK ||
	    s->comm_id != j->hub->comm_id || s->peer != (uint32_t)j->hub->rank ||
	    s->rank <= (uint32_t)j->hub->rank || s->rank >= (uint32_t)j->hub->n_ranks ||
	    !j->sockets[s->rank].is_wanted || s->n_lanes != j->sockets[s->rank].n_lanes ||
	    s->lane > s->n_lanes) {
		drop(j, c);
		return;
	}
	c->peer = (int)s->rank;
	c->lane = s->lane;
	const struct fr_link_hello ours = make_hello(j, c, FR_AUTH_SERVER);
	fr_auth_peer(&c->auth, theirs.nonce, (const unsigned char *)s);
	if (send_whole(j, c, &ours, sizeof(ours)))
		set_state(c, CONN_CHALLENGED);
	else
		drop(j, c);
}

static void on_proof(struct join *j, struct conn *c)
{
	unsigned char proof[FR_AUTH_PROOF_BYTES];
	if (!fr_auth_verify(&c->auth, c->in)) {
		trouble(j, "a connection that claimed to be rank %d did not prove the job key",
		        c->peer);
		drop(j, c);
		return;
	}
	fr_auth_prove(&c->auth, proof);
	if (send_whole(j, c, proof, sizeof(proof)))
		keep(j, c);
	else
		drop(j, c);
}

/* A slot for one more: a free one, or that of the oldest stranger. */
static struct conn *stranger_slot(struct join *j)
{
	for (int i = j->n_ours; i < j->n_conns; i++)
		if (j->conns[i].state == CONN_FREE)
			return &j->conns[i];
	struct conn *oldest = oldest_stranger(j);
	drop(j, oldest);
	return oldest;
}

static void accept_all(struct join *j, int listener)
{
	for (;;) {
		const int fd =
			fr_fd_own(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
		if (fd < 0 && fr_is_exhaustion(errno)) {
			const int err = errno;
			if (!make_room(j, err)) {
				fail_call(j, "accept", err);
				return;
			}
			continue;
		}
		if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
			continue;
		if (fd < 0)
			return;
		tune(fd);
		struct conn *c = stranger_slot(j);
		c->fd = fd;
		c->peer = -1;
		c->lane = 0;
		c->due = fr_clock_ns() + STRANGER_NS;
		set_state(c, CONN_STRANGER);
	}
}

/* ---- the loop ---- */

/* Reads what the state wants; its step runs when that is complete. */
static void serve(struct join *j, struct conn *c)
{
	const struct behaviour *b = &behaviours[c->state];
	if (c->have < b->bytes) {
		const ssize_t n = recv(c->fd, c->in + c->have, b->bytes - c->have, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0 && fr_is_exhaustion(errno))
			fail_call(j, "recv", errno);
		if (n <= 0) {
			on_closed(j, c);
			return;
		}
		c->have += (unsigned)n;
	}
	if (c->have == b->bytes)
		b->step(j, c);
}

/* What is due by the clock; returns when the next thing is. */
static uint64_t serve_clock(struct join *j, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	for (int i = 0; i < j->n_conns; i++) {
		struct conn *c = &j->conns[i];
		if (c->state == CONN_FREE)
			continue;
		if (c->due <= now && c->state == CONN_RESTING)
			try_connect(j, c);
		else if (c->due <= now)
			drop(j, c);
		if (c->state != CONN_FREE && c->due < next)
			next = c->due;
	}
	return next;
}

static int fill_polls(struct join *j)
{
	int n = 0;
	for (int i = 0; i < j->hub->address.n_places; i++)
		j->polls[n++] = (struct pollfd){.fd = j->hub->listeners[i], .events = POLLIN};
	for (int i = 0; i < j->n_conns; i++) {
		if (j->conns[i].fd < 0)
			continue;
		j->polled[n] = i;
		j->polls[n++] = (struct pollfd){
			.fd = j->conns[i].fd,
			.events = behaviours[j->conns[i].state].events,
		};
	}
	j->polls[n] = (struct pollfd){.fd = fr_supervisor_fd(j->hub->supervisor), .events = POLLIN};
	return n;
}

static void heed_supervisor(struct join *j)
{
	const ferrule_status_t status = fr_supervisor_check(j->hub->supervisor);
	if (status == FERRULE_OK)
		return;
	j->failure = status;
	snprintf(j->trouble, sizeof(j->trouble), "%s", fr_error_text());
}

static void serve_once(struct join *j, uint64_t deadline_ns)
{
	const uint64_t now = fr_clock_ns(), look = FR_SUPERVISOR_LOOK_MS * (uint64_t)MILLISECOND;
	uint64_t until = serve_clock(j, now);
	if (until > deadline_ns)
		until = deadline_ns;
	if (j->hub->supervisor != NULL && until > now + look)
		until = now + look;
	const int n = fill_polls(j);
	const uint64_t wait_ms = until > now ? (until - now) / MILLISECOND + 1 : 0;
	const int n_ready = poll(j->polls, (nfds_t)n + 1, wait_ms > 1000 ? 1000 : (int)wait_ms);
	if (n_ready < 0 && errno != EINTR)
		fail_call(j, "poll", errno);
	heed_supervisor(j);
	if (n_ready <= 0)
		return;
	const int n_listeners = j->hub->address.n_places;
	for (int i = n_listeners; i < n; i++) {
		if (j->polls[i].revents != 0)
			serve(j, &j->conns[j->polled[i]]);
	}
	/* Last, so that no slot changes hands under an entry of `polls`. */
	for (int i = 0; i < n_listeners; i++) {
		if (j->polls[i].revents != 0)
			accept_all(j, j->hub->listeners[i]);
	}
}

static bool is_complete(const struct fr_link_sockets *s)
{
	for (unsigned lane = 0; s->is_wanted && lane <= s->n_lanes; lane++) {
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
	for (int r = 0; r < j->hub->n_ranks; r++) {
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
	snprintf(why, why_bytes, "%s: rank%s %s did not connect to rank %d in time%s%s",
	         j->hub->context, n > 1 ? "s" : "", ranks, j->hub->rank,
	         j->trouble[0] != '\0' ? "; " : "", j->trouble);
}

/* Fills in our connections and counts what is missing. */
static void plan_conns(struct join *j, uint64_t now)
{
	for (int i = 0; i < j->n_conns; i++)
		j->conns[i] = (struct conn){.state = CONN_FREE, .fd = -1, .peer = -1};
	int next = 0;
	for (int r = 0; r < j->hub->n_ranks; r++) {
		const unsigned n = j->sockets[r].n_lanes;
		if (!j->sockets[r].is_wanted)
			continue;
		j->n_missing += (int)n + 1;
		for (unsigned lane = 0; r < j->hub->rank && lane <= n; lane++) {
			struct conn *c = &j->conns[next++];
			c->peer = r;
			c->lane = lane;
			c->due = now;
			c->rest = REST_FIRST_NS;
			set_state(c, CONN_RESTING);
		}
	}
}

static void note_places(const struct join *j)
{
	for (int r = 0; r < j->hub->n_ranks; r++) {
		struct sockaddr_storage from;
		socklen_t length = sizeof(from);
		struct fr_link_sockets *s = &j->sockets[r];
		struct fr_link_place place = {.family = 4};
		if (!s->is_wanted || getpeername(s->fd[0], (struct sockaddr *)&from, &length))
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
		fr_link_place_text(&place, s->where, sizeof(s->where));
	}
}

ferrule_status_t fr_link_join(struct fr_link_hub *hub, const struct fr_link_address *addresses,
                              struct fr_link_sockets *sockets, uint64_t deadline_ns, char *why,
                              size_t why_bytes)
{
	struct join j = {.hub = hub, .addresses = addresses, .sockets = sockets};
	int n_theirs = STRANGERS_MAX;
	for (int r = 0; r < hub->n_ranks; r++) {
		const int n = sockets[r].is_wanted ? (int)sockets[r].n_lanes + 1 : 0;
		if (r < hub->rank)
			j.n_ours += n;
		else
			n_theirs += n;
	}
	j.n_conns = j.n_ours + n_theirs;
	const size_t n_polls = (size_t)j.n_conns + FR_LINK_PLACES_MAX + 1;
	j.conns = calloc((size_t)j.n_conns, sizeof(*j.conns));
	j.polls = calloc(n_polls, sizeof(*j.polls));
	j.polled = calloc(n_polls, sizeof(*j.polled));
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;
	if (j.conns == NULL || j.polls == NULL || j.polled == NULL) {
		snprintf(why, why_bytes, "%s: no memory for %d connections", hub->context,
		         j.n_conns);
		goto out_free;
	}
	plan_conns(&j, fr_clock_ns());
	while (j.n_missing > 0 && j.failure == FERRULE_OK && fr_clock_ns() < deadline_ns)
		serve_once(&j, deadline_ns);
	status = j.failure;
	if (status != FERRULE_OK) {
		snprintf(why, why_bytes, "%s: %s", hub->context, j.trouble);
	} else if (j.n_missing > 0) {
		status = FERRULE_ERR_TIMEOUT;
		name_missing(&j, why, why_bytes);
	} else {
		note_places(&j);
	}
	for (int i = 0; i < j.n_conns; i++) {
		if (j.conns[i].fd >= 0)
			close(j.conns[i].fd);
	}
out_free:
	/* Each connection holds the job key. */
	if (j.conns)
		fr_wipe(j.conns, (size_t)j.n_conns * sizeof(*j.conns));
	free(j.polled);
	free(j.polls);
	free(j.conns);
	return status;
}

/*
 * boot_server.c - rank 0's side of the rendezvous.
 *
 * Design.  One poll loop, no thread.  A connection is a guest until it has proved the job key
 * and a member afterwards.  Guests are strangers: whatever they do, they are dropped and the
 * wait goes on.  Members are ranks: if one of them dies, gives up or contradicts rank 0, the
 * boot has failed, and every member is told why before the connections are closed, so that
 * all ranks report the same cause.
 */
#include "config.h"

#include "lib/comm/boot_star.h"

#include <errno.h>
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
#include "lib/base/ranks.h"
#include "lib/base/text.h"
#include "lib/base/wire.h"
#include "lib/comm/boot_guest.h"
#include "lib/comm/boot_wire.h"

_Static_assert(FR_NET_HOST_BYTES == FR_BOOT_HOST_BYTES, "a host travels whole");

/* More strangers than this at once push out the one that came first. */
#define N_GUESTS 256
/* A guest that has not proved the key by then is dropped.  A rank needs a millisecond. */
#define GUEST_PATIENCE_NS 10000000000u
/* How long a failed rank 0 waits for the others to have read why. */
#define FAREWELL_NS 500000000u
#define LIST_BYTES  200

/* One rank that has proved the key. */
struct member {
	int fd;
	size_t moved; /* bytes of the frame under way */
	unsigned char head[FR_BOOT_HEAD_BYTES];
	size_t asked; /* bytes of a GIVE_UP that comes while others are waited for */
	unsigned char ask[FR_BOOT_HEAD_BYTES];
};

struct fr_boot_server {
	struct fr_boot_statement self;
	int n_ranks, n_members;
	unsigned char key[FR_AUTH_KEY_BYTES];
	uint64_t comm_id, opened_ns;
	uint32_t round;
	int listen_fd; /* -1 once all have arrived */
	char where[160];
	char host[FR_BOOT_HOST_BYTES]; /* for all ranks, see boot_wire.h */
	struct member *members;  /* [n_ranks]; fd -1: not here.  Rank 0 itself stays unused. */
	struct pollfd *polls;    /* [1 + N_GUESTS + n_ranks] */
	int *poll_owner;         /* which guest or rank a poll is about */
	struct fr_guest *guests; /* [N_GUESTS], while opening */
	bool *done;              /* [n_ranks], scratch: who has finished the step under way */
	int n_rejected;          /* guests with a wrong proof */
	char rejected_text[FR_NET_TEXT_BYTES + 40];
};

static void free_server(struct fr_boot_server *s)
{
	for (int i = 0; s->guests && i < N_GUESTS; i++)
		if (s->guests[i].state != FR_GUEST_FREE)
			fr_guest_dismiss(&s->guests[i]);
	for (int rank = 1; s->members && rank < s->n_ranks; rank++)
		if (s->members[rank].fd >= 0)
			close(s->members[rank].fd);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	free(s->guests);
	free(s->members);
	free(s->polls);
	free(s->poll_owner);
	free(s->done);
	fr_wipe(s->key, sizeof(s->key));
	free(s);
}

/* Frees `listen_fd` too when it fails. */
static struct fr_boot_server *new_server(const struct fr_star_params *p, int listen_fd)
{
	const size_t n = (size_t)p->n_ranks;
	struct fr_boot_server *s = calloc(1, sizeof(*s));

	if (!s) {
		close(listen_fd);
		return NULL;
	}
	s->listen_fd = listen_fd;
	s->n_ranks = p->n_ranks;
	s->members = calloc(n, sizeof(*s->members));
	s->polls = calloc(1 + N_GUESTS + n, sizeof(*s->polls));
	s->poll_owner = calloc(1 + N_GUESTS + n, sizeof(*s->poll_owner));
	s->guests = calloc(N_GUESTS, sizeof(*s->guests));
	s->done = calloc(n, sizeof(*s->done));
	for (size_t rank = 0; s->members && rank < n; rank++)
		s->members[rank].fd = -1;
	if (!s->members || !s->polls || !s->poll_owner || !s->guests || !s->done) {
		free_server(s);
		return NULL;
	}
	s->self = (struct fr_boot_statement){
		.version = FR_BOOT_VERSION, .rank = 0, .n_ranks = (uint32_t)p->n_ranks};
	memcpy(s->key, p->key, sizeof(s->key));
	fr_random(&s->comm_id, sizeof(s->comm_id));
	s->opened_ns = fr_clock_ns();
	snprintf(s->where, sizeof(s->where), "%s", p->place->text);
	return s;
}

/* ---- failing together ---- */

static void tell_failure(int fd, ferrule_status_t status, const char *text)
{
	unsigned char frame[FR_BOOT_HEAD_BYTES + FR_BOOT_FAIL_MAX_BYTES];
	const size_t payload = fr_boot_put_fail(status, text, frame + FR_BOOT_HEAD_BYTES);
	const struct fr_boot_head head = {.kind = FR_BOOT_FAIL, .length = (uint32_t)payload};

	fr_boot_put_head(&head, frame);
	/* Best effort: a rank that cannot be told sees the connection end. */
	if (send(fd, frame, FR_BOOT_HEAD_BYTES + payload, MSG_NOSIGNAL) > 0)
		shutdown(fd, SHUT_WR);
}

/* Reads and forgets; false when the peer has closed. */
static bool is_still_open(int fd)
{
	char waste[4096];
	ssize_t n;

	do {
		n = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 && errno == EAGAIN;
}

/*
 * Closing a socket with unread data resets it, and a reset may overtake the FAIL that was
 * sent before.  So everything is read until the members have closed.
 */
static void farewell(struct fr_boot_server *s)
{
	const uint64_t deadline = fr_clock_ns() + FAREWELL_NS;

	for (;;) {
		nfds_t n = 0;
		for (int rank = 1; rank < s->n_ranks; rank++) {
			struct member *m = &s->members[rank];
			if (m->fd < 0)
				continue;
			if (is_still_open(m->fd)) {
				s->polls[n++] = (struct pollfd){.fd = m->fd, .events = POLLIN};
				continue;
			}
			close(m->fd);
			m->fd = -1;
		}
		const int ms = fr_net_poll_ms(deadline);
		if (n == 0 || ms == 0)
			return;
		poll(s->polls, n, ms);
	}
}

__attribute__((format(printf, 3, 4))) static ferrule_status_t fail(struct fr_boot_server *s,
                                                                   ferrule_status_t status,
                                                                   const char *format, ...)
{
	char text[FR_BOOT_FAIL_MAX_TEXT + 1];
	va_list args;

	va_start(args, format);
	fr_vformat(text, sizeof(text), format, args);
	va_end(args);
	for (int rank = 1; rank < s->n_ranks; rank++)
		if (s->members[rank].fd >= 0)
			tell_failure(s->members[rank].fd, status, text);
	farewell(s);
	return fr_error(status, "%s", text);
}

static double seconds_open(const struct fr_boot_server *s)
{
	return (double)(fr_clock_ns() - s->opened_ns) * 1e-9;
}

static ferrule_status_t fail_missing(struct fr_boot_server *s)
{
	char list[LIST_BYTES], rejected[200] = "";

	for (int rank = 0; rank < s->n_ranks; rank++)
		s->done[rank] = rank == 0 || s->members[rank].fd >= 0;
	if (s->n_rejected > 0)
		snprintf(rejected, sizeof(rejected),
		         "; %d connection%s did not prove the job key (FERRULE_JOB_KEY), the "
		         "last %s",
		         s->n_rejected, s->n_rejected == 1 ? "" : "s", s->rejected_text);
	return fail(s, FERRULE_ERR_TIMEOUT, "%s of %d did not arrive within %.3g s at %s%s",
	            fr_ranks_text(s->done, false, s->n_ranks, list, sizeof(list)), s->n_ranks,
	            seconds_open(s), s->where, rejected);
}

static ferrule_status_t fail_late_round(struct fr_boot_server *s)
{
	char list[LIST_BYTES];

	return fail(s, FERRULE_ERR_TIMEOUT,
	            "%s of %d arrived but did not finish step %u of the set-up in time",
	            fr_ranks_text(s->done, false, s->n_ranks, list, sizeof(list)), s->n_ranks,
	            s->round);
}

static ferrule_status_t fail_died(struct fr_boot_server *s, int rank)
{
	close(s->members[rank].fd);
	s->members[rank].fd = -1;
	return fail(s, FERRULE_ERR_PEER_DIED,
	            "rank %d of %d died or gave up while the communicator was set up", rank,
	            s->n_ranks);
}

/* ---- arrival ---- */

/* Did a socket call that moved nothing merely come too early? */
static bool is_too_early(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Checks what a proven guest said about itself; writes what is wrong with it. */
static ferrule_status_t check_claim(const struct fr_boot_server *s,
                                    const struct fr_boot_statement *c, char *why, size_t bytes)
{
	if (c->version != FR_BOOT_VERSION) {
		snprintf(why, bytes,
		         "rank %u speaks version %u of the set-up protocol, rank 0 version %d; "
		         "all ranks must use the same Ferrule",
		         c->rank, c->version, FR_BOOT_VERSION);
		return FERRULE_ERR_PROTOCOL;
	}
	if (c->n_ranks != s->self.n_ranks) {
		snprintf(why, bytes,
		         "rank %u was started with %u ranks, rank 0 with %d; n_ranks "
		         "(WORLD_SIZE) must be the same on all",
		         c->rank, c->n_ranks, s->n_ranks);
		return FERRULE_ERR_MISMATCH;
	}
	if (!c->same_byte_order) {
		snprintf(why, bytes, "rank %u and rank 0 have different byte orders", c->rank);
		return FERRULE_ERR_UNSUPPORTED;
	}
	if (c->rank == 0 || s->members[c->rank].fd >= 0) {
		snprintf(why, bytes,
		         "two processes say that they are rank %u of %d; each rank (RANK) must "
		         "be given once",
		         c->rank, s->n_ranks);
		return FERRULE_ERR_MISMATCH;
	}
	return FERRULE_OK;
}

static ferrule_status_t let_in(struct fr_boot_server *s, struct fr_guest *g)
{
	const struct fr_boot_statement claim = g->claim;
	char why[200];
	const ferrule_status_t status = check_claim(s, &claim, why, sizeof(why));

	if (status != FERRULE_OK) {
		tell_failure(g->fd, status, why);
		return fail(s, status, "%s", why);
	}
	struct fr_net_addr here = {.length = sizeof(here.storage)};
	const int fd = fr_guest_take_fd(g);
	/* An address that another host can use says more than this host's loopback. */
	if (getsockname(fd, (struct sockaddr *)&here.storage, &here.length) == 0 &&
	    (s->host[0] == '\0' || !fr_net_is_loopback(&here)))
		fr_net_host(&here, s->host);
	s->members[claim.rank] = (struct member){.fd = fd};
	s->n_members++;
	fr_log(FR_LOG_DEBUG, "rank %u of %d has arrived", claim.rank, s->n_ranks);
	return FERRULE_OK;
}

static void note_rejected(struct fr_boot_server *s, const struct fr_guest *g)
{
	char from[FR_NET_TEXT_BYTES];

	s->n_rejected++;
	snprintf(s->rejected_text, sizeof(s->rejected_text), "from %s, which claimed to be rank %u",
	         fr_net_text(&g->from, from), g->claim.rank);
	fr_log(FR_LOG_INFO, "a connection did not prove the job key: %s", s->rejected_text);
}

static ferrule_status_t serve_guest(struct fr_boot_server *s, struct fr_guest *g)
{
	fr_guest_progress(g, s->key, &s->self);
	if (g->state == FR_GUEST_PROVEN)
		return let_in(s, g);
	if (g->state == FR_GUEST_REJECTED)
		note_rejected(s, g);
	if (g->state == FR_GUEST_REJECTED || g->state == FR_GUEST_LOST)
		fr_guest_dismiss(g);
	return FERRULE_OK;
}

/* A free slot, or that of the guest that has been here longest. */
static struct fr_guest *guest_slot(struct fr_boot_server *s)
{
	struct fr_guest *oldest = &s->guests[0];

	for (int i = 0; i < N_GUESTS; i++) {
		struct fr_guest *g = &s->guests[i];
		if (g->state == FR_GUEST_FREE)
			return g;
		if (g->deadline_ns < oldest->deadline_ns)
			oldest = g;
	}
	fr_guest_dismiss(oldest);
	return oldest;
}

static ferrule_status_t accept_guests(struct fr_boot_server *s)
{
	for (;;) {
		struct fr_net_addr from = {.length = sizeof(from.storage)};
		const int fd = accept4(s->listen_fd, (struct sockaddr *)&from.storage, &from.length,
		                       SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			fr_net_prepare(fd);
			struct fr_guest *g = guest_slot(s);
			fr_guest_admit(g, fd, &from, fr_clock_ns() + GUEST_PATIENCE_NS);
			const ferrule_status_t status = serve_guest(s, g);
			if (status != FERRULE_OK)
				return status;
			continue;
		}
		if (errno == EAGAIN)
			return FERRULE_OK;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			return fail(s, FERRULE_ERR_SYSTEM,
			            "rank 0 cannot accept a connection at %s: %s (see ulimit -n)",
			            s->where, strerror(errno));
		/* What else accept reports belongs to the connection that is being lost. */
	}
}

/*
 * A member that has done its part speaks while others are waited for: it is gone, has run
 * out of time, or is confused.
 */
static ferrule_status_t hear_waiting(struct fr_boot_server *s, int rank)
{
	struct member *m = &s->members[rank];
	struct fr_boot_head head;
	const ssize_t n = recv(m->fd, m->ask + m->asked, sizeof(m->ask) - m->asked, 0);

	if (is_too_early(n))
		return FERRULE_OK;
	if (n <= 0)
		return fail_died(s, rank);
	m->asked += (size_t)n;
	if (m->asked < sizeof(m->ask))
		return FERRULE_OK;
	m->asked = 0;
	if (!fr_boot_get_head(m->ask, &head) || head.kind != FR_BOOT_GIVE_UP || head.length != 0)
		return fail(s, FERRULE_ERR_PROTOCOL,
		            "rank %d sent something unexpected during set-up", rank);
	if (head.round != s->round)
		return FERRULE_OK; /* crossed with the answer it was waiting for */
	return s->listen_fd >= 0 ? fail_missing(s) : fail_late_round(s);
}

/* Fills polls and poll_owner; returns how many.  Guests are owners -1 - index. */
static nfds_t watch_arrivals(struct fr_boot_server *s, uint64_t *deadline_ns)
{
	nfds_t n = 0;

	s->polls[n++] = (struct pollfd){.fd = s->listen_fd, .events = POLLIN};
	for (int i = 0; i < N_GUESTS; i++) {
		const struct fr_guest *g = &s->guests[i];
		if (g->state == FR_GUEST_FREE)
			continue;
		if (g->deadline_ns < *deadline_ns)
			*deadline_ns = g->deadline_ns;
		s->poll_owner[n] = -1 - i;
		s->polls[n++] = (struct pollfd){.fd = g->fd, .events = POLLIN};
	}
	for (int rank = 1; rank < s->n_ranks; rank++) {
		if (s->members[rank].fd < 0)
			continue;
		s->poll_owner[n] = rank;
		s->polls[n++] = (struct pollfd){.fd = s->members[rank].fd, .events = POLLIN};
	}
	return n;
}

static ferrule_status_t serve_arrivals(struct fr_boot_server *s, nfds_t n)
{
	ferrule_status_t status = FERRULE_OK;

	/* Guests and members first: accepting may reuse a guest's slot. */
	for (nfds_t i = 1; i < n && status == FERRULE_OK; i++) {
		if (s->polls[i].revents == 0)
			continue;
		const int owner = s->poll_owner[i];
		if (owner < 0)
			status = serve_guest(s, &s->guests[-1 - owner]);
		else
			status = hear_waiting(s, owner);
	}
	if (status == FERRULE_OK && s->polls[0].revents != 0)
		status = accept_guests(s);
	return status;
}

static void dismiss_slow_guests(struct fr_boot_server *s)
{
	const uint64_t now = fr_clock_ns();

	for (int i = 0; i < N_GUESTS; i++)
		if (s->guests[i].state != FR_GUEST_FREE && s->guests[i].deadline_ns <= now)
			fr_guest_dismiss(&s->guests[i]);
}

static ferrule_status_t wait_for_all(struct fr_boot_server *s, uint64_t deadline_ns)
{
	while (s->n_members < s->n_ranks - 1) {
		uint64_t wake_ns = deadline_ns;
		const nfds_t n = watch_arrivals(s, &wake_ns);
		const int n_ready = poll(s->polls, n, fr_net_poll_ms(wake_ns));
		if (n_ready < 0 && errno != EINTR)
			return fail(s, FERRULE_ERR_SYSTEM, "poll failed during set-up: %s",
			            strerror(errno));
		if (n_ready > 0) {
			const ferrule_status_t status = serve_arrivals(s, n);
			if (status != FERRULE_OK)
				return status;
		}
		dismiss_slow_guests(s);
		if (s->n_members < s->n_ranks - 1 && fr_clock_ns() >= deadline_ns)
			return fail_missing(s);
	}
	return FERRULE_OK;
}

/* Nobody else is let in: later connections find the port closed. */
static void stop_listening(struct fr_boot_server *s)
{
	close(s->listen_fd);
	s->listen_fd = -1;
	for (int i = 0; i < N_GUESTS; i++)
		if (s->guests[i].state != FR_GUEST_FREE)
			fr_guest_dismiss(&s->guests[i]);
	free(s->guests);
	s->guests = NULL;
}

/* ---- rounds ---- */

/* What every member sends, or is sent, in one step of a round. */
struct step {
	bool sending;
	const void *blocks;  /* to send: the same to all */
	unsigned char *room; /* to receive: bytes a rank */
	size_t bytes;
	unsigned char head[FR_BOOT_HEAD_BYTES];
};

static ferrule_status_t check_block(struct fr_boot_server *s, int rank, size_t bytes)
{
	struct fr_boot_head head;

	if (!fr_boot_get_head(s->members[rank].head, &head))
		return fail(s, FERRULE_ERR_PROTOCOL,
		            "rank %d sent something unexpected during set-up", rank);
	if (head.kind == FR_BOOT_GIVE_UP && head.length == 0 && head.round < s->round) {
		/* It crossed with the answer it was waiting for; the block follows. */
		s->members[rank].moved = 0;
		return FERRULE_OK;
	}
	if (head.kind != FR_BOOT_DATA || head.round != s->round || head.length != bytes)
		return fail(s, FERRULE_ERR_MISMATCH,
		            "rank %d is at step %u of the set-up with %u bytes, rank 0 at step %u "
		            "with %zu",
		            rank, head.round, head.length, s->round, bytes);
	return FERRULE_OK;
}

static ferrule_status_t receive_block(struct fr_boot_server *s, int rank, const struct step *st)
{
	struct member *m = &s->members[rank];
	unsigned char *block = st->room + (size_t)rank * st->bytes;
	const size_t total = FR_BOOT_HEAD_BYTES + st->bytes;

	while (m->moved < total) {
		const bool in_head = m->moved < FR_BOOT_HEAD_BYTES;
		const size_t goal = in_head ? FR_BOOT_HEAD_BYTES : total;
		unsigned char *to =
			in_head ? m->head + m->moved : block + (m->moved - FR_BOOT_HEAD_BYTES);
		const ssize_t n = recv(m->fd, to, goal - m->moved, 0);
		if (is_too_early(n))
			return FERRULE_OK;
		if (n <= 0)
			return fail_died(s, rank);
		m->moved += (size_t)n;
		if (!in_head || m->moved < FR_BOOT_HEAD_BYTES)
			continue;
		const ferrule_status_t status = check_block(s, rank, st->bytes);
		if (status != FERRULE_OK)
			return status;
	}
	s->done[rank] = true;
	return FERRULE_OK;
}

static ferrule_status_t send_blocks(struct fr_boot_server *s, int rank, const struct step *st)
{
	struct member *m = &s->members[rank];
	const size_t total = FR_BOOT_HEAD_BYTES + st->bytes;

	while (m->moved < total) {
		const bool in_head = m->moved < FR_BOOT_HEAD_BYTES;
		const size_t goal = in_head ? FR_BOOT_HEAD_BYTES : total;
		const unsigned char *from =
			in_head ? st->head + m->moved
				: (const unsigned char *)st->blocks + m->moved - FR_BOOT_HEAD_BYTES;
		const ssize_t n = send(m->fd, from, goal - m->moved,
		                       MSG_NOSIGNAL | (in_head && st->bytes > 0 ? MSG_MORE : 0));
		if (is_too_early(n))
			return FERRULE_OK;
		if (n <= 0)
			return fail_died(s, rank);
		m->moved += (size_t)n;
	}
	s->done[rank] = true;
	return FERRULE_OK;
}

static nfds_t watch_step(struct fr_boot_server *s, const struct step *st)
{
	nfds_t n = 0;

	for (int rank = 1; rank < s->n_ranks; rank++) {
		if (s->done[rank] && st->sending)
			continue;
		s->poll_owner[n] = rank;
		s->polls[n++] = (struct pollfd){.fd = s->members[rank].fd,
		                                .events = st->sending ? POLLOUT : POLLIN};
	}
	return n;
}

static int n_undone(const struct fr_boot_server *s)
{
	int n = 0;

	for (int rank = 0; rank < s->n_ranks; rank++)
		n += !s->done[rank];
	return n;
}

static ferrule_status_t serve_member(struct fr_boot_server *s, int rank, const struct step *st)
{
	if (st->sending)
		return send_blocks(s, rank, st);
	/* Those whose block is here are watched too: they may die or give up meanwhile. */
	return s->done[rank] ? hear_waiting(s, rank) : receive_block(s, rank, st);
}

static ferrule_status_t run_step(struct fr_boot_server *s, const struct step *st,
                                 uint64_t deadline_ns)
{
	for (int rank = 0; rank < s->n_ranks; rank++) {
		s->members[rank].moved = 0;
		s->done[rank] = rank == 0;
	}
	while (n_undone(s) > 0) {
		const nfds_t n = watch_step(s, st);
		const int ms = fr_net_poll_ms(deadline_ns);
		const int n_ready = poll(s->polls, n, ms);
		if (n_ready < 0 && errno != EINTR)
			return fail(s, FERRULE_ERR_SYSTEM, "poll failed during set-up: %s",
			            strerror(errno));
		if (n_ready == 0 && ms == 0)
			return fail_late_round(s);
		for (nfds_t i = 0; i < n && n_ready > 0; i++) {
			if (s->polls[i].revents == 0)
				continue;
			const ferrule_status_t status = serve_member(s, s->poll_owner[i], st);
			if (status != FERRULE_OK)
				return status;
		}
	}
	return FERRULE_OK;
}

static ferrule_status_t send_to_all(struct fr_boot_server *s, enum fr_boot_kind kind,
                                    const void *blocks, size_t bytes, uint64_t deadline_ns)
{
	const struct fr_boot_head head = {
		.kind = kind, .round = s->round, .length = (uint32_t)bytes};
	struct step st = {.sending = true, .blocks = blocks, .bytes = bytes};

	fr_boot_put_head(&head, st.head);
	return run_step(s, &st, deadline_ns);
}

ferrule_status_t fr_boot_server_allgather(struct fr_boot_server *s, const void *in, void *out,
                                          size_t bytes, uint64_t deadline_ns)
{
	const struct step gather = {.room = out, .bytes = bytes};

	s->round++;
	/* `in` may be this rank's place in `out`. */
	memmove(out, in, bytes);
	const ferrule_status_t status = run_step(s, &gather, deadline_ns);
	if (status != FERRULE_OK)
		return status;
	return send_to_all(s, FR_BOOT_DATA, out, bytes * (size_t)s->n_ranks, deadline_ns);
}

/* ---- life ---- */

static ferrule_status_t welcome_all(struct fr_boot_server *s, uint64_t deadline_ns)
{
	struct fr_boot_welcome_wire welcome = {.host = ""};

	fr_store_le64(welcome.comm_id, s->comm_id);
	memcpy(welcome.host, s->host, sizeof(s->host));
	return send_to_all(s, FR_BOOT_WELCOME, &welcome, sizeof(welcome), deadline_ns);
}

ferrule_status_t fr_boot_server_open(const struct fr_star_params *params, int listen_fd,
                                     struct fr_boot_server **out)
{
	struct fr_boot_server *s = new_server(params, listen_fd);

	if (!s)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory to wait for %d ranks",
		                params->n_ranks);
	ferrule_status_t status = wait_for_all(s, params->deadline_ns);
	if (status != FERRULE_OK)
		goto err_free_server;
	stop_listening(s);
	status = welcome_all(s, params->deadline_ns);
	if (status != FERRULE_OK)
		goto err_free_server;
	*out = s;
	return FERRULE_OK;

err_free_server:
	free_server(s);
	return status;
}

uint64_t fr_boot_server_comm_id(const struct fr_boot_server *s)
{
	return s->comm_id;
}

const char *fr_boot_server_host(const struct fr_boot_server *s)
{
	return s->host;
}

void fr_boot_server_close(struct fr_boot_server *s)
{
	if (s)
		free_server(s);
}

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

#include "lib/comm/boot_server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/descriptors.h"
#include "lib/base/error.h"
#include "lib/base/key_file.h"
#include "lib/base/log.h"
#include "lib/base/system.h"
#include "lib/base/wire.h"

_Static_assert(FR_NET_HOST_BYTES == FR_BOOT_HOST_BYTES, "a host travels whole");

/* A guest that has not proved the key by then is dropped.  A rank needs a millisecond. */
#define GUEST_PATIENCE_NS 10000000000u

static void free_server(struct fr_boot_server *s)
{
	for (int i = 0; s->guests && i < FR_BOOT_N_GUESTS; i++)
		if (s->guests[i].state != FR_GUEST_FREE)
			fr_guest_dismiss(&s->guests[i]);
	for (int rank = 1; s->members && rank < s->n_ranks; rank++)
		if (s->members[rank].fd >= 0)
			close(s->members[rank].fd);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->epoll_fd >= 0)
		fr_fd_close(s->epoll_fd);
	free(s->guests);
	free(s->members);
	free(s->polls);
	free(s->poll_owner);
	free(s->done);
	fr_wipe(s->key, sizeof(s->key));
	free(s);
}

/* Takes over `listen_fd`, also when it fails. */
static ferrule_status_t new_server(const struct fr_star_params *p, int listen_fd,
                                   struct fr_boot_server **out)
{
	const size_t n = (size_t)p->n_ranks;
	struct fr_boot_server *s = calloc(1, sizeof(*s));

	if (!s) {
		close(listen_fd);
		return fr_error(FERRULE_ERR_NO_MEMORY, "rank 0 has no memory to wait for %zu ranks",
		                n);
	}
	/* What is missing will be told by accept, when there are ranks to be told. */
	size_t need, limit;
	fr_descriptors_reserve(n + 4, &need, &limit);
	s->listen_fd = listen_fd;
	s->epoll_fd = fr_fd_own(epoll_create1(EPOLL_CLOEXEC));
	const int epoll_errno = errno;
	s->n_ranks = p->n_ranks;
	s->members = calloc(n, sizeof(*s->members));
	s->polls = calloc(1 + FR_BOOT_N_GUESTS + n, sizeof(*s->polls));
	s->poll_owner = calloc(1 + FR_BOOT_N_GUESTS + n, sizeof(*s->poll_owner));
	s->guests = calloc(FR_BOOT_N_GUESTS, sizeof(*s->guests));
	s->done = calloc(n, sizeof(*s->done));
	for (size_t rank = 0; s->members && rank < n; rank++)
		s->members[rank].fd = -1;
	if (!s->members || !s->polls || !s->poll_owner || !s->guests || !s->done) {
		free_server(s);
		return fr_error(FERRULE_ERR_NO_MEMORY, "rank 0 has no memory to wait for %zu ranks",
		                n);
	}
	if (s->epoll_fd < 0) {
		free_server(s);
		return fr_system_error("rank 0: epoll_create", epoll_errno);
	}
	s->self = (struct fr_boot_statement){
		.version = FR_BOOT_VERSION, .rank = 0, .n_ranks = (uint32_t)p->n_ranks};
	memcpy(s->key, p->key, sizeof(s->key));
	fr_random(&s->comm_id, sizeof(s->comm_id));
	s->opened_ns = fr_clock_ns();
	snprintf(s->where, sizeof(s->where), "%s", p->place->text);
	*out = s;
	return FERRULE_OK;
}

/* ---- arrival ---- */

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

/* The connection becomes the rank's. */
static ferrule_status_t seat(struct fr_boot_server *s, struct fr_guest *g, int rank)
{
	struct fr_boot_member *m = &s->members[rank];
	struct epoll_event watch = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
	                            .data.u32 = (uint32_t)rank};

	s->n_members += !m->has_arrived;
	*m = (struct fr_boot_member){.fd = fr_guest_take_fd(g), .has_arrived = true};
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, m->fd, &watch) == 0)
		return FERRULE_OK;
	const int saved_errno = errno;
	fr_system_error("epoll_ctl", saved_errno);
	return fr_server_fail_told(s, 0, FERRULE_ERR_SYSTEM, fr_error_text());
}

static ferrule_status_t let_in(struct fr_boot_server *s, struct fr_guest *g)
{
	const struct fr_boot_statement claim = g->claim;
	struct fr_net_addr here = {.length = sizeof(here.storage)};
	char why[200];
	const ferrule_status_t status = check_claim(s, &claim, why, sizeof(why));

	if (status != FERRULE_OK) {
		fr_server_tell(g->fd, status, why);
		return fr_server_fail(s, status, "%s", why);
	}
	/* An address that another host can use says more than this host's loopback. */
	if (getsockname(g->fd, (struct sockaddr *)&here.storage, &here.length) == 0 &&
	    (s->host[0] == '\0' || !fr_net_is_loopback(&here)))
		fr_net_host(&here, s->host);
	fr_log(FR_LOG_DEBUG, "rank %u of %d has arrived", claim.rank, s->n_ranks);
	return seat(s, g, (int)claim.rank);
}

/* Nobody is let in any more; who proves that it is a rank is told why. */
static void tell_late(struct fr_boot_server *s, struct fr_guest *g)
{
	const uint32_t rank = g->claim.rank;

	fr_server_tell(g->fd, s->failure, s->failure_text);
	if (rank == 0 || rank >= (uint32_t)s->n_ranks || s->members[rank].fd >= 0)
		fr_guest_dismiss(g);
	else
		seat(s, g, (int)rank);
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
	if (g->state == FR_GUEST_PROVEN && s->has_failed)
		tell_late(s, g);
	else if (g->state == FR_GUEST_PROVEN)
		return let_in(s, g);
	if (g->state == FR_GUEST_REJECTED)
		note_rejected(s, g);
	if (g->state == FR_GUEST_REJECTED || g->state == FR_GUEST_LOST)
		fr_guest_dismiss(g);
	return FERRULE_OK;
}

/* The guest that has been here longest; NULL when there is none. */
static struct fr_guest *oldest_guest(struct fr_boot_server *s)
{
	struct fr_guest *oldest = NULL;

	for (int i = 0; i < FR_BOOT_N_GUESTS; i++) {
		struct fr_guest *g = &s->guests[i];
		if (g->state != FR_GUEST_FREE && (!oldest || g->deadline_ns < oldest->deadline_ns))
			oldest = g;
	}
	return oldest;
}

/* A free slot, or that of the oldest guest. */
static struct fr_guest *guest_slot(struct fr_boot_server *s)
{
	for (int i = 0; i < FR_BOOT_N_GUESTS; i++)
		if (s->guests[i].state == FR_GUEST_FREE)
			return &s->guests[i];
	struct fr_guest *oldest = oldest_guest(s);
	fr_guest_dismiss(oldest);
	return oldest;
}

/*
 * accept() failed for want of something of this process.  A stranger's descriptor is worth less
 * than the next one's: the oldest guest makes room.  OK: try again, or later.
 */
static ferrule_status_t make_room(struct fr_boot_server *s, int why)
{
	struct fr_guest *oldest = oldest_guest(s);

	if (oldest) {
		fr_guest_dismiss(oldest);
		return FERRULE_OK;
	}
	fr_system_error("accept", why);
	return fr_server_fail_told(s, 0, FERRULE_ERR_SYSTEM, fr_error_text());
}

static ferrule_status_t accept_guests(struct fr_boot_server *s)
{
	ferrule_status_t status = FERRULE_OK;

	while (status == FERRULE_OK) {
		struct fr_net_addr from = {.length = sizeof(from.storage)};
		const int fd = fr_fd_own(accept4(s->listen_fd, (struct sockaddr *)&from.storage,
		                                 &from.length, SOCK_CLOEXEC | SOCK_NONBLOCK));
		if (fd >= 0) {
			fr_net_prepare(fd);
			struct fr_guest *g = guest_slot(s);
			fr_guest_admit(g, fd, &from, fr_clock_ns() + GUEST_PATIENCE_NS);
			status = serve_guest(s, g);
		} else if (errno == EAGAIN) {
			break;
		} else if (fr_is_exhaustion(errno) || errno == EBADF || errno == EINVAL) {
			status = make_room(s, errno);
		}
		/* What else accept reports belongs to the connection that is being lost. */
	}
	return status;
}

/* Fills polls and poll_owner; returns how many.  Guests are owners -1 - index. */
static nfds_t watch_arrivals(struct fr_boot_server *s, uint64_t *deadline_ns)
{
	nfds_t n = 0;

	s->polls[n++] = (struct pollfd){.fd = s->listen_fd, .events = POLLIN};
	for (int i = 0; i < FR_BOOT_N_GUESTS; i++) {
		const struct fr_guest *g = &s->guests[i];
		if (g->state == FR_GUEST_FREE)
			continue;
		if (g->deadline_ns < *deadline_ns)
			*deadline_ns = g->deadline_ns;
		s->poll_owner[n] = -1 - i;
		s->polls[n++] = (struct pollfd){.fd = g->fd, .events = POLLIN};
	}
	for (int rank = 1; rank < s->n_ranks; rank++) {
		if (s->members[rank].fd < 0 || s->has_failed)
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
			status = fr_server_hear(s, owner);
	}
	if (status == FERRULE_OK && s->polls[0].revents != 0)
		status = accept_guests(s);
	return status;
}

static void dismiss_slow_guests(struct fr_boot_server *s)
{
	const uint64_t now = fr_clock_ns();

	for (int i = 0; i < FR_BOOT_N_GUESTS; i++)
		if (s->guests[i].state != FR_GUEST_FREE && s->guests[i].deadline_ns <= now)
			fr_guest_dismiss(&s->guests[i]);
}

/* One look at all that comes before `until_ns`. */
static ferrule_status_t serve_until(struct fr_boot_server *s, uint64_t until_ns)
{
	uint64_t wake_ns = until_ns;
	const nfds_t n = watch_arrivals(s, &wake_ns);
	const int n_ready = poll(s->polls, n, fr_net_poll_ms(wake_ns));
	ferrule_status_t status = FERRULE_OK;

	if (n_ready < 0 && errno != EINTR) {
		const int saved_errno = errno;
		fr_system_error("poll", saved_errno);
		return fr_server_fail_told(s, 0, FERRULE_ERR_SYSTEM, fr_error_text());
	}
	if (n_ready > 0)
		status = serve_arrivals(s, n);
	dismiss_slow_guests(s);
	return status;
}

void fr_server_tell_latecomers(struct fr_boot_server *s, uint64_t until_ns)
{
	while (s->n_members < s->n_ranks - 1 && fr_clock_ns() < until_ns)
		if (serve_until(s, until_ns) != FERRULE_OK)
			return;
}

/* Nobody else is let in: later connections find the port closed. */
static void stop_listening(struct fr_boot_server *s)
{
	close(s->listen_fd);
	s->listen_fd = -1;
	for (int i = 0; i < FR_BOOT_N_GUESTS; i++)
		if (s->guests[i].state != FR_GUEST_FREE)
			fr_guest_dismiss(&s->guests[i]);
	free(s->guests);
	s->guests = NULL;
}

/*
 * Nobody comes to a place that cannot be found.  Whether others can find it, only they know; but
 * what this host, which has the place, cannot even name or route to is most likely a mistake.
 */
static ferrule_status_t check_place(struct fr_boot_server *s, const struct fr_rendezvous *place)
{
	struct fr_net_addr found[FR_RENDEZVOUS_MAX_ADDRS];
	const char *why;

	if (!place->host)
		return FERRULE_OK;
	const int n =
		fr_net_resolve(place->host, place->port, found, FR_RENDEZVOUS_MAX_ADDRS, &why);
	const bool is_unknown = n == 0 && errno == ENOENT;
	bool has_way = n == 0;
	for (int i = 0; i < n && !has_way; i++)
		has_way = fr_net_has_way(&found[i]);
	if (has_way && !is_unknown)
		return FERRULE_OK;
	stop_listening(s);
	if (is_unknown)
		return fr_server_fail(s, FERRULE_ERR_SYSTEM,
		                      "no rank can find MASTER_ADDR=%.80s: rank 0's own host does "
		                      "not know the name (%s)",
		                      place->host, why);
	return fr_server_fail(s, FERRULE_ERR_SYSTEM,
	                      "no rank can reach MASTER_ADDR=%.80s: rank 0's own host has no route "
	                      "to it",
	                      place->host);
}

static ferrule_status_t wait_for_all(struct fr_boot_server *s, const struct fr_star_params *p)
{
	const uint64_t now = fr_clock_ns();
	const uint64_t left = p->deadline_ns > now ? p->deadline_ns - now : 0;
	const uint64_t doubt_ns = now + left / FR_STAR_GRACE_PART;
	bool has_doubts = true;
	ferrule_status_t status = FERRULE_OK;

	s->is_in_round = true;
	while (s->n_members < s->n_ranks - 1 && status == FERRULE_OK) {
		status = serve_until(s, has_doubts ? doubt_ns : p->deadline_ns);
		if (status != FERRULE_OK || s->n_members == s->n_ranks - 1)
			break;
		if (fr_clock_ns() >= p->deadline_ns)
			status = fr_server_fail_missing(s);
		else if (has_doubts && fr_clock_ns() >= doubt_ns) {
			has_doubts = false;
			if (s->n_members == 0)
				status = check_place(s, p->place);
		}
	}
	s->is_in_round = false;
	return status;
}

/* ---- life ---- */

static ferrule_status_t welcome_all(struct fr_boot_server *s, uint64_t deadline_ns)
{
	struct fr_boot_welcome_wire welcome = {.host = ""};

	fr_store_le64(welcome.comm_id, s->comm_id);
	memcpy(welcome.host, s->host, sizeof(s->host));
	return fr_server_send_to_all(s, FR_BOOT_WELCOME, &welcome, sizeof(welcome), deadline_ns);
}

ferrule_status_t fr_boot_server_open(const struct fr_star_params *params, int listen_fd,
                                     struct fr_boot_server **out)
{
	struct fr_boot_server *s = NULL;
	ferrule_status_t status = new_server(params, listen_fd, &s);

	if (status != FERRULE_OK)
		return status;
	status = wait_for_all(s, params);
	if (status != FERRULE_OK)
		goto err_free_server;
	stop_listening(s);
	/* Before anybody may begin another set-up at this port and take this key for its own. */
	if (params->key_file)
		fr_key_file_remove(params->key_file);
	status = welcome_all(s, params->deadline_ns);
	if (status != FERRULE_OK)
		goto err_free_server;
	*out = s;
	return FERRULE_OK;

err_free_server:
	free_server(s);
	return status;
}

ferrule_status_t fr_boot_server_fail(struct fr_boot_server *s, ferrule_status_t status,
                                     const char *text)
{
	return fr_server_fail_told(s, 0, status, text);
}

int fr_boot_server_fd(const struct fr_boot_server *s)
{
	return s->epoll_fd;
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

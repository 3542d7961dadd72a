/*
 * boot_rounds.c - rank 0 exchanges blocks with all members, and watches them in between.
 *
 * Design.  A round gathers a block from each member and sends all blocks to all.  A member that
 * is gone when the blocks are sent is no failure of the round: the others have what they need, and
 * all of them will find the death together, in the next look or by the communicator's own means.
 *
 * Between rounds a member may be ahead: its next block lies unread in its socket.  So the
 * descriptors are watched by edges; an edge tells of new bytes or an end, once.
 */
#include "config.h"

#include "lib/comm/boot_server.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/system.h"

/* Did a socket call that moved nothing merely come too early? */
static bool is_too_early(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* This rank cannot make a call that it needs. */
static ferrule_status_t fail_call(struct fr_boot_server *s, const char *call, int error)
{
	fr_system_error(call, error);
	return fr_server_fail_told(s, 0, FERRULE_ERR_SYSTEM, fr_error_text());
}

/* recv() has moved nothing: the member is gone, unless it is this rank that cannot receive. */
static ferrule_status_t fail_recv(struct fr_boot_server *s, int rank, ssize_t n)
{
	const int error = errno;

	return n < 0 && fr_is_exhaustion(error) ? fail_call(s, "recv", error)
	                                        : fr_server_fail_died(s, rank);
}

/* ---- words out of turn ---- */

static ferrule_status_t fail_confused(struct fr_boot_server *s, int rank)
{
	return fr_server_fail(s, FERRULE_ERR_PROTOCOL,
	                      "rank %d sent something unexpected during set-up", rank);
}

/* A whole GIVE_UP or FAIL is here. */
static ferrule_status_t take_word(struct fr_boot_server *s, int rank,
                                  const struct fr_boot_head *head)
{
	const unsigned char *payload = s->members[rank].word + FR_BOOT_HEAD_BYTES;
	char text[FR_BOOT_FAIL_MAX_TEXT + 1];
	ferrule_status_t status;

	s->members[rank].heard = 0;
	if (head->kind == FR_BOOT_FAIL)
		return fr_boot_get_fail(payload, head->length, &status, text)
		               ? fr_server_fail_told(s, rank, status, text)
		               : fail_confused(s, rank);
	if (!s->is_in_round || head->round != s->round)
		return FERRULE_OK; /* crossed with the answer it was waiting for */
	return s->listen_fd >= 0 ? fr_server_fail_missing(s) : fr_server_fail_late_round(s);
}

ferrule_status_t fr_server_hear(struct fr_boot_server *s, int rank)
{
	struct fr_boot_member *m = &s->members[rank];
	struct fr_boot_head head = {.length = 0};

	for (;;) {
		if (m->heard >= FR_BOOT_HEAD_BYTES) {
			const bool is_sound = fr_boot_get_head(m->word, &head);
			if (!is_sound ||
			    (head.kind != FR_BOOT_GIVE_UP && head.kind != FR_BOOT_FAIL) ||
			    head.length > (head.kind == FR_BOOT_FAIL ? FR_BOOT_FAIL_MAX_BYTES : 0))
				return fail_confused(s, rank);
			if (m->heard == FR_BOOT_HEAD_BYTES + head.length)
				return take_word(s, rank, &head);
		}
		const size_t goal = FR_BOOT_HEAD_BYTES + head.length;
		const ssize_t n = recv(m->fd, m->word + m->heard, goal - m->heard, 0);
		if (is_too_early(n))
			return FERRULE_OK;
		if (n <= 0)
			return fail_recv(s, rank, n);
		m->heard += (size_t)n;
	}
}

/* ---- between rounds ---- */

/* Something came from a member while nothing is asked of it. */
static ferrule_status_t overhear(struct fr_boot_server *s, int rank, bool has_ended)
{
	struct fr_boot_member *m = &s->members[rank];
	ferrule_status_t status = FERRULE_OK;

	while (status == FERRULE_OK) {
		unsigned char wire[FR_BOOT_HEAD_BYTES];
		struct fr_boot_head head;
		const ssize_t n = recv(m->fd, wire, sizeof(wire), MSG_PEEK);
		if (n <= 0 && !is_too_early(n))
			return fail_recv(s, rank, n);
		const bool is_ahead = n == (ssize_t)sizeof(wire) && m->heard == 0 &&
		                      fr_boot_get_head(wire, &head) && head.kind == FR_BOOT_DATA;
		if (is_ahead && has_ended)
			return fr_server_fail_died(s, rank);
		if (is_ahead || is_too_early(n) ||
		    (n > 0 && n < (ssize_t)sizeof(wire) && m->heard == 0 && !has_ended))
			return FERRULE_OK;
		status = fr_server_hear(s, rank);
	}
	return status;
}

ferrule_status_t fr_boot_server_check(struct fr_boot_server *s)
{
	struct epoll_event events[16];
	ferrule_status_t status = FERRULE_OK;
	int n;

	if (s->has_failed)
		return fr_server_fail(s, s->failure, "%s", s->failure_text);
	do {
		n = epoll_wait(s->epoll_fd, events, 16, 0);
		for (int i = 0; i < n && status == FERRULE_OK; i++)
			status = overhear(s, (int)events[i].data.u32,
			                  events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	} while (n == 16 && status == FERRULE_OK);
	return n < 0 && errno != EINTR ? fail_call(s, "epoll_wait", errno) : status;
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
	struct fr_boot_member *m = &s->members[rank];
	struct fr_boot_head head;

	if (!fr_boot_get_head(m->head, &head))
		return fail_confused(s, rank);
	if (head.kind == FR_BOOT_GIVE_UP || head.kind == FR_BOOT_FAIL) {
		/* In place of its block, or before it when it crossed with an answer. */
		memcpy(m->word, m->head, sizeof(m->head));
		m->heard = sizeof(m->head);
		m->moved = 0;
		return fr_server_hear(s, rank);
	}
	if (head.kind != FR_BOOT_DATA || head.round != s->round || head.length != bytes)
		return fr_server_fail(
			s, FERRULE_ERR_MISMATCH,
			"rank %d is at step %u of the set-up with %u bytes, rank 0 at step %u "
			"with %zu",
			rank, head.round, head.length, s->round, bytes);
	return FERRULE_OK;
}

static ferrule_status_t receive_block(struct fr_boot_server *s, int rank, const struct step *st)
{
	struct fr_boot_member *m = &s->members[rank];
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
			return fail_recv(s, rank, n);
		m->moved += (size_t)n;
		if (!in_head || m->moved < FR_BOOT_HEAD_BYTES)
			continue;
		const ferrule_status_t status = check_block(s, rank, st->bytes);
		if (status != FERRULE_OK || m->heard > 0)
			return status;
	}
	s->done[rank] = true;
	return FERRULE_OK;
}

static ferrule_status_t send_blocks(struct fr_boot_server *s, int rank, const struct step *st)
{
	struct fr_boot_member *m = &s->members[rank];
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
		if (n < 0 && fr_is_exhaustion(errno))
			return fail_call(s, "send", errno);
		if (n <= 0)
			break; /* gone; see the top */
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
	return s->done[rank] || s->members[rank].heard > 0 ? fr_server_hear(s, rank)
	                                                   : receive_block(s, rank, st);
}

static ferrule_status_t serve_step(struct fr_boot_server *s, const struct step *st,
                                   uint64_t deadline_ns)
{
	const nfds_t n = watch_step(s, st);
	const int ms = fr_net_poll_ms(deadline_ns);
	const int n_ready = poll(s->polls, n, ms);
	ferrule_status_t status = FERRULE_OK;

	if (n_ready < 0 && errno != EINTR)
		return fail_call(s, "poll", errno);
	if (n_ready == 0 && ms == 0)
		return fr_server_fail_late_round(s);
	for (nfds_t i = 0; i < n && n_ready > 0 && status == FERRULE_OK; i++)
		if (s->polls[i].revents != 0)
			status = serve_member(s, s->poll_owner[i], st);
	return status;
}

static ferrule_status_t run_step(struct fr_boot_server *s, const struct step *st,
                                 uint64_t deadline_ns)
{
	ferrule_status_t status = FERRULE_OK;

	for (int rank = 0; rank < s->n_ranks; rank++) {
		s->members[rank].moved = 0;
		s->done[rank] = rank == 0;
	}
	s->is_in_round = true;
	while (n_undone(s) > 0 && status == FERRULE_OK)
		status = serve_step(s, st, deadline_ns);
	s->is_in_round = false;
	return status;
}

ferrule_status_t fr_server_send_to_all(struct fr_boot_server *s, enum fr_boot_kind kind,
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
	return fr_server_send_to_all(s, FR_BOOT_DATA, out, bytes * (size_t)s->n_ranks, deadline_ns);
}

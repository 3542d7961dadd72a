/* boot_farewell.c - one rank's failure becomes everybody's, with the same reason on all. */
#include "config.h"

#include "lib/comm/boot_server.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/ranks.h"
#include "lib/base/text.h"

/* How long a failed rank 0 waits for the others to have read why. */
#define FAREWELL_NS 250000000u
/* And for ranks that have not arrived yet, to tell them as well. */
#define LATECOMERS_NS 2000000000u
/* How much later than its consequences a death may be seen. */
#define ROOT_CAUSE_MS 20
#define LIST_BYTES    200

void fr_server_tell(int fd, ferrule_status_t status, const char *text)
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
			struct fr_boot_member *m = &s->members[rank];
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
		if (n == 0 || ms == 0 || (poll(s->polls, n, ms) < 0 && errno != EINTR))
			return;
	}
}

ferrule_status_t fr_server_fail(struct fr_boot_server *s, ferrule_status_t status,
                                const char *format, ...)
{
	va_list args;

	/* The first reason is everybody's. */
	if (!s->has_failed) {
		va_start(args, format);
		fr_vformat(s->failure_text, sizeof(s->failure_text), format, args);
		va_end(args);
		s->failure = status;
		s->has_failed = true;
		for (int rank = 1; rank < s->n_ranks; rank++)
			if (s->members[rank].fd >= 0)
				fr_server_tell(s->members[rank].fd, status, s->failure_text);
		if (s->listen_fd >= 0 && status != FERRULE_ERR_TIMEOUT)
			fr_server_tell_latecomers(s, fr_clock_ns() + LATECOMERS_NS);
		farewell(s);
	}
	return fr_error(s->failure, "%s", s->failure_text);
}

static double seconds_open(const struct fr_boot_server *s)
{
	return (double)(fr_clock_ns() - s->opened_ns) * 1e-9;
}

ferrule_status_t fr_server_fail_missing(struct fr_boot_server *s)
{
	char list[LIST_BYTES], rejected[200] = "";

	for (int rank = 0; rank < s->n_ranks; rank++)
		s->done[rank] = rank == 0 || s->members[rank].fd >= 0;
	if (s->n_rejected > 0)
		snprintf(rejected, sizeof(rejected),
		         "; %d connection%s did not prove the job key (FERRULE_JOB_KEY), the "
		         "last %s",
		         s->n_rejected, s->n_rejected == 1 ? "" : "s", s->rejected_text);
	return fr_server_fail(s, FERRULE_ERR_TIMEOUT,
	                      "%s of %d did not arrive within %.3g s at %s%s",
	                      fr_ranks_text(s->done, false, s->n_ranks, list, sizeof(list)),
	                      s->n_ranks, seconds_open(s), s->where, rejected);
}

ferrule_status_t fr_server_fail_late_round(struct fr_boot_server *s)
{
	char list[LIST_BYTES];

	return fr_server_fail(s, FERRULE_ERR_TIMEOUT,
	                      "%s of %d arrived but did not finish step %u of the set-up in time",
	                      fr_ranks_text(s->done, false, s->n_ranks, list, sizeof(list)),
	                      s->n_ranks, s->round);
}

ferrule_status_t fr_server_fail_died(struct fr_boot_server *s, int rank)
{
	close(s->members[rank].fd);
	s->members[rank].fd = -1;
	return fr_server_fail(s, FERRULE_ERR_PEER_DIED,
	                      "rank %d of %d died or gave up while the communicator was set up",
	                      rank, s->n_ranks);
}

/* ---- whose fault ---- */

/* May an error of this kind come from what another rank did, or did not do?  A rank that died may
 * also have left the others unable to agree. */
static bool is_about_others(ferrule_status_t status)
{
	return status != FERRULE_ERR_SYSTEM && status != FERRULE_ERR_NO_MEMORY &&
	       status != FERRULE_ERR_SETTING && status != FERRULE_ERR_ARGUMENT;
}

/* A member other than `teller` whose connection has ended without a word; -1: none. */
static int find_dead(const struct fr_boot_server *s, int teller)
{
	for (int rank = 1; rank < s->n_ranks; rank++) {
		const int fd = s->members[rank].fd;
		char byte;

		if (fd < 0 || rank == teller)
			continue;
		const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
		if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == ETIMEDOUT)))
			return rank;
	}
	return -1;
}

ferrule_status_t fr_server_fail_told(struct fr_boot_server *s, int rank, ferrule_status_t status,
                                     const char *text)
{
	int dead = -1;

	if (s->has_failed)
		return fr_server_fail(s, status, "%s", text);
	for (int ms = 0; is_about_others(status) && dead < 0 && ms < ROOT_CAUSE_MS; ms++) {
		dead = find_dead(s, rank);
		if (dead < 0)
			poll(NULL, 0, 1);
	}
	if (dead >= 0)
		return fr_server_fail_died(s, dead);
	/* Some texts name the rank themselves. */
	if (strncmp(text, "rank", 4) == 0)
		return fr_server_fail(s, status, "%s", text);
	return fr_server_fail(s, status, "rank %d: %s", rank, text);
}

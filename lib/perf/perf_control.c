#include "config.h"

#include "lib/perf/perf_control.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/wire.h"
#include "lib/perf/perf_connect.h"

#define MAGIC         0x46505246u /* "FRPF" */
#define HEAD_BYTES    12
#define FAULT_BYTES   512
#define LOOK_EVERY_NS 1000000u
#define SERVER_WAIT_S 3600
#define CLIENT_WAIT_S 10

static uint64_t deadline_of(double timeout_s)
{
	return fr_clock_ns() + (uint64_t)(timeout_s * 1e9);
}

ferrule_status_t fr_perf_control_open(struct fr_perf_control *c,
                                      const struct ferrule_perf_params *params)
{
	*c = (struct fr_perf_control){.fd = params->control_fd, .timeout_s = params->timeout_s};
	snprintf(c->peer, sizeof(c->peer), "the other process");
	if (c->fd < 0) {
		const double wait_s = params->host ? CLIENT_WAIT_S : SERVER_WAIT_S;
		const uint64_t deadline = deadline_of(params->wait_s > 0 ? params->wait_s : wait_s);
		const ferrule_status_t status =
			params->host ? fr_perf_connect(params->host, params->port, deadline, &c->fd,
		                                       c->peer, sizeof(c->peer), &c->key)
				     : fr_perf_accept(params->port, deadline, &c->fd, c->peer,
		                                      sizeof(c->peer), &c->key);
		if (status != FERRULE_OK)
			return status;
	}
	/* Frames are small and waited for; a host that vanished ends the connection in seconds. */
	const int one = 1, seconds = 2, tries = 3;
	const unsigned unacknowledged_ms = 8000;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
	setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
	setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
	setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
	           sizeof(unacknowledged_ms));
	fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
	return FERRULE_OK;
}

void fr_perf_control_close(struct fr_perf_control *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	fr_wipe(&c->key, sizeof(c->key));
}

static ferrule_status_t died(const struct fr_perf_control *c, int err)
{
	return fr_error(FERRULE_ERR_PEER_DIED, "%s is gone: its connection %s", c->peer,
	                err ? strerror(err) : "was closed");
}

/* Waits for the socket to be readable or writable. */
static ferrule_status_t await_socket(struct fr_perf_control *c, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = c->fd, .events = events};

	for (;;) {
		const uint64_t now = fr_clock_ns();
		if (now >= deadline_ns)
			return fr_error(FERRULE_ERR_TIMEOUT,
			                "%s did not answer in time (a deadline of %g s)", c->peer,
			                c->timeout_s);
		const uint64_t left_ms = (deadline_ns - now) / 1000000 + 1;
		const int n = poll(&p, 1, left_ms > 1000 ? 1000 : (int)left_ms);
		if (n > 0)
			return FERRULE_OK;
		if (n < 0 && errno != EINTR)
			return fr_error(FERRULE_ERR_SYSTEM, "poll: %s", strerror(errno));
	}
}

static ferrule_status_t send_all(struct fr_perf_control *c, const unsigned char *data, size_t bytes)
{
	const uint64_t deadline = deadline_of(c->timeout_s);

	while (bytes > 0) {
		const ssize_t n = send(c->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			data += n;
			bytes -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			const int err = errno;
			/* What it said before it left tells more than a broken pipe. */
			const ferrule_status_t status = fr_perf_control_peek(c);
			return status != FERRULE_OK ? status : died(c, err);
		}
		const ferrule_status_t status = await_socket(c, POLLOUT, deadline);
		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

static ferrule_status_t receive_all(struct fr_perf_control *c, unsigned char *data, size_t bytes,
                                    uint64_t deadline_ns)
{
	while (bytes > 0) {
		const ssize_t n = recv(c->fd, data, bytes, MSG_DONTWAIT);
		if (n > 0) {
			data += n;
			bytes -= (size_t)n;
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return died(c, n == 0 ? 0 : errno);
		const ferrule_status_t status = await_socket(c, POLLIN, deadline_ns);
		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

ferrule_status_t fr_perf_control_send(struct fr_perf_control *c, enum fr_perf_kind kind,
                                      const void *data, size_t bytes)
{
	unsigned char head[HEAD_BYTES];

	fr_store_le32(head, MAGIC);
	fr_store_le16(head + 4, (uint16_t)kind);
	fr_store_le16(head + 6, FR_PERF_VERSION);
	fr_store_le32(head + 8, (uint32_t)bytes);
	const ferrule_status_t status = send_all(c, head, sizeof(head));
	return status == FERRULE_OK ? send_all(c, data, bytes) : status;
}

/* What a head says; an error for what is no head of ours. */
static ferrule_status_t parse_head(const struct fr_perf_control *c, const unsigned char *head,
                                   unsigned *kind, size_t *bytes)
{
	const unsigned version = fr_load_le16(head + 6);

	*kind = fr_load_le16(head + 4);
	*bytes = fr_load_le32(head + 8);
	if (fr_load_le32(head) != MAGIC)
		return fr_error(FERRULE_ERR_PROTOCOL,
		                "%s does not speak the protocol of ferrule bw and lat", c->peer);
	if (version != FR_PERF_VERSION)
		return fr_error(FERRULE_ERR_PROTOCOL,
		                "%s speaks version %u of the protocol, this side %d; use the same "
		                "version of Ferrule on both",
		                c->peer, version, FR_PERF_VERSION);
	if (*bytes > FR_PERF_FRAME_BYTES)
		return fr_error(FERRULE_ERR_PROTOCOL, "%s sent a frame of %zu bytes, at most %d",
		                c->peer, *bytes, FR_PERF_FRAME_BYTES);
	return FERRULE_OK;
}

/* The text of a FAULT whose head has been read. */
static ferrule_status_t take_fault(struct fr_perf_control *c, size_t bytes, uint64_t deadline_ns)
{
	char text[FAULT_BYTES + 1];

	if (bytes > FAULT_BYTES)
		bytes = FAULT_BYTES;
	const ferrule_status_t status = receive_all(c, (unsigned char *)text, bytes, deadline_ns);
	if (status != FERRULE_OK)
		return status;
	text[bytes] = '\0';
	/* It is a stranger's text on its way to a terminal. */
	for (size_t i = 0; i < bytes; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	}
	return fr_error(FERRULE_ERR_ABORTED, "%s gave up: %s", c->peer, text);
}

ferrule_status_t fr_perf_control_receive(struct fr_perf_control *c, enum fr_perf_kind kind,
                                         void *data, size_t *bytes, double timeout_s)
{
	const uint64_t deadline = deadline_of(timeout_s);
	unsigned char head[HEAD_BYTES];
	unsigned got;
	size_t length;

	ferrule_status_t status = receive_all(c, head, sizeof(head), deadline);
	if (status == FERRULE_OK)
		status = parse_head(c, head, &got, &length);
	if (status != FERRULE_OK)
		return status;
	if (got == FR_PERF_FAULT)
		return take_fault(c, length, deadline);
	if (got != (unsigned)kind || length > *bytes)
		return fr_error(FERRULE_ERR_PROTOCOL,
		                "%s sent frame %u of %zu bytes, expected frame %d of at most %zu",
		                c->peer, got, length, (int)kind, *bytes);
	*bytes = length;
	return receive_all(c, data, length, deadline);
}

ferrule_status_t fr_perf_control_exchange(struct fr_perf_control *c, enum fr_perf_kind kind,
                                          const void *mine, void *theirs, size_t bytes)
{
	size_t got = bytes;
	ferrule_status_t status = fr_perf_control_send(c, kind, mine, bytes);

	if (status == FERRULE_OK)
		status = fr_perf_control_receive(c, kind, theirs, &got, c->timeout_s);
	if (status == FERRULE_OK && got != bytes)
		return fr_error(FERRULE_ERR_PROTOCOL, "%s sent %zu bytes in frame %d, expected %zu",
		                c->peer, got, (int)kind, bytes);
	return status;
}

void fr_perf_control_fault(struct fr_perf_control *c, const char *text)
{
	size_t bytes = strlen(text);

	if (c->fd < 0)
		return;
	c->timeout_s = 1;
	fr_perf_control_send(c, FR_PERF_FAULT, text, bytes < FAULT_BYTES ? bytes : FAULT_BYTES);
}

ferrule_status_t fr_perf_control_peek(struct fr_perf_control *c)
{
	unsigned char head[HEAD_BYTES];
	unsigned kind;
	size_t bytes;

	const ssize_t n = recv(c->fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		return died(c, n == 0 ? 0 : errno);
	if (n < HEAD_BYTES)
		return FERRULE_OK;
	const ferrule_status_t status = parse_head(c, head, &kind, &bytes);
	if (status != FERRULE_OK)
		return status;
	if (kind != FR_PERF_FAULT && kind != FR_PERF_DONE)
		return FERRULE_OK;
	recv(c->fd, head, sizeof(head), MSG_DONTWAIT);
	if (kind == FR_PERF_FAULT)
		return take_fault(c, bytes, deadline_of(1));
	c->peer_done = true;
	return FERRULE_OK;
}

bool fr_perf_watch_look(struct fr_perf_watch *w)
{
	const uint64_t now = fr_clock_ns();

	if (w->n_idle <= FR_PERF_IDLE_LOOKS)
		w->since_ns = now;
	if (now - w->looked_ns < LOOK_EVERY_NS) {
		/* Where there are more pollers than cores, somebody else must get on. */
		sched_yield();
		return true;
	}
	w->looked_ns = now;
	w->status = fr_perf_control_peek(w->control);
	if (w->status != FERRULE_OK || (w->control->peer_done && w->ends_with_peer))
		return false;
	if (now - w->since_ns > w->limit_ns)
		w->status = fr_error(FERRULE_ERR_TIMEOUT,
		                     "nothing came from %s for %.0f s although it is there",
		                     w->control->peer, (double)w->limit_ns / 1e9);
	return w->status == FERRULE_OK;
}

#include "config.h"

#include "lib/transport/tcp/tcp_control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"

#define MILLISECOND 1000000u
/* A data lane that ended waits this long for the reason, which travels on its own. */
#define REASON_WAIT_NS (1000u * MILLISECOND)
/* Peers are told what we wait in after this long, and again not sooner than that. */
#define STATUS_AFTER_NS (100u * MILLISECOND)
#define STATUS_EVERY_NS (500u * MILLISECOND)

ferrule_status_t fr_tcp_fault(struct fr_tcp_ep *e, ferrule_status_t status, const char *format, ...)
{
	if (e->fault != FERRULE_OK)
		return e->fault;
	va_list args;
	va_start(args, format);
	vsnprintf(e->base.why, sizeof(e->base.why), format, args);
	va_end(args);
	e->fault = status;
	return status;
}

static ferrule_status_t died(struct fr_tcp_ep *e, int err)
{
	/* A reset is how the end of a killed process looks when it had data unread. */
	if (err == 0 || err == ECONNRESET || err == EPIPE)
		return fr_tcp_fault(e, FERRULE_ERR_PEER_DIED,
		                    "%s closed its connection without leaving", e->name);
	return fr_tcp_fault(e, FERRULE_ERR_PEER_DIED, "%s is lost: %s", e->name, strerror(err));
}

static void take_notice(struct fr_tcp_ep *e, const struct fr_tcp_notice *notice)
{
	switch (notice->kind) {
	case FR_TCP_STATUS:
		e->last_call = notice->call;
		e->has_last_call = true;
		break;
	case FR_TCP_GOODBYE:
		e->has_left = true;
		break;
	default:
		fr_tcp_fault(e, FERRULE_ERR_ABORTED, "%.*s", (int)notice->reason_bytes,
		             notice->reason);
	}
}

/* Takes all whole frames out of control_in. */
static ferrule_status_t parse_notices(struct fr_tcp_ep *e)
{
	unsigned used = 0;
	for (;;) {
		struct fr_tcp_notice notice;
		const char *why;
		size_t bytes;
		const ferrule_status_t status = fr_tcp_control_parse(
			e->control_in + used, e->control_in_bytes - used, &notice, &bytes, &why);
		if (status == FERRULE_INPROGRESS)
			break;
		if (status != FERRULE_OK)
			return fr_tcp_fault(e, status, "%s sent %s", e->name, why);
		take_notice(e, &notice);
		used += (unsigned)bytes;
	}
	e->control_in_bytes -= used;
	memmove(e->control_in, e->control_in + used, e->control_in_bytes);
	return e->fault;
}

/* Reads all there is on the control connection. */
static ferrule_status_t listen_to_peer(struct fr_tcp_ep *e)
{
	while (e->fault == FERRULE_OK) {
		/* There is always room: a frame is shorter than the buffer. */
		const size_t room = sizeof(e->control_in) - e->control_in_bytes;
		const ssize_t n =
			recv(e->control, e->control_in + e->control_in_bytes, room, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0 && e->has_left)
			break;
		if (n <= 0)
			return died(e, n < 0 ? errno : 0);
		e->control_in_bytes += (unsigned)n;
		parse_notices(e);
		if ((size_t)n < room)
			break;
	}
	return e->fault;
}

ferrule_status_t fr_tcp_lost(struct fr_tcp_ep *e, int err)
{
	if (listen_to_peer(e) != FERRULE_OK)
		return e->fault;
	if (e->has_left)
		return fr_tcp_fault(e, FERRULE_ERR_PEER_LEFT,
		                    "%s has left the communicator while this rank still had "
		                    "to exchange data with it",
		                    e->name);
	if (err != 0 && err != ECONNRESET && err != EPIPE)
		return died(e, err);
	const uint64_t now = fr_clock_ns();
	if (e->lost_at == 0)
		e->lost_at = now;
	return now - e->lost_at > REASON_WAIT_NS ? died(e, err) : FERRULE_OK;
}

/* May data of a peer that said goodbye still be there or arrive? */
static bool has_unread(struct fr_tcp_ep *e)
{
	if (e->early > 0)
		return true;
	for (unsigned i = 0; i < e->n_lanes; i++) {
		const struct fr_tcp_lane *lane = &e->lanes[i];
		if (lane->first < lane->last)
			return true;
		char byte;
		const ssize_t n = recv(lane->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
		/* Quiet, but not at its end: the last bytes are on their way. */
		if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
			return true;
	}
	return false;
}

static void flush(struct fr_tcp_ep *e)
{
	if (e->control_out_bytes == 0)
		return;
	const ssize_t n =
		send(e->control, e->control_out, e->control_out_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n <= 0)
		return;
	e->control_out_bytes -= (unsigned)n;
	memmove(e->control_out, e->control_out + n, e->control_out_bytes);
}

void fr_tcp_tell(struct fr_tcp_ep *e, enum fr_tcp_kind kind, const struct fr_call *call,
                 const char *reason)
{
	struct fr_tcp_head head = {.kind = (uint8_t)kind};
	if (call != NULL)
		head.call = *call;
	if (reason != NULL)
		head.bytes = strnlen(reason, FR_TCP_REASON_BYTES);
	fr_tcp_head_seal(&head);
	flush(e);
	/* A peer that reads nothing for hours fills the connection; it misses a status, no more. */
	const size_t room = sizeof(e->control_out) - e->control_out_bytes;
	if (sizeof(head) + head.bytes > room)
		return;
	memcpy(e->control_out + e->control_out_bytes, &head, sizeof(head));
	e->control_out_bytes += sizeof(head);
	if (reason != NULL)
		memcpy(e->control_out + e->control_out_bytes, reason, head.bytes);
	e->control_out_bytes += (unsigned)head.bytes;
	flush(e);
}

/* Tells the peer what we have been waiting in, once an announcement. */
static void tell_status(struct fr_tcp_ep *e)
{
	struct fr_tcp *t = fr_tcp_of(e->base.transport);
	const uint64_t now = fr_clock_ns();
	if (t->seen_epoch != t->epoch) {
		t->seen_epoch = t->epoch;
		t->waiting_since = now;
	}
	if (t->epoch == 0 || e->status_epoch == t->epoch ||
	    now - t->waiting_since < STATUS_AFTER_NS ||
	    (e->status_at != 0 && now - e->status_at < STATUS_EVERY_NS))
		return;
	/* Nothing is queued behind what the socket did not take: the next try will do. */
	flush(e);
	if (e->control_out_bytes > 0)
		return;
	e->status_at = now;
	e->status_epoch = t->epoch;
	fr_tcp_tell(e, FR_TCP_STATUS, &t->call, NULL);
}

ferrule_status_t fr_tcp_check(struct fr_ep *ep)
{
	struct fr_tcp_ep *e = fr_tcp_ep_of(ep);
	if (e->fault != FERRULE_OK || listen_to_peer(e) != FERRULE_OK)
		return e->fault;
	if (e->has_left && !has_unread(e))
		return fr_tcp_lost(e, 0);
	if (!e->has_left)
		tell_status(e);
	return FERRULE_OK;
}

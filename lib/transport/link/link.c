/*
 * The bytes that have arrived wait in `in` until the frame at its front is whole; a note stays at
 * the front, and keeps everything behind it waiting, until its transport takes it.
 */
#include "config.h"

#include "lib/transport/link/link.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/transport/link/link_wire.h"

#define MILLISECOND 1000000u
/* A data path that broke waits this long for the reason, which travels on its own. */
#define REASON_WAIT_NS (1000u * MILLISECOND)
/* Peers are told what we wait in after this long, and again not sooner than that. */
#define STATUS_AFTER_NS (100u * MILLISECOND)
#define STATUS_EVERY_NS (500u * MILLISECOND)
/* The last words of a process that has ended come at most this much later than its end. */
#define LAST_WORDS_NS (20u * MILLISECOND)
/* How often we look whether the peer's kernel still answers, */
#define ASK_EVERY_NS (100u * MILLISECOND)
/* after how many seconds its kernel is asked, and the most times that it asks by itself; */
#define ASK_AFTER_S   1
#define ASK_TIMES_MAX 127
/* and how often we ask in vain before silence means anything. */
#define ASKED_ENOUGH 5
/* Notes leave this much of the queue free, so that last words always have room. */
#define LAST_WORDS_BYTES (sizeof(struct fr_link_head) + FR_LINK_REASON_BYTES)

void fr_link_init(struct fr_link *l, int fd, int peer, const char *where, char *why,
                  size_t why_bytes)
{
	memset(l, 0, sizeof(*l));
	l->fd = fd;
	l->peer = peer;
	l->process.fd = -1;
	l->why = why;
	l->why_bytes = why_bytes;
	snprintf(l->name, sizeof(l->name), "rank %d (%s)", peer, where);
}

ferrule_status_t fr_link_fault(struct fr_link *l, ferrule_status_t status, const char *format, ...)
{
	if (l->fault != FERRULE_OK)
		return l->fault;
	va_list args;
	va_start(args, format);
	fr_vformat(l->why, l->why_bytes, format, args);
	va_end(args);
	l->fault = status;
	return status;
}

/* ---- reading ---- */

static ferrule_status_t died(struct fr_link *l, int err)
{
	/* A reset is how the end of a killed process looks when it had data unread. */
	if (err == 0 || err == ECONNRESET || err == EPIPE)
		return fr_link_fault(l, FERRULE_ERR_PEER_DIED,
		                     "%s closed its connection without leaving", l->name);
	return fr_link_fault(l, FERRULE_ERR_PEER_DIED, "%s is lost: %s", l->name, strerror(err));
}

/* The frame at the front of `in`: OK, INPROGRESS, or the fault. */
static ferrule_status_t look(struct fr_link *l, unsigned at, struct fr_link_frame *frame,
                             size_t *bytes)
{
	const char *why;
	const ferrule_status_t status =
		fr_link_frame_parse(l->in + at, l->in_bytes - at, frame, bytes, &why);
	if (status < 0)
		return fr_link_fault(l, status, "%s sent %s", l->name, why);
	return status;
}

static void consume(struct fr_link *l, unsigned bytes)
{
	l->in_bytes -= bytes;
	memmove(l->in, l->in + bytes, l->in_bytes);
}

static void take_refusal(struct fr_link *l, const void *body)
{
	struct fr_refusal refusal;

	memcpy(&refusal, body, sizeof(refusal));
	l->last_refusal[fr_refusal_place(&refusal)] = refusal;
}

static void take_frame(struct fr_link *l, const struct fr_link_frame *frame)
{
	switch (frame->kind) {
	case FR_LINK_STATUS:
		l->last_call = frame->call;
		l->has_last_call = true;
		memcpy(&l->last_wait, frame->body, sizeof(l->last_wait));
		break;
	case FR_LINK_ASK:
		l->is_asked = true;
		break;
	case FR_LINK_REFUSAL:
		take_refusal(l, frame->body);
		break;
	case FR_LINK_GOODBYE:
		l->has_left = true;
		break;
	default:
		fr_link_fault(l, FERRULE_ERR_ABORTED, "%.*s", (int)frame->body_bytes,
		              (const char *)frame->body);
	}
}

/* Takes whole frames out of `in`; true when it stopped in front of a note. */
static bool take_frames(struct fr_link *l)
{
	unsigned used = 0;
	bool is_note = false;
	while (l->fault == FERRULE_OK) {
		struct fr_link_frame frame;
		size_t bytes;
		if (look(l, used, &frame, &bytes) != FERRULE_OK)
			break;
		is_note = frame.kind == FR_LINK_NOTE;
		if (is_note)
			break;
		take_frame(l, &frame);
		used += (unsigned)bytes;
	}
	consume(l, used);
	return is_note;
}

ssize_t fr_link_send(int fd, const void *bytes, size_t n)
{
	ssize_t sent;

	do
		sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

static void flush(struct fr_link *l)
{
	if (l->out_bytes == 0)
		return;
	const ssize_t n = fr_link_send(l->fd, l->out, l->out_bytes);
	if (n <= 0)
		return;
	l->out_bytes -= (unsigned)n;
	memmove(l->out, l->out + n, l->out_bytes);
}

ferrule_status_t fr_link_poll(struct fr_link *l)
{
	flush(l);
	while (l->fault == FERRULE_OK && !take_frames(l) && l->fault == FERRULE_OK) {
		/* There is always room: a frame that is not whole is shorter than the buffer. */
		const size_t room = sizeof(l->in) - l->in_bytes;
		const ssize_t n = recv(l->fd, l->in + l->in_bytes, room, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0 && l->has_left)
			break;
		if (n <= 0)
			return died(l, n < 0 ? errno : 0);
		l->in_bytes += (unsigned)n;
	}
	return l->fault;
}

bool fr_link_take_note(struct fr_link *l, struct fr_link_note *out)
{
	struct fr_link_frame frame;
	size_t bytes;
	if (l->fault != FERRULE_OK || look(l, 0, &frame, &bytes) != FERRULE_OK ||
	    frame.kind != FR_LINK_NOTE)
		return false;
	out->kind = frame.note;
	out->bytes = (unsigned)frame.body_bytes;
	memcpy(out->data, frame.body, frame.body_bytes);
	consume(l, (unsigned)bytes);
	return true;
}

ferrule_status_t fr_link_lost(struct fr_link *l, int err)
{
	if (fr_link_poll(l) != FERRULE_OK)
		return l->fault;
	if (l->has_left)
		return fr_link_fault(l, FERRULE_ERR_PEER_LEFT,
		                     "%s has left the communicator while this rank still had "
		                     "to exchange data with it",
		                     l->name);
	if (err != 0 && err != ECONNRESET && err != EPIPE)
		return died(l, err);
	const uint64_t now = fr_clock_ns();
	if (l->lost_at == 0)
		l->lost_at = now;
	return now - l->lost_at > REASON_WAIT_NS ? died(l, err) : FERRULE_OK;
}

/* ---- life ---- */

void fr_link_watch(struct fr_link *l, const struct fr_process_id *process, double silence_s)
{
	const int one = 1, after_s = ASK_AFTER_S, times = ASK_TIMES_MAX;
	const char *how = fr_process_watch(&l->process, -1, process);
	fr_log(FR_LOG_DEBUG, "link to %s: its death is told by %s", l->name, how);
	l->silence_ns = (uint64_t)(silence_s * 1e9);
	/* The probes are the kernel's; what their answers mean is said here, so it never gives up.
	 * No TCP_USER_TIMEOUT: it would also end the connection to a peer that answers but is not
	 * reading. */
	setsockopt(l->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(l->fd, IPPROTO_TCP, TCP_KEEPIDLE, &after_s, sizeof(after_s));
	setsockopt(l->fd, IPPROTO_TCP, TCP_KEEPINTVL, &after_s, sizeof(after_s));
	setsockopt(l->fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
}

/* Is a process that has ended past its last words? */
static bool is_past_words(struct fr_link *l, uint64_t now)
{
	if (!fr_process_has_ended(&l->process))
		return false;
	if (l->ended_at == 0)
		l->ended_at = now;
	return now - l->ended_at > LAST_WORDS_NS;
}

bool fr_link_is_gone(struct fr_link *l)
{
	return is_past_words(l, fr_clock_ns());
}

/* How long nothing has come from the peer's kernel, in milliseconds; 0 when that is not known. */
static unsigned silent_ms(const struct fr_link *l)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);
	if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
		return 0;
	return info.tcpi_last_ack_recv < info.tcpi_last_data_recv ? info.tcpi_last_ack_recv
	                                                          : info.tcpi_last_data_recv;
}

static ferrule_status_t look_for_silence(struct fr_link *l, uint64_t now)
{
	const int after_s = ASK_AFTER_S;
	if (l->silence_ns == 0 || now - l->asked_at < ASK_EVERY_NS)
		return FERRULE_OK;
	l->asked_at = now;
	const unsigned silent = silent_ms(l);
	if (silent < 1000 * ASK_AFTER_S) {
		l->n_asked = 0;
		return FERRULE_OK;
	}
	/* The next look would be too late. */
	if (l->n_asked >= ASKED_ENOUGH &&
	    (uint64_t)silent * MILLISECOND + ASK_EVERY_NS > l->silence_ns)
		return fr_link_fault(l, FERRULE_ERR_PEER_DIED,
		                     "%s is lost: its host has not answered for %.1f s", l->name,
		                     silent / 1e3);
	/* Setting it again makes the kernel send a probe at once, that much time having passed. */
	setsockopt(l->fd, IPPROTO_TCP, TCP_KEEPIDLE, &after_s, sizeof(after_s));
	l->n_asked++;
	return FERRULE_OK;
}

ferrule_status_t fr_link_look(struct fr_link *l)
{
	const uint64_t now = fr_clock_ns();
	if (l->fault != FERRULE_OK || l->has_left)
		return l->fault;
	if (is_past_words(l, now))
		return fr_link_fault(l, FERRULE_ERR_PEER_DIED, "%s died (its process is gone)",
		                     l->name);
	return look_for_silence(l, now);
}

/* ---- telling ---- */

/* Queues one frame, leaving `spare` bytes of the queue free, and sends what the socket takes. */
static bool tell(struct fr_link *l, struct fr_link_head *head, const void *body, size_t spare)
{
	fr_link_head_seal(head);
	flush(l);
	const size_t room = sizeof(l->out) - l->out_bytes;
	if (sizeof(*head) + head->bytes + spare > room)
		return false;
	memcpy(l->out + l->out_bytes, head, sizeof(*head));
	l->out_bytes += sizeof(*head);
	if (head->bytes > 0)
		memcpy(l->out + l->out_bytes, body, head->bytes);
	l->out_bytes += (unsigned)head->bytes;
	flush(l);
	return true;
}

bool fr_link_send_note(struct fr_link *l, unsigned kind, const void *data, unsigned bytes)
{
	assert(kind <= 255 && bytes <= FR_LINK_NOTE_BYTES);
	struct fr_link_head head = {.kind = FR_LINK_NOTE, .note = kind, .bytes = bytes};
	return tell(l, &head, data, LAST_WORDS_BYTES);
}

void fr_link_abort(struct fr_link *l, const char *reason)
{
	struct fr_link_head head = {.kind = FR_LINK_ABORT,
	                            .bytes = strnlen(reason, FR_LINK_REASON_BYTES)};
	tell(l, &head, reason, 0);
}

void fr_link_goodbye(struct fr_link *l)
{
	struct fr_link_head head = {.kind = FR_LINK_GOODBYE};
	tell(l, &head, NULL, 0);
}

void fr_link_announce(struct fr_link_status *status, const struct fr_call *call)
{
	status->call = *call;
	status->epoch++;
}

void fr_link_tell_status(struct fr_link *l, struct fr_link_status *status)
{
	const uint64_t now = fr_clock_ns();
	if (status->seen_epoch != status->epoch) {
		status->seen_epoch = status->epoch;
		status->waiting_since = now;
	}
	const bool is_due = l->status_epoch != status->epoch &&
	                    now - status->waiting_since >= STATUS_AFTER_NS &&
	                    (l->status_at == 0 || now - l->status_at >= STATUS_EVERY_NS);
	if (l->has_left || status->epoch == 0 || (!is_due && !l->is_asked))
		return;
	/* Nothing is queued behind what the socket did not take: the next try will do. */
	flush(l);
	if (l->out_bytes > 0)
		return;
	l->status_at = now;
	l->status_epoch = status->epoch;
	l->is_asked = false;
	struct fr_link_head head = {
		.kind = FR_LINK_STATUS, .bytes = sizeof(status->wait), .call = status->call};
	tell(l, &head, &status->wait, 0);
}

bool fr_link_peer_call(const struct fr_link *l, struct fr_call *call_out)
{
	if (!l->has_last_call)
		return false;
	*call_out = l->last_call;
	/* It may be from a message without elements, which has another. */
	call_out->signature = fr_call_signature(call_out);
	return true;
}

bool fr_link_peer_wait(const struct fr_link *l, struct fr_wait *wait_out)
{
	*wait_out = l->last_wait;
	return l->last_wait.beat != 0;
}

void fr_link_ask(struct fr_link *l)
{
	struct fr_link_head head = {.kind = FR_LINK_ASK};
	if (l->fault == FERRULE_OK && !l->has_left)
		tell(l, &head, NULL, LAST_WORDS_BYTES);
}

void fr_link_refuse(struct fr_link *l, const struct fr_refusal *refusal)
{
	struct fr_link_head head = {.kind = FR_LINK_REFUSAL, .bytes = sizeof(*refusal)};
	if (l->fault == FERRULE_OK && !l->has_left)
		tell(l, &head, refusal, LAST_WORDS_BYTES);
}

bool fr_link_peer_refusal(const struct fr_link *l, int place, struct fr_refusal *refusal_out)
{
	*refusal_out = l->last_refusal[place];
	return refusal_out->count != 0;
}

/* ---- the end ---- */

void fr_link_close(struct fr_link *l)
{
	fr_process_unwatch(&l->process);
	if (l->fd < 0)
		return;
	shutdown(l->fd, SHUT_WR);
	while (recv(l->fd, l->in, sizeof(l->in), MSG_DONTWAIT) > 0)
		;
	close(l->fd);
	l->fd = -1;
}

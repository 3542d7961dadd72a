/*
 * Positions are byte offsets in the message.  A lane's send_pos and recv_pos always lie in a
 * chunk of that lane; past the end of the message means that the lane has nothing more to do
 * with it.  What has moved, to the caller, is the prefix that all lanes have completed.
 */
#include "config.h"

#include "lib/transport/tcp/tcp_ep.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define HEAD_BYTES sizeof(struct fr_tcp_head)

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Lays out a message of `bytes` over the lanes. */
static void flow_begin(struct fr_tcp_flow *flow, const struct fr_tcp_ep *e,
                       const struct fr_message *m)
{
	flow->bytes = m->bytes;
	flow->moved = 0;
	flow->chunk = fr_tcp_chunk_bytes(m->bytes, e->n_lanes);
	flow->n_lanes = flow->chunk == m->bytes ? 1 : e->n_lanes;
	flow->memory = m->memory;
	flow->number++;
}

/* ---- sending ---- */

static void seal_head(const struct fr_tcp_ep *e, struct fr_tcp_lane *lane,
                      const struct fr_call *call)
{
	struct fr_tcp_head *head = &lane->out.head;
	head->kind = lane->send_pos == 0 ? FR_TCP_MESSAGE : FR_TCP_CHUNK;
	head->number = e->out.number;
	head->bytes = e->out.bytes;
	head->offset = lane->send_pos;
	if (call != NULL)
		head->call = *call;
	fr_tcp_head_seal(head);
	lane->head_left = HEAD_BYTES;
}

static ferrule_status_t tcp_send_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct fr_tcp_ep *e = fr_tcp_ep_of(ep);
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	flow_begin(&e->out, e, m);
	for (unsigned i = 0; i < e->out.n_lanes; i++) {
		struct fr_tcp_lane *lane = &e->lanes[i];
		lane->send_pos = i * e->out.chunk;
		lane->send_end = min64(lane->send_pos + e->out.chunk, m->bytes);
		if (lane->send_pos < m->bytes)
			seal_head(e, lane, m->call);
	}
	return FERRULE_OK;
}

/* One system call: what is left of the head, and payload behind it.  Returns what the socket
 * took of both together, 0, or a negative status. */
static int64_t push(struct fr_tcp_ep *e, struct fr_tcp_lane *lane, const void *src, size_t bytes)
{
	unsigned char *head = (unsigned char *)&lane->out + HEAD_BYTES - lane->head_left;
	ssize_t n;
	if (lane->head_left == 0) {
		n = send(lane->fd, src, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (bytes <= FR_TCP_INLINE_BYTES) {
		memcpy(lane->out.payload, src, bytes);
		n = send(lane->fd, head, lane->head_left + bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		struct iovec parts[2] = {{head, lane->head_left}, {(void *)src, bytes}};
		const struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
		n = sendmsg(lane->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (n >= 0)
		return n;
	if (errno == EAGAIN) {
		lane->wants_write = true;
		return 0;
	}
	return errno == EINTR || errno == ENOBUFS ? 0 : fr_link_lost(&e->link, errno);
}

/* push(), less the head: payload bytes taken, 0, or a negative status. */
static int64_t lane_send(struct fr_tcp_ep *e, struct fr_tcp_lane *lane, const void *src,
                         size_t bytes)
{
	const int64_t n = push(e, lane, src, bytes);
	if (n <= 0)
		return n;
	lane->wants_write = false;
	if ((uint64_t)n <= lane->head_left) {
		lane->head_left -= (uint32_t)n;
		return 0;
	}
	const int64_t payload = n - lane->head_left;
	lane->head_left = 0;
	lane->send_pos += (uint64_t)payload;
	return payload;
}

/* Sends from one lane until it is full, or has sent its part of the message below `limit`.
 * OK or the fault. */
static ferrule_status_t lane_send_striped(struct fr_tcp_ep *e, struct fr_tcp_lane *lane,
                                          const unsigned char *src, uint64_t limit)
{
	const struct fr_tcp_flow *flow = &e->out;
	while (lane->send_pos < limit) {
		const size_t want = min64(lane->send_end, limit) - lane->send_pos;
		const int64_t n = lane_send(e, lane, src + (lane->send_pos - flow->moved), want);
		if (n < 0)
			return (ferrule_status_t)n;
		if ((size_t)n < want)
			break;
		if (lane->send_pos < lane->send_end)
			break;
		lane->send_pos += (flow->n_lanes - 1) * flow->chunk;
		lane->send_end = min64(lane->send_pos + flow->chunk, flow->bytes);
		if (lane->send_pos < flow->bytes)
			seal_head(e, lane, NULL);
	}
	return FERRULE_OK;
}

static int64_t send_striped(struct fr_tcp_ep *e, const void *src, size_t bytes)
{
	struct fr_tcp_flow *flow = &e->out;
	const uint64_t limit = flow->moved + bytes;
	uint64_t prefix = limit;
	for (unsigned i = 0; i < flow->n_lanes; i++) {
		const ferrule_status_t status = lane_send_striped(e, &e->lanes[i], src, limit);
		if (status != FERRULE_OK)
			return status;
		prefix = min64(prefix, e->lanes[i].send_pos);
	}
	return (int64_t)(prefix - flow->moved);
}

static int64_t tcp_send_some(struct fr_ep *ep, const void *src, size_t bytes)
{
	struct fr_tcp_ep *e = fr_tcp_ep_of(ep);
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	bytes = min64(bytes, e->out.bytes - e->out.moved);
	int64_t n;
	if (e->out.n_lanes > 1)
		n = send_striped(e, src, bytes);
	else
		n = lane_send(e, &e->lanes[0], src, min64(bytes, FR_TCP_SLICE_BYTES));
	if (n > 0) {
		e->out.moved += (uint64_t)n;
		e->sent_bytes += (uint64_t)n;
	}
	return n;
}

/* The kernel copies out of the caller's memory as fast as out of ours: there is no window. */
static void *tcp_send_window(struct fr_ep *ep, size_t *room_out, bool *stream_out)
{
	(void)ep;
	*room_out = 0;
	*stream_out = false;
	return NULL;
}

static void tcp_send_commit(struct fr_ep *ep, size_t bytes)
{
	(void)ep;
	(void)bytes;
}

static uint64_t tcp_send_reusable(struct fr_ep *ep)
{
	return fr_tcp_ep_of(ep)->sent_bytes;
}

/* ---- receiving ---- */

static inline uint32_t buffered(const struct fr_tcp_lane *lane)
{
	return lane->last - lane->first;
}

/* What recv() returned, as a status; bytes when positive. */
static inline int64_t received(struct fr_tcp_ep *e, struct fr_tcp_lane *lane, ssize_t n)
{
	if (n > 0) {
		lane->wants_read = false;
		return n;
	}
	if (n < 0 && errno == EAGAIN) {
		lane->wants_read = true;
		return 0;
	}
	if (n < 0 && errno == EINTR)
		return 0;
	return fr_link_lost(&e->link, n < 0 ? errno : 0);
}

/* Reads at most `most` more bytes into the lane's buffer, at least `need` of which must fit
 * together with what is there.  Returns bytes read, 0, or a negative status. */
static int64_t fill(struct fr_tcp_ep *e, struct fr_tcp_lane *lane, uint32_t need, uint32_t most)
{
	const uint32_t have = buffered(lane);
	if (have == 0) {
		/* Keep the payload aligned as it is in the message, for the kernels. */
		lane->first = lane->last = lane->has_head ? lane->recv_pos % 64 : 0;
	} else if (FR_TCP_BUFFER_BYTES - lane->first < need) {
		memmove(lane->buffer, lane->buffer + lane->first, have);
		lane->first = 0;
		lane->last = have;
	}
	const size_t room = min64(most, FR_TCP_BUFFER_BYTES - lane->last);
	const int64_t n =
		received(e, lane, recv(lane->fd, lane->buffer + lane->last, room, MSG_DONTWAIT));
	if (n > 0)
		lane->last += (uint32_t)n;
	return n;
}

/* Is the payload read straight into its destination? */
static inline bool is_direct(const struct fr_message *m)
{
	return m->memory != NULL && m->bytes >= FR_TCP_DIRECT_BYTES;
}

/* The head of a message into the empty buffer, what follows straight to where it belongs: the
 * memory of a receive is free to be written from its begin. */
static int64_t fill_early(struct fr_tcp_ep *e, struct fr_tcp_lane *lane, const struct fr_message *m)
{
	const uint64_t chunk = fr_tcp_chunk_bytes(m->bytes, e->n_lanes);
	struct iovec parts[2] = {{lane->buffer, HEAD_BYTES},
	                         {m->memory, min64(chunk, FR_TCP_SLICE_BYTES)}};
	struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
	const int64_t n = received(e, lane, recvmsg(lane->fd, &msg, MSG_DONTWAIT));
	if (n <= 0)
		return n;
	lane->first = 0;
	lane->last = (uint32_t)min64((uint64_t)n, HEAD_BYTES);
	e->early = (size_t)n - lane->last;
	return n;
}

/* A whole head at the front of the lane's buffer?  OK, INPROGRESS, or a fault.  `is_exact`:
 * what follows is better not read into the buffer; `m` when it may go to the memory of that. */
static ferrule_status_t fetch_head(struct fr_tcp_ep *e, struct fr_tcp_lane *lane, bool is_exact,
                                   const struct fr_message *m, struct fr_tcp_head *head)
{
	if (buffered(lane) < HEAD_BYTES) {
		const uint32_t most = is_exact ? HEAD_BYTES - buffered(lane) : FR_TCP_BUFFER_BYTES;
		const int64_t n = m != NULL && buffered(lane) == 0
		                          ? fill_early(e, lane, m)
		                          : fill(e, lane, HEAD_BYTES, most);
		if (n < 0)
			return (ferrule_status_t)n;
		if (buffered(lane) < HEAD_BYTES)
			return FERRULE_INPROGRESS;
	}
	const char *why;
	if (fr_tcp_data_parse(lane->buffer + lane->first, head, &why) != FERRULE_OK)
		return fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL, "%s sent %s", e->link.name,
		                     why);
	return FERRULE_OK;
}

static void recv_layout(struct fr_tcp_ep *e, const struct fr_message *m)
{
	flow_begin(&e->in, e, m);
	for (unsigned i = 0; i < e->in.n_lanes; i++) {
		struct fr_tcp_lane *lane = &e->lanes[i];
		lane->recv_pos = i * e->in.chunk;
		lane->recv_end = min64(lane->recv_pos + e->in.chunk, m->bytes);
		lane->has_head = i == 0;
	}
	e->base.recv_prefers_some = is_direct(m);
}

static ferrule_status_t tcp_recv_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct fr_tcp_ep *e = fr_tcp_ep_of(ep);
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	struct fr_tcp_lane *lane = &e->lanes[0];
	struct fr_tcp_head head;
	lane->has_head = false;
	const bool goes_direct = is_direct(m);
	const ferrule_status_t status =
		fetch_head(e, lane, goes_direct, goes_direct ? m : NULL, &head);
	if (status != FERRULE_OK)
		return status;
	if (head.kind != FR_TCP_MESSAGE || head.number != e->in.number + 1)
		return fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL,
		                     "%s sent frame %u of kind %u where message %u begins",
		                     e->link.name, head.number, head.kind, e->in.number + 1);
	e->link.last_call = head.call;
	e->link.has_last_call = true;
	if (head.call.signature != m->call->signature || head.bytes != m->bytes) {
		ep->peer_call = head.call;
		ep->peer_bytes = head.bytes;
		return fr_link_fault(&e->link, FERRULE_ERR_MISMATCH,
		                     "%s announced a message of %llu bytes where %llu of another "
		                     "call were expected",
		                     e->link.name, (unsigned long long)head.bytes,
		                     (unsigned long long)m->bytes);
	}
	lane->first += HEAD_BYTES;
	recv_layout(e, m);
	return FERRULE_OK;
}

/* The head of a later chunk.  OK, INPROGRESS, or a fault. */
static ferrule_status_t begin_chunk(struct fr_tcp_ep *e, struct fr_tcp_lane *lane)
{
	struct fr_tcp_head head;
	const ferrule_status_t status = fetch_head(e, lane, e->base.recv_prefers_some, NULL, &head);
	if (status != FERRULE_OK)
		return status;
	if (head.kind != FR_TCP_CHUNK || head.number != e->in.number || head.bytes != e->in.bytes ||
	    head.offset != lane->recv_pos)
		return fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL,
		                     "%s sent a chunk out of order: message %u at %llu of %llu",
		                     e->link.name, head.number, (unsigned long long)head.offset,
		                     (unsigned long long)head.bytes);
	lane->first += HEAD_BYTES;
	lane->has_head = true;
	return FERRULE_OK;
}

/* `bytes` of the lane's chunk are consumed. */
static inline void lane_advance(struct fr_tcp_ep *e, struct fr_tcp_lane *lane, uint64_t bytes)
{
	lane->recv_pos += bytes;
	if (lane->recv_pos < lane->recv_end)
		return;
	lane->has_head = false;
	lane->recv_pos += (e->in.n_lanes - 1) * e->in.chunk;
	lane->recv_end = min64(lane->recv_pos + e->in.chunk, e->in.bytes);
}

/* Does the lane go on with bytes that came with the head? */
static inline bool is_early(const struct fr_tcp_ep *e, const struct fr_tcp_lane *lane)
{
	return e->early > 0 && lane == e->lanes;
}

/* Moves at most `bytes` of what came with the head. */
static int64_t recv_early(struct fr_tcp_ep *e, const struct fr_tcp_lane *lane, void *dst,
                          size_t bytes)
{
	const unsigned char *src = e->in.memory + lane->recv_pos;
	const size_t n = min64(e->early, bytes);
	if (dst != src)
		memmove(dst, src, n);
	e->early -= n;
	return (int64_t)n;
}

/* Moves at most `bytes` of the lane's chunk, which has its head, into dst. */
static int64_t lane_recv(struct fr_tcp_ep *e, struct fr_tcp_lane *lane, void *dst, size_t bytes)
{
	if (is_early(e, lane))
		return recv_early(e, lane, dst, bytes);
	size_t got = min64(buffered(lane), bytes);
	if (got == 0 && !e->base.recv_prefers_some) {
		/* What follows a small message is likely small too: one call fetches all. */
		const int64_t n = fill(e, lane, 1, FR_TCP_BUFFER_BYTES);
		if (n <= 0)
			return n;
		got = min64((uint64_t)n, bytes);
	}
	memcpy(dst, lane->buffer + lane->first, got);
	lane->first += (uint32_t)got;
	if (got == bytes || !e->base.recv_prefers_some)
		return (int64_t)got;
	const size_t want = min64(bytes - got, FR_TCP_SLICE_BYTES);
	const int64_t n =
		received(e, lane, recv(lane->fd, (unsigned char *)dst + got, want, MSG_DONTWAIT));
	/* Bytes that were copied already count; a fault will be there the next time. */
	return got > 0 && n < 0 ? (int64_t)got : (int64_t)got + n;
}

/* Receives on one lane what there is of its part of the message below `limit`. */
static ferrule_status_t lane_recv_striped(struct fr_tcp_ep *e, struct fr_tcp_lane *lane,
                                          unsigned char *dst, uint64_t limit)
{
	while (lane->recv_pos < limit) {
		const ferrule_status_t status = lane->has_head ? FERRULE_OK : begin_chunk(e, lane);
		if (status == FERRULE_INPROGRESS)
			break;
		if (status != FERRULE_OK)
			return status;
		const size_t want = min64(lane->recv_end, limit) - lane->recv_pos;
		const int64_t n = lane_recv(e, lane, dst + (lane->recv_pos - e->in.moved), want);
		if (n < 0)
			return (ferrule_status_t)n;
		if (n == 0)
			break;
		lane_advance(e, lane, (uint64_t)n);
	}
	return FERRULE_OK;
}

/* All lanes at once: what arrives ahead of the prefix lands where it belongs, because the
 * caller's next destination follows this one. */
static int64_t recv_striped(struct fr_tcp_ep *e, void *dst, size_t bytes)
{
	const uint64_t limit = e->in.moved + bytes;
	uint64_t prefix = limit;
	for (unsigned i = 0; i < e->in.n_lanes; i++) {
		const ferrule_status_t status = lane_recv_striped(e, &e->lanes[i], dst, limit);
		if (status != FERRULE_OK)
			return status;
		prefix = min64(prefix, e->lanes[i].recv_pos);
	}
	return (int64_t)(prefix - e->in.moved);
}

/* The lane that holds the next byte of the message. */
static inline struct fr_tcp_lane *next_lane(struct fr_tcp_ep *e)
{
	if (e->in.n_lanes == 1)
		return &e->lanes[0];
	return &e->lanes[e->in.moved / e->in.chunk % e->in.n_lanes];
}

/* In order, from the one lane that has the next byte. */
static int64_t recv_in_order(struct fr_tcp_ep *e, void *dst, size_t bytes)
{
	struct fr_tcp_lane *lane = next_lane(e);
	const ferrule_status_t status = lane->has_head ? FERRULE_OK : begin_chunk(e, lane);
	if (status != FERRULE_OK)
		return status == FERRULE_INPROGRESS ? 0 : (int64_t)status;
	const int64_t n = lane_recv(e, lane, dst, min64(bytes, lane->recv_end - lane->recv_pos));
	if (n > 0)
		lane_advance(e, lane, (uint64_t)n);
	return n;
}

static int64_t tcp_recv_some(struct fr_ep *ep, void *dst, size_t bytes)
{
	struct fr_tcp_ep *e = fr_tcp_ep_of(ep);
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	bytes = min64(bytes, e->in.bytes - e->in.moved);
	const int64_t n = e->in.n_lanes > 1 && e->in.memory != NULL ? recv_striped(e, dst, bytes)
	                                                            : recv_in_order(e, dst, bytes);
	if (n > 0)
		e->in.moved += (uint64_t)n;
	return n;
}

/* Too few early bytes for a window: it grows in the buffer, which is empty. */
static void buffer_early(struct fr_tcp_ep *e, struct fr_tcp_lane *lane)
{
	lane->first = 0;
	lane->last = (uint32_t)e->early;
	memcpy(lane->buffer, e->in.memory + lane->recv_pos, e->early);
	e->early = 0;
}

static const void *tcp_recv_window(struct fr_ep *ep, size_t *avail_out,
                                   ferrule_status_t *status_out)
{
	struct fr_tcp_ep *e = fr_tcp_ep_of(ep);
	struct fr_tcp_lane *lane = next_lane(e);
	*avail_out = 0;
	*status_out = e->link.fault;
	if (e->link.fault != FERRULE_OK)
		return NULL;
	if (!lane->has_head) {
		const ferrule_status_t status = begin_chunk(e, lane);
		*status_out = status < 0 ? status : FERRULE_OK;
		if (status != FERRULE_OK)
			return NULL;
	}
	const uint64_t left = lane->recv_end - lane->recv_pos;
	const uint32_t enough = (uint32_t)min64(left, FR_WINDOW_MIN);
	if (is_early(e, lane) && e->early >= enough) {
		*avail_out = e->early;
		return e->in.memory + lane->recv_pos;
	}
	if (is_early(e, lane))
		buffer_early(e, lane);
	if (buffered(lane) < enough) {
		const int64_t n = fill(e, lane, enough, FR_TCP_BUFFER_BYTES);
		*status_out = n < 0 ? (ferrule_status_t)n : FERRULE_OK;
	}
	*avail_out = min64(buffered(lane), left);
	return *avail_out > 0 && *status_out == FERRULE_OK ? lane->buffer + lane->first : NULL;
}

static void tcp_recv_release(struct fr_ep *ep, size_t bytes)
{
	struct fr_tcp_ep *e = fr_tcp_ep_of(ep);
	struct fr_tcp_lane *lane = next_lane(e);
	if (is_early(e, lane))
		e->early -= bytes;
	else
		lane->first += (uint32_t)bytes;
	e->in.moved += bytes;
	lane_advance(e, lane, bytes);
}

/* ---- the peer ---- */

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
		/* Quiet, but not at its end: the last bytes are on their way, if there is anybody
		 * who sends them. */
		if (n > 0 ||
		    (n < 0 && (errno == EAGAIN || errno == EINTR) && !fr_link_is_gone(&e->link)))
			return true;
	}
	return false;
}

/* Copies the first bytes that were not taken from the lane, and leaves them there; how many. */
static size_t peek(const struct fr_tcp_lane *lane, void *out, size_t bytes)
{
	const size_t have = min64(buffered(lane), bytes);
	memcpy(out, lane->buffer + lane->first, have);
	if (have == bytes)
		return have;
	const ssize_t n =
		recv(lane->fd, (unsigned char *)out + have, bytes - have, MSG_PEEK | MSG_DONTWAIT);
	return have + (n > 0 ? (size_t)n : 0);
}

static ferrule_status_t tcp_check(struct fr_ep *ep)
{
	struct fr_tcp_ep *e = fr_tcp_ep_of(ep);
	struct fr_link_note note;
	if (fr_link_poll(&e->link) != FERRULE_OK)
		return e->link.fault;
	if (fr_link_take_note(&e->link, &note))
		return fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL,
		                     "%s sent a note of kind %u, where none is expected",
		                     e->link.name, note.kind);
	if (e->link.has_left && !has_unread(e))
		return fr_link_lost(&e->link, 0);
	fr_link_tell_status(&e->link, &fr_tcp_of(ep->transport)->status);
	return fr_link_look(&e->link);
}

static bool tcp_peer_call(struct fr_ep *ep, struct fr_call *call_out)
{
	return fr_link_peer_call(&fr_tcp_ep_of(ep)->link, call_out);
}

/* A message that nobody has asked for yet says what its sender is in, or was: this rank may wait
 * for others in a call that disagrees. */
static bool tcp_past_call(struct fr_ep *ep, uint64_t sequence, struct fr_call *call_out)
{
	const struct fr_tcp_ep *e = fr_tcp_ep_of(ep);
	unsigned char wire[HEAD_BYTES];
	struct fr_tcp_head head;
	const char *why;
	if (e->in.moved < e->in.bytes || e->early > 0 || e->link.fault != FERRULE_OK ||
	    peek(&e->lanes[0], wire, sizeof(wire)) < sizeof(wire) ||
	    fr_tcp_data_parse(wire, &head, &why) != FERRULE_OK || head.kind != FR_TCP_MESSAGE ||
	    head.call.sequence != sequence || head.call.algo == FR_CALL_PAIRWISE)
		return false;
	*call_out = head.call;
	call_out->signature = fr_call_signature(call_out);
	return true;
}

static bool tcp_peer_wait(struct fr_ep *ep, struct fr_wait *wait_out)
{
	return fr_link_peer_wait(&fr_tcp_ep_of(ep)->link, wait_out);
}

static void tcp_ask(struct fr_ep *ep)
{
	fr_link_ask(&fr_tcp_ep_of(ep)->link);
}

static void tcp_refuse(struct fr_ep *ep, const struct fr_refusal *refusal)
{
	fr_link_refuse(&fr_tcp_ep_of(ep)->link, refusal);
}

static bool tcp_peer_refusal(struct fr_ep *ep, int place, struct fr_refusal *refusal_out)
{
	return fr_link_peer_refusal(&fr_tcp_ep_of(ep)->link, place, refusal_out);
}

const struct fr_ep_ops fr_tcp_ep_ops = {
	.send_begin = tcp_send_begin,
	.send_some = tcp_send_some,
	.send_window = tcp_send_window,
	.send_commit = tcp_send_commit,
	.send_reusable = tcp_send_reusable,
	.recv_begin = tcp_recv_begin,
	.recv_post = NULL,
	.recv_some = tcp_recv_some,
	.recv_window = tcp_recv_window,
	.recv_release = tcp_recv_release,
	.check = tcp_check,
	.peer_call = tcp_peer_call,
	.past_call = tcp_past_call,
	.peer_wait = tcp_peer_wait,
	.ask = tcp_ask,
	.refuse = tcp_refuse,
	.peer_refusal = tcp_peer_refusal,
};

/*
 * Messages through shared memory.
 *
 * Design notes.  A message is one header line and its payload.  The header is stored with the
 * first piece of payload, flag last, so that the receiver's one look finds both.  Four ways
 * carry the payload (enum shm_kind):
 *
 *   inline  up to 48 bytes travel in the header: one line, one miss.
 *   staged  through the ring, piece by piece, while the receiver already works on the pieces
 *           before.  Two copies, but on two cores at once, and no system call.
 *   mapped  the payload lies in the sender's arena: the receiver reads, or reduces, straight
 *           out of it.  The source is lent until the receiver has consumed it.
 *   put     the receiver posted a place in its own arena: the sender writes the result there,
 *           so that a reduction's output needs no second pass.
 *
 * Small messages never wait for a post.  From SHM_POST_MIN bytes on, a sender whose peer
 * uses its arena waits for the post, since the post decides the kind.
 *
 * Near and far: when two cores share no cache, a store into a line that the other has read
 * costs a trip to it, and small rings are ten times slower than the wires.  Streaming stores
 * avoid the trip; between near cores they cost more than they save.  Virtual machines move their
 * cores about, so the receiver times its first look at one freshly written line of every
 * staged message (judge_distance) and tells the sender.
 */
#include "config.h"
#include "lib/transport/shm/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "kernels/kernels.h"
#include "lib/base/clock.h"

/* Pieces: on near cores two long copies beat many short ones, and 256 KiB stay in the second-level
 * cache (measured; 32 KiB pieces cost 15 % at 1 MiB). */
#define PIECE_BYTES (256u << 10)

static inline struct shm_peer *peer_of(struct fr_ep *ep)
{
	return (struct shm_peer *)ep;
}

static inline struct shm_transport *transport_of(struct fr_ep *ep)
{
	return (struct shm_transport *)ep->transport;
}

static inline uint64_t align_up(uint64_t position)
{
	return (position + SHM_ALIGN - 1) & ~(uint64_t)(SHM_ALIGN - 1);
}

/* ---- sending ---- */

/* May header number tx->number be overwritten? */
static bool header_is_free(struct shm_tx *tx)
{
	if (tx->number - tx->headers_read < SHM_N_HEADERS)
		return true;
	tx->headers_read = atomic_load_explicit(&tx->stream->headers_read, memory_order_acquire);
	return tx->number - tx->headers_read < SHM_N_HEADERS;
}

/* The place the receiver posted for the next message: false while it is not known. */
static bool posted_place(struct shm_peer *p, uint64_t bytes, uint64_t *place_out)
{
	struct shm_post *post = &p->tx.stream->posts[p->tx.number % SHM_N_POSTS];

	*place_out = SHM_NO_PLACE;
	if (bytes < SHM_POST_MIN || !p->arena.at ||
	    !atomic_load_explicit(&p->status->arena_in_use, memory_order_relaxed))
		return true;
	if (atomic_load_explicit(&post->flag, memory_order_acquire) != (uint32_t)p->tx.number + 1)
		return false;
	*place_out = post->place;
	return true;
}

/* The ring's pages are taken on first use: most pairs of many ranks never speak. */
static ferrule_status_t back_ring(struct fr_ep *ep)
{
	struct shm_transport *t = transport_of(ep);
	struct shm_tx *tx = &peer_of(ep)->tx;
	const off_t at = (off_t)(tx->ring - t->segment.at);

	if (tx->backed)
		return FERRULE_OK;
	if (fallocate(t->segment_fd, 0, at, (off_t)t->layout.ring_bytes) != 0) {
		snprintf(ep->why, sizeof(ep->why), "no shared memory for a ring of %zu bytes: %s",
		         t->layout.ring_bytes, strerror(errno));
		return FERRULE_ERR_NO_MEMORY;
	}
	/* Faults one by one would make the first trip round the ring ten times slower. */
	madvise(tx->ring, t->layout.ring_bytes, MADV_POPULATE_WRITE);
	tx->backed = true;
	return FERRULE_OK;
}

static enum shm_kind choose_kind(struct shm_peer *p, const struct fr_message *m, uint64_t place)
{
	if (m->bytes <= SHM_INLINE_BYTES)
		return SHM_KIND_INLINE;
	if (m->memory && m->bytes >= SHM_POST_MIN) {
		p->tx.place = shm_arena_place((struct shm_transport *)p->ep.transport, m->memory,
		                              m->bytes);
		if (p->tx.place != SHM_NO_PLACE)
			return SHM_KIND_MAPPED;
	}
	if (place != SHM_NO_PLACE && place <= p->arena.bytes && m->bytes <= p->arena.bytes - place)
		return SHM_KIND_PUT;
	return SHM_KIND_STAGED;
}

static void lend(struct shm_tx *tx)
{
	const uint32_t i = tx->lent_tail++ % SHM_N_HEADERS;

	tx->lent[i].first_total = tx->total_moved;
	tx->lent[i].position = tx->position;
	tx->lent[i].bytes = tx->bytes;
}

static ferrule_status_t send_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct shm_peer *p = peer_of(ep);
	struct shm_tx *tx = &p->tx;
	uint64_t place;

	tx->is_held = !header_is_free(tx) || !posted_place(p, m->bytes, &place);
	if (tx->is_held)
		return FERRULE_INPROGRESS;
	tx->kind = choose_kind(p, m, place);
	if (tx->kind == SHM_KIND_STAGED && back_ring(ep) != FERRULE_OK)
		return FERRULE_ERR_NO_MEMORY;
	tx->bytes = m->bytes;
	if (tx->kind != SHM_KIND_INLINE) {
		tx->position = tx->next_position;
		tx->next_position = align_up(tx->position + tx->bytes);
	}
	tx->moved = 0;
	tx->signature = m->call->signature;
	tx->announced = false;
	tx->put = tx->kind == SHM_KIND_PUT ? p->arena.at + place : NULL;
	if (tx->kind == SHM_KIND_MAPPED)
		lend(tx);
	tx->number++;
	ep->send_has_window = tx->kind == SHM_KIND_STAGED || tx->kind == SHM_KIND_PUT;
	return FERRULE_OK;
}

/* Fills and stores the header of the message in hand. */
static void announce_message(struct shm_tx *tx)
{
	struct shm_header *h = &tx->stream->headers[(tx->number - 1) % SHM_N_HEADERS];

	h->signature = tx->signature;
	h->kind = tx->kind;
	if (tx->kind == SHM_KIND_INLINE) {
		h->inline_bytes = (uint32_t)tx->bytes;
	} else {
		h->large.bytes = tx->bytes;
		h->large.begin = tx->position;
		h->large.produced = tx->position + tx->moved;
		h->large.place = tx->place;
		atomic_store_explicit(&tx->stream->distance_probe, tx->number,
		                      memory_order_relaxed);
	}
	atomic_store_explicit(&h->flag, (uint32_t)tx->number, memory_order_release);
	tx->announced = true;
}

static void send_commit(struct fr_ep *ep, size_t bytes)
{
	struct shm_tx *tx = &peer_of(ep)->tx;

	tx->moved += bytes;
	tx->total_moved += bytes;
	if (!tx->announced)
		announce_message(tx);
	else
		atomic_store_explicit(&tx->stream->produced, tx->position + tx->moved,
		                      memory_order_release);
}

/* Bytes of the ring from the next position on that may be written. */
static size_t ring_room(struct shm_peer *p)
{
	struct shm_tx *tx = &p->tx;
	const size_t ring_bytes = transport_of(&p->ep)->layout.ring_bytes;
	const uint64_t at = tx->position + tx->moved;
	const size_t to_end = ring_bytes - (at & (ring_bytes - 1));
	uint64_t used = at - tx->consumed;

	if (used + PIECE_BYTES > ring_bytes) {
		tx->consumed = atomic_load_explicit(&tx->stream->consumed, memory_order_acquire);
		used = at - tx->consumed;
	}
	/* More than a ring may be outstanding: lent payload counts, but does not lie here. */
	if (used >= ring_bytes)
		return 0;
	/* Only whole lines, so that every piece but a message's last stays aligned. */
	const size_t free_bytes = (ring_bytes - used) & ~(size_t)(SHM_LINE - 1);

	return free_bytes < to_end ? free_bytes : to_end;
}

static void *send_window(struct fr_ep *ep, size_t *room_out, bool *stream_out)
{
	struct shm_peer *p = peer_of(ep);
	struct shm_tx *tx = &p->tx;
	size_t room = tx->bytes - tx->moved;

	if (tx->kind == SHM_KIND_PUT) {
		*room_out = room;
		*stream_out = tx->bytes >= (8u << 20);
		return tx->put + tx->moved;
	}
	if (tx->kind != SHM_KIND_STAGED)
		return NULL;
	if (room > PIECE_BYTES)
		room = PIECE_BYTES;
	const size_t ring = ring_room(p);
	if (room > ring)
		room = ring;
	if (room == 0)
		return NULL;
	*room_out = room;
	*stream_out = atomic_load_explicit(&tx->stream->is_far, memory_order_relaxed);
	return tx->ring + ((tx->position + tx->moved) & (transport_of(ep)->layout.ring_bytes - 1));
}

static int64_t send_inline(struct shm_tx *tx, const void *src, size_t bytes)
{
	struct shm_header *h = &tx->stream->headers[(tx->number - 1) % SHM_N_HEADERS];

	memcpy(h->payload + tx->moved, src, bytes);
	tx->moved += bytes;
	tx->total_moved += bytes;
	if (tx->moved == tx->bytes)
		announce_message(tx);
	return (int64_t)bytes;
}

static int64_t send_some(struct fr_ep *ep, const void *src, size_t bytes)
{
	struct shm_tx *tx = &peer_of(ep)->tx;
	size_t room;
	bool stream;
	void *window;

	if (tx->kind == SHM_KIND_INLINE)
		return send_inline(tx, src, bytes);
	if (tx->kind == SHM_KIND_MAPPED) {
		send_commit(ep, bytes);
		return (int64_t)bytes;
	}
	window = send_window(ep, &room, &stream);
	if (!window)
		return 0;
	if (bytes > room)
		bytes = room;
	fr_copy(window, src, bytes, stream ? FR_STREAM_DST : FR_STREAM_NONE);
	if (stream)
		fr_stream_fence();
	send_commit(ep, bytes);
	return (int64_t)bytes;
}

static uint64_t send_reusable(struct fr_ep *ep)
{
	struct shm_tx *tx = &peer_of(ep)->tx;

	while (tx->lent_head != tx->lent_tail) {
		const uint32_t i = tx->lent_head % SHM_N_HEADERS;

		tx->consumed = atomic_load_explicit(&tx->stream->consumed, memory_order_acquire);
		if (tx->consumed < tx->lent[i].position + tx->lent[i].bytes) {
			const uint64_t used = tx->consumed > tx->lent[i].position
			                              ? tx->consumed - tx->lent[i].position
			                              : 0;
			return tx->lent[i].first_total + used;
		}
		tx->lent_head++;
	}
	return tx->total_moved;
}

/* ---- receiving ---- */

static void recv_post(struct fr_ep *ep, const struct fr_message *m)
{
	struct shm_rx *rx = &peer_of(ep)->rx;
	struct shm_post *post = &rx->stream->posts[rx->posted % SHM_N_POSTS];

	rx->posted++;
	if (m->bytes < SHM_POST_MIN)
		return;
	post->place =
		m->memory ? shm_arena_place(transport_of(ep), m->memory, m->bytes) : SHM_NO_PLACE;
	atomic_store_explicit(&post->flag, (uint32_t)rx->posted, memory_order_release);
}

/* Finds the call the peer made under this signature among its last ones. */
static ferrule_status_t mismatch(struct fr_ep *ep, uint32_t signature, uint64_t bytes,
                                 const struct fr_message *m)
{
	const struct shm_status *status = peer_of(ep)->status;

	ep->peer_call = status->calls[status->last_call % SHM_N_CALLS].call;
	for (int i = 0; i < SHM_N_CALLS; i++)
		if (status->calls[i].call.signature == signature ||
		    fr_call_empty(&status->calls[i].call).signature == signature)
			ep->peer_call = status->calls[i].call;
	ep->peer_call.signature = signature;
	ep->peer_bytes = bytes;
	snprintf(ep->why, sizeof(ep->why),
	         "rank %d sends a message of %llu bytes where %llu were expected", ep->peer,
	         (unsigned long long)bytes, (unsigned long long)m->bytes);
	return FERRULE_ERR_MISMATCH;
}

static ferrule_status_t bad_header(struct fr_ep *ep, const char *what)
{
	snprintf(ep->why, sizeof(ep->why), "rank %d wrote a message header with a bad %s", ep->peer,
	         what);
	return FERRULE_ERR_PROTOCOL;
}

/* A line that a near core has just written arrives within this many nanoseconds, the reading
 * of the clock included; from a core that shares no cache it takes three times as long. */
#define NEAR_LINE_NS 95
/* So many more slow looks than fast ones make a peer far, so many fewer near again. */
#define FAR_SCORE_MAX 8

static void judge_distance(struct shm_rx *rx)
{
	const uint64_t before = fr_clock_ns();
	const uint64_t probe =
		atomic_load_explicit(&rx->stream->distance_probe, memory_order_acquire);
	const uint64_t took = fr_clock_ns() - before;
	const bool was_far = rx->far_score > FAR_SCORE_MAX / 2;

	(void)probe;
	if (took > NEAR_LINE_NS && rx->far_score < FAR_SCORE_MAX)
		rx->far_score++;
	else if (took <= NEAR_LINE_NS && rx->far_score > 0)
		rx->far_score--;
	if (was_far != (rx->far_score > FAR_SCORE_MAX / 2))
		atomic_store_explicit(&rx->stream->is_far, !was_far, memory_order_relaxed);
}

/* A staged message has come: the first one maps the ring's pages, all at once. */
static void enter_ring(struct fr_ep *ep)
{
	struct shm_rx *rx = &peer_of(ep)->rx;

	if (!rx->entered)
		madvise(rx->ring, transport_of(ep)->layout.ring_bytes, MADV_POPULATE_READ);
	rx->entered = true;
	judge_distance(rx);
}

/* Checks a header that is not inline against the memory it names.  Like `kind`, each of its fields
 * is read once: the peer can write there at any time. */
static ferrule_status_t take_large(struct fr_ep *ep, const struct shm_header *h, uint32_t kind,
                                   const struct fr_message *m)
{
	struct shm_peer *p = peer_of(ep);
	struct shm_rx *rx = &p->rx;
	const uint64_t begin = h->large.begin, produced = h->large.produced;
	const uint64_t bytes = h->large.bytes;

	if (bytes != m->bytes)
		return mismatch(ep, h->signature, bytes, m);
	if (begin % SHM_ALIGN || begin < rx->position)
		return bad_header(ep, "position");
	if (produced < begin || produced - begin > m->bytes)
		return bad_header(ep, "length");
	if (kind == SHM_KIND_MAPPED) {
		const uint64_t place = h->large.place;

		if (!p->arena.at || place > p->arena.bytes || m->bytes > p->arena.bytes - place)
			return bad_header(ep, "place");
		rx->source = p->arena.at + place;
	} else if (kind == SHM_KIND_PUT) {
		if (!m->memory)
			return bad_header(ep, "kind");
		rx->source = m->memory;
	} else if (kind == SHM_KIND_STAGED) {
		rx->source = NULL;
		enter_ring(ep);
	} else {
		return bad_header(ep, "kind");
	}
	rx->position = begin;
	rx->produced = produced;
	return FERRULE_OK;
}

static ferrule_status_t recv_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct shm_rx *rx = &peer_of(ep)->rx;
	struct shm_header *h = &rx->stream->headers[rx->number % SHM_N_HEADERS];

	if (rx->posted == rx->number)
		recv_post(ep, m);
	if (atomic_load_explicit(&h->flag, memory_order_acquire) != (uint32_t)rx->number + 1)
		return FERRULE_INPROGRESS;
	const uint32_t kind = h->kind;
	const bool is_inline = kind == SHM_KIND_INLINE;

	if (h->signature != m->call->signature)
		return mismatch(ep, h->signature, is_inline ? h->inline_bytes : h->large.bytes, m);
	if (is_inline) {
		if (h->inline_bytes != m->bytes)
			return mismatch(ep, h->signature, h->inline_bytes, m);
		if (m->bytes > SHM_INLINE_BYTES)
			return bad_header(ep, "length");
		rx->source = h->payload;
	} else {
		const ferrule_status_t status = take_large(ep, h, kind, m);

		if (status != FERRULE_OK)
			return status;
	}
	rx->in_stream = !is_inline;
	rx->bytes = m->bytes;
	rx->released = 0;
	ep->recv_prefers_some = false;
	return FERRULE_OK;
}

static const void *recv_window(struct fr_ep *ep, size_t *avail_out, ferrule_status_t *status_out)
{
	struct shm_rx *rx = &peer_of(ep)->rx;
	const size_t ring_bytes = transport_of(ep)->layout.ring_bytes;
	const uint64_t at = rx->position + rx->released;

	(void)status_out;
	if (!rx->in_stream) {
		*avail_out = rx->bytes - rx->released;
		return rx->source + rx->released;
	}
	/* Also for what is less than an element: the sender cuts pieces where it likes. */
	if (rx->produced - at < FR_WINDOW_MIN) {
		const uint64_t produced =
			atomic_load_explicit(&rx->stream->produced, memory_order_acquire);
		const uint64_t end = rx->position + rx->bytes;

		/* The counter lags behind while the first piece rides on the header, and runs
		 * ahead when the sender is in a later message. */
		if (produced > rx->produced)
			rx->produced = produced < end ? produced : end;
		if (rx->produced == at)
			return NULL;
	}
	*avail_out = rx->produced - at;
	if (rx->source)
		return rx->source + rx->released;
	const size_t to_end = ring_bytes - (at & (ring_bytes - 1));
	if (*avail_out > to_end)
		*avail_out = to_end;
	return rx->ring + (at & (ring_bytes - 1));
}

static void recv_release(struct fr_ep *ep, size_t bytes)
{
	struct shm_rx *rx = &peer_of(ep)->rx;

	rx->released += bytes;
	if (rx->in_stream)
		atomic_store_explicit(&rx->stream->consumed, rx->position + rx->released,
		                      memory_order_release);
	if (rx->released == rx->bytes) {
		rx->number++;
		if (rx->in_stream)
			rx->position += rx->bytes;
		atomic_store_explicit(&rx->stream->headers_read, rx->number, memory_order_release);
	}
}

static int64_t recv_some(struct fr_ep *ep, void *dst, size_t bytes)
{
	ferrule_status_t status = FERRULE_OK;
	size_t avail;
	const void *window = recv_window(ep, &avail, &status);

	if (!window)
		return 0;
	if (bytes > avail)
		bytes = avail;
	if (window != dst)
		fr_copy(dst, window, bytes, FR_STREAM_NONE);
	recv_release(ep, bytes);
	return (int64_t)bytes;
}

/* ---- the slow look ---- */

/*
 * Is there something of a peer that has left which this rank can still read?  It has stored all
 * that will ever come, so of a message that it left half sent only what is there.
 */
static bool has_unread(const struct shm_rx *rx)
{
	const struct shm_header *h = &rx->stream->headers[rx->number % SHM_N_HEADERS];
	const bool has_begun = rx->released != rx->bytes;
	const uint64_t at = rx->position + rx->released;

	if (atomic_load_explicit(&h->flag, memory_order_acquire) != (uint32_t)rx->number + 1)
		return false;
	return !has_begun || !rx->in_stream || rx->produced > at ||
	       atomic_load_explicit(&rx->stream->produced, memory_order_acquire) > at;
}

/* Does this rank still need something of its peer for what it sends?  One that has left reads no
 * more and posts no more. */
static bool has_unsent(struct shm_peer *p)
{
	const struct shm_tx *tx = &p->tx;

	return tx->is_held || tx->moved != tx->bytes || send_reusable(&p->ep) != tx->total_moved;
}

/* Has the peer's process ended?  Nothing is ever sent on the socket, so anything to see there is
 * its end; children of the peer may hold it, but not the process. */
static bool has_ended(const struct shm_peer *p)
{
	struct pollfd fds[2] = {{.fd = p->socket, .events = POLLIN | POLLRDHUP},
	                        {.fd = p->process.fd, .events = POLLIN}};

	return p->process.is_gone || poll(fds, 2, 0) > 0;
}

static ferrule_status_t check(struct fr_ep *ep)
{
	struct shm_peer *p = peer_of(ep);
	/* First, so that the last words of a peer that has ended are there. */
	const bool ended = has_ended(p);
	const uint32_t state = atomic_load_explicit(&p->status->state, memory_order_acquire);

	if (state == SHM_ABORTED) {
		/* As it was told, which names who is at fault; it may have come over several ranks.
		 */
		snprintf(ep->why, sizeof(ep->why), "%.*s", (int)sizeof(p->status->abort_text),
		         p->status->abort_text);
		return FERRULE_ERR_ABORTED;
	}
	if (state == SHM_LEFT) {
		snprintf(ep->why, sizeof(ep->why), "rank %d has left the communicator", ep->peer);
		ep->has_left = true;
		return has_unread(&p->rx) && !has_unsent(p) ? FERRULE_OK : FERRULE_ERR_PEER_LEFT;
	}
	if (ended) {
		snprintf(ep->why, sizeof(ep->why), "rank %d died (its process is gone)", ep->peer);
		return FERRULE_ERR_PEER_DIED;
	}
	return FERRULE_OK;
}

static bool peer_call(struct fr_ep *ep, struct fr_call *call_out)
{
	const struct shm_status *status = peer_of(ep)->status;
	const struct fr_call call = status->calls[status->last_call % SHM_N_CALLS].call;

	/* Half-written calls do not fit their signature. */
	if (fr_call_signature(&call) != call.signature)
		return false;
	*call_out = call;
	return true;
}

static bool past_call(struct fr_ep *ep, uint64_t sequence, struct fr_call *call_out)
{
	const struct shm_status *status = peer_of(ep)->status;

	for (int i = 0; i < SHM_N_CALLS; i++) {
		const struct fr_call call = status->calls[i].call;

		if (call.sequence != sequence || call.algo == FR_CALL_PAIRWISE ||
		    fr_call_signature(&call) != call.signature)
			continue;
		*call_out = call;
		return true;
	}
	return false;
}

static bool peer_wait(struct fr_ep *ep, struct fr_wait *wait_out)
{
	*wait_out = peer_of(ep)->status->wait;
	return true;
}

static void refuse(struct fr_ep *ep, const struct fr_refusal *refusal)
{
	struct shm_stream *s = peer_of(ep)->tx.stream;
	const int place = fr_refusal_place(refusal);
	_Atomic uint32_t *const writes = &s->refused[place].writes;
	const uint32_t n = atomic_load_explicit(writes, memory_order_relaxed);

	atomic_store_explicit(writes, n + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	s->refused[place].refusal = *refusal;
	atomic_store_explicit(writes, n + 2, memory_order_release);
}

static bool peer_refusal(struct fr_ep *ep, int place, struct fr_refusal *refusal_out)
{
	const struct shm_stream *s = peer_of(ep)->rx.stream;
	const _Atomic uint32_t *const writes = &s->refused[place].writes;
	const uint32_t n = atomic_load_explicit(writes, memory_order_acquire);

	if (n == 0 || n % 2 != 0)
		return false;
	*refusal_out = s->refused[place].refusal;
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(writes, memory_order_relaxed) == n;
}

void shm_stream_init(struct shm_transport *t, struct shm_peer *p)
{
	p->tx.stream = shm_stream_at(&t->layout, t->segment.at, p->local);
	p->tx.ring = (unsigned char *)p->tx.stream + t->layout.ring;
	p->rx.stream = shm_stream_at(&t->layout, p->segment.at, t->my_local);
	p->rx.ring = (unsigned char *)p->rx.stream + t->layout.ring;
	p->ep.ops = &shm_ep_ops;
	p->ep.transport = &t->base;
}

const struct fr_ep_ops shm_ep_ops = {
	.send_begin = send_begin,
	.send_some = send_some,
	.send_window = send_window,
	.send_commit = send_commit,
	.send_reusable = send_reusable,
	.recv_begin = recv_begin,
	.recv_post = recv_post,
	.recv_some = recv_some,
	.recv_window = recv_window,
	.recv_release = recv_release,
	.check = check,
	.peer_call = peer_call,
	.past_call = past_call,
	.peer_wait = peer_wait,
	.refuse = refuse,
	.peer_refusal = peer_refusal,
};

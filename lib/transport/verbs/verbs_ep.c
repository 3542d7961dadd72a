/*
 * Messages as pieces: the endpoint's side of the contract.
 */
#include "config.h"

#include "lib/transport/verbs/verbs.h"

#include <string.h>

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- sending ---- */

/* May the next piece leave now? */
static bool has_credit(struct fr_vb_ep *e)
{
	const struct fr_vb *t = fr_vb_of_ep(e);

	if (e->state != FR_VB_READY || e->tx.next - e->tx.credited >= t->n_slots)
		return false;
	for (unsigned i = 0; i < e->n_live; i++)
		if (e->live[i]->posted - e->live[i]->completed >= t->send_depth)
			return false;
	return true;
}

static bool wait_credit(struct fr_vb_ep *e)
{
	if (has_credit(e))
		return true;
	fr_vb_progress(fr_vb_of_ep(e));
	return has_credit(e);
}

/* Sends the next piece of the message in hand; its payload lies in staging, or is lent. */
static void push_piece(struct fr_vb_ep *e, const void *lent, uint32_t bytes)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_tx *tx = &e->tx;
	const unsigned what = (tx->is_begun ? 0 : FR_VERBS_FIRST) |
	                      (tx->is_placed ? FR_VERBS_PLACED : FR_VERBS_DATA);
	const uint32_t number = tx->next++;
	struct fr_vb_piece *p = &tx->pieces[number & (t->n_slots - 1)];
	struct fr_verbs_head *head =
		(struct fr_verbs_head *)(fr_vb_slot(t, e->staging, number) + FR_VERBS_PAYLOAD_AT) -
		1;

	if (what == FR_VERBS_FIRST) {
		head->call = tx->call;
		head->bytes = tx->bytes;
	}
	head->number = tx->number;
	*p = (struct fr_vb_piece){
		.src = lent,
		.lent = lent != NULL ? tx->lent : NULL,
		.placed = what & FR_VERBS_PLACED ? tx->place + tx->moved : 0,
		.bytes = bytes,
		.grant = tx->large - 1,
		.first_total = tx->total,
		.what = (uint8_t)what,
	};
	tx->moved += bytes;
	tx->total += bytes;
	tx->is_begun = true;
	/* There was room; a request that is refused breaks the connection, and mending that sends
	 * the piece again. */
	fr_vb_post_piece(e, number);
}

/* The place for a large message, as far as it is known: false while the peer still has to say. */
static bool find_place(struct fr_vb_ep *e, const struct fr_message *m, uint64_t *place_out)
{
	struct fr_vb_tx *tx = &e->tx;
	const struct fr_verbs_grant *g;

	*place_out = 0;
	if (tx->grants_from == UINT32_MAX || (int32_t)(tx->large - tx->grants_from) < 0)
		return true;
	g = fr_vb_take_grant(e, tx->large);
	if (g == NULL) {
		fr_vb_progress(fr_vb_of_ep(e));
		g = fr_vb_take_grant(e, tx->large);
	}
	if (g == NULL)
		return false;
	/* For another call: it goes through slots, and the receiver will say what is wrong. */
	if (g->bytes == m->bytes && g->signature == m->call->signature)
		*place_out = g->address;
	return true;
}

/* OK, or why not now. */
static ferrule_status_t is_usable(struct fr_vb_ep *e)
{
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	if (e->state == FR_VB_READY)
		return FERRULE_OK;
	fr_vb_want(e);
	fr_vb_progress(fr_vb_of_ep(e));
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	return e->state == FR_VB_READY ? FERRULE_OK : FERRULE_INPROGRESS;
}

static ferrule_status_t send_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct fr_vb_ep *e = fr_vb_ep_of(ep);
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_tx *tx = &e->tx;
	const ferrule_status_t status = is_usable(e);
	uint64_t place = 0;

	if (status < 0)
		return status;
	tx->is_held =
		status != FERRULE_OK || (m->bytes >= t->zero_copy && !find_place(e, m, &place));
	if (tx->is_held)
		return e->link.fault != FERRULE_OK ? e->link.fault : FERRULE_INPROGRESS;
	if (m->bytes >= t->zero_copy)
		tx->large++;
	tx->bytes = m->bytes;
	tx->moved = 0;
	tx->call = *m->call;
	tx->place = place;
	tx->is_placed = place != 0;
	tx->is_begun = false;
	tx->number++;
	tx->lent = m->memory != NULL && m->bytes >= FR_VB_LEND_MIN && t->has_regions
	                   ? fr_regions_find(t->regions, m->memory, m->bytes)
	                   : NULL;
	ep->send_has_window = tx->lent == NULL;
	return FERRULE_OK;
}

/* Staging for the next piece; NULL: not now. */
static unsigned char *staging_window(struct fr_vb_ep *e, size_t *room_out)
{
	struct fr_vb *t = fr_vb_of_ep(e);

	if (!wait_credit(e))
		return NULL;
	*room_out = min64(t->slot_bytes, e->tx.bytes - e->tx.moved);
	return fr_vb_slot(t, e->staging, e->tx.next) + FR_VERBS_PAYLOAD_AT;
}

static void *send_window(struct fr_ep *ep, size_t *room_out, bool *stream_out)
{
	*room_out = 0;
	*stream_out = false;
	return staging_window(fr_vb_ep_of(ep), room_out);
}

static void send_commit(struct fr_ep *ep, size_t bytes)
{
	push_piece(fr_vb_ep_of(ep), NULL, (uint32_t)bytes);
}

static int64_t send_lent(struct fr_vb_ep *e, const unsigned char *src, size_t bytes)
{
	struct fr_vb_tx *tx = &e->tx;
	const size_t most = tx->is_placed ? FR_VB_PLACED_BYTES : fr_vb_of_ep(e)->slot_bytes;
	size_t sent = 0;

	while (sent < bytes && wait_credit(e)) {
		const size_t n = min64(bytes - sent, most);

		push_piece(e, src + sent, (uint32_t)n);
		sent += n;
	}
	return (int64_t)sent;
}

static int64_t send_some(struct fr_ep *ep, const void *src, size_t bytes)
{
	struct fr_vb_ep *e = fr_vb_ep_of(ep);
	size_t sent = 0;

	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	bytes = min64(bytes, e->tx.bytes - e->tx.moved);
	if (e->tx.lent != NULL)
		return send_lent(e, src, bytes);
	while (sent < bytes) {
		size_t room;
		unsigned char *window = staging_window(e, &room);

		if (window == NULL)
			break;
		const size_t n = min64(room, bytes - sent);

		memcpy(window, (const unsigned char *)src + sent, n);
		push_piece(e, NULL, (uint32_t)n);
		sent += n;
	}
	if (sent == 0 && e->link.fault != FERRULE_OK)
		return e->link.fault;
	return (int64_t)sent;
}

/* Does the transport still need the caller's memory for this piece? */
static bool is_lent_out(const struct fr_vb_ep *e, const struct fr_vb_piece *p)
{
	const struct fr_vb_qp *q = &e->qps[p->qp];

	return p->lent != NULL && !p->is_delivered && (int32_t)(q->completed - p->post) < 0;
}

static uint64_t send_reusable(struct fr_ep *ep)
{
	struct fr_vb_ep *e = fr_vb_ep_of(ep);
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_tx *tx = &e->tx;

	for (bool has_polled = false;;) {
		if ((int32_t)(tx->credited - tx->lent_head) > 0)
			tx->lent_head = tx->credited;
		while (tx->lent_head != tx->next &&
		       !is_lent_out(e, &tx->pieces[tx->lent_head & (t->n_slots - 1)]))
			tx->lent_head++;
		if (tx->lent_head == tx->next)
			return tx->total;
		if (has_polled)
			return tx->pieces[tx->lent_head & (t->n_slots - 1)].first_total;
		fr_vb_progress(t);
		has_polled = true;
	}
}

/* ---- receiving ---- */

static struct fr_verbs_grant *grant_copy(struct fr_vb_ep *e, uint32_t number)
{
	struct fr_vb *t = fr_vb_of_ep(e);

	return (struct fr_verbs_grant *)(e->staging + (size_t)t->n_slots * t->slot_stride) +
	       number % FR_VERBS_GRANTS;
}

void fr_vb_flush_grants(struct fr_vb_ep *e)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_rx *rx = &e->rx;
	const uint64_t ring = e->remote_inbox + (uint64_t)t->n_slots * t->slot_stride;

	while (e->state == FR_VB_READY && rx->granted_sent != rx->granted) {
		const uint32_t number = rx->granted_sent;
		const struct fr_verbs_grant *g = grant_copy(e, number);

		/* From now on the sender of large messages waits for grants. */
		if (!rx->has_told_on &&
		    !fr_vb_post_word(e, e->live[0], fr_verbs_imm(number, FR_VERBS_GRANTS_ON), NULL,
		                     e->remote_inbox, false))
			return;
		rx->has_told_on = true;
		if (!fr_vb_post_word(e, e->live[0], fr_verbs_imm(number, FR_VERBS_GRANT), g,
		                     ring + number % FR_VERBS_GRANTS * sizeof(*g), false))
			return;
		rx->granted_sent++;
	}
}

/* Writes down where large message `number` may go. */
static void grant(struct fr_vb_ep *e, const struct fr_message *m, uint32_t number)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_verbs_grant *g = grant_copy(e, number);
	const struct fr_vb_mr *mr =
		m->memory != NULL ? fr_regions_find(t->regions, m->memory, m->bytes) : NULL;

	*g = (struct fr_verbs_grant){
		.address = mr != NULL ? (uint64_t)(uintptr_t)m->memory : 0,
		.bytes = m->bytes,
		.number = number,
		.signature = m->call->signature,
	};
	for (int i = 0; mr != NULL && i < t->n_rails; i++)
		g->rkey[i] = mr->mr[i]->rkey;
}

static void recv_post(struct fr_ep *ep, const struct fr_message *m)
{
	struct fr_vb_ep *e = fr_vb_ep_of(ep);
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_rx *rx = &e->rx;

	rx->n_posted++;
	if (m->bytes < t->zero_copy)
		return;
	const uint32_t number = rx->granted++;

	if (rx->grants_from == UINT32_MAX && t->has_regions && e->staging != NULL)
		rx->grants_from = number;
	if (rx->grants_from == UINT32_MAX) {
		rx->granted_sent = rx->granted;
		return;
	}
	grant(e, m, number);
	fr_vb_flush_grants(e);
}

static ferrule_status_t protocol_fault(struct fr_vb_ep *e, const char *what)
{
	return fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL, "%s sent %s", e->link.name, what);
}

static inline uint32_t length_of(const struct fr_vb_ep *e, uint32_t number)
{
	return e->rx.lengths[number & (fr_vb_of_ep(e)->n_slots - 1)];
}

static inline unsigned what_of(const struct fr_vb_ep *e, uint32_t number)
{
	return e->rx.whats[number & (fr_vb_of_ep(e)->n_slots - 1)];
}

/* The piece that is read now is done with. */
static void finish_piece(struct fr_vb_ep *e)
{
	e->rx.arrived >>= 1;
	e->rx.next++;
	e->rx.used = 0;
	e->rx.is_first = false;
	fr_vb_tell_credit(e);
}

static ferrule_status_t compare(struct fr_vb_ep *e, const struct fr_message *m)
{
	/* A copy: the peer can write the slot at any time. */
	const struct fr_verbs_head head =
		*((const struct fr_verbs_head *)(fr_vb_slot(fr_vb_of_ep(e), e->inbox, e->rx.next) +
	                                         FR_VERBS_PAYLOAD_AT) -
	          1);

	e->link.last_call = head.call;
	e->link.has_last_call = true;
	if (head.call.signature == m->call->signature && head.bytes == m->bytes)
		return FERRULE_OK;
	e->base.peer_call = head.call;
	e->base.peer_bytes = head.bytes;
	return fr_link_fault(
		&e->link, FERRULE_ERR_MISMATCH,
		"%s announced a message of %llu bytes where %llu of another call were expected",
		e->link.name, (unsigned long long)head.bytes, (unsigned long long)m->bytes);
}

/* A peer writes to granted memory only what it was granted for: the call is ours. */
static ferrule_status_t check_placed(struct fr_vb_ep *e, const struct fr_message *m)
{
	const uint32_t number = e->rx.large;
	const struct fr_verbs_grant *g = grant_copy(e, number);

	if (m->bytes < fr_vb_of_ep(e)->zero_copy || m->memory == NULL || g->number != number ||
	    g->address != (uint64_t)(uintptr_t)m->memory)
		return protocol_fault(e, "a message to memory that was not granted");
	e->link.last_call = *m->call;
	e->link.has_last_call = true;
	return FERRULE_OK;
}

static ferrule_status_t recv_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct fr_vb_ep *e = fr_vb_ep_of(ep);
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_rx *rx = &e->rx;

	if (!(rx->arrived & 1)) {
		const ferrule_status_t status = is_usable(e);

		if (status != FERRULE_OK)
			return status;
		if (rx->n_posted == rx->n_begun)
			recv_post(ep, m);
		fr_vb_flush_grants(e);
		fr_vb_progress(t);
		if (e->link.fault != FERRULE_OK)
			return e->link.fault;
		if (!(rx->arrived & 1))
			return FERRULE_INPROGRESS;
	} else if (rx->n_posted == rx->n_begun) {
		recv_post(ep, m);
	}
	if (!(what_of(e, rx->next) & FR_VERBS_FIRST))
		return protocol_fault(e, "the middle of a message where one begins");
	const bool is_placed = what_of(e, rx->next) & FR_VERBS_PLACED;
	const ferrule_status_t status = is_placed ? check_placed(e, m) : compare(e, m);

	if (status != FERRULE_OK)
		return status;
	rx->bytes = m->bytes;
	rx->moved = 0;
	rx->memory = m->memory;
	rx->n_begun++;
	rx->is_first = true;
	rx->is_placed = is_placed;
	if (m->bytes >= t->zero_copy)
		rx->large++;
	return FERRULE_OK;
}

/* Bytes of the message that lie in the granted memory, from the next one on. */
static uint64_t placed_bytes(const struct fr_vb_ep *e)
{
	const struct fr_vb_rx *rx = &e->rx;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < FR_VERBS_SLOTS_MAX && rx->arrived >> i & 1; i++) {
		if (i > 0 && what_of(e, rx->next + i) != FR_VERBS_PLACED)
			break; /* of the next message */
		bytes += length_of(e, rx->next + i);
	}
	return bytes - rx->used;
}

/* The last bytes of a piece that end inside an element go in front of the next piece, whose head
 * has been read, so that the window can grow. */
static void join_pieces(struct fr_vb_ep *e, uint32_t left)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_rx *rx = &e->rx;
	unsigned char *next = fr_vb_slot(t, e->inbox, rx->next + 1) + FR_VERBS_PAYLOAD_AT;

	memcpy(next - left,
	       fr_vb_slot(t, e->inbox, rx->next) + FR_VERBS_PAYLOAD_AT + (int32_t)rx->used, left);
	finish_piece(e);
	/* Before the payload: the next piece has bytes at a negative offset. */
	rx->used = (uint32_t) - (int32_t)left;
}

static uint32_t staged_bytes(struct fr_vb_ep *e)
{
	struct fr_vb_rx *rx = &e->rx;
	const uint32_t left = length_of(e, rx->next) - rx->used;

	if (left >= FR_WINDOW_MIN || rx->moved + left >= rx->bytes || !(rx->arrived & 2))
		return left;
	join_pieces(e, left);
	return length_of(e, rx->next) - rx->used;
}

static const void *recv_window(struct fr_ep *ep, size_t *avail_out, ferrule_status_t *status_out)
{
	struct fr_vb_ep *e = fr_vb_ep_of(ep);
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_rx *rx = &e->rx;
	const bool is_short = (rx->arrived & 1) && !(rx->arrived & 2) &&
	                      length_of(e, rx->next) - rx->used < FR_WINDOW_MIN;

	if (!(rx->arrived & 1) || is_short)
		fr_vb_progress(t);
	if (!(rx->arrived & 1)) {
		if (e->link.fault != FERRULE_OK)
			*status_out = e->link.fault;
		return NULL;
	}
	const unsigned expected = (rx->is_first ? FR_VERBS_FIRST : 0) |
	                          (rx->is_placed ? FR_VERBS_PLACED : FR_VERBS_DATA);

	if (what_of(e, rx->next) != expected) {
		*status_out = protocol_fault(e, "a piece of another message");
		return NULL;
	}
	const uint64_t avail = rx->is_placed ? placed_bytes(e) : staged_bytes(e);

	if (avail > rx->bytes - rx->moved) {
		*status_out = protocol_fault(e, "more bytes than the message has");
		return NULL;
	}
	*avail_out = avail;
	if (rx->is_placed)
		return rx->memory + rx->moved;
	return fr_vb_slot(t, e->inbox, rx->next) + FR_VERBS_PAYLOAD_AT + (int32_t)rx->used;
}

static void recv_release(struct fr_ep *ep, size_t bytes)
{
	struct fr_vb_ep *e = fr_vb_ep_of(ep);
	struct fr_vb_rx *rx = &e->rx;

	rx->moved += bytes;
	rx->used += (uint32_t)bytes;
	while ((rx->arrived & 1) && (int32_t)rx->used >= (int32_t)length_of(e, rx->next)) {
		const uint32_t rest = rx->used - length_of(e, rx->next);

		finish_piece(e);
		rx->used = rest;
		if (rest == 0)
			break;
	}
}

static int64_t recv_some(struct fr_ep *ep, void *dst, size_t bytes)
{
	size_t avail, moved = 0;
	ferrule_status_t status = FERRULE_OK;
	const void *window;

	while (moved < bytes && (window = recv_window(ep, &avail, &status)) != NULL) {
		const size_t n = min64(avail, bytes - moved);
		unsigned char *to = (unsigned char *)dst + moved;

		if (window != to)
			memcpy(to, window, n);
		recv_release(ep, n);
		moved += n;
	}
	return moved == 0 && status < 0 ? (int64_t)status : (int64_t)moved;
}

static bool peer_call(struct fr_ep *ep, struct fr_call *call_out)
{
	return fr_link_peer_call(&fr_vb_ep_of(ep)->link, call_out);
}

static bool peer_wait(struct fr_ep *ep, struct fr_wait *wait_out)
{
	return fr_link_peer_wait(&fr_vb_ep_of(ep)->link, wait_out);
}

static void ask(struct fr_ep *ep)
{
	fr_link_ask(&fr_vb_ep_of(ep)->link);
}

static void refuse(struct fr_ep *ep, const struct fr_refusal *refusal)
{
	fr_link_refuse(&fr_vb_ep_of(ep)->link, refusal);
}

static bool peer_refusal(struct fr_ep *ep, int place, struct fr_refusal *refusal_out)
{
	return fr_link_peer_refusal(&fr_vb_ep_of(ep)->link, place, refusal_out);
}

const struct fr_ep_ops fr_vb_ep_ops = {
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
	.check = fr_vb_check,
	.peer_call = peer_call,
	.peer_wait = peer_wait,
	.ask = ask,
	.refuse = refuse,
	.peer_refusal = peer_refusal,
};

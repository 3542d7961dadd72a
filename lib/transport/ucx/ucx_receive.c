/*
 * Pieces land in the ring whenever UCX delivers them; messages take them out in order.  The piece
 * in front is number n_consumed, and in_at of its bytes are gone.
 */
#include "config.h"

#include <string.h>

#include "lib/transport/ucx/ucx.h"

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The piece that is `ahead` behind the front. */
static inline struct fr_ucx_in *piece_at(struct fr_ucx_ep *e, uint32_t ahead)
{
	return &e->in[(e->n_consumed + ahead) % FR_UCX_SLOTS];
}

static inline struct fr_ucx *transport_of(const struct fr_ucx_ep *e)
{
	return fr_ucx_of(e->base.transport);
}

/* ---- arriving ---- */

/* Keeps a piece; what UCX is to do with its data. */
static ucs_status_t keep_piece(struct fr_ucx_ep *e, const struct fr_ucx_head *head, void *data,
                               size_t bytes, const ucp_am_recv_param_t *param)
{
	struct fr_ucx_in *p = &e->in[head->piece % FR_UCX_SLOTS];
	const bool is_offer = param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV;
	if (head->piece - e->n_consumed >= FR_UCX_SLOTS || p->state != FR_UCX_EMPTY) {
		fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL, "%s sent piece %u where %u is next",
		              e->link.name, head->piece, e->n_consumed);
		return UCS_OK;
	}
	*p = (struct fr_ucx_in){.state = is_offer ? FR_UCX_OFFERED : FR_UCX_HELD,
	                        .bytes = (uint32_t)bytes,
	                        .data = data,
	                        .head = *head};
	return UCS_INPROGRESS;
}

ucs_status_t fr_ucx_on_message(void *arg, const void *wire, size_t head_bytes, void *data,
                               size_t bytes, const ucp_am_recv_param_t *param)
{
	struct fr_ucx *t = arg;
	struct fr_ucx_head head;
	const char *why;
	/* Who does not know the token is nobody, and hears nothing. */
	const ferrule_status_t status = fr_ucx_head_parse(wire, head_bytes, bytes, &head, &why);
	if (head_bytes != sizeof(head) || head.rank >= (uint32_t)t->n_ranks)
		return UCS_OK;
	struct fr_ucx_ep *e = t->eps[head.rank];
	if (e == NULL || head.token != e->token_in || e->link.fault != FERRULE_OK)
		return UCS_OK;
	if (status != FERRULE_OK) {
		fr_link_fault(&e->link, status, "%s sent %s", e->link.name, why);
		return UCS_OK;
	}
	fr_ucx_acknowledged(e, head.consumed);
	if (head.kind == FR_UCX_HELLO)
		e->hellos_heard++;
	return head.kind == FR_UCX_PIECE ? keep_piece(e, &head, data, bytes, param) : UCS_OK;
}

/* ---- rendezvous ---- */

/* Begins to move an offered piece of the current message, `ahead` behind the front, when there
 * is a place for it. */
static void land(struct fr_ucx_ep *e, struct fr_ucx_in *p, uint32_t ahead)
{
	static const ucp_request_param_t param = {.op_attr_mask = 0};
	struct fr_ucx *t = transport_of(e);
	void *descriptor = p->data;
	if (e->in_memory != NULL)
		p->data = e->in_memory + p->head.offset;
	else if (ahead < FR_UCX_STAGES)
		p->data = e->stages + (size_t)(p->head.piece % FR_UCX_STAGES) * FR_UCX_BULK_BYTES;
	else
		return;
	const ucs_status_ptr_t result =
		t->api->am_recv_data_nbx(t->worker, descriptor, p->data, p->bytes, &param);
	p->request = fr_ucx_started(e, result);
	p->state = UCS_PTR_IS_ERR(result) ? FR_UCX_FAILED
	           : result != NULL       ? FR_UCX_LANDING
	                                  : FR_UCX_LANDED;
	e->has_landed |= p->state == FR_UCX_LANDED;
}

/* Begins to move what of the current message was offered. */
static void land_offered(struct fr_ucx_ep *e)
{
	for (uint32_t ahead = 0; ahead < FR_UCX_SLOTS && e->broken == UCS_OK; ahead++) {
		struct fr_ucx_in *p = piece_at(e, ahead);
		if (p->state == FR_UCX_EMPTY || p->head.number != e->in_number)
			break;
		if (p->state == FR_UCX_OFFERED)
			land(e, p, ahead);
	}
}

/* Are the piece's bytes here? */
static bool is_readable(struct fr_ucx_ep *e, struct fr_ucx_in *p)
{
	if (p->state == FR_UCX_LANDING) {
		const ucs_status_t status = fr_ucx_finish(e, &p->request);
		if (status != UCS_INPROGRESS) {
			p->state = status == UCS_OK ? FR_UCX_LANDED : FR_UCX_FAILED;
			e->has_landed = true;
		}
	}
	return p->state == FR_UCX_HELD || p->state == FR_UCX_LANDED;
}

/* ---- messages ---- */

static ferrule_status_t mismatch(struct fr_ucx_ep *e, const struct fr_ucx_head *head,
                                 const struct fr_message *m)
{
	e->base.peer_call = head->call;
	e->base.peer_bytes = head->bytes;
	return fr_link_fault(&e->link, FERRULE_ERR_MISMATCH,
	                     "%s announced a message of %llu bytes where %llu of another "
	                     "call were expected",
	                     e->link.name, (unsigned long long)head->bytes,
	                     (unsigned long long)m->bytes);
}

/* Nothing is here: lets UCX look, and tells what is wrong when something is. */
static ferrule_status_t look(struct fr_ucx_ep *e)
{
	struct fr_ucx *t = transport_of(e);
	t->api->worker_progress(t->worker);
	fr_ucx_settle(e);
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	return e->broken != UCS_OK ? fr_ucx_lost(e) : FERRULE_OK;
}

ferrule_status_t fr_ucx_recv_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	struct fr_ucx_in *p = piece_at(e, 0);
	if (p->state == FR_UCX_EMPTY) {
		const ferrule_status_t status = look(e);
		if (status != FERRULE_OK)
			return status;
		if (p->state == FR_UCX_EMPTY)
			return FERRULE_INPROGRESS;
	}
	if (p->head.number != e->in_number + 1 || p->head.offset != 0)
		return fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL,
		                     "%s sent a piece of message %u where message %u begins",
		                     e->link.name, p->head.number, e->in_number + 1);
	e->link.last_call = p->head.call;
	e->link.has_last_call = true;
	if (p->head.call.signature != m->call->signature || p->head.bytes != m->bytes)
		return mismatch(e, &p->head, m);
	e->in_number++;
	e->in_bytes = m->bytes;
	e->in_moved = 0;
	e->in_memory = m->memory;
	ep->recv_prefers_some = false;
	land_offered(e);
	return FERRULE_OK;
}

/* The end of the piece in front is too short for a window: it and what follows it, side by side. */
static size_t join_pieces(struct fr_ucx_ep *e)
{
	size_t have = 0;
	for (uint32_t ahead = 0; have < sizeof(e->joint); ahead++) {
		struct fr_ucx_in *p = piece_at(e, ahead);
		const uint32_t from = ahead == 0 ? e->in_at : 0;
		if (p->head.number != e->in_number || !is_readable(e, p))
			break;
		const size_t n = min64(p->bytes - from, sizeof(e->joint) - have);
		memcpy(e->joint + have, p->data + from, n);
		have += n;
	}
	return have;
}

/*
 * UCX tells the sender by itself that a rendezvous has ended, but may have to wait before it can.
 * Were this rank to leave with the message's last bytes, the sender would wait for its next call.
 * What we say after that has gone only when that has.
 */
static bool has_told_of_landing(struct fr_ucx_ep *e)
{
	if (e->has_landed)
		fr_ucx_tell_consumed(e, true);
	return (!e->has_landed && fr_ucx_is_done(e, &e->credit_request)) || e->link.has_left;
}

const void *fr_ucx_recv_window(struct fr_ep *ep, size_t *avail_out, ferrule_status_t *status_out)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	struct fr_ucx_in *p = piece_at(e, 0);
	*avail_out = 0;
	*status_out = e->link.fault;
	if (e->link.fault != FERRULE_OK)
		return NULL;
	if (!is_readable(e, p)) {
		*status_out = look(e);
		if (*status_out != FERRULE_OK)
			return NULL;
		land_offered(e);
		if (!is_readable(e, p))
			return NULL;
	}
	if (p->head.number != e->in_number || p->head.offset != e->in_moved - e->in_at) {
		*status_out = fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL,
		                            "%s sent byte %llu of message %u where %llu of %u is "
		                            "next",
		                            e->link.name, (unsigned long long)p->head.offset,
		                            p->head.number, (unsigned long long)e->in_moved,
		                            e->in_number);
		return NULL;
	}
	if (p->head.offset + p->bytes == e->in_bytes && !has_told_of_landing(e)) {
		*status_out = look(e);
		return NULL;
	}
	*avail_out = p->bytes - e->in_at;
	if (*avail_out >= min64(FR_WINDOW_MIN, e->in_bytes - e->in_moved))
		return p->data + e->in_at;
	/* The rest may be on its way. */
	if (piece_at(e, 1)->state == FR_UCX_EMPTY)
		*status_out = look(e);
	land_offered(e);
	*avail_out = *status_out == FERRULE_OK ? join_pieces(e) : 0;
	return *avail_out > 0 ? e->joint : NULL;
}

void fr_ucx_tell_consumed(struct fr_ucx_ep *e, bool is_due)
{
	static const ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
	                                          .flags = UCP_AM_SEND_FLAG_EAGER};
	is_due = is_due || e->n_consumed - e->n_told >= FR_UCX_TELL_PIECES ||
	         e->untold >= FR_UCX_TELL_BYTES;
	if (!is_due || e->broken != UCS_OK || e->link.has_left ||
	    !fr_ucx_is_done(e, &e->credit_request))
		return;
	fr_ucx_seal(e, &e->credit, FR_UCX_CREDIT);
	e->n_told = e->n_consumed;
	e->untold = 0;
	e->has_landed = false;
	e->credit_request = fr_ucx_started(
		e, transport_of(e)->api->am_send_nbx(e->ucp, FR_UCX_AM_ID, &e->credit,
	                                             sizeof(e->credit), NULL, 0, &param));
}

void fr_ucx_recv_release(struct fr_ep *ep, size_t bytes)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	struct fr_ucx *t = transport_of(e);
	e->in_moved += bytes;
	while (bytes > 0) {
		struct fr_ucx_in *p = piece_at(e, 0);
		const size_t n = min64(bytes, p->bytes - e->in_at);
		bytes -= n;
		e->in_at += (uint32_t)n;
		if (e->in_at < p->bytes)
			return;
		if (p->state == FR_UCX_HELD)
			t->api->am_data_release(t->worker, p->data);
		p->state = FR_UCX_EMPTY;
		e->untold += p->bytes;
		e->in_at = 0;
		e->n_consumed++;
	}
	land_offered(e);
	fr_ucx_tell_consumed(e, false);
}

int64_t fr_ucx_recv_some(struct fr_ep *ep, void *dst, size_t bytes)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	ferrule_status_t status = FERRULE_OK;
	size_t moved = 0;
	bytes = min64(bytes, e->in_bytes - e->in_moved);
	while (moved < bytes) {
		size_t avail;
		const void *window = fr_ucx_recv_window(ep, &avail, &status);
		if (window == NULL)
			break;
		const size_t n = min64(avail, bytes - moved);
		unsigned char *to = (unsigned char *)dst + moved;
		if (window != to)
			memcpy(to, window, n);
		fr_ucx_recv_release(ep, n);
		moved += n;
	}
	/* Bytes that were moved already count; a fault will be there the next time. */
	return moved > 0 || status >= 0 ? (int64_t)moved : (int64_t)status;
}

bool fr_ucx_has_unread(const struct fr_ucx_ep *e)
{
	if (e->has_leaving && e->broken == UCS_OK)
		return e->n_consumed != e->n_leaving;
	return e->in[e->n_consumed % FR_UCX_SLOTS].state != FR_UCX_EMPTY;
}

void fr_ucx_drop_unread(struct fr_ucx_ep *e)
{
	struct fr_ucx *t = transport_of(e);
	for (int i = 0; i < FR_UCX_SLOTS; i++) {
		struct fr_ucx_in *p = &e->in[i];
		if (p->state == FR_UCX_HELD || p->state == FR_UCX_OFFERED)
			t->api->am_data_release(t->worker, p->data);
		else if (p->state == FR_UCX_LANDING)
			t->api->request_free(p->request);
		p->state = FR_UCX_EMPTY;
	}
}

/*
 * Sending, and what both directions need.  Pieces are numbered; those in [settled, n_sent) still
 * belong to UCX, and a slot is used again only when its piece is both settled and consumed by
 * the peer.
 */
#include "config.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/transport/ucx/ucx.h"

/* A link that says nothing about a broken connection for this long knows nothing. */
#define REASON_WAIT_NS 1000000000u
/* The most that one call sends: both directions of an endpoint should take turns. */
#define SLICE_BYTES (512 * 1024)

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline struct fr_ucx *transport_of(const struct fr_ucx_ep *e)
{
	return fr_ucx_of(e->base.transport);
}

/* ---- UCX's requests and errors ---- */

void fr_ucx_seal(const struct fr_ucx_ep *e, struct fr_ucx_head *head, enum fr_ucx_kind kind)
{
	*head = (struct fr_ucx_head){
		.magic = FR_UCX_MAGIC,
		.version = FR_UCX_VERSION,
		.kind = (uint8_t)kind,
		.token = e->token_out,
		.rank = (uint32_t)transport_of(e)->rank,
		.consumed = e->n_consumed,
	};
}

void *fr_ucx_started(struct fr_ucx_ep *e, ucs_status_ptr_t result)
{
	if (!UCS_PTR_IS_ERR(result))
		return result;
	if (e->broken == UCS_OK)
		e->broken = UCS_PTR_STATUS(result);
	return NULL;
}

ucs_status_t fr_ucx_finish(struct fr_ucx_ep *e, void **request)
{
	const struct fr_ucx_api *api = transport_of(e)->api;
	const ucs_status_t status = api->request_check_status(*request);
	if (status == UCS_INPROGRESS)
		return status;
	if (status != UCS_OK && e->broken == UCS_OK)
		e->broken = status;
	api->request_free(*request);
	*request = NULL;
	return status;
}

void fr_ucx_drop_requests(struct fr_ucx_ep *e)
{
	const struct fr_ucx_api *api = transport_of(e)->api;
	void *single[] = {e->credit_request, e->hello_request};
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		if (single[i] != NULL)
			api->request_free(single[i]);
	}
	e->credit_request = e->hello_request = NULL;
	for (int i = 0; i < FR_UCX_SLOTS; i++) {
		if (e->out[i].request != NULL)
			api->request_free(e->out[i].request);
		e->out[i].request = NULL;
	}
}

ferrule_status_t fr_ucx_lost(struct fr_ucx_ep *e)
{
	if (fr_ucx_take_notes(e) != FERRULE_OK)
		return e->link.fault;
	if (e->link.has_left)
		return fr_link_lost(&e->link, 0);
	const uint64_t now = fr_clock_ns();
	if (e->link.lost_at == 0)
		e->link.lost_at = now;
	if (now - e->link.lost_at < REASON_WAIT_NS)
		return FERRULE_OK;
	return fr_link_fault(&e->link, FERRULE_ERR_FABRIC,
	                     "UCX lost its connection to %s, which still lives: %s; see UCX_TLS "
	                     "and UCX_NET_DEVICES",
	                     e->link.name, transport_of(e)->api->status_string(e->broken));
}

/* ---- sending ---- */

void fr_ucx_acknowledged(struct fr_ucx_ep *e, uint32_t consumed)
{
	/* Heads may overtake each other, so an old one changes nothing. */
	if (consumed - e->acked > e->n_sent - e->acked)
		return;
	for (; e->acked != consumed; e->acked++)
		e->unacked_bytes -= e->out[e->acked % FR_UCX_SLOTS].eager_bytes;
}

/* Is so much under way, up to piece `last`, that some of it may still wait in UCX?  What was sent
 * after it does not count: the peer may have to wait for something else before it takes that. */
static bool is_adrift(const struct fr_ucx_ep *e, uint32_t last)
{
	uint64_t bytes = 0;
	if (e->unacked_bytes <= FR_UCX_ADRIFT_BYTES || last - e->acked >= FR_UCX_SLOTS)
		return false;
	for (uint32_t i = e->acked; i != last + 1; i++)
		bytes += e->out[i % FR_UCX_SLOTS].eager_bytes;
	return bytes > FR_UCX_ADRIFT_BYTES;
}

void fr_ucx_settle(struct fr_ucx_ep *e)
{
	fr_ucx_tell_consumed(e, false);
	while (e->settled != e->n_sent) {
		struct fr_ucx_out *o = &e->out[e->settled % FR_UCX_SLOTS];
		if (!fr_ucx_is_done(e, &o->request))
			return;
		if (o->ends_message && is_adrift(e, e->settled))
			return;
		/* The memory of a broken connection is not free: nobody knows what became of it. */
		if (e->broken != UCS_OK)
			return;
		e->reusable += o->bytes;
		e->settled++;
	}
}

static ferrule_status_t ucx_send_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	e->out_bytes = m->bytes;
	e->out_moved = 0;
	e->out_number++;
	e->out_call = *m->call;
	e->out_has_memory = m->memory != NULL;
	ep->send_has_window = m->memory == NULL;
	return FERRULE_OK;
}

/* Is there a slot for one more piece, and are fewer than `limit` not settled?  Looks for news when
 * it is not so. */
static bool has_slot(struct fr_ucx_ep *e, uint32_t limit)
{
	for (int tries = 0; tries < 2; tries++) {
		if (e->n_sent - e->settled < limit && e->n_sent - e->acked < FR_UCX_SLOTS &&
		    e->unacked_bytes < FR_UCX_EAGER_UNDER_WAY)
			return true;
		if (tries == 0)
			transport_of(e)->api->worker_progress(transport_of(e)->worker);
		fr_ucx_settle(e);
	}
	return false;
}

/* Sends the next piece, for which there is a slot. */
static void send_piece(struct fr_ucx_ep *e, const void *src, size_t bytes, bool is_bulk)
{
	const ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
	                                   .flags = is_bulk ? UCP_AM_SEND_FLAG_RNDV
	                                                    : UCP_AM_SEND_FLAG_EAGER};
	struct fr_ucx_out *o = &e->out[e->n_sent % FR_UCX_SLOTS];
	fr_ucx_seal(e, &o->head, FR_UCX_PIECE);
	o->head.piece = e->n_sent;
	o->head.number = e->out_number;
	o->head.bytes = e->out_bytes;
	o->head.offset = e->out_moved;
	o->head.call = e->out_call;
	o->bytes = (uint32_t)bytes;
	o->eager_bytes = is_bulk ? 0 : (uint32_t)bytes;
	e->n_told = e->n_consumed;
	e->untold = 0;
	e->n_sent++;
	e->out_moved += bytes;
	e->unacked_bytes += o->eager_bytes;
	o->ends_message = e->out_moved == e->out_bytes;
	o->request = fr_ucx_started(e, transport_of(e)->api->am_send_nbx(e->ucp, FR_UCX_AM_ID,
	                                                                 &o->head, sizeof(o->head),
	                                                                 src, bytes, &param));
}

/* What a sender finds before it does anything: the fault, or 0 when all is well or not known. */
static ferrule_status_t send_fault(struct fr_ucx_ep *e)
{
	if (e->link.fault != FERRULE_OK)
		return e->link.fault;
	return e->broken != UCS_OK ? fr_ucx_lost(e) : FERRULE_OK;
}

static int64_t ucx_send_some(struct fr_ep *ep, const void *src, size_t bytes)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	const ferrule_status_t status = send_fault(e);
	if (status != FERRULE_OK)
		return status;
	const uint64_t limit = min64(min64(bytes, SLICE_BYTES), e->out_bytes - e->out_moved);
	uint64_t sent = 0;
	while (sent < limit && e->broken == UCS_OK && has_slot(e, FR_UCX_SLOTS)) {
		const bool is_bulk = e->out_has_memory && limit - sent >= FR_UCX_BULK_MIN;
		const uint64_t n =
			min64(limit - sent, is_bulk ? FR_UCX_BULK_BYTES : FR_UCX_EAGER_BYTES);
		send_piece(e, (const unsigned char *)src + sent, n, is_bulk);
		sent += n;
	}
	return (int64_t)sent;
}

static unsigned char *next_window(const struct fr_ucx_ep *e)
{
	return e->out_window + (size_t)(e->n_sent % FR_UCX_WINDOWS) * FR_UCX_EAGER_BYTES;
}

static void *ucx_send_window(struct fr_ep *ep, size_t *room_out, bool *stream_out)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	*room_out = 0;
	*stream_out = false;
	if (e->link.fault != FERRULE_OK || e->broken != UCS_OK || !has_slot(e, FR_UCX_WINDOWS))
		return NULL;
	*room_out = min64(FR_UCX_EAGER_BYTES, e->out_bytes - e->out_moved);
	return next_window(e);
}

static void ucx_send_commit(struct fr_ep *ep, size_t bytes)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	send_piece(e, next_window(e), bytes, false);
}

static uint64_t ucx_send_reusable(struct fr_ep *ep)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	fr_ucx_settle(e);
	if (e->settled != e->n_sent) {
		transport_of(e)->api->worker_progress(transport_of(e)->worker);
		fr_ucx_settle(e);
	}
	return e->reusable;
}

/* ---- the peer ---- */

ferrule_status_t fr_ucx_take_notes(struct fr_ucx_ep *e)
{
	struct fr_link_note note;
	struct fr_ucx_leaving leaving;
	while (fr_link_poll(&e->link) == FERRULE_OK && fr_link_take_note(&e->link, &note)) {
		if (note.kind != FR_UCX_LEAVING || note.bytes != sizeof(leaving))
			return fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL,
			                     "%s sent a note of kind %u and %u bytes, where none "
			                     "is expected",
			                     e->link.name, note.kind, note.bytes);
		memcpy(&leaving, note.data, sizeof(leaving));
		e->has_leaving = true;
		e->n_leaving = leaving.pieces;
	}
	return e->link.fault;
}

/* Does this rank still need something of its peer for what it sends?  One that has left takes no
 * more. */
static bool has_unsent(const struct fr_ucx_ep *e)
{
	return e->out_moved != e->out_bytes || (e->broken != UCS_OK && e->settled != e->n_sent);
}

static ferrule_status_t ucx_check(struct fr_ep *ep)
{
	struct fr_ucx_ep *e = fr_ucx_ep_of(ep);
	struct fr_ucx *t = transport_of(e);
	if (fr_ucx_take_notes(e) != FERRULE_OK)
		return e->link.fault;
	t->api->worker_progress(t->worker);
	fr_ucx_settle(e);
	if (e->link.has_left)
		return fr_ucx_has_unread(e) && !has_unsent(e) ? FERRULE_OK
		                                              : fr_link_lost(&e->link, 0);
	/* A peer that died explains a connection that broke. */
	if (e->broken != UCS_OK)
		return fr_link_look(&e->link) != FERRULE_OK ? e->link.fault : fr_ucx_lost(e);
	fr_link_tell_status(&e->link, &t->status);
	return fr_link_look(&e->link);
}

static bool ucx_peer_call(struct fr_ep *ep, struct fr_call *call_out)
{
	return fr_link_peer_call(&fr_ucx_ep_of(ep)->link, call_out);
}

static bool ucx_peer_wait(struct fr_ep *ep, struct fr_wait *wait_out)
{
	return fr_link_peer_wait(&fr_ucx_ep_of(ep)->link, wait_out);
}

static void ucx_ask(struct fr_ep *ep)
{
	fr_link_ask(&fr_ucx_ep_of(ep)->link);
}

static void ucx_refuse(struct fr_ep *ep, const struct fr_refusal *refusal)
{
	fr_link_refuse(&fr_ucx_ep_of(ep)->link, refusal);
}

static bool ucx_peer_refusal(struct fr_ep *ep, int place, struct fr_refusal *refusal_out)
{
	return fr_link_peer_refusal(&fr_ucx_ep_of(ep)->link, place, refusal_out);
}

const struct fr_ep_ops fr_ucx_ep_ops = {
	.send_begin = ucx_send_begin,
	.send_some = ucx_send_some,
	.send_window = ucx_send_window,
	.send_commit = ucx_send_commit,
	.send_reusable = ucx_send_reusable,
	.recv_begin = fr_ucx_recv_begin,
	.recv_post = NULL,
	.recv_some = fr_ucx_recv_some,
	.recv_window = fr_ucx_recv_window,
	.recv_release = fr_ucx_recv_release,
	.check = ucx_check,
	.peer_call = ucx_peer_call,
	.peer_wait = ucx_peer_wait,
	.ask = ucx_ask,
	.refuse = ucx_refuse,
	.peer_refusal = ucx_peer_refusal,
};

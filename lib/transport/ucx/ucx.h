/*
 * ucx.h - what the files of the UCX transport share.
 *
 * Design
 *   A transport has one UCX worker, a pair of ranks one UCX endpoint each way and one link
 *   (link.h), which carries the workers' addresses and says who lives, left or gave up.
 *
 *   A message travels in pieces, each an active message: a head and payload.  Its number says
 *   in which slot of the receiver's ring it lands, so UCX may deliver pieces in any order.  At
 *   most FR_UCX_SLOTS pieces and FR_UCX_EAGER_UNDER_WAY bytes are under way a direction; the
 *   receiver tells in every head, or in one of its own, how many pieces it has consumed.
 *
 *   Small pieces are copied by UCX and stay in its memory until they are consumed, so the
 *   receive window is that memory.  Large ones, of messages whose memory is known, go by UCX's
 *   rendezvous: out of the sender's memory straight into the receiver's where that is known
 *   too, else into a buffer that then is the window.
 *
 *   UCX makes progress only when it is called.  A rank that has returned to its program must
 *   not hold back bytes that a peer waits for, so the last piece of a message counts as sent
 *   only when the peer has consumed all but so little that no network refuses it.  (Flushing
 *   would not do: over sockets it waits for the peer's UCX to be called, too.)
 *
 *   UCX proves nothing to anybody.  Each side chooses a token and tells it over the link, which
 *   is authenticated; active messages without it are dropped.
 */
#ifndef FR_UCX_H
#define FR_UCX_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/transport/link/link.h"
#include "lib/transport/transport.h"
#include "lib/transport/ucx/ucx_api.h"
#include "lib/transport/ucx/ucx_wire.h"

struct pollfd;

/* Pieces under way a peer and direction: a power of two. */
#define FR_UCX_SLOTS 256
/* And payload of pieces that UCX copies, which a receiver that does not consume it has to hold. */
#define FR_UCX_EAGER_UNDER_WAY (512 * 1024)
/* Of which so many may lie in windows of ours: a power of two, too. */
#define FR_UCX_WINDOWS 8
/* Buffers for large pieces that have no destination yet, a peer. */
#define FR_UCX_STAGES 4
/* From here on what can be sent at once goes by rendezvous. */
#define FR_UCX_BULK_MIN (128 * 1024)
/* More than this under way, and a message does not count as sent: what sockets take at least. */
#define FR_UCX_ADRIFT_BYTES (64 * 1024)
/* A receiver tells what it has consumed after so many bytes or pieces, whichever comes first. */
#define FR_UCX_TELL_BYTES  (FR_UCX_ADRIFT_BYTES / 2)
#define FR_UCX_TELL_PIECES (FR_UCX_SLOTS / 4)
/* The identifier of Ferrule's active messages on a worker. */
#define FR_UCX_AM_ID 1

/* A piece on its way out; slot number % FR_UCX_SLOTS.  UCX reads `head` until `request` is done. */
struct fr_ucx_out {
	struct fr_ucx_head head;
	void *request;        /* NULL: done */
	uint32_t bytes;       /* payload */
	uint32_t eager_bytes; /* payload that may still wait in UCX after that */
	bool ends_message;
};

enum fr_ucx_state {
	FR_UCX_EMPTY,   /* the piece is not here */
	FR_UCX_OFFERED, /* a rendezvous that has not been begun; `data` is UCX's descriptor */
	FR_UCX_LANDING, /* a rendezvous under way to `data` */
	FR_UCX_LANDED,  /* the bytes are at `data`, in our or the caller's memory */
	FR_UCX_HELD,    /* the bytes are at `data`, in UCX's memory, to be released */
	FR_UCX_FAILED,  /* a rendezvous that UCX gave up */
};

/* A piece that has arrived; slot number % FR_UCX_SLOTS. */
struct fr_ucx_in {
	enum fr_ucx_state state;
	uint32_t bytes;
	unsigned char *data;
	void *request; /* LANDING */
	struct fr_ucx_head head;
};

struct fr_ucx_ep {
	struct fr_ep base;
	struct fr_link link;
	ucp_ep_h ucp;
	bool can_be_forced;  /* UCX lets go of the endpoint without its peer's consent */
	ucs_status_t broken; /* what UCX said when it gave the endpoint up; UCS_OK */
	uint64_t token_in, token_out;

	/* The message under way out: pieces [acked, n_sent) are not known to be consumed, and
	 * [settled, n_sent) not done with. */
	uint64_t out_bytes, out_moved;
	uint32_t out_number;
	bool out_has_memory;
	struct fr_call out_call;
	uint32_t n_sent, settled, acked;
	uint64_t unacked_bytes; /* eager payload of [acked, n_sent) */
	uint64_t reusable;      /* payload of [0, settled) */
	struct fr_ucx_out out[FR_UCX_SLOTS];
	unsigned char *out_window; /* FR_UCX_WINDOWS * FR_UCX_EAGER_BYTES */

	/* The message under way in. */
	uint64_t in_bytes, in_moved;
	uint32_t in_number;
	unsigned char *in_memory;
	uint32_t n_consumed; /* pieces */
	uint32_t in_at;      /* bytes of piece n_consumed that are consumed */
	uint32_t n_told;     /* what the peer knows of n_consumed, */
	uint32_t untold;     /* and payload of the pieces between */
	bool has_landed;     /* a rendezvous ended of which the peer may not know yet */
	bool has_leaving;    /* the peer said how many pieces it ever sent */
	uint32_t n_leaving;
	struct fr_ucx_in in[FR_UCX_SLOTS];
	unsigned char *stages;   /* FR_UCX_STAGES * FR_UCX_BULK_BYTES */
	unsigned char joint[64]; /* the end of one piece and the begin of the next ones */
	struct fr_ucx_head credit;
	void *credit_request;

	/* While connecting. */
	uint32_t address_sent, address_have, address_bytes;
	unsigned char *address;
	uint32_t hellos_sent, hellos_heard;
	struct fr_ucx_head hello;
	void *hello_request;
};

struct fr_ucx {
	struct fr_transport base;
	const struct fr_ucx_api *api;
	int rank, n_ranks;
	struct fr_link_hub *hub; /* until it is connected */
	ucp_context_h context;
	ucp_worker_h worker;
	int efd;
	ucp_address_t *address;
	size_t address_bytes;
	struct fr_ucx_ep **eps; /* [n_ranks], NULL where none */
	struct pollfd *naps;    /* [n_ranks + 1] */
	uint64_t memory_bytes;
	bool is_aborted;
	struct fr_link_status status;
};

static inline struct fr_ucx *fr_ucx_of(struct fr_transport *t)
{
	return (struct fr_ucx *)t;
}

static inline struct fr_ucx_ep *fr_ucx_ep_of(struct fr_ep *ep)
{
	return (struct fr_ucx_ep *)ep;
}

/* fr_ucx_alloc - zeroed, for cache lines, counted; free() it. */
void *fr_ucx_alloc(struct fr_ucx *t, size_t bytes);

/* ---- ucx_connect.c ---- */

/* fr_ucx_worker_open - the worker, its address and its event descriptor; fr_ucx_worker_close
 * after all endpoints. */
ferrule_status_t fr_ucx_worker_open(struct fr_ucx *t, char *why, size_t why_bytes);
void fr_ucx_worker_close(struct fr_ucx *t);
/* fr_ucx_wire_up - over the links of all t->eps: UCX endpoints that are known to work. */
ferrule_status_t fr_ucx_wire_up(struct fr_ucx *t, uint64_t deadline_ns, char *why,
                                size_t why_bytes);
/* fr_ucx_nap - fr_transport_ops.nap. */
void fr_ucx_nap(struct fr_transport *base, uint64_t ns);

/* ---- ucx_ep.c ---- */

extern const struct fr_ep_ops fr_ucx_ep_ops;
/* fr_ucx_seal - fills what all heads to this peer share. */
void fr_ucx_seal(const struct fr_ucx_ep *e, struct fr_ucx_head *head, enum fr_ucx_kind kind);
/* fr_ucx_finish - UCS_INPROGRESS, or how the request ended; then it is freed and NULL.  An error
 * breaks the endpoint. */
ucs_status_t fr_ucx_finish(struct fr_ucx_ep *e, void **request);
static inline bool fr_ucx_is_done(struct fr_ucx_ep *e, void **request)
{
	return *request == NULL || fr_ucx_finish(e, request) != UCS_INPROGRESS;
}
/* fr_ucx_started - what a call that may return a request returned: the request, or NULL when it
 * is done or has failed, which breaks the endpoint. */
void *fr_ucx_started(struct fr_ucx_ep *e, ucs_status_ptr_t result);
/* fr_ucx_lost - the endpoint is broken: the fault, or OK while the link may still tell why. */
ferrule_status_t fr_ucx_lost(struct fr_ucx_ep *e);
/* fr_ucx_drop_requests - frees all requests of an endpoint that was closed. */
void fr_ucx_drop_requests(struct fr_ucx_ep *e);
/* fr_ucx_settle - moves on past sent pieces that are done. */
void fr_ucx_settle(struct fr_ucx_ep *e);
/* fr_ucx_acknowledged - the peer has consumed so many pieces. */
void fr_ucx_acknowledged(struct fr_ucx_ep *e, uint32_t consumed);
/* fr_ucx_take_notes - reads the link and what the peer notes on it; OK or the fault. */
ferrule_status_t fr_ucx_take_notes(struct fr_ucx_ep *e);

/* ---- ucx_receive.c ---- */

/* fr_ucx_on_message - the worker's handler of active messages; `arg` is the transport. */
ucs_status_t fr_ucx_on_message(void *arg, const void *head, size_t head_bytes, void *data,
                               size_t bytes, const ucp_am_recv_param_t *param);
ferrule_status_t fr_ucx_recv_begin(struct fr_ep *ep, const struct fr_message *m);
int64_t fr_ucx_recv_some(struct fr_ep *ep, void *dst, size_t bytes);
const void *fr_ucx_recv_window(struct fr_ep *ep, size_t *avail_out, ferrule_status_t *status_out);
void fr_ucx_recv_release(struct fr_ep *ep, size_t bytes);
/* fr_ucx_tell_consumed - tells the peer what was consumed, when that is due and heads of ours
 * have not told it, or when `is_due` says that it is. */
void fr_ucx_tell_consumed(struct fr_ucx_ep *e, bool is_due);
/* fr_ucx_has_unread - has anything arrived that was not consumed, or will anything arrive? */
bool fr_ucx_has_unread(const struct fr_ucx_ep *e);
/* fr_ucx_drop_unread - gives all that was not consumed back to UCX. */
void fr_ucx_drop_unread(struct fr_ucx_ep *e);

#endif

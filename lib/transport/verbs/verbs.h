/*
 * verbs.h - what the files of the verbs transport share.
 *
 * Design
 *   One thing moves data: RDMA WRITE WITH IMM.  A message goes as pieces, numbered in their
 *   direction of a pair of ranks.  A piece is written into the next slot of the receiver's
 *   inbox or, for a large message whose receiver granted its memory, straight to where it
 *   belongs; the immediate says which piece came, so that pieces may arrive in any order over
 *   any queue pair.  No memory is ever polled: a completion is the only signal.
 *
 *   Credits: at most n_slots pieces are under way.  The receiver tells how many it is done
 *   with in the head of what it sends itself, or alone when half a window has gathered.  A
 *   receive is posted for whatever may come, so that the hardware never has to repeat for want
 *   of one.
 *
 *   Grants: once any memory is registered here, a receiver tells its peer where each large
 *   message goes, as early as fr_ep_ops.recv_post lets it.  A source that is registered is
 *   written from in place, another one is copied into staging slots first; the two are
 *   independent.
 *
 *   Connecting, and mending: queue pairs are made when an endpoint is first used, and anew
 *   (the next "generation") whenever one fails, stalls, or the peer asks.  Both ends offer
 *   queue pairs, GIDs and what has arrived; pairs of GIDs are tried until a write comes
 *   through; then what the other end does not have is sent again.  Since the old queue pairs
 *   were stopped before the offer was made, nothing late can touch memory, and since the
 *   receiver says what it has, nothing is written twice.  One mechanism serves first contact,
 *   a link that flaps, a moved GID and a lost rail.  See verbs_connect.c.
 *
 *   The passive side of RDMA sees nothing when its peer dies, so an authenticated TCP link to
 *   each peer stays open: it carries offers and tells who died, left or gave up.
 *
 *   No shared receive queue: receives here hold no memory (the data has its place already),
 *   so a queue of its own costs a peer n_slots + 48 empty entries and no cache line of data.
 */
#ifndef FR_VB_H
#define FR_VB_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/mem/region.h"
#include "lib/transport/link/link.h"
#include "lib/transport/transport.h"
#include "lib/transport/verbs/verbs_device.h"
#include "lib/transport/verbs/verbs_wire.h"

/* Pieces shorter than this are copied into staging even when their memory is registered. */
#define FR_VB_LEND_MIN 4096
/* The largest piece that is written straight into granted memory. */
#define FR_VB_PLACED_BYTES (512u << 10)
/* A piece of at least this much takes turns over all queue pairs; less goes the first way. */
#define FR_VB_STRIPE_MIN (16u << 10)
/* Completions are asked for at least every so many requests. */
#define FR_VB_SIGNAL_EVERY 16
/* Receives are posted again in chains of this many. */
#define FR_VB_RECV_CHAIN 8
/* A rail carries so many parts of what the fastest rail carries, at most. */
#define FR_VB_SHARES 4
/* Requests of a queue pair beside pieces: credits, grants, probes. */
#define FR_VB_EXTRA_WRS 48

struct fr_vb_ep;

struct fr_vb_qp {
	struct ibv_qp *qp;
	struct fr_vb_ep *ep;
	struct fr_verbs_cm_conn *conn; /* NULL when connected over the link */
	uint32_t psn;
	uint8_t rail;
	uint8_t lane;    /* its number among those of the rail */
	bool is_live;    /* carries traffic */
	bool is_probing; /* its probe is under way */
	int max_inline;
	uint32_t posted, completed; /* requests; completed counts up to the last signalled one */
	uint32_t signalled;         /* number of the last request that asked for a completion */
	uint32_t n_received;        /* receives taken and not posted again */
};

/* Memory registered on every rail. */
struct fr_vb_mr {
	struct ibv_mr *mr[FR_VERBS_RAILS_MAX];
};

/* A piece that may have to be sent again. */
struct fr_vb_piece {
	const unsigned char *src; /* payload; in staging unless `lent` */
	const struct fr_vb_mr *lent;
	uint64_t placed; /* remote address of the payload; 0: the slot */
	uint32_t bytes;
	uint32_t grant;       /* number of the grant, when placed */
	uint32_t post;        /* fr_vb_qp.posted after it */
	uint64_t first_total; /* payload bytes ever begun before it */
	uint8_t what;
	uint8_t qp;
	bool is_delivered; /* known from the peer, not from a completion */
};

struct fr_vb_tx {
	uint32_t next;      /* number of the next piece */
	uint32_t credited;  /* pieces the peer is done with */
	uint32_t lent_head; /* pieces before it need no memory of the caller */
	struct fr_vb_piece pieces[FR_VERBS_SLOTS_MAX];
	/* The message in hand. */
	uint64_t bytes, moved, total;
	const struct fr_vb_mr *lent;
	uint32_t number, large;
	bool is_placed, is_begun; /* is_begun: its first piece was sent */
	bool is_held;             /* the last send_begin could not begin it yet */
	struct fr_call call;
	uint64_t place;
	/* What the peer granted. */
	uint32_t grants_from; /* UINT32_MAX: it grants nothing */
	struct fr_verbs_grant grants[FR_VERBS_GRANTS];
};

struct fr_vb_rx {
	uint32_t next;                        /* number of the piece that is read now */
	uint32_t arrived;                     /* bit i: piece next + i is here */
	uint32_t told;                        /* credit the peer was told */
	uint32_t lengths[FR_VERBS_SLOTS_MAX]; /* payload, by number modulo slots */
	uint8_t whats[FR_VERBS_SLOTS_MAX];
	/* The message in hand. */
	uint64_t bytes, moved;
	uint32_t used; /* of piece `next` */
	uint32_t large;
	unsigned char *memory;
	bool is_placed;
	bool is_first; /* piece `next` begins the message */
	/* Grants made, by number modulo FR_VERBS_GRANTS. */
	uint32_t n_posted, n_begun;     /* messages posted and begun, */
	uint32_t granted, granted_sent; /* large ones given a grant, and written to the peer */
	uint32_t grants_from;           /* the first large one that was; UINT32_MAX: none */
	bool has_told_on;               /* the peer knows that there are grants */
};

/* How far an endpoint's connection is. */
enum fr_vb_state {
	FR_VB_IDLE,       /* never used */
	FR_VB_BROKEN,     /* to be connected anew as soon as a port is there */
	FR_VB_OFFERED,    /* our queue pairs exist; the peer's offer is not here */
	FR_VB_CONNECTING, /* the connection manager is at work */
	FR_VB_WAITING,    /* ours can receive; the peer's READY is not here */
	FR_VB_PROBING,    /* probes are under way, or the peer's PROVED is not here */
	FR_VB_READY,      /* data flows */
};

struct fr_vb_ep {
	struct fr_ep base;
	struct fr_link link;
	enum fr_vb_state state;

	/* The data path of this generation. */
	unsigned n_live;
	unsigned turn;
	struct fr_vb_qp *live[FR_VB_SHARES * FR_VERBS_RAILS_MAX * FR_VERBS_QPS_MAX];
	struct fr_vb_tx tx;
	struct fr_vb_rx rx;
	uint64_t remote_inbox;
	uint32_t remote_rkey[FR_VERBS_RAILS_MAX];

	/* Memory: what the peer writes, and what is sent from. */
	unsigned char *inbox;   /* slots, then the grant ring */
	unsigned char *staging; /* slots, then copies of the grants we made */
	size_t inbox_bytes, staging_bytes;
	struct fr_vb_mr inbox_mr, staging_mr;

	/* Connecting; see verbs_connect.c. */
	uint32_t generation;
	unsigned n_qps;
	unsigned n_connecting; /* queue pairs that the connection manager works on */
	struct fr_vb_qp qps[FR_VERBS_RAILS_MAX * FR_VERBS_QPS_MAX];
	struct fr_verbs_offer mine, theirs;
	uint8_t tries[FR_VERBS_RAILS_MAX]; /* pairs of GIDs that failed */
	struct fr_gid_pair pairs[FR_VERBS_RAILS_MAX];
	uint8_t n_pairs[FR_VERBS_RAILS_MAX];
	bool is_peer_ready, has_proved, has_peer_proved;
	uint32_t proved, peer_proved; /* rails, one bit each */
	uint64_t since_ns;            /* when this state was entered */
	uint64_t mend_since_ns;       /* when the data path broke; 0: it has not */
	uint64_t watch_ns;            /* when watch_sum changed last */
	uint64_t watch_sum;
	uint64_t looked_ns; /* at the last check */
	char trouble[320];  /* what broke it, in words */
};

struct fr_vb_rail {
	struct fr_verbs_device device;
	struct fr_verbs_cm *cm; /* NULL unless FERRULE_IB_CONNECT=cm */
	/* Queue pairs by number: open addressing, a power of two. */
	struct fr_vb_qp **by_number;
};

struct fr_vb {
	struct fr_transport base;
	const struct fr_verbs *v;
	int rank, n_ranks;
	const int *host_of;
	struct fr_link_hub *hub;
	struct fr_link_status status;
	int n_rails;
	struct fr_vb_rail rails[FR_VERBS_RAILS_MAX];
	uint32_t table_mask;
	struct fr_vb_ep **eps; /* [n_ranks], NULL where none */
	struct fr_regions *regions;
	bool has_regions; /* something was registered once */
	uint32_t n_slots, slot_bytes, slot_stride;
	uint64_t zero_copy;
	unsigned qps_per_rail;
	uint32_t recv_depth, send_depth;
	int n_unready; /* endpoints that are being connected */
	uint32_t idle_polls;
	uint64_t served_ns; /* when the links were last looked at in a check */
	int epoll;          /* links, peers' processes, asynchronous events and those of
	                     * connection managers */
	struct ibv_recv_wr recv_chain[FR_VB_RECV_CHAIN];
	uint64_t memory_bytes;
	bool is_aborted;
};

static inline struct fr_vb *fr_vb_of(struct fr_transport *t)
{
	return (struct fr_vb *)t;
}

static inline struct fr_vb_ep *fr_vb_ep_of(struct fr_ep *ep)
{
	return (struct fr_vb_ep *)ep;
}

static inline struct fr_vb *fr_vb_of_ep(const struct fr_vb_ep *e)
{
	return (struct fr_vb *)e->base.transport;
}

static inline unsigned char *fr_vb_slot(const struct fr_vb *t, unsigned char *base, uint32_t n)
{
	return base + (size_t)(n & (t->n_slots - 1)) * t->slot_stride;
}

/* ---- verbs_ep.c ---- */
extern const struct fr_ep_ops fr_vb_ep_ops;
/* fr_vb_flush_grants - writes grants that could not be written yet. */
void fr_vb_flush_grants(struct fr_vb_ep *e);

/* ---- verbs_move.c: requests and completions ---- */

/* fr_vb_post_piece - writes piece `number` to the peer; false: no room in the queue now. */
bool fr_vb_post_piece(struct fr_vb_ep *e, uint32_t number);
/* fr_vb_post_word - an immediate alone (credit, probe, ...), with up to 64 bytes written to
 * `remote` in front of it. */
bool fr_vb_post_word(struct fr_vb_ep *e, struct fr_vb_qp *q, uint32_t imm, const void *data,
                     uint64_t remote, bool is_signalled);
/* fr_vb_post_marker - a signalled nothing, so that silence behind unsignalled work is noticed. */
void fr_vb_post_marker(struct fr_vb_ep *e, struct fr_vb_qp *q);
/* fr_vb_post_receives - in whole chains; what is left is posted with the next ones. */
bool fr_vb_post_receives(struct fr_vb *t, struct fr_vb_qp *q, uint32_t n);
/* fr_vb_progress - takes completions off all queues; now and then looks at the links.  Returns
 * how many completions there were. */
int fr_vb_progress(struct fr_vb *t);
/* fr_vb_drain - takes completions until there are none. */
void fr_vb_drain(struct fr_vb *t);
/* fr_vb_tell_credit - tells the peer what we are done with when it may be waiting for that. */
void fr_vb_tell_credit(struct fr_vb_ep *e);
/* fr_vb_table_* - queue pairs by number. */
bool fr_vb_table_create(struct fr_vb *t, uint32_t n_qps);
void fr_vb_table_add(struct fr_vb *t, struct fr_vb_qp *q);
void fr_vb_table_remove(struct fr_vb *t, struct fr_vb_qp *q);
/* fr_vb_take_grant - the peer's grant `number`; NULL while it is not here. */
const struct fr_verbs_grant *fr_vb_take_grant(const struct fr_vb_ep *e, uint32_t number);

/* ---- verbs_connect.c ---- */

/* fr_vb_want - the endpoint is used: connects it if that has not begun. */
void fr_vb_want(struct fr_vb_ep *e);
/* fr_vb_serve_links - reads what all links and asynchronous events have, and does what is due. */
void fr_vb_serve_links(struct fr_vb *t);
/* fr_vb_serve_cm - what a rail's connection manager has done. */
void fr_vb_serve_cm(struct fr_vb *t, int rail);
/* fr_vb_trouble - the data path failed; it is connected anew unless the peer has left. */
void fr_vb_trouble(struct fr_vb_ep *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* fr_vb_disconnect - stops and destroys the queue pairs. */
void fr_vb_disconnect(struct fr_vb_ep *e);

/* ---- verbs_watch.c: check() ---- */

ferrule_status_t fr_vb_check(struct fr_ep *ep);
/* fr_vb_path_text - "mlx5_0 port 1, 10.0.0.1 to 10.0.0.2"; returns buf. */
char *fr_vb_path_text(const struct fr_vb_ep *e, int rail, char *buf, size_t bytes);
/* fr_vb_lose_rail - its device is going: endpoints that use it are connected anew. */
void fr_vb_lose_rail(struct fr_vb *t, int rail, const char *why);
/* fr_vb_serve_events - asynchronous events of a rail's device. */
void fr_vb_serve_events(struct fr_vb *t, int rail);

/* ---- verbs_prove.c: connects endpoints before they are used ---- */

ferrule_status_t fr_vb_prove(struct fr_transport *base, const bool *wanted, uint64_t deadline_ns,
                             int *failed_out, char *why, size_t why_bytes);

/* ---- verbs_report.c: figures and words for people ---- */

void fr_vb_report(struct fr_transport *base, struct fr_transport_report *out);
void fr_vb_path(struct fr_transport *base, int peer, char *text, size_t bytes);
/* fr_vb_peer_bytes - memory that an endpoint registers, by the settings. */
uint64_t fr_vb_peer_bytes(void);

/* ---- verbs_memory.c ---- */

ferrule_status_t fr_vb_register(struct fr_vb *t, void *base, size_t bytes, int access, bool is_data,
                                struct fr_vb_mr *out, char *why, size_t why_bytes);
void fr_vb_deregister(struct fr_vb *t, struct fr_vb_mr *mr);
/* fr_vb_ep_memory - the endpoint's inbox and staging, registered; once. */
ferrule_status_t fr_vb_ep_memory(struct fr_vb_ep *e);
void fr_vb_ep_memory_free(struct fr_vb_ep *e);
extern const struct fr_region_ops fr_vb_region_ops;

#endif

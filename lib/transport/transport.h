/*
 * transport.h - how one thing moves to one peer.
 *
 * A transport joins this process to peers.  For each peer it gives an endpoint: two
 * independent, ordered streams of messages, one out, one in.  Between two ranks of one
 * communicator there is exactly one endpoint on each side.
 *
 * A message is announced (begin), moved in pieces from its first byte to its last, and ends
 * by itself when its last byte has moved.  Pieces may be of any size and differ on the two
 * sides.  The receiver says what it expects; the transport compares the call that the sender
 * announced with it, so that ranks which disagree learn it on first contact.
 *
 * Two ways to move a piece, so that no byte is copied more often than the hardware needs:
 *   window   the caller reads (receive) or writes (send) transport memory in place: a staging
 *            ring, a socket buffer, or the peer's own buffer mapped here.  A reduction reads
 *            its operand out of the window and may write its result into the next one.
 *   some     the transport moves the bytes between its peer and the caller's memory (a
 *            socket read, a cross-memory read, a copy).
 *
 * Rules for every function below: it never blocks (except open, connect, close), never
 * allocates, is called by the one thread that holds the communicator, and may only be called
 * with the endpoint in the state its comment names.  A negative ferrule_status_t is a fault
 * of the endpoint; ep->why then holds the text, and the communicator decides what to do.
 *
 * Registration is an explicit list in transport.c.
 */
#ifndef FR_TRANSPORT_H
#define FR_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/base/call.h"

struct fr_transport;
struct fr_ep;
struct fr_mem_block;
struct fr_supervisor;

/* How many receives may be posted ahead of the one that has begun. */
#define FR_POSTS_MAX 32
/* A receive window grows to at least this many bytes: the largest element. */
#define FR_WINDOW_MIN 8

/* What `open` gets.  Strings and arrays live as long as the transport. */
struct fr_transport_params {
	int rank, n_ranks;            /* in the communicator */
	const int *host_of;           /* host index of each rank */
	uint64_t comm_id;             /* same on all ranks, different for every communicator */
	const unsigned char *job_key; /* 32 bytes; see lib/base/auth.h */
	const char *master_addr;      /* a numeric address of rank 0's host; tells the interface
	                               * towards it; may be NULL */
	/* Watches the other ranks until the communicator stands, for open, connect and prove: see
	 * lib/base/supervisor.h; NULL: nobody does. */
	struct fr_supervisor *supervisor;
	/* Does the board make sense here?  True when all ranks are on one host. */
	bool one_host;
	bool one_network; /* does loopback reach all ranks? */
};

/* One message as its two ends describe it. */
struct fr_message {
	const struct fr_call *call; /* the operation it belongs to; copied where needed */
	uint64_t bytes;             /* payload; never 0 */
	/* send: where the payload lies (whole message) if it is already decided, else NULL.
	 * recv: where it is to go, for a plain receive; NULL when it will be consumed from the
	 * window.  A transport uses it to read or write that memory in place where it can. */
	void *memory;
};

struct fr_ep_ops {
	/*
	 * send_begin - announce the next outgoing message.  The previous one's bytes must all
	 * have been moved.  OK, or INPROGRESS: no room to announce now, call again.
	 */
	ferrule_status_t (*send_begin)(struct fr_ep *ep, const struct fr_message *m);
	/*
	 * send_some - move up to `bytes` next bytes of the message out of `src`.  `src` is
	 * m->memory + bytes moved so far when m->memory was given.  Returns bytes taken, 0 when
	 * nothing can move now, or a negative status.
	 */
	int64_t (*send_some)(struct fr_ep *ep, const void *src, size_t bytes);
	/*
	 * send_window - transport memory where the next bytes of the message may be written;
	 * *room_out bytes, 64-byte aligned whenever the message is moved in multiples of 64.
	 * *stream_out tells the writer to use non-temporal stores.  NULL: none now (full), or
	 * none ever for this message (see ep->send_has_window).
	 */
	void *(*send_window)(struct fr_ep *ep, size_t *room_out, bool *stream_out);
	/* send_commit - `bytes` of the window hold data now; the peer may see them. */
	void (*send_commit)(struct fr_ep *ep, size_t bytes);
	/*
	 * send_reusable - how many payload bytes ever begun on this endpoint, in order, the
	 * transport no longer needs from the caller's memory.  Equals bytes moved unless the
	 * peer reads the memory in place.
	 */
	uint64_t (*send_reusable)(struct fr_ep *ep);
	/*
	 * recv_begin - expect the next incoming message.  The previous one must have been
	 * consumed.  First call posts the receiver's side; OK when the sender's announcement is
	 * here and agrees; INPROGRESS: call again (with the same `m`); FERRULE_ERR_MISMATCH with
	 * ep->peer_call and ep->why set when it does not agree (the same call with another
	 * length is a disagreement too).
	 */
	ferrule_status_t (*recv_begin)(struct fr_ep *ep, const struct fr_message *m);
	/*
	 * recv_post - optional (NULL: none).  Tells the peer early where a later message will
	 * go, so that it can be written there in place.  Posts are made in the order of the
	 * messages, at most FR_POSTS_MAX ahead of recv_begin, which posts by itself what was not
	 * posted; m->memory must be free to be overwritten from now on.
	 */
	void (*recv_post)(struct fr_ep *ep, const struct fr_message *m);
	/* recv_some - the mirror of send_some: move up to `bytes` next bytes into `dst`. */
	int64_t (*recv_some)(struct fr_ep *ep, void *dst, size_t bytes);
	/*
	 * recv_window - the next bytes of the message, to be read in place; *avail_out of them.
	 * NULL: none now.  Every transport has this.  A negative status in *status_out.  A
	 * window may begin or end inside an element; one that holds less than
	 * FR_WINDOW_MIN bytes grows by being asked for again as soon as more has arrived,
	 * unless the message ends there.  When the peer wrote straight into m->memory, the
	 * window is that memory.
	 */
	const void *(*recv_window)(struct fr_ep *ep, size_t *avail_out,
	                           ferrule_status_t *status_out);
	/* recv_release - the first `bytes` of the window are consumed. */
	void (*recv_release)(struct fr_ep *ep, size_t bytes);
	/*
	 * check - the slow look at the peer, about once a millisecond of waiting: is it alive?
	 * OK, FERRULE_ERR_PEER_DIED, FERRULE_ERR_PEER_LEFT, or another fault.  Also the place
	 * to tell the peer what we are waiting in (see fr_transport_ops.announce).  A peer that
	 * left in good order is OK here as long as data of it is unread.
	 */
	ferrule_status_t (*check)(struct fr_ep *ep);
	/*
	 * peer_call - what the peer was last known to be doing; false when nothing is known.
	 * For error texts and for noticing disagreement while waiting.
	 */
	bool (*peer_call)(struct fr_ep *ep, struct fr_call *call_out);
	/*
	 * past_call - the peer's collective operation of this number, if it can be seen: among its
	 * last few, or in a message that was not asked for yet; false when it cannot.  NULL where a
	 * transport sees none.
	 */
	bool (*past_call)(struct fr_ep *ep, uint64_t sequence, struct fr_call *call_out);
	/*
	 * peer_wait - optional.  What the peer last told of its waiting (see
	 * fr_transport_ops.wait); false when nothing is known.  The caller checks what it says.
	 */
	bool (*peer_wait)(struct fr_ep *ep, struct fr_wait *wait_out);
	/* ask - optional (NULL: peer_wait is always fresh).  Has the peer tell of its waiting, if
	 * it does wait; the answer comes in with check(). */
	void (*ask)(struct fr_ep *ep);
	/* refuse, peer_refusal - optional, both or neither.  Tells the peer, without waiting, of a
	 * call that this rank refused; and the last one of that place (fr_refusal_place()) that the
	 * peer told of, false when there is none.  The caller checks what it says. */
	void (*refuse)(struct fr_ep *ep, const struct fr_refusal *refusal);
	bool (*peer_refusal)(struct fr_ep *ep, int place, struct fr_refusal *refusal_out);
};

/* The part of an endpoint every transport shares; each embeds it as its first member. */
struct fr_ep {
	const struct fr_ep_ops *ops;
	struct fr_transport *transport;
	int peer;
	/* Set by send_begin: may send_window be used for the announced message? */
	bool send_has_window;
	/* Set by recv_begin: does recv_some move this message better than the window (a socket
	 * or cross-memory read straight into the destination)? */
	bool recv_prefers_some;
	/* Set by check() of a transport with a board: the peer has left in good order, whatever
	 * of its messages is unread. */
	bool has_left;
	/* What the peer announced, when recv_begin returned FERRULE_ERR_MISMATCH: the call, with
	 * the signature of the message, and the message's length. */
	struct fr_call peer_call;
	uint64_t peer_bytes;
	char why[448];
};

/*
 * A board: memory that every rank of the communicator can load from, with one writer a slot.
 * It is data, not functions: the executor stores and polls it with plain instructions.
 *
 * Slot i (i = publication number mod n_slots) of rank r and class c begins at
 * classes[c].base[r] + i * stride.  Layout of a slot:
 *
 *   byte 0        8          64                       stride
 *   +-----+------+----------+------------------------+
 *   | seq | sig  | 56 bytes | the rest of the payload|
 *   +-----+------+----------+------------------------+
 *
 * seq is 32 bits: low half of the publication number plus one, stored last with release
 * order; sig is 32 bits of the call's signature.  Publications are numbered per writer and
 * class from 0.  An ack says how many of writer w's publications of this class reader r no
 * longer needs, stored by r now and then; w must not reuse a slot that a reader may need.
 */
struct fr_board_class {
	size_t payload; /* bytes a publication of this class can carry */
	size_t stride;
	uint32_t n_slots;     /* a power of two */
	unsigned char **base; /* [n_ranks] */
	unsigned char **acks; /* [n_ranks]: acks[r] + w * FR_BOARD_ACK_STRIDE is the 32-bit
	                       * counter of reader r for writer w; written by r alone */
};
#define FR_BOARD_ACK_STRIDE 64
#define FR_BOARD_HEAD_BYTES 8
#define FR_BOARD_N_CLASSES  3
struct fr_board {
	int n_ranks;
	struct fr_board_class classes[FR_BOARD_N_CLASSES];
};

/* What a transport holds of its hardware, for one communicator. */
struct fr_transport_report {
	uint64_t n_qps, n_mrs;     /* queue pairs, registrations */
	uint64_t registered_bytes; /* counted once, however many devices know them */
	char devices[128];         /* "mlx5_0:1, mlx5_1:1" */
};

struct fr_transport_ops {
	const char *name;
	const char *summary;  /* one line for ferrule info */
	size_t board_bytes;   /* the largest publication its board can carry; 0: it has no board */
	bool only_when_named; /* not even looked at unless a list of transports names it */
	/* How long a wait spins and yields before it naps; 0: the default of some milliseconds.
	 * Short where a nap ends with what it waits for, and where a spinning rank takes the
	 * processor from whoever brings that. */
	uint64_t nap_after_ns;
	/* usable - can this transport work in this process at all?  Writes the reason when not. */
	bool (*usable)(char *why, size_t why_bytes);
	/* reaches - optional (NULL: any two).  Can it join two ranks, knowing only whether they
	 * share a host? */
	bool (*reaches)(bool same_host);
	/* descriptors - optional (NULL: it is not known).  About how many it needs to join so many
	 * peers. */
	size_t (*descriptors)(size_t n_peers);
	/* open - creates the local part; no peer is contacted.  Frees all on failure. */
	ferrule_status_t (*open)(const struct fr_transport_params *params,
	                         struct fr_transport **out, char *why, size_t why_bytes);
	/*
	 * address - at most FR_ADDRESS_BYTES that peers need to connect; the communicator
	 * carries them to every rank.  Returns the bytes written.
	 */
	size_t (*address)(struct fr_transport *t, void *buf);
	/*
	 * connect - collective over the ranks with wanted[r]; makes an endpoint to each, or an
	 * error whose text names the ranks that are missing.  addresses[r] are FR_ADDRESS_BYTES
	 * each.  Blocks, at most until the deadline (fr_clock_ns()) or the supervisor's failure.
	 */
	ferrule_status_t (*connect)(struct fr_transport *t, const bool *wanted,
	                            const unsigned char *addresses, uint64_t deadline_ns, char *why,
	                            size_t why_bytes);
	/*
	 * prove - optional (NULL: a peer that is connected is reached).  Makes sure that data gets
	 * through to the connected peers with wanted[r]; the other ends do the same.  Blocks, at
	 * most until the deadline.  OK; FERRULE_ERR_FABRIC when it does not, with the first such
	 * peer in *failed_out and the reason in `why`; or another fault of an endpoint, likewise.
	 */
	ferrule_status_t (*prove)(struct fr_transport *t, const bool *wanted, uint64_t deadline_ns,
	                          int *failed_out, char *why, size_t why_bytes);
	/* ep - the endpoint to a rank that was wanted. */
	struct fr_ep *(*ep)(struct fr_transport *t, int peer);
	/* board - optional (NULL: none).  The board, or NULL. */
	struct fr_board *(*board)(struct fr_transport *t);
	/* announce - what this rank is doing now, for peers that wonder.  Cheap: a store. */
	void (*announce)(struct fr_transport *t, const struct fr_call *call);
	/* wait - optional.  What this rank waits for now, at every slow look, before check(). */
	void (*wait)(struct fr_transport *t, const struct fr_wait *wait);
	/*
	 * nap - sleep until something may have happened or `ns` passed.  Used only after long
	 * spinning.  Spurious returns are fine.
	 */
	void (*nap)(struct fr_transport *t, uint64_t ns);
	/* abort - tell every connected peer, once, without blocking, that this communicator is
	 * dead and why; their check() then returns FERRULE_ERR_ABORTED with that text. */
	void (*abort)(struct fr_transport *t, const char *reason);
	/* mem_alloc, mem_free - optional, both or neither (NULL: not supported).  Memory that peers
	 * of this transport can access in place; page aligned, zeroed, backed.
	 * FERRULE_ERR_UNSUPPORTED where there is none for this communicator. */
	ferrule_status_t (*mem_alloc)(struct fr_transport *t, size_t bytes, void **out);
	ferrule_status_t (*mem_free)(struct fr_transport *t, void *ptr);
	/*
	 * mem_register - optional (NULL: nothing to do).  The caller's memory is going to be sent
	 * from and received into; where the hardware has to know of it, make it known.  May
	 * block.  The same block again counts up.  FERRULE_ERR_ARGUMENT for a block that overlaps
	 * another, FERRULE_ERR_UNSUPPORTED for a kind of memory the hardware cannot reach,
	 * FERRULE_ERR_NO_MEMORY for a limit; all with the reason in `why`.
	 */
	ferrule_status_t (*mem_register)(struct fr_transport *t, const struct fr_mem_block *block,
	                                 char *why, size_t why_bytes);
	/* mem_deregister - counts down; with the last one the hardware forgets it.  No message may
	 * be using it.  close forgets what is left.  Not NULL where mem_register is not. */
	ferrule_status_t (*mem_deregister)(struct fr_transport *t, const void *base, char *why,
	                                   size_t why_bytes);
	/* memory_bytes - memory held for this communicator, the user's mem_alloc excluded. */
	uint64_t (*memory_bytes)(struct fr_transport *t);
	/* report - optional (NULL: it holds no hardware).  What of the hardware it holds now. */
	void (*report)(struct fr_transport *t, struct fr_transport_report *out);
	/* path - optional.  The way to a connected peer in words, for people. */
	void (*path)(struct fr_transport *t, int peer, char *text, size_t bytes);
	/* close - says goodbye (peers see PEER_LEFT, not PEER_DIED), frees everything. */
	void (*close)(struct fr_transport *t);
};

/* Each transport embeds this as its first member. */
struct fr_transport {
	const struct fr_transport_ops *ops;
	struct fr_supervisor *supervisor; /* as opened with; NULL once the communicator stands */
};

#define FR_ADDRESS_BYTES 256

/* Every transport built in, in order of preference; NULL ends it. */
extern const struct fr_transport_ops *const fr_transports[];
/* fr_transport_find - by name; NULL when there is none. */
const struct fr_transport_ops *fr_transport_find(const char *name);

/* The optional operation of that name, or what its absence means. */
bool fr_transport_reaches(const struct fr_transport_ops *ops, bool same_host);
struct fr_board *fr_transport_board(struct fr_transport *t);
ferrule_status_t fr_transport_mem_alloc(struct fr_transport *t, size_t bytes, void **out);

#endif

/*
 * link.h - one authenticated TCP connection to each peer, beside the one that carries data.
 *
 * A transport whose data path cannot tell that a peer died (RDMA: the passive side sees
 * nothing at all) keeps a link to each peer for as long as it lives.  The link says who lives,
 * who left and why somebody gave up, and carries short notes: what two ends must tell each
 * other to make and to mend their data path.
 *
 * Three things tell that a peer is gone.  Its process, where that can be watched (process.h): on
 * the same host, and in time also when the peer has forked, whose child holds the connection open.
 * The end of the connection without a goodbye.  And silence, when its kernel acknowledges nothing
 * any more.  The kernels ask each other once a second (keepalive probes), and fr_link_look() has
 * ours ask more often once a second has gone without an answer.  So some lost packets mean
 * nothing, and neither does a peer that is stopped or busy, as its kernel answers.  Heartbeats of
 * our own would add nothing to that but bytes that a peer which computes does not read.  What none
 * of them tells is the end of a peer on another host whose child holds the connection, made by a
 * bare clone() that runs no handlers: its neighbours see that, and abort, but one without
 * neighbours is missed until the deadline.
 *
 * A hub makes all links of one transport: it listens, connects, proves the job key (auth.h)
 * and, for a transport that wants them, makes further connections ("lanes") to the same peer
 * in the same way.  TCP's data lanes are such lanes; the others ask for none.
 *
 * Nothing here blocks but fr_link_hub_join().  All functions are called by the one thread that
 * holds the communicator.
 */
#ifndef FR_LINK_H
#define FR_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ferrule/status.h>
#include "lib/base/call.h"
#include "lib/base/process.h"

struct fr_transport_params;

/* ---- the hub ---- */

#define FR_LINK_LANES_MAX 16
/* What a hub publishes for its peers; a transport puts it at the front of its address. */
#define FR_LINK_ADDRESS_BYTES 192

struct fr_link_hub;

/* fr_link_hub_open - finds places to listen on (FERRULE_SOCKET_IFNAME, _FAMILY) and listens.
 * `context` (at most 15 characters) keeps the transports' handshakes apart. */
ferrule_status_t fr_link_hub_open(const struct fr_transport_params *params, const char *context,
                                  unsigned n_lanes, struct fr_link_hub **out, char *why,
                                  size_t why_bytes);
/* fr_link_hub_address - writes FR_LINK_ADDRESS_BYTES. */
void fr_link_hub_address(const struct fr_link_hub *hub, void *buf);

/* The sockets to one peer: [0] the link's, [1..] lanes; -1 where not made. */
struct fr_link_sockets {
	unsigned n_lanes; /* lanes both sides agreed on */
	bool is_wanted;
	int fd[1 + FR_LINK_LANES_MAX];
	char where[56];               /* the peer's end, as text */
	struct fr_process_id process; /* of the peer */
};

/*
 * fr_link_hub_join - makes the sockets to all wanted ranks, or an error whose text names who is
 * missing.  Blocks until the deadline at most.  `addresses` holds one hub address each
 * `stride` bytes.  On failure all sockets are closed.
 */
ferrule_status_t fr_link_hub_join(struct fr_link_hub *hub, const bool *wanted,
                                  const unsigned char *addresses, size_t stride,
                                  uint64_t deadline_ns, struct fr_link_sockets *sockets, char *why,
                                  size_t why_bytes);
/* fr_link_hub_close - stops listening and frees the hub; the sockets it made stay. */
void fr_link_hub_close(struct fr_link_hub *hub);

/* ---- a link ---- */

/* A note's payload and its kind, which the transport chooses (0 to 255). */
#define FR_LINK_NOTE_BYTES 1024
struct fr_link_note {
	unsigned kind;
	unsigned bytes;
	unsigned char data[FR_LINK_NOTE_BYTES];
};

/* What this rank announced last, shared by all links of a transport. */
struct fr_link_status {
	struct fr_call call;
	uint64_t epoch;      /* how often it announced */
	uint64_t seen_epoch; /* and since when a check has seen it wait in that */
	uint64_t waiting_since;
	struct fr_wait wait; /* what it told of its waiting last */
};

#define FR_LINK_IN_BYTES  2304
#define FR_LINK_OUT_BYTES 4608

/* Embedded in an endpoint; no memory of its own. */
struct fr_link {
	int fd;
	int peer;
	char *why; /* the endpoint's text, */
	size_t why_bytes;
	ferrule_status_t fault; /* and its fault: FERRULE_OK, or what every call returns */
	bool has_left;          /* the peer said GOODBYE */
	bool has_last_call;
	struct fr_call last_call; /* what the peer was last known to be doing */
	struct fr_wait last_wait; /* what it told of its waiting; beat 0: nothing yet */
	bool is_asked;            /* the peer wants to know what we wait for */
	/* The calls it refused last, by fr_refusal_place(); count 0: none. */
	struct fr_refusal last_refusal[FR_REFUSAL_PLACES];
	uint64_t lost_at;          /* when the data path was first seen to be gone; 0: never */
	struct fr_process process; /* the peer's */
	uint64_t ended_at;         /* when that was first seen to have ended; 0: never */
	uint64_t silence_ns;       /* the longest silence that is borne; 0: any */
	uint64_t asked_at;         /* when we last looked how long it is silent, */
	unsigned n_asked;          /* and how often we have asked in vain */
	uint64_t status_at, status_epoch;
	unsigned in_bytes, out_bytes;
	unsigned char in[FR_LINK_IN_BYTES], out[FR_LINK_OUT_BYTES];
	char name[80]; /* "rank 3 (127.0.0.1:4242)" */
};

/* fr_link_init - takes fd over. */
void fr_link_init(struct fr_link *l, int fd, int peer, const char *where, char *why,
                  size_t why_bytes);
/* fr_link_watch - from now on fr_link_look() tells of the end of that process, if it is on this
 * host, and of a silence of more than `silence_s` seconds. */
void fr_link_watch(struct fr_link *l, const struct fr_process_id *process, double silence_s);
/* fr_link_fault - makes this the fault unless there is one already; returns the one there is. */
ferrule_status_t fr_link_fault(struct fr_link *l, ferrule_status_t status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * fr_link_poll - sends what is queued and reads what has arrived.  OK, or the fault:
 * FERRULE_ERR_PEER_DIED (closed without goodbye), FERRULE_ERR_ABORTED with the peer's reason,
 * FERRULE_ERR_PROTOCOL.  Stops in front of a note: take it, then poll again.  Who sleeps waits
 * for POLLIN on `fd` unless has_left, and for POLLOUT while out_bytes is not 0.
 */
ferrule_status_t fr_link_poll(struct fr_link *l);
/* fr_link_take_note - the note that poll stopped at; false when there is none. */
bool fr_link_take_note(struct fr_link *l, struct fr_link_note *out);
/* fr_link_send_note - queues and sends; false when the socket and the queue are full. */
bool fr_link_send_note(struct fr_link *l, unsigned kind, const void *data, unsigned bytes);
/*
 * fr_link_lost - the data path broke with `err` (0: ended).  Asks the link for the reason: the
 * fault, or OK while it may still be on its way; a second later it is PEER_DIED.
 */
ferrule_status_t fr_link_lost(struct fr_link *l, int err);
/*
 * fr_link_look - for an endpoint's check(), after what the link brought has been taken: does the
 * peer live?  OK, or PEER_DIED.  A peer whose process has ended is dead a moment later, when its
 * last words would have come.
 */
ferrule_status_t fr_link_look(struct fr_link *l);
/* fr_link_is_gone - has the peer's process ended so long ago that nothing is under way any more? */
bool fr_link_is_gone(struct fr_link *l);
/* fr_link_tell_status - for an endpoint's check(): tells the peer what we have been waiting in,
 * once an announcement and not before a while, or as soon as it has asked. */
void fr_link_tell_status(struct fr_link *l, struct fr_link_status *status);
void fr_link_announce(struct fr_link_status *status, const struct fr_call *call);
/* fr_link_peer_call, _ask - for the endpoint's functions of these names. */
bool fr_link_peer_call(const struct fr_link *l, struct fr_call *call_out);
bool fr_link_peer_wait(const struct fr_link *l, struct fr_wait *wait_out);
void fr_link_ask(struct fr_link *l);
/* fr_link_refuse, fr_link_peer_refusal - likewise. */
void fr_link_refuse(struct fr_link *l, const struct fr_refusal *refusal);
bool fr_link_peer_refusal(const struct fr_link *l, int place, struct fr_refusal *refusal_out);
/* fr_link_abort, fr_link_goodbye - last words, without blocking. */
void fr_link_abort(struct fr_link *l, const char *reason);
void fr_link_goodbye(struct fr_link *l);
/* fr_link_send - send(2) that does not block, again when a signal comes between: what is said once,
 * a greeting or last words, must not be lost to one. */
ssize_t fr_link_send(int fd, const void *bytes, size_t n);
/* fr_link_close - closes without a reset that could overtake what the peer has to read. */
void fr_link_close(struct fr_link *l);

#endif

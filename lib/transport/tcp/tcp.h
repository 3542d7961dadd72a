/*
 * tcp.h - what the files of the TCP transport share.
 *
 * Design
 *   A pair of ranks has one link and n_lanes data connections, the lanes of its hub (link.h),
 *   which makes and proves them all.  A data lane carries messages only: a 64-byte head, then the
 *   payload, so the first byte of a message costs one send on one side and one recv on the
 *   other.  A message of FR_TCP_STRIPE_BYTES or more goes over all lanes in chunks, chunk c on
 *   lane c modulo n_lanes; the rest uses the first lane.
 *
 *   Each lane has a receive buffer.  Heads and small payloads are read into it, as much as
 *   there is in one go; a large payload with a destination is read straight into that.
 *
 *   Whether a peer lives, left or gave up is told by its link alone.  A data lane that ends or
 *   breaks asks there for the reason.
 */
#ifndef FR_TCP_H
#define FR_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/transport/link/link.h"
#include "lib/transport/tcp/tcp_wire.h"
#include "lib/transport/transport.h"

struct pollfd;

/* A lane's receive buffer: small enough to stay in the second-level cache. */
#define FR_TCP_BUFFER_BYTES (128 * 1024)
/* The payload that is copied behind its head, so that one plain send() takes both. */
#define FR_TCP_INLINE_BYTES 512
/* From here on a payload is read into its destination, not through the lane's buffer. */
#define FR_TCP_DIRECT_BYTES 8192
/* The send buffer between ranks of a host, which the kernel doubles: what is under way stays in
 * the caches, and large messages pass in two thirds of the time that the kernel's own choice
 * takes.  Between hosts its own choice grows with the distance, and stays. */
#define FR_TCP_LOCAL_SNDBUF (256 * 1024)
/* The most one call moves: both directions of an endpoint should take turns. */
#define FR_TCP_SLICE_BYTES (512 * 1024)

/* The wire image of a head with room for a small payload behind it. */
struct fr_tcp_out {
	struct fr_tcp_head head;
	unsigned char payload[FR_TCP_INLINE_BYTES];
};

struct fr_tcp_lane {
	int fd;
	bool wants_read, wants_write; /* what nap() should wait for */

	/* Outgoing: the next byte of the message for this lane, and where its chunk ends. */
	uint64_t send_pos, send_end;
	uint32_t head_left; /* bytes of out.head still to send in front of the payload */
	struct fr_tcp_out out;

	/* Incoming: likewise; has_head: the head of the chunk at recv_pos was read. */
	uint64_t recv_pos, recv_end;
	bool has_head;
	uint32_t first, last; /* buffer[first, last) is read from the socket and unused */
	unsigned char *buffer;
};

/* One direction's message under way. */
struct fr_tcp_flow {
	uint64_t bytes, moved, chunk;
	uint32_t number;       /* the first message is 0 */
	unsigned n_lanes;      /* lanes this message uses */
	unsigned char *memory; /* as in struct fr_message */
};

struct fr_tcp_ep {
	struct fr_ep base;
	unsigned n_lanes;
	struct fr_tcp_lane *lanes;
	struct fr_tcp_flow out, in;
	uint64_t sent_bytes; /* payload bytes ever moved out */
	size_t early; /* bytes of the first lane that came with the head and lie in in.memory */
	struct fr_link link;
};

struct fr_tcp {
	struct fr_transport base;
	int rank, n_ranks;
	const int *host_of;
	struct fr_link_hub *hub; /* until it is connected */
	struct fr_tcp_ep **eps;  /* [n_ranks], NULL where none */
	struct pollfd *naps;     /* room for every socket and process, for nap() */
	uint64_t memory_bytes;
	bool is_aborted;
	struct fr_link_status status;
};

static inline struct fr_tcp *fr_tcp_of(struct fr_transport *t)
{
	return (struct fr_tcp *)t;
}

static inline struct fr_tcp_ep *fr_tcp_ep_of(struct fr_ep *ep)
{
	return (struct fr_tcp_ep *)ep;
}

#endif

/*
 * verbs_wire.h - everything that the verbs transport puts on a wire, and its parsers.
 *
 * Two wires: notes over the authenticated link (offer, ready, proved), and what RDMA writes
 * into a peer's memory (heads of messages, grants) with the 32 bits of immediate data that
 * announce it.  Parsers believe nothing and read only the bytes they were given.  Host byte
 * order; the link's handshake makes sure that both have the same.
 */
#ifndef FR_VERBS_WIRE_H
#define FR_VERBS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/base/call.h"
#include "lib/transport/verbs/verbs_cm.h"
#include "lib/transport/verbs/verbs_device.h"

#define FR_VERBS_MAGIC     0x46565232u /* "2RVF" */
#define FR_VERBS_QPS_MAX   8           /* a rail and peer */
#define FR_VERBS_OFFERED   6           /* GIDs of a port that are offered */
#define FR_VERBS_SLOTS_MAX 32
#define FR_VERBS_GRANTS    32 /* FR_POSTS_MAX */

/* ---- immediate data: sequence << 8 | what ---- */

enum fr_verbs_what {
	FR_VERBS_DATA = 0,   /* a piece of a message, in a slot, */
	FR_VERBS_FIRST = 1,  /* its first, with the whole head in front, */
	FR_VERBS_PLACED = 2, /* or, with or without FIRST, written where the receiver had granted
	                      * that very message, so that no head has to say what it is */
	FR_VERBS_CREDIT = 8, /* sequence: pieces that the receiver is done with */
	FR_VERBS_GRANT = 9,  /* an entry of the grant ring was written; sequence: its number */
	FR_VERBS_GRANTS_ON = 10, /* from large message `sequence` on there will be grants */
	FR_VERBS_PROBE = 11,     /* the path works */
};
#define FR_VERBS_SEQ_BITS 24
#define FR_VERBS_SEQ_MASK 0xffffffu

static inline uint32_t fr_verbs_imm(uint32_t sequence, unsigned what)
{
	return sequence << 8 | what;
}

/* The whole number nearest to `near` whose low 24 bits these are. */
static inline uint32_t fr_verbs_expand(uint32_t imm, uint32_t near)
{
	const uint32_t distance = ((imm >> 8) - near) & FR_VERBS_SEQ_MASK;

	return near + (distance < 1u << 23 ? distance : distance - (1u << 24));
}

/* ---- in a slot ---- */

/*
 * The head ends where the payload begins, so that a later piece carries the last two members
 * alone and one write takes head and payload.
 *
 *   byte 0          32        40        44       48
 *   +---------------+---------+---------+--------+------------
 *   | call          | bytes   | number  | credit | payload ...
 *   +---------------+---------+---------+--------+------------
 *
 *   bytes   of the whole message
 *   number  of the message in its direction, from 0, modulo 2^32
 *   credit  pieces of the other direction that the sender of this head is done with
 */
struct fr_verbs_head {
	struct fr_call call;
	uint64_t bytes;
	uint32_t number;
	uint32_t credit;
};
_Static_assert(sizeof(struct fr_verbs_head) == 48, "a head is 48 bytes on the wire");
#define FR_VERBS_LATER_HEAD_BYTES 8
/* From the start of a slot to its payload. */
#define FR_VERBS_PAYLOAD_AT 64

/* Where a large message may be written; an entry of the ring in the sender's memory. */
struct fr_verbs_grant {
	uint64_t address; /* 0: nowhere, send it through slots */
	uint64_t bytes;
	uint32_t number; /* large messages are numbered by themselves, from 0 */
	uint32_t signature;
	uint32_t rkey[FR_VERBS_RAILS_MAX];
	uint32_t zero[6];
};
_Static_assert(sizeof(struct fr_verbs_grant) == 64, "a grant is 64 bytes on the wire");

/* ---- notes ---- */

enum fr_verbs_note { FR_VERBS_OFFER = 1, FR_VERBS_READY, FR_VERBS_PROVED };

struct fr_verbs_offer_rail {
	uint8_t n_qps; /* 0: this rail is not there */
	uint8_t is_ethernet, mtu_code, n_gids;
	uint16_t lid, zero;
	uint32_t gbps_x10;
	uint32_t inbox_rkey;
	uint32_t ece_vendor, ece_options;
	struct fr_verbs_cm_address cm_address; /* with FERRULE_IB_CONNECT=cm */
	uint32_t qp_num[FR_VERBS_QPS_MAX], psn[FR_VERBS_QPS_MAX];
	struct fr_gid gids[FR_VERBS_OFFERED];
};

/* One end as it is in a generation: its queue pairs, its memory, and what has arrived. */
struct fr_verbs_offer {
	uint32_t magic;
	uint32_t generation; /* counts connections of this pair, from 1 */
	uint32_t n_slots, slot_bytes;
	uint64_t zero_copy;
	uint64_t inbox;       /* n_slots slots, then the grant ring */
	uint32_t next;        /* the piece this end waits for, */
	uint32_t arrived;     /* and which of those behind it (bit 0: itself) are here */
	uint32_t grants_from; /* UINT32_MAX: no grants */
	uint8_t tries[FR_VERBS_RAILS_MAX]; /* pairs of GIDs that failed so far */
	struct fr_verbs_offer_rail rails[FR_VERBS_RAILS_MAX];
};
_Static_assert(sizeof(struct fr_verbs_offer) <= 1024, "an offer fits a note");

/* READY: the queue pairs of this generation can receive.  PROVED: writes came through. */
struct fr_verbs_state_note {
	uint32_t magic;
	uint32_t generation;
	uint32_t rails; /* PROVED: one bit each */
};

/* fr_verbs_offer_parse - checks every member and copies it out; ERR_PROTOCOL and what is wrong. */
ferrule_status_t fr_verbs_offer_parse(const void *wire, unsigned bytes, struct fr_verbs_offer *out,
                                      const char **why);
ferrule_status_t fr_verbs_state_parse(const void *wire, unsigned bytes,
                                      struct fr_verbs_state_note *out, const char **why);

#endif

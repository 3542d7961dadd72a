/*
 * link_wire.h - every byte that a link puts on a wire, and its parsers.
 *
 * The parsers are pure functions of memory: they believe nothing, read only the bytes they
 * were given, and are what the fuzzer drives.  Numbers are in host byte order; a peer of the
 * other order fails the magic.
 */
#ifndef FR_LINK_WIRE_H
#define FR_LINK_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/base/auth.h"
#include "lib/base/call.h"
#include "lib/base/process.h"
#include "lib/transport/link/link.h"

#define FR_LINK_MAGIC   0x4c525246u /* "FRRL" where it is written by a little-endian rank */
#define FR_LINK_VERSION 5

/* Longest text of an ABORT frame. */
#define FR_LINK_REASON_BYTES 448

/* 1 and 2 are the frames of TCP's data lanes, which must never be taken for one of these. */
enum fr_link_kind {
	FR_LINK_STATUS = 3, /* `call` is what the sender announced last, a struct fr_wait follows */
	FR_LINK_GOODBYE,    /* the sender leaves in good order */
	FR_LINK_ABORT,      /* the communicator is dead; `bytes` of reason follow */
	FR_LINK_NOTE,       /* `bytes` follow that only the transport understands */
	FR_LINK_ASK,        /* a STATUS is wanted now, if the receiver waits */
	FR_LINK_REFUSAL,    /* the sender refused a call; a struct fr_refusal follows */
};

/*
 * The head of every frame, 64 bytes.
 *
 *   byte 0        4         5      6      8        12       16
 *   +--------+---------+------+------+--------+--------+
 *   | magic  | version | kind | zero | check  | note   |
 *   +--------+---------+------+------+--------+--------+
 *   | bytes                   | zeros                  | 32
 *   +-------------------------+------------------------+
 *   | call (struct fr_call)                            | 64
 *   +--------------------------------------------------+
 *
 *   check   fr_link_head_check() of the other 60 bytes: finds streams out of step
 *   note    NOTE: its kind, 0 to 255; else 0
 *   bytes   STATUS: sizeof(struct fr_wait); REFUSAL: sizeof(struct fr_refusal); ABORT: of the
 *           reason; NOTE: of the payload; else 0
 *   call    STATUS: the operation; else zero
 */
struct fr_link_head {
	uint32_t magic;
	uint8_t version;
	uint8_t kind;
	uint16_t zero;
	uint32_t check;
	uint32_t note;
	uint64_t bytes;
	uint64_t zeros;
	struct fr_call call;
};
_Static_assert(sizeof(struct fr_link_head) == 64, "frame heads are 64 bytes on the wire");
/* A note at the front of the buffer always has room to become whole. */
_Static_assert(sizeof(struct fr_link_head) + FR_LINK_NOTE_BYTES <= FR_LINK_IN_BYTES,
               "the longest frame fits the buffer it is read into");

/* fr_link_hash - 32 bits over the eight words of a head, whose check the caller left out. */
uint32_t fr_link_hash(const uint64_t word[8]);
/* fr_link_head_check - 32 bits over all members but `check`. */
uint32_t fr_link_head_check(const struct fr_link_head *head);
/* fr_link_head_seal - fills magic, version, zero and check. */
void fr_link_head_seal(struct fr_link_head *head);

/* One frame; `body` points into the parsed bytes: an ABORT's reason, without a NUL at its end, a
 * STATUS' struct fr_wait or a REFUSAL's struct fr_refusal, not aligned, or a NOTE's payload. */
struct fr_link_frame {
	enum fr_link_kind kind;
	unsigned note;
	struct fr_call call;
	const unsigned char *body;
	size_t body_bytes;
};
/*
 * fr_link_frame_parse - the first frame of `have` bytes.  OK and *used_out bytes are done with;
 * INPROGRESS: more bytes are needed; ERR_PROTOCOL and what is wrong.
 */
ferrule_status_t fr_link_frame_parse(const void *wire, size_t have, struct fr_link_frame *out,
                                     size_t *used_out, const char **why);

/*
 * The handshake of one connection; nothing else is believed before it is done.
 *
 *   connecting side              accepting side
 *   HELLO nonce, statement  -->
 *                           <--  HELLO nonce, statement (only to who named this communicator)
 *   PROOF                   -->
 *                           <--  PROOF (only to who proved the key)
 */
struct fr_link_statement {
	uint64_t comm_id;
	uint32_t rank;    /* who speaks */
	uint32_t peer;    /* to whom */
	uint32_t lane;    /* 0: the link; 1..n_lanes: data */
	uint32_t n_lanes; /* data lanes of this pair */
	uint64_t zero;
};
_Static_assert(sizeof(struct fr_link_statement) == FR_AUTH_STATEMENT_BYTES, "fits auth.h");

struct fr_link_hello {
	uint32_t magic;
	uint16_t version;
	uint16_t role; /* enum fr_auth_role of the sender */
	unsigned char nonce[FR_AUTH_NONCE_BYTES];
	struct fr_link_statement statement;
};
_Static_assert(sizeof(struct fr_link_hello) == 72, "no padding on the wire");

/* fr_link_hello_parse - is this a hello of the given role?  Copies it out. */
ferrule_status_t fr_link_hello_parse(const void *wire, enum fr_auth_role role,
                                     struct fr_link_hello *out);

/* Where a rank listens: what a hub publishes. */
#define FR_LINK_PLACES_MAX 8
struct fr_link_place {
	uint8_t family; /* 4 or 6 */
	uint8_t zero;
	uint16_t port;
	unsigned char addr[16]; /* network order; IPv4 in the first four */
};
struct fr_link_address {
	uint32_t magic;
	uint8_t version;
	uint8_t n_places;
	uint8_t n_lanes; /* data lanes this rank would like; a pair uses the smaller wish */
	uint8_t zero;
	struct fr_link_place places[FR_LINK_PLACES_MAX];
	struct fr_process_id process; /* of this rank, for peers that can watch it */
};
_Static_assert(sizeof(struct fr_link_address) == FR_LINK_ADDRESS_BYTES, "as link.h promises");

/* fr_link_address_parse - checks every member and copies it out, or ERR_PROTOCOL. */
ferrule_status_t fr_link_address_parse(const void *wire, struct fr_link_address *out);

#endif

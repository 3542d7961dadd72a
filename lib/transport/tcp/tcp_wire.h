/*
 * tcp_wire.h - every byte that the TCP transport puts on a wire, and its parsers.
 *
 * The parsers are pure functions of memory: they believe nothing, read only the bytes they
 * were given, and are what the fuzzer drives.  Numbers are in host byte order; a peer of the
 * other order fails the magic.
 *
 * Between two ranks there is one control connection (lane 0 of the handshake) and one or
 * more data lanes.  Control frames have a connection of their own so that the reason of an
 * abort is never stuck behind data that nobody reads.
 */
#ifndef FR_TCP_WIRE_H
#define FR_TCP_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/base/auth.h"
#include "lib/base/call.h"

#define FR_TCP_MAGIC   0x4c525246u /* "FRRL" where it is written by a little-endian rank */
#define FR_TCP_VERSION 1

/* Longest text of an ABORT frame. */
#define FR_TCP_REASON_BYTES 192

enum fr_tcp_kind {
	FR_TCP_MESSAGE = 1, /* data: a message begins; its first chunk follows */
	FR_TCP_CHUNK,       /* data: a later chunk of a striped message follows */
	FR_TCP_STATUS,      /* control: `call` is what the sender has been waiting in */
	FR_TCP_GOODBYE,     /* control: the sender leaves in good order */
	FR_TCP_ABORT,       /* control: the communicator is dead; `bytes` of reason follow */
};

/*
 * The head of every frame, 64 bytes so that the payload behind it is aligned as the buffer
 * it was read into.
 *
 *   byte 0        4         5      6      8        12       16
 *   +--------+---------+------+------+--------+--------+
 *   | magic  | version | kind | zero | check  | number |
 *   +--------+---------+------+------+--------+--------+
 *   | bytes                   | offset                 | 32
 *   +-------------------------+------------------------+
 *   | call (struct fr_call)                            | 64
 *   +--------------------------------------------------+
 *
 *   check   fr_tcp_head_check() of the other 60 bytes: finds streams out of step
 *   number  of the message in its direction of the endpoint, from 0, modulo 2^32
 *   bytes   MESSAGE, CHUNK: payload of the whole message; ABORT: of the reason; else 0
 *   offset  CHUNK: where its payload belongs in the message; else 0
 *   call    MESSAGE, CHUNK, STATUS: the operation; else zero
 *
 * How much payload follows a data head is no field: both sides derive it from the length of
 * the message and the number of lanes, see fr_tcp_chunk_bytes().
 */
struct fr_tcp_head {
	uint32_t magic;
	uint8_t version;
	uint8_t kind;
	uint16_t zero;
	uint32_t check;
	uint32_t number;
	uint64_t bytes;
	uint64_t offset;
	struct fr_call call;
};
_Static_assert(sizeof(struct fr_tcp_head) == 64, "frame heads are 64 bytes on the wire");

/* fr_tcp_head_check - 32 bits over all members but `check`. */
uint32_t fr_tcp_head_check(const struct fr_tcp_head *head);
/* fr_tcp_head_seal - fills magic, version, zero and check. */
void fr_tcp_head_seal(struct fr_tcp_head *head);
/* fr_tcp_data_parse - 64 bytes of a data lane.  OK, or ERR_PROTOCOL and what is wrong. */
ferrule_status_t fr_tcp_data_parse(const void *wire, struct fr_tcp_head *out, const char **why);

/* One control frame; `reason` points into the parsed bytes and has no NUL at its end. */
struct fr_tcp_notice {
	enum fr_tcp_kind kind;
	struct fr_call call;
	const char *reason;
	size_t reason_bytes;
};
/*
 * fr_tcp_control_parse - the first frame of `have` control bytes.  OK and *used_out bytes are
 * done with; INPROGRESS: more bytes are needed; ERR_PROTOCOL and what is wrong.
 */
ferrule_status_t fr_tcp_control_parse(const void *wire, size_t have, struct fr_tcp_notice *out,
                                      size_t *used_out, const char **why);

/* A message of at least this many bytes is striped when there are several data lanes. */
#define FR_TCP_STRIPE_BYTES (256 * 1024)
/* Chunk c of a striped message travels on lane c modulo their number. */
#define FR_TCP_CHUNK_BYTES (128 * 1024)

/* fr_tcp_chunk_bytes - length of every chunk of a message but the last. */
static inline uint64_t fr_tcp_chunk_bytes(uint64_t message_bytes, unsigned n_lanes)
{
	return n_lanes == 1 || message_bytes < FR_TCP_STRIPE_BYTES ? message_bytes
	                                                           : FR_TCP_CHUNK_BYTES;
}

/*
 * The handshake of one connection; nothing else is believed before it is done.
 *
 *   connecting side              accepting side
 *   HELLO nonce, statement  -->
 *                           <--  HELLO nonce, statement (only to who named this communicator)
 *   PROOF                   -->
 *                           <--  PROOF (only to who proved the key)
 */
struct fr_tcp_statement {
	uint64_t comm_id;
	uint32_t rank;    /* who speaks */
	uint32_t peer;    /* to whom */
	uint32_t lane;    /* 0: control; 1..n_lanes: data */
	uint32_t n_lanes; /* data lanes of this pair */
	uint64_t zero;
};
_Static_assert(sizeof(struct fr_tcp_statement) == FR_AUTH_STATEMENT_BYTES, "fits auth.h");

struct fr_tcp_hello {
	uint32_t magic;
	uint16_t version;
	uint16_t role; /* enum fr_auth_role of the sender */
	unsigned char nonce[FR_AUTH_NONCE_BYTES];
	struct fr_tcp_statement statement;
};
_Static_assert(sizeof(struct fr_tcp_hello) == 72, "no padding on the wire");

/* fr_tcp_hello_parse - is this a hello of the given role?  Copies it out. */
ferrule_status_t fr_tcp_hello_parse(const void *wire, enum fr_auth_role role,
                                    struct fr_tcp_hello *out);

/* Where a rank listens: what `address` publishes. */
#define FR_TCP_PLACES_MAX 8
struct fr_tcp_place {
	uint8_t family; /* 4 or 6 */
	uint8_t zero;
	uint16_t port;
	unsigned char addr[16]; /* network order; IPv4 in the first four */
};
struct fr_tcp_address {
	uint32_t magic;
	uint8_t version;
	uint8_t n_places;
	uint8_t n_lanes; /* data lanes this rank would like; a pair uses the smaller wish */
	uint8_t zero;
	struct fr_tcp_place places[FR_TCP_PLACES_MAX];
};
_Static_assert(sizeof(struct fr_tcp_address) <= 256, "fits FR_ADDRESS_BYTES");
#define FR_TCP_LANES_MAX 16

/* fr_tcp_address_parse - checks every member and copies it out, or ERR_PROTOCOL. */
ferrule_status_t fr_tcp_address_parse(const void *wire, struct fr_tcp_address *out);

#endif

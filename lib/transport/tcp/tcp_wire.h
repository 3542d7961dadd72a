/*
 * tcp_wire.h - every byte that the TCP transport puts on its data lanes, and their parser.
 *
 * The parser is a pure function of memory: it believes nothing, reads only the bytes it was
 * given, and is what the fuzzer drives.  Numbers are in host byte order; a peer of the other
 * order fails the magic.
 *
 * What is not a message goes over the link, a connection of its own, so that the reason of an
 * abort is never stuck behind data that nobody reads.
 */
#ifndef FR_TCP_WIRE_H
#define FR_TCP_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/base/call.h"

#define FR_TCP_MAGIC   0x4c525246u /* "FRRL" where it is written by a little-endian rank */
#define FR_TCP_VERSION 1

enum fr_tcp_kind {
	FR_TCP_MESSAGE = 1, /* a message begins; its first chunk follows */
	FR_TCP_CHUNK,       /* a later chunk of a striped message follows */
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
 *   bytes   payload of the whole message
 *   offset  CHUNK: where its payload belongs in the message; else 0
 *   call    the operation
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

#endif

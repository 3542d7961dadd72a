/*
 * ucx_wire.h - every byte that the UCX transport sends, and its parsers.
 *
 * The parsers are pure functions of memory: they believe nothing and read only the bytes they
 * were given.  Numbers are in host byte order; a peer of the other order fails the magic.
 *
 * Over UCX go active messages, each a head and, in a piece, payload behind it.  Over the link go
 * notes: the worker's address before there is any connection, and how much was sent before
 * leaving.
 */
#ifndef FR_UCX_WIRE_H
#define FR_UCX_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/base/call.h"

#define FR_UCX_MAGIC   0x55435846u
#define FR_UCX_VERSION 1

/* Payload of the largest piece that is copied on its way.  UCX cuts it into fragments of some
 * 8 KiB, which over sockets takes half the time that pieces of one fragment each take. */
#define FR_UCX_EAGER_BYTES (64 * 1024)
/* Payload of the largest piece that UCX moves by rendezvous, out of the sender's memory. */
#define FR_UCX_BULK_BYTES (128 * 1024)

enum fr_ucx_kind {
	FR_UCX_HELLO = 1, /* while connecting, FR_UCX_HELLOS of them, by `number` */
	FR_UCX_CREDIT,    /* nothing but `consumed` */
	FR_UCX_PIECE,     /* some bytes of a message follow */
};

/*
 * The head of every active message, 80 bytes.
 *
 *   byte 0        4         5      6        8                        16
 *   +--------+---------+------+--------+------------------------+
 *   | magic  | version | kind | zero   | token                  |
 *   +--------+---------+------+--------+------------------------+
 *   | rank   | consumed | piece         | number                 | 32
 *   +--------+----------+---------------+------------------------+
 *   | bytes                             | offset                 | 48
 *   +-----------------------------------+------------------------+
 *   | call (struct fr_call)                                      | 80
 *   +------------------------------------------------------------+
 *
 *   token     what the receiver told this sender over their link: UCX itself proves nothing
 *   rank      of the sender
 *   consumed  pieces of the other direction that the sender has consumed, modulo 2^32
 *   piece     PIECE: its number in its direction, from 0, modulo 2^32
 *   number    PIECE: of its message, from 0, modulo 2^32; HELLO: the first is 0
 *   bytes     PIECE: of the whole message
 *   offset    PIECE: where its payload belongs in the message
 *   call      PIECE: the operation
 */
struct fr_ucx_head {
	uint32_t magic;
	uint8_t version;
	uint8_t kind;
	uint16_t zero;
	uint64_t token;
	uint32_t rank;
	uint32_t consumed;
	uint32_t piece;
	uint32_t number;
	uint64_t bytes;
	uint64_t offset;
	struct fr_call call;
};
_Static_assert(sizeof(struct fr_ucx_head) == 80, "no padding on the wire");

/* Each side says hello so often, the next time when the other's last one is here, with the payload
 * of a largest piece that is copied: then nothing of UCX's own handshake is under way any more,
 * and what it does at the first message of a kind, which may take both sides, is done. */
#define FR_UCX_HELLOS 3

/* fr_ucx_head_parse - a head of head_bytes with `payload` bytes behind it.  OK, or ERR_PROTOCOL
 * and what is wrong. */
ferrule_status_t fr_ucx_head_parse(const void *wire, size_t head_bytes, size_t payload,
                                   struct fr_ucx_head *out, const char **why);

/* Kinds of notes. */
enum fr_ucx_note {
	FR_UCX_ADDRESS = 1, /* struct fr_ucx_part, then some bytes of the worker's address */
	FR_UCX_LEAVING,     /* struct fr_ucx_leaving */
};

/* An address longer than this is none of UCX's. */
#define FR_UCX_ADDRESS_MAX (256 * 1024)
struct fr_ucx_part {
	uint64_t token; /* what the peer must put into its heads */
	uint32_t total; /* bytes of the whole address */
	uint32_t at;    /* where these belong */
};
struct fr_ucx_leaving {
	uint32_t pieces; /* all that were ever sent, modulo 2^32 */
};

/* fr_ucx_part_parse - `bytes` of a note, of which the address' own begin at *data_out.  The
 * parts of an address come in order: `have` bytes of it are here. */
ferrule_status_t fr_ucx_part_parse(const void *note, size_t bytes, uint32_t have,
                                   struct fr_ucx_part *out, const unsigned char **data_out,
                                   size_t *data_bytes_out);

#endif

/*
 * verbs_cm_wire.h - the private data of a connection request and of its reply.
 *
 * The connection manager has room for 56 bytes, all of which are used:
 *
 *   byte 0   4      8    12           16       20     21         22         23     24
 *   +-------+------+----+------------+--------+------+----------+----------+------+-------+
 *   | magic | from | to | generation | qp_num | rail | qp_index | mtu_code | kind | proof |
 *   +-------+------+----+------------+--------+------+----------+----------+------+-------+
 *
 *   from, to  ranks;  qp_num: the sender's queue pair;  kind: enum fr_cm_kind;  proof: 32 bytes
 *
 * The proof is auth.h's: over everything before it, the communicator's id, which does not travel,
 * and in a reply the request's proof.  A recorded request is worth nothing: the receiver takes one
 * request a generation and queue pair, and expects the number of the sender's queue pair.  Numbers
 * are in host order; the link's handshake has made sure that both ends have the same.
 */
#ifndef FR_VERBS_CM_WIRE_H
#define FR_VERBS_CM_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/auth.h"

#define FR_CM_MAGIC 0x316d6366u /* "fcm1": the digit is the version */

enum fr_cm_kind { FR_CM_REQUEST = 1, FR_CM_REPLY = 2 };

struct fr_cm_hello {
	uint32_t magic, from, to, generation, qp_num;
	uint8_t rail, qp_index;
	uint8_t mtu_code; /* the sender's limit, enum ibv_mtu */
	uint8_t kind;
	unsigned char proof[FR_AUTH_PROOF_BYTES];
};
_Static_assert(sizeof(struct fr_cm_hello) == 56, "a hello fills the private data");

/* What is proven beside the hello itself. */
struct fr_cm_secret {
	unsigned char key[FR_AUTH_KEY_BYTES];
	uint64_t comm_id;
};

/* fr_cm_seal - fills in magic, kind and proof.  `request` is the hello that is replied
 * to; NULL makes a request. */
void fr_cm_seal(const struct fr_cm_secret *secret, const struct fr_cm_hello *request,
                struct fr_cm_hello *hello);
/* fr_cm_open - checks and copies private data that came from anybody.  NULL, or what is wrong
 * with it. */
const char *fr_cm_open(const struct fr_cm_secret *secret, const struct fr_cm_hello *request,
                       const void *wire, size_t bytes, struct fr_cm_hello *out);

#endif

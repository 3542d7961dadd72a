/*
 * boot_wire.h - the bytes of the rendezvous between rank 0 and the others.
 *
 * All integers are little endian.  Every frame begins with this head:
 *
 *    0               4       5               8               12             16
 *   +---------------+-------+---------------+---------------+---------------+
 *   | "FRBT"        | kind  | zero          | round         | length        |
 *   +---------------+-------+---------------+---------------+---------------+
 *
 *   client                     rank 0
 *   HELLO     nonce, statement -->         who wants in
 *             <-- CHALLENGE nonce, statement
 *   PROOF     proof            -->         the client holds the key
 *             <-- PROOF   proof            so does rank 0; or REJECT: a wrong proof
 *             <-- WELCOME communicator     all ranks have arrived
 *   DATA      block            -->         round k of the allgather
 *             <-- DATA    all blocks
 *   GIVE_UP                    -->         this client's deadline is near: who is missing?
 *             <-- FAIL    status, text     the boot has failed, at any time after PROOF
 *   FAIL      status, text     -->         this client cannot go on, at any time after WELCOME;
 *                                          rank 0 answers with what all are told
 *
 * HELLO, CHALLENGE, PROOF and REJECT are the same in every protocol version: the version is
 * in the proven statements, so that two versions can tell each other apart and say so.
 */
#ifndef FR_BOOT_WIRE_H
#define FR_BOOT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/comm.h>
#include "lib/base/auth.h"

#define FR_BOOT_VERSION   2
#define FR_BOOT_MAX_RANKS 4096

enum fr_boot_kind {
	FR_BOOT_HELLO = 1,
	FR_BOOT_CHALLENGE,
	FR_BOOT_PROOF,
	FR_BOOT_REJECT,
	FR_BOOT_WELCOME,
	FR_BOOT_DATA,
	FR_BOOT_GIVE_UP,
	FR_BOOT_FAIL,
};

/* The head as it travels. */
struct fr_boot_head_wire {
	unsigned char magic[4];
	unsigned char kind;
	unsigned char zero[3];
	unsigned char round[4];  /* DATA and GIVE_UP: from 1, 0 while ranks arrive; else 0 */
	unsigned char length[4]; /* bytes that follow the head */
};
_Static_assert(sizeof(struct fr_boot_head_wire) == 16, "a head has no padding");
#define FR_BOOT_HEAD_BYTES 16

/* What HELLO and CHALLENGE carry. */
struct fr_boot_hello_wire {
	unsigned char nonce[FR_AUTH_NONCE_BYTES];
	unsigned char statement[FR_AUTH_STATEMENT_BYTES];
};
_Static_assert(sizeof(struct fr_boot_hello_wire) == 64, "a hello has no padding");

/*
 * A statement: what one end claims, and proves with the key.
 *
 *    0         4         8         12        16                              32
 *   +---------+---------+---------+---------+-------------------------------+
 *   | version | rank    | n_ranks | order   | zero                          |
 *   +---------+---------+---------+---------+-------------------------------+
 */
struct fr_boot_statement_wire {
	unsigned char version[4];
	unsigned char rank[4];
	unsigned char n_ranks[4];
	unsigned char order[4]; /* 0x01020304 in the host's own byte order */
	unsigned char zero[16];
};
_Static_assert(sizeof(struct fr_boot_statement_wire) == FR_AUTH_STATEMENT_BYTES,
               "a statement fills what auth.h has for it");

/*
 * WELCOME's payload.
 *
 *    0          8                       72
 *   +----------+------------------------+
 *   | comm_id  | host, NUL padded       |
 *   +----------+------------------------+
 *
 * The host is one numeric address of rank 0, the same for all ranks: loopback only when
 * nobody came from another host.
 */
#define FR_BOOT_HOST_BYTES 64
struct fr_boot_welcome_wire {
	unsigned char comm_id[8];
	char host[FR_BOOT_HOST_BYTES];
};
_Static_assert(sizeof(struct fr_boot_welcome_wire) == 72, "a welcome has no padding");

/* FAIL's payload: a status (two's complement) and text up to the frame's end, without NUL. */
#define FR_BOOT_FAIL_MAX_TEXT  600
#define FR_BOOT_FAIL_MAX_BYTES (4 + FR_BOOT_FAIL_MAX_TEXT)

/* A decoded head. */
struct fr_boot_head {
	enum fr_boot_kind kind;
	uint32_t round;
	uint32_t length;
};

/* A decoded statement. */
struct fr_boot_statement {
	uint32_t version;
	uint32_t rank;
	uint32_t n_ranks;
	bool same_byte_order;
};

/* The decoders check everything that can be checked without knowing what is expected next;
 * they write their output on success only. */
void fr_boot_put_head(const struct fr_boot_head *head, unsigned char out[FR_BOOT_HEAD_BYTES]);
bool fr_boot_get_head(const unsigned char in[FR_BOOT_HEAD_BYTES], struct fr_boot_head *out);

/* fr_boot_put_statement - `same_byte_order` is not looked at: it is this host's order. */
void fr_boot_put_statement(const struct fr_boot_statement *s,
                           unsigned char out[FR_AUTH_STATEMENT_BYTES]);
bool fr_boot_get_statement(const unsigned char in[FR_AUTH_STATEMENT_BYTES],
                           struct fr_boot_statement *out);

/* fr_boot_put_fail - payload of FAIL; returns its bytes. */
size_t fr_boot_put_fail(ferrule_status_t status, const char *text,
                        unsigned char out[FR_BOOT_FAIL_MAX_BYTES]);
/* fr_boot_get_fail - false when the status is no error.  Unprintable bytes become '?'. */
bool fr_boot_get_fail(const unsigned char *in, size_t bytes, ferrule_status_t *status_out,
                      char text_out[FR_BOOT_FAIL_MAX_TEXT + 1]);

/*
 * A unique id:
 *
 *    0        4         6      8        16         48       49        50
 *   +--------+---------+------+--------+----------+--------+---------+-------------------+
 *   | "FRID" | version | port | network| secret   | n_addr | zero    | n_addr times 17   |
 *   +--------+---------+------+--------+----------+--------+---------+-------------------+
 *
 * An address is one byte 4 or 6 and sixteen bytes in network order (IPv4 uses the first four).
 */
#define FR_BOOT_ID_MAX_ADDRS 4
struct fr_boot_id_addr {
	unsigned char family; /* 4 or 6 */
	unsigned char bytes[16];
};
struct fr_boot_id_wire {
	unsigned char magic[4];
	unsigned char version[2];
	unsigned char port[2];
	unsigned char network[8]; /* fr_network_id() of rank 0, to try loopback first */
	unsigned char secret[FR_AUTH_KEY_BYTES];
	unsigned char n_addrs;
	unsigned char zero;
	struct fr_boot_id_addr addrs[FR_BOOT_ID_MAX_ADDRS];
};
_Static_assert(sizeof(struct fr_boot_id_wire) == 50 + 17 * FR_BOOT_ID_MAX_ADDRS,
               "an id has no padding");
_Static_assert(sizeof(struct fr_boot_id_wire) <= FERRULE_UNIQUE_ID_BYTES, "an id fits");

/* A decoded unique id. */
struct fr_boot_id {
	uint16_t port;
	uint64_t network;
	unsigned char secret[FR_AUTH_KEY_BYTES];
	int n_addrs;
	struct fr_boot_id_addr addrs[FR_BOOT_ID_MAX_ADDRS];
};

void fr_boot_put_id(const struct fr_boot_id *id, ferrule_unique_id_t *out);
bool fr_boot_get_id(const ferrule_unique_id_t *in, struct fr_boot_id *out);

#endif

/*
 * auth.h - proving the job key.
 *
 * Both ends of a connection prove that they hold the job's 32-byte key, by a mutual
 * challenge and response (HMAC-SHA-512-256, libsodium's crypto_auth) that binds the two
 * nonces, the roles, a context word and both ends' statements (who they say they are).  A
 * recorded exchange cannot be replayed and a reflection fails.
 *
 * Nothing here does I/O: callers move the fixed-size messages, so that it works inside any
 * connection state machine.
 */
#ifndef FR_AUTH_H
#define FR_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FR_AUTH_KEY_BYTES       32
#define FR_AUTH_NONCE_BYTES     32
#define FR_AUTH_PROOF_BYTES     32
#define FR_AUTH_STATEMENT_BYTES 32

enum fr_auth_role { FR_AUTH_CLIENT, FR_AUTH_SERVER };

/* One side's knowledge of one exchange. */
struct fr_auth {
	enum fr_auth_role role;
	unsigned char key[FR_AUTH_KEY_BYTES];
	char context[16];                                    /* "boot", "tcp", ...; NUL padded */
	unsigned char nonce[2][FR_AUTH_NONCE_BYTES];         /* by role */
	unsigned char statement[2][FR_AUTH_STATEMENT_BYTES]; /* by role; caller's meaning */
};

/* fr_auth_init - draws this side's nonce.  `statement` is what this side claims (its rank,
 * communicator, ...), FR_AUTH_STATEMENT_BYTES of the caller's own encoding. */
void fr_auth_init(struct fr_auth *a, enum fr_auth_role role,
                  const unsigned char key[FR_AUTH_KEY_BYTES], const char *context,
                  const unsigned char statement[FR_AUTH_STATEMENT_BYTES]);
/* fr_auth_peer - takes the other side's nonce and statement. */
void fr_auth_peer(struct fr_auth *a, const unsigned char nonce[FR_AUTH_NONCE_BYTES],
                  const unsigned char statement[FR_AUTH_STATEMENT_BYTES]);
/* fr_auth_prove - this side's proof; after fr_auth_peer(). */
void fr_auth_prove(const struct fr_auth *a, unsigned char proof_out[FR_AUTH_PROOF_BYTES]);
/* fr_auth_verify - does the other side's proof hold?  Constant time. */
bool fr_auth_verify(const struct fr_auth *a, const unsigned char proof[FR_AUTH_PROOF_BYTES]);
/* fr_auth_derive - a key from public text; only as secret as the text is. */
void fr_auth_derive(const char *text, unsigned char key_out[FR_AUTH_KEY_BYTES]);
/* fr_random - `bytes` of cryptographic randomness. */
void fr_random(void *buf, unsigned bytes);
/* fr_wipe - overwrites a secret that is no longer needed; never optimised away. */
void fr_wipe(void *buf, size_t bytes);

#endif

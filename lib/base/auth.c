#include "config.h"

#include "lib/base/auth.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

_Static_assert(FR_AUTH_KEY_BYTES == crypto_auth_KEYBYTES, "the job key is a crypto_auth key");
_Static_assert(FR_AUTH_PROOF_BYTES == crypto_auth_BYTES, "a proof is a crypto_auth tag");

/*
 * What a proof is computed over.  All members have fixed sizes, so no two different
 * exchanges give the same bytes.
 */
struct transcript {
	char protocol[16];
	char context[16];
	unsigned char prover; /* enum fr_auth_role: a proof sent back to its maker is worthless */
	unsigned char nonce[2][FR_AUTH_NONCE_BYTES];
	unsigned char statement[2][FR_AUTH_STATEMENT_BYTES];
};
_Static_assert(sizeof(struct transcript) == 33 + 128, "a transcript has no padding");

static void start_sodium(void)
{
	/* Cheap and thread-safe when it has been called before.  Its one failure, a mutex that
	 * cannot be locked, leaves libsodium working with its portable code. */
	const int already = sodium_init();

	(void)already;
}

void fr_random(void *buf, unsigned bytes)
{
	start_sodium();
	randombytes_buf(buf, bytes);
}

void fr_auth_init(struct fr_auth *a, enum fr_auth_role role,
                  const unsigned char key[FR_AUTH_KEY_BYTES], const char *context,
                  const unsigned char statement[FR_AUTH_STATEMENT_BYTES])
{
	assert(strlen(context) < sizeof(a->context));
	memset(a, 0, sizeof(*a));
	a->role = role;
	memcpy(a->key, key, sizeof(a->key));
	memcpy(a->context, context, strlen(context));
	memcpy(a->statement[role], statement, FR_AUTH_STATEMENT_BYTES);
	fr_random(a->nonce[role], FR_AUTH_NONCE_BYTES);
}

void fr_auth_peer(struct fr_auth *a, const unsigned char nonce[FR_AUTH_NONCE_BYTES],
                  const unsigned char statement[FR_AUTH_STATEMENT_BYTES])
{
	const int peer = a->role == FR_AUTH_CLIENT ? FR_AUTH_SERVER : FR_AUTH_CLIENT;

	memcpy(a->nonce[peer], nonce, FR_AUTH_NONCE_BYTES);
	memcpy(a->statement[peer], statement, FR_AUTH_STATEMENT_BYTES);
}

static void fill_transcript(const struct fr_auth *a, enum fr_auth_role prover, struct transcript *t)
{
	memset(t, 0, sizeof(*t));
	memcpy(t->protocol, "ferrule-auth-1", sizeof("ferrule-auth-1"));
	memcpy(t->context, a->context, sizeof(t->context));
	t->prover = (unsigned char)prover;
	memcpy(t->nonce, a->nonce, sizeof(t->nonce));
	memcpy(t->statement, a->statement, sizeof(t->statement));
}

void fr_auth_prove(const struct fr_auth *a, unsigned char proof_out[FR_AUTH_PROOF_BYTES])
{
	struct transcript t;

	fill_transcript(a, a->role, &t);
	crypto_auth(proof_out, (const unsigned char *)&t, sizeof(t), a->key);
}

bool fr_auth_verify(const struct fr_auth *a, const unsigned char proof[FR_AUTH_PROOF_BYTES])
{
	const enum fr_auth_role peer = a->role == FR_AUTH_CLIENT ? FR_AUTH_SERVER : FR_AUTH_CLIENT;
	struct transcript t;

	fill_transcript(a, peer, &t);
	return crypto_auth_verify(proof, (const unsigned char *)&t, sizeof(t), a->key) == 0;
}

void fr_auth_derive(const char *text, unsigned char key_out[FR_AUTH_KEY_BYTES])
{
	start_sodium();
	crypto_generichash(key_out, FR_AUTH_KEY_BYTES, (const unsigned char *)text, strlen(text),
	                   NULL, 0);
}

void fr_wipe(void *buf, size_t bytes)
{
	sodium_memzero(buf, bytes);
}

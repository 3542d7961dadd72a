/* Only who holds the key, in this exchange, as who it says it is, is believed. */
#include "config.h"

#include "lib/base/auth.h"

#include <string.h>

#include "tests/support/t_main.h"

struct pair {
	struct fr_auth client, server;
};

/* Both ends after they have exchanged nonces and statements. */
static void meet(struct pair *p, const unsigned char *client_key, const unsigned char *server_key)
{
	unsigned char who[2][FR_AUTH_STATEMENT_BYTES];

	memset(who[FR_AUTH_CLIENT], 'c', FR_AUTH_STATEMENT_BYTES);
	memset(who[FR_AUTH_SERVER], 's', FR_AUTH_STATEMENT_BYTES);
	fr_auth_init(&p->client, FR_AUTH_CLIENT, client_key, "test", who[FR_AUTH_CLIENT]);
	fr_auth_init(&p->server, FR_AUTH_SERVER, server_key, "test", who[FR_AUTH_SERVER]);
	fr_auth_peer(&p->server, p->client.nonce[FR_AUTH_CLIENT], who[FR_AUTH_CLIENT]);
	fr_auth_peer(&p->client, p->server.nonce[FR_AUTH_SERVER], who[FR_AUTH_SERVER]);
}

static void fill_key(unsigned char key[FR_AUTH_KEY_BYTES], int seed)
{
	for (int i = 0; i < FR_AUTH_KEY_BYTES; i++)
		key[i] = (unsigned char)(seed + i);
}

static bool client_convinces(const struct pair *p)
{
	unsigned char proof[FR_AUTH_PROOF_BYTES];

	fr_auth_prove(&p->client, proof);
	return fr_auth_verify(&p->server, proof);
}

static bool server_convinces(const struct pair *p)
{
	unsigned char proof[FR_AUTH_PROOF_BYTES];

	fr_auth_prove(&p->server, proof);
	return fr_auth_verify(&p->client, proof);
}

static void test_holders_of_one_key_convince_each_other(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES];
	struct pair p;

	fill_key(key, 1);
	meet(&p, key, key);
	CU_ASSERT_TRUE(client_convinces(&p));
	CU_ASSERT_TRUE(server_convinces(&p));
}

static void test_another_key_convinces_nobody(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES], other[FR_AUTH_KEY_BYTES];
	struct pair p;

	fill_key(key, 1);
	for (int bit = 0; bit < 8 * FR_AUTH_KEY_BYTES; bit += 37) {
		fill_key(other, 1);
		other[bit / 8] ^= (unsigned char)(1 << bit % 8);
		meet(&p, key, other);
		CU_ASSERT_FALSE(client_convinces(&p));
		CU_ASSERT_FALSE(server_convinces(&p));
	}
}

static void test_every_tampered_byte_is_noticed(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES];
	/* What a man in the middle can change of one end's view: everything but its key. */
	const size_t first = offsetof(struct fr_auth, context);
	struct pair p;

	fill_key(key, 1);
	for (size_t at = first; at < sizeof(struct fr_auth); at++) {
		meet(&p, key, key);
		((unsigned char *)&p.client)[at] ^= 0x40;
		CU_ASSERT_FALSE(client_convinces(&p));
		CU_ASSERT_FALSE(server_convinces(&p));
	}
}

static void test_every_tampered_bit_of_a_proof_is_noticed(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES], proof[FR_AUTH_PROOF_BYTES];
	struct pair p;

	fill_key(key, 1);
	meet(&p, key, key);
	for (int bit = 0; bit < 8 * FR_AUTH_PROOF_BYTES; bit++) {
		fr_auth_prove(&p.client, proof);
		proof[bit / 8] ^= (unsigned char)(1 << bit % 8);
		CU_ASSERT_FALSE(fr_auth_verify(&p.server, proof));
	}
	memset(proof, 0, sizeof(proof));
	CU_ASSERT_FALSE(fr_auth_verify(&p.server, proof));
}

static void test_a_reflected_proof_convinces_nobody(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES], proof[FR_AUTH_PROOF_BYTES];
	struct fr_auth mirrored;
	struct pair p;

	fill_key(key, 1);
	meet(&p, key, key);
	fr_auth_prove(&p.server, proof);
	CU_ASSERT_FALSE(fr_auth_verify(&p.server, proof));
	/* A server that is fed its own nonce and statement, as if it talked to itself. */
	mirrored = p.server;
	fr_auth_peer(&mirrored, p.server.nonce[FR_AUTH_SERVER], p.server.statement[FR_AUTH_SERVER]);
	fr_auth_prove(&mirrored, proof);
	CU_ASSERT_FALSE(fr_auth_verify(&mirrored, proof));
}

static void test_a_replayed_proof_convinces_nobody(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES], recorded[FR_AUTH_PROOF_BYTES];
	struct pair p, later;

	fill_key(key, 1);
	meet(&p, key, key);
	fr_auth_prove(&p.client, recorded);
	/* The attacker repeats the client's side word for word; the server's nonce is new. */
	meet(&later, key, key);
	fr_auth_peer(&later.server, p.client.nonce[FR_AUTH_CLIENT],
	             p.client.statement[FR_AUTH_CLIENT]);
	CU_ASSERT_FALSE(fr_auth_verify(&later.server, recorded));
}

static void test_nonces_and_random_bytes_do_not_repeat(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES], a[16] = {0}, b[16] = {0};
	struct pair p, q;

	fill_key(key, 1);
	meet(&p, key, key);
	meet(&q, key, key);
	CU_ASSERT_NOT_EQUAL(memcmp(p.client.nonce[0], q.client.nonce[0], FR_AUTH_NONCE_BYTES), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(p.client.nonce[0], p.client.nonce[1], FR_AUTH_NONCE_BYTES), 0);
	fr_random(a, sizeof(a));
	fr_random(b, sizeof(b));
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
}

static void test_derived_keys_follow_the_text(void)
{
	unsigned char a[FR_AUTH_KEY_BYTES], b[FR_AUTH_KEY_BYTES], zero[FR_AUTH_KEY_BYTES] = {0};

	fr_auth_derive("host 29500", a);
	fr_auth_derive("host 29500", b);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	fr_auth_derive("host 29501", b);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	fr_wipe(a, sizeof(a));
	CU_ASSERT_EQUAL(memcmp(a, zero, sizeof(a)), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"holders of one key convince each other",
	         test_holders_of_one_key_convince_each_other},
		{"another key convinces nobody", test_another_key_convinces_nobody},
		{"every tampered byte is noticed", test_every_tampered_byte_is_noticed},
		{"every tampered bit of a proof is noticed",
	         test_every_tampered_bit_of_a_proof_is_noticed},
		{"a reflected proof convinces nobody", test_a_reflected_proof_convinces_nobody},
		{"a replayed proof convinces nobody", test_a_replayed_proof_convinces_nobody},
		{"nonces and random bytes do not repeat",
	         test_nonces_and_random_bytes_do_not_repeat},
		{"derived keys follow the text", test_derived_keys_follow_the_text},
		{NULL, NULL},
	};

	return t_main("auth", cases);
}

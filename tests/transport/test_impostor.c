/*
 * One rank does not hold the job key and goes through the handshake all the same: whatever the
 * other end proves, it is content.  The honest end must not be, whichever of the two it is.
 */
#include "config.h"

#include "lib/base/auth.h"
#include "tests/support/t_main.h"
#include "tests/transport/t_world.h"

#define CONNECT_S 1.0

static bool is_impostor;
static int impostor;

/* Takes the place of fr_auth_verify() for all of this program (see Makefile.inc). */
bool __real_fr_auth_verify(const struct fr_auth *a, const unsigned char proof[FR_AUTH_PROOF_BYTES]);
bool __wrap_fr_auth_verify(const struct fr_auth *a, const unsigned char proof[FR_AUTH_PROOF_BYTES]);
bool __wrap_fr_auth_verify(const struct fr_auth *a, const unsigned char proof[FR_AUTH_PROOF_BYTES])
{
	return is_impostor || __real_fr_auth_verify(a, proof);
}

static int rank_beside_an_impostor(struct t_rank *r)
{
	is_impostor = r->rank == impostor;
	if (is_impostor)
		r->key[0] ^= 1;
	T_CHECK(t_rank_listen(r) == FERRULE_OK);
	const ferrule_status_t status = t_rank_connect(r, NULL, CONNECT_S);
	/* What the impostor believes is its own affair. */
	T_CHECK(is_impostor || status == FERRULE_ERR_AUTH || status == FERRULE_ERR_TIMEOUT);
	T_CHECK(t_rank_barrier(r));
	return 0;
}

/* Without an impostor the same ranks do meet. */
static int rank_among_friends(struct t_rank *r)
{
	T_CHECK(t_rank_open(r, 8) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	return 0;
}

static void try_all(const char *name)
{
	const struct t_subject subject = {.ops = fr_transport_find(name)};

	CU_ASSERT_EQUAL(t_world_run(&subject, 2, 20, rank_among_friends, NULL), 0);
	for (impostor = 0; impostor < 2; impostor++)
		CU_ASSERT_EQUAL(t_world_run(&subject, 2, 20, rank_beside_an_impostor, NULL), 0);
}

static void test_shared_memory(void)
{
	try_all("shm");
}

static void test_tcp(void)
{
	try_all("tcp");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"an impostor is not met in shared memory", test_shared_memory},
		{"an impostor is not met over TCP", test_tcp},
		{NULL, NULL},
	};

	return t_main("transport/impostor", cases);
}

/*
 * perf_key.h - both sides of a measurement prove that they belong together.
 *
 * Before anything else on the control connection:
 *
 *   client: magic statement nonce        server: magic statement nonce
 *   client: proof                        server: proof
 *
 * The statement says which kind of key a side has.  Sides that have been given a key want it from
 * the other; without one, processes of one user on one host share a key file
 * (lib/base/key_file.h); from another host anybody is let in, with a warning, unless
 * FERRULE_REQUIRE_KEY forbids it.
 */
#ifndef FR_PERF_KEY_H
#define FR_PERF_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/base/auth.h"

enum fr_perf_key_kind {
	FR_PERF_KEY_NONE,  /* from another host: nothing is proved */
	FR_PERF_KEY_FILE,  /* of this user, on this host */
	FR_PERF_KEY_GIVEN, /* FERRULE_JOB_KEY */
};

struct fr_perf_key {
	enum fr_perf_key_kind kind;
	unsigned char bytes[FR_AUTH_KEY_BYTES];
};

struct fr_perf_hello {
	char magic[8];
	unsigned char statement[FR_AUTH_STATEMENT_BYTES];
	unsigned char nonce[FR_AUTH_NONCE_BYTES];
};
_Static_assert(sizeof(struct fr_perf_hello) == 72, "a hello has no holes");

/* fr_perf_key_given - the key of the settings, if there is one. */
bool fr_perf_key_given(struct fr_perf_key *key);
/* fr_perf_key_purpose - what both sides call the key file of a server at this port. */
void fr_perf_key_purpose(unsigned port, char *buf, size_t bytes);
/* fr_perf_key_is_local - does the connection stay on this host?  *port_out: the server's. */
bool fr_perf_key_is_local(int fd, bool is_server, unsigned *port_out);

/* fr_perf_key_begin - this side's hello. */
void fr_perf_key_begin(struct fr_auth *auth, enum fr_auth_role role, const struct fr_perf_key *key,
                       struct fr_perf_hello *out);
/* fr_perf_key_take - the other side's hello: its kind, or -1 when it is none. */
int fr_perf_key_take(struct fr_auth *auth, const struct fr_perf_hello *theirs);
/* fr_perf_key_differ - the error of a client at `peer` whose key is of another kind. */
ferrule_status_t fr_perf_key_differ(const char *peer, enum fr_perf_key_kind mine,
                                    enum fr_perf_key_kind theirs);
/* fr_perf_key_warn - says what it means when nothing was proved. */
void fr_perf_key_warn(const struct fr_perf_key *key, const char *peer);

#endif

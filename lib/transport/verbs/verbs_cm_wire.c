#include "config.h"

#include "lib/transport/verbs/verbs_cm_wire.h"

#include <stdbool.h>
#include <string.h>

/* auth.h's exchange has room for two nonces and statements; ours puts the hello and, of a reply,
 * the request's proof in the places of the nonces. */
static void transcribe(const struct fr_cm_secret *secret, enum fr_auth_role role,
                       const struct fr_cm_hello *request, const struct fr_cm_hello *hello,
                       struct fr_auth *out)
{
	unsigned char statement[FR_AUTH_STATEMENT_BYTES] = {0};
	const enum fr_auth_role maker =
		hello->kind == FR_CM_REQUEST ? FR_AUTH_CLIENT : FR_AUTH_SERVER;
	const enum fr_auth_role other = maker == FR_AUTH_CLIENT ? FR_AUTH_SERVER : FR_AUTH_CLIENT;

	memcpy(statement, &secret->comm_id, sizeof(secret->comm_id));
	fr_auth_init(out, role, secret->key, "verbs-cm", statement);
	memcpy(out->statement[other], statement, sizeof(statement));
	memcpy(out->statement[maker], statement, sizeof(statement));
	memset(out->nonce, 0, sizeof(out->nonce));
	memcpy(out->nonce[maker], hello, offsetof(struct fr_cm_hello, proof));
	if (request)
		memcpy(out->nonce[other], request->proof, sizeof(request->proof));
}

void fr_cm_seal(const struct fr_cm_secret *secret, const struct fr_cm_hello *request,
                struct fr_cm_hello *hello)
{
	struct fr_auth auth;

	hello->magic = FR_CM_MAGIC;
	hello->kind = request ? FR_CM_REPLY : FR_CM_REQUEST;
	transcribe(secret, request ? FR_AUTH_SERVER : FR_AUTH_CLIENT, request, hello, &auth);
	fr_auth_prove(&auth, hello->proof);
	fr_wipe(&auth, sizeof(auth));
}

const char *fr_cm_open(const struct fr_cm_secret *secret, const struct fr_cm_hello *request,
                       const void *wire, size_t bytes, struct fr_cm_hello *out)
{
	struct fr_cm_hello hello;
	struct fr_auth auth;

	/* The manager pads with zeros, and some of it gives more than was sent. */
	if (bytes < sizeof(hello))
		return "too little private data";
	memcpy(&hello, wire, sizeof(hello));
	if (hello.magic != FR_CM_MAGIC)
		return "private data of another program or version";
	if (hello.kind != (request ? FR_CM_REPLY : FR_CM_REQUEST))
		return "a request in the place of a reply, or the other way round";
	transcribe(secret, request ? FR_AUTH_CLIENT : FR_AUTH_SERVER, request, &hello, &auth);
	const bool is_proven = fr_auth_verify(&auth, hello.proof);
	fr_wipe(&auth, sizeof(auth));
	if (!is_proven)
		return "no proof of the job key";
	*out = hello;
	return NULL;
}

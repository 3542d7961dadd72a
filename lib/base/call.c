#include "config.h"

#include "lib/base/call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ferrule/types.h>

#include "lib/base/text.h"

/* What call->op says where nothing is reduced. */
#define NO_OP 255

/*
 * Adds one word to a running hash.  Invertible, so calls that differ in one word keep
 * different hashes until the last fold to 32 bits.  The multiplication carries low bits up,
 * the shifts bring high bits down.
 */
static inline uint64_t mix(uint64_t h, uint64_t word)
{
	h ^= word;
	h ^= h >> 32;
	h *= 0x9fb21c651e98df25u; /* odd, about half of its bits set */
	return h ^ h >> 29;
}

uint32_t fr_call_signature(const struct fr_call *call)
{
	const bool is_pairwise = call->algo == FR_CALL_PAIRWISE;
	const uint32_t root = is_pairwise ? 0 : (uint32_t)call->root;
	const uint64_t place = (uint64_t)call->comm << 32 | root;
	const uint64_t coll = is_pairwise ? 0 : call->coll;
	const uint64_t kind =
		coll << 24 | (uint64_t)call->type << 16 | (uint64_t)call->op << 8 | call->algo;
	uint64_t h = 0x243f6a8885a308d3u; /* so that a call of zeroes does not hash to zero */

	h = mix(h, call->coll & FR_CALL_OWN ? 0 : call->count);
	h = mix(h, place);
	h = mix(h, kind);
	return (uint32_t)(mix(h, 0) >> 32) + (uint32_t)call->sequence * FR_CALL_STRIDE;
}

void fr_call_seal(struct fr_call *call)
{
	call->signature = fr_call_signature(call);
}

bool fr_wait_is_sound(const struct fr_wait *wait, int n_ranks)
{
	if (wait->n < 0 || wait->n > FR_WAITS_MAX ||
	    fr_call_signature(&wait->call) != wait->call.signature)
		return false;
	for (int i = 0; i < wait->n; i++)
		if (wait->on[i] < 0 || wait->on[i] >= n_ranks)
			return false;
	return true;
}

bool fr_refusal_is_sound(const struct fr_refusal *refusal)
{
	return refusal->count > 0 && refusal->status < 0 &&
	       memchr(refusal->text, '\0', sizeof(refusal->text)) != NULL &&
	       fr_call_signature(&refusal->call) == refusal->call.signature;
}

/* Appends to `buf` as snprintf; what does not fit is cut off. */
__attribute__((format(printf, 4, 5))) static void append(char *buf, size_t bytes, size_t *used,
                                                         const char *format, ...)
{
	va_list args;

	if (*used >= bytes)
		return;
	va_start(args, format);
	const int n = fr_vformat(buf + *used, bytes - *used, format, args);
	va_end(args);
	if (n > 0)
		*used += (size_t)n;
}

static const char *whose_count(const struct fr_call *call)
{
	if (call->coll & FR_CALL_OWN)
		return " to send";
	return call->coll & FR_CALL_VECTOR ? " in all" : "";
}

char *fr_call_text(const struct fr_call *call, const char *coll_name, char *buf, size_t bytes)
{
	size_t used = 0;

	if (bytes == 0)
		return buf;
	if (call->coll == FR_CALL_IDLE) {
		if (call->sequence == 0)
			append(buf, bytes, &used, "idle, no operation so far");
		else
			append(buf, bytes, &used, "idle after #%" PRIu64, call->sequence);
		return buf;
	}
	append(buf, bytes, &used, "%s", coll_name);
	/* Set-up is not numbered. */
	if (call->sequence > 0)
		append(buf, bytes, &used, " #%" PRIu64, call->sequence);
	if (call->type >= FERRULE_N_TYPES)
		return buf;
	append(buf, bytes, &used, " (%" PRIu64 " %s%s", call->count,
	       ferrule_type_name((ferrule_type_t)call->type), whose_count(call));
	if (call->op != NO_OP)
		append(buf, bytes, &used, ", %s", ferrule_redop_name(call->op));
	if (call->root >= 0)
		append(buf, bytes, &used, ", %s %" PRId32,
		       call->algo == FR_CALL_PAIRWISE ? "rank" : "root", call->root);
	append(buf, bytes, &used, ")");
	return buf;
}

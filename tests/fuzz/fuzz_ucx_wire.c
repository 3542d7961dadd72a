/* Feeds bytes to every parser of the UCX transport, as a peer or a stranger would. */
#include "config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/transport/ucx/ucx_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A head, and how much payload is said to follow it. */
static void feed_head(const uint8_t *data, size_t bytes, bool is_sealed)
{
	struct fr_ucx_head head, out;
	const char *why;
	uint32_t payload;
	if (bytes < sizeof(payload) + sizeof(head))
		return;
	memcpy(&payload, data, sizeof(payload));
	memcpy(&head, data + sizeof(payload), sizeof(head));
	/* Few inputs have the right first bytes by themselves. */
	if (is_sealed) {
		head.magic = FR_UCX_MAGIC;
		head.version = FR_UCX_VERSION;
		head.zero = 0;
	}
	if (fr_ucx_head_parse(&head, sizeof(head), payload, &out, &why) != FERRULE_OK)
		return;
	if (out.kind == FR_UCX_PIECE && (payload > out.bytes || out.offset > out.bytes - payload))
		abort();
}

/* A note, exactly as long as the input, in memory of its own, so that a byte too many is seen. */
static void feed_part(const uint8_t *data, size_t bytes)
{
	struct fr_ucx_part part;
	const unsigned char *address;
	size_t n;
	uint32_t have = 0;
	unsigned char *note = malloc(bytes > 0 ? bytes : 1);
	if (note == NULL)
		return;
	memcpy(note, data, bytes);
	if (bytes >= sizeof(part)) {
		memcpy(&part, note, sizeof(part));
		have = part.at;
	}
	if (fr_ucx_part_parse(note, bytes, have, &part, &address, &n) == FERRULE_OK &&
	    (n > part.total - part.at || address + n != note + bytes))
		abort();
	free(note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	feed_head(data, bytes, false);
	feed_head(data, bytes, true);
	feed_part(data, bytes);
	return 0;
}

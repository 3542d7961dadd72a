/* Feeds bytes to the parser of TCP's data lanes, as a peer would. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/transport/tcp/tcp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* The parser reads exactly so many bytes: give it no more, in memory of its own, so that a byte
 * too many is seen. */
static void *exact(const uint8_t *data, size_t have, size_t want)
{
	unsigned char *copy = calloc(1, want);
	if (copy != NULL)
		memcpy(copy, data, have < want ? have : want);
	return copy;
}

static void feed_data(const uint8_t *data, size_t bytes)
{
	struct fr_tcp_head head, *wire = exact(data, bytes, sizeof(*wire));
	const char *why;
	if (wire == NULL)
		return;
	fr_tcp_data_parse(wire, &head, &why);
	/* Few inputs have the right check by themselves. */
	fr_tcp_head_seal(wire);
	if (fr_tcp_data_parse(wire, &head, &why) == FERRULE_OK && head.offset >= head.bytes)
		abort();
	free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	feed_data(data, bytes);
	return 0;
}

/* Feeds bytes to every parser of the TCP transport, as a peer or a stranger would. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/transport/tcp/tcp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* The parsers of fixed-size messages read exactly so many bytes: give them no more, in memory
 * of its own, so that a byte too many is seen. */
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

static void feed_control(const uint8_t *data, size_t bytes)
{
	unsigned char *wire = exact(data, bytes, bytes + 1);
	struct fr_tcp_notice notice;
	const char *why;
	size_t at = 0, used;
	if (wire == NULL)
		return;
	while (at + sizeof(struct fr_tcp_head) <= bytes) {
		struct fr_tcp_head head;
		memcpy(&head, wire + at, sizeof(head));
		fr_tcp_head_seal(&head);
		memcpy(wire + at, &head, sizeof(head));
		if (fr_tcp_control_parse(wire + at, bytes - at, &notice, &used, &why) != FERRULE_OK)
			break;
		if (used > bytes - at || notice.reason_bytes > FR_TCP_REASON_BYTES)
			abort();
		at += used;
	}
	free(wire);
}

static void feed_setup(const uint8_t *data, size_t bytes)
{
	struct fr_tcp_hello hello, *wire = exact(data, bytes, sizeof(*wire));
	if (wire != NULL)
		fr_tcp_hello_parse(wire, FR_AUTH_CLIENT, &hello);
	free(wire);
	struct fr_tcp_address address, *place = exact(data, bytes, sizeof(*place));
	if (place != NULL && fr_tcp_address_parse(place, &address) == FERRULE_OK &&
	    (address.n_places > FR_TCP_PLACES_MAX || address.n_lanes > FR_TCP_LANES_MAX))
		abort();
	free(place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	feed_data(data, bytes);
	feed_control(data, bytes);
	feed_setup(data, bytes);
	return 0;
}

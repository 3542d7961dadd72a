/* Feeds bytes to every parser of the links, and to a link, as a peer or a stranger would. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/transport/link/link_wire.h"

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

static void feed_control(const uint8_t *data, size_t bytes)
{
	unsigned char *wire = exact(data, bytes, bytes + 1);
	struct fr_link_frame frame;
	const char *why;
	size_t at = 0, used;
	if (wire == NULL)
		return;
	while (at + sizeof(struct fr_link_head) <= bytes) {
		struct fr_link_head head;
		memcpy(&head, wire + at, sizeof(head));
		fr_link_head_seal(&head);
		memcpy(wire + at, &head, sizeof(head));
		if (fr_link_frame_parse(wire + at, bytes - at, &frame, &used, &why) != FERRULE_OK)
			break;
		if (used > bytes - at || frame.body_bytes > FR_LINK_NOTE_BYTES || frame.note > 255)
			abort();
		at += used;
	}
	free(wire);
}

static void feed_setup(const uint8_t *data, size_t bytes)
{
	struct fr_link_hello hello, *wire = exact(data, bytes, sizeof(*wire));
	if (wire != NULL)
		fr_link_hello_parse(wire, FR_AUTH_CLIENT, &hello);
	free(wire);
	struct fr_link_address address, *place = exact(data, bytes, sizeof(*place));
	if (place != NULL && fr_link_address_parse(place, &address) == FERRULE_OK &&
	    (address.n_places > FR_LINK_PLACES_MAX || address.n_lanes > FR_LINK_LANES_MAX))
		abort();
	free(place);
}

/* Seals what the bytes say at every place where a head begins, so that a link goes on. */
static void seal_frames(unsigned char *wire, size_t bytes)
{
	for (size_t at = 0; at + sizeof(struct fr_link_head) <= bytes;) {
		struct fr_link_head head;
		memcpy(&head, wire + at, sizeof(head));
		head.bytes %= FR_LINK_NOTE_BYTES + 8;
		fr_link_head_seal(&head);
		memcpy(wire + at, &head, sizeof(head));
		at += sizeof(head) + head.bytes;
	}
}

/* What a peer wrote before it closed, read in two parts that the first byte chooses. */
static void feed_link(const uint8_t *data, size_t bytes)
{
	int fds[2];
	char why[200] = "";
	struct fr_link link;
	struct fr_link_note note;
	unsigned char *wire = exact(data, bytes, bytes + 1);
	if (wire == NULL || bytes > 16384 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) {
		free(wire);
		return;
	}
	seal_frames(wire, bytes);
	fr_link_init(&link, fds[0], 1, "here", why, sizeof(why));
	const size_t first = bytes > 0 ? bytes * data[0] / 256 : 0;
	for (int part = 0; part < 2; part++) {
		const size_t from = part == 0 ? 0 : first, to = part == 0 ? first : bytes;
		if (write(fds[1], wire + from, to - from) != (ssize_t)(to - from))
			abort();
		if (part == 1)
			close(fds[1]);
		do {
			if (fr_link_poll(&link) != link.fault)
				abort();
		} while (fr_link_take_note(&link, &note) && note.bytes <= FR_LINK_NOTE_BYTES);
	}
	/* The end of the connection was read, so the peer has left or is at fault. */
	if (link.fault == FERRULE_OK && !link.has_left)
		abort();
	fr_link_close(&link);
	free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	feed_control(data, bytes);
	feed_link(data, bytes);
	feed_setup(data, bytes);
	return 0;
}

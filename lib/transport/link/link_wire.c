#include "config.h"

#include "lib/transport/link/link_wire.h"

#include <stdbool.h>
#include <string.h>

uint32_t fr_link_hash(const uint64_t word[8])
{
	/* A multilinear hash: the products do not wait for each other, which matters on the
	 * path of an 8-byte message. */
	static const uint64_t odd[8] = {
		0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93,
		0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3,
	};
	uint64_t sum = 0;
	for (int i = 0; i < 8; i++)
		sum += (word[i] ^ word[i] >> 29) * odd[i];
	return (uint32_t)(sum >> 32);
}

uint32_t fr_link_head_check(const struct fr_link_head *head)
{
	uint64_t word[8];
	memcpy(word, head, sizeof(word));
	/* The low half of word 1 is the check itself. */
	word[1] = head->note;
	return fr_link_hash(word);
}

void fr_link_head_seal(struct fr_link_head *head)
{
	head->magic = FR_LINK_MAGIC;
	head->version = FR_LINK_VERSION;
	head->zero = 0;
	head->check = fr_link_head_check(head);
}

static ferrule_status_t refuse(const char **why, const char *text)
{
	*why = text;
	return FERRULE_ERR_PROTOCOL;
}

/* What all frames share. */
static ferrule_status_t head_parse(const void *wire, struct fr_link_head *out, const char **why)
{
	memcpy(out, wire, sizeof(*out));
	if (out->magic != FR_LINK_MAGIC)
		return refuse(why, "a frame without the magic number");
	if (out->version != FR_LINK_VERSION)
		return refuse(why, "a frame of another protocol version");
	if (out->zero != 0 || out->check != fr_link_head_check(out))
		return refuse(why, "a frame head with a wrong check");
	return FERRULE_OK;
}

/* May so much follow a head of this kind? */
static bool body_fits(unsigned kind, uint64_t bytes)
{
	switch (kind) {
	case FR_LINK_STATUS:
		return bytes == sizeof(struct fr_wait);
	case FR_LINK_REFUSAL:
		return bytes == sizeof(struct fr_refusal);
	case FR_LINK_ABORT:
		return bytes <= FR_LINK_REASON_BYTES;
	case FR_LINK_NOTE:
		return bytes <= FR_LINK_NOTE_BYTES;
	default:
		return bytes == 0;
	}
}

ferrule_status_t fr_link_frame_parse(const void *wire, size_t have, struct fr_link_frame *out,
                                     size_t *used_out, const char **why)
{
	struct fr_link_head head;
	if (have < sizeof(head))
		return FERRULE_INPROGRESS;
	const ferrule_status_t status = head_parse(wire, &head, why);
	if (status != FERRULE_OK)
		return status;
	if (head.kind < FR_LINK_STATUS || head.kind > FR_LINK_REFUSAL)
		return refuse(why, "a frame of unknown kind on the control connection");
	if (head.zeros != 0 || !body_fits(head.kind, head.bytes))
		return refuse(why, "a control frame with an impossible length");
	if (head.note > (head.kind == FR_LINK_NOTE ? 255 : 0))
		return refuse(why, "a control frame with an impossible note kind");
	if (have - sizeof(head) < head.bytes)
		return FERRULE_INPROGRESS;
	*out = (struct fr_link_frame){
		.kind = head.kind,
		.note = head.note,
		.call = head.call,
		.body = (const unsigned char *)wire + sizeof(head),
		.body_bytes = head.bytes,
	};
	*used_out = sizeof(head) + head.bytes;
	return FERRULE_OK;
}

ferrule_status_t fr_link_hello_parse(const void *wire, enum fr_auth_role role,
                                     struct fr_link_hello *out)
{
	memcpy(out, wire, sizeof(*out));
	const bool good = out->magic == FR_LINK_MAGIC && out->version == FR_LINK_VERSION &&
	                  out->role == (uint16_t)role && out->statement.zero == 0;
	return good ? FERRULE_OK : FERRULE_ERR_PROTOCOL;
}

ferrule_status_t fr_link_address_parse(const void *wire, struct fr_link_address *out)
{
	memcpy(out, wire, sizeof(*out));
	if (out->magic != FR_LINK_MAGIC || out->version != FR_LINK_VERSION || out->zero != 0 ||
	    out->n_places == 0 || out->n_places > FR_LINK_PLACES_MAX ||
	    out->n_lanes > FR_LINK_LANES_MAX || out->process.zero != 0 ||
	    (out->process.space == 0) != (out->process.pid == 0) || out->process.pid > INT32_MAX)
		return FERRULE_ERR_PROTOCOL;
	for (int i = 0; i < out->n_places; i++) {
		const struct fr_link_place *p = &out->places[i];
		if ((p->family != 4 && p->family != 6) || p->port == 0 || p->zero != 0)
			return FERRULE_ERR_PROTOCOL;
	}
	return FERRULE_OK;
}

#include "config.h"

#include "lib/transport/tcp/tcp_wire.h"

#include <string.h>

#include "lib/transport/link/link_wire.h"

uint32_t fr_tcp_head_check(const struct fr_tcp_head *head)
{
	uint64_t word[8];
	memcpy(word, head, sizeof(word));
	/* The low half of word 1 is the check itself. */
	word[1] = head->number;
	return fr_link_hash(word);
}

void fr_tcp_head_seal(struct fr_tcp_head *head)
{
	head->magic = FR_TCP_MAGIC;
	head->version = FR_TCP_VERSION;
	head->zero = 0;
	head->check = fr_tcp_head_check(head);
}

static ferrule_status_t refuse(const char **why, const char *text)
{
	*why = text;
	return FERRULE_ERR_PROTOCOL;
}

ferrule_status_t fr_tcp_data_parse(const void *wire, struct fr_tcp_head *out, const char **why)
{
	memcpy(out, wire, sizeof(*out));
	if (out->magic != FR_TCP_MAGIC)
		return refuse(why, "a frame without the magic number");
	if (out->version != FR_TCP_VERSION)
		return refuse(why, "a frame of another protocol version");
	if (out->zero != 0 || out->check != fr_tcp_head_check(out))
		return refuse(why, "a frame head with a wrong check");
	switch (out->kind) {
	case FR_TCP_MESSAGE:
		if (out->bytes == 0 || out->bytes > INT64_MAX || out->offset != 0)
			return refuse(why, "a message head with an impossible length");
		return FERRULE_OK;
	case FR_TCP_CHUNK:
		if (out->bytes > INT64_MAX || out->offset == 0 || out->offset >= out->bytes)
			return refuse(why, "a chunk head outside its message");
		return FERRULE_OK;
	default:
		return refuse(why, "a frame of unknown kind on a data lane");
	}
}

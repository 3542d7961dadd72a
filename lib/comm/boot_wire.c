#include "config.h"

#include "lib/comm/boot_wire.h"

#include <string.h>

#include "lib/base/wire.h"

static const unsigned char frame_magic[4] = {'F', 'R', 'B', 'T'};
static const unsigned char id_magic[4] = {'F', 'R', 'I', 'D'};
static const uint32_t byte_order_mark = 0x01020304;

static bool is_zero(const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

void fr_boot_put_head(const struct fr_boot_head *head, unsigned char out[FR_BOOT_HEAD_BYTES])
{
	struct fr_boot_head_wire wire = {.kind = (unsigned char)head->kind};

	memcpy(wire.magic, frame_magic, sizeof(wire.magic));
	fr_store_le32(wire.round, head->round);
	fr_store_le32(wire.length, head->length);
	memcpy(out, &wire, sizeof(wire));
}

bool fr_boot_get_head(const unsigned char in[FR_BOOT_HEAD_BYTES], struct fr_boot_head *out)
{
	struct fr_boot_head_wire wire;

	memcpy(&wire, in, sizeof(wire));
	if (memcmp(wire.magic, frame_magic, sizeof(wire.magic)) != 0 ||
	    !is_zero(wire.zero, sizeof(wire.zero)) || wire.kind < FR_BOOT_HELLO ||
	    wire.kind > FR_BOOT_FAIL)
		return false;
	out->kind = (enum fr_boot_kind)wire.kind;
	out->round = fr_load_le32(wire.round);
	out->length = fr_load_le32(wire.length);
	return true;
}

void fr_boot_put_statement(const struct fr_boot_statement *s,
                           unsigned char out[FR_AUTH_STATEMENT_BYTES])
{
	struct fr_boot_statement_wire wire = {.zero = {0}};

	fr_store_le32(wire.version, s->version);
	fr_store_le32(wire.rank, s->rank);
	fr_store_le32(wire.n_ranks, s->n_ranks);
	memcpy(wire.order, &byte_order_mark, sizeof(wire.order));
	memcpy(out, &wire, sizeof(wire));
}

bool fr_boot_get_statement(const unsigned char in[FR_AUTH_STATEMENT_BYTES],
                           struct fr_boot_statement *out)
{
	struct fr_boot_statement_wire wire;

	memcpy(&wire, in, sizeof(wire));
	const uint32_t rank = fr_load_le32(wire.rank);
	const uint32_t n_ranks = fr_load_le32(wire.n_ranks);
	if (n_ranks < 1 || n_ranks > FR_BOOT_MAX_RANKS || rank >= n_ranks)
		return false;
	out->version = fr_load_le32(wire.version);
	out->rank = rank;
	out->n_ranks = n_ranks;
	out->same_byte_order = memcmp(wire.order, &byte_order_mark, sizeof(wire.order)) == 0;
	return true;
}

size_t fr_boot_put_fail(ferrule_status_t status, const char *text,
                        unsigned char out[FR_BOOT_FAIL_MAX_BYTES])
{
	const size_t length = strnlen(text, FR_BOOT_FAIL_MAX_TEXT);

	fr_store_le32(out, (uint32_t)status);
	memcpy(out + 4, text, length);
	return 4 + length;
}

static bool is_error(int32_t number)
{
	switch (number) {
#define ERROR_CASE(code, value, text) \
	case value:                   \
		return (value) < 0;
		FERRULE_STATUS_MAP(ERROR_CASE)
#undef ERROR_CASE
	}
	return false;
}

bool fr_boot_get_fail(const unsigned char *in, size_t bytes, ferrule_status_t *status_out,
                      char text_out[FR_BOOT_FAIL_MAX_TEXT + 1])
{
	if (bytes < 4 || bytes > FR_BOOT_FAIL_MAX_BYTES)
		return false;
	const int32_t number = (int32_t)fr_load_le32(in);
	if (!is_error(number))
		return false;
	for (size_t i = 4; i < bytes; i++)
		text_out[i - 4] = in[i] >= ' ' && in[i] <= '~' ? (char)in[i] : '?';
	text_out[bytes - 4] = '\0';
	*status_out = (ferrule_status_t)number;
	return true;
}

void fr_boot_put_id(const struct fr_boot_id *id, ferrule_unique_id_t *out)
{
	struct fr_boot_id_wire wire = {.n_addrs = (unsigned char)id->n_addrs};

	memcpy(wire.magic, id_magic, sizeof(wire.magic));
	fr_store_le16(wire.version, FR_BOOT_VERSION);
	fr_store_le16(wire.port, id->port);
	fr_store_le64(wire.network, id->network);
	memcpy(wire.secret, id->secret, sizeof(wire.secret));
	memcpy(wire.addrs, id->addrs, (size_t)id->n_addrs * sizeof(wire.addrs[0]));
	memset(out, 0, sizeof(*out));
	memcpy(out, &wire, sizeof(wire));
	fr_wipe(&wire, sizeof(wire));
}

bool fr_boot_get_id(const ferrule_unique_id_t *in, struct fr_boot_id *out)
{
	struct fr_boot_id_wire wire;

	memcpy(&wire, in, sizeof(wire));
	if (memcmp(wire.magic, id_magic, sizeof(wire.magic)) != 0 ||
	    fr_load_le16(wire.version) != FR_BOOT_VERSION || fr_load_le16(wire.port) == 0 ||
	    wire.zero != 0 || wire.n_addrs > FR_BOOT_ID_MAX_ADDRS)
		return false;
	for (int i = 0; i < wire.n_addrs; i++)
		if (wire.addrs[i].family != 4 && wire.addrs[i].family != 6)
			return false;
	memset(out, 0, sizeof(*out));
	out->port = fr_load_le16(wire.port);
	out->network = fr_load_le64(wire.network);
	memcpy(out->secret, wire.secret, sizeof(out->secret));
	out->n_addrs = wire.n_addrs;
	memcpy(out->addrs, wire.addrs, (size_t)wire.n_addrs * sizeof(wire.addrs[0]));
	fr_wipe(&wire, sizeof(wire));
	return true;
}

#include "config.h"

#include "lib/transport/ucx/ucx_wire.h"

#include <string.h>

static ferrule_status_t refuse(const char **why, const char *text)
{
	*why = text;
	return FERRULE_ERR_PROTOCOL;
}

ferrule_status_t fr_ucx_head_parse(const void *wire, size_t head_bytes, size_t payload,
                                   struct fr_ucx_head *out, const char **why)
{
	if (head_bytes != sizeof(*out))
		return refuse(why, "an active message with a head of another length");
	memcpy(out, wire, sizeof(*out));
	if (out->magic != FR_UCX_MAGIC || out->version != FR_UCX_VERSION || out->zero != 0)
		return refuse(why, "an active message of another protocol");
	switch (out->kind) {
	case FR_UCX_HELLO:
		if (payload > FR_UCX_EAGER_BYTES)
			return refuse(why, "a hello of impossible length");
		return FERRULE_OK;
	case FR_UCX_CREDIT:
		if (payload != 0)
			return refuse(why, "an active message with bytes that belong nowhere");
		return FERRULE_OK;
	case FR_UCX_PIECE:
		if (payload == 0 || payload > FR_UCX_BULK_BYTES || out->bytes > INT64_MAX ||
		    out->offset > out->bytes || payload > out->bytes - out->offset)
			return refuse(why, "a piece outside its message");
		return FERRULE_OK;
	default:
		return refuse(why, "an active message of unknown kind");
	}
}

ferrule_status_t fr_ucx_part_parse(const void *note, size_t bytes, uint32_t have,
                                   struct fr_ucx_part *out, const unsigned char **data_out,
                                   size_t *data_bytes_out)
{
	if (bytes <= sizeof(*out))
		return FERRULE_ERR_PROTOCOL;
	memcpy(out, note, sizeof(*out));
	if (out->total > FR_UCX_ADDRESS_MAX || out->at != have || out->at > out->total ||
	    bytes - sizeof(*out) > out->total - out->at)
		return FERRULE_ERR_PROTOCOL;
	*data_out = (const unsigned char *)note + sizeof(*out);
	*data_bytes_out = bytes - sizeof(*out);
	return FERRULE_OK;
}

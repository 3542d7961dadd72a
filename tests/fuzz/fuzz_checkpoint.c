/* Any bytes as a checkpoint: as they are, and with the CRC made right, which hostile ones are. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/trainer/checkpoint_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What was believed must lie within the bytes. */
static void decode(const uint8_t *data, size_t bytes)
{
	struct fr_checkpoint_view v;

	if (fr_checkpoint_decode(data, bytes, &v))
		return;
	const size_t row = (1 + (size_t)v.n_slots) * sizeof(float);

	if ((const uint8_t *)v.config + v.config_bytes != v.numbers ||
	    v.numbers + v.n_params * row != data + bytes || v.n_ranks < 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	decode(data, bytes);
	if (bytes < FR_CHECKPOINT_HEADER_BYTES)
		return 0;
	uint8_t *copy = malloc(bytes);

	if (!copy)
		return 0;
	memcpy(copy, data, bytes);
	memcpy(copy, "FERRULEC\1\0\0", 12);
	for (int i = 0; i < 8; i++)
		copy[16 + i] = (uint8_t)((uint64_t)bytes >> 8 * i);
	const uint32_t crc = (uint32_t)crc32(crc32(0, NULL, 0), copy + 16, (unsigned)(bytes - 16));

	for (int i = 0; i < 4; i++)
		copy[12 + i] = (uint8_t)(crc >> 8 * i);
	decode(copy, bytes);
	free(copy);
	return 0;
}

#include "config.h"

#include "lib/transport/shm/shm_layout.h"

/* All rings that one rank sends through stay below this together; with those it receives through,
 * eight ranks fit in 16 MiB each. */
#define SHM_RINGS_TOTAL (4u << 20)
#define SHM_RING_MIN    (64u << 10)

static size_t round_up(size_t value, size_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static size_t ring_bytes_for(int n_local, uint64_t setting)
{
	const uint64_t peers = n_local > 1 ? (uint64_t)n_local - 1 : 1;
	uint64_t limit = setting < SHM_RINGS_TOTAL / peers ? setting : SHM_RINGS_TOTAL / peers;
	uint64_t ring = SHM_RING_MIN;

	while (ring * 2 <= limit)
		ring *= 2;
	return ring;
}

static void layout_board(struct shm_layout *l, size_t *at)
{
	static const struct {
		size_t payload, slots;
	} classes[FR_BOARD_N_CLASSES] = {
#define SHM_BOARD_SHAPE(index, payload, slots) [index] = {payload, slots},
		SHM_BOARD_CLASSES(SHM_BOARD_SHAPE)
#undef SHM_BOARD_SHAPE
	};

	for (int c = 0; c < FR_BOARD_N_CLASSES; c++) {
		l->acks[c] = *at;
		*at += (size_t)l->n_local * FR_BOARD_ACK_STRIDE;
		l->slots[c] = *at;
		l->stride[c] = round_up(FR_BOARD_HEAD_BYTES + classes[c].payload, SHM_LINE);
		*at += l->stride[c] * classes[c].slots;
	}
}

void shm_layout_init(struct shm_layout *l, int n_local, uint64_t ring_setting)
{
	size_t at = round_up(sizeof(struct shm_status), SHM_LINE);

	l->n_local = n_local;
	l->ring_bytes = ring_bytes_for(n_local, ring_setting);
	layout_board(l, &at);
	l->streams = round_up(at, SHM_PAGE);
	l->ring = round_up(sizeof(struct shm_stream), SHM_PAGE);
	l->stream_stride = l->ring + l->ring_bytes;
	l->total_bytes = l->streams + (size_t)n_local * l->stream_stride;
}

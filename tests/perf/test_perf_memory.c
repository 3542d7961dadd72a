/* Validation finds every byte that is not what was sent, and none that is. */
#include "config.h"

#include <string.h>

#include "lib/perf/perf_internal.h"
#include "tests/support/t_main.h"

#define BYTES 10000

static struct fr_perf_memory open_memory(int n_lanes)
{
	struct ferrule_perf_params p;
	struct fr_perf_memory m;

	ferrule_perf_defaults(&p, sizeof(p), FERRULE_PERF_BW, FERRULE_PERF_WRITE);
	p.max_bytes = BYTES;
	CU_ASSERT_FATAL(fr_perf_memory_open(&m, &p, n_lanes) == FERRULE_OK);
	return m;
}

static void test_parts_do_not_overlap(void)
{
	struct fr_perf_memory m = open_memory(3);

	CU_ASSERT(m.stride >= BYTES);
	for (int lane = 0; lane < 3; lane++) {
		unsigned char *out = fr_perf_memory_out(&m, lane),
			      *in = fr_perf_memory_in(&m, lane);
		CU_ASSERT_EQUAL((uintptr_t)out % 4096, 0);
		CU_ASSERT(in >= out + BYTES);
		CU_ASSERT(in + BYTES <= m.base + m.bytes);
		CU_ASSERT(lane == 2 || in + BYTES <= fr_perf_memory_out(&m, lane + 1));
	}
	fr_perf_memory_close(&m);
	CU_ASSERT_PTR_NULL(m.base);
}

static void test_wrong_bytes_are_counted(void)
{
	static const uint64_t sizes[] = {1, 2, 63, 64, 4096, BYTES};
	struct fr_perf_memory m = open_memory(2);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const uint64_t bytes = sizes[i];
		CU_ASSERT_EQUAL(fr_perf_memory_fill(&m, bytes), FERRULE_OK);
		for (int lane = 0; lane < 2; lane++) {
			unsigned char *in = fr_perf_memory_in(&m, lane);
			/* Nothing has arrived: no byte is right by accident. */
			CU_ASSERT_EQUAL(fr_perf_memory_wrong(&m, lane, bytes, bytes), bytes);
			memcpy(in, fr_perf_memory_out(&m, lane), bytes);
			CU_ASSERT_EQUAL(fr_perf_memory_wrong(&m, lane, bytes, bytes), 0);
			in[bytes - 1] ^= 1;
			CU_ASSERT_EQUAL(fr_perf_memory_wrong(&m, lane, bytes, bytes), 1);
			CU_ASSERT_EQUAL(fr_perf_memory_wrong(&m, lane, bytes, bytes - 1), 0);
		}
	}
	fr_perf_memory_close(&m);
}

static void test_data_of_another_size_or_lane(void)
{
	struct fr_perf_memory m = open_memory(2);

	CU_ASSERT_EQUAL(fr_perf_memory_fill(&m, BYTES), FERRULE_OK);
	memcpy(fr_perf_memory_in(&m, 1), fr_perf_memory_out(&m, 0), BYTES);
	CU_ASSERT(fr_perf_memory_wrong(&m, 1, BYTES, BYTES) > BYTES / 2);
	memcpy(fr_perf_memory_in(&m, 0), fr_perf_memory_out(&m, 0), BYTES);
	CU_ASSERT(fr_perf_memory_wrong(&m, 0, BYTES - 1, BYTES - 1) > BYTES / 2);
	/* Shifted by one. */
	memmove(fr_perf_memory_in(&m, 0), fr_perf_memory_out(&m, 0) + 1, BYTES - 1);
	CU_ASSERT(fr_perf_memory_wrong(&m, 0, BYTES, BYTES - 1) > BYTES / 2);
	fr_perf_memory_close(&m);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"parts do not overlap", test_parts_do_not_overlap},
		{"wrong bytes are counted", test_wrong_bytes_are_counted},
		{"data of another size or lane", test_data_of_another_size_or_lane},
		{NULL, NULL},
	};

	return t_main("perf_memory", cases);
}

/* fr_copy and fr_copy2: every size, alignment and stream, in every instruction set. */
#include "config.h"

#include "kernels/kernels.h"

#include <stdio.h>
#include <string.h>

#include "tests/kernels/t_kernels.h"
#include "tests/support/t_main.h"

#define ROOM 300000

static void try_copy(struct t_area area[3], size_t bytes, int stream, uint64_t *random)
{
	const size_t offset[3] = {t_random(random) % 64, t_random(random) % 64,
	                          t_random(random) % 64};

	for (int i = 0; i < 3; i++)
		t_area_place(&area[i], offset[i], bytes);
	t_fill_elements(FERRULE_UINT8, area[2].data, bytes, random);
	memset(area[0].data, 0, bytes);
	fr_copy(area[0].data, area[2].data, bytes, (enum fr_stream)(stream & FR_STREAM_DST));
	fr_stream_fence();
	CU_ASSERT(memcmp(area[0].data, area[2].data, bytes) == 0);
	CU_ASSERT(t_area_is_intact(&area[0]));

	memset(area[0].data, 0, bytes);
	memset(area[1].data, 0, bytes);
	fr_copy2(area[0].data, area[1].data, area[2].data, bytes, (enum fr_stream)stream);
	fr_stream_fence();
	CU_ASSERT(memcmp(area[0].data, area[2].data, bytes) == 0);
	CU_ASSERT(memcmp(area[1].data, area[2].data, bytes) == 0);
	CU_ASSERT(t_area_is_intact(&area[0]) && t_area_is_intact(&area[1]));
}

static void test_every_size_and_stream(void)
{
	static const char *const isas[] = {"reference", "avx2", "avx512"};
	uint64_t random = t_seed("copies");
	struct t_area area[3];

	for (int i = 0; i < 3; i++)
		t_area_init(&area[i], ROOM);
	for (int i = 0; i < 3; i++) {
		if (!fr_kernel_use_isa(isas[i]))
			continue;
		for (size_t bytes = 0; bytes < 700; bytes++)
			try_copy(area, bytes, (int)(bytes % FR_N_STREAMS), &random);
		for (int k = 0; k < 200; k++)
			try_copy(area, t_random(&random) % ROOM, k % FR_N_STREAMS, &random);
	}
	fr_kernel_use_isa("auto");
	for (int i = 0; i < 3; i++)
		t_area_fini(&area[i]);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"every size and stream", test_every_size_and_stream},
		{NULL, NULL},
	};
	return t_main("copy", cases);
}

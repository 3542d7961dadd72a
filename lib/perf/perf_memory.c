#include "config.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "lib/base/error.h"
#include "lib/mem/gpu.h"
#include "lib/perf/perf_internal.h"

#define PAGE_BYTES 4096

/* The copy in host memory is what the pattern is written to and compared in. */
static ferrule_status_t open_gpu(struct fr_perf_memory *m, size_t bytes)
{
	char why[256];
	void *base;

	m->shadow = malloc(m->stride);
	if (m->shadow == NULL)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a buffer of %zu bytes",
		                m->stride);
	const ferrule_status_t status = fr_gpu_alloc(m->gpu, bytes, &base, why, sizeof(why));
	if (status != FERRULE_OK)
		return fr_error(status, "gpu: %d: %s", m->gpu, why);
	m->base = base;
	m->bytes = bytes;
	return FERRULE_OK;
}

ferrule_status_t fr_perf_memory_open(struct fr_perf_memory *m, const struct ferrule_perf_params *p,
                                     int n_lanes)
{
	const size_t stride = (p->max_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	const size_t bytes = 2 * stride * (size_t)n_lanes;

	*m = (struct fr_perf_memory){.stride = stride, .n_lanes = n_lanes, .gpu = p->gpu};
	if (p->gpu >= 0)
		return open_gpu(m, bytes);
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (base == MAP_FAILED)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a buffer of %zu bytes",
		                bytes);
	m->base = base;
	m->bytes = bytes;
	return FERRULE_OK;
}

void fr_perf_memory_close(struct fr_perf_memory *m)
{
	if (m->base != NULL && m->gpu >= 0)
		fr_gpu_free(m->gpu, m->base);
	else if (m->base != NULL)
		munmap(m->base, m->bytes);
	free(m->shadow);
	m->base = m->shadow = NULL;
}

/* Differs from byte to byte and from size to size; never 0 all over. */
static inline unsigned char pattern(uint64_t i, uint64_t bytes, int lane)
{
	const uint64_t x = (i + bytes * 0x9e3779b97f4a7c15u + (uint64_t)lane) * 0xd6e8feb86659fd93u;

	return (unsigned char)(x >> 56 ^ x >> 24);
}

/* Makes one part what `flip` (0 or all bits) makes of the pattern. */
static ferrule_status_t fill(const struct fr_perf_memory *m, unsigned char *part, int lane,
                             uint64_t bytes, unsigned char flip)
{
	unsigned char *to = m->gpu >= 0 ? m->shadow : part;
	char why[256];

	for (uint64_t i = 0; i < bytes; i++)
		to[i] = pattern(i, bytes, lane) ^ flip;
	if (m->gpu < 0)
		return FERRULE_OK;
	const ferrule_status_t status =
		fr_gpu_write(m->gpu, part, m->shadow, bytes, why, sizeof(why));
	return status == FERRULE_OK ? FERRULE_OK : fr_error(status, "gpu: %d: %s", m->gpu, why);
}

ferrule_status_t fr_perf_memory_fill(const struct fr_perf_memory *m, uint64_t bytes)
{
	ferrule_status_t status = FERRULE_OK;

	for (int lane = 0; lane < m->n_lanes && status == FERRULE_OK; lane++) {
		status = fill(m, fr_perf_memory_out(m, lane), lane, bytes, 0);
		if (status == FERRULE_OK)
			status = fill(m, fr_perf_memory_in(m, lane), lane, bytes, 0xff);
	}
	return status;
}

uint64_t fr_perf_memory_wrong(const struct fr_perf_memory *m, int lane, uint64_t bytes,
                              uint64_t compared)
{
	const unsigned char *in = fr_perf_memory_in(m, lane);
	uint64_t n = 0;
	char why[256];

	if (m->gpu >= 0 &&
	    fr_gpu_read(m->gpu, m->shadow, in, compared, why, sizeof(why)) != FERRULE_OK)
		return compared;
	if (m->gpu >= 0)
		in = m->shadow;
	for (uint64_t i = 0; i < compared; i++)
		n += in[i] != pattern(i, bytes, lane);
	return n;
}

#include "tests/mem/t_cuda.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define N_MAX   16
#define PAGE    4096u
#define UNKNOWN 999

struct allocation {
	unsigned char *base; /* NULL: free */
	size_t bytes;
	int fd;
	uint64_t id;
	bool is_managed;
};

static struct {
	struct fr_cuda table;
	struct t_cuda_faults faults;
	struct t_cuda_counts counts;
	struct allocation allocations[N_MAX];
	uint64_t last_id;
} gpu;
static char the_context;

static struct allocation *holder(uint64_t pointer)
{
	for (int i = 0; i < N_MAX; i++) {
		struct allocation *a = &gpu.allocations[i];
		const uint64_t base = (uintptr_t)a->base;

		if (a->base && pointer >= base && pointer - base < a->bytes)
			return a;
	}
	return NULL;
}

static int init(unsigned flags)
{
	return flags == 0 ? gpu.faults.start_error : FR_CUDA_ERROR_INVALID_VALUE;
}

static int error_text(int error, const char **text)
{
	static const struct {
		int error;
		const char *text;
	} texts[] = {
		{FR_CUDA_ERROR_INVALID_VALUE, "invalid argument"},
		{FR_CUDA_ERROR_OUT_OF_MEMORY, "out of memory"},
		{FR_CUDA_ERROR_NOT_SUPPORTED, "operation not supported"},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].error == error) {
			*text = texts[i].text;
			return FR_CUDA_SUCCESS;
		}
	}
	return FR_CUDA_ERROR_INVALID_VALUE;
}

static int driver_version(int *version)
{
	*version = 12080;
	return FR_CUDA_SUCCESS;
}

static int device_count(int *count)
{
	*count = 1 - gpu.faults.n_devices_missing;
	return FR_CUDA_SUCCESS;
}

static int device_get(int *device, int ordinal)
{
	*device = 40; /* not the ordinal, so that mixing them up shows */
	return ordinal == 0 ? FR_CUDA_SUCCESS : 101;
}

static int device_name(char *name, int bytes, int device)
{
	snprintf(name, (size_t)bytes, "memfd");
	return device == 40 ? FR_CUDA_SUCCESS : 101;
}

static int device_bus_id(char *id, int bytes, int device)
{
	snprintf(id, (size_t)bytes, "FFFF:FF:1F.7");
	return device == 40 ? FR_CUDA_SUCCESS : 101;
}

static int device_attribute(int *value, int attribute, int device)
{
	const struct {
		int attribute, value;
	} rows[] = {
		{FR_CUDA_DEVICE_INTEGRATED, 0},
		{FR_CUDA_DEVICE_CAPABILITY_MAJOR, 9},
		{FR_CUDA_DEVICE_CAPABILITY_MINOR, 0},
		{FR_CUDA_DEVICE_PAGEABLE_USES_HOST_TABLES, gpu.faults.is_coherent},
		{FR_CUDA_DEVICE_RDMA_SUPPORTED, 1},
		{FR_CUDA_DEVICE_RDMA_FLUSH_OPTIONS, FR_CUDA_FLUSH_OPTION_HOST},
		{FR_CUDA_DEVICE_RDMA_ORDERING, FR_CUDA_ORDERING_NONE},
		{FR_CUDA_DEVICE_DMA_BUF_SUPPORTED, !gpu.faults.no_dmabuf},
	};

	if (device != 40)
		return 101;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].attribute == attribute) {
			*value = rows[i].value;
			return FR_CUDA_SUCCESS;
		}
	}
	return FR_CUDA_ERROR_INVALID_VALUE;
}

static int context_retain(void **context, int device)
{
	if (device != 40)
		return 101;
	gpu.counts.n_contexts++;
	*context = &the_context;
	return FR_CUDA_SUCCESS;
}

static int context_release(int device)
{
	if (device != 40 || gpu.counts.n_contexts == 0)
		return 201;
	gpu.counts.n_contexts--;
	return FR_CUDA_SUCCESS;
}

static int context_push(void *context)
{
	if (context != &the_context)
		return 201;
	gpu.counts.n_pushed++;
	return FR_CUDA_SUCCESS;
}

static int context_pop(void **context)
{
	if (gpu.counts.n_pushed == 0)
		return 201;
	gpu.counts.n_pushed--;
	*context = &the_context;
	return FR_CUDA_SUCCESS;
}

static int mem_alloc(uint64_t *pointer, size_t bytes)
{
	struct allocation *a = gpu.allocations;

	if (gpu.counts.n_pushed == 0)
		return 201;
	while (a->base && a < gpu.allocations + N_MAX - 1)
		a++;
	if (a->base || bytes == 0 || bytes > 1u << 30)
		return FR_CUDA_ERROR_OUT_OF_MEMORY;
	const size_t whole = (bytes + PAGE - 1) / PAGE * PAGE;

	a->fd = memfd_create("gpu", MFD_CLOEXEC);
	if (a->fd < 0 || ftruncate(a->fd, (off_t)whole) != 0)
		return FR_CUDA_ERROR_OUT_OF_MEMORY;
	a->base = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	a->bytes = bytes;
	a->id = ++gpu.last_id;
	a->is_managed = false;
	gpu.counts.n_allocations++;
	*pointer = (uintptr_t)a->base;
	return FR_CUDA_SUCCESS;
}

static int mem_free(uint64_t pointer)
{
	struct allocation *a = holder(pointer);

	if (!a || pointer != (uintptr_t)a->base || gpu.counts.n_pushed == 0)
		return FR_CUDA_ERROR_INVALID_VALUE;
	munmap(a->base, (a->bytes + PAGE - 1) / PAGE * PAGE);
	close(a->fd);
	a->base = NULL;
	gpu.counts.n_allocations--;
	return FR_CUDA_SUCCESS;
}

static int to_host(void *host, uint64_t device, size_t bytes)
{
	if (!holder(device) || gpu.counts.n_pushed == 0)
		return FR_CUDA_ERROR_INVALID_VALUE;
	memcpy(host, (void *)(uintptr_t)device, bytes);
	return FR_CUDA_SUCCESS;
}

static int to_device(uint64_t device, const void *host, size_t bytes)
{
	if (!holder(device) || gpu.counts.n_pushed == 0)
		return FR_CUDA_ERROR_INVALID_VALUE;
	memcpy((void *)(uintptr_t)device, host, bytes);
	return FR_CUDA_SUCCESS;
}

static int address_range(uint64_t *base, size_t *bytes, uint64_t pointer)
{
	const struct allocation *a = holder(pointer);

	if (!a)
		return FR_CUDA_ERROR_INVALID_VALUE;
	*base = (uintptr_t)a->base;
	*bytes = a->bytes;
	return FR_CUDA_SUCCESS;
}

static int pointer_attribute(void *value, int attribute, uint64_t pointer)
{
	const struct allocation *a = holder(pointer);

	if (!a)
		return FR_CUDA_ERROR_INVALID_VALUE;
	switch (attribute) {
	case FR_CUDA_POINTER_CONTEXT:
		*(void **)value = &the_context;
		return FR_CUDA_SUCCESS;
	case FR_CUDA_POINTER_MEMORY_TYPE:
		*(unsigned *)value = FR_CUDA_MEMORY_DEVICE;
		return FR_CUDA_SUCCESS;
	case FR_CUDA_POINTER_BUFFER_ID:
		*(uint64_t *)value = a->id;
		return FR_CUDA_SUCCESS;
	case FR_CUDA_POINTER_IS_MANAGED:
		*(unsigned *)value = a->is_managed;
		return FR_CUDA_SUCCESS;
	case FR_CUDA_POINTER_DEVICE_ORDINAL:
		*(int *)value = 0;
		return FR_CUDA_SUCCESS;
	default:
		return FR_CUDA_ERROR_INVALID_VALUE;
	}
}

static int pointer_set(const void *value, int attribute, uint64_t pointer)
{
	if (!holder(pointer) || attribute != FR_CUDA_POINTER_SYNC_MEMOPS ||
	    *(const unsigned *)value != 1)
		return FR_CUDA_ERROR_INVALID_VALUE;
	gpu.counts.n_sync_memops++;
	return FR_CUDA_SUCCESS;
}

/* A descriptor whose first byte is that of the allocation, so only its beginning can be had. */
static int range_handle(void *handle, uint64_t pointer, size_t bytes, int type,
                        unsigned long long flags)
{
	const struct allocation *a = holder(pointer);

	if (gpu.faults.export_error)
		return gpu.faults.export_error;
	if (flags == FR_CUDA_RANGE_FLAG_PCIE)
		return FR_CUDA_ERROR_NOT_SUPPORTED;
	if (!a || pointer != (uintptr_t)a->base || bytes % PAGE || pointer % PAGE || flags ||
	    bytes > (a->bytes + PAGE - 1) / PAGE * PAGE || type != FR_CUDA_RANGE_DMA_BUF_FD ||
	    gpu.counts.n_pushed == 0)
		return FR_CUDA_ERROR_INVALID_VALUE;
	gpu.counts.n_exports++;
	*(int *)handle = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
	return FR_CUDA_SUCCESS;
}

static int flush_writes(int target, int scope)
{
	if (target != FR_CUDA_FLUSH_TARGET_CURRENT || scope != FR_CUDA_FLUSH_TO_OWNER ||
	    gpu.counts.n_pushed == 0)
		return FR_CUDA_ERROR_INVALID_VALUE;
	gpu.counts.n_flushes++;
	return FR_CUDA_SUCCESS;
}

void t_cuda_begin(struct t_cuda_faults faults)
{
	memset(&gpu, 0, sizeof(gpu));
	gpu.faults = faults;
	gpu.table = (struct fr_cuda){
		.init = init,
		.error_text = error_text,
		.driver_version = driver_version,
		.device_count = device_count,
		.device_get = device_get,
		.device_name = device_name,
		.device_bus_id = device_bus_id,
		.device_attribute = device_attribute,
		.context_retain = context_retain,
		.context_release = context_release,
		.context_push = context_push,
		.context_pop = context_pop,
		.mem_alloc = mem_alloc,
		.mem_free = mem_free,
		.to_host = to_host,
		.to_device = to_device,
		.address_range = address_range,
		.pointer_attribute = pointer_attribute,
		.pointer_set = pointer_set,
		.range_handle = faults.no_range_handle ? NULL : range_handle,
		.flush_writes = faults.no_flush ? NULL : flush_writes,
	};
	fr_cuda_replace(&gpu.table);
}

struct t_cuda_counts t_cuda_count(void)
{
	return gpu.counts;
}

void t_cuda_managed(const void *ptr)
{
	struct allocation *a = holder((uintptr_t)ptr);

	if (a)
		a->is_managed = true;
}

void t_cuda_end(void)
{
	fr_cuda_replace(NULL);
}

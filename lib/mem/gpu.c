#include "config.h"

#include "lib/mem/gpu.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/settings.h"
#include "lib/mem/gdr.h"

/* The driver, once it is open.  Written under the lock, never changed after. */
static struct {
	pthread_mutex_t lock;
	_Atomic bool is_ready;
	struct fr_cuda table;
} the_cuda = {.lock = PTHREAD_MUTEX_INITIALIZER};
static _Atomic(const struct fr_cuda *) the_cuda_replacement;

#define CUDA_LIBRARY "libcuda.so.1"

/* ---- the driver ---- */

static bool load(void *library, struct fr_cuda *table, char *why, size_t why_bytes)
{
	static const struct {
		const char *name;
		size_t offset;
	} symbols[] = {
#define FR_CUDA_ROW(member, symbol, arguments) {symbol, offsetof(struct fr_cuda, member)},
		FR_CUDA_MAP(FR_CUDA_ROW)
#undef FR_CUDA_ROW
	};
	const size_t first_optional = offsetof(struct fr_cuda, pointer_set);

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *found = dlsym(library, symbols[i].name);

		if (!found && symbols[i].offset < first_optional) {
			snprintf(why, why_bytes, "%s has no %s", CUDA_LIBRARY, symbols[i].name);
			return false;
		}
		/* POSIX promises that a function's address fits. */
		memcpy((char *)table + symbols[i].offset, &found, sizeof(found));
	}
	return true;
}

static bool start(const struct fr_cuda *table, char *why, size_t why_bytes)
{
	char text[160];
	int count = 0;
	int error = table->init(0);

	if (error == FR_CUDA_SUCCESS)
		error = table->device_count(&count);
	if (error != FR_CUDA_SUCCESS) {
		snprintf(why, why_bytes, "the CUDA driver does not start: %s",
		         fr_cuda_error(table, error, text, sizeof(text)));
		return false;
	}
	if (count == 0)
		snprintf(why, why_bytes, "the CUDA driver sees no GPU");
	return count > 0;
}

/* The driver's table; opens the library by `mode`, which may be "only if it is open already". */
static const struct fr_cuda *open_driver(int mode, char *why, size_t why_bytes)
{
	pthread_mutex_lock(&the_cuda.lock);
	if (!atomic_load(&the_cuda.is_ready)) {
		struct fr_cuda table;
		/* Stays open: the driver does not survive being closed. */
		void *library = dlopen(CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL | mode);

		if (!library) {
			const char *text = dlerror();

			snprintf(why, why_bytes, "no CUDA driver: %s", text ? text : CUDA_LIBRARY);
		} else if (load(library, &table, why, why_bytes) && start(&table, why, why_bytes)) {
			the_cuda.table = table;
			atomic_store(&the_cuda.is_ready, true);
		}
	}
	pthread_mutex_unlock(&the_cuda.lock);
	return atomic_load(&the_cuda.is_ready) ? &the_cuda.table : NULL;
}

const struct fr_cuda *fr_cuda_get(char *why, size_t why_bytes)
{
	const struct fr_cuda *other = atomic_load(&the_cuda_replacement);

	if (other)
		return start(other, why, why_bytes) ? other : NULL;
	return open_driver(0, why, why_bytes);
}

const struct fr_cuda *fr_cuda_in_use(void)
{
	const struct fr_cuda *other = atomic_load(&the_cuda_replacement);
	char why[200];

	if (other)
		return other;
	if (atomic_load_explicit(&the_cuda.is_ready, memory_order_acquire))
		return &the_cuda.table;
	return open_driver(RTLD_NOLOAD, why, sizeof(why));
}

void fr_cuda_replace(const struct fr_cuda *table)
{
	atomic_store(&the_cuda_replacement, table);
}

char *fr_cuda_error(const struct fr_cuda *c, int error, char *buf, size_t bytes)
{
	const char *text = NULL;

	if (c->error_text(error, &text) != FR_CUDA_SUCCESS || !text)
		text = "unknown";
	snprintf(buf, bytes, "CUDA error %d: %s", error, text);
	return buf;
}

/* ---- blocks ---- */

/* What is known of a pointer that lies in GPU memory. */
struct pointer {
	uint64_t at, base; /* of the allocation */
	size_t bytes;      /* of the allocation */
	int device;
	void *context;
};

/* Is it GPU memory?  Errors mean no: the driver does not know the pointer. */
static bool is_device_memory(const struct fr_cuda *c, uint64_t at, struct pointer *out)
{
	unsigned type = 0, is_managed = 0;

	*out = (struct pointer){.at = at, .device = -1};
	if (c->pointer_attribute(&type, FR_CUDA_POINTER_MEMORY_TYPE, at) != FR_CUDA_SUCCESS ||
	    type != FR_CUDA_MEMORY_DEVICE)
		return false;
	/* Managed memory has pages on the host, which can be registered as such. */
	if (c->pointer_attribute(&is_managed, FR_CUDA_POINTER_IS_MANAGED, at) == FR_CUDA_SUCCESS &&
	    is_managed)
		return false;
	/* Not every allocation belongs to a context. */
	if (c->pointer_attribute(&out->context, FR_CUDA_POINTER_CONTEXT, at) != FR_CUDA_SUCCESS)
		out->context = NULL;
	return c->pointer_attribute(&out->device, FR_CUDA_POINTER_DEVICE_ORDINAL, at) ==
	               FR_CUDA_SUCCESS &&
	       c->address_range(&out->base, &out->bytes, at) == FR_CUDA_SUCCESS;
}

static int attribute(const struct fr_cuda *c, int ordinal, int which, int otherwise)
{
	int device, value;

	if (c->device_get(&device, ordinal) != FR_CUDA_SUCCESS ||
	    c->device_attribute(&value, which, device) != FR_CUDA_SUCCESS)
		return otherwise;
	return value;
}

/* A dma-buf of the pages that hold the range, or an error of the driver. */
static int export(const struct fr_cuda *c, const struct pointer *p, size_t bytes,
                  struct fr_mem_block *block)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t first = p->at & ~(page - 1);
	const size_t length = (size_t)((p->at + bytes + page - 1) & ~(page - 1)) - first;
	/* Where processor and GPU are one coherent machine the card is to go over PCIe still. */
	const bool is_coherent =
		attribute(c, p->device, FR_CUDA_DEVICE_PAGEABLE_USES_HOST_TABLES, 0);
	void *before;
	int fd = -1, error = FR_CUDA_ERROR_NOT_SUPPORTED;

	if (p->context)
		c->context_push(p->context);
	if (is_coherent)
		error = c->range_handle(&fd, first, length, FR_CUDA_RANGE_DMA_BUF_FD,
		                        FR_CUDA_RANGE_FLAG_PCIE);
	if (error != FR_CUDA_SUCCESS)
		error = c->range_handle(&fd, first, length, FR_CUDA_RANGE_DMA_BUF_FD, 0);
	if (p->context)
		c->context_pop(&before);
	if (error == FR_CUDA_SUCCESS) {
		block->dmabuf_fd = fd;
		block->dmabuf_offset = p->at - first;
	}
	return error;
}

/* By dma-buf; OK, or false and why not. */
static bool try_dmabuf(const struct fr_cuda *c, const struct pointer *p, size_t bytes,
                       struct fr_mem_block *block, char *why, size_t why_bytes)
{
	char text[160];

	if (!c->range_handle || attribute(c, p->device, FR_CUDA_DEVICE_DMA_BUF_SUPPORTED, 0) != 1) {
		snprintf(why, why_bytes, "GPU %d: its driver gives no dma-buf", p->device);
		return false;
	}
	const int error = export(c, p, bytes, block);

	if (error != FR_CUDA_SUCCESS)
		snprintf(why, why_bytes, "GPU %d: no dma-buf of %zu bytes at %#llx: %s", p->device,
		         bytes, (unsigned long long)p->at,
		         fr_cuda_error(c, error, text, sizeof(text)));
	return error == FR_CUDA_SUCCESS;
}

/* May this way be used, by FERRULE_GDR? */
static bool is_allowed(const char *way)
{
	const char *wish = fr_settings()->gdr;

	return strcmp(wish, "auto") == 0 || strcmp(wish, way) == 0;
}

static ferrule_status_t device_block(const struct fr_cuda *c, const struct pointer *p,
                                     struct fr_mem_block *block, char *why, size_t why_bytes)
{
	const unsigned yes = 1;
	char reason[200] = "";

	/* Copies by the driver into this memory are to be over when they say so. */
	if (c->pointer_set)
		c->pointer_set(&yes, FR_CUDA_POINTER_SYNC_MEMOPS, p->at);
	if (is_allowed("dmabuf") && try_dmabuf(c, p, block->bytes, block, reason, sizeof(reason)))
		return FERRULE_OK;
	/* Forced, it is tried without a look for the module. */
	if (is_allowed("peermem") &&
	    (fr_gdr_has_peermem("/sys") || strcmp(fr_settings()->gdr, "peermem") == 0))
		return FERRULE_OK;
	if (strcmp(fr_settings()->gdr, "staged") == 0)
		snprintf(why, why_bytes, "GPU %d: FERRULE_GDR=staged", p->device);
	else
		snprintf(why, why_bytes, "%s, and %s; it has to be staged through host memory",
		         reason,
		         is_allowed("peermem") ? "the module nvidia_peermem is not loaded"
		                               : "FERRULE_GDR=dmabuf allows nothing else");
	return FERRULE_ERR_UNSUPPORTED;
}

ferrule_status_t fr_gpu_block(const void *ptr, size_t bytes, struct fr_mem_block *out, char *why,
                              size_t why_bytes)
{
	const struct fr_cuda *c = fr_cuda_in_use();
	const uint64_t at = (uintptr_t)ptr;
	struct pointer p;
	struct fr_mem_block block = {.base = (void *)at,
	                             .bytes = bytes,
	                             .kind = FR_MEM_HOST,
	                             .device = -1,
	                             .dmabuf_fd = -1};
	ferrule_status_t status = FERRULE_OK;

	if (c && is_device_memory(c, at, &p)) {
		if (at - p.base > p.bytes || bytes > p.bytes - (size_t)(at - p.base)) {
			snprintf(why, why_bytes,
			         "GPU %d: %zu bytes at %#llx reach over the end of their "
			         "allocation, %zu bytes at %#llx",
			         p.device, bytes, (unsigned long long)at, p.bytes,
			         (unsigned long long)p.base);
			return FERRULE_ERR_ARGUMENT;
		}
		block.kind = FR_MEM_CUDA;
		block.device = p.device;
		status = device_block(c, &p, &block, why, why_bytes);
	}
	if (status == FERRULE_OK)
		*out = block;
	return status;
}

bool fr_gpu_block_fall_back(struct fr_mem_block *block)
{
	if (block->kind != FR_MEM_CUDA || block->dmabuf_fd < 0 || !is_allowed("peermem") ||
	    !fr_gdr_has_peermem("/sys"))
		return false;
	fr_gpu_block_close(block);
	return true;
}

void fr_gpu_block_close(struct fr_mem_block *block)
{
	if (block->dmabuf_fd >= 0)
		close(block->dmabuf_fd);
	block->dmabuf_fd = -1;
	block->dmabuf_offset = 0;
}

uint64_t fr_gpu_buffer_id(const void *ptr)
{
	const struct fr_cuda *c = fr_cuda_in_use();
	const uint64_t at = (uintptr_t)ptr;
	struct pointer p;
	uint64_t id = 0;

	if (!c || !is_device_memory(c, at, &p) ||
	    c->pointer_attribute(&id, FR_CUDA_POINTER_BUFFER_ID, at) != FR_CUDA_SUCCESS)
		return 0;
	return id;
}

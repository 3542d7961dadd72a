/* Memory of a GPU for tools and tests: taken, given back, copied. */
#include "config.h"

#include "lib/mem/gpu.h"

#include <stdio.h>

/* The driver with the device's own context made current; undone by leave(). */
struct inside {
	const struct fr_cuda *c;
	int device;
};

static ferrule_status_t failed(const struct fr_cuda *c, int ordinal, const char *what, int error,
                               char *why, size_t why_bytes)
{
	char text[160];

	snprintf(why, why_bytes, "GPU %d: %s: %s", ordinal, what,
	         fr_cuda_error(c, error, text, sizeof(text)));
	return error == FR_CUDA_ERROR_OUT_OF_MEMORY ? FERRULE_ERR_NO_MEMORY : FERRULE_ERR_SYSTEM;
}

static ferrule_status_t enter(int ordinal, struct inside *in, char *why, size_t why_bytes)
{
	void *context = NULL;
	int count = 0;

	in->c = fr_cuda_get(why, why_bytes);
	if (!in->c)
		return FERRULE_ERR_UNSUPPORTED;
	in->c->device_count(&count);
	if (ordinal < 0 || ordinal >= count) {
		snprintf(why, why_bytes, "GPU %d: there are %d, numbered from 0", ordinal, count);
		return FERRULE_ERR_ARGUMENT;
	}
	int error = in->c->device_get(&in->device, ordinal);

	if (error == FR_CUDA_SUCCESS)
		error = in->c->context_retain(&context, in->device);
	if (error != FR_CUDA_SUCCESS)
		return failed(in->c, ordinal, "no context", error, why, why_bytes);
	error = in->c->context_push(context);
	if (error == FR_CUDA_SUCCESS)
		return FERRULE_OK;
	in->c->context_release(in->device);
	return failed(in->c, ordinal, "no context", error, why, why_bytes);
}

/* `is_kept`: the context is needed on, by memory that was allocated in it. */
static void leave(const struct inside *in, bool is_kept)
{
	void *context;

	in->c->context_pop(&context);
	if (!is_kept)
		in->c->context_release(in->device);
}

ferrule_status_t fr_gpu_alloc(int device, size_t bytes, void **out, char *why, size_t why_bytes)
{
	struct inside in;
	uint64_t at = 0;
	ferrule_status_t status = enter(device, &in, why, why_bytes);

	if (status != FERRULE_OK)
		return status;
	const int error = in.c->mem_alloc(&at, bytes);

	leave(&in, error == FR_CUDA_SUCCESS);
	if (error != FR_CUDA_SUCCESS)
		return failed(in.c, device, "no memory", error, why, why_bytes);
	*out = (void *)(uintptr_t)at;
	return FERRULE_OK;
}

void fr_gpu_free(int device, void *ptr)
{
	struct inside in;
	char why[200];

	if (!ptr || enter(device, &in, why, sizeof(why)) != FERRULE_OK)
		return;
	in.c->mem_free((uintptr_t)ptr);
	leave(&in, false);
	in.c->context_release(in.device); /* what fr_gpu_alloc() kept */
}

ferrule_status_t fr_gpu_read(int device, void *host, const void *ptr, size_t bytes, char *why,
                             size_t why_bytes)
{
	struct inside in;
	const ferrule_status_t status = enter(device, &in, why, why_bytes);

	if (status != FERRULE_OK)
		return status;
	const int error = in.c->to_host(host, (uintptr_t)ptr, bytes);

	leave(&in, false);
	return error == FR_CUDA_SUCCESS
	               ? FERRULE_OK
	               : failed(in.c, device, "copy to the host", error, why, why_bytes);
}

ferrule_status_t fr_gpu_write(int device, void *ptr, const void *host, size_t bytes, char *why,
                              size_t why_bytes)
{
	struct inside in;
	const ferrule_status_t status = enter(device, &in, why, why_bytes);

	if (status != FERRULE_OK)
		return status;
	const int error = in.c->to_device((uintptr_t)ptr, host, bytes);

	leave(&in, false);
	return error == FR_CUDA_SUCCESS
	               ? FERRULE_OK
	               : failed(in.c, device, "copy to the GPU", error, why, why_bytes);
}

ferrule_status_t fr_gpu_flush(int device, char *why, size_t why_bytes)
{
	struct inside in;
	const ferrule_status_t status = enter(device, &in, why, why_bytes);

	if (status != FERRULE_OK)
		return status;
	const int error = in.c->flush_writes ? in.c->flush_writes(FR_CUDA_FLUSH_TARGET_CURRENT,
	                                                          FR_CUDA_FLUSH_TO_OWNER)
	                                     : FR_CUDA_ERROR_NOT_SUPPORTED;

	leave(&in, false);
	return error == FR_CUDA_SUCCESS ? FERRULE_OK
	                                : failed(in.c, device, "flush", error, why, why_bytes);
}

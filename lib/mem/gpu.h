/*
 * gpu.h - memory of NVIDIA GPUs: what a pointer is, and how the hardware may reach it.
 *
 * The CUDA driver is opened with dlopen(), so that one binary is built and starts without it,
 * and everything calls through a table, so that tests can put in a driver whose device memory
 * is a memfd.  Nothing of this has run on a GPU yet.
 *
 * Two ways lead a network card to GPU memory, tried in this order: dma-buf (the driver gives a
 * descriptor of the memory, which is registered) and nvidia-peermem (a kernel module, with which
 * the plain pointer can be registered).  Without either, callers stage through host memory.
 */
#ifndef FR_GPU_H
#define FR_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/mem/region.h"

/*
 * X(member, symbol, arguments): functions of the CUDA driver API, as its manual has them.  All
 * return CUresult, an int; CUdevice is an int, CUdeviceptr 64 bits, CUcontext a pointer.  The
 * three last may be NULL: older drivers lack them.
 */
#define FR_CUDA_MAP(X)                                                                        \
	X(init, "cuInit", (unsigned flags))                                                   \
	X(error_text, "cuGetErrorString", (int error, const char **text))                     \
	X(driver_version, "cuDriverGetVersion", (int *version))                               \
	X(device_count, "cuDeviceGetCount", (int *count))                                     \
	X(device_get, "cuDeviceGet", (int *device, int ordinal))                              \
	X(device_name, "cuDeviceGetName", (char *name, int bytes, int device))                \
	X(device_bus_id, "cuDeviceGetPCIBusId", (char *id, int bytes, int device))            \
	X(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))  \
	X(context_retain, "cuDevicePrimaryCtxRetain", (void **context, int device))           \
	X(context_release, "cuDevicePrimaryCtxRelease_v2", (int device))                      \
	X(context_push, "cuCtxPushCurrent_v2", (void *context))                               \
	X(context_pop, "cuCtxPopCurrent_v2", (void **context))                                \
	X(mem_alloc, "cuMemAlloc_v2", (uint64_t * pointer, size_t bytes))                     \
	X(mem_free, "cuMemFree_v2", (uint64_t pointer))                                       \
	X(to_host, "cuMemcpyDtoH_v2", (void *host, uint64_t device, size_t bytes))            \
	X(to_device, "cuMemcpyHtoD_v2", (uint64_t device, const void *host, size_t bytes))    \
	X(address_range, "cuMemGetAddressRange_v2",                                           \
	  (uint64_t * base, size_t * bytes, uint64_t pointer))                                \
	X(pointer_attribute, "cuPointerGetAttribute",                                         \
	  (void *value, int attribute, uint64_t pointer))                                     \
	X(pointer_set, "cuPointerSetAttribute",                                               \
	  (const void *value, int attribute, uint64_t pointer))                               \
	X(range_handle, "cuMemGetHandleForAddressRange",                                      \
	  (void *handle, uint64_t pointer, size_t bytes, int type, unsigned long long flags)) \
	X(flush_writes, "cuFlushGPUDirectRDMAWrites", (int target, int scope))

struct fr_cuda {
#define FR_CUDA_MEMBER(member, symbol, arguments) int(*member) arguments;
	FR_CUDA_MAP(FR_CUDA_MEMBER)
#undef FR_CUDA_MEMBER
};

/* Values of the CUDA driver API (documentation of CUresult, CUdevice_attribute,
 * CUpointer_attribute, CUmemorytype, CUmemRangeHandleType, CUmemRangeFlags,
 * CUGPUDirectRDMAWritesOrdering and CUflushGPUDirectRDMAWrites*). */
enum {
	FR_CUDA_SUCCESS = 0,
	FR_CUDA_ERROR_INVALID_VALUE = 1,
	FR_CUDA_ERROR_OUT_OF_MEMORY = 2,
	FR_CUDA_ERROR_NOT_SUPPORTED = 801,

	FR_CUDA_DEVICE_INTEGRATED = 18,
	FR_CUDA_DEVICE_CAPABILITY_MAJOR = 75,
	FR_CUDA_DEVICE_CAPABILITY_MINOR = 76,
	FR_CUDA_DEVICE_PAGEABLE_USES_HOST_TABLES = 100, /* CPU and GPU share page tables: C2C */
	FR_CUDA_DEVICE_RDMA_SUPPORTED = 116,
	FR_CUDA_DEVICE_RDMA_FLUSH_OPTIONS = 117,
	FR_CUDA_DEVICE_RDMA_ORDERING = 118,
	FR_CUDA_DEVICE_DMA_BUF_SUPPORTED = 124,

	FR_CUDA_POINTER_CONTEXT = 1,
	FR_CUDA_POINTER_MEMORY_TYPE = 2,
	FR_CUDA_POINTER_SYNC_MEMOPS = 6,
	FR_CUDA_POINTER_BUFFER_ID = 7,
	FR_CUDA_POINTER_IS_MANAGED = 8,
	FR_CUDA_POINTER_DEVICE_ORDINAL = 9,

	FR_CUDA_MEMORY_DEVICE = 2,

	FR_CUDA_RANGE_DMA_BUF_FD = 1,
	FR_CUDA_RANGE_FLAG_PCIE = 1, /* since 12.8 */

	FR_CUDA_ORDERING_NONE = 0,
	FR_CUDA_ORDERING_OWNER = 100,

	FR_CUDA_FLUSH_OPTION_HOST = 1,
	FR_CUDA_FLUSH_TARGET_CURRENT = 0,
	FR_CUDA_FLUSH_TO_OWNER = 100,
};

/* fr_cuda_get - the table, opened and initialized on the first call; NULL and `why` where there
 * is no driver or no GPU.  Thread safe. */
const struct fr_cuda *fr_cuda_get(char *why, size_t why_bytes);
/* fr_cuda_in_use - the table if this process has the driver open already, else NULL: then no
 * pointer can be CUDA's. */
const struct fr_cuda *fr_cuda_in_use(void);
/* fr_cuda_replace - tests: this table from now on; NULL: the driver's again. */
void fr_cuda_replace(const struct fr_cuda *table);
/* fr_cuda_error - "error 700: an illegal memory access was encountered"; returns buf. */
char *fr_cuda_error(const struct fr_cuda *c, int error, char *buf, size_t bytes);

/* ---- blocks ---- */

/*
 * fr_gpu_block - describes [ptr, ptr + bytes) for fr_regions_add().
 *
 * Host memory, managed memory included, is FR_MEM_HOST.  GPU memory gets a dma-buf (dmabuf_fd,
 * dmabuf_offset) where the driver gives one, else dmabuf_fd is -1 for a plain registration by
 * nvidia-peermem.  FERRULE_GDR forces one way.  FERRULE_ERR_UNSUPPORTED and `why` when neither is
 * to be had: callers stage through host memory; FERRULE_ERR_ARGUMENT for a range that reaches
 * over the end of its allocation.
 *
 * End with fr_gpu_block_close() once it is registered: the registration does not need it.
 */
ferrule_status_t fr_gpu_block(const void *ptr, size_t bytes, struct fr_mem_block *out, char *why,
                              size_t why_bytes);
/* fr_gpu_block_fall_back - registering failed: makes the block one for the next way; false when
 * there is none, or FERRULE_GDR forbids it. */
bool fr_gpu_block_fall_back(struct fr_mem_block *block);
void fr_gpu_block_close(struct fr_mem_block *block);
/* fr_gpu_buffer_id - a number that no other allocation of this process has, so that a
 * registration is valid while it stays the same; 0 for memory that is not a GPU's. */
uint64_t fr_gpu_buffer_id(const void *ptr);

/* ---- memory, for tools and tests ---- */

/* fr_gpu_alloc - `bytes` on a device; the pointer is the device's. */
ferrule_status_t fr_gpu_alloc(int device, size_t bytes, void **out, char *why, size_t why_bytes);
void fr_gpu_free(int device, void *ptr);
/* fr_gpu_read, fr_gpu_write - copies to and from host memory; waits until done. */
ferrule_status_t fr_gpu_read(int device, void *host, const void *ptr, size_t bytes, char *why,
                             size_t why_bytes);
ferrule_status_t fr_gpu_write(int device, void *ptr, const void *host, size_t bytes, char *why,
                              size_t why_bytes);
/* fr_gpu_flush - what a network card wrote is visible to the GPU after this. */
ferrule_status_t fr_gpu_flush(int device, char *why, size_t why_bytes);

#endif

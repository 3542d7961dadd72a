/*
 * t_cuda.h - a CUDA driver without a GPU.
 *
 * Device memory is a memfd that is mapped, so that a "device pointer" is an address where tests
 * can look, and its dma-buf is that memfd.  Everything else follows the driver's manual as far
 * as Ferrule asks.  One device, number 0, in /sys at no place.
 */
#ifndef T_CUDA_H
#define T_CUDA_H

#include "lib/mem/gpu.h"

/* What it is like; all zero: a GPU that can do everything, and is asked as it should be. */
struct t_cuda_faults {
	bool no_dmabuf;        /* the device attribute says so */
	bool no_range_handle;  /* an old driver: the function is not there */
	bool no_flush;         /* the same */
	int export_error;      /* cuMemGetHandleForAddressRange returns it */
	int start_error;       /* cuInit returns it */
	bool is_coherent;      /* shares page tables with the processor; flag PCIE is refused */
	int n_devices_missing; /* 1: the driver sees no GPU */
};

/* t_cuda_begin - puts the driver in (fr_cuda_replace); t_cuda_end takes it out. */
void t_cuda_begin(struct t_cuda_faults faults);
/* How many allocations, contexts held and pushed, and dma-bufs asked for there are. */
struct t_cuda_counts {
	int n_allocations, n_contexts, n_pushed, n_exports, n_flushes, n_sync_memops;
};
struct t_cuda_counts t_cuda_count(void);
/* t_cuda_managed - `ptr` is managed memory from now on. */
void t_cuda_managed(const void *ptr);
void t_cuda_end(void);

#endif

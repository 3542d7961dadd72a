/*
 * standin_cuda.c - the driver of t_cuda.c as a library that programs open as libcuda.so.1.
 *
 *     LD_LIBRARY_PATH=tests/mem/cuda ferrule info
 *
 * STANDIN_CUDA_DMABUF=0 makes it one that gives no dma-bufs.
 */
#include "config.h"

#include <stdlib.h>

/* Its functions are static; a library has to give them the driver's names. */
#include "tests/mem/t_cuda.c"

#define EXPORT(member, symbol, arguments)                     \
	extern int standin_##member arguments __asm__(symbol) \
		__attribute__((alias(#member), visibility("default"), used));
FR_CUDA_MAP(EXPORT)
#undef EXPORT

/* There is nothing to replace: this is the driver. */
void fr_cuda_replace(const struct fr_cuda *table)
{
	(void)table;
}

__attribute__((constructor)) static void begin(void)
{
	const char *dmabuf = getenv("STANDIN_CUDA_DMABUF");

	t_cuda_begin((struct t_cuda_faults){.no_dmabuf = dmabuf && dmabuf[0] == '0'});
}

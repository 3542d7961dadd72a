/*
 * Memory of a GPU, on a driver whose GPU is a memfd.  What a real GPU does with all this has not
 * been tried.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/settings.h"
#include "lib/mem/gdr.h"
#include "lib/mem/gpu.h"
#include "tests/mem/t_cuda.h"
#include "tests/support/t_main.h"

#define BYTES 100000

static unsigned char *begin(struct t_cuda_faults faults)
{
	void *p = NULL;
	char why[200] = "";

	t_cuda_begin(faults);
	CU_ASSERT_EQUAL_FATAL(fr_gpu_alloc(0, BYTES, &p, why, sizeof(why)), FERRULE_OK);
	return p;
}

/* Nothing is left behind: no memory, no context, no descriptor. */
static void end(void *p)
{
	fr_gpu_free(0, p);
	CU_ASSERT_EQUAL(t_cuda_count().n_allocations, 0);
	CU_ASSERT_EQUAL(t_cuda_count().n_contexts, 0);
	CU_ASSERT_EQUAL(t_cuda_count().n_pushed, 0);
	t_cuda_end();
}

static void test_memory_is_taken_written_read_and_given_back(void)
{
	unsigned char *p = begin((struct t_cuda_faults){.no_dmabuf = false});
	static unsigned char in[BYTES], out[BYTES];
	char why[200] = "";
	void *other = NULL;

	for (int i = 0; i < BYTES; i++)
		in[i] = (unsigned char)(i * 7);
	CU_ASSERT_EQUAL(fr_gpu_write(0, p, in, BYTES, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_gpu_read(0, out, p, BYTES, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_EQUAL(memcmp(in, out, BYTES), 0);
	CU_ASSERT_EQUAL(fr_gpu_flush(0, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_EQUAL(t_cuda_count().n_flushes, 1);
	CU_ASSERT_EQUAL(t_cuda_count().n_contexts, 1); /* kept by the memory */
	CU_ASSERT_EQUAL(fr_gpu_alloc(1, BYTES, &other, why, sizeof(why)), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "GPU 1: there are 1"));
	CU_ASSERT_EQUAL(fr_gpu_alloc(0, SIZE_MAX, &other, why, sizeof(why)), FERRULE_ERR_NO_MEMORY);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "out of memory"));
	CU_ASSERT_PTR_NULL(other);
	fr_gpu_free(0, NULL);
	end(p);
}

static void test_a_block_of_gpu_memory_comes_with_its_dma_buf(void)
{
	unsigned char *p = begin((struct t_cuda_faults){.no_dmabuf = false});
	struct fr_mem_block block;
	char why[200] = "";

	p[1234] = 77;
	CU_ASSERT_EQUAL_FATAL(fr_gpu_block(p + 1000, 5000, &block, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_EQUAL(block.kind, FR_MEM_CUDA);
	CU_ASSERT_EQUAL(block.device, 0);
	CU_ASSERT_PTR_EQUAL(block.base, p + 1000);
	CU_ASSERT_EQUAL(block.bytes, 5000);
	CU_ASSERT_TRUE_FATAL(block.dmabuf_fd >= 0);
	CU_ASSERT_EQUAL(block.dmabuf_offset, 1000);
	/* The descriptor is of that memory. */
	const unsigned char *map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, block.dmabuf_fd, 0);

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(map, MAP_FAILED);
	CU_ASSERT_EQUAL(map[block.dmabuf_offset + 234], 77);
	munmap((void *)map, 8192);
	CU_ASSERT_EQUAL(t_cuda_count().n_sync_memops, 1);
	const int fd = block.dmabuf_fd;
	struct stat status;

	fr_gpu_block_close(&block);
	CU_ASSERT_EQUAL(block.dmabuf_fd, -1);
	CU_ASSERT_NOT_EQUAL(fstat(fd, &status), 0);
	fr_gpu_block_close(&block); /* again: nothing to do */
	end(p);
}

static void test_host_and_managed_memory_is_host_memory(void)
{
	unsigned char *p = begin((struct t_cuda_faults){.no_dmabuf = false});
	struct fr_mem_block block;
	int here[4];
	char why[200] = "";

	CU_ASSERT_EQUAL(fr_gpu_block(here, sizeof(here), &block, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_TRUE(block.kind == FR_MEM_HOST && block.device == -1 && block.dmabuf_fd == -1);
	CU_ASSERT_EQUAL(fr_gpu_buffer_id(here), 0);
	t_cuda_managed(p);
	CU_ASSERT_EQUAL(fr_gpu_block(p, 100, &block, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_TRUE(block.kind == FR_MEM_HOST && block.dmabuf_fd == -1);
	CU_ASSERT_EQUAL(t_cuda_count().n_exports, 0);
	end(p);
	/* And without any driver. */
	CU_ASSERT_EQUAL(fr_gpu_block(here, sizeof(here), &block, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_EQUAL(block.kind, FR_MEM_HOST);
}

static void test_a_range_over_the_end_of_its_allocation_is_refused(void)
{
	unsigned char *p = begin((struct t_cuda_faults){.no_dmabuf = false});
	struct fr_mem_block block = {.bytes = 1};
	char why[200] = "";

	CU_ASSERT_EQUAL(fr_gpu_block(p + 1, BYTES, &block, why, sizeof(why)), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "reach over the end"));
	CU_ASSERT_EQUAL(fr_gpu_block(p + 1, SIZE_MAX, &block, why, sizeof(why)),
	                FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(block.bytes, 1); /* untouched */
	end(p);
}

/* Without the module this machine cannot have loaded, nothing is left but staging. */
static void expect_staged(struct t_cuda_faults faults, const char *reason)
{
	unsigned char *p = begin(faults);
	struct fr_mem_block block;
	char why[300] = "";

	CU_ASSERT_EQUAL(fr_gpu_block(p, BYTES, &block, why, sizeof(why)), FERRULE_ERR_UNSUPPORTED);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, reason));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "staged through host memory"));
	end(p);
}

static void test_without_a_way_the_reasons_are_named(void)
{
	if (fr_gdr_has_peermem("/sys")) {
		t_skip("nvidia_peermem is loaded here");
		return;
	}
	expect_staged((struct t_cuda_faults){.no_dmabuf = true}, "its driver gives no dma-buf");
	expect_staged((struct t_cuda_faults){.no_range_handle = true},
	              "its driver gives no dma-buf");
	expect_staged((struct t_cuda_faults){.export_error = FR_CUDA_ERROR_NOT_SUPPORTED},
	              "CUDA error 801: operation not supported, and the module nvidia_peermem");
	expect_staged((struct t_cuda_faults){.export_error = 12345}, "CUDA error 12345: unknown");
}

static void test_a_coherent_gpu_is_asked_for_pcie_first(void)
{
	unsigned char *p = begin((struct t_cuda_faults){.is_coherent = true});
	struct fr_mem_block block;
	char why[200] = "";

	CU_ASSERT_EQUAL(fr_gpu_block(p, BYTES, &block, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_TRUE(block.dmabuf_fd >= 0);
	CU_ASSERT_FALSE(!fr_gdr_has_peermem("/sys") && fr_gpu_block_fall_back(&block));
	fr_gpu_block_close(&block);
	end(p);
}

static void test_a_buffer_id_is_new_after_free(void)
{
	unsigned char *p = begin((struct t_cuda_faults){.no_dmabuf = false});
	const uint64_t before = fr_gpu_buffer_id(p + 50);
	char why[200] = "";
	void *q = NULL;

	CU_ASSERT_NOT_EQUAL(before, 0);
	CU_ASSERT_EQUAL(fr_gpu_buffer_id(p), before);
	fr_gpu_free(0, p);
	CU_ASSERT_EQUAL(fr_gpu_alloc(0, BYTES, &q, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_NOT_EQUAL(fr_gpu_buffer_id(q), before);
	end(q);
}

static void test_a_driver_that_does_not_start_says_why(void)
{
	char why[300] = "";
	struct fr_gdr_pair pair = {.capability = 0};
	void *p = NULL;

	t_cuda_begin((struct t_cuda_faults){.start_error = FR_CUDA_ERROR_NOT_SUPPORTED});
	CU_ASSERT_PTR_NULL(fr_cuda_get(why, sizeof(why)));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "does not start: CUDA error 801"));
	CU_ASSERT_EQUAL(fr_gpu_alloc(0, 1, &p, why, sizeof(why)), FERRULE_ERR_UNSUPPORTED);
	t_cuda_begin((struct t_cuda_faults){.n_devices_missing = 1});
	CU_ASSERT_FALSE(fr_gdr_ask_gpu("/sys", 0, &pair, why, sizeof(why)));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "sees no GPU"));
	t_cuda_end();
}

static void test_what_the_driver_says_becomes_a_pair(void)
{
	unsigned char *p = begin((struct t_cuda_faults){.no_dmabuf = false});
	struct fr_gdr_pair pair = {.capability = 0};
	struct fr_gdr_decision d;
	char why[200] = "";

	CU_ASSERT_TRUE(fr_gdr_ask_gpu("/sys", 0, &pair, why, sizeof(why)));
	CU_ASSERT_STRING_EQUAL(pair.gpu.name, "memfd");
	CU_ASSERT_EQUAL(pair.capability, 90);
	CU_ASSERT_TRUE(pair.gpu_rdma == FR_YES && pair.gpu_dmabuf == FR_YES);
	CU_ASSERT_TRUE(pair.is_coherent == FR_NO && pair.can_flush == FR_YES);
	CU_ASSERT_EQUAL(pair.ordering, FR_CUDA_ORDERING_NONE);
	CU_ASSERT_FALSE(fr_gdr_ask_gpu("/sys", 1, &pair, why, sizeof(why)));
	CU_ASSERT_STRING_EQUAL(why, "");
	CU_ASSERT_TRUE(fr_gdr_for(0, "nocard0", FR_YES, &d, why, sizeof(why)));
	CU_ASSERT_EQUAL(d.way, FR_GDR_STAGED);
	CU_ASSERT_EQUAL(d.distance, FR_GDR_NO_DEVICE);
	CU_ASSERT_FALSE(fr_gdr_for(1, "nocard0", FR_YES, &d, why, sizeof(why)));
	end(p);
}

/* ---- FERRULE_GDR is read once a process, so each value gets one ---- */

static void in_child(const char *gdr, void (*f)(unsigned char *p))
{
	const unsigned failed_before = t_failures();
	const pid_t child = fork();

	if (child == 0) {
		setenv("FERRULE_GDR", gdr, 1);
		CU_ASSERT_EQUAL(fr_settings_load(), FERRULE_OK);
		unsigned char *p = begin((struct t_cuda_faults){.no_dmabuf = false});

		f(p);
		end(p);
		_exit(t_failures() != failed_before);
	}
	int status = -1;

	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forced_peermem(unsigned char *p)
{
	struct fr_mem_block block;
	char why[200] = "";

	CU_ASSERT_EQUAL(fr_gpu_block(p, BYTES, &block, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_TRUE(block.kind == FR_MEM_CUDA && block.dmabuf_fd == -1);
	CU_ASSERT_FALSE(fr_gpu_block_fall_back(&block));
	CU_ASSERT_EQUAL(t_cuda_count().n_exports, 0);
}

static void forced_staged(unsigned char *p)
{
	struct fr_mem_block block;
	char why[200] = "";

	CU_ASSERT_EQUAL(fr_gpu_block(p, BYTES, &block, why, sizeof(why)), FERRULE_ERR_UNSUPPORTED);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "FERRULE_GDR=staged"));
}

static void forced_dmabuf(unsigned char *p)
{
	struct fr_mem_block block;
	char why[300] = "";

	CU_ASSERT_EQUAL(fr_gpu_block(p, BYTES, &block, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_TRUE(block.dmabuf_fd >= 0);
	CU_ASSERT_FALSE(fr_gpu_block_fall_back(&block));
	fr_gpu_block_close(&block);
	/* The stand-in exports only from an allocation's beginning. */
	CU_ASSERT_EQUAL(fr_gpu_block(p + 8192, 10, &block, why, sizeof(why)),
	                FERRULE_ERR_UNSUPPORTED);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "FERRULE_GDR=dmabuf allows nothing else"));
}

static void test_the_setting_forces_one_way(void)
{
	in_child("peermem", forced_peermem);
	in_child("staged", forced_staged);
	in_child("dmabuf", forced_dmabuf);
}

int main(void)
{
	static const struct t_case cases[] = {
		/* Before this process has read the setting itself. */
		{"the setting forces one way", test_the_setting_forces_one_way},
		{"memory is taken, written, read and given back",
	         test_memory_is_taken_written_read_and_given_back},
		{"a block of GPU memory comes with its dma-buf",
	         test_a_block_of_gpu_memory_comes_with_its_dma_buf},
		{"host and managed memory is host memory",
	         test_host_and_managed_memory_is_host_memory},
		{"a range over the end of its allocation is refused",
	         test_a_range_over_the_end_of_its_allocation_is_refused},
		{"without a way the reasons are named", test_without_a_way_the_reasons_are_named},
		{"a coherent GPU is asked for PCIe first",
	         test_a_coherent_gpu_is_asked_for_pcie_first},
		{"a buffer id is new after free", test_a_buffer_id_is_new_after_free},
		{"a driver that does not start says why",
	         test_a_driver_that_does_not_start_says_why},
		{"what the driver says becomes a pair", test_what_the_driver_says_becomes_a_pair},
		{NULL, NULL},
	};
	return t_main("mem/gpu", cases);
}

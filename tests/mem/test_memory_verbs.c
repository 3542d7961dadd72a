/* User memory and the cache below collectives over verbs, on the stand-in device. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/comm/comm.h"
#include "lib/comm/handle.h"
#include "lib/mem/gpu.h"
#include "lib/mem/region.h"
#include "lib/mem/region_watch.h"
#include "lib/transport/transport.h"
#include "lib/transport/verbs/verbs.h"
#include "tests/api/t_job.h"
#include "tests/mem/t_cuda.h"
#include "tests/support/t_main.h"

#define STANDIN "tests/support/standin/libstandin.so"
#define N_LOOPS 60
#define COUNT   150000 /* int32: several pieces, well above FERRULE_IB_ZERO_COPY */

/* False, and the case is skipped, where there is nothing to run on. */
static bool is_ready(void)
{
	if (access(STANDIN, R_OK) == 0)
		return true;
	t_skip("%s is not built", STANDIN);
	return false;
}

/* Asks in a child: this process has one thread only when it forks ranks, as a program should. */
static bool can_watch(void)
{
	int status = -1;
	const pid_t child = fork();

	if (child == 0) {
		char why[200];

		_exit(fr_watch_get(why, sizeof(why)) == NULL);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static struct fr_region_counts regions_of(struct t_job_rank *r)
{
	struct fr_region_counts n = {.n_hits = 0};

	for (int t = 0; t < fr_comm_of(r->comm)->n_transports; t++)
		if (strcmp(fr_comm_of(r->comm)->transports[t]->ops->name, "verbs") == 0)
			fr_regions_count(fr_vb_of(fr_comm_of(r->comm)->transports[t])->regions, &n);
	return n;
}

static int32_t *fresh(struct t_job_rank *r)
{
	void *p = mmap(NULL, COUNT * sizeof(int32_t), PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	t_check(r, p != MAP_FAILED);
	return p;
}

/* Fills, sums over the ranks and compares. */
static void sum(struct t_job_rank *r, int32_t *in, int32_t *out, int loop)
{
	int n_wrong = 0;

	for (int i = 0; i < COUNT; i++)
		in[i] = i % 1000 + loop + r->rank;
	t_ok(r, ferrule_allreduce(r->comm, in, out, COUNT, FERRULE_INT32, FERRULE_SUM));
	for (int i = 0; i < COUNT; i++)
		n_wrong += out[i] != r->n * (i % 1000 + loop) + r->n * (r->n - 1) / 2;
	t_check(r, n_wrong == 0);
}

/* ---- the cache ---- */

static void use_fresh_memory(struct t_job_rank *r)
{
	const size_t bytes = COUNT * sizeof(int32_t);

	for (int loop = 0; loop < N_LOOPS; loop++) {
		int32_t *in = fresh(r), *out = fresh(r);

		sum(r, in, out, loop);
		sum(r, in, out, loop + 1);
		if (loop % 3 == 0) { /* other pages below the same addresses */
			madvise(in, bytes, MADV_DONTNEED);
			madvise(out, bytes, MADV_DONTNEED);
			sum(r, in, out, loop + 2);
		}
		munmap(in, bytes);
		munmap(out, bytes);
	}
	const struct fr_region_counts n = regions_of(r);

	t_check(r, n.n_hits > 0 && n.n_misses >= N_LOOPS);
	t_check(r, n.n_invalidated >= N_LOOPS);
	t_ok(r, ferrule_barrier(r->comm));
}

static void test_memory_that_comes_and_goes_is_summed_right_through_the_cache(void)
{
	/* The stand-in's way of pinning would put pages of a file below the buffers. */
	static const char *const settings[] = {"FERRULE_VERBS_LIBRARY=" STANDIN, "STANDIN_SHARE=0",
	                                       "FERRULE_MR_CACHE=1", NULL};

	if (!is_ready())
		return;
	if (!can_watch()) {
		t_skip("the kernel does not let this process watch its memory: userfaultfd(2)");
		return;
	}
	t_job(2, "verbs", settings, use_fresh_memory, NULL);
	t_job(3, "verbs", settings, use_fresh_memory, NULL);
}

/* ---- explicit ---- */

static void register_own_memory(struct t_job_rank *r)
{
	const size_t bytes = COUNT * sizeof(int32_t);
	int32_t *in = fresh(r), *out = fresh(r);
	void *given = NULL;

	t_ok(r, ferrule_mem_register(r->comm, in, bytes));
	t_ok(r, ferrule_mem_register(r->comm, in, bytes));
	t_ok(r, ferrule_mem_register(r->comm, out, bytes));
	t_ok(r, ferrule_mem_alloc(r->comm, bytes, &given));
	t_check(r, regions_of(r).n_explicit == 3 && regions_of(r).bytes == 3 * bytes);
	for (int loop = 0; loop < 5; loop++) {
		sum(r, in, out, loop);
		sum(r, given, out, loop);
	}
	t_check(r, regions_of(r).n_hits > 0);
	t_ok(r, ferrule_barrier(r->comm));
	t_ok(r, ferrule_mem_free(r->comm, given));
	t_ok(r, ferrule_mem_deregister(r->comm, in));
	t_check(r, regions_of(r).n_explicit == 2);
	t_ok(r, ferrule_mem_deregister(r->comm, in));
	t_ok(r, ferrule_mem_deregister(r->comm, out));
	t_check(r, regions_of(r).n_explicit == 0 && regions_of(r).bytes == 0);
	/* And it goes on, copied. */
	sum(r, in, out, 77);
	munmap(in, bytes);
	munmap(out, bytes);
	t_ok(r, ferrule_barrier(r->comm));
}

static void test_registered_memory_is_used_in_place_and_given_up(void)
{
	static const char *const settings[] = {"FERRULE_VERBS_LIBRARY=" STANDIN, NULL};

	if (is_ready())
		t_job(2, "verbs", settings, register_own_memory, NULL);
}

static void register_too_much(struct t_job_rank *r)
{
	const size_t bytes = (size_t)64 << 20;
	char *p = malloc(bytes);

	t_check(r, p != NULL);
	t_fails(r, ferrule_mem_register(r->comm, p, bytes), FERRULE_ERR_NO_MEMORY);
	t_says(r, "ptr: verbs cannot register 67108864 bytes");
	t_check(r, regions_of(r).n_explicit == 0);
	t_fails(r, ferrule_mem_deregister(r->comm, p), FERRULE_ERR_ARGUMENT);
	free(p);
	t_ok(r, ferrule_barrier(r->comm));
}

static void test_a_limit_is_an_error_that_names_it_and_leaves_nothing(void)
{
	static const char *const settings[] = {"FERRULE_VERBS_LIBRARY=" STANDIN,
	                                       "STANDIN_MEMLOCK=33554432", NULL};

	if (is_ready())
		t_job(2, "verbs", settings, register_too_much, NULL);
}

/* ---- GPU memory, which is a memfd here ---- */

static void register_gpu_memory(struct t_job_rank *r)
{
	const size_t bytes = (size_t)1 << 20;
	char why[200] = "";
	void *p = NULL;

	t_cuda_begin(*(const struct t_cuda_faults *)r->arg);
	t_check(r, fr_gpu_alloc(0, bytes, &p, why, sizeof(why)) == FERRULE_OK);
	if (((const struct t_cuda_faults *)r->arg)->no_dmabuf) {
		t_fails(r, ferrule_mem_register(r->comm, p, bytes), FERRULE_ERR_UNSUPPORTED);
		t_says(r, "GPU 0: its driver gives no dma-buf");
	} else {
		t_ok(r, ferrule_mem_register(r->comm, p, bytes));
		t_check(r, regions_of(r).n_explicit == 1 && t_cuda_count().n_exports == 1);
		t_ok(r, ferrule_mem_deregister(r->comm, p));
	}
	t_check(r, regions_of(r).n_explicit == 0);
	t_ok(r, ferrule_barrier(r->comm));
	fr_gpu_free(0, p);
	t_cuda_end();
}

static void test_gpu_memory_is_registered_by_dma_buf_or_refused(void)
{
	/* Forced, because the stand-in has no place in a PCIe tree to judge by. */
	static const char *const settings[] = {"FERRULE_VERBS_LIBRARY=" STANDIN,
	                                       "FERRULE_GDR=dmabuf", NULL};
	struct t_cuda_faults none = {.no_dmabuf = false}, no_dmabuf = {.no_dmabuf = true};

	if (!is_ready())
		return;
	t_job(2, "verbs", settings, register_gpu_memory, &none);
	t_job(2, "verbs", settings, register_gpu_memory, &no_dmabuf);
}

int main(void)
{
	/* A namespace of this run's own. */
	char name[32];

	snprintf(name, sizeof(name), "memory-%d", (int)getpid());
	setenv("STANDIN_NAMESPACE", name, 1);
	static const struct t_case cases[] = {
		{"memory that comes and goes is summed right through the cache",
	         test_memory_that_comes_and_goes_is_summed_right_through_the_cache},
		{"registered memory is used in place and given up",
	         test_registered_memory_is_used_in_place_and_given_up},
		{"a limit is an error that names it and leaves nothing",
	         test_a_limit_is_an_error_that_names_it_and_leaves_nothing},
		{"GPU memory is registered by dma-buf or refused",
	         test_gpu_memory_is_registered_by_dma_buf_or_refused},
		{NULL, NULL},
	};
	return t_main("mem/memory_verbs", cases);
}

/*
 * standin_reach.c - moving bytes between this process's memory and another's.
 *
 * What of a registration lies in its owner's memory file is mapped here when it is first used,
 * and stays mapped as long as its key lives, or a little longer.
 */
#include "tests/support/standin/standin_local.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* Mappings of more than this are filled as they are touched. */
#define POPULATE_BYTES ((uint64_t)64 << 20)
#define SWEEP_EVERY    64

/* A registration of another process, mapped here; base NULL: it cannot be. */
struct import {
	_Atomic uint32_t key; /* stored last */
	char *base;           /* of its byte `begin` */
	void *mapped;
	size_t mapped_bytes;
};

static struct import imports[STANDIN_MRS];
static pthread_mutex_t imports_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t n_imports;

static void import_drop(struct import *im)
{
	if (im->mapped != NULL)
		munmap(im->mapped, im->mapped_bytes);
	im->mapped = NULL;
	im->base = NULL;
	atomic_store(&im->key, 0);
}

/* Nobody uses a mapping whose key is gone: who deregisters waits for those who do. */
static void import_sweep(const struct standin_table *t)
{
	for (uint32_t i = 0; i < STANDIN_MRS; i++)
		if (imports[i].key != 0 && imports[i].key != t->mrs[i].key)
			import_drop(&imports[i]);
}

static void import_map(struct import *im, const struct standin_mr *mr, int pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, mr->fd);
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	const uint64_t first = mr->file_at & ~(uint64_t)(STANDIN_PAGE - 1);
	const uint64_t bytes = mr->end - mr->begin + (mr->file_at - first);
	const int populate = bytes <= POPULATE_BYTES ? MAP_POPULATE : 0;
	void *p =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | populate, fd, (off_t)first);
	close(fd);
	if (p == MAP_FAILED)
		return;
	im->mapped = p;
	im->mapped_bytes = bytes;
	im->base = (char *)p + (mr->file_at - first);
}

static const struct import *import_get(const struct standin_mr *mr)
{
	struct standin_table *t = standin_self.table;
	struct import *im = &imports[mr - t->mrs];
	const uint32_t key = atomic_load_explicit(&mr->key, memory_order_relaxed);
	if (atomic_load_explicit(&im->key, memory_order_acquire) == key)
		return im;
	pthread_mutex_lock(&imports_lock);
	if (im->key != key) {
		import_drop(im);
		if (++n_imports % SWEEP_EVERY == 0)
			import_sweep(t);
		import_map(im, mr, (int)t->procs[mr->owner].pid);
		atomic_store_explicit(&im->key, key, memory_order_release);
	}
	pthread_mutex_unlock(&imports_lock);
	return im;
}

void standin_reach_after_fork(void)
{
	pthread_mutex_init(&imports_lock, NULL);
}

/*
 * What a device does to memory is not seen by the program's race detector either, whose memmove
 * would see it: with it, the C library's own is used.  Other checkers are welcome to look.
 */
typedef void *copy_function(void *, const void *, size_t);
static copy_function *copy = memmove;

void standin_reach_begin(void)
{
	if (dlsym(RTLD_DEFAULT, "__tsan_init") == NULL)
		return;
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	void *found = libc != NULL ? dlsym(libc, "memmove") : NULL;
	if (found != NULL)
		memcpy(&copy, &found, sizeof copy);
}

/* reach_call - by system call; `is_out`: from here to there. */
static bool reach_call(int pid, char *mine, uint64_t theirs, uint64_t bytes, bool is_out)
{
	while (bytes > 0) {
		const size_t part = bytes < (1u << 30) ? (size_t)bytes : 1u << 30;
		const struct iovec local = {mine, part};
		const struct iovec remote = {(void *)(uintptr_t)theirs, part};
		const ssize_t n = is_out ? process_vm_writev(pid, &local, 1, &remote, 1, 0)
		                         : process_vm_readv(pid, &local, 1, &remote, 1, 0);
		if (n <= 0)
			return false;
		mine += n;
		theirs += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return true;
}

/*
 * reach_step - one part of a copy that is all mapped or all not; returns its bytes, 0 when
 * memory is gone.  `at` counts from the begin of the registration.
 */
static uint64_t reach_step(const struct standin_mr *mr, uint64_t at, char *mine, uint64_t bytes,
                           bool is_out)
{
	if (at >= mr->begin && at < mr->end) {
		const uint64_t n = bytes < mr->end - at ? bytes : mr->end - at;
		const struct import *im = import_get(mr);
		if (im->base != NULL && is_out)
			copy(im->base + (at - mr->begin), mine, n);
		else if (im->base != NULL)
			copy(mine, im->base + (at - mr->begin), n);
		if (im->base != NULL)
			return n;
	}
	uint64_t n = bytes;
	if (at < mr->begin && n > mr->begin - at)
		n = mr->begin - at;
	const int pid = (int)standin_self.table->procs[mr->owner].pid;
	return reach_call(pid, mine, mr->addr + at, n, is_out) ? n : 0;
}

static bool is_mine(const struct standin_span *s)
{
	return s->mr == NULL || s->mr->owner == standin_self.slot;
}

bool standin_copy(const struct standin_span *to, const struct standin_span *from, uint64_t bytes)
{
	char *const to_here = (void *)(uintptr_t)to->address;
	char *const from_here = (void *)(uintptr_t)from->address;
	const bool is_out = is_mine(from);
	if (is_mine(to) && is_out) {
		copy(to_here, from_here, bytes);
		return true;
	}
	const struct standin_span *there = is_out ? to : from;
	char *mine = is_out ? from_here : to_here;
	uint64_t at = there->address - there->mr->addr;
	while (bytes > 0) {
		const uint64_t n = reach_step(there->mr, at, mine, bytes, is_out);
		if (n == 0)
			return false;
		at += n;
		mine += n;
		bytes -= n;
	}
	return true;
}

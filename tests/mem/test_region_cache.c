/*
 * Memory that is registered on first use: unmapped, remapped, moved, discarded and forked under
 * the cache.
 *
 * The stand-in device notes at attach what the memory's first word holds.  Every mapping gets
 * another word, so a handle whose note differs from what the memory holds is a stale one: a
 * device would write to pages that no longer belong to the address.
 */
#include "config.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/mem/region_cache.h"
#include "lib/mem/region_watch.h"
#include "tests/mem/t_device.h"
#include "tests/support/t_main.h"
#include "tests/support/t_sanitizer.h"

#define PAGE ((size_t)4096)

/* ThreadSanitizer ends a process that was forked by one with threads and starts one itself. */
#define CHILD_HAS_THREADS (!T_THREAD_SANITIZER)

/* What the device noted when it pinned the pages. */
static uint64_t first_word(const struct fr_mem_block *block)
{
	return *(volatile uint64_t *)block->base;
}

struct bench {
	struct t_device device;
	struct fr_cache *cache;
};

/* False, and the case is skipped, where the kernel does not let memory be watched. */
static bool begin(struct bench *b, size_t n_regions, size_t bytes)
{
	char why[200] = "";

	*b = (struct bench){.device = {.stamp = first_word}};
	if (!fr_watch_get(why, sizeof(why))) {
		t_skip("%s", why);
		return false;
	}
	b->cache = fr_cache_create(&t_device_ops, &b->device,
	                           (struct fr_cache_limits){n_regions, bytes}, why, sizeof(why));
	CU_ASSERT_PTR_NOT_NULL_FATAL(b->cache);
	return true;
}

static void end(struct bench *b)
{
	fr_cache_destroy(b->cache);
	CU_ASSERT_EQUAL(b->device.n_attached, b->device.n_detached);
}

static const struct t_handle *find(struct bench *b, const void *at, size_t bytes)
{
	return fr_cache_find(b->cache, at, bytes);
}

/* Touched pages whose first words hold `word`; at `where` when that is not NULL. */
static unsigned char *map(void *where, size_t n_pages, uint64_t word)
{
	unsigned char *p = mmap(where, n_pages * PAGE, PROT_READ | PROT_WRITE,
	                        MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(p, MAP_FAILED);
	for (size_t i = 0; i < n_pages; i++)
		memcpy(p + i * PAGE, &word, sizeof(word));
	return p;
}

static uint64_t n_invalidated(const struct bench *b)
{
	struct fr_region_counts n = {.n_hits = 0};

	fr_cache_count(b->cache, &n);
	return n.n_invalidated;
}

static void test_first_use_attaches_whole_pages_and_later_uses_find_them(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 4, 1);
	const struct t_handle *h = find(&b, p + PAGE + 100, PAGE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_EQUAL(h->base, (uintptr_t)p + PAGE);
	CU_ASSERT_EQUAL(h->bytes, 2 * PAGE);
	CU_ASSERT_PTR_EQUAL(find(&b, p + PAGE + 100, PAGE), h);
	CU_ASSERT_PTR_EQUAL(find(&b, p + PAGE, 2 * PAGE), h);
	CU_ASSERT_EQUAL(b.device.n_attached, 1);
	CU_ASSERT_PTR_NOT_EQUAL(find(&b, p, 2 * PAGE), h);
	CU_ASSERT_EQUAL(b.device.n_attached, 2);
	munmap(p, 4 * PAGE);
	end(&b);
}

static void test_unmapped_memory_is_forgotten_and_not_found(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 4, 1);

	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 4 * PAGE));
	munmap(p + 3 * PAGE, PAGE); /* one page of it is enough */
	CU_ASSERT_PTR_NULL(find(&b, p, 4 * PAGE));
	CU_ASSERT_EQUAL(n_invalidated(&b), 1);
	CU_ASSERT_EQUAL(b.device.n_detached, 0); /* the device may still be at it */
	fr_cache_settle(b.cache);
	CU_ASSERT_EQUAL(b.device.n_detached, 1);
	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 3 * PAGE));
	munmap(p, 3 * PAGE);
	end(&b);
}

static void test_memory_mapped_anew_at_the_same_address_is_attached_anew(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 4, 1);

	for (uint64_t word = 2; word < 200; word++) {
		const struct t_handle *h = find(&b, p, 4 * PAGE);

		CU_ASSERT_PTR_NOT_NULL_FATAL(h);
		CU_ASSERT_EQUAL(h->stamp, word - 1);
		if (word % 2) /* replaced in one call, or in two */
			munmap(p, 4 * PAGE);
		CU_ASSERT_PTR_EQUAL(map(p, 4, word), p);
		fr_cache_settle(b.cache);
	}
	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 4 * PAGE));
	CU_ASSERT_EQUAL(n_invalidated(&b), 198);
	munmap(p, 4 * PAGE);
	end(&b);
}

static void test_moved_memory_is_forgotten_at_both_places(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 4, 1), *q = map(NULL, 4, 2);

	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 4 * PAGE));
	CU_ASSERT_PTR_NOT_NULL(find(&b, q, 4 * PAGE));
	CU_ASSERT_PTR_EQUAL(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q), q);
	const struct t_handle *h = find(&b, q, 4 * PAGE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_EQUAL(h->stamp, 1);
	CU_ASSERT_PTR_NULL(find(&b, p, PAGE));
	CU_ASSERT_EQUAL(n_invalidated(&b), 2);
	/* Still watched where it is now. */
	map(q, 4, 3);
	h = find(&b, q, 4 * PAGE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_EQUAL(h->stamp, 3);
	munmap(q, 4 * PAGE);
	end(&b);
}

static void test_discarded_pages_are_attached_anew(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 4, 7);

	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 4 * PAGE));
	madvise(p, 4 * PAGE, MADV_DONTNEED);
	const struct t_handle *h = find(&b, p, 4 * PAGE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_EQUAL(h->stamp, 0); /* fresh pages are zero */
	CU_ASSERT_EQUAL(n_invalidated(&b), 1);
	CU_ASSERT_EQUAL(b.device.n_attached, 2);
	munmap(p, 4 * PAGE);
	end(&b);
}

static void test_heap_that_is_trimmed_is_forgotten(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = sbrk((intptr_t)(8 * PAGE));

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(p, (void *)-1);
	memset(p, 5, 8 * PAGE);
	CU_ASSERT_PTR_NOT_NULL(find(&b, p + 4 * PAGE, 3 * PAGE));
	CU_ASSERT_PTR_NOT_EQUAL(sbrk(-(intptr_t)(8 * PAGE)), (void *)-1);
	CU_ASSERT_PTR_NOT_EQUAL(sbrk((intptr_t)(8 * PAGE)), (void *)-1);
	const struct t_handle *h = find(&b, p + 4 * PAGE, 3 * PAGE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_EQUAL(h->stamp, 0);
	CU_ASSERT_EQUAL(n_invalidated(&b), 1);
	end(&b);
}

static void test_buffers_that_share_pages_are_kept_apart(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 8, 1);
	const struct t_handle *low = find(&b, p + 10, 3 * PAGE);
	const struct t_handle *high = find(&b, p + 3 * PAGE + 10, 3 * PAGE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(low);
	CU_ASSERT_PTR_NOT_NULL_FATAL(high);
	CU_ASSERT_PTR_NOT_EQUAL(low, high);
	CU_ASSERT_PTR_EQUAL(find(&b, p + 10, 3 * PAGE), low);
	CU_ASSERT_PTR_EQUAL(find(&b, p + 3 * PAGE + 10, 3 * PAGE), high);
	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 8 * PAGE));
	CU_ASSERT_EQUAL(b.device.n_attached, 3);
	/* A page of the lower and the whole one; the higher one stays. */
	madvise(p + PAGE, PAGE, MADV_DONTNEED);
	CU_ASSERT_PTR_EQUAL(find(&b, p + 3 * PAGE + 10, 3 * PAGE), high);
	CU_ASSERT_EQUAL(n_invalidated(&b), 2);
	munmap(p, 8 * PAGE);
	end(&b);
}

static void test_the_least_recently_used_makes_room(void)
{
	struct bench b;

	if (!begin(&b, 3, 100 * PAGE))
		return;
	unsigned char *p = map(NULL, 16, 1);

	CU_ASSERT_PTR_NOT_NULL(find(&b, p, PAGE));
	const struct t_handle *second = find(&b, p + 2 * PAGE, PAGE);

	CU_ASSERT_PTR_NOT_NULL(find(&b, p + 4 * PAGE, PAGE));
	CU_ASSERT_PTR_NOT_NULL(find(&b, p, PAGE));
	/* Room is made at once, but used only when the device is through with what was there. */
	CU_ASSERT_PTR_NULL(find(&b, p + 6 * PAGE, PAGE));
	CU_ASSERT_EQUAL(b.device.n_detached, 0);
	fr_cache_settle(b.cache);
	CU_ASSERT_EQUAL(b.device.n_detached, 1);
	CU_ASSERT_PTR_NOT_NULL(find(&b, p + 6 * PAGE, PAGE));
	CU_ASSERT_EQUAL(b.device.n_attached, 4);
	CU_ASSERT_PTR_NOT_NULL(find(&b, p, PAGE));
	CU_ASSERT_PTR_NOT_NULL(find(&b, p + 4 * PAGE, PAGE));
	CU_ASSERT_EQUAL(b.device.n_attached, 4);
	CU_ASSERT_PTR_NULL(find(&b, p + 2 * PAGE, PAGE));
	(void)second;
	munmap(p, 16 * PAGE);
	end(&b);
}

static void test_bytes_are_bounded_too(void)
{
	struct bench b;

	if (!begin(&b, 100, 8 * PAGE))
		return;
	unsigned char *p = map(NULL, 16, 1);

	CU_ASSERT_PTR_NULL(find(&b, p, 9 * PAGE));
	CU_ASSERT_EQUAL(b.device.n_attached, 0);
	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 5 * PAGE));
	CU_ASSERT_PTR_NOT_NULL(find(&b, p + 5 * PAGE, 3 * PAGE));
	CU_ASSERT_PTR_NULL(find(&b, p + 8 * PAGE, PAGE));
	fr_cache_settle(b.cache);
	CU_ASSERT_PTR_NOT_NULL(find(&b, p + 8 * PAGE, 5 * PAGE));
	struct fr_region_counts n = {.n_hits = 0};

	fr_cache_count(b.cache, &n);
	CU_ASSERT_EQUAL(n.bytes, 8 * PAGE);
	CU_ASSERT_EQUAL(n.n_cached, 2);
	munmap(p, 16 * PAGE);
	end(&b);
}

static void test_memory_that_others_could_take_away_is_not_cached(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *shared =
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned char *p = map(NULL, 4, 1);
	static const char program[] = "static pages of a file";

	CU_ASSERT_PTR_NULL(find(&b, shared, 4 * PAGE)); /* not touched before the attach */
	memset(shared, 1, 4 * PAGE);
	CU_ASSERT_PTR_NULL(find(&b, shared, 4 * PAGE));
	CU_ASSERT_PTR_NULL(find(&b, program, sizeof(program)));
	munmap(p, 4 * PAGE);
	CU_ASSERT_PTR_NULL(find(&b, p, 4 * PAGE));
	CU_ASSERT_PTR_NULL(find(&b, NULL, PAGE));
	CU_ASSERT_PTR_NULL(find(&b, p, 0));
	CU_ASSERT_PTR_NULL(find(&b, p, SIZE_MAX));
	CU_ASSERT_PTR_NULL(find(&b, (void *)(UINTPTR_MAX - PAGE), PAGE));
	munmap(shared, 4 * PAGE);
	end(&b);
}

static void test_after_a_failed_attach_the_device_is_left_in_peace(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 4, 1);

	b.device.fail_at = 1;
	CU_ASSERT_PTR_NULL(find(&b, p, PAGE));
	CU_ASSERT_PTR_NULL(find(&b, p, PAGE));
	CU_ASSERT_EQUAL(b.device.n_attached, 0);
	int n_tries = 0;

	while (!find(&b, p, PAGE) && n_tries < 1000)
		n_tries++;
	CU_ASSERT_TRUE(n_tries > 10 && n_tries < 1000);
	munmap(p, 4 * PAGE);
	end(&b);
}

static void test_a_device_with_a_lower_limit_gets_room_all_the_same(void)
{
	struct bench b;
	int n_tries = 0;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 16, 1);

	b.device.limit = 8 * PAGE;
	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 2 * PAGE));
	CU_ASSERT_PTR_NOT_NULL(find(&b, p + 2 * PAGE, 3 * PAGE));
	CU_ASSERT_PTR_NULL(find(&b, p + 8 * PAGE, 5 * PAGE));
	fr_cache_settle(b.cache);
	while (!find(&b, p + 8 * PAGE, 5 * PAGE) && n_tries < 1000)
		n_tries++;
	CU_ASSERT_TRUE(n_tries < 1000);
	munmap(p, 16 * PAGE);
	end(&b);
}

/* ---- fork ---- */

/* Forks; the child notes how many assertions had failed before it. */
static unsigned failed_before;

static pid_t start_child(void)
{
	failed_before = t_failures();
	return fork();
}

/* Ends the calling child; its own assertions become the exit status. */
static void leave(void)
{
	_exit(t_failures() != failed_before);
}

static void expect_success(pid_t child)
{
	int status = -1;

	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* It may begin its own; that does not bring the inherited one back to life. */
static void child_begins_its_own(struct bench *b, unsigned char *p)
{
	struct bench own;

	CU_ASSERT_TRUE(begin(&own, 16, 1 << 20));
	CU_ASSERT_PTR_NOT_NULL(find(&own, p, 4 * PAGE));
	CU_ASSERT_PTR_NULL(find(b, p, 4 * PAGE));
	munmap(p, 4 * PAGE);
	CU_ASSERT_PTR_NULL(find(&own, p, 4 * PAGE));
	end(&own);
}

static void child_uses_nothing_of(struct bench *b, unsigned char *p)
{
	const int n_attached = b->device.n_attached;

	CU_ASSERT_PTR_NULL(find(b, p, 4 * PAGE));
	if (CHILD_HAS_THREADS)
		child_begins_its_own(b, p);
	fr_cache_settle(b->cache);
	fr_cache_destroy(b->cache);
	CU_ASSERT_EQUAL(b->device.n_attached, n_attached);
	CU_ASSERT_EQUAL(b->device.n_detached, 0);
	leave();
}

static void test_a_forked_child_uses_nothing_and_the_parent_goes_on(void)
{
	struct bench b;

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 4, 1);
	const struct t_handle *h = find(&b, p, 4 * PAGE);

	CU_ASSERT_PTR_NOT_NULL(h);
	const pid_t child = start_child();

	if (child == 0)
		child_uses_nothing_of(&b, p);
	CU_ASSERT_PTR_EQUAL(find(&b, p, 4 * PAGE), h);
	expect_success(child);
	CU_ASSERT_PTR_EQUAL(find(&b, p, 4 * PAGE), h);
	munmap(p, 4 * PAGE);
	CU_ASSERT_PTR_NULL(find(&b, p, 4 * PAGE));
	end(&b);
}

static void test_a_child_that_lives_on_does_not_hold_up_the_parent(void)
{
	struct bench b;
	int hold[2];

	if (!begin(&b, 16, 1 << 20))
		return;
	unsigned char *p = map(NULL, 4, 1);

	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 4 * PAGE));
	CU_ASSERT_EQUAL_FATAL(pipe(hold), 0);
	const pid_t child = start_child();

	if (child == 0) {
		char byte;

		close(hold[1]);
		CU_ASSERT_EQUAL(read(hold[0], &byte, 1), 0); /* until the parent closes */
		leave();
	}
	end(&b);
	/* The pages are still watched, and the child has a copy of the descriptor. */
	madvise(p, PAGE, MADV_DONTNEED);
	munmap(p, 4 * PAGE);
	close(hold[0]);
	close(hold[1]);
	expect_success(child);
}

/* As programs do that close all descriptors they do not know. */
static void child_closes_everything(void)
{
	struct bench b;
	unsigned char *p = map(NULL, 4, 1);

	CU_ASSERT_TRUE(begin(&b, 16, 1 << 20));
	CU_ASSERT_PTR_NOT_NULL(find(&b, p, 4 * PAGE));
	CU_ASSERT_EQUAL(syscall(SYS_close_range, 3u, ~0u, 0u), 0);
	CU_ASSERT_PTR_NULL(find(&b, p, 4 * PAGE));
	munmap(p, 4 * PAGE);
	map(p, 4, 2);
	CU_ASSERT_PTR_NULL(find(&b, p, 4 * PAGE));
	end(&b);
	leave();
}

static void test_nothing_is_found_once_the_descriptor_was_closed(void)
{
	char why[200] = "";

	if (!CHILD_HAS_THREADS || !fr_watch_get(why, sizeof(why))) {
		t_skip("%s", CHILD_HAS_THREADS ? why : "ThreadSanitizer");
		return;
	}
	const pid_t child = start_child();

	if (child == 0)
		child_closes_everything();
	expect_success(child);
}

/* ---- no userfaultfd ---- */

/* From now on userfaultfd fails in this process as it does in most containers. */
static bool forbid_userfaultfd(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = rules};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void use_regions_without_userfaultfd(unsigned char *p)
{
	struct t_device d = {.n_attached = 0};
	const struct fr_mem_block block = {.base = p, .bytes = PAGE, .device = -1, .dmabuf_fd = -1};
	char why[200] = "";

	for (int again = 0; again < 2; again++) {
		struct fr_regions *r = NULL;

		CU_ASSERT_EQUAL(fr_regions_create(&t_device_ops, &d, true, &r, why, sizeof(why)),
		                FERRULE_OK);
		CU_ASSERT_PTR_NULL(fr_regions_find(r, p, PAGE));
		CU_ASSERT_EQUAL(fr_regions_add(r, &block, why, sizeof(why)), FERRULE_OK);
		CU_ASSERT_PTR_NOT_NULL(fr_regions_find(r, p, PAGE));
		fr_regions_destroy(r);
	}
	CU_ASSERT_TRUE(d.n_attached == 2 && d.n_detached == 2);
}

static void test_without_userfaultfd_the_cache_is_off_and_says_so_once(void)
{
	int log[2];
	char text[1000] = "";
	size_t n = 0;
	ssize_t bytes;
	unsigned char *p = map(NULL, 1, 1);

	CU_ASSERT_EQUAL_FATAL(pipe(log), 0);
	const pid_t child = start_child();

	if (child == 0) {
		dup2(log[1], STDERR_FILENO);
		CU_ASSERT_TRUE(forbid_userfaultfd());
		use_regions_without_userfaultfd(p);
		leave();
	}
	close(log[1]);
	while ((bytes = read(log[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)bytes;
	close(log[0]);
	expect_success(child);
	const char *said = strstr(text, "FERRULE_MR_CACHE=1 has no effect");

	CU_ASSERT_PTR_NOT_NULL_FATAL(said);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "userfaultfd: Operation not permitted"));
	CU_ASSERT_PTR_NULL(strstr(said + 1, "FERRULE_MR_CACHE"));
	munmap(p, PAGE);
}

/* ---- through the whole table ---- */

static void test_explicit_regions_go_before_cached_ones(void)
{
	struct t_device d = {.stamp = first_word};
	struct fr_regions *r = NULL;
	struct fr_region_counts n;
	char why[200] = "";

	if (!fr_watch_get(why, sizeof(why))) {
		t_skip("%s", why);
		return;
	}
	CU_ASSERT_EQUAL_FATAL(fr_regions_create(&t_device_ops, &d, true, &r, why, sizeof(why)),
	                      FERRULE_OK);
	unsigned char *p = map(NULL, 4, 1);
	const struct fr_mem_block block = {
		.base = p + 8, .bytes = 2 * PAGE, .device = -1, .dmabuf_fd = -1};
	const struct t_handle *cached = fr_regions_find(r, p + 8, PAGE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(cached);
	CU_ASSERT_EQUAL(fr_regions_add(r, &block, why, sizeof(why)), FERRULE_OK);
	const struct t_handle *h = fr_regions_find(r, p + 8, PAGE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_EQUAL(h->base, (uintptr_t)p + 8);
	CU_ASSERT_PTR_EQUAL(fr_regions_find(r, p, PAGE), cached);
	fr_regions_count(r, &n);
	CU_ASSERT_EQUAL(n.n_explicit, 1);
	munmap(p, 4 * PAGE);
	fr_regions_settle(r);
	fr_regions_destroy(r);
	CU_ASSERT_EQUAL(d.n_attached, d.n_detached);
}

/* ---- random calls against a model ---- */

#define N_PAGES  64
#define N_ROUNDS 10000

/* Each page's first word while it is mapped, as the test wrote it; 0: not mapped. */
static uint64_t words[N_PAGES];
static unsigned char *arena;

/* The sum over the pages of a range, in which every word counts differently. */
static uint64_t sum_of(uintptr_t base, size_t bytes)
{
	uint64_t sum = 0;

	for (size_t i = (base - (uintptr_t)arena) / PAGE, n = bytes / PAGE; n > 0; i++, n--)
		sum = sum * 1000003 + words[i];
	return sum;
}

static uint64_t stamp_of_words(const struct fr_mem_block *block)
{
	return sum_of((uintptr_t)block->base, block->bytes);
}

static bool are_mapped(size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++)
		if (!words[i])
			return false;
	return true;
}

static void change_pages(unsigned *seed, size_t first, size_t n, uint64_t word)
{
	unsigned char *p = arena + first * PAGE;

	switch (rand_r(seed) % 4) {
	case 0: /* gone, but nobody else is to be given the place */
		mmap(p, n * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		word = 0;
		break;
	case 1: /* others take the place */
		map(p, n, word);
		break;
	case 2: /* others move here */
		mremap(map(NULL, n, word), n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p);
		break;
	default:
		if (!are_mapped(first, n))
			return;
		madvise(p, n * PAGE, MADV_DONTNEED);
		for (size_t i = 0; i < n; i++)
			memcpy(p + i * PAGE, &word, sizeof(word));
	}
	for (size_t i = first; i < first + n; i++)
		words[i] = word;
}

static void find_pages(struct bench *b, size_t first, size_t n)
{
	const struct t_handle *h = find(b, arena + first * PAGE + 16, n * PAGE - 16);

	if (!h)
		return;
	CU_ASSERT_TRUE(h->base <= (uintptr_t)arena + first * PAGE);
	CU_ASSERT_TRUE(h->base + h->bytes >= (uintptr_t)arena + (first + n) * PAGE);
	CU_ASSERT_EQUAL(h->stamp, sum_of(h->base, h->bytes));
}

static void test_random_changes_agree_with_a_model(void)
{
	struct bench b;
	unsigned seed = 20;
	struct fr_region_counts n = {.n_hits = 0};

	if (!begin(&b, 24, 48 * PAGE))
		return;
	b.device.stamp = stamp_of_words;
	arena = map(NULL, N_PAGES, 1);
	for (size_t i = 0; i < N_PAGES; i++)
		words[i] = 1;
	for (uint64_t round = 2; round < N_ROUNDS; round++) {
		const size_t first = (size_t)rand_r(&seed) % N_PAGES;
		size_t pages = 1 + (size_t)rand_r(&seed) % 8;

		if (pages > N_PAGES - first)
			pages = N_PAGES - first;
		const int what = rand_r(&seed) % 16;

		if (what == 0)
			change_pages(&seed, first, pages, round);
		else if (what == 1)
			fr_cache_settle(b.cache);
		else
			find_pages(&b, first, pages);
	}
	fr_cache_count(b.cache, &n);
	CU_ASSERT_TRUE(n.n_hits > 100 && n.n_misses > 100 && n.n_invalidated > 100);
	munmap(arena, N_PAGES * PAGE);
	end(&b);
}

/* ---- another thread unmaps ---- */

#define RACE_NS 700000000ULL

/* One place that hands a mapping to the thread that unmaps it, without waiting for it. */
static _Atomic(unsigned char *) to_unmap;
static atomic_bool is_over;

static void *unmap_thread(void *nothing)
{
	while (!atomic_load(&is_over) || atomic_load(&to_unmap)) {
		unsigned char *p = atomic_exchange(&to_unmap, NULL);

		if (p)
			munmap(p, 4 * PAGE);
		else
			sched_yield();
	}
	return nothing;
}

static void test_a_thread_that_unmaps_never_leaves_a_stale_handle(void)
{
	struct bench b;
	pthread_t thread;
	uint64_t n_found = 0, n_stale = 0, n_same_place = 0, word = 0;
	unsigned char *before = NULL;

	if (!begin(&b, 64, 1 << 20))
		return;
	atomic_store(&is_over, false);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, unmap_thread, NULL), 0);
	for (const uint64_t stop = fr_clock_ns() + RACE_NS; fr_clock_ns() < stop;) {
		/* The kernel likes to give the place that has just become free. */
		unsigned char *p = map(NULL, 4, ++word);
		const struct t_handle *h = find(&b, p, 4 * PAGE);

		n_found += h != NULL;
		n_stale += h && h->stamp != word;
		n_same_place += p == before;
		before = p;
		fr_cache_settle(b.cache);
		while (atomic_load(&to_unmap))
			sched_yield();
		atomic_store(&to_unmap, p);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	printf("      %llu mappings, %llu at the place of the one before, %llu found\n",
	       (unsigned long long)word, (unsigned long long)n_same_place,
	       (unsigned long long)n_found);
	CU_ASSERT_EQUAL(n_stale, 0);
	CU_ASSERT_TRUE(n_found > 0);
	end(&b);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"first use attaches whole pages and later uses find them",
	         test_first_use_attaches_whole_pages_and_later_uses_find_them},
		{"unmapped memory is forgotten and not found",
	         test_unmapped_memory_is_forgotten_and_not_found},
		{"memory mapped anew at the same address is attached anew",
	         test_memory_mapped_anew_at_the_same_address_is_attached_anew},
		{"moved memory is forgotten at both places",
	         test_moved_memory_is_forgotten_at_both_places},
		{"discarded pages are attached anew", test_discarded_pages_are_attached_anew},
		{"heap that is trimmed is forgotten", test_heap_that_is_trimmed_is_forgotten},
		{"buffers that share pages are kept apart",
	         test_buffers_that_share_pages_are_kept_apart},
		{"the least recently used makes room", test_the_least_recently_used_makes_room},
		{"bytes are bounded too", test_bytes_are_bounded_too},
		{"memory that others could take away is not cached",
	         test_memory_that_others_could_take_away_is_not_cached},
		{"after a failed attach the device is left in peace",
	         test_after_a_failed_attach_the_device_is_left_in_peace},
		{"a device with a lower limit gets room all the same",
	         test_a_device_with_a_lower_limit_gets_room_all_the_same},
		{"a forked child uses nothing and the parent goes on",
	         test_a_forked_child_uses_nothing_and_the_parent_goes_on},
		{"a child that lives on does not hold up the parent",
	         test_a_child_that_lives_on_does_not_hold_up_the_parent},
		{"nothing is found once the descriptor was closed",
	         test_nothing_is_found_once_the_descriptor_was_closed},
		{"without userfaultfd the cache is off and says so once",
	         test_without_userfaultfd_the_cache_is_off_and_says_so_once},
		{"explicit regions go before cached ones",
	         test_explicit_regions_go_before_cached_ones},
		{"random changes agree with a model", test_random_changes_agree_with_a_model},
		{"a thread that unmaps never leaves a stale handle",
	         test_a_thread_that_unmaps_never_leaves_a_stale_handle},
		{NULL, NULL},
	};
	return t_main("mem/region_cache", cases);
}

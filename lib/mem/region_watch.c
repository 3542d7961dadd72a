#include "config.h"

#include "lib/mem/region_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/descriptors.h"
#include "lib/base/log.h"

/* Changes the log holds; who looks more seldom takes everything for changed. */
#define N_LOGGED 1024
/* Reports read at once. */
#define N_MESSAGES 16
/* Entries of /proc/self/pagemap read at once, and the bit of a page that is not private. */
#define N_PAGES        512
#define PAGE_IS_SHARED (1ULL << 61)

/* A page that a forked child finds empty (MADV_WIPEONFORK). */
struct turn_page {
	_Atomic uint64_t turn; /* odd while the monitor reads */
};

struct fr_watch {
	int fd;
	int pagemap;
	uint64_t epoch;
	struct turn_page *page;
	pthread_mutex_t lock; /* guards the log; held by the monitor from before it reads */
	uint64_t n_logged;
	struct fr_watch_range log[N_LOGGED];
};

/* The process's one watch: see the header. */
static struct {
	pthread_mutex_t lock;
	bool is_running;
	bool has_said; /* why there is none */
	struct fr_watch watch;
} the_watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void log_range(struct fr_watch *w, uint64_t begin, uint64_t end)
{
	w->log[w->n_logged++ % N_LOGGED] = (struct fr_watch_range){begin, end};
}

static void log_message(struct fr_watch *w, const struct uffd_msg *m)
{
	if (m->event == UFFD_EVENT_UNMAP || m->event == UFFD_EVENT_REMOVE) {
		log_range(w, m->arg.remove.start, m->arg.remove.end);
	} else if (m->event == UFFD_EVENT_REMAP) {
		/* The new place is news too: somebody may have registered it already. */
		const uint64_t bytes = m->arg.remap.len;

		log_range(w, m->arg.remap.from, m->arg.remap.from + bytes);
		log_range(w, m->arg.remap.to, m->arg.remap.to + bytes);
	}
}

static void *monitor(void *argument)
{
	struct fr_watch *w = argument;
	struct uffd_msg messages[N_MESSAGES];

	for (;;) {
		struct pollfd p = {.fd = w->fd, .events = POLLIN};

		/* No deadline: it waits for what may never happen, and nobody waits for it. */
		if (poll(&p, 1, -1) < 0 ? errno != EINTR : !(p.revents & POLLIN))
			return NULL; /* somebody closed the descriptor: see fr_watch_is_quiet() */
		pthread_mutex_lock(&w->lock);
		/* Before the read: that is what lets the changing thread go on. */
		atomic_fetch_add_explicit(&w->page->turn, 1, memory_order_seq_cst);
		const ssize_t bytes = read(w->fd, messages, sizeof(messages));

		for (ssize_t i = 0; i < bytes / (ssize_t)sizeof(messages[0]); i++)
			log_message(w, &messages[i]);
		atomic_fetch_add_explicit(&w->page->turn, 1, memory_order_release);
		pthread_mutex_unlock(&w->lock);
	}
}

/* A descriptor with the events that are needed; -1 and `why`. */
static int open_descriptor(char *why, size_t why_bytes)
{
	/* The right to hold up the kernel's own page faults is not needed.  Kernels before 5.11
	 * do not know how to give less. */
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	fr_fd_own(fd);
	if (fd < 0) {
		snprintf(why, why_bytes, "userfaultfd: %s%s", strerror(errno),
		         errno == EPERM ? " (a container's seccomp rules forbid it by default)"
		                        : "");
		return -1;
	}
	struct uffdio_api api = {.api = UFFD_API,
	                         .features = UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMOVE |
	                                     UFFD_FEATURE_EVENT_REMAP |
	                                     UFFD_FEATURE_PAGEFAULT_FLAG_WP};

	if (ioctl(fd, UFFDIO_API, &api) == 0)
		return fd;
	snprintf(why, why_bytes,
	         "userfaultfd: this kernel does not report unmapping, or has no "
	         "write-protect mode: %s",
	         strerror(errno));
	fr_fd_close(fd);
	return -1;
}

/* A page with turn 2, or NULL: even, and not the 0 that a child finds. */
static struct turn_page *open_page(void)
{
	const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	struct turn_page *page =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
		munmap(page, bytes);
		return NULL;
	}
	atomic_store(&page->turn, 2);
	return page;
}

/* A small thread that no signal of the application's is delivered to. */
static int start_monitor(struct fr_watch *w)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;
	const size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
	const size_t stack = least > 65536 ? least : 65536;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, stack);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int error = pthread_create(&thread, &attributes, monitor, w);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (error == 0)
		pthread_setname_np(thread, "ferrule-watch");
	return error;
}

static bool start(struct fr_watch *w, char *why, size_t why_bytes)
{
	w->n_logged = 0;
	w->epoch++;
	pthread_mutex_init(&w->lock, NULL);
	w->fd = open_descriptor(why, why_bytes);
	if (w->fd < 0)
		return false;
	w->pagemap = fr_fd_own(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	if (w->pagemap < 0) {
		snprintf(why, why_bytes, "cannot open /proc/self/pagemap: %s", strerror(errno));
		goto err_close;
	}
	w->page = open_page();
	if (!w->page) {
		snprintf(why, why_bytes, "no page that forked children find empty: %s",
		         strerror(errno));
		goto err_close_pagemap;
	}
	const int error = start_monitor(w);

	if (error == 0)
		return true;
	snprintf(why, why_bytes, "no thread to watch memory: %s", strerror(error));
	munmap(w->page, (size_t)sysconf(_SC_PAGESIZE));
err_close_pagemap:
	fr_fd_close(w->pagemap);
err_close:
	fr_fd_close(w->fd);
	return false;
}

struct fr_watch *fr_watch_get(char *why, size_t why_bytes)
{
	struct fr_watch *w = &the_watch.watch;

	pthread_mutex_lock(&the_watch.lock);
	if (the_watch.is_running && fr_watch_turn(w) == 0) {
		/* A forked child: what it inherited is its parent's, and closed already. */
		munmap(w->page, (size_t)sysconf(_SC_PAGESIZE));
		the_watch.is_running = false;
	}
	if (!the_watch.is_running)
		the_watch.is_running = start(w, why, why_bytes);
	if (!the_watch.is_running && !the_watch.has_said) {
		the_watch.has_said = true;
		fr_log(FR_LOG_WARNING,
		       "FERRULE_MR_CACHE=1 has no effect, memory that was not registered is "
		       "copied: %s",
		       why);
	}
	if (!the_watch.is_running)
		w = NULL;
	pthread_mutex_unlock(&the_watch.lock);
	return w;
}

bool fr_watch_add(struct fr_watch *w, uintptr_t base, size_t bytes)
{
	struct uffdio_register range = {.range = {.start = base, .len = bytes},
	                                .mode = UFFDIO_REGISTER_MODE_WP};

	return ioctl(w->fd, UFFDIO_REGISTER, &range) == 0;
}

bool fr_watch_is_private(struct fr_watch *w, uintptr_t base, size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t entries[N_PAGES];

	for (size_t at = base / page, end = (base + bytes) / page; at < end; at += N_PAGES) {
		const size_t n = end - at < N_PAGES ? end - at : N_PAGES;
		const size_t wanted = n * sizeof(entries[0]);

		if (pread(w->pagemap, entries, wanted, (off_t)(at * sizeof(entries[0]))) !=
		    (ssize_t)wanted)
			return false;
		for (size_t i = 0; i < n; i++)
			if (entries[i] & PAGE_IS_SHARED)
				return false;
	}
	return true;
}

uint64_t fr_watch_epoch(const struct fr_watch *w)
{
	return w->epoch;
}

bool fr_watch_is_quiet(struct fr_watch *w)
{
	/* An empty range is invalid, which is said only after the look at changes under way.  Any
	 * other answer means that the descriptor is not what it was: a program that closes all it
	 * does not know, for one. */
	struct uffdio_writeprotect nothing = {.mode = 0};
	const bool is_quiet = ioctl(w->fd, UFFDIO_WRITEPROTECT, &nothing) != 0 && errno == EINVAL;

	/* What the answer rests on was written before the turn is read. */
	atomic_thread_fence(memory_order_seq_cst);
	return is_quiet;
}

uint64_t fr_watch_turn(const struct fr_watch *w)
{
	return atomic_load_explicit(&w->page->turn, memory_order_acquire);
}

uint64_t fr_watch_cursor(struct fr_watch *w)
{
	pthread_mutex_lock(&w->lock);
	const uint64_t cursor = w->n_logged;

	pthread_mutex_unlock(&w->lock);
	return cursor;
}

int fr_watch_news(struct fr_watch *w, uint64_t *cursor, struct fr_watch_range *out, int max,
                  uint64_t *turn_out)
{
	int n = 0;

	pthread_mutex_lock(&w->lock);
	if (w->n_logged - *cursor > N_LOGGED) {
		n = -1;
		*cursor = w->n_logged;
	}
	while (*cursor < w->n_logged && n < max && n >= 0)
		out[n++] = w->log[(*cursor)++ % N_LOGGED];
	*turn_out = fr_watch_turn(w);
	pthread_mutex_unlock(&w->lock);
	return n;
}

/*
 * standin_pin.c - registered pages in a memory file.
 *
 * Design: a registration's private anonymous pages are copied into a new part of the file, which
 * is then mapped over them (mremap replaces in one step).  File offsets are never used twice; a
 * part that is given up becomes a hole.  /proc/self/maps says what lies at an address now, since
 * a program may unmap, move and map again as it likes: then the file keeps the old pages, which
 * is what pinned pages do.
 *
 * With the last registration of a part its pages become private again, as they were.
 *
 * Memory that a userfaultfd watches is left alone, since who watches it would be told that it was
 * unmapped, which no device does.
 */
#include "tests/support/standin/standin_pin.h"
#include "tests/support/standin/standin_local.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define PARTS_MAX STANDIN_MRS

/* A stretch of the file, and where it was mapped when it was made. */
struct part {
	uint64_t addr, bytes, file_at;
	uint32_t n_users;
};

static struct {
	pthread_mutex_t lock;
	int fd, pid; /* of the file; of the process that made it */
	ino_t inode;
	uint64_t file_end;
	uint32_t n_parts;
	struct part parts[PARTS_MAX];
	int fork_pipe[2];
} pins = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .fork_pipe = {-1, -1}};

/* ---- what lies where ---- */

enum area_kind { AREA_OTHER, AREA_PRIVATE, AREA_PINNED };

struct area {
	uint64_t begin, end, file_at;
	enum area_kind kind;
	int prot;
};

/* area_parse - a line of /proc/self/maps. */
static bool area_parse(const char *line, struct area *a)
{
	unsigned long begin, end, offset, inode;
	unsigned major, minor;
	char perms[8], path[64] = "";
	if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %63s", &begin, &end, perms, &offset, &major,
	           &minor, &inode, path) < 7)
		return false;
	*a = (struct area){begin, end, offset, AREA_OTHER, 0};
	a->prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0);
	const bool is_ours =
		inode != 0 && inode == pins.inode && strncmp(path, "/memfd:standin", 14) == 0;
	if (is_ours && perms[3] == 's')
		a->kind = AREA_PINNED;
	/* The stack grows, so it stays as it is. */
	else if (inode == 0 && strncmp(perms, "rw-p", 4) == 0 && strncmp(path, "[stack", 6) != 0 &&
	         strncmp(path, "[v", 2) != 0)
		a->kind = AREA_PRIVATE;
	return true;
}

/* areas_walk - calls fn for each area that has a part in [begin, end), in order, until it says
 * false.  Uses no heap: it also runs in a child after fork. */
static void areas_walk(uint64_t begin, uint64_t end, bool (*fn)(const struct area *, void *),
                       void *arg)
{
	static char buf[16384]; /* under pins.lock */
	const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;
	bool goes_on = fd >= 0;
	while (goes_on && (n = read(fd, buf + have, sizeof buf - 1 - have)) > 0) {
		have += (size_t)n;
		buf[have] = '\0';
		char *line = buf, *newline;
		while (goes_on && (newline = strchr(line, '\n')) != NULL) {
			struct area a;
			*newline = '\0';
			if (area_parse(line, &a) && a.end > begin)
				goes_on = a.begin < end && fn(&a, arg);
			line = newline + 1;
		}
		have = strlen(line);
		memmove(buf, line, have);
	}
	if (fd >= 0)
		close(fd);
}

/* pages_copy - whole pages, whatever lies in them.  A sanitizer's memcpy would object to memory
 * that is not the program's just now, so the compiler must not make this one. */
static void pages_copy(void *to, const void *from, size_t bytes)
{
	uint64_t *out = to;
	const uint64_t *in = from;
	for (size_t i = 0; i < bytes / sizeof *out; i++) {
		out[i] = in[i];
		__asm__ volatile("" ::: "memory");
	}
}

/* ---- parts ---- */

static struct part *part_find(uint64_t file_at, uint64_t bytes)
{
	for (uint32_t i = 0; i < pins.n_parts; i++) {
		struct part *p = &pins.parts[i];
		if (file_at >= p->file_at && file_at + bytes <= p->file_at + p->bytes)
			return p;
	}
	return NULL;
}

/* restore_area - what of a part is still mapped, as private memory again. */
static bool restore_area(const struct area *a, void *arg)
{
	const struct part *p = arg;
	if (a->kind != AREA_PINNED || a->file_at + (a->end - a->begin) <= p->file_at ||
	    a->file_at >= p->file_at + p->bytes)
		return true;
	const uint64_t skip = a->file_at < p->file_at ? p->file_at - a->file_at : 0;
	const uint64_t from = a->begin + skip;
	uint64_t bytes = a->end - from;
	const uint64_t left = p->file_at + p->bytes - (a->file_at + skip);
	bytes = bytes < left ? bytes : left;
	void *copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED)
		return true;
	if (a->prot & PROT_READ)
		pages_copy(copy, (void *)from, bytes);
	mprotect(copy, bytes, a->prot);
	mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)from);
	return true;
}

/* Looks at all areas: the program may have moved its pages. */
static void part_give_up(struct part *p)
{
	areas_walk(0, UINT64_MAX, restore_area, p);
	fallocate(pins.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)p->file_at,
	          (off_t)p->bytes);
	*p = pins.parts[--pins.n_parts];
}

/* ---- pinning ---- */

/* What a range consists of. */
struct survey {
	uint64_t at, end; /* all up to `at` is known */
	bool is_private, is_pinned;
	uint64_t file_at; /* of the first page, when pinned */
};

static bool survey_area(const struct area *a, void *arg)
{
	struct survey *s = arg;
	if (a->begin > s->at)
		return false; /* a hole */
	const uint64_t file_at = a->file_at + (s->at - a->begin);
	if (s->file_at == UINT64_MAX)
		s->file_at = file_at;
	s->is_private = s->is_private && a->kind == AREA_PRIVATE;
	s->is_pinned = s->is_pinned && a->kind == AREA_PINNED &&
	               a->prot == (PROT_READ | PROT_WRITE) && a->begin <= s->end &&
	               s->file_at != UINT64_MAX;
	s->at = a->end;
	return a->end < s->end;
}

static struct survey survey(uint64_t first, uint64_t end)
{
	struct survey s = {first, end, true, true, UINT64_MAX};
	areas_walk(first, end, survey_area, &s);
	if (s.at < end)
		s.is_private = s.is_pinned = false;
	return s;
}

/* file_open - this process's file; a forked child makes its own. */
static bool file_open(void)
{
	if (pins.fd >= 0)
		return true;
	struct stat st;
	const int fd = memfd_create("standin", MFD_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return false;
	pins.fd = fd;
	pins.inode = st.st_ino;
	pins.file_end = 0;
	standin_self.me->pin_fd = fd;
	return true;
}

/* part_make - moves the pages into the file; NULL when there is no memory for it. */
static struct part *part_make(uint64_t first, uint64_t bytes)
{
	const uint64_t file_at = pins.file_end;
	if (pins.n_parts == PARTS_MAX || ftruncate(pins.fd, (off_t)(file_at + bytes)) != 0)
		return NULL;
	void *copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, pins.fd,
	                  (off_t)file_at);
	if (copy == MAP_FAILED)
		return NULL;
	pages_copy(copy, (void *)first, bytes);
	if (mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)first) ==
	    MAP_FAILED) {
		munmap(copy, bytes);
		return NULL;
	}
	pins.file_end += bytes;
	struct part *p = &pins.parts[pins.n_parts++];
	*p = (struct part){first, bytes, file_at, 0};
	return p;
}

/* is_watched - has somebody else's userfaultfd a part of the range?  Asked by wanting it too. */
static bool is_watched(uint64_t first, uint64_t bytes)
{
	const int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return false; /* then nobody has */
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
	struct uffdio_register want = {.range = {.start = first, .len = bytes},
	                               .mode = UFFDIO_REGISTER_MODE_WP};
	const bool is_busy = ioctl(fd, UFFDIO_API, &api) == 0 &&
	                     ioctl(fd, UFFDIO_REGISTER, &want) != 0 && errno == EBUSY;
	close(fd); /* and gives it back */
	return is_busy;
}

static struct part *part_for(uint64_t first, uint64_t end, uint64_t *file_at_out)
{
	const struct survey s = survey(first, end);
	struct part *p = NULL;
	if (s.is_pinned)
		p = part_find(s.file_at, end - first);
	else if (s.is_private && !is_watched(first, end - first))
		p = part_make(first, end - first);
	if (p != NULL)
		*file_at_out = s.is_pinned ? s.file_at : p->file_at;
	return p;
}

void standin_pin(void *addr, size_t bytes, struct standin_pinned *out)
{
	const uint64_t at = (uintptr_t)addr, mask = STANDIN_PAGE - 1;
	const uint64_t first = (at + mask) & ~mask, end = (at + bytes) & ~mask;
	*out = (struct standin_pinned){0, 0, 0, -1};
	if (!standin_self.config.is_sharing || end <= first)
		return;
	pthread_mutex_lock(&pins.lock);
	uint64_t file_at = 0;
	struct part *p = file_open() ? part_for(first, end, &file_at) : NULL;
	if (p != NULL) {
		p->n_users++;
		*out = (struct standin_pinned){first - at, end - at, file_at, pins.fd};
	}
	pthread_mutex_unlock(&pins.lock);
}

void standin_unpin(const struct standin_pinned *pinned)
{
	if (pinned->begin == pinned->end)
		return;
	pthread_mutex_lock(&pins.lock);
	struct part *p = part_find(pinned->file_at, pinned->end - pinned->begin);
	if (p != NULL && --p->n_users == 0)
		part_give_up(p);
	pthread_mutex_unlock(&pins.lock);
}

/* ---- fork ---- */

void standin_pin_before_fork(void)
{
	pthread_mutex_lock(&pins.lock);
	if (pins.n_parts != 0 && pipe2(pins.fork_pipe, O_CLOEXEC) != 0)
		pins.fork_pipe[0] = pins.fork_pipe[1] = -1;
}

/* child_copy - all that was pinned in the parent is private here. */
static void child_copy(void)
{
	struct part all = {0, pins.file_end, 0, 0};
	areas_walk(0, UINT64_MAX, restore_area, &all);
	close(pins.fd);
	pins.fd = -1;
	pins.inode = 0;
	pins.n_parts = 0;
}

void standin_pin_after_fork(int is_child)
{
	int *pipe = pins.fork_pipe;
	if (is_child && pins.n_parts != 0)
		child_copy();
	if (pipe[0] >= 0) {
		close(pipe[1]); /* the child's last one makes the parent's end read as ended */
		if (!is_child)
			poll(&(struct pollfd){.fd = pipe[0], .events = POLLIN}, 1, 10000);
		close(pipe[0]);
		pipe[0] = pipe[1] = -1;
	}
	pthread_mutex_unlock(&pins.lock);
}

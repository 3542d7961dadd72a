/* standin_table.c - the shared table: opening, locks, arena, processes that come and die. */
#include "tests/support/standin/standin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TABLE_BYTES (sizeof(struct standin_table) + (size_t)STANDIN_ARENA_PAGES * STANDIN_PAGE)

/* Bytes of the file that locks are on: one for coming and going, one to live in. */
enum { GATE_BYTE, LIFE_BYTE };

/* Locks of the open file, not of the process: a change from one kind to the other is atomic, a
 * child that was forked holds it too, and a killed process loses it. */
static int file_lock(int fd, short type, off_t byte)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	return fcntl(fd, F_OFD_SETLK, &lock);
}

/* Who passes the gate does so in microseconds, so a stuck one is worth giving up for. */
static int file_lock_gate(int fd)
{
	for (int i = 0; i < 5000; i++) {
		if (file_lock(fd, F_WRLCK, GATE_BYTE) == 0)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	errno = ETIMEDOUT;
	return -1;
}

void standin_mutex_init(pthread_mutex_t *m)
{
	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &attr);
	pthread_mutexattr_destroy(&attr);
}

void standin_lock(pthread_mutex_t *m)
{
	if (pthread_mutex_lock(m) == EOWNERDEAD)
		pthread_mutex_consistent(m);
}

bool standin_lock_patiently(pthread_mutex_t *m)
{
	for (int i = 0; i < 40000; i++) {
		const int rc = pthread_mutex_trylock(m);
		if (rc == EOWNERDEAD)
			pthread_mutex_consistent(m);
		if (rc == 0 || rc == EOWNERDEAD)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	}
	return false;
}

void standin_unlock(pthread_mutex_t *m)
{
	pthread_mutex_unlock(m);
}

static void device_init(struct standin_device *d, int index)
{
	d->kill_after = -1;
	/* fe80::ff:fe00:N and ::ffff:10.77.0.N */
	const uint8_t local[16] = {0xfe,
	                           0x80, [11] = 0xff, [12] = 0xfe, [15] = (uint8_t)(index + 1)};
	const uint8_t ipv4[16] = {[10] = 0xff, [11] = 0xff, 10, 77, 0, (uint8_t)(index + 1)};
	memcpy(d->gids[0].raw, local, 16);
	memcpy(d->gids[1].raw, ipv4, 16);
}

static void table_init(struct standin_table *t)
{
	standin_mutex_init(&t->lock);
	standin_mutex_init(&t->atomics);
	for (int i = 0; i < STANDIN_DEVICES_MAX; i++)
		device_init(&t->devices[i], i);
	for (int i = 0; i < STANDIN_PROCS; i++)
		standin_mutex_init(&t->procs[i].alive);
	for (int i = 0; i < STANDIN_QPS; i++)
		standin_mutex_init(&t->qps[i].arrival);
	for (int i = 0; i < STANDIN_QUEUES; i++)
		standin_mutex_init(&t->queues[i].lock);
	t->bytes_of_table = sizeof *t;
	t->version = STANDIN_VERSION;
}

static void table_path(const char *name, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "/dev/shm/ferrule-standin-%u-%s", (unsigned)getuid(), name);
}

/* sweep_stale - deletes the tables of namespaces whose processes were all killed. */
static void sweep_stale(void)
{
	char prefix[64], path[320];
	const int n = snprintf(prefix, sizeof prefix, "ferrule-standin-%u-", (unsigned)getuid());
	DIR *dir = opendir("/dev/shm");
	const struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, prefix, (size_t)n) != 0)
			continue;
		snprintf(path, sizeof path, "/dev/shm/%s", entry->d_name);
		const int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		/* Who comes now waits at the gate, and then finds the file deleted. */
		if (file_lock(fd, F_WRLCK, GATE_BYTE) == 0 &&
		    file_lock(fd, F_WRLCK, LIFE_BYTE) == 0)
			unlink(path);
		close(fd);
	}
	if (dir != NULL)
		closedir(dir);
}

/* table_map - with the gate held; makes the table anew when nobody lives in it. */
static struct standin_table *table_map(int fd)
{
	const bool is_first = file_lock(fd, F_WRLCK, LIFE_BYTE) == 0;
	if (is_first && (ftruncate(fd, 0) != 0 || ftruncate(fd, (off_t)TABLE_BYTES) != 0))
		return NULL;
	if (file_lock(fd, F_RDLCK, LIFE_BYTE) != 0)
		return NULL;
	struct standin_table *t =
		mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (t == MAP_FAILED)
		return NULL;
	madvise(t, TABLE_BYTES, MADV_DONTDUMP);
	if (is_first)
		table_init(t);
	if (t->version != STANDIN_VERSION || t->bytes_of_table != sizeof *t) {
		munmap(t, TABLE_BYTES);
		errno = EPROTO; /* another build's table, in use */
		return NULL;
	}
	return t;
}

struct standin_table *standin_table_open(const char *name, int *fd_out)
{
	char path[256];
	table_path(name, path, sizeof path);
	sweep_stale();
	for (;;) {
		const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return NULL;
		struct stat st;
		if (file_lock_gate(fd) != 0 || fstat(fd, &st) != 0) {
			close(fd);
			return NULL;
		}
		if (st.st_nlink == 0) { /* the last one left just now */
			close(fd);
			continue;
		}
		struct standin_table *t = table_map(fd);
		if (t == NULL) {
			close(fd);
			return NULL;
		}
		file_lock(fd, F_UNLCK, GATE_BYTE);
		*fd_out = fd;
		standin_reclaim(t);
		return t;
	}
}

void standin_table_leave(const char *name, int fd)
{
	char path[256];
	table_path(name, path, sizeof path);
	if (file_lock_gate(fd) == 0 && file_lock(fd, F_WRLCK, LIFE_BYTE) == 0)
		unlink(path);
	close(fd);
}

void standin_table_close(struct standin_table *t, const char *name, int fd)
{
	munmap(t, TABLE_BYTES);
	standin_table_leave(name, fd);
}

/* ---- arena ---- */

uint64_t standin_arena_get(struct standin_table *t, uint32_t pages)
{
	uint32_t run = 0;
	for (uint32_t i = 0; i < STANDIN_ARENA_PAGES; i++) {
		run = t->arena_map[i] ? 0 : run + 1;
		if (run < pages)
			continue;
		const uint32_t first = i + 1 - pages;
		memset(t->arena_map + first, 1, pages);
		return (uint64_t)first * STANDIN_PAGE;
	}
	return UINT64_MAX;
}

void standin_arena_put(struct standin_table *t, uint64_t offset, uint32_t pages)
{
	if (pages == 0)
		return;
	memset(t->arena_map + offset / STANDIN_PAGE, 0, pages);
	madvise(t->arena + offset, (size_t)pages * STANDIN_PAGE, MADV_REMOVE);
}

/* ---- processes ---- */

bool standin_proc_is_alive(struct standin_proc *p)
{
	if (atomic_load_explicit(&p->is_dead, memory_order_relaxed))
		return false;
	const int rc = pthread_mutex_trylock(&p->alive);
	if (rc == EBUSY)
		return true;
	if (rc == EOWNERDEAD)
		pthread_mutex_consistent(&p->alive);
	pthread_mutex_unlock(&p->alive);
	atomic_store(&p->is_dead, 1);
	return false;
}

void standin_proc_release(struct standin_table *t, uint32_t slot)
{
	/* Queue pairs first, each with its arrival lock: afterwards nothing is on its way to what
	 * the process had. */
	for (uint32_t i = 0; i < STANDIN_QPS; i++) {
		struct standin_qp *q = &t->qps[i];
		if (q->number == 0 || q->owner != slot)
			continue;
		const bool is_locked = standin_lock_patiently(&q->arrival);
		q->state = IBV_QPS_RESET;
		q->number = 0;
		if (is_locked)
			standin_unlock(&q->arrival);
		standin_arena_put(t, q->rq_offset, q->rq_pages);
	}
	for (uint32_t i = 0; i < STANDIN_CQS; i++)
		if (t->cqs[i].number != 0 && t->cqs[i].owner == slot) {
			t->cqs[i].number = 0;
			standin_arena_put(t, t->cqs[i].offset, t->cqs[i].pages);
		}
	for (uint32_t i = 0; i < STANDIN_MRS; i++)
		if (t->mrs[i].key != 0 && t->mrs[i].owner == slot)
			t->mrs[i].key = 0;
	for (uint32_t i = 0; i < STANDIN_QUEUES; i++)
		if (t->queues[i].is_used && t->queues[i].owner == slot)
			t->queues[i].is_used = 0;
	t->procs[slot].pid = 0;
}

void standin_reclaim(struct standin_table *t)
{
	standin_lock(&t->lock);
	for (uint32_t i = 0; i < STANDIN_PROCS; i++)
		if (t->procs[i].pid != 0 && !standin_proc_is_alive(&t->procs[i]))
			standin_proc_release(t, i);
	standin_unlock(&t->lock);
}

void standin_kick(struct standin_table *t, uint32_t slot)
{
	struct standin_proc *p = &t->procs[slot];
	atomic_store(&p->attention, 1);
	atomic_fetch_add(&p->wake, 1);
	const uint32_t sleep = atomic_load(&p->sleep);
	if (sleep == STANDIN_ASLEEP || (sleep == STANDIN_DOZING && !atomic_load(&p->is_polling)))
		syscall(SYS_futex, &p->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void standin_qp_fail(struct standin_table *t, struct standin_qp *q)
{
	atomic_store(&q->state, IBV_QPS_ERR);
	atomic_store(&q->must_flush, 1);
	standin_kick(t, q->owner);
}

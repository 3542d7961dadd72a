/*
 * standin_mr.c - registration.
 *
 * A key is a slot of the shared table and 17 bits that change with each use of the slot.  Who
 * deregisters waits for every request that may be using the key: it takes the arrival lock of
 * each of its queue pairs once (remote keys) and their send lock (local keys).
 */
#include "tests/support/standin/standin_local.h"
#include "tests/support/standin/standin_pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#undef ibv_reg_mr
#undef ibv_reg_mr_iova

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define ACCESS_KNOWN                                                                 \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | \
	 IBV_ACCESS_REMOTE_ATOMIC)

struct standin_mr *standin_mr_find(uint32_t key, const struct standin_qp *of, uint32_t access,
                                   const struct ibv_sge *range, uint64_t bytes,
                                   uint64_t *address_out)
{
	struct standin_mr *m = &standin_self.table->mrs[key % STANDIN_MRS];
	if (key == 0 || atomic_load_explicit(&m->key, memory_order_acquire) != key)
		return NULL;
	const uint64_t at = range->addr - m->iova;
	if (m->owner != of->owner || m->pd != of->pd || (m->access & access) != access ||
	    range->addr < m->iova || at > m->bytes || bytes > m->bytes - at)
		return NULL;
	*address_out = m->addr + at;
	return m;
}

/* mr_claim - a free slot with a new key that is not announced yet; under the table's lock. */
static uint32_t mr_claim(struct standin_table *t, uint32_t *key_out)
{
	for (uint32_t i = 0; i < STANDIN_MRS; i++) {
		const uint32_t slot = (t->next_key + i) % STANDIN_MRS;
		if (t->mrs[slot].key != 0 || t->mrs[slot].owner == STANDIN_NONE)
			continue;
		t->next_key += i + 1;
		const uint32_t round = t->next_key / STANDIN_MRS + 1;
		*key_out = (round * STANDIN_MRS) | slot;
		return slot;
	}
	return STANDIN_NONE;
}

/* mr_wait - nobody uses the key that was taken back. */
static void mr_wait(struct standin_self *s, uint32_t pd)
{
	pthread_mutex_lock(&s->objects);
	for (struct standin_local_qp *q = s->all_qps; q != NULL; q = q->next) {
		if (q->shared->pd != pd)
			continue;
		pthread_mutex_lock(&q->send_lock);
		pthread_mutex_unlock(&q->send_lock);
		if (standin_lock_patiently(&q->shared->arrival))
			standin_unlock(&q->shared->arrival);
	}
	pthread_mutex_unlock(&s->objects);
}

/* mr_populate - memory must be there, and writable when anyone may write it.  Old kernels
 * cannot say; then it is believed. */
static int mr_populate(void *addr, size_t bytes, int access)
{
	const uintptr_t mask = ~(uintptr_t)(STANDIN_PAGE - 1);
	const uintptr_t first = (uintptr_t)addr & mask;
	const uintptr_t end = ((uintptr_t)addr + bytes + STANDIN_PAGE - 1) & mask;
	const bool is_written = (access & IBV_ACCESS_LOCAL_WRITE) != 0;
	const int advice = is_written ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	if (madvise((void *)first, end - first, advice) == 0)
		return 0;
	if (errno == EINVAL && madvise((void *)first, 0, advice) != 0)
		return 0;
	errno = EFAULT;
	return -1;
}

static int mr_check(size_t bytes, unsigned access)
{
	const unsigned writes = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC;
	if ((access & writes) != 0 && (access & IBV_ACCESS_LOCAL_WRITE) == 0)
		errno = EINVAL;
	else if ((access & ~(unsigned)IBV_ACCESS_OPTIONAL_RANGE & ~(unsigned)ACCESS_KNOWN) != 0)
		errno = EINVAL; /* on demand, huge pages, memory windows, zero based */
	else if (bytes == 0)
		errno = EINVAL;
	else if (standin_self.pinned_bytes + bytes > standin_self.config.memlock)
		errno = ENOMEM;
	else
		return 0;
	return -1;
}

/* mr_create - `m` has its place in memory; the rest, and the announcement. */
static struct ibv_mr *mr_create(struct ibv_pd *pd, struct standin_local_mr *m, uint64_t iova,
                                int access, const struct standin_pinned *pinned)
{
	struct standin_self *s = &standin_self;
	struct standin_table *t = s->table;
	uint32_t key;
	standin_lock(&t->lock);
	m->slot = mr_claim(t, &key);
	if (m->slot == STANDIN_NONE) {
		standin_unlock(&t->lock);
		errno = ENOMEM;
		return NULL;
	}
	struct standin_mr *shared = &t->mrs[m->slot];
	shared->owner = s->slot;
	shared->pd = pd->handle;
	shared->access = (uint32_t)access & ACCESS_KNOWN;
	shared->iova = iova;
	shared->bytes = m->mr.length;
	shared->addr = (uintptr_t)m->mr.addr;
	shared->begin = pinned->begin;
	shared->end = pinned->end;
	shared->file_at = pinned->file_at;
	shared->fd = pinned->fd;
	atomic_store_explicit(&shared->key, key, memory_order_release);
	standin_unlock(&t->lock);
	m->mr.context = pd->context;
	m->mr.pd = pd;
	m->mr.handle = m->slot;
	m->mr.lkey = m->mr.rkey = key;
	((struct standin_pd *)pd)->n_users++;
	s->pinned_bytes += m->mr.length;
	s->me->n_mrs++;
	return &m->mr;
}

STANDIN_EXPORT struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t bytes,
                                               uint64_t iova, unsigned int access)
{
	if (mr_check(bytes, access) != 0 || mr_populate(addr, bytes, (int)access) != 0)
		return NULL;
	struct standin_local_mr *m = calloc(1, sizeof *m);
	if (m == NULL)
		return NULL;
	m->fd = -1;
	m->mr.addr = addr;
	m->mr.length = bytes;
	struct standin_pinned pinned;
	standin_pin(addr, bytes, &pinned);
	struct ibv_mr *mr = mr_create(pd, m, iova, (int)access, &pinned);
	if (mr == NULL) {
		standin_unpin(&pinned);
		free(m);
	}
	return mr;
}

STANDIN_EXPORT struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t bytes, int access)
{
	return ibv_reg_mr_iova2(pd, addr, bytes, (uintptr_t)addr, (unsigned)access);
}

STANDIN_EXPORT struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *addr, size_t bytes,
                                              uint64_t iova, int access)
{
	return ibv_reg_mr_iova2(pd, addr, bytes, iova, (unsigned)access);
}

/* dmabuf_check - the rules of the manual page. */
static int dmabuf_check(uint64_t offset, size_t bytes, uint64_t iova, int fd, int access)
{
	const int allowed = ACCESS_KNOWN | IBV_ACCESS_RELAXED_ORDERING;
	if (!standin_self.config.has_dmabuf || (access & ~allowed) != 0)
		errno = EOPNOTSUPP;
	else if (fcntl(fd, F_GETFD) < 0)
		errno = EBADF;
	else if (((offset ^ iova) & (STANDIN_PAGE - 1)) != 0)
		errno = EINVAL;
	else
		return mr_check(bytes, (unsigned)access);
	return -1;
}

STANDIN_EXPORT struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t bytes,
                                                uint64_t iova, int fd, int access)
{
	if (dmabuf_check(offset, bytes, iova, fd, access) != 0)
		return NULL;
	struct standin_local_mr *m = calloc(1, sizeof *m);
	if (m == NULL)
		return NULL;
	const uint64_t first = offset & ~(uint64_t)(STANDIN_PAGE - 1);
	const int prot = (access & IBV_ACCESS_LOCAL_WRITE) ? PROT_READ | PROT_WRITE : PROT_READ;
	m->mapped_bytes = bytes + (size_t)(offset - first);
	m->mapped = mmap(NULL, m->mapped_bytes, prot, MAP_SHARED, fd, (off_t)first);
	m->fd = m->mapped == MAP_FAILED ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (m->fd < 0)
		goto err_free;
	struct ibv_mr *mr = NULL;
	if (mr_populate(m->mapped, m->mapped_bytes, access) == 0) {
		m->mr.addr = (char *)m->mapped + (offset - first);
		m->mr.length = bytes;
		const struct standin_pinned pinned = {0, bytes, offset, m->fd};
		mr = mr_create(pd, m, iova, access, &pinned);
	}
	if (mr != NULL) {
		mr->addr = NULL; /* the program's side of it is its own affair */
		return mr;
	}
	close(m->fd);
err_free:
	if (m->mapped != MAP_FAILED)
		munmap(m->mapped, m->mapped_bytes);
	free(m);
	return NULL;
}

STANDIN_EXPORT int ibv_dereg_mr(struct ibv_mr *mr)
{
	struct standin_self *s = &standin_self;
	struct standin_local_mr *m = (struct standin_local_mr *)mr;
	struct standin_mr *shared = &s->table->mrs[m->slot];
	if (s->slot != STANDIN_NONE && shared->key == mr->rkey) {
		const struct standin_pinned pinned = {shared->begin, shared->end, shared->file_at,
		                                      shared->fd};
		atomic_store(&shared->key, 0);
		mr_wait(s, shared->pd);
		if (m->fd < 0)
			standin_unpin(&pinned);
		s->me->n_mrs--;
		s->pinned_bytes -= mr->length;
		((struct standin_pd *)mr->pd)->n_users--;
	}
	if (m->fd >= 0) {
		munmap(m->mapped, m->mapped_bytes);
		close(m->fd);
	}
	free(m);
	return 0;
}

STANDIN_EXPORT int ibv_rereg_mr(struct ibv_mr *mr, int flags, struct ibv_pd *pd, void *addr,
                                size_t bytes, int access)
{
	(void)mr, (void)flags, (void)pd, (void)addr, (void)bytes, (void)access;
	errno = EOPNOTSUPP;
	return IBV_REREG_MR_ERR_INPUT;
}

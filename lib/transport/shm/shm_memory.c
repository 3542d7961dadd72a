/*
 * Segments and arenas.
 *
 * Design: both are memfds, so they have no name, vanish with the last process, and are not
 * limited by the size of /dev/shm.  Memory that may be touched is always backed by fallocate
 * first, so that running out of memory is an error here and never a SIGBUS later.
 *
 * The arena is address space reserved once and mapped by every peer when the communicator is
 * created, so that memory given out later is already reachable without another word.
 */
#include "config.h"
#include "lib/base/descriptors.h"
#include "lib/transport/shm/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/settings.h"

/* A part of the arena that was given out. */
struct shm_arena_block {
	struct shm_arena_block *next;
	size_t place, bytes;
};

static ferrule_status_t map_fd(struct shm_map *map, int fd, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (at == MAP_FAILED)
		return FERRULE_ERR_NO_MEMORY;
	*map = (struct shm_map){.at = at, .bytes = bytes};
	return FERRULE_OK;
}

ferrule_status_t shm_memory_adopt(struct shm_map *map, int fd, size_t bytes)
{
	const off_t size = lseek(fd, 0, SEEK_END);
	const int seals = fcntl(fd, F_GET_SEALS);

	/* A file that is shorter than announced, or becomes so, would turn into SIGBUS. */
	if (size < 0 || (uint64_t)size < bytes || seals < 0 || !(seals & F_SEAL_SHRINK))
		return FERRULE_ERR_PROTOCOL;
	return map_fd(map, fd, bytes);
}

void shm_memory_drop(struct shm_map *map)
{
	if (map->at)
		munmap(map->at, map->bytes);
	*map = (struct shm_map){0};
}

static ferrule_status_t create_region(const char *name, size_t bytes, size_t backed, int *fd_out,
                                      struct shm_map *map)
{
	const int fd = fr_fd_own(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));

	if (fd < 0)
		return FERRULE_ERR_SYSTEM;
	if (ftruncate(fd, (off_t)bytes) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0 ||
	    (backed && fallocate(fd, 0, 0, (off_t)backed) != 0) ||
	    map_fd(map, fd, bytes) != FERRULE_OK) {
		const int saved = errno;

		close(fd);
		errno = saved;
		return FERRULE_ERR_NO_MEMORY;
	}
	*fd_out = fd;
	return FERRULE_OK;
}

ferrule_status_t shm_memory_create(struct shm_transport *t, char *why, size_t why_bytes)
{
	const size_t control = t->layout.streams;
	ferrule_status_t status = create_region("ferrule-segment", t->layout.total_bytes, control,
	                                        &t->segment_fd, &t->segment);

	if (status != FERRULE_OK) {
		snprintf(why, why_bytes, "cannot create %zu bytes of shared memory: %s",
		         t->layout.total_bytes, strerror(errno));
		return status;
	}
	/* Without address space for the arena (a tight ulimit -v) only ferrule_mem_alloc()
	 * loses its speed. */
	if (create_region("ferrule-arena", fr_settings()->shm_arena, 0, &t->arena_fd, &t->arena) !=
	    FERRULE_OK)
		fr_log(FR_LOG_INFO,
		       "shm: no arena of %llu bytes (%s); ferrule_mem_alloc gives private memory",
		       (unsigned long long)fr_settings()->shm_arena, strerror(errno));
	t->status = (struct shm_status *)t->segment.at;
	t->status->magic = SHM_MAGIC;
	t->status->version = SHM_VERSION;
	t->status->rank = (uint32_t)t->rank;
	fr_process_self(&t->status->process);
	for (int i = 0; i < SHM_N_CALLS; i++) {
		t->status->calls[i].call.coll = FR_CALL_IDLE;
		fr_call_seal(&t->status->calls[i].call);
	}
	atomic_store_explicit(&t->status->state, SHM_ALIVE, memory_order_release);
	return FERRULE_OK;
}

void shm_memory_destroy(struct shm_transport *t)
{
	while (t->blocks) {
		struct shm_arena_block *next = t->blocks->next;

		free(t->blocks);
		t->blocks = next;
	}
	shm_memory_drop(&t->segment);
	shm_memory_drop(&t->arena);
	if (t->segment_fd >= 0)
		close(t->segment_fd);
	if (t->arena_fd >= 0)
		close(t->arena_fd);
}

/* The first gap of `bytes`; *before_out is the block it follows. */
static size_t find_gap(const struct shm_transport *t, size_t bytes,
                       struct shm_arena_block **before_out)
{
	size_t place = 0;

	*before_out = NULL;
	for (struct shm_arena_block *b = t->blocks; b; b = b->next) {
		if (b->place - place >= bytes)
			return place;
		place = b->place + b->bytes;
		*before_out = b;
	}
	return place;
}

ferrule_status_t shm_arena_alloc(struct fr_transport *base, size_t bytes, void **out)
{
	struct shm_transport *t = (struct shm_transport *)base;
	struct shm_arena_block *before, *block;
	size_t place;

	if (!t->arena.at)
		return FERRULE_ERR_UNSUPPORTED;
	if (bytes > t->arena.bytes - SHM_PAGE)
		return fr_error(FERRULE_ERR_NO_MEMORY,
		                "ferrule_mem_alloc: bytes is %zu, the arena (FERRULE_SHM_ARENA) "
		                "has %zu",
		                bytes, t->arena.bytes);
	bytes = bytes ? (bytes + SHM_PAGE - 1) / SHM_PAGE * SHM_PAGE : SHM_PAGE;
	place = find_gap(t, bytes, &before);
	if (place > t->arena.bytes - bytes)
		return fr_error(FERRULE_ERR_NO_MEMORY,
		                "ferrule_mem_alloc: no gap of %zu bytes in the arena of %zu "
		                "(FERRULE_SHM_ARENA)",
		                bytes, t->arena.bytes);
	block = malloc(sizeof(*block));
	if (!block)
		return fr_error(FERRULE_ERR_NO_MEMORY, "ferrule_mem_alloc: out of memory");
	if (fallocate(t->arena_fd, 0, (off_t)place, (off_t)bytes) != 0) {
		free(block);
		return fr_error(FERRULE_ERR_NO_MEMORY,
		                "ferrule_mem_alloc: no shared memory for %zu bytes: %s", bytes,
		                strerror(errno));
	}
	madvise(t->arena.at + place, bytes, MADV_POPULATE_WRITE);
	*block = (struct shm_arena_block){.place = place, .bytes = bytes};
	block->next = before ? before->next : t->blocks;
	*(before ? &before->next : &t->blocks) = block;
	atomic_store_explicit(&t->status->arena_in_use, 1, memory_order_release);
	*out = t->arena.at + place;
	return FERRULE_OK;
}

ferrule_status_t shm_arena_free(struct fr_transport *base, void *ptr)
{
	struct shm_transport *t = (struct shm_transport *)base;
	const size_t place = (size_t)((unsigned char *)ptr - t->arena.at);

	for (struct shm_arena_block **at = &t->blocks; t->arena.at && *at; at = &(*at)->next) {
		struct shm_arena_block *block = *at;

		if (block->place != place)
			continue;
		/* Gives the pages back; the next owner finds zeroes. */
		fallocate(t->arena_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		          (off_t)block->place, (off_t)block->bytes);
		*at = block->next;
		free(block);
		return FERRULE_OK;
	}
	return FERRULE_ERR_ARGUMENT;
}

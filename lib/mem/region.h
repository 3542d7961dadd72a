/*
 * region.h - memory that a transport may give to its hardware, and what it needs to know of it.
 *
 * Registration is explicit: ferrule_mem_alloc() and ferrule_mem_register().  With
 * FERRULE_MR_CACHE=1 other host memory is registered on first use and forgotten again when the
 * process unmaps, remaps or discards it; the kernel tells that through userfaultfd, so that no
 * libc function is patched and nothing is missed.  (A stale registration is silent: the device
 * writes to pages that no longer belong to the address.)
 *
 * A set of regions belongs to one transport of one communicator.  Called by the thread that
 * holds the communicator; the cache's monitor thread only marks.
 */
#ifndef FR_REGION_H
#define FR_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>

enum fr_mem_kind {
	FR_MEM_HOST,
	FR_MEM_CUDA, /* device memory of an NVIDIA GPU, or what stands in for it */
};

/* A stretch of memory to register. */
struct fr_mem_block {
	void *base;
	size_t bytes;
	enum fr_mem_kind kind;
	int device;             /* GPU; -1 for host memory */
	int dmabuf_fd;          /* -1: none; owned by the caller of attach */
	uint64_t dmabuf_offset; /* of `base` in it */
};

/* What the transport does with a block. */
struct fr_region_ops {
	/* attach - registers; *handle_out is what find gives back, never NULL.  OK or a status and
	 * `why`. */
	ferrule_status_t (*attach)(void *context, const struct fr_mem_block *block,
	                           void **handle_out, char *why, size_t why_bytes);
	void (*detach)(void *context, void *handle);
};

struct fr_regions;

ferrule_status_t fr_regions_create(const struct fr_region_ops *ops, void *context, bool use_cache,
                                   struct fr_regions **out, char *why, size_t why_bytes);
/* Detaches what is left; in a forked child nothing, since it belongs to the parent. */
void fr_regions_destroy(struct fr_regions *r);

/* fr_regions_add - registers explicitly; the same range again counts up.  FERRULE_ERR_ARGUMENT
 * for a range that overlaps another one without being the same. */
ferrule_status_t fr_regions_add(struct fr_regions *r, const struct fr_mem_block *block, char *why,
                                size_t why_bytes);
/* fr_regions_remove - counts down; detaches at zero.  FERRULE_ERR_ARGUMENT when not there. */
ferrule_status_t fr_regions_remove(struct fr_regions *r, const void *base, char *why,
                                   size_t why_bytes);
/*
 * fr_regions_find - the handle of the region that holds [ptr, ptr + bytes), or NULL.  The hot
 * path: a few compares when asked for the same explicit region again, no lock, no system call.
 * The cache makes one system call to be sure that nothing is being unmapped right now, and more
 * for memory that it sees for the first time.
 */
void *fr_regions_find(struct fr_regions *r, const void *ptr, size_t bytes);
/*
 * fr_regions_settle - nothing is under way any more that uses a handle given out so far.
 *
 * What the cache has dropped, to make room or because its memory is gone, stays attached until
 * this is said, since the device may still be using it; when too much waits, find gives NULL for
 * memory it does not hold yet.  Cheap when nothing waits: call it whenever nothing is posted.
 */
void fr_regions_settle(struct fr_regions *r);

/* Figures for ferrule info and tests. */
struct fr_region_counts {
	uint64_t n_explicit, n_cached, bytes, n_hits, n_misses, n_invalidated;
};
void fr_regions_count(const struct fr_regions *r, struct fr_region_counts *out);

#endif

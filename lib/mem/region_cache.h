/*
 * region_cache.h - host memory that is registered on first use (FERRULE_MR_CACHE=1).
 *
 * Whole pages, the least recently used dropped first when the bounds are reached.  What has been
 * dropped stays attached until fr_cache_settle(), since the device may be using it, and counts
 * against the bounds.  Called by the thread that holds the communicator; attaches and detaches
 * there alone.
 */
#ifndef FR_REGION_CACHE_H
#define FR_REGION_CACHE_H

#include "lib/mem/region.h"

struct fr_cache;

struct fr_cache_limits {
	size_t n_regions;
	size_t bytes;
};
/* fr_cache_limits_here - 1024 regions, a quarter of this machine's memory. */
struct fr_cache_limits fr_cache_limits_here(void);

/* fr_cache_create - NULL and `why` when memory cannot be watched here, or there is none. */
struct fr_cache *fr_cache_create(const struct fr_region_ops *ops, void *context,
                                 struct fr_cache_limits limits, char *why, size_t why_bytes);
void fr_cache_destroy(struct fr_cache *c);
/* fr_cache_find - a handle for [ptr, ptr + bytes), attached now if need be, or NULL: not memory
 * that can be watched, no room, or just being unmapped. */
void *fr_cache_find(struct fr_cache *c, const void *ptr, size_t bytes);
/* fr_cache_settle - detaches what was dropped. */
void fr_cache_settle(struct fr_cache *c);
/* fr_cache_count - adds the cache's figures to `out`. */
void fr_cache_count(const struct fr_cache *c, struct fr_region_counts *out);

#endif

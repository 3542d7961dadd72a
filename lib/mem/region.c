/*
 * Design: explicit regions lie in one array, sorted by address, and never overlap, so that one
 * binary search answers every question.  There are few of them and they change seldom.  The one
 * that answered last is remembered, because a stream of messages asks for the same one again.
 */
#include "config.h"

#include "lib/mem/region.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem/region_cache.h"

struct region {
	uintptr_t base;
	size_t bytes;
	void *handle;
	uint32_t n_uses; /* times added and not removed */
};

struct fr_regions {
	/* The hot path's: one line of the cache. */
	uintptr_t last_base;
	size_t last_bytes; /* 0: none */
	void *last_handle;
	uint64_t n_hits;

	struct region *table; /* sorted by base */
	size_t n_regions, n_room;
	const struct fr_region_ops *ops;
	void *context;
	struct fr_cache *cache; /* NULL: none */
	pid_t pid;
	uint64_t n_misses;
};

/* Does [base, base + bytes) hold [at, at + wanted)?  Written so that nothing can wrap. */
static inline bool holds(uintptr_t base, size_t bytes, uintptr_t at, size_t wanted)
{
	return at >= base && at - base < bytes && wanted <= bytes - (at - base);
}

/* The index of the first region that ends after `at`. */
static size_t first_after(const struct fr_regions *r, uintptr_t at)
{
	size_t low = 0, high = r->n_regions;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const struct region *region = &r->table[middle];

		if (region->base + (region->bytes - 1) < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

ferrule_status_t fr_regions_create(const struct fr_region_ops *ops, void *context, bool use_cache,
                                   struct fr_regions **out, char *why, size_t why_bytes)
{
	struct fr_regions *r = calloc(1, sizeof(*r));
	char why_none[200];

	if (!r) {
		snprintf(why, why_bytes, "no memory for a table of registrations");
		return FERRULE_ERR_NO_MEMORY;
	}
	r->ops = ops;
	r->context = context;
	r->pid = getpid();
	/* Where memory cannot be watched there is no cache; fr_watch_get() has logged why. */
	if (use_cache)
		r->cache = fr_cache_create(ops, context, fr_cache_limits_here(), why_none,
		                           sizeof(why_none));
	*out = r;
	return FERRULE_OK;
}

void fr_regions_destroy(struct fr_regions *r)
{
	if (!r)
		return;
	fr_cache_destroy(r->cache);
	/* A forked child has the descriptor, not the registrations: they are its parent's. */
	for (size_t i = 0; r->pid == getpid() && i < r->n_regions; i++)
		r->ops->detach(r->context, r->table[i].handle);
	free(r->table);
	free(r);
}

static ferrule_status_t grow(struct fr_regions *r, char *why, size_t why_bytes)
{
	if (r->n_regions < r->n_room)
		return FERRULE_OK;
	const size_t n_room = r->n_room ? 2 * r->n_room : 16;
	struct region *table = realloc(r->table, n_room * sizeof(*table));

	if (!table) {
		snprintf(why, why_bytes, "no memory for a table of %zu registrations", n_room);
		return FERRULE_ERR_NO_MEMORY;
	}
	r->table = table;
	r->n_room = n_room;
	return FERRULE_OK;
}

ferrule_status_t fr_regions_add(struct fr_regions *r, const struct fr_mem_block *block, char *why,
                                size_t why_bytes)
{
	const uintptr_t base = (uintptr_t)block->base;

	if (!base || !block->bytes || block->bytes - 1 > UINTPTR_MAX - base) {
		snprintf(why, why_bytes,
		         "cannot register %zu bytes at %p: an address and at least one byte are "
		         "needed, within the address space",
		         block->bytes, block->base);
		return FERRULE_ERR_ARGUMENT;
	}
	const size_t at = first_after(r, base);
	struct region *next = at < r->n_regions ? &r->table[at] : NULL;

	if (next && next->base == base && next->bytes == block->bytes) {
		next->n_uses++;
		return FERRULE_OK;
	}
	if (next && next->base <= base + (block->bytes - 1)) {
		snprintf(why, why_bytes,
		         "cannot register %zu bytes at %p: they overlap the %zu bytes at %p that "
		         "are registered already",
		         block->bytes, block->base, next->bytes, (void *)next->base);
		return FERRULE_ERR_ARGUMENT;
	}
	void *handle = NULL;
	ferrule_status_t status = grow(r, why, why_bytes);

	if (status == FERRULE_OK)
		status = r->ops->attach(r->context, block, &handle, why, why_bytes);
	if (status != FERRULE_OK)
		return status;
	memmove(&r->table[at + 1], &r->table[at], (r->n_regions - at) * sizeof(*r->table));
	r->table[at] =
		(struct region){.base = base, .bytes = block->bytes, .handle = handle, .n_uses = 1};
	r->n_regions++;
	return FERRULE_OK;
}

ferrule_status_t fr_regions_remove(struct fr_regions *r, const void *base, char *why,
                                   size_t why_bytes)
{
	const size_t at = first_after(r, (uintptr_t)base);

	if (at == r->n_regions || r->table[at].base != (uintptr_t)base) {
		snprintf(why, why_bytes, "%p is not the beginning of a registration", base);
		return FERRULE_ERR_ARGUMENT;
	}
	if (--r->table[at].n_uses > 0)
		return FERRULE_OK;
	if (r->last_base == r->table[at].base)
		r->last_bytes = 0;
	r->ops->detach(r->context, r->table[at].handle);
	r->n_regions--;
	memmove(&r->table[at], &r->table[at + 1], (r->n_regions - at) * sizeof(*r->table));
	return FERRULE_OK;
}

void *fr_regions_find(struct fr_regions *r, const void *ptr, size_t bytes)
{
	const uintptr_t at = (uintptr_t)ptr;

	if (holds(r->last_base, r->last_bytes, at, bytes)) {
		r->n_hits++;
		return r->last_handle;
	}
	const size_t i = first_after(r, at);

	if (i == r->n_regions || !holds(r->table[i].base, r->table[i].bytes, at, bytes)) {
		if (r->cache)
			return fr_cache_find(r->cache, ptr, bytes);
		r->n_misses++;
		return NULL;
	}
	r->n_hits++;
	r->last_base = r->table[i].base;
	r->last_bytes = r->table[i].bytes;
	r->last_handle = r->table[i].handle;
	return r->last_handle;
}

void fr_regions_settle(struct fr_regions *r)
{
	if (r->cache)
		fr_cache_settle(r->cache);
}

void fr_regions_count(const struct fr_regions *r, struct fr_region_counts *out)
{
	*out = (struct fr_region_counts){
		.n_explicit = r->n_regions, .n_hits = r->n_hits, .n_misses = r->n_misses};
	for (size_t i = 0; i < r->n_regions; i++)
		out->bytes += r->table[i].bytes;
	if (r->cache)
		fr_cache_count(r->cache, out);
}

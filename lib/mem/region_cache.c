/*
 * Design: entries are sorted by address and may overlap, since two buffers may share a page; an
 * entry never covers pages that nobody asked for (see region_watch.h for why).  A look-up goes
 * back from the last entry that begins at or before the address, as far as the longest entry
 * could reach.  The entry that answered last is tried first.
 *
 * Nothing found is believed before the watch was asked: first whether a change is under way,
 * then whether its turn is the one the entries are known to be right for.
 */
#include "config.h"

#include "lib/mem/region_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem/region_watch.h"

#define N_REGIONS_HERE 1024
#define N_NEWS         64
/* Misses that are not tried after one that there was no room for: trying may be expensive, as
 * all pages are pinned up to the one too many. */
#define N_PATIENCE 64

struct entry {
	uintptr_t base;
	size_t bytes;
	void *handle;
	uint64_t used; /* when, in look-ups */
};

struct fr_cache {
	struct fr_watch *watch;
	uint64_t epoch;
	uint64_t turn, cursor; /* of the watch, that the entries are right for */
	size_t last;           /* the entry that answered last */
	size_t n_entries;
	struct entry *entries; /* sorted by base; [limits.n_regions] */
	size_t longest;        /* no entry is longer; may be too large */
	uint64_t n_look_ups, n_hits, n_misses, n_invalidated;

	size_t n_dropped;
	void **dropped; /* handles that wait for settle; [limits.n_regions] */
	size_t bytes, dropped_bytes;
	uint64_t n_skips; /* misses still to be turned away */

	const struct fr_region_ops *ops;
	void *context;
	struct fr_cache_limits limits;
	size_t page;
};

struct fr_cache_limits fr_cache_limits_here(void)
{
	const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return (struct fr_cache_limits){.n_regions = N_REGIONS_HERE,
	                                .bytes = (size_t)pages / 4 * (size_t)page};
}

struct fr_cache *fr_cache_create(const struct fr_region_ops *ops, void *context,
                                 struct fr_cache_limits limits, char *why, size_t why_bytes)
{
	struct fr_watch *watch = fr_watch_get(why, why_bytes);

	if (!watch)
		return NULL;
	struct fr_cache *c = calloc(1, sizeof(*c));
	struct entry *entries = calloc(limits.n_regions, sizeof(*entries));
	void **dropped = calloc(limits.n_regions, sizeof(*dropped));

	if (!c || !entries || !dropped) {
		snprintf(why, why_bytes, "no memory for a cache of %zu registrations",
		         limits.n_regions);
		free(c);
		free(entries);
		free(dropped);
		return NULL;
	}
	*c = (struct fr_cache){.watch = watch,
	                       .epoch = fr_watch_epoch(watch),
	                       .cursor = fr_watch_cursor(watch),
	                       .entries = entries,
	                       .dropped = dropped,
	                       .ops = ops,
	                       .context = context,
	                       .limits = limits,
	                       .page = (size_t)sysconf(_SC_PAGESIZE)};
	return c;
}

/* Is this process one that was forked from the one that attached everything? */
static bool is_child(const struct fr_cache *c)
{
	return fr_watch_turn(c->watch) == 0 || fr_watch_epoch(c->watch) != c->epoch;
}

static void drop(struct fr_cache *c, size_t i)
{
	struct entry *e = &c->entries[i];

	/* There is room: entries and dropped ones together stay within the bound. */
	c->dropped[c->n_dropped++] = e->handle;
	c->dropped_bytes += e->bytes;
	c->bytes -= e->bytes;
	c->n_entries--;
	memmove(e, e + 1, (c->n_entries - i) * sizeof(*e));
	c->last = 0;
}

static void drop_range(struct fr_cache *c, struct fr_watch_range range)
{
	for (size_t i = c->n_entries; i-- > 0;) {
		const struct entry *e = &c->entries[i];

		if (e->base < range.end && e->base + e->bytes > range.begin) {
			drop(c, i);
			c->n_invalidated++;
		}
	}
}

/* Drops what has changed since the last look. */
static void catch_up(struct fr_cache *c)
{
	struct fr_watch_range news[N_NEWS];
	int n;

	do {
		n = fr_watch_news(c->watch, &c->cursor, news, N_NEWS, &c->turn);
		for (int i = 0; i < n; i++)
			drop_range(c, news[i]);
		if (n < 0)
			drop_range(c, (struct fr_watch_range){0, UINTPTR_MAX});
	} while (n == N_NEWS);
}

static bool holds(const struct entry *e, uintptr_t at, size_t bytes)
{
	return at >= e->base && at - e->base < e->bytes && bytes <= e->bytes - (at - e->base);
}

/* How many entries begin at or before `at`. */
static size_t n_before(const struct fr_cache *c, uintptr_t at)
{
	size_t low = 0, high = c->n_entries;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (c->entries[middle].base <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The entry that holds the range, which is then the last; or NULL. */
static struct entry *look_up(struct fr_cache *c, uintptr_t at, size_t bytes)
{
	if (c->last < c->n_entries && holds(&c->entries[c->last], at, bytes))
		return &c->entries[c->last];
	for (size_t i = n_before(c, at); i-- > 0;) {
		struct entry *e = &c->entries[i];

		if (holds(e, at, bytes)) {
			c->last = i;
			return e;
		}
		if (at - e->base >= c->longest)
			return NULL;
	}
	return NULL;
}

/* Drops what has not been used for longest; returns its bytes. */
static size_t drop_oldest(struct fr_cache *c)
{
	size_t oldest = 0;

	for (size_t i = 1; i < c->n_entries; i++)
		if (c->entries[i].used < c->entries[oldest].used)
			oldest = i;
	const size_t bytes = c->entries[oldest].bytes;

	drop(c, oldest);
	return bytes;
}

/* Drops until `bytes` more would fit, if nothing waited; false when they do not fit yet. */
static bool make_room(struct fr_cache *c, size_t bytes)
{
	if (bytes > c->limits.bytes)
		return false;
	while (c->n_entries > 0 &&
	       (c->n_entries == c->limits.n_regions || c->bytes > c->limits.bytes - bytes))
		drop_oldest(c);
	return c->n_entries + c->n_dropped < c->limits.n_regions &&
	       c->bytes + c->dropped_bytes <= c->limits.bytes - bytes;
}

/* The device, or the limit of locked memory, has no room: there will be some for as many bytes
 * once the caller has settled. */
static void give_way(struct fr_cache *c, size_t bytes)
{
	c->n_skips = N_PATIENCE;
	for (size_t given = 0; c->n_entries > 0 && given < bytes;)
		given += drop_oldest(c);
}

static void insert(struct fr_cache *c, const struct entry *e)
{
	const size_t i = n_before(c, e->base);

	memmove(&c->entries[i + 1], &c->entries[i], (c->n_entries - i) * sizeof(*e));
	c->entries[i] = *e;
	c->n_entries++;
	c->bytes += e->bytes;
	c->last = i;
	if (e->bytes > c->longest)
		c->longest = e->bytes;
}

static bool attach(struct fr_cache *c, uintptr_t at, size_t bytes)
{
	const uintptr_t base = at & ~(c->page - 1);

	if (bytes == 0 || bytes - 1 > UINTPTR_MAX - at || at - base + bytes > SIZE_MAX - c->page)
		return false;
	struct entry e = {.base = base,
	                  .bytes = (at - base + bytes + c->page - 1) & ~(c->page - 1),
	                  .used = c->n_look_ups};
	const struct fr_mem_block block = {.base = (void *)base,
	                                   .bytes = e.bytes,
	                                   .kind = FR_MEM_HOST,
	                                   .device = -1,
	                                   .dmabuf_fd = -1};
	char why[200];

	if (c->n_skips > 0) {
		c->n_skips--;
		return false;
	}
	/* Watched first, so that nothing can happen to it unseen once it is attached.  Asked twice
	 * whether it is private: pages that were never touched cannot be told before. */
	if (!fr_watch_add(c->watch, base, e.bytes) ||
	    !fr_watch_is_private(c->watch, base, e.bytes) || !make_room(c, e.bytes))
		return false;
	const ferrule_status_t status =
		c->ops->attach(c->context, &block, &e.handle, why, sizeof(why));

	if (status == FERRULE_ERR_NO_MEMORY)
		give_way(c, e.bytes);
	if (status != FERRULE_OK)
		return false;
	if (!fr_watch_is_private(c->watch, base, e.bytes)) {
		c->ops->detach(c->context, e.handle);
		return false;
	}
	insert(c, &e);
	return true;
}

/* Brings the entries up to date; false when they cannot be relied on now. */
static bool is_current(struct fr_cache *c)
{
	if (!fr_watch_is_quiet(c->watch))
		return false;
	if (fr_watch_turn(c->watch) != c->turn)
		catch_up(c);
	return true;
}

void *fr_cache_find(struct fr_cache *c, const void *ptr, size_t bytes)
{
	const uintptr_t at = (uintptr_t)ptr;

	if (is_child(c))
		return NULL;
	c->n_look_ups++;
	if (!is_current(c))
		return NULL;
	struct entry *e = look_up(c, at, bytes);

	if (e) {
		c->n_hits++;
		e->used = c->n_look_ups;
		return e->handle;
	}
	c->n_misses++;
	/* What happened while it was being attached shows now. */
	if (!attach(c, at, bytes) || !is_current(c))
		return NULL;
	e = look_up(c, at, bytes);
	return e ? e->handle : NULL;
}

void fr_cache_settle(struct fr_cache *c)
{
	if (c->n_dropped == 0 || is_child(c))
		return;
	for (size_t i = 0; i < c->n_dropped; i++)
		c->ops->detach(c->context, c->dropped[i]);
	c->n_dropped = 0;
	c->dropped_bytes = 0;
}

void fr_cache_destroy(struct fr_cache *c)
{
	if (!c)
		return;
	while (c->n_entries > 0)
		drop(c, c->n_entries - 1);
	fr_cache_settle(c);
	free(c->entries);
	free(c->dropped);
	free(c);
}

void fr_cache_count(const struct fr_cache *c, struct fr_region_counts *out)
{
	out->n_cached += c->n_entries;
	out->bytes += c->bytes + c->dropped_bytes;
	out->n_hits += c->n_hits;
	out->n_misses += c->n_misses;
	out->n_invalidated += c->n_invalidated;
}

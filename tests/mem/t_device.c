#include "tests/mem/t_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A device pins pages, which fails where nothing is mapped. */
static bool can_pin(const struct fr_mem_block *block)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), base = (uintptr_t)block->base;
	unsigned char is_there;

	for (uintptr_t at = base & ~(page - 1); at < base + block->bytes; at += page)
		if (mincore((void *)at, page, &is_there) != 0)
			return false;
	return true;
}

static ferrule_status_t attach(void *context, const struct fr_mem_block *block, void **handle_out,
                               char *why, size_t why_bytes)
{
	struct t_device *d = context;
	struct t_handle *h = malloc(sizeof(*h));

	if (!h || d->n_attached + 1 == d->fail_at ||
	    (d->limit > 0 && d->bytes + block->bytes > d->limit)) {
		free(h);
		d->fail_at = 0;
		snprintf(why, why_bytes, "attach failed as the test wanted");
		return FERRULE_ERR_NO_MEMORY;
	}
	if (d->stamp && !can_pin(block)) {
		free(h);
		snprintf(why, why_bytes, "nothing is mapped there");
		return FERRULE_ERR_SYSTEM;
	}
	d->n_attached++;
	d->bytes += block->bytes;
	*h = (struct t_handle){(uintptr_t)block->base, block->bytes, 0};
	if (d->stamp)
		h->stamp = d->stamp(block);
	*handle_out = h;
	return FERRULE_OK;
}

static void detach(void *context, void *handle)
{
	struct t_device *d = context;

	d->n_detached++;
	d->bytes -= ((struct t_handle *)handle)->bytes;
	free(handle);
}

const struct fr_region_ops t_device_ops = {
	.attach = attach,
	.detach = detach,
};

/* Memory that the device reads and writes: an endpoint's own, and what users register. */
#include "config.h"

#include "lib/transport/verbs/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/mem/gdr.h"

void fr_vb_deregister(struct fr_vb *t, struct fr_vb_mr *mr)
{
	for (int i = 0; i < t->n_rails; i++) {
		if (mr->mr[i] != NULL)
			t->v->dereg_mr(mr->mr[i]);
		mr->mr[i] = NULL;
	}
}

/* On every rail, or on none. */
static ferrule_status_t register_block(struct fr_vb *t, const struct fr_mem_block *block,
                                       int access, bool is_data, struct fr_vb_mr *out, char *why,
                                       size_t why_bytes)
{
	const struct fr_verbs_memory memory = {.base = block->base,
	                                       .bytes = block->bytes,
	                                       .dmabuf_fd = block->dmabuf_fd,
	                                       .dmabuf_offset = block->dmabuf_offset};

	*out = (struct fr_vb_mr){{NULL}};
	for (int i = 0; i < t->n_rails; i++) {
		out->mr[i] = fr_verbs_register(&t->rails[i].device, &memory, access, is_data, why,
		                               why_bytes);
		if (out->mr[i] == NULL) {
			const bool is_limit = errno == ENOMEM;

			fr_vb_deregister(t, out);
			return is_limit ? FERRULE_ERR_NO_MEMORY : FERRULE_ERR_SYSTEM;
		}
	}
	return FERRULE_OK;
}

ferrule_status_t fr_vb_register(struct fr_vb *t, void *base, size_t bytes, int access, bool is_data,
                                struct fr_vb_mr *out, char *why, size_t why_bytes)
{
	const struct fr_mem_block block = {.base = base, .bytes = bytes, .dmabuf_fd = -1};

	return register_block(t, &block, access, is_data, out, why, why_bytes);
}

/* ---- what users register ---- */

/* Is every rail near enough to the GPU, and able to, to reach its memory itself? */
static ferrule_status_t check_gpu(struct fr_vb *t, const struct fr_mem_block *block, char *why,
                                  size_t why_bytes)
{
	for (int i = 0; i < t->n_rails; i++) {
		const char *nic = t->rails[i].device.port.device;
		const enum fr_known has_dmabuf = block->dmabuf_fd >= 0 ? FR_YES : FR_NO;
		struct fr_gdr_decision d;

		if (!fr_gdr_for(block->device, nic, has_dmabuf, &d, why, why_bytes))
			return FERRULE_ERR_UNSUPPORTED;
		if (d.way == FR_GDR_STAGED) {
			snprintf(why, why_bytes, "GPU %d and %s: %s", block->device, nic, d.reason);
			return FERRULE_ERR_UNSUPPORTED;
		}
	}
	return FERRULE_OK;
}

static ferrule_status_t attach(void *context, const struct fr_mem_block *block, void **handle_out,
                               char *why, size_t why_bytes)
{
	struct fr_vb *t = context;
	struct fr_vb_mr *mr = malloc(sizeof(*mr));

	if (mr == NULL) {
		snprintf(why, why_bytes, "no memory to describe a registration");
		return FERRULE_ERR_NO_MEMORY;
	}
	if (block->kind == FR_MEM_CUDA && check_gpu(t, block, why, why_bytes) != FERRULE_OK) {
		free(mr);
		return FERRULE_ERR_UNSUPPORTED;
	}
	/* Peers write granted messages there; nobody reads it from afar. */
	const ferrule_status_t status =
		register_block(t, block, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE, true, mr,
	                       why, why_bytes);

	if (status != FERRULE_OK) {
		free(mr);
		return status;
	}
	t->has_regions = true;
	*handle_out = mr;
	return FERRULE_OK;
}

static void detach(void *context, void *handle)
{
	fr_vb_deregister(context, handle);
	free(handle);
}

const struct fr_region_ops fr_vb_region_ops = {.attach = attach, .detach = detach};

/* ---- an endpoint's own ---- */

static void *take_pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

ferrule_status_t fr_vb_ep_memory(struct fr_vb_ep *e)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* Whole pages: so nothing else shares one with what the peer can write. */
	const size_t bytes = ((size_t)t->n_slots * t->slot_stride +
	                      FR_VERBS_GRANTS * sizeof(struct fr_verbs_grant) + page - 1) /
	                     page * page;
	char why[160] = "no memory";

	if (e->inbox != NULL)
		return FERRULE_OK;
	e->inbox_bytes = e->staging_bytes = bytes;
	e->inbox = take_pages(bytes);
	e->staging = take_pages(bytes);
	if (e->inbox == NULL || e->staging == NULL ||
	    fr_vb_register(t, e->inbox, bytes, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
	                   false, &e->inbox_mr, why, sizeof(why)) != FERRULE_OK ||
	    fr_vb_register(t, e->staging, bytes, IBV_ACCESS_LOCAL_WRITE, false, &e->staging_mr, why,
	                   sizeof(why)) != FERRULE_OK) {
		fr_vb_ep_memory_free(e);
		return fr_link_fault(&e->link, FERRULE_ERR_NO_MEMORY,
		                     "%s: no slots (2 times %zu bytes; FERRULE_IB_SLOT, "
		                     "FERRULE_IB_SLOTS): %s",
		                     e->link.name, bytes, why);
	}
	t->memory_bytes += 2 * bytes;
	return FERRULE_OK;
}

void fr_vb_ep_memory_free(struct fr_vb_ep *e)
{
	struct fr_vb *t = fr_vb_of_ep(e);

	fr_vb_deregister(t, &e->inbox_mr);
	fr_vb_deregister(t, &e->staging_mr);
	if (e->inbox != NULL)
		munmap(e->inbox, e->inbox_bytes);
	if (e->staging != NULL)
		munmap(e->staging, e->staging_bytes);
	e->inbox = e->staging = NULL;
}

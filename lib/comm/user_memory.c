#include "config.h"

#include "lib/comm/user_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/comm/comm.h"
#include "lib/mem/gpu.h"
#include "lib/mem/region.h"
#include "lib/transport/transport.h"

enum origin {
	FROM_PAGES,     /* mapped here */
	FROM_TRANSPORT, /* allocated by transports[t] */
	FROM_CALLER,    /* the user's own, registered */
	FROM_INSIDE,    /* the same, inside of memory that was allocated here: nothing to undo */
};

struct fr_user_memory {
	struct fr_user_memory *next;
	char *ptr;
	size_t bytes;
	enum origin origin;
	int t;       /* FROM_TRANSPORT */
	int n_uses;  /* times registered; 1 for what was allocated */
	bool told[]; /* [n_transports]: this one has registered it */
};

static struct fr_user_memory *new_memory(const struct ferrule_comm *c, void *ptr, size_t bytes)
{
	const size_t n = (size_t)c->n_transports;
	struct fr_user_memory *m = calloc(1, sizeof(*m) + n * sizeof(m->told[0]));

	if (!m) {
		fr_error(FERRULE_ERR_NO_MEMORY, "bytes: no memory to remember %zu", bytes);
		return NULL;
	}
	m->ptr = ptr;
	m->bytes = bytes;
	m->n_uses = 1;
	return m;
}

static void push(struct ferrule_comm *c, struct fr_user_memory *m)
{
	m->next = c->user_memory;
	c->user_memory = m;
}

/* ---- telling transports ---- */

static void untell(struct ferrule_comm *c, struct fr_user_memory *m)
{
	char why[200];

	for (int t = 0; t < c->n_transports; t++) {
		struct fr_transport *transport = c->transports[t];

		if (!m->told[t])
			continue;
		m->told[t] = false;
		if (transport->ops->mem_deregister(transport, m->ptr, why, sizeof(why)) !=
		    FERRULE_OK)
			fr_log(FR_LOG_WARNING, "%s: could not deregister %zu bytes at %p: %s",
			       transport->ops->name, m->bytes, (void *)m->ptr, why);
	}
}

/* One transport; GPU memory by whatever way works. */
static ferrule_status_t tell_one(struct fr_transport *t, const struct fr_user_memory *m, char *why,
                                 size_t why_bytes)
{
	struct fr_mem_block block;
	ferrule_status_t status = fr_gpu_block(m->ptr, m->bytes, &block, why, why_bytes);

	if (status != FERRULE_OK)
		return status;
	do {
		status = t->ops->mem_register(t, &block, why, why_bytes);
	} while (status != FERRULE_OK && fr_gpu_block_fall_back(&block));
	fr_gpu_block_close(&block);
	return status;
}

/* All that want to know, but for the one it is from; none of them on failure. */
static ferrule_status_t tell(struct ferrule_comm *c, struct fr_user_memory *m, int except)
{
	char why[200] = "";

	for (int t = 0; t < c->n_transports; t++) {
		struct fr_transport *transport = c->transports[t];

		if (!transport->ops->mem_register || t == except)
			continue;
		const ferrule_status_t status = tell_one(transport, m, why, sizeof(why));

		if (status != FERRULE_OK) {
			untell(c, m);
			return fr_error(status, "ptr: %s cannot register %zu bytes at %p: %s",
			                transport->ops->name, m->bytes, (void *)m->ptr, why);
		}
		m->told[t] = true;
	}
	return FERRULE_OK;
}

/* ---- memory that is given out ---- */

static ferrule_status_t take_pages(size_t bytes, void **out)
{
	void *ptr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (ptr == MAP_FAILED)
		return fr_error(FERRULE_ERR_NO_MEMORY, "bytes: no memory for %zu: %s", bytes,
		                strerror(errno));
	*out = ptr;
	return FERRULE_OK;
}

/* From the first transport that has some, or plain pages; sets origin and t. */
static ferrule_status_t take(struct ferrule_comm *c, struct fr_user_memory *m)
{
	void *ptr = NULL;

	for (int t = 0; t < c->n_transports; t++) {
		struct fr_transport *transport = c->transports[t];
		const ferrule_status_t status = fr_transport_mem_alloc(transport, m->bytes, &ptr);

		if (status == FERRULE_ERR_UNSUPPORTED)
			continue;
		m->ptr = ptr;
		m->origin = FROM_TRANSPORT;
		m->t = t;
		return status;
	}
	const ferrule_status_t status = take_pages(m->bytes, &ptr);

	m->ptr = ptr;
	m->origin = FROM_PAGES;
	m->t = -1;
	return status;
}

ferrule_status_t fr_user_memory_alloc(struct ferrule_comm *c, size_t bytes, void **out)
{
	if (bytes > c->memory_limit)
		return fr_error(FERRULE_ERR_NO_MEMORY,
		                "bytes: %zu is more than the %llu bytes of memory here", bytes,
		                (unsigned long long)c->memory_limit);
	if (bytes == 0)
		bytes = 1; /* a pointer to free, as malloc(0) may give */
	struct fr_user_memory *m = new_memory(c, NULL, bytes);

	if (!m)
		return FERRULE_ERR_NO_MEMORY;
	const ferrule_status_t status = take(c, m);

	if (status != FERRULE_OK) {
		free(m);
		return status;
	}
	/* It is good memory also where nobody could be told: such messages are copied. */
	if (tell(c, m, m->t) != FERRULE_OK)
		fr_log(FR_LOG_WARNING, "ferrule_mem_alloc: %s; messages of it are copied there",
		       fr_error_text());
	push(c, m);
	*out = m->ptr;
	return FERRULE_OK;
}

/* The list's pointer to memory that begins at `ptr`, registered or given out; or NULL. */
static struct fr_user_memory **look_up(struct ferrule_comm *c, const void *ptr, bool is_registered)
{
	for (struct fr_user_memory **at = &c->user_memory; *at; at = &(*at)->next)
		if ((*at)->ptr == ptr && ((*at)->origin >= FROM_CALLER) == is_registered)
			return at;
	return NULL;
}

/* Is something registered by itself inside of this memory? */
static const struct fr_user_memory *inside_of(const struct ferrule_comm *c,
                                              const struct fr_user_memory *outer)
{
	for (const struct fr_user_memory *m = c->user_memory; m; m = m->next)
		if (m->origin == FROM_INSIDE && m->ptr >= outer->ptr &&
		    m->ptr < outer->ptr + outer->bytes)
			return m;
	return NULL;
}

ferrule_status_t fr_user_memory_free(struct ferrule_comm *c, void *ptr)
{
	struct fr_user_memory **at = look_up(c, ptr, false);

	if (!at)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "ptr: %p is not memory of ferrule_mem_alloc() of this communicator",
		                ptr);
	struct fr_user_memory *m = *at;
	const struct fr_user_memory *inner = inside_of(c, m);

	if (inner)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "ptr: %zu bytes at %p inside of it are still registered",
		                inner->bytes, (void *)inner->ptr);
	untell(c, m);
	if (m->origin == FROM_PAGES) {
		munmap(m->ptr, m->bytes);
	} else {
		struct fr_transport *transport = c->transports[m->t];
		const ferrule_status_t status = transport->ops->mem_free(transport, m->ptr);

		if (status != FERRULE_OK)
			return status;
	}
	*at = m->next;
	free(m);
	return FERRULE_OK;
}

/* ---- the user's own ---- */

/* Do they share a byte?  Neither wraps around. */
static bool overlap(const struct fr_user_memory *m, uintptr_t ptr, size_t bytes)
{
	const uintptr_t base = (uintptr_t)m->ptr;

	return ptr <= base + (m->bytes - 1) && base <= ptr + (bytes - 1);
}

/* How a new range lies to what is known: the same, inside of memory given out here, or apart;
 * anything else is an error. */
static ferrule_status_t place(struct ferrule_comm *c, void *ptr, size_t bytes,
                              struct fr_user_memory **same_out, enum origin *origin_out)
{
	const uintptr_t at = (uintptr_t)ptr;

	*same_out = NULL;
	*origin_out = FROM_CALLER;
	for (struct fr_user_memory *m = c->user_memory; m; m = m->next) {
		const bool is_registered = m->origin >= FROM_CALLER;

		if (!overlap(m, at, bytes))
			continue;
		if (is_registered && m->ptr == ptr && m->bytes == bytes) {
			*same_out = m;
			return FERRULE_OK;
		}
		if (is_registered || (char *)ptr < m->ptr || bytes > m->bytes ||
		    (size_t)((char *)ptr - m->ptr) > m->bytes - bytes)
			return fr_error(FERRULE_ERR_ARGUMENT,
			                "ptr: %zu bytes at %p overlap the %zu bytes at %p that "
			                "are registered already",
			                bytes, ptr, m->bytes, (void *)m->ptr);
		*origin_out = FROM_INSIDE;
	}
	return FERRULE_OK;
}

ferrule_status_t fr_user_memory_register(struct ferrule_comm *c, void *ptr, size_t bytes)
{
	struct fr_user_memory *same;
	enum origin origin;

	if (!ptr || !bytes || bytes - 1 > UINTPTR_MAX - (uintptr_t)ptr)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "ptr, bytes: %zu bytes at %p; needed is an address and at least "
		                "one byte, within the address space",
		                bytes, ptr);
	ferrule_status_t status = place(c, ptr, bytes, &same, &origin);

	if (status != FERRULE_OK)
		return status;
	if (same) {
		same->n_uses++;
		return FERRULE_OK;
	}
	struct fr_user_memory *m = new_memory(c, ptr, bytes);

	if (!m)
		return FERRULE_ERR_NO_MEMORY;
	m->origin = origin;
	if (origin == FROM_CALLER)
		status = tell(c, m, -1);
	if (status != FERRULE_OK) {
		free(m);
		return status;
	}
	push(c, m);
	return FERRULE_OK;
}

ferrule_status_t fr_user_memory_deregister(struct ferrule_comm *c, void *ptr)
{
	struct fr_user_memory **at = look_up(c, ptr, true);

	if (!at)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "ptr: %p is not the beginning of memory that was registered with "
		                "ferrule_mem_register() of this communicator",
		                ptr);
	struct fr_user_memory *m = *at;

	if (--m->n_uses > 0)
		return FERRULE_OK;
	untell(c, m);
	*at = m->next;
	free(m);
	return FERRULE_OK;
}

void fr_user_memory_fini(struct ferrule_comm *c)
{
	while (c->user_memory) {
		struct fr_user_memory *m = c->user_memory;

		c->user_memory = m->next;
		if (m->origin == FROM_PAGES)
			munmap(m->ptr, m->bytes);
		free(m);
	}
}

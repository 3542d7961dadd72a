#include "config.h"

#include "lib/comm/user_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/error.h"
#include "lib/comm/comm.h"
#include "lib/transport/transport.h"

struct fr_user_memory {
	struct fr_user_memory *next;
	void *ptr;
	size_t bytes;
};

static ferrule_status_t plain_alloc(struct ferrule_comm *c, size_t bytes, void **out)
{
	struct fr_user_memory *m = malloc(sizeof(*m));

	if (!m)
		return fr_error(FERRULE_ERR_NO_MEMORY, "bytes: no memory for %zu", bytes);
	m->bytes = bytes;
	m->ptr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (m->ptr == MAP_FAILED) {
		free(m);
		return fr_error(FERRULE_ERR_NO_MEMORY, "bytes: no memory for %zu: %s", bytes,
		                strerror(errno));
	}
	m->next = c->user_memory;
	c->user_memory = m;
	*out = m->ptr;
	return FERRULE_OK;
}

ferrule_status_t fr_user_memory_alloc(struct ferrule_comm *c, size_t bytes, void **out)
{
	if (bytes > c->memory_limit)
		return fr_error(FERRULE_ERR_NO_MEMORY,
		                "bytes: %zu is more than the %llu bytes of memory here", bytes,
		                (unsigned long long)c->memory_limit);
	if (bytes == 0)
		bytes = 1; /* a pointer to free, as malloc(0) may give */
	for (int t = 0; t < c->n_transports; t++) {
		struct fr_transport *transport = c->transports[t];
		const ferrule_status_t status = transport->ops->mem_alloc(transport, bytes, out);

		if (status != FERRULE_ERR_UNSUPPORTED)
			return status;
	}
	return plain_alloc(c, bytes, out);
}

ferrule_status_t fr_user_memory_free(struct ferrule_comm *c, void *ptr)
{
	for (struct fr_user_memory **at = &c->user_memory; *at; at = &(*at)->next) {
		struct fr_user_memory *m = *at;

		if (m->ptr != ptr)
			continue;
		*at = m->next;
		munmap(m->ptr, m->bytes);
		free(m);
		return FERRULE_OK;
	}
	for (int t = 0; t < c->n_transports; t++) {
		struct fr_transport *transport = c->transports[t];
		const ferrule_status_t status = transport->ops->mem_free(transport, ptr);

		if (status == FERRULE_OK)
			return status;
	}
	return fr_error(FERRULE_ERR_ARGUMENT,
	                "ptr: %p is not memory of ferrule_mem_alloc() of this communicator", ptr);
}

void fr_user_memory_fini(struct ferrule_comm *c)
{
	while (c->user_memory) {
		struct fr_user_memory *m = c->user_memory;

		c->user_memory = m->next;
		munmap(m->ptr, m->bytes);
		free(m);
	}
}

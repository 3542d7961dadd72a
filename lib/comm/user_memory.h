/* user_memory.h - behind ferrule_mem_alloc(): mappable where a transport can, else plain pages. */
#ifndef FR_USER_MEMORY_H
#define FR_USER_MEMORY_H

#include <stddef.h>

#include <ferrule/status.h>

struct ferrule_comm;

ferrule_status_t fr_user_memory_alloc(struct ferrule_comm *c, size_t bytes, void **out);
ferrule_status_t fr_user_memory_free(struct ferrule_comm *c, void *ptr);
/* fr_user_memory_fini - unmaps the plain pages that are left; transports free theirs. */
void fr_user_memory_fini(struct ferrule_comm *c);

#endif

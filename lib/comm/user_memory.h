/*
 * user_memory.h - behind ferrule_mem_alloc() and ferrule_mem_register().
 *
 * Memory is had from the first transport with memory of its own kind (what peers on this host can
 * map), else it is plain pages; either way every other transport that wants to know of it is told.
 * A communicator keeps one list of all that, by which it undoes it.
 */
#ifndef FR_USER_MEMORY_H
#define FR_USER_MEMORY_H

#include <stddef.h>

#include <ferrule/status.h>

struct ferrule_comm;

ferrule_status_t fr_user_memory_alloc(struct ferrule_comm *c, size_t bytes, void **out);
ferrule_status_t fr_user_memory_free(struct ferrule_comm *c, void *ptr);
/* fr_user_memory_register - the caller's own memory.  The same range counts up. */
ferrule_status_t fr_user_memory_register(struct ferrule_comm *c, void *ptr, size_t bytes);
ferrule_status_t fr_user_memory_deregister(struct ferrule_comm *c, void *ptr);
/* fr_user_memory_fini - unmaps the plain pages that are left.  Called when the transports are
 * closed: they have freed and forgotten theirs. */
void fr_user_memory_fini(struct ferrule_comm *c);

#endif

/* Memory that Ferrule can move faster than any other. */
#ifndef FERRULE_MEM_H
#define FERRULE_MEM_H

#include <ferrule/status.h>
#include <ferrule/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * ferrule_mem_alloc - `bytes` of zeroed, 4096-byte aligned memory that peers on this host
 * can map, so that collectives read and write it in place with no staging copy.
 *
 * Local.  The memory belongs to the caller until ferrule_mem_free() and must not be used
 * after its communicator is destroyed (destroy frees what is left).  Backed at once: a
 * full /dev/shm is FERRULE_ERR_NO_MEMORY here, never a SIGBUS later.
 */
ferrule_status_t ferrule_mem_alloc(ferrule_comm_t comm, size_t bytes, void **ptr_out);

/* ferrule_mem_free - gives memory of ferrule_mem_alloc() back.  NULL is a no-op. */
ferrule_status_t ferrule_mem_free(ferrule_comm_t comm, void *ptr);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

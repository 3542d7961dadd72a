/* Memory that Ferrule can move faster than any other: its own, and yours once it is registered. */
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
 * can map, so that collectives read and write it in place with no staging copy.  Network
 * hardware that this communicator uses has it registered.
 *
 * Local.  The memory belongs to the caller until ferrule_mem_free() and must not be used
 * after its communicator is destroyed (destroy frees what is left).  Backed at once: a
 * full /dev/shm is FERRULE_ERR_NO_MEMORY here, never a SIGBUS later.
 *
 * A process that is forked shares this memory, as peers do, and has no copy of it: what the child
 * writes there, its parent and the parent's collectives read.
 */
ferrule_status_t ferrule_mem_alloc(ferrule_comm_t comm, size_t bytes, void **ptr_out);

/* ferrule_mem_free - gives memory of ferrule_mem_alloc() back.  NULL is a no-op. */
ferrule_status_t ferrule_mem_free(ferrule_comm_t comm, void *ptr);

/*
 * ferrule_mem_register - makes `bytes` at `ptr`, memory of your own, known to the network
 * hardware that this communicator uses, so that messages from it and into it are not copied.
 *
 * Local.  The memory stays yours.  It must not be unmapped, moved or discarded before
 * ferrule_mem_deregister(): the hardware would go on with the pages that were there.  Pages are
 * locked in memory until then, which counts against `ulimit -l`.  Registering takes about as long
 * as touching every page, so it pays for buffers that are used more than once.  Memory that is
 * not registered may be used with every call; it is copied through staging memory.
 *
 * Succeeds with nothing to do where no hardware wants to know: shared memory and TCP.  The same
 * range may be registered again, and counts; a part of memory from ferrule_mem_alloc() may be.
 * FERRULE_ERR_ARGUMENT for a range that overlaps another one otherwise, FERRULE_ERR_NO_MEMORY
 * for a limit that it would exceed, FERRULE_ERR_UNSUPPORTED for memory of a GPU that the
 * hardware cannot reach; with the reason in ferrule_comm_error_text().
 *
 * Memory of a GPU is registered by dma-buf or nvidia_peermem, see FERRULE_GDR.  The operations
 * of this version read and write buffers with the processor and cannot use it yet.
 */
ferrule_status_t ferrule_mem_register(ferrule_comm_t comm, void *ptr, size_t bytes);

/* ferrule_mem_deregister - undoes one ferrule_mem_register(); `ptr` as it was given there.  No
 * operation may be using the memory.  NULL is a no-op. */
ferrule_status_t ferrule_mem_deregister(ferrule_comm_t comm, void *ptr);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

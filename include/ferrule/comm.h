/*
 * Communicators: how ranks find each other, and how they part.
 *
 * A communicator belongs to the process that created it.  After fork() the child may destroy its
 * copy, and ask for its rank and size; every other call on it, on its operations and on its memory
 * gets FERRULE_ERR_ARGUMENT, with a text that names both processes.  Communicators that the child
 * creates for itself work.  (A child of vfork() or clone(), for which the C library runs no fork
 * handlers, must not call Ferrule at all before it execs.)
 */
#ifndef FERRULE_COMM_H
#define FERRULE_COMM_H

#include <ferrule/status.h>
#include <ferrule/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* May several threads call into one communicator at the same time? */
enum ferrule_thread_mode {
	/* One at a time (any thread).  A second, overlapping call gets FERRULE_ERR_BUSY. */
	FERRULE_THREAD_SINGLE = 0,
	/* Calls are serialised by a lock; all ranks must still issue them in one order. */
	FERRULE_THREAD_MULTIPLE = 1,
};

/*
 * Options of a new communicator.  Set `size` to sizeof(struct ferrule_comm_options)
 * and leave the rest zero for the defaults; members are only ever added at the end.
 */
struct ferrule_comm_options {
	size_t size;
	enum ferrule_thread_mode thread_mode;
	/* Comma-separated transports in order of preference, e.g. "shm,tcp"; NULL: the
	 * setting FERRULE_TRANSPORT, else every usable one. */
	const char *transport;
	/* Seconds that a wait for peers may last; 0: the setting FERRULE_TIMEOUT. */
	double timeout_s;
};

/* Names one communicator-to-be; made by one process, handed to the others by the
 * application.  Opaque bytes; contains a secret, so treat it like a password. */
#define FERRULE_UNIQUE_ID_BYTES 128
typedef struct ferrule_unique_id {
	unsigned char bytes[FERRULE_UNIQUE_ID_BYTES];
} ferrule_unique_id_t;

/*
 * ferrule_unique_id_create - a fresh id, to be passed to every rank's ferrule_comm_create().
 *
 * The calling process must itself become rank 0 of that communicator (it listens on a
 * port named in the id until then).  Threads: any.
 */
ferrule_status_t ferrule_unique_id_create(ferrule_unique_id_t *id_out);

/*
 * ferrule_comm_create - collective over `n_ranks` processes that hold the same `id`.
 *
 * `options` may be NULL.  Returns FERRULE_OK and sets *comm_out, or an error and leaves it
 * alone; nothing of a failed creation remains.  Waits at most FERRULE_SETUP_TIMEOUT for the
 * others and then names the missing ranks.
 */
ferrule_status_t ferrule_comm_create(const ferrule_unique_id_t *id, int rank, int n_ranks,
                                     const struct ferrule_comm_options *options,
                                     ferrule_comm_t *comm_out);

/*
 * ferrule_comm_create_from_env - collective over all processes of the job, found from,
 * in this order: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT as torchrun and
 * `ferrule run` set them; PMIx under mpirun, prterun and srun; PMI-1 or PMI-2 under MPICH's
 * mpiexec and srun; rank and size of other launchers beside MASTER_ADDR, and Slurm's own; else
 * one rank alone.  Returns FERRULE_ERR_UNSUPPORTED when a launcher says that there are more
 * ranks, but not how they meet.  ferrule(7) has the details.
 */
ferrule_status_t ferrule_comm_create_from_env(const struct ferrule_comm_options *options,
                                              ferrule_comm_t *comm_out);

/*
 * ferrule_comm_split - collective; ranks with the same `color` form a new communicator,
 * ordered by `key`, ties by old rank.  A negative color takes part but gets *comm_out = NULL.
 */
ferrule_status_t ferrule_comm_split(ferrule_comm_t comm, int color, int key,
                                    ferrule_comm_t *comm_out);

/* ferrule_comm_dup - collective; the same ranks in a new, independent communicator. */
ferrule_status_t ferrule_comm_dup(ferrule_comm_t comm, ferrule_comm_t *comm_out);

/*
 * ferrule_comm_abort - local and bounded; every rank's present and later calls on `comm`
 * return FERRULE_ERR_ABORTED (or the fault that caused it) with `reason` in the text.
 */
ferrule_status_t ferrule_comm_abort(ferrule_comm_t comm, const char *reason);

/*
 * ferrule_comm_finalize - collective; waits until all ranks have finished what they
 * started, so that destroying is safe.  Only ferrule_comm_destroy() may follow.
 */
ferrule_status_t ferrule_comm_finalize(ferrule_comm_t comm);

/*
 * ferrule_comm_destroy - local; frees everything.  NULL is a no-op.  Without a finalize
 * before it, a peer that still waits for this rank gets FERRULE_ERR_PEER_LEFT.
 *
 * Threads: any, in both thread modes.  A call that another thread is inside of ends within
 * milliseconds with FERRULE_ERR_ABORTED, as it does on the peers that take part in it (one that
 * is making a child communicator first comes to its end or its deadline); calls that come later
 * get FERRULE_ERR_ARGUMENT.  Of two threads that destroy the same communicator one does it, the
 * other gets FERRULE_ERR_ARGUMENT.  Operations that were not destroyed live on, as handles of
 * which only ferrule_op_destroy() is allowed; what they had not done yet is dropped.
 *
 * In a forked child (see above) it frees memory and touches nothing of the parent's.
 */
ferrule_status_t ferrule_comm_destroy(ferrule_comm_t comm);

/* ferrule_comm_rank, ferrule_comm_size - this process's rank and the number of ranks. */
int ferrule_comm_rank(ferrule_comm_t comm);
int ferrule_comm_size(ferrule_comm_t comm);

/* ferrule_comm_local_rank, _local_size - the same among the ranks on this host. */
int ferrule_comm_local_rank(ferrule_comm_t comm);
int ferrule_comm_local_size(ferrule_comm_t comm);

/* ferrule_comm_transport - name of the transport used towards `peer` ("self" for oneself,
 * "unknown" for a rank that is none).  The string is static. */
const char *ferrule_comm_transport(ferrule_comm_t comm, int peer);

/*
 * ferrule_comm_status - FERRULE_OK while the communicator works, else the fault it is in.
 * Does not wait.  Threads: any.
 */
ferrule_status_t ferrule_comm_status(ferrule_comm_t comm);

/*
 * ferrule_comm_error_text - what went wrong last, with ranks, operations and numbers;
 * "" when nothing did.  With NULL: the calling thread's last error that belongs to no
 * communicator (a failed creation, say).  Valid until the next failing call.
 */
const char *ferrule_comm_error_text(ferrule_comm_t comm);

/* Counters of one communicator since its creation. */
struct ferrule_comm_stats {
	size_t size;         /* set by the caller: sizeof(struct ferrule_comm_stats) */
	uint64_t operations; /* operations completed */
	uint64_t bytes_sent; /* payload bytes handed to peers, all transports */
	uint64_t bytes_received;
	uint64_t memory_bytes; /* memory held by the communicator now */
	uint64_t plans;        /* schedules compiled and cached */
};
ferrule_status_t ferrule_comm_get_stats(ferrule_comm_t comm, struct ferrule_comm_stats *stats);

/* What joins a communicator, and what it holds of the network hardware. */
struct ferrule_comm_report {
	size_t size;               /* set by the caller: sizeof(struct ferrule_comm_report) */
	uint64_t memory_bytes;     /* as in struct ferrule_comm_stats */
	uint64_t registered_bytes; /* of the memory that the hardware knows; yours included */
	uint64_t n_queue_pairs; /* made so far: a pair of ranks gets them with its first message */
	uint64_t n_registrations;
	char joins[480]; /* "shm to ranks 1-3, verbs (mlx5_0:1) to ranks 4-7" */
};
/* ferrule_comm_report - fills *report.  With FERRULE_LOG=info the same is written when a
 * communicator has come to stand, and when it is destroyed. */
ferrule_status_t ferrule_comm_report(ferrule_comm_t comm, struct ferrule_comm_report *report);

/*
 * ferrule_comm_path - how messages go to `peer`, in words: "shm", or "verbs: mlx5_0 port 1, GID
 * 10.0.0.1 (v2, index 3) to 10.0.0.2 (v2, index 3), MTU 4096".  Of a rank on this machine with
 * which no memory is shared it says why: "tcp (same machine, but no shared memory: Permission
 * denied)". Cut to `bytes`.
 */
ferrule_status_t ferrule_comm_path(ferrule_comm_t comm, int peer, char *text, size_t bytes);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

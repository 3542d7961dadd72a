/*
 * Ferrule: collectives for distributed training.
 *
 * A job is n processes, called ranks 0 to n-1, that all run the same program.  They form a
 * communicator, and every rank calls the same operations on it in the same order:
 *
 *     ferrule_comm_t comm;
 *     ferrule_comm_create_from_env(NULL, &comm);
 *     ferrule_allreduce(comm, gradient, gradient, n, FERRULE_FLOAT32, FERRULE_AVG);
 *     ferrule_comm_finalize(comm);
 *     ferrule_comm_destroy(comm);
 *
 * Started by `ferrule run -n 4 ./program`, by torchrun, or by mpirun, mpiexec or srun.
 *
 *   ferrule/status.h  what functions return; every error has a text with ranks and numbers
 *   ferrule/types.h   element types, operators, handles
 *   ferrule/comm.h    create, split, abort, finalize; options; who is where
 *   ferrule/coll.h    allreduce and its kin, send and recv; blocking, started, persistent
 *   ferrule/mem.h     memory that peers on the host can reach without a copy
 *   ferrule/info.h    what the library is, can do and would choose
 *   ferrule/perf.h    bandwidth and latency between two processes (on its own)
 *   ferrule/trainer.h shards, gradient buckets, optimizers, checkpoints (on its own)
 *
 * Overlap: start an operation, compute, wait for it.
 *
 *     ferrule_op_t op;
 *     ferrule_allreduce_start(comm, a, a, n, FERRULE_FLOAT32, FERRULE_SUM, &op);
 *     compute();
 *     ferrule_op_wait(op);
 *     ferrule_op_destroy(op);
 *
 * Nothing waits for ever: a rank that dies is named within two seconds on one host, one
 * that does not come within FERRULE_TIMEOUT, and ranks that disagree about a call are told
 * both calls.  After such an error the communicator only accepts destroy.
 *
 * Threads: a communicator is used by one thread at a time, unless it was created with
 * FERRULE_THREAD_MULTIPLE; different communicators are independent.  fork(): a child must
 * not use its parent's communicators.
 */
#ifndef FERRULE_FERRULE_H
#define FERRULE_FERRULE_H

#include <ferrule/coll.h>
#include <ferrule/comm.h>
#include <ferrule/info.h>
#include <ferrule/mem.h>
#include <ferrule/perf.h>
#include <ferrule/status.h>
#include <ferrule/types.h>

#endif

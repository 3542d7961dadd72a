/*
 * exec.h - runs schedules.
 *
 * A schedule is compiled once into a plan: peers resolved to endpoints, ranges to byte
 * offsets, conflicts to element-wise gates, receive-reduce-send chains fused.  A run is one
 * execution of a plan on two buffers.  Runs of one executor start in the order of the calls
 * and may overlap: an endpoint serves them first come, first served.
 *
 * One thread at a time.  Nothing is allocated while a run is under way; run objects and
 * scratch are kept for reuse.
 */
#ifndef FR_EXEC_H
#define FR_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include <ferrule/types.h>
#include "collectives/schedule/schedule.h"
#include "lib/base/call.h"
#include "lib/transport/transport.h"

struct fr_exec;
struct fr_plan;
struct fr_run;
struct fr_supervisor;

/* What the executor works with.  Arrays live as long as the executor. */
struct fr_exec_params {
	int rank, n_ranks;
	struct fr_ep **eps;               /* [n_ranks], NULL for oneself */
	struct fr_transport **transports; /* those in use, NULL ends it */
	struct fr_board *board;           /* or NULL */
	uint64_t timeout_ns;              /* longest wait without any progress */
	int64_t spin_us;                  /* -1: choose */
	bool oversubscribed;              /* more ranks on this host than cores to run them */
	/* For error texts: the name of fr_call.coll, and, where two ranks' calls differ in more
	 * than a call shows, how (or ""; optional). */
	const char *(*coll_name)(int coll);
	void (*differ)(const void *owner, int peer, const struct fr_call *mine,
	               const struct fr_call *theirs, char *buf, size_t bytes);
	const void *owner;
	struct fr_supervisor *supervisor; /* asked in every look while it is not NULL */
};

ferrule_status_t fr_exec_create(const struct fr_exec_params *params, struct fr_exec **out);
/* Drops unfinished runs.  NULL is a no-op. */
void fr_exec_destroy(struct fr_exec *x);

/*
 * fr_plan_create - compiles a finished schedule for elements of `type` combined by `op`
 * (SUM, PROD, MIN, MAX or AVG).  The schedule may be freed afterwards.
 */
ferrule_status_t fr_plan_create(struct fr_exec *x, const struct fr_sched *s, ferrule_type_t type,
                                ferrule_redop_t op, struct fr_plan **out);
void fr_plan_destroy(struct fr_plan *plan);

/*
 * fr_exec_run - start and wait in one: the path of the blocking calls.  `call` is sealed;
 * `premul` is the factor of FR_SCALE_PREMUL steps (1.0 when there are none).
 */
ferrule_status_t fr_exec_run(struct fr_exec *x, const struct fr_plan *plan, const void *send,
                             void *recv, double premul, const struct fr_call *call);

/* fr_exec_start - begins a run; its object belongs to the caller until fr_run_release(). */
ferrule_status_t fr_exec_start(struct fr_exec *x, const struct fr_plan *plan, const void *send,
                               void *recv, double premul, const struct fr_call *call,
                               struct fr_run **out);
/* fr_run_test - progress on all runs; OK when this one is done, INPROGRESS, or its error. */
ferrule_status_t fr_run_test(struct fr_run *run);
/* fr_run_wait - until this run is done, or no progress was made for the timeout. */
ferrule_status_t fr_run_wait(struct fr_run *run);
/* fr_run_release - gives the object back; the run must be done or failed.  One that is not is
 * dropped, which leaves the endpoints in disorder: only fr_exec_destroy() may follow. */
void fr_run_release(struct fr_run *run);

/*
 * fr_exec_fault - the executor's fault, FERRULE_OK while there is none.  Once set, every run
 * fails with it.  *text_out (may be NULL) points to its text.
 */
ferrule_status_t fr_exec_fault(struct fr_exec *x, const char **text_out);
/* fr_exec_abort - sets the fault and tells the peers.  The first fault stays. */
void fr_exec_abort(struct fr_exec *x, ferrule_status_t status, const char *text);
/* fr_exec_compare - after a run that waited for nobody (a root's): was the operation of the same
 * number the same call for those peers that have got to it?  OK, or the fault of ranks that
 * disagree. */
ferrule_status_t fr_exec_compare(struct fr_exec *x, const struct fr_call *call);
/*
 * fr_exec_refuse - this rank refuses `call`, sealed, before it has begun: whoever else is in the
 * call of that number, or waits for that message, gets a fault with this rank and the text unless
 * it was refused there as often, or this rank comes to it after all within a fraction of a second.
 */
void fr_exec_refuse(struct fr_exec *x, const struct fr_call *call, ferrule_status_t status,
                    const char *text);
/* fr_exec_cancel - from any thread: whatever waits inside this executor, now or next, soon ends
 * in FERRULE_ERR_ABORTED with this text.  The first text stays. */
void fr_exec_cancel(struct fr_exec *x, const char *text);

/* fr_exec_look - while no run is under way: is every peer alive, and has nobody aborted?  OK, or
 * the fault, which it then is. */
ferrule_status_t fr_exec_look(struct fr_exec *x);
/* fr_exec_refused - has a peer refused the collective of this number, to which we have not come?
 * OK, or its status, with the peer and its reason in `text`.  After fr_exec_look(). */
ferrule_status_t fr_exec_refused(struct fr_exec *x, uint64_t sequence, char *text, size_t bytes);
/* fr_exec_supervise - another supervisor, or NULL: none. */
void fr_exec_supervise(struct fr_exec *x, struct fr_supervisor *supervisor);

/* Counters for ferrule_comm_get_stats(). */
struct fr_exec_stats {
	uint64_t runs, bytes_sent, bytes_received, memory_bytes;
};
void fr_exec_get_stats(const struct fr_exec *x, struct fr_exec_stats *out);

#endif

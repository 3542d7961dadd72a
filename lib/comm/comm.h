/*
 * comm.h - the communicator, as lib/comm and lib/api see it.
 *
 * Life: fr_establish() builds one out of an exchange among its ranks; calls find a shape
 * (shape.h), run it (part.h); fr_comm_destroy() takes it apart.  Between fr_comm_enter() and
 * fr_comm_leave() a communicator belongs to one thread; every function below that does not
 * say otherwise is called in between.  What users hold is not its address but a handle, which
 * fr_comm_enter() turns into one: see handle.h.
 */
#ifndef FR_COMM_H
#define FR_COMM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ferrule/comm.h>
#include "collectives/algo/algo.h"
#include "lib/comm/boot.h"
#include "lib/comm/place.h"
#include "lib/comm/select.h"
#include "lib/comm/shape.h"

struct fr_exec;
struct fr_transport;
struct fr_ep;
struct ferrule_op;

enum fr_comm_state {
	FR_COMM_READY,     /* calls run */
	FR_COMM_GROUP,     /* between group begin and end: only send and recv */
	FR_COMM_FINALIZED, /* only destroy may follow */
	FR_COMM_FAULT,     /* every call returns `fault` */
	FR_COMM_CLOSING,   /* another thread destroys it, as soon as who is inside has left */
};

/* An operator made by ferrule_redop_create_premul_sum(). */
struct fr_premul {
	bool live;
	ferrule_type_t type;
	double factor;
};
#define FR_MAX_PREMULS 64

/* The user's memory that no transport could provide: plain pages, freed with the
 * communicator.  See user_memory.h. */
struct fr_user_memory;

/* What the creator may choose, settings and defaults filled in. */
struct fr_comm_config {
	bool thread_multiple;
	char transports[FR_TRANSPORT_LIST_BYTES]; /* comma-separated, "" for all */
	const char *transports_source;            /* who chose them, for error texts; static */
	double timeout_s;
};

/* What stays when a communicator is destroyed: its memory is only ever used for another one, so
 * that a handle of it may be looked at for ever.  Belongs to handle.c. */
struct fr_comm_lasting {
	pthread_mutex_t lock;     /* with thread_multiple */
	_Atomic uint32_t closer;  /* the last generation that somebody destroyed */
	_Atomic uint32_t readers; /* threads inside of fr_comm_visit() */
	_Atomic pid_t owner;      /* the process that created it */
	struct ferrule_comm *next, *next_free;
};

struct ferrule_comm {
	/* What every call touches comes first. */
	_Atomic uint32_t guard; /* generation and enum fr_guard; see handle.h */
	_Atomic uint8_t called; /* as fr_call.coll, of the call begun last; for who finds it busy */
	_Atomic int state;      /* enum fr_comm_state; from here on zeroed for the next life */
	bool thread_multiple;
	int rank, n_ranks;
	uint64_t sequence;   /* of collectives, counted from 1 */
	uint64_t safe_count; /* counts up to here need no arithmetic to be accepted */
	struct fr_exec *exec;
	struct fr_shape_cache shapes;

	_Atomic int fault; /* ferrule_status_t, FERRULE_OK while all is well */
	char error_text[512];
	atomic_flag abort_claimed; /* by the one thread that writes: */
	char abort_text[256];

	uint64_t comm_id;
	unsigned char job_key[FR_JOB_KEY_BYTES];
	char master_addr[64];
	struct fr_comm_config config;
	uint32_t n_children; /* split and dup so far; part of a child's id */

	struct fr_place *places; /* [n_ranks] */
	int *host_of;            /* [n_ranks], as places say, in the form others want it */
	int n_hosts, local_rank, local_size;
	bool oversubscribed;

	struct fr_transport **transports; /* [n_transports + 1], NULL ends it */
	int n_transports;
	struct fr_ep **eps; /* [n_ranks], NULL for oneself */
	size_t board_bytes; /* payload of one publication, 0: no board */

	struct fr_machine machine;
	struct fr_overrides overrides;

	uint64_t *send_sequence, *recv_sequence; /* [n_ranks], point-to-point messages */
	struct fr_premul premuls[FR_MAX_PREMULS];
	uint64_t memory_limit; /* bytes no buffer can exceed on this host */
	struct fr_user_memory *user_memory;

	struct ferrule_op *ops;       /* every operation that the user holds */
	struct ferrule_op *idle_ops;  /* ready for reuse */
	struct ferrule_op *group;     /* the operation being gathered in FR_COMM_GROUP */
	ferrule_status_t group_error; /* of the first failed call in the group */

	struct fr_comm_lasting lasting;
};

static inline bool fr_comm_is_ready(const struct ferrule_comm *c)
{
	return __builtin_expect(
		atomic_load_explicit(&c->state, memory_order_relaxed) == FR_COMM_READY, 1);
}

/* fr_comm_create_env, fr_comm_create_id - see ferrule/comm.h.  No communicator to enter yet. */
ferrule_status_t fr_comm_create_env(const struct ferrule_comm_options *options,
                                    struct ferrule_comm **out);
ferrule_status_t fr_comm_create_id(const ferrule_unique_id_t *id, int rank, int n_ranks,
                                   const struct ferrule_comm_options *options,
                                   struct ferrule_comm **out);
/* fr_comm_split, fr_comm_dup - collective; the child inherits configuration and machine. */
ferrule_status_t fr_comm_split(struct ferrule_comm *parent, int color, int key,
                               struct ferrule_comm **out);
ferrule_status_t fr_comm_dup(struct ferrule_comm *parent, struct ferrule_comm **out);
/* fr_comm_refuse_child - this rank refuses a split or a dup, which the others are told, with this
 * thread's error text.  Returns `status`. */
ferrule_status_t fr_comm_refuse_child(struct ferrule_comm *parent, ferrule_status_t status);

/* fr_comm_destroy - frees all but the operations, which lib/api has taken off before, and gives
 * the memory back for another communicator. */
void fr_comm_destroy(struct ferrule_comm *c);
/* fr_comm_discard - the same in a forked child, where everything but the memory is its parent's:
 * neither shared memory, nor sockets, nor hardware are touched. */
void fr_comm_discard(struct ferrule_comm *c);

/* fr_comm_not_ready - why a call cannot run now: the fault, or the state's own error. */
ferrule_status_t fr_comm_not_ready(struct ferrule_comm *c);
/* fr_comm_refuse - keeps this thread's error text as the communicator's; returns `status`. */
ferrule_status_t fr_comm_refuse(struct ferrule_comm *c, ferrule_status_t status);
/*
 * fr_comm_tell - the call of this request was refused before it began, with this thread's error
 * text: the ranks that may be in it already are told (see fr_exec_refuse()).  Returns `status`.
 */
ferrule_status_t fr_comm_tell(struct ferrule_comm *c, const struct fr_request *r,
                              ferrule_status_t status);
/*
 * fr_comm_fail - an operation that had begun failed: the communicator enters its fault, the
 * executor tells the peers.  Returns the fault, which may be an earlier one.
 */
ferrule_status_t fr_comm_fail(struct ferrule_comm *c, ferrule_status_t status);

/*
 * fr_comm_abort - from any thread, also while another waits inside a call, which then ends
 * within milliseconds.  Not to be called between fr_comm_enter() and _leave().
 */
void fr_comm_abort(struct ferrule_comm *c, const char *text);

/* fr_comm_transport_name - of the transport towards a rank; "self" for this one. */
const char *fr_comm_transport_name(const struct ferrule_comm *c, int peer);
/* fr_comm_get_stats - fills all but `size`. */
void fr_comm_get_stats(const struct ferrule_comm *c, struct ferrule_comm_stats *stats);

/* fr_comm_allgather - blocks of bytes among the ranks, inside of what the user `called`. */
ferrule_status_t fr_comm_allgather(struct ferrule_comm *c, const void *in, void *out, size_t bytes,
                                   int called);
/* fr_comm_barrier - for finalize. */
ferrule_status_t fr_comm_barrier(struct ferrule_comm *c);

#endif

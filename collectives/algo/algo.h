/*
 * algo.h - the collectives, the algorithms for each, and what they cost.
 *
 * PURE: no I/O, lock, clock, communicator or user pointer in this room.
 */
#ifndef FR_ALGO_H
#define FR_ALGO_H

#include <stdbool.h>
#include <stddef.h>

#include "collectives/schedule/schedule.h"

/* Code, name as in the API and tools, does it combine elements, does it have a root. */
#define FR_COLL_MAP(X)                            \
	X(ALLREDUCE, "allreduce", 1, 0)           \
	X(REDUCE, "reduce", 1, 1)                 \
	X(REDUCE_SCATTER, "reduce_scatter", 1, 0) \
	X(ALLGATHER, "allgather", 0, 0)           \
	X(BROADCAST, "broadcast", 0, 1)           \
	X(GATHER, "gather", 0, 1)                 \
	X(SCATTER, "scatter", 0, 1)               \
	X(ALLTOALL, "alltoall", 0, 0)             \
	X(BARRIER, "barrier", 0, 0)               \
	X(P2P, "sendrecv", 0, 0) /* one send, recv, sendrecv or group */

enum fr_coll {
#define FR_COLL_ENUM(code, name, reduces, rooted) FR_COLL_##code,
	FR_COLL_MAP(FR_COLL_ENUM)
#undef FR_COLL_ENUM
		FR_N_COLLS
};

const char *fr_coll_name(enum fr_coll coll);
bool fr_coll_reduces(enum fr_coll coll);
bool fr_coll_has_root(enum fr_coll coll);
/* fr_coll_parse - the collective of that name, or FR_N_COLLS. */
enum fr_coll fr_coll_parse(const char *name);

/*
 * What one call asks for, the same on every rank except `rank` (and the alltoallv arrays).
 * Counts and displacements are elements.
 *
 *   count   allreduce, reduce, broadcast: elements of the vector.
 *           reduce_scatter, allgather, gather, scatter, alltoall: elements a block, unless
 *           `counts` is given (the v forms; NULL otherwise): then block r has counts[r].
 *   displs  allgatherv, gatherv, scatterv: where block r lies in the large buffer;
 *           NULL: one after the other.
 *   alltoallv uses send_counts/send_displs/recv_counts/recv_displs of this rank.
 */
struct fr_coll_args {
	enum fr_coll coll;
	int rank, n_ranks, root;
	size_t count;
	size_t elem_bytes;
	const size_t *counts, *displs;
	const size_t *send_counts, *send_displs, *recv_counts, *recv_displs;
	/* Buffers in place?  As the API defines it for this collective. */
	bool in_place;
	/* How many elements fit one publication on the board; 0: no board here. */
	size_t board_count;
	/* host_of[r]: index of rank r's host, 0..n_hosts-1; NULL: one host. */
	const int *host_of;
	int n_hosts;
};

/* fr_coll_alias - how send and recv lie in each other for these args. */
enum fr_alias fr_coll_alias(const struct fr_coll_args *a, size_t *offset_out);

/* Elements of the largest buffer (what a bench calls the size), over all ranks. */
size_t fr_coll_total_count(const struct fr_coll_args *a);

/* fr_coll_keeps_empty - has the call parts without elements that ranks must still exchange, since
 * on another rank they may have some?  See fr_sched.keeps_empty. */
bool fr_coll_keeps_empty(const struct fr_coll_args *a);

/*
 * The machine as the cost model sees it; seconds and seconds per byte, measured when a
 * communicator is created (tools may set them).  All ranks hold the same values.
 */
struct fr_machine {
	double publish_s;      /* one board line to all its readers, seen by the last */
	double publish_byte_s; /* per byte of a larger publication, per reader */
	double message_s;      /* a message between two ranks of a host, empty */
	double message_byte_s; /* per byte, staged through shared memory */
	double direct_byte_s;  /* per byte, read straight out of the peer's memory */
	double net_message_s;  /* a message between hosts (or any pair over sockets), empty */
	double net_byte_s;     /* per byte of it */
	double reduce_byte_s;  /* combining two operands, per byte of result */
	double copy_byte_s;    /* local copy */
	double handoff_s;      /* giving the core to another rank; 0 when every rank has its own */
	int cores;             /* cores of a host that its ranks may use together */
};

/* A machine to assume where none has been measured. */
extern const struct fr_machine fr_machine_default;

struct fr_algo {
	const char *name; /* as FERRULE_ALGO and explain spell it */
	enum fr_coll coll;
	const char *summary; /* one line for explain and info */
	/* May this algorithm run these args?  Never looks at the machine. */
	bool (*applies)(const struct fr_coll_args *a);
	/* Predicted seconds; only called where it applies. */
	double (*cost)(const struct fr_coll_args *a, const struct fr_machine *m);
	/* Appends this rank's steps; only called where it applies. */
	void (*emit)(struct fr_sched *s, const struct fr_coll_args *a);
};

/* Every algorithm; registry.c holds the one table. */
extern const struct fr_algo *const fr_algos[];
extern const int fr_n_algos;

/* fr_algo_find - by collective and name; NULL when there is none. */
const struct fr_algo *fr_algo_find(enum fr_coll coll, const char *name);

/* fr_algo_choose - the cheapest that applies, the second cheapest in *runner_up_out (may be
 * NULL on return).  Never NULL for valid args: every collective has one that always applies. */
const struct fr_algo *fr_algo_choose(const struct fr_coll_args *a, const struct fr_machine *m,
                                     const struct fr_algo **runner_up_out);

#endif

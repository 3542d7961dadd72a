/*
 * t_call.h - a collective on all ranks at once: schedules of every rank, what they must achieve,
 * and the verifier's word on it.
 */
#ifndef T_CALL_H
#define T_CALL_H

#include "collectives/algo/algo.h"
#include "collectives/schedule/verify.h"

enum t_in_place {
	T_APART,
	T_IN_PLACE,
	T_MIXED, /* every other rank in place: ranks need not agree */
};

/* What to run; arrays belong to the caller. */
struct t_call {
	const struct fr_algo *algo;
	int n_ranks, root;
	size_t count;
	const size_t *counts, *displs; /* [n_ranks], or NULL */
	const size_t *matrix;          /* alltoallv: [from * n_ranks + to], or NULL */
	enum t_in_place in_place;
	size_t elem_bytes, board_count;
	const int *host_of;
	int n_hosts;
};

/* Everything that belongs to one run. */
struct t_call_run {
	struct fr_sched *scheds; /* [n_ranks] */
	size_t *send_counts, *recv_counts;
	struct fr_expect *expects;
	size_t n_expects;
	size_t *arrays; /* counts and displacements of alltoallv */
	int n_ranks;
};

/* t_call_args - the call as `rank` makes it.  `arrays` holds 4 * n_ranks for alltoallv. */
struct fr_coll_args t_call_args(const struct t_call *c, int rank, size_t *arrays);

/* t_call_emit - emits and finishes the schedules of all ranks and lists what they must achieve.
 * Returns the first error of the builder. */
ferrule_status_t t_call_emit(const struct t_call *c, struct t_call_run *run);
void t_call_free(struct t_call_run *run);

/* t_call_job - the verifier's job for an emitted run. */
struct fr_verify_job t_call_job(const struct t_call_run *run, bool rendezvous, uint64_t seed);

/* t_call_verify - emits, verifies in both modes, and says on stderr what is wrong. */
bool t_call_verify(const struct t_call *c, uint64_t seed, struct fr_verify_report *report);

#endif

/* select.h - which algorithm a call gets, and the schedule that comes of it. */
#ifndef FR_SELECT_H
#define FR_SELECT_H

#include <stdbool.h>

#include "collectives/algo/algo.h"

/* Algorithms that FERRULE_ALGO names, by collective; NULL: the cost model's choice. */
struct fr_overrides {
	const struct fr_algo *algo[FR_N_COLLS];
};

/* fr_overrides_parse - "allreduce=ring,broadcast=binomial"; the error lists what is allowed. */
ferrule_status_t fr_overrides_parse(const char *text, struct fr_overrides *out);

/* fr_select - the override where it applies, else the cheapest.  The same on every rank: it
 * looks at nothing of `args` that only this rank knows. */
const struct fr_algo *fr_select(const struct fr_coll_args *args, const struct fr_machine *machine,
                                const struct fr_overrides *overrides);

/* fr_algo_index - where `algo` stands in fr_algos. */
int fr_algo_index(const struct fr_algo *algo);

/* How the operator frames a schedule. */
struct fr_frame {
	bool premul;  /* scale this rank's input first */
	bool average; /* scale the result last */
};

/*
 * fr_compose - this rank's finished schedule: the algorithm's steps between the scaling that the
 * operator asks for.  The send buffer is never written; input is scaled into the receive
 * buffer where that holds the whole vector, else into scratch.  The caller calls
 * fr_sched_fini(), also after an error.
 */
ferrule_status_t fr_compose(const struct fr_algo *algo, const struct fr_coll_args *args,
                            struct fr_frame frame, struct fr_sched *out);

#endif

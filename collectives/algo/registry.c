/* registry.c - the one table of algorithms, and the choice between them. */
#include "config.h"

#include "collectives/algo/algo.h"

#include <string.h>

#include "collectives/algo/rows.h"

/* Where two cost the same, the one that stands first is chosen. */
const struct fr_algo *const fr_algos[] = {
	&fr_allreduce_publish,      &fr_allreduce_rsag,
	&fr_allreduce_direct,       &fr_allreduce_ring,
	&fr_allreduce_tree,         &fr_allreduce_halving,
	&fr_allreduce_hierarchical, &fr_reduce_publish,
	&fr_reduce_binomial,        &fr_reduce_rsg,
	&fr_reduce_scatter_publish, &fr_reduce_scatter_direct,
	&fr_reduce_scatter_ring,    &fr_reduce_scatter_halving,
	&fr_allgather_publish,      &fr_allgather_direct,
	&fr_allgather_bruck,        &fr_allgather_ring,
	&fr_broadcast_publish,      &fr_broadcast_direct,
	&fr_broadcast_binomial,     &fr_broadcast_scatter_ring,
	&fr_gather_publish,         &fr_gather_direct,
	&fr_gather_binomial,        &fr_scatter_publish,
	&fr_scatter_direct,         &fr_scatter_binomial,
	&fr_alltoall_publish,       &fr_alltoall_pairwise,
	&fr_alltoall_bruck,         &fr_barrier_publish,
	&fr_barrier_dissemination,
};
const int fr_n_algos = sizeof(fr_algos) / sizeof(fr_algos[0]);

const struct fr_algo *fr_algo_find(enum fr_coll coll, const char *name)
{
	for (int i = 0; i < fr_n_algos; i++) {
		if (fr_algos[i]->coll == coll && strcmp(fr_algos[i]->name, name) == 0)
			return fr_algos[i];
	}
	return NULL;
}

const struct fr_algo *fr_algo_choose(const struct fr_coll_args *a, const struct fr_machine *m,
                                     const struct fr_algo **runner_up_out)
{
	const struct fr_algo *best = NULL, *second = NULL;
	double best_s = 0, second_s = 0;

	for (int i = 0; i < fr_n_algos; i++) {
		double s;

		if (fr_algos[i]->coll != a->coll || !fr_algos[i]->applies(a))
			continue;
		s = fr_algos[i]->cost(a, m);
		if (!best || s < best_s) {
			second = best;
			second_s = best_s;
			best = fr_algos[i];
			best_s = s;
		} else if (!second || s < second_s) {
			second = fr_algos[i];
			second_s = s;
		}
	}
	if (runner_up_out)
		*runner_up_out = second;
	return best;
}

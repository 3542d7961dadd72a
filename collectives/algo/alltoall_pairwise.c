/*
 * alltoall_pairwise.c - every rank sends each block straight to its rank.
 *
 *     round 1     3>0 =3   2>0 =2   1>0 =1   0: 0=s0   0>1 =0   3>1 =3   2>1 =2   1: 1=s1
 *                 1>2 =1   0>2 =0   3>2 =3   2: 2=s2   2>3 =2   1>3 =1   0>3 =0   3: 3=s3
 *
 * Steps: n-1 messages a rank, all together.
 * Bytes sent: (n-1)/n S.
 * Scratch: none.
 * Paper: Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations
 * in MPICH", IJHPCA 2005.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const struct fr_round total = fr_cost_any(&c, c.n - 1, (c.n - 1) / c.n * c.bytes);

	return fr_cost_rounds(&c, 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks;

	for (int k = 1; k < n; k++) {
		const int to = fr_ring_ahead(a->rank, k, n), from = fr_ring_behind(a->rank, k, n);

		fr_sched_send(s, to, fr_emit_to(a, to));
		fr_sched_recv(s, from, fr_emit_from(a, from));
	}
	fr_emit_own(s, a);
}

const struct fr_algo fr_alltoall_pairwise = {
	.name = "pairwise",
	.coll = FR_COLL_ALLTOALL,
	.summary = "every rank sends each block straight to its rank",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

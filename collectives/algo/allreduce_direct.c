/*
 * allreduce_direct.c - every rank sends its whole vector to all and combines in rank order.
 *
 *     round 1     1>0 +0-3   0>1 +0-3   0>2 =0-3   0>3 =0-3
 *     round 2     2>0 +0-3   2>1 +0-3   1>2 +0-3   1>3 +0-3
 *     round 3     3>0 +0-3   3>1 +0-3   2: 0-3=0-3+s0-3   3>2 +0-3   2>3 +0-3
 *     round 4     3: 0-3=0-3+s0-3
 *
 * Steps: n-1 messages a rank, all together.
 * Bytes sent: (n-1) S.
 * Scratch: none; in place S at all ranks but, with two of them, rank 0.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

#define SCRATCH_IN_CACHE_BYTES (2 << 20)
#define SCRATCH_IN_MEMORY      8

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	struct fr_round total = fr_cost_any(&c, c.n - 1, (c.n - 1) * c.bytes);

	total.reduce_bytes = (c.n - 1) * c.bytes;
	/* Scratch that no cache holds goes to memory and back (measured at two ranks over sockets:
	 * 4 MiB take 1.4 ms, the parts of rsag 0.9 ms; 1 MiB 0.19 and 0.23 ms). */
	if (total.reduce_bytes > SCRATCH_IN_CACHE_BYTES)
		total.reduce_bytes *= 1 + SCRATCH_IN_MEMORY;
	return fr_cost_rounds(&c, 1, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks, rank = a->rank;
	const struct fr_range own = fr_emit_whole(a, FR_SEND), result = fr_emit_whole(a, FR_RECV);
	/* The sum begins with the vectors of ranks 0 and 1, in either order, so these two begin
	 * with their own and take in the other's.  In place both would wait for the other to
	 * take its vector before they overwrite it, so one of them must put it aside. */
	const bool begins_own = rank == 0 || (rank == 1 && !(a->in_place && n == 2));
	/* In place the result covers what the others still want: keep away until the last. */
	const bool aside = a->in_place && (n > 2 || rank > 0);
	struct fr_range sum = own, sums = result;

	if (fr_emit_alone(s, a))
		return;
	for (int k = 1; k < n; k++)
		fr_sched_send(s, fr_ring_ahead(rank, k, n), own);
	if (aside)
		sums = fr_sched_tmp(s, a->count);
	if (!begins_own) {
		fr_sched_recv(s, 0, sums);
		sum = sums;
	}
	for (int p = begins_own ? 0 : 1; p < n; p++) {
		const struct fr_range to = p == n - 1 ? result : sums;

		if (p == rank && begins_own)
			continue;
		if (p == rank)
			fr_sched_reduce(s, to, sum, own);
		else
			fr_sched_recv_reduce(s, p, to, sum);
		sum = to;
	}
}

const struct fr_algo fr_allreduce_direct = {
	.name = "direct",
	.coll = FR_COLL_ALLREDUCE,
	.summary = "every rank sends its whole vector to all and combines in rank order",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

/*
 * allreduce_rsag.c - each rank combines its part straight from all others and hands it to all.
 *
 *     round 1     3>0 +0   0>1 +1   1>2 +2   2>3 +3
 *     round 2     2>0 +0   3>1 +1   0>2 +2   1>3 +3
 *     round 3     1>0 +0   2>1 +1   3>2 +2   0>3 +3
 *     round 4     3>0 =3   2>0 =2   1>0 =1   0>1 =0   3>1 =3   2>1 =2   1>2 =1   0>2 =0
 *                 3>2 =3   2>3 =2   1>3 =1   0>3 =0
 *
 * Steps: 2(n-1) messages a rank, in two rounds of n-1 together; long parts go in slices, each
 * with as many.
 * Bytes sent: 2(n-1)/n S.
 * Scratch: none.
 * Paper: Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004 (with
 * direct exchanges).
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	struct fr_round total = fr_cost_any(&c, 2 * (c.n - 1), 2 * (c.n - 1) / c.n * c.bytes);

	total.reduce_bytes = (c.n - 1) / c.n * c.bytes;
	return fr_cost_rounds(&c, 2, &total);
}

/* A part longer than this goes slice by slice, so that what is combined is handed out while it is
 * in the cache, and a combination can go straight into the next message. */
#define SLICE_BYTES (512u << 10)

static int n_slices(const struct fr_coll_args *a)
{
	const size_t bytes = fr_emit_part(a, FR_RECV, a->n_ranks, 0).count * a->elem_bytes;

	return bytes > SLICE_BYTES ? (int)((bytes + SLICE_BYTES - 1) / SLICE_BYTES) : 1;
}

static struct fr_range slice_of(const struct fr_coll_args *a, enum fr_space space, int part,
                                int slice)
{
	return fr_emit_cut(a, fr_emit_part(a, space, a->n_ranks, part), n_slices(a), slice);
}

/* Rank p owns part p.  The loops begin behind this rank so that not all meet at one. */
static void contribute(struct fr_sched *s, const struct fr_coll_args *a, int slice)
{
	for (int k = 1; k < a->n_ranks; k++) {
		const int to = fr_ring_ahead(a->rank, k, a->n_ranks);

		fr_sched_send(s, to, slice_of(a, FR_SEND, to, slice));
	}
}

static void combine(struct fr_sched *s, const struct fr_coll_args *a, int slice)
{
	for (int k = 1; k < a->n_ranks; k++)
		fr_sched_recv_reduce(s, fr_ring_behind(a->rank, k, a->n_ranks),
		                     slice_of(a, FR_RECV, a->rank, slice),
		                     slice_of(a, k == 1 ? FR_SEND : FR_RECV, a->rank, slice));
}

static void hand_out(struct fr_sched *s, const struct fr_coll_args *a, int slice)
{
	for (int k = 1; k < a->n_ranks; k++) {
		const int to = fr_ring_ahead(a->rank, k, a->n_ranks);
		const int from = fr_ring_behind(a->rank, k, a->n_ranks);

		fr_sched_send(s, to, slice_of(a, FR_RECV, a->rank, slice));
		fr_sched_recv_reply(s, from, slice_of(a, FR_RECV, from, slice));
	}
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int slices = n_slices(a);

	if (fr_emit_alone(s, a))
		return;
	/* One slice ahead: while results wait for contributions, the link has something to do. */
	contribute(s, a, 0);
	combine(s, a, 0);
	for (int slice = 0; slice < slices; slice++) {
		if (slice + 1 < slices) {
			contribute(s, a, slice + 1);
			combine(s, a, slice + 1);
		}
		hand_out(s, a, slice);
	}
}

const struct fr_algo fr_allreduce_rsag = {
	.name = "rsag",
	.coll = FR_COLL_ALLREDUCE,
	.summary = "each rank combines its part straight from all others and hands it to all",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

/*
 * allreduce_halving.c - halves of halves are combined between pairs, then doubled again.
 *
 *     round 1     1>0 +0-1   0>1 +2-3   3>2 +0-1   2>3 +2-3
 *     round 2     2>0 +0   3>1 +2   0>2 +1   1>3 +3
 *     round 3     2>0 =1   3>1 =3   0>2 =0   1>3 =2
 *     round 4     1>0 =2-3   0>1 =0-1   3>2 =2-3   2>3 =0-1
 *
 * Steps: 2 log2 n messages a rank, and 2 where n is no power of two.
 * Bytes sent: 2(p-1)/p S with p the power of two; S more at ranks that stand in for another.
 * Scratch: none.
 * Paper: Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/halving.h"

/* What a place holds after it has halved with the places that differ in `last` and all lower
 * bits: at each bit, those that have it keep the upper half.  The halves are cut between the
 * same parts for everybody. */
static struct fr_range held(const struct fr_coll_args *a, const struct fr_halving *h,
                            enum fr_space space, int place, int last)
{
	int first = 0, parts = h->size;
	struct fr_range low, high;

	for (int bit = 1; bit <= last; bit *= 2) {
		parts /= 2;
		first += place & bit ? parts : 0;
	}
	low = fr_emit_part(a, space, h->size, first);
	high = fr_emit_part(a, space, h->size, first + parts - 1);
	return fr_range(space, low.first, high.first + high.count - low.first);
}

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const struct fr_halving h = fr_halving(0, a->n_ranks);
	const double pairs = (h.size - 1.0) / h.size, folds = h.extra ? 1 : 0;
	const double rounds = 2 * fr_cost_log2(h.size) + 2 * folds;
	struct fr_round total = fr_cost_any(&c, rounds, 2 * (pairs + folds) * c.bytes);

	total.reduce_bytes = (pairs + folds) * c.bytes;
	return fr_cost_rounds(&c, rounds, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const struct fr_halving h = fr_halving(a->rank, a->n_ranks);
	enum fr_space from = FR_SEND;

	if (fr_emit_alone(s, a))
		return;
	if (h.place < 0) {
		fr_sched_send(s, h.buddy, fr_emit_whole(a, FR_SEND));
		fr_sched_recv(s, h.buddy, fr_emit_whole(a, FR_RECV));
		return;
	}
	if (h.buddy >= 0) {
		fr_sched_recv_reduce(s, h.buddy, fr_emit_whole(a, FR_RECV),
		                     fr_emit_whole(a, FR_SEND));
		from = FR_RECV;
	}
	/* Near ranks first: that is when the messages are largest. */
	for (int bit = 1; bit < h.size; bit *= 2) {
		const int peer = fr_halving_rank(&h, h.place ^ bit);

		fr_sched_send(s, peer, held(a, &h, from, h.place ^ bit, bit));
		fr_sched_recv_reduce(s, peer, held(a, &h, FR_RECV, h.place, bit),
		                     held(a, &h, from, h.place, bit));
		from = FR_RECV;
	}
	for (int bit = h.size / 2; bit > 0; bit /= 2) {
		const int peer = fr_halving_rank(&h, h.place ^ bit);

		fr_sched_send(s, peer, held(a, &h, FR_RECV, h.place, bit));
		fr_sched_recv(s, peer, held(a, &h, FR_RECV, h.place ^ bit, bit));
	}
	if (h.buddy >= 0)
		fr_sched_send(s, h.buddy, fr_emit_whole(a, FR_RECV));
}

const struct fr_algo fr_allreduce_halving = {
	.name = "halving",
	.coll = FR_COLL_ALLREDUCE,
	.summary = "halves of halves are combined between pairs, then doubled again",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

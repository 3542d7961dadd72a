/*
 * reduce_scatter_halving.c - halves of the blocks are combined between pairs until one is
 * left.
 *
 *     round 1     2>0 +t0-1   3>1 +t0-1   0>2 +t0-1   1>3 +t0-1
 *     round 2     1>0 +0   0>1 +0   3>2 +0   2>3 +0
 *
 * Steps: log2 n messages a rank, one more for two blocks, and 2 where n is no power of two.
 * Bytes sent: (p-1)/p S with p the power of two; S more at ranks that step aside.
 * Scratch: S/2, or S at ranks that stand in for another.
 * Paper: Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/halving.h"

/* Where the sums are kept: first nowhere but in the send buffer, then in scratch that stands for
 * the elements from `base` of it on. */
struct state {
	struct fr_sched *s;
	const struct fr_coll_args *a;
	const struct fr_halving *h;
	enum fr_space space;
	size_t base, scratch;
};

/* The first rank whose block belongs to a place or one behind it. */
static int first_rank(const struct fr_halving *h, int place)
{
	return place < h->extra ? 2 * place : place + h->extra;
}

/* The blocks of ranks [from, to), as they lie in the send buffer. */
static struct fr_range blocks(const struct fr_coll_args *a, int from, int to)
{
	const struct fr_range first = fr_emit_block(a, from), last = fr_emit_block(a, to - 1);

	return fr_range(FR_SEND, first.first, last.first + last.count - first.first);
}

static struct fr_range of_places(const struct state *at, int place, int width)
{
	return blocks(at->a, first_rank(at->h, place), first_rank(at->h, place + width));
}

/* The sums so far of elements of the send buffer. */
static struct fr_range sums(const struct state *at, struct fr_range own)
{
	if (at->space == FR_SEND)
		return own;
	return fr_range(FR_TMP, at->scratch + own.first - at->base, own.count);
}

static void add_into_scratch(struct state *at, int peer, struct fr_range own)
{
	const struct fr_range from = sums(at, own);

	if (at->space == FR_SEND) {
		at->scratch = fr_sched_tmp(at->s, own.count).first;
		at->base = own.first;
		at->space = FR_TMP;
	}
	fr_sched_recv_reduce(at->s, peer, sums(at, own), from);
}

static void take_over(struct state *at)
{
	add_into_scratch(at, at->h->buddy, fr_range(FR_SEND, 0, fr_coll_total_count(at->a)));
}

/* Keeps the half of 2 * width places that this one is in, and gives the other away. */
static void halve(struct state *at, int width)
{
	const int peer = fr_halving_rank(at->h, at->h->place ^ width);
	const int keep = at->h->place & -width;

	fr_sched_send(at->s, peer, sums(at, of_places(at, keep ^ width, width)));
	add_into_scratch(at, peer, of_places(at, keep, width));
}

/* The last halving goes block by block: one is this rank's result, the other its buddy's. */
static void finish(struct state *at)
{
	const struct fr_halving *h = at->h;
	const int other = h->place ^ 1, peer = fr_halving_rank(h, other), rank = at->a->rank;

	for (int r = first_rank(h, other); r < first_rank(h, other + 1); r++)
		fr_sched_send(at->s, peer, sums(at, fr_emit_block(at->a, r)));
	for (int r = first_rank(h, h->place); r < first_rank(h, h->place + 1); r++) {
		const struct fr_range own = fr_emit_block(at->a, r);

		if (r == rank)
			fr_sched_recv_reduce(at->s, peer, fr_emit_small(at->a), sums(at, own));
		else
			fr_sched_recv_reduce(at->s, peer, sums(at, own), sums(at, own));
	}
	if (h->buddy >= 0)
		fr_sched_send(at->s, h->buddy, sums(at, fr_emit_block(at->a, h->buddy)));
}

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const struct fr_halving h = fr_halving(0, a->n_ranks);
	const double pairs = (h.size - 1.0) / h.size, folds = h.extra ? 1 : 0;
	const double rounds = fr_cost_log2(h.size) + 2 * folds;
	struct fr_round total = fr_cost_any(&c, rounds, (pairs + folds) * c.bytes);

	total.reduce_bytes = (pairs + folds) * c.bytes;
	return fr_cost_rounds(&c, rounds, &total);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const struct fr_halving h = fr_halving(a->rank, a->n_ranks);
	struct state at = {.s = s, .a = a, .h = &h, .space = FR_SEND};

	if (fr_emit_alone(s, a))
		return;
	if (h.place < 0) {
		fr_sched_send(s, h.buddy, fr_range(FR_SEND, 0, fr_coll_total_count(a)));
		fr_sched_recv(s, h.buddy, fr_emit_small(a));
		return;
	}
	if (h.buddy >= 0)
		take_over(&at);
	for (int width = h.size / 2; width > 1; width /= 2)
		halve(&at, width);
	finish(&at);
}

const struct fr_algo fr_reduce_scatter_halving = {
	.name = "halving",
	.coll = FR_COLL_REDUCE_SCATTER,
	.summary = "halves of the blocks are combined between pairs until one is left",
	.applies = fr_applies_always,
	.cost = cost,
	.emit = emit,
};

/*
 * alltoall_bruck.c - blocks travel by the bits of their distance: log2 n messages.
 *
 *     round 1     0: t0=s1   0: t1=s3   3>0 =t2-3   0: t4=s2   0: 0=s0   1: t0=s2   1: t1=s0
 *                 0>1 =t2-3   1: t4=s3   1: 1=s1   2: t0=s3   2: t1=s1   1>2 =t2-3   2: t4=s0
 *                 2: 2=s2   3: t0=s0   3: t1=s2   2>3 =t2-3   3: t4=s1   3: 3=s3
 *     round 2     0: t5=t3   2>0 =t6-7   0: 3=t2   1: t5=t3   3>1 =t6-7   1: 0=t2   2: t5=t3
 *                 0>2 =t6-7   2: 1=t2   3: t5=t3   1>3 =t6-7   3: 2=t2
 *     round 3     0: 2=t6   0: 1=t7   1: 3=t6   1: 2=t7   2: 0=t6   2: 3=t7   3: 1=t6   3: 0=t7
 *
 * Steps: log2 n messages a rank, one after another.
 * Bytes sent: S/2 log2 n.
 * Scratch: S log2 n.
 * Paper: Bruck, Ho, Kipnis, Upfal and Weathersby, "Efficient Algorithms for All-to-All
 * Communications in Multiport Message-Passing Systems", IEEE TPDS 1997.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

/*
 * Block i is the one that has i ranks to go.  In step k, all blocks with bit k in their distance
 * go 2^k ranks on, packed in the order of their distance; what arrives takes their places.  So
 * where a block lies follows from its highest bit that has been done, and nothing is moved
 * except into the pack it leaves in.
 */
#define MOST_BITS 31
/* A step of a schedule that copies one small block. */
#define BLOCK_S 20e-9

struct packs {
	const struct fr_coll_args *a;
	size_t n_blocks[MOST_BITS], in[MOST_BITS]; /* of each step; where its arrivals begin */
};

/* How many distances below i have bit k. */
static size_t in_pack(int i, int k)
{
	const int whole = i >> (k + 1) << k, rest = i & ((2 << k) - 1);

	return (size_t)(whole + (rest > 1 << k ? rest - (1 << k) : 0));
}

static int next_with_bit(int i, int k)
{
	return (i + 1) | 1 << k;
}

/* Where block i lies before step k. */
static struct fr_range where(const struct packs *p, int i, int k)
{
	for (int bit = k - 1; bit >= 0; bit--) {
		if (i >> bit & 1)
			return fr_range(FR_TMP, p->in[bit] + in_pack(i, bit) * p->a->count,
			                p->a->count);
	}
	return fr_emit_to(p->a, fr_ring_ahead(p->a->rank, i, p->a->n_ranks));
}

static bool applies(const struct fr_coll_args *a)
{
	return !a->send_counts;
}

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const double rounds = fr_cost_log2(c.n);
	const struct fr_round total = fr_cost_any(&c, rounds, rounds * c.bytes / 2);

	/* Each message is put together and, in the end, all blocks are taken apart. */
	return fr_cost_rounds(&c, rounds, &total) +
	       (rounds / 2 + 1) * c.bytes * m->copy_byte_s * c.share +
	       (rounds / 2 + 1) * c.n * BLOCK_S * c.share;
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const int n = a->n_ranks;
	struct packs packs = {.a = a};

	for (int k = 0; 1 << k < n; k++) {
		struct fr_range out;

		packs.n_blocks[k] = in_pack(n, k);
		out = fr_sched_tmp(s, packs.n_blocks[k] * a->count);
		packs.in[k] = fr_sched_tmp(s, out.count).first;
		for (int i = 1 << k; i < n; i = next_with_bit(i, k))
			fr_sched_copy(
				s, fr_range(FR_TMP, out.first + in_pack(i, k) * a->count, a->count),
				where(&packs, i, k));
		fr_sched_send(s, fr_ring_ahead(a->rank, 1 << k, n), out);
		fr_sched_recv(s, fr_ring_behind(a->rank, 1 << k, n),
		              fr_range(FR_TMP, packs.in[k], out.count));
	}
	for (int i = 0; i < n; i++)
		fr_sched_copy(s, fr_emit_from(a, fr_ring_behind(a->rank, i, n)),
		              where(&packs, i, MOST_BITS));
}

const struct fr_algo fr_alltoall_bruck = {
	.name = "bruck",
	.coll = FR_COLL_ALLTOALL,
	.summary = "blocks travel by the bits of their distance: log2 n messages",
	.applies = applies,
	.cost = cost,
	.emit = emit,
};

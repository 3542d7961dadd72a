/*
 * allreduce_hierarchical.c - combined inside each host, then between hosts, then handed out
 * inside.
 *
 *     round 1     1>0 +0-1   0>1 +2-3   3>2 +0-1   2>3 +2-3
 *     round 2     2>0 +1   3>1 +3   0>2 +0   1>3 +2
 *     round 3     2>0 =0   3>1 =2   0>2 =1   1>3 =3
 *     round 4     1>0 =2-3   0>1 =0-1   3>2 =2-3   2>3 =0-1
 *
 * Steps: 2(l-1) rounds inside a host of l ranks, 2(h-1) between h hosts.
 * Bytes sent: 2(h-1)/h S leave each host; the picture has two hosts of two ranks.
 * Scratch: none.
 * Paper: Karonis et al., "Exploiting Hierarchy in Parallel Computer Networks to Optimize
 * Collective Operation Performance", IPDPS 2000.
 */
#include "config.h"

#include "collectives/algo/cost.h"
#include "collectives/algo/emit.h"
#include "collectives/algo/rows.h"
#include "collectives/pattern/ring.h"

/*
 * The vector is cut into as many parts ("rails") as the emptiest host has ranks.  Rank i of a
 * host owns part i there; the owners of one part on all hosts form a ring.  Further ranks of
 * fuller hosts only add and take.
 */
struct place {
	int host, local, locals; /* which rank of how many on this host */
	int rails;
};

static int ranks_on(const struct fr_coll_args *a, int host)
{
	int n = 0;

	for (int r = 0; r < a->n_ranks; r++)
		n += a->host_of[r] == host;
	return n;
}

static int fewest_on_a_host(const struct fr_coll_args *a)
{
	int fewest = a->n_ranks;

	for (int host = 0; host < a->n_hosts; host++) {
		const int n = ranks_on(a, host);

		fewest = n < fewest ? n : fewest;
	}
	return fewest;
}

/* The i-th rank of a host, in order. */
static int rank_at(const struct fr_coll_args *a, int host, int i)
{
	int r = 0;

	while (a->host_of[r] != host || i-- > 0)
		r++;
	return r;
}

static struct place find_place(const struct fr_coll_args *a)
{
	struct place at = {.host = a->host_of[a->rank]};

	for (int r = 0; r < a->rank; r++)
		at.local += a->host_of[r] == at.host;
	at.locals = ranks_on(a, at.host);
	at.rails = fewest_on_a_host(a);
	return at;
}

static bool applies(const struct fr_coll_args *a)
{
	return a->host_of && a->n_hosts > 1 && a->n_hosts < a->n_ranks && fewest_on_a_host(a) > 0;
}

/* Sub-part `i` of this rank's part. */
static struct fr_range cut(const struct fr_coll_args *a, const struct place *at,
                           enum fr_space space, int i)
{
	return fr_emit_cut(a, fr_emit_part(a, space, at->rails, at->local), a->n_hosts, i);
}

/* The owners of this rank's part combine it over all hosts and hand it to each other. */
static void ring(struct fr_sched *s, const struct fr_coll_args *a, const struct place *at)
{
	const int n = a->n_hosts, next = fr_ring_ahead(at->host, 1, n);
	const int right = rank_at(a, next, at->local);
	const int left = rank_at(a, fr_ring_behind(at->host, 1, n), at->local);
	const enum fr_space own = at->locals > 1 ? FR_RECV : FR_SEND;

	for (int k = 0; k < n - 1; k++) {
		const int out = fr_ring_behind(at->host, k, n);
		const int in = fr_ring_behind(at->host, k + 1, n);

		fr_sched_send(s, right, cut(a, at, k ? FR_RECV : own, out));
		fr_sched_recv_reduce(s, left, cut(a, at, FR_RECV, in), cut(a, at, own, in));
	}
	for (int k = 0; k < n - 1; k++) {
		fr_sched_send(s, right, cut(a, at, FR_RECV, fr_ring_behind(next, k, n)));
		fr_sched_recv(s, left, cut(a, at, FR_RECV, fr_ring_behind(at->host, k, n)));
	}
}

static double cost(const struct fr_coll_args *a, const struct fr_machine *m)
{
	const struct fr_cost c = fr_cost_begin(a, m);
	const double rails = fewest_on_a_host(a), hosts = a->n_hosts, local = c.per_host;
	struct fr_cost inside = c;
	struct fr_round host = {.messages = local - 1 + rails,
	                        .host_bytes = 2 * (local - 1) / local * c.bytes,
	                        .reduce_bytes = (local - 1) / rails * c.bytes};
	struct fr_round net = {.messages = 2 * (hosts - 1),
	                       .net_bytes = 2 * (hosts - 1) / hosts * c.bytes,
	                       .reduce_bytes = (hosts - 1) / hosts * c.bytes / rails};

	inside.hosts = 1;
	return fr_cost_rounds(&inside, 2, &host) + fr_cost_rounds(&c, 2 * (hosts - 1), &net);
}

static void emit(struct fr_sched *s, const struct fr_coll_args *a)
{
	const struct place at = find_place(a);
	const struct fr_range mine = fr_emit_part(a, FR_RECV, at.rails, at.local);

	if (fr_emit_alone(s, a))
		return;
	for (int k = 1; k < at.locals; k++) {
		const int to = fr_ring_ahead(at.local, k, at.locals);
		const int from = fr_ring_behind(at.local, k, at.locals);

		if (to < at.rails)
			fr_sched_send(s, rank_at(a, at.host, to),
			              fr_emit_part(a, FR_SEND, at.rails, to));
		if (at.local < at.rails)
			fr_sched_recv_reduce(
				s, rank_at(a, at.host, from), mine,
				fr_emit_part(a, k == 1 ? FR_SEND : FR_RECV, at.rails, at.local));
	}
	if (at.local < at.rails)
		ring(s, a, &at);
	for (int k = 1; k < at.locals; k++) {
		const int to = fr_ring_ahead(at.local, k, at.locals);
		const int from = fr_ring_behind(at.local, k, at.locals);

		if (at.local < at.rails)
			fr_sched_send(s, rank_at(a, at.host, to), mine);
		if (from < at.rails)
			fr_sched_recv(s, rank_at(a, at.host, from),
			              fr_emit_part(a, FR_RECV, at.rails, from));
	}
}

const struct fr_algo fr_allreduce_hierarchical = {
	.name = "hierarchical",
	.coll = FR_COLL_ALLREDUCE,
	.summary = "combined inside each host, then between hosts, then handed out inside",
	.applies = applies,
	.cost = cost,
	.emit = emit,
};

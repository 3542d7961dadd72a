#include "config.h"

#include "collectives/algo/cost.h"

/* A message that starts while another is in flight costs its handling, not the way. */
#define OVERLAPPED_MESSAGE 0.25
/* Looking at one more publication, as a part of seeing the first. */
#define MORE_PUBLICATIONS 0.15
/* From here on a transport may read the peer's memory in place, if it can at all. */
#define DIRECT_FROM_BYTES (16 << 10)

static double fullest_host(const struct fr_coll_args *a)
{
	int most = 0;

	if (!a->host_of)
		return a->n_ranks;
	for (int host = 0; host < a->n_hosts; host++) {
		int here = 0;

		for (int r = 0; r < a->n_ranks; r++)
			here += a->host_of[r] == host;
		most = here > most ? here : most;
	}
	return most;
}

/* How many ring links leave a host, on average rounded up: what its network carries. */
static double ring_crossings(const struct fr_coll_args *a)
{
	int leaving = 0;

	if (!a->host_of || a->n_hosts < 2)
		return 0;
	for (int r = 0; r < a->n_ranks; r++)
		leaving += a->host_of[r] != a->host_of[(r + 1) % a->n_ranks];
	return (leaving + a->n_hosts - 1) / a->n_hosts;
}

struct fr_cost fr_cost_begin(const struct fr_coll_args *a, const struct fr_machine *m)
{
	struct fr_cost c = {
		.m = m,
		.n = a->n_ranks,
		.bytes = (double)fr_coll_total_count(a) * (double)a->elem_bytes,
		.hosts = a->host_of && a->n_hosts > 1 ? a->n_hosts : 1,
		.per_host = fullest_host(a),
		.crossings = ring_crossings(a),
	};

	c.share = m->cores > 0 && c.per_host > m->cores ? c.per_host / m->cores : 1;
	return c;
}

struct fr_round fr_cost_any(const struct fr_cost *c, double messages, double bytes)
{
	const double abroad = c->n > 1 ? (c->n - c->per_host) / (c->n - 1) : 0;

	return (struct fr_round){
		.messages = messages,
		.host_bytes = bytes * (1 - abroad),
		.net_bytes = bytes * abroad * c->per_host,
	};
}

struct fr_round fr_cost_ring(const struct fr_cost *c, double bytes)
{
	return (struct fr_round){
		.messages = 1,
		.host_bytes = c->per_host > 1 ? bytes : 0,
		.net_bytes = bytes * c->crossings,
	};
}

struct fr_round fr_cost_root(const struct fr_cost *c, double messages, double bytes)
{
	struct fr_round round = fr_cost_any(c, messages, bytes);

	round.net_bytes /= c->per_host;
	return round;
}

double fr_cost_rounds(const struct fr_cost *c, double rounds, const struct fr_round *total)
{
	const struct fr_machine *m = c->m;
	const bool direct = m->direct_byte_s > 0 && m->direct_byte_s < m->message_byte_s &&
	                    rounds > 0 && total->host_bytes / rounds >= DIRECT_FROM_BYTES;
	const double byte_s = direct ? m->direct_byte_s : m->message_byte_s;
	const double alpha = c->hosts > 1 ? m->net_message_s : m->message_s;
	const double handling =
		total->messages > rounds ? OVERLAPPED_MESSAGE * (total->messages - rounds) : 0;
	const double handoff = c->share > 1 ? m->handoff_s * c->share : 0;
	const double work = (rounds + handling) * alpha + total->host_bytes * byte_s +
	                    total->reduce_bytes * m->reduce_byte_s;

	return work * c->share + rounds * handoff + total->net_bytes * m->net_byte_s;
}

double fr_cost_publish(const struct fr_cost *c, double readings, double bytes)
{
	const struct fr_machine *m = c->m;
	const double handoff = c->share > 1 ? m->handoff_s * c->share : 0;
	const double others = readings > 1 ? readings - 1 : 0;
	const double work = m->publish_s * (1 + MORE_PUBLICATIONS * others) +
	                    readings * bytes * m->publish_byte_s;

	return work * c->share + handoff;
}

double fr_cost_log2(double n)
{
	double rounds = 0;

	for (double reach = 1; reach < n; reach *= 2)
		rounds++;
	return rounds;
}

#include "config.h"

#include "lib/comm/prove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/comm/establish.h"
#include "lib/transport/transport.h"

/* Up to so many ranks all pairs are tried; among more, one pair of ranks for two hosts. */
#define ALL_PAIRS_MAX 16

/* What a rank found.  Travels between ranks that run the same library. */
struct proof {
	int32_t transport, peer; /* that failed first; -1 */
	char why[360];
};

bool fr_prove_tries(const struct fr_place *places, int n_ranks, int a, int b)
{
	const struct fr_place *p = &places[a], *q = &places[b];

	if (n_ranks <= ALL_PAIRS_MAX)
		return true;
	if (p->host == q->host)
		return false;
	/* Goes round with the hosts. */
	return p->local_rank == q->host % fr_places_local_size(places, n_ranks, p->host) &&
	       q->local_rank == p->host % fr_places_local_size(places, n_ranks, q->host);
}

static int index_of(const struct fr_transport_ops *ops)
{
	int t = 0;

	while (fr_transports[t] != ops)
		t++;
	return t;
}

/* Tries one transport towards all its peers.  A path that is not there is a finding, all else
 * an error. */
static ferrule_status_t try_one(struct ferrule_comm *c, struct fr_transport *t,
                                uint64_t deadline_ns, struct proof *found)
{
	bool *wanted = calloc((size_t)c->n_ranks, sizeof(*wanted));
	char why[sizeof(found->why)] = "";
	int failed = -1;

	if (!wanted)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d peers", c->n_ranks);
	for (int r = 0; r < c->n_ranks; r++)
		wanted[r] = c->eps[r] && c->eps[r]->transport == t &&
		            fr_prove_tries(c->places, c->n_ranks, c->rank, r);
	const ferrule_status_t status =
		t->ops->prove(t, wanted, deadline_ns, &failed, why, sizeof(why));

	free(wanted);
	if (status == FERRULE_OK)
		return FERRULE_OK;
	if (status != FERRULE_ERR_FABRIC)
		return fr_error(status, "transport %s: %s", t->ops->name, why);
	found->transport = index_of(t->ops);
	found->peer = failed;
	snprintf(found->why, sizeof(found->why), "%s", why);
	return FERRULE_OK;
}

static ferrule_status_t try_all(struct ferrule_comm *c, uint64_t deadline_ns, struct proof *found)
{
	/* Time is left for what comes after. */
	const uint64_t now = fr_clock_ns();
	const uint64_t until = now < deadline_ns ? now + (deadline_ns - now) / 2 : now;
	ferrule_status_t status = FERRULE_OK;

	found->transport = found->peer = -1;
	for (int t = 0; t < c->n_transports && status == FERRULE_OK && found->peer < 0; t++)
		if (c->transports[t]->ops->prove)
			status = try_one(c, c->transports[t], until, found);
	return status;
}

static void drop(struct fr_place *p, int transport)
{
	int n = 0;

	for (int i = 0; i < p->n_transports; i++)
		if (p->transports[i] != transport)
			p->transports[n++] = p->transports[i];
	p->n_transports = n;
}

/* Takes the transport of a finding away from all ranks. */
static ferrule_status_t apply(struct ferrule_comm *c, int finder, const struct proof *found)
{
	const char *name = fr_transports[found->transport]->name;

	for (int r = 0; r < c->n_ranks; r++)
		drop(&c->places[r], found->transport);
	const int next = fr_places_choose(c->places, finder, found->peer);

	if (next < 0)
		return fr_error(FERRULE_ERR_FABRIC,
		                "%s does not carry data between rank %d and rank %d, and nothing "
		                "else is allowed or usable there: %s",
		                name, finder, found->peer, found->why);
	if (c->rank == 0)
		fr_log(FR_LOG_WARNING,
		       "%s does not carry data between rank %d and rank %d; %s is used instead, by "
		       "all ranks: %s",
		       name, finder, found->peer, fr_transports[next]->name, found->why);
	return FERRULE_OK;
}

static bool is_sound(const struct ferrule_comm *c, const struct proof *p)
{
	int n = 0;

	while (fr_transports[n])
		n++;
	return p->transport < n && p->peer < c->n_ranks && memchr(p->why, '\0', sizeof(p->why));
}

ferrule_status_t fr_prove(const struct fr_exchange *exchange, struct ferrule_comm *c,
                          uint64_t deadline_ns, bool *is_shorter_out)
{
	struct proof *all = calloc((size_t)c->n_ranks, sizeof(*all));
	struct proof mine = {.peer = -1};
	ferrule_status_t status = try_all(c, deadline_ns, &mine);
	int dropped = -1;

	if (!all && status == FERRULE_OK)
		status = fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d proofs", c->n_ranks);
	status = fr_exchange_outcome(exchange, status, &mine, sizeof(mine), all);
	for (int r = 0; r < c->n_ranks && status == FERRULE_OK; r++) {
		if (!is_sound(c, &all[r])) {
			status = fr_error(FERRULE_ERR_PROTOCOL, "rank %d proved nonsense", r);
		} else if (all[r].peer >= 0 && all[r].transport != dropped) {
			dropped = all[r].transport;
			status = apply(c, r, &all[r]);
		}
	}
	*is_shorter_out = dropped >= 0;
	free(all);
	return status;
}

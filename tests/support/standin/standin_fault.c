/* standin_fault.c - what stands between a request and its receiver: ports, GIDs, deaths, kills. */
#include "tests/support/standin/standin_local.h"

#include <string.h>

/* gid_device - who has the address, and as which entry; STANDIN_NONE: nobody. */
static uint32_t gid_device(const struct standin_table *t, const struct standin_qp *q,
                           uint8_t *entry_out)
{
	if (standin_self.config.is_infiniband) {
		*entry_out = 0;
		return q->dlid >= 1 && q->dlid <= STANDIN_DEVICES_MAX ? q->dlid - 1u : STANDIN_NONE;
	}
	for (uint32_t i = 0; i < STANDIN_DEVICES_MAX; i++)
		for (uint8_t k = 0; k < STANDIN_GIDS; k++)
			if (memcmp(t->devices[i].gids[k].raw, q->dgid, 16) == 0) {
				*entry_out = k;
				return i;
			}
	return STANDIN_NONE;
}

void standin_resolve(struct standin_qp *q)
{
	q->peer_device = gid_device(standin_self.table, q, &q->dgid_index);
	/* IPv4 does not talk to IPv6. */
	if (q->peer_device != STANDIN_NONE && q->dgid_index != q->sgid)
		q->peer_device = STANDIN_NONE;
}

/* route_by_state - what ports and addresses that are not as usual make of a request. */
static enum standin_outcome route_by_state(struct standin_table *t, const struct standin_qp *q)
{
	const struct standin_device *mine = &t->devices[q->device];
	const struct standin_device *theirs = &t->devices[q->peer_device];
	const uint32_t gid = mine->gids[q->sgid].mode, peer_gid = theirs->gids[q->dgid_index].mode;
	if (mine->port == STANDIN_PORT_SILENT || theirs->port == STANDIN_PORT_SILENT ||
	    gid == STANDIN_GID_REMOVED)
		return STANDIN_STUCK;
	if (mine->port != STANDIN_PORT_UP || theirs->port != STANDIN_PORT_UP ||
	    gid == STANDIN_GID_DEAD || peer_gid != STANDIN_GID_PRESENT ||
	    (mine->blocked >> q->peer_device & 1) != 0)
		return STANDIN_NO_ANSWER;
	return STANDIN_DONE;
}

/* is_match - are these two connected to each other, with the same packet numbers? */
static bool is_match(const struct standin_qp *q, const struct standin_qp *peer)
{
	return peer->number == q->peer_number && peer->peer_number == q->number &&
	       peer->device == q->peer_device && peer->peer_device == q->device &&
	       peer->rq_psn == q->sq_psn;
}

enum standin_outcome standin_route(struct standin_local_qp *local, struct standin_qp **peer_out)
{
	struct standin_table *t = standin_self.table;
	struct standin_qp *q = local->shared;
	if (q->peer_device == STANDIN_NONE)
		return STANDIN_NO_ANSWER;
	if ((t->devices[q->device].trouble | t->devices[q->peer_device].trouble) != 0) {
		const enum standin_outcome outcome = route_by_state(t, q);
		if (outcome != STANDIN_DONE)
			return outcome;
	}
	struct standin_qp *peer = &t->qps[q->peer_number % STANDIN_QPS];
	if (!is_match(q, peer) || !standin_proc_is_alive(&t->procs[peer->owner]))
		return STANDIN_NO_ANSWER;
	*peer_out = peer;
	return STANDIN_DONE;
}

/* count_down - true for exactly one of those who take the last. */
static bool count_down(_Atomic int64_t *left)
{
	if (atomic_load_explicit(left, memory_order_relaxed) < 0)
		return false;
	return atomic_fetch_sub(left, 1) == 0;
}

bool standin_is_killed(const struct standin_local_qp *q, enum ibv_wc_status *status_out)
{
	struct standin_self *s = &standin_self;
	struct standin_device *d = &s->table->devices[q->shared->device];
	if (count_down(&s->kill_after)) {
		*status_out = s->config.kill_status;
		return true;
	}
	if (atomic_load_explicit(&d->trouble, memory_order_relaxed) != 0 &&
	    count_down(&d->kill_after)) {
		*status_out = atomic_load(&d->kill_status);
		return true;
	}
	return false;
}

/*
 * verbs_prove.c - endpoints are connected before anybody uses them, to know that they can be.
 *
 * Connecting ends with a write in each direction that the other end's hardware acknowledged, so
 * an endpoint that is ready is proof enough.
 */
#include "config.h"

#include "lib/transport/verbs/verbs.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/supervisor.h"

/* Links and completions wake a nap; it is short for what is due by the clock. */
#define NAP_NS 500000u

static bool is_undecided(struct fr_vb_ep *e)
{
	return fr_link_look(&e->link) == FERRULE_OK && !e->link.has_left && e->state != FR_VB_READY;
}

/* What an endpoint that is not ready means. */
static ferrule_status_t judge(const struct fr_vb_ep *e, char *why, size_t why_bytes)
{
	if (e->link.fault != FERRULE_OK) {
		snprintf(why, why_bytes, "%s", e->base.why);
		return e->link.fault;
	}
	if (e->link.has_left) {
		snprintf(why, why_bytes, "%s has left", e->link.name);
		return FERRULE_ERR_PEER_LEFT;
	}
	snprintf(why, why_bytes, "%s: no RDMA path in time%s%s", e->link.name,
	         e->trouble[0] ? ": " : "", e->trouble);
	return FERRULE_ERR_FABRIC;
}

ferrule_status_t fr_vb_prove(struct fr_transport *base, const bool *wanted, uint64_t deadline_ns,
                             int *failed_out, char *why, size_t why_bytes)
{
	struct fr_vb *t = fr_vb_of(base);
	ferrule_status_t status;
	int n_undecided;

	for (int r = 0; r < t->n_ranks; r++)
		if (wanted[r])
			fr_vb_want(t->eps[r]);
	/* To the end for all of them: peers need this side while they try. */
	do {
		n_undecided = 0;
		fr_vb_progress(t);
		fr_vb_serve_links(t);
		for (int r = 0; r < t->n_ranks; r++)
			n_undecided += wanted[r] && is_undecided(t->eps[r]);
		if (n_undecided > 0)
			base->ops->nap(base, NAP_NS);
		status = fr_supervisor_check(base->supervisor);
	} while (n_undecided > 0 && status == FERRULE_OK && fr_clock_ns() < deadline_ns);
	if (status != FERRULE_OK) {
		snprintf(why, why_bytes, "%s", fr_error_text());
		return status;
	}
	for (int r = 0; r < t->n_ranks; r++) {
		if (!wanted[r] || t->eps[r]->state == FR_VB_READY)
			continue;
		*failed_out = r;
		return judge(t->eps[r], why, why_bytes);
	}
	return FERRULE_OK;
}

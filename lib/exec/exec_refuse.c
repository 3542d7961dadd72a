/*
 * Calls that one rank refuses while others are in them.
 *
 * Design: a call is refused before anything of it was done (a bad argument, no memory for its
 * plan), so the communicator stays usable, and where all ranks refuse alike nothing happened at
 * all.  But a rank that refuses alone leaves the others waiting.  So it tells them: the number
 * the call would have had, the reason, and how often it has refused a call of that number.  A
 * rank that waits in that number and has refused as often has done the same as its peer, which
 * will come to this call later.  One that has refused less often waits in what its peer refused.
 * That is a fault, after a moment in which the peer may still mend its argument and call again.
 */
#include "config.h"
#include "lib/exec/exec_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* How long a rank that has refused a call may take to make it after all. */
#define MEND_NS 200000000u

ferrule_status_t fr_refuse_init(struct fr_exec *x)
{
	x->unmet = calloc((size_t)x->params.n_ranks, sizeof(*x->unmet));
	return x->unmet ? FERRULE_OK : FERRULE_ERR_NO_MEMORY;
}

void fr_refuse_fini(struct fr_exec *x)
{
	free(x->unmet);
}

/* ---- telling ---- */

/* Once more; returns how often by now. */
static uint32_t count_refusal(struct fr_refused *r, uint64_t sequence)
{
	if (r->sequence != sequence)
		*r = (struct fr_refused){.sequence = sequence};
	return ++r->count;
}

static void tell(struct fr_exec *x, int peer, const struct fr_refusal *refusal)
{
	struct fr_ep *ep = x->params.eps[peer];

	if (ep && ep->ops->refuse)
		ep->ops->refuse(ep, refusal);
}

void fr_exec_refuse(struct fr_exec *x, const struct fr_call *call, ferrule_status_t status,
                    const char *text)
{
	const bool is_message = call->algo == FR_CALL_PAIRWISE;
	struct fr_refusal refusal = {.call = *call, .status = status};

	if (x->fault != FERRULE_OK)
		return;
	snprintf(refusal.text, sizeof(refusal.text), "%s", text);
	refusal.count = count_refusal(
		is_message ? &x->unmet[call->root][call->op != 0] : &x->refused, call->sequence);
	x->last_refusal = refusal;
	if (is_message)
		tell(x, call->root, &refusal);
	for (int r = 0; !is_message && r < x->params.n_ranks; r++)
		tell(x, r, &refusal);
}

/* ---- hearing ---- */

static uint32_t count_of(const struct fr_refused *r, uint64_t sequence)
{
	return r->sequence == sequence ? r->count : 0;
}

/* Is it what rank r refused that we wait for?  `sends`: our side, when it is a message. */
static bool is_refused(const struct fr_exec *x, const struct fr_call *mine, bool sends, int r,
                       const struct fr_refusal *theirs)
{
	const bool is_message = mine->algo == FR_CALL_PAIRWISE;

	if (theirs->call.sequence != mine->sequence ||
	    is_message != (theirs->call.algo == FR_CALL_PAIRWISE))
		return false;
	if (!is_message)
		return theirs->count > count_of(&x->refused, mine->sequence);
	return mine->root == r && theirs->call.root == x->params.rank &&
	       (theirs->call.op != 0) == sends &&
	       theirs->count > count_of(&x->unmet[r][!sends], mine->sequence);
}

/* Has it come to that call after all, as far as can be known? */
static bool has_come(struct fr_ep *ep, const struct fr_call *mine)
{
	struct fr_call now;

	return mine->algo != FR_CALL_PAIRWISE && ep->ops->peer_call(ep, &now) &&
	       now.algo != FR_CALL_PAIRWISE && now.sequence >= mine->sequence;
}

/* The call of ours that a peer has refused, or NULL. */
static const struct fr_call *refused_call(struct fr_exec *x, const struct fr_call *call,
                                          int board_peer, int r, const struct fr_refusal *theirs)
{
	if (board_peer >= 0)
		return is_refused(x, call, false, r, theirs) ? call : NULL;
	for (const struct fr_run *run = x->active; run; run = run->next) {
		const bool sends = run->plan->n_lanes > 0 && run->plan->lanes[0].is_send;

		if (is_refused(x, &run->call, sends, r, theirs))
			return &run->call;
	}
	return NULL;
}

/* What rank r refused, at this place; false when that is nothing, or nonsense. */
static bool heard(const struct fr_exec *x, int r, int place, struct fr_refusal *out)
{
	struct fr_ep *ep = x->params.eps[r];

	return ep && ep->ops->peer_refusal && ep->ops->peer_refusal(ep, place, out) &&
	       fr_refusal_is_sound(out) && fr_refusal_place(out) == place;
}

/* The first peer that has refused what is waited for; -1: none. */
static int find(struct fr_exec *x, const struct fr_call *call, int board_peer,
                struct fr_refusal *theirs, const struct fr_call **mine_out)
{
	for (int i = 0; i < x->params.n_ranks * FR_REFUSAL_PLACES; i++) {
		const int r = i / FR_REFUSAL_PLACES;

		if (!heard(x, r, i % FR_REFUSAL_PLACES, theirs))
			continue;
		*mine_out = refused_call(x, call, board_peer, r, theirs);
		if (*mine_out && !has_come(x->params.eps[r], *mine_out))
			return r;
	}
	return -1;
}

ferrule_status_t fr_exec_refused(struct fr_exec *x, uint64_t sequence, char *text, size_t bytes)
{
	for (int r = 0; r < x->params.n_ranks; r++) {
		struct fr_refusal theirs;

		if (!heard(x, r, 0, &theirs) || theirs.call.sequence != sequence ||
		    theirs.count <= count_of(&x->refused, sequence))
			continue;
		snprintf(text, bytes, "rank %d: %s", r, theirs.text);
		return theirs.status;
	}
	return FERRULE_OK;
}

static const char *theirs_text(const struct fr_exec *x, const struct fr_call *call, char *buf,
                               size_t bytes)
{
	if (call->algo != FR_CALL_PAIRWISE)
		return fr_exec_call_text(x, call, buf, bytes);
	snprintf(buf, bytes, call->op == 0 ? "send #%llu to rank %d" : "recv #%llu from rank %d",
	         (unsigned long long)call->sequence, (int)call->root);
	return buf;
}

/* Does it say why a rank's call of this number differs from what `peer` made of it? */
static bool explains(const struct fr_refusal *refusal, const struct fr_call *mine, int peer)
{
	if (!fr_refusal_is_sound(refusal))
		return false;
	if (refusal->call.algo != FR_CALL_PAIRWISE)
		return refusal->call.sequence == mine->sequence && mine->algo != FR_CALL_PAIRWISE;
	/* A message, between whose refusal and a collective there was no other. */
	return refusal->call.root == peer &&
	       (mine->algo == FR_CALL_PAIRWISE ? refusal->call.sequence == mine->sequence
	                                       : refusal->call.count + 1 == mine->sequence);
}

void fr_refuse_text(const struct fr_exec *x, int peer, const struct fr_call *mine, char *buf,
                    size_t bytes)
{
	struct fr_ep *ep = x->params.eps[peer];
	struct fr_refusal theirs = {.count = 0};
	const struct fr_refusal *refusal = &x->last_refusal;
	int rank = x->params.rank;
	char call[128];

	buf[0] = '\0';
	/* Of a group that was refused the last message is remembered, to whomever it was. */
	const int about = mine->algo == FR_CALL_PAIRWISE ? peer : refusal->call.root;

	if (!explains(refusal, mine, about)) {
		/* What it told may not have been read yet; how the peer is, is another matter. */
		(void)ep->ops->check(ep);
		int place = 0;
		while (place < FR_REFUSAL_PLACES &&
		       !(heard(x, peer, place, &theirs) && explains(&theirs, mine, rank)))
			place++;
		if (place == FR_REFUSAL_PLACES)
			return;
		refusal = &theirs;
		rank = peer;
	}
	snprintf(buf, bytes, "; before that rank %d refused its call %s: %s", rank,
	         theirs_text(x, &refusal->call, call, sizeof(call)), refusal->text);
}

ferrule_status_t fr_refuse_look(struct fr_exec *x, const struct fr_call *call, int board_peer,
                                uint64_t now)
{
	const struct fr_call *mine = NULL;
	struct fr_refusal theirs;
	char a[128], b[128];

	const int r = find(x, call, board_peer, &theirs, &mine);

	if (r < 0 || x->refusal_seen_ns == 0)
		x->refusal_seen_ns = r < 0 ? 0 : now;
	if (r < 0 || now - x->refusal_seen_ns < MEND_NS)
		return FERRULE_OK;
	return fr_exec_fault_text(x,
	                          theirs.status == FERRULE_ERR_ARGUMENT ? FERRULE_ERR_MISMATCH
	                                                                : FERRULE_ERR_ABORTED,
	                          "rank %d refused its call %s: %s; rank %d waits in %s", r,
	                          theirs_text(x, &theirs.call, b, sizeof(b)), theirs.text,
	                          x->params.rank, fr_exec_call_text(x, mine, a, sizeof(a)));
}

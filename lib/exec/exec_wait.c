/*
 * Waiting, and what it finds.
 *
 * Design: a wait climbs a ladder.  It spins, since most peers are a microsecond away; it
 * yields when ranks outnumber cores, or after the spin; it naps when nothing has come for
 * milliseconds.  About once a millisecond it looks at the peers: is one dead, has one left or
 * aborted, does one say that it is in another call?  And it looks at the clock.  Whatever it
 * finds becomes the executor's one fault, with a text that names ranks and calls, and the
 * peers are told.
 */
#include "config.h"
#include "lib/exec/exec_internal.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/supervisor.h"
#include "lib/base/text.h"

#define MS 1000000ull
/* The clock is read once in so many polls. */
#define POLLS_A_LOOK      1024u
#define LOOK_NS           (1 * MS)
#define NAP_AFTER_NS      (5 * MS)
#define NAP_NS            (100000ull)
#define LONG_NAP_AFTER_NS (200 * MS)
#define LONG_NAP_NS       (1 * MS)
#define WARN_AFTER_NS     (10000 * MS)
#define ASK_BEFORE_NS     (1000 * MS)

const char *fr_exec_call_text(const struct fr_exec *x, const struct fr_call *call, char *buf,
                              size_t bytes)
{
	return fr_call_text(call, x->params.coll_name(call->coll), buf, bytes);
}

void fr_exec_abort(struct fr_exec *x, ferrule_status_t status, const char *text)
{
	if (x->fault != FERRULE_OK)
		return;
	x->fault = status;
	snprintf(x->fault_text, sizeof(x->fault_text), "%s", text);
	for (struct fr_transport **t = x->params.transports; *t; t++)
		(*t)->ops->abort(*t, x->fault_text);
}

void fr_exec_supervise(struct fr_exec *x, struct fr_supervisor *supervisor)
{
	x->params.supervisor = supervisor;
}

void fr_exec_cancel(struct fr_exec *x, const char *text)
{
	int none = FR_CANCEL_NONE;

	if (!atomic_compare_exchange_strong(&x->cancel, &none, FR_CANCEL_BEING_WRITTEN))
		return;
	snprintf(x->cancel_text, sizeof(x->cancel_text), "%s", text);
	atomic_store_explicit(&x->cancel, FR_CANCEL_ASKED, memory_order_release);
}

ferrule_status_t fr_exec_fault_text(struct fr_exec *x, ferrule_status_t status, const char *format,
                                    ...)
{
	char text[sizeof(x->fault_text)];
	va_list args;

	va_start(args, format);
	fr_vformat(text, sizeof(text), format, args);
	va_end(args);
	fr_exec_abort(x, status, text);
	return x->fault;
}

ferrule_status_t fr_fault_mismatch(struct fr_exec *x, int peer, const struct fr_call *mine,
                                   const struct fr_call *theirs)
{
	char a[128], b[128], how[100] = "", refused[300];

	if (x->params.differ)
		x->params.differ(x->params.owner, peer, mine, theirs, how, sizeof(how));
	fr_refuse_text(x, peer, mine, refused, sizeof(refused));
	return fr_exec_fault_text(x, FERRULE_ERR_MISMATCH,
	                          "ranks disagree: rank %d called %s, rank %d called %s%s%s",
	                          x->params.rank, fr_exec_call_text(x, mine, a, sizeof(a)), peer,
	                          fr_exec_call_text(x, theirs, b, sizeof(b)), how, refused);
}

/* A message is not as expected: of another call, or of another length in the same one, which only
 * the counts of alltoallv can be. */
static ferrule_status_t fault_message(struct fr_exec *x, int peer, const struct fr_call *call)
{
	struct fr_call theirs = x->params.eps[peer]->peer_call;
	const bool is_empty = theirs.signature == fr_call_empty(call).signature;
	const size_t elem_bytes = ferrule_type_bytes((ferrule_type_t)call->type);

	if (!is_empty && theirs.signature != call->signature) {
		theirs.signature = fr_call_signature(&theirs);
		return fr_fault_mismatch(x, peer, call, &theirs);
	}
	return fr_exec_fault_text(x, FERRULE_ERR_MISMATCH,
	                          "ranks disagree: in %s #%" PRIu64 " rank %d sends %" PRIu64
	                          " %s to rank %d "
	                          "(send_counts[%d]), which expects %" PRIu64 " (recv_counts[%d])",
	                          x->params.coll_name(call->coll), call->sequence, peer,
	                          is_empty ? 0 : x->params.eps[peer]->peer_bytes / elem_bytes,
	                          ferrule_type_name((ferrule_type_t)call->type), x->params.rank,
	                          x->params.rank, x->expected_bytes / elem_bytes, peer);
}

ferrule_status_t fr_fault_peer(struct fr_exec *x, ferrule_status_t status, int peer,
                               const struct fr_call *call)
{
	struct fr_ep *ep = peer >= 0 ? x->params.eps[peer] : NULL;
	char mine[128], theirs[128] = "nothing yet";
	struct fr_call last;

	if (!ep)
		return fr_exec_fault_text(x, status, "%s", ferrule_status_text(status));
	if (status == FERRULE_ERR_MISMATCH)
		return fault_message(x, peer, call);
	if (status == FERRULE_ERR_ABORTED)
		return fr_exec_fault_text(x, status, "%s", ep->why);
	if (ep->ops->peer_call(ep, &last))
		fr_exec_call_text(x, &last, theirs, sizeof(theirs));
	return fr_exec_fault_text(
		x, status, "%s, while rank %d was in %s; rank %d was last seen in %s", ep->why,
		x->params.rank, fr_exec_call_text(x, call, mine, sizeof(mine)), peer, theirs);
}

/* Is anything that `run` still has to move to or from this rank? */
static bool run_waits_on(const struct fr_run *run, int peer)
{
	for (uint32_t i = 0; i < run->plan->n_lanes; i++) {
		const struct fr_plan_lane *lane = &run->plan->lanes[i];

		if (lane->peer == peer && run->lanes[i].head < lane->n)
			return true;
	}
	for (uint32_t i = 0; i < run->n_locals; i++) {
		const struct fr_plan_step *s = &run->plan->steps[run->locals[i]];

		if (s->kind == FR_STEP_FOLD || s->kind == FR_STEP_PUBLISH ||
		    (s->kind == FR_STEP_COLLECT && s->peer == peer))
			return true;
	}
	return false;
}

/* A run may wait behind earlier ones, so what any of them waits for counts. */
static bool waits_on(const struct fr_exec *x, int board_peer, int peer)
{
	if (board_peer >= 0)
		return board_peer == peer;
	for (const struct fr_run *run = x->active; run; run = run->next)
		if (run_waits_on(run, peer))
			return true;
	return false;
}

/* Has the peer, in its operation of the same number, called something else? */
static bool calls_differ(const struct fr_call *mine, const struct fr_call *theirs)
{
	if (mine->algo == FR_CALL_PAIRWISE || theirs->algo == FR_CALL_PAIRWISE)
		return false; /* numbered per pair, so equal numbers mean nothing */
	return theirs->sequence == mine->sequence && theirs->coll != FR_CALL_IDLE &&
	       theirs->signature != mine->signature;
}

/* Is that known of the peer?  Then out says what it called. */
static bool has_called_another(struct fr_ep *ep, const struct fr_call *mine, struct fr_call *out)
{
	if (ep->ops->past_call && ep->ops->past_call(ep, mine->sequence, out))
		return calls_differ(mine, out);
	return ep->ops->peer_call(ep, out) && calls_differ(mine, out);
}

ferrule_status_t fr_exec_compare(struct fr_exec *x, const struct fr_call *call)
{
	for (int r = 0; r < x->params.n_ranks; r++) {
		struct fr_ep *ep = x->params.eps[r];
		struct fr_call theirs;

		if (ep && has_called_another(ep, call, &theirs))
			return fr_fault_mismatch(x, r, call, &theirs);
	}
	return FERRULE_OK;
}

/*
 * check() of the peer, and what it says of a publication that this rank waits for.  Messages that
 * nobody reads do not hide that a peer has left and will not publish; but what it published before
 * that may have come since this rank last looked, so the first sight of it only says: look again.
 */
static ferrule_status_t check_peer(struct fr_ep *ep, bool is_awaited_on_board)
{
	const bool had_left = ep->has_left;
	const ferrule_status_t status = ep->ops->check(ep);

	if (!is_awaited_on_board || !ep->has_left)
		return status;
	return had_left ? FERRULE_ERR_PEER_LEFT : FERRULE_OK;
}

static ferrule_status_t look_at_peers(struct fr_exec *x, const struct fr_call *call, int board_peer)
{
	for (int r = 0; r < x->params.n_ranks; r++) {
		struct fr_ep *ep = x->params.eps[r];
		ferrule_status_t status;
		struct fr_call theirs;

		if (!ep)
			continue;
		status = check_peer(ep, board_peer == r);
		/* A rank may leave early when nobody needs it any more. */
		if (status == FERRULE_ERR_PEER_LEFT && !waits_on(x, board_peer, r))
			continue;
		if (status != FERRULE_OK)
			return fr_fault_peer(x, status, r, call);
		/* Whether or not this rank waits for it. */
		if (has_called_another(ep, call, &theirs))
			return fr_fault_mismatch(x, r, call, &theirs);
	}
	return FERRULE_OK;
}

/* How long before the end the peers are asked whom they wait for. */
static uint64_t ask_before_ns(const struct fr_exec *x)
{
	const uint64_t quarter = x->params.timeout_ns / 4;

	return quarter < ASK_BEFORE_NS ? quarter : ASK_BEFORE_NS;
}

/* Is the wait longer than `limit`?  Not before the peers had time to say whom they wait for. */
static bool is_over(struct fr_exec *x, struct fr_waiting *w, uint64_t limit, uint64_t now)
{
	const uint64_t before = ask_before_ns(x);

	if (now - w->since_ns + before < limit)
		return false;
	if (w->asked_ns == 0) {
		fr_blame_ask(x);
		w->asked_ns = now;
	}
	return now - w->since_ns > limit && now - w->asked_ns >= before;
}

static ferrule_status_t look(struct fr_exec *x, struct fr_waiting *w, const struct fr_call *call,
                             int peer, uint64_t now)
{
	char mine[128], blame[400];

	if (atomic_load_explicit(&x->cancel, memory_order_acquire) == FR_CANCEL_ASKED)
		return fr_exec_fault_text(x, FERRULE_ERR_ABORTED, "%s", x->cancel_text);
	ferrule_status_t status = fr_supervisor_check(x->params.supervisor);
	if (status != FERRULE_OK)
		return fr_exec_fault_text(x, status, "%s", fr_error_text());
	fr_blame_tell(x, call, peer);
	status = look_at_peers(x, call, peer);
	const double waited = (double)(now - w->since_ns) / 1e9;

	if (status == FERRULE_OK)
		status = fr_refuse_look(x, call, peer, now);
	if (status != FERRULE_OK)
		return status;
	if (is_over(x, w, x->params.timeout_ns, now)) {
		fr_blame_text(x, call, blame, sizeof(blame));
		return fr_exec_fault_text(x, FERRULE_ERR_TIMEOUT,
		                          "rank %d waited %.1f s in %s without progress, %s",
		                          x->params.rank, waited,
		                          fr_exec_call_text(x, call, mine, sizeof(mine)), blame);
	}
	if (!w->warned && is_over(x, w, WARN_AFTER_NS, now)) {
		fr_blame_text(x, call, blame, sizeof(blame));
		fr_log(FR_LOG_WARNING,
		       "waiting since %.0f s in %s without progress, %s; giving up after %.0f s",
		       waited, fr_exec_call_text(x, call, mine, sizeof(mine)), blame,
		       (double)x->params.timeout_ns / 1e9);
		w->warned = true;
		w->asked_ns = 0;
	}
	return FERRULE_OK;
}

ferrule_status_t fr_exec_look(struct fr_exec *x)
{
	if (x->fault == FERRULE_OK &&
	    atomic_load_explicit(&x->cancel, memory_order_acquire) == FR_CANCEL_ASKED)
		return fr_exec_fault_text(x, FERRULE_ERR_ABORTED, "%s", x->cancel_text);
	for (int r = 0; r < x->params.n_ranks && x->fault == FERRULE_OK; r++) {
		struct fr_ep *ep = x->params.eps[r];
		const ferrule_status_t status = ep ? ep->ops->check(ep) : FERRULE_OK;

		if (status != FERRULE_OK && status != FERRULE_ERR_PEER_LEFT)
			return fr_exec_fault_text(x, status, "%s", ep->why);
	}
	return x->fault;
}

ferrule_status_t fr_wait_look(struct fr_exec *x, struct fr_waiting *w, const struct fr_call *call,
                              int peer)
{
	w->polls++;
	/* Past the spin every poll costs a system call anyway, so the clock is read more often. */
	if (w->polls % POLLS_A_LOOK != 0 && (w->polls < x->spin_polls || w->polls % 16 != 0))
		return FERRULE_OK;
	const uint64_t now = fr_clock_ns();

	if (w->since_ns == 0)
		w->since_ns = w->look_ns = now;
	w->waited_ns = now - w->since_ns;
	if (now - w->look_ns <= LOOK_NS)
		return FERRULE_OK;
	w->look_ns = now;
	return look(x, w, call, peer, now);
}

void fr_wait_rest(struct fr_exec *x, const struct fr_waiting *w)
{
	struct fr_transport *t = x->params.transports[0];

	if (w->polls < x->spin_polls)
		fr_cpu_relax();
	else if (!t || w->waited_ns < (t->ops->nap_after_ns ? t->ops->nap_after_ns : NAP_AFTER_NS))
		sched_yield();
	else
		t->ops->nap(t, w->waited_ns < LONG_NAP_AFTER_NS ? NAP_NS : LONG_NAP_NS);
}

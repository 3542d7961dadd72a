/*
 * Whom a wait is for, and who is to blame when it does not end.
 *
 * Design: at every slow look a rank tells its peers whom it waits for: just those ranks without
 * whose move it cannot go on.  Before a rank gives up it asks them all once more.  Who tells
 * nothing in the time that this leaves does not wait: it is stopped, or has not come.  The search
 * goes from rank to rank, breadth first, to the nearest such one, which is the root of the hang.
 * Where all that can be reached do wait, they wait for each other.
 */
#include "config.h"
#include "lib/exec/exec_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/text.h"

#define UNSEEN (-2)
#define SELF   (-1)
/* So many of the ranks that hold all up are named, so many of those between. */
#define ROOTS_NAMED 3
#define HOPS_NAMED  6
/* Calls are long: so many of a circle. */
#define CIRCLE_NAMED 4

ferrule_status_t fr_blame_init(struct fr_exec *x)
{
	const size_t n = (size_t)x->params.n_ranks;

	x->beats = calloc(n, sizeof(*x->beats));
	x->via = calloc(n, sizeof(*x->via));
	x->queue = calloc(n, sizeof(*x->queue));
	return x->beats && x->via && x->queue ? FERRULE_OK : FERRULE_ERR_NO_MEMORY;
}

void fr_blame_fini(struct fr_exec *x)
{
	free(x->beats);
	free(x->via);
	free(x->queue);
}

/* ---- telling and asking ---- */

void fr_wait_add(struct fr_wait *w, int peer)
{
	for (int i = 0; i < w->n; i++)
		if (w->on[i] == peer)
			return;
	if (w->n < FR_WAITS_MAX)
		w->on[w->n++] = peer;
}

void fr_blame_tell(struct fr_exec *x, const struct fr_call *call, int board_peer)
{
	struct fr_wait *w = &x->wait;

	w->call = *call;
	w->n = 0;
	if (board_peer >= 0)
		fr_wait_add(w, board_peer);
	for (const struct fr_run *run = x->active; run && board_peer < 0; run = run->next)
		fr_run_waits(run, w);
	/* 0 is for who never told anything. */
	w->beat += w->beat == UINT32_MAX ? 2 : 1;
	for (struct fr_transport **t = x->params.transports; *t; t++)
		if ((*t)->ops->wait)
			(*t)->ops->wait(*t, w);
}

/* What a rank last told; false when that is nothing, or nonsense. */
static bool told(const struct fr_exec *x, int r, struct fr_wait *out)
{
	const struct fr_ep *ep = x->params.eps[r];

	return ep && ep->ops->peer_wait && ep->ops->peer_wait(x->params.eps[r], out) &&
	       out->beat != 0 && fr_wait_is_sound(out, x->params.n_ranks);
}

void fr_blame_ask(struct fr_exec *x)
{
	for (int r = 0; r < x->params.n_ranks; r++) {
		struct fr_ep *ep = x->params.eps[r];
		struct fr_wait w;

		x->beats[r] = told(x, r, &w) ? w.beat : 0;
		if (ep && ep->ops->ask)
			ep->ops->ask(ep);
	}
}

/* Has it looked for what it waits for since it was asked?  Then out says whom that is. */
static bool is_waiting(const struct fr_exec *x, int r, struct fr_wait *out)
{
	return told(x, r, out) && out->beat != x->beats[r];
}

/* ---- searching ---- */

/* Finds ranks that hold all up; returns how many, the first of them in roots, `via` filled. */
static int find_roots(struct fr_exec *x, int roots[ROOTS_NAMED])
{
	int n_roots = 0, n_queued = 0;
	struct fr_wait w = x->wait;

	for (int r = 0; r < x->params.n_ranks; r++)
		x->via[r] = UNSEEN;
	x->via[x->params.rank] = SELF;
	for (int from = x->params.rank, next = 0;; from = x->queue[next++]) {
		if (from != x->params.rank && !is_waiting(x, from, &w)) {
			if (n_roots < ROOTS_NAMED)
				roots[n_roots] = from;
			n_roots++;
			w.n = 0;
		}
		for (int i = 0; i < w.n; i++) {
			if (x->via[w.on[i]] != UNSEEN)
				continue;
			x->via[w.on[i]] = from;
			x->queue[n_queued++] = w.on[i];
		}
		if (next == n_queued)
			return n_roots;
	}
}

/* ---- words ---- */

struct text {
	char *at;
	size_t bytes, used;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
	va_list args;

	if (t->used >= t->bytes)
		return;
	va_start(args, format);
	const int n = fr_vformat(t->at + t->used, t->bytes - t->used, format, args);
	va_end(args);
	t->used += n > 0 ? (size_t)n : 0;
}

/* What a rank that does not wait is doing instead, as far as that can be known from here. */
static const char *instead(const struct fr_exec *x, int r, const struct fr_call *mine,
                           const struct fr_call *theirs)
{
	/* Who need not be asked shows every call. */
	const bool all_seen = x->params.eps[r]->ops->ask == NULL;

	if (!all_seen || mine->algo == FR_CALL_PAIRWISE || theirs->algo == FR_CALL_PAIRWISE)
		return "which does not answer";
	if (theirs->sequence < mine->sequence)
		return "which has not entered it";
	return theirs->sequence == mine->sequence ? "which shows no sign of life in it"
	                                          : "which went on without it";
}

static void add_root(struct text *t, const struct fr_exec *x, const struct fr_call *mine, int r)
{
	struct fr_ep *ep = x->params.eps[r];
	struct fr_call theirs;
	char seen[128];

	if (!ep->ops->peer_call(ep, &theirs)) {
		add(t, "rank %d, which does not answer (last seen in nothing yet)", r);
		return;
	}
	add(t, "rank %d, %s (last seen in %s)", r, instead(x, r, mine, &theirs),
	    fr_exec_call_text(x, &theirs, seen, sizeof(seen)));
}

/* "; rank 3 waits for rank 1, which waits for rank 4" */
static void add_way(struct text *t, struct fr_exec *x, int root)
{
	int n = 0;

	/* The way back, written where the search no longer needs it. */
	for (int r = root; r >= 0; r = x->via[r])
		x->queue[n++] = r;
	if (n < 3)
		return;
	add(t, "; rank %d waits for rank %d", x->queue[n - 1], x->queue[n - 2]);
	for (int i = n - 3; i >= 0; i--) {
		const int hop = n - 2 - i;

		if (n > HOPS_NAMED && hop > HOPS_NAMED / 2 && i > 1) {
			add(t, ", and so on over %d more", i - 1);
			i = 1;
		}
		add(t, ", which waits for rank %d", x->queue[i]);
	}
}

/* Nobody to blame: "a deadlock: rank 0 waits in recv #1 (...) for rank 1, which ..." */
static void add_circle(struct text *t, struct fr_exec *x)
{
	struct fr_wait w = x->wait;
	char call[128];

	if (w.n == 0) {
		add(t, "and it is not known for whom");
		return;
	}
	add(t, "in a deadlock: rank %d", x->params.rank);
	for (int hop = 0; hop < x->params.n_ranks && w.n > 0; hop++) {
		const int next = w.on[0];

		if (hop < CIRCLE_NAMED)
			add(t, "%s waits in %s for rank %d", hop ? ", which" : "",
			    fr_exec_call_text(x, &w.call, call, sizeof(call)), next);
		else
			add(t, ", which waits for rank %d", next);
		if (next == x->params.rank || x->via[next] == SELF)
			return;
		x->via[next] = SELF;
		if (!is_waiting(x, next, &w))
			return;
	}
}

void fr_blame_text(struct fr_exec *x, const struct fr_call *call, char *buf, size_t bytes)
{
	struct text t = {.at = buf, .bytes = bytes};
	int roots[ROOTS_NAMED];
	const int n = find_roots(x, roots);

	buf[0] = '\0';
	if (n == 0) {
		add_circle(&t, x);
		return;
	}
	for (int i = 0; i < n && i < ROOTS_NAMED; i++) {
		add(&t, "%s", i ? " and " : "for ");
		add_root(&t, x, call, roots[i]);
	}
	if (n > ROOTS_NAMED)
		add(&t, " and %d more", n - ROOTS_NAMED);
	add_way(&t, x, roots[0]);
}

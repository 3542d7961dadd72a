#include "config.h"

#include "collectives/schedule/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One end of something that goes from a rank to another: a message or a publication. */
struct end {
	int from, to;
	uint32_t step;
};

/* A pair of steps, the second listed under the first. */
struct pair {
	uint32_t key, item;
};

struct pairs {
	struct pair *at;
	size_t n, room;
};

struct matching {
	struct fr_match *m;
	struct end *out, *in; /* messages sent; messages received */
	size_t n_out, n_in;
	struct end *seen; /* publications as consumed, (writer, reader) */
	size_t n_seen;
	struct end *published; /* as written, (writer, -1) */
	size_t n_published;
	struct pairs sources, sinks, before, followers;
	char *text;
	size_t text_bytes;
};

const struct fr_step *fr_match_step(const struct fr_match *m, uint32_t g)
{
	const int rank = m->rank_of[g];

	return &m->scheds[rank].steps[g - m->base[rank]];
}

static int by_pair_then_step(const void *a, const void *b)
{
	const struct end *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return x->step < y->step ? -1 : x->step > y->step;
}

static bool same_pair(const struct end *a, const struct end *b)
{
	return a->from == b->from && a->to == b->to;
}

static bool add_pair(struct pairs *p, uint32_t key, uint32_t item)
{
	if (p->n == p->room) {
		const size_t room = p->room ? 2 * p->room : 256;
		struct pair *at = realloc(p->at, room * sizeof(*at));

		if (!at)
			return false;
		p->at = at;
		p->room = room;
	}
	p->at[p->n++] = (struct pair){key, item};
	return true;
}

/* Sorts the pairs into lists by counting; keeps their order within a list. */
static bool make_lists(struct fr_step_lists *lists, const struct pairs *pairs, uint32_t n_steps)
{
	lists->first = calloc((size_t)n_steps + 2, sizeof(*lists->first));
	lists->items = malloc((pairs->n ? pairs->n : 1) * sizeof(*lists->items));
	if (!lists->first || !lists->items)
		return false;
	/* Shifted by one while filling, so that each start ends up where it belongs. */
	for (size_t i = 0; i < pairs->n; i++)
		lists->first[pairs->at[i].key + 2]++;
	for (uint32_t g = 2; g < n_steps + 2; g++)
		lists->first[g] += lists->first[g - 1];
	for (size_t i = 0; i < pairs->n; i++)
		lists->items[lists->first[pairs->at[i].key + 1]++] = pairs->at[i].item;
	return true;
}

static void count_ends(struct matching *w)
{
	for (uint32_t g = 0; g < w->m->n_steps; g++) {
		const struct fr_step *step = fr_match_step(w->m, g);

		w->n_out += step->kind == FR_STEP_SEND;
		w->n_in += step->kind == FR_STEP_RECV || step->kind == FR_STEP_RECV_REDUCE;
		w->n_published += step->kind == FR_STEP_PUBLISH;
		w->n_seen += step->kind == FR_STEP_COLLECT;
		if (step->kind == FR_STEP_FOLD)
			w->n_seen += (size_t)w->m->n_ranks - 1;
	}
}

static void note_ends(struct matching *w, uint32_t g)
{
	const struct fr_step *step = fr_match_step(w->m, g);
	const int rank = w->m->rank_of[g];

	switch (step->kind) {
	case FR_STEP_SEND:
		w->out[w->n_out++] = (struct end){rank, step->peer, g};
		break;
	case FR_STEP_RECV:
	case FR_STEP_RECV_REDUCE:
		w->in[w->n_in++] = (struct end){step->peer, rank, g};
		break;
	case FR_STEP_PUBLISH:
		w->published[w->n_published++] = (struct end){rank, -1, g};
		break;
	case FR_STEP_COLLECT:
		w->seen[w->n_seen++] = (struct end){step->peer, rank, g};
		break;
	case FR_STEP_FOLD:
		for (int p = 0; p < w->m->n_ranks; p++) {
			if (p != rank)
				w->seen[w->n_seen++] = (struct end){p, rank, g};
		}
		break;
	case FR_STEP_COPY:
	case FR_STEP_REDUCE:
	case FR_STEP_SCALE:
	case FR_N_STEP_KINDS:
		break;
	}
}

static bool gather_ends(struct matching *w)
{
	count_ends(w);
	w->out = malloc((w->n_out + 1) * sizeof(*w->out));
	w->in = malloc((w->n_in + 1) * sizeof(*w->in));
	w->seen = malloc((w->n_seen + 1) * sizeof(*w->seen));
	w->published = malloc((w->n_published + 1) * sizeof(*w->published));
	if (!w->out || !w->in || !w->seen || !w->published)
		return false;
	w->n_out = w->n_in = w->n_seen = w->n_published = 0;
	for (uint32_t g = 0; g < w->m->n_steps; g++)
		note_ends(w, g);
	qsort(w->out, w->n_out, sizeof(*w->out), by_pair_then_step);
	qsort(w->in, w->n_in, sizeof(*w->in), by_pair_then_step);
	qsort(w->seen, w->n_seen, sizeof(*w->seen), by_pair_then_step);
	return true;
}

/* Queues are first in, first out: each end waits for the one before it on the same pair. */
static bool order_queue(struct matching *w, const struct end *ends, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const uint32_t last = ends[i - 1].step, step = ends[i].step;

		if (same_pair(&ends[i - 1], &ends[i]) &&
		    !(add_pair(&w->before, step, last) && add_pair(&w->followers, last, step)))
			return false;
	}
	return true;
}

static bool note_deps(struct matching *w)
{
	for (uint32_t g = 0; g < w->m->n_steps; g++) {
		const struct fr_step *step = fr_match_step(w->m, g);
		const int rank = w->m->rank_of[g];

		for (uint32_t d = 0; d < step->n_deps; d++) {
			const uint32_t on = w->m->scheds[rank].deps[step->first_dep + d];

			if (!add_pair(&w->followers, w->m->base[rank] + on, g))
				return false;
		}
	}
	return true;
}

static bool join(struct matching *w, uint32_t source, uint32_t sink)
{
	return add_pair(&w->sources, sink, source) && add_pair(&w->sinks, source, sink);
}

static ferrule_status_t complain(struct matching *w, const char *what, const struct end *e)
{
	const int rank = w->m->rank_of[e->step];

	snprintf(w->text, w->text_bytes, "step %u of rank %d (%s, rank %d to %d): %s",
	         e->step - w->m->base[rank], rank,
	         fr_step_kind_name(fr_match_step(w->m, e->step)->kind), e->from, e->to, what);
	return FERRULE_ERR_INTERNAL;
}

static ferrule_status_t match_messages(struct matching *w)
{
	for (size_t i = 0; i < w->n_out || i < w->n_in; i++) {
		const struct end *out = &w->out[i], *in = &w->in[i];

		if (i >= w->n_in ||
		    (i < w->n_out && by_pair_then_step(out, in) < 0 && !same_pair(out, in)))
			return complain(w, "is never received", out);
		if (i >= w->n_out || !same_pair(out, in))
			return complain(w, "is never sent", in);
		if (fr_match_step(w->m, out->step)->src.count !=
		    fr_match_step(w->m, in->step)->dst.count)
			return complain(w, "is received with another count", out);
		if (!join(w, out->step, in->step))
			return FERRULE_ERR_NO_MEMORY;
	}
	return FERRULE_OK;
}

/* The k-th publication that `e` takes of its writer, or NULL. */
static const struct end *publication(const struct matching *w, const struct end *e, size_t k)
{
	for (size_t i = 0; i < w->n_published; i++) {
		if (w->published[i].from != e->from)
			continue;
		/* Those of one writer are neighbours, in program order. */
		if (i + k < w->n_published && w->published[i + k].from == e->from)
			return &w->published[i + k];
		return NULL;
	}
	return NULL;
}

static ferrule_status_t match_one_seen(struct matching *w, const struct end *e, size_t k)
{
	const struct end *p = publication(w, e, k);
	const struct fr_step *reader = fr_match_step(w->m, e->step);
	size_t written, taken;

	if (!p)
		return complain(w, "consumes what was never published", e);
	written = fr_match_step(w->m, p->step)->src.count;
	taken = reader->kind == FR_STEP_FOLD ? reader->dst.count : reader->part.total;
	if (taken != written)
		return complain(w, "takes another count than was published", e);
	return join(w, p->step, e->step) ? FERRULE_OK : FERRULE_ERR_NO_MEMORY;
}

static ferrule_status_t match_publications(struct matching *w)
{
	size_t k = 0, expected = 0;

	for (size_t i = 0; i < w->n_seen; i++) {
		ferrule_status_t status;

		k = i && same_pair(&w->seen[i - 1], &w->seen[i]) ? k + 1 : 0;
		status = match_one_seen(w, &w->seen[i], k);
		if (status != FERRULE_OK)
			return status;
	}
	expected = w->n_published * ((size_t)w->m->n_ranks - 1);
	if (w->n_seen == expected)
		return FERRULE_OK;
	snprintf(w->text, w->text_bytes, "%zu publications are read %zu times, %zu are needed",
	         w->n_published, w->n_seen, expected);
	return FERRULE_ERR_INTERNAL;
}

static ferrule_status_t match_all(struct matching *w)
{
	struct fr_match *m = w->m;
	ferrule_status_t status;

	if (!gather_ends(w))
		return FERRULE_ERR_NO_MEMORY;
	status = match_messages(w);
	if (status == FERRULE_OK)
		status = match_publications(w);
	if (status != FERRULE_OK)
		return status;
	if (!order_queue(w, w->out, w->n_out) || !order_queue(w, w->in, w->n_in) ||
	    !order_queue(w, w->seen, w->n_seen) || !order_queue(w, w->published, w->n_published) ||
	    !note_deps(w))
		return FERRULE_ERR_NO_MEMORY;
	if (!make_lists(&m->sources, &w->sources, m->n_steps) ||
	    !make_lists(&m->sinks, &w->sinks, m->n_steps) ||
	    !make_lists(&m->before, &w->before, m->n_steps) ||
	    !make_lists(&m->followers, &w->followers, m->n_steps))
		return FERRULE_ERR_NO_MEMORY;
	return FERRULE_OK;
}

static bool number_steps(struct fr_match *m)
{
	m->base = malloc(((size_t)m->n_ranks + 1) * sizeof(*m->base));
	if (!m->base)
		return false;
	m->base[0] = 0;
	for (int r = 0; r < m->n_ranks; r++)
		m->base[r + 1] = m->base[r] + m->scheds[r].n_steps;
	m->n_steps = m->base[m->n_ranks];
	m->rank_of = malloc(((size_t)m->n_steps + 1) * sizeof(*m->rank_of));
	if (!m->rank_of)
		return false;
	for (int r = 0; r < m->n_ranks; r++) {
		for (uint32_t g = m->base[r]; g < m->base[r + 1]; g++)
			m->rank_of[g] = r;
	}
	return true;
}

ferrule_status_t fr_match_create(struct fr_match *m, const struct fr_sched *scheds, int n_ranks,
                                 char *text, size_t text_bytes)
{
	struct matching w = {.m = m, .text = text, .text_bytes = text_bytes};
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;

	memset(m, 0, sizeof(*m));
	m->scheds = scheds;
	m->n_ranks = n_ranks;
	snprintf(text, text_bytes, "no memory to match the schedules of %d ranks", n_ranks);
	if (number_steps(m))
		status = match_all(&w);
	free(w.out);
	free(w.in);
	free(w.seen);
	free(w.published);
	free(w.sources.at);
	free(w.sinks.at);
	free(w.before.at);
	free(w.followers.at);
	if (status != FERRULE_OK)
		fr_match_destroy(m);
	return status;
}

static void free_lists(struct fr_step_lists *lists)
{
	free(lists->first);
	free(lists->items);
	lists->first = lists->items = NULL;
}

void fr_match_destroy(struct fr_match *m)
{
	free(m->base);
	free(m->rank_of);
	m->base = NULL;
	m->rank_of = NULL;
	free_lists(&m->sources);
	free_lists(&m->sinks);
	free_lists(&m->before);
	free_lists(&m->followers);
}

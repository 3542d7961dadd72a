/*
 * order.c - a last-access index over the elements of each space.
 *
 * Design.  For each space a sorted array of pieces covers the elements touched so far; a piece
 * knows the last step that wrote it and the steps that read it since.  An access first splits
 * the pieces at its two ends, then visits the pieces in between: that is where its
 * dependencies come from.  A write leaves one piece behind, so ranges that nest or repeat keep
 * the array short and the whole is near linear in the number of steps.
 *
 * Readers are a list of cells that only grows at its head, so the two halves of a split piece
 * share its tail and splitting costs nothing.
 */
#include "config.h"

#include "collectives/schedule/order.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct piece {
	size_t first, end;
	uint32_t writer;  /* step, or NONE */
	uint32_t readers; /* cell, or NONE */
};

struct cell {
	uint32_t step, next;
};

struct index {
	struct piece *pieces;
	size_t n_pieces, room;
};

struct derivation {
	struct fr_sched *sched;
	struct index spaces[FR_N_SPACES];
	struct cell *cells;
	uint32_t n_cells, cells_room;
	uint32_t deps_room;
	uint32_t *seen; /* per step: the last step (plus one) that listed it as a dependency */
};

static bool push_cell(struct derivation *d, uint32_t step, uint32_t *head)
{
	if (d->n_cells == d->cells_room) {
		const uint32_t room = d->cells_room ? 2 * d->cells_room : 64;
		struct cell *cells = realloc(d->cells, room * sizeof(*cells));

		if (!cells)
			return false;
		d->cells = cells;
		d->cells_room = room;
	}
	d->cells[d->n_cells] = (struct cell){step, *head};
	*head = d->n_cells++;
	return true;
}

static bool add_dep(struct derivation *d, uint32_t step, uint32_t on)
{
	struct fr_sched *s = d->sched;

	if (on == step || d->seen[on] == step + 1)
		return true;
	d->seen[on] = step + 1;
	if (s->n_deps == d->deps_room) {
		const uint32_t room = d->deps_room ? 2 * d->deps_room : 64;
		uint32_t *deps = realloc(s->deps, room * sizeof(*deps));

		if (!deps)
			return false;
		s->deps = deps;
		d->deps_room = room;
	}
	s->deps[s->n_deps++] = on;
	s->steps[step].n_deps++;
	return true;
}

/* Makes room for one more piece at position `at`. */
static bool open_gap(struct index *x, size_t at)
{
	if (x->n_pieces == x->room) {
		const size_t room = x->room ? 2 * x->room : 16;
		struct piece *pieces = realloc(x->pieces, room * sizeof(*pieces));

		if (!pieces)
			return false;
		x->pieces = pieces;
		x->room = room;
	}
	memmove(x->pieces + at + 1, x->pieces + at, (x->n_pieces - at) * sizeof(*x->pieces));
	x->n_pieces++;
	return true;
}

/* The first piece that ends behind `element`. */
static size_t find(const struct index *x, size_t element)
{
	size_t low = 0, high = x->n_pieces;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (x->pieces[middle].end <= element)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Makes a border between pieces at `element`, if it lies inside one. */
static bool split(struct index *x, size_t element)
{
	const size_t at = find(x, element);

	if (at == x->n_pieces || x->pieces[at].first >= element)
		return true;
	if (!open_gap(x, at))
		return false;
	x->pieces[at] = x->pieces[at + 1];
	x->pieces[at].end = element;
	x->pieces[at + 1].first = element;
	return true;
}

/* Covers the whole of `r` with pieces; *from_out and *to_out are theirs. */
static bool cover(struct index *x, struct fr_range r, size_t *from_out, size_t *to_out)
{
	const size_t end = r.first + r.count;
	size_t element = r.first, at;

	if (!split(x, r.first) || !split(x, end))
		return false;
	at = *from_out = find(x, r.first);
	for (; element < end; at++) {
		const size_t next = at < x->n_pieces ? x->pieces[at].first : end;

		if (next > element) {
			if (!open_gap(x, at))
				return false;
			x->pieces[at] =
				(struct piece){element, next < end ? next : end, NONE, NONE};
		}
		element = x->pieces[at].end;
	}
	*to_out = at;
	return true;
}

static bool depend_on_readers(struct derivation *d, uint32_t step, uint32_t cell)
{
	for (; cell != NONE; cell = d->cells[cell].next) {
		if (!add_dep(d, step, d->cells[cell].step))
			return false;
	}
	return true;
}

static bool access_read(struct derivation *d, uint32_t step, struct fr_range r)
{
	struct index *x = &d->spaces[r.space];
	size_t from, to;

	if (!r.count)
		return true;
	if (!cover(x, r, &from, &to))
		return false;
	for (size_t i = from; i < to; i++) {
		struct piece *p = &x->pieces[i];

		if (p->writer != NONE && !add_dep(d, step, p->writer))
			return false;
		if (!push_cell(d, step, &p->readers))
			return false;
	}
	return true;
}

static bool access_write(struct derivation *d, uint32_t step, struct fr_range r)
{
	struct index *x = &d->spaces[r.space];
	size_t from, to;

	if (!r.count)
		return true;
	if (!cover(x, r, &from, &to))
		return false;
	for (size_t i = from; i < to; i++) {
		const struct piece *p = &x->pieces[i];

		/* Where somebody has read since, the writer follows through the readers. */
		if (!depend_on_readers(d, step, p->readers))
			return false;
		if (p->readers == NONE && p->writer != NONE && !add_dep(d, step, p->writer))
			return false;
	}
	x->pieces[from] = (struct piece){r.first, r.first + r.count, step, NONE};
	memmove(x->pieces + from + 1, x->pieces + to, (x->n_pieces - to) * sizeof(*x->pieces));
	x->n_pieces -= to - from - 1;
	return true;
}

static bool derive_step(struct derivation *d, uint32_t i)
{
	struct fr_step *step = &d->sched->steps[i];

	step->first_dep = d->sched->n_deps;
	step->n_deps = 0;
	return access_read(d, i, step->src) && access_read(d, i, step->src2) &&
	       access_write(d, i, step->dst);
}

ferrule_status_t fr_order_derive(struct fr_sched *s)
{
	struct derivation d = {.sched = s};
	bool ok;

	free(s->deps);
	s->deps = NULL;
	s->n_deps = 0;
	if (!s->n_steps)
		return FERRULE_OK;
	d.seen = calloc(s->n_steps, sizeof(*d.seen));
	ok = d.seen != NULL;
	for (uint32_t i = 0; ok && i < s->n_steps; i++)
		ok = derive_step(&d, i);
	for (int space = 0; space < FR_N_SPACES; space++)
		free(d.spaces[space].pieces);
	free(d.cells);
	free(d.seen);
	return ok ? FERRULE_OK : FERRULE_ERR_NO_MEMORY;
}

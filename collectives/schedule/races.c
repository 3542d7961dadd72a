#include "config.h"

#include "collectives/schedule/races.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

struct touch {
	uint32_t step;
	bool reads, writes;
};

struct checker {
	const struct fr_sched *s;
	char *text;
	size_t text_bytes;
	size_t *borders; /* where any range of the space begins or ends, sorted */
	size_t n_borders;
	struct touch *touches; /* of the elements between two borders, in program order */
	uint32_t n_touches;
	uint32_t *place;  /* [n_steps]: index into touches, plus one; 0 when not there */
	uint64_t *before; /* n_touches rows of bits: which touches come before it for certain */
	size_t before_room;
};

static int by_size(const void *a, const void *b)
{
	const size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

static void add_borders(struct checker *c, struct fr_range r, enum fr_space space)
{
	if (r.space != space || !r.count)
		return;
	c->borders[c->n_borders++] = r.first;
	c->borders[c->n_borders++] = r.first + r.count;
}

static void collect_borders(struct checker *c, enum fr_space space)
{
	size_t n = 0;

	c->n_borders = 0;
	for (uint32_t i = 0; i < c->s->n_steps; i++) {
		const struct fr_step *step = &c->s->steps[i];

		add_borders(c, step->dst, space);
		add_borders(c, step->src, space);
		add_borders(c, step->src2, space);
	}
	qsort(c->borders, c->n_borders, sizeof(*c->borders), by_size);
	for (size_t i = 0; i < c->n_borders; i++) {
		if (!n || c->borders[n - 1] != c->borders[i])
			c->borders[n++] = c->borders[i];
	}
	c->n_borders = n;
}

static bool covers(struct fr_range r, enum fr_space space, size_t element)
{
	return r.space == space && r.first <= element && element < r.first + r.count;
}

static void collect_touches(struct checker *c, enum fr_space space, size_t element)
{
	c->n_touches = 0;
	for (uint32_t i = 0; i < c->s->n_steps; i++) {
		const struct fr_step *step = &c->s->steps[i];
		const bool writes = covers(step->dst, space, element);
		const bool reads =
			covers(step->src, space, element) || covers(step->src2, space, element);

		c->place[i] = 0;
		if (!reads && !writes)
			continue;
		c->touches[c->n_touches++] = (struct touch){i, reads, writes};
		c->place[i] = c->n_touches;
	}
}

static bool conflict(const struct touch *a, const struct touch *b)
{
	return a->writes || b->writes;
}

static bool make_room(struct checker *c, size_t words)
{
	const size_t need = words * c->n_touches;
	uint64_t *before;

	if (need > c->before_room) {
		before = realloc(c->before, need * sizeof(*before));
		if (!before)
			return false;
		c->before = before;
		c->before_room = need;
	}
	memset(c->before, 0, need * sizeof(*c->before));
	return true;
}

/* Row `i` of c->before: the dependencies that bind at this element, and what binds those. */
static void close_row(struct checker *c, uint32_t i, size_t words)
{
	const struct fr_step *step = &c->s->steps[c->touches[i].step];
	uint64_t *row = c->before + i * words;

	for (uint32_t d = 0; d < step->n_deps; d++) {
		const uint32_t place = c->place[c->s->deps[step->first_dep + d]];
		const uint64_t *other;

		if (!place || !conflict(&c->touches[place - 1], &c->touches[i]))
			continue;
		other = c->before + (place - 1) * words;
		for (size_t w = 0; w < words; w++)
			row[w] |= other[w];
		row[(place - 1) / WORD_BITS] |= (uint64_t)1 << (place - 1) % WORD_BITS;
	}
}

static ferrule_status_t check_element(struct checker *c, enum fr_space space, size_t element)
{
	const size_t words = (c->n_touches + WORD_BITS - 1) / WORD_BITS;

	if (!make_room(c, words))
		return FERRULE_ERR_NO_MEMORY;
	for (uint32_t i = 0; i < c->n_touches; i++) {
		const uint64_t *row = c->before + i * words;

		close_row(c, i, words);
		for (uint32_t j = 0; j < i; j++) {
			if (!conflict(&c->touches[i], &c->touches[j]) ||
			    (row[j / WORD_BITS] >> j % WORD_BITS & 1))
				continue;
			snprintf(
				c->text, c->text_bytes,
				"steps %u and %u of rank %d both touch element %zu of space %d and "
				"are not ordered",
				c->touches[j].step, c->touches[i].step, c->s->rank, element, space);
			return FERRULE_ERR_INTERNAL;
		}
	}
	return FERRULE_OK;
}

static ferrule_status_t check_space(struct checker *c, enum fr_space space)
{
	collect_borders(c, space);
	for (size_t i = 0; i + 1 < c->n_borders; i++) {
		ferrule_status_t status;

		collect_touches(c, space, c->borders[i]);
		status = check_element(c, space, c->borders[i]);
		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

/* Dependencies must point back in program order, or the order might go round in circles. */
static ferrule_status_t check_deps(const struct checker *c)
{
	const struct fr_sched *s = c->s;

	for (uint32_t i = 0; i < s->n_steps; i++) {
		for (uint32_t d = 0; d < s->steps[i].n_deps; d++) {
			const uint32_t on = s->deps[s->steps[i].first_dep + d];

			if (on < i)
				continue;
			snprintf(c->text, c->text_bytes,
			         "step %u of rank %d follows the later step %u", i, s->rank, on);
			return FERRULE_ERR_INTERNAL;
		}
	}
	return FERRULE_OK;
}

ferrule_status_t fr_races_check(const struct fr_sched *s, char *text, size_t text_bytes)
{
	struct checker c = {.s = s, .text = text, .text_bytes = text_bytes};
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;

	snprintf(text, text_bytes, "no memory to check %u steps of rank %d", s->n_steps, s->rank);
	c.borders = malloc((6 * (size_t)s->n_steps + 1) * sizeof(*c.borders));
	c.touches = malloc(((size_t)s->n_steps + 1) * sizeof(*c.touches));
	c.place = malloc(((size_t)s->n_steps + 1) * sizeof(*c.place));
	if (c.borders && c.touches && c.place)
		status = check_deps(&c);
	for (int space = 0; status == FERRULE_OK && space < FR_N_SPACES; space++)
		status = check_space(&c, (enum fr_space)space);
	free(c.borders);
	free(c.touches);
	free(c.place);
	free(c.before);
	return status;
}

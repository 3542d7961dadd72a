#include "config.h"

#include "collectives/schedule/print.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/schedule/match.h"
#include "lib/base/error.h"

#define LINE_WIDTH  90
#define ITEM_BYTES  160
#define RANGE_BYTES 48

struct rounds {
	const struct fr_match *match;
	uint32_t *round;   /* [n_steps], from 1 */
	uint32_t *missing; /* [n_steps]: what a step still waits for */
	uint32_t *order;   /* steps by round, then rank, then place */
	uint32_t n_order;
};

static bool is_local(const struct fr_step *step)
{
	return step->kind == FR_STEP_COPY || step->kind == FR_STEP_REDUCE ||
	       step->kind == FR_STEP_SCALE;
}

/* One thing that these steps wait for has happened by `round`. */
static void let_go(struct rounds *w, const struct fr_step_lists *lists, uint32_t g, uint32_t round)
{
	for (uint32_t i = lists->first[g]; i < lists->first[g + 1]; i++) {
		const uint32_t next = lists->items[i];

		w->round[next] = round > w->round[next] ? round : w->round[next];
		if (--w->missing[next] == 0)
			w->order[w->n_order++] = next;
	}
}

/* Gives every step its round; false when they wait for each other. */
static bool number(struct rounds *w)
{
	const struct fr_match *m = w->match;

	for (uint32_t g = 0; g < m->n_steps; g++) {
		w->round[g] = 1;
		w->missing[g] = fr_match_step(m, g)->n_deps;
		w->missing[g] += m->before.first[g + 1] - m->before.first[g];
		w->missing[g] += m->sources.first[g + 1] - m->sources.first[g];
		if (!w->missing[g])
			w->order[w->n_order++] = g;
	}
	for (uint32_t i = 0; i < w->n_order; i++) {
		const uint32_t g = w->order[i];
		const uint32_t after = w->round[g] + !is_local(fr_match_step(m, g));

		let_go(w, &m->sinks, g, w->round[g]);
		let_go(w, &m->followers, g, after);
	}
	return w->n_order == m->n_steps;
}

/* By round; within one, as numbered: by rank and place. */
static void sort(struct rounds *w)
{
	uint32_t last = 0, *starts = w->missing; /* no longer needed */

	for (uint32_t g = 0; g < w->match->n_steps; g++)
		last = w->round[g] > last ? w->round[g] : last;
	memset(starts, 0, ((size_t)w->match->n_steps + 2) * sizeof(*starts));
	for (uint32_t g = 0; g < w->match->n_steps; g++)
		starts[w->round[g] + 1]++;
	for (uint32_t round = 1; round <= last; round++)
		starts[round] += starts[round - 1];
	for (uint32_t g = 0; g < w->match->n_steps; g++)
		w->order[starts[w->round[g]]++] = g;
}

static void elements(char *text, struct fr_range r)
{
	static const char *const marks[FR_N_SPACES] = {"s", "", "t"};

	if (r.count == 1)
		snprintf(text, RANGE_BYTES, "%s%zu", marks[r.space], r.first);
	else
		snprintf(text, RANGE_BYTES, "%s%zu-%zu", marks[r.space], r.first,
		         r.first + r.count - 1);
}

/* The step as an item; false for those that are seen at their other end. */
static bool describe(char *text, const struct fr_step *step, int rank)
{
	char dst[RANGE_BYTES], src[RANGE_BYTES], src2[RANGE_BYTES];

	elements(dst, step->dst);
	elements(src, step->src);
	elements(src2, step->src2);
	switch (step->kind) {
	case FR_STEP_COPY:
		return snprintf(text, ITEM_BYTES, "%d: %s=%s", rank, dst, src) > 0;
	case FR_STEP_REDUCE:
		return snprintf(text, ITEM_BYTES, "%d: %s=%s+%s", rank, dst, src, src2) > 0;
	case FR_STEP_SCALE:
		return snprintf(text, ITEM_BYTES, "%d: %s=%s*", rank, dst, src) > 0;
	case FR_STEP_RECV:
		return snprintf(text, ITEM_BYTES, "%d>%d =%s", step->peer, rank, dst) > 0;
	case FR_STEP_RECV_REDUCE:
		return snprintf(text, ITEM_BYTES, "%d>%d +%s", step->peer, rank, dst) > 0;
	case FR_STEP_PUBLISH:
		return snprintf(text, ITEM_BYTES, "%d>*", rank) > 0;
	case FR_STEP_FOLD:
		if (!step->dst.count)
			return snprintf(text, ITEM_BYTES, "*>%d", rank) > 0;
		return snprintf(text, ITEM_BYTES, "*>%d +%s", rank, dst) > 0;
	case FR_STEP_COLLECT:
		return step->dst.count &&
		       snprintf(text, ITEM_BYTES, "%d>%d =%s", step->peer, rank, dst) > 0;
	case FR_STEP_SEND:
	case FR_N_STEP_KINDS:
		break;
	}
	return false;
}

static void print_text(FILE *out, const struct rounds *w)
{
	uint32_t round = 0;
	int column = 0;

	for (uint32_t i = 0; i < w->match->n_steps; i++) {
		const uint32_t g = w->order[i];
		char item[ITEM_BYTES];

		if (!describe(item, fr_match_step(w->match, g), w->match->rank_of[g]))
			continue;
		if (w->round[g] != round) {
			column = fprintf(out, "%sround %-3u", round ? "\n" : "", w->round[g]);
			round = w->round[g];
		} else if (column + (int)strlen(item) + 3 > LINE_WIDTH) {
			column = fprintf(out, "\n         ") - 1;
		}
		column += fprintf(out, "   %s", item);
	}
	if (round)
		fputc('\n', out);
}

static void print_json(FILE *out, const struct rounds *w)
{
	static const char *const spaces[FR_N_SPACES] = {"send", "recv", "tmp"};
	const char *separator = "";

	fputc('[', out);
	for (uint32_t i = 0; i < w->match->n_steps; i++) {
		const uint32_t g = w->order[i];
		const struct fr_step *step = fr_match_step(w->match, g);
		/* What a step is about: its result, or what it gives away. */
		const struct fr_range r = step->dst.count ? step->dst : step->src;

		fprintf(out,
		        "%s\n{\"round\": %u, \"step\": \"%s\", \"rank\": %d, \"peer\": %d, "
		        "\"space\": \"%s\", \"first\": %zu, \"count\": %zu}",
		        separator, w->round[g], fr_step_kind_name(step->kind), w->match->rank_of[g],
		        step->peer, spaces[r.space], r.first, r.count);
		separator = ",";
	}
	fputs("\n]\n", out);
}

static ferrule_status_t print(FILE *out, const struct fr_match *match, enum fr_print_form form)
{
	const size_t n = (size_t)match->n_steps + 2;
	struct rounds w = {.match = match};
	ferrule_status_t status = FERRULE_OK;

	w.round = calloc(n, sizeof(*w.round));
	w.missing = calloc(n, sizeof(*w.missing));
	w.order = calloc(n, sizeof(*w.order));
	if (!w.round || !w.missing || !w.order) {
		status = fr_error(FERRULE_ERR_NO_MEMORY, "no memory to print %u steps",
		                  match->n_steps);
	} else if (!number(&w)) {
		status =
			fr_error(FERRULE_ERR_INTERNAL, "steps of the schedule wait for each other");
	} else {
		sort(&w);
		(form == FR_PRINT_JSON ? print_json : print_text)(out, &w);
	}
	free(w.round);
	free(w.missing);
	free(w.order);
	return status;
}

ferrule_status_t fr_print_rounds(FILE *out, const struct fr_sched *scheds, int n_ranks,
                                 enum fr_print_form form)
{
	struct fr_match match;
	char text[256];
	ferrule_status_t status = fr_match_create(&match, scheds, n_ranks, text, sizeof(text));

	if (status != FERRULE_OK)
		return fr_error(status, "%s", text);
	status = print(out, &match, form);
	fr_match_destroy(&match);
	return status;
}

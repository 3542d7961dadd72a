#include "config.h"

#include "collectives/schedule/simulate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory of one rank; only the outer buffer exists where they are aliased. */
struct cells {
	struct fr_value *space[FR_N_SPACES];
};

struct state {
	size_t progress;          /* elements done */
	struct fr_value *message; /* what a send or publish has put out */
	bool done, queued;
};

struct noted {
	uint64_t sum, order; /* all ranks' symbols; the order of the first that has combined them */
	int owner;           /* that rank, -1: none yet */
};

struct fr_sim {
	const struct fr_verify_job *job;
	const struct fr_match *match;
	struct cells *cells;     /* [n_ranks] */
	struct fr_value *memory; /* of all cells and messages */
	struct state *states;    /* [n_steps] */
	struct noted *noted;     /* [most send elements] */
	size_t n_noted;
	unsigned char *asked; /* [n_asked]: is this recv element of the rank at hand a result? */
	size_t n_asked;       /* most recv elements */
	uint32_t *ready;      /* steps worth a try, in no order */
	uint32_t n_ready, n_done;
	uint64_t random;
	int absent;        /* the rank that does not run, or -1 */
	uint32_t bad_step; /* one that read an undefined element, or FR_MATCH_NONE */
	size_t bad_element;
};

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t next_random(struct fr_sim *sim)
{
	sim->random += 0x9e3779b97f4a7c15u;
	return mix(sim->random);
}

struct fr_value fr_sim_token(int r, size_t element)
{
	const uint64_t symbol = mix(((uint64_t)(unsigned)r << 40) + element + 1);

	return (struct fr_value){mix(symbol + 1) | 1, mix(symbol + 2) | 1};
}

static struct fr_value combine(struct fr_value a, struct fr_value b)
{
	const uint64_t low = a.order < b.order ? a.order : b.order;
	const uint64_t high = a.order < b.order ? b.order : a.order;

	return (struct fr_value){a.sum + b.sum, mix(low + 3 * mix(high)) | 1};
}

void fr_sim_leave_out(struct fr_sim *sim, int rank)
{
	sim->absent = rank;
}

bool fr_sim_is_done(const struct fr_sim *sim, int r)
{
	for (uint32_t g = sim->match->base[r]; g < sim->match->base[r + 1]; g++) {
		if (!sim->states[g].done)
			return false;
	}
	return true;
}

static size_t cells_of(const struct fr_verify_job *job, int r, enum fr_space space)
{
	const struct fr_sched *s = &job->scheds[r];

	if (space == FR_TMP)
		return s->tmp_count;
	if (space == FR_SEND)
		return s->alias == FR_ALIAS_SEND_IN_RECV ? 0 : job->send_counts[r];
	return s->alias == FR_ALIAS_RECV_IN_SEND ? 0 : job->recv_counts[r];
}

static size_t message_count(const struct fr_step *step)
{
	const bool carries = step->kind == FR_STEP_SEND || step->kind == FR_STEP_PUBLISH;

	return carries ? step->src.count : 0;
}

static size_t memory_needed(const struct fr_sim *sim)
{
	size_t total = 1;

	for (int r = 0; r < sim->job->n_ranks; r++) {
		for (int space = 0; space < FR_N_SPACES; space++)
			total += cells_of(sim->job, r, (enum fr_space)space);
	}
	for (uint32_t g = 0; g < sim->match->n_steps; g++)
		total += message_count(fr_match_step(sim->match, g));
	return total;
}

static void lay_out(struct fr_sim *sim)
{
	struct fr_value *next = sim->memory;

	for (int r = 0; r < sim->job->n_ranks; r++) {
		for (int space = 0; space < FR_N_SPACES; space++) {
			sim->cells[r].space[space] = next;
			next += cells_of(sim->job, r, (enum fr_space)space);
		}
	}
	for (uint32_t g = 0; g < sim->match->n_steps; g++) {
		sim->states[g].message = next;
		next += message_count(fr_match_step(sim->match, g));
	}
}

/* Where send element 0 of rank r lies. */
static struct fr_value *send_cells(const struct fr_sim *sim, int r)
{
	const struct fr_sched *s = &sim->job->scheds[r];

	if (s->alias == FR_ALIAS_SEND_IN_RECV)
		return sim->cells[r].space[FR_RECV] + s->alias_offset;
	return sim->cells[r].space[FR_SEND];
}

const struct fr_value *fr_sim_recv(const struct fr_sim *sim, int r)
{
	const struct fr_sched *s = &sim->job->scheds[r];

	if (s->alias == FR_ALIAS_RECV_IN_SEND)
		return sim->cells[r].space[FR_SEND] + s->alias_offset;
	return sim->cells[r].space[FR_RECV];
}

static void fill(struct fr_sim *sim)
{
	for (size_t e = 0; e < sim->n_noted; e++)
		sim->noted[e].owner = -1;
	for (int r = 0; r < sim->job->n_ranks; r++) {
		struct fr_value *send = send_cells(sim, r);

		for (size_t e = 0; e < sim->job->send_counts[r]; e++) {
			send[e] = fr_sim_token(r, e);
			sim->noted[e].sum += send[e].sum;
		}
	}
}

ferrule_status_t fr_sim_create(const struct fr_verify_job *job, const struct fr_match *match,
                               struct fr_sim **out)
{
	struct fr_sim *sim = calloc(1, sizeof(*sim));

	if (!sim)
		return FERRULE_ERR_NO_MEMORY;
	sim->job = job;
	sim->match = match;
	sim->random = job->seed;
	sim->bad_step = FR_MATCH_NONE;
	sim->absent = -1;
	for (int r = 0; r < job->n_ranks; r++) {
		sim->n_noted = max_size(sim->n_noted, job->send_counts[r]);
		sim->n_asked = max_size(sim->n_asked, job->recv_counts[r]);
	}
	sim->cells = calloc((size_t)job->n_ranks, sizeof(*sim->cells));
	sim->states = calloc((size_t)match->n_steps + 1, sizeof(*sim->states));
	sim->ready = calloc((size_t)match->n_steps + 1, sizeof(*sim->ready));
	sim->noted = calloc(sim->n_noted + 1, sizeof(*sim->noted));
	sim->asked = malloc(sim->n_asked + 1);
	sim->memory = calloc(memory_needed(sim), sizeof(*sim->memory));
	if (!sim->cells || !sim->states || !sim->ready || !sim->noted || !sim->asked ||
	    !sim->memory) {
		fr_sim_destroy(sim);
		return FERRULE_ERR_NO_MEMORY;
	}
	lay_out(sim);
	fill(sim);
	*out = sim;
	return FERRULE_OK;
}

void fr_sim_destroy(struct fr_sim *sim)
{
	if (!sim)
		return;
	free(sim->cells);
	free(sim->memory);
	free(sim->states);
	free(sim->noted);
	free(sim->asked);
	free(sim->ready);
	free(sim);
}

/* How far the conflict between a range of this step and one of an unfinished earlier step lets
 * this step go: positions from the start of `mine`. */
static size_t conflict_limit(struct fr_range mine, struct fr_range other, size_t other_done)
{
	const size_t mine_end = mine.first + mine.count, other_end = other.first + other.count;
	const size_t low = mine.first > other.first ? mine.first : other.first;
	const size_t high = mine_end < other_end ? mine_end : other_end;
	const size_t reached = other.first + other_done;

	if (mine.space != other.space || low >= high || reached >= high)
		return SIZE_MAX;
	return (reached > low ? reached : low) - mine.first;
}

/* How many elements of step g its dependencies allow by now. */
static size_t allowed(const struct fr_sim *sim, uint32_t g)
{
	const struct fr_step *step = fr_match_step(sim->match, g);
	const int rank = sim->match->rank_of[g];
	const struct fr_sched *s = &sim->job->scheds[rank];
	size_t limit = SIZE_MAX;

	for (uint32_t d = 0; d < step->n_deps; d++) {
		const uint32_t on = s->deps[step->first_dep + d];
		const struct state *state = &sim->states[sim->match->base[rank] + on];
		const struct fr_step *other = &s->steps[on];

		if (state->done)
			continue;
		limit = min_size(limit, conflict_limit(step->dst, other->dst, state->progress));
		limit = min_size(limit, conflict_limit(step->dst, other->src, state->progress));
		limit = min_size(limit, conflict_limit(step->dst, other->src2, state->progress));
		limit = min_size(limit, conflict_limit(step->src, other->dst, state->progress));
		limit = min_size(limit, conflict_limit(step->src2, other->dst, state->progress));
	}
	return limit;
}

static bool queue_allows(const struct fr_sim *sim, uint32_t g)
{
	const struct fr_step_lists *before = &sim->match->before;

	for (uint32_t i = before->first[g]; i < before->first[g + 1]; i++) {
		if (!sim->states[before->items[i]].done)
			return false;
	}
	return true;
}

/* Elements of its whole work: what its progress counts. */
static size_t length(const struct fr_step *step)
{
	return step->dst.count ? step->dst.count : step->src.count;
}

static struct fr_value load(struct fr_sim *sim, uint32_t g, struct fr_range range, size_t i)
{
	const int rank = sim->match->rank_of[g];
	const struct fr_value value = sim->cells[rank].space[range.space][range.first + i];

	if (!sim->job->empty_messages && !value.sum && !value.order &&
	    sim->bad_step == FR_MATCH_NONE) {
		sim->bad_step = g;
		sim->bad_element = range.first + i;
	}
	return value;
}

static uint32_t source_of(const struct fr_sim *sim, uint32_t g)
{
	return sim->match->sources.items[sim->match->sources.first[g]];
}

/* Element i of a fold: all publications in rank order, this rank's own part from src. */
static struct fr_value fold(struct fr_sim *sim, uint32_t g, size_t i)
{
	const struct fr_step_lists *sources = &sim->match->sources;
	const struct fr_step *step = fr_match_step(sim->match, g);
	const int rank = sim->match->rank_of[g];
	uint32_t next = sources->first[g];
	struct fr_value value = {0, 0};

	for (int p = 0; p < sim->job->n_ranks; p++) {
		const struct fr_value part =
			p == rank ? load(sim, g, step->src, i)
				  : sim->states[sources->items[next++]].message[i];

		value = p ? combine(value, part) : part;
	}
	return value;
}

/* Element i of what a step with a result writes. */
static struct fr_value compute(struct fr_sim *sim, uint32_t g, size_t i)
{
	const struct fr_step *step = fr_match_step(sim->match, g);
	struct fr_value value;

	switch (step->kind) {
	case FR_STEP_REDUCE:
		value = load(sim, g, step->src, i);
		return combine(value, load(sim, g, step->src2, i));
	case FR_STEP_SCALE:
		value = load(sim, g, step->src, i);
		value.order = mix(value.order + (uint64_t)step->scale) | 1;
		return value;
	case FR_STEP_RECV:
		return sim->states[source_of(sim, g)].message[i];
	case FR_STEP_COLLECT:
		return sim->states[source_of(sim, g)].message[step->part.first + i];
	case FR_STEP_RECV_REDUCE:
		value = load(sim, g, step->src, i);
		return combine(value, sim->states[source_of(sim, g)].message[i]);
	case FR_STEP_FOLD:
		return fold(sim, g, i);
	case FR_STEP_COPY:
	case FR_STEP_SEND:
	case FR_STEP_PUBLISH:
	case FR_N_STEP_KINDS:
		break;
	}
	return load(sim, g, step->src, i);
}

static void run_element(struct fr_sim *sim, uint32_t g, size_t i)
{
	const struct fr_step *step = fr_match_step(sim->match, g);
	const struct fr_value value = compute(sim, g, i);

	if (step->dst.count)
		sim->cells[sim->match->rank_of[g]].space[step->dst.space][step->dst.first + i] =
			value;
	else
		sim->states[g].message[i] = value;
}

static void try_later(struct fr_sim *sim, uint32_t g)
{
	if (sim->states[g].queued || sim->states[g].done || sim->match->rank_of[g] == sim->absent)
		return;
	sim->states[g].queued = true;
	sim->ready[sim->n_ready++] = g;
}

static void wake(struct fr_sim *sim, const struct fr_step_lists *lists, uint32_t g)
{
	for (uint32_t i = lists->first[g]; i < lists->first[g + 1]; i++)
		try_later(sim, lists->items[i]);
}

/* Moves `n` more elements of step g and wakes those that may wait for them. */
static void move(struct fr_sim *sim, uint32_t g, size_t n)
{
	const struct fr_step *step = fr_match_step(sim->match, g);
	struct state *state = &sim->states[g];

	/* An empty collect takes a publication without looking at it. */
	for (size_t end = state->progress + n; state->progress < end; state->progress++)
		run_element(sim, g, state->progress);
	if (state->progress == length(step)) {
		state->done = true;
		sim->n_done++;
	}
	wake(sim, &sim->match->followers, g);
	wake(sim, &sim->match->sinks, g);
}

static bool sources_done(const struct fr_sim *sim, uint32_t g)
{
	const struct fr_step_lists *sources = &sim->match->sources;

	for (uint32_t i = sources->first[g]; i < sources->first[g + 1]; i++) {
		if (!sim->states[sources->items[i]].done)
			return false;
	}
	return true;
}

static bool is_receive(const struct fr_step *step)
{
	return step->kind == FR_STEP_RECV || step->kind == FR_STEP_RECV_REDUCE;
}

static bool is_whole(const struct fr_step *step)
{
	return step->kind == FR_STEP_PUBLISH || step->kind == FR_STEP_FOLD ||
	       step->kind == FR_STEP_COLLECT;
}

static bool can_run_whole(const struct fr_sim *sim, uint32_t g)
{
	return !sim->states[g].done && sim->match->rank_of[g] != sim->absent &&
	       queue_allows(sim, g) && allowed(sim, g) >= length(fr_match_step(sim->match, g));
}

/* A send and its receive, both at once or not at all. */
static void try_pair(struct fr_sim *sim, uint32_t send, uint32_t receive)
{
	const size_t n = length(fr_match_step(sim->match, send));

	if (!can_run_whole(sim, send) || !can_run_whole(sim, receive))
		return;
	move(sim, send, n);
	move(sim, receive, n);
}

static void try_whole(struct fr_sim *sim, uint32_t g)
{
	const struct fr_step *step = fr_match_step(sim->match, g);

	if (step->kind == FR_STEP_SEND)
		try_pair(sim, g, sim->match->sinks.items[sim->match->sinks.first[g]]);
	else if (is_receive(step))
		try_pair(sim, source_of(sim, g), g);
	else if (can_run_whole(sim, g) && sources_done(sim, g))
		move(sim, g, length(step));
}

/* A message without elements is one all the same: it is there or not. */
static void try_empty(struct fr_sim *sim, uint32_t g)
{
	if (is_receive(fr_match_step(sim->match, g)) && !sim->states[source_of(sim, g)].done)
		return;
	move(sim, g, 0);
}

static void try_piece(struct fr_sim *sim, uint32_t g)
{
	const struct fr_step *step = fr_match_step(sim->match, g);
	size_t limit = length(step), room;

	if (sim->states[g].done || !queue_allows(sim, g))
		return;
	if (limit == 0) {
		try_empty(sim, g);
		return;
	}
	limit = min_size(limit, allowed(sim, g));
	if (is_receive(step))
		limit = min_size(limit, sim->states[source_of(sim, g)].progress);
	if (limit <= sim->states[g].progress)
		return;
	room = limit - sim->states[g].progress;
	/* Often all there is, so that long steps do not take for ever. */
	move(sim, g, next_random(sim) % 2 ? room : 1 + next_random(sim) % room);
	try_later(sim, g);
}

static ferrule_status_t explain_stuck(const struct fr_sim *sim, char *text, size_t text_bytes)
{
	for (uint32_t g = 0; g < sim->match->n_steps; g++) {
		const int rank = sim->match->rank_of[g];
		const struct fr_step *step = fr_match_step(sim->match, g);

		/* The first one that nothing of its own rank holds back waits for another rank. */
		if (sim->states[g].done || !queue_allows(sim, g) ||
		    allowed(sim, g) <= sim->states[g].progress)
			continue;
		snprintf(
			text, text_bytes,
			"deadlock: %u of %u steps are left; step %u of rank %d (%s, peer %d) waits",
			sim->match->n_steps - sim->n_done, sim->match->n_steps,
			g - sim->match->base[rank], rank, fr_step_kind_name(step->kind),
			step->peer);
		return FERRULE_ERR_INTERNAL;
	}
	snprintf(text, text_bytes, "deadlock: %u of %u steps are left",
	         sim->match->n_steps - sim->n_done, sim->match->n_steps);
	return FERRULE_ERR_INTERNAL;
}

ferrule_status_t fr_sim_run(struct fr_sim *sim, char *text, size_t text_bytes)
{
	for (uint32_t g = 0; g < sim->match->n_steps; g++)
		try_later(sim, g);
	while (sim->n_ready) {
		const uint32_t pick = (uint32_t)(next_random(sim) % sim->n_ready);
		const uint32_t g = sim->ready[pick];

		sim->ready[pick] = sim->ready[--sim->n_ready];
		sim->states[g].queued = false;
		if (sim->job->rendezvous || is_whole(fr_match_step(sim->match, g)))
			try_whole(sim, g);
		else
			try_piece(sim, g);
		if (sim->bad_step == FR_MATCH_NONE)
			continue;
		snprintf(text, text_bytes, "step %u of rank %d reads element %zu, never written",
		         sim->bad_step - sim->match->base[sim->match->rank_of[sim->bad_step]],
		         sim->match->rank_of[sim->bad_step], sim->bad_element);
		return FERRULE_ERR_INTERNAL;
	}
	return sim->n_done == sim->match->n_steps ? FERRULE_OK
	                                          : explain_stuck(sim, text, text_bytes);
}

void fr_sim_note_order(struct fr_sim *sim, const struct fr_expect *e)
{
	const struct fr_value *got = fr_sim_recv(sim, e->rank) + e->first;

	for (size_t i = 0; i < e->count; i++) {
		struct noted *noted = &sim->noted[e->from_first + i];

		if (noted->owner >= 0)
			continue;
		noted->owner = e->rank;
		noted->order = got[i].order;
	}
}

struct fr_value fr_sim_all(const struct fr_sim *sim, size_t element)
{
	return (struct fr_value){sim->noted[element].sum, sim->noted[element].order};
}

int fr_sim_first_owner(const struct fr_sim *sim, size_t element)
{
	return sim->noted[element].owner;
}

/* What a recv element held at the start: something only in place. */
static struct fr_value initially(const struct fr_sim *sim, int r, size_t element)
{
	const struct fr_sched *s = &sim->job->scheds[r];

	if (s->alias == FR_ALIAS_RECV_IN_SEND)
		return fr_sim_token(r, element + s->alias_offset);
	if (s->alias == FR_ALIAS_SEND_IN_RECV && element >= s->alias_offset &&
	    element - s->alias_offset < sim->job->send_counts[r])
		return fr_sim_token(r, element - s->alias_offset);
	return (struct fr_value){0, 0};
}

static void mark_asked(struct fr_sim *sim, int r)
{
	memset(sim->asked, 0, sim->n_asked);
	for (size_t i = 0; i < sim->job->n_expects; i++) {
		const struct fr_expect *e = &sim->job->expects[i];

		if (e->rank == r)
			memset(sim->asked + e->first, 1, e->count);
	}
}

size_t fr_sim_stray_write(struct fr_sim *sim, int r)
{
	const struct fr_value *recv = fr_sim_recv(sim, r);

	mark_asked(sim, r);
	for (size_t element = 0; element < sim->job->recv_counts[r]; element++) {
		const struct fr_value start = initially(sim, r, element);

		if (!sim->asked[element] &&
		    (recv[element].sum != start.sum || recv[element].order != start.order))
			return element;
	}
	return SIZE_MAX;
}

/*
 * A schedule becomes a plan.
 *
 * Compiling happens once per kind of call: elements become bytes, conflicts become gates,
 * steps are sorted into lanes (one per endpoint and direction), and a receive whose very
 * bytes are sent on next is tied to that send, so that one pass over memory does both.
 */
#include "config.h"
#include "lib/exec/exec_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"

/* Results of at least this many bytes are not read again soon enough to be worth a place in
 * the caches. */
#define STREAM_RESULT_BYTES (12u << 20)

/* The ranges a step reads and writes. */
struct touches {
	const struct fr_range *reads[2], *write;
	int n_reads;
};

static struct touches touches_of(const struct fr_step *s)
{
	struct touches t = {.n_reads = 0, .write = NULL};

	switch (s->kind) {
	case FR_STEP_REDUCE:
		t.reads[t.n_reads++] = &s->src2;
		/* fall through */
	case FR_STEP_COPY:
	case FR_STEP_SCALE:
	case FR_STEP_RECV_REDUCE:
	case FR_STEP_FOLD:
		t.write = &s->dst;
		/* fall through */
	case FR_STEP_SEND:
	case FR_STEP_PUBLISH:
		t.reads[t.n_reads++] = &s->src;
		break;
	case FR_STEP_RECV:
	case FR_STEP_COLLECT:
		t.write = &s->dst;
		break;
	case FR_N_STEP_KINDS:
		break;
	}
	return t;
}

static size_t step_count(const struct fr_step *s)
{
	return s->kind == FR_STEP_SEND || s->kind == FR_STEP_PUBLISH ? s->src.count : s->dst.count;
}

/* Appends the gate for one pair of ranges, if they overlap. */
static void add_gate(struct fr_plan *plan, struct fr_plan_step *step, uint32_t earlier,
                     const struct fr_range *a, const struct fr_range *b)
{
	const size_t first = a->first > b->first ? a->first : b->first;
	const size_t a_end = a->first + a->count, b_end = b->first + b->count;
	const size_t end = a_end < b_end ? a_end : b_end;

	if (a->space != b->space || first >= end)
		return;
	plan->gates[step->first_gate + step->n_gates++] = (struct fr_gate){
		.step = earlier,
		.head = (first - b->first) * plan->elem_bytes,
		.all = (end - a->first) * plan->elem_bytes,
		.shift = ((int64_t)a->first - (int64_t)b->first) * (int64_t)plan->elem_bytes,
	};
}

static void add_gates(struct fr_plan *plan, const struct fr_sched *s, uint32_t index)
{
	struct fr_plan_step *step = &plan->steps[index];
	const struct touches b = touches_of(&s->steps[index]);

	for (uint32_t d = 0; d < s->steps[index].n_deps; d++) {
		const uint32_t earlier = s->deps[s->steps[index].first_dep + d];
		const struct touches a = touches_of(&s->steps[earlier]);

		for (int i = 0; a.write && i < b.n_reads; i++)
			add_gate(plan, step, earlier, a.write, b.reads[i]);
		for (int i = 0; b.write && i < a.n_reads; i++)
			add_gate(plan, step, earlier, a.reads[i], b.write);
		if (a.write && b.write)
			add_gate(plan, step, earlier, a.write, b.write);
	}
}

static struct fr_operand operand(const struct fr_plan *plan, const struct fr_range *r)
{
	return (struct fr_operand){r->space, r->first * plan->elem_bytes};
}

static bool is_message(enum fr_step_kind kind)
{
	return kind == FR_STEP_SEND || kind == FR_STEP_RECV || kind == FR_STEP_RECV_REDUCE;
}

/* One element that means nothing, from scratch to scratch, stands for no elements. */
static void carry_empty(struct fr_plan *plan, const struct fr_sched *s, struct fr_plan_step *step)
{
	if (!plan->has_empty) {
		plan->has_empty = true;
		plan->empty_at = s->tmp_count * plan->elem_bytes;
	}
	step->is_empty = true;
	step->bytes = plan->elem_bytes;
	step->src = (struct fr_operand){FR_TMP, plan->empty_at};
	step->dst = (struct fr_operand){FR_TMP, plan->empty_at + plan->elem_bytes};
	if (step->kind == FR_STEP_RECV_REDUCE)
		step->kind = FR_STEP_RECV;
}

static void add_steps(struct fr_plan *plan, const struct fr_sched *s)
{
	uint32_t n_gates = 0;

	for (uint32_t i = 0; i < s->n_steps; i++) {
		const struct fr_step *from = &s->steps[i];
		struct fr_plan_step *to = &plan->steps[i];

		*to = (struct fr_plan_step){.kind = from->kind,
		                            .scale = from->scale,
		                            .peer = from->peer,
		                            .is_reply = from->is_reply,
		                            .forward = -1,
		                            .dst = operand(plan, &from->dst),
		                            .src = operand(plan, &from->src),
		                            .src2 = operand(plan, &from->src2),
		                            .bytes = step_count(from) * plan->elem_bytes,
		                            .part_at = from->part.first * plan->elem_bytes,
		                            .part_of = from->part.total * plan->elem_bytes,
		                            .first_gate = n_gates};
		add_gates(plan, s, i);
		n_gates += to->n_gates;
		if (to->bytes == 0 && is_message(to->kind))
			carry_empty(plan, s, to);
		if (to->bytes == 0 && to->kind == FR_STEP_COLLECT)
			to->is_empty = s->keeps_empty;
	}
}

static bool is_board(enum fr_step_kind kind)
{
	return kind == FR_STEP_PUBLISH || kind == FR_STEP_FOLD || kind == FR_STEP_COLLECT;
}

/* Counting sort of message steps by (peer, direction); `starts` has 2 * n_ranks + 1 zeroes. */
static void sort_lanes(struct fr_plan *plan, int n_ranks, uint32_t *starts)
{
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		const struct fr_plan_step *s = &plan->steps[i];

		if (is_message(s->kind))
			starts[2 * s->peer + (s->kind != FR_STEP_SEND) + 1]++;
		else
			plan->locals[plan->n_locals++] = i;
	}
	for (int k = 0; k < 2 * n_ranks; k++) {
		const uint32_t n = starts[k + 1];

		starts[k + 1] += starts[k];
		if (n > 0)
			plan->lanes[plan->n_lanes++] = (struct fr_plan_lane){
				.peer = k / 2, .is_send = k % 2 == 0, .first = starts[k], .n = n};
	}
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		const struct fr_plan_step *s = &plan->steps[i];

		if (is_message(s->kind))
			plan->lane_steps[starts[2 * s->peer + (s->kind != FR_STEP_SEND)]++] = i;
	}
}

/* Ties a receive to the first later send of exactly its result. */
static void tie_forwards(struct fr_plan *plan, const struct fr_sched *s)
{
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		struct fr_plan_step *send = &plan->steps[i];

		if (send->kind != FR_STEP_SEND || send->n_gates != 1)
			continue;
		const uint32_t from = plan->gates[send->first_gate].step;
		struct fr_plan_step *recv = &plan->steps[from];
		const struct fr_range *a = &s->steps[from].dst, *b = &s->steps[i].src;

		if ((recv->kind == FR_STEP_RECV || recv->kind == FR_STEP_RECV_REDUCE) &&
		    recv->forward < 0 && a->space == b->space && a->first == b->first &&
		    a->count == b->count)
			recv->forward = (int32_t)i;
	}
}

static void summarise(struct fr_plan *plan, const struct fr_sched *s)
{
	bool messages = false;

	for (uint32_t i = 0; i < plan->n_steps; i++) {
		plan->has_board |= is_board(plan->steps[i].kind);
		messages |= is_message(plan->steps[i].kind);
	}
	plan->board_only = !messages;
	plan->tmp_bytes = (s->tmp_count + (plan->has_empty ? 2 : 0)) * plan->elem_bytes;
	plan->recv_bytes = s->space_count[FR_RECV] * plan->elem_bytes;
	plan->stream = plan->recv_bytes >= STREAM_RESULT_BYTES && s->alias == FR_ALIAS_NONE;
}

static uint32_t gate_bound(const struct fr_sched *s)
{
	uint32_t n = 0;

	/* At most two reads against a write, both ways, and write against write. */
	for (uint32_t i = 0; i < s->n_steps; i++)
		n += 5 * s->steps[i].n_deps;
	return n;
}

ferrule_status_t fr_plan_create(struct fr_exec *x, const struct fr_sched *s, ferrule_type_t type,
                                ferrule_redop_t op, struct fr_plan **out)
{
	const size_t n_ranks = (size_t)x->params.n_ranks, n = s->n_steps;
	struct fr_plan *plan = calloc(1, sizeof(*plan));
	uint32_t *starts = calloc(2 * n_ranks + 1, sizeof(*starts));

	if (!plan || !starts)
		goto err_free;
	plan->type = type;
	plan->elem_bytes = ferrule_type_bytes(type);
	plan->kernel = fr_kernel_get(type, op);
	plan->scale = fr_kernel_scale(type);
	plan->average = 1.0 / x->params.n_ranks;
	plan->n_steps = s->n_steps;
	plan->steps = calloc(n + 1, sizeof(*plan->steps));
	plan->gates = calloc(gate_bound(s) + 1, sizeof(*plan->gates));
	plan->lanes = calloc(2 * n_ranks, sizeof(*plan->lanes));
	plan->lane_steps = calloc(n + 1, sizeof(*plan->lane_steps));
	plan->locals = calloc(n + 1, sizeof(*plan->locals));
	if (!plan->steps || !plan->gates || !plan->lanes || !plan->lane_steps || !plan->locals)
		goto err_free;
	add_steps(plan, s);
	sort_lanes(plan, (int)n_ranks, starts);
	tie_forwards(plan, s);
	summarise(plan, s);
	free(starts);
	*out = plan;
	return FERRULE_OK;
err_free:
	free(starts);
	fr_plan_destroy(plan);
	return fr_error(FERRULE_ERR_NO_MEMORY, "out of memory for a plan of %u steps", s->n_steps);
}

void fr_plan_destroy(struct fr_plan *plan)
{
	if (!plan)
		return;
	free(plan->steps);
	free(plan->gates);
	free(plan->lanes);
	free(plan->lane_steps);
	free(plan->locals);
	free(plan);
}

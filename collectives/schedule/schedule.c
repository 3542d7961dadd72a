/*
 * schedule.c - the builder: collects steps and keeps the first error.
 *
 * Every append goes through the same three gates: drop what moves nothing, check what the
 * emitter said, rewrite aliased ranges to the outer buffer.  The order is derived afterwards,
 * in order.c.
 */
#include "config.h"

#include "collectives/schedule/schedule.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/schedule/order.h"
#include "lib/base/error.h"
#include "lib/base/text.h"

void fr_sched_init(struct fr_sched *s, int rank, int n_ranks, enum fr_alias alias,
                   size_t alias_offset)
{
	memset(s, 0, sizeof(*s));
	s->rank = rank;
	s->n_ranks = n_ranks;
	s->alias = alias;
	s->alias_offset = alias_offset;
}

void fr_sched_fini(struct fr_sched *s)
{
	free(s->steps);
	free(s->deps);
	s->steps = NULL;
	s->deps = NULL;
	s->n_steps = s->steps_room = s->n_deps = 0;
}

const char *fr_step_kind_name(enum fr_step_kind kind)
{
	static const char *const names[FR_N_STEP_KINDS] = {
		[FR_STEP_COPY] = "copy",       [FR_STEP_REDUCE] = "reduce",
		[FR_STEP_SCALE] = "scale",     [FR_STEP_SEND] = "send",
		[FR_STEP_RECV] = "recv",       [FR_STEP_RECV_REDUCE] = "recv_reduce",
		[FR_STEP_PUBLISH] = "publish", [FR_STEP_FOLD] = "fold",
		[FR_STEP_COLLECT] = "collect",
	};

	return (unsigned)kind < FR_N_STEP_KINDS ? names[kind] : "unknown";
}

static void fail(struct fr_sched *s, ferrule_status_t status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void fail(struct fr_sched *s, ferrule_status_t status, const char *format, ...)
{
	va_list args;

	if (s->error != FERRULE_OK)
		return;
	s->error = status;
	va_start(args, format);
	fr_vformat(s->error_text, sizeof(s->error_text), format, args);
	va_end(args);
}

struct fr_range fr_sched_tmp(struct fr_sched *s, size_t count)
{
	const struct fr_range range = fr_range(FR_TMP, s->tmp_count, count);

	if (count > SIZE_MAX - s->tmp_count) {
		fail(s, FERRULE_ERR_NO_MEMORY, "scratch of %zu and %zu more elements is too large",
		     s->tmp_count, count);
		return fr_range(FR_TMP, 0, 0);
	}
	s->tmp_count += count;
	return range;
}

static bool range_is_sane(struct fr_sched *s, enum fr_step_kind kind, struct fr_range r)
{
	if ((unsigned)r.space >= FR_N_SPACES) {
		fail(s, FERRULE_ERR_INTERNAL, "%s step %u: space %d is not a space",
		     fr_step_kind_name(kind), s->n_steps, (int)r.space);
		return false;
	}
	if (r.count > SIZE_MAX - r.first) {
		fail(s, FERRULE_ERR_INTERNAL, "%s step %u: range %zu+%zu wraps around",
		     fr_step_kind_name(kind), s->n_steps, r.first, r.count);
		return false;
	}
	if (r.space == FR_TMP && r.first + r.count > s->tmp_count) {
		fail(s, FERRULE_ERR_INTERNAL,
		     "%s step %u: scratch %zu+%zu is beyond the %zu reserved",
		     fr_step_kind_name(kind), s->n_steps, r.first, r.count, s->tmp_count);
		return false;
	}
	return true;
}

/* What a range is called after the aliasing: the outer buffer's space. */
static bool resolve(struct fr_sched *s, enum fr_step_kind kind, struct fr_range *r)
{
	const bool inner = (s->alias == FR_ALIAS_SEND_IN_RECV && r->space == FR_SEND) ||
	                   (s->alias == FR_ALIAS_RECV_IN_SEND && r->space == FR_RECV);

	if (inner) {
		r->space = s->alias == FR_ALIAS_SEND_IN_RECV ? FR_RECV : FR_SEND;
		if (s->alias_offset > SIZE_MAX - r->first) {
			fail(s, FERRULE_ERR_INTERNAL, "%s step %u: range %zu+%zu wraps around",
			     fr_step_kind_name(kind), s->n_steps, r->first, r->count);
			return false;
		}
		r->first += s->alias_offset;
	}
	return range_is_sane(s, kind, *r);
}

static bool same_range(struct fr_range a, struct fr_range b)
{
	return a.space == b.space && a.first == b.first && a.count == b.count;
}

static bool overlap(struct fr_range a, struct fr_range b)
{
	return a.space == b.space && a.first < b.first + b.count && b.first < a.first + a.count;
}

/* May the result go where the operand lies?  Yes if they are one range or apart. */
static bool check_operand(struct fr_sched *s, const struct fr_step *step, struct fr_range operand)
{
	if (operand.count != step->dst.count) {
		fail(s, FERRULE_ERR_INTERNAL, "%s step %u: %zu elements into %zu",
		     fr_step_kind_name(step->kind), s->n_steps, operand.count, step->dst.count);
		return false;
	}
	if (same_range(operand, step->dst) || !overlap(operand, step->dst))
		return true;
	fail(s, FERRULE_ERR_INTERNAL,
	     "%s step %u: operand %zu+%zu and result %zu+%zu overlap in part",
	     fr_step_kind_name(step->kind), s->n_steps, operand.first, operand.count,
	     step->dst.first, step->dst.count);
	return false;
}

static bool check_peer(struct fr_sched *s, const struct fr_step *step)
{
	if (step->peer >= 0 && step->peer < s->n_ranks && step->peer != s->rank)
		return true;
	fail(s, FERRULE_ERR_INTERNAL, "%s step %u of rank %d: peer %d is not another of %d ranks",
	     fr_step_kind_name(step->kind), s->n_steps, s->rank, step->peer, s->n_ranks);
	return false;
}

static bool grow(struct fr_sched *s)
{
	const uint32_t room = s->steps_room ? 2 * s->steps_room : 16;
	struct fr_step *steps;

	if (s->n_steps < s->steps_room)
		return true;
	if (s->n_steps > UINT32_MAX / 4) {
		fail(s, FERRULE_ERR_NO_MEMORY, "schedule of more than %u steps", s->n_steps);
		return false;
	}
	steps = realloc(s->steps, room * sizeof(*steps));
	if (!steps) {
		fail(s, FERRULE_ERR_NO_MEMORY, "no memory for a schedule of %u steps", room);
		return false;
	}
	s->steps = steps;
	s->steps_room = room;
	return true;
}

static void note_bound(struct fr_sched *s, struct fr_range r)
{
	if (r.count && s->space_count[r.space] < r.first + r.count)
		s->space_count[r.space] = r.first + r.count;
}

/* Which members a kind uses. */
enum {
	USES_DST = 1,
	USES_SRC = 2,
	USES_SRC2 = 4,
	USES_PEER = 8,
	KEEPS_EMPTY = 16, /* an empty one still is a message to the others */
	MAY_KEEP = 32,    /* likewise, where the schedule says so */
};

static const unsigned uses_of[FR_N_STEP_KINDS] = {
	[FR_STEP_COPY] = USES_DST | USES_SRC,
	[FR_STEP_REDUCE] = USES_DST | USES_SRC | USES_SRC2,
	[FR_STEP_SCALE] = USES_DST | USES_SRC,
	[FR_STEP_SEND] = USES_SRC | USES_PEER | MAY_KEEP,
	[FR_STEP_RECV] = USES_DST | USES_PEER | MAY_KEEP,
	[FR_STEP_RECV_REDUCE] = USES_DST | USES_SRC | USES_PEER | MAY_KEEP,
	[FR_STEP_PUBLISH] = USES_SRC | KEEPS_EMPTY,
	[FR_STEP_FOLD] = USES_DST | USES_SRC | KEEPS_EMPTY,
	[FR_STEP_COLLECT] = USES_DST | USES_PEER | KEEPS_EMPTY,
};

/* Rewrites and checks the step's ranges; false when an error was kept. */
static bool settle(struct fr_sched *s, struct fr_step *step)
{
	const unsigned uses = uses_of[step->kind];

	if ((uses & USES_PEER) && !check_peer(s, step))
		return false;
	if ((uses & USES_DST) && step->dst.count && step->dst.space == FR_SEND) {
		fail(s, FERRULE_ERR_INTERNAL, "%s step %u writes the send buffer",
		     fr_step_kind_name(step->kind), s->n_steps);
		return false;
	}
	if ((uses & USES_DST) && !resolve(s, step->kind, &step->dst))
		return false;
	if ((uses & USES_SRC) && !resolve(s, step->kind, &step->src))
		return false;
	if ((uses & USES_SRC2) && !resolve(s, step->kind, &step->src2))
		return false;
	if (!(uses & USES_DST))
		return true;
	if ((uses & USES_SRC) && !check_operand(s, step, step->src))
		return false;
	return !(uses & USES_SRC2) || check_operand(s, step, step->src2);
}

static void append(struct fr_sched *s, struct fr_step step)
{
	const unsigned uses = uses_of[step.kind];
	const unsigned kept = KEEPS_EMPTY | (s->keeps_empty ? MAY_KEEP : 0);
	bool is_empty;

	if (s->error != FERRULE_OK || !settle(s, &step))
		return;
	is_empty =
		(!(uses & USES_DST) || !step.dst.count) && (!(uses & USES_SRC) || !step.src.count);
	if (is_empty && !(uses & kept))
		return;
	if (step.kind == FR_STEP_COPY && same_range(step.dst, step.src))
		return;
	if (!grow(s))
		return;
	note_bound(s, step.dst);
	note_bound(s, step.src);
	note_bound(s, step.src2);
	s->steps[s->n_steps++] = step;
}

void fr_sched_copy(struct fr_sched *s, struct fr_range dst, struct fr_range src)
{
	append(s, (struct fr_step){.kind = FR_STEP_COPY, .peer = -1, .dst = dst, .src = src});
}

void fr_sched_reduce(struct fr_sched *s, struct fr_range dst, struct fr_range src,
                     struct fr_range src2)
{
	append(s,
	       (struct fr_step){
		       .kind = FR_STEP_REDUCE, .peer = -1, .dst = dst, .src = src, .src2 = src2});
}

void fr_sched_scale(struct fr_sched *s, enum fr_scale scale, struct fr_range dst,
                    struct fr_range src)
{
	append(s,
	       (struct fr_step){
		       .kind = FR_STEP_SCALE, .scale = scale, .peer = -1, .dst = dst, .src = src});
}

void fr_sched_send(struct fr_sched *s, int peer, struct fr_range src)
{
	append(s, (struct fr_step){.kind = FR_STEP_SEND, .peer = peer, .src = src});
}

void fr_sched_recv(struct fr_sched *s, int peer, struct fr_range dst)
{
	append(s, (struct fr_step){.kind = FR_STEP_RECV, .peer = peer, .dst = dst});
}

void fr_sched_recv_reply(struct fr_sched *s, int peer, struct fr_range dst)
{
	append(s,
	       (struct fr_step){.kind = FR_STEP_RECV, .is_reply = true, .peer = peer, .dst = dst});
}

void fr_sched_recv_reduce(struct fr_sched *s, int peer, struct fr_range dst, struct fr_range src)
{
	append(s,
	       (struct fr_step){.kind = FR_STEP_RECV_REDUCE, .peer = peer, .dst = dst, .src = src});
}

void fr_sched_publish(struct fr_sched *s, struct fr_range src)
{
	append(s, (struct fr_step){.kind = FR_STEP_PUBLISH, .peer = -1, .src = src});
}

void fr_sched_fold(struct fr_sched *s, struct fr_range dst, struct fr_range src)
{
	append(s, (struct fr_step){.kind = FR_STEP_FOLD, .peer = -1, .dst = dst, .src = src});
}

void fr_sched_collect(struct fr_sched *s, int peer, struct fr_range dst)
{
	fr_sched_collect_part(s, peer, dst, 0, dst.count);
}

void fr_sched_collect_part(struct fr_sched *s, int peer, struct fr_range dst, size_t first,
                           size_t total)
{
	if (first > total || dst.count > total - first) {
		fail(s, FERRULE_ERR_INTERNAL,
		     "collect step %u takes %zu elements from %zu on of a publication of %zu",
		     s->n_steps, dst.count, first, total);
		return;
	}
	append(s, (struct fr_step){.kind = FR_STEP_COLLECT,
	                           .peer = peer,
	                           .dst = dst,
	                           .part.first = first,
	                           .part.total = total});
}

ferrule_status_t fr_sched_finish(struct fr_sched *s)
{
	if (s->error == FERRULE_OK) {
		const ferrule_status_t status = fr_order_derive(s);

		if (status != FERRULE_OK)
			fail(s, status, "no memory to order a schedule of %u steps", s->n_steps);
	}
	if (s->error != FERRULE_OK)
		return fr_error(s->error, "%s", s->error_text);
	return FERRULE_OK;
}

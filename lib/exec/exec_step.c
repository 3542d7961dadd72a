/*
 * One piece of one step.
 *
 * A run looks at the head of each of its lanes and at its unfinished local steps, and moves
 * what can move: one piece each, so that sending and receiving overlap.  A receive that is
 * tied to a send writes its result into the receive range and into the outgoing window in one
 * pass, as long as the two stand at the same byte; when they part (the window is full, the
 * send must wait its turn) each goes on by itself, from memory.
 */
#include "config.h"
#include "lib/exec/exec_internal.h"

/* Local work is done in pieces that stay in the nearest caches. */
#define LOCAL_PIECE_BYTES 65536u
/* So many looks at a full outgoing window before a tied receive goes on without it. */
#define FORWARD_PATIENCE 64u

/* How many of a step's bytes may be touched; `handed_over`: a send counts as through with
 * what the transport has taken, even while the peer still reads it. */
static size_t gates_allow(const struct fr_run *run, const struct fr_plan_step *step,
                          bool handed_over)
{
	const struct fr_gate *gates = run->plan->gates + step->first_gate;
	size_t allowed = step->bytes;

	for (uint32_t i = 0; i < step->n_gates; i++) {
		const struct fr_gate *g = &gates[i];
		const uint64_t moved = handed_over ? run->moved[g->step] : 0;
		const uint64_t done = moved > run->done[g->step] ? moved : run->done[g->step];
		size_t limit = g->head;

		if (done >= g->all)
			continue;
		if ((int64_t)done + g->shift > (int64_t)limit)
			limit = (size_t)((int64_t)done + g->shift);
		if (limit < allowed)
			allowed = limit;
	}
	return allowed;
}

static size_t allowed_bytes(const struct fr_run *run, const struct fr_plan_step *step)
{
	return gates_allow(run, step, false);
}

static inline unsigned char *at(unsigned char *const base[FR_N_SPACES], const struct fr_operand *o,
                                size_t offset)
{
	return base[o->space] + o->at + offset;
}

void fr_step_local(const struct fr_plan *plan, const struct fr_plan_step *step,
                   unsigned char *const base[FR_N_SPACES], double premul, size_t from, size_t to)
{
	const enum fr_stream stream = plan->stream ? FR_STREAM_DST : FR_STREAM_NONE;
	const size_t bytes = to - from, count = bytes / plan->elem_bytes;
	unsigned char *dst = at(base, &step->dst, from);
	const unsigned char *src = at(base, &step->src, from);

	if (step->kind == FR_STEP_COPY)
		fr_copy(dst, src, bytes, stream);
	else if (step->kind == FR_STEP_REDUCE)
		plan->kernel->reduce[0](dst, src, at(base, &step->src2, from), count);
	else
		plan->scale(dst, src, step->scale == FR_SCALE_PREMUL ? premul : plan->average,
		            count);
	if (stream)
		fr_stream_fence();
}

/* The receive side of one piece, ready to be worked on. */
struct piece {
	const unsigned char *window;
	size_t bytes;
};

static size_t whole_elements(const struct fr_plan *plan, size_t bytes)
{
	return bytes & ~(plan->elem_bytes - 1);
}

static void store_piece(struct fr_run *run, const struct fr_plan_step *step, struct piece p)
{
	const struct fr_plan *plan = run->plan;
	const size_t from = run->done[step - plan->steps];
	unsigned char *dst = at(run->base, &step->dst, from);
	const bool stream = plan->stream && step->dst.space == FR_RECV;

	if (step->kind == FR_STEP_RECV_REDUCE)
		plan->kernel->reduce[stream](dst, at(run->base, &step->src, from), p.window,
		                             p.bytes / plan->elem_bytes);
	else if (p.window != dst)
		fr_copy(dst, p.window, p.bytes, stream ? FR_STREAM_DST : FR_STREAM_NONE);
	if (stream)
		fr_stream_fence();
}

/* Result and outgoing window in one pass. */
static void store_piece_twice(struct fr_run *run, const struct fr_plan_step *step, struct piece p,
                              void *out, bool stream_out)
{
	const struct fr_plan *plan = run->plan;
	const size_t from = run->done[step - plan->steps];
	unsigned char *dst = at(run->base, &step->dst, from);
	const bool stream = plan->stream && step->dst.space == FR_RECV;
	const enum fr_stream how = (stream ? FR_STREAM_DST : 0) | (stream_out ? FR_STREAM_DST2 : 0);

	if (step->kind == FR_STEP_RECV_REDUCE)
		plan->kernel->reduce2[how](dst, out, at(run->base, &step->src, from), p.window,
		                           p.bytes / plan->elem_bytes);
	else if (p.window != dst)
		fr_copy2(dst, out, p.window, p.bytes, how);
	else
		fr_copy(out, p.window, p.bytes, stream_out ? FR_STREAM_DST : FR_STREAM_NONE);
	if (how)
		fr_stream_fence();
}

static inline uint32_t head_step(const struct fr_run *run, const struct fr_plan_lane *lane,
                                 uint32_t index)
{
	return run->plan->lane_steps[lane->first + index];
}

/* ---- sending ---- */

static inline const struct fr_call *call_of(const struct fr_run *run,
                                            const struct fr_plan_step *step)
{
	return step->is_empty ? &run->empty_call : &run->call;
}

/* Announces the head's message; `memory` NULL asks for a window. */
static ferrule_status_t begin_send(struct fr_run *run, const struct fr_plan_lane *lane,
                                   struct fr_lane_state *state, void *memory)
{
	struct fr_exec_ep *e = &run->exec->eps[lane->peer];
	const uint32_t index = head_step(run, lane, state->head);
	const struct fr_plan_step *step = &run->plan->steps[index];
	const struct fr_message m = {
		.call = call_of(run, step), .bytes = step->bytes, .memory = memory};
	const ferrule_status_t status = e->ep->ops->send_begin(e->ep, &m);

	if (status != FERRULE_OK)
		return status;
	e->sent_total += m.bytes;
	run->ends[index] = e->sent_total;
	state->begun = true;
	return FERRULE_OK;
}

/* Counts bytes as handed over; the last ones make the next step the head. */
static void count_sent(struct fr_run *run, const struct fr_plan_lane *lane,
                       struct fr_lane_state *state, size_t bytes)
{
	struct fr_exec_ep *e = &run->exec->eps[lane->peer];
	const uint32_t index = head_step(run, lane, state->head);

	run->moved[index] += bytes;
	run->exec->stats.bytes_sent += bytes;
	if (run->moved[index] < run->plan->steps[index].bytes)
		return;
	state->begun = false;
	if (++state->head == lane->n)
		e->send_serving++;
}

/* Sends whose source is free again count as done. */
static int64_t drain_sends(struct fr_run *run, const struct fr_plan_lane *lane,
                           struct fr_lane_state *state)
{
	struct fr_ep *ep = run->exec->eps[lane->peer].ep;
	uint64_t reusable;
	int64_t drained = 0;

	if (state->drain == state->head && !state->begun)
		return 0;
	reusable = ep->ops->send_reusable(ep);
	while (state->drain < lane->n) {
		const uint32_t index = head_step(run, lane, state->drain);
		const uint64_t bytes = run->plan->steps[index].bytes;
		const bool begun = state->drain < state->head || state->begun;

		if (!begun)
			break;
		const uint64_t left = run->ends[index] > reusable ? run->ends[index] - reusable : 0;
		const uint64_t done = left < bytes ? bytes - left : 0;

		drained += (int64_t)(done - run->done[index]);
		run->done[index] = done;
		if (left > 0 || state->drain == state->head)
			break;
		state->drain++;
		run->remaining--;
	}
	return drained;
}

/* One piece of the head of a lane, if it may move. */
static int64_t push_head(struct fr_run *run, const struct fr_plan_lane *lane,
                         struct fr_lane_state *state)
{
	struct fr_exec_ep *e = &run->exec->eps[lane->peer];
	const uint32_t index = head_step(run, lane, state->head);
	const struct fr_plan_step *step = &run->plan->steps[index];
	const size_t allowed = allowed_bytes(run, step);
	int64_t moved;

	if (allowed <= run->moved[index])
		return 0;
	if (!state->begun) {
		const ferrule_status_t status =
			begin_send(run, lane, state, at(run->base, &step->src, 0));

		if (status != FERRULE_OK)
			return status < 0 ? (int64_t)status : 0;
	}
	moved = e->ep->ops->send_some(e->ep, at(run->base, &step->src, run->moved[index]),
	                              allowed - run->moved[index]);
	if (moved > 0)
		count_sent(run, lane, state, (size_t)moved);
	return moved;
}

static int64_t progress_send(struct fr_run *run, const struct fr_plan_lane *lane,
                             struct fr_lane_state *state)
{
	const bool may_push =
		state->head < lane->n && run->exec->eps[lane->peer].send_serving == state->ticket;
	const int64_t moved = may_push ? push_head(run, lane, state) : 0;

	return moved < 0 ? moved : moved + drain_sends(run, lane, state);
}

/* ---- receiving ---- */

/* A receive into the caller's memory tells the peer where; one that combines does not. */
static struct fr_message recv_message(struct fr_run *run, const struct fr_plan_step *step)
{
	return (struct fr_message){
		.call = call_of(run, step),
		.bytes = step->bytes,
		.memory = step->kind == FR_STEP_RECV ? at(run->base, &step->dst, 0) : NULL};
}

/* May the peer be told where this receive goes?  Once the memory is free; a reply may be told
 * as soon as what it replies to has been handed over: the peer reads each element before it
 * writes that element. */
static bool may_post(const struct fr_run *run, const struct fr_plan_step *step)
{
	return gates_allow(run, step, step->is_reply) == step->bytes;
}

/* Posts the next receives whose memory is free, so that peers can write there at once. */
static void post_receives(struct fr_run *run, const struct fr_plan_lane *lane,
                          struct fr_lane_state *state)
{
	struct fr_ep *ep = run->exec->eps[lane->peer].ep;

	while (state->posted < lane->n && state->posted - state->head < FR_POSTS_MAX) {
		const struct fr_plan_step *step =
			&run->plan->steps[head_step(run, lane, state->posted)];
		const struct fr_message m = recv_message(run, step);

		if (!may_post(run, step))
			return;
		if (ep->ops->recv_post)
			ep->ops->recv_post(ep, &m);
		state->posted++;
	}
}

/* The send tied to a receive, as far as it can take the same piece now. */
struct forward {
	const struct fr_plan_lane *lane;
	struct fr_lane_state *state;
	void *window; /* NULL: not now */
	size_t room;
	bool stream;
	bool may_come; /* a window is worth a little patience */
};

static struct forward find_forward(struct fr_run *run, const struct fr_plan_step *step)
{
	const struct fr_plan *plan = run->plan;
	const uint32_t index = (uint32_t)step->forward;
	struct forward f = {.lane = NULL};
	struct fr_exec_ep *e;

	for (uint32_t i = 0; i < plan->n_lanes && !f.lane; i++)
		if (plan->lanes[i].is_send && plan->lanes[i].peer == plan->steps[index].peer)
			f.lane = &plan->lanes[i];
	f.state = &run->lanes[f.lane - plan->lanes];
	e = &run->exec->eps[f.lane->peer];
	if (f.state->head == f.lane->n || e->send_serving != f.state->ticket ||
	    run->moved[index] != run->done[step - plan->steps])
		return f;
	f.may_come = true;
	/* The sends before it may leave any moment. */
	if (head_step(run, f.lane, f.state->head) != index)
		return f;
	if (!f.state->begun && begin_send(run, f.lane, f.state, NULL) != FERRULE_OK)
		return f;
	f.may_come = e->ep->send_has_window;
	if (f.may_come)
		f.window = e->ep->ops->send_window(e->ep, &f.room, &f.stream);
	return f;
}

static void count_received(struct fr_run *run, const struct fr_plan_lane *lane,
                           struct fr_lane_state *state, size_t bytes)
{
	struct fr_exec_ep *e = &run->exec->eps[lane->peer];
	const uint32_t index = head_step(run, lane, state->head);

	run->done[index] += bytes;
	run->exec->stats.bytes_received += bytes;
	if (run->done[index] < run->plan->steps[index].bytes)
		return;
	state->begun = false;
	run->remaining--;
	if (++state->head == lane->n)
		e->recv_serving++;
}

/* One piece out of the window, also into the next window where that is possible. */
static int64_t take_window(struct fr_run *run, const struct fr_plan_lane *lane,
                           struct fr_lane_state *state, size_t allowed)
{
	struct fr_ep *ep = run->exec->eps[lane->peer].ep;
	const uint32_t index = head_step(run, lane, state->head);
	const struct fr_plan_step *step = &run->plan->steps[index];
	ferrule_status_t status = FERRULE_OK;
	struct forward f = {.window = NULL};
	struct piece p = {.bytes = 0};

	p.window = ep->ops->recv_window(ep, &p.bytes, &status);
	if (!p.window)
		return status < 0 ? (int64_t)status : 0;
	if (p.bytes > allowed)
		p.bytes = allowed;
	if (step->forward >= 0)
		f = find_forward(run, step);
	if (!f.window && f.may_come && state->stalls++ < FORWARD_PATIENCE)
		return 0;
	if (f.window && p.bytes > f.room)
		p.bytes = f.room;
	p.bytes = whole_elements(run->plan, p.bytes);
	if (p.bytes == 0)
		return 0;
	state->stalls = 0;
	if (f.window) {
		struct fr_ep *out = run->exec->eps[f.lane->peer].ep;

		store_piece_twice(run, step, p, f.window, f.stream);
		out->ops->send_commit(out, p.bytes);
		count_sent(run, f.lane, f.state, p.bytes);
	} else {
		store_piece(run, step, p);
	}
	ep->ops->recv_release(ep, p.bytes);
	count_received(run, lane, state, p.bytes);
	return (int64_t)p.bytes;
}

static int64_t progress_recv(struct fr_run *run, const struct fr_plan_lane *lane,
                             struct fr_lane_state *state)
{
	struct fr_exec_ep *e = &run->exec->eps[lane->peer];

	if (state->head == lane->n || e->recv_serving != state->ticket)
		return 0;
	post_receives(run, lane, state);
	const uint32_t index = head_step(run, lane, state->head);
	const struct fr_plan_step *step = &run->plan->steps[index];
	const size_t allowed = allowed_bytes(run, step) - run->done[index];

	if (!state->begun) {
		/* The destination must be free as a whole before the peer may be told of it. */
		if (state->posted == state->head)
			return 0;
		const struct fr_message m = recv_message(run, step);
		const ferrule_status_t status = e->ep->ops->recv_begin(e->ep, &m);

		if (status == FERRULE_ERR_MISMATCH)
			run->exec->expected_bytes = step->is_empty ? 0 : step->bytes;
		if (status != FERRULE_OK)
			return status < 0 ? (int64_t)status : 0;
		state->begun = true;
	}
	if (allowed == 0)
		return 0;
	if (step->kind == FR_STEP_RECV && e->ep->recv_prefers_some) {
		const int64_t moved = e->ep->ops->recv_some(
			e->ep, at(run->base, &step->dst, run->done[index]), allowed);
		if (moved > 0)
			count_received(run, lane, state, (size_t)moved);
		return moved;
	}
	return take_window(run, lane, state, allowed);
}

/* ---- local steps ---- */

static int64_t progress_board(struct fr_run *run, uint32_t index, int *peer_out)
{
	struct fr_exec *x = run->exec;
	const struct fr_plan_step *step = &run->plan->steps[index];
	ferrule_status_t status;

	if (x->board_serving != run->board_ticket || allowed_bytes(run, step) < step->bytes)
		return 0;
	status = fr_board_step(x, run->plan, step, run->base, &run->call, peer_out);
	run->board_peer = status == FERRULE_INPROGRESS ? *peer_out : -1;
	if (status != FERRULE_OK)
		return status < 0 ? (int64_t)status : 0;
	run->done[index] = step->bytes;
	return 1;
}

static int64_t progress_locals(struct fr_run *run, int *peer_out)
{
	const struct fr_plan *plan = run->plan;
	bool board_first = true; /* board steps go in program order */
	uint32_t kept = 0;
	int64_t moved = 0;

	for (uint32_t i = 0; i < run->n_locals; i++) {
		const uint32_t index = run->locals[i];
		const struct fr_plan_step *step = &plan->steps[index];
		bool finished;

		if (step->kind >= FR_STEP_SEND) {
			const int64_t n = board_first ? progress_board(run, index, peer_out) : 0;

			if (n < 0)
				return n;
			finished = n > 0;
			board_first &= finished;
			moved += n;
		} else {
			size_t to = allowed_bytes(run, step);

			if (to > run->done[index] + LOCAL_PIECE_BYTES)
				to = run->done[index] + LOCAL_PIECE_BYTES;
			to = to == step->bytes ? to : whole_elements(plan, to);
			if (to > run->done[index]) {
				fr_step_local(plan, step, run->base, run->premul, run->done[index],
				              to);
				moved += (int64_t)(to - run->done[index]);
				run->done[index] = to;
			}
			finished = to == step->bytes;
		}
		if (finished)
			run->remaining--;
		else
			run->locals[kept++] = index;
	}
	run->n_locals = kept;
	return moved;
}

int64_t fr_run_progress(struct fr_run *run, int *peer_out)
{
	const struct fr_plan *plan = run->plan;
	int64_t moved = 0;

	for (uint32_t i = 0; i < plan->n_lanes; i++) {
		const struct fr_plan_lane *lane = &plan->lanes[i];
		const int64_t n = lane->is_send ? progress_send(run, lane, &run->lanes[i])
		                                : progress_recv(run, lane, &run->lanes[i]);

		if (n < 0) {
			*peer_out = lane->peer;
			return n;
		}
		moved += n;
	}
	if (run->n_locals > 0) {
		const int64_t n = progress_locals(run, peer_out);

		if (n < 0)
			return n;
		moved += n;
	}
	return moved;
}

/* ---- whom it waits for ---- */

/* Does the head of a send lane, or what was lent before it, wait for the peer alone? */
static bool send_waits(const struct fr_run *run, const struct fr_plan_lane *lane,
                       const struct fr_lane_state *state)
{
	const uint32_t drain = state->drain < lane->n ? head_step(run, lane, state->drain) : 0;

	if (state->drain < lane->n && run->moved[drain] > run->done[drain])
		return true;
	if (state->head == lane->n || run->exec->eps[lane->peer].send_serving != state->ticket)
		return false;
	const uint32_t index = head_step(run, lane, state->head);

	return allowed_bytes(run, &run->plan->steps[index]) > run->moved[index];
}

/* The same for a receive: its memory is free, so only data is missing. */
static bool recv_waits(const struct fr_run *run, const struct fr_plan_lane *lane,
                       const struct fr_lane_state *state)
{
	if (state->head == lane->n || run->exec->eps[lane->peer].recv_serving != state->ticket)
		return false;
	const uint32_t index = head_step(run, lane, state->head);

	if (!state->begun)
		return state->posted > state->head;
	return allowed_bytes(run, &run->plan->steps[index]) > run->done[index];
}

void fr_run_waits(const struct fr_run *run, struct fr_wait *w)
{
	for (uint32_t i = 0; i < run->plan->n_lanes; i++) {
		const struct fr_plan_lane *lane = &run->plan->lanes[i];
		const struct fr_lane_state *state = &run->lanes[i];

		if (lane->is_send ? send_waits(run, lane, state) : recv_waits(run, lane, state))
			fr_wait_add(w, lane->peer);
	}
	if (run->board_peer >= 0)
		fr_wait_add(w, run->board_peer);
}

/* Create, destroy, faults, and the life of a run. */
#include "config.h"
#include "lib/exec/exec_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"

/* About a nanosecond each with the pause in between; see fr_wait_rest(). */
#define POLLS_A_US 25u
/* A peer that is a core of its own is worth this much spinning. */
#define SPIN_DEFAULT_US 200u
#define SCRATCH_ALIGN   4096u

static uint32_t spin_polls_for(const struct fr_exec_params *p)
{
	if (p->spin_us >= 0)
		return (uint32_t)p->spin_us * POLLS_A_US;
	/* The peer needs the very core we would spin on. */
	return p->oversubscribed ? 0 : SPIN_DEFAULT_US * POLLS_A_US;
}

ferrule_status_t fr_exec_create(const struct fr_exec_params *params, struct fr_exec **out)
{
	const size_t n = (size_t)params->n_ranks;
	struct fr_exec *x = calloc(1, sizeof(*x));

	if (!x)
		return fr_error(FERRULE_ERR_NO_MEMORY, "out of memory for an executor");
	x->params = *params;
	x->spin_polls = spin_polls_for(params);
	x->active_tail = &x->active;
	x->eps = calloc(n, sizeof(*x->eps));
	x->fold_sources = calloc(n, sizeof(*x->fold_sources));
	if (!x->eps || !x->fold_sources || fr_board_init(x) != FERRULE_OK ||
	    fr_blame_init(x) != FERRULE_OK || fr_refuse_init(x) != FERRULE_OK) {
		fr_exec_destroy(x);
		return fr_error(FERRULE_ERR_NO_MEMORY, "out of memory for an executor");
	}
	for (size_t r = 0; r < n; r++)
		x->eps[r].ep = params->eps[r];
	*out = x;
	return FERRULE_OK;
}

static void free_run(struct fr_run *run)
{
	free(run->done);
	free(run->locals);
	free(run->lanes);
	free(run->tmp);
	free(run);
}

static void free_runs(struct fr_run *run)
{
	while (run) {
		struct fr_run *next = run->next;

		free_run(run);
		run = next;
	}
}

void fr_exec_destroy(struct fr_exec *x)
{
	if (!x)
		return;
	free_runs(x->active);
	free_runs(x->idle);
	fr_board_fini(x);
	fr_blame_fini(x);
	fr_refuse_fini(x);
	free(x->board_tmp);
	free(x->fold_sources);
	free(x->eps);
	free(x);
}

ferrule_status_t fr_exec_fault(struct fr_exec *x, const char **text_out)
{
	if (text_out)
		*text_out = x->fault_text;
	return x->fault;
}

void fr_exec_get_stats(const struct fr_exec *x, struct fr_exec_stats *out)
{
	*out = x->stats;
}

/* A barrier sends scratch that nobody has written, a byte a rank: peers get zeros for it, not what
 * the heap held before. */
#define UNWRITTEN_BYTES 65536

/* Grows *block to at least `bytes`; what it held is not kept. */
static ferrule_status_t grow(struct fr_exec *x, void **block, size_t *room, size_t bytes)
{
	void *fresh;

	if (bytes <= *room)
		return FERRULE_OK;
	bytes = (bytes + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
	fresh = aligned_alloc(SCRATCH_ALIGN, bytes);
	if (!fresh)
		return fr_error(FERRULE_ERR_NO_MEMORY, "out of memory for %zu bytes of scratch",
		                bytes);
	memset(fresh, 0, bytes < UNWRITTEN_BYTES ? bytes : UNWRITTEN_BYTES);
	free(*block);
	*block = fresh;
	x->stats.memory_bytes += bytes - *room;
	*room = bytes;
	return FERRULE_OK;
}

/* ---- runs ---- */

/* A run object with room for the plan; only a first, larger plan makes it allocate. */
static ferrule_status_t take_run(struct fr_exec *x, const struct fr_plan *plan, struct fr_run **out)
{
	const size_t n = plan->n_steps;
	struct fr_run *run = x->idle;

	if (run)
		x->idle = run->next;
	else
		run = calloc(1, sizeof(*run));
	if (!run)
		return fr_error(FERRULE_ERR_NO_MEMORY, "out of memory for an operation");
	run->exec = x;
	if (!run->done || n > run->steps_room || plan->n_lanes > run->lanes_room) {
		free(run->done);
		free(run->locals);
		free(run->lanes);
		run->done = calloc(3 * n + 1, sizeof(*run->done));
		run->locals = calloc(n + 1, sizeof(*run->locals));
		run->lanes = calloc(plan->n_lanes + 1u, sizeof(*run->lanes));
		run->steps_room = n;
		run->lanes_room = plan->n_lanes;
	}
	if (!run->done || !run->locals || !run->lanes ||
	    grow(x, (void **)&run->tmp, &run->tmp_room, plan->tmp_bytes) != FERRULE_OK) {
		free_run(run);
		return fr_error(FERRULE_ERR_NO_MEMORY, "out of memory for an operation");
	}
	*out = run;
	return FERRULE_OK;
}

static void reset_run(struct fr_run *run, const struct fr_plan *plan)
{
	struct fr_exec *x = run->exec;
	const size_t n = plan->n_steps;

	run->plan = plan;
	run->moved = run->done + n;
	run->ends = run->moved + n;
	memset(run->done, 0, 3 * n * sizeof(*run->done));
	memcpy(run->locals, plan->locals, plan->n_locals * sizeof(*run->locals));
	run->n_locals = plan->n_locals;
	run->remaining = plan->n_steps;
	run->status = FERRULE_INPROGRESS;
	run->board_ticket = plan->has_board ? x->board_tickets++ : 0;
	run->board_peer = -1;
	for (uint32_t i = 0; i < plan->n_lanes; i++) {
		struct fr_exec_ep *e = &x->eps[plan->lanes[i].peer];

		run->lanes[i] = (struct fr_lane_state){
			.ticket = plan->lanes[i].is_send ? e->send_tickets++ : e->recv_tickets++};
	}
}

static void announce(struct fr_exec *x, const struct fr_call *call)
{
	for (struct fr_transport **t = x->params.transports; *t; t++)
		(*t)->ops->announce(*t, call);
}

static void append(struct fr_exec *x, struct fr_run *run)
{
	run->next = NULL;
	run->active = true;
	*x->active_tail = run;
	x->active_tail = &run->next;
}

static void finish(struct fr_exec *x, struct fr_run **at, ferrule_status_t status)
{
	struct fr_run *run = *at;

	*at = run->next;
	if (!run->next)
		x->active_tail = at;
	run->active = false;
	run->status = status;
	if (status == FERRULE_OK && run->plan->has_board)
		x->board_serving++;
	x->stats.runs++;
}

/* One pass over everything under way.  Returns what moved; faults end every run. */
static int64_t progress_all(struct fr_exec *x)
{
	int64_t moved = 0;

	for (struct fr_run **at = &x->active; *at;) {
		struct fr_run *run = *at;
		int peer = -1;
		const int64_t n =
			x->fault == FERRULE_OK ? fr_run_progress(run, &peer) : (int64_t)x->fault;

		if (n < 0) {
			const ferrule_status_t status =
				fr_fault_peer(x, (ferrule_status_t)n, peer, &run->call);

			finish(x, at, status);
			continue;
		}
		moved += n;
		if (run->remaining == 0)
			finish(x, at, FERRULE_OK);
		else
			at = &run->next;
	}
	return moved;
}

static void fail_all(struct fr_exec *x)
{
	while (x->active)
		finish(x, &x->active, x->fault);
}

ferrule_status_t fr_run_test(struct fr_run *run)
{
	struct fr_exec *x = run->exec;

	if (!run->active)
		return run->status;
	if (progress_all(x) > 0)
		x->waiting = (struct fr_waiting){.polls = 0};
	else if (run->active && fr_wait_look(x, &x->waiting, &run->call, -1) != FERRULE_OK)
		fail_all(x);
	return run->status;
}

ferrule_status_t fr_run_wait(struct fr_run *run)
{
	struct fr_exec *x = run->exec;

	x->waiting = (struct fr_waiting){.polls = 0};
	while (fr_run_test(run) == FERRULE_INPROGRESS)
		if (x->waiting.polls > 0)
			fr_wait_rest(x, &x->waiting);
	return run->status;
}

static ferrule_status_t start(struct fr_exec *x, const struct fr_plan *plan, const void *send,
                              void *recv, double premul, const struct fr_call *call,
                              struct fr_run **out)
{
	struct fr_run *run = NULL;
	const ferrule_status_t status = take_run(x, plan, &run);

	if (status != FERRULE_OK)
		return status;
	run->base[FR_SEND] = (unsigned char *)(uintptr_t)send;
	run->base[FR_RECV] = recv;
	run->base[FR_TMP] = run->tmp;
	run->premul = premul;
	run->call = *call;
	if (plan->has_empty) {
		run->empty_call = fr_call_empty(call);
		memset(run->tmp + plan->empty_at, 0, plan->elem_bytes);
	}
	reset_run(run, plan);
	append(x, run);
	*out = run;
	return FERRULE_OK;
}

ferrule_status_t fr_exec_start(struct fr_exec *x, const struct fr_plan *plan, const void *send,
                               void *recv, double premul, const struct fr_call *call,
                               struct fr_run **out)
{
	ferrule_status_t status = x->fault;
	struct fr_run *run;

	if (status != FERRULE_OK)
		return status;
	announce(x, call);
	status = start(x, plan, send, recv, premul, call, &run);
	if (status != FERRULE_OK)
		return status;
	progress_all(x);
	*out = run;
	return FERRULE_OK;
}

static void drop(struct fr_exec *x, struct fr_run *run)
{
	struct fr_run **at = &x->active;

	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	if (!run->next)
		x->active_tail = at;
	run->active = false;
}

void fr_run_release(struct fr_run *run)
{
	struct fr_exec *x = run->exec;

	if (run->active)
		drop(x, run);
	run->next = x->idle;
	x->idle = run;
}

/* A plan of publications alone, with nothing else under way: no run object is needed. */
static ferrule_status_t run_board_only(struct fr_exec *x, const struct fr_plan *plan,
                                       const void *send, void *recv, double premul,
                                       const struct fr_call *call)
{
	unsigned char *const base[FR_N_SPACES] = {
		[FR_SEND] = (unsigned char *)(uintptr_t)send,
		[FR_RECV] = recv,
		[FR_TMP] = x->board_tmp,
	};

	x->stats.runs++;
	return fr_board_run(x, plan, base, premul, call);
}

ferrule_status_t fr_exec_run(struct fr_exec *x, const struct fr_plan *plan, const void *send,
                             void *recv, double premul, const struct fr_call *call)
{
	ferrule_status_t status;
	struct fr_run *run;

	if (x->fault != FERRULE_OK)
		return x->fault;
	announce(x, call);
	if (plan->board_only && !x->active) {
		if (plan->tmp_bytes > x->board_tmp_room) {
			status = grow(x, &x->board_tmp, &x->board_tmp_room, plan->tmp_bytes);
			if (status != FERRULE_OK)
				return status;
		}
		return run_board_only(x, plan, send, recv, premul, call);
	}
	status = start(x, plan, send, recv, premul, call, &run);
	if (status != FERRULE_OK)
		return status;
	status = fr_run_wait(run);
	fr_run_release(run);
	return status;
}

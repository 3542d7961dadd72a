#include "config.h"

#include "collectives/schedule/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/schedule/match.h"
#include "collectives/schedule/races.h"
#include "collectives/schedule/simulate.h"
#include "lib/base/text.h"

static ferrule_status_t fault(struct fr_verify_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static ferrule_status_t fault(struct fr_verify_report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fr_vformat(report->text, sizeof(report->text), format, args);
	va_end(args);
	return FERRULE_ERR_INTERNAL;
}

void fr_verify_count(const struct fr_verify_job *job, struct fr_verify_report *report)
{
	memset(report, 0, sizeof(*report));
	for (int r = 0; r < job->n_ranks; r++) {
		const struct fr_sched *s = &job->scheds[r];
		size_t sends = 0, sent = 0;

		for (uint32_t i = 0; i < s->n_steps; i++) {
			if (s->steps[i].kind != FR_STEP_SEND)
				continue;
			sends++;
			sent += s->steps[i].src.count;
		}
		report->steps += s->n_steps;
		report->total_sent += sent;
		report->most_sends = sends > report->most_sends ? sends : report->most_sends;
		report->most_sent = sent > report->most_sent ? sent : report->most_sent;
		report->most_tmp =
			s->tmp_count > report->most_tmp ? s->tmp_count : report->most_tmp;
	}
}

/* How many elements of `space` rank r may touch. */
static size_t bound(const struct fr_verify_job *job, int r, enum fr_space space)
{
	if (space == FR_SEND)
		return job->send_counts[r];
	return space == FR_RECV ? job->recv_counts[r] : job->scheds[r].tmp_count;
}

/* May rank r write this range?  All but the send buffer; in place, the part that is recv. */
static bool may_write(const struct fr_verify_job *job, int r, struct fr_range range)
{
	const struct fr_sched *s = &job->scheds[r];

	if (range.space != FR_SEND || !range.count)
		return true;
	return s->alias == FR_ALIAS_RECV_IN_SEND && range.first >= s->alias_offset &&
	       range.first + range.count <= s->alias_offset + job->recv_counts[r];
}

static ferrule_status_t outside(const struct fr_verify_job *job, int r, uint32_t step,
                                struct fr_range range, struct fr_verify_report *report)
{
	return fault(report,
	             "step %u of rank %d: elements %zu+%zu are outside of space %d (%zu elements)",
	             step, r, range.first, range.count, (int)range.space,
	             bound(job, r, range.space));
}

static ferrule_status_t check_bounds(const struct fr_verify_job *job, int r,
                                     struct fr_verify_report *report)
{
	const struct fr_sched *s = &job->scheds[r];

	for (uint32_t i = 0; i < s->n_steps; i++) {
		const struct fr_range ranges[3] = {s->steps[i].dst, s->steps[i].src,
		                                   s->steps[i].src2};

		for (int k = 0; k < 3; k++) {
			if (ranges[k].count &&
			    ranges[k].first + ranges[k].count > bound(job, r, ranges[k].space))
				return outside(job, r, i, ranges[k], report);
		}
		if (!may_write(job, r, s->steps[i].dst))
			return fault(report, "step %u of rank %d writes the send buffer", i, r);
	}
	return FERRULE_OK;
}

static ferrule_status_t check_rank(const struct fr_verify_job *job, int r,
                                   struct fr_verify_report *report)
{
	const ferrule_status_t status = check_bounds(job, r, report);

	if (status != FERRULE_OK)
		return status;
	return fr_races_check(&job->scheds[r], report->text, sizeof(report->text));
}

/* The first difference between an expectation and what its rank's recv buffer holds. */
static ferrule_status_t check_expect(const struct fr_sim *sim, const struct fr_expect *e,
                                     struct fr_verify_report *report)
{
	const struct fr_value *got = fr_sim_recv(sim, e->rank) + e->first;

	for (size_t i = 0; i < e->count; i++) {
		const size_t at = e->from_first + i;
		const struct fr_value want =
			e->from == FR_FROM_ALL ? fr_sim_all(sim, at) : fr_sim_token(e->from, at);

		if (got[i].sum == want.sum && got[i].order == want.order)
			continue;
		if (got[i].sum == want.sum)
			return fault(
				report,
				"recv element %zu of rank %d is combined in another order than on "
				"rank %d",
				e->first + i, e->rank, fr_sim_first_owner(sim, at));
		if (e->from == FR_FROM_ALL)
			return fault(
				report,
				"recv element %zu of rank %d does not hold element %zu of every "
				"rank once",
				e->first + i, e->rank, at);
		return fault(report, "recv element %zu of rank %d is not element %zu of rank %d",
		             e->first + i, e->rank, at, e->from);
	}
	return FERRULE_OK;
}

static ferrule_status_t check_results(const struct fr_verify_job *job, struct fr_sim *sim,
                                      struct fr_verify_report *report)
{
	ferrule_status_t status = FERRULE_OK;

	for (size_t i = 0; i < job->n_expects; i++) {
		if (job->expects[i].from == FR_FROM_ALL)
			fr_sim_note_order(sim, &job->expects[i]);
	}
	for (size_t i = 0; status == FERRULE_OK && i < job->n_expects; i++)
		status = check_expect(sim, &job->expects[i], report);
	for (int r = 0; status == FERRULE_OK && r < job->n_ranks; r++) {
		const size_t element = fr_sim_stray_write(sim, r);

		if (element != SIZE_MAX)
			status = fault(report,
			               "recv element %zu of rank %d was written for no reason",
			               element, r);
	}
	return status;
}

static bool same_range(struct fr_range a, struct fr_range b)
{
	return a.space == b.space && a.first == b.first && a.count == b.count;
}

/* Is the message that step `sent` gave away what the peer makes reply g from? */
static bool answers(const struct fr_match *match, uint32_t g, uint32_t sent)
{
	const struct fr_step *reply = fr_match_step(match, g), *step = fr_match_step(match, sent);
	uint32_t taken, answer;

	if (step->kind != FR_STEP_SEND || step->peer != reply->peer ||
	    !same_range(step->src, reply->dst))
		return false;
	taken = match->sinks.items[match->sinks.first[sent]];
	answer = match->sources.items[match->sources.first[g]];
	return taken < answer && fr_match_step(match, taken)->kind == FR_STEP_RECV_REDUCE &&
	       same_range(fr_match_step(match, taken)->dst, fr_match_step(match, answer)->src);
}

/* All that a reply would overwrite too early must be what it answers, as schedule.h says. */
static ferrule_status_t check_replies(const struct fr_match *match, struct fr_verify_report *report)
{
	for (uint32_t g = 0; g < match->n_steps; g++) {
		const struct fr_step *step = fr_match_step(match, g);
		const int rank = match->rank_of[g];

		for (uint32_t d = 0; step->is_reply && d < step->n_deps; d++) {
			const uint32_t on = match->scheds[rank].deps[step->first_dep + d];

			if (!answers(match, g, match->base[rank] + on))
				return fault(report,
				             "step %u of rank %d is no reply to its step %u",
				             g - match->base[rank], rank, on);
		}
	}
	return FERRULE_OK;
}

static ferrule_status_t run(const struct fr_verify_job *job, const struct fr_match *match,
                            struct fr_verify_report *report)
{
	struct fr_sim *sim;
	ferrule_status_t status = fr_sim_create(job, match, &sim);

	if (status != FERRULE_OK)
		return status;
	status = fr_sim_run(sim, report->text, sizeof(report->text));
	if (status == FERRULE_OK)
		status = check_results(job, sim, report);
	fr_sim_destroy(sim);
	return status;
}

/* Runs all ranks but one: does anyone finish? */
static ferrule_status_t run_without(const struct fr_verify_job *job, const struct fr_match *match,
                                    int absent, struct fr_verify_report *report)
{
	struct fr_sim *sim;
	ferrule_status_t status = fr_sim_create(job, match, &sim);

	if (status != FERRULE_OK)
		return status;
	fr_sim_leave_out(sim, absent);
	/* That it gets stuck is what should happen. */
	(void)fr_sim_run(sim, report->text, sizeof(report->text));
	for (int r = 0; r < job->n_ranks && status == FERRULE_OK; r++) {
		if (r != absent && fr_sim_is_done(sim, r))
			status = fault(report, "rank %d gets through before rank %d has begun", r,
			               absent);
	}
	fr_sim_destroy(sim);
	return status;
}

static ferrule_status_t run_without_each(const struct fr_verify_job *job,
                                         const struct fr_match *match,
                                         struct fr_verify_report *report)
{
	ferrule_status_t status = FERRULE_OK;

	for (int r = 0; status == FERRULE_OK && r < job->n_ranks; r++)
		status = run_without(job, match, r, report);
	return status;
}

static ferrule_status_t verify(const struct fr_verify_job *job, bool is_barrier,
                               struct fr_verify_report *report)
{
	struct fr_match match;
	ferrule_status_t status = FERRULE_OK;

	fr_verify_count(job, report);
	for (int r = 0; status == FERRULE_OK && r < job->n_ranks; r++)
		status = check_rank(job, r, report);
	if (status != FERRULE_OK)
		return status;
	status = fr_match_create(&match, job->scheds, job->n_ranks, report->text,
	                         sizeof(report->text));
	if (status != FERRULE_OK)
		return status;
	status = check_replies(&match, report);
	if (status == FERRULE_OK)
		status = run(job, &match, report);
	if (status == FERRULE_OK && is_barrier)
		status = run_without_each(job, &match, report);
	fr_match_destroy(&match);
	if (status == FERRULE_OK)
		report->text[0] = '\0';
	return status;
}

ferrule_status_t fr_verify(const struct fr_verify_job *job, struct fr_verify_report *report)
{
	return verify(job, false, report);
}

ferrule_status_t fr_verify_barrier(const struct fr_verify_job *job, struct fr_verify_report *report)
{
	return verify(job, true, report);
}

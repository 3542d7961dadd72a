/* What a trial's reports are worth. */
#include "config.h"

#include "tests/faults/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/status.h>

/* Does the text name this rank?  "rank 1" is not in "rank 12". */
static bool names(const char *text, int rank)
{
	char word[24];
	const size_t n = (size_t)snprintf(word, sizeof(word), "rank %d", rank);

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		if (at[n] < '0' || at[n] > '9')
			return true;
	return false;
}

/* A cut names somebody on the other side; everything else the victim. */
static bool names_the_right_one(const struct fault_trial *t, const struct fault_report *r)
{
	if (!t->kind->only_tcp)
		return names(r->text, t->victim);
	for (int peer = 0; peer < t->n_ranks; peer++)
		if (peer % 2 != r->rank % 2 && names(r->text, peer))
			return true;
	return false;
}

static double limit_ms(const struct fault_trial *t)
{
	const struct fault_kind *k = t->kind;
	double limit_s = k->limit_s;

	if (k->outcome == FAULT_TOLD_BY_DEADLINE)
		limit_s += FAULT_TIMEOUT_S;
	return limit_s * 1e3;
}

/* Who died before it was seen, or could not even start, is missed at the end of set-up. */
static bool is_missed_in_setup(const struct fault_trial *t, const struct fault_report *r)
{
	return t->stands_ns == 0 && r->status == FERRULE_ERR_TIMEOUT &&
	       (double)(r->ns - t->start_ns) * 1e-9 < FAULT_SETUP_TIMEOUT_S + 1;
}

static void complain(const struct fault_trial *t, int rank, const char *what, bool verbose,
                     struct fault_tally *tally)
{
	const struct fault_report *r = &t->last[rank];
	char line[FAULT_TEXT_BYTES + 160];

	snprintf(line, sizeof(line),
	         "%s over %s, seed %llu: rank %d of %d (victim %d) is %s: %s after %.0f ms: %s",
	         t->kind->name, t->transport, (unsigned long long)t->seed, rank, t->n_ranks,
	         t->victim, what, ferrule_status_name((ferrule_status_t)r->status),
	         r->ns > t->fault_ns ? (double)(r->ns - t->fault_ns) * 1e-6 : 0.0, r->text);
	if (tally->sample[0] == '\0')
		snprintf(tally->sample, sizeof(tally->sample), "%.*s",
		         (int)sizeof(tally->sample) - 1, line);
	if (verbose)
		fprintf(stderr, "%s\n", line);
}

/* What is not as it should be with one rank's last word; NULL when all is well. */
static const char *fault_of(const struct fault_trial *t, int rank, struct fault_tally *tally)
{
	const struct fault_report *r = &t->last[rank];
	const bool is_ok = r->status == FERRULE_OK;

	if (!t->has_ended[rank]) {
		tally->hung++;
		return "hung";
	}
	if (r->event == FAULT_WRONG) {
		tally->wrong++;
		return "given wrong bytes";
	}
	if (is_ok && (t->kind->outcome >= FAULT_TOLD_OR_FINE || t->fault_ns == 0))
		return NULL;
	if (is_ok || t->kind->outcome == FAULT_FINE) {
		tally->unexpected++;
		return is_ok ? "told nothing" : "told of a fault that there is not";
	}
	if (!names_the_right_one(t, r)) {
		tally->unnamed++;
		return "told, but not who";
	}
	if (is_missed_in_setup(t, r))
		return NULL;
	const double delay = r->ns > t->fault_ns ? (double)(r->ns - t->fault_ns) * 1e-6 : 0;

	tally->delay_ms[tally->n_delays++] = delay;
	if (delay <= limit_ms(t))
		return NULL;
	tally->late++;
	return "told late";
}

void fault_judge(struct fault_tally *tally, const struct fault_trial *t, bool verbose)
{
	bool is_told = false;

	tally->delay_ms = realloc(tally->delay_ms,
	                          sizeof(double) * (size_t)(tally->n_delays + FAULT_RANKS_MAX));
	if (!tally->delay_ms)
		abort();
	tally->trials++;
	for (int rank = 0; rank < t->n_ranks; rank++) {
		if (rank == t->victim && t->kind->outcome != FAULT_FINE)
			continue;
		const char *what = fault_of(t, rank, tally);

		if (what)
			complain(t, rank, what, verbose, tally);
		is_told |= t->has_ended[rank] && t->last[rank].status != FERRULE_OK;
	}
	tally->told += is_told;
	tally->fine += !is_told;
}

int fault_tally_bad(const struct fault_tally *t)
{
	return t->late + t->unnamed + t->wrong + t->hung + t->unexpected;
}

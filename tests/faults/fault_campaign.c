/*
 * fault_campaign - jobs with one fault each, in great number, and what became of them.
 *
 * Prints one row a kind of fault and transport: how many jobs ended well or were told, how long
 * after the fault the reports came, and what must never be: reports that came late or name
 * nobody at fault, wrong bytes, ranks that hang.  Exits 0 when there was none of that.
 */
#include "config.h"

#include "tests/faults/fault.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/t_faults.h"

static const struct fault_kind kinds[] = {
	{.name = "none",
         .moment = FAULT_AT_START,
         .outcome = FAULT_FINE,
         .what = "nothing at all; the others are measured against it"},
	{.name = "kill",
         .moment = FAULT_IN_WORK,
         .outcome = FAULT_TOLD,
         .signal = SIGKILL,
         .limit_s = 0.5,
         .what = "a rank is killed while it works"},
	{.name = "kill-in-setup",
         .moment = FAULT_IN_SETUP,
         .outcome = FAULT_TOLD_OR_FINE,
         .signal = SIGKILL,
         .limit_s = 0.5,
         .what = "a rank is killed while the communicator is set up"},
	{.name = "fork-and-die",
         .moment = FAULT_BY_VICTIM,
         .outcome = FAULT_TOLD,
         .act = "fork and die",
         .limit_s = 0.5,
         .what = "a rank is killed and leaves a child that holds its descriptors"},
	{.name = "exit",
         .moment = FAULT_BY_VICTIM,
         .outcome = FAULT_TOLD,
         .act = "exit",
         .limit_s = 0.5,
         .what = "a rank exits without a word"},
	{.name = "leave",
         .moment = FAULT_BY_VICTIM,
         .outcome = FAULT_TOLD,
         .act = "leave",
         .limit_s = 0.5,
         .what = "a rank destroys its communicator while others work"},
	{.name = "abort",
         .moment = FAULT_BY_VICTIM,
         .outcome = FAULT_TOLD,
         .act = "abort",
         .limit_s = 0.5,
         .what = "a rank aborts with a reason"},
	{.name = "stop",
         .moment = FAULT_IN_WORK,
         .outcome = FAULT_TOLD_BY_DEADLINE,
         .signal = SIGSTOP,
         .limit_s = 1,
         .what = "a rank stops for good"},
	{.name = "stop-in-setup",
         .moment = FAULT_IN_SETUP,
         .outcome = FAULT_TOLD_OR_FINE,
         .signal = SIGSTOP,
         .limit_s = FAULT_SETUP_TIMEOUT_S + 1,
         .what = "a rank stops for good while the communicator is set up"},
	{.name = "no-buffer",
         .moment = FAULT_BY_VICTIM,
         .outcome = FAULT_TOLD,
         .act = "no buffer",
         .limit_s = 0.5,
         .what = "a rank makes a call that is refused, and none after it"},
	{.name = "other-count",
         .moment = FAULT_BY_VICTIM,
         .outcome = FAULT_TOLD,
         .act = "other count",
         .limit_s = 0.5,
         .what = "a rank makes another call than the others"},
	{.name = "empty",
         .moment = FAULT_BY_VICTIM,
         .outcome = FAULT_TOLD,
         .act = "empty",
         .limit_s = 0.5,
         .what = "a rank makes a call of no elements, the others one of some"},
	{.name = "call-dies",
         .moment = FAULT_AT_CALL,
         .outcome = FAULT_TOLD_OR_FINE,
         .call_fault = T_FAULT_KILL,
         .n_calls = 400,
         .limit_s = 0.5,
         .what = "a rank is killed at its n-th system call"},
	{.name = "call-fails",
         .moment = FAULT_AT_CALL,
         .outcome = FAULT_TOLD_OR_FINE,
         .call_fault = ENOMEM,
         .n_calls = 400,
         .limit_s = 0.5,
         .what = "a rank's n-th system call fails"},
	{.name = "no-allocation",
         .moment = FAULT_AT_CALL,
         .outcome = FAULT_TOLD_OR_FINE,
         .call_fault = T_FAULT_NO_MEMORY,
         .n_calls = 600,
         .limit_s = 0.5,
         .what = "a rank's n-th allocation fails"},
	{.name = "no-descriptors",
         .moment = FAULT_AT_START,
         .outcome = FAULT_TOLD_OR_FINE,
         .act = "descriptors",
         .limit_s = 2,
         .what = "a rank may open a few more files only"},
	{.name = "no-memory",
         .moment = FAULT_AT_START,
         .outcome = FAULT_TOLD_OR_FINE,
         .act = "memory",
         .limit_s = 3,
         .what = "a rank may have a little more memory only"},
	{.name = "stranger",
         .moment = FAULT_AT_START,
         .outcome = FAULT_FINE,
         .start = fault_stranger_start,
         .what = "another user calls at every door, from the start to the end"},
	{.name = "partition",
         .moment = FAULT_IN_WORK,
         .outcome = FAULT_TOLD_BY_DEADLINE,
         .only_tcp = true,
         .limit_s = 1,
         .what = "the wire between two hosts goes silent"},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct campaign {
	const char *transports, *wanted;
	int n_trials, ranks_min, ranks_max;
	uint64_t seed;
	bool verbose;
	int n_bad, n_trials_done;
};

/* Is `name` in the comma-separated list?  A NULL list has everything. */
static bool is_listed(const char *list, const char *name)
{
	const size_t n = strlen(name);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, n) == 0 && (at[n] == '\0' || at[n] == ','))
			return true;
	}
	return !list;
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(const struct fault_tally *t, double part)
{
	if (t->n_delays == 0)
		return 0;
	return t->delay_ms[(int)(part * (t->n_delays - 1) + 0.5)];
}

static void print_head(void)
{
	printf("# %-14s %-9s %6s %5s %5s | %8s %8s %8s | %5s %8s %6s %5s %11s\n", "fault",
	       "transport", "jobs", "fine", "told", "p50 ms", "p99 ms", "max ms", "late", "unnamed",
	       "wrong", "hung", "unexpected");
}

static void print_row(const struct fault_kind *k, const char *transport, struct fault_tally *t)
{
	if (t->n_delays > 0)
		qsort(t->delay_ms, (size_t)t->n_delays, sizeof(double), by_size);
	printf("  %-14s %-9s %6d %5d %5d | %8.1f %8.1f %8.1f | %5d %8d %6d %5d %11d\n", k->name,
	       transport, t->trials, t->fine, t->told, percentile(t, 0.5), percentile(t, 0.99),
	       percentile(t, 1), t->late, t->unnamed, t->wrong, t->hung, t->unexpected);
	if (t->sample[0])
		printf("      first: %s\n", t->sample);
	fflush(stdout);
}

/* How long set-up lasts when all goes well; 0 when it does not. */
static double setup_seconds(const char *transport, int n_ranks, uint64_t seed)
{
	struct fault_trial t = {.kind = &kinds[0],
	                        .transport = transport,
	                        .n_ranks = n_ranks,
	                        .victim = n_ranks - 1,
	                        .seed = seed};

	if (!fault_trial_run(&t) || t.stands_ns == 0)
		return 0;
	return (double)(t.stands_ns - t.start_ns) * 1e-9;
}

static void run_kind(struct campaign *c, const struct fault_kind *k, const char *transport)
{
	struct fault_tally tally = {0};
	const int spread = c->ranks_max - c->ranks_min + 1;

	for (int i = 0; i < c->n_trials; i++) {
		uint64_t random = c->seed * 1000003 + (uint64_t)i;
		struct fault_trial t = {.kind = k, .transport = transport};

		t.n_ranks = c->ranks_min + (int)(fault_random(&random) % (uint64_t)spread);
		t.victim = (int)(fault_random(&random) % (uint64_t)t.n_ranks);
		t.seed = fault_random(&random);
		if (k->moment == FAULT_IN_SETUP)
			t.setup_s = setup_seconds(transport, t.n_ranks, t.seed);
		if (!fault_trial_run(&t)) {
			fprintf(stderr, "%s over %s: could not be started\n", k->name, transport);
			c->n_bad++;
			return;
		}
		fault_judge(&tally, &t, c->verbose);
	}
	print_row(k, transport, &tally);
	c->n_bad += fault_tally_bad(&tally);
	c->n_trials_done += tally.trials;
	free(tally.delay_ms);
}

static void run_all(struct campaign *c)
{
	static const char *const transports[] = {"shm", "tcp", "verbs"};
	const char *why;

	print_head();
	for (size_t i = 0; i < N_KINDS; i++) {
		if (!is_listed(c->wanted, kinds[i].name))
			continue;
		if (kinds[i].start && kinds[i].start == fault_stranger_start && geteuid() != 0) {
			printf("  %-14s skipped: needs root to become another user\n",
			       kinds[i].name);
			continue;
		}
		if (kinds[i].only_tcp && !fault_network_open(&why)) {
			printf("  %-14s skipped: %s\n", kinds[i].name, why);
			continue;
		}
		for (size_t t = 0; t < sizeof(transports) / sizeof(transports[0]); t++)
			if (is_listed(c->transports, transports[t]) &&
			    (!kinds[i].only_tcp || strcmp(transports[t], "tcp") == 0))
				run_kind(c, &kinds[i], transports[t]);
		fault_network_close();
	}
}

static void usage(FILE *out)
{
	fprintf(out,
	        "usage: fault_campaign [OPTION]...\n"
	        "Runs jobs with one fault each and prints what became of them.\n\n"
	        "  -n, --trials N         jobs a kind and transport (default 20)\n"
	        "  -t, --transports LIST  of shm, tcp, verbs (default all; verbs needs a device\n"
	        "                         or FERRULE_VERBS_LIBRARY)\n"
	        "  -k, --kinds LIST       of the faults below (default all)\n"
	        "  -r, --ranks MIN-MAX    ranks of a job, 2 to 16 (default 2-6)\n"
	        "  -s, --seed S           default 1\n"
	        "  -v, --verbose          every report that is not as it should be\n"
	        "  -h, --help\n\n");
	for (size_t i = 0; i < N_KINDS; i++)
		fprintf(out, "  %-14s %s\n", kinds[i].name, kinds[i].what);
}

static bool parse_ranks(const char *text, struct campaign *c)
{
	if (sscanf(text, "%d-%d", &c->ranks_min, &c->ranks_max) != 2)
		return false;
	return c->ranks_min >= 2 && c->ranks_max >= c->ranks_min && c->ranks_max <= FAULT_RANKS_MAX;
}

/* Returns -1 to go on, else what main should return. */
static int parse(int argc, char **argv, struct campaign *c)
{
	static const struct option options[] = {
		{"trials", required_argument, NULL, 'n'},
		{"transports", required_argument, NULL, 't'},
		{"kinds", required_argument, NULL, 'k'},
		{"ranks", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	bool ok = true;

	for (int o; (o = getopt_long(argc, argv, "n:t:k:r:s:vh", options, NULL)) != -1;) {
		if (o == 'h') {
			usage(stdout);
			return 0;
		}
		c->n_trials = o == 'n' ? atoi(optarg) : c->n_trials;
		c->transports = o == 't' ? optarg : c->transports;
		c->wanted = o == 'k' ? optarg : c->wanted;
		c->seed = o == 's' ? strtoull(optarg, NULL, 10) : c->seed;
		c->verbose |= o == 'v';
		ok &= o != '?' && (o != 'r' || parse_ranks(optarg, c));
	}
	if (ok && c->n_trials > 0 && optind == argc)
		return -1;
	usage(stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct campaign c = {.n_trials = 20, .ranks_min = 2, .ranks_max = 6, .seed = 1};

	if (argc == 2 && strcmp(argv[1], "--rank") == 0)
		return fault_rank_main();
	const int done = parse(argc, argv, &c);
	if (done >= 0)
		return done;
	char seconds[24];
	snprintf(seconds, sizeof(seconds), "%g", FAULT_TIMEOUT_S);
	setenv("FERRULE_TIMEOUT", seconds, 1);
	snprintf(seconds, sizeof(seconds), "%g", FAULT_SETUP_TIMEOUT_S);
	setenv("FERRULE_SETUP_TIMEOUT", seconds, 1);
	run_all(&c);
	printf("%d jobs, %d of them not as they should be\n", c.n_trials_done, c.n_bad);
	return c.n_bad > 0;
}

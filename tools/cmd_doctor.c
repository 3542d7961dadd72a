/* cmd_doctor.c - `ferrule doctor`: check this host, with a fix for what is wrong. */
#include "tools/command.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <ferrule/ferrule.h>

#include "tools/doctor.h"
#include "tools/launch.h"
#include "tools/options.h"
#include "tools/stream.h"

struct doctor_options {
	int64_t n_ranks;
	const char *peers;
	double timeout_s;
	int64_t pairs; /* -1: local checks; 0: of the ranks that a launcher started */
	bool json;
};

#define FIELD(name) offsetof(struct doctor_options, name)

static const struct fr_option options[] = {
	{'n', "ranks", "N", FR_OPTION_INT, FIELD(n_ranks), 1, FR_LAUNCH_MAX_RANKS, NULL,
         "how many ranks this host is to run\n(default: one for each usable hardware thread)"},
	{0, "peers", "LIST", FR_OPTION_TEXT, FIELD(peers), 0, 0, NULL,
         "HOST:PORT,... that must be reachable by TCP"},
	{0, "timeout", "SECONDS", FR_OPTION_REAL, FIELD(timeout_s), 0.1, 60, NULL,
         "longest wait for one peer (default 3)"},
	{'N', "pairs", "N", FR_OPTION_INT, FIELD(pairs), 0, FR_LAUNCH_MAX_RANKS, NULL,
         "instead: every pair of N ranks, started here, sends\n"
         "data both ways over RDMA; 0: the ranks of the job\n"
         "that this process is started in"},
	{0, "json", NULL, FR_OPTION_FLAG, FIELD(json), 0, 0, NULL, "one JSON object"},
	{0, NULL, NULL, FR_OPTION_FLAG, 0, 0, 0, NULL, NULL},
};

static const struct fr_usage usage = {
	.command = "ferrule doctor",
	.synopsis = "[OPTIONS]",
	.summary = "Checks what ranks on this host need: settings, cores, memory, shared memory,\n"
		   "cross-memory reads, limits, interfaces, names, peers, RDMA ports and what is\n"
		   "around them; and lets two ranks exchange data on each transport.  Every line\n"
		   "has a verdict, what was seen, and a fix unless all is well.",
	.notes = "Between hosts, start one rank a host (or a card):\n"
		 "\n"
		 "  mpirun -n 2 --host a,b ferrule doctor --pairs 0\n"
		 "\n"
		 "Exit status: 0, or 1 when a check has failed (warnings do not count).",
	.options = options,
};

static void (*const checks[])(struct fr_doctor *d) = {
	fr_check_settings,        fr_check_features,      fr_check_cores,      fr_check_memory,
	fr_check_dev_shm,         fr_check_huge_pages,    fr_check_memlock,    fr_check_open_files,
	fr_check_cross_memory,    fr_check_interfaces,    fr_check_host_name,  fr_check_launcher,
	fr_check_master,          fr_check_peers,         fr_check_rdma_ports, fr_check_rdma_files,
	fr_check_rdma_congestion, fr_check_rdma_counters, fr_check_rdma_pci,   fr_check_transports,
};

static const char *const verdict_names[FR_N_VERDICTS] = {"ok", "warn", "fail"};

void fr_doctor_say(struct fr_doctor *d, enum fr_verdict verdict, const char *check, const char *fix,
                   const char *format, ...)
{
	char seen[640];
	va_list args;

	va_start(args, format);
	vsnprintf(seen, sizeof(seen), format, args);
	va_end(args);
	d->count[verdict]++;
	if (verdict == FR_VERDICT_OK)
		fix = NULL;
	if (d->json) {
		fr_json_object_open(d->json, NULL);
		fr_json_text(d->json, "check", check);
		fr_json_text(d->json, "verdict", verdict_names[verdict]);
		fr_json_text(d->json, "seen", seen);
		fr_json_text(d->json, "fix", fix);
		fr_json_object_close(d->json);
		return;
	}
	printf("%-5s %-13s %s\n", verdict_names[verdict], check, seen);
	if (fix)
		printf("%19s fix: %s\n", "", fix);
	fr_flush(stdout);
}

static int64_t usable_threads(void)
{
	cpu_set_t mask;
	return sched_getaffinity(0, sizeof(mask), &mask) == 0 ? CPU_COUNT(&mask) : 1;
}

static void run_checks(struct fr_doctor *d)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i](d);
}

static void report(struct fr_doctor *d, const struct fr_pairs *pairs)
{
	if (pairs)
		fr_check_pairs(d, pairs);
	else
		run_checks(d);
}

static void report_json(struct fr_doctor *d, const struct fr_pairs *pairs)
{
	struct fr_json j;

	fr_json_init(&j, stdout);
	d->json = &j;
	fr_json_object_open(&j, NULL);
	fr_json_text(&j, "version", ferrule_version());
	fr_json_array_open(&j, "checks");
	report(d, pairs);
	fr_json_array_close(&j);
	for (int v = 0; v < FR_N_VERDICTS; v++)
		fr_json_int(&j, verdict_names[v], d->count[v]);
	fr_json_object_close(&j);
	fr_json_end(&j);
}

/* The checks of this host, or what became of pairs of ranks. */
static int examine(const struct doctor_options *o, const struct fr_pairs *pairs)
{
	struct fr_doctor d = {.n_ranks = o->n_ranks, .peers = o->peers, .timeout_s = o->timeout_s};

	if (o->json) {
		report_json(&d, pairs);
	} else {
		report(&d, pairs);
		printf("%d ok, %d warnings, %d failures\n", d.count[FR_VERDICT_OK],
		       d.count[FR_VERDICT_WARN], d.count[FR_VERDICT_FAIL]);
	}
	return d.count[FR_VERDICT_FAIL] ? FR_EXIT_FAILED : FR_EXIT_OK;
}

/* One rank; only rank 0 has something to say. */
static int be_rank(void *options_)
{
	struct fr_pairs pairs = {.n_ranks = 0};
	int status = FR_EXIT_FAILED;

	if (fr_pairs_run(&pairs))
		status = pairs.rank == 0 ? examine(options_, &pairs) : FR_EXIT_OK;
	fr_pairs_free(&pairs);
	return status;
}

static int run_pairs(struct doctor_options *o)
{
	const struct fr_launch job = {
		.command = usage.command,
		.n_ranks = (int)o->pairs,
		.grace_s = 3,
		.entry = be_rank,
		.arg = o,
	};

	char who[200];

	if (o->pairs == 0)
		return be_rank(o);
	if (fr_launch_is_rank(who, sizeof(who)))
		return fr_usage_error(&usage,
		                      "option -N, --pairs: this process already is %s; say "
		                      "--pairs 0",
		                      who);
	return fr_launch_run(&job);
}

int fr_cmd_doctor(int argc, char **argv)
{
	struct doctor_options o = {.n_ranks = usable_threads(), .timeout_s = 3, .pairs = -1};
	int first;

	const enum fr_parsed parsed = fr_options_parse(&usage, argc, argv, &o, &first);
	if (parsed != FR_PARSED_RUN)
		return parsed == FR_PARSED_HELP ? FR_EXIT_OK : FR_EXIT_USAGE;
	return o.pairs >= 0 ? run_pairs(&o) : examine(&o, NULL);
}

/* cmd_run.c - `ferrule run`: start ranks on this host. */
#include "tools/command.h"

#include <stdio.h>
#include <string.h>

#include <ferrule/info.h>

#include "tools/launch.h"
#include "tools/options.h"

struct run_options {
	int64_t n_ranks;
	const char *transport;
	bool tag_output;
	double timeout_s;
	double grace_s;
	const char *bind;
	bool json;
};

#define FIELD(name) offsetof(struct run_options, name)

static const struct fr_option options[] = {
	{'n', "ranks", "N", FR_OPTION_INT, FIELD(n_ranks), 1, FR_LAUNCH_MAX_RANKS, NULL,
         "how many ranks to start (default 1)"},
	{0, "transport", "LIST", FR_OPTION_TEXT, FIELD(transport), 0, 0, NULL,
         "transports the ranks may use, best first: shm, verbs, tcp, ucx\n"
         "(sets FERRULE_TRANSPORT)"},
	{0, "tag-output", NULL, FR_OPTION_FLAG, FIELD(tag_output), 0, 0, NULL,
         "put [rank] before every line of stdout and stderr"},
	{0, "timeout", "SECONDS", FR_OPTION_REAL, FIELD(timeout_s), 0, 1e9, NULL,
         "end a job that runs longer, with exit status 124\n(default 0: never)"},
	{0, "grace", "SECONDS", FR_OPTION_REAL, FIELD(grace_s), 0, 1e6, NULL,
         "after a rank failed, how long the others may take to\n"
         "notice and end by themselves (default 3)"},
	{0, "bind", "core|none", FR_OPTION_WORD, FIELD(bind), 0, 0, "core|none",
         "bind each rank to a core of its own (default: core for\n"
         "two or more ranks that fit the usable cores, else none)"},
	{0, "json", NULL, FR_OPTION_FLAG, FIELD(json), 0, 0, NULL,
         "at the end, one JSON object about the ranks on stderr"},
	{0, NULL, NULL, FR_OPTION_FLAG, 0, 0, 0, NULL, NULL},
};

static const struct fr_usage usage = {
	.command = "ferrule run",
	.synopsis = "[OPTIONS] [--] PROGRAM [ARGUMENTS]",
	.summary =
		"Starts N ranks of PROGRAM on this host, each with RANK, WORLD_SIZE, LOCAL_RANK,\n"
		"LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT and a fresh FERRULE_JOB_KEY (unless\n"
		"one is set) in its environment.  PROGRAM 'ferrule' means this very program.",
	.notes =
		"When a rank fails, the others get the grace period, then SIGTERM, then SIGKILL,\n"
		"and so does everything they started.  SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1,\n"
		"SIGUSR2 and SIGWINCH are passed on to all ranks; SIGTSTP stops them too.  Rank 0\n"
		"reads this program's stdin unless that is a terminal; the others read nothing.\n"
		"\n"
		"Exit status: 0 when all ranks returned 0; else the first failing rank's, 128 +\n"
		"signal when a signal ended it; 124 time over; 126 or 127 PROGRAM cannot be\n"
		"executed or found; 1 ranks could not be started, or --tag-output could not\n"
		"write what they wrote; 2 wrong command line.\n"
		"\n"
		"  ferrule run -n 4 ferrule bench allreduce\n"
		"  ferrule run -n 4 --tag-output ./my_program --its-option",
	.options = options,
	.min_operands = 1,
	.max_operands = -1,
	.operands = "PROGRAM",
	.stop_at_operand = true,
};

static enum fr_bind bind_mode(const char *word)
{
	if (!word)
		return FR_BIND_AUTO;
	return strcmp(word, "core") == 0 ? FR_BIND_CORE : FR_BIND_NONE;
}

static bool is_transport(const char *name, size_t length)
{
	struct ferrule_transport_info t;

	for (int i = 0; ferrule_transport_at(i, &t); i++) {
		if (strlen(t.name) == length && memcmp(t.name, name, length) == 0)
			return true;
	}
	return false;
}

/* Once and here rather than by every rank; 0 or the exit status. */
static int check_transports(const char *list)
{
	struct ferrule_transport_info t;
	char allowed[128] = "";

	for (int i = 0; ferrule_transport_at(i, &t); i++) {
		const size_t used = strlen(allowed);
		snprintf(allowed + used, sizeof(allowed) - used, "%s%s", used ? ", " : "", t.name);
	}
	while (true) {
		const size_t length = strcspn(list, ",");
		if (!is_transport(list, length))
			return fr_usage_error(&usage,
			                      "option --transport: '%.*s' is not allowed; allowed, "
			                      "separated by commas: %s",
			                      (int)length, list, allowed);
		if (!list[length])
			return FR_EXIT_OK;
		list += length + 1;
	}
}

int fr_cmd_run(int argc, char **argv)
{
	struct run_options o = {.n_ranks = 1, .grace_s = 3};
	int first;

	const enum fr_parsed parsed = fr_options_parse(&usage, argc, argv, &o, &first);
	if (parsed != FR_PARSED_RUN)
		return parsed == FR_PARSED_HELP ? FR_EXIT_OK : FR_EXIT_USAGE;
	if (o.transport && check_transports(o.transport) != FR_EXIT_OK)
		return FR_EXIT_USAGE;
	const struct fr_launch job = {
		.command = usage.command,
		.n_ranks = (int)o.n_ranks,
		.transport = o.transport,
		.bind = bind_mode(o.bind),
		.tag_output = o.tag_output,
		.timeout_s = o.timeout_s,
		.grace_s = o.grace_s,
		.json = o.json,
		.argv = argv + first,
	};
	return fr_launch_run(&job);
}

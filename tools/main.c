/* main.c - the program `ferrule`: one table of subcommands. */
#include "tools/command.h"

#include <stdio.h>
#include <string.h>

#include <ferrule/info.h>

#include "tools/perf_tool.h"
#include "tools/stream.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	int failed; /* its exit status when its output cannot be written */
	const char *help;
};

static const struct command commands[] = {
	{"run", fr_cmd_run, FR_EXIT_FAILED, "start ranks on this host"},
	{"bench", fr_cmd_bench, FR_EXIT_FAILED, "measure and verify collectives"},
	{"bw", fr_cmd_bw, FR_PERF_EXIT_FAULT,
         "measure bandwidth between two processes, as perftest"},
	{"lat", fr_cmd_lat, FR_PERF_EXIT_FAULT,
         "measure latency between two processes, as perftest"},
	{"train", fr_cmd_train, FR_EXIT_FAILED, "train a classifier over the ranks of a job"},
	{"info", fr_cmd_info, FR_EXIT_FAILED, "version, features, topology, transports, settings"},
	{"explain", fr_cmd_explain, FR_EXIT_FAILED, "which algorithm a call would use, and why"},
	{"doctor", fr_cmd_doctor, FR_EXIT_FAILED, "check this host, with a fix for what is wrong"},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int print_help(void)
{
	printf("Usage: ferrule COMMAND [ARGUMENTS]\n\nCollectives for distributed training.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].help);
	printf("\nOptions:\n"
	       "  -h, --help     print this and exit\n"
	       "  -V, --version  print the version and exit\n"
	       "\n'ferrule COMMAND --help' says more about each.\n"
	       "Exit status: 0 success, 1 failure, 2 a command line that makes no sense;\n"
	       "bw and lat have their own.  Output that cannot be written is a failure.\n");
	return FR_EXIT_OK;
}

static int unknown_command(const char *name)
{
	const char *names[N_COMMANDS + 1];
	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i].name;
	names[N_COMMANDS] = NULL;
	const char *const nearest = fr_nearest(name, names);
	fprintf(stderr, "ferrule: unknown command '%s'", name);
	if (nearest)
		fprintf(stderr, "; did you mean '%s'?", nearest);
	fprintf(stderr, "\nTry 'ferrule --help'.\n");
	return FR_EXIT_USAGE;
}

static int print_version(void)
{
	printf("ferrule %s\n", ferrule_version());
	return FR_EXIT_OK;
}

static int run_command(const struct command *c, int argc, char **argv)
{
	char title[32];

	snprintf(title, sizeof(title), "ferrule %s", c->name);
	return fr_stdout_finish(title, c->run(argc, argv), c->failed);
}

int main(int argc, char **argv)
{
	fr_streams_open();
	if (argc < 2) {
		fprintf(stderr, "ferrule: no command given\nTry 'ferrule --help'.\n");
		return FR_EXIT_USAGE;
	}
	const char *const name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
		return fr_stdout_finish("ferrule", print_help(), FR_EXIT_FAILED);
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		return fr_stdout_finish("ferrule", print_version(), FR_EXIT_FAILED);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(name, commands[i].name) == 0)
			return run_command(&commands[i], argc - 1, argv + 1);
	}
	return unknown_command(name);
}

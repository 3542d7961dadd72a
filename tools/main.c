/* main.c - the program `ferrule`: one table of subcommands. */
#include "tools/command.h"

#include <stdio.h>
#include <string.h>

#include <ferrule/info.h>

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct command commands[] = {
	{"run", fr_cmd_run, "start ranks on this host"},
	{"bench", fr_cmd_bench, "measure and verify collectives"},
	{"bw", fr_cmd_bw, "measure bandwidth between two processes, as perftest"},
	{"lat", fr_cmd_lat, "measure latency between two processes, as perftest"},
	{"train", fr_cmd_train, "train a classifier over the ranks of a job"},
	{"info", fr_cmd_info, "version, features, topology, transports, settings"},
	{"explain", fr_cmd_explain, "which algorithm a call would use, and why"},
	{"doctor", fr_cmd_doctor, "check this host, with a fix for what is wrong"},
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
	       "bw and lat have their own.\n");
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

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "ferrule: no command given\nTry 'ferrule --help'.\n");
		return FR_EXIT_USAGE;
	}
	const char *const name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
		return print_help();
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		printf("ferrule %s\n", ferrule_version());
		return FR_EXIT_OK;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	return unknown_command(name);
}

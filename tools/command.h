/*
 * command.h - the subcommands of the program `ferrule`.
 *
 * Each takes its own argument list, with its own name as argv[0], and returns the program's
 * exit status.
 */
#ifndef FR_COMMAND_H
#define FR_COMMAND_H

/* Exit statuses: what a subcommand returns. */
enum fr_exit {
	FR_EXIT_OK = 0,
	FR_EXIT_FAILED = 1, /* it ran, and the answer is no */
	FR_EXIT_USAGE = 2,  /* the command line makes no sense */
};

int fr_cmd_run(int argc, char **argv);
int fr_cmd_bench(int argc, char **argv);
int fr_cmd_bw(int argc, char **argv);
int fr_cmd_lat(int argc, char **argv);
int fr_cmd_info(int argc, char **argv);
int fr_cmd_explain(int argc, char **argv);
int fr_cmd_doctor(int argc, char **argv);
int fr_cmd_train(int argc, char **argv);

/* fr_nearest - which of `names` (ended by NULL) a user most likely meant by `word`; NULL when
 * none is near enough to be worth suggesting. */
const char *fr_nearest(const char *word, const char *const *names);

#endif

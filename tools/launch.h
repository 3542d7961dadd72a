/*
 * launch.h - starting the ranks of a job on this host, watching them, and leaving nothing behind.
 *
 * Every rank is a process group of its own with torchrun's variables in its environment.  When
 * one fails, the others get a grace period to find out and to say so themselves, then SIGTERM,
 * then SIGKILL; so does whatever they started, even when it went into the background.
 */
#ifndef FR_LAUNCH_H
#define FR_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>

enum fr_bind {
	FR_BIND_AUTO, /* a core each when there are at least two ranks and enough cores */
	FR_BIND_CORE,
	FR_BIND_NONE,
};

#define FR_LAUNCH_MAX_RANKS 4096
/* Exit status of a job that ran past its time, as timeout(1) has it. */
#define FR_EXIT_TIMEOUT 124

struct fr_launch {
	const char *command; /* who starts it, for messages: "ferrule run" */
	int n_ranks;
	const char *transport; /* FERRULE_TRANSPORT for the ranks; NULL: as it is */
	enum fr_bind bind;
	bool tag_output;  /* put "[rank] " before every line the ranks write */
	double timeout_s; /* 0: none */
	double grace_s;   /* between a rank's failure and SIGTERM for the others */
	bool json;        /* one JSON object about the ranks on stderr at the end */
	/* What a rank is: a program (argv, searched for in PATH) or, when argv is NULL, a function
	 * whose return value is the exit status. */
	char **argv;
	const char *path; /* of the program; found by fr_launch_run() */
	int (*entry)(void *arg);
	void *arg;
};

/*
 * fr_launch_run - runs the job to its end.
 *
 * Returns 0 when every rank returned 0, the first failing rank's status (128 + signal when a
 * signal ended it), FR_EXIT_TIMEOUT, 126 or 127 when the program cannot be executed or found, or
 * 1 when the ranks could not be started.  Must be called with one thread and no other children.
 */
int fr_launch_run(const struct fr_launch *job);

/* fr_launch_is_rank - has another launcher started this process as a rank?  Then `who` says which,
 * as "rank 1 of 4 by srun, ...". */
bool fr_launch_is_rank(char *who, size_t n);

#endif

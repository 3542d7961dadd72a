/*
 * doctor_ranks.c - do transports carry data here?  Two real ranks try.
 *
 * The ranks are `ferrule bench` itself, in processes of their own: it verifies every element, has
 * deadlines, and reads the environment afresh.
 */
#include "tools/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ferrule/ferrule.h>

#include "tools/launch.h"

/* Two ranks on a busy machine take seconds at worst. */
#define TRIAL_SECONDS 30

/* The trial's own process: what it prints goes to `output`. */
static _Noreturn void run_trial(const char *transport, FILE *output)
{
	char name[64];
	snprintf(name, sizeof(name), "%s", transport);
	char *argv[] = {(char[]){"ferrule"},
	                (char[]){"bench"},
	                (char[]){"--transport"},
	                name,
	                (char[]){"-b"},
	                (char[]){"8"},
	                (char[]){"-e"},
	                (char[]){"1M"},
	                (char[]){"-f"},
	                (char[]){"131072"},
	                (char[]){"-n"},
	                (char[]){"1"},
	                (char[]){"--json"},
	                (char[]){"allreduce"},
	                NULL};
	const struct fr_launch job = {.command = "ferrule doctor",
	                              .n_ranks = 2,
	                              .bind = FR_BIND_NONE,
	                              .timeout_s = TRIAL_SECONDS,
	                              .grace_s = 1,
	                              .argv = argv};

	dup2(fileno(output), STDOUT_FILENO);
	dup2(fileno(output), STDERR_FILENO);
	const int status = fr_launch_run(&job);
	fflush(NULL);
	_exit(status);
}

/* The first line that is no JSON: the first rank's complaint. */
static void first_complaint(FILE *output, char *text, size_t n)
{
	char line[512];

	rewind(output);
	snprintf(text, n, "the two ranks failed without a word");
	while (fgets(line, sizeof(line), output)) {
		if (line[0] == '{')
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(text, n, "%s", line);
		return;
	}
}

static void try_transport(struct fr_doctor *d, const char *name)
{
	FILE *const output = tmpfile();
	char complaint[512];
	int status = -1;

	if (!output) {
		fr_doctor_say(d, FR_VERDICT_FAIL, "transport", "free space for temporary files",
		              "%s: cannot make a temporary file: %s", name, strerror(errno));
		return;
	}
	fflush(NULL);
	const pid_t pid = fork();
	if (pid == 0)
		run_trial(name, output);
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (pid > 0 && status == 0) {
		fr_doctor_say(d, FR_VERDICT_OK, "transport", NULL,
		              "%s: two ranks sum 8 B and 1 MiB, every element right", name);
	} else {
		first_complaint(output, complaint, sizeof(complaint));
		fr_doctor_say(d, FR_VERDICT_FAIL, "transport",
		              "see the other checks; FERRULE_LOG=debug tells more", "%s: %s", name,
		              complaint);
	}
	fclose(output);
}

void fr_check_transports(struct fr_doctor *d)
{
	struct ferrule_transport_info t;

	for (int i = 0; ferrule_transport_at(i, &t); i++) {
		if (t.usable)
			try_transport(d, t.name);
		else
			fr_doctor_say(d, FR_VERDICT_WARN, "transport",
			              "other transports are used instead", "%s: %s", t.name, t.why);
	}
}

/* launch_rank.c - what happens between fork and the first line of a rank's program. */
#include "tools/launch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/command.h"
#include "tools/program_path.h"
#include "tools/stream.h"

static void set_int(const char *name, int value)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", value);
	setenv(name, text, 1);
}

/* The variables of torchrun, and Ferrule's own. */
static void set_environment(const struct fr_job *job, int rank)
{
	set_int("RANK", rank);
	set_int("WORLD_SIZE", job->what->n_ranks);
	set_int("LOCAL_RANK", rank);
	set_int("LOCAL_WORLD_SIZE", job->what->n_ranks);
	setenv("MASTER_ADDR", job->master_addr, 1);
	setenv("MASTER_PORT", job->master_port, 1);
	if (job->job_key[0])
		setenv("FERRULE_JOB_KEY", job->job_key, 1);
	if (job->what->transport)
		setenv("FERRULE_TRANSPORT", job->what->transport, 1);
}

/* Rank 0 gets a file or pipe on stdin; nobody gets the terminal, which would stop a process
 * group in the background that reads from it. */
static void set_stdin(int rank)
{
	if (rank == 0 && !isatty(STDIN_FILENO))
		return;
	const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		dup2(fd, STDIN_FILENO);
	if (fd > STDIN_FILENO)
		close(fd);
}

static void restore_signals(const struct fr_job *job)
{
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &job->old_mask, NULL);
}

static _Noreturn void become_rank(const struct fr_job *job, int rank, pid_t launcher)
{
	setpgid(0, 0);
	/* The launcher may have died between fork and here: then nobody will send the signal. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != launcher)
		_exit(1);
	if (job->output)
		fr_output_child(job->output, rank);
	close(job->master_fd);
	close(job->signal_fd);
	set_stdin(rank);
	set_environment(job, rank);
	if (job->cores)
		sched_setaffinity(0, sizeof(job->cores[rank]), &job->cores[rank]);
	restore_signals(job);
	if (!job->what->argv) {
		const int status = job->what->entry(job->what->arg);
		const int exit_status =
			fr_stdout_finish(job->what->command, status, FR_EXIT_FAILED);
		fflush(NULL);
		_exit(exit_status);
	}
	execv(job->what->path, job->what->argv);
	fprintf(stderr, "%s: rank %d cannot execute '%s': %s\n", job->what->command, rank,
	        job->what->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

bool fr_job_start_rank(struct fr_job *job, int rank)
{
	const pid_t launcher = getpid();

	fflush(NULL);
	const pid_t pid = fork();
	if (pid < 0) {
		fr_job_note(job, "cannot start rank %d of %d: %s", rank, job->what->n_ranks,
		            strerror(errno));
		return false;
	}
	if (pid == 0)
		become_rank(job, rank, launcher);
	/* Here too, so that signals can be forwarded to the group at once. */
	setpgid(pid, pid);
	if (job->output)
		fr_output_parent(job->output, rank);
	job->ranks[rank] = (struct fr_job_rank){.pid = pid, .is_running = true};
	job->n_started++;
	job->n_running++;
	return true;
}

int fr_job_find_program(const struct fr_launch *what, char *path, size_t n)
{
	const char *const name = what->argv[0];
	struct stat st;

	if (strcmp(name, "ferrule") == 0) {
		const ssize_t length = readlink("/proc/self/exe", path, n - 1);
		if (length > 0) {
			path[length] = '\0';
			return 0;
		}
	}
	if (!strchr(name, '/')) {
		if (fr_program_find(name, path, n))
			return 0;
		fprintf(stderr, "%s: program '%s' was not found in PATH\n", what->command, name);
		return 127;
	}
	snprintf(path, n, "%s", name);
	if (fr_is_executable(path))
		return 0;
	if (stat(path, &st) != 0) {
		fprintf(stderr, "%s: program '%s': %s\n", what->command, name, strerror(errno));
		return 127;
	}
	fprintf(stderr, "%s: program '%s' is not an executable file\n", what->command, name);
	return 126;
}

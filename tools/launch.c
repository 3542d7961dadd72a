#include "tools/launch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ferrule/info.h>
#include "tools/command.h"
#include "tools/json.h"
#include "tools/launch_internal.h"

/*
 * A port for rank 0, held until the job ends.
 *
 * The socket is bound but does not listen, and has SO_REUSEADDR: so Linux lets rank 0 bind the
 * same port with SO_REUSEADDR and listen on it, as Ferrule, Gloo and torch's store do, but hands
 * it to nobody who asks for just any port.  Two jobs never get the same one.
 */
static bool hold_master_port(struct fr_job *job)
{
	/* Every address, and port 0: in both families that is all zeros. */
	struct sockaddr_storage address = {.ss_family = (sa_family_t)job->master_family};
	socklen_t length = job->master_family == AF_INET ? sizeof(struct sockaddr_in)
	                                                 : sizeof(struct sockaddr_in6);
	const int one = 1;

	job->master_fd = socket(job->master_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (job->master_fd < 0 ||
	    setsockopt(job->master_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(job->master_fd, (struct sockaddr *)&address, length) != 0 ||
	    getsockname(job->master_fd, (struct sockaddr *)&address, &length) != 0) {
		fr_job_note(job, "cannot reserve a port for MASTER_PORT: %s", strerror(errno));
		return false;
	}
	/* The port lies at the same place in both families. */
	snprintf(job->master_port, sizeof(job->master_port), "%d",
	         ntohs(((struct sockaddr_in *)&address)->sin_port));
	return true;
}

static bool make_job_key(struct fr_job *job)
{
	const char *const given = getenv("FERRULE_JOB_KEY");
	unsigned char key[32];

	if (given && given[0])
		return true;
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
		fr_job_note(job, "cannot make a job key: %s", strerror(errno));
		return false;
	}
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(job->job_key + 2 * i, 3, "%02x", key[i]);
	return true;
}

static bool choose_cores(struct fr_job *job)
{
	const struct fr_launch *const what = job->what;
	int n_cores;

	if (what->bind == FR_BIND_NONE || (what->bind == FR_BIND_AUTO && what->n_ranks < 2))
		return true;
	job->cores = fr_cores_assign(what->n_ranks, &n_cores);
	if (job->cores || what->bind == FR_BIND_AUTO)
		return true;
	fr_job_note(job,
	            "option --bind core: %d ranks do not fit the %d cores that may be used; "
	            "allowed: at most %d ranks, or --bind none",
	            what->n_ranks, n_cores, n_cores);
	return false;
}

/* From here on signals wait in job->signal_fd. */
static bool take_signals(struct fr_job *job)
{
	static const int taken[] = {SIGCHLD, SIGINT,  SIGTERM,  SIGHUP, SIGQUIT,
	                            SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP};
	sigset_t mask;

	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&mask, taken[i]);
	sigprocmask(SIG_BLOCK, &mask, &job->old_mask);
	/* A parent that ignores SIGCHLD would take our children's statuses away, and a reader
	 * that goes away must not end the launcher before its ranks. */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	job->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (job->signal_fd < 0)
		fr_job_note(job, "cannot take signals: %s", strerror(errno));
	return job->signal_fd >= 0;
}

static bool prepare(struct fr_job *job)
{
	const struct fr_launch *const what = job->what;

	job->ranks = calloc((size_t)what->n_ranks, sizeof(*job->ranks));
	if (!job->ranks) {
		fr_job_note(job, "out of memory for %d ranks", what->n_ranks);
		return false;
	}
	if (!choose_cores(job) || !fr_job_choose_address(job) || !hold_master_port(job) ||
	    !make_job_key(job))
		return false;
	if (what->tag_output) {
		job->output = fr_output_create(what->n_ranks);
		if (!job->output) {
			fr_job_note(job, "option --tag-output: cannot open pipes for %d ranks: %s",
			            what->n_ranks, strerror(errno));
			return false;
		}
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return take_signals(job);
}

/* Also when not all could be started: then those that were are ended at once. */
static bool start_all(struct fr_job *job)
{
	for (int rank = 0; rank < job->what->n_ranks; rank++) {
		if (!fr_job_start_rank(job, rank)) {
			job->phase = FR_JOB_GRACE;
			job->phase_end_ns = fr_job_now_ns();
			return false;
		}
	}
	return true;
}

static void report_json(const struct fr_job *job, int status)
{
	struct fr_json j;

	fr_json_init(&j, stderr);
	fr_json_object_open(&j, NULL);
	fr_json_int(&j, "ranks", job->what->n_ranks);
	fr_json_int(&j, "status", status);
	if (job->first_failed >= 0)
		fr_json_int(&j, "first_failed", job->first_failed);
	else
		fr_json_null(&j, "first_failed");
	fr_json_bool(&j, "timed_out", job->is_timed_out);
	fr_json_real(&j, "seconds", (double)(fr_job_now_ns() - job->start_ns) * 1e-9);
	fr_json_array_open(&j, "each");
	for (int r = 0; r < job->n_started; r++) {
		const struct fr_job_rank *const rank = &job->ranks[r];
		const bool has_exited = !rank->is_running && WIFEXITED(rank->wait_status);
		const bool was_killed = !rank->is_running && WIFSIGNALED(rank->wait_status);
		fr_json_object_open(&j, NULL);
		fr_json_int(&j, "rank", r);
		fr_json_int(&j, "pid", rank->pid);
		if (has_exited)
			fr_json_int(&j, "exit", WEXITSTATUS(rank->wait_status));
		else
			fr_json_null(&j, "exit");
		if (was_killed)
			fr_json_int(&j, "signal", WTERMSIG(rank->wait_status));
		else
			fr_json_null(&j, "signal");
		fr_json_bool(&j, "ended_by_launcher", rank->was_ended);
		fr_json_real(&j, "seconds", (double)(rank->end_ns - job->start_ns) * 1e-9);
		fr_json_object_close(&j);
	}
	fr_json_array_close(&j);
	fr_json_object_close(&j);
	fr_json_end(&j);
}

/* How many of the ranks that failed after the first one are told about. */
#define MAX_TOLD 8

static void tell_others(struct fr_job *job)
{
	int n_told = 0, n_more = 0, n_ended = 0;

	for (int r = 0; r < job->n_started; r++) {
		const struct fr_job_rank *const rank = &job->ranks[r];
		char how[160];
		n_ended += rank->was_ended;
		if (r == job->first_failed || rank->was_ended || rank->wait_status == 0)
			continue;
		if (n_told < MAX_TOLD)
			fr_job_note(job, "rank %d (pid %d) then %s", r, (int)rank->pid,
			            fr_job_describe_end(rank->wait_status, how, sizeof(how)));
		else
			n_more++;
		n_told++;
	}
	if (n_more > 0)
		fr_job_note(job, "so did %d more ranks fail", n_more);
	if (n_ended > 0 && !job->is_timed_out)
		fr_job_note(job, "ended the %d ranks that were still running", n_ended);
}

int fr_job_report(struct fr_job *job)
{
	if (job->first_failed < 0)
		return job->is_timed_out ? FR_EXIT_TIMEOUT : FR_EXIT_OK;
	tell_others(job);
	const int status = job->ranks[job->first_failed].wait_status;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void clean_up(struct fr_job *job)
{
	fr_output_destroy(job->output);
	free(job->cores);
	free(job->ranks);
	if (job->master_fd >= 0)
		close(job->master_fd);
	if (job->signal_fd >= 0) {
		close(job->signal_fd);
		sigprocmask(SIG_SETMASK, &job->old_mask, NULL);
	}
}

/* What the ranks wrote and could not be passed on makes the job a failure. */
static int check_output(struct fr_job *job, int status)
{
	const char *which;
	const int error = fr_output_error(job->output, &which);

	if (error == 0)
		return status;
	/* A reader that has seen enough: quietly, as a program that SIGPIPE ends. */
	if (error == EPIPE)
		return status ? status : 128 + SIGPIPE;
	fprintf(stderr, "%s: cannot write %s: %s\n", job->what->command, which, strerror(error));
	return status ? status : FR_EXIT_FAILED;
}

int fr_launch_run(const struct fr_launch *what)
{
	struct fr_job job = {
		.what = what,
		.first_failed = -1,
		.suspect = -1,
		.start_ns = fr_job_now_ns(),
		.phase_end_ns = UINT64_MAX,
		.timeout_end_ns = UINT64_MAX,
		.signal_fd = -1,
		.master_fd = -1,
	};
	struct fr_launch program = *what;
	char path[4096];

	if (what->argv) {
		const int status = fr_job_find_program(what, path, sizeof(path));
		if (status != 0)
			return status;
		program.path = path;
		job.what = &program;
	}
	int status = FR_EXIT_FAILED;
	if (prepare(&job)) {
		if (what->timeout_s > 0)
			job.timeout_end_ns = job.start_ns + (uint64_t)(what->timeout_s * 1e9);
		const bool is_started = start_all(&job);
		fr_job_watch(&job);
		status = fr_job_report(&job);
		if (!is_started && status == FR_EXIT_OK)
			status = FR_EXIT_FAILED;
	}
	if (job.output) {
		fr_job_drain(&job);
		status = check_output(&job, status);
	}
	if (what->json && job.ranks) {
		report_json(&job, status);
		if (ferror(stderr) && status == FR_EXIT_OK)
			status = FR_EXIT_FAILED;
	}
	clean_up(&job);
	return status;
}

bool fr_launch_is_rank(char *who, size_t n)
{
	struct ferrule_launcher_info info;

	/* What is wrong with the variables does not matter to one who starts ranks of its own. */
	if (ferrule_launcher_describe(&info) != FERRULE_OK || !info.is_rank)
		return false;
	snprintf(who, n, "%s", info.text);
	return true;
}

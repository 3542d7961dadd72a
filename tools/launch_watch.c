/*
 * launch_watch.c - one loop that waits for ranks, signals, output and deadlines.
 *
 * Design notes.  Signals arrive through a signalfd, so that nothing happens in a handler.  The
 * phases of enum fr_job_phase only ever advance; each says how long it may last.  The loop ends
 * when the launcher has no children: it is a subreaper, so then no process of the job is left.
 */
#include "tools/launch_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS_NS UINT64_C(1000000)
/* How long SIGTERM may take to work, and SIGKILL. */
#define TERM_NS        (2000 * MS_NS)
#define KILL_NS        (10000 * MS_NS)
#define KILL_REPEAT_MS 20
/* How long what ranks left in the background may outlive the last of them. */
#define LEFTOVER_NS (500 * MS_NS)
/* How long readers of the ranks' last output may take after the job was ended by force. */
#define DRAIN_NS (3000 * MS_NS)
/* How long a rank in its last throes may keep the launcher from saying who failed first. */
#define SUSPECT_NS (2000 * MS_NS)

uint64_t fr_job_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * MS_NS + (uint64_t)now.tv_nsec;
}

void fr_job_note(struct fr_job *job, const char *format, ...)
{
	char text[512], line[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "%s: %s\n", job->what->command, text);
	if (job->output)
		fr_output_note(job->output, line);
	else
		fputs(line, stderr);
}

const char *fr_job_describe_end(int wait_status, char *text, size_t n)
{
	if (WIFSIGNALED(wait_status))
		snprintf(text, n, "was killed by signal %d (%s)%s", WTERMSIG(wait_status),
		         strsignal(WTERMSIG(wait_status)),
		         WCOREDUMP(wait_status) ? ", core dumped" : "");
	else
		snprintf(text, n, "exited with status %d", WEXITSTATUS(wait_status));
	return text;
}

static void enter_phase(struct fr_job *job, enum fr_job_phase phase, uint64_t lasts_ns)
{
	job->phase = phase;
	job->phase_end_ns = fr_job_now_ns() + lasts_ns;
}

static void terminate_all(struct fr_job *job)
{
	for (int r = 0; r < job->n_started; r++)
		job->ranks[r].was_ended = job->ranks[r].is_running;
	enter_phase(job, FR_JOB_TERMINATING, TERM_NS);
	fr_signal_descendants(SIGTERM);
	/* A stopped process only dies of SIGTERM once it runs again. */
	fr_signal_descendants(SIGCONT);
}

static void kill_all(struct fr_job *job)
{
	for (int r = 0; r < job->n_started; r++) {
		if (job->ranks[r].is_running)
			kill(job->ranks[r].pid, SIGKILL);
	}
	fr_signal_descendants(SIGKILL);
}

static void signal_ranks(struct fr_job *job, int signal)
{
	for (int r = 0; r < job->n_started; r++) {
		if (job->ranks[r].is_running)
			kill(-job->ranks[r].pid, signal);
	}
}

static int rank_of(const struct fr_job *job, pid_t pid)
{
	for (int r = 0; r < job->n_started; r++) {
		if (job->ranks[r].pid == pid)
			return r;
	}
	return -1;
}

/*
 * Of ranks that fail together, one that a signal killed comes first: the others most likely
 * failed because it died, before the launcher had a chance to look.
 */
static bool is_earlier_failure(const struct fr_job *job, int rank, int than)
{
	return than < 0 || (WIFSIGNALED(job->ranks[rank].wait_status) &&
	                    !WIFSIGNALED(job->ranks[than].wait_status));
}

/*
 * Is a rank on its way out, but not to be waited for yet?  Its connections close before the rest is
 * taken down, and with much memory or a device that takes long: peers may fail, and be reaped,
 * before it.
 */
static bool is_any_exiting(const struct fr_job *job)
{
	for (int r = 0; r < job->n_started; r++) {
		struct fr_process_stat stat;
		if (job->ranks[r].is_running && fr_process_stat(job->ranks[r].pid, &stat) &&
		    stat.is_exiting)
			return true;
	}
	return false;
}

/* Says who failed first, once that is known. */
static void settle_first_failed(struct fr_job *job)
{
	const int rank = job->suspect;
	char how[160];

	if (rank < 0 || job->first_failed >= 0)
		return;
	if (!WIFSIGNALED(job->ranks[rank].wait_status) && fr_job_now_ns() < job->suspect_end_ns &&
	    is_any_exiting(job))
		return;
	job->first_failed = rank;
	fr_job_note(job, "rank %d (pid %d) %s", rank, (int)job->ranks[rank].pid,
	            fr_job_describe_end(job->ranks[rank].wait_status, how, sizeof(how)));
}

static void take_failure(struct fr_job *job, int rank)
{
	/* Whom the launcher ended has not failed. */
	if (job->is_timed_out || job->first_failed >= 0)
		return;
	if (job->suspect < 0)
		job->suspect_end_ns = fr_job_now_ns() + SUSPECT_NS;
	if (is_earlier_failure(job, rank, job->suspect) && !job->ranks[rank].was_ended)
		job->suspect = rank;
	if (job->phase == FR_JOB_RUNNING)
		enter_phase(job, FR_JOB_GRACE, (uint64_t)(job->what->grace_s * 1e9));
}

/* Collects everything that has ended; false when there are no children left. */
static bool reap(struct fr_job *job)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		const int rank = rank_of(job, pid);
		if (rank < 0)
			continue; /* an orphan of some rank */
		job->ranks[rank].is_running = false;
		job->ranks[rank].wait_status = status;
		job->ranks[rank].end_ns = fr_job_now_ns();
		job->n_running--;
		if (status != 0)
			take_failure(job, rank);
	}
	const bool has_children = pid == 0 || errno != ECHILD;
	settle_first_failed(job);
	return has_children;
}

/* Stops the ranks, then the launcher itself, and wakes the ranks when it is woken. */
static void stop_and_continue(struct fr_job *job)
{
	signal_ranks(job, SIGTSTP);
	raise(SIGSTOP);
	signal_ranks(job, SIGCONT);
}

static void read_signals(struct fr_job *job)
{
	struct signalfd_siginfo info;

	while (read(job->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		const int signal = (int)info.ssi_signo;
		if (signal == SIGCHLD)
			continue; /* the loop reaps every time round */
		if (signal == SIGTSTP)
			stop_and_continue(job);
		else
			signal_ranks(job, signal);
	}
}

static void check_deadlines(struct fr_job *job)
{
	const uint64_t now = fr_job_now_ns();

	if (now >= job->timeout_end_ns && job->phase == FR_JOB_RUNNING) {
		fr_job_note(job, "%d of %d ranks still run after %g seconds; ending them",
		            job->n_running, job->what->n_ranks, job->what->timeout_s);
		job->is_timed_out = true;
		terminate_all(job);
		return;
	}
	/* Ranks are done, but something they started is not. */
	if (job->n_running == 0 && !job->is_without_ranks) {
		job->is_without_ranks = true;
		if (job->phase < FR_JOB_TERMINATING)
			enter_phase(job, FR_JOB_GRACE, LEFTOVER_NS);
	}
	if (job->phase == FR_JOB_KILLING)
		kill_all(job);
	if (now < job->phase_end_ns)
		return;
	if (job->phase == FR_JOB_GRACE) {
		if (job->is_without_ranks)
			fr_job_note(job, "ending what the ranks left running in the background");
		terminate_all(job);
	} else if (job->phase == FR_JOB_TERMINATING) {
		enter_phase(job, FR_JOB_KILLING, KILL_NS);
		kill_all(job);
	} else if (job->phase == FR_JOB_KILLING) {
		fr_job_note(job, "some processes of the job do not die of SIGKILL; leaving them");
		job->phase = FR_JOB_GIVEN_UP;
	}
}

static int poll_timeout_ms(const struct fr_job *job)
{
	uint64_t end = job->phase_end_ns;
	if (job->phase == FR_JOB_RUNNING && job->timeout_end_ns < end)
		end = job->timeout_end_ns;
	if (job->suspect >= 0 && job->first_failed < 0 && job->suspect_end_ns < end)
		end = job->suspect_end_ns;
	if (end == UINT64_MAX)
		return -1;
	if (job->phase == FR_JOB_KILLING)
		return KILL_REPEAT_MS;
	const uint64_t now = fr_job_now_ns();
	const uint64_t ms = now >= end ? 0 : (end - now) / MS_NS + 1;
	return ms > 3600000 ? 3600000 : (int)ms;
}

static void poll_once(struct fr_job *job, struct pollfd *fds, int timeout_ms)
{
	fds[0] = (struct pollfd){.fd = job->signal_fd, .events = POLLIN};
	const int n = job->output ? fr_output_poll_fds(job->output, fds + 1) : 0;
	if (poll(fds, (nfds_t)n + 1, timeout_ms) <= 0)
		return;
	if (job->output)
		fr_output_progress(job->output, fds + 1, n);
}

static void drain_output(struct fr_job *job, struct pollfd *fds)
{
	const bool is_patient = job->phase == FR_JOB_RUNNING;
	const uint64_t end = fr_job_now_ns() + DRAIN_NS;

	while (!fr_output_is_drained(job->output)) {
		struct signalfd_siginfo info;
		poll_once(job, fds, 100);
		/* There are no ranks to forward a signal to: it means us. */
		while (read(job->signal_fd, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM)
				return;
		}
		if (!is_patient && fr_job_now_ns() >= end)
			return;
	}
}

void fr_job_watch(struct fr_job *job)
{
	const int n_fds = 1 + (job->output ? fr_output_n_fds(job->output) : 0);
	struct pollfd *const fds = calloc((size_t)n_fds, sizeof(*fds));

	if (!fds) {
		fr_job_note(job, "out of memory");
		kill_all(job);
		return;
	}
	while (reap(job) && job->phase != FR_JOB_GIVEN_UP) {
		check_deadlines(job);
		poll_once(job, fds, poll_timeout_ms(job));
		read_signals(job);
	}
	free(fds);
}

void fr_job_drain(struct fr_job *job)
{
	const int n_fds = 1 + fr_output_n_fds(job->output);
	struct pollfd *const fds = calloc((size_t)n_fds, sizeof(*fds));

	if (fds)
		drain_output(job, fds);
	free(fds);
}

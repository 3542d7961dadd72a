/* launch_internal.h - what the files of the launcher share. */
#ifndef FR_LAUNCH_INTERNAL_H
#define FR_LAUNCH_INTERNAL_H

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tools/launch.h"
#include "tools/launch_output.h"

/* What is the matter with the job as a whole. */
enum fr_job_phase {
	FR_JOB_RUNNING,
	FR_JOB_GRACE,       /* a rank failed; the others may still finish by themselves */
	FR_JOB_TERMINATING, /* SIGTERM was sent to all that is left */
	FR_JOB_KILLING,     /* SIGKILL was sent, and is repeated */
	FR_JOB_GIVEN_UP,    /* not even that helped */
};

struct fr_job_rank {
	pid_t pid;
	bool is_running;
	bool was_ended;  /* it was still running when the launcher began to terminate the job */
	int wait_status; /* once it is not running */
	uint64_t end_ns;
};

struct fr_job {
	const struct fr_launch *what;
	struct fr_job_rank *ranks;
	int n_started, n_running;
	int first_failed;        /* rank; -1: none, or not known yet */
	int suspect;             /* failed, but another may have died before; -1: none */
	uint64_t suspect_end_ns; /* when it is taken for the first in any case */
	bool is_timed_out;
	bool is_without_ranks; /* all have ended, something they started has not */
	enum fr_job_phase phase;
	uint64_t start_ns;
	uint64_t phase_end_ns;   /* when the next phase begins; UINT64_MAX: not by time */
	uint64_t timeout_end_ns; /* when the job has run too long; UINT64_MAX: never */
	int signal_fd;
	sigset_t old_mask;
	struct fr_launch_output *output; /* NULL: ranks write to the launcher's own */
	cpu_set_t *cores;                /* one for each rank; NULL: not bound */
	int master_fd;                   /* holds MASTER_PORT for rank 0 */
	char master_addr[64];            /* of this host, for MASTER_ADDR */
	int master_family;               /* AF_INET or AF_INET6 */
	char master_port[8];
	char job_key[65]; /* "": the environment has one */
};

/* fr_job_now_ns - monotonic time. */
uint64_t fr_job_now_ns(void);

/* fr_job_choose_address - sets master_addr to one at which ranks reach each other, by trying:
 * loopback where it is up, of IPv4 or IPv6.  False with a message when there is none. */
bool fr_job_choose_address(struct fr_job *job);
/* fr_job_start_rank - forks rank `rank`; false with a message when that fails. */
bool fr_job_start_rank(struct fr_job *job, int rank);
/* fr_job_find_program - the path of the program, or 126 or 127 after a message; 0 when found. */
int fr_job_find_program(const struct fr_launch *what, char *path, size_t n);

/* fr_job_watch - until no rank and nothing that a rank started is left. */
void fr_job_watch(struct fr_job *job);
/* fr_job_drain - writes what the ranks, and fr_job_note(), have left to write. */
void fr_job_drain(struct fr_job *job);

/* fr_job_note - one line about the job on stderr, never inside a line of a rank. */
void fr_job_note(struct fr_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* fr_job_describe_end - "exited with status 3", "was killed by signal 9 (Killed)". */
const char *fr_job_describe_end(int wait_status, char *text, size_t n);
/* fr_job_report - after the end: who failed how; returns the job's exit status. */
int fr_job_report(struct fr_job *job);

struct fr_process_stat {
	pid_t parent;
	bool is_zombie, is_exiting; /* is_exiting: is being taken down, or is a zombie already */
};
/* fr_process_stat - of a process, from /proc; false when there is none. */
bool fr_process_stat(pid_t pid, struct fr_process_stat *out);
/* fr_signal_descendants - sends `signal` to every process that descends from this one; returns
 * how many there were, -1 when /proc cannot be read. */
int fr_signal_descendants(int signal);

/* fr_cores_assign - a core for each of n ranks, as an array to free(); NULL when there are fewer
 * than n cores that this process may use, or no memory.  *n_cores_out tells how many there are. */
cpu_set_t *fr_cores_assign(int n, int *n_cores_out);

#endif

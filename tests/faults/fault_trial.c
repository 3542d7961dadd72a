/*
 * One job with one fault.  Ranks are this program started anew, and tell through one pipe what
 * becomes of them; the driver waits on that pipe alone, so a process that a rank left behind
 * delays nothing.
 */
#include "config.h"

#include "tests/faults/fault.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/t_faults.h"

/* Faults fall into the first part of a job's work. */
#define WORK_S 0.2

struct job {
	struct fault_trial *t;
	uint64_t random;
	int pipe[2];
	int record_fd; /* of the victim's calls; -1: they are not counted */
	struct t_faults *record;
	int port;
	pid_t pids[FAULT_RANKS_MAX], extra;
	int n_stand, n_ended;
	uint64_t inject_at_ns; /* UINT64_MAX: not yet known, or the victim does it */
};

/* ---- a rank's environment ---- */

static void set(const char *name, long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", value);
	setenv(name, text, 1);
}

static void set_verbs(const struct job *job, int rank)
{
	char name[64];

	snprintf(name, sizeof(name), "fault-%d-%d", (int)getppid(), job->port);
	setenv("STANDIN_NAMESPACE", name, 1);
	set("STANDIN_NODE", rank);
}

static void set_victim(struct job *job)
{
	const struct fault_kind *k = job->t->kind;
	const uint64_t drawn = fault_random(&job->random);

	if (k->call_fault) {
		set("FAULT_RECORD_FD", job->record_fd);
		set("FAULT_CALL", k->call_fault);
		set("FAULT_AT_CALL", (long)(1 + drawn % (uint64_t)k->n_calls));
		fcntl(job->record_fd, F_SETFD, 0);
	}
	if (!k->act)
		return;
	setenv("FAULT_ACT", k->act, 1);
	set("FAULT_AT", (long)(1 + drawn % 60));
	if (strcmp(k->act, "descriptors") == 0)
		set("FAULT_DESCRIPTORS", (long)((drawn >> 8) % 24));
	if (strcmp(k->act, "memory") == 0)
		set("FAULT_MEMORY_KIB", (long)((drawn >> 8) % 40000));
}

static void set_environment(struct job *job, int rank)
{
	const struct fault_trial *t = job->t;
	char key[65];

	for (int i = 0; i < 4; i++)
		snprintf(key + i * 16, 17, "%016llx",
		         (unsigned long long)(t->seed * 0x9e3779b97f4a7c15u + (uint64_t)i));
	setenv("FERRULE_JOB_KEY", key, 1);
	setenv("FERRULE_TRANSPORT", t->transport, 1);
	setenv("MASTER_ADDR", t->kind->only_tcp ? fault_network_address() : "127.0.0.1", 1);
	set("MASTER_PORT", job->port);
	set("RANK", rank);
	set("WORLD_SIZE", t->n_ranks);
	set("LOCAL_RANK", rank);
	set("FAULT_REPORT_FD", job->pipe[1]);
	set("FAULT_SEED", (long)(t->seed & 0x7fffffff));
	if (strcmp(t->transport, "verbs") == 0)
		set_verbs(job, rank);
	if (rank == t->victim)
		set_victim(job);
}

static void become_rank(struct job *job, int rank)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (job->t->kind->only_tcp)
		fault_network_enter(rank % 2);
	set_environment(job, rank);
	fcntl(job->pipe[1], F_SETFD, 0);
	execl("/proc/self/exe", "fault_campaign", "--rank", (char *)NULL);
	_exit(127);
}

/* A port that nobody has at this moment; another job may still take it, which is no fault. */
static int free_port(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(addr);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	                getsockname(fd, (struct sockaddr *)&addr, &length) == 0;

	if (fd >= 0)
		close(fd);
	return ok ? ntohs(addr.sin_port) : -1;
}

static bool open_record(struct job *job)
{
	job->record_fd = -1;
	if (!job->t->kind->call_fault)
		return true;
	job->record_fd = memfd_create("fault-record", MFD_CLOEXEC);
	if (job->record_fd < 0 || ftruncate(job->record_fd, sizeof(*job->record)) != 0)
		return false;
	job->record = mmap(NULL, sizeof(*job->record), PROT_READ | PROT_WRITE, MAP_SHARED,
	                   job->record_fd, 0);
	return job->record != MAP_FAILED;
}

static void close_record(struct job *job)
{
	if (!job->record)
		return;
	job->t->fault_ns = atomic_load(&job->record->hit_ns);
	munmap(job->record, sizeof(*job->record));
	close(job->record_fd);
}

static bool start(struct job *job)
{
	struct fault_trial *t = job->t;

	job->port = free_port();
	if (job->port < 0 || pipe2(job->pipe, O_CLOEXEC) != 0 || !open_record(job))
		return false;
	t->start_ns = fault_now_ns();
	if (t->kind->start)
		job->extra = t->kind->start(fault_random(&job->random));
	for (int rank = 0; rank < t->n_ranks; rank++) {
		job->pids[rank] = fork();
		if (job->pids[rank] == 0)
			become_rank(job, rank);
	}
	return job->extra >= 0;
}

/* ---- the fault ---- */

/* A random moment of the next `span_s` seconds. */
static uint64_t moment_after(struct job *job, uint64_t ns, double span_s)
{
	const double part = (double)(fault_random(&job->random) >> 11) * 0x1p-53;

	return ns + (uint64_t)(part * span_s * 1e9);
}

static void inject(struct job *job)
{
	struct fault_trial *t = job->t;

	job->inject_at_ns = UINT64_MAX;
	t->fault_ns = fault_now_ns();
	if (t->kind->only_tcp)
		fault_network_cut();
	else if (!t->has_ended[t->victim])
		kill(job->pids[t->victim], t->kind->signal);
}

static void take(struct job *job, const struct fault_report *r)
{
	struct fault_trial *t = job->t;

	if (r->event == FAULT_INJECTED) {
		t->fault_ns = r->ns;
	} else if (r->event == FAULT_STANDS) {
		job->n_stand++;
		if (job->n_stand == t->n_ranks) {
			t->stands_ns = r->ns;
			if (t->kind->moment == FAULT_IN_WORK)
				job->inject_at_ns = moment_after(job, r->ns, WORK_S);
		}
	} else if (!t->has_ended[r->rank]) {
		t->has_ended[r->rank] = true;
		t->last[r->rank] = *r;
		job->n_ended += r->rank != t->victim;
	}
}

/* Reads reports until every rank but the victim has had its last word, or it takes too long. */
static void watch(struct job *job)
{
	const struct fault_trial *t = job->t;
	const uint64_t end = t->start_ns + (uint64_t)(FAULT_HANG_S * 1e9);
	const bool victim_counts = t->kind->outcome == FAULT_FINE;
	struct pollfd p = {.fd = job->pipe[0], .events = POLLIN};
	struct fault_report r;

	for (uint64_t now = t->start_ns; now < end; now = fault_now_ns()) {
		if (now >= job->inject_at_ns)
			inject(job);
		if (job->n_ended == t->n_ranks - 1 && (!victim_counts || t->has_ended[t->victim]))
			return;
		if (poll(&p, 1, job->inject_at_ns == UINT64_MAX ? 20 : 1) > 0 &&
		    read(job->pipe[0], &r, sizeof(r)) == (ssize_t)sizeof(r))
			take(job, &r);
	}
}

static void clean_up(struct job *job)
{
	for (int rank = 0; rank < job->t->n_ranks; rank++)
		if (job->pids[rank] > 0)
			kill(job->pids[rank], SIGKILL);
	for (int rank = 0; rank < job->t->n_ranks; rank++)
		if (job->pids[rank] > 0)
			waitpid(job->pids[rank], NULL, 0);
	if (job->extra > 0) {
		kill(job->extra, SIGKILL);
		waitpid(job->extra, NULL, 0);
	}
	if (job->t->kind->only_tcp)
		fault_network_mend();
	close_record(job);
	close(job->pipe[0]);
	close(job->pipe[1]);
}

bool fault_trial_run(struct fault_trial *t)
{
	struct job job = {.t = t, .random = t->seed, .inject_at_ns = UINT64_MAX};

	if (!start(&job))
		return false;
	if (t->kind->moment == FAULT_AT_START)
		t->fault_ns = t->start_ns;
	if (t->kind->moment == FAULT_IN_SETUP)
		job.inject_at_ns = moment_after(&job, t->start_ns, t->setup_s);
	watch(&job);
	clean_up(&job);
	return true;
}

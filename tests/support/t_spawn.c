#include "config.h"

#include "tests/support/t_spawn.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/t_port.h"

#define KEY_BYTES 32
#define N_PORTS   2

/* What all ranks of one spawn share. */
struct job {
	int n_ranks;
	int port_fds[N_PORTS]; /* hold the port and the one above it, where a store would be */
	int port;
	const char *address; /* of loopback */
	int alive[2];        /* every child holds the write end; end of file means all have ended */
	char key[2 * KEY_BYTES + 1];
	pid_t *pids;
};

/* A host may have IPv6 alone. */
static const char *find_loopback(void)
{
	const struct sockaddr_in in = {.sin_family = AF_INET,
	                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool is_there = fd >= 0 && bind(fd, (const struct sockaddr *)&in, sizeof(in)) == 0;

	if (fd >= 0)
		close(fd);
	return is_there ? "127.0.0.1" : "::1";
}

static void set_number(const char *name, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	setenv(name, text, 1);
}

static void set_environment(const struct job *job, int rank)
{
	set_number("RANK", rank);
	set_number("WORLD_SIZE", job->n_ranks);
	set_number("LOCAL_RANK", rank);
	set_number("LOCAL_WORLD_SIZE", job->n_ranks);
	set_number("MASTER_PORT", job->port);
	setenv("MASTER_ADDR", job->address, 1);
	setenv("FERRULE_JOB_KEY", job->key, 1);
	unsetenv("TORCHELASTIC_USE_AGENT_STORE");
	unsetenv("FERRULE_STORE_PORT");
}

static void make_key(struct job *job)
{
	unsigned char raw[KEY_BYTES];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		memset(raw, 0x5a, sizeof(raw)); /* the tests' key need not be secret */
	for (int i = 0; i < KEY_BYTES; i++)
		snprintf(job->key + 2 * i, 3, "%02x", raw[i]);
}

static void close_ports(const struct job *job)
{
	for (int i = 0; i < N_PORTS; i++)
		close(job->port_fds[i]);
}

static int start(struct job *job, int (*fn)(int, int, void *), void *arg)
{
	const pid_t parent = getpid();

	/* Else each child would print what the parent had buffered. */
	fflush(NULL);
	for (int rank = 0; rank < job->n_ranks; rank++) {
		job->pids[rank] = fork();
		if (job->pids[rank] < 0)
			return -1;
		if (job->pids[rank] > 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(job->alive[0]);
		close_ports(job);
		set_environment(job, rank);
		exit(fn(rank, job->n_ranks, arg));
	}
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* True when all children have ended before the deadline. */
static int wait_all(const struct job *job, double deadline_s)
{
	const int64_t end = now_ms() + (int64_t)(deadline_s * 1000);
	struct pollfd p = {.fd = job->alive[0], .events = POLLIN};

	for (;;) {
		const int64_t left = end - now_ms();
		if (left <= 0)
			return 0;
		if (poll(&p, 1, (int)left) > 0)
			return 1;
	}
}

/* Reaps one child; kills it first when `late` and it still runs. */
static int reap(pid_t pid, int late)
{
	int status = 0;

	if (late && waitpid(pid, &status, WNOHANG) == 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return T_SPAWN_LATE;
	}
	if (!late && waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_job(struct job *job, double deadline_s, int (*fn)(int, int, void *), void *arg,
                   int *exit_codes)
{
	const int started = start(job, fn, arg);
	int n_bad = 0;

	close(job->alive[1]);
	const int late = started != 0 || !wait_all(job, deadline_s);
	for (int rank = 0; rank < job->n_ranks; rank++) {
		if (job->pids[rank] <= 0)
			continue;
		const int code = reap(job->pids[rank], late);
		n_bad += code != 0;
		if (exit_codes)
			exit_codes[rank] = code;
	}
	close(job->alive[0]);
	return started != 0 ? -1 : n_bad;
}

int t_spawn(int n_ranks, double deadline_s, int (*fn)(int rank, int n_ranks, void *arg), void *arg,
            int *exit_codes)
{
	struct job job = {.n_ranks = n_ranks};

	job.pids = calloc((size_t)n_ranks, sizeof(*job.pids));
	if (!job.pids)
		return -1;
	make_key(&job);
	int result = -1;
	job.address = find_loopback();
	job.port = t_port_hold(N_PORTS, job.port_fds);
	if (job.port > 0) {
		if (pipe2(job.alive, O_CLOEXEC) == 0)
			result = run_job(&job, deadline_s, fn, arg, exit_codes);
		close_ports(&job);
	}
	free(job.pids);
	return result;
}

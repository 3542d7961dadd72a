/*
 * A rank of the fault campaign.  All ranks draw the same calls from one seed; every number that
 * is moved is a small whole one that depends on the call, the rank and the place, so that each
 * result is checked exactly.
 *
 * FAULT_ACT says what this rank does to the others, at call number FAULT_AT.
 */
#include "config.h"

#include "tests/faults/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <ferrule/ferrule.h>
#include "tests/support/t_faults.h"

#define COUNT_MAX 120000
/* The job ends well when rank 0 has worked for this long. */
#define WORK_NS 400000000ull

struct rank {
	int report_fd;
	int rank, n;
	ferrule_comm_t comm;
	uint64_t random, begin_ns;
	float *in, *out;
	bool is_over;
};

/* What one call moves. */
struct call {
	int which;
	int number;
	size_t count;
	int root;
};

uint64_t fault_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t fault_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void report(const struct rank *r, enum fault_event event, int status, const char *text)
{
	struct fault_report report = {
		.event = event, .rank = r->rank, .status = status, .ns = fault_now_ns()};

	snprintf(report.text, sizeof(report.text), "%s", text);
	if (write(r->report_fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
		_exit(3);
}

static long number(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 10) : otherwise;
}

/* ---- calls and their results ---- */

static float value(const struct call *c, int rank, size_t i)
{
	return (float)((size_t)(c->number * 7 + rank * 3 + 1) % 11 + i % 5);
}

static void fill(const struct rank *r, const struct call *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		r->in[i] = value(c, r->rank, i);
}

static float sum_of(const struct rank *r, const struct call *c, size_t i)
{
	float sum = 0;

	for (int rank = 0; rank < r->n; rank++)
		sum += value(c, rank, i);
	return sum;
}

static bool is_sum(const struct rank *r, const struct call *c, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (r->out[i] != sum_of(r, c, from + i))
			return false;
	return true;
}

/* Is block `block` of the result what `rank` sent from its place `from` on? */
static bool is_from(const struct rank *r, const struct call *c, int rank, size_t block, size_t from)
{
	for (size_t i = 0; i < c->count; i++)
		if (r->out[block * c->count + i] != value(c, rank, from + i))
			return false;
	return true;
}

static ferrule_status_t allreduce(struct rank *r, const struct call *c, bool *right)
{
	const ferrule_status_t status =
		ferrule_allreduce(r->comm, r->in, r->out, c->count, FERRULE_FLOAT32, FERRULE_SUM);

	*right = status != FERRULE_OK || is_sum(r, c, 0, c->count);
	return status;
}

static ferrule_status_t reduce_scatter(struct rank *r, const struct call *c, bool *right)
{
	const ferrule_status_t status = ferrule_reduce_scatter(r->comm, r->in, r->out, c->count,
	                                                       FERRULE_FLOAT32, FERRULE_SUM);

	*right = status != FERRULE_OK || is_sum(r, c, (size_t)r->rank * c->count, c->count);
	return status;
}

static ferrule_status_t broadcast(struct rank *r, const struct call *c, bool *right)
{
	const ferrule_status_t status =
		ferrule_broadcast(r->comm, r->in, r->out, c->count, FERRULE_FLOAT32, c->root);

	*right = status != FERRULE_OK || is_from(r, c, c->root, 0, 0);
	return status;
}

static ferrule_status_t allgather(struct rank *r, const struct call *c, bool *right)
{
	const ferrule_status_t status =
		ferrule_allgather(r->comm, r->in, r->out, c->count, FERRULE_FLOAT32);

	for (int peer = 0; status == FERRULE_OK && peer < r->n && *right; peer++)
		*right = is_from(r, c, peer, (size_t)peer, 0);
	return status;
}

static ferrule_status_t alltoall(struct rank *r, const struct call *c, bool *right)
{
	const ferrule_status_t status =
		ferrule_alltoall(r->comm, r->in, r->out, c->count, FERRULE_FLOAT32);

	for (int peer = 0; status == FERRULE_OK && peer < r->n && *right; peer++)
		*right = is_from(r, c, peer, (size_t)peer, (size_t)r->rank * c->count);
	return status;
}

/* Rank 0 says when it is over, so that all ranks make the same number of calls. */
static ferrule_status_t ask_whether_over(struct rank *r)
{
	int32_t over = r->rank == 0 && fault_now_ns() - r->begin_ns > WORK_NS;
	const ferrule_status_t status =
		ferrule_broadcast(r->comm, &over, &over, 1, FERRULE_INT32, 0);

	r->is_over = status == FERRULE_OK && over;
	return status;
}

static ferrule_status_t one_call(struct rank *r, int call_number, bool *right)
{
	static ferrule_status_t (*const calls[])(struct rank *, const struct call *, bool *) = {
		allreduce, reduce_scatter, broadcast, allgather, alltoall,
	};
	static const size_t most[] = {1, 30, 3000, COUNT_MAX};
	const uint64_t drawn = fault_random(&r->random);
	const struct call c = {
		.which = (int)(drawn % (sizeof(calls) / sizeof(calls[0]))),
		.number = call_number,
		.count = 1 + (drawn >> 8) % most[(drawn >> 40) % 4] / (size_t)r->n,
		.root = (int)((drawn >> 48) % (uint64_t)r->n),
	};

	fill(r, &c, c.count * (size_t)r->n);
	*right = true;
	const ferrule_status_t status = calls[c.which](r, &c, right);
	return status == FERRULE_OK && *right ? ask_whether_over(r) : status;
}

/* ---- what a victim does ---- */

static void act_kill(struct rank *r)
{
	(void)r;
	raise(SIGKILL);
}

/* A data loader, which holds everything that its parent has open. */
static void act_fork_and_die(struct rank *r)
{
	(void)r;
	if (fork() == 0) {
		sleep(8);
		_exit(0);
	}
	raise(SIGKILL);
}

static void act_leave(struct rank *r)
{
	ferrule_comm_destroy(r->comm);
	_exit(0);
}

static void act_exit(struct rank *r)
{
	(void)r;
	_exit(0);
}

static void act_abort(struct rank *r)
{
	ferrule_comm_abort(r->comm, "the loss is not a number");
	_exit(0);
}

static void act_no_buffer(struct rank *r)
{
	ferrule_allreduce(r->comm, NULL, NULL, 1000, FERRULE_FLOAT32, FERRULE_SUM);
	pause();
}

static void act_other_count(struct rank *r)
{
	ferrule_allreduce(r->comm, r->in, r->out, COUNT_MAX / 2, FERRULE_FLOAT32, FERRULE_SUM);
	pause();
}

static void act_empty(struct rank *r)
{
	ferrule_allreduce(r->comm, r->in, r->out, 0, FERRULE_FLOAT32, FERRULE_SUM);
	pause();
}

static const struct act {
	const char *name;
	void (*now)(struct rank *r);
} acts[] = {
	{"kill", act_kill},
	{"fork and die", act_fork_and_die},
	{"leave", act_leave},
	{"exit", act_exit},
	{"abort", act_abort},
	{"no buffer", act_no_buffer},
	{"other count", act_other_count},
	{"empty", act_empty},
};

static void act(struct rank *r)
{
	const char *wanted = getenv("FAULT_ACT");

	for (size_t i = 0; wanted && i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(acts[i].name, wanted) == 0) {
			report(r, FAULT_INJECTED, 0, wanted);
			acts[i].now(r);
		}
}

/* ---- limits ---- */

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void limit_itself(void)
{
	const long descriptors = number("FAULT_DESCRIPTORS", -1);
	const long kib = number("FAULT_MEMORY_KIB", -1);

	if (descriptors >= 0) {
		const rlim_t n = (rlim_t)(open_descriptors() + descriptors);

		setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = n, .rlim_max = n});
	}
	if (kib >= 0) {
		long pages = 0;
		FILE *f = fopen("/proc/self/statm", "r");

		if (!f || fscanf(f, "%ld", &pages) != 1)
			_exit(3);
		fclose(f);
		const rlim_t bytes = (rlim_t)(pages * sysconf(_SC_PAGESIZE) + kib * 1024);

		setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = bytes, .rlim_max = bytes});
	}
}

/* The record lies where the driver looks after this process has died. */
static void fail_at_call(void)
{
	const int fd = (int)number("FAULT_RECORD_FD", -1);

	if (fd < 0)
		return;
	struct t_faults *record =
		mmap(NULL, sizeof(*record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (record == MAP_FAILED)
		_exit(3);
	t_faults_arm(record, (unsigned long)number("FAULT_AT_CALL", 0),
	             (int)number("FAULT_CALL", 0));
}

/* ---- life ---- */

static int work(struct rank *r)
{
	const long at = number("FAULT_AT", 0);
	ferrule_status_t status = FERRULE_OK;
	bool right = true;

	r->begin_ns = fault_now_ns();
	for (int i = 0; status == FERRULE_OK && right && !r->is_over; i++) {
		if (i == at)
			act(r);
		status = one_call(r, i, &right);
	}
	if (status == FERRULE_OK && right)
		status = ferrule_comm_finalize(r->comm);
	report(r, right ? FAULT_ENDED : FAULT_WRONG, status, ferrule_comm_error_text(r->comm));
	ferrule_comm_destroy(r->comm);
	return 0;
}

int fault_rank_main(void)
{
	struct rank r = {
		.report_fd = (int)number("FAULT_REPORT_FD", -1),
		.rank = (int)number("RANK", -1),
		.n = (int)number("WORLD_SIZE", 0),
		.random = (uint64_t)number("FAULT_SEED", 0),
		/* Blocks of all ranks, rounded up. */
		.in = malloc((COUNT_MAX + FAULT_RANKS_MAX) * sizeof(float)),
		.out = malloc((COUNT_MAX + FAULT_RANKS_MAX) * sizeof(float)),
	};

	if (!r.in || !r.out)
		return 3;
	limit_itself();
	fail_at_call();
	const ferrule_status_t status = ferrule_comm_create_from_env(NULL, &r.comm);
	if (status != FERRULE_OK) {
		report(&r, FAULT_ENDED, status, ferrule_comm_error_text(NULL));
		return 1;
	}
	report(&r, FAULT_STANDS, status, "");
	return work(&r);
}

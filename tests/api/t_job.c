#include "config.h"

#include "tests/api/t_job.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

#define DEADLINE_S 60.0

struct job {
	const char *transport;
	const char *const *settings;
	t_job_fn *fn;
	void *arg;
	bool is_broken;
};

double t_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int t_check_at(struct t_job_rank *r, int holds, const char *text, const char *file, int line)
{
	if (holds)
		return 1;
	r->failures++;
	/* The first few tell the story. */
	if (r->failures <= 5)
		fprintf(stderr, "%s:%d: rank %d of %d: does not hold: %s\n", file, line, r->rank,
		        r->n, text);
	return 0;
}

int t_status_at(struct t_job_rank *r, ferrule_status_t status, ferrule_status_t wanted,
                const char *text, const char *file, int line)
{
	if (status == wanted)
		return 1;
	r->failures++;
	if (r->failures <= 5)
		fprintf(stderr, "%s:%d: rank %d of %d: %s returned %s, not %s: %s\n", file, line,
		        r->rank, r->n, text, ferrule_status_name(status),
		        ferrule_status_name(wanted), ferrule_comm_error_text(NULL));
	return 0;
}

int t_says_at(struct t_job_rank *r, const char *text, const char *part, const char *file, int line)
{
	if (strstr(text, part))
		return 1;
	r->failures++;
	if (r->failures <= 5)
		fprintf(stderr, "%s:%d: rank %d of %d: \"%s\" does not say \"%s\"\n", file, line,
		        r->rank, r->n, text, part);
	return 0;
}

static void set_environment(const struct job *job)
{
	if (job->transport)
		setenv("FERRULE_TRANSPORT", job->transport, 1);
	for (const char *const *s = job->settings; s && *s; s++) {
		char name[64];
		const char *equals = strchr(*s, '=');

		snprintf(name, sizeof(name), "%.*s", (int)(equals - *s), *s);
		setenv(name, equals + 1, 1);
	}
}

static int run_rank(int rank, int n, void *arg)
{
	const struct job *job = arg;
	struct t_job_rank r = {.rank = rank, .n = n, .arg = job->arg};

	set_environment(job);
	if (!t_ok(&r, ferrule_comm_create_from_env(NULL, &r.comm)))
		return 1;
	job->fn(&r);
	if (!job->is_broken)
		t_ok(&r, ferrule_comm_finalize(r.comm));
	ferrule_comm_destroy(r.comm);
	return r.failures > 0;
}

static int run_job(int n, double deadline_s, struct job *job)
{
	const int failed = t_spawn(n, deadline_s, run_rank, job, NULL);

	if (failed != 0)
		fprintf(stderr, "%d of %d ranks failed over %s\n", failed, n,
		        job->transport ? job->transport : "all transports");
	CU_ASSERT_EQUAL(failed, 0);
	return failed;
}

int t_job(int n, const char *transport, const char *const *settings, t_job_fn *fn, void *arg)
{
	struct job job = {.transport = transport, .settings = settings, .fn = fn, .arg = arg};

	return run_job(n, DEADLINE_S, &job);
}

int t_job_broken(int n, const char *transport, const char *const *settings, double deadline_s,
                 t_job_fn *fn, void *arg)
{
	struct job job = {.transport = transport,
	                  .settings = settings,
	                  .fn = fn,
	                  .arg = arg,
	                  .is_broken = true};

	return run_job(n, deadline_s, &job);
}

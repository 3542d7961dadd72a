/*
 * t_job.h - ranks with a communicator, for tests of the public interface.
 */
#ifndef T_JOB_H
#define T_JOB_H

#include <ferrule/ferrule.h>

/* A rank as its function sees it. */
struct t_job_rank {
	int rank, n;
	ferrule_comm_t comm;
	unsigned failures; /* checks that did not hold */
	void *arg;
};
typedef void t_job_fn(struct t_job_rank *r);

/*
 * t_job - forks n ranks over `transport` ("shm", "tcp" or NULL for all), each of which creates
 * a communicator, runs fn, finalizes and destroys it.  `settings` are "NAME=value" pairs,
 * ended by NULL; may be NULL.  Returns the number of ranks that failed, and asserts that it
 * is 0 with CUnit.
 */
int t_job(int n, const char *transport, const char *const *settings, t_job_fn *fn, void *arg);

/* t_job_broken - the same for ranks that are meant to end in an error: no finalize, and
 * `deadline_s` for all. */
int t_job_broken(int n, const char *transport, const char *const *settings, double deadline_s,
                 t_job_fn *fn, void *arg);

/* t_check - counts and prints a check of a rank that does not hold; returns `holds`. */
#define t_check(r, holds) t_check_at((r), (holds), #holds, __FILE__, __LINE__)
int t_check_at(struct t_job_rank *r, int holds, const char *text, const char *file, int line);

/* t_ok - the same for a call that must succeed; prints the error's text. */
#define t_ok(r, call) t_status_at((r), (call), FERRULE_OK, #call, __FILE__, __LINE__)
/* t_fails - for one that must fail with just this status. */
#define t_fails(r, call, wanted) t_status_at((r), (call), (wanted), #call, __FILE__, __LINE__)
int t_status_at(struct t_job_rank *r, ferrule_status_t status, ferrule_status_t wanted,
                const char *text, const char *file, int line);

/* t_says - does the communicator's error text contain this? */
#define t_says(r, part) \
	t_says_at((r), ferrule_comm_error_text((r)->comm), (part), __FILE__, __LINE__)
int t_says_at(struct t_job_rank *r, const char *text, const char *part, const char *file, int line);

/* t_now - seconds, monotonic. */
double t_now(void);

#endif

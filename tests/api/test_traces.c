/*
 * What a communicator leaves behind: no descriptor in a program that is executed, none after it
 * is destroyed, and the job key in no memory that was given back.
 */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auth.h"
#include "lib/base/parse.h"
#include "lib/comm/handle.h"
#include "tests/api/t_job.h"
#include "tests/support/t_main.h"
#include "tests/support/t_sanitizer.h"
#include "tests/support/t_spawn.h"

static const char *const transports[] = {"shm", "tcp", "shm,tcp"};
#define N_TRANSPORTS (sizeof(transports) / sizeof(transports[0]))

/* ---- what is freed ---- */

static unsigned char key[FR_AUTH_KEY_BYTES];
static atomic_bool watches_frees;
static atomic_uint n_leaks, n_frees;

#if !T_SANITIZED
extern void __libc_free(void *ptr);

/* This program's own: looks at what it gets before the memory goes back. */
void free(void *ptr)
{
	if (ptr && atomic_load(&watches_frees)) {
		atomic_fetch_add(&n_frees, 1);
		if (memmem(ptr, malloc_usable_size(ptr), key, sizeof(key)))
			atomic_fetch_add(&n_leaks, 1);
	}
	__libc_free(ptr);
}
#endif

/* A communicator's own memory is kept, for the next one. */
static void look_at(ferrule_comm_t destroyed)
{
	if (memmem(fr_comm_of(destroyed), sizeof(struct ferrule_comm), key, sizeof(key)))
		atomic_fetch_add(&n_leaks, 1);
}

static ferrule_status_t create_and_destroy(void)
{
	ferrule_comm_t comm, dup;
	float x = 1;
	ferrule_status_t status = ferrule_comm_create_from_env(NULL, &comm);

	if (status != FERRULE_OK)
		return status;
	status = ferrule_allreduce(comm, &x, &x, 1, FERRULE_FLOAT32, FERRULE_SUM);
	if (status == FERRULE_OK)
		status = ferrule_comm_dup(comm, &dup);
	if (status == FERRULE_OK)
		ferrule_comm_destroy(dup);
	ferrule_comm_destroy(comm);
	look_at(comm);
	return status;
}

static int rank_with_a_secret(int rank, int n, void *arg)
{
	struct t_job_rank r = {.rank = rank, .n = n};

	setenv("FERRULE_TRANSPORT", arg, 1);
	if (!t_check(&r, fr_parse_hex(getenv("FERRULE_JOB_KEY"), key, sizeof(key))))
		return 1;
	atomic_store(&watches_frees, true);
	t_ok(&r, create_and_destroy());
	atomic_store(&watches_frees, false);
	t_check(&r, atomic_load(&n_frees) > 10);
	t_check(&r, atomic_load(&n_leaks) == 0);
	return r.failures > 0;
}

static void test_no_freed_memory_holds_the_key(void)
{
	if (T_SANITIZED) {
		t_skip("a sanitizer's allocator takes the place of free()");
		return;
	}
	for (size_t i = 0; i < N_TRANSPORTS; i++)
		CU_ASSERT_EQUAL(t_spawn(3, 30, rank_with_a_secret, (void *)transports[i], NULL), 0);
}

/* ---- descriptors ---- */

#define FDS_MAX 1024

/* Marks what is open; returns how many. */
static int list_descriptors(bool is_open[FDS_MAX])
{
	int n = 0;

	for (int fd = 0; fd < FDS_MAX; fd++) {
		is_open[fd] = fcntl(fd, F_GETFD) >= 0;
		n += is_open[fd];
	}
	return n;
}

static int rank_with_descriptors(int rank, int n, void *arg)
{
	struct t_job_rank r = {.rank = rank, .n = n};
	bool before[FDS_MAX], during[FDS_MAX], after[FDS_MAX];

	setenv("FERRULE_TRANSPORT", arg, 1);
	/* Once, so that what is opened once a process does not count. */
	if (!t_ok(&r, create_and_destroy()))
		return 1;
	list_descriptors(before);
	if (!t_ok(&r, ferrule_comm_create_from_env(NULL, &r.comm)))
		return 1;
	t_check(&r, list_descriptors(during) > 3);
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (during[fd] && !before[fd] &&
		    !t_check(&r, (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0))
			fprintf(stderr, "      descriptor %d is not closed on exec\n", fd);
	t_ok(&r, ferrule_comm_finalize(r.comm));
	ferrule_comm_destroy(r.comm);
	list_descriptors(after);
	t_check(&r, memcmp(before, after, sizeof(after)) == 0);
	return r.failures > 0;
}

static void test_descriptors_are_closed(void)
{
	for (size_t i = 0; i < N_TRANSPORTS; i++)
		CU_ASSERT_EQUAL(t_spawn(3, 30, rank_with_descriptors, (void *)transports[i], NULL),
		                0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"no freed memory holds the job key", test_no_freed_memory_holds_the_key},
		{"descriptors are closed on exec and by destroy", test_descriptors_are_closed},
		{NULL, NULL},
	};

	return t_main("traces", cases);
}

/*
 * When communicators and operations end: in a forked child, from another thread, twice, and in
 * the hands of somebody who still holds the handle.
 */
#include "config.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/api/t_job.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

static const char *const transports[] = {"shm", "tcp"};

static ferrule_status_t sum(ferrule_comm_t comm, float mine, float *out)
{
	return ferrule_allreduce(comm, &mine, out, 1, FERRULE_FLOAT32, FERRULE_SUM);
}

static void check_sum(struct t_job_rank *r)
{
	float total = 0;

	t_ok(r, sum(r->comm, (float)r->rank + 1, &total));
	t_check(r, total == (float)(r->n * (r->n + 1)) / 2);
}

/* ---- forked children ---- */

/* Runs fn in a forked child; what it finds wrong counts here. */
static void in_child(struct t_job_rank *r, void (*fn)(struct t_job_rank *))
{
	int status = -1;
	const pid_t child = fork();

	if (child == 0) {
		r->failures = 0;
		fn(r);
		fflush(stderr);
		_exit(r->failures > 0);
	}
	t_check(r, child > 0 && waitpid(child, &status, 0) == child);
	t_check(r, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Refused, with both processes named. */
static void refused(struct t_job_rank *r, ferrule_status_t status)
{
	char parent[32], child[32];
	const char *text = ferrule_comm_error_text(NULL);

	snprintf(parent, sizeof(parent), "process %d,", (int)getppid());
	snprintf(child, sizeof(child), "process %d,", (int)getpid());
	t_check(r, status == FERRULE_ERR_ARGUMENT);
	t_check(r, strstr(text, parent) && strstr(text, child) && strstr(text, "fork"));
	t_check(r, strcmp(ferrule_comm_error_text(r->comm), text) == 0);
}

static void every_call_is_refused(struct t_job_rank *r)
{
	struct ferrule_comm_stats stats = {.size = sizeof(stats)};
	struct ferrule_comm_report report = {.size = sizeof(report)};
	float x = 100, y;
	ferrule_comm_t other;
	ferrule_redop_t redop;
	ferrule_op_t op;
	char path[64];
	void *p;

	refused(r, sum(r->comm, 100, &y));
	refused(r, ferrule_barrier_start(r->comm, &op));
	refused(r, ferrule_barrier_init(r->comm, &op));
	refused(r, ferrule_send(r->comm, &x, 1, FERRULE_FLOAT32, 1 - r->rank));
	refused(r, ferrule_recv(r->comm, &y, 1, FERRULE_FLOAT32, 1 - r->rank));
	refused(r, ferrule_group_begin(r->comm));
	refused(r, ferrule_group_end(r->comm));
	refused(r, ferrule_comm_split(r->comm, 0, 0, &other));
	refused(r, ferrule_comm_dup(r->comm, &other));
	refused(r, ferrule_comm_abort(r->comm, "child"));
	refused(r, ferrule_comm_finalize(r->comm));
	refused(r, ferrule_comm_status(r->comm));
	refused(r, ferrule_comm_get_stats(r->comm, &stats));
	refused(r, ferrule_comm_report(r->comm, &report));
	refused(r, ferrule_comm_path(r->comm, 1 - r->rank, path, sizeof(path)));
	refused(r, ferrule_mem_alloc(r->comm, 4096, &p));
	refused(r, ferrule_mem_free(r->comm, &x));
	refused(r, ferrule_mem_register(r->comm, &x, sizeof(x)));
	refused(r, ferrule_mem_deregister(r->comm, &x));
	refused(r, ferrule_redop_create_premul_sum(r->comm, &x, FERRULE_FLOAT32, &redop));
	refused(r, ferrule_redop_destroy(r->comm, FERRULE_N_REDOPS));
	/* Numbers of its own are no secret. */
	t_check(r, ferrule_comm_rank(r->comm) == r->rank);
	t_check(r, ferrule_comm_size(r->comm) == r->n);
}

static void grandchild_too(struct t_job_rank *r)
{
	float y;

	t_check(r, sum(r->comm, 100, &y) == FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_comm_destroy(r->comm));
	t_fails(r, ferrule_comm_destroy(r->comm), FERRULE_ERR_ARGUMENT);
}

static void destroying_its_copy(struct t_job_rank *r)
{
	in_child(r, grandchild_too);
	t_ok(r, ferrule_comm_destroy(r->comm));
	t_fails(r, ferrule_barrier(r->comm), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_comm_destroy(r->comm), FERRULE_ERR_ARGUMENT);
}

static void forking_ranks(struct t_job_rank *r)
{
	for (int round = 0; round < 3; round++) {
		check_sum(r);
		in_child(r, every_call_is_refused);
		check_sum(r);
		in_child(r, destroying_its_copy);
		check_sum(r);
	}
}

static void test_a_forked_child_is_refused(void)
{
	for (int t = 0; t < 2; t++)
		t_job(2, transports[t], NULL, forking_ranks, NULL);
}

static ferrule_op_t held_op;

static void with_the_parents_operation(struct t_job_rank *r)
{
	refused(r, ferrule_op_test(held_op));
	refused(r, ferrule_op_wait(held_op));
	refused(r, ferrule_op_start(held_op));
	t_ok(r, ferrule_op_destroy(held_op));
	t_fails(r, ferrule_op_destroy(held_op), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_comm_destroy(r->comm));
}

static void forking_with_operations(struct t_job_rank *r)
{
	static float x[100000], y[100000];

	x[99999] = (float)r->rank + 1;
	t_ok(r,
	     ferrule_allreduce_init(r->comm, x, y, 100000, FERRULE_FLOAT32, FERRULE_SUM, &held_op));
	t_ok(r, ferrule_op_start(held_op));
	in_child(r, with_the_parents_operation);
	t_ok(r, ferrule_op_wait(held_op));
	t_check(r, y[99999] == 3);
	t_ok(r, ferrule_op_start(held_op));
	t_ok(r, ferrule_op_destroy(held_op));
}

static void test_a_forked_child_has_no_operations(void)
{
	for (int t = 0; t < 2; t++)
		t_job(2, transports[t], NULL, forking_with_operations, NULL);
}

static void own_communicator(struct t_job_rank *r, const ferrule_unique_id_t *id)
{
	struct t_job_rank mine = *r;

	if (!t_ok(r, ferrule_comm_create(id, r->rank, r->n, NULL, &mine.comm)))
		return;
	for (int i = 0; i < 10; i++)
		check_sum(&mine);
	t_fails(r, ferrule_barrier(r->comm), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_comm_finalize(mine.comm));
	t_ok(r, ferrule_comm_destroy(mine.comm));
	t_ok(r, ferrule_comm_destroy(r->comm));
	r->failures += mine.failures;
}

/* Rank 0 of the children's communicator makes the id, which goes to the other through a pipe. */
static void making_an_id(struct t_job_rank *r)
{
	const int *fds = r->arg;
	ferrule_unique_id_t id;

	if (r->rank == 0) {
		t_ok(r, ferrule_unique_id_create(&id));
		t_check(r, write(fds[1], &id, sizeof(id)) == (ssize_t)sizeof(id));
	} else {
		t_check(r, read(fds[0], &id, sizeof(id)) == (ssize_t)sizeof(id));
	}
	own_communicator(r, &id);
}

static void forking_for_a_job_of_their_own(struct t_job_rank *r)
{
	check_sum(r);
	in_child(r, making_an_id);
	check_sum(r);
}

static void test_children_with_a_communicator_of_their_own(void)
{
	int fds[2];

	for (int t = 0; t < 2; t++) {
		CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
		t_job(2, transports[t], NULL, forking_for_a_job_of_their_own, fds);
		close(fds[0]);
		close(fds[1]);
	}
}

static void a_parents_id(struct t_job_rank *r)
{
	const ferrule_unique_id_t *id = r->arg;
	ferrule_comm_t comm;

	t_fails(r, ferrule_comm_create(id, 0, 1, NULL, &comm), FERRULE_ERR_ARGUMENT);
	t_check(r, strstr(ferrule_comm_error_text(NULL), "before it forked this one") != NULL);
}

/* ---- descriptors ---- */

/* Sockets, shared memory and the like that are open; what is not the library's is open before. */
static int n_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int n_before;

static void nothing_of_the_librarys(struct t_job_rank *r)
{
	t_check(r, n_open() == n_before);
	/* Numbers that the library used are the child's now, and stay so. */
	const int mine = dup(STDERR_FILENO);

	t_ok(r, ferrule_comm_destroy(r->comm));
	t_check(r, fcntl(mine, F_GETFD) >= 0);
	t_check(r, n_open() == n_before + 1);
}

static int rank_of_descriptors(int rank, int n, void *arg)
{
	struct t_job_rank r = {.rank = rank, .n = n};
	ferrule_unique_id_t id;

	setenv("FERRULE_TRANSPORT", arg, 1);
	n_before = n_open();
	t_ok(&r, ferrule_unique_id_create(&id));
	if (!t_ok(&r, ferrule_comm_create_from_env(NULL, &r.comm)))
		return 1;
	check_sum(&r);
	t_check(&r, n_open() > n_before);
	in_child(&r, nothing_of_the_librarys);
	r.arg = &id;
	in_child(&r, a_parents_id);
	check_sum(&r);
	/* The parent's id is still good. */
	t_ok(&r, ferrule_comm_finalize(r.comm));
	t_ok(&r, ferrule_comm_destroy(r.comm));
	t_ok(&r, ferrule_comm_create(&id, 0, 1, NULL, &r.comm));
	t_ok(&r, ferrule_comm_destroy(r.comm));
	return r.failures > 0;
}

static void test_a_forked_child_has_no_descriptors(void)
{
	for (int t = 0; t < 2; t++)
		CU_ASSERT_EQUAL(
			t_spawn(2, 60, rank_of_descriptors, (void *)(uintptr_t)transports[t], NULL),
			0);
}

/* ---- destroyed by another thread ---- */

/* A thread that calls until the communicator is taken away from it. */
struct caller {
	ferrule_comm_t comm;
	int rank;
	_Atomic int is_inside; /* about to call, for the last time that succeeds or not */
	ferrule_status_t status;
	char text[512];
};

static void *wait_for_ever(void *arg)
{
	struct caller *c = arg;

	atomic_store(&c->is_inside, 1);
	/* No other rank comes.  Busy: the look of until_inside(). */
	do {
		c->status = ferrule_barrier(c->comm);
	} while (c->status == FERRULE_ERR_BUSY);
	snprintf(c->text, sizeof(c->text), "%s", ferrule_comm_error_text(NULL));
	return NULL;
}

/* Until the thread waits in there: then a question gets BUSY, or, with one lock, nothing yet. */
static void until_inside(const struct caller *c, enum ferrule_thread_mode mode)
{
	struct ferrule_comm_stats stats = {.size = sizeof(stats)};
	const double deadline = t_now() + 20;

	while (!atomic_load(&c->is_inside))
		;
	while (mode == FERRULE_THREAD_SINGLE && t_now() < deadline &&
	       ferrule_comm_get_stats(c->comm, &stats) != FERRULE_ERR_BUSY)
		;
	/* There is nothing to be seen from outside of a lock: either order is right. */
}

static void *destroy_too(void *arg)
{
	struct caller *c = arg;

	c->status = ferrule_comm_destroy(c->comm);
	snprintf(c->text, sizeof(c->text), "%s", ferrule_comm_error_text(NULL));
	return NULL;
}

static ferrule_comm_t with_threads(struct t_job_rank *r, enum ferrule_thread_mode mode)
{
	const struct ferrule_comm_options options = {
		.size = sizeof(options), .thread_mode = mode, .timeout_s = 30};
	ferrule_comm_t comm = NULL;
	ferrule_unique_id_t id;

	if (r->rank == 0)
		t_ok(r, ferrule_unique_id_create(&id));
	t_ok(r, ferrule_broadcast(r->comm, &id, &id, sizeof(id), FERRULE_UINT8, 0));
	t_ok(r, ferrule_comm_create(&id, r->rank, r->n, &options, &comm));
	return comm;
}

/* Rank 0's thread waits for the others, who do not come; two more destroy what it waits on. */
static void taken_away(struct t_job_rank *r, enum ferrule_thread_mode mode)
{
	struct caller waiting = {.comm = with_threads(r, mode), .rank = r->rank};
	struct caller other = {.comm = waiting.comm};
	const double begin = t_now();
	pthread_t threads[2];

	if (r->rank == 0 && waiting.comm) {
		pthread_create(&threads[0], NULL, wait_for_ever, &waiting);
		until_inside(&waiting, mode);
		pthread_create(&threads[1], NULL, destroy_too, &other);
		const ferrule_status_t mine = ferrule_comm_destroy(waiting.comm);

		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		t_check(r, t_now() - begin < 10);
		/* Inside: cancelled.  Not inside yet: refused. */
		t_check(r, waiting.status == FERRULE_ERR_ABORTED ||
		                   (mode == FERRULE_THREAD_MULTIPLE &&
		                    waiting.status == FERRULE_ERR_ARGUMENT));
		t_check(r, strstr(waiting.text, "destroy") != NULL);
		t_check(r, (mine == FERRULE_OK) != (other.status == FERRULE_OK));
		t_check(r, mine == FERRULE_ERR_ARGUMENT || other.status == FERRULE_ERR_ARGUMENT);
		t_fails(r, ferrule_barrier(waiting.comm), FERRULE_ERR_ARGUMENT);
	}
	t_ok(r, ferrule_barrier(r->comm));
	if (r->rank > 0) {
		/* What rank 0 had sent before it was taken away is good; more does not come. */
		ferrule_status_t status = ferrule_barrier(waiting.comm);

		if (status == FERRULE_OK)
			status = ferrule_barrier(waiting.comm);
		t_check(r, status == FERRULE_ERR_ABORTED || status == FERRULE_ERR_PEER_LEFT);
		t_ok(r, ferrule_comm_destroy(waiting.comm));
	}
}

static void taken_away_single(struct t_job_rank *r)
{
	for (int round = 0; round < 5; round++)
		taken_away(r, FERRULE_THREAD_SINGLE);
}

static void taken_away_multiple(struct t_job_rank *r)
{
	for (int round = 0; round < 5; round++)
		taken_away(r, FERRULE_THREAD_MULTIPLE);
}

static void test_destroyed_by_another_thread(void)
{
	for (int t = 0; t < 2; t++) {
		t_job(2, transports[t], NULL, taken_away_single, NULL);
		t_job(2, transports[t], NULL, taken_away_multiple, NULL);
	}
}

static void *sum_until_refused(void *arg)
{
	struct caller *c = arg;
	float total = 0;

	do {
		atomic_fetch_add(&c->is_inside, 1);
		c->status = sum(c->comm, 1, &total);
	} while (c->status == FERRULE_OK || c->status == FERRULE_ERR_BUSY);
	snprintf(c->text, sizeof(c->text), "%s", ferrule_comm_error_text(NULL));
	return NULL;
}

/* One rank alone, so that its calls are short and the end comes at any point of them; the memory
 * is used again at once by the next communicator, which must not feel the old handle. */
static void alone_in_a_storm(struct t_job_rank *r)
{
	const struct ferrule_comm_options options = {.size = sizeof(options),
	                                             .thread_mode = FERRULE_THREAD_MULTIPLE};

	for (int round = 0; round < 20; round++) {
		struct caller callers[3] = {{.comm = NULL}};
		pthread_t threads[3];
		ferrule_unique_id_t id;
		ferrule_comm_t comm, next;
		float total = 0;

		t_ok(r, ferrule_unique_id_create(&id));
		if (!t_ok(r, ferrule_comm_create(&id, 0, 1, round % 2 ? &options : NULL, &comm)))
			return;
		for (int i = 0; i < 3; i++) {
			callers[i].comm = comm;
			pthread_create(&threads[i], NULL, sum_until_refused, &callers[i]);
		}
		while (atomic_load(&callers[0].is_inside) < 100 + round)
			;
		t_ok(r, ferrule_comm_destroy(comm));
		t_ok(r, ferrule_unique_id_create(&id));
		t_ok(r, ferrule_comm_create(&id, 0, 1, NULL, &next));
		t_check(r, next != comm);
		for (int i = 0; i < 50; i++)
			t_ok(r, sum(next, 2, &total));
		for (int i = 0; i < 3; i++) {
			pthread_join(threads[i], NULL);
			t_check(r, callers[i].status == FERRULE_ERR_ARGUMENT ||
			                   callers[i].status == FERRULE_ERR_ABORTED);
			t_check(r, strstr(callers[i].text, "destroy") != NULL);
		}
		t_ok(r, ferrule_comm_destroy(next));
	}
}

static void test_destroyed_under_a_storm_of_calls(void)
{
	t_job(1, "shm", NULL, alone_in_a_storm, NULL);
}

/* ---- handles of what is no more ---- */

static void stale(struct t_job_rank *r)
{
	ferrule_comm_t comm, again;
	ferrule_op_t done, held, never = (ferrule_op_t)(uintptr_t)0xdead00000001;
	static float x[4], y[4];

	t_ok(r, ferrule_comm_dup(r->comm, &comm));
	t_ok(r, ferrule_barrier_start(comm, &done));
	t_ok(r, ferrule_op_wait(done));
	t_ok(r, ferrule_op_destroy(done));
	t_fails(r, ferrule_op_test(done), FERRULE_ERR_ARGUMENT);
	t_check(r, strstr(ferrule_comm_error_text(NULL), "destroyed") != NULL);
	t_fails(r, ferrule_op_destroy(done), FERRULE_ERR_ARGUMENT);
	/* The same memory, another operation. */
	t_ok(r, ferrule_allreduce_init(comm, x, y, 4, FERRULE_FLOAT32, FERRULE_SUM, &held));
	t_check(r, held != done);
	t_fails(r, ferrule_op_start(done), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_op_wait(never), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_op_start(held));
	t_ok(r, ferrule_op_wait(held));
	t_ok(r, ferrule_comm_finalize(comm));
	t_ok(r, ferrule_comm_destroy(comm));
	t_fails(r, ferrule_comm_destroy(comm), FERRULE_ERR_ARGUMENT);
	t_check(r, ferrule_comm_rank(comm) == -1 && ferrule_comm_size(comm) == -1);
	t_fails(r, ferrule_comm_status(comm), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_comm_abort(comm, "late"), FERRULE_ERR_ARGUMENT);
	t_check(r, strstr(ferrule_comm_error_text(comm), "was destroyed") != NULL);
	t_check(r, strcmp(ferrule_comm_transport(comm, 0), "unknown") == 0);
	/* Its operation outlives it, to be destroyed. */
	t_fails(r, ferrule_op_wait(held), FERRULE_ERR_ARGUMENT);
	t_check(r, strstr(ferrule_comm_error_text(NULL), "its communicator was destroyed") != NULL);
	t_fails(r, ferrule_op_start(held), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_op_destroy(held));
	t_fails(r, ferrule_op_destroy(held), FERRULE_ERR_ARGUMENT);
	/* The same memory, another communicator. */
	t_ok(r, ferrule_comm_dup(r->comm, &again));
	t_fails(r, ferrule_barrier(comm), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_barrier(again));
	t_ok(r, ferrule_comm_finalize(again));
	t_ok(r, ferrule_comm_destroy(again));
}

static void test_stale_handles(void)
{
	for (int t = 0; t < 2; t++)
		t_job(2, transports[t], NULL, stale, NULL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a forked child is refused", test_a_forked_child_is_refused},
		{"a forked child has no operations", test_a_forked_child_has_no_operations},
		{"children with a communicator of their own",
	         test_children_with_a_communicator_of_their_own},
		{"a forked child has no descriptors", test_a_forked_child_has_no_descriptors},
		{"destroyed by another thread", test_destroyed_by_another_thread},
		{"destroyed under a storm of calls", test_destroyed_under_a_storm_of_calls},
		{"stale handles", test_stale_handles},
		{NULL, NULL},
	};

	return t_main("lifetimes", cases);
}

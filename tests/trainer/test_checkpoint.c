/* Checkpoints on disk, saved and loaded by real ranks. */
#include "config.h"

#include <CUnit/CUnit.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ferrule/ferrule.h>
#include <ferrule/trainer.h>

#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

#define DEADLINE_S 30
#define N_PARAMS   1001

/* A directory for one test, and the checkpoint in it. */
struct place {
	char directory[64];
	char path[96];
	int saved_by; /* ranks */
};

static void set_up(struct place *p)
{
	snprintf(p->directory, sizeof(p->directory), "test-checkpoint-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(p->directory));
	snprintf(p->path, sizeof(p->path), "%s/c.ckpt", p->directory);
}

/* Removes everything; returns how many files there were. */
static int tear_down(struct place *p)
{
	DIR *directory = opendir(p->directory);
	const struct dirent *entry;
	int n = 0;

	while (directory && (entry = readdir(directory))) {
		char path[512];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", p->directory, entry->d_name);
		unlink(path);
		n++;
	}
	if (directory)
		closedir(directory);
	rmdir(p->directory);
	return n;
}

/* One rank's state: the same on all ranks, and a function of `steps`. */
struct state {
	unsigned failures_before; /* of the parent, which a fork inherits */
	ferrule_comm_t comm;
	float params[N_PARAMS];
	struct ferrule_checkpoint c;
};

static bool train(struct state *s, int steps)
{
	const struct ferrule_optimizer_options o =
		ferrule_optimizer_defaults(FERRULE_OPTIMIZER_ADAM);
	float g[N_PARAMS];

	*s = (struct state){.failures_before = t_failures(),
	                    .c = {.size = sizeof(s->c),
	                          .seed = (uint64_t)steps,
	                          .epoch = 2,
	                          .batch = 5,
	                          .metrics = {0.5},
	                          .config = "test",
	                          .n_params = N_PARAMS}};
	s->c.params = s->params;
	if (ferrule_optimizer_create(&o, N_PARAMS, &s->c.optimizer))
		return false;
	for (int step = 0; step < steps; step++) {
		for (int i = 0; i < N_PARAMS; i++)
			g[i] = (float)(i % 13 - 6 + step);
		ferrule_optimizer_begin(s->c.optimizer);
		ferrule_optimizer_apply(s->c.optimizer, 0, N_PARAMS, s->params, g);
	}
	return true;
}

static bool open_state(struct state *s, int steps)
{
	return train(s, steps) && ferrule_comm_create_from_env(NULL, &s->comm) == FERRULE_OK;
}

static int close_state(struct state *s)
{
	ferrule_optimizer_destroy(s->c.optimizer);
	CU_ASSERT_EQUAL(ferrule_comm_finalize(s->comm), FERRULE_OK);
	ferrule_comm_destroy(s->comm);
	return t_failures() != s->failures_before;
}

static int save(int rank, int n_ranks, void *arg)
{
	const struct place *p = arg;
	struct state s;

	(void)rank, (void)n_ranks;
	if (!open_state(&s, 3))
		return 1;
	/* Twice: the second replaces the first. */
	CU_ASSERT_EQUAL(ferrule_checkpoint_save(s.comm, p->path, &s.c), FERRULE_OK);
	CU_ASSERT_EQUAL(ferrule_checkpoint_save(s.comm, p->path, &s.c), FERRULE_OK);
	return close_state(&s);
}

static int load(int rank, int n_ranks, void *arg)
{
	const struct place *p = arg;
	struct state s, expected;

	(void)rank, (void)n_ranks;
	if (!open_state(&s, 1))
		return 1;
	CU_ASSERT_EQUAL(ferrule_checkpoint_load(s.comm, p->path, &s.c), FERRULE_OK);
	CU_ASSERT_EQUAL(s.c.seed, 3);
	CU_ASSERT_EQUAL(s.c.epoch, 2);
	CU_ASSERT_EQUAL(s.c.batch, 5);
	CU_ASSERT_EQUAL(s.c.metrics[0], 0.5);
	CU_ASSERT_EQUAL(s.c.n_ranks, p->saved_by);
	/* Equal now, and after one more step on each: the optimizer's state is there too. */
	const float g[N_PARAMS] = {1, -2, 3};

	if (!train(&expected, 3))
		return 1;
	CU_ASSERT_EQUAL(memcmp(s.params, expected.params, sizeof(s.params)), 0);
	ferrule_optimizer_begin(s.c.optimizer);
	ferrule_optimizer_begin(expected.c.optimizer);
	ferrule_optimizer_apply(s.c.optimizer, 0, N_PARAMS, s.params, g);
	ferrule_optimizer_apply(expected.c.optimizer, 0, N_PARAMS, expected.params, g);
	CU_ASSERT_EQUAL(memcmp(s.params, expected.params, sizeof(s.params)), 0);
	ferrule_optimizer_destroy(expected.c.optimizer);
	return close_state(&s);
}

static void test_saved_by_any_ranks_loads_on_any_ranks(void)
{
	for (int savers = 1; savers <= 3; savers++) {
		struct place p;

		set_up(&p);
		p.saved_by = savers;
		CU_ASSERT_EQUAL(t_spawn(savers, DEADLINE_S, save, &p, NULL), 0);
		for (int loaders = 1; loaders <= 3; loaders += 2)
			CU_ASSERT_EQUAL(t_spawn(loaders, DEADLINE_S, load, &p, NULL), 0);
		/* And no temporary file is left. */
		CU_ASSERT_EQUAL(tear_down(&p), 1);
	}
}

/* Every rank gets the error with its text, and nothing has changed. */
static int refuse_to_load(int rank, int n_ranks, void *arg)
{
	const struct place *p = arg;
	struct state s;
	float before[N_PARAMS];

	(void)rank, (void)n_ranks;
	if (!open_state(&s, 1))
		return 1;
	memcpy(before, s.params, sizeof(before));
	CU_ASSERT(ferrule_checkpoint_load(s.comm, p->path, &s.c) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(ferrule_comm_error_text(NULL), p->path));
	CU_ASSERT_EQUAL(memcmp(before, s.params, sizeof(before)), 0);
	CU_ASSERT_EQUAL(ferrule_optimizer_steps(s.c.optimizer), 1);
	CU_ASSERT_EQUAL(s.c.seed, 1);
	/* The communicator is none the worse for it. */
	CU_ASSERT_EQUAL(ferrule_barrier(s.comm), FERRULE_OK);
	return close_state(&s);
}

static void test_a_damaged_file_changes_nothing(void)
{
	struct place p;

	set_up(&p);
	CU_ASSERT_EQUAL(t_spawn(2, DEADLINE_S, save, &p, NULL), 0);
	FILE *file = fopen(p.path, "r+");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fseek(file, 2000, SEEK_SET);
	const int byte = fgetc(file);

	fseek(file, 2000, SEEK_SET);
	fputc(byte ^ 1, file);
	fclose(file);
	CU_ASSERT_EQUAL(t_spawn(2, DEADLINE_S, refuse_to_load, &p, NULL), 0);
	CU_ASSERT_EQUAL(truncate(p.path, 3000), 0);
	CU_ASSERT_EQUAL(t_spawn(2, DEADLINE_S, refuse_to_load, &p, NULL), 0);
	CU_ASSERT_EQUAL(truncate(p.path, 0), 0);
	CU_ASSERT_EQUAL(t_spawn(2, DEADLINE_S, refuse_to_load, &p, NULL), 0);
	unlink(p.path);
	CU_ASSERT_EQUAL(t_spawn(2, DEADLINE_S, refuse_to_load, &p, NULL), 0);
	CU_ASSERT_EQUAL(tear_down(&p), 0);
}

static int fail_to_save(int rank, int n_ranks, void *arg)
{
	const struct place *p = arg;
	struct state s;
	char path[128];

	(void)rank, (void)n_ranks;
	if (!open_state(&s, 1))
		return 1;
	snprintf(path, sizeof(path), "%s/none/c.ckpt", p->directory);
	CU_ASSERT_EQUAL(ferrule_checkpoint_save(s.comm, path, &s.c), FERRULE_ERR_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(ferrule_comm_error_text(NULL), path));
	/* A directory is in the way of the rename. */
	CU_ASSERT_EQUAL(ferrule_checkpoint_save(s.comm, p->directory, &s.c), FERRULE_ERR_SYSTEM);
	CU_ASSERT_EQUAL(ferrule_checkpoint_save(s.comm, "", &s.c), FERRULE_ERR_ARGUMENT);
	s.c.size = 8;
	CU_ASSERT_EQUAL(ferrule_checkpoint_save(s.comm, p->path, &s.c), FERRULE_ERR_ARGUMENT);
	return close_state(&s);
}

static void test_what_cannot_be_written_is_an_error_on_all_ranks(void)
{
	struct place p;

	set_up(&p);
	CU_ASSERT_EQUAL(t_spawn(2, DEADLINE_S, fail_to_save, &p, NULL), 0);
	CU_ASSERT_EQUAL(tear_down(&p), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"saved by any ranks loads on any ranks",
	         test_saved_by_any_ranks_loads_on_any_ranks},
		{"a damaged file changes nothing", test_a_damaged_file_changes_nothing},
		{"what cannot be written is an error on all ranks",
	         test_what_cannot_be_written_is_an_error_on_all_ranks},
		{NULL, NULL},
	};

	return t_main("checkpoint", cases);
}

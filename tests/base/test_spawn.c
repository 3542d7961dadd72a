/* The test kit's ranks: their environment, their exit codes, and their end. */
#include "config.h"

#include "tests/support/t_spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "tests/support/t_main.h"

static int rank_checks_environment(int rank, int n_ranks, void *arg)
{
	char text[16];

	(void)arg;
	snprintf(text, sizeof(text), "%d", rank);
	if (strcmp(getenv("RANK"), text) != 0 || strcmp(getenv("LOCAL_RANK"), text) != 0)
		return 1;
	snprintf(text, sizeof(text), "%d", n_ranks);
	if (strcmp(getenv("WORLD_SIZE"), text) != 0)
		return 2;
	return strlen(getenv("FERRULE_JOB_KEY")) == 64 && atoi(getenv("MASTER_PORT")) > 0 ? 0 : 3;
}

static void test_ranks_know_who_they_are(void)
{
	CU_ASSERT_EQUAL(t_spawn(3, 10, rank_checks_environment, NULL, NULL), 0);
	CU_ASSERT_PTR_NULL(getenv("RANK"));
}

static int rank_ends_its_own_way(int rank, int n_ranks, void *arg)
{
	(void)n_ranks, (void)arg;
	if (rank == 2)
		kill(getpid(), SIGKILL);
	return rank == 1 ? 42 : 0;
}

static void test_each_end_is_told_apart(void)
{
	int codes[3] = {-1, -1, -1};

	CU_ASSERT_EQUAL(t_spawn(3, 10, rank_ends_its_own_way, NULL, codes), 2);
	CU_ASSERT_EQUAL(codes[0], 0);
	CU_ASSERT_EQUAL(codes[1], 42);
	CU_ASSERT_EQUAL(codes[2], 128 + SIGKILL);
}

static int rank_1_hangs(int rank, int n_ranks, void *arg)
{
	(void)n_ranks, (void)arg;
	while (rank == 1)
		pause();
	return 0;
}

static void test_a_rank_that_hangs_is_killed_at_the_deadline(void)
{
	const uint64_t began = fr_clock_ns();
	int codes[2] = {-1, -1};

	CU_ASSERT_EQUAL(t_spawn(2, 0.3, rank_1_hangs, NULL, codes), 1);
	CU_ASSERT_EQUAL(codes[0], 0);
	CU_ASSERT_EQUAL(codes[1], T_SPAWN_LATE);
	CU_ASSERT_TRUE(fr_clock_ns() - began < 5000000000u);
	/* Nothing is left, not even a zombie. */
	CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
	CU_ASSERT_EQUAL(errno, ECHILD);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"ranks know who they are", test_ranks_know_who_they_are},
		{"each end is told apart", test_each_end_is_told_apart},
		{"a rank that hangs is killed at the deadline",
	         test_a_rank_that_hangs_is_killed_at_the_deadline},
		{NULL, NULL},
	};

	return t_main("spawn", cases);
}

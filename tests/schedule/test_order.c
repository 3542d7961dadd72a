/* test_order.c - the derived order: what follows what, and that deriving it is cheap. */
#include "config.h"

#include "collectives/schedule/schedule.h"

#include <stdio.h>
#include <string.h>

#include "collectives/schedule/races.h"
#include "tests/support/t_main.h"

#define SEED 7u

static bool follows(const struct fr_sched *s, uint32_t step, uint32_t on)
{
	for (uint32_t d = 0; d < s->steps[step].n_deps; d++) {
		if (s->deps[s->steps[step].first_dep + d] == on)
			return true;
	}
	return false;
}

static void test_reads_follow_the_last_writer(void)
{
	struct fr_sched s;

	fr_sched_init(&s, 0, 2, FR_ALIAS_NONE, 0);
	fr_sched_recv(&s, 1, fr_range(FR_RECV, 0, 10));
	fr_sched_recv(&s, 1, fr_range(FR_RECV, 0, 4));
	fr_sched_send(&s, 1, fr_range(FR_RECV, 1, 2));
	fr_sched_send(&s, 1, fr_range(FR_RECV, 3, 3));
	fr_sched_send(&s, 1, fr_range(FR_RECV, 6, 2));
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
	CU_ASSERT(follows(&s, 1, 0));
	CU_ASSERT(follows(&s, 2, 1) && s.steps[2].n_deps == 1);
	CU_ASSERT(follows(&s, 3, 0) && follows(&s, 3, 1) && s.steps[3].n_deps == 2);
	CU_ASSERT(follows(&s, 4, 0) && s.steps[4].n_deps == 1);
	fr_sched_fini(&s);
}

static void test_writes_follow_the_readers_since(void)
{
	struct fr_sched s;

	fr_sched_init(&s, 0, 4, FR_ALIAS_NONE, 0);
	fr_sched_recv(&s, 1, fr_range(FR_RECV, 0, 8));
	fr_sched_send(&s, 2, fr_range(FR_RECV, 0, 8));
	fr_sched_send(&s, 3, fr_range(FR_RECV, 2, 2));
	fr_sched_recv(&s, 1, fr_range(FR_RECV, 2, 4));
	fr_sched_recv(&s, 1, fr_range(FR_RECV, 0, 8));
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
	/* The writer before the readers is left out: it comes through them. */
	CU_ASSERT(follows(&s, 3, 1) && follows(&s, 3, 2) && s.steps[3].n_deps == 2);
	CU_ASSERT(follows(&s, 4, 3) && follows(&s, 4, 1) && s.steps[4].n_deps == 2);
	fr_sched_fini(&s);
}

static void test_what_does_not_conflict_is_not_ordered(void)
{
	struct fr_sched s;

	fr_sched_init(&s, 0, 4, FR_ALIAS_NONE, 0);
	fr_sched_tmp(&s, 8);
	fr_sched_send(&s, 1, fr_range(FR_SEND, 0, 8));
	fr_sched_send(&s, 2, fr_range(FR_SEND, 0, 8));
	fr_sched_recv(&s, 1, fr_range(FR_RECV, 0, 8));
	fr_sched_recv(&s, 2, fr_range(FR_TMP, 0, 8));
	fr_sched_recv(&s, 3, fr_range(FR_RECV, 8, 8));
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
	CU_ASSERT_EQUAL(s.n_deps, 0);
	fr_sched_fini(&s);
}

static void test_a_step_in_place_follows_but_not_itself(void)
{
	struct fr_sched s;

	fr_sched_init(&s, 0, 2, FR_ALIAS_NONE, 0);
	for (int i = 0; i < 5; i++)
		fr_sched_recv_reduce(&s, 1, fr_range(FR_RECV, 0, 8), fr_range(FR_RECV, 0, 8));
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
	for (uint32_t i = 1; i < 5; i++)
		CU_ASSERT(follows(&s, i, i - 1) && s.steps[i].n_deps == 1);
	fr_sched_fini(&s);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static struct fr_range random_range(uint64_t *random)
{
	const size_t first = next_random(random) % 24;

	return fr_range(next_random(random) % 2 ? FR_RECV : FR_TMP, first,
	                next_random(random) % (33 - first));
}

static void random_step(struct fr_sched *s, uint64_t *random)
{
	const struct fr_range r = random_range(random);
	const struct fr_range other =
		fr_range(r.space == FR_RECV ? FR_TMP : FR_RECV, 32 - r.first - r.count, r.count);

	switch (next_random(random) % 6) {
	case 0:
		fr_sched_copy(s, r, other);
		break;
	case 1:
		fr_sched_reduce(s, r, r, other);
		break;
	case 2:
		fr_sched_recv(s, 1, r);
		break;
	case 3:
		fr_sched_recv_reduce(s, 1, r, other);
		break;
	case 4:
		fr_sched_publish(s, r);
		break;
	default:
		fr_sched_send(s, 1, r);
	}
}

static void test_random_schedules_have_no_race(void)
{
	uint64_t random = SEED;

	printf("      seed %u\n", SEED);
	for (int i = 0; i < 2000; i++) {
		struct fr_sched s;
		char text[256];

		fr_sched_init(&s, 0, 2, FR_ALIAS_NONE, 0);
		fr_sched_tmp(&s, 32);
		for (uint32_t k = next_random(&random) % 40; k > 0; k--)
			random_step(&s, &random);
		CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
		if (fr_races_check(&s, text, sizeof(text)) != FERRULE_OK) {
			printf("      schedule %d: %s\n", i, text);
			CU_FAIL("a race");
		}
		fr_sched_fini(&s);
	}
}

/* Every dependency is needed: without it there is a race. */
static void test_no_dependency_is_superfluous_in_simple_chains(void)
{
	struct fr_sched s;
	char text[256];

	fr_sched_init(&s, 0, 2, FR_ALIAS_NONE, 0);
	for (int i = 0; i < 20; i++) {
		fr_sched_recv(&s, 1, fr_range(FR_RECV, 0, 8));
		fr_sched_send(&s, 1, fr_range(FR_RECV, 0, 8));
	}
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
	CU_ASSERT_EQUAL(s.n_deps, 2 * 20 - 1);
	for (uint32_t i = 1; i < s.n_steps; i++) {
		s.steps[i].n_deps--;
		CU_ASSERT_NOT_EQUAL(fr_races_check(&s, text, sizeof(text)), FERRULE_OK);
		s.steps[i].n_deps++;
	}
	CU_ASSERT_EQUAL(fr_races_check(&s, text, sizeof(text)), FERRULE_OK);
	fr_sched_fini(&s);
}

/* 4096 blocks, each read, written and read again as a ring does: a handful of dependencies a
 * step, whatever the number of blocks. */
static void test_large_schedules_have_few_dependencies(void)
{
	const size_t blocks = 4096;
	struct fr_sched s;

	fr_sched_init(&s, 0, 2, FR_ALIAS_SEND_IN_RECV, 0);
	for (size_t i = 0; i < blocks; i++) {
		const size_t block = (i * 1021) % blocks;

		fr_sched_send(&s, 1, fr_range(FR_SEND, 8 * block, 8));
		fr_sched_recv_reduce(&s, 1, fr_range(FR_RECV, 8 * block, 8),
		                     fr_range(FR_SEND, 8 * block, 8));
		fr_sched_send(&s, 1, fr_range(FR_RECV, 8 * block, 8));
	}
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
	CU_ASSERT_EQUAL(s.n_steps, 3 * blocks);
	CU_ASSERT_EQUAL(s.n_deps, 2 * blocks);
	fr_sched_fini(&s);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"reads follow the last writer", test_reads_follow_the_last_writer},
		{"writes follow the readers since", test_writes_follow_the_readers_since},
		{"what does not conflict is not ordered",
	         test_what_does_not_conflict_is_not_ordered},
		{"a step in place follows but not itself",
	         test_a_step_in_place_follows_but_not_itself},
		{"random schedules have no race", test_random_schedules_have_no_race},
		{"no dependency is superfluous in simple chains",
	         test_no_dependency_is_superfluous_in_simple_chains},
		{"large schedules have few dependencies",
	         test_large_schedules_have_few_dependencies},
		{NULL, NULL},
	};

	return t_main("order", cases);
}

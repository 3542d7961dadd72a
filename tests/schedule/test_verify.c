/*
 * test_verify.c - the verifier finds what is wrong.
 *
 * Each case plants one fault in the schedules of a good algorithm, as a mistaken emitter or
 * builder would, and expects the verifier to name it.
 */
#include "config.h"

#include "collectives/schedule/verify.h"

#include <stdio.h>
#include <string.h>

#include "tests/algo/t_call.h"
#include "tests/support/t_main.h"

#define RANKS 5

/* A good run of an algorithm, to be spoiled. */
static struct t_call_run good(enum fr_coll coll, const char *name, enum t_in_place in_place)
{
	const struct t_call call = {
		.algo = fr_algo_find(coll, name),
		.n_ranks = RANKS,
		.count = 2 * RANKS,
		.in_place = in_place,
		.board_count = 1000,
	};
	struct t_call_run run;

	CU_ASSERT_PTR_NOT_NULL_FATAL(call.algo);
	CU_ASSERT_EQUAL_FATAL(t_call_emit(&call, &run), FERRULE_OK);
	return run;
}

static bool passes(const struct t_call_run *run, struct fr_verify_report *report)
{
	bool ok = true;

	for (int mode = 0; ok && mode < 2; mode++) {
		const struct fr_verify_job job = t_call_job(run, mode == 1, 11);

		ok = fr_verify(&job, report) == FERRULE_OK;
	}
	return ok;
}

/* The spoiled run must fail with a text that holds `word`. */
static void expect_fault(struct t_call_run *run, const char *word)
{
	struct fr_verify_report report;

	if (passes(run, &report))
		CU_FAIL("the fault was not found");
	if (!strstr(report.text, word)) {
		printf("      expected \"%s\", got \"%s\"\n", word, report.text);
		CU_FAIL("the fault was given another name");
	}
	t_call_free(run);
}

static struct fr_step *find_step(struct fr_sched *s, enum fr_step_kind kind, int nth)
{
	for (uint32_t i = 0; i < s->n_steps; i++) {
		if (s->steps[i].kind == kind && nth-- == 0)
			return &s->steps[i];
	}
	CU_FAIL_FATAL("no such step");
	return NULL;
}

/* Takes a step out, as if it had never been appended. */
static void remove_step(struct fr_sched *s, struct fr_step *step)
{
	const uint32_t at = (uint32_t)(step - s->steps);

	memmove(step, step + 1, (s->n_steps - at - 1) * sizeof(*step));
	s->n_steps--;
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(s), FERRULE_OK);
}

static void test_good_schedules_pass(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "ring", T_IN_PLACE);
	struct fr_verify_report report;

	CU_ASSERT(passes(&run, &report));
	CU_ASSERT_STRING_EQUAL(report.text, "");
	CU_ASSERT_EQUAL(report.most_sends, 2 * (RANKS - 1));
	t_call_free(&run);
}

static void test_every_dropped_dependency_is_found(void)
{
	static const char *const names[] = {"ring", "rsag", "tree", "halving", "direct"};

	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		struct t_call_run run = good(FR_COLL_ALLREDUCE, names[k], T_IN_PLACE);
		struct fr_sched *s = &run.scheds[2];
		struct fr_verify_report report;
		unsigned dropped = 0;

		for (uint32_t i = 0; i < s->n_steps; i++) {
			uint32_t *deps = s->deps + s->steps[i].first_dep;

			for (uint32_t d = 0; d < s->steps[i].n_deps; d++) {
				const uint32_t last = deps[s->steps[i].n_deps - 1], held = deps[d];

				deps[d] = last;
				s->steps[i].n_deps--;
				CU_ASSERT(!passes(&run, &report));
				CU_ASSERT_PTR_NOT_NULL(strstr(report.text, "not ordered"));
				s->steps[i].n_deps++;
				deps[d] = held;
				deps[s->steps[i].n_deps - 1] =
					d + 1 == s->steps[i].n_deps ? held : last;
				dropped++;
			}
		}
		CU_ASSERT(dropped > 0);
		CU_ASSERT(passes(&run, &report));
		t_call_free(&run);
	}
}

static void test_a_dependency_on_a_later_step_is_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "ring", T_APART);

	run.scheds[0].deps[0] = run.scheds[0].n_steps - 1;
	expect_fault(&run, "follows the later step");
}

static void test_swapped_sends_are_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "ring", T_APART);
	struct fr_step *first = find_step(&run.scheds[1], FR_STEP_SEND, 0);
	struct fr_step *second = find_step(&run.scheds[1], FR_STEP_SEND, 1);
	const struct fr_range range = first->src;

	first->src = second->src;
	second->src = range;
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&run.scheds[1]), FERRULE_OK);
	expect_fault(&run, "");
}

static void test_a_wrong_range_is_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "rsag", T_APART);

	find_step(&run.scheds[3], FR_STEP_SEND, 1)->src.first++;
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&run.scheds[3]), FERRULE_OK);
	expect_fault(&run, "does not hold element");
}

static void test_a_wrong_count_is_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "rsag", T_APART);

	find_step(&run.scheds[3], FR_STEP_SEND, 1)->src.count--;
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&run.scheds[3]), FERRULE_OK);
	expect_fault(&run, "another count");
}

static void test_a_range_outside_the_buffer_is_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLGATHER, "direct", T_APART);

	find_step(&run.scheds[0], FR_STEP_SEND, 0)->src.first += 2 * RANKS;
	expect_fault(&run, "outside");
}

static void test_a_write_to_the_send_buffer_is_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "rsag", T_APART);

	find_step(&run.scheds[0], FR_STEP_RECV, 0)->dst.space = FR_SEND;
	expect_fault(&run, "writes the send buffer");
}

static void test_reducing_twice_is_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "rsag", T_APART);
	struct fr_sched *s = &run.scheds[4];
	const struct fr_range own = find_step(s, FR_STEP_RECV_REDUCE, 0)->src;
	const struct fr_range sum = find_step(s, FR_STEP_RECV_REDUCE, 0)->dst;
	struct fr_step *last = find_step(s, FR_STEP_RECV_REDUCE, RANKS - 2);
	const struct fr_step held = *last;

	/* Its own part once more, right behind the last one received. */
	fr_sched_reduce(s, sum, sum, own);
	last = find_step(s, FR_STEP_RECV_REDUCE, RANKS - 2);
	memmove(last + 2, last + 1, (size_t)(s->steps + s->n_steps - 2 - last) * sizeof(*last));
	last[1] = (struct fr_step){
		.kind = FR_STEP_REDUCE, .peer = -1, .dst = held.dst, .src = held.dst, .src2 = own};
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(s), FERRULE_OK);
	expect_fault(&run, "once");
}

static void test_a_missing_contribution_is_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "rsag", T_APART);
	struct fr_step *step = find_step(&run.scheds[1], FR_STEP_RECV_REDUCE, 2);

	/* Overwrites where it should combine. */
	step->kind = FR_STEP_RECV;
	step->src = fr_range(FR_SEND, 0, 0);
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&run.scheds[1]), FERRULE_OK);
	expect_fault(&run, "once");
}

static void test_a_lost_message_is_found(void)
{
	struct t_call_run run = good(FR_COLL_BROADCAST, "direct", T_APART);

	remove_step(&run.scheds[3], find_step(&run.scheds[3], FR_STEP_RECV, 0));
	expect_fault(&run, "never received");
	run = good(FR_COLL_BROADCAST, "direct", T_APART);
	remove_step(&run.scheds[0], find_step(&run.scheds[0], FR_STEP_SEND, 2));
	expect_fault(&run, "never sent");
}

static void test_a_publication_nobody_reads_is_found(void)
{
	struct t_call_run run = good(FR_COLL_BROADCAST, "publish", T_APART);

	remove_step(&run.scheds[2], find_step(&run.scheds[2], FR_STEP_COLLECT, 0));
	expect_fault(&run, "publications");
	run = good(FR_COLL_BROADCAST, "publish", T_APART);
	remove_step(&run.scheds[0], find_step(&run.scheds[0], FR_STEP_PUBLISH, 0));
	expect_fault(&run, "never published");
}

static void test_an_element_never_written_is_found(void)
{
	struct t_call_run run = good(FR_COLL_REDUCE, "rsg", T_APART);
	struct fr_step *step = find_step(&run.scheds[3], FR_STEP_RECV_REDUCE, 0);

	step->src = step->dst;
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&run.scheds[3]), FERRULE_OK);
	expect_fault(&run, "never written");
}

static void test_a_stray_write_is_found(void)
{
	const size_t counts[RANKS] = {2, 2, 2, 2, 2}, displs[RANKS] = {0, 3, 6, 9, 12};
	const struct t_call call = {.algo = fr_algo_find(FR_COLL_ALLGATHER, "direct"),
	                            .n_ranks = RANKS,
	                            .counts = counts,
	                            .displs = displs};
	struct t_call_run run;

	CU_ASSERT_EQUAL_FATAL(t_call_emit(&call, &run), FERRULE_OK);
	fr_sched_copy(&run.scheds[1], fr_range(FR_RECV, 5, 1), fr_range(FR_SEND, 0, 1));
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&run.scheds[1]), FERRULE_OK);
	expect_fault(&run, "for no reason");
}

/* Two ranks that each wait for the other to take what they send. */
static void test_a_deadlock_is_found(void)
{
	struct fr_sched scheds[2];
	const size_t counts[2] = {4, 4};
	const struct fr_expect expects[2] = {{0, 0, 4, FR_FROM_ALL, 0}, {1, 0, 4, FR_FROM_ALL, 0}};
	struct fr_verify_job job = {scheds, 2, counts, counts, expects, 2, false, false, 1};
	struct fr_verify_report report;

	for (int r = 0; r < 2; r++) {
		fr_sched_init(&scheds[r], r, 2, FR_ALIAS_SEND_IN_RECV, 0);
		fr_sched_send(&scheds[r], 1 - r, fr_range(FR_SEND, 0, 4));
		fr_sched_recv_reduce(&scheds[r], 1 - r, fr_range(FR_RECV, 0, 4),
		                     fr_range(FR_SEND, 0, 4));
		CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&scheds[r]), FERRULE_OK);
	}
	/* Fine as long as messages leave at once, stuck when they are taken from where they lie. */
	CU_ASSERT_EQUAL(fr_verify(&job, &report), FERRULE_OK);
	job.rendezvous = true;
	CU_ASSERT_EQUAL(fr_verify(&job, &report), FERRULE_ERR_INTERNAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(report.text, "deadlock"));
	for (int r = 0; r < 2; r++)
		fr_sched_fini(&scheds[r]);
}

/* x0 op (x1 op x2) here, (x0 op x1) op x2 there: right, but not to the last bit. */
static void test_results_combined_in_another_order_are_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "direct", T_APART);
	struct fr_step *one = find_step(&run.scheds[4], FR_STEP_RECV_REDUCE, 0);
	struct fr_step *other = find_step(&run.scheds[4], FR_STEP_RECV_REDUCE, 2);
	const int peer = one->peer;

	one->peer = other->peer;
	other->peer = peer;
	expect_fault(&run, "another order");
}

static void test_a_reply_that_is_none_is_found(void)
{
	struct t_call_run run = good(FR_COLL_ALLREDUCE, "ring", T_IN_PLACE);
	struct fr_verify_report report;

	/* What comes round the ring is no answer from the left neighbour. */
	find_step(&run.scheds[2], FR_STEP_RECV, 1)->is_reply = true;
	expect_fault(&run, "no reply");
	run = good(FR_COLL_ALLREDUCE, "rsag", T_IN_PLACE);
	CU_ASSERT(find_step(&run.scheds[2], FR_STEP_RECV, 1)->is_reply);
	CU_ASSERT(passes(&run, &report));
	t_call_free(&run);
}

/* Word that only goes half way round. */
static void test_a_barrier_with_a_hole_is_found(void)
{
	struct fr_sched scheds[RANKS];
	const size_t counts[RANKS] = {0};
	const struct fr_verify_job job = {.scheds = scheds,
	                                  .n_ranks = RANKS,
	                                  .send_counts = counts,
	                                  .recv_counts = counts,
	                                  .empty_messages = true};
	struct fr_verify_report report;

	for (int r = 0; r < RANKS; r++) {
		struct fr_range word;

		fr_sched_init(&scheds[r], r, RANKS, FR_ALIAS_NONE, 0);
		word = fr_sched_tmp(&scheds[r], 2);
		word.count = 1;
		fr_sched_send(&scheds[r], (r + 1) % RANKS, word);
		word.first++;
		fr_sched_recv(&scheds[r], (r + RANKS - 1) % RANKS, word);
		CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&scheds[r]), FERRULE_OK);
	}
	CU_ASSERT_EQUAL(fr_verify(&job, &report), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_verify_barrier(&job, &report), FERRULE_ERR_INTERNAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(report.text, "gets through"));
	for (int r = 0; r < RANKS; r++)
		fr_sched_fini(&scheds[r]);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"good schedules pass", test_good_schedules_pass},
		{"every dropped dependency is found", test_every_dropped_dependency_is_found},
		{"a dependency on a later step is found",
	         test_a_dependency_on_a_later_step_is_found},
		{"swapped sends are found", test_swapped_sends_are_found},
		{"a wrong range is found", test_a_wrong_range_is_found},
		{"a wrong count is found", test_a_wrong_count_is_found},
		{"a range outside the buffer is found", test_a_range_outside_the_buffer_is_found},
		{"a write to the send buffer is found", test_a_write_to_the_send_buffer_is_found},
		{"reducing twice is found", test_reducing_twice_is_found},
		{"a missing contribution is found", test_a_missing_contribution_is_found},
		{"a lost message is found", test_a_lost_message_is_found},
		{"a publication nobody reads is found", test_a_publication_nobody_reads_is_found},
		{"an element never written is found", test_an_element_never_written_is_found},
		{"a stray write is found", test_a_stray_write_is_found},
		{"a deadlock is found", test_a_deadlock_is_found},
		{"results combined in another order are found",
	         test_results_combined_in_another_order_are_found},
		{"a reply that is none is found", test_a_reply_that_is_none_is_found},
		{"a barrier with a hole is found", test_a_barrier_with_a_hole_is_found},
		{NULL, NULL},
	};

	return t_main("verify", cases);
}

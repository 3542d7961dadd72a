/* test_schedule.c - the builder: what it drops, rewrites and refuses. */
#include "config.h"

#include "collectives/schedule/schedule.h"

#include <string.h>

#include "lib/base/error.h"
#include "tests/support/t_main.h"

#define RANK  1
#define RANKS 4

static struct fr_sched begin(void)
{
	struct fr_sched s;

	fr_sched_init(&s, RANK, RANKS, FR_ALIAS_NONE, 0);
	return s;
}

/* Finishes a schedule that must be refused with a text that holds `word`. */
static void refuse(struct fr_sched *s, const char *word)
{
	CU_ASSERT_EQUAL(fr_sched_finish(s), FERRULE_ERR_INTERNAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(s->error_text, word));
	CU_ASSERT_STRING_EQUAL(fr_error_text(), s->error_text);
	fr_sched_fini(s);
}

static void test_steps_keep_program_order_and_members(void)
{
	struct fr_sched s = begin();
	const struct fr_range tmp = fr_sched_tmp(&s, 8);

	fr_sched_copy(&s, fr_range(FR_RECV, 3, 2), fr_range(FR_SEND, 1, 2));
	fr_sched_reduce(&s, tmp, fr_range(FR_SEND, 0, 8), fr_range(FR_RECV, 0, 8));
	fr_sched_scale(&s, FR_SCALE_AVERAGE, tmp, tmp);
	fr_sched_send(&s, 2, tmp);
	fr_sched_recv(&s, 0, fr_range(FR_RECV, 0, 8));
	fr_sched_recv_reduce(&s, 3, fr_range(FR_RECV, 0, 8), tmp);
	fr_sched_publish(&s, tmp);
	fr_sched_fold(&s, tmp, tmp);
	fr_sched_collect(&s, 0, tmp);
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
	CU_ASSERT_EQUAL_FATAL(s.n_steps, FR_N_STEP_KINDS);
	for (uint32_t i = 0; i < s.n_steps; i++)
		CU_ASSERT_EQUAL(s.steps[i].kind, i);
	CU_ASSERT_EQUAL(s.steps[FR_STEP_COPY].dst.first, 3);
	CU_ASSERT_EQUAL(s.steps[FR_STEP_REDUCE].src2.space, FR_RECV);
	CU_ASSERT_EQUAL(s.steps[FR_STEP_SCALE].scale, FR_SCALE_AVERAGE);
	CU_ASSERT_EQUAL(s.steps[FR_STEP_COPY].peer, -1);
	CU_ASSERT_EQUAL(s.steps[FR_STEP_RECV_REDUCE].peer, 3);
	CU_ASSERT_EQUAL(s.tmp_count, 8);
	CU_ASSERT_EQUAL(s.space_count[FR_SEND], 8);
	CU_ASSERT_EQUAL(s.space_count[FR_RECV], 8);
	CU_ASSERT_EQUAL(s.space_count[FR_TMP], 8);
	fr_sched_fini(&s);
	CU_ASSERT_PTR_NULL(s.steps);
}

static void test_empty_ranges_are_dropped_but_not_publications(void)
{
	struct fr_sched s = begin();
	const struct fr_range nothing = fr_range(FR_RECV, 5, 0);

	fr_sched_copy(&s, nothing, fr_range(FR_SEND, 5, 0));
	fr_sched_reduce(&s, nothing, nothing, nothing);
	fr_sched_send(&s, 0, nothing);
	fr_sched_recv(&s, 0, nothing);
	fr_sched_recv_reduce(&s, 0, nothing, nothing);
	CU_ASSERT_EQUAL(s.n_steps, 0);
	fr_sched_publish(&s, nothing);
	fr_sched_fold(&s, nothing, nothing);
	fr_sched_collect(&s, 2, nothing);
	CU_ASSERT_EQUAL(s.n_steps, 3);
	CU_ASSERT_EQUAL(fr_sched_finish(&s), FERRULE_OK);
	CU_ASSERT_EQUAL(s.space_count[FR_RECV], 0);
	fr_sched_fini(&s);
}

static void test_send_inside_recv_becomes_recv(void)
{
	struct fr_sched s;

	fr_sched_init(&s, RANK, RANKS, FR_ALIAS_SEND_IN_RECV, 10);
	/* Onto itself: nothing to do. */
	fr_sched_copy(&s, fr_range(FR_RECV, 12, 4), fr_range(FR_SEND, 2, 4));
	CU_ASSERT_EQUAL(s.n_steps, 0);
	fr_sched_send(&s, 0, fr_range(FR_SEND, 2, 4));
	fr_sched_recv(&s, 0, fr_range(FR_RECV, 13, 1));
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
	CU_ASSERT_EQUAL(s.steps[0].src.space, FR_RECV);
	CU_ASSERT_EQUAL(s.steps[0].src.first, 12);
	/* What came in must not overtake what goes out of the same elements. */
	CU_ASSERT_EQUAL_FATAL(s.steps[1].n_deps, 1);
	CU_ASSERT_EQUAL(s.deps[s.steps[1].first_dep], 0);
	CU_ASSERT_EQUAL(s.space_count[FR_SEND], 0);
	fr_sched_fini(&s);
}

static void test_recv_inside_send_becomes_send(void)
{
	struct fr_sched s;

	fr_sched_init(&s, RANK, RANKS, FR_ALIAS_RECV_IN_SEND, 4);
	fr_sched_recv_reduce(&s, 0, fr_range(FR_RECV, 0, 4), fr_range(FR_SEND, 4, 4));
	fr_sched_send(&s, 0, fr_range(FR_RECV, 1, 1));
	CU_ASSERT_EQUAL_FATAL(fr_sched_finish(&s), FERRULE_OK);
	CU_ASSERT_EQUAL(s.steps[0].dst.space, FR_SEND);
	CU_ASSERT_EQUAL(s.steps[0].dst.first, 4);
	CU_ASSERT_EQUAL(s.steps[1].src.first, 5);
	CU_ASSERT_EQUAL(s.steps[1].n_deps, 1);
	fr_sched_fini(&s);
}

static void test_writing_the_send_buffer_is_refused(void)
{
	struct fr_sched s = begin();

	fr_sched_recv(&s, 0, fr_range(FR_SEND, 0, 1));
	refuse(&s, "send buffer");
	fr_sched_init(&s, RANK, RANKS, FR_ALIAS_RECV_IN_SEND, 4);
	fr_sched_copy(&s, fr_range(FR_SEND, 0, 1), fr_range(FR_RECV, 0, 1));
	refuse(&s, "send buffer");
}

static void test_peers_that_are_none_are_refused(void)
{
	const int peers[] = {-1, RANK, RANKS, RANKS + 7};

	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		struct fr_sched s = begin();

		fr_sched_send(&s, peers[i], fr_range(FR_SEND, 0, 1));
		refuse(&s, "peer");
		s = begin();
		fr_sched_collect(&s, peers[i], fr_range(FR_RECV, 0, 0));
		refuse(&s, "peer");
	}
}

static void test_unequal_counts_are_refused(void)
{
	struct fr_sched s = begin();

	fr_sched_copy(&s, fr_range(FR_RECV, 0, 2), fr_range(FR_SEND, 0, 3));
	refuse(&s, "3 elements into 2");
	s = begin();
	fr_sched_fold(&s, fr_range(FR_RECV, 0, 0), fr_range(FR_SEND, 0, 1));
	refuse(&s, "1 elements into 0");
}

static void test_results_that_cover_half_an_operand_are_refused(void)
{
	struct fr_sched s = begin();

	fr_sched_copy(&s, fr_range(FR_RECV, 0, 4), fr_range(FR_RECV, 2, 4));
	refuse(&s, "overlap in part");
	s = begin();
	fr_sched_reduce(&s, fr_range(FR_RECV, 0, 4), fr_range(FR_RECV, 0, 4),
	                fr_range(FR_RECV, 3, 4));
	refuse(&s, "overlap in part");
}

static void test_ranges_out_of_bounds_are_refused(void)
{
	struct fr_sched s = begin();

	fr_sched_tmp(&s, 4);
	fr_sched_send(&s, 0, fr_range(FR_TMP, 1, 4));
	refuse(&s, "beyond the 4 reserved");
	s = begin();
	fr_sched_send(&s, 0, fr_range(FR_SEND, SIZE_MAX, 2));
	refuse(&s, "wraps around");
	s = begin();
	fr_sched_tmp(&s, SIZE_MAX);
	fr_sched_tmp(&s, 1);
	CU_ASSERT_EQUAL(fr_sched_finish(&s), FERRULE_ERR_NO_MEMORY);
	fr_sched_fini(&s);
}

static void test_the_first_error_stays(void)
{
	struct fr_sched s = begin();

	fr_sched_send(&s, RANK, fr_range(FR_SEND, 0, 1));
	fr_sched_recv(&s, 0, fr_range(FR_SEND, 0, 1));
	fr_sched_send(&s, 0, fr_range(FR_SEND, 0, 1));
	CU_ASSERT_EQUAL(s.n_steps, 0);
	refuse(&s, "peer");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"steps keep program order and members", test_steps_keep_program_order_and_members},
		{"empty ranges are dropped but not publications",
	         test_empty_ranges_are_dropped_but_not_publications},
		{"send inside recv becomes recv", test_send_inside_recv_becomes_recv},
		{"recv inside send becomes send", test_recv_inside_send_becomes_send},
		{"writing the send buffer is refused", test_writing_the_send_buffer_is_refused},
		{"peers that are none are refused", test_peers_that_are_none_are_refused},
		{"unequal counts are refused", test_unequal_counts_are_refused},
		{"results that cover half an operand are refused",
	         test_results_that_cover_half_an_operand_are_refused},
		{"ranges out of bounds are refused", test_ranges_out_of_bounds_are_refused},
		{"the first error stays", test_the_first_error_stays},
		{NULL, NULL},
	};

	return t_main("schedule", cases);
}

/* Overrides, the choice, and the frames that operators put around a schedule. */
#include "config.h"

#include "lib/comm/select.h"

#include <string.h>

#include "lib/base/error.h"
#include "tests/support/t_main.h"

static void test_overrides_are_parsed(void)
{
	struct fr_overrides o;

	CU_ASSERT_EQUAL(fr_overrides_parse("", &o), FERRULE_OK);
	for (int c = 0; c < FR_N_COLLS; c++)
		CU_ASSERT_PTR_NULL(o.algo[c]);
	CU_ASSERT_EQUAL(fr_overrides_parse("allreduce=ring,broadcast=binomial", &o), FERRULE_OK);
	CU_ASSERT_PTR_EQUAL(o.algo[FR_COLL_ALLREDUCE], fr_algo_find(FR_COLL_ALLREDUCE, "ring"));
	CU_ASSERT_PTR_EQUAL(o.algo[FR_COLL_BROADCAST], fr_algo_find(FR_COLL_BROADCAST, "binomial"));
	CU_ASSERT_PTR_NULL(o.algo[FR_COLL_ALLGATHER]);
}

static void refuse(const char *text, const char *says)
{
	struct fr_overrides o = {.algo = {NULL}};

	CU_ASSERT_EQUAL(fr_overrides_parse(text, &o), FERRULE_ERR_SETTING);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), says));
	CU_ASSERT_PTR_NULL(o.algo[FR_COLL_ALLREDUCE]);
}

static void test_bad_overrides_are_refused(void)
{
	refuse("allreduce", "COLLECTIVE=ALGORITHM");
	refuse("allreduce=", "ring");
	refuse("=ring", "allreduce");
	refuse("allreduce=ring,,", "COLLECTIVE=ALGORITHM");
	refuse("sendrecv=ring", "not a collective");
	refuse("allreduce=ring,broadcast=ring", "binomial");
	refuse("allreduce=a-name-that-is-much-longer-than-anything-that-could-ever-be-an-algorithm",
	       "a-name-that-is");
}

static void test_the_choice_looks_at_nothing_of_one_rank(void)
{
	const struct fr_overrides none = {.algo = {NULL}};
	const size_t counts[5] = {3, 0, 7, 1, 9}, displs[5] = {0, 10, 20, 30, 40};
	struct fr_coll_args a = {.coll = FR_COLL_ALLGATHER,
	                         .n_ranks = 5,
	                         .root = -1,
	                         .elem_bytes = 4,
	                         .counts = counts,
	                         .n_hosts = 1};
	const struct fr_algo *first = fr_select(&a, &fr_machine_default, &none);

	for (a.rank = 0; a.rank < 5; a.rank++)
		for (int variant = 0; variant < 4; variant++) {
			a.in_place = variant & 1;
			a.displs = variant & 2 ? displs : NULL;
			CU_ASSERT_PTR_EQUAL(fr_select(&a, &fr_machine_default, &none), first);
		}
}

static void test_an_override_that_does_not_apply_is_passed_over(void)
{
	struct fr_overrides o;
	const struct fr_coll_args a = {.coll = FR_COLL_ALLREDUCE,
	                               .n_ranks = 4,
	                               .root = -1,
	                               .count = 10,
	                               .elem_bytes = 4,
	                               .n_hosts = 1};

	/* There is no board here. */
	CU_ASSERT_EQUAL(fr_overrides_parse("allreduce=publish", &o), FERRULE_OK);
	const struct fr_algo *algo = fr_select(&a, &fr_machine_default, &o);

	CU_ASSERT_PTR_NOT_NULL_FATAL(algo);
	CU_ASSERT_STRING_NOT_EQUAL(algo->name, "publish");
	CU_ASSERT_EQUAL(fr_overrides_parse("allreduce=tree", &o), FERRULE_OK);
	CU_ASSERT_STRING_EQUAL(fr_select(&a, &fr_machine_default, &o)->name, "tree");
}

/* Steps that write or scale what, counted over one rank's schedule. */
struct seen {
	int scales_premul, scales_average, reads_send, writes_send;
};

static struct seen look(const struct fr_sched *s)
{
	struct seen seen = {0};

	for (uint32_t i = 0; i < s->n_steps; i++) {
		const struct fr_step *step = &s->steps[i];
		const int is_scale = step->kind == FR_STEP_SCALE;

		seen.scales_premul += is_scale && step->scale == FR_SCALE_PREMUL;
		seen.scales_average += is_scale && step->scale == FR_SCALE_AVERAGE;
		seen.reads_send += (step->src.count && step->src.space == FR_SEND) ||
		                   (step->src2.count && step->src2.space == FR_SEND);
		seen.writes_send += step->dst.count && step->dst.space == FR_SEND;
	}
	return seen;
}

static void frame_one(const struct fr_algo *algo, struct fr_coll_args a, struct fr_frame frame)
{
	const bool has_result = a.coll != FR_COLL_REDUCE || a.rank == a.root;
	struct fr_sched s;

	CU_ASSERT_EQUAL(fr_compose(algo, &a, frame, &s), FERRULE_OK);
	const struct seen seen = look(&s);

	CU_ASSERT_EQUAL(seen.scales_premul, frame.premul);
	CU_ASSERT_EQUAL(seen.scales_average, frame.average && has_result);
	/* Scaled input is read once, by the scaling; in place there is nothing else to read. */
	if (frame.premul && !a.in_place)
		CU_ASSERT_EQUAL(seen.reads_send, 1);
	if (!a.in_place)
		CU_ASSERT_EQUAL(seen.writes_send, 0);
	fr_sched_fini(&s);
}

static void test_operators_frame_every_algorithm(void)
{
	static const struct fr_frame frames[] = {{false, false}, {true, false}, {false, true}};

	for (int i = 0; i < fr_n_algos; i++)
		for (int n = 1; n <= 5; n++)
			for (int k = 0; k < 6 * n; k++) {
				struct fr_coll_args a = {.coll = fr_algos[i]->coll,
				                         .rank = k / 6,
				                         .n_ranks = n,
				                         .root = n - 1,
				                         .count = 100,
				                         .elem_bytes = 4,
				                         .board_count = 4096,
				                         .n_hosts = 1,
				                         .in_place = k % 2};

				if (!fr_coll_reduces(a.coll) || !fr_algos[i]->applies(&a))
					continue;
				frame_one(fr_algos[i], a, frames[k % 6 / 2]);
			}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"overrides are parsed", test_overrides_are_parsed},
		{"bad overrides are refused", test_bad_overrides_are_refused},
		{"the choice looks at nothing of one rank",
	         test_the_choice_looks_at_nothing_of_one_rank},
		{"an override that does not apply is passed over",
	         test_an_override_that_does_not_apply_is_passed_over},
		{"operators frame every algorithm", test_operators_frame_every_algorithm},
		{NULL, NULL},
	};

	return t_main("select", cases);
}

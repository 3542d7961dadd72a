/* test_print.c - schedules as text: every kind of step, the two forms, and what cannot be printed.
 */
#include "config.h"

#include "collectives/schedule/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/t_main.h"

#define RANKS 2

/* Two ranks whose schedules hold every kind of step. */
static void build(struct fr_sched *scheds)
{
	for (int r = 0; r < RANKS; r++) {
		struct fr_sched *s = &scheds[r];
		struct fr_range tmp;

		fr_sched_init(s, r, RANKS, FR_ALIAS_NONE, 0);
		tmp = fr_sched_tmp(s, 2);
		fr_sched_send(s, 1 - r, fr_range(FR_SEND, 0, 2));
		fr_sched_recv_reduce(s, 1 - r, fr_range(FR_RECV, 0, 2), fr_range(FR_SEND, 0, 2));
		fr_sched_publish(s, fr_range(FR_RECV, 0, 2));
		fr_sched_fold(s, tmp, fr_range(FR_RECV, 0, 2));
		fr_sched_publish(s, fr_range(FR_RECV, 0, 0));
		fr_sched_fold(s, fr_range(FR_RECV, 0, 0), fr_range(FR_RECV, 0, 0));
		fr_sched_reduce(s, tmp, tmp, fr_range(FR_SEND, 0, 2));
		fr_sched_scale(s, FR_SCALE_AVERAGE, tmp, tmp);
		fr_sched_copy(s, fr_range(FR_RECV, 2, 2), tmp);
		if (r == 0) {
			fr_sched_send(s, 1, fr_range(FR_RECV, 3, 1));
			fr_sched_publish(s, fr_range(FR_RECV, 3, 1));
		} else {
			fr_sched_recv(s, 0, fr_range(FR_RECV, 4, 1));
			fr_sched_collect(s, 0, fr_range(FR_RECV, 5, 1));
		}
		CU_ASSERT_EQUAL_FATAL(fr_sched_finish(s), FERRULE_OK);
	}
}

/* What is printed, to be freed. */
static char *print(const struct fr_sched *scheds, enum fr_print_form form,
                   ferrule_status_t *status_out)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	*status_out = fr_print_rounds(out, scheds, RANKS, form);
	fclose(out);
	return text;
}

static void test_text_shows_every_kind_of_step(void)
{
	static const char expected[] =
		"round 1     1>0 +0-1   0>1 +0-1\n"
		"round 2     0>*   *>0 +t0-1   1>*   *>1 +t0-1\n"
		"round 3     0>*   *>0   0: t0-1=t0-1+s0-1   0: t0-1=t0-1*   0: 2-3=t0-1   1>*   "
		"*>1\n"
		"            1: t0-1=t0-1+s0-1   1: t0-1=t0-1*   1: 2-3=t0-1   0>1 =4\n"
		"round 4     0>*   0>1 =5\n";
	struct fr_sched scheds[RANKS];
	ferrule_status_t status;
	char *text;

	build(scheds);
	text = print(scheds, FR_PRINT_TEXT, &status);
	CU_ASSERT_EQUAL(status, FERRULE_OK);
	CU_ASSERT_STRING_EQUAL(text, expected);
	if (strcmp(text, expected) != 0)
		printf("%s", text);
	free(text);
	for (int r = 0; r < RANKS; r++)
		fr_sched_fini(&scheds[r]);
}

static void test_json_has_an_object_a_step(void)
{
	static const char first[] =
		"[\n{\"round\": 1, \"step\": \"send\", \"rank\": 0, \"peer\": 1, "
		"\"space\": \"send\", \"first\": 0, \"count\": 2},\n";
	struct fr_sched scheds[RANKS];
	ferrule_status_t status;
	unsigned objects = 0;
	char *text;

	build(scheds);
	text = print(scheds, FR_PRINT_JSON, &status);
	CU_ASSERT_EQUAL(status, FERRULE_OK);
	CU_ASSERT_EQUAL(strncmp(text, first, strlen(first)), 0);
	CU_ASSERT_STRING_EQUAL(text + strlen(text) - 4, "}\n]\n");
	for (const char *at = text; (at = strchr(at, '{')); at++)
		objects++;
	CU_ASSERT_EQUAL(objects, scheds[0].n_steps + scheds[1].n_steps);
	free(text);
	for (int r = 0; r < RANKS; r++)
		fr_sched_fini(&scheds[r]);
}

static void test_no_steps_print_nothing(void)
{
	struct fr_sched scheds[RANKS];
	ferrule_status_t status;
	char *text;

	for (int r = 0; r < RANKS; r++)
		fr_sched_init(&scheds[r], r, RANKS, FR_ALIAS_NONE, 0);
	text = print(scheds, FR_PRINT_TEXT, &status);
	CU_ASSERT_EQUAL(status, FERRULE_OK);
	CU_ASSERT_STRING_EQUAL(text, "");
	free(text);
	text = print(scheds, FR_PRINT_JSON, &status);
	CU_ASSERT_STRING_EQUAL(text, "[\n]\n");
	free(text);
}

static void test_schedules_that_do_not_fit_are_an_error(void)
{
	struct fr_sched scheds[RANKS];
	ferrule_status_t status;

	build(scheds);
	scheds[1].n_steps--;
	free(print(scheds, FR_PRINT_TEXT, &status));
	CU_ASSERT_EQUAL(status, FERRULE_ERR_INTERNAL);
	for (int r = 0; r < RANKS; r++)
		fr_sched_fini(&scheds[r]);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"text shows every kind of step", test_text_shows_every_kind_of_step},
		{"json has an object a step", test_json_has_an_object_a_step},
		{"no steps print nothing", test_no_steps_print_nothing},
		{"schedules that do not fit are an error",
	         test_schedules_that_do_not_fit_are_an_error},
		{NULL, NULL},
	};

	return t_main("print", cases);
}

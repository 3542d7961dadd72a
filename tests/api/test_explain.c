/* ferrule_explain(): what it says is JSON, and true of the calls that it speaks of. */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/ferrule.h>

#include "tests/support/t_locale.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

/* The answer, to free(); NULL when there is none. */
static char *explain(const struct ferrule_explain_call *what)
{
	char *text = NULL;
	size_t n = 0;
	FILE *const out = open_memstream(&text, &n);
	const ferrule_status_t status = ferrule_explain(what, out);

	fclose(out);
	if (status == FERRULE_OK)
		return text;
	free(text);
	return NULL;
}

static bool has_comma_between_digits(const char *text)
{
	for (const char *at = strchr(text, ','); at; at = strchr(at + 1, ',')) {
		if (at > text && isdigit((unsigned char)at[-1]) && isdigit((unsigned char)at[1]))
			return true;
	}
	return false;
}

static void test_json_under_a_decimal_comma(void)
{
	struct ferrule_explain_call what = {.size = sizeof(what),
	                                    .collective = "allreduce",
	                                    .n_ranks = 3,
	                                    .count = 1000,
	                                    .type = FERRULE_FLOAT32};

	if (!t_locale_comma())
		return;
	for (int json = 0; json < 2; json++) {
		what.json = json;
		char *const text = explain(&what);
		CU_ASSERT_PTR_NOT_NULL_FATAL(text);
		CU_ASSERT_FALSE(has_comma_between_digits(text));
		CU_ASSERT_PTR_NOT_NULL(strchr(text, '.'));
		free(text);
	}
	t_locale_end();
}

/* One process with these settings, which are read once: does its answer hold all these texts? */
struct expectation {
	const char *name, *value; /* of the setting */
	const char *texts[3];
};

static int expect(int rank, int n_ranks, void *arg)
{
	const struct expectation *const e = arg;
	const struct ferrule_explain_call what = {.size = sizeof(what),
	                                          .collective = "allreduce",
	                                          .n_ranks = 4,
	                                          .count = 256,
	                                          .type = FERRULE_FLOAT32,
	                                          .rounds = true,
	                                          .json = true};

	(void)rank, (void)n_ranks;
	setenv(e->name, e->value, 1);
	char *const text = explain(&what);
	bool is_right = e->texts[0] ? text != NULL : text == NULL;
	for (int i = 0; i < 3 && e->texts[i]; i++)
		is_right = is_right && strstr(text, e->texts[i]);
	if (!is_right)
		printf("      %s=%s: %s\n", e->name, e->value, text ? text : "(an error)");
	free(text);
	return !is_right;
}

static void test_settings_decide_as_in_a_communicator(void)
{
	static const struct expectation rows[] = {
		{"FERRULE_ALGO", "", {"\"choice\": \"publish\"", "\"chosen_by\": \"cost model\""}},
		{"FERRULE_ALGO",
	         "broadcast=binomial,allreduce=ring",
	         {"\"choice\": \"ring\", \"chosen_by\": \"FERRULE_ALGO\"",
	          "\"runner_up\": \"publish\"", "\"rounds_of\": \"ring\""}},
		/* It takes more than one host, so the cost model decides. */
		{"FERRULE_ALGO",
	         "allreduce=hierarchical",
	         {"\"choice\": \"publish\", \"chosen_by\": \"cost model\""}},
		{"FERRULE_ALGO", "allreduce=nonesuch", {NULL}},
		{"FERRULE_TRANSPORT", "tcp", {"\"transport\": \"tcp\""}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct expectation e = rows[i];
		CU_ASSERT_EQUAL(t_spawn(1, 30, expect, &e, NULL), 0);
	}
}

static void test_what_cannot_be_written_is_an_error(void)
{
	const struct ferrule_explain_call what = {.size = sizeof(what),
	                                          .collective = "barrier",
	                                          .n_ranks = 2,
	                                          .type = FERRULE_FLOAT32};
	FILE *const out = fopen("/dev/null", "r");

	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	CU_ASSERT_EQUAL(ferrule_explain(&what, out), FERRULE_ERR_SYSTEM);
	fclose(out);
}

int main(void)
{
	static const struct t_case cases[] = {
		/* First, since this process must not have read them. */
		{"settings decide as in a communicator", test_settings_decide_as_in_a_communicator},
		{"JSON is JSON where the program has a decimal comma",
	         test_json_under_a_decimal_comma},
		{"what cannot be written is an error", test_what_cannot_be_written_is_an_error},
		{NULL, NULL},
	};

	return t_main("explain", cases);
}

/* ferrule_explain(): what it says is JSON, and true of the calls that it speaks of. */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/ferrule.h>

#include "tests/support/t_locale.h"
#include "tests/support/t_main.h"

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

int main(void)
{
	static const struct t_case cases[] = {
		{"JSON is JSON where the program has a decimal comma",
	         test_json_under_a_decimal_comma},
		{NULL, NULL},
	};

	return t_main("explain", cases);
}

/* Numbers in texts have a point, and are read with one, whatever locale the program has set. */
#include "config.h"

#include "lib/base/text.h"

#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/settings.h"
#include "tests/support/t_locale.h"
#include "tests/support/t_main.h"

static void test_texts_have_a_point(void)
{
	char text[32], *printed = NULL;
	size_t n = 0;

	if (!t_locale_comma())
		return;
	CU_ASSERT_EQUAL(fr_format(text, sizeof(text), "%.2f %g %e", 1.25, 0.5, 2.5), 21);
	CU_ASSERT_STRING_EQUAL(text, "1.25 0.5 2.500000e+00");
	fr_error(FERRULE_ERR_TIMEOUT, "after %.1f s", 1.5);
	CU_ASSERT_STRING_EQUAL(fr_error_text(), "after 1.5 s");
	FILE *const out = open_memstream(&printed, &n);
	fr_print(out, "%.3f", 0.125);
	fclose(out);
	CU_ASSERT_STRING_EQUAL(printed, "0.125");
	free(printed);
	t_locale_end();
}

static void test_what_does_not_fit_is_cut_off(void)
{
	char text[4];

	CU_ASSERT_EQUAL(fr_format(text, sizeof(text), "%.3f", 1.125), 5);
	CU_ASSERT_STRING_EQUAL(text, "1.1");
}

/* What a thread prints that has a locale of its own. */
static void *print_in_own_locale(void *text)
{
	char plain[8];
	const locale_t own = newlocale(LC_NUMERIC_MASK, "xx_XX", (locale_t)0);

	uselocale(own);
	fr_format(plain, sizeof(plain), "%.1f", 1.5);
	snprintf(text, 32, "%.1f %s", 2.5, plain);
	uselocale(LC_GLOBAL_LOCALE);
	freelocale(own);
	return NULL;
}

static void test_the_programs_locale_stays_as_it_was(void)
{
	char text[32];
	pthread_t thread;

	if (!t_locale_comma())
		return;
	fr_format(text, sizeof(text), "%.1f", 1.5);
	snprintf(text, sizeof(text), "%.1f", 1.5);
	CU_ASSERT_STRING_EQUAL(text, "1,5");
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, print_in_own_locale, text), 0);
	pthread_join(thread, NULL);
	CU_ASSERT_STRING_EQUAL(text, "2,5 1.5");
	t_locale_end();
}

static void test_settings_are_read_with_a_point(void)
{
	const char *const env[] = {"FERRULE_TIMEOUT=1.5", NULL};
	const char *const comma[] = {"FERRULE_TIMEOUT=1,5", NULL};
	struct fr_settings s;

	if (!t_locale_comma())
		return;
	CU_ASSERT_EQUAL(fr_settings_parse(env, &s), FERRULE_OK);
	CU_ASSERT_EQUAL(s.timeout_s, 1.5);
	CU_ASSERT_EQUAL(fr_settings_parse(comma, &s), FERRULE_ERR_SETTING);
	t_locale_end();
}

int main(void)
{
	static const struct t_case cases[] = {
		{"texts have a point where the program has a comma", test_texts_have_a_point},
		{"what does not fit is cut off", test_what_does_not_fit_is_cut_off},
		{"the program's locale stays as it was", test_the_programs_locale_stays_as_it_was},
		{"settings are read with a point", test_settings_are_read_with_a_point},
		{NULL, NULL},
	};

	return t_main("text", cases);
}

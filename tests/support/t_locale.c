#include "config.h"

#include "tests/support/t_locale.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/t_main.h"

static char folder[] = "test-locale-XXXXXX";

/* Numbers are all that matters; -c makes localedef leave out the rest. */
static bool make(void)
{
	char command[256];

	snprintf(command, sizeof(command),
	         "cd %s && printf 'LC_NUMERIC\\ndecimal_point \",\"\\nthousands_sep \".\"\\n"
	         "grouping 3;3\\nEND LC_NUMERIC\\n' >source && "
	         "localedef -c -i ./source ./xx_XX >made 2>&1",
	         folder);
	/* It counts what was left out as a failure. */
	return system(command) >= 0;
}

bool t_locale_comma(void)
{
	char text[16];

	strcpy(folder + sizeof(folder) - sizeof("XXXXXX"), "XXXXXX");
	if (!mkdtemp(folder) || !make()) {
		t_skip("cannot make a folder for a locale");
		return false;
	}
	char *const path = realpath(folder, NULL);
	setenv("LOCPATH", path ? path : folder, 1);
	free(path);
	const bool is_set = setlocale(LC_NUMERIC, "xx_XX") != NULL;
	snprintf(text, sizeof(text), "%.1f", 1.5);
	if (is_set && strcmp(text, "1,5") == 0)
		return true;
	t_locale_end();
	t_skip("localedef cannot make a locale with a decimal comma");
	return false;
}

void t_locale_end(void)
{
	char command[64];

	setlocale(LC_ALL, "C");
	unsetenv("LOCPATH");
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command) != 0)
		printf("      cannot remove %s\n", folder);
}

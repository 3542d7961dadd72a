/* t_main.c - runs CUnit's registry with our own report: one line a case, one sum a program. */
#include "config.h"

#include "tests/support/t_main.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/TestRun.h>

#define CASE_SECONDS 120

/* One program runs one suite, and CUnit's handlers carry no argument. */
static struct {
	const char *suite;
	int n_passed, n_failed, n_skipped;
	char skip_reason[200]; /* of the running case; "" while it is not skipped */
	char lacking[200];     /* why none of the cases can be tried; "" when they can */
	struct timespec began;
	pid_t pid;      /* forked ranks inherit everything here, but must not report */
	char late[200]; /* what to say when the running case is late */
} run;

void t_skip(const char *reason, ...)
{
	va_list args;

	va_start(args, reason);
	vsnprintf(run.skip_reason, sizeof run.skip_reason, reason, args);
	va_end(args);
}

void t_lacking(const char *reason, ...)
{
	va_list args;

	va_start(args, reason);
	vsnprintf(run.lacking, sizeof run.lacking, reason, args);
	va_end(args);
}

/* Stands for each case of a program that lacks something. */
static void skip_case(void)
{
	t_skip("%s", run.lacking);
}

unsigned t_failures(void)
{
	return CU_get_number_of_failures();
}

static unsigned case_seconds(void)
{
	const char *text = getenv("T_CASE_SECONDS");
	const int seconds = text != NULL ? atoi(text) : 0;

	return seconds > 0 ? (unsigned)seconds : CASE_SECONDS;
}

/* Only async-signal-safe calls: the text was made before. */
static void on_alarm(int number)
{
	(void)number;
	if (getpid() != run.pid)
		return;
	if (write(STDOUT_FILENO, run.late, strlen(run.late)) < 0)
		_exit(2);
	_exit(1);
}

static void on_case_start(CU_pTest test, CU_pSuite suite)
{
	(void)suite;
	run.skip_reason[0] = '\0';
	snprintf(run.late, sizeof run.late,
	         "FAIL  %s: not done after %u s\n%s: %d passed, %d failed, %d skipped\n",
	         test->pName, case_seconds(), run.suite, run.n_passed, run.n_failed + 1,
	         run.n_skipped);
	clock_gettime(CLOCK_MONOTONIC, &run.began);
	/* What is buffered now would be printed again by every forked rank. */
	fflush(NULL);
	alarm(case_seconds());
}

static double elapsed_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - run.began.tv_sec) * 1e3 +
	       (double)(now.tv_nsec - run.began.tv_nsec) / 1e6;
}

static void on_case_done(CU_pTest test, CU_pSuite suite, CU_pFailureRecord failure)
{
	(void)suite;
	alarm(0);
	if (failure != NULL) {
		run.n_failed++;
		printf("FAIL  %s\n", test->pName);
	} else if (run.skip_reason[0] != '\0') {
		run.n_skipped++;
		printf("skip  %s: %s\n", test->pName, run.skip_reason);
	} else {
		run.n_passed++;
		printf("ok    %s (%.0f ms)\n", test->pName, elapsed_ms());
	}
	for (; failure != NULL; failure = failure->pNext)
		printf("      %s:%u: %s\n", failure->strFileName, failure->uiLineNumber,
		       failure->strCondition);
	fflush(stdout);
}

static void print_names(const char *before, const struct t_case *cases)
{
	for (; cases->name != NULL; cases++)
		printf("%s%s\n", before, cases->name);
}

/* False, and said, when nothing is left to run or CUnit refuses. */
static CU_BOOL register_cases(const struct t_case *cases)
{
	const char *only = getenv("T_CASE");
	const int is_lacking = run.lacking[0] != '\0';
	CU_pSuite suite = CU_add_suite(run.suite, NULL, NULL);
	int n_cases = 0;

	for (const struct t_case *c = cases; suite != NULL && c->name != NULL; c++) {
		if (only != NULL && strstr(c->name, only) == NULL)
			continue;
		if (CU_add_test(suite, c->name, is_lacking ? skip_case : c->function) == NULL) {
			printf("FAIL  %s: %s\n", c->name, CU_get_error_msg());
			return CU_FALSE;
		}
		n_cases++;
	}
	if (suite == NULL) {
		printf("FAIL  no suite could be made: %s\n", CU_get_error_msg());
	} else if (n_cases == 0 && only != NULL) {
		printf("FAIL  no case's name contains T_CASE=%s; the cases are:\n", only);
		print_names("      ", cases);
	}
	return n_cases > 0;
}

static CU_BOOL run_cases(const struct t_case *cases)
{
	/* CUnit only warns about two cases of one name, and that is what it would report. */
	CU_set_error_action(CUEA_IGNORE);
	if (CU_initialize_registry() != CUE_SUCCESS) {
		printf("FAIL  no case can be run: %s\n", CU_get_error_msg());
		return CU_FALSE;
	}
	if (!register_cases(cases))
		return CU_FALSE;
	CU_set_test_start_handler(on_case_start);
	CU_set_test_complete_handler(on_case_done);
	CU_run_all_tests();
	CU_cleanup_registry();
	return CU_TRUE;
}

int t_main(const char *suite, const struct t_case *cases)
{
	if (getenv("T_LIST") != NULL) {
		print_names("case  ", cases);
		return 0;
	}
	run.suite = suite;
	run.pid = getpid();
	signal(SIGALRM, on_alarm);
	if (!run_cases(cases))
		run.n_failed++;
	printf("%s: %d passed, %d failed, %d skipped\n", suite, run.n_passed, run.n_failed,
	       run.n_skipped);
	fflush(stdout);
	if (run.n_failed > 0)
		return 1;
	return run.n_passed == 0 ? 77 : 0;
}

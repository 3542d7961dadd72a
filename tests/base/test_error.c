/* Errors keep their text per thread; log lines are whole and come when their level allows. */
#include "config.h"

#include "lib/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "tests/support/t_main.h"

static void test_an_error_returns_its_status_and_keeps_its_text(void)
{
	CU_ASSERT_EQUAL(fr_error(FERRULE_ERR_ARGUMENT, "count is %d; allowed: 0 to %s", -3, "7"),
	                FERRULE_ERR_ARGUMENT);
	CU_ASSERT_STRING_EQUAL(fr_error_text(), "count is -3; allowed: 0 to 7");
}

static void test_an_error_may_build_on_the_one_before(void)
{
	fr_error(FERRULE_ERR_SYSTEM, "inner");
	fr_error(FERRULE_ERR_SYSTEM, "outer: %s", fr_error_text());
	CU_ASSERT_STRING_EQUAL(fr_error_text(), "outer: inner");
}

static void test_a_long_error_is_cut(void)
{
	fr_error(FERRULE_ERR_INTERNAL, "%5000d", 1);
	CU_ASSERT_TRUE(strlen(fr_error_text()) >= 512 && strlen(fr_error_text()) < 5000);
}

static void *other_thread(void *arg)
{
	CU_ASSERT_STRING_EQUAL(fr_error_text(), "");
	fr_error(FERRULE_ERR_BUSY, "of the other thread");
	return arg;
}

static void test_each_thread_has_its_own_error(void)
{
	pthread_t thread;

	fr_error(FERRULE_ERR_BUSY, "of this thread");
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, other_thread, NULL), 0);
	pthread_join(thread, NULL);
	CU_ASSERT_STRING_EQUAL(fr_error_text(), "of this thread");
}

/* Runs `speak` with stderr in a file; returns what was written. */
static char *listen_to(void (*speak)(void), char *buf, size_t bytes)
{
	FILE *file = tmpfile();
	const int saved = dup(STDERR_FILENO);

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	dup2(fileno(file), STDERR_FILENO);
	speak();
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	const size_t n = fread(buf, 1, bytes - 1, file);
	buf[n] = '\0';
	fclose(file);
	return buf;
}

static void speak_at_every_level(void)
{
	fr_log(FR_LOG_ERROR, "one %d", 1);
	fr_log(FR_LOG_WARNING, "two");
	fr_log(FR_LOG_INFO, "three");
	fr_log(FR_LOG_DEBUG, "four");
}

static void test_lines_come_when_their_level_allows(void)
{
	char text[1000];

	CU_ASSERT_STRING_EQUAL(listen_to(speak_at_every_level, text, sizeof(text)),
	                       "ferrule: error: one 1\nferrule: warning: two\n");
	fr_log_set_level(FR_LOG_DEBUG);
	fr_log_set_rank(12);
	CU_ASSERT_STRING_EQUAL(listen_to(speak_at_every_level, text, sizeof(text)),
	                       "ferrule: rank 12: error: one 1\nferrule: rank 12: warning: two\n"
	                       "ferrule: rank 12: info: three\nferrule: rank 12: debug: four\n");
	fr_log_set_rank(-1);
	fr_log_set_level(FR_LOG_WARNING);
}

static void speak_at_length(void)
{
	errno = EBADF;
	fr_log(FR_LOG_ERROR, "%04000d", 7);
	CU_ASSERT_EQUAL(errno, EBADF);
}

static void test_a_long_line_is_cut_and_ends_in_a_newline(void)
{
	char text[5000];
	const size_t length = strlen(listen_to(speak_at_length, text, sizeof(text)));

	CU_ASSERT_EQUAL(length, 1024);
	CU_ASSERT_STRING_EQUAL(text + length - 4, "...\n");
}

static void fail_aloud(void)
{
	fr_error(FERRULE_ERR_TIMEOUT, "rank 3 is late");
}

static void test_errors_are_logged_at_level_debug(void)
{
	char text[300];

	CU_ASSERT_STRING_EQUAL(listen_to(fail_aloud, text, sizeof(text)), "");
	fr_log_set_level(FR_LOG_DEBUG);
	CU_ASSERT_STRING_EQUAL(listen_to(fail_aloud, text, sizeof(text)),
	                       "ferrule: debug: FERRULE_ERR_TIMEOUT: rank 3 is late\n");
	fr_log_set_level(FR_LOG_WARNING);
}

static void test_the_clock_goes_forward(void)
{
	const uint64_t before = fr_clock_ns();
	uint64_t now;

	do {
		fr_cpu_relax();
		now = fr_clock_ns();
		CU_ASSERT_FATAL(now >= before);
	} while (now < before + 1000000);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"an error returns its status and keeps its text",
	         test_an_error_returns_its_status_and_keeps_its_text},
		{"an error may build on the one before", test_an_error_may_build_on_the_one_before},
		{"a long error is cut", test_a_long_error_is_cut},
		{"each thread has its own error", test_each_thread_has_its_own_error},
		{"lines come when their level allows", test_lines_come_when_their_level_allows},
		{"a long line is cut and ends in a newline",
	         test_a_long_line_is_cut_and_ends_in_a_newline},
		{"errors are logged at level debug", test_errors_are_logged_at_level_debug},
		{"the clock goes forward", test_the_clock_goes_forward},
		{NULL, NULL},
	};

	return t_main("error", cases);
}

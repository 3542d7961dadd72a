/* What a failed system call means, and the descriptors that are reserved. */
#include "config.h"

#include "lib/base/system.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

static void test_what_ran_out_and_what_to_raise_is_told(void)
{
	static const struct {
		int error;
		bool is_exhaustion;
		const char *says;
	} cases[] = {
		{EMFILE, true, "socket: out of file descriptors, the limit is "},
		{EMFILE, true, "raise it with ulimit -n"},
		{ENFILE, true, "fs.file-max"},
		{ENOMEM, true, "socket: out of memory"},
		{ENOSPC, true, "no space left"},
		{ECONNREFUSED, false, "socket: Connection refused"},
		{EAGAIN, false, "socket: "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[240];

		CU_ASSERT_EQUAL(fr_is_exhaustion(cases[i].error), cases[i].is_exhaustion);
		CU_ASSERT_PTR_NOT_NULL(
			strstr(fr_system_text("socket", cases[i].error, text, sizeof(text)),
		               cases[i].says));
	}
	CU_ASSERT_EQUAL(fr_system_error("poll", EMFILE), FERRULE_ERR_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "poll: out of file descriptors"));
}

static int rank_with_limits(int rank, int n_ranks, void *arg)
{
	const struct rlimit low = {.rlim_cur = 40, .rlim_max = 200};
	struct rlimit now;
	size_t need = 0, limit = 0;

	(void)rank, (void)n_ranks, (void)arg;
	if (setrlimit(RLIMIT_NOFILE, &low) != 0)
		return 1;
	if (!fr_descriptors_reserve(10, &need, &limit) || getrlimit(RLIMIT_NOFILE, &now) != 0 ||
	    now.rlim_cur != 40)
		return 2; /* what is enough stays as it is */
	if (!fr_descriptors_reserve(100, &need, &limit) || getrlimit(RLIMIT_NOFILE, &now) != 0 ||
	    now.rlim_cur < 100 || now.rlim_cur > 200)
		return 3;
	if (fr_descriptors_reserve(300, &need, &limit))
		return 4;
	return need < 303 || limit != 200 ? 5 : 0;
}

static void test_the_limit_is_raised_as_far_as_needed(void)
{
	int code = 0;

	t_spawn(1, 10, rank_with_limits, NULL, &code);
	CU_ASSERT_EQUAL(code, 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"what ran out, and what to raise, is told",
	         test_what_ran_out_and_what_to_raise_is_told},
		{"the limit is raised as far as needed", test_the_limit_is_raised_as_far_as_needed},
		{NULL, NULL},
	};

	return t_main("system", cases);
}

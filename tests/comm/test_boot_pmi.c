/*
 * Ranks find each other through PMI-1 and PMI-2: beside a launcher of the test's own, which may be
 * slow, silent or dishonest, and under MPICH's mpiexec.hydra where that is installed.
 */
#include "config.h"

#include "lib/comm/boot.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/comm/boot_pmi_wire.h"
#include "tests/comm/t_pmi.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

#define N_RANKS 4
#define SCENE   "T_PMI_SCENE"

static uint64_t after(double seconds)
{
	return fr_clock_ns() + (uint64_t)(seconds * 1e9);
}

static int complain(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, fr_error_text());
	return 1;
}

/* ---- ranks ---- */

static int meet_once(int rank, int n_ranks)
{
	struct fr_boot *boot;
	int all[T_PMI_MAX_RANKS];

	if (fr_boot_open_env(after(20), &boot) != FERRULE_OK)
		return complain("open");
	const struct fr_boot_info *info = fr_boot_info(boot);
	int bad = info->rank != rank || info->n_ranks != n_ranks;
	if (n_ranks > 1 &&
	    fr_boot_allgather(boot, &rank, all, sizeof(int), after(20)) != FERRULE_OK)
		bad = complain("allgather");
	for (int r = 0; n_ranks > 1 && r < n_ranks && !bad; r++)
		bad = all[r] != r;
	fr_boot_close(boot);
	return bad;
}

static int meet_again_and_again(int rank, int n_ranks, void *pmi)
{
	t_pmi_enter(pmi, rank);
	return meet_once(rank, n_ranks) || meet_once(rank, n_ranks) || meet_once(rank, n_ranks);
}

static int meet_with_job_id(int rank, int n_ranks, void *pmi)
{
	t_pmi_enter(pmi, rank);
	setenv("PMI_JOBID", "4711.0", 1);
	return meet_once(rank, n_ranks) || meet_once(rank, n_ranks);
}

/* What the ranks that meet with the fault must be told. */
struct failure {
	struct t_pmi pmi;
	ferrule_status_t status;
	const char *text;
	double deadline_s;
};

/* Only rank 0 puts, only the others get. */
static int is_met(const struct failure *f, int rank)
{
	if (f->pmi.at && strstr(f->pmi.at, "put"))
		return rank == 0;
	return !f->pmi.at || !strstr(f->pmi.at, "get") ||
	       strcmp(f->pmi.at, "get_my_kvsname") == 0 || rank != 0;
}

static int fail(int rank, int n_ranks, void *arg)
{
	const struct failure *f = arg;
	struct fr_boot *boot;

	(void)n_ranks;
	t_pmi_enter(&f->pmi, rank);
	if (f->pmi.only_version == 2)
		setenv("PMI_JOBID", "4711", 1);
	/* The others wait for the one that was told, and for nothing longer than they have to. */
	if (!is_met(f, rank))
		return fr_boot_open_env(after(0.2), &boot) == FERRULE_OK;
	if (fr_boot_open_env(after(f->deadline_s), &boot) != f->status)
		return complain("another status");
	if (!strstr(fr_error_text(), f->text))
		return complain(f->text);
	if (strstr(fr_error_text(), "value="))
		return complain("a secret is told");
	return fr_boot_open_env(after(1), &boot) != FERRULE_ERR_UNSUPPORTED;
}

static int play(struct t_pmi *pmi, int (*fn)(int, int, void *), void *arg)
{
	const pid_t pid = t_pmi_start(pmi);
	const int bad = pid > 0 ? t_spawn(pmi->n_ranks, 60, fn, arg, NULL) : -1;

	t_pmi_stop(pmi, pid);
	return bad;
}

/* ---- meeting ---- */

static void test_ranks_meet_through_pmi_1(void)
{
	struct t_pmi pmi = {.n_ranks = N_RANKS, .only_version = 1};

	CU_ASSERT_EQUAL(play(&pmi, meet_again_and_again, &pmi), 0);
	CU_ASSERT_EQUAL(play(&pmi, meet_with_job_id, &pmi), 0);
}

static void test_ranks_meet_through_pmi_2(void)
{
	struct t_pmi pmi = {.n_ranks = N_RANKS, .only_version = 2};

	CU_ASSERT_EQUAL(play(&pmi, meet_again_and_again, &pmi), 0);
	CU_ASSERT_EQUAL(play(&pmi, meet_with_job_id, &pmi), 0);
}

static void test_one_rank_needs_no_answer(void)
{
	struct t_pmi pmi = {.n_ranks = 1, .fault = T_PMI_SILENT, .at = "init"};

	CU_ASSERT_EQUAL(play(&pmi, meet_again_and_again, &pmi), 0);
}

static void test_a_slow_launcher_is_waited_for(void)
{
	struct t_pmi pmi = {.n_ranks = 2, .fault = T_PMI_SLOW, .at = "get"};

	CU_ASSERT_EQUAL(play(&pmi, meet_again_and_again, &pmi), 0);
	pmi = (struct t_pmi){
		.n_ranks = 2, .only_version = 2, .fault = T_PMI_SLOW, .at = "fullinit"};
	CU_ASSERT_EQUAL(play(&pmi, meet_with_job_id, &pmi), 0);
}

/* ---- failing ---- */

static void expect_failure(int version, enum t_pmi_fault fault, const char *at,
                           ferrule_status_t status, const char *text)
{
	struct failure f = {
		.pmi = {.n_ranks = 2, .only_version = version, .fault = fault, .at = at},
		.status = status,
		.text = text,
		.deadline_s = status == FERRULE_ERR_TIMEOUT ? 0.5 : 20};

	CU_ASSERT_EQUAL(play(&f.pmi, fail, &f), 0);
}

static void test_a_silent_launcher_is_named(void)
{
	expect_failure(1, T_PMI_SILENT, "init", FERRULE_ERR_TIMEOUT,
	               "the launcher (PMI-1, PMI_FD=");
	expect_failure(1, T_PMI_SILENT, "finalize", FERRULE_ERR_TIMEOUT,
	               "'cmd=finalize' within 0.");
	expect_failure(2, T_PMI_SILENT, "fullinit", FERRULE_ERR_TIMEOUT, "did not answer rank");
	expect_failure(2, T_PMI_SILENT, "kvs-put", FERRULE_ERR_TIMEOUT, "'cmd=kvs-put'");
}

static void test_a_meeting_that_does_not_end_is_told_as_such(void)
{
	expect_failure(1, T_PMI_SILENT, "barrier_in", FERRULE_ERR_TIMEOUT,
	               "not all ranks met within 0.");
	expect_failure(2, T_PMI_SILENT, "kvs-fence", FERRULE_ERR_TIMEOUT,
	               "not all ranks met within 0.");
}

static void test_a_launcher_that_ends_is_named(void)
{
	expect_failure(1, T_PMI_CLOSES, "init", FERRULE_ERR_SYSTEM, "closed the connection");
	expect_failure(1, T_PMI_CLOSES, "barrier_in", FERRULE_ERR_SYSTEM, "closed the connection");
	expect_failure(2, T_PMI_CLOSES, "kvs-fence", FERRULE_ERR_SYSTEM, "closed the connection");
}

static void test_answers_that_are_none_are_shown(void)
{
	static const struct {
		int version;
		const char *at;
	} rows[] = {{1, "init"},    {1, "get_my_kvsname"}, {1, "put"},     {1, "barrier_in"},
	            {1, "get"},     {1, "finalize"},       {2, "init"},    {2, "fullinit"},
	            {2, "kvs-put"}, {2, "kvs-fence"},      {2, "kvs-get"}, {2, "finalize"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		expect_failure(rows[i].version, T_PMI_GARBAGE, rows[i].at, FERRULE_ERR_PROTOCOL,
		               "answered rank");
		expect_failure(rows[i].version, T_PMI_ENDLESS, rows[i].at, FERRULE_ERR_PROTOCOL,
		               "with '9999");
		expect_failure(rows[i].version, T_PMI_CONFUSED, rows[i].at, FERRULE_ERR_PROTOCOL,
		               "with 'cmd=other");
	}
}

static void test_a_launcher_that_says_no_is_believed(void)
{
	expect_failure(1, T_PMI_FAILS, "put", FERRULE_ERR_PROTOCOL, "rc=-1");
	expect_failure(1, T_PMI_FAILS, "get", FERRULE_ERR_PROTOCOL, "rc=-1");
	expect_failure(2, T_PMI_FAILS, "fullinit", FERRULE_ERR_PROTOCOL, "answered rank");
	expect_failure(2, T_PMI_FAILS, "kvs-get", FERRULE_ERR_PROTOCOL, "answered rank");
	expect_failure(1, T_PMI_FAILS, "init", FERRULE_ERR_UNSUPPORTED,
	               "speaks neither PMI-1 nor PMI-2");
}

static void test_a_launcher_that_counts_otherwise_is_not_believed(void)
{
	struct failure f = {.pmi = {.n_ranks = 2, .only_version = 2, .says_ranks = 3},
	                    .status = FERRULE_ERR_PROTOCOL,
	                    .text = "size=3",
	                    .deadline_s = 20};

	CU_ASSERT_EQUAL(play(&f.pmi, fail, &f), 0);
}

/* ---- variables ---- */

static int with_bad_variable(int rank, int n_ranks, void *arg)
{
	static const struct {
		const char *name, *value, *text;
	} rows[] = {
		{"PMI_FD", "1000", "PMI_FD=1000 is no connection to a launcher (Bad file"},
		{"PMI_FD", "x", "PMI_FD=x, which PMI needs, is not allowed"},
		{"PMI_FD", "-1", "PMI_FD=-1, which PMI needs, is not allowed"},
		{"PMI_RANK", "2", "PMI_RANK=2, which PMI needs, is not allowed; allowed: 0 to 1"},
		{"PMI_SIZE", "", "PMI_SIZE=, which PMI needs, is not allowed"},
		{"PMI_SIZE", "1000000", "PMI_SIZE=1000000, which PMI needs, is not allowed"},
	};
	struct fr_boot *boot;

	(void)n_ranks;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* Only the first boot of a process talks to the launcher. */
		const pid_t pid = fork();
		int status = -1;
		if (pid == 0) {
			t_pmi_enter(arg, rank);
			setenv(rows[i].name, rows[i].value, 1);
			_exit(fr_boot_open_env(after(1), &boot) != FERRULE_ERR_SETTING ||
			      (!strstr(fr_error_text(), rows[i].text) && complain(rows[i].text)));
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			return 1;
	}
	return 0;
}

static void test_bad_variables_are_named(void)
{
	struct t_pmi pmi = {.n_ranks = 2};

	CU_ASSERT_EQUAL(play(&pmi, with_bad_variable, &pmi), 0);
}

/* ---- messages ---- */

static void test_values_are_found_in_lines(void)
{
	static const char line[] = "cmd=get_result rc=0  msg=success value=ab=c xvalue=9";
	char out[8] = "before";
	int rc = 7;

	CU_ASSERT_TRUE(fr_pmi_is(FR_PMI_1, line, "get_result"));
	CU_ASSERT_FALSE(fr_pmi_is(FR_PMI_1, line, "get"));
	CU_ASSERT_TRUE(fr_pmi_value(FR_PMI_1, line, "value", out, sizeof(out)));
	CU_ASSERT_STRING_EQUAL(out, "ab=c");
	CU_ASSERT_TRUE(fr_pmi_number(FR_PMI_1, line, "rc", -1, 0, &rc));
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_FALSE(fr_pmi_value(FR_PMI_1, line, "alue", out, sizeof(out)));
	CU_ASSERT_FALSE(fr_pmi_value(FR_PMI_1, line, "value", out, 4));
	CU_ASSERT_FALSE(fr_pmi_number(FR_PMI_1, line, "msg", 0, 9, &rc));
	CU_ASSERT_STRING_EQUAL(out, "ab=c");
}

static void test_doubled_semicolons_are_one(void)
{
	static const char message[] = "cmd=kvs-get-response;value=a;;b=c;;;;;found=TRUE;";
	char out[16];

	CU_ASSERT_TRUE(fr_pmi_value(FR_PMI_2, message, "value", out, sizeof(out)));
	CU_ASSERT_STRING_EQUAL(out, "a;b=c;;");
	CU_ASSERT_TRUE(fr_pmi_value(FR_PMI_2, message, "found", out, sizeof(out)));
	CU_ASSERT_STRING_EQUAL(out, "TRUE");
	CU_ASSERT_FALSE(fr_pmi_value(FR_PMI_2, message, "b", out, sizeof(out)));
	CU_ASSERT_FALSE(fr_pmi_value(FR_PMI_2, "", "b", out, sizeof(out)));
}

static void test_lengths_are_read_with_care(void)
{
	char text[7] = "";
	size_t n = 0;

	fr_pmi_put_length(42, text);
	CU_ASSERT_STRING_EQUAL(text, "    42");
	CU_ASSERT_TRUE(fr_pmi_get_length("    42", &n) && n == 42);
	CU_ASSERT_TRUE(fr_pmi_get_length("43    ", &n) && n == 43);
	CU_ASSERT_TRUE(fr_pmi_get_length("000044", &n) && n == 44);
	CU_ASSERT_FALSE(fr_pmi_get_length("999999", &n));
	CU_ASSERT_FALSE(fr_pmi_get_length("     0", &n));
	CU_ASSERT_FALSE(fr_pmi_get_length("    -1", &n));
	CU_ASSERT_FALSE(fr_pmi_get_length("      ", &n));
	CU_ASSERT_FALSE(fr_pmi_get_length("cmd=in", &n));
	CU_ASSERT_EQUAL(n, 44);
}

/* ---- MPICH's own launcher ---- */

static int has_hydra(void)
{
	return system("command -v mpiexec.hydra >/dev/null 2>&1") == 0;
}

static int under_hydra(const char *option, const char *job)
{
	char self[4096];
	const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int status = -1;

	if (length < 0)
		return -1;
	self[length] = '\0';
	const pid_t pid = fork();
	if (pid == 0) {
		setenv(SCENE, "1", 1);
		unsetenv("RANK");
		unsetenv("WORLD_SIZE");
		if (job)
			setenv("PMI_JOBID", job, 1);
		execlp("timeout", "timeout", "-k", "5", "60", "mpiexec.hydra", "-n", "4", self,
		       option, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return status;
}

/* A rank under Hydra, which says in the environment which one. */
static int be_a_rank(void)
{
	const char *rank = getenv("PMI_RANK");

	return rank ? meet_once(atoi(rank), 4) || meet_once(atoi(rank), 4) : 1;
}

static void test_ranks_meet_under_hydra(void)
{
	if (!has_hydra()) {
		t_skip("mpiexec.hydra is not installed (Debian: mpich)");
		return;
	}
	CU_ASSERT_EQUAL(under_hydra(NULL, NULL), 0);
	CU_ASSERT_EQUAL(under_hydra(NULL, "0"), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"ranks meet through PMI-1", test_ranks_meet_through_pmi_1},
		{"ranks meet through PMI-2", test_ranks_meet_through_pmi_2},
		{"one rank needs no answer", test_one_rank_needs_no_answer},
		{"a slow launcher is waited for", test_a_slow_launcher_is_waited_for},
		{"a silent launcher is named", test_a_silent_launcher_is_named},
		{"a meeting that does not end is told as such",
	         test_a_meeting_that_does_not_end_is_told_as_such},
		{"a launcher that ends is named", test_a_launcher_that_ends_is_named},
		{"answers that are none are shown", test_answers_that_are_none_are_shown},
		{"a launcher that says no is believed", test_a_launcher_that_says_no_is_believed},
		{"a launcher that counts otherwise is not believed",
	         test_a_launcher_that_counts_otherwise_is_not_believed},
		{"bad variables are named", test_bad_variables_are_named},
		{"values are found in lines", test_values_are_found_in_lines},
		{"doubled semicolons are one", test_doubled_semicolons_are_one},
		{"lengths are read with care", test_lengths_are_read_with_care},
		{"ranks meet under mpiexec.hydra", test_ranks_meet_under_hydra},
		{NULL, NULL},
	};

	return getenv(SCENE) ? be_a_rank() : t_main("boot_pmi", cases);
}

/* Ranks find each other under mpirun: this program starts itself there and is then a rank. */
#include "config.h"

#include "lib/comm/boot.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "tests/support/t_main.h"

#define N_RANKS      "4"
#define DEADLINE_S   40
#define SCENE        "T_PMIX_SCENE"
#define MPIRUN_FLAGS "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"

static uint64_t after(double seconds)
{
	return fr_clock_ns() + (uint64_t)(seconds * 1e9);
}

static int complain(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, fr_error_text());
	return 1;
}

/* ---- a rank ---- */

static int meet_once(void)
{
	struct fr_boot *boot;
	int all[64];

	if (fr_boot_open_env(after(20), &boot) != FERRULE_OK)
		return complain("open");
	const struct fr_boot_info *info = fr_boot_info(boot);
	int bad = info->n_ranks != atoi(N_RANKS) || info->rank != atoi(getenv("PMIX_RANK"));
	if (fr_boot_allgather(boot, &info->rank, all, sizeof(int), after(20)) != FERRULE_OK)
		bad = complain("allgather");
	for (int rank = 0; rank < info->n_ranks && !bad; rank++)
		bad = all[rank] != rank;
	fr_boot_close(boot);
	return bad;
}

/* The one that stays away has been there once: mpirun ends jobs whose ranks never came. */
static int miss_one(int absent, const char *text)
{
	struct fr_boot *boot;

	if (meet_once() != 0)
		return 1;
	if (atoi(getenv("PMIX_RANK")) == absent)
		return 0;
	if (fr_boot_open_env(after(1), &boot) != FERRULE_ERR_TIMEOUT)
		return complain("a rank is missing, but there is no timeout");
	return strstr(fr_error_text(), text) ? 0 : complain("not named");
}

static int run_rank(const char *scene)
{
	if (strcmp(scene, "meet") == 0)
		return meet_once() || meet_once() || meet_once();
	if (strcmp(scene, "miss 2") == 0)
		return miss_one(2, "rank 2 of 4 did not arrive within");
	return miss_one(0, "rank 0 of 4 did not arrive within");
}

/* ---- the test ---- */

static const char *find_mpirun(char *buf, size_t bytes)
{
	static const char *const places[] = {"/usr/bin/mpirun.openmpi",
	                                     "/usr/local/bin/mpirun.openmpi"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(buf, bytes, "%s", places[i]);
		if (access(buf, X_OK) == 0)
			return buf;
	}
	return NULL;
}

static pid_t start_mpirun(const char *mpirun, const char *scene)
{
	char self[4096];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return -1;
	self[n] = '\0';
	fflush(NULL);
	const pid_t pid = fork();
	if (pid != 0)
		return pid;
	setpgid(0, 0);
	setenv(SCENE, scene, 1);
	/* libpmix leaves memory behind when it is finalized; a leak checker would fail the ranks.
	 */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	unsetenv("RANK");
	unsetenv("WORLD_SIZE");
	execl(mpirun, mpirun, MPIRUN_FLAGS, "-n", N_RANKS, self, (char *)NULL);
	_exit(127);
}

/* Exit code of mpirun, or -1 when it had to be killed, with everything it started. */
static int await_mpirun(pid_t pid)
{
	const uint64_t deadline = after(DEADLINE_S);
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (fr_clock_ns() > deadline) {
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		poll(NULL, 0, 10);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#ifdef HAVE_PMIX
#define HAS_PMIX 1
#else
#define HAS_PMIX 0
#endif

static void play(const char *scene)
{
	char path[64];
	const char *mpirun = find_mpirun(path, sizeof(path));

	if (!HAS_PMIX)
		t_skip("built without PMIx (Debian: libpmix-dev)");
	else if (!mpirun)
		t_skip("mpirun.openmpi is not installed (Debian: openmpi-bin)");
	else
		CU_ASSERT_EQUAL(await_mpirun(start_mpirun(mpirun, scene)), 0);
}

static void test_ranks_meet_under_mpirun_again_and_again(void)
{
	play("meet");
}

static void test_a_missing_rank_is_named_under_mpirun(void)
{
	play("miss 2");
}

static void test_a_missing_rank_0_is_named_under_mpirun(void)
{
	play("miss 0");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"ranks meet under mpirun, again and again",
	         test_ranks_meet_under_mpirun_again_and_again},
		{"a missing rank is named under mpirun", test_a_missing_rank_is_named_under_mpirun},
		{"a missing rank 0 is named under mpirun",
	         test_a_missing_rank_0_is_named_under_mpirun},
		{NULL, NULL},
	};
	const char *scene = getenv(SCENE);

	return scene ? run_rank(scene) : t_main("boot_pmix", cases);
}

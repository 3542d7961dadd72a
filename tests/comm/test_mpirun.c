/*
 * A whole communicator under mpirun, which says nothing but PMIx: this program starts itself
 * there and is then a rank.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ferrule/ferrule.h>
#include "tests/support/t_main.h"

#define RANK_MARK "T_MPIRUN_RANK"

static int complain(ferrule_comm_t comm, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, ferrule_comm_error_text(comm));
	return 1;
}

/* A rank: sums, in a communicator and in a child of it. */
static int be_a_rank(void)
{
	ferrule_comm_t comm, child;
	int one = 1, sum = 0, size;

	if (ferrule_comm_create_from_env(NULL, &comm) != FERRULE_OK)
		return complain(NULL, "create");
	size = ferrule_comm_size(comm);
	if (size != atoi(getenv(RANK_MARK)) || ferrule_comm_local_size(comm) != size)
		return complain(comm, "wrong size");
	if (ferrule_allreduce(comm, &one, &sum, 1, FERRULE_INT32, FERRULE_SUM) != FERRULE_OK ||
	    sum != size)
		return complain(comm, "allreduce");
	if (ferrule_comm_split(comm, ferrule_comm_rank(comm) % 2, 0, &child) != FERRULE_OK)
		return complain(comm, "split");
	if (ferrule_barrier(child) != FERRULE_OK || ferrule_comm_finalize(child) != FERRULE_OK)
		return complain(child, "child");
	ferrule_comm_destroy(child);
	if (ferrule_comm_finalize(comm) != FERRULE_OK)
		return complain(comm, "finalize");
	ferrule_comm_destroy(comm);
	return 0;
}

static int has_mpirun(void)
{
	return system("command -v mpirun.openmpi >/dev/null 2>&1") == 0;
}

/* The exit status of mpirun, which fails when a rank does. */
static int mpirun(const char *n, const char *transport)
{
	char self[4096];
	const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int status = -1;

	if (length < 0)
		return -1;
	self[length] = '\0';
	const pid_t pid = fork();

	if (pid == 0) {
		setenv(RANK_MARK, n, 1);
		setenv("FERRULE_TRANSPORT", transport, 1);
		execlp("timeout", "timeout", "-k", "5", "60", "mpirun.openmpi",
		       "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", n, self,
		       (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return status;
}

static void test_under_mpirun(void)
{
	if (!has_mpirun()) {
		t_skip("mpirun.openmpi is not installed");
		return;
	}
	CU_ASSERT_EQUAL(mpirun("1", ""), 0);
	CU_ASSERT_EQUAL(mpirun("3", "shm"), 0);
	CU_ASSERT_EQUAL(mpirun("4", "tcp"), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"communicators under mpirun", test_under_mpirun},
		{NULL, NULL},
	};

	if (getenv(RANK_MARK))
		return be_a_rank();
	return t_main("mpirun", cases);
}

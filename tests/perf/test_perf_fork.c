/* A measurement in a forked child: refused, and closed without a word to the other end. */
#include "config.h"

#include <ferrule/comm.h>
#include <ferrule/perf.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

struct pair {
	const char *transport;
	int fds[2];
};

static int measures(ferrule_perf_t perf)
{
	struct ferrule_perf_result result = {.size = sizeof(result)};

	return ferrule_perf_measure(perf, 8, &result) == FERRULE_OK;
}

static int is_refused_in_a_child(ferrule_perf_t perf)
{
	struct ferrule_perf_result result = {.size = sizeof(result)};
	int status = -1;
	const pid_t child = fork();

	if (child == 0) {
		const int refused =
			ferrule_perf_measure(perf, 8, &result) == FERRULE_ERR_ARGUMENT &&
			strstr(ferrule_comm_error_text(NULL), "forked from it") != NULL;

		ferrule_perf_close(perf);
		_exit(refused ? 0 : 1);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

static int one_side(int rank, int n, void *arg)
{
	const struct pair *pair = arg;
	struct ferrule_perf_params params;
	ferrule_perf_t perf;

	(void)n;
	close(pair->fds[1 - rank]);
	ferrule_perf_defaults(&params, sizeof(params), FERRULE_PERF_LAT, FERRULE_PERF_WRITE);
	params.via = FERRULE_PERF_VIA_CONTRACT;
	params.transport = pair->transport;
	params.control_fd = pair->fds[rank];
	params.is_server = rank == 0;
	params.iterations = 100;
	params.max_bytes = 8;
	if (ferrule_perf_open(&params, &perf) != FERRULE_OK) {
		fprintf(stderr, "rank %d: %s\n", rank, ferrule_comm_error_text(NULL));
		return 2;
	}
	if (!measures(perf) || !is_refused_in_a_child(perf))
		return 3;
	/* The child's end was not the measurement's. */
	if (!measures(perf))
		return 4;
	ferrule_perf_close(perf);
	return 0;
}

static void check_over(const char *transport)
{
	struct pair pair = {.transport = transport};

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.fds), 0);
	CU_ASSERT_EQUAL(t_spawn(2, 60, one_side, &pair, NULL), 0);
	close(pair.fds[0]);
	close(pair.fds[1]);
}

static void test_a_forked_child_is_refused(void)
{
	check_over("shm");
	check_over("tcp");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a forked child is refused", test_a_forked_child_is_refused},
		{NULL, NULL},
	};

	return t_main("perf_fork", cases);
}

/* What processes of one kernel, and of one of its networks, agree on. */
#include "config.h"

#include <sched.h>

#include "lib/base/machine_id.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

struct ids {
	uint64_t machine, network;
};

static int rank_compares(int rank, int n_ranks, void *arg)
{
	const struct ids *theirs = arg;

	(void)rank, (void)n_ranks;
	return fr_machine_id() != theirs->machine || fr_network_id() != theirs->network;
}

static void test_processes_of_a_host_agree(void)
{
	struct ids ids = {fr_machine_id(), fr_network_id()};

	CU_ASSERT_NOT_EQUAL(ids.machine, 0);
	CU_ASSERT_NOT_EQUAL(ids.network, ids.machine);
	CU_ASSERT_EQUAL(t_spawn(2, 10, rank_compares, &ids, NULL), 0);
}

/* Exit status 77: it is not allowed here. */
static int rank_moves_away(int rank, int n_ranks, void *arg)
{
	const struct ids *theirs = arg;

	(void)rank, (void)n_ranks;
	if (unshare(CLONE_NEWNET) != 0)
		return 77;
	return fr_machine_id() != theirs->machine || fr_network_id() == theirs->network;
}

static void test_another_network_of_the_same_machine(void)
{
	struct ids ids = {fr_machine_id(), fr_network_id()};
	int code = 0;

	t_spawn(1, 10, rank_moves_away, &ids, &code);
	if (code == 77)
		t_skip("cannot make a network namespace");
	else
		CU_ASSERT_EQUAL(code, 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"processes of a host agree", test_processes_of_a_host_agree},
		{"another network of the same machine", test_another_network_of_the_same_machine},
		{NULL, NULL},
	};

	return t_main("machine", cases);
}

/* simnet is a transport like the others, in a kind mood and in bad ones. */
#include "config.h"

#include <stdlib.h>

#include "tests/support/simnet.h"
#include "tests/transport/conformance.h"

static void *create_bad(int n_ranks)
{
	const struct t_simnet_faults faults = {
		.piece_max = 3000,
		.capacity = 20000,
		.delay_max = 20,
		.stall_percent = 20,
		.has_windows = true,
		.is_lent = true,
		.is_rude = true,
	};
	const char *seed = getenv("T_SEED");
	return t_simnet_create(n_ranks, seed != NULL ? strtoull(seed, NULL, 10) : 1, faults);
}

static void destroy(void *net)
{
	t_simnet_destroy(net);
}

static struct fr_transport *rank(void *net, int r)
{
	return t_simnet_rank(net, r);
}

static void kill_rank(void *net, int r)
{
	t_simnet_kill(net, r);
}

int main(void)
{
	const struct t_subject subject = {
		.ops = &t_simnet_ops,
		.net_create = create_bad,
		.net_destroy = destroy,
		.net_rank = rank,
		.net_kill = kill_rank,
	};
	return t_conformance("transport/simnet", &subject);
}

/*
 * perf_cores.c - a core for each side of a test on one host, as `ferrule run` gives ranks.
 *
 * Left to itself the kernel often starts both on one core, where every message waits for a change
 * of process: shared memory then takes 3.4 us where two cores take 0.13, and which it was differs
 * from run to run.
 */
#include "tools/perf_tool.h"

#include <stdlib.h>
#include <string.h>

#include "tools/launch_internal.h"

static int first_of(const cpu_set_t *set)
{
	int cpu = 0;

	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, set))
		cpu++;
	return cpu;
}

bool fr_perf_cores_choose(struct fr_perf_cores *c, const char *bind, char *why, size_t n)
{
	int n_cores = 0;

	c->n = 0;
	if (bind && strcmp(bind, "none") == 0)
		return true;
	cpu_set_t *const sets = fr_cores_assign(2, &n_cores);
	if (!sets && bind) {
		snprintf(why, n,
		         "option --bind core: two sides do not fit the %d core that may be used; "
		         "allowed: --bind none",
		         n_cores);
		return false;
	}
	for (int i = 0; sets && i < 2; i++) {
		c->set[i] = sets[i];
		c->cpu[i] = first_of(&sets[i]);
	}
	c->n = sets ? 2 : 0;
	free(sets);
	return true;
}

void fr_perf_cores_bind(const struct fr_perf_cores *c, int side)
{
	if (c->n == 2)
		sched_setaffinity(0, sizeof(c->set[side]), &c->set[side]);
}

/* launch_cores.c - which core each rank is bound to. */
#include "tools/launch_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* The lowest hardware thread of the core that `cpu` belongs to: a name for the core.  Where the
 * kernel does not say, every thread counts as a core. */
static int core_of(int cpu)
{
	char path[96];
	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
	         cpu);
	FILE *const f = fopen(path, "re");
	if (!f)
		return cpu;
	int first = cpu;
	if (fscanf(f, "%d", &first) != 1 || first < 0 || first >= CPU_SETSIZE)
		first = cpu;
	fclose(f);
	return first;
}

cpu_set_t *fr_cores_assign(int n, int *n_cores_out)
{
	cpu_set_t usable;
	int core_index[CPU_SETSIZE]; /* by the core's lowest thread */
	int n_cores = 0;

	*n_cores_out = 0;
	if (sched_getaffinity(0, sizeof(usable), &usable) != 0)
		return NULL;
	cpu_set_t *const cores = calloc((size_t)n, sizeof(*cores));
	if (!cores)
		return NULL;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		core_index[cpu] = -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &usable))
			continue;
		const int core = core_of(cpu);
		if (core_index[core] < 0)
			core_index[core] = n_cores++;
		if (core_index[core] < n)
			CPU_SET(cpu, &cores[core_index[core]]);
	}
	*n_cores_out = n_cores;
	if (n_cores >= n)
		return cores;
	free(cores);
	return NULL;
}

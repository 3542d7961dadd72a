/*
 * verbs_numa.c - read from sysfs, with hwloc's bitmaps for the lists of processors.
 *
 * A whole hwloc topology would tell the same, but takes as long to load as opening all devices
 * of a large machine, in every rank of it at the same moment.
 */
#include "config.h"

#include "lib/transport/verbs/verbs_numa.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hwloc/bitmap.h>

#include "lib/base/parse.h"

/* The first line of a file, without its end. */
static bool read_line(const char *path, char *buf, size_t bytes)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	const bool ok = fgets(buf, (int)bytes, file) != NULL;
	fclose(file);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

/* sched_getaffinity() refuses a mask that is too small for the kernel's count of processors. */
static bool read_affinity(hwloc_bitmap_t out)
{
	for (int n = 1024; n <= 1 << 20; n *= 2) {
		cpu_set_t *set = CPU_ALLOC((size_t)n);
		const size_t bytes = CPU_ALLOC_SIZE((size_t)n);

		if (!set)
			return false;
		const bool ok = sched_getaffinity(0, bytes, set) == 0;
		for (int cpu = 0; ok && cpu < n; cpu++)
			if (CPU_ISSET_S((size_t)cpu, bytes, set))
				hwloc_bitmap_set(out, (unsigned)cpu);
		CPU_FREE(set);
		if (ok)
			return true;
		if (errno != EINVAL)
			return false;
	}
	return false;
}

static bool runs_on_node(const char *sys, int node, hwloc_const_bitmap_t mine)
{
	char path[256], line[1024];
	hwloc_bitmap_t cpus = hwloc_bitmap_alloc();

	snprintf(path, sizeof(path), "%s/devices/system/node/node%d/cpulist", sys, node);
	const bool ok = cpus && read_line(path, line, sizeof(line)) &&
	                hwloc_bitmap_list_sscanf(cpus, line) == 0 &&
	                hwloc_bitmap_intersects(cpus, mine);
	hwloc_bitmap_free(cpus);
	return ok;
}

/* The kernel's row of distances has one number an online node, in their order. */
static int nearest_of(const char *sys, int node, hwloc_const_bitmap_t mine)
{
	char path[256], online[256], row[1024], *next = NULL;
	hwloc_bitmap_t nodes = hwloc_bitmap_alloc();
	int nearest = 0, other = -1;

	snprintf(path, sizeof(path), "%s/devices/system/node/online", sys);
	bool ok = nodes && read_line(path, online, sizeof(online)) &&
	          hwloc_bitmap_list_sscanf(nodes, online) == 0;
	snprintf(path, sizeof(path), "%s/devices/system/node/node%d/distance", sys, node);
	ok = ok && read_line(path, row, sizeof(row));
	for (char *word = ok ? strtok_r(row, " ", &next) : NULL; word;
	     word = strtok_r(NULL, " ", &next)) {
		int64_t distance;

		other = hwloc_bitmap_next(nodes, other);
		if (other < 0 || !fr_parse_int(word, 1, 255, &distance))
			break;
		if (other != node && runs_on_node(sys, other, mine) &&
		    (nearest == 0 || distance < nearest))
			nearest = (int)distance;
	}
	hwloc_bitmap_free(nodes);
	return nearest;
}

int fr_verbs_numa_distance(const char *sys, const char *device, int *node_out)
{
	char path[256], line[32];
	int64_t node = -1;
	int distance = 0;

	snprintf(path, sizeof(path), "%s/class/infiniband/%s/device/numa_node", sys, device);
	if (!read_line(path, line, sizeof(line)) || !fr_parse_int(line, -1, 1 << 20, &node))
		node = -1;
	*node_out = (int)node;
	if (node < 0)
		return 0;
	hwloc_bitmap_t mine = hwloc_bitmap_alloc();
	if (mine && read_affinity(mine) && !runs_on_node(sys, (int)node, mine))
		distance = nearest_of(sys, (int)node, mine);
	hwloc_bitmap_free(mine);
	return distance;
}

/* topology_hwloc.c - the host in words, as hwloc sees it. */
#include "config.h"

#include "lib/comm/topology.h"

#include <stdio.h>
#include <string.h>

#include <hwloc.h>

#include "lib/base/error.h"

static int count(hwloc_topology_t topology, hwloc_obj_type_t type)
{
	const int n = hwloc_get_nbobjs_by_type(topology, type);

	/* Negative: present at several depths, which none of our types is. */
	return n > 0 ? n : 0;
}

static void name_cpu(hwloc_topology_t topology, char *buf, size_t bytes)
{
	hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
	const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;

	if (!model)
		model = hwloc_obj_get_info_by_name(hwloc_get_root_obj(topology), "CPUModel");
	snprintf(buf, bytes, "%s", model ? model : "unknown processor");
}

ferrule_status_t fr_topology_describe(struct ferrule_host_info *out)
{
	struct ferrule_host_info info = {.isa = NULL};
	struct fr_cpu_share share;
	hwloc_topology_t topology;

	if (hwloc_topology_init(&topology) != 0)
		return fr_error(FERRULE_ERR_NO_MEMORY, "hwloc has no memory for a topology");
	/* The whole host; what this process may use is said apart. */
	hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
	hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
	if (hwloc_topology_load(topology) != 0) {
		hwloc_topology_destroy(topology);
		return fr_error(FERRULE_ERR_SYSTEM, "hwloc cannot read this host's topology");
	}
	name_cpu(topology, info.cpu, sizeof(info.cpu));
	info.packages = count(topology, HWLOC_OBJ_PACKAGE);
	info.numa_nodes = count(topology, HWLOC_OBJ_NUMANODE);
	info.l3_caches = count(topology, HWLOC_OBJ_L3CACHE);
	info.cores = count(topology, HWLOC_OBJ_CORE);
	info.threads = count(topology, HWLOC_OBJ_PU);
	info.memory_bytes = hwloc_get_root_obj(topology)->total_memory;
	hwloc_topology_destroy(topology);
	fr_cpu_share_get(&share);
	info.usable_threads = fr_cpu_share_count(&share, 1);
	*out = info;
	return FERRULE_OK;
}

/* verbs_numa.h - how far a device is from the processors of this process. */
#ifndef FR_VERBS_NUMA_H
#define FR_VERBS_NUMA_H

/*
 * fr_verbs_numa_distance - 0 when this process may run on the device's NUMA node or when nothing
 * is known; else the kernel's distance (21, say) of the nearest node that it may run on.
 * node_out: the device's node, -1 unknown.  `sys` is "/sys", or a test's tree.
 */
int fr_verbs_numa_distance(const char *sys, const char *device, int *node_out);

#endif

/* topology.h - the host this process runs on, and what it may use of it. */
#ifndef FR_TOPOLOGY_H
#define FR_TOPOLOGY_H

#include <stdint.h>

#include <ferrule/info.h>

/* What one rank may use of its host's processors; travels between ranks as it is. */
#define FR_CPU_MASK_BYTES 128
struct fr_cpu_share {
	unsigned char
		mask[FR_CPU_MASK_BYTES]; /* bit c: hardware thread c is in the affinity mask */
	int32_t quota;                   /* threads' worth of time its cgroup grants; 0: no limit */
	int32_t zero;
};
_Static_assert(sizeof(struct fr_cpu_share) == FR_CPU_MASK_BYTES + 8, "a share has no padding");

/* fr_cpu_share_get - this process's share. */
void fr_cpu_share_get(struct fr_cpu_share *out);
/*
 * fr_cpu_share_count - on how many hardware threads n ranks of one host can run at the same
 * time: all that any of them may use, or their quota when that is less.  At least 1.
 */
int fr_cpu_share_count(const struct fr_cpu_share *shares, int n);

/* fr_topology_describe - fills all but `isa`, which is the kernels' to say. */
ferrule_status_t fr_topology_describe(struct ferrule_host_info *out);

#endif

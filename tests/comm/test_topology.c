/* The host in numbers that must agree with each other and with the kernel. */
#include "config.h"

#include "lib/comm/topology.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/t_main.h"

static void test_the_host_is_described(void)
{
	struct ferrule_host_info info;

	CU_ASSERT_EQUAL_FATAL(fr_topology_describe(&info), FERRULE_OK);
	CU_ASSERT_TRUE(strlen(info.cpu) > 0);
	CU_ASSERT_TRUE(info.packages >= 1);
	CU_ASSERT_TRUE(info.numa_nodes >= 1);
	CU_ASSERT_TRUE(info.cores >= info.packages);
	CU_ASSERT_TRUE(info.threads >= info.cores);
	CU_ASSERT_EQUAL(info.threads, sysconf(_SC_NPROCESSORS_ONLN));
	CU_ASSERT_TRUE(info.usable_threads >= 1 && info.usable_threads <= info.threads);
	CU_ASSERT_TRUE(info.memory_bytes > 1 << 20);
}

static void test_the_share_follows_the_affinity_mask(void)
{
	struct fr_cpu_share share;
	cpu_set_t before, one;
	int first = 0;

	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	CU_ASSERT_EQUAL_FATAL(sched_setaffinity(0, sizeof(one), &one), 0);
	fr_cpu_share_get(&share);
	CU_ASSERT_EQUAL(share.mask[first / 8], 1 << first % 8);
	CU_ASSERT_EQUAL(fr_cpu_share_count(&share, 1), 1);
	sched_setaffinity(0, sizeof(before), &before);
	fr_cpu_share_get(&share);
	share.quota = 0;
	CU_ASSERT_EQUAL(fr_cpu_share_count(&share, 1), CPU_COUNT(&before));
}

static void test_shares_are_counted_together(void)
{
	struct fr_cpu_share shares[3];

	memset(shares, 0, sizeof(shares));
	/* Nothing known about any: the cautious answer. */
	CU_ASSERT_EQUAL(fr_cpu_share_count(shares, 3), 1);
	shares[0].mask[0] = 0x0f;
	shares[1].mask[0] = 0x3c;
	shares[2].mask[FR_CPU_MASK_BYTES - 1] = 0x80;
	CU_ASSERT_EQUAL(fr_cpu_share_count(shares, 1), 4);
	CU_ASSERT_EQUAL(fr_cpu_share_count(shares, 2), 6);
	CU_ASSERT_EQUAL(fr_cpu_share_count(shares, 3), 7);
	/* A limit holds when all have one. */
	shares[0].quota = 2;
	shares[1].quota = 3;
	CU_ASSERT_EQUAL(fr_cpu_share_count(shares, 2), 3);
	CU_ASSERT_EQUAL(fr_cpu_share_count(shares, 3), 7);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"the host is described", test_the_host_is_described},
		{"the share follows the affinity mask", test_the_share_follows_the_affinity_mask},
		{"shares are counted together", test_shares_are_counted_together},
		{NULL, NULL},
	};

	return t_main("topology", cases);
}

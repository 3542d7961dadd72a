/* Which ports there are, which of them may be used, in which order, and why not the others. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/transport/verbs/verbs_device.h"
#include "lib/transport/verbs/verbs_numa.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"
#include "tests/transport/fake_verbs.h"

/* Settings are read once a process, so that each list is made in a process of its own. */
struct question {
	const char *name, *value; /* a setting, or NULL */
	void (*arrange)(void);    /* changes `fake`, or NULL */
	int n;                    /* ports expected */
	const char *first;        /* name of the first port's device, or NULL */
	const char *why;          /* in the first port's or in the whole answer's text, or NULL */
};

static int answer(int rank, int n_ranks, void *arg)
{
	const struct question *q = arg;
	struct fr_verbs_port ports[4];
	char why[512] = "";

	(void)rank;
	(void)n_ranks;
	if (q->name)
		setenv(q->name, q->value, 1);
	fake_verbs_reset();
	if (q->arrange)
		q->arrange();
	const int n = fr_verbs_ports(&fake_verbs, ports, 4, why, sizeof(why));
	CU_ASSERT_EQUAL(n, q->n);
	if (n > 0 && q->first)
		CU_ASSERT_STRING_EQUAL(ports[0].device, q->first);
	if (q->why)
		CU_ASSERT_PTR_NOT_NULL(strstr(n > 0 ? ports[0].why_not : why, q->why));
	if (n > 0 && !q->why)
		CU_ASSERT_STRING_EQUAL(ports[0].why_not, "");
	CU_ASSERT_EQUAL(fake.n_live, 0);
	if (t_failures())
		fprintf(stderr, "%s=%s: %d ports, %s, %s\n", q->name, q->value, n,
		        n > 0 ? ports[0].why_not : "none", why);
	return t_failures() != 0;
}

static void ask(const struct question *q)
{
	CU_ASSERT_EQUAL(t_spawn(1, 20, answer, (void *)q, NULL), 0);
}

static void test_all_ports_without_a_filter(void)
{
	ask(&(struct question){.n = 2, .first = "fake0"});
	ask(&(struct question){"FERRULE_IB_HCA", "", NULL, 2, "fake0", NULL});
}

static void test_filter_takes_and_excludes(void)
{
	ask(&(struct question){"FERRULE_IB_HCA", "fake1", NULL, 1, "fake1", NULL});
	ask(&(struct question){"FERRULE_IB_HCA", "fake1:1,fake0", NULL, 2, "fake0", NULL});
	ask(&(struct question){"FERRULE_IB_HCA", "^fake0", NULL, 1, "fake1", NULL});
	ask(&(struct question){"FERRULE_IB_HCA", "^fake0:2", NULL, 2, "fake0", NULL});
	ask(&(struct question){"FERRULE_IB_HCA", "fake", NULL, 0, NULL, "fake0, fake1"});
	ask(&(struct question){"FERRULE_IB_HCA", "fake0:2", NULL, 0, NULL,
	                       "FERRULE_IB_HCA=fake0:2"});
}

static void test_filter_that_makes_no_sense_is_refused(void)
{
	static const char *const texts[] = {"^",         ",",
	                                    "fake0,",    ":1",
	                                    "fake0:",    "fake0:x",
	                                    "fake0:0",   "fake0:255",
	                                    "fake0:1:1", "fake0:1111111111111"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ask(&(struct question){"FERRULE_IB_HCA", texts[i], NULL, -1, NULL,
		                       "DEVICE[:PORT]"});
}

static void test_filter_by_port(void)
{
	CU_ASSERT_EQUAL(fr_verbs_hca_allows("", "mlx5_0", 2), 1);
	CU_ASSERT_EQUAL(fr_verbs_hca_allows("mlx5_0:1", "mlx5_0", 2), 0);
	CU_ASSERT_EQUAL(fr_verbs_hca_allows("mlx5_0:1,mlx5_0:2", "mlx5_0", 2), 1);
	CU_ASSERT_EQUAL(fr_verbs_hca_allows("mlx5_0:1", "mlx5_0", 0), 1);
	CU_ASSERT_EQUAL(fr_verbs_hca_allows("^mlx5_0:1", "mlx5_0", 0), 1);
	CU_ASSERT_EQUAL(fr_verbs_hca_allows("^mlx5_0:1", "mlx5_0", 1), 0);
	CU_ASSERT_EQUAL(fr_verbs_hca_allows("^mlx5_0", "mlx5_0", 0), 0);
	CU_ASSERT_EQUAL(fr_verbs_hca_allows("mlx5_1", "mlx5_10", 1), 0);
	CU_ASSERT_EQUAL(fr_verbs_hca_allows("mlx5_10", "mlx5_1", 1), 0);
}

static void arrange_down(void)
{
	fake.port.state = IBV_PORT_DOWN;
}

static void arrange_no_subnet_manager(void)
{
	fake.port.state = IBV_PORT_INIT;
	fake.port.link_layer = IBV_LINK_LAYER_INFINIBAND;
}

static void arrange_no_gids(void)
{
	fake.n_gids = 0;
}

static void arrange_iwarp(void)
{
	fake.is_iwarp = true;
}

static void arrange_no_rights(void)
{
	fake.fail_name = "ibv_open_device";
	fake.error = EACCES;
}

static void arrange_dead_device(void)
{
	fake.fail_name = "ibv_query_device";
	fake.error = EIO;
}

static void arrange_dead_port(void)
{
	fake.fail_name = "ibv_query_port";
	fake.error = EIO;
}

static void arrange_no_library(void)
{
	fake.fail_name = "ibv_get_device_list";
	fake.error = ENOSYS;
}

static void arrange_one_bad_device(void)
{
	/* The first device's ibv_open_device: the list is call 1. */
	fake.fail_at = 2;
	fake.error = EACCES;
}

static void test_ports_that_cannot_be_used_say_why(void)
{
	ask(&(struct question){NULL, NULL, arrange_down, 2, "fake0", "down"});
	ask(&(struct question){NULL, NULL, arrange_no_subnet_manager, 2, NULL, "subnet manager"});
	ask(&(struct question){NULL, NULL, arrange_no_gids, 2, NULL, "ip address"});
	ask(&(struct question){NULL, NULL, arrange_iwarp, 2, NULL, "iWARP"});
	ask(&(struct question){NULL, NULL, arrange_no_rights, 2, NULL, "/dev/infiniband"});
	ask(&(struct question){NULL, NULL, arrange_dead_device, 2, NULL, "ibv_query_device"});
	ask(&(struct question){NULL, NULL, arrange_dead_port, 2, NULL, "ibv_query_port"});
	ask(&(struct question){NULL, NULL, arrange_no_library, -1, NULL, "ib_uverbs"});
	ask(&(struct question){"FERRULE_IB_GID_INDEX", "3", NULL, 2, NULL,
	                       "FERRULE_IB_GID_INDEX=3"});
	ask(&(struct question){"FERRULE_IB_PKEY_INDEX", "2", NULL, 2, NULL, "has 2 partition"});
	ask(&(struct question){"FERRULE_IB_PKEY_INDEX", "1", NULL, 2, NULL, NULL});
	ask(&(struct question){"FERRULE_IB_GID_INDEX", "1", NULL, 2, NULL, NULL});
}

static void test_usable_ports_come_first(void)
{
	ask(&(struct question){NULL, NULL, arrange_one_bad_device, 2, "fake1", NULL});
}

static int load_nothing(int rank, int n_ranks, void *arg)
{
	char why[256] = "";

	(void)rank;
	(void)n_ranks;
	setenv("FERRULE_VERBS_LIBRARY", arg, 1);
	CU_ASSERT_PTR_NULL(fr_verbs_get(why, sizeof(why)));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, arg));
	/* The second answer is the first one's. */
	why[0] = '\0';
	CU_ASSERT_PTR_NULL(fr_verbs_get(why, sizeof(why)));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "FERRULE_VERBS_LIBRARY"));
	/* A replacement needs no library. */
	fr_verbs_replace(&fake_verbs);
	CU_ASSERT_PTR_EQUAL(fr_verbs_get(why, sizeof(why)), &fake_verbs);
	fr_verbs_replace(NULL);
	CU_ASSERT_PTR_NULL(fr_verbs_get(why, sizeof(why)));
	return t_failures() != 0;
}

static void test_absent_or_wrong_library_is_named(void)
{
	CU_ASSERT_EQUAL(t_spawn(1, 20, load_nothing, "libnothing-of-this-name.so.7", NULL), 0);
	/* A library, but not of verbs. */
	CU_ASSERT_EQUAL(t_spawn(1, 20, load_nothing, "libc.so.6", NULL), 0);
}

/* ---- distance ---- */

static void put(const char *root, const char *path, const char *text)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(full, 0700);
		*at = '/';
	}
	FILE *file = fopen(full, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(text, file);
	fclose(file);
}

static void test_distance_is_that_of_the_nearest_usable_node(void)
{
	char root[] = "/tmp/ferrule-sysfs-XXXXXX", mine[32], command[64];
	int node = -2;
	cpu_set_t set;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(set), &set), 0);
	int cpu = 0;
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	snprintf(mine, sizeof(mine), "%d\n", cpu);
	/* Nodes 0, 2 and 3; this process runs on 2 alone, which is 21 from node 0. */
	put(root, "devices/system/node/online", "0,2-3\n");
	put(root, "devices/system/node/node0/cpulist", "5000-5003\n");
	put(root, "devices/system/node/node2/cpulist", mine);
	put(root, "devices/system/node/node3/cpulist", "\n");
	put(root, "devices/system/node/node0/distance", "10 21 31\n");
	put(root, "class/infiniband/far/device/numa_node", "0\n");
	put(root, "class/infiniband/near/device/numa_node", "2\n");
	put(root, "class/infiniband/unknown/device/numa_node", "-1\n");
	put(root, "class/infiniband/nonsense/device/numa_node", "x\n");
	put(root, "class/infiniband/offline/device/numa_node", "7\n");
	CU_ASSERT_EQUAL(fr_verbs_numa_distance(root, "far", &node), 21);
	CU_ASSERT_EQUAL(node, 0);
	CU_ASSERT_EQUAL(fr_verbs_numa_distance(root, "near", &node), 0);
	CU_ASSERT_EQUAL(node, 2);
	CU_ASSERT_EQUAL(fr_verbs_numa_distance(root, "unknown", &node), 0);
	CU_ASSERT_EQUAL(node, -1);
	CU_ASSERT_EQUAL(fr_verbs_numa_distance(root, "nonsense", &node), 0);
	CU_ASSERT_EQUAL(node, -1);
	CU_ASSERT_EQUAL(fr_verbs_numa_distance(root, "absent", &node), 0);
	CU_ASSERT_EQUAL(node, -1);
	CU_ASSERT_EQUAL(fr_verbs_numa_distance(root, "offline", &node), 0);
	CU_ASSERT_EQUAL(node, 7);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	CU_ASSERT_EQUAL(system(command), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"all ports without a filter", test_all_ports_without_a_filter},
		{"filter takes and excludes", test_filter_takes_and_excludes},
		{"filter that makes no sense is refused",
	         test_filter_that_makes_no_sense_is_refused},
		{"filter by port", test_filter_by_port},
		{"ports that cannot be used say why", test_ports_that_cannot_be_used_say_why},
		{"usable ports come first", test_usable_ports_come_first},
		{"absent or wrong library is named", test_absent_or_wrong_library_is_named},
		{"distance is that of the nearest usable node",
	         test_distance_is_that_of_the_nearest_usable_node},
		{NULL, NULL},
	};
	return t_main("transport/verbs_ports", cases);
}

/*
 * How GPU memory is reached: decisions on machines that are described in topologies/, and the
 * reading of sysfs, of which a small one is built here.
 */
#include "config.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mem/gdr.h"
#include "lib/mem/gpu.h"
#include "tests/support/t_main.h"

/* ---- described machines ---- */

/* What a file says and what it expects. */
struct machine {
	struct fr_gdr_pair pair;
	char distance[32], way[32], flush[32], reason[320];
	int n_expected;
};

static int number_of(const char *word)
{
	static const struct {
		const char *word;
		int number;
	} words[] = {
		{"yes", FR_YES},
		{"no", FR_NO},
		{"unknown", FR_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0)
			return words[i].number;
	CU_ASSERT_EQUAL(strspn(word, "-0123456789"), strlen(word));
	return atoi(word);
}

static int ordering_of(const char *word)
{
	if (strcmp(word, "unknown") == 0)
		return -1;
	return strcmp(word, "none") == 0 ? FR_CUDA_ORDERING_NONE : FR_CUDA_ORDERING_OWNER;
}

static enum fr_gdr_iommu iommu_of(const char *word)
{
	static const char *const words[] = {"unknown", "off", "pass", "translates"};

	for (int i = 0; i < 4; i++)
		if (strcmp(word, words[i]) == 0)
			return (enum fr_gdr_iommu)i;
	CU_FAIL("iommu: not a word of this format");
	return FR_GDR_IOMMU_UNKNOWN;
}

static void copy_text(char *to, size_t bytes, const char *text)
{
	CU_ASSERT_TRUE(strlen(text) < bytes);
	snprintf(to, bytes, "%s", strcmp(text, "none") == 0 ? "" : text);
}

/* A member that is text; false when the key is none of those. */
static bool set_text(struct machine *m, const char *key, const char *value)
{
	struct fr_gdr_pair *p = &m->pair;
	const struct {
		const char *key;
		char *to;
		size_t bytes;
		int is_expected;
	} texts[] = {
		{"gpu.name", p->gpu.name, sizeof(p->gpu.name), 0},
		{"gpu.path", p->gpu.path, sizeof(p->gpu.path), 0},
		{"nic.name", p->nic.name, sizeof(p->nic.name), 0},
		{"nic.path", p->nic.path, sizeof(p->nic.path), 0},
		{"acs_bridge", p->acs_bridge, sizeof(p->acs_bridge), 0},
		{"expect.distance", m->distance, sizeof(m->distance), 1},
		{"expect.way", m->way, sizeof(m->way), 1},
		{"expect.flush", m->flush, sizeof(m->flush), 1},
		{"expect.reason", m->reason, sizeof(m->reason), 1},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(key, texts[i].key) != 0)
			continue;
		m->n_expected += texts[i].is_expected;
		copy_text(texts[i].to, texts[i].bytes, value);
		return true;
	}
	return false;
}

static void set(struct machine *m, const char *key, const char *value)
{
	struct fr_gdr_pair *p = &m->pair;

	if (set_text(m, key, value))
		return;
	if (strcmp(key, "gpu.numa") == 0)
		p->gpu.numa_node = number_of(value);
	else if (strcmp(key, "nic.numa") == 0)
		p->nic.numa_node = number_of(value);
	else if (strcmp(key, "capability") == 0)
		p->capability = number_of(value);
	else if (strcmp(key, "rdma") == 0)
		p->gpu_rdma = (enum fr_known)number_of(value);
	else if (strcmp(key, "dmabuf") == 0)
		p->gpu_dmabuf = (enum fr_known)number_of(value);
	else if (strcmp(key, "coherent") == 0)
		p->is_coherent = (enum fr_known)number_of(value);
	else if (strcmp(key, "ordering") == 0)
		p->ordering = ordering_of(value);
	else if (strcmp(key, "can_flush") == 0)
		p->can_flush = (enum fr_known)number_of(value);
	else if (strcmp(key, "nic_dmabuf") == 0)
		p->nic_dmabuf = (enum fr_known)number_of(value);
	else if (strcmp(key, "peermem") == 0)
		p->has_peermem = number_of(value) == FR_YES;
	else if (strcmp(key, "acs") == 0)
		p->has_acs = (enum fr_known)number_of(value);
	else if (strcmp(key, "iommu") == 0)
		p->iommu = iommu_of(value);
	else if (strcmp(key, "virtual") == 0)
		p->is_virtual = number_of(value) == FR_YES;
	else
		CU_FAIL("a key that this format does not have");
}

static void read_machine(const char *path, struct machine *m)
{
	char line[512];
	FILE *f = fopen(path, "r");

	memset(m, 0, sizeof(*m));
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		char *value = strchr(line, ' ');

		if (line[0] == '#' || !value)
			continue;
		*value++ = '\0';
		set(m, line, value);
	}
	fclose(f);
	CU_ASSERT_EQUAL(m->n_expected, 4);
}

/* Does the decision say what the file expects?  Prints both when not. */
static void expect(const char *name, const struct machine *m)
{
	struct fr_gdr_decision d;

	fr_gdr_decide(&m->pair, "auto", &d);
	const char *distance = fr_gdr_distance_text(d.distance);
	const char *flush = fr_gdr_flush_text(d.flush), *way = fr_gdr_way_text(d.way);
	const bool is_right = strcmp(distance, m->distance[0] ? m->distance : "none") == 0 &&
	                      strcmp(way, m->way) == 0 &&
	                      strcmp(flush, m->flush[0] ? m->flush : "none") == 0 &&
	                      strstr(d.reason, m->reason) != NULL;

	CU_ASSERT_TRUE(is_right);
	if (!is_right)
		printf("      %s: %s, %s, flush %s: %s\n      expected: %s, %s, flush %s: %s\n",
		       name, distance, way, flush, d.reason, m->distance, m->way, m->flush,
		       m->reason);
}

static const char *topologies(char *path, size_t bytes)
{
	const char *srcdir = getenv("srcdir");

	snprintf(path, bytes, "%s/tests/mem/topologies", srcdir ? srcdir : ".");
	return path;
}

static void test_described_machines_are_decided_as_their_files_say(void)
{
	char path[PATH_MAX / 2], file[PATH_MAX];
	struct machine m;
	int n = 0;
	DIR *directory = opendir(topologies(path, sizeof(path)));

	CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
	for (const struct dirent *e; (e = readdir(directory)) != NULL;) {
		if (!strstr(e->d_name, ".txt"))
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		read_machine(file, &m);
		expect(e->d_name, &m);
		n++;
	}
	closedir(directory);
	CU_ASSERT_TRUE(n >= 16);
}

static void read_named(const char *name, struct machine *m)
{
	char path[PATH_MAX / 2], file[PATH_MAX];

	snprintf(file, sizeof(file), "%s/%s.txt", topologies(path, sizeof(path)), name);
	read_machine(file, m);
}

static void test_a_setting_overrules_what_is_wise_and_keeps_the_flush(void)
{
	struct machine m;
	struct fr_gdr_decision d;

	read_named("server-host-bridge", &m);
	fr_gdr_decide(&m.pair, "dmabuf", &d);
	CU_ASSERT_EQUAL(d.way, FR_GDR_DMABUF);
	CU_ASSERT_EQUAL(d.flush, FR_GDR_FLUSH_DRIVER);
	CU_ASSERT_PTR_NOT_NULL(strstr(d.reason, "FERRULE_GDR=dmabuf"));
	fr_gdr_decide(&m.pair, "peermem", &d);
	CU_ASSERT_EQUAL(d.way, FR_GDR_PEERMEM);
	read_named("dgx-a100", &m);
	fr_gdr_decide(&m.pair, "staged", &d);
	CU_ASSERT_EQUAL(d.way, FR_GDR_STAGED);
	CU_ASSERT_EQUAL(d.flush, FR_GDR_FLUSH_NONE);
}

static void test_a_flush_is_needed_only_where_order_is_not_kept(void)
{
	struct machine m;
	struct fr_gdr_decision d;
	static const struct {
		int ordering, capability;
		enum fr_known can_flush;
		enum fr_gdr_flush flush;
	} rows[] = {
		{-1, 80, FR_NO, FR_GDR_FLUSH_READ},
		{-1, 80, FR_YES, FR_GDR_FLUSH_DRIVER},
		{-1, 90, FR_NO, FR_GDR_FLUSH_NONE},
		{FR_CUDA_ORDERING_NONE, 90, FR_NO, FR_GDR_FLUSH_READ},
		{FR_CUDA_ORDERING_NONE, 90, FR_YES, FR_GDR_FLUSH_DRIVER},
		{FR_CUDA_ORDERING_OWNER, 80, FR_YES, FR_GDR_FLUSH_NONE},
		{200, 80, FR_NO, FR_GDR_FLUSH_NONE},
	};

	read_named("dgx-a100", &m);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		m.pair.ordering = rows[i].ordering;
		m.pair.capability = rows[i].capability;
		m.pair.can_flush = rows[i].can_flush;
		fr_gdr_decide(&m.pair, "auto", &d);
		CU_ASSERT_EQUAL(d.flush, rows[i].flush);
	}
}

static void test_common_parts_of_paths_are_whole_parts(void)
{
	CU_ASSERT_EQUAL(fr_gdr_n_common("", ""), 0);
	CU_ASSERT_EQUAL(fr_gdr_n_common("pci0000:00", ""), 0);
	CU_ASSERT_EQUAL(fr_gdr_n_common("pci0000:00/a", "pci0000:00/a"), 2);
	CU_ASSERT_EQUAL(fr_gdr_n_common("pci0000:00/a/b", "pci0000:00/a"), 2);
	CU_ASSERT_EQUAL(fr_gdr_n_common("pci0000:00/ab", "pci0000:00/a"), 1);
	CU_ASSERT_EQUAL(fr_gdr_n_common("pci0000:0/a", "pci0000:00/a"), 0);
}

/* ---- a sysfs built here ---- */

#define SWITCH "devices/pci0000:40/0000:40:01.1/0000:41:00.0"

static char root[64];

static void make_parents(const char *path)
{
	char part[PATH_MAX];

	for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
		mkdir(part, 0755);
	}
}

static void put_bytes(const char *below, const void *data, size_t bytes)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, below);
	make_parents(path);
	FILE *f = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(fwrite(data, 1, bytes, f), bytes);
	fclose(f);
}

static void put(const char *below, const char *text)
{
	put_bytes(below, text, strlen(text));
}

static void put_link(const char *below, const char *target)
{
	char path[PATH_MAX], to[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, below);
	snprintf(to, sizeof(to), "%s/%s", root, target);
	make_parents(path);
	CU_ASSERT_EQUAL(symlink(to, path), 0);
}

/* The configuration of a bridge: another capability, then access control. */
static void put_acs(const char *bridge, unsigned control, size_t readable)
{
	unsigned char config[4096] = {0};
	char path[PATH_MAX];

	config[0x100] = 0x01; /* advanced error reporting, the next at 0x148 */
	config[0x102] = 0x01;
	config[0x103] = 0x14;
	config[0x102] |= 0x80;
	config[0x148] = 0x0d;
	config[0x14a] = 0x01;
	config[0x14e] = (unsigned char)control;
	snprintf(path, sizeof(path), "bus/pci/devices/%s/config", bridge);
	put_bytes(path, config, readable);
}

static void begin_sysfs(void)
{
	snprintf(root, sizeof(root), "/tmp/ferrule-gdr-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
	put(SWITCH "/0000:42:08.0/0000:43:00.0/numa_node", "1\n");
	put(SWITCH "/0000:42:10.0/0000:44:00.0/numa_node", "1\n");
	put_link("class/infiniband/mlx5_0/device", SWITCH "/0000:42:10.0/0000:44:00.0");
	put_link("bus/pci/devices/0000:43:00.0", SWITCH "/0000:42:08.0/0000:43:00.0");
	put_link("bus/pci/devices/0000:44:00.0", SWITCH "/0000:42:10.0/0000:44:00.0");
	put("class/infiniband/rxe0/parent", "eth0\n");
}

static void end_sysfs(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	CU_ASSERT_EQUAL(system(command), 0);
}

static void read_pair(struct fr_gdr_pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	CU_ASSERT_TRUE(fr_gdr_read_gpu(root, "0000:43:00.0", &pair->gpu));
	CU_ASSERT_TRUE(fr_gdr_read_nic(root, "mlx5_0", &pair->nic));
	fr_gdr_read_way(root, pair);
}

static void test_places_are_read_from_sysfs(void)
{
	struct fr_gdr_pair pair;

	begin_sysfs();
	read_pair(&pair);
	CU_ASSERT_STRING_EQUAL(pair.gpu.path,
	                       "pci0000:40/0000:40:01.1/0000:41:00.0/0000:42:08.0/0000:43:00.0");
	CU_ASSERT_STRING_EQUAL(pair.nic.path,
	                       "pci0000:40/0000:40:01.1/0000:41:00.0/0000:42:10.0/0000:44:00.0");
	CU_ASSERT_STRING_EQUAL(pair.nic.name, "mlx5_0");
	CU_ASSERT_TRUE(pair.gpu.numa_node == 1 && pair.nic.numa_node == 1);
	CU_ASSERT_EQUAL(fr_gdr_distance_of(&pair), FR_GDR_SWITCH);
	CU_ASSERT_FALSE(fr_gdr_read_gpu(root, "0000:99:00.0", &pair.gpu));
	CU_ASSERT_FALSE(fr_gdr_read_nic(root, "rxe0", &pair.nic));
	CU_ASSERT_STRING_EQUAL(pair.nic.name, "rxe0");
	CU_ASSERT_STRING_EQUAL(pair.nic.path, "");
	CU_ASSERT_EQUAL(fr_gdr_distance_of(&pair), FR_GDR_NO_DEVICE);
	end_sysfs();
}

static void test_access_control_counts_at_the_bridges_that_forward(void)
{
	struct fr_gdr_pair pair;

	begin_sysfs();
	read_pair(&pair);
	CU_ASSERT_EQUAL(pair.has_acs, FR_UNKNOWN); /* nothing can be read */
	put_acs("0000:42:08.0", 0x1d, 64);         /* as who is not root sees it */
	put_acs("0000:42:10.0", 0, 4096);
	read_pair(&pair);
	CU_ASSERT_EQUAL(pair.has_acs, FR_UNKNOWN);
	put_acs("0000:42:08.0", 0x10, 4096); /* upstream forwarding alone redirects nothing */
	put_acs("0000:40:01.1", 0x1d, 4096); /* above both: not on their way */
	put_acs("0000:41:00.0", 0x1d, 4096);
	read_pair(&pair);
	CU_ASSERT_EQUAL(pair.has_acs, FR_NO);
	put_acs("0000:42:10.0", 0x1d, 4096);
	read_pair(&pair);
	CU_ASSERT_EQUAL(pair.has_acs, FR_YES);
	CU_ASSERT_STRING_EQUAL(pair.acs_bridge, "0000:42:10.0");
	end_sysfs();
}

static void test_a_circle_in_a_configuration_ends(void)
{
	struct fr_gdr_pair pair;
	unsigned char config[4096] = {0};

	begin_sysfs();
	config[0x100] = 0x01;
	config[0x103] = 0x10; /* the next is this one */
	put_bytes("bus/pci/devices/0000:42:08.0/config", config, sizeof(config));
	config[0x103] = 0xff; /* reaches over the end */
	config[0x102] = 0xf0;
	put_bytes("bus/pci/devices/0000:42:10.0/config", config, sizeof(config));
	read_pair(&pair);
	CU_ASSERT_EQUAL(pair.has_acs, FR_NO);
	end_sysfs();
}

static void test_the_iommu_is_what_either_device_meets(void)
{
	struct fr_gdr_pair pair;

	begin_sysfs();
	read_pair(&pair);
	CU_ASSERT_EQUAL(pair.iommu, FR_GDR_IOMMU_OFF);
	put("kernel/iommu_groups/7/type", "identity\n");
	put_link(SWITCH "/0000:42:08.0/0000:43:00.0/iommu_group", "kernel/iommu_groups/7");
	read_pair(&pair);
	CU_ASSERT_EQUAL(pair.iommu, FR_GDR_IOMMU_PASS);
	put("kernel/iommu_groups/8/type", "DMA-FQ\n");
	put_link(SWITCH "/0000:42:10.0/0000:44:00.0/iommu_group", "kernel/iommu_groups/8");
	read_pair(&pair);
	CU_ASSERT_EQUAL(pair.iommu, FR_GDR_IOMMU_TRANSLATES);
	end_sysfs();
}

static void test_modules_and_guests_are_seen(void)
{
	struct fr_gdr_pair pair;

	begin_sysfs();
	read_pair(&pair);
	CU_ASSERT_FALSE(pair.has_peermem);
	CU_ASSERT_FALSE(pair.is_virtual);
	put("kernel/mm/memory_peers/nv_mem/version", "1.3\n");
	put("class/dmi/id/sys_vendor", "QEMU\n");
	read_pair(&pair);
	CU_ASSERT_TRUE(pair.has_peermem);
	CU_ASSERT_TRUE(pair.is_virtual);
	put("class/dmi/id/sys_vendor", "Amazon EC2\n");
	put("class/dmi/id/product_name", "p4d.24xlarge\n");
	read_pair(&pair);
	CU_ASSERT_TRUE(pair.is_virtual);
	put("class/dmi/id/sys_vendor", "Supermicro\n");
	read_pair(&pair);
	CU_ASSERT_FALSE(pair.is_virtual);
	end_sysfs();
	begin_sysfs();
	put("module/nvidia_peermem/version", "550.54.14\n");
	CU_ASSERT_TRUE(fr_gdr_has_peermem(root));
	end_sysfs();
}

int main(void)
{
	static const struct t_case cases[] = {
		{"described machines are decided as their files say",
	         test_described_machines_are_decided_as_their_files_say},
		{"a setting overrules what is wise and keeps the flush",
	         test_a_setting_overrules_what_is_wise_and_keeps_the_flush},
		{"a flush is needed only where order is not kept",
	         test_a_flush_is_needed_only_where_order_is_not_kept},
		{"common parts of paths are whole parts",
	         test_common_parts_of_paths_are_whole_parts},
		{"places are read from sysfs", test_places_are_read_from_sysfs},
		{"access control counts at the bridges that forward",
	         test_access_control_counts_at_the_bridges_that_forward},
		{"a circle in a configuration ends", test_a_circle_in_a_configuration_ends},
		{"the iommu is what either device meets",
	         test_the_iommu_is_what_either_device_meets},
		{"modules and guests are seen", test_modules_and_guests_are_seen},
		{NULL, NULL},
	};
	return t_main("mem/gdr", cases);
}

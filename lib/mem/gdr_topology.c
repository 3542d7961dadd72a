/* What sysfs says of a GPU, an RDMA device and the bridges between them. */
#include "config.h"

#include "lib/mem/gdr.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/wire.h"

/* ---- small files ---- */

/* The first line of a file; false when it cannot be read. */
static bool read_line(const char *path, char *out, int bytes)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	const bool is_there = fgets(out, bytes, f) != NULL;

	fclose(f);
	if (is_there)
		out[strcspn(out, "\n")] = '\0';
	return is_there;
}

static bool exists(const char *sysfs, const char *below)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", sysfs, below);
	return access(path, F_OK) == 0;
}

bool fr_gdr_has_peermem(const char *sysfs)
{
	return exists(sysfs, "module/nvidia_peermem/version") ||
	       exists(sysfs, "kernel/mm/memory_peers/nv_mem/version") ||
	       exists(sysfs, "kernel/mm/memory_peers/nv_mem_nc/version");
}

/* ---- devices ---- */

/* Where the link leads, without what comes before the host bridge; its NUMA node. */
static bool read_device(const char *link, struct fr_gdr_device *out)
{
	char path[PATH_MAX], file[PATH_MAX + 16], line[32];

	if (!realpath(link, path))
		return false;
	const char *bridge = strstr(path, "/pci");

	if (!bridge || strlen(bridge + 1) >= sizeof(out->path))
		return false;
	snprintf(out->path, sizeof(out->path), "%s", bridge + 1);
	snprintf(file, sizeof(file), "%s/numa_node", path);
	out->numa_node = read_line(file, line, sizeof(line)) ? atoi(line) : -1;
	return true;
}

bool fr_gdr_read_gpu(const char *sysfs, const char *bus_id, struct fr_gdr_device *out)
{
	char link[PATH_MAX], id[32];
	size_t n = 0;

	/* The CUDA driver writes "0000:3B:00.0", sysfs in lower case. */
	for (; bus_id[n] && n < sizeof(id) - 1; n++)
		id[n] = (char)tolower((unsigned char)bus_id[n]);
	id[n] = '\0';
	snprintf(link, sizeof(link), "%s/bus/pci/devices/%s", sysfs, id);
	return read_device(link, out);
}

bool fr_gdr_read_nic(const char *sysfs, const char *name, struct fr_gdr_device *out)
{
	char link[PATH_MAX];

	snprintf(out->name, sizeof(out->name), "%s", name);
	out->path[0] = '\0';
	out->numa_node = -1;
	snprintf(link, sizeof(link), "%s/class/infiniband/%s/device", sysfs, name);
	return read_device(link, out);
}

/* ---- access control ---- */

/* Extended capabilities begin here, each with a word: id 16 bits, version 4, next one 12. */
#define EXTENDED_AT 0x100
#define CONFIG_MAX  4096
#define ACS_ID      0x000d
/* Its control register, and the bits that redirect requests and completions of peers. */
#define ACS_CONTROL  6
#define ACS_REDIRECT 0x000c

/* In a bridge's configuration; unknown when only its beginning may be read, as for users. */
static enum fr_known acs_of(const char *sysfs, const char *bridge)
{
	char path[PATH_MAX];
	unsigned char config[CONFIG_MAX];

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/config", sysfs, bridge);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return FR_UNKNOWN;
	const ssize_t bytes = read(fd, config, sizeof(config));

	close(fd);
	if (bytes <= EXTENDED_AT)
		return FR_UNKNOWN;
	/* At most as many as there is room for: the list of a broken device may be a circle. */
	size_t at = EXTENDED_AT;

	for (int i = 0; i < CONFIG_MAX / 8; i++) {
		if (at < EXTENDED_AT || at + 8 > (size_t)bytes)
			return FR_NO;
		const uint32_t head = fr_load_le32(config + at);

		if ((head & 0xffff) == ACS_ID)
			return config[at + ACS_CONTROL] & ACS_REDIRECT ? FR_YES : FR_NO;
		at = head >> 20;
	}
	return FR_NO;
}

/* The bridges above a device that are not above the other one too: those forward between them. */
static enum fr_known acs_above(const char *sysfs, const struct fr_gdr_device *device, int n_common,
                               char which[24])
{
	char path[sizeof(device->path)], *rest = path;
	enum fr_known all = FR_NO;

	snprintf(path, sizeof(path), "%s", device->path);
	for (int i = 0; rest; i++) {
		const char *part = strsep(&rest, "/");

		/* The host bridge has no such register; the last part is the device itself. */
		if (i == 0 || i < n_common || !rest)
			continue;
		const enum fr_known one = acs_of(sysfs, part);

		if (one == FR_YES) {
			snprintf(which, 24, "%s", part);
			return FR_YES;
		}
		if (one == FR_UNKNOWN)
			all = FR_UNKNOWN;
	}
	return all;
}

/* ---- the rest ---- */

static enum fr_gdr_iommu iommu_of(const char *sysfs, const struct fr_gdr_device *device)
{
	char path[PATH_MAX / 2], type[32];
	const char *id = strrchr(device->path, '/');

	if (!id)
		return FR_GDR_IOMMU_UNKNOWN;
	snprintf(path, sizeof(path), "%s/bus/pci/devices%s/iommu_group/type", sysfs, id);
	if (read_line(path, type, sizeof(type)))
		return strcmp(type, "identity") == 0 ? FR_GDR_IOMMU_PASS : FR_GDR_IOMMU_TRANSLATES;
	snprintf(path, sizeof(path), "bus/pci/devices%s/iommu_group", id);
	return exists(sysfs, path) ? FR_GDR_IOMMU_UNKNOWN : FR_GDR_IOMMU_OFF;
}

/* Guests of the usual monitors say so in their firmware tables. */
static bool is_guest(const char *sysfs)
{
	static const char *const makers[] = {"QEMU",     "KVM",     "Amazon EC2",      "Google",
	                                     "VMware",   "Xen",     "Virtual Machine", "OpenStack",
	                                     "Bochs",    "Alibaba", "Compute Engine",  "BHYVE",
	                                     "Parallels"};
	static const char *const files[] = {"class/dmi/id/sys_vendor", "class/dmi/id/product_name"};
	char path[PATH_MAX], line[128];

	for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
		snprintf(path, sizeof(path), "%s/%s", sysfs, files[f]);
		if (!read_line(path, line, sizeof(line)) || strstr(line, "metal"))
			continue;
		for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
			if (strstr(line, makers[i]))
				return true;
	}
	return exists(sysfs, "hypervisor/type");
}

void fr_gdr_read_way(const char *sysfs, struct fr_gdr_pair *pair)
{
	const int n_common = fr_gdr_n_common(pair->gpu.path, pair->nic.path);
	const enum fr_known gpu_acs = acs_above(sysfs, &pair->gpu, n_common, pair->acs_bridge);
	const enum fr_known nic_acs = acs_above(sysfs, &pair->nic, n_common, pair->acs_bridge);

	if (gpu_acs == FR_YES || nic_acs == FR_YES)
		pair->has_acs = FR_YES;
	else
		pair->has_acs = gpu_acs == FR_NO && nic_acs == FR_NO ? FR_NO : FR_UNKNOWN;
	pair->iommu = iommu_of(sysfs, &pair->gpu);
	if (iommu_of(sysfs, &pair->nic) == FR_GDR_IOMMU_TRANSLATES)
		pair->iommu = FR_GDR_IOMMU_TRANSLATES;
	pair->has_peermem = fr_gdr_has_peermem(sysfs);
	pair->is_virtual = is_guest(sysfs);
}

/*
 * doctor_pci.c - what stands between an RDMA device and memory: the IOMMU, and access control.
 *
 * An IOMMU that translates costs a look-up a page; access control services (ACS) send what one
 * device writes to another, a GPU say, up to the root and down again.
 */
#include "tools/doctor.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/ferrule.h>

#define CLASS         "/sys/class/infiniband"
#define CONFIG_BYTES  4096
#define EXTENDED      0x100 /* where a function's extended capabilities begin */
#define ACS_ID        0x000d
#define ACS_CONTROL   6
#define ACS_REDIRECTS 0x2c /* request redirect, completion redirect, egress control */

static void say_iommu(struct fr_doctor *d, const char *device)
{
	char path[PATH_MAX], type[64], line[4096] = "";

	snprintf(path, sizeof(path), CLASS "/%s/device/iommu_group/type", device);
	if (!fr_doctor_read_line(path, type, sizeof(type)))
		return;
	fr_doctor_read_line("/proc/cmdline", line, sizeof(line));
	const bool translates = strncmp(type, "DMA", 3) == 0;
	fr_doctor_say(d, translates ? FR_VERDICT_WARN : FR_VERDICT_OK, "rdma IOMMU",
	              "boot the kernel with iommu=pt, unless this host must not trust its devices",
	              "%s: its accesses are %s (type %s%s)", device,
	              translates ? "translated page by page" : "passed through", type,
	              strstr(line, "iommu=pt") ? "; iommu=pt is set" : "");
}

static unsigned word_at(const unsigned char *config, unsigned at)
{
	return config[at] | (unsigned)config[at + 1] << 8;
}

/* 1: the bridge sends peer-to-peer traffic up; 0: it does not; -1: this user cannot know. */
static int redirects(const char *function)
{
	unsigned char config[CONFIG_BYTES];
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.4000s/config", function);
	FILE *const f = fopen(path, "re");

	if (!f)
		return -1;
	const size_t n = fread(config, 1, sizeof(config), f);
	fclose(f);
	if (n < sizeof(config))
		return n < EXTENDED ? -1 : 0;
	/* A list by offsets; a broken one may go round. */
	unsigned at = EXTENDED;
	for (int i = 0; i < 64 && at >= EXTENDED && at + 8 <= CONFIG_BYTES; i++) {
		if (word_at(config, at) == ACS_ID)
			return (word_at(config, at + ACS_CONTROL) & ACS_REDIRECTS) != 0;
		at = word_at(config, at + 2) >> 4;
	}
	return 0;
}

static void say_acs(struct fr_doctor *d, const char *device)
{
	char path[PATH_MAX], function[PATH_MAX];
	int n_bridges = 0, n_redirect = 0, n_unknown = 0;

	snprintf(path, sizeof(path), CLASS "/%s/device", device);
	if (!realpath(path, function))
		return;
	/* From the device up: its parents until the root are bridges. */
	for (char *slash = strrchr(function, '/'); slash; slash = strrchr(function, '/')) {
		*slash = '\0';
		const char *const name = strrchr(function, '/');
		unsigned domain, bus, slot, number;

		if (!name || sscanf(name, "/%x:%x:%x.%x", &domain, &bus, &slot, &number) != 4)
			break;
		const int answer = redirects(function);
		n_bridges++;
		n_redirect += answer == 1;
		n_unknown += answer < 0;
	}
	if (n_bridges == 0)
		return;
	if (n_unknown > 0)
		fr_doctor_say(d, FR_VERDICT_OK, "rdma ACS", NULL,
		              "%s: %d PCI bridges above it; run this as root to see whether they "
		              "redirect traffic between GPU and card",
		              device, n_bridges);
	else
		fr_doctor_say(d, n_redirect > 0 ? FR_VERDICT_WARN : FR_VERDICT_OK, "rdma ACS",
		              "where GPUs are reached by RDMA: switch ACS off in the firmware, or "
		              "`setpci -s BRIDGE ECAP_ACS+6.w=0000` after every boot",
		              "%s: %d of %d PCI bridges above it redirect traffic between devices",
		              device, n_redirect, n_bridges);
}

void fr_check_rdma_pci(struct fr_doctor *d)
{
	struct ferrule_rdma_port p;
	char last[64] = "";

	for (int i = 0; ferrule_rdma_port_at(i, &p); i++) {
		if (strcmp(p.device, last) == 0)
			continue;
		snprintf(last, sizeof(last), "%s", p.device);
		say_iommu(d, p.device);
		say_acs(d, p.device);
	}
}

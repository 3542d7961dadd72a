/* doctor_rdma.c - what RDMA needs on this host: devices, rights, and a quiet way to memory. */
#include "tools/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ferrule/ferrule.h>

#define CLASS    "/sys/class/infiniband"
#define NODES    "/dev/infiniband"
#define PORT_MAX 64

static bool is_listed_by_kernel(void)
{
	DIR *const dir = opendir(CLASS);
	bool is_there = false;

	if (!dir)
		return false;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		is_there = is_there || e->d_name[0] != '.';
	closedir(dir);
	return is_there;
}

/* ---- ports ---- */

static void say_port(struct fr_doctor *d, const struct ferrule_rdma_port *p)
{
	char speed[32] = "speed unknown", numa[64] = "NUMA node unknown";

	if (!p->is_usable) {
		fr_doctor_say(d, FR_VERDICT_WARN, "rdma port",
		              "as it says; other ports, or TCP, are used instead",
		              "%s port %d (%s): %s", p->device, p->port,
		              p->is_ethernet ? "RoCE" : "InfiniBand", p->why);
		return;
	}
	if (p->gbps > 0)
		snprintf(speed, sizeof(speed), "%g Gb/s", p->gbps);
	if (p->numa_node >= 0)
		snprintf(numa, sizeof(numa), "NUMA node %d, %s", p->numa_node,
		         p->numa_distance == 0 ? "near these cores" : "far from these cores");
	const bool is_far = p->numa_distance > 0;
	fr_doctor_say(d, is_far ? FR_VERDICT_WARN : FR_VERDICT_OK, "rdma port",
	              "bind ranks to cores of the device's NUMA node, or name a nearer port in "
	              "FERRULE_IB_HCA",
	              "%s port %d: active, %s, %s, MTU %d, %s, GIDs: %s", p->device, p->port,
	              p->is_software   ? "Soft-RoCE (the kernel plays the device: for tests, not "
	                                 "for speed)"
	              : p->is_ethernet ? "RoCE"
	                               : "InfiniBand",
	              speed, p->mtu, numa, p->gids[0] ? p->gids : "none (LIDs are used)");
	/* 1024 is what an Ethernet of 1500 leaves; jumbo frames are worth their trouble. */
	if (p->is_ethernet && !p->is_software && p->mtu < 4096)
		fr_doctor_say(
			d, FR_VERDICT_WARN, "rdma MTU",
			"`ip link set dev IF mtu 9000` on both hosts and every switch between",
			"%s port %d: packets of %d bytes, where 4096 is possible", p->device,
			p->port, p->mtu);
}

void fr_check_rdma_ports(struct fr_doctor *d)
{
	struct ferrule_rdma_port p;
	int i = 0;

	for (; ferrule_rdma_port_at(i, &p); i++)
		say_port(d, &p);
	if (i > 0)
		return;
	const bool is_listed = is_listed_by_kernel();
	fr_doctor_say(d, is_listed ? FR_VERDICT_WARN : FR_VERDICT_OK, "rdma port",
	              "as it says; the kernel lists devices in " CLASS, "%s", p.why);
}

/* ---- rights ---- */

void fr_check_rdma_files(struct fr_doctor *d)
{
	DIR *const dir = opendir(NODES);
	char path[PATH_MAX];
	int n = 0, n_refused = 0;

	if (!dir) {
		if (is_listed_by_kernel())
			fr_doctor_say(
				d, FR_VERDICT_FAIL, "rdma files",
				"load ib_uverbs (`modprobe ib_uverbs`); in a container give it "
				"the devices (--device=" NODES ")",
				NODES ": %s, though the kernel has RDMA devices", strerror(errno));
		return;
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (strncmp(e->d_name, "uverbs", 6) != 0)
			continue;
		snprintf(path, sizeof(path), NODES "/%s", e->d_name);
		n++;
		n_refused += access(path, R_OK | W_OK) != 0;
	}
	closedir(dir);
	fr_doctor_say(d, n_refused > 0 ? FR_VERDICT_FAIL : FR_VERDICT_OK, "rdma files",
	              "chmod 0666 " NODES "/uverbs* (a udev rule of rdma-core does it), or give "
	              "the container the devices",
	              "%d of %d " NODES "/uverbs* may be read and written by this user",
	              n - n_refused, n);
}

/* ---- congestion ---- */

/* The network interface of a RoCE port; false when there is none to be seen. */
static bool interface_of(const struct ferrule_rdma_port *p, char *name, size_t n)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), CLASS "/%s/ports/%d/gid_attrs/ndevs/0", p->device, p->port);
	return fr_doctor_read_line(path, name, n) && name[0] != '\0';
}

static const char *setting(const char *name)
{
	struct ferrule_setting s;

	for (int i = 0; ferrule_setting_at(i, &s); i++)
		if (strcmp(s.name, name) == 0)
			return s.value;
	return "";
}

static void say_congestion(struct fr_doctor *d, const struct ferrule_rdma_port *p, const char *ifn)
{
	const int tc = atoi(setting("FERRULE_IB_TC")), priority = tc >> 5;
	char path[PATH_MAX], sends[16] = "", reacts[16] = "", forced[64] = "";

	snprintf(path, sizeof(path), "/sys/class/net/%s/ecn/roce_np/enable/%d", ifn, priority);
	fr_doctor_read_line(path, sends, sizeof(sends));
	snprintf(path, sizeof(path), "/sys/class/net/%s/ecn/roce_rp/enable/%d", ifn, priority);
	fr_doctor_read_line(path, reacts, sizeof(reacts));
	snprintf(path, sizeof(path), CLASS "/%s/tc/%d/traffic_class", p->device, p->port);
	fr_doctor_read_line(path, forced, sizeof(forced));
	const bool is_off = sends[0] == '0' || reacts[0] == '0';
	fr_doctor_say(
		d, is_off ? FR_VERDICT_WARN : FR_VERDICT_OK, "rdma ECN",
		"enable ECN for this priority (`mlnx_qos`, or echo 1 into ecn/roce_np and "
		"ecn/roce_rp of the interface), and in every switch between",
		"%s port %d (%s): traffic class %d is DSCP %d, priority %d; ECN there %s%s%s; "
		"PFC: see `dcb pfc show dev %s`",
		p->device, p->port, ifn, tc, tc >> 2, priority,
		is_off     ? "is off"
		: sends[0] ? "is on"
			   : "cannot be read here",
		forced[0] ? "; the administrator forces " : "", forced, ifn);
}

void fr_check_rdma_congestion(struct fr_doctor *d)
{
	struct ferrule_rdma_port p;
	char ifn[64];

	for (int i = 0; i < PORT_MAX && ferrule_rdma_port_at(i, &p); i++)
		if (p.is_usable && p.is_ethernet && !p.is_software &&
		    interface_of(&p, ifn, sizeof(ifn)))
			say_congestion(d, &p, ifn);
}

/* Counters that tell of lost or damaged packets since the port came up. */
void fr_check_rdma_counters(struct fr_doctor *d)
{
	static const char *const names[] = {
		"counters/symbol_error",          "counters/link_downed",
		"counters/port_rcv_errors",       "hw_counters/out_of_sequence",
		"hw_counters/packet_seq_err",     "hw_counters/local_ack_timeout_err",
		"hw_counters/implied_nak_seq_err"};
	struct ferrule_rdma_port p;
	char path[PATH_MAX], text[32], seen[400];

	for (int i = 0; i < PORT_MAX && ferrule_rdma_port_at(i, &p); i++) {
		int n_readable = 0;

		seen[0] = '\0';
		for (size_t c = 0; c < sizeof(names) / sizeof(names[0]); c++) {
			const size_t used = strlen(seen);

			snprintf(path, sizeof(path), CLASS "/%s/ports/%d/%s", p.device, p.port,
			         names[c]);
			if (!fr_doctor_read_line(path, text, sizeof(text)))
				continue;
			n_readable++;
			if (strcmp(text, "0") != 0)
				snprintf(seen + used, sizeof(seen) - used, ", %s %s",
				         strchr(names[c], '/') + 1, text);
		}
		if (n_readable == 0)
			continue;
		fr_doctor_say(d, seen[0] ? FR_VERDICT_WARN : FR_VERDICT_OK, "rdma errors",
		              "if they grow while a job runs: cable, switch buffers, PFC and ECN",
		              "%s port %d: %d error counters%s", p.device, p.port, n_readable,
		              seen[0] ? seen : ", all 0");
	}
}

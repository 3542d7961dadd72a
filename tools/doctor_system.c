/* doctor_system.c - what the kernel lets ranks on this host do. */
#include "tools/doctor.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ferrule/ferrule.h>

/* What Ferrule promises to need at most, for each rank and beyond the user's buffers. */
#define RANK_BYTES (UINT64_C(16) << 20)
#define MIB        1048576.0

bool fr_doctor_read_line(const char *path, char *text, size_t n)
{
	FILE *const f = fopen(path, "re");
	if (!f)
		return false;
	const bool is_read = fgets(text, (int)n, f) != NULL;
	fclose(f);
	if (is_read)
		text[strcspn(text, "\n")] = '\0';
	return is_read;
}

void fr_check_settings(struct fr_doctor *d)
{
	int n_set = 0;
	struct ferrule_setting s;

	if (ferrule_settings_check() != FERRULE_OK) {
		fr_doctor_say(d, FR_VERDICT_FAIL, "settings",
		              "correct or unset the variable; 'ferrule info' lists them all", "%s",
		              ferrule_comm_error_text(NULL));
		return;
	}
	for (int i = 0; ferrule_setting_at(i, &s); i++)
		n_set += s.from_environment;
	fr_doctor_say(d, FR_VERDICT_OK, "settings", NULL, "%d FERRULE_* variables set, all valid",
	              n_set);
}

void fr_check_features(struct fr_doctor *d)
{
	struct ferrule_feature f;

	for (int i = 0; ferrule_feature_at(i, &f); i++) {
		/* Absence is a choice made at build time: worth knowing, not a fault. */
		fr_doctor_say(d, FR_VERDICT_OK, "feature", NULL, "%s: %s; %s", f.name,
		              f.present ? "present" : "not in this build", f.detail);
	}
}

/* CPUs that the cgroup's quota amounts to; 0 when there is none. */
static double cgroup_cpus(void)
{
	char text[128];
	double quota, period;

	if (fr_doctor_read_line("/sys/fs/cgroup/cpu.max", text, sizeof(text))) {
		if (sscanf(text, "%lf %lf", &quota, &period) == 2 && period > 0)
			return quota / period;
		return 0; /* "max" */
	}
	char period_text[64];
	if (!fr_doctor_read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof(text)) ||
	    !fr_doctor_read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period_text,
	                         sizeof(period_text)))
		return 0;
	quota = atof(text);
	period = atof(period_text);
	return quota > 0 && period > 0 ? quota / period : 0;
}

void fr_check_cores(struct fr_doctor *d)
{
	const long online = sysconf(_SC_NPROCESSORS_ONLN);
	const double quota = cgroup_cpus();
	char quota_text[48] = "none";
	cpu_set_t mask;

	if (sched_getaffinity(0, sizeof(mask), &mask) != 0) {
		fr_doctor_say(d, FR_VERDICT_WARN, "cores", "check the affinity mask with taskset",
		              "sched_getaffinity: %s", strerror(errno));
		return;
	}
	const int usable = CPU_COUNT(&mask);
	enum fr_verdict verdict = FR_VERDICT_OK;
	const char *fix = NULL;
	if (quota > 0)
		snprintf(quota_text, sizeof(quota_text), "%.1f processors", quota);
	if (d->n_ranks > usable) {
		verdict = FR_VERDICT_WARN;
		fix = "start fewer ranks, or expect them to take turns (correct, but slower)";
	} else if (quota > 0 && quota < (double)d->n_ranks) {
		verdict = FR_VERDICT_WARN;
		fix = "raise the container's processor quota (docker --cpus), or start fewer ranks";
	}
	fr_doctor_say(d, verdict, "cores", fix,
	              "%d of %ld hardware threads usable, cgroup quota %s, %lld ranks planned",
	              usable, online, quota_text, (long long)d->n_ranks);
}

static uint64_t mem_available(void)
{
	char line[128];
	unsigned long long kib = 0;
	FILE *const f = fopen("/proc/meminfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	}
	fclose(f);
	return (uint64_t)kib << 10;
}

/* What is left of the cgroup's memory limit; UINT64_MAX without one. */
static uint64_t cgroup_memory_left(void)
{
	char limit[64], used[64];

	if (!fr_doctor_read_line("/sys/fs/cgroup/memory.max", limit, sizeof(limit)) ||
	    !fr_doctor_read_line("/sys/fs/cgroup/memory.current", used, sizeof(used)) ||
	    limit[0] < '0' || limit[0] > '9')
		return UINT64_MAX;
	const uint64_t most = strtoull(limit, NULL, 10), now = strtoull(used, NULL, 10);
	return most > now ? most - now : 0;
}

void fr_check_memory(struct fr_doctor *d)
{
	const uint64_t system = mem_available(), cgroup = cgroup_memory_left();
	const uint64_t available = system < cgroup ? system : cgroup;
	const uint64_t need = RANK_BYTES * (uint64_t)d->n_ranks;

	fr_doctor_say(d, available < need ? FR_VERDICT_FAIL : FR_VERDICT_OK, "memory",
	              "free memory, raise the container's memory limit, or start fewer ranks",
	              "%.0f MiB available%s, at most %.0f MiB needed by %lld ranks beyond their "
	              "own buffers",
	              (double)available / MIB, cgroup < system ? " (cgroup limit)" : "",
	              (double)need / MIB, (long long)d->n_ranks);
}

void fr_check_dev_shm(struct fr_doctor *d)
{
	struct statvfs fs;

	if (statvfs("/dev/shm", &fs) != 0) {
		fr_doctor_say(d, FR_VERDICT_WARN, "/dev/shm",
		              "mount a tmpfs there (mount -t tmpfs tmpfs /dev/shm)",
		              "%s; Ferrule's own shared memory is memfd and works without it",
		              strerror(errno));
		return;
	}
	const double size = (double)fs.f_blocks * (double)fs.f_frsize;
	const double left = (double)fs.f_bavail * (double)fs.f_frsize;
	fr_doctor_say(d, FR_VERDICT_OK, "/dev/shm", NULL,
	              "%.0f of %.0f MiB free; 0 MiB needed, as Ferrule's shared memory is memfd, "
	              "which this size does not limit",
	              left / MIB, size / MIB);
}

/* In a process of its own: reads a byte that only its sibling has, as one rank of another. */
static int read_from_sibling(pid_t sibling, char *address)
{
	char byte = 0;
	struct iovec here = {.iov_base = &byte, .iov_len = 1};
	struct iovec there = {.iov_base = address, .iov_len = 1};

	if (process_vm_readv(sibling, &here, 1, &there, 1, 0) != 1)
		return errno;
	return byte == 'x' ? 0 : EIO;
}

/* 0, or the error number with which one child cannot read another's memory. */
static int try_cross_memory(void)
{
	static char target = 0;
	int ready[2];
	char byte;

	if (pipe(ready) != 0)
		return errno;
	/* A child that ends in an unusual way must not write our output a second time. */
	fflush(NULL);
	const pid_t owner = fork();
	if (owner == 0) {
		target = 'x'; /* in this process only */
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	int status = EIO << 8;
	if (owner > 0 && read(ready[0], &byte, 1) == 1) {
		const pid_t reader = fork();
		if (reader == 0)
			_exit(read_from_sibling(owner, &target));
		if (reader > 0)
			waitpid(reader, &status, 0);
	}
	close(ready[0]);
	if (owner > 0) {
		kill(owner, SIGKILL);
		waitpid(owner, NULL, 0);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

void fr_check_cross_memory(struct fr_doctor *d)
{
	char scope[16] = "";
	const int error = try_cross_memory();

	if (error == 0) {
		fr_doctor_say(d, FR_VERDICT_OK, "cross-memory", NULL,
		              "one process can read another's memory (process_vm_readv)");
		return;
	}
	fr_doctor_read_line("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope));
	fr_doctor_say(d, FR_VERDICT_WARN, "cross-memory",
	              "sysctl kernel.yama.ptrace_scope=0, or in a container "
	              "--cap-add=SYS_PTRACE or a seccomp profile with process_vm_readv",
	              "process_vm_readv: %s%s%s; large messages over shared memory take one copy "
	              "more",
	              strerror(error), scope[0] ? "; yama ptrace_scope is " : "", scope);
}

void fr_check_huge_pages(struct fr_doctor *d)
{
	char enabled[64] = "unknown", reserved[64] = "0";

	fr_doctor_read_line("/sys/kernel/mm/transparent_hugepage/enabled", enabled,
	                    sizeof(enabled));
	fr_doctor_read_line("/proc/sys/vm/nr_hugepages", reserved, sizeof(reserved));
	const bool is_never = strstr(enabled, "[never]") != NULL;
	fr_doctor_say(d, is_never ? FR_VERDICT_WARN : FR_VERDICT_OK, "huge pages",
	              "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
	              "transparent: %s; reserved: %s (not needed)", enabled, reserved);
}

/* Does a limit on locked memory not count for this process?  CAP_IPC_LOCK is bit 14. */
static bool may_lock_anything(void)
{
	char line[128];
	unsigned long long effective = 0;
	FILE *const f = fopen("/proc/self/status", "re");

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	}
	fclose(f);
	return effective >> 14 & 1;
}

void fr_check_memlock(struct fr_doctor *d)
{
	struct ferrule_rdma_port port;
	struct rlimit limit;
	char text[64] = "unlimited";

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return;
	const bool is_limited = limit.rlim_cur != RLIM_INFINITY && !may_lock_anything();
	if (limit.rlim_cur != RLIM_INFINITY)
		snprintf(text, sizeof(text), "%.0f KiB%s", (double)limit.rlim_cur / 1024,
		         is_limited ? "" : ", which this process may exceed (CAP_IPC_LOCK)");
	if (!ferrule_rdma_port_at(0, &port)) {
		fr_doctor_say(
			d, FR_VERDICT_OK, "memlock", NULL,
			"limit %s; no RDMA device here, and shared memory and TCP pin nothing",
			text);
		return;
	}
	/* One peer's worth is the least; with less nothing works. */
	const enum fr_verdict verdict = !is_limited                        ? FR_VERDICT_OK
	                                : limit.rlim_cur < port.peer_bytes ? FR_VERDICT_FAIL
	                                                                   : FR_VERDICT_WARN;
	fr_doctor_say(
		d, verdict, "memlock",
		"'* - memlock unlimited' in /etc/security/limits.d/ferrule.conf, "
		"LimitMEMLOCK=infinity in the unit of the service that starts ranks (slurmd), "
		"or docker --ulimit memlock=-1",
		"limit %s; RDMA locks %.1f MiB for each peer and device context, and what is "
		"registered",
		text, (double)port.peer_bytes / MIB);
}

void fr_check_open_files(struct fr_doctor *d)
{
	/* A rank's own files, and for each peer some sockets and a shared segment. */
	const uint64_t need = 64 + 8 * (uint64_t)d->n_ranks;
	struct rlimit limit;
	struct ferrule_setting s;
	uint64_t sockets = 1;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	for (int i = 0; ferrule_setting_at(i, &s); i++) {
		if (strcmp(s.name, "FERRULE_SOCKETS_PER_PEER") == 0)
			sockets = strtoull(s.value, NULL, 10);
	}
	const uint64_t total = need + sockets * (uint64_t)d->n_ranks;
	fr_doctor_say(d, limit.rlim_cur < total ? FR_VERDICT_FAIL : FR_VERDICT_OK, "open files",
	              "ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit",
	              "limit %llu, about %llu needed by a rank among %lld",
	              (unsigned long long)limit.rlim_cur, (unsigned long long)total,
	              (long long)d->n_ranks);
}

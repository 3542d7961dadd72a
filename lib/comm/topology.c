#include "config.h"

#include "lib/comm/topology.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* First line of a small file, without its newline; "" when it cannot be read. */
static void read_line(const char *path, char *buf, size_t bytes)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd >= 0) {
		n = read(fd, buf, bytes - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* Threads' worth of time that "QUOTA PERIOD" of cpu.max grants, rounded up; 0: no limit. */
static int32_t quota_of(const char *cpu_max)
{
	long long quota, period;

	if (sscanf(cpu_max, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0)
		return 0;
	const long long threads = (quota + period - 1) / period;
	return threads > INT32_MAX ? INT32_MAX : (int32_t)threads;
}

static int32_t cgroup_quota(void)
{
	char line[512], path[640], limit[64];

	/* "0::/a/b" in cgroup v2; inside a container the root holds the container's limit. */
	read_line("/proc/self/cgroup", line, sizeof(line));
	if (strncmp(line, "0::", 3) != 0)
		return 0;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", line + 3);
	read_line(path, limit, sizeof(limit));
	return quota_of(limit);
}

void fr_cpu_share_get(struct fr_cpu_share *out)
{
	cpu_set_t set;

	memset(out, 0, sizeof(*out));
	out->quota = cgroup_quota();
	CPU_ZERO(&set);
	/* Fails on kernels with more processors than the set can hold; an empty mask then counts
	 * as one thread, the cautious answer. */
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return;
	for (int cpu = 0; cpu < 8 * FR_CPU_MASK_BYTES && cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			out->mask[cpu / 8] |= (unsigned char)(1 << cpu % 8);
}

int fr_cpu_share_count(const struct fr_cpu_share *shares, int n)
{
	int n_threads = 0;
	int32_t quota = 0;
	bool is_limited = n > 0;

	for (int byte = 0; byte < FR_CPU_MASK_BYTES; byte++) {
		unsigned int any = 0;
		for (int i = 0; i < n; i++)
			any |= shares[i].mask[byte];
		n_threads += __builtin_popcount(any);
	}
	for (int i = 0; i < n; i++) {
		is_limited = is_limited && shares[i].quota > 0;
		if (shares[i].quota > quota)
			quota = shares[i].quota;
	}
	if (is_limited && quota < n_threads)
		n_threads = quota;
	return n_threads > 0 ? n_threads : 1;
}

/* Two network namespaces joined by one wire, made and removed by ip(8). */
#include "config.h"

#include "tests/faults/fault.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ADDRESS "10.87.0."

static bool is_open;

__attribute__((format(printf, 1, 2))) static bool run(const char *format, ...)
{
	char command[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(command, sizeof(command) - 16, format, args);
	va_end(args);
	snprintf(command + n, sizeof(command) - (size_t)n, " >/dev/null 2>&1");
	return system(command) == 0;
}

static void name_of(int host, char name[32])
{
	snprintf(name, 32, "ferrule-fault-%d-%c", (int)getpid(), 'a' + host);
}

const char *fault_network_address(void)
{
	return ADDRESS "1";
}

bool fault_network_open(const char **why_out)
{
	char a[32], b[32];

	name_of(0, a);
	name_of(1, b);
	*why_out = "no network namespaces here: needs root and ip(8)";
	if (geteuid() != 0 || !run("ip netns add %s", a) || !run("ip netns add %s", b))
		return false;
	is_open = true;
	*why_out = "no veth devices here";
	if (!run("ip -n %s link add eth0 type veth peer name eth0 netns %s", a, b)) {
		fault_network_close();
		return false;
	}
	for (int host = 0; host < 2; host++) {
		const char *name = host == 0 ? a : b;

		run("ip -n %s link set lo up", name);
		run("ip -n %s addr add " ADDRESS "%d/24 dev eth0", name, host + 1);
		run("ip -n %s link set eth0 up", name);
	}
	return true;
}

void fault_network_enter(int host)
{
	char name[32], path[80];

	/* The driver made them, this is its child. */
	snprintf(name, sizeof(name), "ferrule-fault-%d-%c", (int)getppid(), 'a' + host);
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
		_exit(3);
	close(fd);
}

/* No reset, no unreachable: a queue that loses everything, as a broken switch does. */
void fault_network_cut(void)
{
	char b[32];

	name_of(1, b);
	run("ip -n %s link set eth0 down", b);
}

void fault_network_mend(void)
{
	char b[32];

	name_of(1, b);
	run("ip -n %s link set eth0 up", b);
}

void fault_network_close(void)
{
	char name[32];

	for (int host = 0; is_open && host < 2; host++) {
		name_of(host, name);
		run("ip netns del %s", name);
	}
	is_open = false;
}

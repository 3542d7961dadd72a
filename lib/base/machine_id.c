#include "config.h"

#include "lib/base/machine_id.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/auth.h"
#include "lib/base/wire.h"

/* Headers older than Linux 5.14 lack it; kernels that do refuse it. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static uint64_t digest_of(const char *text)
{
	unsigned char digest[FR_AUTH_KEY_BYTES];

	fr_auth_derive(text, digest);
	return fr_load_le64(digest);
}

/* The kernel's random name for this boot; the host's name where /proc is not mounted. */
static void read_boot(char *buf, size_t bytes)
{
	const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	memset(buf, 0, bytes);
	if (fd >= 0) {
		n = read(fd, buf, bytes - 1);
		close(fd);
	}
	if (n <= 0)
		gethostname(buf, bytes - 1);
	buf[strcspn(buf, "\n")] = '\0';
}

uint64_t fr_machine_id(void)
{
	char boot[64], text[80];

	read_boot(boot, sizeof(boot));
	snprintf(text, sizeof(text), "machine %s", boot);
	return digest_of(text);
}

/* What the kernel calls the network namespace; false where it does not say. */
static bool read_cookie(uint64_t *out)
{
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*out);

	if (fd < 0)
		return false;
	const bool ok = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, out, &length) == 0;
	close(fd);
	return ok;
}

uint64_t fr_network_id(void)
{
	char boot[64], name[64] = "", text[160];
	uint64_t cookie;

	read_boot(boot, sizeof(boot));
	if (read_cookie(&cookie)) {
		snprintf(name, sizeof(name), "%llu", (unsigned long long)cookie);
	} else {
		const ssize_t n = readlink("/proc/self/ns/net", name, sizeof(name) - 1);
		name[n > 0 ? n : 0] = '\0';
	}
	snprintf(text, sizeof(text), "network %s %s", boot, name);
	return digest_of(text);
}

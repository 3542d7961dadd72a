/* What a rank reads from its environment: FERRULE_* settings and the launcher's variables. */
#include "config.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/netif.h"
#include "lib/base/settings.h"
#include "lib/comm/boot_env.h"
#include "lib/comm/boot_launcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define MAX_LINES 40

static void require(int condition)
{
	if (!condition)
		abort();
}

static void check_settings(const char *const *env)
{
	struct fr_settings s;

	if (fr_settings_parse(env, &s) != FERRULE_OK)
		return;
	require(s.timeout_s >= 0.1 && s.timeout_s <= 86400);
	require(s.sockets_per_peer >= 1 && s.sockets_per_peer <= 16);
	require(s.shm_ring >= 65536 && s.shm_ring <= 1u << 30);
	require(strlen(s.job_key) == 0 || strlen(s.job_key) == 64);
	const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100000a};
	const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	const char *selector = s.socket_ifname;
	if (selector[0] == '\0' || strcmp(selector, "0.0.0.0/0") == 0)
		require(fr_netif_fits(selector, "eth0", (const struct sockaddr *)&in));
	fr_netif_fits(selector, "eth0", (const struct sockaddr *)&in6);
}

static void check_launcher(const char *const *lines, int n)
{
	const struct fr_boot_env_text text = {.rank = n > 0 ? lines[0] : NULL,
	                                      .world_size = n > 1 ? lines[1] : NULL,
	                                      .local_rank = n > 2 ? lines[2] : NULL,
	                                      .master_addr = n > 3 ? lines[3] : NULL,
	                                      .master_port = n > 4 ? lines[4] : NULL,
	                                      .agent_store = n > 5 ? lines[5] : NULL};
	struct fr_boot_env env;

	if (fr_boot_env_parse(&text, 0, &env) != FERRULE_OK)
		return;
	require(env.rank >= 0 && env.rank < env.n_ranks);
	require(env.n_ranks == 1 || (env.port > 0 && env.host[0]));
}

/* The lines as an environment of some launcher. */
static void check_launchers(const char *const *lines)
{
	struct fr_launcher_says says;

	if (fr_boot_launcher_read(lines, 0, &says) != FERRULE_OK)
		return;
	if (says.meeting != FR_MEET_AT_HOST)
		return;
	require(says.env.rank >= 0 && says.env.rank < says.env.n_ranks && says.env.n_ranks > 1);
	require(says.env.port > 0 && says.env.host[0]);
}

/* The input is lines: each is one assignment, or one of the launcher's values. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const char *lines[MAX_LINES + 1];
	char *text = malloc(bytes + 1);
	int n = 0;

	if (!text)
		return 0;
	memcpy(text, data, bytes);
	text[bytes] = '\0';
	for (char *at = text; n < MAX_LINES;) {
		lines[n++] = at;
		at += strcspn(at, "\n");
		if (*at == '\0')
			break;
		*at++ = '\0';
	}
	lines[n] = NULL;
	check_settings(lines);
	check_launcher(lines, n);
	check_launchers(lines);
	for (int i = 0; i < n; i++)
		if (strlen(lines[i]) < 64)
			fr_settings_nearest(lines[i]);
	free(text);
	return 0;
}

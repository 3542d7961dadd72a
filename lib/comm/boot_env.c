#include "config.h"

#include "lib/comm/boot_env.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auth.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/netif.h"
#include "lib/base/parse.h"
#include "lib/base/settings.h"
#include "lib/comm/boot_key.h"
#include "lib/comm/boot_launcher.h"
#include "lib/comm/boot_open.h"
#include "lib/comm/boot_wire.h"

/* How long a port may stay taken by what is left of an earlier job. */
#define PORT_PATIENCE_NS 2000000000u
#define PORT_PAUSE_NS    5000000

/* ---- reading the variables ---- */

static ferrule_status_t parse_number(const char *name, const char *text, int low, int high,
                                     int *out)
{
	int64_t value;

	if (!text)
		return fr_error(FERRULE_ERR_SETTING,
		                "%s is not set; RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT go "
		                "together; allowed: %d to %d",
		                name, low, high);
	if (!fr_parse_int(text, low, high, &value))
		return fr_error(FERRULE_ERR_SETTING, "%s=%.80s is not allowed; allowed: %d to %d",
		                name, text, low, high);
	*out = (int)value;
	return FERRULE_OK;
}

static ferrule_status_t refuse_host(const char *text, const char *advice)
{
	return fr_error(FERRULE_ERR_SETTING,
	                "MASTER_ADDR=%.80s is not allowed; allowed: name or address of rank 0's "
	                "host%s",
	                text, advice);
}

/* What is wrong with a host that has colons but is no address. */
static ferrule_status_t refuse_colons(const char *text, const char *host)
{
	if (strchr(host, '%'))
		return refuse_host(text, ", and after % an interface that this host has");
	if (strchr(host, ':') == strrchr(host, ':') || strstr(text, "]:"))
		return refuse_host(text, " alone; the port goes into MASTER_PORT");
	return refuse_host(text, "; it is no IPv6 address");
}

/* Takes "[::1]" for "::1", as people write addresses beside ports. */
static ferrule_status_t parse_host(const char *text, char *out, size_t bytes)
{
	if (!text || text[0] == '\0')
		return fr_error(
			FERRULE_ERR_SETTING,
			"MASTER_ADDR is not set; allowed: name or address of rank 0's host");
	const size_t length = strlen(text);
	const bool has_brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';
	const size_t host_length = has_brackets ? length - 2 : length;

	if (host_length >= bytes || strpbrk(text, " \t\r\n/"))
		return refuse_host(text, "");
	char host[256];
	snprintf(host, sizeof(host), "%.*s", (int)host_length, text + has_brackets);
	if (has_brackets && !strchr(host, ':'))
		return refuse_host(text, "; brackets are for IPv6 addresses");
	if (strpbrk(host, "[]:") && !fr_net_is_numeric(host))
		return refuse_colons(text, host);
	snprintf(out, bytes, "%s", host);
	return FERRULE_OK;
}

/* torchrun's agent keeps MASTER_PORT for its own store, so rank 0 takes the next one. */
static ferrule_status_t parse_port(const struct fr_boot_env_text *text, int store_port, int *out)
{
	const bool agent_has_port =
		text->agent_store &&
		(strcasecmp(text->agent_store, "true") == 0 || strcmp(text->agent_store, "1") == 0);

	if (store_port != 0) {
		*out = store_port;
		return FERRULE_OK;
	}
	const int high = agent_has_port ? 65534 : 65535;
	const ferrule_status_t status =
		parse_number("MASTER_PORT", text->master_port, 1, high, out);
	if (status == FERRULE_OK)
		*out += agent_has_port;
	return status;
}

ferrule_status_t fr_boot_env_parse(const struct fr_boot_env_text *text, int store_port,
                                   struct fr_boot_env *out)
{
	struct fr_boot_env env = {.n_ranks = 0};
	int local_rank, port;

	ferrule_status_t status =
		parse_number(text->world_size_name ? text->world_size_name : "WORLD_SIZE",
	                     text->world_size, 1, FR_BOOT_MAX_RANKS, &env.n_ranks);
	if (status == FERRULE_OK)
		status = parse_number(text->rank_name ? text->rank_name : "RANK", text->rank, 0,
		                      env.n_ranks - 1, &env.rank);
	/* A rank that is alone may have inherited it, as from a rank that started it. */
	if (status == FERRULE_OK && text->local_rank && env.n_ranks > 1)
		status = parse_number("LOCAL_RANK", text->local_rank, 0, env.n_ranks - 1,
		                      &local_rank);
	if (status == FERRULE_OK && env.n_ranks > 1) {
		status = parse_host(text->master_addr, env.host, sizeof(env.host));
		if (status == FERRULE_OK)
			status = parse_port(text, store_port, &port);
		if (status == FERRULE_OK)
			env.port = (uint16_t)port;
	}
	if (status == FERRULE_OK)
		*out = env;
	return status;
}

/* ---- rank 0's port ---- */

/*
 * A numeric address is listened on as it stands.  A name is not looked up: on its own host it
 * often means 127.0.1.1, which nobody else can reach; so rank 0 listens everywhere.  The same
 * goes for an address this host does not know itself by (address translation).
 */
static int listen_once(const struct fr_boot_env *env)
{
	struct fr_net_addr found[FR_RENDEZVOUS_MAX_ADDRS];
	const char *why;
	uint16_t port;
	int n = 0;

	if (strcmp(env->host, "localhost") == 0 || fr_net_is_numeric(env->host))
		n = fr_net_resolve(env->host, env->port, found, FR_RENDEZVOUS_MAX_ADDRS, &why);
	for (int i = 0; i < n; i++) {
		const int fd = fr_net_listen(&found[i], env->port, &port);
		if (fd >= 0 || errno == EADDRINUSE || errno == EACCES)
			return fd;
	}
	return fr_net_listen(NULL, env->port, &port);
}

static ferrule_status_t listen_at(const struct fr_boot_env *env, const char *where,
                                  uint64_t deadline_ns, int *fd_out)
{
	const struct timespec pause = {.tv_nsec = PORT_PAUSE_NS};
	const uint64_t patience = fr_clock_ns() + PORT_PATIENCE_NS;

	for (;;) {
		*fd_out = listen_once(env);
		if (*fd_out >= 0)
			return FERRULE_OK;
		const uint64_t now = fr_clock_ns();
		if (errno != EADDRINUSE || now >= patience || now >= deadline_ns)
			break;
		nanosleep(&pause, NULL);
	}
	return fr_error(FERRULE_ERR_SYSTEM,
	                "rank 0 cannot listen at %s: %s; choose another MASTER_PORT, or set "
	                "FERRULE_STORE_PORT on all ranks",
	                where, strerror(errno));
}

/* ---- opening ---- */

static ferrule_status_t open_place(const struct fr_boot_env *env, uint64_t deadline_ns,
                                   struct fr_boot **out)
{
	struct fr_rendezvous place = {.host = env->host, .port = env->port};
	unsigned char key[FR_AUTH_KEY_BYTES];
	struct fr_key_file file;
	int listen_fd = -1;

	if (fr_net_is_loopback_host(env->host) && !fr_netif_has_loopback())
		return fr_error(
			FERRULE_ERR_SYSTEM,
			"MASTER_ADDR=%.80s is loopback, which is down; bring it up: ip link "
			"set lo up",
			env->host);
	snprintf(place.text, sizeof(place.text),
	         strchr(env->host, ':') ? "[%.120s]:%u" : "%.120s:%u", env->host, env->port);
	if (env->rank == 0) {
		const ferrule_status_t status = listen_at(env, place.text, deadline_ns, &listen_fd);
		if (status != FERRULE_OK)
			return status;
	}
	ferrule_status_t status = fr_boot_key_find(env, deadline_ns, &file, key);
	if (status != FERRULE_OK) {
		if (listen_fd >= 0)
			close(listen_fd);
		return status;
	}
	const struct fr_star_params params = {.rank = env->rank,
	                                      .n_ranks = env->n_ranks,
	                                      .key = key,
	                                      .key_file = &file,
	                                      .deadline_ns = deadline_ns,
	                                      .place = &place};
	status = fr_boot_open_star(&params, listen_fd, out);
	fr_key_file_remove(&file);
	fr_wipe(key, sizeof(key));
	return status;
}

ferrule_status_t fr_boot_open_env(uint64_t deadline_ns, struct fr_boot **out)
{
	static const char *const empty[] = {NULL};
	struct fr_launcher_says says;

	ferrule_status_t status = fr_settings_load();
	if (status != FERRULE_OK)
		return status;
	status = fr_boot_launcher_read(environ ? (const char *const *)environ : empty,
	                               (int)fr_settings()->store_port, &says);
	if (status != FERRULE_OK)
		return status;
	if (says.warning[0])
		fr_log(FR_LOG_WARNING, "%s", says.warning);
	switch (says.meeting) {
	case FR_MEET_BY_PMIX:
		return fr_boot_open_pmix(deadline_ns, out);
	case FR_MEET_BY_PMI:
		return fr_boot_open_pmi(deadline_ns, out);
	case FR_MEET_AT_HOST:
		return open_place(&says.env, deadline_ns, out);
	default:
		return fr_boot_open_alone(out);
	}
}

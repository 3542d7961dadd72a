/* boot.c - a boot is rank 0's server, another rank's client, or neither for one rank alone. */
#include "config.h"

#include "lib/comm/boot.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auth.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/supervisor.h"
#include "lib/comm/boot_open.h"
#include "lib/comm/boot_wire.h"

struct fr_boot {
	struct fr_boot_info info;
	struct fr_boot_server *server;
	struct fr_boot_client *client;
	struct fr_supervisor supervisor;
	ferrule_status_t failure; /* the first one */
	char failure_text[FR_BOOT_FAIL_MAX_TEXT + 1];
};

_Static_assert(FR_JOB_KEY_BYTES == FR_AUTH_KEY_BYTES, "the job key is what auth.h proves");

ferrule_status_t fr_boot_open_alone(struct fr_boot **out)
{
	struct fr_boot *boot = calloc(1, sizeof(*boot));

	if (!boot)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory to set up a communicator");
	boot->info.n_ranks = 1;
	fr_random(&boot->info.comm_id, sizeof(boot->info.comm_id));
	fr_random(boot->info.job_key, sizeof(boot->info.job_key));
	*out = boot;
	return FERRULE_OK;
}

/* ---- failing once ---- */

/* Keeps an error that came from below; returns the status. */
static ferrule_status_t keep(struct fr_boot *boot, ferrule_status_t status)
{
	if (status != FERRULE_OK && boot->failure == FERRULE_OK) {
		boot->failure = status;
		snprintf(boot->failure_text, sizeof(boot->failure_text), "%s", fr_error_text());
	}
	return status;
}

static ferrule_status_t say_again(const struct fr_boot *boot)
{
	return fr_error(boot->failure, "%s", boot->failure_text);
}

static ferrule_status_t check(struct fr_supervisor *supervisor)
{
	struct fr_boot *boot =
		(struct fr_boot *)((char *)supervisor - offsetof(struct fr_boot, supervisor));

	if (boot->failure != FERRULE_OK)
		return say_again(boot);
	return keep(boot, boot->server ? fr_boot_server_check(boot->server)
	                               : fr_boot_client_check(boot->client));
}

struct fr_supervisor *fr_boot_supervisor(struct fr_boot *boot)
{
	return boot->server || boot->client ? &boot->supervisor : NULL;
}

ferrule_status_t fr_boot_fail(struct fr_boot *boot, ferrule_status_t status, const char *text)
{
	if (boot->failure != FERRULE_OK)
		return say_again(boot);
	if (boot->server)
		return keep(boot, fr_boot_server_fail(boot->server, status, text));
	if (boot->client)
		return keep(boot, fr_boot_client_fail(boot->client, status, text));
	return fr_error(status, "%s", text);
}

/* ---- opening ---- */

static ferrule_status_t open_server(struct fr_boot *boot, const struct fr_star_params *params,
                                    int listen_fd)
{
	const ferrule_status_t status = fr_boot_server_open(params, listen_fd, &boot->server);

	if (status != FERRULE_OK)
		return status;
	boot->supervisor =
		(struct fr_supervisor){.fd = fr_boot_server_fd(boot->server), .check = check};
	boot->info.comm_id = fr_boot_server_comm_id(boot->server);
	snprintf(boot->info.master_addr, sizeof(boot->info.master_addr), "%s",
	         fr_boot_server_host(boot->server));
	return FERRULE_OK;
}

static ferrule_status_t open_client(struct fr_boot *boot, const struct fr_star_params *params)
{
	const ferrule_status_t status = fr_boot_client_open(params, &boot->client);

	if (status != FERRULE_OK)
		return status;
	boot->supervisor =
		(struct fr_supervisor){.fd = fr_boot_client_fd(boot->client), .check = check};
	boot->info.comm_id = fr_boot_client_comm_id(boot->client);
	snprintf(boot->info.master_addr, sizeof(boot->info.master_addr), "%s",
	         fr_boot_client_host(boot->client));
	return FERRULE_OK;
}

ferrule_status_t fr_boot_open_star(const struct fr_star_params *params, int listen_fd,
                                   struct fr_boot **out)
{
	struct fr_boot *boot = calloc(1, sizeof(*boot));

	if (!boot) {
		if (listen_fd >= 0)
			close(listen_fd);
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory to set up a communicator");
	}
	boot->info.rank = params->rank;
	boot->info.n_ranks = params->n_ranks;
	memcpy(boot->info.job_key, params->key, sizeof(boot->info.job_key));
	fr_log_set_rank(params->rank);
	const ferrule_status_t status = params->rank == 0 ? open_server(boot, params, listen_fd)
	                                                  : open_client(boot, params);
	if (status != FERRULE_OK) {
		fr_boot_close(boot);
		return status;
	}
	*out = boot;
	return FERRULE_OK;
}

const struct fr_boot_info *fr_boot_info(const struct fr_boot *boot)
{
	return &boot->info;
}

ferrule_status_t fr_boot_allgather(struct fr_boot *boot, const void *in, void *out, size_t bytes,
                                   uint64_t deadline_ns)
{
	if (bytes > FR_BOOT_MAX_BYTES)
		return fr_error(FERRULE_ERR_INTERNAL,
		                "set-up block of %zu bytes; allowed: up to %d", bytes,
		                FR_BOOT_MAX_BYTES);
	if (boot->failure != FERRULE_OK)
		return say_again(boot);
	if (boot->server)
		return keep(boot,
		            fr_boot_server_allgather(boot->server, in, out, bytes, deadline_ns));
	if (boot->client)
		return keep(boot,
		            fr_boot_client_allgather(boot->client, in, out, bytes, deadline_ns));
	memmove(out, in, bytes);
	return FERRULE_OK;
}

void fr_boot_close(struct fr_boot *boot)
{
	if (!boot)
		return;
	fr_boot_server_close(boot->server);
	fr_boot_client_close(boot->client);
	fr_wipe(boot->info.job_key, sizeof(boot->info.job_key));
	free(boot);
}

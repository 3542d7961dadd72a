#include "config.h"

#include "lib/comm/boot_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/parse.h"
#include "lib/base/settings.h"
#include "lib/comm/boot_net.h"

/* Between two looks for rank 0's file. */
#define LOOK_PAUSE_NS 2000000

/* What all ranks of this job, and no other job at the same time on this host, know. */
static void describe_job(const struct fr_boot_env *env, char *text, size_t bytes)
{
	const char *run_id = getenv("TORCHELASTIC_RUN_ID");

	snprintf(text, bytes, "%s %u %u %s", env->host, env->port, (unsigned)getuid(),
	         run_id ? run_id : "");
}

/* Are all ranks on the host of this one?  The same answer on all of them. */
static bool is_one_host(const struct fr_boot_env *env)
{
	const char *local = getenv("LOCAL_WORLD_SIZE");
	int64_t n_local;

	if (fr_net_is_loopback_host(env->host))
		return true;
	return local && fr_parse_int(local, 1, env->n_ranks, &n_local) && n_local == env->n_ranks;
}

static ferrule_status_t publish(const char *job, struct fr_key_file *file, unsigned char *key)
{
	char why[500] = "";

	if (fr_key_file_publish(file, job, key, why, sizeof(why)))
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_SYSTEM,
	                "rank 0 has no folder for a key that the other ranks can read (%s); set "
	                "FERRULE_JOB_KEY to the output of `openssl rand -hex 32` on all ranks",
	                why);
}

static ferrule_status_t await_key(const struct fr_boot_env *env, const char *job,
                                  uint64_t deadline_ns, unsigned char *key)
{
	const struct timespec pause = {.tv_nsec = LOOK_PAUSE_NS};
	const uint64_t began = fr_clock_ns();
	char folders[420];

	while (!fr_key_file_read(job, key)) {
		const uint64_t now = fr_clock_ns();
		if (now >= deadline_ns)
			return fr_error(FERRULE_ERR_TIMEOUT,
			                "rank 0 of %d did not answer rank %d within %.3g s: it has "
			                "left no key for port %u in any of %s; is it started, with "
			                "the same MASTER_ADDR and MASTER_PORT?  Where ranks do not "
			                "share such a folder set FERRULE_JOB_KEY on all of them",
			                env->n_ranks, env->rank, (double)(now - began) * 1e-9,
			                env->port, fr_key_file_folders(folders, sizeof(folders)));
		nanosleep(&pause, NULL);
	}
	return FERRULE_OK;
}

/*
 * Between hosts nothing is shared that others do not know, unless somebody brings it.  Such a
 * key keeps accidents and other jobs apart, not an attacker.
 */
static ferrule_status_t derive(const struct fr_boot_env *env, const char *job, unsigned char *key)
{
	char text[600];

	if (fr_settings()->require_key)
		return fr_error(FERRULE_ERR_SETTING,
		                "FERRULE_REQUIRE_KEY is set, FERRULE_JOB_KEY is not, and between "
		                "hosts there is no other secret; set it to the output of `openssl "
		                "rand -hex 32` on all ranks");
	if (env->rank == 0)
		fr_log(FR_LOG_WARNING,
		       "no FERRULE_JOB_KEY: whoever can reach port %u can guess this job's key, "
		       "join it, and read and change its data; set FERRULE_JOB_KEY to the output "
		       "of `openssl rand -hex 32` on all ranks",
		       env->port);
	snprintf(text, sizeof(text), "ferrule %s", job);
	fr_auth_derive(text, key);
	return FERRULE_OK;
}

ferrule_status_t fr_boot_key_find(const struct fr_boot_env *env, uint64_t deadline_ns,
                                  struct fr_key_file *file,
                                  unsigned char key_out[FR_AUTH_KEY_BYTES])
{
	char job[512];

	*file = (struct fr_key_file)FR_KEY_FILE_NONE;
	if (fr_parse_hex(fr_settings()->job_key, key_out, FR_AUTH_KEY_BYTES))
		return FERRULE_OK;
	describe_job(env, job, sizeof(job));
	if (!is_one_host(env))
		return derive(env, job, key_out);
	return env->rank == 0 ? publish(job, file, key_out)
	                      : await_key(env, job, deadline_ns, key_out);
}

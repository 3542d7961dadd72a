/*
 * boot_launcher.h - who started this process, and how its ranks are to meet.
 *
 * The first of these that is there decides, so that the innermost launcher wins over those whose
 * variables it passes on:
 *
 *   RANK, WORLD_SIZE           `ferrule run`, torchrun, a person
 *   PMIX_NAMESPACE, PMIX_RANK  mpirun, prterun, srun --mpi=pmix
 *   PMI_FD, PMI_PORT           MPICH's and Intel's mpiexec, srun --mpi=pmi2
 *   variables of one launcher  a table; they need MASTER_ADDR, but for srun, whose list of hosts
 *                              says where rank 0 is
 *   nothing                    one rank alone
 *
 * What says that there is more than one rank, but not how they meet, is refused.
 */
#ifndef FR_BOOT_LAUNCHER_H
#define FR_BOOT_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/comm/boot_env.h"

enum fr_meeting {
	FR_MEET_NOBODY, /* one rank alone */
	FR_MEET_AT_HOST,
	FR_MEET_BY_PMIX,
	FR_MEET_BY_PMI,
};

struct fr_launcher_says {
	enum fr_meeting meeting;
	const char *launcher;   /* "srun"; "" when it is not known */
	struct fr_boot_env env; /* of FR_MEET_AT_HOST, and of one rank by RANK and WORLD_SIZE */
	char warning[300];      /* what a person should know though it works; "" for nothing */
};

/*
 * fr_boot_launcher_read - from a list "NAME=value" (environ's form); `store_port` is the setting
 * FERRULE_STORE_PORT, 0 when it is not set.  An error names the variables, what they say, and
 * what to do.
 */
ferrule_status_t fr_boot_launcher_read(const char *const *environment, int store_port,
                                       struct fr_launcher_says *out);

/* fr_boot_environment - the value of `name` in such a list; NULL when it is not there. */
const char *fr_boot_environment(const char *const *environment, const char *name);

/*
 * fr_boot_first_host - the first host of Slurm's list, "node[01-03,7],login" gives "node01".
 * *is_only_out: is it the only one?  False when it is no such list or the name does not fit.
 */
bool fr_boot_first_host(const char *list, char *out, size_t bytes, bool *is_only_out);

#endif

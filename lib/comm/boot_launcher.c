/* boot_launcher.c - the launchers that are known by their variables alone, and what they say. */
#include "config.h"

#include "lib/comm/boot_launcher.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/parse.h"
#include "lib/comm/boot_wire.h"

/* Slurm numbers its steps from 0; the highest numbers stand for batch scripts and the like. */
#define SLURM_MAX_STEP 0xffffff00u
/* Ports derived from a Slurm job: below those that the kernel hands out by itself. */
#define SLURM_PORT_FIRST 20000u
#define SLURM_N_PORTS    10000u

/*
 * A launcher that says rank and size in variables of its own.  The inner ones come first: an
 * mpirun in a Slurm job starts its ranks by srun, and they find the variables of both.
 */
struct row {
	const char *launcher;
	const char *rank, *size; /* size is NULL where the launcher does not tell it */
	const char *advice;      /* what makes this launcher one that Ferrule can use */
};

#define ANY_PMIX "use an mpirun with PMIx (Open MPI 2 or later)"
static const struct row rows[] = {
	{"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", ANY_PMIX},
	{"MVAPICH's mpirun_rsh", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE",
         "use MVAPICH's mpiexec (Hydra)"},
	{"MVAPICH's mpirun_rsh", "MVP_COMM_WORLD_RANK", "MVP_COMM_WORLD_SIZE",
         "use MVAPICH's mpiexec (Hydra)"},
	{"jsrun", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE", ANY_PMIX},
	{"flux run", "FLUX_TASK_RANK", "FLUX_JOB_SIZE", "use flux run -o pmi=simple"},
	{"MPICH's or Intel's mpiexec", "PMI_RANK", "PMI_SIZE",
         "its PMI_FD must reach the rank (it is not set)"},
	{"PALS's mpiexec", "PALS_RANKID", NULL, ANY_PMIX},
	{"aprun", "ALPS_APP_PE", NULL, ANY_PMIX},
};

static const struct row slurm_row = {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS",
                                     "use srun --mpi=pmix or --mpi=pmi2"};

const char *fr_boot_environment(const char *const *environment, const char *name)
{
	const size_t length = strlen(name);

	for (; *environment; environment++)
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	return NULL;
}

/* The value, or NULL when it is not set or empty, which is how a shell says "not set". */
static const char *get(const char *const *environment, const char *name)
{
	const char *value = name ? fr_boot_environment(environment, name) : NULL;

	return value && value[0] ? value : NULL;
}

/* ---- refusing ---- */

static ferrule_status_t refuse(const char *const *environment, const struct row *row,
                               const char *size_name)
{
	const char *rank = get(environment, row->rank), *size = get(environment, size_name);
	char found[120];

	if (rank && size)
		snprintf(found, sizeof(found), "%s=%.20s and %s=%.20s say", row->rank, rank,
		         size_name, size);
	else
		snprintf(found, sizeof(found), "%s=%.20s says", rank ? row->rank : size_name,
		         rank ? rank : size);
	return fr_error(FERRULE_ERR_UNSUPPORTED,
	                "%s that this process is one of several (%s), but not where they meet; "
	                "%s, or `ferrule run`, or set RANK, WORLD_SIZE, MASTER_ADDR and "
	                "MASTER_PORT on all ranks (RANK=0 WORLD_SIZE=1 for one rank alone)",
	                found, row->launcher, row->advice);
}

/* ---- numbers ---- */

static ferrule_status_t read_number(const char *name, const char *text, int low, int high, int *out)
{
	int64_t value;

	if (!fr_parse_int(text, low, high, &value))
		return fr_error(FERRULE_ERR_SETTING, "%s=%.80s is not allowed; allowed: %d to %d",
		                name, text, low, high);
	*out = (int)value;
	return FERRULE_OK;
}

/* What a row's variables say: 0 ranks or rank -1 for what they do not say. */
struct claim {
	int rank, n_ranks;
};

static ferrule_status_t read_claim(const char *const *environment, const char *rank_name,
                                   const char *size_name, struct claim *out)
{
	const char *rank = get(environment, rank_name), *size = get(environment, size_name);
	ferrule_status_t status = FERRULE_OK;

	*out = (struct claim){.rank = -1};
	if (size)
		status = read_number(size_name, size, 1, FR_BOOT_MAX_RANKS, &out->n_ranks);
	if (status == FERRULE_OK && rank)
		status = read_number(rank_name, rank, 0,
		                     size ? out->n_ranks - 1 : FR_BOOT_MAX_RANKS - 1, &out->rank);
	return status;
}

static bool is_several(const struct claim *claim)
{
	return claim->n_ranks > 1 || claim->rank > 0;
}

/* ---- where they meet ---- */

static ferrule_status_t meet_at_master(const char *const *environment, const struct row *row,
                                       const char *size_name, int store_port,
                                       struct fr_launcher_says *out)
{
	const struct fr_boot_env_text text = {.rank_name = row->rank,
	                                      .world_size_name = size_name,
	                                      .rank = get(environment, row->rank),
	                                      .world_size = get(environment, size_name),
	                                      .master_addr = get(environment, "MASTER_ADDR"),
	                                      .master_port = get(environment, "MASTER_PORT")};

	return fr_boot_env_parse(&text, store_port, &out->env);
}

static ferrule_status_t read_row(const char *const *environment, const struct row *row,
                                 int store_port, struct fr_launcher_says *out, bool *is_found)
{
	struct claim claim;
	ferrule_status_t status = read_claim(environment, row->rank, row->size, &claim);

	*is_found = false;
	if (status != FERRULE_OK || (claim.rank < 0 && claim.n_ranks == 0))
		return status;
	if (!row->size && claim.rank == 0)
		snprintf(out->warning, sizeof(out->warning),
		         "%s=0 (%s) without a number of ranks: taken for one rank alone", row->rank,
		         row->launcher);
	if (!is_several(&claim))
		return FERRULE_OK;
	if (claim.rank < 0 || claim.n_ranks == 0 || !get(environment, "MASTER_ADDR"))
		return refuse(environment, row, row->size);
	*is_found = true;
	out->launcher = row->launcher;
	out->meeting = FR_MEET_AT_HOST;
	return meet_at_master(environment, row, row->size, store_port, out);
}

/* ---- Slurm ---- */

/* Copies one number of "01-03,7" and says whether there is no other. */
static const char *first_of_bracket(const char *at, char **to, const char *end, bool *is_only)
{
	const size_t digits = strspn(at, "0123456789");

	if (digits == 0 || digits >= (size_t)(end - *to))
		return NULL;
	memcpy(*to, at, digits);
	*to += digits;
	*is_only &= at[digits] == ']';
	at += strspn(at, "0123456789,-");
	return *at == ']' ? at + 1 : NULL;
}

bool fr_boot_first_host(const char *list, char *out, size_t bytes, bool *is_only_out)
{
	char *to = out;
	const char *const end = out + bytes;
	bool is_only = true;

	while (*list && *list != ',') {
		if (*list == '[') {
			list = first_of_bracket(list + 1, &to, end, &is_only);
			if (!list)
				return false;
			continue;
		}
		if (to + 1 >= end || strchr("] \t\r\n/", *list))
			return false;
		*to++ = *list++;
	}
	if (to == out)
		return false;
	*to = '\0';
	*is_only_out = is_only && *list == '\0';
	return true;
}

/* The same on all ranks of a step, and most likely another one for another step. */
static int slurm_port(const char *job, const char *step)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const char *at = job; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	for (const char *at = step; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	return (int)(SLURM_PORT_FIRST + hash % SLURM_N_PORTS);
}

/* Task 0 is on the first host of the step's list, unless tasks were laid out by hand. */
static bool is_task_0_elsewhere(const char *const *environment, const char *first_host)
{
	const char *rank = get(environment, "SLURM_PROCID");
	const char *here = get(environment, "SLURMD_NODENAME");

	return rank && strcmp(rank, "0") == 0 && here && strcmp(here, first_host) != 0;
}

static ferrule_status_t find_slurm_host(const char *const *environment, char *host, size_t bytes)
{
	const char *name = "SLURM_STEP_NODELIST";
	const char *list = get(environment, name);
	bool is_only;

	if (!list)
		list = get(environment, name = "SLURM_JOB_NODELIST");
	if (!list)
		return fr_error(FERRULE_ERR_SETTING, "SLURM_PROCID is set, but neither MASTER_ADDR "
		                                     "nor SLURM_STEP_NODELIST: set MASTER_ADDR to "
		                                     "the host of rank 0");
	if (!fr_boot_first_host(list, host, bytes, &is_only))
		return fr_error(FERRULE_ERR_SETTING,
		                "%s=%.80s is no list of hosts; allowed: as node[01-03,7],login, or "
		                "set MASTER_ADDR",
		                name, list);
	if (is_task_0_elsewhere(environment, host))
		return fr_error(FERRULE_ERR_SETTING,
		                "rank 0 runs on SLURMD_NODENAME=%.80s, not on the first host of "
		                "%s=%.80s; set MASTER_ADDR to its host on all ranks",
		                get(environment, "SLURMD_NODENAME"), name, list);
	/* Nobody else has to find it then, and names of hosts do not always resolve. */
	if (is_only)
		snprintf(host, bytes, "localhost");
	return FERRULE_OK;
}

static ferrule_status_t meet_by_slurm(const char *const *environment, const char *size_name,
                                      int store_port, struct fr_launcher_says *out)
{
	const char *job = get(environment, "SLURM_JOB_ID");
	const char *step = get(environment, "SLURM_STEP_ID");
	struct fr_boot_env_text text = {.rank_name = slurm_row.rank,
	                                .world_size_name = size_name,
	                                .rank = get(environment, slurm_row.rank),
	                                .world_size = get(environment, size_name),
	                                .master_addr = get(environment, "MASTER_ADDR"),
	                                .master_port = get(environment, "MASTER_PORT")};
	char host[sizeof(out->env.host)], port[12];

	out->launcher = slurm_row.launcher;
	out->meeting = FR_MEET_AT_HOST;
	if (!text.master_addr) {
		const ferrule_status_t status = find_slurm_host(environment, host, sizeof(host));
		if (status != FERRULE_OK)
			return status;
		text.master_addr = host;
	}
	if (!text.master_port && job) {
		snprintf(port, sizeof(port), "%d", slurm_port(job, step ? step : ""));
		text.master_port = port;
	}
	return fr_boot_env_parse(&text, store_port, &out->env);
}

/* Is this a task of a step that srun started, and not a batch script or a shell of salloc? */
static bool is_in_step(const char *const *environment)
{
	const char *step = get(environment, "SLURM_STEP_ID");
	int64_t number;

	return step ? fr_parse_int(step, 0, SLURM_MAX_STEP, &number)
	            : get(environment, slurm_row.size) != NULL;
}

static ferrule_status_t read_slurm(const char *const *environment, int store_port,
                                   struct fr_launcher_says *out)
{
	const char *size_name = slurm_row.size;
	struct claim claim;

	if (!get(environment, slurm_row.rank))
		return FERRULE_OK;
	/* SLURM_NTASKS may be the allocation's and not the step's. */
	if (!get(environment, size_name))
		size_name = "SLURM_NTASKS";
	const ferrule_status_t status = read_claim(environment, slurm_row.rank, size_name, &claim);
	if (status != FERRULE_OK || !is_several(&claim))
		return status;
	if (is_in_step(environment) && claim.n_ranks > 1)
		return meet_by_slurm(environment, size_name, store_port, out);
	if (claim.rank > 0)
		return refuse(environment, &slurm_row, size_name);
	snprintf(out->warning, sizeof(out->warning),
	         "%s=%d, but SLURM_STEP_ID names no step of srun: taken for a batch script, one "
	         "rank alone; `srun PROGRAM` starts all",
	         size_name, claim.n_ranks);
	return FERRULE_OK;
}

/* ---- all of them ---- */

static ferrule_status_t read_rows(const char *const *environment, int store_port,
                                  struct fr_launcher_says *out)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is_found;
		const ferrule_status_t status =
			read_row(environment, &rows[i], store_port, out, &is_found);
		if (status != FERRULE_OK || is_found)
			return status;
	}
	return read_slurm(environment, store_port, out);
}

static ferrule_status_t read_explicit(const char *const *environment, int store_port,
                                      struct fr_launcher_says *out)
{
	const struct fr_boot_env_text text = {
		.rank = fr_boot_environment(environment, "RANK"),
		.world_size = fr_boot_environment(environment, "WORLD_SIZE"),
		.local_rank = fr_boot_environment(environment, "LOCAL_RANK"),
		.master_addr = fr_boot_environment(environment, "MASTER_ADDR"),
		.master_port = fr_boot_environment(environment, "MASTER_PORT"),
		.agent_store = fr_boot_environment(environment, "TORCHELASTIC_USE_AGENT_STORE")};
	const ferrule_status_t status = fr_boot_env_parse(&text, store_port, &out->env);

	out->meeting = out->env.n_ranks > 1 ? FR_MEET_AT_HOST : FR_MEET_NOBODY;
	return status;
}

/* One rank needs no launcher to talk to; its PMI connection may be gone already. */
static bool is_pmi_of_one(const char *const *environment)
{
	const char *size = get(environment, "PMI_SIZE");

	return size && strcmp(size, "1") == 0;
}

ferrule_status_t fr_boot_launcher_read(const char *const *environment, int store_port,
                                       struct fr_launcher_says *out)
{
	struct fr_launcher_says says = {.meeting = FR_MEET_NOBODY, .launcher = ""};
	ferrule_status_t status = FERRULE_OK;

	if (fr_boot_environment(environment, "RANK") ||
	    fr_boot_environment(environment, "WORLD_SIZE"))
		status = read_explicit(environment, store_port, &says);
	else if (get(environment, "PMIX_NAMESPACE") && get(environment, "PMIX_RANK"))
		says.meeting = FR_MEET_BY_PMIX;
	else if (get(environment, "PMI_FD") || get(environment, "PMI_PORT"))
		says.meeting = is_pmi_of_one(environment) ? FR_MEET_NOBODY : FR_MEET_BY_PMI;
	else
		status = read_rows(environment, store_port, &says);
	if (status == FERRULE_OK)
		*out = says;
	return status;
}

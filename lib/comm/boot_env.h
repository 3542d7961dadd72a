/* boot_env.h - what a launcher of torchrun's kind tells a rank through its environment. */
#ifndef FR_BOOT_ENV_H
#define FR_BOOT_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include <ferrule/status.h>

/* The variables as they are; NULL where one is not set. */
struct fr_boot_env_text {
	const char *rank_name, *world_size_name; /* NULL: RANK and WORLD_SIZE */
	const char *rank, *world_size, *local_rank;
	const char *master_addr, *master_port;
	const char *agent_store; /* TORCHELASTIC_USE_AGENT_STORE */
};

struct fr_boot_env {
	int rank, n_ranks;
	char host[256]; /* "" for one rank alone */
	uint16_t port;  /* where rank 0 listens */
};

/*
 * fr_boot_env_parse - checks everything; the error names variable, value and what is allowed.
 * `store_port` is the setting FERRULE_STORE_PORT, 0 when it is not set.
 */
ferrule_status_t fr_boot_env_parse(const struct fr_boot_env_text *text, int store_port,
                                   struct fr_boot_env *out);

#endif

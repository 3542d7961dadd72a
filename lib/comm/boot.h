/*
 * boot.h - how the ranks of a new communicator first find each other.
 *
 * A boot is an authenticated allgather among all ranks, used a few times while a
 * communicator is created and closed when it stands.  Underneath is a star of TCP
 * connections to rank 0, which the environment, PMIx, PMI or a unique id leads to.
 */
#ifndef FR_BOOT_H
#define FR_BOOT_H

#include <stdint.h>

#include <ferrule/comm.h>

struct fr_boot;
struct fr_supervisor;

#define FR_JOB_KEY_BYTES 32

/* What is known once a boot is open. */
struct fr_boot_info {
	int rank, n_ranks;
	uint64_t comm_id;                        /* same on all ranks, random */
	unsigned char job_key[FR_JOB_KEY_BYTES]; /* shared secret of the job */
	char master_addr[64]; /* numeric address of rank 0, the same on all ranks and
	                       * loopback only on one host; "" for one rank */
};

/*
 * fr_boot_open_env - as the launcher says (boot_launcher.h); without one, a single rank.
 * fr_boot_open_id  - from a unique id.
 * Both block until every rank has arrived and proved the key, at most until the deadline
 * (fr_clock_ns()); the error names the missing ranks.  A stranger that connects is dropped
 * and the wait goes on.
 */
ferrule_status_t fr_boot_open_env(uint64_t deadline_ns, struct fr_boot **out);
ferrule_status_t fr_boot_open_id(const ferrule_unique_id_t *id, int rank, int n_ranks,
                                 uint64_t deadline_ns, struct fr_boot **out);
ferrule_status_t fr_boot_new_id(ferrule_unique_id_t *id_out);

const struct fr_boot_info *fr_boot_info(const struct fr_boot *boot);

/* fr_boot_allgather - `out` gets n_ranks blocks of `bytes`, in rank order, the same on every
 * rank.  Collective.  At most FR_BOOT_MAX_BYTES a block. */
ferrule_status_t fr_boot_allgather(struct fr_boot *boot, const void *in, void *out, size_t bytes,
                                   uint64_t deadline_ns);
#define FR_BOOT_MAX_BYTES 65536

/*
 * fr_boot_supervisor - watches the other ranks between exchanges, see supervisor.h; NULL for one
 * rank alone.  The boot's own, until it is closed.
 */
struct fr_supervisor *fr_boot_supervisor(struct fr_boot *boot);
/*
 * fr_boot_fail - this rank cannot go on.  Tells all ranks; returns, with its text, what all of
 * them report: this, or whatever made the boot fail before.  The first failure is the only one.
 */
ferrule_status_t fr_boot_fail(struct fr_boot *boot, ferrule_status_t status, const char *text);

/* fr_boot_close - frees everything.  NULL is a no-op. */
void fr_boot_close(struct fr_boot *boot);

#endif

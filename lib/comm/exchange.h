/* exchange.h - an allgather among the ranks of a communicator that does not exist yet. */
#ifndef FR_EXCHANGE_H
#define FR_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>

struct ferrule_comm;
struct fr_boot;
struct fr_supervisor;

/*
 * Underneath is a boot, or a parent communicator.  A child has some of the parent's ranks;
 * all of the parent take part in every exchange, also those that will be in no child.
 */
struct fr_exchange {
	struct fr_boot *boot; /* or NULL */
	uint64_t deadline_ns; /* for the boot */
	struct ferrule_comm *parent;
	int called;                       /* with a parent: FR_CALLED_SPLIT or FR_CALLED_DUP */
	const int *members;               /* [n_ranks] ranks in the parent */
	int rank, n_ranks;                /* in the communicator to be; n_ranks 0: in none */
	struct fr_supervisor *supervisor; /* of the waits between exchanges; or NULL */
};

/* fr_exchange_allgather - `out` gets n_ranks blocks of `bytes`. */
ferrule_status_t fr_exchange_allgather(const struct fr_exchange *ex, const void *in, void *out,
                                       size_t bytes);

/* fr_exchange_refused - this rank alone cannot take part in the next exchange: the other ranks of
 * the parent, if there is one, are told, with this thread's error text.  Returns `status`. */
ferrule_status_t fr_exchange_refused(const struct fr_exchange *ex, ferrule_status_t status);

#endif

/* establish.h - a communicator comes to stand. */
#ifndef FR_ESTABLISH_H
#define FR_ESTABLISH_H

#include "lib/comm/comm.h"
#include "lib/comm/exchange.h"

/* What is agreed before the ranks have said anything.  Copied where it is kept. */
struct fr_founding {
	const struct fr_exchange *exchange; /* its parent, if any, is inherited from */
	uint64_t comm_id;
	const unsigned char *job_key; /* [FR_JOB_KEY_BYTES] */
	const char *master_addr;
	const struct fr_comm_config *config;
	uint64_t deadline_ns;
};

/*
 * fr_establish - collective over the ranks of the exchange.  They tell where they are (unless a
 * parent knows), open what will join them, exchange addresses, connect, and measure.  After
 * each round all ranks know whether all succeeded: one rank's failure is everybody's error,
 * with its rank and its text.
 */
ferrule_status_t fr_establish(const struct fr_founding *founding, struct ferrule_comm **out);

/* fr_establish_sit_out - takes part in the rounds of the others' children, for a rank of the
 * parent that will be in none. */
ferrule_status_t fr_establish_sit_out(const struct fr_exchange *exchange);

/* fr_exchange_outcome - a round: every rank's status (with this thread's error text), and
 * `bytes` of payload, all of which `payloads` gets; NULL and 0 for none.  OK, or the error of
 * the first rank that failed, naming it. */
ferrule_status_t fr_exchange_outcome(const struct fr_exchange *exchange, ferrule_status_t mine,
                                     const void *payload, size_t bytes, void *payloads);

#endif

/* probe.h - the machine as this communicator finds it. */
#ifndef FR_PROBE_H
#define FR_PROBE_H

#include "lib/comm/comm.h"
#include "lib/comm/exchange.h"

/*
 * fr_probe - collective; measures what the cost model needs on a communicator that stands, for
 * about a millisecond, and sets c->machine to the same numbers on every rank: the median over
 * the ranks of what each saw.
 */
ferrule_status_t fr_probe(const struct fr_exchange *exchange, struct ferrule_comm *c);

#endif

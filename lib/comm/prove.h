/*
 * prove.h - does what should join the ranks carry data?
 *
 * A card with an active port and a fabric that does not pass its packets look the same from
 * inside a host.  So after connecting, pairs of ranks whose transport can tell try it out; where a
 * pair fails, all ranks do without that transport.
 */
#ifndef FR_PROVE_H
#define FR_PROVE_H

#include "lib/comm/comm.h"
#include "lib/comm/exchange.h"

/*
 * fr_prove - a round, collective.  OK: all pairs that were tried work, or their ranks now have a
 * shorter list of transports in c->places, *is_shorter_out is set, and the ranks must be joined
 * anew.  A warning names pair and reason.  FERRULE_ERR_FABRIC when such a pair has nothing else.
 */
ferrule_status_t fr_prove(const struct fr_exchange *exchange, struct ferrule_comm *c,
                          uint64_t deadline_ns, bool *is_shorter_out);

/* fr_prove_tries - is this pair of ranks one of those that try?  The same seen from both: all
 * pairs of few ranks; of many, one pair for each two hosts. */
bool fr_prove_tries(const struct fr_place *places, int n_ranks, int a, int b);

#endif

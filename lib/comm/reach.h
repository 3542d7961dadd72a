/*
 * reach.h - which ranks are on one host: those that meet there.
 *
 * Containers may share memory but no network, a network but no process ids, or a kernel and
 * nothing else; and a copied virtual machine says of itself what its original does.  So nothing
 * that a process reads about itself decides.  Every rank listens on a private socket
 * (private_socket.h) in the place where shared memory would meet; ranks that claim one machine try
 * to reach each other there, and all of them learn who could.
 */
#ifndef FR_REACH_H
#define FR_REACH_H

#include <stddef.h>

#include <ferrule/status.h>

struct fr_card;
struct fr_exchange;
struct fr_place;

/*
 * fr_reach - a round, collective: groups the ranks into hosts in `places`, whose cards these are,
 * and whose meeting places are open until it returns.  places[r].reach_error is the errno of this
 * rank's own try, 0 when there was none or it worked.
 */
ferrule_status_t fr_reach(const struct fr_exchange *exchange, const struct fr_card *cards,
                          struct fr_place *places);

/* fr_reach_why - why this process shares no memory with a rank of its own machine. */
const char *fr_reach_why(const struct fr_place *place);

/* fr_reach_row_bytes - of the bits that one rank finds out, one a rank. */
static inline size_t fr_reach_row_bytes(int n_ranks)
{
	return ((size_t)n_ranks + 7) / 8;
}

/*
 * fr_reach_group - hosts out of all rows: a rank joins the first host all of whose ranks it
 * reaches and is reached by.  Writes host_id of the places.
 */
void fr_reach_group(const unsigned char *rows, int n_ranks, struct fr_place *places);

#endif

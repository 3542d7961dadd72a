/* link_hub.h - what the files that make connections share. */
#ifndef FR_LINK_HUB_H
#define FR_LINK_HUB_H

#include "lib/base/auth.h"
#include "lib/transport/link/link.h"
#include "lib/transport/link/link_wire.h"

struct fr_link_hub {
	int rank, n_ranks;
	uint64_t comm_id;
	unsigned char job_key[FR_AUTH_KEY_BYTES];
	char context[16];
	unsigned n_lanes;                 /* as this rank wishes */
	struct fr_supervisor *supervisor; /* or NULL */
	struct fr_link_address address;
	int listeners[FR_LINK_PLACES_MAX]; /* one a place of `address`, -1 when closed */
};

/*
 * fr_link_join - connects to wanted ranks below ours and accepts those above, until every
 * socket of `sockets` [n_ranks] is made and proved, or the deadline.  On failure `why` names
 * who is missing and the sockets made so far stay in `sockets`, the caller's to close.
 */
ferrule_status_t fr_link_join(struct fr_link_hub *hub, const struct fr_link_address *addresses,
                              struct fr_link_sockets *sockets, uint64_t deadline_ns, char *why,
                              size_t why_bytes);

#endif

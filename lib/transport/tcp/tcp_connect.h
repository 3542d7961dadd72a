/* tcp_connect.h - making and proving the connections. */
#ifndef FR_TCP_CONNECT_H
#define FR_TCP_CONNECT_H

#include "lib/transport/tcp/tcp.h"

/* fr_tcp_listen - finds the places to listen on and listens; fills t->address. */
ferrule_status_t fr_tcp_listen(struct fr_tcp *t, const struct fr_transport_params *params,
                               char *why, size_t why_bytes);
void fr_tcp_unlisten(struct fr_tcp *t);

/* The sockets of one endpoint: [0] control, [1..] data; -1 where not made. */
struct fr_tcp_sockets {
	unsigned n_lanes; /* data lanes; 0: peer not wanted */
	int fd[1 + FR_TCP_LANES_MAX];
	char where[56]; /* the peer's end of the control connection, as text */
};

/*
 * fr_tcp_join - connects to wanted ranks below ours and accepts those above, until every
 * socket of `sockets` [n_ranks] is made and proved, or the deadline.  On failure `why` names
 * who is missing and the sockets made so far stay in `sockets`, the caller's to close.
 */
ferrule_status_t fr_tcp_join(struct fr_tcp *t, const struct fr_tcp_address *addresses,
                             struct fr_tcp_sockets *sockets, uint64_t deadline_ns, char *why,
                             size_t why_bytes);

#endif

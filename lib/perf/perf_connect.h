/* perf_connect.h - finding the other process over TCP, IPv4 or IPv6, by name or number. */
#ifndef FR_PERF_CONNECT_H
#define FR_PERF_CONNECT_H

#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/perf/perf_key.h"

/*
 * fr_perf_accept - listens on the port, on all addresses, until one client has proved its key.
 * Others are turned away and disturb nothing.  `peer` gets its address, *key_out what was proved.
 */
ferrule_status_t fr_perf_accept(const char *port, uint64_t deadline_ns, int *fd_out, char *peer,
                                size_t peer_bytes, struct fr_perf_key *key_out);
/* fr_perf_connect - tries all addresses of the host, again and again while nobody listens, and
 * proves the key to who does. */
ferrule_status_t fr_perf_connect(const char *host, const char *port, uint64_t deadline_ns,
                                 int *fd_out, char *peer, size_t peer_bytes,
                                 struct fr_perf_key *key_out);

#endif

/*
 * boot_star.h - the star of TCP connections under a boot: rank 0 serves, the others dial.
 *
 * Every function reports its own errors through fr_error() and blocks at most until its
 * deadline (fr_clock_ns()).  Whatever an open half-built, it frees.
 */
#ifndef FR_BOOT_STAR_H
#define FR_BOOT_STAR_H

#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/comm/boot_net.h"

struct fr_key_file;

#define FR_RENDEZVOUS_MAX_ADDRS 8

/* Where rank 0 is to be found. */
struct fr_rendezvous {
	const char *host; /* looked up at every try; NULL: addrs */
	uint16_t port;
	struct fr_net_addr addrs[FR_RENDEZVOUS_MAX_ADDRS];
	int n_addrs;
	char text[160]; /* for people */
};

/* What cannot pass by itself is waited for during this part of the time there is: an interface may
 * be coming up, a name may be about to be published. */
#define FR_STAR_GRACE_PART 20

struct fr_star_params {
	int rank, n_ranks; /* n_ranks is 2 to FR_BOOT_MAX_RANKS */
	const unsigned char *key;
	struct fr_key_file *key_file; /* to be removed once all ranks have proved the key; NULL */
	uint64_t deadline_ns;
	const struct fr_rendezvous *place;
};

/* Rank 0's side. */
struct fr_boot_server;
/*
 * fr_boot_server_open - takes over the listening socket, waits for all ranks, closes it.
 * Draws the communicator's id.
 */
ferrule_status_t fr_boot_server_open(const struct fr_star_params *params, int listen_fd,
                                     struct fr_boot_server **out);
ferrule_status_t fr_boot_server_allgather(struct fr_boot_server *s, const void *in, void *out,
                                          size_t bytes, uint64_t deadline_ns);
/*
 * fr_boot_server_check, fr_boot_client_check - between exchanges: OK, or why all fail.  Never
 * blocks, but to read a reason that has begun to arrive.  fr_boot_*_fd is readable when there may
 * be something to check.
 */
ferrule_status_t fr_boot_server_check(struct fr_boot_server *s);
int fr_boot_server_fd(const struct fr_boot_server *s);
/* fr_boot_server_fail, fr_boot_client_fail - this rank cannot go on: tells all, and returns what
 * all report, which is an earlier failure where there was one. */
ferrule_status_t fr_boot_server_fail(struct fr_boot_server *s, ferrule_status_t status,
                                     const char *text);
uint64_t fr_boot_server_comm_id(const struct fr_boot_server *s);
/* fr_boot_server_host, fr_boot_client_host - rank 0's numeric address, the same on all ranks. */
const char *fr_boot_server_host(const struct fr_boot_server *s);
void fr_boot_server_close(struct fr_boot_server *s);

/* The side of every other rank. */
struct fr_boot_client;
ferrule_status_t fr_boot_client_open(const struct fr_star_params *params,
                                     struct fr_boot_client **out);
ferrule_status_t fr_boot_client_allgather(struct fr_boot_client *c, const void *in, void *out,
                                          size_t bytes, uint64_t deadline_ns);
ferrule_status_t fr_boot_client_check(struct fr_boot_client *c);
int fr_boot_client_fd(const struct fr_boot_client *c);
ferrule_status_t fr_boot_client_fail(struct fr_boot_client *c, ferrule_status_t status,
                                     const char *text);
uint64_t fr_boot_client_comm_id(const struct fr_boot_client *c);
const char *fr_boot_client_host(const struct fr_boot_client *c);
void fr_boot_client_close(struct fr_boot_client *c);

#endif

/*
 * boot_server.h - rank 0's side of the rendezvous, between the files that are it.
 *
 * boot_server.c lets ranks in, boot_rounds.c exchanges blocks and watches between exchanges,
 * boot_farewell.c ends all together.
 */
#ifndef FR_BOOT_SERVER_H
#define FR_BOOT_SERVER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/comm/boot_guest.h"
#include "lib/comm/boot_star.h"
#include "lib/comm/boot_wire.h"

/* More strangers than this at once push out the one that came first. */
#define FR_BOOT_N_GUESTS 256

/* One rank that has proved the key. */
struct fr_boot_member {
	int fd;           /* -1: not here yet, or gone */
	bool has_arrived; /* once */
	size_t moved;     /* bytes of the frame under way */
	unsigned char head[FR_BOOT_HEAD_BYTES];
	/* A GIVE_UP or FAIL, which may come at any time. */
	size_t heard;
	unsigned char word[FR_BOOT_HEAD_BYTES + FR_BOOT_FAIL_MAX_BYTES];
};

struct fr_boot_server {
	struct fr_boot_statement self;
	int n_ranks, n_members; /* members that have arrived once */
	unsigned char key[FR_AUTH_KEY_BYTES];
	uint64_t comm_id, opened_ns;
	uint32_t round;
	bool is_in_round; /* some wait for others: a GIVE_UP of this round asks who is missing */
	bool has_failed;  /* and all have been told */
	int listen_fd;    /* -1 once all have arrived */
	int epoll_fd;     /* members, edge-triggered: see fr_boot_server_check() */
	char where[160];
	char host[FR_BOOT_HOST_BYTES];  /* for all ranks, see boot_wire.h */
	struct fr_boot_member *members; /* [n_ranks]; rank 0 itself stays unused */
	struct pollfd *polls;           /* [1 + FR_BOOT_N_GUESTS + n_ranks] */
	int *poll_owner;                /* which guest or rank a poll is about */
	struct fr_guest *guests;        /* [FR_BOOT_N_GUESTS], while opening */
	bool *done;                     /* [n_ranks]: who has finished the step under way */
	int n_rejected;                 /* guests with a wrong proof */
	char rejected_text[FR_NET_TEXT_BYTES + 40];
	/* Why all fail, for those that come late. */
	ferrule_status_t failure;
	char failure_text[FR_BOOT_FAIL_MAX_TEXT + 1];
};

/* ---- boot_farewell.c: each ends the boot for everybody and returns its error ---- */

ferrule_status_t fr_server_fail(struct fr_boot_server *s, ferrule_status_t status,
                                const char *format, ...) __attribute__((format(printf, 3, 4)));
ferrule_status_t fr_server_fail_missing(struct fr_boot_server *s);
ferrule_status_t fr_server_fail_late_round(struct fr_boot_server *s);
ferrule_status_t fr_server_fail_died(struct fr_boot_server *s, int rank);
/* fr_server_fail_told - a rank, 0 included, says why it cannot go on.  When it speaks of others
 * and one of them is dead, that is the reason. */
ferrule_status_t fr_server_fail_told(struct fr_boot_server *s, int rank, ferrule_status_t status,
                                     const char *text);
/* fr_server_tell - sends FAIL to one connection. */
void fr_server_tell(int fd, ferrule_status_t status, const char *text);

/* ---- boot_rounds.c ---- */

/* fr_server_hear - a member that has done its part speaks while others are waited for: it is
 * gone, cannot go on, has run out of time, or is confused. */
ferrule_status_t fr_server_hear(struct fr_boot_server *s, int rank);
/* fr_server_send_to_all - the same frame to all members. */
ferrule_status_t fr_server_send_to_all(struct fr_boot_server *s, enum fr_boot_kind kind,
                                       const void *blocks, size_t bytes, uint64_t deadline_ns);

/* ---- boot_server.c ---- */

/* fr_server_tell_latecomers - tells those that have not arrived why all have failed, as they
 * come, until all have or the time is over. */
void fr_server_tell_latecomers(struct fr_boot_server *s, uint64_t until_ns);

#endif

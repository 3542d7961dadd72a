/*
 * boot_guest.h - a connection that has not yet proved the job key, as rank 0 sees it.
 *
 * Anybody may connect.  A guest costs rank 0 one of a bounded number of these and a few
 * seconds of patience; nothing it says is believed, or shown as more than a claim, before its
 * proof is verified.
 */
#ifndef FR_BOOT_GUEST_H
#define FR_BOOT_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/auth.h"
#include "lib/comm/boot_net.h"
#include "lib/comm/boot_wire.h"

enum fr_guest_state {
	FR_GUEST_FREE,     /* slot not in use */
	FR_GUEST_GREETING, /* its HELLO has not arrived in full */
	FR_GUEST_PROVING,  /* it has our CHALLENGE, its PROOF has not arrived in full */
	FR_GUEST_PROVEN,   /* both have proved the key; `claim` is true */
	FR_GUEST_REJECTED, /* its proof was wrong; `claim` is what it pretended to be */
	FR_GUEST_LOST,     /* it closed the connection, or sent what no rank sends */
};

struct fr_guest {
	int fd;
	enum fr_guest_state state;
	uint64_t deadline_ns;
	struct fr_net_addr from;
	struct fr_auth auth;
	struct fr_boot_statement claim;
	size_t got;
	unsigned char frame[FR_BOOT_HEAD_BYTES + sizeof(struct fr_boot_hello_wire)];
};

/* fr_guest_admit - takes over the connection. */
void fr_guest_admit(struct fr_guest *g, int fd, const struct fr_net_addr *from,
                    uint64_t deadline_ns);
/* fr_guest_progress - reads what is there and answers; never blocks. */
void fr_guest_progress(struct fr_guest *g, const unsigned char key[FR_AUTH_KEY_BYTES],
                       const struct fr_boot_statement *self);
/* fr_guest_take_fd - ends the guest and gives its connection to the caller. */
int fr_guest_take_fd(struct fr_guest *g);
/* fr_guest_dismiss - closes the connection and frees the slot. */
void fr_guest_dismiss(struct fr_guest *g);

#endif

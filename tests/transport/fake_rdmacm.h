/*
 * fake_rdmacm.h - librdmacm in one process, without devices: requests reach who listens, any call
 * can fail, any event can be made up, and whatever is not given back is counted.
 */
#ifndef FAKE_RDMACM_H
#define FAKE_RDMACM_H

#include <stdbool.h>

#include "lib/transport/verbs/verbs_cm_api.h"

struct fake_cm {
	/* For the test to set. */
	int fail_at; /* 0: never; else this call, counted from 1 */
	int error;
	int flip;    /* -1: never; else this byte of private data arrives changed */
	bool is_odd; /* ids land on another device */

	/* For the test to look at. */
	int n_calls;
	int n_live;    /* channels, ids, events */
	int n_unacked; /* events taken and not acknowledged */
	int n_rejected;
	const char *failed; /* the name of the call that failed last */
};
extern struct fake_cm fake_cm;
extern const struct fr_rdmacm fake_rdmacm;

void fake_rdmacm_reset(void);
/* fake_rdmacm_request - a stranger's request to who listens at `port`. */
void fake_rdmacm_request(uint16_t port, uint32_t qp_num, const void *data, uint8_t bytes);
/* fake_rdmacm_removal - the device is being removed: told to who listens at `port`. */
void fake_rdmacm_removal(uint16_t port);

#endif

/*
 * fake_verbs.h - a table of verbs functions that do nothing but count, and fail when asked to.
 *
 *     fake_verbs_reset();
 *     fake.fail_at = 7; fake.error = ENOMEM;      the seventh call from here fails
 *     ... fr_verbs_device_open(&fake_verbs, ...)
 *     CU_ASSERT_EQUAL(fake.n_live, 0);
 */
#ifndef FAKE_VERBS_H
#define FAKE_VERBS_H

#include "lib/transport/verbs/verbs_api.h"

struct fake {
	/* For the test to set. */
	int fail_at; /* 0: never; else this call, counted from 1 */
	int error;
	const char *fail_name; /* this function as well, at every call */
	struct ibv_device_attr device;
	struct ibv_port_attr port;
	struct ibv_gid_entry gids[4];
	int n_gids;
	bool is_iwarp;
	struct ibv_ece ece;
	unsigned inline_max; /* create_qp says EINVAL beyond it */

	/* For the test to look at. */
	int n_calls;
	int n_live; /* contexts, domains, channels, queues, queue pairs, registrations, lists */
	int n_acknowledged; /* events of completion queues */
	const char *failed; /* the name of the call that failed last */
	struct ibv_qp_attr rtr, rts;
	struct ibv_ece set_ece;
	int mr_access;
	const char *mr_call;
};
extern struct fake fake;
extern const struct fr_verbs fake_verbs;

/* fake_verbs_reset - a RoCE device "fake0" and an InfiniBand device "fake1", one port each (the
 * port's kind is fake.port's), both active, nothing fails. */
void fake_verbs_reset(void);

#endif

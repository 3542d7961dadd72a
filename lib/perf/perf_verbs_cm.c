/* perf_verbs_cm.c - queue pairs connected by librdmacm (-R): the client starts, the server expects.
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "lib/base/auth.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/perf/perf_verbs.h"
#include "lib/transport/verbs/verbs_cm.h"

#define EVENTS  16
#define POLL_US 200 /* between two looks for events */

enum { CLIENT_RANK = 0, SERVER_RANK = 1 };

/* The server's words are used: they only keep strangers' connections apart from this one. */
struct secret_frame {
	uint64_t comm_id;
	unsigned char key[FR_AUTH_KEY_BYTES];
};

static ferrule_status_t open_manager(struct ferrule_perf *perf, struct fr_perf_verbs *e)
{
	struct secret_frame mine, theirs;
	char why[400];

	fr_random(&mine, sizeof(mine));
	ferrule_status_t status = fr_perf_control_exchange(&perf->control, FR_PERF_PORT, &mine,
	                                                   &theirs, sizeof(mine));
	if (status != FERRULE_OK)
		return status;
	const struct secret_frame *secret = perf->params.is_server ? &mine : &theirs;
	const struct fr_verbs_cm_params params = {
		.rank = perf->params.is_server ? SERVER_RANK : CLIENT_RANK,
		.comm_id = secret->comm_id,
		.job_key = secret->key,
	};
	status = fr_verbs_cm_open(&e->device, &params, &e->cm, why, sizeof(why));
	return status == FERRULE_OK ? FERRULE_OK : fr_error(status, "use_rdma_cm: %s", why);
}

/* One queue pair: asks for its connection, or says that it is to be expected. */
static ferrule_status_t begin_lane(struct ferrule_perf *perf, struct fr_perf_verbs *e, int index,
                                   const struct fr_verbs_cm_address *to)
{
	struct fr_perf_lane *lane = &e->lanes[index];
	const bool is_server = perf->params.is_server;
	const struct fr_verbs_cm_peer peer = {
		.rank = is_server ? CLIENT_RANK : SERVER_RANK,
		.generation = 1 + (uint32_t)index / 256,
		.qp_index = (uint8_t)index,
		.mtu_code = lane->theirs.mtu_code,
		.qp_num = lane->theirs.qp_num,
		.deadline_ns = fr_clock_ns() + (uint64_t)(perf->params.timeout_s * 1e9),
		.arg = lane,
	};
	struct fr_verbs_cm_conn *conn;
	char why[400];

	const ferrule_status_t status =
		is_server ? fr_verbs_cm_expect(e->cm, lane->qp, &peer, &conn, why, sizeof(why))
			  : fr_verbs_cm_start(e->cm, lane->qp, &peer, to, &conn, why, sizeof(why));
	return status == FERRULE_OK ? FERRULE_OK : fr_error(status, "use_rdma_cm: %s", why);
}

/* Until all are connected; each has its own deadline, after which it has failed. */
static ferrule_status_t await_lanes(struct ferrule_perf *perf, struct fr_perf_verbs *e)
{
	struct fr_verbs_cm_event events[EVENTS];

	for (int n_left = e->n_lanes; n_left > 0;) {
		const int n = fr_verbs_cm_poll(e->cm, events, EVENTS);
		for (int i = 0; i < n; i++) {
			if (events[i].kind != FR_VERBS_CM_READY)
				return fr_error(FERRULE_ERR_TRANSPORT, "use_rdma_cm: %s",
				                events[i].why);
			n_left--;
		}
		const ferrule_status_t status = fr_perf_control_peek(&perf->control);
		if (status != FERRULE_OK)
			return status;
		if (n == 0)
			usleep(POLL_US);
	}
	return FERRULE_OK;
}

ferrule_status_t fr_perf_verbs_cm_connect(struct ferrule_perf *perf, struct fr_perf_verbs *e)
{
	struct fr_perf_control *c = &perf->control;
	struct fr_verbs_cm_address mine, theirs;
	char ready = 0, heard;

	ferrule_status_t status = open_manager(perf, e);
	if (status != FERRULE_OK)
		return status;
	fr_verbs_cm_address(e->cm, &mine);
	status = fr_perf_control_exchange(c, FR_PERF_PORT, &mine, &theirs, sizeof(mine));
	/* The server expects before the client starts. */
	for (int i = 0; i < e->n_lanes && status == FERRULE_OK && perf->params.is_server; i++)
		status = begin_lane(perf, e, i, NULL);
	if (status == FERRULE_OK)
		status = fr_perf_control_exchange(c, FR_PERF_READY, &ready, &heard, 1);
	for (int i = 0; i < e->n_lanes && status == FERRULE_OK && !perf->params.is_server; i++)
		status = begin_lane(perf, e, i, &theirs);
	return status == FERRULE_OK ? await_lanes(perf, e) : status;
}

/*
 * perf_verbs_bw.c - bandwidth: as many messages under way as the window holds.
 *
 * The clock is read once a turn that found a completion, and what is posted in the same turn is
 * posted at that time; while the window is filled, it is read every few groups.
 */
#include "config.h"

#include "lib/base/clock.h"
#include "lib/perf/perf_verbs.h"

#define POLL_BATCH  16
#define STALE_AFTER 8 /* groups posted since the clock was read */

struct bw {
	struct ferrule_perf *perf;
	struct fr_perf_verbs *e;
	unsigned moderation; /* messages a completion */
	int tx_depth, post_list;
	uint64_t now_ns;
	unsigned n_groups;           /* posted since then */
	uint64_t n_done, n_received; /* of all queue pairs */
	int n_unfinished;            /* queue pairs that have not sent everything */
	bool has_told;               /* the other side knows that we have */
	struct fr_perf_tally tally;
};

/* ---- posting ---- */

/* A mark for the group of messages that begins now; they stop when the room for them is full. */
static unsigned begin_mark(struct bw *b)
{
	struct ferrule_perf *perf = b->perf;

	if (perf->n_marks >= perf->marks_max)
		return FR_PERF_NO_MARK;
	if (b->n_groups++ == STALE_AFTER) {
		b->now_ns = fr_clock_ns();
		b->n_groups = 0;
	}
	perf->marks[perf->n_marks].posted_ns = b->now_ns;
	return (unsigned)perf->n_marks++;
}

/* Counts a message that is about to be posted, and decides whether it has a completion. */
static inline void stage(struct bw *b, struct fr_perf_lane *lane, struct ibv_send_wr *wr)
{
	if (lane->n_group++ == 0)
		lane->mark = begin_mark(b);
	lane->n_posted++;
	if (lane->n_group < b->moderation && lane->n_posted < lane->n_target) {
		wr->send_flags &= ~(unsigned)IBV_SEND_SIGNALED;
		return;
	}
	wr->send_flags |= IBV_SEND_SIGNALED;
	wr->wr_id = fr_perf_wr_id((unsigned)(lane - b->e->lanes), lane->n_group, lane->mark);
	lane->n_group = 0;
}

/* Fills the window of one queue pair. */
static inline ferrule_status_t post_lane(struct bw *b, struct fr_perf_lane *lane)
{
	struct ibv_send_wr *bad;

	while (lane->n_posted < lane->n_target &&
	       lane->n_posted - lane->n_done + (unsigned)b->post_list <= (unsigned)b->tx_depth) {
		const uint64_t left = lane->n_target - lane->n_posted;
		const int n = left < (unsigned)b->post_list ? (int)left : b->post_list;
		for (int i = 0; i < n; i++)
			stage(b, lane, &lane->send[i]);
		struct ibv_send_wr *rest = lane->send[n - 1].next;
		lane->send[n - 1].next = NULL;
		const int rc = b->e->v->post_send(lane->qp, lane->send, &bad);
		lane->send[n - 1].next = rest;
		if (rc != 0)
			return fr_perf_verbs_refused(b->perf, "ibv_post_send", rc);
	}
	return FERRULE_OK;
}

/* ---- completions ---- */

static inline ferrule_status_t take_receive(struct bw *b, struct fr_perf_lane *lane)
{
	struct ibv_recv_wr *bad;

	b->n_received++;
	const int rc = b->e->v->post_recv(lane->qp, &lane->recv, &bad);
	return rc == 0 ? FERRULE_OK : fr_perf_verbs_refused(b->perf, "ibv_post_recv", rc);
}

static inline ferrule_status_t take(struct bw *b, const struct ibv_wc *wc)
{
	struct fr_perf_lane *lane = &b->e->lanes[FR_PERF_LANE(wc->wr_id)];

	if (wc->status != IBV_WC_SUCCESS)
		return fr_perf_verbs_fault(b->perf, wc);
	if (wc->wr_id & FR_PERF_RECEIVED)
		return take_receive(b, lane);
	const unsigned n = FR_PERF_COVERS(wc->wr_id), mark = FR_PERF_MARK_OF(wc->wr_id);
	lane->n_done += n;
	b->n_done += n;
	b->n_unfinished -= lane->n_done == lane->n_target;
	if (mark != FR_PERF_NO_MARK) {
		b->perf->marks[mark].done_ns = b->now_ns;
		b->perf->marks[mark].n = n;
	}
	return FERRULE_OK;
}

/* Duration is over: no more messages than it takes to have the posted ones completed. */
static void stop_posting(struct bw *b)
{
	b->tally.window.end_ns = UINT64_MAX;
	for (int i = 0; i < b->e->n_lanes; i++) {
		struct fr_perf_lane *lane = &b->e->lanes[i];
		lane->n_target = lane->n_posted + (lane->n_group > 0);
		b->n_unfinished -= lane->n_done == lane->n_target;
	}
}

static inline void count(struct bw *b)
{
	fr_perf_tally_look(&b->tally, b->now_ns, b->n_done);
	if (b->now_ns >= b->tally.window.end_ns)
		stop_posting(b);
}

/* ---- the loop ---- */

/* One turn: false when there is nothing more to do, or on a fault. */
static inline bool turn(struct bw *b, ferrule_status_t *status)
{
	struct fr_perf_watch *w = &b->perf->watch;
	struct ibv_wc wc[POLL_BATCH];

	for (int i = 0; b->n_unfinished > 0 && i < b->e->n_lanes; i++) {
		*status = post_lane(b, &b->e->lanes[i]);
		if (*status != FERRULE_OK)
			return false;
	}
	const int n = fr_perf_verbs_poll(b->e, wc, POLL_BATCH);
	if (n == 0) {
		const bool goes_on = fr_perf_may_wait(w);
		*status = w->status;
		return goes_on;
	}
	if (n < 0) {
		*status = fr_perf_verbs_fault(b->perf, NULL);
		return false;
	}
	fr_perf_has_moved(w);
	b->now_ns = fr_clock_ns();
	b->n_groups = 0;
	for (int i = 0; i < n; i++) {
		*status = take(b, &wc[i]);
		if (*status != FERRULE_OK)
			return false;
	}
	if (b->perf->is_active && !b->has_told)
		count(b);
	return true;
}

/* Everything is sent: tells the other side.  Whoever receives too goes on until it says the same.
 */
static ferrule_status_t tell_done(struct bw *b)
{
	b->has_told = true;
	b->perf->watch.ends_with_peer = true;
	return fr_perf_control_send(&b->perf->control, FR_PERF_DONE, NULL, 0);
}

static ferrule_status_t loop(struct bw *b)
{
	const bool is_active = b->perf->is_active;
	const bool receives = b->perf->params.is_bidirectional || !is_active;
	ferrule_status_t status = FERRULE_OK;

	for (;;) {
		if (is_active && !b->has_told && b->n_unfinished == 0) {
			status = tell_done(b);
			if (status != FERRULE_OK || !receives)
				return status;
		}
		if (!turn(b, &status))
			return status;
	}
}

ferrule_status_t fr_perf_verbs_bw(struct ferrule_perf *perf, uint64_t bytes)
{
	struct bw b = {
		.perf = perf,
		.e = perf->engine_state,
		.moderation = (unsigned)fr_perf_moderation(&perf->params, bytes),
		.tx_depth = perf->params.tx_depth,
		.post_list = perf->params.post_list,
		.n_unfinished = perf->is_active ? perf->params.n_qps : 0,
		.now_ns = fr_clock_ns(),
	};

	fr_perf_tally_open(&perf->params, b.now_ns, &b.tally);
	const ferrule_status_t status = loop(&b);
	if (status == FERRULE_OK)
		fr_perf_tally_close(&b.tally, &perf->outcome);
	return status;
}

/*
 * perf_verbs_lat.c - latency: one message at a time, there and back.
 *
 * The clock is read once a round trip, as in perftest, but while the message is on its way: the
 * reading costs nothing then, where it would be a twentieth of a trip on the fastest paths.  A
 * time is from one message's departure to that of the next, so that n times take n + 1 trips.
 */
#include "config.h"

#include <stdatomic.h>

#include "lib/base/clock.h"
#include "lib/perf/perf_verbs.h"

struct lat {
	struct ferrule_perf *perf;
	struct fr_perf_verbs *e;
	struct fr_perf_lane *lane;
	struct fr_perf_watch *watch;
	uint64_t n_sent, n_received; /* completions */
	uint64_t n_answered;         /* messages of the other side that this one has waited for */
	uint64_t posted_ns;          /* client: when the last message had been posted */
	/* The last byte of a message, where it leaves and where it arrives. */
	unsigned char *out_tail;
	volatile unsigned char *in_tail;
	ferrule_status_t status;
};

/* All waits: true when it came; false: stop, l->status is a fault or OK when the peer is done. */
static bool stop(struct lat *l, ferrule_status_t status)
{
	l->status = status;
	return false;
}

/* One look at the completion queue. */
static inline bool look(struct lat *l)
{
	struct ibv_wc wc;
	struct ibv_recv_wr *bad;
	const int n = fr_perf_verbs_poll(l->e, &wc, 1);

	if (n == 0)
		return fr_perf_may_wait(l->watch) ? true : stop(l, l->watch->status);
	if (n < 0)
		return stop(l, fr_perf_verbs_fault(l->perf, NULL));
	if (wc.status != IBV_WC_SUCCESS)
		return stop(l, fr_perf_verbs_fault(l->perf, &wc));
	fr_perf_has_moved(l->watch);
	if (!(wc.wr_id & FR_PERF_RECEIVED)) {
		l->n_sent++;
		return true;
	}
	l->n_received++;
	const int rc = l->e->v->post_recv(l->lane->qp, &l->lane->recv, &bad);
	return rc == 0 ? true : stop(l, fr_perf_verbs_refused(l->perf, "ibv_post_recv", rc));
}

/* Posts one message and waits until it is completed, which also frees its memory. */
static inline bool send_one(struct lat *l, bool is_timed)
{
	struct ibv_send_wr *bad;
	const uint64_t n_sent = l->n_sent + 1;

	const int rc = l->e->v->post_send(l->lane->qp, l->lane->send, &bad);
	if (rc != 0)
		return stop(l, fr_perf_verbs_refused(l->perf, "ibv_post_send", rc));
	if (is_timed)
		l->posted_ns = fr_clock_ns();
	while (l->n_sent < n_sent) {
		if (!look(l))
			return false;
	}
	return true;
}

/* ---- how the other side's message is noticed ---- */

/*
 * A written message: by its last byte, which is its number.  The verbs do not promise that a
 * message's bytes become visible in order, so nothing but a measurement may do this: it knows
 * that the memory is not registered for relaxed ordering, it checks nothing else of the message
 * before the next one, and it measures what ib_write_lat measures.
 */
static inline bool await_byte(struct lat *l)
{
	const unsigned char number = (unsigned char)++l->n_answered;

	while (*l->in_tail != number) {
		if (!fr_perf_may_wait(l->watch))
			return stop(l, l->watch->status);
	}
	fr_perf_has_moved(l->watch);
	atomic_thread_fence(memory_order_acquire);
	return true;
}

/* A message with a completion. */
static inline bool await_receive(struct lat *l)
{
	l->n_answered++;
	while (l->n_received < l->n_answered) {
		if (!look(l))
			return false;
	}
	return true;
}

/* ---- one trip, by operation ---- */

static inline bool ping_write(struct lat *l)
{
	(*l->out_tail)++;
	return send_one(l, true) && await_byte(l);
}

static inline bool pong_write(struct lat *l)
{
	if (!await_byte(l))
		return false;
	(*l->out_tail)++;
	return send_one(l, false);
}

static inline bool ping_receive(struct lat *l)
{
	return send_one(l, true) && await_receive(l);
}

static inline bool pong_receive(struct lat *l)
{
	return await_receive(l) && send_one(l, false);
}

static inline bool ping_read(struct lat *l)
{
	return send_one(l, true);
}

typedef bool trip_fn(struct lat *l);

/* ---- the loop ---- */

/* The client's: every trip is one time.  Inlined into each operation's own loop. */
static inline __attribute__((always_inline)) void measure(struct lat *l, trip_fn *trip)
{
	struct ferrule_perf *perf = l->perf;
	const uint64_t n = perf->params.duration_s > 0 ? UINT64_MAX : perf->params.iterations;
	struct fr_perf_window window;

	if (!trip(l))
		return;
	const uint64_t begin = l->posted_ns;
	uint64_t before = begin;
	fr_perf_window_open(&perf->params, begin, &window);
	for (uint64_t i = 0; i < n && before < window.end_ns; i++) {
		if (!trip(l))
			return;
		if (before >= window.from_ns && l->posted_ns <= window.to_ns)
			fr_perf_samples_add(&perf->samples, l->posted_ns - before);
		before = l->posted_ns;
	}
	perf->outcome.ns = before - begin;
	perf->outcome.n_messages = perf->samples.n;
}

static ferrule_status_t run_client(struct lat *l)
{
	switch (l->perf->params.op) {
	case FERRULE_PERF_WRITE:
		measure(l, ping_write);
		break;
	case FERRULE_PERF_READ:
		measure(l, ping_read);
		break;
	case FERRULE_PERF_SEND:
	case FERRULE_PERF_WRITE_IMM:
		measure(l, ping_receive);
		break;
	}
	if (l->status != FERRULE_OK)
		return l->status;
	return fr_perf_control_send(&l->perf->control, FR_PERF_DONE, NULL, 0);
}

/* The server's: answers until the client says that it is done. */
static ferrule_status_t run_server(struct lat *l)
{
	trip_fn *const trip = l->perf->params.op == FERRULE_PERF_WRITE ? pong_write : pong_receive;

	while (trip(l))
		continue;
	return l->status;
}

ferrule_status_t fr_perf_verbs_lat(struct ferrule_perf *perf, uint64_t bytes)
{
	struct fr_perf_verbs *e = perf->engine_state;
	struct lat l = {
		.perf = perf,
		.e = e,
		.lane = &e->lanes[0],
		.watch = &perf->watch,
		.out_tail = fr_perf_memory_out(&e->memory, 0) + bytes - 1,
		.in_tail = fr_perf_memory_in(&e->memory, 0) + bytes - 1,
	};

	if (perf->params.op == FERRULE_PERF_WRITE)
		*l.out_tail = 0;
	l.lane->send[0].send_flags |= IBV_SEND_SIGNALED;
	return perf->is_active ? run_client(&l) : run_server(&l);
}

/*
 * perf_verbs.h - measuring with queue pairs: what set-up and the two loops share.
 *
 * The loops do what those of perftest do, in the same order, so that figures can be laid side by
 * side; what they add are deadlines and a look at the other side when nothing has come for long.
 */
#ifndef FR_PERF_VERBS_H
#define FR_PERF_VERBS_H

#include "lib/perf/perf_internal.h"
#include "lib/transport/verbs/verbs_device.h"

/*
 * What a work request's id says when it completes.  Of a send: which queue pair, how many
 * messages it covers (itself and those without a completion of their own before it), and which
 * mark is theirs.
 *
 *   bit 63     62..32   31..12   11..0
 *   received | mark   | covers | lane
 */
#define FR_PERF_RECEIVED    (UINT64_C(1) << 63)
#define FR_PERF_NO_MARK     0x7fffffffu
#define FR_PERF_LANE(id)    ((unsigned)((id)&0xfff))
#define FR_PERF_COVERS(id)  ((unsigned)((id) >> 12 & 0xfffff))
#define FR_PERF_MARK_OF(id) ((unsigned)((id) >> 32 & 0x7fffffff))
static inline uint64_t fr_perf_wr_id(unsigned lane, unsigned covers, unsigned mark)
{
	return (uint64_t)mark << 32 | (uint64_t)covers << 12 | lane;
}

/* A queue pair. */
struct fr_perf_lane {
	struct ibv_qp *qp;
	uint32_t psn;
	int max_inline;
	struct fr_verbs_end mine, theirs;
	uint64_t remote_in, remote_out; /* where the other side's parts are */
	uint32_t rkey;
	/* Requests, made once: a list of post_list sends, and one receive that is posted again
	 * and again. */
	struct ibv_send_wr *send; /* [post_list] */
	struct ibv_sge send_sge, recv_sge;
	struct ibv_recv_wr recv;
	/* Of the size that is measured. */
	uint64_t n_target, n_posted, n_done;
	unsigned n_group; /* posted since the last request with a completion */
	unsigned mark;
};

struct fr_perf_verbs {
	const struct fr_verbs *v;
	struct fr_verbs_device device;
	struct fr_perf_memory memory;
	struct ibv_mr *mr;
	struct fr_perf_lane *lanes;
	int n_lanes;
	struct fr_verbs_cm *cm; /* NULL: connected over the control connection */
	bool use_events;
	struct fr_perf_watch *watch;
};

/* Has this operation receives, which complete at the other side? */
static inline bool fr_perf_op_arrives(const struct ferrule_perf_params *p)
{
	return p->op == FERRULE_PERF_SEND || p->op == FERRULE_PERF_WRITE_IMM;
}

/* fr_perf_verbs_sleep - until there is a completion or reason to look around; poll's result. */
int fr_perf_verbs_sleep(struct fr_perf_verbs *e, struct ibv_wc *wc, int n);
/* fr_perf_verbs_poll - completions that are there; 0: none now; -1: a fault. */
static inline int fr_perf_verbs_poll(struct fr_perf_verbs *e, struct ibv_wc *wc, int n)
{
	const int found = e->v->poll_cq(e->device.cq, n, wc);

	return found == 0 && e->use_events ? fr_perf_verbs_sleep(e, wc, n) : found;
}
/* fr_perf_verbs_fault - the error of a completion, or of a poll that failed (wc NULL). */
ferrule_status_t fr_perf_verbs_fault(struct ferrule_perf *perf, const struct ibv_wc *wc);
/* fr_perf_verbs_refused - the error of a post. */
ferrule_status_t fr_perf_verbs_refused(struct ferrule_perf *perf, const char *call, int rc);

/* fr_perf_verbs_cm_connect - connects all queue pairs by librdmacm; both sides at the same time. */
ferrule_status_t fr_perf_verbs_cm_connect(struct ferrule_perf *perf, struct fr_perf_verbs *e);

/* The loops. */
ferrule_status_t fr_perf_verbs_bw(struct ferrule_perf *perf, uint64_t bytes);
ferrule_status_t fr_perf_verbs_lat(struct ferrule_perf *perf, uint64_t bytes);

#endif

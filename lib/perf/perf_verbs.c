/* perf_verbs.c - device, memory and queue pairs of a measurement; what the loops do is elsewhere.
 */
#include "config.h"

#include "lib/perf/perf_verbs.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/mem/gpu.h"
#include "lib/transport/verbs/verbs_cm.h"

#define PORTS_MAX 64
#define SLEEP_MS  100
/* How long a dead peer's control connection may take to say so once its queue pair is broken. */
#define LAST_WORDS_MS 300

/* ---- device ---- */

static bool is_wanted(const struct ferrule_perf_params *p, const struct fr_verbs_port *port)
{
	if (p->device && strcmp(p->device, port->device) != 0)
		return false;
	return p->device_port == 0 || p->device_port == port->port;
}

/* The port asked for, or the best one; an error that names what there is. */
static ferrule_status_t choose_port(const struct fr_verbs *v, const struct ferrule_perf_params *p,
                                    struct fr_verbs_port *out)
{
	struct fr_verbs_port *ports = calloc(PORTS_MAX, sizeof(*ports));
	char why[256] = "", there[256] = "";
	int chosen = -1;

	if (ports == NULL)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a list of ports");
	const int n = fr_verbs_ports(v, ports, PORTS_MAX, why, sizeof(why));
	for (int i = 0; i < n && chosen < 0; i++) {
		const size_t used = strlen(there);
		if (is_wanted(p, &ports[i]))
			chosen = i;
		snprintf(there + used, sizeof(there) - used, "%s%s:%d", used ? ", " : "",
		         ports[i].device, ports[i].port);
	}
	if (chosen >= 0)
		*out = ports[chosen];
	free(ports);
	if (chosen < 0 && there[0])
		return fr_error(FERRULE_ERR_TRANSPORT, "no RDMA port is %s:%d; there are %s",
		                p->device ? p->device : "any", p->device_port, there);
	if (chosen < 0)
		return fr_error(FERRULE_ERR_TRANSPORT, "no RDMA device: %s", why);
	if (out->why_not[0])
		return fr_error(FERRULE_ERR_TRANSPORT, "%s:%d cannot be used: %s", out->device,
		                out->port, out->why_not);
	return FERRULE_OK;
}

/* Parameters win over settings. */
static ferrule_status_t tune(const struct ferrule_perf_params *p, struct fr_verbs_device *d)
{
	struct fr_verbs_tuning *t = &d->tuning;
	const bool is_lat = p->test == FERRULE_PERF_LAT;

	if (p->mtu > d->port.mtu)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "mtu: %d is more than what is active on %s:%d, %d", p->mtu,
		                d->port.device, d->port.port, d->port.mtu);
	if (p->mtu > 0)
		t->mtu = p->mtu;
	if (p->service_level >= 0)
		t->service_level = p->service_level;
	if (p->traffic_class >= 0)
		t->traffic_class = p->traffic_class;
	if (p->qp_timeout >= 0)
		t->timeout = p->qp_timeout;
	if (p->retry_count >= 0)
		t->retry = p->retry_count;
	/* perftest's defaults: nothing inline for bandwidth.  The processor copies what is inline,
	 * which it cannot from a GPU. */
	t->max_inline = p->gpu >= 0                  ? 0
	                : p->inline_bytes >= 0       ? p->inline_bytes
	                : !is_lat                    ? 0
	                : p->op == FERRULE_PERF_SEND ? 236
	                                             : 220;
	/* A latency test of writes polls memory, whose bytes must then come in order. */
	if (is_lat && p->op == FERRULE_PERF_WRITE)
		t->relaxed_ordering = false;
	return FERRULE_OK;
}

static ferrule_status_t open_device(struct ferrule_perf *perf, struct fr_perf_verbs *e)
{
	const struct ferrule_perf_params *p = &perf->params;
	const int n_recv = fr_perf_op_arrives(p) ? p->rx_depth : 1;
	struct fr_verbs_port port;
	char why[400];

	e->v = fr_verbs_get(why, sizeof(why));
	if (e->v == NULL)
		return fr_error(FERRULE_ERR_UNSUPPORTED, "no RDMA: %s", why);
	ferrule_status_t status = choose_port(e->v, p, &port);
	if (status != FERRULE_OK)
		return status;
	status = fr_verbs_device_open(e->v, &port, p->n_qps * (p->tx_depth + n_recv), &e->device,
	                              why, sizeof(why));
	if (status != FERRULE_OK)
		return fr_error(status, "%s", why);
	return tune(p, &e->device);
}

static ferrule_status_t register_memory(struct ferrule_perf *perf, struct fr_perf_verbs *e)
{
	const bool is_read = perf->params.op == FERRULE_PERF_READ;
	const int access = IBV_ACCESS_LOCAL_WRITE |
	                   (is_read ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE);
	struct fr_mem_block block;
	char why[400];

	ferrule_status_t status = fr_perf_memory_open(&e->memory, &perf->params, e->n_lanes);
	if (status == FERRULE_OK &&
	    fr_gpu_block(e->memory.base, e->memory.bytes, &block, why, sizeof(why)) != FERRULE_OK)
		status = fr_error(FERRULE_ERR_UNSUPPORTED, "gpu: %d: %s", perf->params.gpu, why);
	if (status != FERRULE_OK)
		return status;
	do {
		const struct fr_verbs_memory memory = {
			.base = block.base,
			.bytes = block.bytes,
			.dmabuf_fd = block.dmabuf_fd,
			.dmabuf_offset = block.dmabuf_offset,
		};
		e->mr = fr_verbs_register(&e->device, &memory, access, true, why, sizeof(why));
	} while (e->mr == NULL && fr_gpu_block_fall_back(&block));
	fr_gpu_block_close(&block);
	return e->mr ? FERRULE_OK : fr_error(FERRULE_ERR_TRANSPORT, "%s", why);
}

/* ---- queue pairs ---- */

/* The opcode of a message, where it goes, and where it comes from. */
static void shape_send(const struct ferrule_perf_params *p, const struct fr_perf_lane *lane,
                       struct ibv_send_wr *wr)
{
	static const enum ibv_wr_opcode opcodes[] = {
		[FERRULE_PERF_WRITE] = IBV_WR_RDMA_WRITE,
		[FERRULE_PERF_WRITE_IMM] = IBV_WR_RDMA_WRITE_WITH_IMM,
		[FERRULE_PERF_READ] = IBV_WR_RDMA_READ,
		[FERRULE_PERF_SEND] = IBV_WR_SEND,
	};
	const bool is_read = p->op == FERRULE_PERF_READ;

	wr->opcode = opcodes[p->op];
	if (p->op == FERRULE_PERF_SEND)
		return;
	wr->wr.rdma.remote_addr = is_read ? lane->remote_out : lane->remote_in;
	wr->wr.rdma.rkey = lane->rkey;
}

static void make_requests(struct ferrule_perf *perf, struct fr_perf_verbs *e, int index)
{
	const struct ferrule_perf_params *p = &perf->params;
	struct fr_perf_lane *lane = &e->lanes[index];
	unsigned char *in = fr_perf_memory_in(&e->memory, index);
	unsigned char *out = fr_perf_memory_out(&e->memory, index);

	lane->send_sge = (struct ibv_sge){
		.addr = (uintptr_t)(p->op == FERRULE_PERF_READ ? in : out),
		.lkey = e->mr->lkey,
	};
	lane->recv_sge = (struct ibv_sge){
		.addr = (uintptr_t)in, .length = (uint32_t)p->max_bytes, .lkey = e->mr->lkey};
	/* Immediate data needs a receive, but no memory of it. */
	lane->recv = (struct ibv_recv_wr){
		.wr_id = FR_PERF_RECEIVED | (unsigned)index,
		.sg_list = &lane->recv_sge,
		.num_sge = p->op == FERRULE_PERF_SEND,
	};
	for (int i = 0; i < p->post_list; i++) {
		lane->send[i] = (struct ibv_send_wr){
			.next = i + 1 < p->post_list ? &lane->send[i + 1] : NULL,
			.sg_list = &lane->send_sge,
			.num_sge = 1,
		};
		shape_send(p, lane, &lane->send[i]);
	}
}

static ferrule_status_t create_lanes(struct ferrule_perf *perf, struct fr_perf_verbs *e)
{
	const struct ferrule_perf_params *p = &perf->params;
	const struct fr_verbs_qp_params qp_params = {
		.send_wr = p->tx_depth,
		.recv_wr = fr_perf_op_arrives(p) ? p->rx_depth : 1,
		.send_sge = 1,
		.access = p->op == FERRULE_PERF_READ ? IBV_ACCESS_REMOTE_READ
	                                             : IBV_ACCESS_REMOTE_WRITE,
	};
	char why[400];

	e->lanes = calloc((size_t)e->n_lanes, sizeof(*e->lanes));
	if (e->lanes == NULL)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d queue pairs", e->n_lanes);
	for (int i = 0; i < e->n_lanes; i++) {
		struct fr_perf_lane *lane = &e->lanes[i];
		lane->send = calloc((size_t)p->post_list, sizeof(*lane->send));
		if (lane->send == NULL)
			return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d work requests",
			                p->post_list);
		lane->qp = fr_verbs_qp_create(&e->device, &qp_params, &lane->psn, &lane->max_inline,
		                              why, sizeof(why));
		if (lane->qp == NULL)
			return fr_error(FERRULE_ERR_TRANSPORT, "%s", why);
		if (p->inline_bytes > lane->max_inline)
			return fr_error(FERRULE_ERR_ARGUMENT,
			                "inline_bytes: %d is more than what %s:%d grants, %d",
			                p->inline_bytes, e->device.port.device, e->device.port.port,
			                lane->max_inline);
	}
	return FERRULE_OK;
}

/* ---- what the two sides tell each other ---- */

/* Host byte order: the parameters made sure that both have the same. */
struct port_frame {
	uint32_t is_ethernet, n_gids;
	struct fr_gid gids[FR_VERBS_GIDS_MAX];
};

struct lane_frame {
	struct fr_verbs_end end;
	uint64_t in, out;
	uint32_t rkey, zero;
};

static ferrule_status_t choose_gid(struct ferrule_perf *perf, struct fr_perf_verbs *e,
                                   struct fr_gid *out)
{
	const struct fr_verbs_device *d = &e->device;
	struct port_frame mine = {.is_ethernet = d->port.is_ethernet}, theirs;
	struct fr_gid_pair pair;

	for (int i = 0; i < d->n_gids; i++) {
		if (perf->params.gid_index < 0 || d->gids[i].index == perf->params.gid_index)
			mine.gids[mine.n_gids++] = d->gids[i];
	}
	if (mine.n_gids == 0)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "gid_index: %d: %s:%d has no usable GID there",
		                perf->params.gid_index, d->port.device, d->port.port);
	const ferrule_status_t status = fr_perf_control_exchange(&perf->control, FR_PERF_PORT,
	                                                         &mine, &theirs, sizeof(mine));
	if (status != FERRULE_OK)
		return status;
	if (theirs.n_gids > FR_VERBS_GIDS_MAX)
		return fr_error(FERRULE_ERR_PROTOCOL, "%s says it has %u GIDs, at most %d",
		                perf->control.peer, theirs.n_gids, FR_VERBS_GIDS_MAX);
	if (theirs.is_ethernet != mine.is_ethernet)
		return fr_error(FERRULE_ERR_TRANSPORT, "%s:%d is %s, the port of %s is not",
		                d->port.device, d->port.port,
		                mine.is_ethernet ? "Ethernet" : "InfiniBand", perf->control.peer);
	if (fr_gid_pairs(mine.gids, (int)mine.n_gids, theirs.gids, (int)theirs.n_gids,
	                 perf->params.is_server, &pair, 1) < 1)
		return fr_error(
			FERRULE_ERR_TRANSPORT,
			"no GID of %s:%d can reach one of %s (types or families differ); see "
			"`ibv_devinfo -v`",
			d->port.device, d->port.port, perf->control.peer);
	*out = mine.gids[pair.mine];
	return FERRULE_OK;
}

static ferrule_status_t exchange_ends(struct ferrule_perf *perf, struct fr_perf_verbs *e,
                                      const struct fr_gid *gid)
{
	const size_t bytes = (size_t)e->n_lanes * sizeof(struct lane_frame);
	struct lane_frame *mine = calloc(2, bytes);

	if (mine == NULL)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d queue pairs", e->n_lanes);
	struct lane_frame *theirs = mine + e->n_lanes;
	for (int i = 0; i < e->n_lanes; i++) {
		struct fr_perf_lane *lane = &e->lanes[i];
		fr_verbs_qp_end(&e->device, lane->qp, lane->psn, gid, &lane->mine);
		mine[i].end = lane->mine;
		mine[i].in = (uintptr_t)fr_perf_memory_in(&e->memory, i);
		mine[i].out = (uintptr_t)fr_perf_memory_out(&e->memory, i);
		mine[i].rkey = e->mr->rkey;
	}
	const ferrule_status_t status =
		fr_perf_control_exchange(&perf->control, FR_PERF_ENDS, mine, theirs, bytes);
	for (int i = 0; i < e->n_lanes && status == FERRULE_OK; i++) {
		struct fr_perf_lane *lane = &e->lanes[i];
		lane->theirs = theirs[i].end;
		lane->remote_in = theirs[i].in;
		lane->remote_out = theirs[i].out;
		lane->rkey = theirs[i].rkey;
		make_requests(perf, e, i);
	}
	free(mine);
	return status;
}

static ferrule_status_t connect_lanes(struct ferrule_perf *perf, struct fr_perf_verbs *e,
                                      const struct fr_gid *gid)
{
	char why[400];

	ferrule_status_t status = exchange_ends(perf, e, gid);
	if (status == FERRULE_OK && perf->params.use_rdma_cm)
		return fr_perf_verbs_cm_connect(perf, e);
	for (int i = 0; i < e->n_lanes && status == FERRULE_OK; i++) {
		struct fr_perf_lane *lane = &e->lanes[i];
		status = fr_verbs_qp_connect(&e->device, lane->qp, &lane->mine, &lane->theirs, why,
		                             sizeof(why));
		if (status != FERRULE_OK)
			fr_error(status, "%s", why);
	}
	return status;
}

static ferrule_status_t post_receives(struct ferrule_perf *perf, struct fr_perf_verbs *e)
{
	const int n = fr_perf_op_arrives(&perf->params) ? perf->params.rx_depth : 0;

	for (int i = 0; i < e->n_lanes * n; i++) {
		struct fr_perf_lane *lane = &e->lanes[i / n];
		struct ibv_recv_wr *bad;
		const int rc = e->v->post_recv(lane->qp, &lane->recv, &bad);
		if (rc != 0)
			return fr_perf_verbs_refused(perf, "ibv_post_recv", rc);
	}
	return FERRULE_OK;
}

/* ---- the engine ---- */

static void describe_end(const struct fr_verbs_end *end, struct ferrule_perf_end *out)
{
	snprintf(out->name, sizeof(out->name), "LID 0x%02x QPN 0x%04x PSN 0x%06x", end->lid,
	         end->qp_num, end->psn);
	fr_gid_text(&end->gid, out->gid, sizeof(out->gid));
}

static void describe(struct ferrule_perf *perf, const struct fr_perf_verbs *e)
{
	const struct fr_perf_lane *lane = &e->lanes[0];
	const int code = lane->mine.mtu_code < lane->theirs.mtu_code ? lane->mine.mtu_code
	                                                             : lane->theirs.mtu_code;
	struct ferrule_perf_setup *s = &perf->setup;

	snprintf(s->device, sizeof(s->device), "%s", e->device.port.device);
	snprintf(s->link, sizeof(s->link), "%s", e->device.port.is_ethernet ? "Ethernet" : "IB");
	s->mtu = fr_verbs_mtu_bytes(code);
	s->gid_index = lane->mine.gid.index;
	s->inline_bytes = lane->max_inline;
	s->relaxed_ordering = e->device.tuning.relaxed_ordering;
	describe_end(&lane->mine, &s->local);
	describe_end(&lane->theirs, &s->remote);
}

static ferrule_status_t verbs_open(struct ferrule_perf *perf)
{
	struct fr_perf_verbs *e = calloc(1, sizeof(*e));
	struct fr_gid gid;

	if (e == NULL)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a measurement");
	perf->engine_state = e;
	e->n_lanes = perf->params.n_qps;
	e->use_events = perf->params.use_events;
	e->watch = &perf->watch;
	ferrule_status_t status = open_device(perf, e);
	if (status == FERRULE_OK)
		status = register_memory(perf, e);
	if (status == FERRULE_OK)
		status = create_lanes(perf, e);
	if (status == FERRULE_OK)
		status = choose_gid(perf, e, &gid);
	if (status == FERRULE_OK)
		status = connect_lanes(perf, e, &gid);
	if (status == FERRULE_OK)
		status = post_receives(perf, e);
	if (status == FERRULE_OK)
		describe(perf, e);
	return status;
}

static void verbs_close(struct ferrule_perf *perf)
{
	struct fr_perf_verbs *e = perf->engine_state;

	if (e == NULL)
		return;
	fr_verbs_cm_close(e->cm);
	for (int i = 0; e->lanes != NULL && i < e->n_lanes; i++) {
		if (e->lanes[i].qp != NULL)
			e->v->destroy_qp(e->lanes[i].qp);
		free(e->lanes[i].send);
	}
	free(e->lanes);
	if (e->mr != NULL)
		e->v->dereg_mr(e->mr);
	if (e->device.context != NULL)
		fr_verbs_device_close(&e->device);
	fr_perf_memory_close(&e->memory);
	free(e);
	perf->engine_state = NULL;
}

static ferrule_status_t verbs_prepare(struct ferrule_perf *perf, uint64_t bytes)
{
	struct fr_perf_verbs *e = perf->engine_state;
	const struct ferrule_perf_params *p = &perf->params;
	const bool is_inline = p->op != FERRULE_PERF_READ;

	if (p->validate) {
		const ferrule_status_t status = fr_perf_memory_fill(&e->memory, bytes);
		if (status != FERRULE_OK)
			return status;
	}
	for (int i = 0; i < e->n_lanes; i++) {
		struct fr_perf_lane *lane = &e->lanes[i];
		const bool fits = is_inline && bytes <= (uint64_t)lane->max_inline;
		lane->n_posted = lane->n_done = 0;
		lane->n_group = 0;
		lane->n_target = p->duration_s > 0 ? UINT64_MAX : p->iterations;
		lane->send_sge.length = (uint32_t)bytes;
		for (int k = 0; k < p->post_list; k++)
			lane->send[k].send_flags = fits ? IBV_SEND_INLINE : 0;
	}
	/* Where a latency test of writes polls; its first message says 1. */
	if (p->test == FERRULE_PERF_LAT && p->op == FERRULE_PERF_WRITE)
		fr_perf_memory_in(&e->memory, 0)[bytes - 1] = 0;
	return FERRULE_OK;
}

static ferrule_status_t verbs_run(struct ferrule_perf *perf, uint64_t bytes)
{
	const struct ferrule_perf_params *p = &perf->params;
	const bool has_work = perf->is_active || fr_perf_op_arrives(p) ||
	                      (p->test == FERRULE_PERF_LAT && p->op == FERRULE_PERF_WRITE);

	/* Nothing happens at the passive end of a write or a read. */
	if (!has_work)
		return fr_perf_await_done(perf, bytes);
	return p->test == FERRULE_PERF_BW ? fr_perf_verbs_bw(perf, bytes)
	                                  : fr_perf_verbs_lat(perf, bytes);
}

static uint64_t verbs_count_wrong(struct ferrule_perf *perf, uint64_t bytes)
{
	struct fr_perf_verbs *e = perf->engine_state;
	const struct ferrule_perf_params *p = &perf->params;
	const bool is_read = p->op == FERRULE_PERF_READ;
	const bool is_lat = p->test == FERRULE_PERF_LAT;
	const bool receives =
		is_read ? perf->is_active : is_lat || p->is_bidirectional || !perf->is_active;
	/* The last byte of a written message is its number there. */
	const uint64_t compared = is_lat && p->op == FERRULE_PERF_WRITE ? bytes - 1 : bytes;
	uint64_t n = 0;

	for (int i = 0; receives && i < e->n_lanes; i++)
		n += fr_perf_memory_wrong(&e->memory, i, bytes, compared);
	return n;
}

const struct fr_perf_engine fr_perf_verbs_engine = {
	.open = verbs_open,
	.prepare = verbs_prepare,
	.run = verbs_run,
	.count_wrong = verbs_count_wrong,
	.close = verbs_close,
};

/* ---- for the loops ---- */

int fr_perf_verbs_sleep(struct fr_perf_verbs *e, struct ibv_wc *wc, int n)
{
	struct pollfd fds[2] = {
		{.fd = e->device.channel->fd, .events = POLLIN},
		{.fd = e->watch->control->fd, .events = POLLIN},
	};
	struct ibv_cq *cq;
	void *context;

	/* A completion between the last look and the request for events would go unnoticed. */
	if (e->v->req_notify_cq(e->device.cq, 0) != 0)
		return -1;
	const int found = e->v->poll_cq(e->device.cq, n, wc);
	if (found != 0)
		return found;
	poll(fds, 2, SLEEP_MS);
	if (fds[0].revents & POLLIN) {
		if (e->v->get_cq_event(e->device.channel, &cq, &context) == 0)
			e->v->ack_cq_events(cq, 1);
		return e->v->poll_cq(e->device.cq, n, wc);
	}
	/* Nothing came: the next step is to look at the other side at once. */
	e->watch->n_idle |= FR_PERF_IDLE_LOOKS - 1;
	return 0;
}

/* A broken queue pair is often how a death is seen first; who died says more. */
static ferrule_status_t last_words(struct ferrule_perf *perf)
{
	struct pollfd p = {.fd = perf->control.fd, .events = POLLIN};

	if (poll(&p, 1, LAST_WORDS_MS) <= 0)
		return FERRULE_OK;
	return fr_perf_control_peek(&perf->control);
}

ferrule_status_t fr_perf_verbs_fault(struct ferrule_perf *perf, const struct ibv_wc *wc)
{
	const struct fr_perf_verbs *e = perf->engine_state;
	const struct fr_verbs_port *port = &e->device.port;

	if (wc == NULL)
		return fr_error(FERRULE_ERR_TRANSPORT, "%s:%d: the completion queue failed",
		                port->device, port->port);
	const ferrule_status_t status = last_words(perf);
	if (status != FERRULE_OK)
		return status;
	const struct fr_perf_lane *lane = &e->lanes[FR_PERF_LANE(wc->wr_id)];
	return fr_error(FERRULE_ERR_TRANSPORT, "%s:%d, queue pair 0x%x to 0x%x of %s: %s; %s",
	                port->device, port->port, lane->qp->qp_num, lane->theirs.qp_num,
	                perf->control.peer, fr_verbs_status_text(wc->status),
	                fr_verbs_status_hint(wc->status));
}

ferrule_status_t fr_perf_verbs_refused(struct ferrule_perf *perf, const char *call, int rc)
{
	const struct fr_perf_verbs *e = perf->engine_state;

	return fr_error(FERRULE_ERR_TRANSPORT, "%s:%d: %s: %s", e->device.port.device,
	                e->device.port.port, call, strerror(rc > 0 ? rc : errno));
}

/*
 * verbs_cm.c - the state machine of connections through librdmacm.
 *
 *     start    RESOLVING -> ROUTING -> ASKING --------------------> READY -> DEAD
 *     expect   EXPECTING ------------------------> ACCEPTING -----> READY -> DEAD
 *
 * Any state goes to DEAD when something fails, when the peer goes or when time is up.
 *
 * The manager's ids have no queue pair.  It then reports the peer's answer and waits, so that we
 * move our own queue pair, with what the manager knows of the path and with our own timers: its
 * own are a receiver-not-ready timer of 655 ms and retries that take half a minute.
 */
#include "config.h"

#include "lib/transport/verbs/verbs_cm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/transport/verbs/verbs_cm_api.h"
#include "lib/transport/verbs/verbs_cm_place.h"
#include "lib/transport/verbs/verbs_cm_wire.h"
#include "lib/transport/verbs/verbs_device.h"

/* For the kernel's own look-ups; the connection's deadline ends them earlier or later. */
#define RESOLVE_MS 5000
#define READS_MAX  16
/* A rejection's status: nobody listens there; the program there said no. */
#define REJECTED_NO_LISTENER 8
#define REJECTED_BY_PROGRAM  28

enum state {
	RESOLVING, /* which device leads to the address? */
	ROUTING,   /* and which path? */
	ASKING,    /* the request is under way */
	EXPECTING, /* for a request */
	ACCEPTING, /* ours was sent; the peer has not confirmed */
	READY,
	DEAD, /* reported */
};
static const char *const state_names[] = {
	[RESOLVING] = "resolving the address",
	[ROUTING] = "resolving the route",
	[ASKING] = "waiting for an answer",
	[EXPECTING] = "waiting for a request",
	[ACCEPTING] = "waiting for a confirmation",
	[READY] = "connected",
	[DEAD] = "over",
};

struct fr_verbs_cm_conn {
	struct fr_verbs_cm *cm;
	struct fr_verbs_cm_conn *next;
	enum state state;
	struct ibv_qp *qp;
	struct fr_verbs_cm_peer peer;
	struct fr_verbs_cm_address to; /* of one that starts */
	struct rdma_cm_id *id;         /* NULL while expecting */
	struct fr_cm_hello request;    /* sent or received */
	uint8_t mtu_code;              /* what the peer said is its limit */
};

struct fr_verbs_cm {
	const struct fr_rdmacm *c;
	struct fr_verbs_device *d;
	int rank;
	struct fr_cm_secret secret;
	struct rdma_event_channel *channel;
	struct rdma_cm_id *listener;
	struct fr_verbs_cm_address address;
	uint32_t scope;
	struct fr_verbs_cm_conn *conns;
	bool is_gone; /* the device's removal was reported */
};

/* What is kept of an event: ids may only be destroyed after their events were acknowledged. */
struct happening {
	enum rdma_cm_event_type what;
	int status;
	struct rdma_cm_id *id;
	struct rdma_conn_param conn;
	unsigned char data[sizeof(struct fr_cm_hello)];
	size_t data_bytes;
};

/* ---- words ---- */

static void explain(const struct fr_verbs_cm *cm, const struct fr_verbs_cm_conn *conn,
                    const char *what, char *why, size_t why_bytes)
{
	char where[64];

	if (conn->to.family != 0)
		fr_verbs_cm_address_text(&conn->to, where, sizeof(where));
	else
		snprintf(where, sizeof(where), "(expected at port %u)", cm->address.port);
	snprintf(why, why_bytes, "%s port %d: rdma_cm with rank %d %s: %s", cm->d->port.device,
	         cm->d->port.port, conn->peer.rank, where, what);
}

/* What an event that ends a connection means. */
static const char *event_words(const struct happening *h)
{
	switch (h->what) {
	case RDMA_CM_EVENT_ADDR_ERROR:
		return "the address cannot be resolved; is there a route to it?";
	case RDMA_CM_EVENT_ROUTE_ERROR:
		return "no path to the address was found";
	case RDMA_CM_EVENT_CONNECT_ERROR:
		return "connecting failed";
	case RDMA_CM_EVENT_UNREACHABLE:
		return "the peer does not answer";
	case RDMA_CM_EVENT_REJECTED:
		return h->status == REJECTED_NO_LISTENER  ? "nobody listens there"
		       : h->status == REJECTED_BY_PROGRAM ? "the peer refused the request"
		                                          : "the request was rejected";
	case RDMA_CM_EVENT_DISCONNECTED:
		return "the peer disconnected or died";
	default:
		return "unexpected event";
	}
}

/* ---- queue pairs ---- */

static uint8_t at_most(int wanted, int limit)
{
	return (uint8_t)(wanted < limit ? wanted : limit);
}

/* The manager's numbers for the transition, with the transport's own where it has them. */
static void adjust(const struct fr_verbs_cm_conn *conn, struct ibv_qp_attr *attr)
{
	const struct fr_verbs_tuning *t = &conn->cm->d->tuning;
	int mtu = (int)attr->path_mtu;

	if (mtu > fr_verbs_mtu_code(t->mtu))
		mtu = fr_verbs_mtu_code(t->mtu);
	if (mtu > conn->mtu_code)
		mtu = conn->mtu_code;
	if (conn->peer.mtu_code != 0 && mtu > conn->peer.mtu_code)
		mtu = conn->peer.mtu_code;
	attr->path_mtu = (enum ibv_mtu)mtu;
	attr->min_rnr_timer = (uint8_t)t->min_rnr_timer;
	if (attr->ah_attr.is_global)
		attr->ah_attr.grh.traffic_class = (uint8_t)t->traffic_class;
	attr->timeout = (uint8_t)t->timeout;
	attr->retry_cnt = (uint8_t)t->retry;
	attr->rnr_retry = (uint8_t)t->rnr_retry;
}

/* Name of the call that failed, with errno; NULL: moved. */
static const char *move_qp(const struct fr_verbs_cm_conn *conn, enum ibv_qp_state state)
{
	const struct fr_verbs_device *d = conn->cm->d;
	struct ibv_qp_attr attr = {.qp_state = state};
	int mask = 0;

	errno = 0;
	if (conn->cm->c->init_qp_attr(conn->id, &attr, &mask) != 0)
		return "rdma_init_qp_attr";
	if (state == IBV_QPS_INIT) {
		/* It is there already; only the partition may be another one. */
		if (attr.pkey_index == d->tuning.pkey_index)
			return NULL;
		mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX;
	} else {
		adjust(conn, &attr);
	}
	const int rc = d->v->modify_qp(conn->qp, &attr, mask);
	if (rc == 0)
		return NULL;
	errno = fr_verbs_errno(rc);
	return state == IBV_QPS_INIT  ? "ibv_modify_qp to INIT"
	       : state == IBV_QPS_RTR ? "ibv_modify_qp to RTR"
	                              : "ibv_modify_qp to RTS";
}

static const char *connect_qp(const struct fr_verbs_cm_conn *conn)
{
	const char *failed = move_qp(conn, IBV_QPS_INIT);

	if (!failed)
		failed = move_qp(conn, IBV_QPS_RTR);
	if (!failed)
		failed = move_qp(conn, IBV_QPS_RTS);
	return failed;
}

static struct rdma_conn_param param_of(const struct fr_verbs_cm_conn *conn,
                                       const struct fr_cm_hello *hello)
{
	const struct fr_verbs_device *d = conn->cm->d;

	return (struct rdma_conn_param){
		.private_data = hello,
		.private_data_len = sizeof(*hello),
		.responder_resources = at_most(READS_MAX, d->attr.max_qp_rd_atom),
		.initiator_depth = at_most(READS_MAX, d->attr.max_qp_init_rd_atom),
		.retry_count = (uint8_t)d->tuning.retry,
		.rnr_retry_count = (uint8_t)d->tuning.rnr_retry,
		.qp_num = conn->qp->qp_num,
	};
}

static struct fr_cm_hello hello_of(const struct fr_verbs_cm_conn *conn)
{
	return (struct fr_cm_hello){
		.from = (uint32_t)conn->cm->rank,
		.to = (uint32_t)conn->peer.rank,
		.generation = conn->peer.generation,
		.qp_num = conn->qp->qp_num,
		.rail = conn->peer.rail,
		.qp_index = conn->peer.qp_index,
		.mtu_code = (uint8_t)fr_verbs_mtu_code(conn->cm->d->tuning.mtu),
	};
}

/* Is the hello about this connection, and from its other end? */
static bool is_about(const struct fr_verbs_cm_conn *conn, const struct fr_cm_hello *h)
{
	return h->from == (uint32_t)conn->peer.rank && h->to == (uint32_t)conn->cm->rank &&
	       h->generation == conn->peer.generation && h->rail == conn->peer.rail &&
	       h->qp_index == conn->peer.qp_index &&
	       (conn->peer.qp_num == 0 || h->qp_num == conn->peer.qp_num);
}

/* ---- what happens to a connection ---- */

static bool report(const struct fr_verbs_cm_conn *conn, enum fr_verbs_cm_kind kind,
                   const char *what, struct fr_verbs_cm_event *out)
{
	*out = (struct fr_verbs_cm_event){.kind = kind, .arg = conn->peer.arg};
	if (what)
		explain(conn->cm, conn, what, out->why, sizeof(out->why));
	return true;
}

static bool end(struct fr_verbs_cm_conn *conn, const char *what, struct fr_verbs_cm_event *out)
{
	const enum fr_verbs_cm_kind kind =
		conn->state == READY ? FR_VERBS_CM_LOST : FR_VERBS_CM_FAILED;

	conn->state = DEAD;
	return report(conn, kind, what, out);
}

/* `call` failed, with errno. */
static bool end_by(struct fr_verbs_cm_conn *conn, const char *call, struct fr_verbs_cm_event *out)
{
	char what[160];

	snprintf(what, sizeof(what), "%s: %s", call, strerror(fr_verbs_errno(-1)));
	return end(conn, what, out);
}

/* The same after a request or an answer came, so that the peer need not wait for its deadline. */
static bool refuse_by(struct fr_verbs_cm_conn *conn, const char *call,
                      struct fr_verbs_cm_event *out)
{
	const int error = errno;

	conn->cm->c->reject(conn->id, NULL, 0);
	errno = error;
	return end_by(conn, call, out);
}

static bool on_address(struct fr_verbs_cm_conn *conn, struct fr_verbs_cm_event *out)
{
	if (!fr_cm_is_on(conn->id, conn->cm->d))
		return end(conn, "the route leads over another device or port", out);
	errno = 0;
	if (conn->cm->c->resolve_route(conn->id, RESOLVE_MS) != 0)
		return end_by(conn, "rdma_resolve_route", out);
	conn->state = ROUTING;
	return false;
}

static bool on_route(struct fr_verbs_cm_conn *conn, struct fr_verbs_cm_event *out)
{
	struct fr_cm_hello *request = &conn->request;

	*request = hello_of(conn);
	fr_cm_seal(&conn->cm->secret, NULL, request);
	struct rdma_conn_param param = param_of(conn, request);
	errno = 0;
	if (conn->cm->c->connect(conn->id, &param) != 0)
		return end_by(conn, "rdma_connect", out);
	conn->state = ASKING;
	return false;
}

static bool on_response(struct fr_verbs_cm_conn *conn, const struct happening *h,
                        struct fr_verbs_cm_event *out)
{
	struct fr_cm_hello reply;
	const char *wrong =
		fr_cm_open(&conn->cm->secret, &conn->request, h->data, h->data_bytes, &reply);

	if (!wrong && (!is_about(conn, &reply) || h->conn.qp_num != reply.qp_num))
		wrong = "an answer about another queue pair";
	if (!wrong && fr_verbs_mtu_bytes(reply.mtu_code) == 0)
		wrong = "an answer with an impossible MTU";
	if (wrong) {
		conn->cm->c->reject(conn->id, NULL, 0);
		return end(conn, wrong, out);
	}
	conn->mtu_code = reply.mtu_code;
	const char *failed = connect_qp(conn);
	if (!failed) {
		failed = "rdma_establish";
		errno = 0;
		if (conn->cm->c->establish(conn->id) == 0)
			failed = NULL;
	}
	if (failed)
		return refuse_by(conn, failed, out);
	conn->state = READY;
	return report(conn, FR_VERBS_CM_READY, NULL, out);
}

static void refuse(struct fr_verbs_cm *cm, struct rdma_cm_id *id, const char *reason)
{
	fr_log(FR_LOG_INFO, "%s port %d: rdma_cm request refused: %s", cm->d->port.device,
	       cm->d->port.port, reason);
	cm->c->reject(id, NULL, 0);
	cm->c->destroy_id(id);
}

static struct fr_verbs_cm_conn *find_expecting(struct fr_verbs_cm *cm,
                                               const struct fr_cm_hello *request)
{
	for (struct fr_verbs_cm_conn *conn = cm->conns; conn; conn = conn->next)
		if (conn->state == EXPECTING && is_about(conn, request))
			return conn;
	return NULL;
}

/* A request came with an id of its own, which becomes the connection's, or is destroyed. */
static bool on_request(struct fr_verbs_cm *cm, const struct happening *h,
                       struct fr_verbs_cm_event *out)
{
	struct fr_cm_hello request;
	struct fr_verbs_cm_conn *conn = NULL;
	const char *wrong = fr_cm_open(&cm->secret, NULL, h->data, h->data_bytes, &request);

	if (!wrong && !fr_cm_is_on(h->id, cm->d))
		wrong = "it came over another device or port";
	if (!wrong) {
		conn = find_expecting(cm, &request);
		if (!conn || h->conn.qp_num != request.qp_num)
			wrong = "its queue pair is not expected";
		else if (fr_verbs_mtu_bytes(request.mtu_code) == 0)
			wrong = "it has an impossible MTU";
	}
	if (wrong) {
		refuse(cm, h->id, wrong);
		return false;
	}
	conn->id = h->id;
	conn->id->context = conn;
	conn->request = request;
	conn->mtu_code = request.mtu_code;
	struct fr_cm_hello reply = hello_of(conn);
	fr_cm_seal(&cm->secret, &request, &reply);
	struct rdma_conn_param param = param_of(conn, &reply);
	param.responder_resources = at_most(h->conn.responder_resources, param.responder_resources);
	param.initiator_depth = at_most(h->conn.initiator_depth, param.initiator_depth);
	const char *failed = connect_qp(conn);
	if (!failed) {
		failed = "rdma_accept";
		errno = 0;
		if (cm->c->accept(conn->id, &param) == 0)
			failed = NULL;
	}
	if (failed)
		return refuse_by(conn, failed, out);
	conn->state = ACCEPTING;
	return false;
}

/* Events of a connection that fit its state lead on; those that end it do so in every state;
 * others are late and mean nothing. */
static bool on_event(struct fr_verbs_cm_conn *conn, const struct happening *h,
                     struct fr_verbs_cm_event *out)
{
	char what[160];

	switch (h->what) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		return conn->state == RESOLVING && on_address(conn, out);
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		return conn->state == ROUTING && on_route(conn, out);
	case RDMA_CM_EVENT_CONNECT_RESPONSE:
		return conn->state == ASKING && on_response(conn, h, out);
	case RDMA_CM_EVENT_ESTABLISHED:
		if (conn->state != ACCEPTING)
			return false;
		conn->state = READY;
		return report(conn, FR_VERBS_CM_READY, NULL, out);
	case RDMA_CM_EVENT_ADDR_ERROR:
	case RDMA_CM_EVENT_ROUTE_ERROR:
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_REJECTED:
	case RDMA_CM_EVENT_DISCONNECTED:
		if (conn->state == DEAD)
			return false;
		snprintf(what, sizeof(what), "%s (status %d, while %s)", event_words(h), h->status,
		         state_names[conn->state]);
		return end(conn, what, out);
	default:
		return false;
	}
}

static bool on_removal(struct fr_verbs_cm *cm, struct fr_verbs_cm_event *out)
{
	if (cm->is_gone)
		return false;
	cm->is_gone = true;
	*out = (struct fr_verbs_cm_event){.kind = FR_VERBS_CM_GONE};
	snprintf(out->why, sizeof(out->why), "%s port %d: rdma_cm: the device is being removed",
	         cm->d->port.device, cm->d->port.port);
	return true;
}

/* ---- poll ---- */

/* Takes the next event; false: there is none. */
static bool next_happening(struct fr_verbs_cm *cm, struct happening *h)
{
	struct rdma_cm_event *event;

	if (cm->c->get_cm_event(cm->channel, &event) != 0)
		return false;
	*h = (struct happening){.what = event->event,
	                        .status = event->status,
	                        .id = event->id,
	                        .conn = event->param.conn};
	if (event->param.conn.private_data) {
		h->data_bytes = event->param.conn.private_data_len;
		if (h->data_bytes > sizeof(h->data))
			h->data_bytes = sizeof(h->data);
		memcpy(h->data, event->param.conn.private_data, h->data_bytes);
	}
	h->conn.private_data = NULL;
	cm->c->ack_cm_event(event);
	return true;
}

static bool handle(struct fr_verbs_cm *cm, const struct happening *h, struct fr_verbs_cm_event *out)
{
	if (h->what == RDMA_CM_EVENT_DEVICE_REMOVAL)
		return on_removal(cm, out);
	if (h->what == RDMA_CM_EVENT_CONNECT_REQUEST)
		return on_request(cm, h, out);
	/* The listener's own events concern nobody. */
	return h->id->context && on_event(h->id->context, h, out);
}

int fr_verbs_cm_poll(struct fr_verbs_cm *cm, struct fr_verbs_cm_event *out, int max)
{
	struct happening h;
	int n = 0;

	while (n < max && next_happening(cm, &h))
		n += handle(cm, &h, &out[n]);
	const uint64_t now = fr_clock_ns();
	for (struct fr_verbs_cm_conn *conn = cm->conns; conn && n < max; conn = conn->next) {
		char what[160];

		if (conn->state >= READY || now < conn->peer.deadline_ns)
			continue;
		snprintf(what, sizeof(what), "the deadline passed while %s",
		         state_names[conn->state]);
		n += end(conn, what, &out[n]);
	}
	return n;
}

/* ---- connections ---- */

static struct fr_verbs_cm_conn *add(struct fr_verbs_cm *cm, struct ibv_qp *qp,
                                    const struct fr_verbs_cm_peer *peer, enum state state,
                                    char *why, size_t why_bytes)
{
	struct fr_verbs_cm_conn *conn = calloc(1, sizeof(*conn));

	if (!conn) {
		snprintf(why, why_bytes, "no memory for a connection of rdma_cm");
		return NULL;
	}
	conn->cm = cm;
	conn->state = state;
	conn->qp = qp;
	conn->peer = *peer;
	conn->next = cm->conns;
	cm->conns = conn;
	return conn;
}

ferrule_status_t fr_verbs_cm_expect(struct fr_verbs_cm *cm, struct ibv_qp *qp,
                                    const struct fr_verbs_cm_peer *peer,
                                    struct fr_verbs_cm_conn **out, char *why, size_t why_bytes)
{
	struct fr_verbs_cm_conn *conn = add(cm, qp, peer, EXPECTING, why, why_bytes);

	if (!conn)
		return FERRULE_ERR_NO_MEMORY;
	*out = conn;
	return FERRULE_OK;
}

/* Name of the call that failed, with errno; NULL: under way. */
static const char *resolve(struct fr_verbs_cm_conn *conn)
{
	struct fr_verbs_cm *cm = conn->cm;
	struct sockaddr_storage from, to;
	uint8_t tos = (uint8_t)cm->d->tuning.traffic_class;

	errno = EINVAL;
	if (!fr_cm_sockaddr(&cm->address, 0, cm->scope, &from) ||
	    !fr_cm_sockaddr(&conn->to, conn->to.port, cm->scope, &to))
		return "address";
	errno = 0;
	if (cm->c->create_id(cm->channel, &conn->id, conn, RDMA_PS_TCP) != 0) {
		conn->id = NULL;
		return "rdma_create_id";
	}
	/* So that the route is looked up as that of the packets; some kernels have no such
	 * option, and lose nothing. */
	cm->c->set_option(conn->id, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &tos, sizeof(tos));
	errno = 0;
	if (cm->c->resolve_addr(conn->id, (struct sockaddr *)&from, (struct sockaddr *)&to,
	                        RESOLVE_MS) != 0)
		return "rdma_resolve_addr";
	return NULL;
}

ferrule_status_t fr_verbs_cm_start(struct fr_verbs_cm *cm, struct ibv_qp *qp,
                                   const struct fr_verbs_cm_peer *peer,
                                   const struct fr_verbs_cm_address *to,
                                   struct fr_verbs_cm_conn **out, char *why, size_t why_bytes)
{
	struct fr_verbs_cm_conn *conn = add(cm, qp, peer, RESOLVING, why, why_bytes);

	if (!conn)
		return FERRULE_ERR_NO_MEMORY;
	conn->to = *to;
	const char *failed = resolve(conn);
	if (failed) {
		char what[160];

		snprintf(what, sizeof(what), "%s: %s", failed, strerror(fr_verbs_errno(-1)));
		explain(cm, conn, what, why, why_bytes);
		fr_verbs_cm_drop(conn);
		return FERRULE_ERR_SYSTEM;
	}
	*out = conn;
	return FERRULE_OK;
}

void fr_verbs_cm_hurry(struct fr_verbs_cm_conn *conn, uint64_t deadline_ns)
{
	if (deadline_ns < conn->peer.deadline_ns)
		conn->peer.deadline_ns = deadline_ns;
}

void fr_verbs_cm_drop(struct fr_verbs_cm_conn *conn)
{
	if (!conn)
		return;
	struct fr_verbs_cm *cm = conn->cm;
	struct fr_verbs_cm_conn **at = &cm->conns;

	while (*at != conn)
		at = &(*at)->next;
	*at = conn->next;
	if (conn->id) {
		/* Refused where there is nothing to end any more. */
		cm->c->disconnect(conn->id);
		cm->c->destroy_id(conn->id);
	}
	free(conn);
}

/* ---- open and close ---- */

ferrule_status_t fr_verbs_cm_open(struct fr_verbs_device *d, const struct fr_verbs_cm_params *p,
                                  struct fr_verbs_cm **out, char *why, size_t why_bytes)
{
	const struct fr_rdmacm *c = fr_rdmacm_get(why, why_bytes);

	if (!c)
		return FERRULE_ERR_UNSUPPORTED;
	struct fr_verbs_cm *cm = calloc(1, sizeof(*cm));
	if (!cm) {
		snprintf(why, why_bytes, "no memory for rdma_cm");
		return FERRULE_ERR_NO_MEMORY;
	}
	cm->c = c;
	cm->d = d;
	cm->rank = p->rank;
	cm->secret.comm_id = p->comm_id;
	memcpy(cm->secret.key, p->job_key, sizeof(cm->secret.key));
	errno = 0;
	cm->channel = c->create_event_channel();
	const int flags = cm->channel ? fcntl(cm->channel->fd, F_GETFL) : -1;
	if (flags < 0 || fcntl(cm->channel->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		snprintf(why, why_bytes,
		         "%s port %d: rdma_create_event_channel: %s; is the kernel module rdma_ucm "
		         "loaded, and may this user open /dev/infiniband/rdma_cm?",
		         d->port.device, d->port.port, strerror(fr_verbs_errno(-1)));
		fr_verbs_cm_close(cm);
		return FERRULE_ERR_UNSUPPORTED;
	}
	cm->listener = fr_cm_listen(c, cm->channel, d, &cm->address, &cm->scope, why, why_bytes);
	if (!cm->listener) {
		fr_verbs_cm_close(cm);
		return FERRULE_ERR_UNSUPPORTED;
	}
	*out = cm;
	return FERRULE_OK;
}

void fr_verbs_cm_close(struct fr_verbs_cm *cm)
{
	if (!cm)
		return;
	while (cm->conns)
		fr_verbs_cm_drop(cm->conns);
	if (cm->listener)
		cm->c->destroy_id(cm->listener);
	if (cm->channel)
		cm->c->destroy_event_channel(cm->channel);
	fr_wipe(&cm->secret, sizeof(cm->secret));
	free(cm);
}

int fr_verbs_cm_fd(const struct fr_verbs_cm *cm)
{
	return cm->channel->fd;
}

void fr_verbs_cm_address(const struct fr_verbs_cm *cm, struct fr_verbs_cm_address *out)
{
	*out = cm->address;
}

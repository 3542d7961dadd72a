#include "config.h"

#include "tests/transport/fake_rdmacm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct fake_cm fake_cm;

#define LISTENERS_MAX 8

static struct ibv_device device = {.name = "fake0"}, odd_device = {.name = "fake1"};
static struct ibv_context context = {.device = &device}, odd_context = {.device = &odd_device};

struct channel {
	struct rdma_event_channel base;
	struct event *first;
};

struct event {
	struct rdma_cm_event base;
	struct event *next;
	unsigned char data[56];
};

struct id {
	struct rdma_cm_id base;
	struct channel *channel;
	struct id *peer;
	uint16_t port; /* where it listens, or is to connect to */
};

static struct id *listeners[LISTENERS_MAX];
static uint16_t next_port;

void fake_rdmacm_reset(void)
{
	fake_cm = (struct fake_cm){.error = EIO, .flip = -1};
	memset(listeners, 0, sizeof(listeners));
	next_port = 4000;
}

static bool fails(const char *name)
{
	if (++fake_cm.n_calls != fake_cm.fail_at)
		return false;
	fake_cm.failed = name;
	errno = fake_cm.error;
	return true;
}

static struct id *find_listener(uint16_t port)
{
	for (int i = 0; i < LISTENERS_MAX; i++)
		if (listeners[i] && listeners[i]->port == port)
			return listeners[i];
	return NULL;
}

/* ---- events ---- */

static struct event *push(struct id *id, enum rdma_cm_event_type what, int status,
                          const struct rdma_conn_param *param)
{
	struct event *e = calloc(1, sizeof(*e));
	struct event **at = &id->channel->first;

	fake_cm.n_live++;
	e->base.event = what;
	e->base.status = status;
	e->base.id = &id->base;
	if (param) {
		e->base.param.conn = *param;
		if (param->private_data_len > sizeof(e->data))
			e->base.param.conn.private_data_len = sizeof(e->data);
		if (param->private_data)
			memcpy(e->data, param->private_data, e->base.param.conn.private_data_len);
		if (fake_cm.flip >= 0)
			e->data[fake_cm.flip] ^= 1;
		e->base.param.conn.private_data = e->data;
	}
	while (*at)
		at = &(*at)->next;
	*at = e;
	return e;
}

static void free_event(struct event *e)
{
	fake_cm.n_live--;
	free(e);
}

static int get_cm_event(struct rdma_event_channel *base, struct rdma_cm_event **out)
{
	struct channel *channel = (struct channel *)base;
	struct event *e = channel->first;

	if (!e) {
		errno = EAGAIN;
		return -1;
	}
	channel->first = e->next;
	fake_cm.n_unacked++;
	*out = &e->base;
	return 0;
}

static int ack_cm_event(struct rdma_cm_event *event)
{
	fake_cm.n_unacked--;
	free_event((struct event *)event);
	return 0;
}

/* ---- channels and ids ---- */

static struct rdma_event_channel *create_event_channel(void)
{
	if (fails("rdma_create_event_channel"))
		return NULL;
	struct channel *channel = calloc(1, sizeof(*channel));
	fake_cm.n_live++;
	channel->base.fd = eventfd(0, EFD_CLOEXEC);
	return &channel->base;
}

static void destroy_event_channel(struct rdma_event_channel *channel)
{
	close(channel->fd);
	fake_cm.n_live--;
	free(channel);
}

static struct id *make_id(struct channel *channel, void *arg)
{
	struct id *id = calloc(1, sizeof(*id));

	fake_cm.n_live++;
	id->channel = channel;
	id->base.channel = &channel->base;
	id->base.context = arg;
	return id;
}

static int create_id(struct rdma_event_channel *channel, struct rdma_cm_id **out, void *arg,
                     enum rdma_port_space space)
{
	(void)space;
	if (fails("rdma_create_id"))
		return -1;
	*out = &make_id((struct channel *)channel, arg)->base;
	return 0;
}

static void free_id(struct id *id)
{
	if (id->peer)
		id->peer->peer = NULL;
	for (int i = 0; i < LISTENERS_MAX; i++)
		if (listeners[i] == id)
			listeners[i] = NULL;
	fake_cm.n_live--;
	free(id);
}

/* With an id go the events that nobody has taken, and of a listener the requests in them. */
static int destroy_id(struct rdma_cm_id *base)
{
	struct id *id = (struct id *)base;
	struct event **at = &id->channel->first;

	while (*at) {
		struct event *e = *at;
		const bool is_request = e->base.listen_id == base;
		if (e->base.id != base && !is_request) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		if (is_request)
			free_id((struct id *)e->base.id);
		free_event(e);
	}
	free_id(id);
	return 0;
}

static int set_option(struct rdma_cm_id *id, int level, int name, void *value, size_t bytes)
{
	(void)id;
	(void)level;
	(void)name;
	(void)value;
	(void)bytes;
	return fails("rdma_set_option") ? -1 : 0;
}

static void land(struct id *id)
{
	id->base.verbs = fake_cm.is_odd ? &odd_context : &context;
	id->base.port_num = 1;
}

static int bind_addr(struct rdma_cm_id *id, struct sockaddr *address)
{
	(void)address;
	if (fails("rdma_bind_addr"))
		return -1;
	land((struct id *)id);
	return 0;
}

static int listen_id(struct rdma_cm_id *base, int backlog)
{
	struct id *id = (struct id *)base;

	(void)backlog;
	if (fails("rdma_listen"))
		return -1;
	id->port = ++next_port;
	for (int i = 0; i < LISTENERS_MAX; i++) {
		if (listeners[i])
			continue;
		listeners[i] = id;
		return 0;
	}
	errno = ENOMEM;
	return -1;
}

static uint16_t get_src_port(struct rdma_cm_id *id)
{
	return htons(((struct id *)id)->port);
}

/* ---- connecting ---- */

static int resolve_addr(struct rdma_cm_id *base, struct sockaddr *from, struct sockaddr *to, int ms)
{
	struct id *id = (struct id *)base;

	(void)from;
	(void)ms;
	if (fails("rdma_resolve_addr"))
		return -1;
	id->port = ntohs(((struct sockaddr_in *)to)->sin_port);
	land(id);
	push(id, RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL);
	return 0;
}

static int resolve_route(struct rdma_cm_id *id, int ms)
{
	(void)ms;
	if (fails("rdma_resolve_route"))
		return -1;
	push((struct id *)id, RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL);
	return 0;
}

static struct id *request(struct id *listener, const struct rdma_conn_param *param)
{
	struct id *id = make_id(listener->channel, NULL);

	land(id);
	push(id, RDMA_CM_EVENT_CONNECT_REQUEST, 0, param)->base.listen_id = &listener->base;
	return id;
}

static int connect_id(struct rdma_cm_id *base, struct rdma_conn_param *param)
{
	struct id *id = (struct id *)base, *listener = find_listener(id->port);

	if (fails("rdma_connect"))
		return -1;
	if (!listener) {
		push(id, RDMA_CM_EVENT_REJECTED, 8, NULL);
		return 0;
	}
	id->peer = request(listener, param);
	id->peer->peer = id;
	return 0;
}

static int establish(struct rdma_cm_id *id)
{
	if (fails("rdma_establish"))
		return -1;
	push(((struct id *)id)->peer, RDMA_CM_EVENT_ESTABLISHED, 0, NULL);
	return 0;
}

static int accept_id(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
	if (fails("rdma_accept"))
		return -1;
	push(((struct id *)id)->peer, RDMA_CM_EVENT_CONNECT_RESPONSE, 0, param);
	return 0;
}

static int reject(struct rdma_cm_id *base, const void *data, uint8_t bytes)
{
	struct id *id = (struct id *)base;

	(void)data;
	(void)bytes;
	fake_cm.n_rejected++;
	if (id->peer)
		push(id->peer, RDMA_CM_EVENT_REJECTED, 28, NULL);
	return 0;
}

static int disconnect(struct rdma_cm_id *base)
{
	struct id *id = (struct id *)base;

	if (fails("rdma_disconnect"))
		return -1;
	if (id->peer)
		push(id->peer, RDMA_CM_EVENT_DISCONNECTED, 0, NULL);
	return 0;
}

static int init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *attr, int *mask)
{
	(void)id;
	if (fails("rdma_init_qp_attr"))
		return -1;
	attr->path_mtu = IBV_MTU_2048;
	attr->min_rnr_timer = 0;
	attr->timeout = 19;
	attr->pkey_index = 1; /* The manager's, where the setting has another one. */
	attr->ah_attr.is_global = 1;
	*mask = IBV_QP_STATE;
	return 0;
}

void fake_rdmacm_request(uint16_t port, uint32_t qp_num, const void *data, uint8_t bytes)
{
	const struct rdma_conn_param param = {
		.private_data = data, .private_data_len = bytes, .qp_num = qp_num};

	request(find_listener(port), &param);
}

void fake_rdmacm_removal(uint16_t port)
{
	push(find_listener(port), RDMA_CM_EVENT_DEVICE_REMOVAL, 0, NULL);
}

const struct fr_rdmacm fake_rdmacm = {
	.create_event_channel = create_event_channel,
	.destroy_event_channel = destroy_event_channel,
	.create_id = create_id,
	.destroy_id = destroy_id,
	.set_option = set_option,
	.bind_addr = bind_addr,
	.listen = listen_id,
	.get_src_port = get_src_port,
	.resolve_addr = resolve_addr,
	.resolve_route = resolve_route,
	.init_qp_attr = init_qp_attr,
	.connect = connect_id,
	.establish = establish,
	.accept = accept_id,
	.reject = reject,
	.disconnect = disconnect,
	.get_cm_event = get_cm_event,
	.ack_cm_event = ack_cm_event,
};

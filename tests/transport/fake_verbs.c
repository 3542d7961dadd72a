#include "config.h"

#include "tests/transport/fake_verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct fake fake;

static struct ibv_device devices[2];

void fake_verbs_reset(void)
{
	fake = (struct fake){
		.error = EIO,
		.device = {.vendor_id = 0x02c9,
	                   .vendor_part_id = 4129,
	                   .phys_port_cnt = 1,
	                   .max_cqe = 1000,
	                   .max_qp_rd_atom = 128,
	                   .max_qp_init_rd_atom = 4},
		.port = {.state = IBV_PORT_ACTIVE,
	                 .active_mtu = IBV_MTU_4096,
	                 .max_mtu = IBV_MTU_4096,
	                 .gid_tbl_len = 4,
	                 .pkey_tbl_len = 2,
	                 .active_speed = 32,
	                 .active_width = 2,
	                 .link_layer = IBV_LINK_LAYER_ETHERNET},
		.inline_max = 1024,
		.n_gids = 2,
	};
	for (uint32_t i = 0; i < 2; i++) {
		fake.gids[i] =
			(struct ibv_gid_entry){.gid_index = i, .gid_type = IBV_GID_TYPE_ROCE_V2};
		fake.gids[i].gid.raw[0] = 0x20 - (unsigned char)i;
		fake.gids[i].gid.raw[15] = 1;
	}
	memset(devices, 0, sizeof(devices));
	for (int i = 0; i < 2; i++) {
		memcpy(devices[i].name, i ? "fake1" : "fake0", 6);
		devices[i].node_type = IBV_NODE_CA;
		devices[i].transport_type = IBV_TRANSPORT_IB;
	}
}

/* Counts a call; true with errno when it is one to fail. */
static bool fails(const char *name)
{
	fake.n_calls++;
	if (fake.n_calls != fake.fail_at && !(fake.fail_name && strcmp(name, fake.fail_name) == 0))
		return false;
	fake.failed = name;
	errno = fake.error;
	return true;
}

/* An object with its parent's context in its first member, as all of libibverbs' have. */
static void *make(size_t bytes)
{
	fake.n_live++;
	return calloc(1, bytes);
}

static int drop(void *object)
{
	fake.n_live--;
	free(object);
	return 0;
}

static struct ibv_device **get_device_list(int *n)
{
	if (fails("ibv_get_device_list"))
		return NULL;
	struct ibv_device **list = make(3 * sizeof(*list));
	list[0] = &devices[0];
	list[1] = &devices[1];
	*n = 2;
	for (int i = 0; i < 2; i++)
		devices[i].transport_type = fake.is_iwarp ? IBV_TRANSPORT_IWARP : IBV_TRANSPORT_IB;
	return list;
}

static void free_device_list(struct ibv_device **list)
{
	drop(list);
}

static const char *get_device_name(struct ibv_device *device)
{
	return device->name;
}

static struct ibv_context *open_device(struct ibv_device *device)
{
	if (fails("ibv_open_device"))
		return NULL;
	struct ibv_context *context = make(sizeof(*context));
	context->device = device;
	context->async_fd = eventfd(0, EFD_CLOEXEC);
	return context;
}

static int close_device(struct ibv_context *context)
{
	close(context->async_fd);
	return drop(context);
}

static int query_device(struct ibv_context *context, struct ibv_device_attr *out)
{
	(void)context;
	if (fails("ibv_query_device"))
		return errno;
	*out = fake.device;
	return 0;
}

static int query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *out)
{
	(void)context;
	(void)port;
	if (fails("ibv_query_port"))
		return errno;
	*out = fake.port;
	return 0;
}

static int query_gid_ex(struct ibv_context *context, uint32_t port, uint32_t index,
                        struct ibv_gid_entry *out, uint32_t flags)
{
	(void)context;
	(void)port;
	(void)flags;
	if (fails("ibv_query_gid_ex"))
		return errno;
	if ((int)index >= fake.n_gids)
		return ENODATA;
	*out = fake.gids[index];
	return 0;
}

static struct ibv_pd *alloc_pd(struct ibv_context *context)
{
	if (fails("ibv_alloc_pd"))
		return NULL;
	struct ibv_pd *pd = make(sizeof(*pd));
	pd->context = context;
	return pd;
}

static int dealloc_pd(struct ibv_pd *pd)
{
	return drop(pd);
}

static struct ibv_mr *make_mr(const char *name, struct ibv_pd *pd, int access)
{
	if (fails(name))
		return NULL;
	struct ibv_mr *mr = make(sizeof(*mr));
	mr->context = pd->context;
	mr->pd = pd;
	fake.mr_access = access;
	fake.mr_call = name;
	return mr;
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *base, size_t bytes, int access)
{
	(void)base;
	(void)bytes;
	return make_mr("ibv_reg_mr", pd, access);
}

static struct ibv_mr *reg_mr_iova2(struct ibv_pd *pd, void *base, size_t bytes, uint64_t iova,
                                   unsigned access)
{
	(void)base;
	(void)bytes;
	(void)iova;
	return make_mr("ibv_reg_mr_iova2", pd, (int)access);
}

static struct ibv_mr *reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t bytes, uint64_t iova,
                                    int fd, int access)
{
	(void)offset;
	(void)bytes;
	(void)iova;
	(void)fd;
	return make_mr("ibv_reg_dmabuf_mr", pd, access);
}

static int dereg_mr(struct ibv_mr *mr)
{
	return drop(mr);
}

static struct ibv_comp_channel *create_comp_channel(struct ibv_context *context)
{
	if (fails("ibv_create_comp_channel"))
		return NULL;
	struct ibv_comp_channel *channel = make(sizeof(*channel));
	channel->context = context;
	channel->fd = eventfd(0, EFD_CLOEXEC);
	return channel;
}

static int destroy_comp_channel(struct ibv_comp_channel *channel)
{
	close(channel->fd);
	return drop(channel);
}

static struct ibv_cq *create_cq(struct ibv_context *context, int n, void *arg,
                                struct ibv_comp_channel *channel, int vector)
{
	(void)vector;
	if (fails("ibv_create_cq"))
		return NULL;
	struct ibv_cq *cq = make(sizeof(*cq));
	cq->context = context;
	cq->channel = channel;
	cq->cq_context = arg;
	cq->cqe = n;
	return cq;
}

static int destroy_cq(struct ibv_cq *cq)
{
	return drop(cq);
}

static void ack_cq_events(struct ibv_cq *cq, unsigned n)
{
	(void)cq;
	fake.n_acknowledged += (int)n;
}

static struct ibv_qp *create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	if (fails("ibv_create_qp"))
		return NULL;
	if (attr->cap.max_inline_data > fake.inline_max) {
		errno = EINVAL;
		return NULL;
	}
	struct ibv_qp *qp = make(sizeof(*qp));
	qp->context = pd->context;
	qp->pd = pd;
	qp->qp_num = 0x100u + (unsigned)fake.n_live;
	attr->cap.max_inline_data |= 3; /* Devices round up. */
	return qp;
}

static int modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	const bool is_rtr = attr->qp_state == IBV_QPS_RTR;

	(void)mask;
	if (attr->qp_state != IBV_QPS_ERR && fails("ibv_modify_qp"))
		return errno;
	/* As a driver that took the options and cannot do with them. */
	if (is_rtr && fake.set_ece.options & 0x80000000u)
		return EINVAL;
	qp->state = attr->qp_state;
	if (is_rtr)
		fake.rtr = *attr;
	if (attr->qp_state == IBV_QPS_RTS)
		fake.rts = *attr;
	return 0;
}

static int destroy_qp(struct ibv_qp *qp)
{
	return drop(qp);
}

static int query_ece(struct ibv_qp *qp, struct ibv_ece *out)
{
	(void)qp;
	if (fails("ibv_query_ece"))
		return errno;
	*out = fake.ece;
	return 0;
}

static int set_ece(struct ibv_qp *qp, struct ibv_ece *ece)
{
	(void)qp;
	if (fails("ibv_set_ece"))
		return errno;
	fake.set_ece = *ece;
	return 0;
}

const struct fr_verbs fake_verbs = {
	.get_device_list = get_device_list,
	.free_device_list = free_device_list,
	.get_device_name = get_device_name,
	.open_device = open_device,
	.close_device = close_device,
	.query_device = query_device,
	.query_port = query_port,
	.query_gid_ex = query_gid_ex,
	.alloc_pd = alloc_pd,
	.dealloc_pd = dealloc_pd,
	.reg_mr = reg_mr,
	.reg_mr_iova2 = reg_mr_iova2,
	.reg_dmabuf_mr = reg_dmabuf_mr,
	.dereg_mr = dereg_mr,
	.create_comp_channel = create_comp_channel,
	.destroy_comp_channel = destroy_comp_channel,
	.create_cq = create_cq,
	.destroy_cq = destroy_cq,
	.ack_cq_events = ack_cq_events,
	.create_qp = create_qp,
	.modify_qp = modify_qp,
	.destroy_qp = destroy_qp,
	.query_ece = query_ece,
	.set_ece = set_ece,
};

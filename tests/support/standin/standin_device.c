/* standin_device.c - devices, contexts, ports, GIDs, protection domains. */
#include "tests/support/standin/standin_local.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* verbs.h renames these to inline functions of its own; here are the real ones. */
#undef ibv_query_port

static struct ibv_device devices[STANDIN_DEVICES_MAX];

STANDIN_EXPORT struct ibv_device **ibv_get_device_list(int *n_out)
{
	if (standin_begin() != 0)
		return NULL;
	const uint32_t n = standin_self.config.n_devices;
	struct ibv_device **list = calloc(n + 1, sizeof *list);
	if (list == NULL)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		struct ibv_device *d = &devices[i];
		snprintf(d->name, sizeof d->name, "standin%u", i);
		snprintf(d->dev_name, sizeof d->dev_name, "uverbs%u", i);
		/* No sysfs: there is no such directory. */
		snprintf(d->dev_path, sizeof d->dev_path, "/sys/class/infiniband_verbs/uverbs%u",
		         i);
		snprintf(d->ibdev_path, sizeof d->ibdev_path, "/sys/class/infiniband/standin%u", i);
		d->node_type = IBV_NODE_CA;
		d->transport_type = IBV_TRANSPORT_IB;
		list[i] = d;
	}
	if (n_out != NULL)
		*n_out = (int)n;
	return list;
}

STANDIN_EXPORT void ibv_free_device_list(struct ibv_device **list)
{
	free(list);
}

STANDIN_EXPORT const char *ibv_get_device_name(struct ibv_device *device)
{
	return device->name;
}

STANDIN_EXPORT __be64 ibv_get_device_guid(struct ibv_device *device)
{
	const uint64_t index = (uint64_t)(device - devices) + standin_self.config.first_device;
	return htobe64(0x020000fffe000000u + index + 1);
}

STANDIN_EXPORT int ibv_get_device_index(struct ibv_device *device)
{
	return (int)(device - devices);
}

static struct standin_context *context_of(struct ibv_context *context)
{
	return (struct standin_context *)((char *)context -
	                                  offsetof(struct standin_context, verbs) -
	                                  offsetof(struct verbs_context, context));
}

STANDIN_EXPORT struct ibv_context *ibv_open_device(struct ibv_device *device)
{
	if (standin_join() != 0)
		return NULL;
	struct standin_self *s = &standin_self;
	struct standin_context *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->device = s->config.first_device + (uint32_t)(device - devices);
	int fd;
	c->queue = standin_queue_create(s->table, s->slot, c->device, &fd);
	if (c->queue == STANDIN_NONE) {
		free(c);
		return NULL;
	}
	struct ibv_context *context = &c->verbs.context;
	context->device = device;
	context->ops.post_send = standin_post_send;
	context->ops.post_recv = standin_post_recv;
	context->ops.poll_cq = standin_poll_cq;
	context->ops.req_notify_cq = standin_req_notify_cq;
	c->verbs.sz = sizeof c->verbs;
	c->verbs.create_qp_ex = standin_create_qp_ex;
	context->abi_compat = __VERBS_ABI_IS_EXTENDED;
	context->num_comp_vectors = 1;
	context->cmd_fd = -1;
	context->async_fd = fd;
	pthread_mutex_init(&context->mutex, NULL);
	s->me->n_contexts++;
	return context;
}

STANDIN_EXPORT int ibv_close_device(struct ibv_context *context)
{
	struct standin_self *s = &standin_self;
	struct standin_context *c = context_of(context);
	standin_queue_destroy(s->table, c->queue, context->async_fd);
	pthread_mutex_destroy(&context->mutex);
	if (s->slot != STANDIN_NONE)
		s->me->n_contexts--;
	free(c);
	return 0;
}

STANDIN_EXPORT int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
	const struct standin_self *s = &standin_self;
	memset(attr, 0, sizeof *attr);
	snprintf(attr->fw_ver, sizeof attr->fw_ver, "1.0");
	attr->node_guid = attr->sys_image_guid = ibv_get_device_guid(context->device);
	attr->max_mr_size = UINT64_MAX;
	attr->page_size_cap = ~(uint64_t)(STANDIN_PAGE - 1);
	attr->vendor_id = 0x5d1;
	attr->vendor_part_id = 1;
	attr->max_qp = STANDIN_QPS - 1;
	attr->max_qp_wr = STANDIN_WR_MAX;
	attr->device_cap_flags = IBV_DEVICE_RC_RNR_NAK_GEN;
	attr->max_sge = attr->max_sge_rd = STANDIN_SGES;
	attr->max_cq = STANDIN_CQS;
	attr->max_cqe = STANDIN_CQE_MAX;
	attr->max_mr = STANDIN_MRS;
	attr->max_pd = 1 << 20;
	attr->max_qp_rd_atom = attr->max_qp_init_rd_atom = 16;
	attr->max_res_rd_atom = 16 * STANDIN_QPS;
	attr->atomic_cap = IBV_ATOMIC_HCA;
	attr->max_pkeys = 1;
	attr->local_ca_ack_delay = 15;
	attr->phys_port_cnt = 1;
	return s->table != NULL ? 0 : ENODEV;
}

/* port_fill - what a caller of any age has room for: up to port_cap_flags2. */
static void port_fill(const struct standin_device *d, uint32_t index, struct ibv_port_attr *a)
{
	const struct standin_config *c = &standin_self.config;
	const bool is_up = d->port == STANDIN_PORT_UP;
	memset(a, 0, offsetof(struct ibv_port_attr, port_cap_flags2));
	a->state = is_up ? IBV_PORT_ACTIVE : IBV_PORT_DOWN;
	a->max_mtu = a->active_mtu = IBV_MTU_4096;
	a->gid_tbl_len = c->is_infiniband ? 1 : STANDIN_GIDS;
	a->max_msg_sz = (uint32_t)c->max_msg;
	a->pkey_tbl_len = 1;
	a->lid = c->is_infiniband ? (uint16_t)(index + 1) : 0;
	a->active_width = 2;  /* 4x */
	a->active_speed = 32; /* EDR: 25 Gb/s a lane */
	a->phys_state = is_up ? 5 : 3;
	a->link_layer = c->is_infiniband ? IBV_LINK_LAYER_INFINIBAND : IBV_LINK_LAYER_ETHERNET;
	a->flags = c->is_infiniband ? 0 : IBV_QPF_GRH_REQUIRED;
}

STANDIN_EXPORT int ibv_query_port(struct ibv_context *context, uint8_t port,
                                  struct _compat_ibv_port_attr *attr)
{
	if (port != 1)
		return EINVAL;
	const uint32_t index = context_of(context)->device;
	port_fill(&standin_self.table->devices[index], index, (struct ibv_port_attr *)attr);
	return 0;
}

STANDIN_EXPORT int ibv_query_pkey(struct ibv_context *context, uint8_t port, int index,
                                  __be16 *pkey)
{
	(void)context;
	if (port != 1 || index != 0) {
		errno = EINVAL;
		return -1;
	}
	*pkey = 0xffff;
	return 0;
}

STANDIN_EXPORT int ibv_get_pkey_index(struct ibv_context *context, uint8_t port, __be16 pkey)
{
	(void)context;
	return port == 1 && pkey == 0xffff ? 0 : -1;
}

/* ---- GIDs ---- */

static const struct standin_gid *gid_at(struct ibv_context *context, uint32_t port, uint32_t index)
{
	const uint32_t n = standin_self.config.is_infiniband ? 1 : STANDIN_GIDS;
	if (port != 1 || index >= n)
		return NULL;
	return &standin_self.table->devices[context_of(context)->device].gids[index];
}

/* An entry that was removed reads as zeros, as in the kernel's table. */
STANDIN_EXPORT int ibv_query_gid(struct ibv_context *context, uint8_t port, int index,
                                 union ibv_gid *gid)
{
	const struct standin_gid *g = gid_at(context, port, (uint32_t)index);
	if (g == NULL) {
		errno = EINVAL;
		return -1;
	}
	memset(gid, 0, sizeof *gid);
	if (g->mode != STANDIN_GID_REMOVED)
		memcpy(gid, g->raw, sizeof *gid);
	return 0;
}

STANDIN_EXPORT int _ibv_query_gid_ex(struct ibv_context *context, uint32_t port, uint32_t index,
                                     struct ibv_gid_entry *entry, uint32_t flags, size_t bytes)
{
	const struct standin_gid *g = gid_at(context, port, index);
	if (g == NULL || flags != 0 || bytes < sizeof *entry)
		return EINVAL;
	if (g->mode == STANDIN_GID_REMOVED)
		return ENODATA;
	memset(entry, 0, sizeof *entry);
	memcpy(&entry->gid, g->raw, sizeof entry->gid);
	entry->gid_index = index;
	entry->port_num = port;
	entry->gid_type =
		standin_self.config.is_infiniband ? IBV_GID_TYPE_IB : IBV_GID_TYPE_ROCE_V2;
	return 0;
}

STANDIN_EXPORT ssize_t _ibv_query_gid_table(struct ibv_context *context,
                                            struct ibv_gid_entry *entries, size_t max,
                                            uint32_t flags, size_t bytes)
{
	ssize_t n = 0;
	if (flags != 0 || bytes < sizeof *entries)
		return -EINVAL;
	for (uint32_t i = 0; i < STANDIN_GIDS && (size_t)n < max; i++)
		if (_ibv_query_gid_ex(context, 1, i, &entries[n], 0, bytes) == 0)
			n++;
	return n;
}

/* Private to rdma-core, but librdmacm and old programs ask for it; 1 is RoCE v2 there. */
STANDIN_EXPORT int ibv_query_gid_type(struct ibv_context *context, uint8_t port, unsigned int index,
                                      int *type);
STANDIN_EXPORT int ibv_query_gid_type(struct ibv_context *context, uint8_t port, unsigned int index,
                                      int *type)
{
	const struct standin_gid *g = gid_at(context, port, index);
	if (g == NULL) {
		errno = EINVAL;
		return -1;
	}
	*type = standin_self.config.is_infiniband ? 0 : 1;
	return 0;
}

/* ---- protection domains ---- */

STANDIN_EXPORT struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
	struct standin_self *s = &standin_self;
	struct standin_pd *pd = calloc(1, sizeof *pd);
	if (pd == NULL)
		return NULL;
	pd->pd.context = context;
	standin_lock(&s->table->lock);
	pd->pd.handle = ++s->table->next_pd;
	standin_unlock(&s->table->lock);
	s->me->n_pds++;
	return &pd->pd;
}

STANDIN_EXPORT int ibv_dealloc_pd(struct ibv_pd *pd)
{
	struct standin_self *s = &standin_self;
	if (((struct standin_pd *)pd)->n_users != 0)
		return EBUSY;
	if (s->slot != STANDIN_NONE)
		s->me->n_pds--;
	free(pd);
	return 0;
}

/* ---- fork: shared pages are as good as pinned ones ---- */

STANDIN_EXPORT int ibv_fork_init(void)
{
	return 0;
}

STANDIN_EXPORT enum ibv_fork_status ibv_is_fork_initialized(void)
{
	return IBV_FORK_UNNEEDED;
}

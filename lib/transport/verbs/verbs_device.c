/* verbs_device.c - the ports of this host, one of them opened, and memory registered with it. */
#include "config.h"

#include "lib/transport/verbs/verbs_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/descriptors.h"
#include "lib/base/parse.h"
#include "lib/base/settings.h"
#include "lib/transport/verbs/verbs_numa.h"

/* The index of an entry is a byte in struct fr_gid. */
#define TABLE_MAX 256
/* In sysfs, where the kernel tells what libibverbs cannot. */
#define SYS "/sys"

/* ---- one port ---- */

/* In 0.1 Gb/s; 0 when the codes are none that is known. */
static uint64_t link_speed(const struct ibv_port_attr *attr)
{
	static const struct {
		uint8_t code;
		uint16_t lane_x10;
	} speeds[] = {{1, 25},   {2, 50},   {4, 100},  {8, 100},
	              {16, 140}, {32, 250}, {64, 500}, {128, 1000}};
	static const struct {
		uint8_t code, lanes;
	} widths[] = {{1, 1}, {2, 4}, {4, 8}, {8, 12}, {16, 2}};
	uint64_t speed = 0, lanes = 0;

	for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++)
		if (speeds[i].code == attr->active_speed)
			speed = speeds[i].lane_x10;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
		if (widths[i].code == attr->active_width)
			lanes = widths[i].lanes;
	return speed * lanes;
}

/* Libraries without ibv_query_gid_ex(): sysfs says "IB/RoCE v1" or "RoCE v2". */
static uint8_t read_gid_type(const struct fr_verbs_port *port, int index)
{
	char path[256], line[32] = "";

	snprintf(path, sizeof(path), SYS "/class/infiniband/%s/ports/%d/gid_attrs/types/%d",
	         port->device, port->port, index);
	FILE *file = fopen(path, "re");
	if (file) {
		if (!fgets(line, sizeof(line), file))
			line[0] = '\0';
		fclose(file);
	}
	return strstr(line, "v1") ? FR_GID_ROCE_V1 : FR_GID_ROCE_V2;
}

static bool read_gid(const struct fr_verbs *v, struct ibv_context *context,
                     const struct fr_verbs_port *port, int index, struct fr_gid *out)
{
	struct ibv_gid_entry entry;
	union ibv_gid gid;

	*out = (struct fr_gid){.index = (uint8_t)index};
	if (v->query_gid_ex &&
	    v->query_gid_ex(context, (uint32_t)port->port, (uint32_t)index, &entry, 0) == 0) {
		memcpy(out->raw, entry.gid.raw, sizeof(out->raw));
		out->type = entry.gid_type == IBV_GID_TYPE_ROCE_V2   ? FR_GID_ROCE_V2
		            : entry.gid_type == IBV_GID_TYPE_ROCE_V1 ? FR_GID_ROCE_V1
		                                                     : FR_GID_IB;
	} else if (!v->query_gid_ex &&
	           v->query_gid(context, (uint8_t)port->port, index, &gid) == 0) {
		memcpy(out->raw, gid.raw, sizeof(out->raw));
		out->type = port->is_ethernet ? read_gid_type(port, index) : FR_GID_IB;
	} else {
		return false;
	}
	/* Some drivers call a v1 entry of an Ethernet port "IB": it is the same packet format. */
	if (port->is_ethernet && out->type == FR_GID_IB)
		out->type = FR_GID_ROCE_V1;
	return true;
}

static int read_gids(const struct fr_verbs *v, struct ibv_context *context,
                     const struct fr_verbs_port *port, int table_len,
                     struct fr_gid out[FR_VERBS_GIDS_MAX])
{
	struct fr_gid all[TABLE_MAX];
	int n = 0;

	for (int i = 0; i < table_len && i < TABLE_MAX; i++)
		if (read_gid(v, context, port, i, &all[n]))
			n++;
	return fr_gids_choose(all, n, (int)fr_settings()->ib_gid_index, out, FR_VERBS_GIDS_MAX);
}

/* Why an existing port cannot be used, or "". */
static void judge_port(const struct ibv_port_attr *attr, int n_gids, struct fr_verbs_port *port)
{
	const int64_t forced = fr_settings()->ib_gid_index;
	char *why = port->why_not;

	why[0] = '\0';
	if (attr->state == IBV_PORT_DOWN || attr->state == IBV_PORT_NOP)
		snprintf(why, sizeof(port->why_not), "port is down; look at %s",
		         port->is_ethernet ? "`rdma link` and bring its interface up by `ip link`"
		                           : "the cable and `ibstat`");
	else if (!port->is_active)
		snprintf(why, sizeof(port->why_not), "port is not active; %s",
		         port->is_ethernet ? "look at `rdma link`"
		                           : "is a subnet manager running?");
	else if (n_gids == 0 && forced >= 0)
		snprintf(why, sizeof(port->why_not),
		         "FERRULE_IB_GID_INDEX=%d: the port has no GID there; see `rdma link` and "
		         "`ibv_devinfo -v`",
		         (int)forced);
	else if (n_gids == 0)
		snprintf(why, sizeof(port->why_not),
		         "no GID; has its network interface an address (`ip address`)?");
	else if (fr_settings()->ib_pkey_index >= attr->pkey_tbl_len && attr->pkey_tbl_len > 0)
		snprintf(why, sizeof(port->why_not),
		         "FERRULE_IB_PKEY_INDEX=%d: the port has %d partition keys",
		         (int)fr_settings()->ib_pkey_index, attr->pkey_tbl_len);
}

/* Reads the port once more; errno value of the call that failed, or 0. */
static int read_port(const struct fr_verbs *v, struct ibv_context *context,
                     struct fr_verbs_port *port, struct ibv_port_attr *attr,
                     struct fr_gid gids[FR_VERBS_GIDS_MAX], int *n_gids)
{
	const int rc = v->query_port(context, (uint8_t)port->port, attr);

	if (rc != 0)
		return fr_verbs_errno(rc);
	port->is_active = attr->state == IBV_PORT_ACTIVE;
	port->is_ethernet = attr->link_layer == IBV_LINK_LAYER_ETHERNET;
	port->gbps_x10 = link_speed(attr);
	port->mtu = fr_verbs_mtu_bytes((int)attr->active_mtu);
	*n_gids = read_gids(v, context, port, attr->gid_tbl_len, gids);
	judge_port(attr, *n_gids, port);
	return 0;
}

/* ---- all ports ---- */

int fr_verbs_hca_allows(const char *filter, const char *device, int port)
{
	const bool excludes = filter[0] == '^';
	const char *at = excludes ? filter + 1 : filter;
	bool is_named = false;

	if (filter[0] == '\0')
		return 1;
	for (bool more = true; more;) {
		const size_t length = strcspn(at, ",");
		const size_t name = strcspn(at, ":,");
		char number[8] = "";
		int64_t wanted = 0;

		if (name == 0 || length - name > sizeof(number))
			return -1;
		if (name < length) {
			memcpy(number, at + name + 1, length - name - 1);
			if (!fr_parse_int(number, 1, 254, &wanted))
				return -1;
		}
		/* An exclusion of one port leaves the device's other ports. */
		const bool port_fits = wanted == 0 || wanted == port || (port == 0 && !excludes);
		if (strlen(device) == name && strncmp(device, at, name) == 0 && port_fits)
			is_named = true;
		more = at[length] == ',';
		at += length + 1;
	}
	return is_named != excludes;
}

/* What keeps all ports of a device from being used, or NULL. */
static const char *judge_device(const struct ibv_device *device)
{
	if (device->transport_type == IBV_TRANSPORT_IWARP)
		return "iWARP has no write with immediate data";
	if (device->transport_type != IBV_TRANSPORT_IB || device->node_type != IBV_NODE_CA)
		return "the device has no reliable connected queue pairs";
	return NULL;
}

static void describe(const struct fr_verbs *v, struct ibv_context *context,
                     const struct ibv_device *device, uint32_t vendor, struct fr_verbs_port *port)
{
	struct ibv_port_attr attr;
	struct fr_gid gids[FR_VERBS_GIDS_MAX];
	const char *refused = judge_device(device);
	int n_gids = 0;

	port->vendor_id = vendor;
	const int error = read_port(v, context, port, &attr, gids, &n_gids);
	if (error != 0)
		snprintf(port->why_not, sizeof(port->why_not), "ibv_query_port: %s",
		         strerror(error));
	else if (refused)
		snprintf(port->why_not, sizeof(port->why_not), "%s", refused);
}

static void unusable_device(struct fr_verbs_port *port, const char *name, int error)
{
	char why[400];

	fr_verbs_explain(port, FR_VERBS_OPEN, name, error, why, sizeof(why));
	/* The row has device and port already. */
	const char *text = strstr(why, name);
	snprintf(port->why_not, sizeof(port->why_not), "%.119s", text ? text : why);
}

/* Appends the allowed ports of one device; returns how many. */
static int add_device(const struct fr_verbs *v, struct ibv_device *device,
                      struct fr_verbs_port *out, int max)
{
	const char *filter = fr_settings()->ib_hca;
	const char *name = v->get_device_name(device);
	struct fr_verbs_port found = {.port = 1};
	struct ibv_device_attr attr;
	int n = 0;

	if (max == 0 || !name || fr_verbs_hca_allows(filter, name, 0) != 1)
		return 0;
	snprintf(found.device, sizeof(found.device), "%s", name);
	found.distance = fr_verbs_numa_distance(SYS, name, &found.numa_node);
	struct ibv_context *context = v->open_device(device);
	if (!context) {
		unusable_device(&found, "ibv_open_device", fr_verbs_errno(-1));
		*out = found;
		return 1;
	}
	const int rc = v->query_device(context, &attr);
	if (rc != 0) {
		unusable_device(&found, "ibv_query_device", fr_verbs_errno(rc));
		out[n++] = found;
	}
	for (int port = 1; rc == 0 && port <= attr.phys_port_cnt && n < max; port++) {
		if (fr_verbs_hca_allows(filter, name, port) != 1)
			continue;
		out[n] = found;
		out[n].port = port;
		describe(v, context, device, attr.vendor_id, &out[n]);
		n++;
	}
	v->close_device(context);
	return n;
}

static int compare_ports(const void *left, const void *right)
{
	const struct fr_verbs_port *a = left, *b = right;
	const bool a_fails = a->why_not[0] != '\0', b_fails = b->why_not[0] != '\0';

	if (a_fails != b_fails)
		return a_fails ? 1 : -1;
	if (a->distance != b->distance)
		return a->distance < b->distance ? -1 : 1;
	if (a->gbps_x10 != b->gbps_x10)
		return a->gbps_x10 > b->gbps_x10 ? -1 : 1;
	const int names = strverscmp(a->device, b->device);
	return names != 0 ? names : a->port - b->port;
}

static void explain_none(const struct fr_verbs *v, struct ibv_device **list, int n_devices,
                         char *why, size_t why_bytes)
{
	int used = snprintf(why, why_bytes, "FERRULE_IB_HCA=%s allows none of the devices here: ",
	                    fr_settings()->ib_hca);

	for (int i = 0; i < n_devices && used >= 0 && (size_t)used < why_bytes; i++)
		used += snprintf(why + used, why_bytes - (size_t)used, "%s%s", i ? ", " : "",
		                 v->get_device_name(list[i]));
}

int fr_verbs_ports(const struct fr_verbs *v, struct fr_verbs_port *out, int max, char *why,
                   size_t why_bytes)
{
	const char *filter = fr_settings()->ib_hca;
	int n_devices = 0, n = 0;

	if (fr_verbs_hca_allows(filter, "", 0) < 0) {
		snprintf(why, why_bytes,
		         "FERRULE_IB_HCA=%s: must be DEVICE[:PORT], comma-separated, with ports "
		         "of 1 to 254; ^ first excludes them",
		         filter);
		return -1;
	}
	errno = 0;
	struct ibv_device **list = v->get_device_list(&n_devices);
	if (!list || n_devices == 0) {
		const int error = list ? 0 : errno;

		if (list)
			v->free_device_list(list);
		snprintf(why, why_bytes, "this host has no RDMA device%s%s; see `rdma link`",
		         error ? ": ibv_get_device_list: " : "",
		         error == ENOSYS ? "the kernel module ib_uverbs is not loaded"
		         : error         ? strerror(error)
		                         : "");
		return -1;
	}
	for (int i = 0; i < n_devices; i++)
		n += add_device(v, list[i], out + n, max - n);
	if (n == 0)
		explain_none(v, list, n_devices, why, why_bytes);
	v->free_device_list(list);
	qsort(out, (size_t)n, sizeof(*out), compare_ports);
	return n;
}

/* ---- open and close ---- */

/* The context, or NULL with errno and the name of the call that failed. */
static struct ibv_context *open_by_name(const struct fr_verbs *v, const char *name,
                                        const char **call)
{
	int n = 0, error = ENODEV;
	struct ibv_context *context = NULL;

	errno = 0;
	*call = "ibv_get_device_list";
	struct ibv_device **list = v->get_device_list(&n);
	if (!list)
		return NULL;
	*call = "ibv_open_device";
	for (int i = 0; i < n && !context; i++) {
		if (strcmp(v->get_device_name(list[i]), name) != 0)
			continue;
		errno = 0;
		context = v->open_device(list[i]);
		error = context ? 0 : fr_verbs_errno(-1);
	}
	v->free_device_list(list);
	errno = error;
	return context;
}

static int set_nonblocking(int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static ferrule_status_t read_state(struct fr_verbs_device *d, char *why, size_t why_bytes)
{
	struct fr_verbs_port port = d->port;
	struct ibv_port_attr attr;
	struct fr_gid gids[FR_VERBS_GIDS_MAX];
	int n_gids = 0;

	const int error = read_port(d->v, d->context, &port, &attr, gids, &n_gids);
	if (error != 0)
		return fr_verbs_explain(&d->port, FR_VERBS_OPEN, "ibv_query_port", error, why,
		                        why_bytes);
	d->port = port;
	d->lid = attr.lid;
	d->needs_grh = (attr.flags & IBV_QPF_GRH_REQUIRED) != 0;
	d->n_gids = n_gids;
	memcpy(d->gids, gids, sizeof(gids[0]) * (size_t)n_gids);
	fr_verbs_tune(fr_settings(), &d->attr, &attr, &d->tuning);
	if (port.why_not[0] == '\0')
		return FERRULE_OK;
	snprintf(why, why_bytes, "%s port %d: %s", port.device, port.port, port.why_not);
	return FERRULE_ERR_TRANSPORT;
}

static ferrule_status_t make_queues(struct fr_verbs_device *d, int cq_entries, char *why,
                                    size_t why_bytes)
{
	const struct fr_verbs *v = d->v;
	const char *call = "ibv_alloc_pd";

	if (cq_entries > d->attr.max_cqe) {
		snprintf(
			why, why_bytes,
			"%s port %d: a completion queue of %d entries is needed, the device allows "
			"%d; try fewer FERRULE_IB_QPS_PER_PEER or FERRULE_IB_SLOTS",
			d->port.device, d->port.port, cq_entries, d->attr.max_cqe);
		return FERRULE_ERR_UNSUPPORTED;
	}
	errno = 0;
	d->pd = v->alloc_pd(d->context);
	if (d->pd) {
		call = "ibv_create_comp_channel";
		d->channel = v->create_comp_channel(d->context);
	}
	if (d->channel) {
		call = "fcntl(O_NONBLOCK)";
		if (set_nonblocking(d->channel->fd) == 0 &&
		    set_nonblocking(d->context->async_fd) == 0) {
			fr_fd_own(d->channel->fd);
			fr_fd_own(d->context->async_fd);
			call = "ibv_create_cq";
			d->cq = v->create_cq(d->context, cq_entries, d, d->channel, 0);
		}
	}
	if (d->cq)
		return FERRULE_OK;
	return fr_verbs_explain(&d->port, FR_VERBS_CREATE, call, fr_verbs_errno(-1), why,
	                        why_bytes);
}

ferrule_status_t fr_verbs_device_open(const struct fr_verbs *v, const struct fr_verbs_port *port,
                                      int cq_entries, struct fr_verbs_device *out, char *why,
                                      size_t why_bytes)
{
	struct fr_verbs_device *d = out;
	ferrule_status_t status = FERRULE_OK;
	const char *call;

	*d = (struct fr_verbs_device){.v = v, .port = *port};
	d->context = open_by_name(v, port->device, &call);
	if (!d->context)
		return fr_verbs_explain(port, FR_VERBS_OPEN, call, fr_verbs_errno(-1), why,
		                        why_bytes);
	const int rc = v->query_device(d->context, &d->attr);
	if (rc != 0)
		status = fr_verbs_explain(port, FR_VERBS_OPEN, "ibv_query_device",
		                          fr_verbs_errno(rc), why, why_bytes);
	if (status == FERRULE_OK)
		status = read_state(d, why, why_bytes);
	if (status == FERRULE_OK)
		status = make_queues(d, cq_entries, why, why_bytes);
	if (status != FERRULE_OK)
		fr_verbs_device_close(d);
	return status;
}

void fr_verbs_device_close(struct fr_verbs_device *d)
{
	const struct fr_verbs *v = d->v;

	/* Destroying a queue waits until each of its events was acknowledged. */
	if (d->cq && d->events_unacked)
		v->ack_cq_events(d->cq, d->events_unacked);
	if (d->cq)
		v->destroy_cq(d->cq);
	if (d->channel) {
		fr_fd_forget(d->channel->fd);
		fr_fd_forget(d->context->async_fd);
		v->destroy_comp_channel(d->channel);
	}
	if (d->pd)
		v->dealloc_pd(d->pd);
	if (d->context)
		v->close_device(d->context);
	*d = (struct fr_verbs_device){.v = v, .port = d->port};
}

ferrule_status_t fr_verbs_device_refresh(struct fr_verbs_device *d, char *why, size_t why_bytes)
{
	return read_state(d, why, why_bytes);
}

/* ---- memory ---- */

static struct ibv_mr *register_once(struct fr_verbs_device *d, const struct fr_verbs_memory *m,
                                    int access)
{
	const struct fr_verbs *v = d->v;
	const uint64_t address = (uint64_t)(uintptr_t)m->base;

	errno = 0;
	if (m->dmabuf_fd >= 0) {
		if (v->reg_dmabuf_mr)
			return v->reg_dmabuf_mr(d->pd, m->dmabuf_offset, m->bytes, address,
			                        m->dmabuf_fd, access);
		errno = EOPNOTSUPP;
		return NULL;
	}
	/* Only the newer call lets a kernel ignore a wish, such as this one, that it does not
	 * know. */
	if (access & IBV_ACCESS_RELAXED_ORDERING)
		return v->reg_mr_iova2(d->pd, m->base, m->bytes, address, (unsigned)access);
	return v->reg_mr(d->pd, m->base, m->bytes, access);
}

struct ibv_mr *fr_verbs_register(struct fr_verbs_device *d, const struct fr_verbs_memory *memory,
                                 int access, bool is_data, char *why, size_t why_bytes)
{
	const bool is_plain = memory->dmabuf_fd < 0;
	const bool relaxed =
		is_data && d->tuning.relaxed_ordering && (!is_plain || d->v->reg_mr_iova2);
	const char *call = !is_plain ? "ibv_reg_dmabuf_mr"
	                   : relaxed ? "ibv_reg_mr_iova2"
	                             : "ibv_reg_mr";
	char what[64];
	struct ibv_mr *mr =
		register_once(d, memory, relaxed ? access | IBV_ACCESS_RELAXED_ORDERING : access);

	/* A driver that refuses the order, and not the memory, says one of these. */
	if (!mr && relaxed && (errno == EINVAL || (is_plain && errno == EOPNOTSUPP))) {
		mr = register_once(d, memory, access);
		call = is_plain ? "ibv_reg_mr" : call;
	}
	if (mr)
		return mr;
	const int error = fr_verbs_errno(-1);
	snprintf(what, sizeof(what), "%s of %zu bytes", call, memory->bytes);
	fr_verbs_explain(&d->port, FR_VERBS_REGISTER, what, error, why, why_bytes);
	return NULL;
}

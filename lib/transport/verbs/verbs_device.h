/*
 * verbs_device.h - which RDMA ports there are, which are used, and one opened.
 *
 * The transport opens one device object a rail and communicator: a context, a protection domain
 * of its own (so that a key of another communicator is refused by the hardware), one completion
 * queue for sends and receives of all its queue pairs, and one completion channel.
 */
#ifndef FR_VERBS_DEVICE_H
#define FR_VERBS_DEVICE_H

#include "lib/transport/verbs/verbs_api.h"

#include <stdint.h>

#include <ferrule/status.h>

#define FR_VERBS_RAILS_MAX 4
#define FR_VERBS_GIDS_MAX  16

enum fr_gid_type { FR_GID_IB, FR_GID_ROCE_V1, FR_GID_ROCE_V2 };
/* One usable entry of a port's GID table.  Travels in notes. */
struct fr_gid {
	unsigned char raw[16];
	uint8_t index; /* in the port's table */
	uint8_t type;  /* enum fr_gid_type */
	uint8_t zero[2];
};

/* A port as found, before it is opened. */
struct fr_verbs_port {
	char device[64];
	int port;
	bool is_active;
	bool is_ethernet; /* RoCE */
	uint32_t vendor_id;
	uint64_t gbps_x10; /* link speed in 0.1 Gb/s */
	int mtu;           /* active, bytes */
	int numa_node;     /* -1 unknown */
	int distance;      /* to this process's cores: 0 same NUMA node, higher is farther */
	char why_not[120]; /* "" when usable */
};

/* fr_verbs_ports - all ports of all devices that FERRULE_IB_HCA allows ("name[:port]",
 * comma-separated, ^ first excludes), nearest and fastest first; -1 and `why` without any device
 * at all; 0 and `why` when FERRULE_IB_HCA allows none of them.  Ports that cannot be used are last
 * and say why. */
int fr_verbs_ports(const struct fr_verbs *v, struct fr_verbs_port *out, int max, char *why,
                   size_t why_bytes);
/* fr_verbs_hca_allows - one port against the text of FERRULE_IB_HCA: 1 or 0, and -1 when the text
 * has an empty name or a port that is not 1 to 254.  Port 0: may any port of it be used? */
int fr_verbs_hca_allows(const char *filter, const char *device, int port);

/* What the settings and the device together make of a queue pair (see fr_verbs_tune()). */
struct fr_verbs_tuning {
	int timeout, retry, rnr_retry, min_rnr_timer;
	int service_level, traffic_class, hop_limit, pkey_index;
	int mtu;        /* bytes, at most the active one */
	int max_inline; /* asked of create_qp; use what it returns */
	bool relaxed_ordering;
};

struct fr_verbs_device {
	const struct fr_verbs *v;
	struct fr_verbs_port port;
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_comp_channel *channel; /* its fd does not block, nor does context->async_fd */
	struct ibv_device_attr attr;
	struct fr_verbs_tuning tuning;
	uint16_t lid;
	bool needs_grh; /* an InfiniBand port that takes no packet without a GID */
	int n_gids;
	struct fr_gid gids[FR_VERBS_GIDS_MAX]; /* usable ones, best first */
	unsigned events_unacked;
};

/* fr_verbs_device_open - opens the port with a CQ of at least cq_entries.  Frees all on failure. */
ferrule_status_t fr_verbs_device_open(const struct fr_verbs *v, const struct fr_verbs_port *port,
                                      int cq_entries, struct fr_verbs_device *out, char *why,
                                      size_t why_bytes);
void fr_verbs_device_close(struct fr_verbs_device *d);
/* fr_verbs_device_refresh - reads port state and GIDs again, after a port event or a fault. */
ferrule_status_t fr_verbs_device_refresh(struct fr_verbs_device *d, char *why, size_t why_bytes);
/* A piece of memory.  dmabuf_fd < 0: ordinary memory at `base`; otherwise the buffer behind the
 * descriptor from dmabuf_offset on, which the device will know by the addresses from `base`. */
struct fr_verbs_memory {
	void *base;
	size_t bytes;
	int dmabuf_fd;
	uint64_t dmabuf_offset;
};
/*
 * fr_verbs_register - a registration with the rights given (IBV_ACCESS_*); relaxed ordering is
 * added where the device and `is_data` allow it.  NULL and `why`, which names the locked-memory
 * limit when that is the reason.
 */
struct ibv_mr *fr_verbs_register(struct fr_verbs_device *d, const struct fr_verbs_memory *memory,
                                 int access, bool is_data, char *why, size_t why_bytes);

/* ---- queue pairs ---- */

/* What one end of a queue pair must know of the other.  Travels in notes. */
struct fr_verbs_end {
	uint32_t qp_num, psn;
	uint16_t lid;
	uint8_t is_ethernet, mtu_code; /* enum ibv_mtu */
	struct fr_gid gid;
	/* Enhanced connection establishment: what the device could agree on beyond the standard;
	 * 0, 0 for nothing. */
	uint32_t ece_vendor, ece_options;
};

struct fr_verbs_qp_params {
	int send_wr, recv_wr, send_sge;
	int access; /* IBV_ACCESS_REMOTE_* that the peer gets */
};
/* fr_verbs_qp_create - creates and moves to INIT; psn_out is drawn at random, max_inline_out is
 * what inline sends may hold. */
struct ibv_qp *fr_verbs_qp_create(struct fr_verbs_device *d, const struct fr_verbs_qp_params *p,
                                  uint32_t *psn_out, int *max_inline_out, char *why,
                                  size_t why_bytes);
/* fr_verbs_qp_end - this side's description with the GID chosen (any of the port's on
 * InfiniBand). */
void fr_verbs_qp_end(const struct fr_verbs_device *d, struct ibv_qp *qp, uint32_t psn,
                     const struct fr_gid *gid, struct fr_verbs_end *out);
/* fr_verbs_qp_connect - INIT to RTR to RTS.  Values of `theirs` that no queue pair can have are
 * ERR_PROTOCOL; the queue pair is then still in INIT.  After another error destroy it. */
ferrule_status_t fr_verbs_qp_connect(struct fr_verbs_device *d, struct ibv_qp *qp,
                                     const struct fr_verbs_end *mine,
                                     const struct fr_verbs_end *theirs, char *why,
                                     size_t why_bytes);
/* fr_verbs_qp_stop - to ERR; what is posted is flushed. */
void fr_verbs_qp_stop(struct fr_verbs_device *d, struct ibv_qp *qp);

/* ---- choice of GIDs; pure ---- */

struct fr_gid_pair {
	uint8_t mine, theirs; /* positions in the two lists */
};
/*
 * fr_gids_choose - sorts `all` (n entries of one port's table) and copies the usable ones, best
 * first: RoCE v2 before v1; IPv4 before global IPv6 before link-local.  Empty entries are left
 * out.  forced_index >= 0 (FERRULE_IB_GID_INDEX): only that entry.  Returns how many.
 */
int fr_gids_choose(struct fr_gid *all, int n, int forced_index, struct fr_gid *out, int max);
/*
 * fr_gid_pairs - all pairs of GIDs that could reach each other, best first, the same order on
 * both sides: same type; RoCE v2 before v1; IPv4 in one subnet /24.. before other IPv4 before
 * global IPv6 before link-local.  `i_am_lower`: does this rank have the lower number?
 */
int fr_gid_pairs(const struct fr_gid *mine, int n_mine, const struct fr_gid *theirs, int n_theirs,
                 bool i_am_lower, struct fr_gid_pair *out, int max);
/* fr_gid_text - "192.168.7.1 (v2, index 1)", "fe80::1 (v2, index 0)"; returns buf. */
char *fr_gid_text(const struct fr_gid *gid, char *buf, size_t bytes);

/* ---- words ---- */

/* fr_verbs_status_hint - what a work completion's status means to a user and what to look at. */
const char *fr_verbs_status_text(enum ibv_wc_status status);
const char *fr_verbs_status_hint(enum ibv_wc_status status);
const char *fr_verbs_event_text(enum ibv_event_type event);
/* What was being done when a call failed; chooses the hint. */
enum fr_verbs_call { FR_VERBS_OPEN, FR_VERBS_CREATE, FR_VERBS_REGISTER, FR_VERBS_CONNECT };
/*
 * fr_verbs_explain - "mlx5_0 port 1: ibv_reg_mr: Cannot allocate memory; the locked-memory limit
 * is 8192 KiB..." into `why`.  Returns the status that fits the errno.
 */
ferrule_status_t fr_verbs_explain(const struct fr_verbs_port *port, enum fr_verbs_call call,
                                  const char *name, int error, char *why, size_t why_bytes);
/* fr_verbs_errno - of a call that returns either an errno value or -1 with errno set. */
int fr_verbs_errno(int rc);

/* ---- settings and device; pure ---- */

/* fr_verbs_tune - defaults right for the device (Soft-RoCE, vendor 0xffffff, part 0, takes a
 * retry count of 7 for infinite) and what the settings say on top. */
struct fr_settings;
void fr_verbs_tune(const struct fr_settings *set, const struct ibv_device_attr *device,
                   const struct ibv_port_attr *port, struct fr_verbs_tuning *out);
bool fr_verbs_is_softroce(const struct ibv_device_attr *device);
/* fr_verbs_mtu_bytes, fr_verbs_mtu_code - enum ibv_mtu and what it stands for: 0 for a code that
 * is none; the largest code of at most `bytes`, at least that of 256. */
int fr_verbs_mtu_bytes(int code);
int fr_verbs_mtu_code(int bytes);

#endif

/* verbs_qp.c - reliable connected queue pairs: made, described to the peer, connected, stopped. */
#include "config.h"

#include "lib/transport/verbs/verbs_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Numbers of queue pairs and packets are 24 bits wide. */
#define NUMBER_MAX 0xffffff
/* RDMA reads under way a queue pair; few are ever needed, and each costs the responder memory. */
#define READS_MAX 16

/* ---- create ---- */

/* A number that a stranger cannot guess: packets with others are dropped. */
static bool draw_psn(uint32_t *out)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return false;
	*out = number & NUMBER_MAX;
	return true;
}

/* Asks for fewer inline bytes until the device agrees: none says beforehand what it has. */
static struct ibv_qp *create_rc(struct fr_verbs_device *d, const struct fr_verbs_qp_params *p,
                                int *max_inline_out)
{
	for (int wanted = d->tuning.max_inline;; wanted /= 2) {
		struct ibv_qp_init_attr attr = {
			.qp_context = d,
			.send_cq = d->cq,
			.recv_cq = d->cq,
			.cap = {.max_send_wr = (uint32_t)p->send_wr,
		                .max_recv_wr = (uint32_t)p->recv_wr,
		                .max_send_sge = (uint32_t)p->send_sge,
		                .max_recv_sge = 1,
		                .max_inline_data = (uint32_t)wanted},
			.qp_type = IBV_QPT_RC,
		};
		errno = 0;
		struct ibv_qp *qp = d->v->create_qp(d->pd, &attr);
		if (qp) {
			*max_inline_out = (int)attr.cap.max_inline_data;
			return qp;
		}
		if (wanted == 0 || (errno != EINVAL && errno != ENOMEM))
			return NULL;
	}
}

struct ibv_qp *fr_verbs_qp_create(struct fr_verbs_device *d, const struct fr_verbs_qp_params *p,
                                  uint32_t *psn_out, int *max_inline_out, char *why,
                                  size_t why_bytes)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.pkey_index = (uint16_t)d->tuning.pkey_index,
		.port_num = (uint8_t)d->port.port,
		.qp_access_flags = (unsigned)p->access,
	};
	uint32_t psn;
	int max_inline;

	if (!draw_psn(&psn)) {
		fr_verbs_explain(&d->port, FR_VERBS_CREATE, "getrandom", fr_verbs_errno(-1), why,
		                 why_bytes);
		return NULL;
	}
	struct ibv_qp *qp = create_rc(d, p, &max_inline);
	if (!qp) {
		const int error = fr_verbs_errno(-1);
		char what[96];

		snprintf(what, sizeof(what), "ibv_create_qp (%d sends, %d receives, %d pieces)",
		         p->send_wr, p->recv_wr, p->send_sge);
		fr_verbs_explain(&d->port, FR_VERBS_CREATE, what, error, why, why_bytes);
		return NULL;
	}
	const int rc = d->v->modify_qp(
		qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	if (rc != 0) {
		fr_verbs_explain(&d->port, FR_VERBS_CONNECT, "ibv_modify_qp to INIT",
		                 fr_verbs_errno(rc), why, why_bytes);
		d->v->destroy_qp(qp);
		return NULL;
	}
	*psn_out = psn;
	*max_inline_out = max_inline;
	return qp;
}

void fr_verbs_qp_end(const struct fr_verbs_device *d, struct ibv_qp *qp, uint32_t psn,
                     const struct fr_gid *gid, struct fr_verbs_end *out)
{
	struct ibv_ece ece = {.vendor_id = 0};

	*out = (struct fr_verbs_end){
		.qp_num = qp->qp_num,
		.psn = psn,
		.lid = d->lid,
		.is_ethernet = d->port.is_ethernet,
		.mtu_code = (uint8_t)fr_verbs_mtu_code(d->tuning.mtu),
		.gid = *gid,
	};
	/* Without it both ends offer nothing, and nothing is agreed on. */
	if (d->v->query_ece && d->v->set_ece && d->v->query_ece(qp, &ece) == 0) {
		out->ece_vendor = ece.vendor_id;
		out->ece_options = ece.options;
	}
}

/* ---- connect ---- */

/* What came from the peer is data of a stranger. */
static const char *find_fault(const struct fr_verbs_end *mine, const struct fr_verbs_end *theirs)
{
	if (theirs->qp_num == 0 || theirs->qp_num > NUMBER_MAX)
		return "queue pair number";
	if (theirs->psn > NUMBER_MAX)
		return "packet number";
	if (fr_verbs_mtu_bytes(theirs->mtu_code) == 0)
		return "MTU";
	if (theirs->is_ethernet != mine->is_ethernet)
		return "link layer (one port is InfiniBand, the other Ethernet)";
	if (theirs->gid.type != mine->gid.type)
		return "type of GID";
	return NULL;
}

/*
 * Enhanced connection establishment lets two devices of one vendor use more than the standard
 * has.  Both sides take what both offered, so that they agree without another exchange.
 */
static bool agree_on_ece(struct fr_verbs_device *d, struct ibv_qp *qp,
                         const struct fr_verbs_end *mine, const struct fr_verbs_end *theirs)
{
	struct ibv_ece ece = {.vendor_id = mine->ece_vendor,
	                      .options = mine->ece_options & theirs->ece_options};

	if (!d->v->set_ece || mine->ece_vendor == 0 || mine->ece_vendor != theirs->ece_vendor ||
	    ece.options == 0)
		return false;
	return d->v->set_ece(qp, &ece) == 0;
}

static void set_address(const struct fr_verbs_device *d, const struct fr_verbs_end *mine,
                        const struct fr_verbs_end *theirs, struct ibv_ah_attr *out)
{
	const bool same_subnet = memcmp(mine->gid.raw, theirs->gid.raw, 8) == 0;

	*out = (struct ibv_ah_attr){
		.dlid = theirs->lid,
		.sl = (uint8_t)d->tuning.service_level,
		.port_num = (uint8_t)d->port.port,
	};
	/* InfiniBand within a subnet goes by LID, which saves 40 bytes a packet. */
	if (!mine->is_ethernet && same_subnet && theirs->lid != 0 && !d->needs_grh)
		return;
	out->is_global = 1;
	memcpy(out->grh.dgid.raw, theirs->gid.raw, sizeof(out->grh.dgid.raw));
	out->grh.sgid_index = mine->gid.index;
	out->grh.hop_limit = (uint8_t)d->tuning.hop_limit;
	out->grh.traffic_class = (uint8_t)d->tuning.traffic_class;
}

static uint8_t at_most(int wanted, int limit)
{
	return (uint8_t)(wanted < limit ? wanted : limit);
}

static int to_rtr(struct fr_verbs_device *d, struct ibv_qp *qp, const struct fr_verbs_end *mine,
                  const struct fr_verbs_end *theirs)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = at_most(mine->mtu_code, theirs->mtu_code),
		.dest_qp_num = theirs->qp_num,
		.rq_psn = theirs->psn,
		.max_dest_rd_atomic = at_most(READS_MAX, d->attr.max_qp_rd_atom),
		.min_rnr_timer = (uint8_t)d->tuning.min_rnr_timer,
	};

	set_address(d, mine, theirs, &attr.ah_attr);
	return d->v->modify_qp(qp, &attr,
	                       IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
	                               IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
	                               IBV_QP_MIN_RNR_TIMER);
}

static int to_rts(struct fr_verbs_device *d, struct ibv_qp *qp, const struct fr_verbs_end *mine)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.timeout = (uint8_t)d->tuning.timeout,
		.retry_cnt = (uint8_t)d->tuning.retry,
		.rnr_retry = (uint8_t)d->tuning.rnr_retry,
		.sq_psn = mine->psn,
		.max_rd_atomic = at_most(READS_MAX, d->attr.max_qp_init_rd_atom),
	};

	return d->v->modify_qp(qp, &attr,
	                       IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
	                               IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

static ferrule_status_t explain_path(const struct fr_verbs_device *d, const char *state, int error,
                                     const struct fr_verbs_end *ends[2], char *why,
                                     size_t why_bytes)
{
	char mine[80], theirs[80], what[256];

	snprintf(what, sizeof(what), "ibv_modify_qp to %s (QP 0x%x, %s, to QP 0x%x, LID %u, %s)",
	         state, ends[0]->qp_num, fr_gid_text(&ends[0]->gid, mine, sizeof(mine)),
	         ends[1]->qp_num, ends[1]->lid, fr_gid_text(&ends[1]->gid, theirs, sizeof(theirs)));
	return fr_verbs_explain(&d->port, FR_VERBS_CONNECT, what, error, why, why_bytes);
}

ferrule_status_t fr_verbs_qp_connect(struct fr_verbs_device *d, struct ibv_qp *qp,
                                     const struct fr_verbs_end *mine,
                                     const struct fr_verbs_end *theirs, char *why, size_t why_bytes)
{
	const struct fr_verbs_end *ends[2] = {mine, theirs};
	const char *fault = find_fault(mine, theirs);

	if (fault) {
		snprintf(why, why_bytes, "%s port %d: the peer's description has an impossible %s",
		         d->port.device, d->port.port, fault);
		return FERRULE_ERR_PROTOCOL;
	}
	const bool has_ece = agree_on_ece(d, qp, mine, theirs);
	int rc = to_rtr(d, qp, mine, theirs);
	if (rc != 0 && has_ece) {
		/* A driver may take the options and then refuse the transition with them. */
		struct ibv_ece none = {.vendor_id = 0};

		d->v->set_ece(qp, &none);
		rc = to_rtr(d, qp, mine, theirs);
	}
	if (rc != 0)
		return explain_path(d, "RTR", fr_verbs_errno(rc), ends, why, why_bytes);
	rc = to_rts(d, qp, mine);
	if (rc != 0)
		return explain_path(d, "RTS", fr_verbs_errno(rc), ends, why, why_bytes);
	return FERRULE_OK;
}

void fr_verbs_qp_stop(struct fr_verbs_device *d, struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};

	/* Refused for a queue pair that is in no state to have anything posted. */
	d->v->modify_qp(qp, &attr, IBV_QP_STATE);
}

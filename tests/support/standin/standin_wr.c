/*
 * standin_wr.c - the other way of posting: ibv_wr_start() ... ibv_wr_complete().
 *
 * perftest posts in this way unless it is told otherwise.  Requests are collected as those of
 * ibv_post_send() and posted as one chain.
 */
#include "tests/support/standin/standin_local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What lies between start and complete, or abort. */
struct standin_batch {
	pthread_mutex_t lock; /* held meanwhile */
	uint32_t n, limit;
	int error; /* the first */
	struct ibv_send_wr *wr;
	struct ibv_sge *sge;
	unsigned char *data; /* inline, copied */
};

static struct standin_local_qp *local_of(struct ibv_qp_ex *ex)
{
	return (struct standin_local_qp *)ex;
}

static void batch_fail(struct standin_batch *b, int error)
{
	b->error = b->error != 0 ? b->error : error;
}

static void wr_start(struct ibv_qp_ex *ex)
{
	struct standin_batch *b = local_of(ex)->batch;
	pthread_mutex_lock(&b->lock);
	b->n = 0;
	b->error = 0;
}

static int wr_complete(struct ibv_qp_ex *ex)
{
	struct standin_batch *b = local_of(ex)->batch;
	struct ibv_send_wr *bad;
	int rc = b->error;
	for (uint32_t i = 0; i + 1 < b->n; i++)
		b->wr[i].next = &b->wr[i + 1];
	if (rc == 0 && b->n != 0)
		rc = standin_post_send(&ex->qp_base, b->wr, &bad);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static void wr_abort(struct ibv_qp_ex *ex)
{
	pthread_mutex_unlock(&local_of(ex)->batch->lock);
}

/* wr_next - one more request; a place to fill in all the same when there is no room. */
static struct ibv_send_wr *wr_next(struct ibv_qp_ex *ex, enum ibv_wr_opcode opcode)
{
	struct standin_batch *b = local_of(ex)->batch;
	if (b->n == b->limit)
		batch_fail(b, ENOMEM);
	else
		b->n++;
	struct ibv_send_wr *wr = &b->wr[b->n - 1];
	memset(wr, 0, sizeof *wr);
	wr->wr_id = ex->wr_id;
	wr->send_flags = ex->wr_flags;
	wr->opcode = opcode;
	return wr;
}

static void wr_rdma(struct ibv_qp_ex *ex, enum ibv_wr_opcode opcode, uint32_t rkey,
                    uint64_t remote_addr, uint32_t imm)
{
	struct ibv_send_wr *wr = wr_next(ex, opcode);
	wr->wr.rdma.rkey = rkey;
	wr->wr.rdma.remote_addr = remote_addr;
	wr->imm_data = imm;
}

static void wr_rdma_write(struct ibv_qp_ex *ex, uint32_t rkey, uint64_t remote_addr)
{
	wr_rdma(ex, IBV_WR_RDMA_WRITE, rkey, remote_addr, 0);
}

static void wr_rdma_write_imm(struct ibv_qp_ex *ex, uint32_t rkey, uint64_t remote_addr, __be32 imm)
{
	wr_rdma(ex, IBV_WR_RDMA_WRITE_WITH_IMM, rkey, remote_addr, imm);
}

static void wr_rdma_read(struct ibv_qp_ex *ex, uint32_t rkey, uint64_t remote_addr)
{
	wr_rdma(ex, IBV_WR_RDMA_READ, rkey, remote_addr, 0);
}

static void wr_send(struct ibv_qp_ex *ex)
{
	wr_next(ex, IBV_WR_SEND);
}

static void wr_send_imm(struct ibv_qp_ex *ex, __be32 imm)
{
	wr_next(ex, IBV_WR_SEND_WITH_IMM)->imm_data = imm;
}

static void wr_atomic_cmp_swp(struct ibv_qp_ex *ex, uint32_t rkey, uint64_t remote_addr,
                              uint64_t compare, uint64_t swap)
{
	struct ibv_send_wr *wr = wr_next(ex, IBV_WR_ATOMIC_CMP_AND_SWP);
	wr->wr.atomic.rkey = rkey;
	wr->wr.atomic.remote_addr = remote_addr;
	wr->wr.atomic.compare_add = compare;
	wr->wr.atomic.swap = swap;
}

static void wr_atomic_fetch_add(struct ibv_qp_ex *ex, uint32_t rkey, uint64_t remote_addr,
                                uint64_t add)
{
	struct ibv_send_wr *wr = wr_next(ex, IBV_WR_ATOMIC_FETCH_AND_ADD);
	wr->wr.atomic.rkey = rkey;
	wr->wr.atomic.remote_addr = remote_addr;
	wr->wr.atomic.compare_add = add;
}

static void wr_set_sge_list(struct ibv_qp_ex *ex, size_t n, const struct ibv_sge *list)
{
	struct standin_local_qp *q = local_of(ex);
	struct standin_batch *b = q->batch;
	if (n > q->cap.max_send_sge) {
		batch_fail(b, EINVAL);
		return;
	}
	struct ibv_sge *sge = b->sge + (size_t)(b->n - 1) * (q->cap.max_send_sge + 1);
	memcpy(sge, list, n * sizeof *sge);
	b->wr[b->n - 1].sg_list = sge;
	b->wr[b->n - 1].num_sge = (int)n;
}

static void wr_set_sge(struct ibv_qp_ex *ex, uint32_t lkey, uint64_t addr, uint32_t length)
{
	wr_set_sge_list(ex, 1, &(struct ibv_sge){addr, length, lkey});
}

static void wr_set_inline_data_list(struct ibv_qp_ex *ex, size_t n, const struct ibv_data_buf *list)
{
	struct standin_local_qp *q = local_of(ex);
	struct standin_batch *b = q->batch;
	unsigned char *data = b->data + (size_t)(b->n - 1) * q->cap.max_inline_data;
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		if (list[i].length > q->cap.max_inline_data - bytes) {
			batch_fail(b, EINVAL);
			return;
		}
		memcpy(data + bytes, list[i].addr, list[i].length);
		bytes += list[i].length;
	}
	struct ibv_sge *sge = b->sge + (size_t)(b->n - 1) * (q->cap.max_send_sge + 1);
	*sge = (struct ibv_sge){(uintptr_t)data, (uint32_t)bytes, 0};
	b->wr[b->n - 1].sg_list = sge;
	b->wr[b->n - 1].num_sge = bytes != 0;
	b->wr[b->n - 1].send_flags |= IBV_SEND_INLINE;
}

static void wr_set_inline_data(struct ibv_qp_ex *ex, void *addr, size_t length)
{
	wr_set_inline_data_list(ex, 1, &(struct ibv_data_buf){addr, length});
}

static void ex_init(struct ibv_qp_ex *ex)
{
	ex->wr_start = wr_start;
	ex->wr_complete = wr_complete;
	ex->wr_abort = wr_abort;
	ex->wr_rdma_write = wr_rdma_write;
	ex->wr_rdma_write_imm = wr_rdma_write_imm;
	ex->wr_rdma_read = wr_rdma_read;
	ex->wr_send = wr_send;
	ex->wr_send_imm = wr_send_imm;
	ex->wr_atomic_cmp_swp = wr_atomic_cmp_swp;
	ex->wr_atomic_fetch_add = wr_atomic_fetch_add;
	ex->wr_set_sge = wr_set_sge;
	ex->wr_set_sge_list = wr_set_sge_list;
	ex->wr_set_inline_data = wr_set_inline_data;
	ex->wr_set_inline_data_list = wr_set_inline_data_list;
}

/* ---- coming and going ---- */

void standin_batch_destroy(struct standin_batch *b)
{
	if (b == NULL)
		return;
	free(b->wr);
	free(b->sge);
	free(b->data);
	free(b);
}

static struct standin_batch *batch_create(const struct ibv_qp_cap *cap)
{
	struct standin_batch *b = calloc(1, sizeof *b);
	if (b == NULL)
		return NULL;
	b->limit = cap->max_send_wr > 0 ? cap->max_send_wr : 1;
	b->wr = calloc(b->limit, sizeof *b->wr);
	b->sge = calloc((size_t)b->limit * (cap->max_send_sge + 1), sizeof *b->sge);
	b->data = calloc((size_t)b->limit * cap->max_inline_data + 1, 1);
	pthread_mutex_init(&b->lock, NULL);
	if (b->wr != NULL && b->sge != NULL && b->data != NULL)
		return b;
	standin_batch_destroy(b);
	return NULL;
}

struct ibv_qp *standin_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *attr)
{
	const uint64_t can = IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM |
	                     IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |
	                     IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP |
	                     IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD;
	const uint32_t known = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
	(void)context;
	const bool has_ops = (attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS) != 0;
	if ((attr->comp_mask & ~known) != 0 || (attr->comp_mask & IBV_QP_INIT_ATTR_PD) == 0 ||
	    (has_ops && (attr->send_ops_flags & ~can) != 0)) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	struct ibv_qp_init_attr plain = {.qp_context = attr->qp_context,
	                                 .send_cq = attr->send_cq,
	                                 .recv_cq = attr->recv_cq,
	                                 .srq = attr->srq,
	                                 .cap = attr->cap,
	                                 .qp_type = attr->qp_type,
	                                 .sq_sig_all = attr->sq_sig_all};
	struct ibv_qp *qp = ibv_create_qp(attr->pd, &plain);
	if (qp == NULL || !has_ops)
		return qp;
	struct standin_local_qp *q = (struct standin_local_qp *)qp;
	q->batch = batch_create(&q->cap);
	if (q->batch == NULL) {
		ibv_destroy_qp(qp);
		errno = ENOMEM;
		return NULL;
	}
	ex_init(&q->ex);
	return qp;
}

STANDIN_EXPORT struct ibv_qp_ex *ibv_qp_to_qp_ex(struct ibv_qp *qp)
{
	struct standin_local_qp *q = (struct standin_local_qp *)qp;
	return q->batch != NULL ? &q->ex : NULL;
}

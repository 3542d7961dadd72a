/*
 * A hostile peer: feeds bytes to the parsers of notes, and then as completions and inbox contents
 * to an endpoint that receives and sends.  Nothing may be read or written outside its memory, and
 * every piece that comes out must lie in it.
 */
#include "config.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/transport/verbs/verbs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What is left of the input. */
static const uint8_t *input;
static size_t left;

static uint32_t take(void)
{
	uint32_t word = 0;
	const size_t n = left < sizeof(word) ? left : sizeof(word);

	memcpy(&word, input, n);
	input += n;
	left -= n;
	return word;
}

/* ---- a device that completes what the input says ---- */

static struct fr_vb *transport;

static int poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc)
{
	struct fr_vb_ep *e = transport->eps[0];

	(void)cq;
	if (n < 1 || left < 8)
		return 0;
	const uint32_t what = take(), imm = take();
	const uint32_t number = (what & 0x100 ? e->rx.next : imm >> 8) + (what >> 9 & 3);

	*wc = (struct ibv_wc){.status = IBV_WC_SUCCESS,
	                      .opcode = IBV_WC_RECV_RDMA_WITH_IMM,
	                      .qp_num = 7,
	                      .imm_data = htobe32(fr_verbs_imm(number, what & 0xff)),
	                      .byte_len = what >> 12};
	/* A piece of the inbox changes, at any time. */
	const size_t at = (size_t)imm % (e->inbox_bytes - 8);
	const uint32_t words[2] = {take(), what};

	memcpy(e->inbox + at, words, sizeof(words));
	return 1;
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	(void)qp;
	(void)wr;
	(void)bad;
	transport->eps[0]->qps[0].completed++;
	return 0;
}

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	(void)qp;
	(void)wr;
	(void)bad;
	return 0;
}

static const struct fr_verbs device = {
	.poll_cq = poll_cq, .post_send = post_send, .post_recv = post_recv};

/* ---- an endpoint on it ---- */

static void set_up(struct fr_vb *t, struct fr_vb_ep *e, struct ibv_qp *qp, struct ibv_mr *mr)
{
	t->v = &device;
	t->n_ranks = 1;
	t->n_rails = 1;
	t->n_slots = 4;
	t->slot_bytes = 4096;
	t->slot_stride = t->slot_bytes + FR_VERBS_PAYLOAD_AT;
	t->zero_copy = 10000;
	t->send_depth = t->recv_depth = 64;
	t->epoll = -1;
	if (!fr_vb_table_create(t, 1))
		abort();
	qp->qp_num = 7;
	e->base.ops = &fr_vb_ep_ops;
	e->base.transport = &t->base;
	e->link.fd = -1;
	e->link.why = e->base.why;
	e->link.why_bytes = sizeof(e->base.why);
	e->state = FR_VB_READY;
	e->tx.grants_from = e->rx.grants_from = UINT32_MAX;
	e->inbox_bytes = e->staging_bytes = (size_t)t->n_slots * t->slot_stride +
	                                    FR_VERBS_GRANTS * sizeof(struct fr_verbs_grant);
	/* Exact, so that one byte outside is seen. */
	e->inbox = calloc(1, e->inbox_bytes);
	e->staging = calloc(1, e->staging_bytes);
	e->inbox_mr.mr[0] = e->staging_mr.mr[0] = mr;
	e->qps[0] = (struct fr_vb_qp){.qp = qp, .ep = e, .is_live = true, .max_inline = 220};
	e->live[0] = &e->qps[0];
	e->n_live = e->n_qps = 1;
	if (e->inbox == NULL || e->staging == NULL)
		abort();
	fr_vb_table_add(t, &e->qps[0]);
}

static void receive(struct fr_vb_ep *e, uint64_t bytes, unsigned char *memory)
{
	const struct fr_call call = {.sequence = 1};
	const struct fr_message m = {.call = &call, .bytes = bytes, .memory = memory};
	const struct fr_ep_ops *ops = e->base.ops;
	unsigned sum = 0;

	while (left >= 8 && ops->recv_begin(&e->base, &m) == FERRULE_INPROGRESS)
		;
	for (uint64_t moved = 0; left >= 8 && e->link.fault == FERRULE_OK && moved < bytes;) {
		size_t avail = 0;
		ferrule_status_t status = FERRULE_OK;
		const unsigned char *window = ops->recv_window(&e->base, &avail, &status);

		if (status < 0)
			break;
		for (size_t i = 0; window != NULL && i < avail; i++)
			sum += window[i];
		if (window != NULL && avail > 0)
			ops->recv_release(&e->base, avail);
		moved += window != NULL ? avail : 0;
	}
	/* So that the reads are not optimised away. */
	if (sum == UINT32_MAX)
		abort();
}

static void send(struct fr_vb_ep *e, uint64_t bytes, unsigned char *memory)
{
	const struct fr_call call = {.sequence = 1};
	const struct fr_message m = {.call = &call, .bytes = bytes};
	uint64_t moved = 0;

	while (left >= 8 && e->base.ops->send_begin(&e->base, &m) == FERRULE_INPROGRESS)
		;
	while (left >= 8 && moved < bytes) {
		const int64_t n =
			e->base.ops->send_some(&e->base, memory + moved, (size_t)(bytes - moved));

		if (n < 0)
			break;
		moved += (uint64_t)n;
	}
}

static void feed_endpoint(void)
{
	static struct ibv_qp qp;
	static struct ibv_mr mr;
	struct fr_vb *t = calloc(1, sizeof(*t));
	struct fr_vb_ep *e = calloc(1, sizeof(*e));
	unsigned char *memory = calloc(1, 20000);

	if (t == NULL || e == NULL || memory == NULL)
		abort();
	struct fr_vb_ep *eps[1] = {e};

	t->eps = eps;
	transport = t;
	set_up(t, e, &qp, &mr);
	while (left >= 8 && e->link.fault == FERRULE_OK && e->state == FR_VB_READY) {
		receive(e, 1 + take() % 20000, memory);
		send(e, 1 + take() % 20000, memory);
	}
	free(t->rails[0].by_number);
	free(e->inbox);
	free(e->staging);
	free(memory);
	free(e);
	free(t);
}

static void feed_parsers(const uint8_t *data, size_t bytes)
{
	struct fr_verbs_offer offer, *wire = calloc(1, sizeof(*wire));
	struct fr_verbs_state_note state;
	const char *why;

	if (wire == NULL)
		return;
	memcpy(wire, data, bytes < sizeof(*wire) ? bytes : sizeof(*wire));
	fr_verbs_offer_parse(wire, sizeof(*wire), &offer, &why);
	fr_verbs_offer_parse(wire, (unsigned)bytes, &offer, &why);
	fr_verbs_state_parse(wire, sizeof(state), &state, &why);
	free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	feed_parsers(data, bytes);
	input = data;
	left = bytes;
	feed_endpoint();
	return 0;
}

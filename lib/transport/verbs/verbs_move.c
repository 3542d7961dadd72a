/*
 * Requests and completions: the hot path.
 *
 * No lock, no allocation, and no system call but what the device's own post and poll make.
 * Completions are the only signal; which piece or word came is told by its immediate, which is
 * checked against what may come before anything is believed.
 */
#include "config.h"

#include "lib/transport/verbs/verbs.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* Look at the links once in so many polls that found nothing, and more often while an endpoint
 * is being connected: a wait looks there once a millisecond anyway, a loop of tests does not. */
#define POLLS_A_LOOK         4096u
#define POLLS_A_LOOK_UNREADY 16u

/* ---- requests ---- */

static inline bool has_room(const struct fr_vb *t, const struct fr_vb_qp *q)
{
	return q->posted - q->completed < t->send_depth;
}

/* Fills id and flags, posts, and counts.  A refused post breaks the connection. */
static bool post(struct fr_vb *t, struct fr_vb_qp *q, struct ibv_send_wr *wr, bool is_signalled)
{
	struct ibv_send_wr *bad;

	if (!has_room(t, q))
		return false;
	if (is_signalled || q->posted + 1 - q->signalled >= FR_VB_SIGNAL_EVERY)
		wr->send_flags |= IBV_SEND_SIGNALED;
	wr->wr_id = q->posted + 1;
	const int err = t->v->post_send(q->qp, wr, &bad);

	if (err != 0) {
		fr_vb_trouble(q->ep, "posting a request failed: %s", strerror(err));
		return false;
	}
	q->posted++;
	if (wr->send_flags & IBV_SEND_SIGNALED)
		q->signalled = q->posted;
	return true;
}

/* Which queue pair takes the next piece. */
static inline unsigned choose_qp(struct fr_vb_ep *e, uint32_t bytes)
{
	if (e->n_live == 1 || bytes < FR_VB_STRIPE_MIN)
		return 0;
	return e->turn++ % e->n_live;
}

static inline uint32_t head_bytes(unsigned what)
{
	if (what & FR_VERBS_PLACED)
		return 0;
	return what & FR_VERBS_FIRST ? sizeof(struct fr_verbs_head) : FR_VERBS_LATER_HEAD_BYTES;
}

/* Where a piece goes and which memory it comes from; returns its length. */
static uint32_t lay_out(struct fr_vb_ep *e, const struct fr_vb_qp *q, uint32_t number,
                        struct ibv_send_wr *wr, struct ibv_sge sge[2])
{
	struct fr_vb *t = fr_vb_of_ep(e);
	const struct fr_vb_piece *p = &e->tx.pieces[number & (t->n_slots - 1)];
	const uint32_t head = head_bytes(p->what);
	unsigned char *payload = fr_vb_slot(t, e->staging, number) + FR_VERBS_PAYLOAD_AT;

	wr->sg_list = sge;
	wr->num_sge = 1;
	sge[0] = (struct ibv_sge){.addr = (uint64_t)(uintptr_t)payload - head,
	                          .length = head + (p->lent ? 0 : p->bytes),
	                          .lkey = e->staging_mr.mr[q->rail]->lkey};
	if (p->lent) {
		const struct ibv_sge lent = {.addr = (uint64_t)(uintptr_t)p->src,
		                             .length = p->bytes,
		                             .lkey = p->lent->mr[q->rail]->lkey};

		sge[head > 0] = lent;
		wr->num_sge = 1 + (head > 0);
	}
	if (head == 0) {
		wr->wr.rdma.remote_addr = p->placed;
		wr->wr.rdma.rkey = e->tx.grants[p->grant % FR_VERBS_GRANTS].rkey[q->rail];
	} else {
		wr->wr.rdma.remote_addr = e->remote_inbox +
		                          (uint64_t)(number & (t->n_slots - 1)) * t->slot_stride +
		                          FR_VERBS_PAYLOAD_AT - head;
		wr->wr.rdma.rkey = e->remote_rkey[q->rail];
	}
	return head + p->bytes;
}

bool fr_vb_post_piece(struct fr_vb_ep *e, uint32_t number)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_piece *p = &e->tx.pieces[number & (t->n_slots - 1)];
	const unsigned index = choose_qp(e, p->bytes);
	struct fr_vb_qp *q = e->live[index];
	struct ibv_sge sge[2];
	struct ibv_send_wr wr;

	/* Only the members that a write with immediate has. */
	wr.next = NULL;
	wr.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	wr.imm_data = htobe32(fr_verbs_imm(number, p->what));
	const uint32_t bytes = lay_out(e, q, number, &wr, sge);

	if (head_bytes(p->what) > 0) {
		uint32_t *credit =
			(uint32_t *)(fr_vb_slot(t, e->staging, number) + FR_VERBS_PAYLOAD_AT) - 1;
		*credit = e->rx.told = e->rx.next;
	}
	const bool is_inline = !p->lent && bytes <= (uint32_t)q->max_inline;

	wr.send_flags = is_inline ? IBV_SEND_INLINE : 0;
	if (!post(t, q, &wr, bytes >= FR_VB_LEND_MIN || p->lent))
		return false;
	p->post = q->posted;
	p->qp = (uint8_t)(q - e->qps);
	return true;
}

bool fr_vb_post_word(struct fr_vb_ep *e, struct fr_vb_qp *q, uint32_t imm, const void *data,
                     uint64_t remote, bool is_signalled)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct ibv_sge sge = {.addr = (uint64_t)(uintptr_t)data, .length = 0};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = data != NULL,
		.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
		.imm_data = htobe32(imm),
		.wr.rdma = {.remote_addr = remote, .rkey = e->remote_rkey[q->rail]}};

	if (data != NULL) {
		sge.length = sizeof(struct fr_verbs_grant);
		sge.lkey = e->staging_mr.mr[q->rail]->lkey;
		if ((int)sge.length <= q->max_inline)
			wr.send_flags = IBV_SEND_INLINE;
	}
	return post(t, q, &wr, is_signalled);
}

void fr_vb_post_marker(struct fr_vb_ep *e, struct fr_vb_qp *q)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.wr.rdma = {.remote_addr = e->remote_inbox, .rkey = e->remote_rkey[q->rail]}};

	post(fr_vb_of_ep(e), q, &wr, true);
}

bool fr_vb_post_receives(struct fr_vb *t, struct fr_vb_qp *q, uint32_t n)
{
	struct ibv_recv_wr *bad;

	for (; n >= FR_VB_RECV_CHAIN; n -= FR_VB_RECV_CHAIN) {
		const int err = t->v->post_recv(q->qp, t->recv_chain, &bad);

		if (err != 0) {
			fr_vb_trouble(q->ep, "posting receives failed: %s", strerror(err));
			return false;
		}
	}
	q->n_received = n;
	return true;
}

void fr_vb_tell_credit(struct fr_vb_ep *e)
{
	const struct fr_vb *t = fr_vb_of_ep(e);

	if (e->state != FR_VB_READY || e->rx.next - e->rx.told < t->n_slots / 2)
		return;
	const uint32_t next = e->rx.next;

	if (fr_vb_post_word(e, e->live[0], fr_verbs_imm(next, FR_VERBS_CREDIT), NULL,
	                    e->remote_inbox, false))
		e->rx.told = next;
}

/* ---- queue pairs by number ---- */

bool fr_vb_table_create(struct fr_vb *t, uint32_t n_qps)
{
	uint32_t size = 16;

	/* Two generations may be in the table, and a quarter full it is fast. */
	while (size < 8 * n_qps)
		size *= 2;
	t->table_mask = size - 1;
	for (int i = 0; i < t->n_rails; i++) {
		t->rails[i].by_number = calloc(size, sizeof(*t->rails[i].by_number));
		if (t->rails[i].by_number == NULL)
			return false;
		t->memory_bytes += size * sizeof(*t->rails[i].by_number);
	}
	return true;
}

static inline uint32_t home_of(const struct fr_vb *t, uint32_t number)
{
	return number * 0x9e3779b1u >> 7 & t->table_mask;
}

void fr_vb_table_add(struct fr_vb *t, struct fr_vb_qp *q)
{
	struct fr_vb_qp **table = t->rails[q->rail].by_number;
	uint32_t i = home_of(t, q->qp->qp_num);

	while (table[i] != NULL)
		i = (i + 1) & t->table_mask;
	table[i] = q;
}

void fr_vb_table_remove(struct fr_vb *t, struct fr_vb_qp *q)
{
	struct fr_vb_qp **table = t->rails[q->rail].by_number;
	uint32_t i = home_of(t, q->qp->qp_num);

	while (table[i] != NULL && table[i] != q)
		i = (i + 1) & t->table_mask;
	if (table[i] == NULL)
		return;
	table[i] = NULL;
	/* Those that stood behind it find their places again. */
	for (i = (i + 1) & t->table_mask; table[i] != NULL; i = (i + 1) & t->table_mask) {
		struct fr_vb_qp *moved = table[i];

		table[i] = NULL;
		fr_vb_table_add(t, moved);
	}
}

static inline struct fr_vb_qp *find_qp(const struct fr_vb *t, int rail, uint32_t number)
{
	struct fr_vb_qp **table = t->rails[rail].by_number;

	for (uint32_t i = home_of(t, number);; i = (i + 1) & t->table_mask)
		if (table[i] == NULL || table[i]->qp->qp_num == number)
			return table[i];
}

/* ---- completions ---- */

static void bad_peer(struct fr_vb_ep *e, const char *what, uint32_t number)
{
	fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL, "%s sent %s (%u)", e->link.name, what,
	              number);
}

static void take_credit(struct fr_vb_ep *e, uint32_t credit)
{
	struct fr_vb_tx *tx = &e->tx;

	if ((int32_t)(credit - tx->credited) <= 0)
		return;
	if (credit - tx->credited > tx->next - tx->credited) {
		bad_peer(e, "credit for a piece that was never sent", credit);
		return;
	}
	tx->credited = credit;
}

static void take_piece(struct fr_vb_ep *e, uint32_t imm, uint32_t bytes)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_rx *rx = &e->rx;
	const uint32_t number = fr_verbs_expand(imm, rx->next), ahead = number - rx->next;
	const unsigned what = imm & 0xff;
	const uint32_t head = head_bytes(what);

	/* Sent again although it was here already. */
	if ((int32_t)ahead < 0)
		return;
	if (ahead >= t->n_slots) {
		bad_peer(e, "a piece that it had no credit for", number);
		return;
	}
	if (rx->arrived >> ahead & 1)
		return;
	if (bytes <= head || (head > 0 && bytes - head > t->slot_bytes)) {
		bad_peer(e, "a piece of a bad length", bytes);
		return;
	}
	rx->lengths[number & (t->n_slots - 1)] = bytes - head;
	rx->whats[number & (t->n_slots - 1)] = (uint8_t)what;
	rx->arrived |= 1u << ahead;
	if (head > 0) {
		const unsigned char *payload =
			fr_vb_slot(t, e->inbox, number) + FR_VERBS_PAYLOAD_AT;

		take_credit(e, ((const uint32_t *)payload)[-1]);
	}
}

static void take_grant(struct fr_vb_ep *e, uint32_t imm)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	const uint32_t number = fr_verbs_expand(imm, e->tx.large);
	const struct fr_verbs_grant *entry =
		(const struct fr_verbs_grant *)(e->inbox + (size_t)t->n_slots * t->slot_stride) +
		number % FR_VERBS_GRANTS;

	/* Older ones come again after a reconnection. */
	if ((int32_t)(number - e->tx.large) < 0)
		return;
	if (entry->number != number || number - e->tx.large >= FR_VERBS_GRANTS) {
		bad_peer(e, "a grant that does not fit its number", number);
		return;
	}
	/* A copy: the peer can write the ring at any time. */
	e->tx.grants[number % FR_VERBS_GRANTS] = *entry;
}

const struct fr_verbs_grant *fr_vb_take_grant(const struct fr_vb_ep *e, uint32_t number)
{
	const struct fr_verbs_grant *g = &e->tx.grants[number % FR_VERBS_GRANTS];

	return g->number == number && g->bytes > 0 ? g : NULL;
}

static void on_receive(struct fr_vb *t, struct fr_vb_qp *q, const struct ibv_wc *wc)
{
	struct fr_vb_ep *e = q->ep;
	const uint32_t imm = be32toh(wc->imm_data);

	if (++q->n_received >= FR_VB_RECV_CHAIN)
		fr_vb_post_receives(t, q, q->n_received);
	switch (imm & 0xff) {
	case FR_VERBS_DATA:
	case FR_VERBS_FIRST:
	case FR_VERBS_PLACED:
	case FR_VERBS_FIRST | FR_VERBS_PLACED:
		take_piece(e, imm, wc->byte_len);
		break;
	case FR_VERBS_CREDIT:
		take_credit(e, fr_verbs_expand(imm, e->tx.credited));
		break;
	case FR_VERBS_GRANT:
		take_grant(e, imm);
		break;
	case FR_VERBS_GRANTS_ON:
		e->tx.grants_from = fr_verbs_expand(imm, e->tx.large);
		break;
	case FR_VERBS_PROBE:
		break;
	default:
		bad_peer(e, "an immediate of an unknown kind", imm & 0xff);
	}
}

static void on_failure(struct fr_vb *t, struct fr_vb_qp *q, const struct ibv_wc *wc)
{
	char path[200];

	q->is_probing = false;
	/* Flushed requests follow the one that failed, or our own stop. */
	if (wc->status == IBV_WC_WR_FLUSH_ERR || !q->is_live)
		return;
	(void)t;
	fr_vb_trouble(q->ep, "%s: %s (status %d, vendor 0x%x): %s",
	              fr_vb_path_text(q->ep, q->rail, path, sizeof(path)),
	              fr_verbs_status_text(wc->status), wc->status, wc->vendor_err,
	              fr_verbs_status_hint(wc->status));
}

static int poll_rail(struct fr_vb *t, int rail)
{
	struct ibv_wc wcs[16];
	const int n = t->v->poll_cq(t->rails[rail].device.cq, 16, wcs);

	for (int i = 0; i < n; i++) {
		const struct ibv_wc *wc = &wcs[i];
		struct fr_vb_qp *q = find_qp(t, rail, wc->qp_num);

		/* Of a queue pair that is gone. */
		if (q == NULL)
			continue;
		if (wc->status != IBV_WC_SUCCESS)
			on_failure(t, q, wc);
		else if (wc->opcode & IBV_WC_RECV)
			on_receive(t, q, wc);
		else
			q->completed = (uint32_t)wc->wr_id;
	}
	return n;
}

void fr_vb_drain(struct fr_vb *t)
{
	for (int i = 0; i < t->n_rails; i++)
		while (poll_rail(t, i) > 0)
			;
}

int fr_vb_progress(struct fr_vb *t)
{
	int n = 0;

	for (int i = 0; i < t->n_rails; i++)
		n += poll_rail(t, i);
	if (n > 0)
		return n;
	const uint32_t every = t->n_unready > 0 ? POLLS_A_LOOK_UNREADY : POLLS_A_LOOK;

	if (++t->idle_polls % every == 0)
		fr_vb_serve_links(t);
	return 0;
}

/* test_standin.c - the stand-in device's requests and rules, both ends in one process. */
#include "tests/standin/t_standin.h"
#include "tests/support/t_main.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RIGHTS_ALL                                                                   \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | \
	 IBV_ACCESS_REMOTE_ATOMIC)
#define SIGNALLED IBV_SEND_SIGNALED

static void fill(unsigned char *memory, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = (unsigned char)(seed + i * 7);
}

static bool is_quiet(struct ibv_cq *cq)
{
	struct ibv_wc wc;
	return cq->context->ops.poll_cq(cq, 1, &wc) == 0;
}

/* ---- requests ---- */

static void write_case(struct t_end *a, struct t_end *b)
{
	struct ibv_wc wc;
	fill(a->memory, 5000, 1);
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, 0, 0, 3000, &b->card) == 0);
	T_CHECK(is_quiet(a->send_cq));
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 3000, 2000, &b->card) == 0);
	T_CHECK(t_wait(a->send_cq, 1, &wc) && wc.status == IBV_WC_SUCCESS && wc.wr_id == 3000 &&
	        wc.opcode == IBV_WC_RDMA_WRITE && wc.qp_num == a->qp->qp_num);
	T_CHECK(memcmp(a->memory, b->memory, 5000) == 0 && b->memory[5000] == 0);
	T_CHECK(is_quiet(a->send_cq) && is_quiet(b->recv_cq) && is_quiet(b->send_cq));
}

static void test_write(void)
{
	t_standin_pair(write_case, &(struct t_options){0}, NULL);
}

static void send_case(struct t_end *a, struct t_end *b)
{
	struct ibv_wc wc;
	fill(a->memory, 4096, 2);
	T_CHECK(t_recv(b, 8192, 4096) == 0 && t_recv(b, 0, 0) == 0);
	T_CHECK(t_send(a, IBV_WR_SEND_WITH_IMM, SIGNALLED, 0, 1000, NULL) == 0);
	T_CHECK(t_wait(b->recv_cq, 1, &wc) && wc.status == IBV_WC_SUCCESS && wc.wr_id == 8192 &&
	        wc.byte_len == 1000 && wc.opcode == IBV_WC_RECV && wc.wc_flags == IBV_WC_WITH_IMM &&
	        wc.imm_data == htobe32(0x1234) && wc.qp_num == b->qp->qp_num);
	T_CHECK(memcmp(a->memory, b->memory + 8192, 1000) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_SUCCESS);
	/* Nothing but the immediate: no element, no key. */
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE_WITH_IMM, SIGNALLED, 0, 0, NULL) == 0);
	T_CHECK(t_wait(b->recv_cq, 1, &wc) && wc.status == IBV_WC_SUCCESS && wc.byte_len == 0 &&
	        wc.opcode == IBV_WC_RECV_RDMA_WITH_IMM && wc.imm_data == htobe32(0x1234));
	T_CHECK(t_recv(b, 7, 0) == 0);
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE_WITH_IMM, 0, 100, 500, &b->card) == 0);
	T_CHECK(t_wait(b->recv_cq, 1, &wc) && wc.byte_len == 500 && wc.wr_id == 7);
	T_CHECK(memcmp(a->memory + 100, b->memory + 100, 500) == 0);
}

static void test_send_and_immediate(void)
{
	t_standin_pair(send_case, &(struct t_options){0}, NULL);
}

/* post_atomic - on the first word of the peer's memory; the old value comes to this end's. */
static int post_atomic(struct t_end *e, const struct t_card *peer, enum ibv_wr_opcode op,
                       uint64_t compare_add, uint64_t swap)
{
	struct ibv_sge sge = {(uintptr_t)e->memory, 8, e->mr->lkey};
	struct ibv_send_wr wr = {.sg_list = &sge,
	                         .num_sge = 1,
	                         .opcode = op,
	                         .send_flags = SIGNALLED},
			   *bad;
	wr.wr.atomic.remote_addr = peer->address;
	wr.wr.atomic.rkey = peer->rkey;
	wr.wr.atomic.compare_add = compare_add;
	wr.wr.atomic.swap = swap;
	T_CHECK(e->context->ops.post_send(e->qp, &wr, &bad) == 0);
	return t_status(e->send_cq);
}

static void read_case(struct t_end *a, struct t_end *b)
{
	fill(b->memory, 9000, 3);
	T_CHECK(t_send(a, IBV_WR_RDMA_READ, SIGNALLED, 1, 8999, &b->card) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_SUCCESS);
	T_CHECK(memcmp(a->memory + 1, b->memory + 1, 8999) == 0);
	uint64_t *mine = (uint64_t *)a->memory, *theirs = (uint64_t *)b->memory;
	*theirs = 40;
	T_CHECK(post_atomic(a, &b->card, IBV_WR_ATOMIC_FETCH_AND_ADD, 2, 0) == IBV_WC_SUCCESS);
	T_CHECK(*mine == 40 && *theirs == 42);
	T_CHECK(post_atomic(a, &b->card, IBV_WR_ATOMIC_CMP_AND_SWP, 41, 7) == IBV_WC_SUCCESS);
	T_CHECK(*mine == 42 && *theirs == 42);
	T_CHECK(post_atomic(a, &b->card, IBV_WR_ATOMIC_CMP_AND_SWP, 42, 7) == IBV_WC_SUCCESS);
	T_CHECK(*mine == 42 && *theirs == 7);
	b->card.address++;
	T_CHECK(post_atomic(a, &b->card, IBV_WR_ATOMIC_FETCH_AND_ADD, 1, 0) ==
	        IBV_WC_REM_INV_REQ_ERR);
}

static void test_read_and_atomics(void)
{
	t_standin_pair(read_case, &(struct t_options){0}, NULL);
}

static void inline_case(struct t_end *a, struct t_end *b)
{
	struct ibv_wc wc;
	/* Held, since there is no receive: the data is what it was when it was posted. */
	fill(a->memory, 64, 4);
	T_CHECK(t_send(a, IBV_WR_SEND, SIGNALLED | IBV_SEND_INLINE, 0, 64, NULL) == 0);
	memset(a->memory, 0, 64);
	T_CHECK(t_recv(b, 0, 64) == 0);
	T_CHECK(t_wait(b->recv_cq, 5, &wc) && wc.byte_len == 64);
	fill(a->memory, 64, 4);
	T_CHECK(memcmp(a->memory, b->memory, 64) == 0);
	T_CHECK(t_send(a, IBV_WR_SEND, IBV_SEND_INLINE, 0, 65, NULL) == EINVAL);
}

static void test_inline(void)
{
	t_standin_pair(inline_case, &(struct t_options){0}, NULL);
}

/* ---- limits ---- */

static void slots_case(struct t_end *a, struct t_end *b)
{
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++)
			T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, 0, 0, 8, &b->card) == 0);
		T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b->card) == 0);
		/* All four are done, but nobody has polled. */
		T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, 0, 0, 8, &b->card) == ENOMEM);
		T_CHECK(t_status(a->send_cq) == IBV_WC_SUCCESS);
	}
	/* Without a signalled one they never come back. */
	for (int i = 0; i < 4; i++)
		T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, 0, 0, 8, &b->card) == 0);
	T_CHECK(is_quiet(a->send_cq));
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b->card) == ENOMEM);
	for (int i = 0; i < 64; i++)
		T_CHECK(t_recv(b, 0, 8) == 0);
	T_CHECK(t_recv(b, 0, 8) == ENOMEM);
}

static void test_slots_come_back_by_polling(void)
{
	t_standin_pair(slots_case, &(struct t_options){.send_wr = 4}, NULL);
}

static void limits_case(struct t_end *a, struct t_end *b)
{
	struct ibv_sge sge[3] = {{0}};
	struct ibv_send_wr wr = {.sg_list = sge, .num_sge = 3, .opcode = IBV_WR_RDMA_WRITE}, *bad;
	T_CHECK(a->context->ops.post_send(a->qp, &wr, &bad) == EINVAL && bad == &wr);
	struct ibv_recv_wr recv = {.sg_list = sge, .num_sge = 3}, *bad_recv;
	T_CHECK(a->context->ops.post_recv(a->qp, &recv, &bad_recv) == EINVAL);
	struct ibv_qp_init_attr init = {.send_cq = a->send_cq,
	                                .recv_cq = a->recv_cq,
	                                .qp_type = IBV_QPT_RC,
	                                .cap = {.max_inline_data = 257}};
	T_CHECK(v.create_qp(a->pd, &init) == NULL && errno == EINVAL);
	init.cap.max_inline_data = 0;
	init.qp_type = IBV_QPT_UD;
	T_CHECK(v.create_qp(a->pd, &init) == NULL && errno == EOPNOTSUPP);
	T_CHECK(v.create_cq(a->context, STANDIN_CQE_MAX + 1, NULL, NULL, 0) == NULL);
	/* STANDIN_MAX_MSG is 65536 here. */
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 65536, &b->card) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_SUCCESS);
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 65537, &b->card) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_LOC_LEN_ERR);
	T_CHECK(t_state(a) == IBV_QPS_ERR && t_state(b) == IBV_QPS_RTS);
}

static void test_limits(void)
{
	static const char *const environment[] = {"STANDIN_MAX_MSG", "65536", NULL};
	t_standin_pair(limits_case, &(struct t_options){0}, environment);
}

/* ---- keys and rights ---- */

/* refused - a request on a fresh pair whose far end grants `access`; the status it gets. */
static int refused(enum ibv_wr_opcode op, int access, size_t beyond, int dkey)
{
	struct t_end a, b;
	t_open(&a, &(struct t_options){0});
	t_open(&b, &(struct t_options){.access = access});
	T_CHECK(t_to_rtr(&a, &b.card) == 0 && t_to_rtr(&b, &a.card) == 0);
	T_CHECK(t_to_rts(&a) == 0 && t_to_rts(&b) == 0);
	T_CHECK(t_recv(&b, 0, 8) == 0);
	b.card.address += beyond;
	b.card.rkey += (uint32_t)dkey;
	T_CHECK(t_send(&a, op, SIGNALLED, 0, 8, &b.card) == 0);
	T_CHECK(t_send(&a, op, 0, 0, 8, &b.card) == 0);
	const int status = t_status(a.send_cq);
	T_CHECK(t_status(a.send_cq) == IBV_WC_WR_FLUSH_ERR);
	T_CHECK(t_state(&a) == IBV_QPS_ERR && t_state(&b) == IBV_QPS_ERR);
	T_CHECK(t_status(b.recv_cq) == IBV_WC_WR_FLUSH_ERR);
	T_CHECK(t_event(&b) == IBV_EVENT_QP_ACCESS_ERR);
	T_CHECK(b.memory[0] == 0 && a.memory[0] == 0);
	t_close(&a);
	t_close(&b);
	return status;
}

static int remote_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	const int bad = IBV_WC_REM_ACCESS_ERR, local = IBV_ACCESS_LOCAL_WRITE;
	T_CHECK(refused(IBV_WR_RDMA_WRITE, RIGHTS_ALL, (1 << 20) - 7, 0) == bad);
	T_CHECK(refused(IBV_WR_RDMA_WRITE, RIGHTS_ALL, 0, STANDIN_MRS) == bad);
	T_CHECK(refused(IBV_WR_RDMA_WRITE, local | IBV_ACCESS_REMOTE_READ, 0, 0) == bad);
	T_CHECK(refused(IBV_WR_RDMA_READ, local | IBV_ACCESS_REMOTE_WRITE, 0, 0) == bad);
	T_CHECK(refused(IBV_WR_RDMA_WRITE_WITH_IMM, local, 0, 0) == bad);
	return 0;
}

static void test_remote_keys_and_rights(void)
{
	t_standin_run(1, remote_rank, 0, NULL);
}

static int domain_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end a, b, other;
	t_pair(&a, &b, &(struct t_options){0});
	t_open(&other, &(struct t_options){0});
	/* A key of another protection domain, of the same process. */
	T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &other.card) == 0);
	T_CHECK(t_status(a.send_cq) == IBV_WC_REM_ACCESS_ERR);
	t_close(&a);
	t_close(&b);
	/* The same on this side, and a key that is no more. */
	t_pair(&a, &b, &(struct t_options){0});
	struct ibv_mr *mine = a.mr;
	a.mr = other.mr;
	T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b.card) == 0);
	T_CHECK(t_status(a.send_cq) == IBV_WC_LOC_PROT_ERR);
	a.mr = mine;
	t_close(&a);
	t_close(&b);
	t_close(&other);
	return 0;
}

static void test_protection_domains(void)
{
	t_standin_run(1, domain_rank, 0, NULL);
}

static void stale_case(struct t_end *a, struct t_end *b)
{
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b->card) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_SUCCESS);
	T_CHECK(v.dereg_mr(b->mr) == 0);
	b->mr = v.reg_mr(b->pd, b->memory, b->o.bytes, RIGHTS_ALL);
	T_CHECK(b->mr->rkey != b->card.rkey);
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b->card) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_REM_ACCESS_ERR);
}

static void test_stale_key(void)
{
	t_standin_pair(stale_case, &(struct t_options){0}, NULL);
}

static void short_case(struct t_end *a, struct t_end *b)
{
	T_CHECK(t_recv(b, 0, 99) == 0);
	T_CHECK(t_send(a, IBV_WR_SEND, SIGNALLED, 0, 100, NULL) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_REM_INV_REQ_ERR);
	T_CHECK(t_status(b->recv_cq) == IBV_WC_LOC_LEN_ERR);
}

static void test_receive_too_short(void)
{
	t_standin_pair(short_case, &(struct t_options){0}, NULL);
}

/* ---- not ready, failed, overrun ---- */

static int rnr_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end a, b;
	t_pair(&a, &b, &(struct t_options){0});
	const double began = t_now();
	T_CHECK(t_send(&a, IBV_WR_SEND, SIGNALLED, 0, 8, NULL) == 0);
	T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, SIGNALLED, 64, 8, &b.card) == 0);
	T_CHECK(t_now() - began < 0.1);
	a.memory[64] = 9;
	/* In order: the write waits for the send before it. */
	struct ibv_wc wc;
	T_CHECK(!t_wait(a.send_cq, 0.1, &wc) && b.memory[64] == 0);
	T_CHECK(t_recv(&b, 0, 8) == 0);
	T_CHECK(t_status(a.send_cq) == IBV_WC_SUCCESS && t_status(a.send_cq) == IBV_WC_SUCCESS);
	T_CHECK(b.memory[64] == 9 && t_status(b.recv_cq) == IBV_WC_SUCCESS);
	t_close(&a);
	t_close(&b);
	t_pair(&a, &b, &(struct t_options){.rnr_retry = 2});
	T_CHECK(t_send(&a, IBV_WR_SEND, SIGNALLED, 0, 8, NULL) == 0);
	T_CHECK(t_status(a.send_cq) == IBV_WC_RNR_RETRY_EXC_ERR && t_state(&a) == IBV_QPS_ERR);
	t_close(&a);
	t_close(&b);
	t_pair(&a, &b, &(struct t_options){.is_rnr_zero = true});
	T_CHECK(t_send(&a, IBV_WR_SEND, SIGNALLED, 0, 8, NULL) == 0);
	T_CHECK(t_status(a.send_cq) == IBV_WC_RNR_RETRY_EXC_ERR);
	t_close(&a);
	t_close(&b);
	return 0;
}

static void test_receiver_not_ready(void)
{
	t_standin_run(1, rnr_rank, 0, NULL);
}

static void flush_case(struct t_end *a, struct t_end *b)
{
	(void)b; /* does nothing but being connected */
	T_CHECK(t_recv(a, 1, 8) == 0 && t_recv(a, 2, 8) == 0);
	T_CHECK(t_send(a, IBV_WR_SEND, 0, 3, 8, NULL) == 0);
	struct ibv_qp_attr error = {.qp_state = IBV_QPS_ERR};
	T_CHECK(v.modify_qp(a->qp, &error, IBV_QP_STATE) == 0);
	T_CHECK(t_recv(a, 4, 8) == 0);
	T_CHECK(t_send(a, IBV_WR_SEND, 0, 5, 8, NULL) == 0);
	struct ibv_wc wc;
	static const uint64_t receives[] = {1, 2, 4}, sends[] = {3, 5};
	for (int i = 0; i < 3; i++)
		T_CHECK(t_wait(a->recv_cq, 1, &wc) && wc.wr_id == receives[i] &&
		        wc.status == IBV_WC_WR_FLUSH_ERR);
	for (int i = 0; i < 2; i++)
		T_CHECK(t_wait(a->send_cq, 1, &wc) && wc.wr_id == sends[i] &&
		        wc.status == IBV_WC_WR_FLUSH_ERR);
}

static void test_flush(void)
{
	t_standin_pair(flush_case, &(struct t_options){0}, NULL);
}

static void overrun_case(struct t_end *a, struct t_end *b)
{
	for (int i = 0; i < 6; i++)
		T_CHECK(t_recv(b, 0, 0) == 0);
	for (int i = 0; i < 4; i++)
		T_CHECK(t_send(a, IBV_WR_RDMA_WRITE_WITH_IMM, 0, 0, 0, NULL) == 0);
	T_CHECK(t_state(b) == IBV_QPS_RTS);
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE_WITH_IMM, 0, 0, 0, NULL) == 0);
	T_CHECK(t_event(b) == IBV_EVENT_CQ_ERR);
	T_CHECK(t_state(b) == IBV_QPS_ERR && t_state(a) == IBV_QPS_RTS);
}

static void test_completion_queue_overrun(void)
{
	t_standin_pair(overrun_case, &(struct t_options){.cqe = 4}, NULL);
}

/* ---- states ---- */

static int states_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end a, b;
	t_open(&a, &(struct t_options){0});
	t_open(&b, &(struct t_options){0});
	T_CHECK(t_to_rts(&a) == EINVAL); /* not before RTR */
	T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, 0, 0, 8, &b.card) == EINVAL);
	struct ibv_qp_attr rtr = {.qp_state = IBV_QPS_RTR, .path_mtu = IBV_MTU_1024};
	T_CHECK(v.modify_qp(a.qp, &rtr, IBV_QP_STATE | IBV_QP_PATH_MTU) == EINVAL);
	a.o.node_gid = 7;
	T_CHECK(t_to_rtr(&a, &b.card) == EINVAL); /* no such address */
	a.o.node_gid = 1;
	T_CHECK(t_to_rtr(&a, &b.card) == 0 && t_to_rtr(&b, &a.card) == 0);
	T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, 0, 0, 8, &b.card) == EINVAL); /* RTR only receives */
	T_CHECK(t_to_rts(&a) == 0 && t_to_rts(&b) == 0);
	for (int round = 0; round < 3; round++) {
		T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b.card) == 0);
		T_CHECK(t_status(a.send_cq) == IBV_WC_SUCCESS);
		struct ibv_qp_attr to = {.qp_state = IBV_QPS_ERR};
		T_CHECK(v.modify_qp(a.qp, &to, IBV_QP_STATE) == 0);
		to.qp_state = IBV_QPS_RESET;
		T_CHECK(v.modify_qp(a.qp, &to, IBV_QP_STATE) == 0);
		T_CHECK(t_recv(&a, 0, 0) == EINVAL);
		T_CHECK(t_to_init(&a) == 0 && t_to_rtr(&a, &b.card) == 0 && t_to_rts(&a) == 0);
	}
	t_close(&a);
	t_close(&b);
	return 0;
}

static void test_states(void)
{
	t_standin_run(1, states_rank, 0, NULL);
}

/* One ack timeout is 4.096 us * 2^12 = 16.8 ms; three attempts and the last wait: 50 ms. */
static int unconnected_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end a, b;
	for (int psn_is_wrong = 0; psn_is_wrong < 2; psn_is_wrong++) {
		t_open(&a, &(struct t_options){.timeout = 12, .retry_cnt = 2});
		t_open(&b, &(struct t_options){0});
		T_CHECK(t_to_rtr(&a, &b.card) == 0 && t_to_rts(&a) == 0);
		a.card.psn++;
		if (psn_is_wrong)
			T_CHECK(t_to_rtr(&b, &a.card) == 0);
		const double began = t_now();
		T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b.card) == 0);
		T_CHECK(t_status(a.send_cq) == IBV_WC_RETRY_EXC_ERR);
		const double took = t_now() - began;
		T_CHECK(took > 0.050 && took < 1);
		t_close(&a);
		t_close(&b);
	}
	/* In time. */
	t_open(&a, &(struct t_options){.timeout = 14});
	t_open(&b, &(struct t_options){0});
	T_CHECK(t_to_rtr(&a, &b.card) == 0 && t_to_rts(&a) == 0);
	T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b.card) == 0);
	T_CHECK(t_to_rtr(&b, &a.card) == 0);
	T_CHECK(t_status(a.send_cq) == IBV_WC_SUCCESS);
	t_close(&a);
	t_close(&b);
	return 0;
}

static void test_peer_that_is_not_connected(void)
{
	t_standin_run(1, unconnected_rank, 0, NULL);
}

static int mtu_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end a, b;
	t_open(&a, &(struct t_options){.mtu = IBV_MTU_4096});
	t_open(&b, &(struct t_options){.mtu = IBV_MTU_1024});
	T_CHECK(t_to_rtr(&a, &b.card) == 0 && t_to_rtr(&b, &a.card) == 0 && t_to_rts(&a) == 0);
	T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 1024, &b.card) == 0);
	T_CHECK(t_status(a.send_cq) == IBV_WC_SUCCESS);
	T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 1025, &b.card) == 0);
	T_CHECK(t_status(a.send_cq) == IBV_WC_REM_INV_REQ_ERR);
	T_CHECK(t_event(&b) == IBV_EVENT_QP_REQ_ERR);
	t_close(&a);
	t_close(&b);
	return 0;
}

static void test_mtu(void)
{
	t_standin_run(1, mtu_rank, 0, NULL);
}

/* ---- events ---- */

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

static void channel_case(struct t_end *a, struct t_end *b)
{
	struct ibv_cq *cq;
	void *context;
	struct ibv_wc wc;
	for (int i = 0; i < 8; i++)
		T_CHECK(t_recv(b, 0, 8) == 0);
	T_CHECK(t_send(a, IBV_WR_SEND, 0, 0, 8, NULL) == 0);
	T_CHECK(!is_readable(b->channel->fd)); /* not armed */
	b->context->ops.req_notify_cq(b->recv_cq, 0);
	T_CHECK(!is_readable(b->channel->fd)); /* what came before does not count */
	T_CHECK(t_send(a, IBV_WR_SEND, 0, 0, 8, NULL) == 0);
	T_CHECK(t_send(a, IBV_WR_SEND, 0, 0, 8, NULL) == 0);
	T_CHECK(is_readable(b->channel->fd));
	T_CHECK(v.get_cq_event(b->channel, &cq, &context) == 0 && cq == b->recv_cq && context == b);
	v.ack_cq_events(cq, 1);
	T_CHECK(!is_readable(b->channel->fd)); /* one event an arming */
	b->context->ops.req_notify_cq(b->recv_cq, 1);
	T_CHECK(t_send(a, IBV_WR_SEND, 0, 0, 8, NULL) == 0);
	T_CHECK(!is_readable(b->channel->fd));
	T_CHECK(t_send(a, IBV_WR_SEND, IBV_SEND_SOLICITED, 0, 8, NULL) == 0);
	T_CHECK(is_readable(b->channel->fd));
	T_CHECK(v.get_cq_event(b->channel, &cq, &context) == 0);
	v.ack_cq_events(cq, 1);
	struct ibv_async_event event;
	T_CHECK(v.get_async_event(b->context, &event) == -1 && errno == EAGAIN);
	for (int i = 0; i < 5; i++)
		T_CHECK(t_wait(b->recv_cq, 1, &wc));
	T_CHECK(v.destroy_comp_channel(b->channel) == EBUSY);
}

static void test_completion_channel(void)
{
	t_standin_pair(channel_case, &(struct t_options){.has_channel = true}, NULL);
}

/* ---- registration ---- */

static int register_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end a;
	const int write = IBV_ACCESS_LOCAL_WRITE;
	t_open(&a, &(struct t_options){0});
	char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	T_CHECK(v.reg_mr(a.pd, page, 4096, write) == NULL && errno == EFAULT);
	struct ibv_mr *mr = v.reg_mr(a.pd, page, 4096, 0);
	T_CHECK(mr != NULL && v.dereg_mr(mr) == 0);
	munmap(page + 4096, 4096);
	T_CHECK(v.reg_mr(a.pd, page, 8192, 0) == NULL && errno == EFAULT);
	T_CHECK(v.reg_mr(a.pd, a.memory, 64, IBV_ACCESS_REMOTE_WRITE) == NULL && errno == EINVAL);
	T_CHECK(v.reg_mr(a.pd, a.memory, 64, write | IBV_ACCESS_ON_DEMAND) == NULL);
	mr = v.reg_mr_iova2(a.pd, a.memory, 64, 0, (unsigned)write | IBV_ACCESS_RELAXED_ORDERING);
	T_CHECK(mr != NULL && v.dealloc_pd(a.pd) == EBUSY && v.dereg_mr(mr) == 0);
	/* STANDIN_MEMLOCK is 2 MiB here, of which the end has 1. */
	char *much = aligned_alloc(4096, 2 << 20);
	T_CHECK(v.reg_mr(a.pd, much, 2 << 20, write) == NULL && errno == ENOMEM);
	free(much);
	t_close(&a);
	return 0;
}

static void test_registration(void)
{
	static const char *const environment[] = {"STANDIN_MEMLOCK", "2097152", NULL};
	t_standin_run(1, register_rank, 0, environment);
}

static void dmabuf_case(struct t_end *a, struct t_end *b)
{
	const int fd = memfd_create("gpu", 0);
	T_CHECK(ftruncate(fd, 65536) == 0);
	T_CHECK(v.reg_dmabuf_mr(b->pd, 0, 4096, 0, -1, RIGHTS_ALL) == NULL && errno == EBADF);
	T_CHECK(v.reg_dmabuf_mr(b->pd, 4096, 4096, 4097, fd, RIGHTS_ALL) == NULL &&
	        errno == EINVAL);
	struct ibv_mr *mr = v.reg_dmabuf_mr(b->pd, 4096 + 100, 8192, 0x7000000064, fd, RIGHTS_ALL);
	T_CHECK(mr != NULL);
	close(fd);
	const struct t_card card = {.rkey = mr->rkey, .address = 0x7000000064};
	fill(a->memory, 8192, 6);
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8192, &card) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_SUCCESS);
	memset(a->memory, 0, 8192);
	T_CHECK(t_send(a, IBV_WR_RDMA_READ, SIGNALLED, 0, 8192, &card) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_SUCCESS);
	fill(b->memory, 8192, 6);
	T_CHECK(memcmp(a->memory, b->memory, 8192) == 0);
	T_CHECK(v.dereg_mr(mr) == 0);
}

static void test_dmabuf(void)
{
	t_standin_pair(dmabuf_case, &(struct t_options){0}, NULL);
}

/* ---- devices and counts ---- */

static int devices_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	int n_devices = 0;
	union ibv_gid gids[3];
	struct ibv_device **list = v.get_device_list(&n_devices);
	T_CHECK(n_devices == 3 && strcmp(v.get_device_name(list[2]), "standin2") == 0);
	for (int i = 0; i < 3; i++) {
		struct ibv_context *c = v.open_device(list[i]);
		struct ibv_device_attr attr;
		struct ibv_port_attr port;
		T_CHECK(v.query_device(c, &attr) == 0 && attr.max_sge == STANDIN_SGES);
		T_CHECK(v.query_port(c, 1, (struct _compat_ibv_port_attr *)&port) == 0);
		T_CHECK(port.state == IBV_PORT_ACTIVE &&
		        port.link_layer == IBV_LINK_LAYER_ETHERNET);
		T_CHECK(v.query_port(c, 2, (struct _compat_ibv_port_attr *)&port) == EINVAL);
		T_CHECK(v.query_gid(c, 1, 1, &gids[i]) == 0);
		T_CHECK(v.close_device(c) == 0);
	}
	v.free_device_list(list);
	T_CHECK(memcmp(&gids[0], &gids[1], 16) != 0 && memcmp(&gids[1], &gids[2], 16) != 0);
	return 0;
}

static void test_several_devices(void)
{
	static const char *const environment[] = {"STANDIN_DEVICES", "3", NULL};
	t_standin_run(1, devices_rank, 0, environment);
}

/* InfiniBand has local identifiers and needs no global ones. */
static int infiniband_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end ends[2];
	struct ibv_port_attr port;
	for (int i = 0; i < 2; i++) {
		t_open(&ends[i], &(struct t_options){.device = i, .node_gid = -1});
		struct _compat_ibv_port_attr *attr = (struct _compat_ibv_port_attr *)&port;
		T_CHECK(v.query_port(ends[i].context, 1, attr) == 0 && port.lid == i + 1);
		T_CHECK(port.link_layer == IBV_LINK_LAYER_INFINIBAND && port.gid_tbl_len == 1);
	}
	for (int i = 0; i < 2; i++) {
		struct ibv_qp_attr a = {.qp_state = IBV_QPS_RTR,
		                        .path_mtu = IBV_MTU_4096,
		                        .dest_qp_num = ends[1 - i].qp->qp_num,
		                        .rq_psn = ends[1 - i].psn,
		                        .max_dest_rd_atomic = 1};
		a.ah_attr.port_num = 1;
		const int mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
		                 IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
		T_CHECK(v.modify_qp(ends[i].qp, &a, mask) == EINVAL);
		a.ah_attr.dlid = (uint16_t)(2 - i);
		T_CHECK(v.modify_qp(ends[i].qp, &a, mask) == 0 && t_to_rts(&ends[i]) == 0);
	}
	ends[0].memory[5] = 5;
	T_CHECK(t_send(&ends[0], IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &ends[1].card) == 0);
	T_CHECK(t_status(ends[0].send_cq) == IBV_WC_SUCCESS && ends[1].memory[5] == 5);
	t_close(&ends[0]);
	t_close(&ends[1]);
	return 0;
}

static void test_infiniband(void)
{
	static const char *const environment[] = {"STANDIN_LINK", "ib", "STANDIN_DEVICES", "2",
	                                          NULL};
	t_standin_run(1, infiniband_rank, 0, environment);
}

/* The ack timeout of 16.8 ms, four times: 67 ms, and as long again for the one retry. */
static int scale_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end a, b;
	t_open(&a, &(struct t_options){.timeout = 12, .retry_cnt = 1});
	t_open(&b, &(struct t_options){0});
	T_CHECK(t_to_rtr(&a, &b.card) == 0 && t_to_rts(&a) == 0);
	const double began = t_now();
	T_CHECK(t_send(&a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b.card) == 0);
	T_CHECK(t_status(a.send_cq) == IBV_WC_RETRY_EXC_ERR && t_now() - began > 0.134);
	t_close(&a);
	t_close(&b);
	return 0;
}

static void test_time_scale(void)
{
	static const char *const environment[] = {"STANDIN_TIME_SCALE", "4", NULL};
	t_standin_run(1, scale_rank, 0, environment);
}

static int counts_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct standin_control *control = t_control();
	struct standin_counts counts;
	struct t_end a, b;
	t_pair(&a, &b, &(struct t_options){0});
	standin_control_count(control, getpid(), &counts);
	T_CHECK(counts.n_processes == 1 && counts.n_contexts == 2 && counts.n_pds == 2 &&
	        counts.n_mrs == 2 && counts.n_cqs == 4 && counts.n_qps == 2);
	T_CHECK(v.destroy_cq(a.send_cq) == EBUSY);
	t_close(&a);
	t_close(&b);
	standin_control_count(control, 0, &counts);
	T_CHECK(counts.n_processes == 1 && counts.n_contexts == 0 && counts.n_pds == 0 &&
	        counts.n_mrs == 0 && counts.n_cqs == 0 && counts.n_qps == 0);
	standin_control_close(control);
	return 0;
}

static void test_counts(void)
{
	t_standin_run(1, counts_rank, 0, NULL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"write, unsignalled and signalled", test_write},
		{"send and immediate data", test_send_and_immediate},
		{"read and atomics", test_read_and_atomics},
		{"inline data", test_inline},
		{"send slots come back by polling", test_slots_come_back_by_polling},
		{"limits", test_limits},
		{"remote keys and rights", test_remote_keys_and_rights},
		{"protection domains", test_protection_domains},
		{"stale key", test_stale_key},
		{"receive too short", test_receive_too_short},
		{"receiver not ready", test_receiver_not_ready},
		{"flush", test_flush},
		{"completion queue overrun", test_completion_queue_overrun},
		{"states", test_states},
		{"peer that is not connected", test_peer_that_is_not_connected},
		{"mtu", test_mtu},
		{"completion channel", test_completion_channel},
		{"registration", test_registration},
		{"dma-buf", test_dmabuf},
		{"several devices", test_several_devices},
		{"infiniband", test_infiniband},
		{"time scale", test_time_scale},
		{"counts", test_counts},
		{NULL, NULL},
	};
	return t_main("standin", cases);
}

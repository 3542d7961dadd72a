/*
 * Queue pairs connected through librdmacm: two ranks in one process, each with a device object of
 * its own, over any RDMA device whose port has an IP address.
 */
#include "config.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/transport/verbs/verbs_cm.h"
#include "lib/transport/verbs/verbs_cm_api.h"
#include "lib/transport/verbs/verbs_device.h"
#include "tests/support/t_main.h"

#define BYTES   4096
#define SECOND  1000000000ull
#define QPS_MAX 32

static const unsigned char key[32] = "the job's key", other_key[32] = "another job's key";

struct end {
	struct fr_verbs_device device;
	struct fr_verbs_cm *cm;
	struct fr_verbs_cm_address address;
	struct ibv_qp *qp[QPS_MAX];
	struct fr_verbs_cm_conn *conn[QPS_MAX];
	struct ibv_mr *mr;
	unsigned char memory[BYTES];
	int n_ready, n_failed, n_lost;
	char why[256];
};

/* Rank 0 starts, rank 1 expects. */
struct world {
	const struct fr_verbs *v;
	struct end end[2];
	int n_qps;
};

static bool open_end(struct world *w, int rank, const unsigned char *job_key)
{
	struct end *e = &w->end[rank];
	struct fr_verbs_port ports[8];
	struct fr_verbs_memory m = {.base = e->memory, .bytes = BYTES, .dmabuf_fd = -1};
	const struct fr_verbs_cm_params p = {.rank = rank, .comm_id = 0xc0ffee, .job_key = job_key};

	const int n = fr_verbs_ports(w->v, ports, 8, e->why, sizeof(e->why));
	if (n < 1 || ports[0].why_not[0] != '\0') {
		t_skip("no RDMA port: %s", n < 1 ? e->why : ports[0].why_not);
		return false;
	}
	/* T_TWO_PORTS: two ports that reach each other, one for each rank. */
	const bool has_two = getenv("T_TWO_PORTS") && n > 1 && ports[1].why_not[0] == '\0';
	const struct fr_verbs_port *port = &ports[has_two ? rank : 0];
	CU_ASSERT_EQUAL_FATAL(
		fr_verbs_device_open(w->v, port, 256, &e->device, e->why, sizeof(e->why)),
		FERRULE_OK);
	const ferrule_status_t status =
		fr_verbs_cm_open(&e->device, &p, &e->cm, e->why, sizeof(e->why));
	if (status == FERRULE_ERR_UNSUPPORTED) {
		t_skip("%s", e->why);
		return false;
	}
	CU_ASSERT_EQUAL_FATAL(status, FERRULE_OK);
	fr_verbs_cm_address(e->cm, &e->address);
	e->mr = fr_verbs_register(&e->device, &m, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
	                          true, e->why, sizeof(e->why));
	CU_ASSERT_PTR_NOT_NULL_FATAL(e->mr);
	return true;
}

static void make_qps(struct world *w, struct end *e)
{
	const struct fr_verbs_qp_params params = {
		.send_wr = 4, .recv_wr = 4, .send_sge = 1, .access = IBV_ACCESS_REMOTE_WRITE};

	for (int i = 0; i < w->n_qps; i++) {
		uint32_t psn;
		int max_inline;
		e->qp[i] = fr_verbs_qp_create(&e->device, &params, &psn, &max_inline, e->why,
		                              sizeof(e->why));
		CU_ASSERT_PTR_NOT_NULL_FATAL(e->qp[i]);
	}
}

static void close_world(struct world *w)
{
	for (int rank = 0; rank < 2; rank++) {
		struct end *e = &w->end[rank];
		for (int i = 0; i < w->n_qps; i++)
			fr_verbs_cm_drop(e->conn[i]);
		for (int i = 0; i < w->n_qps; i++)
			if (e->qp[i])
				CU_ASSERT_EQUAL(w->v->destroy_qp(e->qp[i]), 0);
		fr_verbs_cm_close(e->cm);
		if (e->mr)
			w->v->dereg_mr(e->mr);
		if (e->device.context)
			fr_verbs_device_close(&e->device);
	}
	free(w);
}

/* NULL when the case was skipped. */
static struct world *open_world(int n_qps, const unsigned char *key0, const unsigned char *key1)
{
	char why[256] = "";
	struct world *w = calloc(1, sizeof(*w));

	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	w->n_qps = n_qps;
	w->v = fr_verbs_get(why, sizeof(why));
	if (!w->v)
		t_skip("%s", why);
	if (!w->v || !open_end(w, 0, key0) || !open_end(w, 1, key1)) {
		close_world(w);
		return NULL;
	}
	for (int rank = 0; rank < 2; rank++)
		make_qps(w, &w->end[rank]);
	return w;
}

/* What rank `rank` says of its peer's queue pair i. */
static struct fr_verbs_cm_peer peer_of(const struct world *w, int rank, int i, uint64_t deadline_ns)
{
	return (struct fr_verbs_cm_peer){
		.rank = 1 - rank,
		.generation = 3,
		.rail = 1,
		.qp_index = (uint8_t)i,
		.mtu_code = (uint8_t)fr_verbs_mtu_code(w->end[1 - rank].device.tuning.mtu),
		.qp_num = w->end[1 - rank].qp[i]->qp_num,
		.deadline_ns = fr_clock_ns() + deadline_ns,
		.arg = (void *)&w->end[rank].qp[i],
	};
}

static void expect_qp(struct world *w, const struct fr_verbs_cm_peer *peer, int i)
{
	struct end *e = &w->end[1];

	CU_ASSERT_EQUAL_FATAL(
		fr_verbs_cm_expect(e->cm, e->qp[i], peer, &e->conn[i], e->why, sizeof(e->why)),
		FERRULE_OK);
}

static void start_qp(struct world *w, const struct fr_verbs_cm_peer *peer, int i,
                     const struct fr_verbs_cm_address *to)
{
	struct end *e = &w->end[0];

	CU_ASSERT_EQUAL_FATAL(
		fr_verbs_cm_start(e->cm, e->qp[i], peer, to, &e->conn[i], e->why, sizeof(e->why)),
		FERRULE_OK);
}

static void take(struct end *e)
{
	struct fr_verbs_cm_event events[4];
	const int n = fr_verbs_cm_poll(e->cm, events, 4);

	for (int i = 0; i < n; i++) {
		e->n_ready += events[i].kind == FR_VERBS_CM_READY;
		e->n_failed += events[i].kind == FR_VERBS_CM_FAILED;
		e->n_lost += events[i].kind == FR_VERBS_CM_LOST;
		if (events[i].kind != FR_VERBS_CM_READY)
			memcpy(e->why, events[i].why, sizeof(events[i].why));
	}
}

/* Serves both ends until *counter has come to `wanted`. */
static bool serve(struct world *w, const int *counter, int wanted)
{
	const uint64_t deadline = fr_clock_ns() + 30 * SECOND;

	while (*counter < wanted && fr_clock_ns() < deadline) {
		struct pollfd fds[2] = {{fr_verbs_cm_fd(w->end[0].cm), POLLIN, 0},
		                        {fr_verbs_cm_fd(w->end[1].cm), POLLIN, 0}};
		poll(fds, 2, 20);
		take(&w->end[0]);
		take(&w->end[1]);
	}
	if (*counter < wanted)
		printf("      %s; %s\n", w->end[0].why, w->end[1].why);
	return *counter >= wanted;
}

static void connect_all(struct world *w)
{
	for (int i = 0; i < w->n_qps; i++) {
		const struct fr_verbs_cm_peer of1 = peer_of(w, 1, i, 20 * SECOND);
		const struct fr_verbs_cm_peer of0 = peer_of(w, 0, i, 20 * SECOND);
		expect_qp(w, &of1, i);
		start_qp(w, &of0, i, &w->end[1].address);
	}
	CU_ASSERT_TRUE(serve(w, &w->end[0].n_ready, w->n_qps));
	CU_ASSERT_TRUE(serve(w, &w->end[1].n_ready, w->n_qps));
	CU_ASSERT_EQUAL_FATAL(w->end[0].n_failed + w->end[1].n_failed, 0);
}

static bool await(struct end *e, const struct fr_verbs *v, struct ibv_wc *wc)
{
	const uint64_t deadline = fr_clock_ns() + 10 * SECOND;

	while (fr_clock_ns() < deadline)
		if (v->poll_cq(e->device.cq, 1, wc) == 1)
			return true;
	return false;
}

static void write_across(struct world *w, int from, int i)
{
	struct end *src = &w->end[from], *dst = &w->end[1 - from];
	struct ibv_sge piece = {(uintptr_t)src->memory, BYTES, src->mr->lkey};
	struct ibv_recv_wr recv = {.wr_id = 1}, *bad_recv;
	struct ibv_send_wr send = {.wr_id = 2,
	                           .sg_list = &piece,
	                           .num_sge = 1,
	                           .opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
	                           .send_flags = IBV_SEND_SIGNALED,
	                           .imm_data = htonl(77),
	                           .wr.rdma = {(uintptr_t)dst->memory, dst->mr->rkey}},
			   *bad_send;
	struct ibv_wc wc;

	memset(src->memory, 0x5a + from, BYTES);
	CU_ASSERT_EQUAL(w->v->post_recv(dst->qp[i], &recv, &bad_recv), 0);
	CU_ASSERT_EQUAL(w->v->post_send(src->qp[i], &send, &bad_send), 0);
	CU_ASSERT_TRUE_FATAL(await(src, w->v, &wc));
	CU_ASSERT_EQUAL(wc.status, IBV_WC_SUCCESS);
	CU_ASSERT_TRUE_FATAL(await(dst, w->v, &wc));
	CU_ASSERT_EQUAL(wc.status, IBV_WC_SUCCESS);
	CU_ASSERT_EQUAL(ntohl(wc.imm_data), 77);
	CU_ASSERT_EQUAL(memcmp(src->memory, dst->memory, BYTES), 0);
}

static void test_connects_and_writes_both_ways(void)
{
	struct world *w = open_world(1, key, key);

	if (!w)
		return;
	connect_all(w);
	for (int from = 0; from < 2; from++) {
		struct ibv_qp_attr attr;
		struct ibv_qp_init_attr init;
		write_across(w, from, 0);
		CU_ASSERT_EQUAL(w->v->query_qp(w->end[from].qp[0], &attr,
		                               IBV_QP_STATE | IBV_QP_MIN_RNR_TIMER | IBV_QP_TIMEOUT,
		                               &init),
		                0);
		CU_ASSERT_EQUAL(attr.qp_state, IBV_QPS_RTS);
		CU_ASSERT_EQUAL(attr.min_rnr_timer, 12);
		CU_ASSERT_EQUAL(attr.timeout, 18);
		CU_ASSERT_EQUAL(attr.retry_cnt, w->end[from].device.tuning.retry);
		CU_ASSERT_EQUAL(attr.ah_attr.grh.traffic_class, 106);
	}
	close_world(w);
}

static void test_queue_pair_of_the_peer_need_not_be_known(void)
{
	struct world *w = open_world(1, key, key);

	if (!w)
		return;
	struct fr_verbs_cm_peer of1 = peer_of(w, 1, 0, 20 * SECOND);
	struct fr_verbs_cm_peer of0 = peer_of(w, 0, 0, 20 * SECOND);
	of1.qp_num = of0.qp_num = 0;
	expect_qp(w, &of1, 0);
	start_qp(w, &of0, 0, &w->end[1].address);
	CU_ASSERT_TRUE(serve(w, &w->end[0].n_ready, 1));
	CU_ASSERT_TRUE(serve(w, &w->end[1].n_ready, 1));
	write_across(w, 0, 0);
	close_world(w);
}

static void test_many_at_once(void)
{
	struct world *w = open_world(QPS_MAX, key, key);

	if (!w)
		return;
	const uint64_t before = fr_clock_ns();
	connect_all(w);
	printf("      %d connections in %.1f ms\n", QPS_MAX,
	       (double)(fr_clock_ns() - before) / 1e6);
	write_across(w, 0, QPS_MAX - 1);
	write_across(w, 1, 0);
	close_world(w);
}

static void test_strangers_are_refused(void)
{
	struct world *w = open_world(1, other_key, key);

	if (!w)
		return;
	const struct fr_verbs_cm_peer of1 = peer_of(w, 1, 0, 20 * SECOND);
	const struct fr_verbs_cm_peer of0 = peer_of(w, 0, 0, 20 * SECOND);
	expect_qp(w, &of1, 0);
	start_qp(w, &of0, 0, &w->end[1].address);
	CU_ASSERT_TRUE(serve(w, &w->end[0].n_failed, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->end[0].why, "refused"));
	CU_ASSERT_EQUAL(w->end[1].n_ready + w->end[1].n_failed, 0);
	close_world(w);
}

static void test_what_is_not_expected_is_refused(void)
{
	for (int what = 0; what < 5; what++) {
		struct world *w = open_world(1, key, key);
		if (!w)
			return;
		struct fr_verbs_cm_peer of1 = peer_of(w, 1, 0, 20 * SECOND);
		const struct fr_verbs_cm_peer of0 = peer_of(w, 0, 0, 20 * SECOND);
		of1.generation += what == 0;
		of1.rail += what == 1;
		of1.qp_index += what == 2;
		of1.qp_num += what == 3;
		of1.rank += what == 4;
		expect_qp(w, &of1, 0);
		start_qp(w, &of0, 0, &w->end[1].address);
		CU_ASSERT_TRUE(serve(w, &w->end[0].n_failed, 1));
		CU_ASSERT_PTR_NOT_NULL(strstr(w->end[0].why, "refused"));
		CU_ASSERT_EQUAL(w->end[1].n_ready + w->end[1].n_failed, 0);
		close_world(w);
	}
}

static void test_nobody_listens(void)
{
	struct world *w = open_world(1, key, key);

	if (!w)
		return;
	struct fr_verbs_cm_address to = w->end[1].address;
	to.port = 9; /* Discard; no rank listens below 1024. */
	const struct fr_verbs_cm_peer of0 = peer_of(w, 0, 0, 20 * SECOND);
	start_qp(w, &of0, 0, &to);
	CU_ASSERT_TRUE(serve(w, &w->end[0].n_failed, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->end[0].why, "nobody listens"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->end[0].why, "rank 1"));
	close_world(w);
}

static void test_one_end_drops_and_the_other_learns(void)
{
	for (int rank = 0; rank < 2; rank++) {
		struct world *w = open_world(1, key, key);
		if (!w)
			return;
		connect_all(w);
		fr_verbs_cm_drop(w->end[rank].conn[0]);
		w->end[rank].conn[0] = NULL;
		CU_ASSERT_TRUE(serve(w, &w->end[1 - rank].n_lost, 1));
		CU_ASSERT_PTR_NOT_NULL(strstr(w->end[1 - rank].why, "disconnected"));
		close_world(w);
	}
}

static void test_a_deadline_passes(void)
{
	struct world *w = open_world(1, key, key);

	if (!w)
		return;
	const struct fr_verbs_cm_peer of1 = peer_of(w, 1, 0, SECOND / 20);
	expect_qp(w, &of1, 0);
	CU_ASSERT_TRUE(serve(w, &w->end[1].n_failed, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->end[1].why, "deadline"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->end[1].why, "waiting for a request"));
	/* It is over: who comes now is refused. */
	const struct fr_verbs_cm_peer of0 = peer_of(w, 0, 0, 20 * SECOND);
	start_qp(w, &of0, 0, &w->end[1].address);
	CU_ASSERT_TRUE(serve(w, &w->end[0].n_failed, 1));
	CU_ASSERT_EQUAL(w->end[1].n_failed, 1);
	close_world(w);
}

static void test_closing_in_the_middle_leaves_nothing(void)
{
	/* Each round is stopped one step later. */
	for (int steps = 0; steps < 12; steps++) {
		struct world *w = open_world(2, key, key);
		if (!w)
			return;
		for (int i = 0; i < 2; i++) {
			const struct fr_verbs_cm_peer of1 = peer_of(w, 1, i, 20 * SECOND);
			const struct fr_verbs_cm_peer of0 = peer_of(w, 0, i, 20 * SECOND);
			expect_qp(w, &of1, i);
			start_qp(w, &of0, i, &w->end[1].address);
		}
		for (int i = 0; i < steps; i++) {
			struct pollfd fd = {fr_verbs_cm_fd(w->end[i % 2].cm), POLLIN, 0};
			struct fr_verbs_cm_event event;
			poll(&fd, 1, 50);
			fr_verbs_cm_poll(w->end[i % 2].cm, &event, 1);
		}
		close_world(w);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"connects and writes both ways", test_connects_and_writes_both_ways},
		{"queue pair of the peer need not be known",
	         test_queue_pair_of_the_peer_need_not_be_known},
		{"many at once", test_many_at_once},
		{"strangers are refused", test_strangers_are_refused},
		{"what is not expected is refused", test_what_is_not_expected_is_refused},
		{"nobody listens", test_nobody_listens},
		{"one end drops and the other learns", test_one_end_drops_and_the_other_learns},
		{"a deadline passes", test_a_deadline_passes},
		{"closing in the middle leaves nothing", test_closing_in_the_middle_leaves_nothing},
		{NULL, NULL},
	};
	return t_main("transport/verbs_cm", cases);
}

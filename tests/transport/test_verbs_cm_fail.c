/*
 * Connections through a manager any call of which can fail, and which carries what strangers
 * write: nothing is left behind, nobody is let in, and the text names what it was.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/transport/verbs/verbs_cm.h"
#include "lib/transport/verbs/verbs_cm_wire.h"
#include "lib/transport/verbs/verbs_device.h"
#include "tests/support/t_main.h"
#include "tests/transport/fake_rdmacm.h"
#include "tests/transport/fake_verbs.h"

static const unsigned char key[32] = "the job's key", other_key[32] = "another job's key";
static const struct fr_verbs_port port0 = {.device = "fake0", .port = 1};

/* Rank 0 starts, rank 1 expects. */
struct pair {
	struct fr_verbs_device device[2];
	struct fr_verbs_cm *cm[2];
	struct fr_verbs_cm_address address[2];
	struct ibv_qp *qp[2];
	struct fr_verbs_cm_conn *conn[2];
	struct fr_verbs_cm_event last[2];
	int n_events[2];
	char why[512];
};

static void reset(void)
{
	fake_verbs_reset();
	fake_rdmacm_reset();
	fr_rdmacm_replace(&fake_rdmacm);
	/* An address that every machine has. */
	memset(fake.gids[0].gid.raw, 0, 16);
	fake.gids[0].gid.raw[10] = fake.gids[0].gid.raw[11] = 0xff;
	fake.gids[0].gid.raw[12] = 127;
	fake.gids[0].gid.raw[15] = 1;
}

static bool open_pair(struct pair *p)
{
	const struct fr_verbs_qp_params params = {.send_wr = 4, .recv_wr = 4, .send_sge = 1};

	memset(p, 0, sizeof(*p));
	for (int rank = 0; rank < 2; rank++) {
		const struct fr_verbs_cm_params cm = {
			.rank = rank, .comm_id = 0xc0ffee, .job_key = key};
		uint32_t psn;
		int max_inline;
		CU_ASSERT_EQUAL_FATAL(fr_verbs_device_open(&fake_verbs, &port0, 10,
		                                           &p->device[rank], p->why,
		                                           sizeof(p->why)),
		                      FERRULE_OK);
		p->qp[rank] = fr_verbs_qp_create(&p->device[rank], &params, &psn, &max_inline,
		                                 p->why, sizeof(p->why));
		CU_ASSERT_PTR_NOT_NULL_FATAL(p->qp[rank]);
		if (fr_verbs_cm_open(&p->device[rank], &cm, &p->cm[rank], p->why, sizeof(p->why)) !=
		    FERRULE_OK)
			return false;
		fr_verbs_cm_address(p->cm[rank], &p->address[rank]);
	}
	return true;
}

static struct fr_verbs_cm_peer peer_of(struct pair *p, int rank)
{
	return (struct fr_verbs_cm_peer){
		.rank = 1 - rank,
		.generation = 1,
		.mtu_code = IBV_MTU_4096,
		.qp_num = p->qp[1 - rank]->qp_num,
		.deadline_ns = fr_clock_ns() + 60000000000ull,
		.arg = &p->qp[rank],
	};
}

static bool start_pair(struct pair *p)
{
	const struct fr_verbs_cm_peer of0 = peer_of(p, 0), of1 = peer_of(p, 1);

	return fr_verbs_cm_expect(p->cm[1], p->qp[1], &of1, &p->conn[1], p->why, sizeof(p->why)) ==
	               FERRULE_OK &&
	       fr_verbs_cm_start(p->cm[0], p->qp[0], &of0, &p->address[1], &p->conn[0], p->why,
	                         sizeof(p->why)) == FERRULE_OK;
}

static void serve(struct pair *p)
{
	/* Four exchanges, and as many again to see that nothing more comes. */
	for (int i = 0; i < 10; i++)
		for (int rank = 0; rank < 2; rank++)
			if (p->cm[rank])
				p->n_events[rank] +=
					fr_verbs_cm_poll(p->cm[rank], &p->last[rank], 1);
}

static void close_pair(struct pair *p)
{
	for (int rank = 0; rank < 2; rank++) {
		fr_verbs_cm_drop(p->conn[rank]);
		fr_verbs_cm_close(p->cm[rank]);
		if (p->qp[rank])
			fake_verbs.destroy_qp(p->qp[rank]);
		fr_verbs_device_close(&p->device[rank]);
	}
	CU_ASSERT_EQUAL(fake.n_live, 0);
	CU_ASSERT_EQUAL(fake_cm.n_live, 0);
	CU_ASSERT_EQUAL(fake_cm.n_unacked, 0);
	fr_rdmacm_replace(NULL);
}

static bool is_ready(const struct pair *p)
{
	return p->n_events[0] == 1 && p->last[0].kind == FR_VERBS_CM_READY && p->n_events[1] == 1 &&
	       p->last[1].kind == FR_VERBS_CM_READY;
}

static void test_connects(void)
{
	struct pair p;
	char text[64];

	reset();
	CU_ASSERT_TRUE_FATAL(open_pair(&p));
	CU_ASSERT_EQUAL(p.address[1].family, 4);
	CU_ASSERT_STRING_EQUAL(fr_verbs_cm_address_text(&p.address[1], text, sizeof(text)),
	                       "127.0.0.1:4002");
	CU_ASSERT_TRUE_FATAL(start_pair(&p));
	serve(&p);
	CU_ASSERT_TRUE(is_ready(&p));
	CU_ASSERT_PTR_EQUAL(p.last[0].arg, &p.qp[0]);
	CU_ASSERT_EQUAL(p.qp[0]->state, IBV_QPS_RTS);
	CU_ASSERT_EQUAL(p.qp[1]->state, IBV_QPS_RTS);
	/* The manager's timers are not taken, its path is. */
	CU_ASSERT_EQUAL(fake.rtr.min_rnr_timer, 12);
	CU_ASSERT_EQUAL(fake.rtr.path_mtu, IBV_MTU_2048);
	CU_ASSERT_EQUAL(fake.rtr.ah_attr.grh.traffic_class, 106);
	CU_ASSERT_EQUAL(fake.rts.timeout, 18);
	CU_ASSERT_EQUAL(fake.rts.retry_cnt, 7);
	fr_verbs_cm_drop(p.conn[1]);
	p.conn[1] = NULL;
	serve(&p);
	CU_ASSERT_EQUAL(p.n_events[0], 2);
	CU_ASSERT_EQUAL(p.last[0].kind, FR_VERBS_CM_LOST);
	close_pair(&p);
}

static bool is_tolerated(const char *name)
{
	return strcmp(name, "rdma_set_option") == 0 || strcmp(name, "rdma_disconnect") == 0;
}

static void test_any_call_may_fail(void)
{
	bool was_reached = true;
	int n;

	for (n = 1; was_reached && n < 60; n++) {
		struct pair p;
		reset();
		fake_cm.fail_at = n;
		bool ok = open_pair(&p);
		const bool was_opened = ok;
		ok = ok && start_pair(&p);
		if (ok) {
			serve(&p);
			ok = is_ready(&p);
			/* Who fails says so, and lets the other end know. */
			if (!ok)
				snprintf(p.why, sizeof(p.why), "%s; %s", p.last[0].why,
				         p.last[1].why);
		}
		was_reached = fake_cm.failed != NULL;
		if (!ok) {
			CU_ASSERT_PTR_NOT_NULL_FATAL(fake_cm.failed);
			CU_ASSERT_PTR_NOT_NULL(strstr(p.why, "fake0 port 1"));
		} else if (was_reached) {
			CU_ASSERT_TRUE(is_tolerated(fake_cm.failed));
		}
		if (!ok && was_opened) {
			CU_ASSERT_PTR_NOT_NULL(strstr(p.why, fake_cm.failed));
			CU_ASSERT_PTR_NOT_NULL(strstr(p.why, strerror(EIO)));
		}
		close_pair(&p);
	}
	/* Two ends listen, one asks, both move their queue pairs. */
	CU_ASSERT_TRUE(n > 15);
}

static void test_any_verbs_call_may_fail(void)
{
	for (int n = 1; n < 7; n++) {
		struct pair p;
		reset();
		CU_ASSERT_TRUE_FATAL(open_pair(&p));
		CU_ASSERT_TRUE_FATAL(start_pair(&p));
		fake.n_calls = 0;
		fake.fail_at = n; /* INIT, RTR, RTS of the one that accepts, then of the other. */
		fake.error = EHOSTUNREACH;
		serve(&p);
		const int rank = n <= 3 ? 1 : 0;
		CU_ASSERT_EQUAL(p.last[rank].kind, FR_VERBS_CM_FAILED);
		CU_ASSERT_PTR_NOT_NULL(strstr(p.last[rank].why, "ibv_modify_qp to "));
		CU_ASSERT_PTR_NOT_NULL(strstr(p.last[rank].why, strerror(EHOSTUNREACH)));
		close_pair(&p);
	}
}

static void test_another_device_is_not_used(void)
{
	struct pair p;

	reset();
	fake_cm.is_odd = true;
	CU_ASSERT_FALSE(open_pair(&p));
	CU_ASSERT_PTR_NOT_NULL(strstr(p.why, "IP address"));
	close_pair(&p);
	reset();
	CU_ASSERT_TRUE_FATAL(open_pair(&p));
	fake_cm.is_odd = true;
	CU_ASSERT_TRUE_FATAL(start_pair(&p));
	serve(&p);
	CU_ASSERT_PTR_NOT_NULL(strstr(p.last[0].why, "another device"));
	close_pair(&p);
}

static void test_every_byte_of_an_answer_counts(void)
{
	for (int i = 0; i < 56; i++) {
		struct pair p;
		reset();
		CU_ASSERT_TRUE_FATAL(open_pair(&p));
		CU_ASSERT_TRUE_FATAL(start_pair(&p));
		/* Address, route and request pass; the answer does not. */
		p.n_events[0] += fr_verbs_cm_poll(p.cm[0], &p.last[0], 1);
		fake_cm.flip = i;
		p.n_events[1] += fr_verbs_cm_poll(p.cm[1], &p.last[1], 1);
		serve(&p);
		CU_ASSERT_EQUAL(p.last[0].kind, FR_VERBS_CM_FAILED);
		CU_ASSERT_EQUAL(p.n_events[1], 1);
		CU_ASSERT_EQUAL(p.last[1].kind, FR_VERBS_CM_FAILED);
		CU_ASSERT_EQUAL(fake_cm.n_rejected, 1);
		close_pair(&p);
	}
}

/* A request as rank 0 would make it, for p's expectation. */
static struct fr_cm_hello good_request(const struct pair *p)
{
	struct fr_cm_secret secret = {.comm_id = 0xc0ffee};
	struct fr_cm_hello hello = {.from = 0,
	                            .to = 1,
	                            .generation = 1,
	                            .qp_num = p->qp[0]->qp_num,
	                            .mtu_code = IBV_MTU_4096};

	memcpy(secret.key, key, sizeof(key));
	fr_cm_seal(&secret, NULL, &hello);
	return hello;
}

static void test_every_byte_of_a_request_counts(void)
{
	struct pair p;

	reset();
	CU_ASSERT_TRUE_FATAL(open_pair(&p));
	const struct fr_verbs_cm_peer of1 = peer_of(&p, 1);
	CU_ASSERT_EQUAL(
		fr_verbs_cm_expect(p.cm[1], p.qp[1], &of1, &p.conn[1], p.why, sizeof(p.why)),
		FERRULE_OK);
	const struct fr_cm_hello good = good_request(&p);
	const uint16_t port = p.address[1].port;
	for (int i = 0; i < 56; i++) {
		unsigned char bad[56];
		memcpy(bad, &good, sizeof(bad));
		bad[i] ^= 0x10;
		fake_rdmacm_request(port, good.qp_num, bad, sizeof(bad));
		serve(&p);
		CU_ASSERT_EQUAL(fake_cm.n_rejected, i + 1);
	}
	/* Too short, none at all, and the manager's number of the queue pair is another one. */
	fake_rdmacm_request(port, good.qp_num, &good, 55);
	fake_rdmacm_request(port, good.qp_num, NULL, 0);
	fake_rdmacm_request(port, good.qp_num + 1, &good, sizeof(good));
	serve(&p);
	CU_ASSERT_EQUAL(fake_cm.n_rejected, 56 + 3);
	CU_ASSERT_EQUAL(p.n_events[1], 0);
	CU_ASSERT_EQUAL(p.qp[1]->state, IBV_QPS_INIT);
	close_pair(&p);
}

static void test_a_request_is_worth_one_connection(void)
{
	struct pair p;

	reset();
	CU_ASSERT_TRUE_FATAL(open_pair(&p));
	CU_ASSERT_TRUE_FATAL(start_pair(&p));
	serve(&p);
	CU_ASSERT_TRUE(is_ready(&p));
	/* Recorded and sent again. */
	const struct fr_cm_hello again = good_request(&p);
	fake_rdmacm_request(p.address[1].port, again.qp_num, &again, sizeof(again));
	serve(&p);
	CU_ASSERT_EQUAL(fake_cm.n_rejected, 1);
	CU_ASSERT_TRUE(is_ready(&p));
	close_pair(&p);
}

static void test_proofs_differ_by_key_communicator_and_kind(void)
{
	struct fr_cm_secret a = {.comm_id = 1}, b = {.comm_id = 2}, c = {.comm_id = 1};
	struct fr_cm_hello request = {.from = 0, .to = 1, .qp_num = 5}, reply = {.from = 1}, out;

	memcpy(a.key, key, sizeof(key));
	memcpy(b.key, key, sizeof(key));
	memcpy(c.key, other_key, sizeof(key));
	fr_cm_seal(&a, NULL, &request);
	CU_ASSERT_PTR_NULL(fr_cm_open(&a, NULL, &request, sizeof(request), &out));
	CU_ASSERT_EQUAL(out.qp_num, 5);
	CU_ASSERT_PTR_NOT_NULL(fr_cm_open(&b, NULL, &request, sizeof(request), &out));
	CU_ASSERT_PTR_NOT_NULL(fr_cm_open(&c, NULL, &request, sizeof(request), &out));
	CU_ASSERT_PTR_NOT_NULL(fr_cm_open(&a, &request, &request, sizeof(request), &out));
	fr_cm_seal(&a, &request, &reply);
	CU_ASSERT_PTR_NULL(fr_cm_open(&a, &request, &reply, sizeof(reply), &out));
	CU_ASSERT_PTR_NOT_NULL(fr_cm_open(&a, NULL, &reply, sizeof(reply), &out));
	/* An answer to another request. */
	request.proof[0] ^= 1;
	CU_ASSERT_PTR_NOT_NULL(fr_cm_open(&a, &request, &reply, sizeof(reply), &out));
}

static void test_the_smaller_mtu_counts_at_both_ends(void)
{
	for (int small = 0; small < 2; small++) {
		struct pair p;
		reset();
		CU_ASSERT_TRUE_FATAL(open_pair(&p));
		p.device[small].tuning.mtu = 512;
		CU_ASSERT_TRUE_FATAL(start_pair(&p));
		/* Address, route and request; then the other end moves its queue pair. */
		for (int i = 0; i < 2; i++)
			p.n_events[0] += fr_verbs_cm_poll(p.cm[0], &p.last[0], 1);
		p.n_events[1] += fr_verbs_cm_poll(p.cm[1], &p.last[1], 1);
		CU_ASSERT_EQUAL(fake.rtr.path_mtu, IBV_MTU_512);
		fake.rtr.path_mtu = 0;
		serve(&p);
		CU_ASSERT_EQUAL(fake.rtr.path_mtu, IBV_MTU_512);
		CU_ASSERT_TRUE(is_ready(&p));
		close_pair(&p);
	}
}

static void test_removal_is_told_once(void)
{
	struct pair p;

	reset();
	CU_ASSERT_TRUE_FATAL(open_pair(&p));
	fake_rdmacm_removal(p.address[0].port);
	fake_rdmacm_removal(p.address[0].port);
	serve(&p);
	CU_ASSERT_EQUAL(p.n_events[0], 1);
	CU_ASSERT_EQUAL(p.last[0].kind, FR_VERBS_CM_GONE);
	CU_ASSERT_PTR_NULL(p.last[0].arg);
	close_pair(&p);
}

static void test_addresses_of_strangers(void)
{
	struct pair p;
	char text[64];
	struct fr_verbs_cm_address a = {.family = 6, .port = 7, .ip = {0xfe, 0x80, [15] = 1}};

	CU_ASSERT_STRING_EQUAL(fr_verbs_cm_address_text(&a, text, sizeof(text)), "[fe80::1]:7");
	a.family = 9;
	CU_ASSERT_STRING_EQUAL(fr_verbs_cm_address_text(&a, text, sizeof(text)), "no address");
	reset();
	CU_ASSERT_TRUE_FATAL(open_pair(&p));
	p.address[1].family = 9;
	CU_ASSERT_FALSE(start_pair(&p));
	CU_ASSERT_PTR_NOT_NULL(strstr(p.why, "address"));
	close_pair(&p);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"connects", test_connects},
		{"any call may fail", test_any_call_may_fail},
		{"any verbs call may fail", test_any_verbs_call_may_fail},
		{"another device is not used", test_another_device_is_not_used},
		{"every byte of an answer counts", test_every_byte_of_an_answer_counts},
		{"every byte of a request counts", test_every_byte_of_a_request_counts},
		{"a request is worth one connection", test_a_request_is_worth_one_connection},
		{"proofs differ by key, communicator and kind",
	         test_proofs_differ_by_key_communicator_and_kind},
		{"the smaller MTU counts at both ends", test_the_smaller_mtu_counts_at_both_ends},
		{"removal is told once", test_removal_is_told_once},
		{"addresses of strangers", test_addresses_of_strangers},
		{NULL, NULL},
	};
	return t_main("transport/verbs_cm_fail", cases);
}

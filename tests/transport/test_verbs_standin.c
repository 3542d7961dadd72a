/* Devices, registrations and queue pairs on the stand-in: what the fakes say must also work. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/transport/verbs/verbs_device.h"
#include "tests/support/standin/standin_control.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

#define BYTES 4096

struct end {
	struct fr_verbs_device device;
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	struct fr_verbs_end end;
	unsigned char memory[BYTES];
};

static char why[512];

static bool check(bool is_true, const char *what)
{
	if (!is_true)
		fprintf(stderr, "not so: %s (%s)\n", what, why);
	CU_ASSERT_TRUE(is_true);
	return is_true;
}

static const struct fr_verbs *open_library(void)
{
	const struct fr_verbs *v = fr_verbs_get(why, sizeof(why));

	check(v != NULL, "the stand-in opens");
	return v;
}

/* A device, and a queue pair with GID number `gid` of the list. */
static bool open_end(const struct fr_verbs *v, struct end *e, int gid)
{
	const struct fr_verbs_qp_params params = {
		.send_wr = 8, .recv_wr = 8, .send_sge = 2, .access = IBV_ACCESS_REMOTE_WRITE};
	const struct fr_verbs_memory m = {.base = e->memory, .bytes = BYTES, .dmabuf_fd = -1};
	struct fr_verbs_port ports[4];
	uint32_t psn;
	int max_inline;

	memset(e, 0, sizeof(*e));
	if (!check(fr_verbs_ports(v, ports, 4, why, sizeof(why)) == 1, "one port") ||
	    !check(fr_verbs_device_open(v, &ports[0], 64, &e->device, why, sizeof(why)) ==
	                   FERRULE_OK,
	           "the device opens"))
		return false;
	e->mr = fr_verbs_register(&e->device, &m, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
	                          true, why, sizeof(why));
	e->qp = fr_verbs_qp_create(&e->device, &params, &psn, &max_inline, why, sizeof(why));
	if (!check(e->mr && e->qp, "memory and queue pair"))
		return false;
	CU_ASSERT_TRUE(max_inline >= 220);
	fr_verbs_qp_end(&e->device, e->qp, psn, &e->device.gids[gid], &e->end);
	return true;
}

static void close_end(struct end *e)
{
	fr_verbs_qp_stop(&e->device, e->qp);
	CU_ASSERT_EQUAL(e->device.v->destroy_qp(e->qp), 0);
	CU_ASSERT_EQUAL(e->device.v->dereg_mr(e->mr), 0);
	fr_verbs_device_close(&e->device);
}

static bool connect_ends(struct end *a, struct end *b)
{
	return check(fr_verbs_qp_connect(&a->device, a->qp, &a->end, &b->end, why, sizeof(why)) ==
	                     FERRULE_OK,
	             "the first end connects") &&
	       check(fr_verbs_qp_connect(&b->device, b->qp, &b->end, &a->end, why, sizeof(why)) ==
	                     FERRULE_OK,
	             "the second end connects");
}

static int await(struct end *e, struct ibv_wc *wc)
{
	const uint64_t deadline = fr_clock_ns() + 20000000000ull;

	while (fr_clock_ns() < deadline) {
		if (e->device.v->poll_cq(e->device.cq, 1, wc) == 1)
			return (int)wc->status;
		usleep(100);
	}
	return -1;
}

/* Writes src's memory with an immediate into dst's; the sender's status. */
static int write_across(struct end *src, struct end *dst, uint32_t rkey)
{
	const struct fr_verbs *v = src->device.v;
	struct ibv_sge piece = {(uintptr_t)src->memory, BYTES, src->mr->lkey};
	struct ibv_recv_wr recv = {.wr_id = 1}, *bad_recv;
	struct ibv_send_wr send = {.wr_id = 2,
	                           .sg_list = &piece,
	                           .num_sge = 1,
	                           .opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
	                           .send_flags = IBV_SEND_SIGNALED,
	                           .imm_data = htonl(77),
	                           .wr.rdma = {(uintptr_t)dst->memory, rkey}},
			   *bad_send;
	struct ibv_wc wc;

	memset(src->memory, 0x5a, BYTES);
	CU_ASSERT_EQUAL(v->post_recv(dst->qp, &recv, &bad_recv), 0);
	CU_ASSERT_EQUAL(v->post_send(src->qp, &send, &bad_send), 0);
	return await(src, &wc);
}

static void expect_nothing_left(void)
{
	struct standin_counts n = {.n_contexts = 99};
	struct standin_control *c = standin_control_open(getenv("STANDIN_NAMESPACE"));

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	standin_control_count(c, (int)getpid(), &n);
	check(n.n_contexts + n.n_pds + n.n_mrs + n.n_cqs + n.n_qps == 0, "nothing is left");
	standin_control_close(c);
}

/* ---- cases, each in a process of its own ---- */

static int write_and_read(int rank, int n_ranks, void *arg)
{
	const struct fr_verbs *v = open_library();
	static struct end a, b;
	struct ibv_wc wc;

	(void)rank;
	(void)n_ranks;
	(void)arg;
	if (!v || !open_end(v, &a, 0) || !open_end(v, &b, 0) || !connect_ends(&a, &b))
		return 1;
	check(write_across(&a, &b, b.mr->rkey) == IBV_WC_SUCCESS, "the write succeeds");
	check(await(&b, &wc) == IBV_WC_SUCCESS && ntohl(wc.imm_data) == 77, "the immediate comes");
	check(memcmp(a.memory, b.memory, BYTES) == 0, "the bytes come");
	close_end(&a);
	close_end(&b);
	expect_nothing_left();
	return t_failures() != 0;
}

static int use_a_foreign_key(int rank, int n_ranks, void *arg)
{
	const struct fr_verbs *v = open_library();
	static struct end a, b, other;

	(void)rank;
	(void)n_ranks;
	(void)arg;
	/* As another communicator on the same port: keys of its domain open nothing here. */
	if (!v || !open_end(v, &a, 0) || !open_end(v, &b, 0) || !open_end(v, &other, 0) ||
	    !connect_ends(&a, &b))
		return 1;
	const int status = write_across(&a, &other, other.mr->rkey);
	check(status == IBV_WC_REM_ACCESS_ERR, fr_verbs_status_text((enum ibv_wc_status)status));
	check(other.memory[0] == 0, "foreign memory is untouched");
	close_end(&a);
	close_end(&b);
	close_end(&other);
	expect_nothing_left();
	return t_failures() != 0;
}

static int exceed_the_limit(int rank, int n_ranks, void *arg)
{
	const struct fr_verbs *v = open_library();
	static struct end a;
	const size_t bytes = 8u << 20;
	void *big = malloc(bytes);
	const struct fr_verbs_memory m = {.base = big, .bytes = bytes, .dmabuf_fd = -1};

	(void)rank;
	(void)n_ranks;
	(void)arg;
	if (!v || !big || !open_end(v, &a, 0))
		return 1;
	check(!fr_verbs_register(&a.device, &m, IBV_ACCESS_LOCAL_WRITE, true, why, sizeof(why)),
	      "8 MiB are refused");
	check(strstr(why, "standin0 port 1: ibv_reg_mr") && strstr(why, "8388608 bytes") &&
	              strstr(why, "locked-memory"),
	      "the text names call, bytes and limit");
	close_end(&a);
	free(big);
	expect_nothing_left();
	return t_failures() != 0;
}

static int lose_an_address(int rank, int n_ranks, void *arg)
{
	const struct fr_verbs *v = open_library();
	struct standin_control *c = standin_control_open(getenv("STANDIN_NAMESPACE"));
	static struct end a, b;
	struct ibv_async_event event;

	(void)rank;
	(void)n_ranks;
	(void)arg;
	if (!v || !c || !open_end(v, &a, 0) || !open_end(v, &b, 0))
		return 1;
	check(a.device.n_gids == 2 && a.device.gids[0].index == 1, "the IPv4 address is first");
	/* Nothing has happened, and asking does not block. */
	check(v->get_async_event(a.device.context, &event) != 0, "no event yet");
	standin_control_gid(c, 0, 1, STANDIN_GID_REMOVED);
	check(v->get_async_event(a.device.context, &event) == 0 &&
	              event.event_type == IBV_EVENT_GID_CHANGE,
	      "an event tells that the GIDs have changed");
	v->ack_async_event(&event);
	check(fr_verbs_qp_connect(&a.device, a.qp, &a.end, &b.end, why, sizeof(why)) != FERRULE_OK,
	      "the old address does not connect");
	check(strstr(why, "ibv_modify_qp to RTR") && strstr(why, "10.77.0.1 (v2, index 1)"),
	      "the text names transition and address");
	check(fr_verbs_device_refresh(&a.device, why, sizeof(why)) == FERRULE_OK,
	      "it is refreshed");
	check(a.device.n_gids == 1 && a.device.gids[0].index == 0, "the other address remains");
	standin_control_port(c, 0, STANDIN_PORT_DOWN);
	check(fr_verbs_device_refresh(&a.device, why, sizeof(why)) == FERRULE_ERR_TRANSPORT &&
	              strstr(why, "down"),
	      "a port that is down is told");
	close_end(&a);
	close_end(&b);
	standin_control_close(c);
	return t_failures() != 0;
}

static int try_a_dead_address(int rank, int n_ranks, void *arg)
{
	const struct fr_verbs *v = open_library();
	struct standin_control *c = standin_control_open(getenv("STANDIN_NAMESPACE"));

	(void)rank;
	(void)n_ranks;
	(void)arg;
	if (!v || !c)
		return 1;
	standin_control_gid(c, 0, 1, STANDIN_GID_DEAD);
	for (int gid = 0; gid < 2; gid++) {
		static struct end a, b;
		if (!open_end(v, &a, gid) || !open_end(v, &b, gid) || !connect_ends(&a, &b))
			return 1;
		const int status = write_across(&a, &b, b.mr->rkey);
		check(status == (gid == 0 ? IBV_WC_RETRY_EXC_ERR : IBV_WC_SUCCESS),
		      fr_verbs_status_text((enum ibv_wc_status)status));
		close_end(&a);
		close_end(&b);
	}
	standin_control_close(c);
	return t_failures() != 0;
}

/* ---- */

static void run(int (*fn)(int, int, void *), const char *name, const char *value)
{
	static int number;
	char space[64];

	if (access("tests/support/standin/libstandin.so", R_OK) != 0) {
		t_skip("tests/support/standin/libstandin.so is not built");
		return;
	}
	snprintf(space, sizeof(space), "verbs-%d-%d", (int)getpid(), number++);
	setenv("STANDIN_NAMESPACE", space, 1);
	if (name)
		setenv(name, value, 1);
	CU_ASSERT_EQUAL(t_spawn(1, 60, fn, NULL, NULL), 0);
	if (name)
		unsetenv(name);
}

static void test_writes_between_two_queue_pairs(void)
{
	run(write_and_read, NULL, NULL);
}

static void test_writes_on_infiniband(void)
{
	run(write_and_read, "STANDIN_LINK", "ib");
}

static void test_keys_of_another_communicator_are_refused(void)
{
	run(use_a_foreign_key, NULL, NULL);
}

static void test_memory_beyond_the_limit_is_refused(void)
{
	run(exceed_the_limit, "STANDIN_MEMLOCK", "4194304");
}

static void test_an_address_that_goes_is_noticed(void)
{
	run(lose_an_address, NULL, NULL);
}

static void test_a_dead_address_fails_and_the_next_works(void)
{
	/* Eight times a timeout of about a second, made shorter. */
	run(try_a_dead_address, "STANDIN_TIME_SCALE", "0.01");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"writes between two queue pairs", test_writes_between_two_queue_pairs},
		{"writes on InfiniBand", test_writes_on_infiniband},
		{"keys of another communicator are refused",
	         test_keys_of_another_communicator_are_refused},
		{"memory beyond the limit is refused", test_memory_beyond_the_limit_is_refused},
		{"an address that goes is noticed", test_an_address_that_goes_is_noticed},
		{"a dead address fails and the next works",
	         test_a_dead_address_fails_and_the_next_works},
		{NULL, NULL},
	};

	setenv("FERRULE_VERBS_LIBRARY", "tests/support/standin/libstandin.so", 1);
	return t_main("transport/verbs_standin", cases);
}

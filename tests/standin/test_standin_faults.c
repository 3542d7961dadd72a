/* test_standin_faults.c - the stand-in between processes, and what can be made to go wrong. */
#include "tests/standin/t_standin.h"
#include "tests/support/t_main.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNALLED IBV_SEND_SIGNALED

static void fill(unsigned char *memory, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = (unsigned char)(seed + i * 7 + (i >> 8));
}

static bool is_filled(const unsigned char *memory, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		if (memory[i] != (unsigned char)(seed + i * 7 + (i >> 8)))
			return false;
	return true;
}

/* write_status - one signalled write of 8 bytes, and how it ended. */
static int write_status(struct t_end *e, const struct t_card *peer)
{
	T_CHECK(t_send(e, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, peer) == 0);
	return t_status(e->send_cq);
}

/* ---- data ---- */

static int data_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	static const size_t sizes[] = {1, 8, 63, 4095, 4096, 4097, 65536, 500001};
	struct t_end e;
	struct t_card peer;
	struct ibv_wc wc;
	t_connect(&e, rank, &(struct t_options){0}, &peer);
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		const size_t bytes = sizes[i], at = 3 * i, back = 520000;
		if (rank == 0) {
			fill(e.memory + at, bytes, i);
			T_CHECK(t_send(&e, IBV_WR_RDMA_WRITE_WITH_IMM, SIGNALLED, at, bytes,
			               &peer) == 0);
			T_CHECK(t_status(e.send_cq) == IBV_WC_SUCCESS);
		} else {
			T_CHECK(t_recv(&e, 0, 0) == 0);
			T_CHECK(t_wait(e.recv_cq, 5, &wc) && wc.byte_len == bytes);
			T_CHECK(is_filled(e.memory + at, bytes, i));
		}
		t_meet(rank);
		if (rank == 1)
			fill(e.memory + back, 100, i + 1);
		t_meet(rank);
		if (rank == 0) {
			T_CHECK(t_send(&e, IBV_WR_RDMA_READ, SIGNALLED, back, 100, &peer) == 0);
			T_CHECK(t_status(e.send_cq) == IBV_WC_SUCCESS);
			T_CHECK(is_filled(e.memory + back, 100, i + 1));
		}
		t_meet(rank);
	}
	t_close(&e);
	return 0;
}

static void test_data_between_processes(void)
{
	t_standin_run(2, data_rank, 0, NULL);
}

static void test_data_by_system_calls(void)
{
	static const char *const environment[] = {"STANDIN_SHARE", "0", NULL};
	t_standin_run(2, data_rank, 0, environment);
}

/* Registered memory that is not pages of its own: the edges go another way than the middle. */
static int edges_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	t_open(&e, &(struct t_options){0});
	unsigned char *before = e.memory;
	struct ibv_mr *whole = e.mr;
	e.memory += 1000;
	e.mr = v.reg_mr(e.pd, e.memory, 20000, e.o.access);
	t_card(&e, &e.card);
	t_swap(rank, &e.card, &peer, sizeof e.card);
	T_CHECK(t_to_rtr(&e, &peer) == 0 && t_to_rts(&e) == 0);
	t_meet(rank);
	if (rank == 0) {
		fill(e.memory, 20000, 5);
		T_CHECK(t_send(&e, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 20000, &peer) == 0);
		T_CHECK(t_status(e.send_cq) == IBV_WC_SUCCESS);
	}
	t_meet(rank);
	T_CHECK(is_filled(e.memory, 20000, 5));
	T_CHECK(before[999] == 0 && e.memory[20000] == 0);
	t_meet(rank);
	T_CHECK(v.dereg_mr(e.mr) == 0);
	e.memory = before;
	e.mr = whole;
	t_close(&e);
	return 0;
}

static void test_memory_with_edges(void)
{
	t_standin_run(2, edges_rank, 0, NULL);
}

/* The sender sleeps on its channel; only its engine can deliver. */
static int sleeper_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	t_connect(&e, rank, &(struct t_options){.has_channel = true}, &peer);
	if (rank == 0) {
		T_CHECK(t_send(&e, IBV_WR_SEND, 0, 0, 8, NULL) == 0);
		T_CHECK(t_recv(&e, 0, 8) == 0);
		e.context->ops.req_notify_cq(e.recv_cq, 0);
		t_meet(rank);
		T_CHECK(poll(&(struct pollfd){e.channel->fd, POLLIN, 0}, 1, 5000) == 1);
		struct ibv_cq *cq;
		void *context;
		T_CHECK(v.get_cq_event(e.channel, &cq, &context) == 0);
		v.ack_cq_events(cq, 1);
		T_CHECK(t_status(e.recv_cq) == IBV_WC_SUCCESS);
	} else {
		t_meet(rank);
		T_CHECK(t_recv(&e, 0, 8) == 0);
		T_CHECK(t_status(e.recv_cq) == IBV_WC_SUCCESS);
		T_CHECK(t_send(&e, IBV_WR_SEND, 0, 0, 8, NULL) == 0);
	}
	t_meet(rank);
	t_close(&e);
	return 0;
}

static void test_held_send_of_a_sleeper(void)
{
	t_standin_run(2, sleeper_rank, 0, NULL);
}

static int adders_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	t_connect(&e, rank, &(struct t_options){0}, &peer);
	/* Rank 1 adds over the wire to rank 0's word and rank 0 by itself, also over the wire. */
	struct t_end self, other;
	struct ibv_sge sge = {(uintptr_t)e.memory + 64, 8, e.mr->lkey};
	struct ibv_send_wr wr = {.sg_list = &sge,
	                         .num_sge = 1,
	                         .send_flags = SIGNALLED,
	                         .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD},
			   *bad;
	wr.wr.atomic.compare_add = 1;
	struct t_end *by = &e;
	if (rank == 0) {
		t_pair(&self, &other, &(struct t_options){0});
		by = &self;
		sge = (struct ibv_sge){(uintptr_t)self.memory, 8, self.mr->lkey};
		/* The word's registration belongs to another domain: register it in `other`'s. */
		struct ibv_mr *word = v.reg_mr(other.pd, e.memory, 4096, e.o.access);
		wr.wr.atomic.remote_addr = (uintptr_t)e.memory;
		wr.wr.atomic.rkey = word->rkey;
		t_meet(rank);
		for (int i = 0; i < 2000; i++) {
			T_CHECK(by->context->ops.post_send(by->qp, &wr, &bad) == 0);
			T_CHECK(t_status(by->send_cq) == IBV_WC_SUCCESS);
		}
		t_meet(rank);
		T_CHECK(*(uint64_t *)e.memory == 4000);
		T_CHECK(v.dereg_mr(word) == 0);
		t_close(&self);
		t_close(&other);
	} else {
		wr.wr.atomic.remote_addr = peer.address;
		wr.wr.atomic.rkey = peer.rkey;
		t_meet(rank);
		for (int i = 0; i < 2000; i++) {
			T_CHECK(by->context->ops.post_send(by->qp, &wr, &bad) == 0);
			T_CHECK(t_status(by->send_cq) == IBV_WC_SUCCESS);
		}
		t_meet(rank);
	}
	t_close(&e);
	return 0;
}

static void test_atomics_of_two(void)
{
	t_standin_run(2, adders_rank, 0, NULL);
}

/* ---- deaths ---- */

static int death_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	t_connect(&e, rank, &(struct t_options){.timeout = 12, .retry_cnt = 2}, &peer);
	pid_t mine = getpid(), other;
	t_swap(rank, &mine, &other, sizeof mine);
	if (rank == 1) {
		for (;;)
			pause();
	}
	struct standin_control *control = t_control();
	struct standin_counts counts;
	T_CHECK(write_status(&e, &peer) == IBV_WC_SUCCESS);
	kill(other, SIGKILL);
	const double began = t_now();
	int status;
	do
		status = write_status(&e, &peer);
	while (status == IBV_WC_SUCCESS && t_now() < began + 5);
	/* Three attempts, each with a wait of 16.8 ms. */
	T_CHECK(status == IBV_WC_RETRY_EXC_ERR && t_now() - began > 0.050);
	T_CHECK(t_state(&e) == IBV_QPS_ERR);
	standin_control_count(control, 0, &counts);
	T_CHECK(counts.n_processes == 1 && counts.n_qps == 1 && counts.n_mrs == 1);
	standin_control_close(control);
	t_close(&e);
	return 0;
}

static void test_peer_killed(void)
{
	t_standin_run(2, death_rank, 2, NULL);
}

/* doom - this process is killed after a while that is different in every round. */
static void doom(void)
{
	const char *microseconds = getenv("T_DOOM_US");
	const pid_t doomed = getpid();
	if (fork() == 0) {
		usleep((useconds_t)atoi(microseconds));
		kill(doomed, SIGKILL);
		_exit(0);
	}
}

/* A sender killed at any moment leaves the receiver able to go on: no lock stays held. */
static int traffic_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	t_connect(&e, rank, &(struct t_options){.recv_wr = 1024, .cqe = 4096}, &peer);
	if (rank == 1) {
		for (int i = 0;; i++) {
			if (i == 20)
				doom();
			if (t_send(&e, IBV_WR_RDMA_WRITE_WITH_IMM, SIGNALLED, 0, 1000, &peer) != 0)
				exit(1);
			if (t_status(e.send_cq) != IBV_WC_SUCCESS)
				exit(1);
		}
	}
	int n_received = 0;
	struct ibv_wc wc;
	for (int i = 0; i < 64; i++)
		T_CHECK(t_recv(&e, 0, 0) == 0);
	while (t_wait(e.recv_cq, 0.3, &wc)) {
		T_CHECK(wc.status == IBV_WC_SUCCESS && t_recv(&e, 0, 0) == 0);
		n_received++;
	}
	T_CHECK(n_received >= 20);
	t_close(&e);
	return 0;
}

static void test_sender_killed_at_any_moment(void)
{
	for (int round = 0; round < 8; round++) {
		char text[16];
		const char *const environment[] = {"T_DOOM_US", text, NULL};
		snprintf(text, sizeof text, "%d", 2000 + round * 3137);
		t_standin_run(2, traffic_rank, 2, environment);
	}
}

/* A sender stopped at any moment, perhaps in the middle of a completion, is in nobody's way: the
 * other's own requests on the same completion queue go on. */
static int stopped_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	struct ibv_wc wc;
	t_connect(&e, rank, &(struct t_options){.has_one_cq = true, .recv_wr = 1024, .cqe = 4096},
	          &peer);
	pid_t mine = getpid(), other;
	t_swap(rank, &mine, &other, sizeof mine);
	for (int i = 0; rank == 0 && i < 1024; i++)
		T_CHECK(t_recv(&e, 0, 0) == 0);
	t_meet(rank);
	while (rank == 1) {
		t_send(&e, IBV_WR_RDMA_WRITE_WITH_IMM, SIGNALLED, 64, 8, &peer);
		t_wait(e.send_cq, 1, &wc);
	}
	usleep((useconds_t)atoi(getenv("T_STOP_US")));
	kill(other, SIGSTOP);
	const double began = t_now();
	for (int n_sent = 0, n_done = 0; n_done < 300;) {
		n_sent += n_sent < n_done + 10 &&
		          t_send(&e, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &peer) == 0;
		if (!t_wait(e.send_cq, 2, &wc))
			break;
		n_done += wc.opcode == IBV_WC_RDMA_WRITE;
	}
	T_CHECK(t_now() - began < 1.5);
	kill(other, SIGKILL);
	t_close(&e);
	return 0;
}

static void test_sender_stopped_at_any_moment(void)
{
	for (int round = 0; round < 8; round++) {
		char text[16];
		const char *const environment[] = {"T_STOP_US", text, NULL};
		snprintf(text, sizeof text, "%d", 20 + round * 37);
		t_standin_run(2, stopped_rank, 2, environment);
	}
}

/* ---- ports and addresses ---- */

static void port_case(struct t_end *a, struct t_end *b)
{
	struct ibv_wc wc;
	struct standin_control *control = t_control();
	T_CHECK(write_status(a, &b->card) == IBV_WC_SUCCESS);
	T_CHECK(standin_control_port(control, 0, STANDIN_PORT_DOWN) == 0);
	T_CHECK(t_event(a) == IBV_EVENT_PORT_ERR && t_event(b) == IBV_EVENT_PORT_ERR);
	struct ibv_port_attr port;
	T_CHECK(v.query_port(a->context, 1, (struct _compat_ibv_port_attr *)&port) == 0);
	T_CHECK(port.state == IBV_PORT_DOWN);
	a->memory[0] = 77;
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, &b->card) == 0);
	T_CHECK(!t_wait(a->send_cq, 0.15, &wc) && b->memory[0] == 0);
	T_CHECK(standin_control_port(control, 0, STANDIN_PORT_UP) == 0);
	T_CHECK(t_event(a) == IBV_EVENT_PORT_ACTIVE);
	T_CHECK(t_status(a->send_cq) == IBV_WC_SUCCESS && b->memory[0] == 77);
	/* For longer than the window. */
	T_CHECK(standin_control_port(control, 0, STANDIN_PORT_DOWN) == 0);
	T_CHECK(write_status(a, &b->card) == IBV_WC_RETRY_EXC_ERR);
	T_CHECK(standin_control_port(control, 0, STANDIN_PORT_UP) == 0);
	standin_control_close(control);
}

static void test_port_down_and_up(void)
{
	/* 67 ms, 8 attempts. */
	t_standin_pair(port_case, &(struct t_options){.timeout = 14}, NULL);
}

/* Two hosts: the port of one goes down, and only it is told so. */
static int hosts_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	setenv("STANDIN_NODE", rank == 0 ? "0" : "1", 1);
	struct standin_control *control = t_control();
	t_connect(&e, rank, &(struct t_options){.device = 1, .timeout = 10, .retry_cnt = 1}, &peer);
	T_CHECK(write_status(&e, &peer) == IBV_WC_SUCCESS);
	t_meet(rank);
	if (rank == 0) /* the second device of the second host */
		T_CHECK(standin_control_port(control, 3, STANDIN_PORT_DOWN) == 0);
	t_meet(rank);
	struct ibv_async_event event;
	if (rank == 1)
		T_CHECK(t_event(&e) == IBV_EVENT_PORT_ERR);
	else
		T_CHECK(v.get_async_event(e.context, &event) == -1 && errno == EAGAIN);
	T_CHECK(write_status(&e, &peer) == IBV_WC_RETRY_EXC_ERR);
	t_meet(rank);
	standin_control_close(control);
	t_close(&e);
	return 0;
}

static void test_two_hosts(void)
{
	static const char *const environment[] = {"STANDIN_DEVICES", "2", NULL};
	t_standin_run(2, hosts_rank, 0, environment);
}

/* hangs - what was posted does not complete, nor does the queue pair fail. */
static void hangs(struct t_end *a, const struct t_card *card)
{
	struct ibv_wc wc;
	T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 8, card) == 0);
	T_CHECK(!t_wait(a->send_cq, 0.2, &wc)); /* the window is 50 ms */
	T_CHECK(t_state(a) == IBV_QPS_RTS);
}

static void revive(struct t_end *a, const struct t_card *card)
{
	struct ibv_qp_attr to = {.qp_state = IBV_QPS_ERR};
	T_CHECK(v.modify_qp(a->qp, &to, IBV_QP_STATE) == 0);
	T_CHECK(t_status(a->send_cq) == IBV_WC_WR_FLUSH_ERR);
	to.qp_state = IBV_QPS_RESET;
	T_CHECK(v.modify_qp(a->qp, &to, IBV_QP_STATE) == 0);
	T_CHECK(t_to_init(a) == 0 && t_to_rtr(a, card) == 0 && t_to_rts(a) == 0);
	T_CHECK(write_status(a, card) == IBV_WC_SUCCESS);
}

static void silent_case(struct t_end *a, struct t_end *b)
{
	struct ibv_wc wc;
	struct standin_control *control = t_control();
	T_CHECK(standin_control_port(control, 0, STANDIN_PORT_SILENT) == 0);
	hangs(a, &b->card);
	T_CHECK(standin_control_port(control, 0, STANDIN_PORT_UP) == 0);
	T_CHECK(!t_wait(a->send_cq, 0.1, &wc));
	revive(a, &b->card);
	/* An address that is taken away and given back. */
	union ibv_gid gid;
	static const union ibv_gid zero;
	while (t_event(a) != IBV_EVENT_PORT_ACTIVE)
		continue;
	T_CHECK(standin_control_gid(control, 0, 1, STANDIN_GID_REMOVED) == 0);
	T_CHECK(t_event(a) == IBV_EVENT_GID_CHANGE);
	T_CHECK(v.query_gid(a->context, 1, 1, &gid) == 0 && memcmp(&gid, &zero, 16) == 0);
	hangs(a, &b->card);
	T_CHECK(standin_control_gid(control, 0, 1, STANDIN_GID_PRESENT) == 0);
	T_CHECK(t_event(a) == IBV_EVENT_GID_CHANGE);
	T_CHECK(!t_wait(a->send_cq, 0.1, &wc));
	revive(a, &b->card);
	standin_control_close(control);
}

static void test_silent_hangs(void)
{
	t_standin_pair(silent_case, &(struct t_options){.timeout = 12, .retry_cnt = 2}, NULL);
}

static int dead_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end a, b;
	struct standin_control *control = t_control();
	const struct t_options o = {.timeout = 10, .retry_cnt = 1};
	T_CHECK(standin_control_gid(control, 0, 1, STANDIN_GID_DEAD) == 0);
	t_pair(&a, &b, &o);
	T_CHECK(write_status(&a, &b.card) == IBV_WC_RETRY_EXC_ERR);
	t_close(&a);
	t_close(&b);
	/* The other address of the same port. */
	struct t_options local = o;
	local.node_gid = -1;
	t_open(&a, &local);
	a.o.node_gid = 1; /* an IPv4 address there, a link-local here */
	struct t_card card;
	t_card(&a, &card);
	a.o.node_gid = 0;
	T_CHECK(t_to_rtr(&a, &card) == 0 && t_to_rts(&a) == 0);
	T_CHECK(write_status(&a, &card) == IBV_WC_RETRY_EXC_ERR);
	t_close(&a);
	T_CHECK(standin_control_gid(control, 0, 1, STANDIN_GID_PRESENT) == 0);
	T_CHECK(standin_control_block(control, 0, 0, true) == 0);
	t_pair(&a, &b, &o);
	T_CHECK(write_status(&a, &b.card) == IBV_WC_RETRY_EXC_ERR);
	standin_control_close(control);
	t_close(&a);
	t_close(&b);
	return 0;
}

static void test_addresses_that_lead_nowhere(void)
{
	t_standin_run(1, dead_rank, 0, NULL);
}

/* ---- kills, scrambling, pace ---- */

static int kill_rank(int rank, int n, void *arg)
{
	(void)rank, (void)n, (void)arg;
	struct t_end a, b;
	struct standin_control *control = t_control();
	/* From the environment: two requests, then status 10. */
	t_pair(&a, &b, &(struct t_options){0});
	T_CHECK(write_status(&a, &b.card) == IBV_WC_SUCCESS);
	T_CHECK(write_status(&a, &b.card) == IBV_WC_SUCCESS);
	T_CHECK(write_status(&a, &b.card) == IBV_WC_REM_ACCESS_ERR);
	t_close(&a);
	t_close(&b);
	/* From a test, once. */
	for (int round = 0; round < 2; round++) {
		T_CHECK(standin_control_kill(control, 0, 3, IBV_WC_REM_OP_ERR) == 0);
		t_pair(&a, &b, &(struct t_options){0});
		for (int i = 0; i < 3; i++)
			T_CHECK(write_status(&a, &b.card) == IBV_WC_SUCCESS);
		T_CHECK(write_status(&a, &b.card) == IBV_WC_REM_OP_ERR);
		T_CHECK(write_status(&a, &b.card) == IBV_WC_WR_FLUSH_ERR);
		t_close(&a);
		t_close(&b);
	}
	t_pair(&a, &b, &(struct t_options){0});
	T_CHECK(write_status(&a, &b.card) == IBV_WC_SUCCESS);
	T_CHECK(standin_control_kill(control, STANDIN_DEVICES_MAX, 3, IBV_WC_REM_OP_ERR) == -1);
	t_close(&a);
	t_close(&b);
	standin_control_close(control);
	return 0;
}

static void test_killed_requests(void)
{
	static const char *const environment[] = {"STANDIN_KILL_AFTER", "2:10", NULL};
	t_standin_run(1, kill_rank, 0, environment);
}

/* A reader that looks at memory sees the end of some payload before its beginning. */
static int scramble_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	const size_t bytes = 512 << 10;
	int n_deceived = 0;
	t_connect(&e, rank, &(struct t_options){0}, &peer);
	volatile unsigned char *first = e.memory, *last = e.memory + bytes - 1;
	/* Until the reader was deceived once, which it is soon when it is running at all. */
	for (int round = 1; round <= 250; round++) {
		int n_theirs;
		t_swap(rank, &n_deceived, &n_theirs, sizeof n_theirs);
		if (n_deceived + n_theirs != 0)
			break;
		if (rank == 0) {
			memset(e.memory, round, bytes);
			T_CHECK(t_send(&e, IBV_WR_RDMA_WRITE, SIGNALLED, 0, bytes, &peer) == 0);
			T_CHECK(t_status(e.send_cq) == IBV_WC_SUCCESS);
			continue;
		}
		const double end = t_now() + 5;
		while (*last != round && t_now() < end)
			continue;
		n_deceived += *first != round;
		while (*first != round && t_now() < end)
			continue;
		T_CHECK(*first == round && *last == round);
	}
	if (rank == 1)
		T_CHECK(n_deceived > 0);
	t_meet(rank);
	t_close(&e);
	return 0;
}

static void test_scrambling(void)
{
	static const char *const environment[] = {"STANDIN_SCRAMBLE", "20000", NULL};
	t_standin_run(2, scramble_rank, 0, environment);
}

static void pace_case(struct t_end *a, struct t_end *b)
{
	/* 4 MiB at 1 Gb/s are 33.6 ms. */
	const double began = t_now();
	for (int i = 0; i < 4; i++)
		T_CHECK(t_send(a, IBV_WR_RDMA_WRITE, SIGNALLED, 0, 1 << 20, &b->card) == 0);
	T_CHECK(t_now() - began < 0.03);
	for (int i = 0; i < 4; i++)
		T_CHECK(t_status(a->send_cq) == IBV_WC_SUCCESS);
	const double took = t_now() - began;
	T_CHECK(took > 0.0335 && took < 0.3);
}

static void test_pace(void)
{
	static const char *const environment[] = {"STANDIN_GBPS", "1", NULL};
	t_standin_pair(pace_case, &(struct t_options){0}, environment);
}

/* ---- memory that changes under a registration ---- */

static int remap_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	t_connect(&e, rank, &(struct t_options){0}, &peer);
	if (rank == 1) {
		/* Other pages at the same place: the registration goes on with the old ones. */
		void *p = mmap(e.memory, e.o.bytes, PROT_READ | PROT_WRITE,
		               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		T_CHECK(p == e.memory);
		e.memory[0] = 1;
	}
	t_meet(rank);
	if (rank == 0) {
		e.memory[0] = 9;
		T_CHECK(write_status(&e, &peer) == IBV_WC_SUCCESS);
	}
	t_meet(rank);
	struct t_card mine;
	if (rank == 1) {
		T_CHECK(e.memory[0] == 1);
		/* Registered anew, it is these pages. */
		T_CHECK(v.dereg_mr(e.mr) == 0);
		e.mr = v.reg_mr(e.pd, e.memory, e.o.bytes, e.o.access);
	}
	t_card(&e, &mine);
	t_swap(rank, &mine, &peer, sizeof mine);
	if (rank == 0)
		T_CHECK(write_status(&e, &peer) == IBV_WC_SUCCESS);
	t_meet(rank);
	T_CHECK(e.memory[0] == 9);
	t_close(&e);
	return 0;
}

static void test_memory_mapped_anew(void)
{
	t_standin_run(2, remap_rank, 0, NULL);
}

/* Who watches memory with userfaultfd is not told of anything by a registration. */
static int watched_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	t_connect(&e, rank, &(struct t_options){0}, &peer);
	const size_t bytes = 1 << 16;
	unsigned char *p =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, bytes);
	const int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);
	struct uffdio_api api = {.api = UFFD_API,
	                         .features =
	                                 UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_PAGEFAULT_FLAG_WP};
	struct uffdio_register range = {.range = {(uintptr_t)p, bytes},
	                                .mode = UFFDIO_REGISTER_MODE_WP};
	const bool can_watch = fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 &&
	                       ioctl(fd, UFFDIO_REGISTER, &range) == 0;
	struct ibv_mr *mr = v.reg_mr(e.pd, p, bytes, e.o.access), *whole = e.mr;
	struct t_card mine;
	e.mr = mr;
	t_card(&e, &mine);
	e.mr = whole;
	mine.address = (uintptr_t)p;
	t_swap(rank, &mine, &peer, sizeof mine);
	if (rank == 0) {
		e.memory[0] = 9;
		T_CHECK(write_status(&e, &peer) == IBV_WC_SUCCESS);
	}
	t_meet(rank);
	T_CHECK(p[0] == (rank == 0 ? 1 : 9));
	T_CHECK(v.dereg_mr(mr) == 0);
	struct uffd_msg message;
	if (can_watch)
		T_CHECK(read(fd, &message, sizeof message) < 0 && errno == EAGAIN);
	close(fd);
	munmap(p, bytes);
	t_close(&e);
	return 0;
}

static void test_watched_memory(void)
{
	t_standin_run(2, watched_rank, 0, NULL);
}

static int fork_rank(int rank, int n, void *arg)
{
	(void)n, (void)arg;
	struct t_end e;
	struct t_card peer;
	t_connect(&e, rank, &(struct t_options){0}, &peer);
	if (rank == 1) {
		int status = 0;
		e.memory[100] = 5;
		const pid_t child = fork();
		if (child == 0) { /* it has a copy, and what it does there is its own affair */
			const bool is_same = e.memory[100] == 5;
			memset(e.memory, 3, e.o.bytes);
			_exit(is_same ? 7 : 1);
		}
		e.memory[100] = 6;
		T_CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
		T_CHECK(e.memory[0] == 0 && e.memory[100] == 6);
	}
	t_meet(rank);
	if (rank == 0) {
		e.memory[0] = 9;
		T_CHECK(write_status(&e, &peer) == IBV_WC_SUCCESS);
	}
	t_meet(rank);
	T_CHECK(e.memory[0] == 9);
	t_close(&e);
	return 0;
}

static void test_fork(void)
{
	t_standin_run(2, fork_rank, 0, NULL);
}

/* Many registrations of memory that comes and goes: nothing piles up. */
static void churn_case(struct t_end *a, struct t_end *b)
{
	for (int i = 0; i < 500; i++) {
		const size_t bytes = 4096 * (size_t)(1 + i % 60);
		unsigned char *p = aligned_alloc(4096, bytes);
		memset(p, i, bytes);
		struct ibv_mr *mr = v.reg_mr(b->pd, p, bytes, b->o.access);
		T_CHECK(mr != NULL && p[0] == (unsigned char)i && p[bytes - 1] == (unsigned char)i);
		const struct t_card card = {.rkey = mr->rkey, .address = (uintptr_t)p};
		a->memory[0] = (unsigned char)(i + 1);
		T_CHECK(write_status(a, &card) == IBV_WC_SUCCESS && p[0] == (unsigned char)(i + 1));
		T_CHECK(v.dereg_mr(mr) == 0 && p[bytes - 1] == (unsigned char)i);
		free(p);
	}
}

static void test_registrations_that_come_and_go(void)
{
	t_standin_pair(churn_case, &(struct t_options){0}, NULL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"data between processes", test_data_between_processes},
		{"data by system calls", test_data_by_system_calls},
		{"memory with edges", test_memory_with_edges},
		{"held send of a sleeper", test_held_send_of_a_sleeper},
		{"atomics of two", test_atomics_of_two},
		{"peer killed", test_peer_killed},
		{"sender killed at any moment", test_sender_killed_at_any_moment},
		{"sender stopped at any moment", test_sender_stopped_at_any_moment},
		{"port down and up", test_port_down_and_up},
		{"two hosts", test_two_hosts},
		{"silent hangs", test_silent_hangs},
		{"addresses that lead nowhere", test_addresses_that_lead_nowhere},
		{"killed requests", test_killed_requests},
		{"scrambling", test_scrambling},
		{"pace", test_pace},
		{"memory mapped anew", test_memory_mapped_anew},
		{"watched memory", test_watched_memory},
		{"fork", test_fork},
		{"registrations that come and go", test_registrations_that_come_and_go},
		{NULL, NULL},
	};
	return t_main("standin_faults", cases);
}

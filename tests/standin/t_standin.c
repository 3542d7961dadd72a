/* t_standin.c - ends, processes and waiting for the stand-in's tests. */
#include "tests/standin/t_standin.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct t_verbs v;
static int sockets[2];

bool t_check(bool is_true, const char *text, const char *file, int line)
{
	if (!is_true)
		fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
	CU_assertImplementation(is_true, (unsigned)line, text, file, "", CU_FALSE);
	return is_true;
}

double t_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- processes ---- */

static const char *library_path(void)
{
	const char *path = getenv("STANDIN_LIBRARY");
	return path != NULL ? path : "tests/support/standin/libstandin.so";
}

static void load(void)
{
	void *handle = dlopen(library_path(), RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
#define LOAD(name) *(void **)&v.name = dlsym(handle, "ibv_" #name);
	T_VERBS_MAP(LOAD)
#undef LOAD
}

struct run {
	int (*fn)(int rank, int n, void *arg);
	void *arg;
	const char *const *environment;
};

static int run_rank(int rank, int n, void *arg)
{
	const struct run *run = arg;
	const unsigned before = t_failures(); /* of cases before this one */
	if (n == 2)
		close(sockets[1 - rank]);
	for (const char *const *e = run->environment; e != NULL && e[0] != NULL; e += 2)
		setenv(e[0], e[1], 1);
	load();
	const int rc = run->fn(rank, n, run->arg);
	return rc != 0 || t_failures() != before;
}

static void run_all(int n, struct run *run, unsigned expected)
{
	int codes[2] = {0, 0};
	char space[40];
	static int number;
	snprintf(space, sizeof space, "test-%d-%d", (int)getpid(), number++);
	setenv("STANDIN_NAMESPACE", space, 1);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	t_spawn(n, 60, run_rank, run, codes);
	for (int i = 0; i < n; i++)
		if ((expected >> i & 1) == 0)
			T_CHECK(codes[i] == 0);
	close(sockets[0]);
	close(sockets[1]);
}

void t_standin_run(int n, int (*fn)(int rank, int n, void *arg), unsigned expected,
                   const char *const *environment)
{
	run_all(n, &(struct run){fn, NULL, environment}, expected);
}

struct pair_case {
	void (*fn)(struct t_end *a, struct t_end *b);
	const struct t_options *options;
};

static int run_pair(int rank, int n, void *arg)
{
	(void)rank, (void)n;
	const struct pair_case *what = arg;
	struct t_end a, b;
	t_pair(&a, &b, what->options);
	what->fn(&a, &b);
	t_close(&a);
	t_close(&b);
	return 0;
}

void t_standin_pair(void (*fn)(struct t_end *a, struct t_end *b), const struct t_options *o,
                    const char *const *environment)
{
	struct pair_case what = {fn, o};
	run_all(1, &(struct run){run_pair, &what, environment}, 0);
}

void t_swap(int rank, const void *mine, void *theirs, size_t bytes)
{
	T_CHECK(write(sockets[rank], mine, bytes) == (ssize_t)bytes);
	T_CHECK(recv(sockets[rank], theirs, bytes, MSG_WAITALL) == (ssize_t)bytes);
}

void t_meet(int rank)
{
	char byte = 0;
	t_swap(rank, &byte, &byte, 1);
}

struct standin_control *t_control(void)
{
	struct standin_control *c = standin_control_open(getenv("STANDIN_NAMESPACE"));
	if (!T_CHECK(c != NULL))
		exit(1);
	return c;
}

/* ---- ends ---- */

static void defaults(struct t_options *o)
{
#define DEFAULT(member, value) o->member = o->member != 0 ? o->member : (value)
	DEFAULT(node_gid, 1);
	DEFAULT(send_wr, 64);
	DEFAULT(recv_wr, 64);
	DEFAULT(cqe, 256);
	DEFAULT(mtu, IBV_MTU_4096);
	DEFAULT(timeout, 14);
	DEFAULT(retry_cnt, 7);
	DEFAULT(rnr_retry, 7);
	DEFAULT(bytes, 1 << 20);
	DEFAULT(access, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
	                        IBV_ACCESS_REMOTE_ATOMIC);
#undef DEFAULT
	if (o->node_gid < 0)
		o->node_gid = 0;
	if (o->is_rnr_zero)
		o->rnr_retry = 0;
	if (o->is_retry_zero)
		o->retry_cnt = 0;
}

static void open_queue_pair(struct t_end *e)
{
	const struct t_options *o = &e->o;
	if (o->has_channel)
		e->channel = v.create_comp_channel(e->context);
	e->send_cq = v.create_cq(e->context, o->cqe, NULL, NULL, 0);
	e->recv_cq = e->send_cq;
	if (!o->has_one_cq)
		e->recv_cq = v.create_cq(e->context, o->cqe, e, e->channel, 0);
	struct ibv_qp_init_attr init = {.send_cq = e->send_cq,
	                                .recv_cq = e->recv_cq,
	                                .cap = {.max_send_wr = (uint32_t)o->send_wr,
	                                        .max_recv_wr = (uint32_t)o->recv_wr,
	                                        .max_send_sge = 2,
	                                        .max_recv_sge = 2,
	                                        .max_inline_data = 64},
	                                .qp_type = IBV_QPT_RC};
	e->qp = v.create_qp(e->pd, &init);
	if (!T_CHECK(e->qp != NULL))
		exit(1);
}

void t_open(struct t_end *e, const struct t_options *o)
{
	static uint32_t psn = 100;
	memset(e, 0, sizeof *e);
	e->o = *o;
	defaults(&e->o);
	int n = 0;
	struct ibv_device **list = v.get_device_list(&n);
	if (!T_CHECK(list != NULL && n > e->o.device))
		exit(1);
	e->context = v.open_device(list[e->o.device]);
	v.free_device_list(list);
	if (!T_CHECK(e->context != NULL))
		exit(1);
	fcntl(e->context->async_fd, F_SETFL, O_NONBLOCK);
	e->pd = v.alloc_pd(e->context);
	e->memory = aligned_alloc(4096, e->o.bytes);
	memset(e->memory, 0, e->o.bytes);
	e->mr = v.reg_mr(e->pd, e->memory, e->o.bytes, e->o.access);
	if (!T_CHECK(e->mr != NULL))
		exit(1);
	e->psn = psn += 1000 + (uint32_t)getpid() % 1000;
	open_queue_pair(e);
	T_CHECK(t_to_init(e) == 0);
	t_card(e, &e->card);
}

void t_close(struct t_end *e)
{
	T_CHECK(v.destroy_qp(e->qp) == 0);
	T_CHECK(v.destroy_cq(e->send_cq) == 0);
	if (e->recv_cq != e->send_cq)
		T_CHECK(v.destroy_cq(e->recv_cq) == 0);
	if (e->channel != NULL)
		T_CHECK(v.destroy_comp_channel(e->channel) == 0);
	T_CHECK(v.dereg_mr(e->mr) == 0);
	T_CHECK(v.dealloc_pd(e->pd) == 0);
	T_CHECK(v.close_device(e->context) == 0);
	free(e->memory);
}

void t_card(const struct t_end *e, struct t_card *out)
{
	*out = (struct t_card){.qp_num = e->qp->qp_num,
	                       .psn = e->psn,
	                       .rkey = e->mr->rkey,
	                       .address = (uintptr_t)e->memory};
	T_CHECK(v.query_gid(e->context, 1, e->o.node_gid, &out->gid) == 0);
}

int t_to_init(struct t_end *e)
{
	struct ibv_qp_attr a = {
		.qp_state = IBV_QPS_INIT, .port_num = 1, .qp_access_flags = (unsigned)e->o.access};
	return v.modify_qp(e->qp, &a,
	                   IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
}

int t_to_rtr(struct t_end *e, const struct t_card *peer)
{
	struct ibv_qp_attr a = {.qp_state = IBV_QPS_RTR,
	                        .path_mtu = (enum ibv_mtu)e->o.mtu,
	                        .dest_qp_num = peer->qp_num,
	                        .rq_psn = peer->psn,
	                        .max_dest_rd_atomic = 4,
	                        .min_rnr_timer = 12};
	a.ah_attr.port_num = 1;
	a.ah_attr.is_global = 1;
	a.ah_attr.grh.dgid = peer->gid;
	a.ah_attr.grh.sgid_index = (uint8_t)e->o.node_gid;
	a.ah_attr.grh.hop_limit = 64;
	return v.modify_qp(e->qp, &a,
	                   IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
	                           IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
	                           IBV_QP_MIN_RNR_TIMER);
}

int t_to_rts(struct t_end *e)
{
	struct ibv_qp_attr a = {.qp_state = IBV_QPS_RTS,
	                        .sq_psn = e->psn,
	                        .timeout = (uint8_t)e->o.timeout,
	                        .retry_cnt = (uint8_t)e->o.retry_cnt,
	                        .rnr_retry = (uint8_t)e->o.rnr_retry,
	                        .max_rd_atomic = 4};
	return v.modify_qp(e->qp, &a,
	                   IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
	                           IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

void t_pair(struct t_end *a, struct t_end *b, const struct t_options *o)
{
	t_open(a, o);
	t_open(b, o);
	T_CHECK(t_to_rtr(a, &b->card) == 0 && t_to_rtr(b, &a->card) == 0);
	T_CHECK(t_to_rts(a) == 0 && t_to_rts(b) == 0);
}

void t_connect(struct t_end *e, int rank, const struct t_options *o, struct t_card *peer)
{
	t_open(e, o);
	t_swap(rank, &e->card, peer, sizeof *peer);
	T_CHECK(t_to_rtr(e, peer) == 0);
	T_CHECK(t_to_rts(e) == 0);
	t_meet(rank);
}

/* ---- requests ---- */

int t_send(struct t_end *e, enum ibv_wr_opcode op, unsigned flags, size_t at, size_t bytes,
           const struct t_card *peer)
{
	struct ibv_sge sge = {(uintptr_t)e->memory + at, (uint32_t)bytes, e->mr->lkey};
	struct ibv_send_wr wr = {.wr_id = at,
	                         .sg_list = &sge,
	                         .num_sge = bytes != 0,
	                         .opcode = op,
	                         .send_flags = flags,
	                         .imm_data = htobe32(0x1234)};
	wr.wr.rdma.remote_addr = peer != NULL ? peer->address + at : 0;
	wr.wr.rdma.rkey = peer != NULL ? peer->rkey : 0;
	struct ibv_send_wr *bad;
	return e->context->ops.post_send(e->qp, &wr, &bad);
}

int t_recv(struct t_end *e, size_t at, size_t bytes)
{
	struct ibv_sge sge = {(uintptr_t)e->memory + at, (uint32_t)bytes, e->mr->lkey};
	struct ibv_recv_wr wr = {.wr_id = at, .sg_list = &sge, .num_sge = bytes != 0};
	struct ibv_recv_wr *bad;
	return e->context->ops.post_recv(e->qp, &wr, &bad);
}

bool t_wait(struct ibv_cq *cq, double seconds, struct ibv_wc *out)
{
	const double end = t_now() + seconds;
	do {
		const int n = cq->context->ops.poll_cq(cq, 1, out);
		if (n != 0)
			return n == 1;
		sched_yield();
	} while (t_now() < end);
	return false;
}

int t_status(struct ibv_cq *cq)
{
	struct ibv_wc wc;
	return t_wait(cq, 5, &wc) ? (int)wc.status : -1;
}

int t_event(struct t_end *e)
{
	struct pollfd fd = {.fd = e->context->async_fd, .events = POLLIN};
	struct ibv_async_event event;
	if (poll(&fd, 1, 2000) != 1 || v.get_async_event(e->context, &event) != 0)
		return -1;
	v.ack_async_event(&event);
	return event.event_type;
}

enum ibv_qp_state t_state(struct t_end *e)
{
	struct ibv_qp_attr attr;
	struct ibv_qp_init_attr init;
	T_CHECK(v.query_qp(e->qp, &attr, IBV_QP_STATE, &init) == 0);
	return attr.qp_state;
}

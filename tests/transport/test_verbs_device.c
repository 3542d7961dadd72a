/*
 * A device opened, queue pairs made and connected, memory registered: over a table of functions
 * any one of which can fail, which must leave nothing behind and name the call.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/transport/verbs/verbs_device.h"
#include "tests/support/t_main.h"
#include "tests/transport/fake_verbs.h"

static const struct fr_verbs_port port0 = {.device = "fake0", .port = 1};
static const struct fr_verbs_qp_params params = {
	.send_wr = 64, .recv_wr = 64, .send_sge = 2, .access = IBV_ACCESS_REMOTE_WRITE};

/* A device with two queue pairs that know each other, and a registration. */
struct pair {
	struct fr_verbs_device device;
	struct ibv_qp *qp[2];
	uint32_t psn[2];
	int max_inline[2];
	struct fr_verbs_end end[2];
	struct ibv_mr *mr;
	char why[512];
};

static ferrule_status_t make_qps(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		p->qp[i] = fr_verbs_qp_create(&p->device, &params, &p->psn[i], &p->max_inline[i],
		                              p->why, sizeof(p->why));
		if (!p->qp[i])
			return FERRULE_ERR_SYSTEM;
		fr_verbs_qp_end(&p->device, p->qp[i], p->psn[i], &p->device.gids[0], &p->end[i]);
	}
	for (int i = 0; i < 2; i++) {
		const ferrule_status_t status = fr_verbs_qp_connect(
			&p->device, p->qp[i], &p->end[i], &p->end[1 - i], p->why, sizeof(p->why));
		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

static ferrule_status_t build(struct pair *p)
{
	static char memory[64];
	const struct fr_verbs_memory m = {.base = memory, .bytes = sizeof(memory), .dmabuf_fd = -1};

	memset(p, 0, sizeof(*p));
	const ferrule_status_t opened =
		fr_verbs_device_open(&fake_verbs, &port0, 100, &p->device, p->why, sizeof(p->why));
	if (opened != FERRULE_OK)
		return opened;
	const ferrule_status_t status = make_qps(p);
	if (status != FERRULE_OK)
		return status;
	p->mr = fr_verbs_register(&p->device, &m, IBV_ACCESS_LOCAL_WRITE, true, p->why,
	                          sizeof(p->why));
	return p->mr ? FERRULE_OK : FERRULE_ERR_SYSTEM;
}

static void tear_down(struct pair *p)
{
	if (p->mr)
		fake_verbs.dereg_mr(p->mr);
	for (int i = 0; i < 2; i++) {
		if (!p->qp[i])
			continue;
		fr_verbs_qp_stop(&p->device, p->qp[i]);
		fake_verbs.destroy_qp(p->qp[i]);
	}
	fr_verbs_device_close(&p->device);
}

static void test_everything_works_and_leaves_nothing(void)
{
	struct pair p;

	fake_verbs_reset();
	CU_ASSERT_EQUAL_FATAL(build(&p), FERRULE_OK);
	CU_ASSERT_EQUAL(p.device.n_gids, 2);
	CU_ASSERT_EQUAL(p.device.port.gbps_x10, 1000);
	CU_ASSERT_TRUE(p.device.port.is_ethernet);
	CU_ASSERT_TRUE(fcntl(p.device.channel->fd, F_GETFL) & O_NONBLOCK);
	CU_ASSERT_TRUE(fcntl(p.device.context->async_fd, F_GETFL) & O_NONBLOCK);
	CU_ASSERT_EQUAL(p.max_inline[0], 223);
	CU_ASSERT_NOT_EQUAL(p.psn[0], p.psn[1]);
	CU_ASSERT_EQUAL(p.qp[1]->state, IBV_QPS_RTS);
	tear_down(&p);
	CU_ASSERT_EQUAL(fake.n_live, 0);
	/* Closed twice is closed. */
	fr_verbs_device_close(&p.device);
	CU_ASSERT_EQUAL(fake.n_live, 0);
}

/* Without these there is only less than there could be. */
static bool is_tolerated(const char *name, int error)
{
	static const char *const names[] = {"ibv_query_gid_ex", "ibv_query_ece", "ibv_set_ece"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	if (strcmp(name, "ibv_create_qp") == 0)
		return error == EINVAL || error == ENOMEM;
	return strcmp(name, "ibv_reg_mr_iova2") == 0 && (error == EINVAL || error == EOPNOTSUPP);
}

static void test_any_call_may_fail_with_any_errno(void)
{
	static const int errors[] = {EPERM,  ENOENT, EIO,    EAGAIN,     ENOMEM,    EACCES,
	                             EFAULT, ENODEV, EINVAL, EOPNOTSUPP, ETIMEDOUT, EHOSTUNREACH};
	int n_failures = 0;

	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		bool was_reached = true;
		for (int n = 1; was_reached && n < 100; n++) {
			struct pair p;
			fake_verbs_reset();
			fake.fail_at = n;
			fake.error = errors[e];
			const ferrule_status_t status = build(&p);
			was_reached = fake.failed != NULL;
			if (status == FERRULE_OK && was_reached)
				CU_ASSERT_TRUE(is_tolerated(fake.failed, errors[e]));
			if (status != FERRULE_OK) {
				n_failures++;
				CU_ASSERT_PTR_NOT_NULL_FATAL(fake.failed);
				CU_ASSERT_PTR_NOT_NULL(strstr(p.why, "fake0 port 1: "));
				CU_ASSERT_PTR_NOT_NULL(strstr(p.why, fake.failed));
				CU_ASSERT_PTR_NOT_NULL(strstr(p.why, strerror(errors[e])));
			}
			fake.fail_at = 0;
			tear_down(&p);
			CU_ASSERT_EQUAL(fake.n_live, 0);
		}
		CU_ASSERT_FALSE(was_reached);
	}
	/* Opening, two queue pairs, three transitions each, and the memory: for each errno. */
	CU_ASSERT_TRUE(n_failures > 12 * 12);
}

static void test_hints_follow_call_and_errno(void)
{
	static const struct {
		const char *call;
		int error;
		const char *hint;
	} rows[] = {
		{"ibv_open_device", EACCES, "/dev/infiniband/uverbs"},
		{"ibv_open_device", ENOENT, "ib_uverbs"},
		{"ibv_open_device", ENODEV, "kernel's log"},
		{"ibv_reg_mr_iova2", EFAULT, "not mapped"},
		{"ibv_modify_qp", EINVAL, "FERRULE_IB_PKEY_INDEX"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair p;
		fake_verbs_reset();
		fake.fail_name = rows[i].call;
		fake.error = rows[i].error;
		CU_ASSERT_NOT_EQUAL(build(&p), FERRULE_OK);
		CU_ASSERT_PTR_NOT_NULL(strstr(p.why, rows[i].hint));
		tear_down(&p);
	}
}

static void test_refused_memory_names_the_limit(void)
{
	struct rlimit old, limit;
	char expected[64];
	struct pair p;

	getrlimit(RLIMIT_MEMLOCK, &old);
	limit = old;
	limit.rlim_cur = old.rlim_max < 65536 ? old.rlim_max : 65536;
	setrlimit(RLIMIT_MEMLOCK, &limit);
	fake_verbs_reset();
	fake.fail_name = "ibv_reg_mr_iova2";
	fake.error = ENOMEM;
	CU_ASSERT_NOT_EQUAL(build(&p), FERRULE_OK);
	snprintf(expected, sizeof(expected), "locked-memory limit is %llu KiB",
	         (unsigned long long)limit.rlim_cur / 1024);
	CU_ASSERT_PTR_NOT_NULL(strstr(p.why, expected));
	CU_ASSERT_PTR_NOT_NULL(strstr(p.why, "64 bytes"));
	tear_down(&p);
	setrlimit(RLIMIT_MEMLOCK, &old);
}

static void test_a_queue_that_is_too_long_is_refused_with_both_numbers(void)
{
	struct fr_verbs_device d;
	char why[256];

	fake_verbs_reset();
	CU_ASSERT_EQUAL(fr_verbs_device_open(&fake_verbs, &port0, 1001, &d, why, sizeof(why)),
	                FERRULE_ERR_UNSUPPORTED);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "1001"));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "1000"));
	CU_ASSERT_EQUAL(fake.n_live, 0);
}

static void test_inline_shrinks_until_the_device_agrees(void)
{
	struct pair p;

	fake_verbs_reset();
	fake.inline_max = 60;
	CU_ASSERT_EQUAL_FATAL(build(&p), FERRULE_OK);
	CU_ASSERT_EQUAL(p.max_inline[0], 55);
	tear_down(&p);
	fake_verbs_reset();
	fake.inline_max = 0;
	CU_ASSERT_EQUAL_FATAL(build(&p), FERRULE_OK);
	tear_down(&p);
	CU_ASSERT_EQUAL(fake.n_live, 0);
}

static void test_transitions_carry_the_peers_numbers(void)
{
	struct pair p;

	fake_verbs_reset();
	CU_ASSERT_EQUAL_FATAL(build(&p), FERRULE_OK);
	p.end[1].mtu_code = IBV_MTU_1024;
	CU_ASSERT_EQUAL(
		fr_verbs_qp_connect(&p.device, p.qp[0], &p.end[0], &p.end[1], p.why, sizeof(p.why)),
		FERRULE_OK);
	CU_ASSERT_EQUAL(fake.rtr.dest_qp_num, p.qp[1]->qp_num);
	CU_ASSERT_EQUAL(fake.rtr.rq_psn, p.psn[1]);
	CU_ASSERT_EQUAL(fake.rtr.path_mtu, IBV_MTU_1024);
	CU_ASSERT_EQUAL(fake.rtr.min_rnr_timer, 12);
	CU_ASSERT_EQUAL(fake.rtr.max_dest_rd_atomic, 16);
	CU_ASSERT_EQUAL(fake.rtr.ah_attr.is_global, 1);
	CU_ASSERT_EQUAL(fake.rtr.ah_attr.grh.traffic_class, 106);
	CU_ASSERT_EQUAL(fake.rtr.ah_attr.grh.hop_limit, 64);
	CU_ASSERT_EQUAL(fake.rtr.ah_attr.grh.sgid_index, p.end[0].gid.index);
	CU_ASSERT_EQUAL(fake.rts.sq_psn, p.psn[0]);
	CU_ASSERT_EQUAL(fake.rts.timeout, 18);
	CU_ASSERT_EQUAL(fake.rts.retry_cnt, 7);
	CU_ASSERT_EQUAL(fake.rts.rnr_retry, 7);
	CU_ASSERT_EQUAL(fake.rts.max_rd_atomic, 4);
	tear_down(&p);
}

static void test_infiniband_goes_by_lid_within_a_subnet(void)
{
	struct pair p;

	fake_verbs_reset();
	fake.port.link_layer = IBV_LINK_LAYER_INFINIBAND;
	fake.port.lid = 11;
	fake.gids[0].gid_type = fake.gids[1].gid_type = IBV_GID_TYPE_IB;
	CU_ASSERT_EQUAL_FATAL(build(&p), FERRULE_OK);
	CU_ASSERT_EQUAL(fake.rtr.ah_attr.is_global, 0);
	CU_ASSERT_EQUAL(fake.rtr.ah_attr.dlid, 11);
	p.end[1].gid.raw[0] ^= 1;
	CU_ASSERT_EQUAL(
		fr_verbs_qp_connect(&p.device, p.qp[0], &p.end[0], &p.end[1], p.why, sizeof(p.why)),
		FERRULE_OK);
	CU_ASSERT_EQUAL(fake.rtr.ah_attr.is_global, 1);
	tear_down(&p);
	fake.port.flags = IBV_QPF_GRH_REQUIRED;
	CU_ASSERT_EQUAL_FATAL(build(&p), FERRULE_OK);
	CU_ASSERT_EQUAL(fake.rtr.ah_attr.is_global, 1);
	tear_down(&p);
}

static void test_what_a_peer_sends_is_checked(void)
{
	struct pair p;

	fake_verbs_reset();
	CU_ASSERT_EQUAL_FATAL(build(&p), FERRULE_OK);
	const struct fr_verbs_end good = p.end[1];
	struct fr_verbs_end bad[7];
	for (size_t i = 0; i < 7; i++)
		bad[i] = good;
	bad[0].qp_num = 0;
	bad[1].qp_num = 0x1000000;
	bad[2].psn = 0x1000000;
	bad[3].mtu_code = 0;
	bad[4].mtu_code = 6;
	bad[5].is_ethernet = 0;
	bad[6].gid.type = FR_GID_ROCE_V1;
	for (size_t i = 0; i < 7; i++) {
		const int before = fake.n_calls;
		p.why[0] = '\0';
		CU_ASSERT_EQUAL(fr_verbs_qp_connect(&p.device, p.qp[0], &p.end[0], &bad[i], p.why,
		                                    sizeof(p.why)),
		                FERRULE_ERR_PROTOCOL);
		CU_ASSERT_PTR_NOT_NULL(strstr(p.why, "impossible"));
		CU_ASSERT_EQUAL(fake.n_calls, before);
	}
	tear_down(&p);
}

static void test_ece_is_what_both_offer(void)
{
	struct pair p;

	fake_verbs_reset();
	fake.ece = (struct ibv_ece){.vendor_id = 0x02c9, .options = 0x70};
	CU_ASSERT_EQUAL_FATAL(build(&p), FERRULE_OK);
	CU_ASSERT_EQUAL(fake.set_ece.vendor_id, 0x02c9);
	CU_ASSERT_EQUAL(fake.set_ece.options, 0x70);
	p.end[1].ece_options = 0x31;
	fr_verbs_qp_connect(&p.device, p.qp[0], &p.end[0], &p.end[1], p.why, sizeof(p.why));
	CU_ASSERT_EQUAL(fake.set_ece.options, 0x30);
	fake.set_ece = (struct ibv_ece){.vendor_id = 1};
	p.end[1].ece_vendor = 0x15b3;
	fr_verbs_qp_connect(&p.device, p.qp[0], &p.end[0], &p.end[1], p.why, sizeof(p.why));
	CU_ASSERT_EQUAL(fake.set_ece.vendor_id, 1);
	tear_down(&p);
	/* A transition that fails with the options is tried without. */
	fake_verbs_reset();
	fake.ece = (struct ibv_ece){.vendor_id = 0x02c9, .options = 0x80000001};
	CU_ASSERT_EQUAL(build(&p), FERRULE_OK);
	CU_ASSERT_EQUAL(fake.set_ece.options, 0);
	tear_down(&p);
	CU_ASSERT_EQUAL(fake.n_live, 0);
}

static void test_relaxed_ordering_is_for_data(void)
{
	static char memory[64];
	struct fr_verbs_memory m = {.base = memory, .bytes = sizeof(memory), .dmabuf_fd = -1};
	struct fr_verbs old = fake_verbs;
	struct fr_verbs_device d;
	char why[256];

	old.reg_mr_iova2 = NULL;
	old.reg_dmabuf_mr = NULL;
	fake_verbs_reset();
	CU_ASSERT_EQUAL_FATAL(fr_verbs_device_open(&fake_verbs, &port0, 9, &d, why, sizeof(why)),
	                      FERRULE_OK);
	fake_verbs.dereg_mr(fr_verbs_register(&d, &m, 1, true, why, sizeof(why)));
	CU_ASSERT_STRING_EQUAL(fake.mr_call, "ibv_reg_mr_iova2");
	CU_ASSERT_EQUAL(fake.mr_access, 1 | IBV_ACCESS_RELAXED_ORDERING);
	fake_verbs.dereg_mr(fr_verbs_register(&d, &m, 1, false, why, sizeof(why)));
	CU_ASSERT_EQUAL(fake.mr_access, 1);
	m.dmabuf_fd = 0;
	fake_verbs.dereg_mr(fr_verbs_register(&d, &m, 1, true, why, sizeof(why)));
	CU_ASSERT_STRING_EQUAL(fake.mr_call, "ibv_reg_dmabuf_mr");
	d.v = &old;
	CU_ASSERT_PTR_NULL(fr_verbs_register(&d, &m, 1, true, why, sizeof(why)));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "dma-buf"));
	m.dmabuf_fd = -1;
	fake_verbs.dereg_mr(fr_verbs_register(&d, &m, 1, true, why, sizeof(why)));
	CU_ASSERT_STRING_EQUAL(fake.mr_call, "ibv_reg_mr");
	CU_ASSERT_EQUAL(fake.mr_access, 1);
	fr_verbs_device_close(&d);
	CU_ASSERT_EQUAL(fake.n_live, 0);
}

static void test_refresh_sees_what_became_of_the_port(void)
{
	struct fr_verbs_device d;
	char why[256];

	fake_verbs_reset();
	CU_ASSERT_EQUAL_FATAL(fr_verbs_device_open(&fake_verbs, &port0, 9, &d, why, sizeof(why)),
	                      FERRULE_OK);
	fake.port.state = IBV_PORT_DOWN;
	CU_ASSERT_EQUAL(fr_verbs_device_refresh(&d, why, sizeof(why)), FERRULE_ERR_TRANSPORT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "down"));
	CU_ASSERT_FALSE(d.port.is_active);
	fake.port.state = IBV_PORT_ACTIVE;
	fake.port.active_mtu = IBV_MTU_512;
	fake.n_gids = 1;
	CU_ASSERT_EQUAL(fr_verbs_device_refresh(&d, why, sizeof(why)), FERRULE_OK);
	CU_ASSERT_TRUE(d.port.is_active);
	CU_ASSERT_EQUAL(d.n_gids, 1);
	CU_ASSERT_EQUAL(d.tuning.mtu, 512);
	fake.n_gids = 0;
	CU_ASSERT_EQUAL(fr_verbs_device_refresh(&d, why, sizeof(why)), FERRULE_ERR_TRANSPORT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "ip address"));
	d.events_unacked = 5;
	fr_verbs_device_close(&d);
	CU_ASSERT_EQUAL(fake.n_acknowledged, 5);
	CU_ASSERT_EQUAL(fake.n_live, 0);
}

static int fork_state, n_fork_inits;

static int is_fork_initialized(void)
{
	return fork_state;
}

static int fork_init(void)
{
	n_fork_inits++;
	return fork_state == IBV_FORK_DISABLED ? 0 : EINVAL;
}

static void test_fork_is_prepared_only_where_the_kernel_needs_it(void)
{
	struct fr_verbs v = {.fork_init = fork_init, .is_fork_initialized = is_fork_initialized};

	fork_state = IBV_FORK_UNNEEDED;
	CU_ASSERT_FALSE(fr_verbs_fork_guard(&v));
	fork_state = IBV_FORK_ENABLED;
	CU_ASSERT_FALSE(fr_verbs_fork_guard(&v));
	CU_ASSERT_EQUAL(n_fork_inits, 0);
	fork_state = IBV_FORK_DISABLED;
	CU_ASSERT_TRUE(fr_verbs_fork_guard(&v));
	CU_ASSERT_EQUAL(n_fork_inits, 1);
	/* A library that cannot be asked is as old as the kernels that need it. */
	v.is_fork_initialized = NULL;
	CU_ASSERT_TRUE(fr_verbs_fork_guard(&v));
	v.fork_init = NULL;
	CU_ASSERT_FALSE(fr_verbs_fork_guard(&v));
}

static void test_every_status_and_event_has_words(void)
{
	for (int i = 0; i <= IBV_WC_TM_RNDV_INCOMPLETE; i++) {
		CU_ASSERT_NOT_EQUAL(fr_verbs_status_text((enum ibv_wc_status)i)[0], '\0');
		CU_ASSERT_PTR_NOT_NULL(fr_verbs_status_hint((enum ibv_wc_status)i));
	}
	for (int i = 0; i <= IBV_EVENT_WQ_FATAL; i++)
		CU_ASSERT_NOT_EQUAL(fr_verbs_event_text((enum ibv_event_type)i)[0], '\0');
	CU_ASSERT_STRING_EQUAL(fr_verbs_status_text((enum ibv_wc_status)99), "unknown status");
	CU_ASSERT_STRING_EQUAL(fr_verbs_status_hint((enum ibv_wc_status)99), "");
	CU_ASSERT_STRING_EQUAL(fr_verbs_event_text((enum ibv_event_type)99), "unknown event");
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_verbs_status_hint(IBV_WC_RETRY_EXC_ERR), "MTU"));
}

int main(void)
{
	static const struct t_case cases[] = {
		{"everything works and leaves nothing", test_everything_works_and_leaves_nothing},
		{"any call may fail with any errno", test_any_call_may_fail_with_any_errno},
		{"hints follow call and errno", test_hints_follow_call_and_errno},
		{"refused memory names the limit", test_refused_memory_names_the_limit},
		{"a queue that is too long is refused with both numbers",
	         test_a_queue_that_is_too_long_is_refused_with_both_numbers},
		{"inline shrinks until the device agrees",
	         test_inline_shrinks_until_the_device_agrees},
		{"transitions carry the peer's numbers", test_transitions_carry_the_peers_numbers},
		{"InfiniBand goes by LID within a subnet",
	         test_infiniband_goes_by_lid_within_a_subnet},
		{"what a peer sends is checked", test_what_a_peer_sends_is_checked},
		{"ECE is what both offer", test_ece_is_what_both_offer},
		{"relaxed ordering is for data", test_relaxed_ordering_is_for_data},
		{"refresh sees what became of the port", test_refresh_sees_what_became_of_the_port},
		{"fork is prepared only where the kernel needs it",
	         test_fork_is_prepared_only_where_the_kernel_needs_it},
		{"every status and event has words", test_every_status_and_event_has_words},
		{NULL, NULL},
	};
	return t_main("transport/verbs_device", cases);
}

/*
 * fork() while memory is registered: a child that writes to its copy of the memory must not move
 * the parent's pages away from under the device.  Newer kernels see to that by themselves, and
 * there nothing may be done about it; see fr_verbs_fork_guard().
 */
#include "config.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/transport/verbs/verbs_device.h"
#include "tests/support/t_main.h"

#define BYTES (64u << 10)

struct pair {
	struct fr_verbs_device device;
	struct ibv_qp *qp[2];
	struct ibv_mr *mr;
	unsigned char *memory; /* twice BYTES: from the first half into the second */
	char why[512];
};

static bool open_pair(const struct fr_verbs *v, struct pair *p)
{
	const struct fr_verbs_qp_params params = {
		.send_wr = 8, .recv_wr = 8, .send_sge = 1, .access = IBV_ACCESS_REMOTE_WRITE};
	const struct fr_verbs_memory m = {.base = p->memory, .bytes = 2 * BYTES, .dmabuf_fd = -1};
	struct fr_verbs_port port = {.why_not = ""};
	struct fr_verbs_end end[2];
	uint32_t psn;
	int max_inline;

	if (fr_verbs_ports(v, &port, 1, p->why, sizeof(p->why)) != 1 || port.why_not[0]) {
		t_skip("no RDMA port: %s%s", p->why, port.why_not);
		return false;
	}
	CU_ASSERT_EQUAL_FATAL(
		fr_verbs_device_open(v, &port, 64, &p->device, p->why, sizeof(p->why)), FERRULE_OK);
	p->mr = fr_verbs_register(&p->device, &m, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
	                          true, p->why, sizeof(p->why));
	CU_ASSERT_PTR_NOT_NULL_FATAL(p->mr);
	for (int i = 0; i < 2; i++) {
		p->qp[i] = fr_verbs_qp_create(&p->device, &params, &psn, &max_inline, p->why,
		                              sizeof(p->why));
		CU_ASSERT_PTR_NOT_NULL_FATAL(p->qp[i]);
		fr_verbs_qp_end(&p->device, p->qp[i], psn, &p->device.gids[0], &end[i]);
	}
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(fr_verbs_qp_connect(&p->device, p->qp[i], &end[i],
		                                          &end[1 - i], p->why, sizeof(p->why)),
		                      FERRULE_OK);
	return true;
}

static void close_pair(struct pair *p)
{
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(p->device.v->destroy_qp(p->qp[i]), 0);
	CU_ASSERT_EQUAL(p->device.v->dereg_mr(p->mr), 0);
	fr_verbs_device_close(&p->device);
}

static void write_once(struct pair *p)
{
	struct ibv_sge piece = {(uintptr_t)p->memory, BYTES, p->mr->lkey};
	struct ibv_send_wr send = {.sg_list = &piece,
	                           .num_sge = 1,
	                           .opcode = IBV_WR_RDMA_WRITE,
	                           .send_flags = IBV_SEND_SIGNALED,
	                           .wr.rdma = {(uintptr_t)p->memory + BYTES, p->mr->rkey}},
			   *bad;
	const uint64_t deadline = fr_clock_ns() + 20000000000ull;
	struct ibv_wc wc = {.status = IBV_WC_GENERAL_ERR};
	int n = 0;

	CU_ASSERT_EQUAL_FATAL(p->device.v->post_send(p->qp[0], &send, &bad), 0);
	while (n == 0 && fr_clock_ns() < deadline)
		n = p->device.v->poll_cq(p->device.cq, 1, &wc);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(wc.status, IBV_WC_SUCCESS);
}

/* Is the mapping at `address` one that fork() leaves out?  That is what ibv_fork_init() makes of
 * registered memory. */
static bool is_left_out_by_fork(const void *address)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[512];
	bool is_ours = false, is_left_out = false;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	while (fgets(line, sizeof(line), file)) {
		uintptr_t from, to;
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
			is_ours = (uintptr_t)address >= from && (uintptr_t)address < to;
		if (is_ours && strncmp(line, "VmFlags:", 8) == 0)
			is_left_out = strstr(line, " dc") != NULL;
	}
	fclose(file);
	return is_left_out;
}

static void test_a_child_does_not_take_registered_memory_away(void)
{
	struct pair p = {.why = ""};
	const struct fr_verbs *v = fr_verbs_get(p.why, sizeof(p.why));

	if (!v) {
		t_skip("%s", p.why);
		return;
	}
	p.memory =
		mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(p.memory, MAP_FAILED);
	memset(p.memory, 1, 2 * BYTES);
	if (!open_pair(v, &p)) {
		munmap(p.memory, 2 * BYTES);
		return;
	}
	for (int round = 2; round < 5; round++) {
		const pid_t child = fork();
		CU_ASSERT_FATAL(child >= 0);
		/* Both write, so that one of them gets new pages. */
		if (child == 0) {
			if (!is_left_out_by_fork(p.memory))
				memset(p.memory, 0xee, 2 * BYTES);
			_exit(0);
		}
		memset(p.memory, round, BYTES);
		memset(p.memory + BYTES, 0, BYTES);
		write_once(&p);
		CU_ASSERT_EQUAL(memcmp(p.memory, p.memory + BYTES, BYTES), 0);
		CU_ASSERT_EQUAL(p.memory[2 * BYTES - 1], round);
		CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	}
	close_pair(&p);
	munmap(p.memory, 2 * BYTES);
}

static void test_mappings_are_left_alone_where_the_kernel_copies(void)
{
	struct pair p = {.why = ""};
	const struct fr_verbs *v = fr_verbs_get(p.why, sizeof(p.why));

	if (!v) {
		t_skip("%s", p.why);
		return;
	}
	if (!v->is_fork_initialized || v->is_fork_initialized() != IBV_FORK_UNNEEDED) {
		t_skip("this kernel or libibverbs needs ibv_fork_init()");
		return;
	}
	p.memory =
		mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(p.memory, MAP_FAILED);
	if (open_pair(v, &p)) {
		CU_ASSERT_FALSE(is_left_out_by_fork(p.memory));
		close_pair(&p);
	}
	munmap(p.memory, 2 * BYTES);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a child does not take registered memory away",
	         test_a_child_does_not_take_registered_memory_away},
		{"mappings are left alone where the kernel copies",
	         test_mappings_are_left_alone_where_the_kernel_copies},
		{NULL, NULL},
	};
	return t_main("transport/verbs_fork", cases);
}

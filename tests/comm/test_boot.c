/* Ranks find each other, and say who is missing when they do not. */
#include "config.h"

#include "lib/comm/boot.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/auth.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/supervisor.h"
#include "lib/comm/boot_net.h"
#include "lib/comm/boot_wire.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

/* What a rank returns when a step of it failed; the text is on stderr. */
#define CHECK(condition)                                                                      \
	((condition) ? 0                                                                      \
	             : (fprintf(stderr, "line %d: not true: %s (%s)\n", __LINE__, #condition, \
	                        fr_error_text()),                                             \
	                1))

static uint64_t after(double seconds)
{
	return fr_clock_ns() + (uint64_t)(seconds * 1e9);
}

/* Two allgathers of different sizes, every byte compared. */
static int gather_twice(struct fr_boot *boot)
{
	const struct fr_boot_info *info = fr_boot_info(boot);
	const size_t sizes[] = {1, 3000};
	int bad = 0;

	for (int i = 0; i < 2; i++) {
		const size_t bytes = sizes[i];
		unsigned char *in = malloc(bytes);
		unsigned char *out = calloc((size_t)info->n_ranks, bytes);
		memset(in, 10 * i + info->rank, bytes);
		bad |= CHECK(fr_boot_allgather(boot, in, out, bytes, after(10)) == FERRULE_OK);
		for (size_t at = 0; at < bytes * (size_t)info->n_ranks; at++)
			if (out[at] != 10 * i + (int)(at / bytes))
				bad = 1;
		free(in);
		free(out);
	}
	return bad;
}

/* All ranks have the same id and key. */
static int compare_identity(struct fr_boot *boot)
{
	const struct fr_boot_info *info = fr_boot_info(boot);
	unsigned char mine[40], all[64 * 40];
	int bad = 0;

	memcpy(mine, &info->comm_id, 8);
	memcpy(mine + 8, info->job_key, 32);
	bad |= CHECK(fr_boot_allgather(boot, mine, all, sizeof(mine), after(10)) == FERRULE_OK);
	for (int rank = 0; rank < info->n_ranks; rank++)
		bad |= CHECK(memcmp(all + rank * 40, mine, sizeof(mine)) == 0);
	return bad;
}

static int rank_meets(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot = NULL;
	int bad = 0;

	(void)arg;
	/* Twice in a row: the second must not run into what the first left. */
	for (int i = 0; i < 2; i++) {
		if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
			return 1;
		bad |= CHECK(fr_boot_info(boot)->rank == rank);
		bad |= CHECK(fr_boot_info(boot)->n_ranks == n_ranks);
		if (n_ranks > 1)
			bad |= CHECK(strcmp(fr_boot_info(boot)->master_addr, "127.0.0.1") == 0);
		bad |= gather_twice(boot) | compare_identity(boot);
		fr_boot_close(boot);
	}
	return bad;
}

static void test_ranks_meet_through_the_environment(void)
{
	const int sizes[] = {1, 2, 4, 8};

	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(t_spawn(sizes[i], 20, rank_meets, NULL, NULL), 0);
}

static int rank_alone(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;

	(void)rank, (void)n_ranks, (void)arg;
	unsetenv("RANK");
	unsetenv("WORLD_SIZE");
	unsetenv("PMIX_RANK");
	if (CHECK(fr_boot_open_env(after(1), &boot) == FERRULE_OK))
		return 1;
	const int bad = CHECK(fr_boot_info(boot)->n_ranks == 1) | gather_twice(boot);
	fr_boot_close(boot);
	return bad;
}

static void test_without_environment_one_rank_is_alone(void)
{
	CU_ASSERT_EQUAL(t_spawn(1, 10, rank_alone, NULL, NULL), 0);
}

static int rank_ipv6(int rank, int n_ranks, void *arg)
{
	setenv("MASTER_ADDR", "::1", 1);
	(void)rank, (void)n_ranks, (void)arg;
	struct fr_boot *boot;
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	const int bad =
		CHECK(strcmp(fr_boot_info(boot)->master_addr, "::1") == 0) | gather_twice(boot);
	fr_boot_close(boot);
	return bad;
}

static bool has_ipv6_loopback(void)
{
	const struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	const bool has = bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return has;
}

static void test_ranks_meet_over_ipv6(void)
{
	if (!has_ipv6_loopback()) {
		t_skip("no IPv6 loopback");
		return;
	}
	CU_ASSERT_EQUAL(t_spawn(3, 20, rank_ipv6, NULL, NULL), 0);
}

static int rank_by_name(int rank, int n_ranks, void *arg)
{
	setenv("MASTER_ADDR", "localhost", 1);
	if (rank == 0)
		setenv("TORCHELASTIC_USE_AGENT_STORE", "True", 1);
	else
		setenv("TORCHELASTIC_USE_AGENT_STORE", "1", 1);
	(void)n_ranks, (void)arg;
	struct fr_boot *boot;
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	const int bad = gather_twice(boot);
	fr_boot_close(boot);
	return bad;
}

static void test_ranks_meet_by_name_beside_torchruns_agent(void)
{
	CU_ASSERT_EQUAL(t_spawn(2, 20, rank_by_name, NULL, NULL), 0);
}

/* ---- failures: every rank names the culprit ---- */

/* How one rank of a failing boot behaves; what all others must then say. */
struct fault {
	int culprit; /* rank that does something else */
	int (*culprit_does)(void);
	double deadline_s;
	ferrule_status_t status; /* of rank 0 */
	ferrule_status_t others; /* of ranks that are neither 0 nor the culprit */
	const char *text;        /* part of every such rank's error */
};

static int stays_away(void)
{
	return 0;
}

static int rank_of_fault(int rank, int n_ranks, void *arg)
{
	const struct fault *fault = arg;
	struct fr_boot *boot = NULL;
	const uint64_t began = fr_clock_ns();

	(void)n_ranks;
	if (rank == fault->culprit)
		return fault->culprit_does();
	const ferrule_status_t status = fr_boot_open_env(after(fault->deadline_s), &boot);
	const double took = (double)(fr_clock_ns() - began) * 1e-9;
	int bad = CHECK(status == (rank == 0 ? fault->status : fault->others));
	bad |= CHECK(strstr(fr_error_text(), fault->text) != NULL);
	bad |= CHECK(took < fault->deadline_s + 0.6);
	bad |= CHECK(boot == NULL);
	return bad;
}

static void test_a_missing_rank_is_named_on_every_rank(void)
{
	struct fault fault = {.culprit = 2,
	                      .culprit_does = stays_away,
	                      .deadline_s = 0.8,
	                      .status = FERRULE_ERR_TIMEOUT,
	                      .others = FERRULE_ERR_TIMEOUT,
	                      .text = "rank 2 of 4 did not arrive within"};

	CU_ASSERT_EQUAL(t_spawn(4, 10, rank_of_fault, &fault, NULL), 0);
}

static void test_a_missing_rank_0_is_named(void)
{
	struct fault fault = {.culprit = 0,
	                      .culprit_does = stays_away,
	                      .deadline_s = 0.4,
	                      .others = FERRULE_ERR_TIMEOUT,
	                      .text = "rank 0 of 3 did not answer rank "};

	CU_ASSERT_EQUAL(t_spawn(3, 10, rank_of_fault, &fault, NULL), 0);
}

static int has_another_key(void)
{
	struct fr_boot *boot;

	setenv("FERRULE_JOB_KEY",
	       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 1);
	return CHECK(fr_boot_open_env(after(0.8), &boot) == FERRULE_ERR_AUTH) |
	       CHECK(strstr(fr_error_text(), "rank 1 of 3 does not hold the same job key") !=
	             NULL) |
	       CHECK(strstr(fr_error_text(), "FERRULE_JOB_KEY") != NULL);
}

static int belongs_to_another_run(void)
{
	struct fr_boot *boot;

	unsetenv("FERRULE_JOB_KEY");
	setenv("TORCHELASTIC_RUN_ID", "another", 1);
	return CHECK(fr_boot_open_env(after(0.8), &boot) == FERRULE_ERR_TIMEOUT) |
	       CHECK(strstr(fr_error_text(), "it has left no key for port") != NULL);
}

static int rank_without_key(int rank, int n_ranks, void *arg)
{
	unsetenv("FERRULE_JOB_KEY");
	setenv("TORCHELASTIC_RUN_ID", "one", 1);
	return arg ? rank_of_fault(rank, n_ranks, arg) : rank_meets(rank, n_ranks, NULL);
}

/* One boot after the other at one port: the key of the last one is never taken for the next. */
static int rank_meets_often(int rank, int n_ranks, void *arg)
{
	int bad = 0;

	unsetenv("FERRULE_JOB_KEY");
	for (int i = 0; i < 20 && !bad; i++)
		bad = rank_meets(rank, n_ranks, arg);
	return bad;
}

static void test_without_a_key_many_meet_and_meet_again(void)
{
	CU_ASSERT_EQUAL(t_spawn(16, 60, rank_meets_often, NULL, NULL), 0);
}

static void test_without_a_key_ranks_of_one_run_meet_and_of_two_do_not(void)
{
	struct fault fault = {.culprit = 1,
	                      .culprit_does = belongs_to_another_run,
	                      .deadline_s = 0.6,
	                      .status = FERRULE_ERR_TIMEOUT,
	                      .text = "rank 1 of 2 did not arrive within"};

	CU_ASSERT_EQUAL(t_spawn(3, 10, rank_without_key, NULL, NULL), 0);
	CU_ASSERT_EQUAL(t_spawn(2, 10, rank_without_key, &fault, NULL), 0);
}

static void test_a_rank_with_another_key_is_told_and_named(void)
{
	struct fault fault = {.culprit = 1,
	                      .culprit_does = has_another_key,
	                      .deadline_s = 0.8,
	                      .status = FERRULE_ERR_TIMEOUT,
	                      .others = FERRULE_ERR_TIMEOUT,
	                      .text = "which claimed to be rank 1"};

	CU_ASSERT_EQUAL(t_spawn(3, 10, rank_of_fault, &fault, NULL), 0);
}

static int believes_in_five_ranks(void)
{
	struct fr_boot *boot;

	setenv("WORLD_SIZE", "5", 1);
	return CHECK(fr_boot_open_env(after(5), &boot) == FERRULE_ERR_MISMATCH) |
	       CHECK(strstr(fr_error_text(), "rank 1 was started with 5 ranks, rank 0 with 2") !=
	             NULL);
}

static void test_differing_world_sizes_are_an_error_on_both_sides(void)
{
	struct fault fault = {.culprit = 1,
	                      .culprit_does = believes_in_five_ranks,
	                      .deadline_s = 1,
	                      .status = FERRULE_ERR_MISMATCH,
	                      .others = FERRULE_ERR_MISMATCH,
	                      .text = "rank 1 was started with 5 ranks, rank 0 with 2"};

	CU_ASSERT_EQUAL(t_spawn(2, 10, rank_of_fault, &fault, NULL), 0);
}

static int claims_to_be_rank_2(void)
{
	struct fr_boot *boot;

	setenv("RANK", "2", 1);
	return CHECK(fr_boot_open_env(after(2), &boot) == FERRULE_ERR_MISMATCH) |
	       CHECK(strstr(fr_error_text(), "two processes say that they are rank 2 of 3") !=
	             NULL);
}

static void test_a_rank_given_twice_is_named_on_all_ranks(void)
{
	struct fault fault = {.culprit = 1,
	                      .culprit_does = claims_to_be_rank_2,
	                      .deadline_s = 2,
	                      .status = FERRULE_ERR_MISMATCH,
	                      .others = FERRULE_ERR_MISMATCH,
	                      .text = "two processes say that they are rank 2 of 3"};

	CU_ASSERT_EQUAL(t_spawn(3, 10, rank_of_fault, &fault, NULL), 0);
}

/* ---- raw connections, as a stranger or another version makes them ---- */

static int dial_master(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const uint64_t deadline = after(5);

	a.sin_port = htons((uint16_t)atoi(getenv("MASTER_PORT")));
	while (fr_clock_ns() < deadline) {
		const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return fd;
		close(fd);
		usleep(1000);
	}
	return -1;
}

static void put_frame(unsigned char *frame, enum fr_boot_kind kind, const void *payload,
                      size_t bytes)
{
	const struct fr_boot_head head = {.kind = kind, .length = (uint32_t)bytes};

	fr_boot_put_head(&head, frame);
	memcpy(frame + FR_BOOT_HEAD_BYTES, payload, bytes);
}

static bool read_all(int fd, void *buf, size_t bytes)
{
	return recv(fd, buf, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

/* The whole handshake with the right key; true when rank 0 has proved itself too. */
static bool join_raw(int fd, uint32_t version, uint32_t rank, uint32_t n_ranks)
{
	const struct fr_boot_statement claim = {
		.version = version, .rank = rank, .n_ranks = n_ranks};
	unsigned char key[32], statement[32], proof[32], frame[FR_BOOT_HEAD_BYTES + 64];
	struct fr_boot_hello_wire hello;
	struct fr_auth auth;

	for (int i = 0; i < 32; i++)
		sscanf(getenv("FERRULE_JOB_KEY") + 2 * i, "%2hhx", &key[i]);
	fr_boot_put_statement(&claim, statement);
	fr_auth_init(&auth, FR_AUTH_CLIENT, key, "boot", statement);
	memcpy(hello.nonce, auth.nonce[FR_AUTH_CLIENT], sizeof(hello.nonce));
	memcpy(hello.statement, statement, sizeof(hello.statement));
	put_frame(frame, FR_BOOT_HELLO, &hello, sizeof(hello));
	if (write(fd, frame, sizeof(frame)) != (ssize_t)sizeof(frame) ||
	    !read_all(fd, frame, sizeof(frame)))
		return false;
	memcpy(&hello, frame + FR_BOOT_HEAD_BYTES, sizeof(hello));
	fr_auth_peer(&auth, hello.nonce, hello.statement);
	fr_auth_prove(&auth, proof);
	put_frame(frame, FR_BOOT_PROOF, proof, sizeof(proof));
	if (write(fd, frame, FR_BOOT_HEAD_BYTES + 32) != FR_BOOT_HEAD_BYTES + 32 ||
	    !read_all(fd, frame, FR_BOOT_HEAD_BYTES + 32))
		return false;
	return fr_auth_verify(&auth, frame + FR_BOOT_HEAD_BYTES);
}

/* Reads a FAIL frame; is its text the wanted one? */
static bool is_told(int fd, ferrule_status_t wanted, const char *wanted_text)
{
	unsigned char bytes[FR_BOOT_HEAD_BYTES + FR_BOOT_FAIL_MAX_BYTES];
	char text[FR_BOOT_FAIL_MAX_TEXT + 1];
	struct fr_boot_head head;
	ferrule_status_t status;

	if (!read_all(fd, bytes, FR_BOOT_HEAD_BYTES) || !fr_boot_get_head(bytes, &head) ||
	    head.kind != FR_BOOT_FAIL || head.length > FR_BOOT_FAIL_MAX_BYTES ||
	    !read_all(fd, bytes, head.length) ||
	    !fr_boot_get_fail(bytes, head.length, &status, text))
		return false;
	return status == wanted && strstr(text, wanted_text) != NULL;
}

static int speaks_version_99(void)
{
	const int fd = dial_master();

	return CHECK(join_raw(fd, 99, 1, 2)) |
	       CHECK(is_told(fd, FERRULE_ERR_PROTOCOL, "rank 1 speaks version 99"));
}

static void test_another_protocol_version_is_an_error_on_both_sides(void)
{
	struct fault fault = {.culprit = 1,
	                      .culprit_does = speaks_version_99,
	                      .deadline_s = 5,
	                      .status = FERRULE_ERR_PROTOCOL,
	                      .text = "rank 1 speaks version 99 of the set-up protocol, rank 0 "
	                              "version 2"};

	CU_ASSERT_EQUAL(t_spawn(2, 10, rank_of_fault, &fault, NULL), 0);
}

static int is_killed_after_arriving(void)
{
	if (CHECK(join_raw(dial_master(), FR_BOOT_VERSION, 1, 3)))
		return 1;
	kill(getpid(), SIGKILL);
	return 1;
}

static int rank_0_sees_a_death(int rank, int n_ranks, void *arg)
{
	return rank == 2 ? 0 : rank_of_fault(rank, n_ranks, arg);
}

static void test_a_rank_that_dies_while_others_are_missing_is_named(void)
{
	struct fault fault = {.culprit = 1,
	                      .culprit_does = is_killed_after_arriving,
	                      .deadline_s = 5,
	                      .status = FERRULE_ERR_PEER_DIED,
	                      .text = "rank 1 of 3 died or gave up"};
	int codes[3];

	t_spawn(3, 10, rank_0_sees_a_death, &fault, codes);
	CU_ASSERT_EQUAL(codes[0], 0);
	CU_ASSERT_EQUAL(codes[1], 128 + SIGKILL);
}

static int rank_with_death_in_a_round(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;
	int all[8];

	(void)n_ranks, (void)arg;
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	if (rank == 2)
		kill(getpid(), SIGKILL);
	const ferrule_status_t status =
		fr_boot_allgather(boot, &rank, all, sizeof(rank), after(10));
	const int bad = CHECK(status == FERRULE_ERR_PEER_DIED) |
	                CHECK(strstr(fr_error_text(), "rank 2 of 4 died or gave up") != NULL);
	fr_boot_close(boot);
	return bad;
}

static void test_a_rank_that_dies_in_a_round_is_named_on_every_rank(void)
{
	int codes[4];

	CU_ASSERT_EQUAL(t_spawn(4, 10, rank_with_death_in_a_round, NULL, codes), 1);
	CU_ASSERT_EQUAL(codes[2], 128 + SIGKILL);
}

static int rank_with_rank_0_dying(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;
	int all[8];

	(void)n_ranks, (void)arg;
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	if (rank == 0)
		kill(getpid(), SIGKILL);
	const ferrule_status_t status =
		fr_boot_allgather(boot, &rank, all, sizeof(rank), after(10));
	const int bad = CHECK(status == FERRULE_ERR_PEER_DIED) |
	                CHECK(strstr(fr_error_text(), "rank 0 of 3 at 127.0.0.1:") != NULL);
	fr_boot_close(boot);
	return bad;
}

static void test_the_death_of_rank_0_is_named(void)
{
	CU_ASSERT_EQUAL(t_spawn(3, 10, rank_with_rank_0_dying, NULL, NULL), 1);
}

static int rank_with_wrong_block(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;
	char in[64] = {0}, all[3 * 64];

	(void)n_ranks, (void)arg;
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	const size_t bytes = rank == 1 ? 40 : 24;
	const ferrule_status_t status = fr_boot_allgather(boot, in, all, bytes, after(10));
	const int bad = CHECK(status == FERRULE_ERR_MISMATCH) |
	                CHECK(strstr(fr_error_text(), "rank 1 is at step 1 of the set-up with 40 "
	                                              "bytes, rank 0 at step 1 with 24") != NULL);
	fr_boot_close(boot);
	return bad;
}

static void test_blocks_of_different_sizes_are_an_error_on_every_rank(void)
{
	CU_ASSERT_EQUAL(t_spawn(3, 10, rank_with_wrong_block, NULL, NULL), 0);
}

/* Rank 1 asked who is missing just when the last rank came; then it goes on. */
static int asks_too_late(void)
{
	const struct fr_boot_head ask = {.kind = FR_BOOT_GIVE_UP};
	const struct fr_boot_head data = {.kind = FR_BOOT_DATA, .round = 1, .length = 1};
	unsigned char bytes[2 * FR_BOOT_HEAD_BYTES + 1];
	unsigned char welcome[FR_BOOT_HEAD_BYTES + sizeof(struct fr_boot_welcome_wire)];
	const int fd = dial_master();

	if (CHECK(join_raw(fd, FR_BOOT_VERSION, 1, 2)) ||
	    CHECK(read_all(fd, welcome, sizeof(welcome))))
		return 1;
	fr_boot_put_head(&ask, bytes);
	fr_boot_put_head(&data, bytes + FR_BOOT_HEAD_BYTES);
	bytes[2 * FR_BOOT_HEAD_BYTES] = 77;
	return CHECK(write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes)) |
	       CHECK(read_all(fd, bytes, FR_BOOT_HEAD_BYTES + 2)) |
	       CHECK(bytes[FR_BOOT_HEAD_BYTES] == 5 && bytes[FR_BOOT_HEAD_BYTES + 1] == 77);
}

static int rank_beside_late_asker(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;
	unsigned char in = 5, out[2];

	(void)n_ranks, (void)arg;
	if (rank == 1)
		return asks_too_late();
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	const int bad = CHECK(fr_boot_allgather(boot, &in, out, 1, after(10)) == FERRULE_OK) |
	                CHECK(out[0] == 5 && out[1] == 77);
	fr_boot_close(boot);
	return bad;
}

static void test_a_question_that_crosses_with_its_answer_is_ignored(void)
{
	CU_ASSERT_EQUAL(t_spawn(2, 10, rank_beside_late_asker, NULL, NULL), 0);
}

/* ---- what ranks of one test share ---- */

struct shared {
	atomic_int n_done;
	atomic_int is_ready;
	ferrule_unique_id_t id;
};

static struct shared *new_shared(void)
{
	void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
	               MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool await(atomic_int *counter, int value)
{
	const uint64_t deadline = after(10);

	while (atomic_load(counter) < value) {
		if (fr_clock_ns() > deadline)
			return false;
		sched_yield();
	}
	return true;
}

static int rank_with_straggler(int rank, int n_ranks, void *arg)
{
	struct shared *shared = arg;
	struct fr_boot *boot;
	int all[8], bad = 0;

	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	if (rank == 1) {
		bad = CHECK(await(&shared->n_done, n_ranks - 1));
	} else {
		const ferrule_status_t status =
			fr_boot_allgather(boot, &rank, all, sizeof(rank), after(0.6));
		bad = CHECK(status == FERRULE_ERR_TIMEOUT) |
		      CHECK(strstr(fr_error_text(),
		                   "rank 1 of 3 arrived but did not finish step 1") != NULL);
		atomic_fetch_add(&shared->n_done, 1);
	}
	fr_boot_close(boot);
	return bad;
}

static void test_a_rank_that_stays_behind_in_a_round_is_named_on_every_rank(void)
{
	struct shared *shared = new_shared();

	CU_ASSERT_PTR_NOT_NULL_FATAL(shared);
	CU_ASSERT_EQUAL(t_spawn(3, 15, rank_with_straggler, shared, NULL), 0);
	munmap(shared, sizeof(*shared));
}

/* ---- strangers ---- */

#define N_HANGING 300

static int misbehave(void)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: rank0\r\n\r\n";
	unsigned char noise[4096], half[FR_BOOT_HEAD_BYTES + 64];
	struct fr_boot_hello_wire hello = {{0}, {0}};
	int bad = 0;

	fr_random(noise, sizeof(noise));
	bad |= CHECK(write(dial_master(), http, sizeof(http)) > 0);
	bad |= CHECK(write(dial_master(), noise, sizeof(noise)) > 0);
	/* A good head, a statement that no rank would make. */
	memset(&hello, 0xff, sizeof(hello));
	put_frame(half, FR_BOOT_HELLO, &hello, sizeof(hello));
	bad |= CHECK(write(dial_master(), half, sizeof(half)) > 0);
	/* Half a hello, and then nothing. */
	bad |= CHECK(write(dial_master(), half, 20) > 0);
	for (int i = 0; i < N_HANGING; i++)
		bad |= CHECK(dial_master() >= 0);
	return bad;
}

static int rank_among_strangers(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;
	int bad = 0;

	(void)n_ranks, (void)arg;
	if (rank == 1)
		bad |= misbehave();
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	bad |= gather_twice(boot);
	fr_boot_close(boot);
	return bad;
}

static void test_strangers_do_not_disturb(void)
{
	CU_ASSERT_EQUAL(t_spawn(3, 15, rank_among_strangers, NULL, NULL), 0);
}

static int rank_with_made_up_proof(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;
	unsigned char frame[FR_BOOT_HEAD_BYTES + 64], proof[FR_BOOT_HEAD_BYTES + 32];
	struct fr_boot_hello_wire hello;
	int bad = 0;

	(void)n_ranks, (void)arg;
	if (rank == 1) {
		/* Rank 0's nonce as its own answer. */
		const int fd = dial_master();
		const struct fr_boot_statement claim = {
			.version = FR_BOOT_VERSION, .rank = 1, .n_ranks = 2};
		memset(hello.nonce, 7, sizeof(hello.nonce));
		fr_boot_put_statement(&claim, hello.statement);
		put_frame(frame, FR_BOOT_HELLO, &hello, sizeof(hello));
		bad |= CHECK(write(fd, frame, sizeof(frame)) == (ssize_t)sizeof(frame));
		bad |= CHECK(read_all(fd, frame, sizeof(frame)));
		put_frame(proof, FR_BOOT_PROOF, frame + FR_BOOT_HEAD_BYTES, 32);
		bad |= CHECK(write(fd, proof, sizeof(proof)) == (ssize_t)sizeof(proof));
		struct fr_boot_head head;
		bad |= CHECK(read_all(fd, frame, FR_BOOT_HEAD_BYTES) &&
		             fr_boot_get_head(frame, &head) && head.kind == FR_BOOT_REJECT);
	}
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	bad |= gather_twice(boot);
	fr_boot_close(boot);
	return bad;
}

static void test_a_made_up_proof_is_rejected_and_the_wait_goes_on(void)
{
	CU_ASSERT_EQUAL(t_spawn(2, 15, rank_with_made_up_proof, NULL, NULL), 0);
}

/* ---- nothing unproven is fatal ---- */

/* One connection to an impostor, which answers what is expected, but for the key. */
static bool fool(int fd, enum fr_boot_kind last)
{
	unsigned char frame[FR_BOOT_HEAD_BYTES + sizeof(struct fr_boot_hello_wire)];
	struct fr_boot_hello_wire hello;

	memset(&hello, 7, sizeof(hello));
	if (!read_all(fd, frame, sizeof(frame)))
		return false;
	put_frame(frame, FR_BOOT_CHALLENGE, &hello, sizeof(hello));
	if (write(fd, frame, sizeof(frame)) != (ssize_t)sizeof(frame) ||
	    !read_all(fd, frame, FR_BOOT_HEAD_BYTES + FR_AUTH_PROOF_BYTES))
		return false;
	const size_t bytes = last == FR_BOOT_REJECT ? 0 : FR_AUTH_PROOF_BYTES;
	put_frame(frame, last, &hello, bytes);
	return write(fd, frame, FR_BOOT_HEAD_BYTES + bytes) > 0;
}

/* Takes rank 0's port before it does.  Each caller gets another treatment. */
static int play_rank_0(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	                        .sin_port = htons((uint16_t)atoi(getenv("MASTER_PORT"))),
	                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	int bad = 0;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	bad |= CHECK(bind(listener, (struct sockaddr *)&a, sizeof(a)) == 0);
	bad |= CHECK(listen(listener, 8) == 0);
	for (int i = 0; i < 5 && !bad; i++) {
		const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (i == 0)
			bad |= CHECK(fool(fd, FR_BOOT_REJECT));
		else if (i == 1)
			bad |= CHECK(fool(fd, FR_BOOT_PROOF));
		else if (i == 2)
			bad |= CHECK(write(fd, "220 mail.example.org ESMTP ready\r\n", 34) == 34);
		close(fd);
	}
	close(listener);
	return bad;
}

static int rank_after_an_impostor(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;

	(void)n_ranks, (void)arg;
	if (rank == 0 && play_rank_0())
		return 1;
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	const int bad = gather_twice(boot);
	fr_boot_close(boot);
	return bad;
}

static void test_an_impostor_does_not_end_the_search(void)
{
	CU_ASSERT_EQUAL(t_spawn(2, 15, rank_after_an_impostor, NULL, NULL), 0);
}

/* So few descriptors are left that silent strangers take all. */
static int limit_descriptors(void)
{
	const int next = dup(0);
	const struct rlimit limit = {.rlim_cur = (rlim_t)next + 8, .rlim_max = (rlim_t)next + 8};

	close(next);
	return CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static int rank_without_descriptors(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;
	int bad = 0;

	(void)n_ranks, (void)arg;
	if (rank == 0)
		bad |= limit_descriptors();
	for (int i = 0; i < 40 && rank == 1; i++)
		bad |= CHECK(dial_master() >= 0);
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	bad |= gather_twice(boot);
	fr_boot_close(boot);
	return bad;
}

static void test_strangers_make_room_when_descriptors_run_out(void)
{
	CU_ASSERT_EQUAL(t_spawn(2, 15, rank_without_descriptors, NULL, NULL), 0);
}

/* ---- failing together ---- */

/* Rank 1 dies on arrival; rank 2 comes afterwards. */
static int rank_of_late_arrival(int rank, int n_ranks, void *arg)
{
	struct shared *shared = arg;
	struct fr_boot *boot;

	(void)n_ranks;
	if (rank == 1) {
		const int fd = dial_master();
		const int bad = CHECK(join_raw(fd, FR_BOOT_VERSION, 1, 3));
		/* By hand: a sanitizer looks at what is left before the process ends. */
		close(fd);
		atomic_store(&shared->is_ready, 1);
		return bad;
	}
	if (rank == 2 && CHECK(await(&shared->is_ready, 1)))
		return 1;
	return CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_ERR_PEER_DIED) |
	       CHECK(strstr(fr_error_text(), "rank 1 of 3 died or gave up") != NULL);
}

static void test_a_rank_that_comes_late_is_told_why_all_failed(void)
{
	struct shared *shared = new_shared();

	CU_ASSERT_PTR_NOT_NULL_FATAL(shared);
	CU_ASSERT_EQUAL(t_spawn(3, 15, rank_of_late_arrival, shared, NULL), 0);
	munmap(shared, sizeof(*shared));
}

static bool is_told_by_supervisor(struct fr_boot *boot, const char *text)
{
	struct fr_supervisor *s = fr_boot_supervisor(boot);
	const uint64_t deadline = after(5);
	ferrule_status_t status = FERRULE_OK;

	while (status == FERRULE_OK && fr_clock_ns() < deadline) {
		struct pollfd p = {.fd = fr_supervisor_fd(s), .events = POLLIN};
		poll(&p, 1, 100);
		status = fr_supervisor_check(s);
	}
	return status != FERRULE_OK && strstr(fr_error_text(), text) != NULL;
}

/* One rank fails between exchanges, another one is at the next exchange already. */
static int rank_that_watches(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;
	unsigned char byte = 0, all[4];
	int bad = 0;

	(void)n_ranks;
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	bad |= CHECK(fr_boot_allgather(boot, &byte, all, 1, after(10)) == FERRULE_OK);
	if (rank == 2 && arg)
		bad |= CHECK(fr_boot_fail(boot, FERRULE_ERR_SYSTEM, "out of ink") ==
		             FERRULE_ERR_SYSTEM) |
		       CHECK(strcmp(fr_error_text(), "rank 2: out of ink") == 0);
	else if (rank == 3)
		bad |= CHECK(fr_boot_allgather(boot, &byte, all, 1, after(5)) < 0);
	else if (rank != 2)
		bad |= CHECK(is_told_by_supervisor(boot, arg ? "rank 2: out of ink"
		                                             : "rank 2 of 4 died or gave up"));
	/* The first failure is the only one. */
	if (rank != 2)
		bad |= CHECK(fr_boot_fail(boot, FERRULE_ERR_TIMEOUT, "x") != FERRULE_ERR_TIMEOUT);
	fr_boot_close(boot);
	return bad;
}

static void test_what_happens_between_exchanges_is_noticed(void)
{
	CU_ASSERT_EQUAL(t_spawn(4, 15, rank_that_watches, NULL, NULL), 0);
	CU_ASSERT_EQUAL(t_spawn(4, 15, rank_that_watches, (void *)"fails", NULL), 0);
}

static int rank_at_no_place(int rank, int n_ranks, void *arg)
{
	const uint64_t began = fr_clock_ns();
	struct fr_boot *boot;

	(void)rank, (void)n_ranks, (void)arg;
	setenv("MASTER_ADDR", "no-such-host.invalid", 1);
	return CHECK(fr_boot_open_env(after(20), &boot) == FERRULE_ERR_SYSTEM) |
	       CHECK(strstr(fr_error_text(), "no-such-host.invalid") != NULL) |
	       CHECK(fr_clock_ns() - began < 15000000000u);
}

static void test_a_name_that_nobody_knows_is_told_early(void)
{
	struct fr_net_addr a;
	const char *why;

	if (fr_net_resolve("no-such-host.invalid", 1, &a, 1, &why) != 0 || errno != ENOENT) {
		t_skip("the name server here does not say that a name does not exist");
		return;
	}
	CU_ASSERT_EQUAL(t_spawn(2, 25, rank_at_no_place, NULL, NULL), 0);
}

/* ---- unique ids ---- */

static int rank_with_id(int rank, int n_ranks, void *arg)
{
	struct shared *shared = arg;
	struct fr_boot *boot;
	int bad = 0;

	if (rank == 0) {
		bad |= CHECK(fr_boot_new_id(&shared->id) == FERRULE_OK);
		atomic_store(&shared->is_ready, 1);
	} else {
		bad |= CHECK(await(&shared->is_ready, 1));
	}
	if (CHECK(fr_boot_open_id(&shared->id, rank, n_ranks, after(10), &boot) == FERRULE_OK))
		return 1;
	bad |= CHECK(fr_boot_info(boot)->rank == rank && fr_boot_info(boot)->n_ranks == n_ranks);
	bad |= gather_twice(boot) | compare_identity(boot);
	fr_boot_close(boot);
	/* An id makes one communicator. */
	if (rank == 0)
		bad |= CHECK(fr_boot_open_id(&shared->id, 0, n_ranks, after(1), &boot) ==
		             FERRULE_ERR_ARGUMENT);
	return bad;
}

static void test_ranks_meet_through_a_unique_id(void)
{
	const int sizes[] = {1, 2, 5};

	for (int i = 0; i < 3; i++) {
		struct shared *shared = new_shared();
		CU_ASSERT_PTR_NOT_NULL_FATAL(shared);
		CU_ASSERT_EQUAL(t_spawn(sizes[i], 15, rank_with_id, shared, NULL), 0);
		munmap(shared, sizeof(*shared));
	}
}

static void test_bad_arguments_with_an_id_are_named(void)
{
	struct fr_boot *boot = NULL;
	ferrule_unique_id_t id;

	CU_ASSERT_EQUAL(fr_boot_new_id(&id), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_boot_open_id(&id, 3, 3, after(1), &boot), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_STRING_EQUAL(fr_error_text(), "rank is 3; allowed: 0 to 2");
	CU_ASSERT_EQUAL(fr_boot_open_id(&id, 0, 0, after(1), &boot), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_STRING_EQUAL(fr_error_text(), "n_ranks is 0; allowed: 1 to 4096");
	ferrule_unique_id_t broken = id;
	broken.bytes[0] ^= 1;
	CU_ASSERT_EQUAL(fr_boot_open_id(&broken, 0, 2, after(1), &boot), FERRULE_ERR_ARGUMENT);
	/* A whole id, but not one of this process. */
	broken = id;
	broken.bytes[20] ^= 1;
	CU_ASSERT_EQUAL(fr_boot_open_id(&broken, 0, 2, after(1), &boot), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "rank 0 must be the process that made"));
	CU_ASSERT_PTR_NULL(boot);
	/* One rank alone needs nobody, and gives the socket back. */
	CU_ASSERT_EQUAL(fr_boot_open_id(&id, 0, 1, after(1), &boot), FERRULE_OK);
	fr_boot_close(boot);
}

static void test_an_oversized_block_is_refused(void)
{
	struct fr_boot *boot;
	ferrule_unique_id_t id;
	char byte;

	CU_ASSERT_EQUAL(fr_boot_new_id(&id), FERRULE_OK);
	CU_ASSERT_EQUAL_FATAL(fr_boot_open_id(&id, 0, 1, after(1), &boot), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_boot_allgather(boot, &byte, &byte, FR_BOOT_MAX_BYTES + 1, after(1)),
	                FERRULE_ERR_INTERNAL);
	fr_boot_close(boot);
}

static int rank_with_large_blocks(int rank, int n_ranks, void *arg)
{
	struct fr_boot *boot;
	char *in = malloc(FR_BOOT_MAX_BYTES);
	char *out = malloc((size_t)n_ranks * FR_BOOT_MAX_BYTES);
	int bad = 0;

	(void)arg;
	if (CHECK(fr_boot_open_env(after(10), &boot) == FERRULE_OK))
		return 1;
	memset(in, 'a' + rank, FR_BOOT_MAX_BYTES);
	bad |= CHECK(fr_boot_allgather(boot, in, out, FR_BOOT_MAX_BYTES, after(10)) == FERRULE_OK);
	for (int r = 0; r < n_ranks; r++)
		bad |= CHECK(out[r * FR_BOOT_MAX_BYTES] == 'a' + r &&
		             out[(r + 1) * FR_BOOT_MAX_BYTES - 1] == 'a' + r);
	/* A round of nothing is a barrier. */
	bad |= CHECK(fr_boot_allgather(boot, in, out, 0, after(10)) == FERRULE_OK);
	fr_boot_close(boot);
	free(in);
	free(out);
	return bad;
}

static void test_the_largest_and_the_empty_block(void)
{
	CU_ASSERT_EQUAL(t_spawn(6, 20, rank_with_large_blocks, NULL, NULL), 0);
}

static int rank_on_a_taken_port(int rank, int n_ranks, void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;
	struct fr_boot *boot;

	(void)rank, (void)n_ranks, (void)arg;
	setenv("WORLD_SIZE", "2", 1);
	a.sin_port = htons((uint16_t)atoi(getenv("MASTER_PORT")));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1) == 0))
		return 1;
	return CHECK(fr_boot_open_env(after(0.2), &boot) == FERRULE_ERR_SYSTEM) |
	       CHECK(strstr(fr_error_text(), "rank 0 cannot listen at 127.0.0.1:") != NULL) |
	       CHECK(strstr(fr_error_text(), "FERRULE_STORE_PORT") != NULL);
}

static void test_a_taken_port_is_named(void)
{
	CU_ASSERT_EQUAL(t_spawn(1, 10, rank_on_a_taken_port, NULL, NULL), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"ranks meet through the environment", test_ranks_meet_through_the_environment},
		{"without environment one rank is alone",
	         test_without_environment_one_rank_is_alone},
		{"ranks meet over IPv6", test_ranks_meet_over_ipv6},
		{"ranks meet by name, beside torchrun's agent",
	         test_ranks_meet_by_name_beside_torchruns_agent},
		{"a missing rank is named on every rank",
	         test_a_missing_rank_is_named_on_every_rank},
		{"a missing rank 0 is named", test_a_missing_rank_0_is_named},
		{"a rank with another key is told, and named",
	         test_a_rank_with_another_key_is_told_and_named},
		{"without a key many meet and meet again",
	         test_without_a_key_many_meet_and_meet_again},
		{"without a key ranks of one run meet, of two do not",
	         test_without_a_key_ranks_of_one_run_meet_and_of_two_do_not},
		{"differing WORLD_SIZE is an error on both sides",
	         test_differing_world_sizes_are_an_error_on_both_sides},
		{"a rank given twice is named", test_a_rank_given_twice_is_named_on_all_ranks},
		{"another protocol version is an error on both sides",
	         test_another_protocol_version_is_an_error_on_both_sides},
		{"a rank that dies while others are missing is named",
	         test_a_rank_that_dies_while_others_are_missing_is_named},
		{"a rank that dies in a round is named on every rank",
	         test_a_rank_that_dies_in_a_round_is_named_on_every_rank},
		{"the death of rank 0 is named", test_the_death_of_rank_0_is_named},
		{"blocks of different sizes are an error on every rank",
	         test_blocks_of_different_sizes_are_an_error_on_every_rank},
		{"a question that crosses with its answer is ignored",
	         test_a_question_that_crosses_with_its_answer_is_ignored},
		{"a rank that stays behind in a round is named on every rank",
	         test_a_rank_that_stays_behind_in_a_round_is_named_on_every_rank},
		{"strangers do not disturb", test_strangers_do_not_disturb},
		{"a made-up proof is rejected and the wait goes on",
	         test_a_made_up_proof_is_rejected_and_the_wait_goes_on},
		{"an impostor does not end the search", test_an_impostor_does_not_end_the_search},
		{"strangers make room when descriptors run out",
	         test_strangers_make_room_when_descriptors_run_out},
		{"a rank that comes late is told why all failed",
	         test_a_rank_that_comes_late_is_told_why_all_failed},
		{"what happens between exchanges is noticed",
	         test_what_happens_between_exchanges_is_noticed},
		{"a name that nobody knows is told early",
	         test_a_name_that_nobody_knows_is_told_early},
		{"ranks meet through a unique id", test_ranks_meet_through_a_unique_id},
		{"bad arguments with an id are named", test_bad_arguments_with_an_id_are_named},
		{"an oversized block is refused", test_an_oversized_block_is_refused},
		{"the largest and the empty block", test_the_largest_and_the_empty_block},
		{"a taken port is named", test_a_taken_port_is_named},
		{NULL, NULL},
	};

	return t_main("boot", cases);
}

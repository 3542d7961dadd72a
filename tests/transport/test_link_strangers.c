/* Who does not hold the job key gets nothing and disturbs nothing, also while ranks connect. */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/transport/link/link_place.h"
#include "tests/support/t_main.h"
#include "tests/transport/t_world.h"

#define N_SILENT 100 /* more than are looked at together */

static const struct t_subject *get_subject(struct t_subject *s)
{
	*s = (struct t_subject){.ops = fr_transport_find("tcp")};
	return s;
}

/* A connection to where `rank` listens, or -1. */
static int call_rank(struct t_rank *r, int rank)
{
	struct fr_link_address address;
	struct sockaddr_storage to;
	if (fr_link_address_parse(t_rank_address(r, rank), &address) != FERRULE_OK)
		return -1;
	const socklen_t length = fr_link_place_sockaddr(&address.places[0], &to);
	const int fd = socket(to.ss_family, SOCK_STREAM, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, length) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_closed_without_a_word(int fd)
{
	const struct timeval limit = {.tv_sec = 5};
	char byte;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	const ssize_t n = recv(fd, &byte, 1, 0);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static bool can_exchange(struct t_rank *r)
{
	const struct fr_call call = t_call(1);
	unsigned char out = (unsigned char)(40 + r->rank), in = 0;
	struct t_move moves[] = {
		{.peer = 1 - r->rank, .is_send = true, .call = &call, .memory = &out, .bytes = 1},
		{.peer = 1 - r->rank, .call = &call, .memory = &in, .bytes = 1},
	};
	return t_pump(r, moves, 2, 5, NULL) == FERRULE_OK && in == 41 - r->rank;
}

/* Rank 1 plays the stranger before it connects in earnest; rank 0 is in connect meanwhile. */
static int rank_among_strangers(struct t_rank *r)
{
	int silent[N_SILENT];
	T_CHECK(t_rank_listen(r) == FERRULE_OK);
	for (int i = 0; r->rank == 1 && i < N_SILENT; i++) {
		silent[i] = call_rank(r, 0);
		T_CHECK(silent[i] >= 0);
	}
	const uint64_t start = fr_clock_ns();
	T_CHECK(t_rank_connect(r, NULL, 8) == FERRULE_OK);
	T_CHECK(fr_clock_ns() - start < 3000000000u);
	T_CHECK(can_exchange(r));
	for (int i = 0; r->rank == 1 && i < N_SILENT; i++) {
		T_CHECK(is_closed_without_a_word(silent[i]));
		close(silent[i]);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

static int rank_among_garbage(struct t_rank *r)
{
	unsigned char garbage[500];
	int fds[3] = {-1, -1, -1};
	T_CHECK(t_rank_listen(r) == FERRULE_OK);
	t_fill(garbage, sizeof(garbage), 3);
	if (r->rank == 1) {
		struct fr_link_hello hello = {.magic = FR_LINK_MAGIC,
		                              .version = FR_LINK_VERSION,
		                              .role = FR_AUTH_CLIENT,
		                              .statement = {.rank = 1, .n_lanes = 1}};
		for (int i = 0; i < 3; i++)
			T_CHECK((fds[i] = call_rank(r, 0)) >= 0);
		/* Noise; somebody of another communicator; half a greeting. */
		T_CHECK(send(fds[0], garbage, sizeof(garbage), MSG_NOSIGNAL) > 0);
		T_CHECK(send(fds[1], &hello, sizeof(hello), MSG_NOSIGNAL) > 0);
		T_CHECK(send(fds[2], &hello, 20, MSG_NOSIGNAL) > 0);
	}
	T_CHECK(t_rank_connect(r, NULL, 8) == FERRULE_OK);
	T_CHECK(can_exchange(r));
	for (int i = 0; r->rank == 1 && i < 3; i++) {
		T_CHECK(is_closed_without_a_word(fds[i]));
		close(fds[i]);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

/* After connect there is no port to call at. */
static int rank_is_deaf_afterwards(struct t_rank *r)
{
	T_CHECK(t_rank_open(r, 8) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	T_CHECK(call_rank(r, 1 - r->rank) < 0);
	T_CHECK(t_rank_barrier(r));
	return 0;
}

static void test_silent_strangers_do_not_keep_ranks_apart(void)
{
	struct t_subject s;
	CU_ASSERT_EQUAL(t_world_run(get_subject(&s), 2, 30, rank_among_strangers, NULL), 0);
}

static void test_garbage_is_dropped_without_a_word(void)
{
	struct t_subject s;
	CU_ASSERT_EQUAL(t_world_run(get_subject(&s), 2, 30, rank_among_garbage, NULL), 0);
}

static void test_nobody_listens_after_connect(void)
{
	struct t_subject s;
	CU_ASSERT_EQUAL(t_world_run(get_subject(&s), 2, 30, rank_is_deaf_afterwards, NULL), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"silent strangers do not keep ranks apart",
	         test_silent_strangers_do_not_keep_ranks_apart},
		{"garbage is dropped without a word", test_garbage_is_dropped_without_a_word},
		{"nobody listens after connect", test_nobody_listens_after_connect},
		{NULL, NULL},
	};
	return t_main("transport/link_strangers", cases);
}

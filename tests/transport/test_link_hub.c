/* Hubs of several ranks in one process, a thread each: lanes, contexts, and who is missing. */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/transport/link/link.h"
#include "lib/transport/transport.h"
#include "tests/support/t_main.h"

#define RANKS_MAX 3
#define STRIDE    256
#define SECOND    1000000000u

struct member {
	int rank, n_ranks;
	unsigned n_lanes;
	const char *context;
	double deadline_s;
	bool wanted[RANKS_MAX];
	const unsigned char *addresses;
	struct fr_link_hub *hub;
	struct fr_link_sockets sockets[RANKS_MAX];
	ferrule_status_t status;
	char why[256];
};

struct group {
	struct member members[RANKS_MAX];
	unsigned char addresses[RANKS_MAX * STRIDE];
	int n;
};

static void *join(void *arg)
{
	struct member *m = arg;
	m->status = fr_link_hub_join(m->hub, m->wanted, m->addresses, STRIDE,
	                             fr_clock_ns() + (uint64_t)(m->deadline_s * SECOND), m->sockets,
	                             m->why, sizeof(m->why));
	return NULL;
}

static void group_init(struct group *g, int n, unsigned n_lanes)
{
	memset(g, 0, sizeof(*g));
	g->n = n;
	for (int r = 0; r < n; r++) {
		struct member *m = &g->members[r];
		*m = (struct member){.rank = r,
		                     .n_ranks = n,
		                     .n_lanes = n_lanes,
		                     .context = "test",
		                     .deadline_s = 10,
		                     .addresses = g->addresses};
		for (int peer = 0; peer < n; peer++)
			m->wanted[peer] = true;
	}
}

static void group_open(struct group *g)
{
	static const unsigned char key[32] = {1, 2, 3};
	static const int host_of[RANKS_MAX] = {0};
	for (int r = 0; r < g->n; r++) {
		struct member *m = &g->members[r];
		const struct fr_transport_params params = {.rank = r,
		                                           .n_ranks = g->n,
		                                           .host_of = host_of,
		                                           .comm_id = 42,
		                                           .job_key = key,
		                                           .one_network = true};
		CU_ASSERT_EQUAL_FATAL(fr_link_hub_open(&params, m->context, m->n_lanes, &m->hub,
		                                       m->why, sizeof(m->why)),
		                      FERRULE_OK);
		fr_link_hub_address(m->hub, g->addresses + r * STRIDE);
	}
}

static void group_join(struct group *g)
{
	pthread_t threads[RANKS_MAX];
	for (int r = 0; r < g->n; r++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[r], NULL, join, &g->members[r]), 0);
	for (int r = 0; r < g->n; r++)
		pthread_join(threads[r], NULL);
	for (int r = 0; r < g->n; r++)
		fr_link_hub_close(g->members[r].hub);
}

static void close_sockets(struct group *g)
{
	for (int r = 0; r < g->n; r++) {
		for (int i = 0; i < g->n * (1 + FR_LINK_LANES_MAX); i++) {
			const int fd = g->members[r]
			                       .sockets[i / (1 + FR_LINK_LANES_MAX)]
			                       .fd[i % (1 + FR_LINK_LANES_MAX)];
			if (fd >= 0)
				close(fd);
		}
	}
}

/* Is lane `lane` of a the other end of the same lane of b? */
static bool is_joined(struct group *g, int a, int b, unsigned lane)
{
	const int from = g->members[a].sockets[b].fd[lane], to = g->members[b].sockets[a].fd[lane];
	const struct timeval limit = {.tv_sec = 5};
	const char sent[2] = {(char)('a' + (int)lane), (char)('A' + a)};
	char got[2] = "";
	setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	/* The socket may be non-blocking: the bytes of one host are there in no time. */
	for (int tries = 0; send(from, sent, 2, MSG_NOSIGNAL) == 2 && tries < 1000; tries++) {
		if (recv(to, got, 2, MSG_WAITALL) == 2)
			return memcmp(got, sent, 2) == 0;
		usleep(1000);
	}
	return false;
}

static void expect_lanes(const unsigned *wishes, unsigned agreed)
{
	struct group g;
	group_init(&g, 3, 0);
	for (int r = 0; r < 3; r++)
		g.members[r].n_lanes = wishes[r];
	group_open(&g);
	group_join(&g);
	for (int pair = 0; pair < 9; pair++) {
		const int a = pair / 3, b = pair % 3;
		const struct fr_link_sockets *s = &g.members[a].sockets[b];
		CU_ASSERT_EQUAL(g.members[a].status, FERRULE_OK);
		CU_ASSERT_EQUAL(s->is_wanted, a != b);
		for (unsigned lane = 0; lane <= FR_LINK_LANES_MAX; lane++) {
			CU_ASSERT_EQUAL(s->fd[lane] >= 0, a != b && lane <= agreed);
			if (s->fd[lane] >= 0)
				CU_ASSERT_TRUE(is_joined(&g, a, b, lane));
		}
		if (a != b) {
			CU_ASSERT_EQUAL(s->n_lanes, agreed);
			CU_ASSERT(strstr(s->where, ":") != NULL);
		}
	}
	close_sockets(&g);
}

static void test_links_without_lanes(void)
{
	expect_lanes((const unsigned[]){0, 0, 0}, 0);
}

static void test_links_with_lanes(void)
{
	expect_lanes((const unsigned[]){2, 2, 2}, 2);
}

static void test_the_smallest_wish_for_lanes_counts(void)
{
	struct group g;
	group_init(&g, 2, 3);
	g.members[1].n_lanes = FR_LINK_LANES_MAX;
	group_open(&g);
	group_join(&g);
	CU_ASSERT_EQUAL(g.members[0].status, FERRULE_OK);
	CU_ASSERT_EQUAL(g.members[0].sockets[1].n_lanes, 3);
	CU_ASSERT_EQUAL(g.members[1].sockets[0].n_lanes, 3);
	close_sockets(&g);
}

static void test_unwanted_ranks_are_left_alone(void)
{
	struct group g;
	group_init(&g, 3, 0);
	for (int r = 0; r < 3; r++)
		g.members[r].wanted[r == 2 ? 0 : 2] = false;
	g.members[2].wanted[1] = false;
	group_open(&g);
	group_join(&g);
	for (int r = 0; r < 3; r++)
		CU_ASSERT_EQUAL(g.members[r].status, FERRULE_OK);
	CU_ASSERT(g.members[0].sockets[1].fd[0] >= 0);
	CU_ASSERT(g.members[2].sockets[0].fd[0] < 0 && g.members[2].sockets[1].fd[0] < 0);
	close_sockets(&g);
}

static void expect_failure(struct group *g, const char *text)
{
	group_open(g);
	group_join(g);
	for (int r = 0; r < g->n; r++) {
		CU_ASSERT(g->members[r].status < 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(g->members[r].why, g->members[r].context));
		CU_ASSERT_PTR_NOT_NULL(strstr(g->members[r].why, text));
		for (int i = 0; i < g->n; i++)
			CU_ASSERT_EQUAL(g->members[r].sockets[i].fd[0], -1);
	}
}

static void test_contexts_keep_transports_apart(void)
{
	struct group g;
	group_init(&g, 2, 0);
	g.members[1].context = "other";
	g.members[0].deadline_s = g.members[1].deadline_s = 1;
	expect_failure(&g, "rank");
	CU_ASSERT_PTR_NOT_NULL(strstr(g.members[1].why, "job key"));
}

static void test_lanes_and_none_do_not_meet(void)
{
	struct group g;
	group_init(&g, 2, 0);
	g.members[1].n_lanes = 1;
	expect_failure(&g, "published no valid address");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"links without lanes", test_links_without_lanes},
		{"links with lanes", test_links_with_lanes},
		{"the smallest wish for lanes counts", test_the_smallest_wish_for_lanes_counts},
		{"unwanted ranks are left alone", test_unwanted_ranks_are_left_alone},
		{"contexts keep transports apart", test_contexts_keep_transports_apart},
		{"lanes and none do not meet", test_lanes_and_none_do_not_meet},
		{NULL, NULL},
	};
	return t_main("transport/link_hub", cases);
}

/*
 * pingpong - how far a transport is from the bare thing under it: latency and one-way bandwidth
 * of two processes, over the contract and over a plain socket used in the simplest way.
 * Not a test: run by hand, see docs/results/tcp.md.
 */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "tests/transport/t_world.h"

#define BYTES_MAX (64u << 20)
#define N_SIZES   5
#define N_ROUNDS  7

static const size_t sizes[N_SIZES] = {8, 4096, 65536, 1 << 20, BYTES_MAX};
static const int n_trips[N_SIZES] = {4000, 2000, 800, 100, 3};

/* How one side moves `bytes`, blocking. */
struct way {
	const char *name;
	int (*move)(struct t_rank *r, bool is_send, unsigned char *memory, size_t bytes);
};

static int move_by_contract(struct t_rank *r, bool is_send, unsigned char *memory, size_t bytes)
{
	static const struct fr_call call = {.sequence = 1, .root = -1};
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	const struct fr_message m = {.call = &call, .bytes = bytes, .memory = memory};
	ferrule_status_t status;
	do
		status = is_send ? ep->ops->send_begin(ep, &m) : ep->ops->recv_begin(ep, &m);
	while (status == FERRULE_INPROGRESS);
	if (status != FERRULE_OK)
		return -1;
	for (size_t moved = 0; moved < bytes;) {
		const int64_t n = is_send ? ep->ops->send_some(ep, memory + moved, bytes - moved)
		                          : ep->ops->recv_some(ep, memory + moved, bytes - moved);
		if (n < 0)
			return -1;
		moved += (size_t)n;
	}
	return 0;
}

/* A reduction's way to read: out of the window, every byte looked at. */
static int move_by_window(struct t_rank *r, bool is_send, unsigned char *memory, size_t bytes)
{
	static const struct fr_call call = {.sequence = 1, .root = -1};
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	const struct fr_message m = {.call = &call, .bytes = bytes};
	if (is_send)
		return move_by_contract(r, true, memory, bytes);
	ferrule_status_t status;
	do
		status = ep->ops->recv_begin(ep, &m);
	while (status == FERRULE_INPROGRESS);
	for (size_t moved = 0; status == FERRULE_OK && moved < bytes;) {
		size_t avail;
		const unsigned char *window = ep->ops->recv_window(ep, &avail, &status);
		if (window == NULL)
			continue;
		const size_t n = avail < bytes - moved ? avail : bytes - moved;
		uint64_t a, b;
		for (size_t i = 0; i + 8 <= n; i += 8) {
			memcpy(&a, memory + moved + i, 8);
			memcpy(&b, window + i, 8);
			a += b;
			memcpy(memory + moved + i, &a, 8);
		}
		ep->ops->recv_release(ep, n);
		moved += n;
	}
	return status == FERRULE_OK ? 0 : -1;
}

static int move_by_socket(struct t_rank *r, bool is_send, unsigned char *memory, size_t bytes)
{
	const int fd = (int)t_rank_look(r, r->rank);
	for (size_t moved = 0; moved < bytes;) {
		const ssize_t n = is_send ? send(fd, memory + moved, bytes - moved, MSG_DONTWAIT)
		                          : recv(fd, memory + moved, bytes - moved, MSG_DONTWAIT);
		if (n == 0)
			return -1;
		if (n > 0)
			moved += (size_t)n;
	}
	return 0;
}

/* A plain connection between the two ranks, its descriptor left in the rank's slot. */
static int join_plain(struct t_rank *r)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(at);
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	if (r->rank == 0) {
		if (bind(fd, (struct sockaddr *)&at, length) || listen(fd, 1) ||
		    getsockname(fd, (struct sockaddr *)&at, &length))
			return -1;
		t_rank_post(r, 2, at.sin_port);
	}
	if (!t_rank_barrier(r))
		return -1;
	if (r->rank == 1) {
		at.sin_port = (in_port_t)t_rank_look(r, 2);
		if (connect(fd, (struct sockaddr *)&at, length))
			return -1;
	} else {
		const int listener = fd;
		fd = accept(listener, NULL, NULL);
		close(listener);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	t_rank_post(r, r->rank, (uint64_t)fd);
	return fd < 0 ? -1 : 0;
}

static const struct way ways[] = {
	{"plain socket", move_by_socket},
	{"contract, into memory", move_by_contract},
	{"contract, by window", move_by_window},
};
#define N_WAYS 3

/* One-way microseconds of a ping-pong. */
static double ping_pong(struct t_rank *r, const struct way *way, unsigned char *memory, int size)
{
	const int n = n_trips[size];
	const uint64_t start = fr_clock_ns();
	for (int i = 0; i < n; i++) {
		if (way->move(r, r->rank == 0, memory, sizes[size]) ||
		    way->move(r, r->rank != 0, memory, sizes[size]))
			return -1;
	}
	return (double)(fr_clock_ns() - start) / 2000.0 / n;
}

/* Microseconds a message of a one-way stream. */
static double stream(struct t_rank *r, const struct way *way, unsigned char *memory, int size)
{
	unsigned char word[8] = {0};
	const int n = n_trips[size];
	const uint64_t start = fr_clock_ns();
	for (int i = 0; i < n; i++) {
		if (way->move(r, r->rank == 0, memory, sizes[size]))
			return -1;
	}
	if (way->move(r, r->rank != 0, word, sizeof(word)))
		return -1;
	return (double)(fr_clock_ns() - start) / 1000.0 / n;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, N_ROUNDS, sizeof(*values), compare);
	return values[N_ROUNDS / 2];
}

static int measure_size(struct t_rank *r, unsigned char *memory, int size)
{
	double trip[N_WAYS][N_ROUNDS], flow[N_WAYS][N_ROUNDS];
	/* Alternately, so that all ways see the same weather. */
	for (int round = 0; round < N_ROUNDS; round++) {
		for (int w = 0; w < N_WAYS; w++) {
			trip[w][round] = ping_pong(r, &ways[w], memory, size);
			flow[w][round] = stream(r, &ways[w], memory, size);
			if (trip[w][round] < 0 || flow[w][round] < 0)
				return 1;
		}
	}
	for (int w = 0; r->rank == 0 && w < N_WAYS; w++) {
		const double t = median(trip[w]), f = median(flow[w]);
		printf("%10zu B  %-22s  one way %10.2f us (min %10.2f)  stream %10.2f us %6.2f "
		       "GB/s\n",
		       sizes[size], ways[w].name, t, trip[w][0], f,
		       (double)sizes[size] / f / 1000.0);
	}
	fflush(stdout);
	return 0;
}

/* Each rank on a core of its own. */
static void pin(int rank)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET((size_t)rank, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fprintf(stderr, "pingpong: rank %d is not pinned: there is no core %d\n", rank,
		        rank);
}

static int measure(struct t_rank *r)
{
	pin(r->rank);
	unsigned char *memory = aligned_alloc(4096, BYTES_MAX);
	if (memory == NULL || t_rank_open(r, 10) != FERRULE_OK || join_plain(r) != 0)
		return 1;
	memset(memory, r->rank, BYTES_MAX);
	int failures = 0;
	for (int size = 0; size < N_SIZES && failures == 0; size++)
		failures = measure_size(r, memory, size);
	free(memory);
	return failures;
}

int main(int argc, char **argv)
{
	const struct t_subject subject = {.ops = fr_transport_find(argc > 1 ? argv[1] : "tcp")};
	if (subject.ops == NULL) {
		fprintf(stderr, "pingpong: no transport is called %s\n", argv[1]);
		return 2;
	}
	return t_world_run(&subject, 2, 300, measure, NULL) != 0;
}

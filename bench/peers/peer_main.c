/*
 * One rank of a library under measurement.
 *
 * It sleeps in a read until the conductor orders a measurement, so that many libraries can be
 * loaded at once and take turns within milliseconds: virtual machines move their cores about
 * every few seconds, and only neighbours in time can be compared.
 *
 * Orders come on the FIFO DIR/NAME.RANK: "collective bytes iterations batch fast".
 * Answers go to DIR/answers: "NAME rank min_us median_us wrong".
 */
#include "peer.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct order {
	enum peer_coll coll;
	size_t bytes;
	int iterations, batch, fast;
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Small integers, so that sums are exact. */
static float input(int rank, size_t i)
{
	return (float)((i + (size_t)rank) % 7);
}

static float expected(const struct order *o, int rank, int n, size_t block, size_t i)
{
	float sum = 0;

	if (o->coll == PEER_BROADCAST)
		return input(0, i);
	if (o->coll == PEER_ALLGATHER)
		return input((int)(i / block), i % block);
	for (int r = 0; r < n; r++)
		sum += input(r, o->coll == PEER_REDUCE_SCATTER ? (size_t)rank * block + i : i);
	return sum;
}

static void *take(size_t bytes, int fast)
{
	void *p = fast ? peer_alloc(bytes, 1) : NULL;

	/* 2 MiB aligned like the large blocks of any allocator that was used for a while. */
	return p ? p : aligned_alloc(2u << 20, (bytes + (2u << 20) - 1) / (2u << 20) * (2u << 20));
}

static void give(void *p, int fast)
{
	if (fast)
		peer_free(p, 1);
	else
		free(p);
}

static size_t check(const struct order *o, const float *recv, size_t count, size_t block, int rank,
                    int n)
{
	size_t wrong = 0;

	for (size_t i = 0; i < count; i++)
		wrong += recv[i] != expected(o, rank, n, block, i);
	return wrong;
}

static void measure(const struct order *o, const char *name, int rank, int n, FILE *answers)
{
	const int blocks = o->coll == PEER_ALLGATHER || o->coll == PEER_REDUCE_SCATTER;
	const size_t asked = o->bytes / sizeof(float);
	/* Blocks have an element at least, however small the size that was asked for. */
	const size_t block = asked < (size_t)n ? 1 : asked / (size_t)n;
	const size_t total = blocks ? block * (size_t)n : asked;
	const size_t count = blocks ? block : total;
	const size_t send_count = o->coll == PEER_ALLGATHER ? block : total;
	const size_t recv_count = o->coll == PEER_REDUCE_SCATTER ? block : total;
	float *send = take(send_count * sizeof(float) + 64, o->fast);
	float *recv = take(recv_count * sizeof(float) + 64, o->fast);
	const int batches = o->iterations / o->batch;
	double *times = calloc((size_t)batches + 1, sizeof(*times));
	size_t wrong = 0;

	for (size_t i = 0; i < send_count; i++)
		send[i] = input(rank, i);
	memset(recv, 0, recv_count * sizeof(float));
	peer_call(o->coll, send, recv, count);
	/* A root broadcasts out of its one buffer. */
	if (o->coll != PEER_BARRIER)
		wrong = check(o, o->coll == PEER_BROADCAST && rank == 0 ? send : recv, recv_count,
		              block, rank, n);
	for (int i = 0; i < o->batch; i++)
		peer_call(o->coll, send, recv, count);
	for (int b = 0; b < batches; b++) {
		const double start = now_us();

		for (int i = 0; i < o->batch; i++)
			peer_call(o->coll, send, recv, count);
		times[b] = (now_us() - start) / o->batch;
	}
	qsort(times, (size_t)batches, sizeof(*times), by_value);
	fprintf(answers, "%s %d %.4f %.4f %zu\n", name, rank, times[0], times[batches / 2], wrong);
	fflush(answers);
	give(send, o->fast);
	give(recv, o->fast);
	free(times);
}

int main(int argc, char **argv)
{
	char path[512], line[256];
	int rank, n;
	FILE *orders, *answers;

	peer_init(&argc, &argv, &rank, &n);
	if (argc != 3) {
		fprintf(stderr, "usage: %s DIR NAME (started by the conductor)\n", argv[0]);
		return 2;
	}
	snprintf(path, sizeof(path), "%s/%s.%d", argv[1], argv[2], rank);
	orders = fopen(path, "r");
	snprintf(path, sizeof(path), "%s/answers", argv[1]);
	answers = fopen(path, "w");
	if (!orders || !answers) {
		perror(path);
		return 1;
	}
	fprintf(answers, "%s %d 0 0 0\n", argv[2], rank);
	fflush(answers);
	while (fgets(line, sizeof(line), orders)) {
		struct order o;
		int coll;

		if (sscanf(line, "%d %zu %d %d %d", &coll, &o.bytes, &o.iterations, &o.batch,
		           &o.fast) != 5)
			break;
		o.coll = (enum peer_coll)coll;
		measure(&o, argv[2], rank, n, answers);
	}
	peer_fini();
	return 0;
}

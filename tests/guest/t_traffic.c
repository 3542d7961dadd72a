/*
 * A rank that adds vectors for some seconds and looks at every element of every sum: what runs
 * while a test breaks something.
 *
 * usage: t_traffic SECONDS COUNT [registered]      under `ferrule run` or with its environment
 *
 * COUNT float elements, from malloc or, with "registered", from ferrule_mem_alloc().  Prints
 * "rank R: ready" after the first sum and, when all went well, "rank R: N exact sums".  A fault
 * of the communicator prints "rank R: fault after T ms in the call: TEXT" with the milliseconds
 * since that call began; the exit status is then 3, and 4 for a wrong sum.
 */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ferrule/ferrule.h>

struct traffic {
	ferrule_comm_t comm;
	int rank, size;
	size_t count;
	bool is_registered;
	float *send, *recv;
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Small whole numbers, other ones in every round, so that sums are exact and stale ones seen. */
static float input(int rank, size_t i, long round)
{
	return (float)((i * 7 + (size_t)rank * 3 + (size_t)round) % 251);
}

/* The first element is a vote whether to stop; rank 0 alone gives it. */
static void fill(struct traffic *t, long round, bool is_last)
{
	t->send[0] = t->rank == 0 && is_last ? 1 : 0;
	for (size_t i = 1; i < t->count; i++)
		t->send[i] = input(t->rank, i, round);
}

static bool is_exact(const struct traffic *t, long round)
{
	for (size_t i = 1; i < t->count; i++) {
		float expected = 0;

		for (int rank = 0; rank < t->size; rank++)
			expected += input(rank, i, round);
		if (t->recv[i] == expected)
			continue;
		printf("rank %d: round %ld: element %zu is %g, not %g\n", t->rank, round, i,
		       (double)t->recv[i], (double)expected);
		return false;
	}
	return true;
}

static int run(struct traffic *t, double seconds)
{
	const double end = now_s() + seconds;

	for (long round = 0;; round++) {
		fill(t, round, now_s() >= end);
		const double began = now_s();
		const ferrule_status_t status = ferrule_allreduce(
			t->comm, t->send, t->recv, t->count, FERRULE_FLOAT32, FERRULE_SUM);

		if (status != FERRULE_OK) {
			printf("rank %d: fault after %.0f ms in the call: %s\n", t->rank,
			       (now_s() - began) * 1e3, ferrule_comm_error_text(t->comm));
			return 3;
		}
		if (!is_exact(t, round))
			return 4;
		if (round == 0)
			printf("rank %d: ready\n", t->rank);
		if (t->recv[0] > 0) {
			printf("rank %d: %ld exact sums\n", t->rank, round + 1);
			return 0;
		}
	}
}

static bool take(struct traffic *t, float **buffer)
{
	const size_t bytes = t->count * sizeof(float);
	void *memory = NULL;

	if (!t->is_registered)
		memory = malloc(bytes);
	else if (ferrule_mem_alloc(t->comm, bytes, &memory) != FERRULE_OK)
		return false;
	*buffer = memory;
	return memory != NULL;
}

static void give(struct traffic *t, float *buffer)
{
	if (t->is_registered)
		ferrule_mem_free(t->comm, buffer);
	else
		free(buffer);
}

int main(int argc, char **argv)
{
	struct traffic t = {0};
	int rc = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3 || (t.count = strtoul(argv[2], NULL, 10)) < 2) {
		fprintf(stderr, "usage: t_traffic SECONDS COUNT [registered]\n");
		return 2;
	}
	t.is_registered = argc > 3 && strcmp(argv[3], "registered") == 0;
	if (ferrule_comm_create_from_env(NULL, &t.comm) != FERRULE_OK) {
		fprintf(stderr, "%s\n", ferrule_comm_error_text(NULL));
		return 1;
	}
	t.rank = ferrule_comm_rank(t.comm);
	t.size = ferrule_comm_size(t.comm);
	if (take(&t, &t.send) && take(&t, &t.recv))
		rc = run(&t, strtod(argv[1], NULL));
	else
		printf("rank %d: no memory: %s\n", t.rank, ferrule_comm_error_text(t.comm));
	if (rc == 0 && ferrule_comm_finalize(t.comm) != FERRULE_OK)
		rc = 3;
	give(&t, t.send);
	give(&t, t.recv);
	ferrule_comm_destroy(t.comm);
	return rc;
}

/* Point to point: a ball between rank 0 and rank 1, then a shift around the ring as a group. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <ferrule/ferrule.h>

#define ROUNDS 1000

static void check(ferrule_comm_t comm, ferrule_status_t status)
{
	if (status == FERRULE_OK)
		return;
	fprintf(stderr, "%s\n", ferrule_comm_error_text(comm));
	exit(1);
}

static void play(ferrule_comm_t comm, int rank)
{
	struct timespec begin, end;
	int64_t ball = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < ROUNDS; i++) {
		if (rank == 0)
			check(comm, ferrule_send(comm, &ball, 1, FERRULE_INT64, 1));
		check(comm, ferrule_recv(comm, &ball, 1, FERRULE_INT64, 1 - rank));
		ball++;
		if (rank == 1)
			check(comm, ferrule_send(comm, &ball, 1, FERRULE_INT64, 0));
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	const double us = (double)(end.tv_sec - begin.tv_sec) * 1e6 +
	                  (double)(end.tv_nsec - begin.tv_nsec) * 1e-3;
	if (rank == 0)
		printf("the ball was hit %lld times, %.2f us one way\n", (long long)ball,
		       us / (2.0 * ROUNDS));
}

int main(void)
{
	ferrule_comm_t comm = NULL;

	check(NULL, ferrule_comm_create_from_env(NULL, &comm));
	const int rank = ferrule_comm_rank(comm), size = ferrule_comm_size(comm);
	if (size > 1 && rank < 2)
		play(comm, rank);

	/* Alone, each of these would wait for the other; a group has no order. */
	const int64_t mine = rank;
	int64_t left = -1;
	check(comm, ferrule_group_begin(comm));
	check(comm, ferrule_send(comm, &mine, 1, FERRULE_INT64, (rank + 1) % size));
	check(comm, ferrule_recv(comm, &left, 1, FERRULE_INT64, (rank + size - 1) % size));
	check(comm, ferrule_group_end(comm));
	printf("rank %d: my left neighbour is %lld\n", rank, (long long)left);
	check(comm, ferrule_comm_finalize(comm));
	ferrule_comm_destroy(comm);
	return left == (rank + size - 1) % size ? 0 : 1;
}

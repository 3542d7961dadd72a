/* Computes while the gradients of the step before are being averaged. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <ferrule/ferrule.h>

#define N     (1 << 18)
#define STEPS 4

static void check(ferrule_comm_t comm, ferrule_status_t status)
{
	if (status == FERRULE_OK)
		return;
	fprintf(stderr, "%s\n", ferrule_comm_error_text(comm));
	exit(1);
}

/* Stands for a layer's backward pass; polls, so that the transfer goes on meanwhile. */
static double compute(ferrule_op_t op, float *gradient, int rank, int step)
{
	double work = 0;
	for (int i = 0; i < N; i++) {
		gradient[i] = (float)(rank + step);
		work += sqrt(i);
		if (op && i % 4096 == 0)
			ferrule_op_test(op);
	}
	return work;
}

int main(void)
{
	static float gradients[2][N];
	ferrule_comm_t comm = NULL;
	ferrule_op_t op = NULL;

	check(NULL, ferrule_comm_create_from_env(NULL, &comm));
	const int rank = ferrule_comm_rank(comm), size = ferrule_comm_size(comm);
	for (int step = 0; step < STEPS; step++) {
		float *const now = gradients[step % 2];
		compute(op, now, rank, step);
		if (op) {
			check(comm, ferrule_op_wait(op));
			check(comm, ferrule_op_destroy(op));
		}
		check(comm, ferrule_allreduce_start(comm, now, now, N, FERRULE_FLOAT32, FERRULE_AVG,
		                                    &op));
	}
	check(comm, ferrule_op_wait(op));
	check(comm, ferrule_op_destroy(op));

	/* The ranks are 0 to size - 1, so their mean is (size - 1) / 2. */
	const float want = (float)(size - 1) / 2 + STEPS - 1;
	const float got = gradients[(STEPS - 1) % 2][N - 1];
	if (rank == 0)
		printf("%d ranks, %d steps: mean gradient %g, expected %g\n", size, STEPS,
		       (double)got, (double)want);
	check(comm, ferrule_comm_finalize(comm));
	ferrule_comm_destroy(comm);
	return got == want ? 0 : 1;
}

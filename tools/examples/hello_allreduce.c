/* Every rank contributes its number; every rank gets the sum. */
#include <stdio.h>
#include <stdlib.h>

#include <ferrule/ferrule.h>

static void check(ferrule_comm_t comm, ferrule_status_t status)
{
	if (status == FERRULE_OK)
		return;
	fprintf(stderr, "%s\n", ferrule_comm_error_text(comm));
	exit(1);
}

int main(void)
{
	ferrule_comm_t comm = NULL;
	float sum[4];

	check(NULL, ferrule_comm_create_from_env(NULL, &comm));
	const int rank = ferrule_comm_rank(comm), size = ferrule_comm_size(comm);
	const float mine[4] = {(float)rank, 1, 0.5f, (float)-rank};
	check(comm, ferrule_allreduce(comm, mine, sum, 4, FERRULE_FLOAT32, FERRULE_SUM));
	printf("rank %d of %d: %g %g %g %g\n", rank, size, (double)sum[0], (double)sum[1],
	       (double)sum[2], (double)sum[3]);
	check(comm, ferrule_comm_finalize(comm));
	ferrule_comm_destroy(comm);
	return 0;
}

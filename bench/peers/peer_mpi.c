/* Any MPI, as a peer. */
#include "peer.h"

#include <mpi.h>
#include <stdlib.h>

void peer_init(int *argc, char ***argv, int *rank, int *n_ranks)
{
	MPI_Init(argc, argv);
	MPI_Comm_rank(MPI_COMM_WORLD, rank);
	MPI_Comm_size(MPI_COMM_WORLD, n_ranks);
}

void *peer_alloc(size_t bytes, int fast)
{
	(void)bytes;
	(void)fast;
	return NULL;
}

void peer_free(void *buffer, int fast)
{
	(void)fast;
	free(buffer);
}

void peer_call(enum peer_coll coll, const float *send, float *recv, size_t count)
{
	const int n = (int)count;

	switch (coll) {
	case PEER_ALLREDUCE:
		MPI_Allreduce(send, recv, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
		break;
	case PEER_ALLGATHER:
		MPI_Allgather(send, n, MPI_FLOAT, recv, n, MPI_FLOAT, MPI_COMM_WORLD);
		break;
	case PEER_BROADCAST: {
		int rank;

		/* MPI broadcasts one buffer: the root's is its input. */
		MPI_Comm_rank(MPI_COMM_WORLD, &rank);
		MPI_Bcast(rank == 0 ? (float *)send : recv, n, MPI_FLOAT, 0, MPI_COMM_WORLD);
		break;
	}
	case PEER_REDUCE_SCATTER:
		MPI_Reduce_scatter_block(send, recv, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
		break;
	case PEER_BARRIER:
	case PEER_N_COLLS:
		MPI_Barrier(MPI_COMM_WORLD);
		break;
	}
}

void peer_fini(void)
{
	MPI_Finalize();
}

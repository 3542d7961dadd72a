/* Ferrule, as a peer. */
#include "peer.h"

#include <ferrule/ferrule.h>
#include <stdio.h>
#include <stdlib.h>

static ferrule_comm_t comm;

static void must(ferrule_status_t status)
{
	if (status == FERRULE_OK)
		return;
	fprintf(stderr, "peer_ferrule: %s: %s\n", ferrule_status_name(status),
	        ferrule_comm_error_text(comm));
	exit(1);
}

void peer_init(int *argc, char ***argv, int *rank, int *n_ranks)
{
	(void)argc;
	(void)argv;
	must(ferrule_comm_create_from_env(NULL, &comm));
	*rank = ferrule_comm_rank(comm);
	*n_ranks = ferrule_comm_size(comm);
}

void *peer_alloc(size_t bytes, int fast)
{
	void *p = NULL;

	if (fast)
		must(ferrule_mem_alloc(comm, bytes, &p));
	return p;
}

void peer_free(void *buffer, int fast)
{
	if (fast)
		must(ferrule_mem_free(comm, buffer));
	else
		free(buffer);
}

void peer_call(enum peer_coll coll, const float *send, float *recv, size_t count)
{
	switch (coll) {
	case PEER_ALLREDUCE:
		must(ferrule_allreduce(comm, send, recv, count, FERRULE_FLOAT32, FERRULE_SUM));
		break;
	case PEER_ALLGATHER:
		must(ferrule_allgather(comm, send, recv, count, FERRULE_FLOAT32));
		break;
	case PEER_BROADCAST:
		/* In place at the root, as MPI does it. */
		must(ferrule_broadcast(comm, send,
		                       ferrule_comm_rank(comm) == 0 ? (float *)send : recv, count,
		                       FERRULE_FLOAT32, 0));
		break;
	case PEER_REDUCE_SCATTER:
		must(ferrule_reduce_scatter(comm, send, recv, count, FERRULE_FLOAT32, FERRULE_SUM));
		break;
	case PEER_BARRIER:
	case PEER_N_COLLS:
		must(ferrule_barrier(comm));
		break;
	}
}

void peer_fini(void)
{
	must(ferrule_comm_finalize(comm));
	ferrule_comm_destroy(comm);
}

/*
 * Collectives with a count a rank.  The arrays are the caller's; what must be kept of them is
 * copied where the call is first seen (lib/comm/shape.c).
 */
#include "config.h"

#include "lib/api/submit.h"

/* The arrays must outlive it. */
static struct fr_request request(enum fr_coll coll, const void *send, void *recv,
                                 const struct fr_arrays *arrays, ferrule_type_t type, int root)
{
	return (struct fr_request){
		.coll = coll,
		.type = type,
		.op = FR_OP_NONE,
		.root = root,
		.arrays = arrays,
		.send = send,
		.recv = recv,
	};
}

static struct fr_request reduce_scatterv(const void *send, void *recv,
                                         const struct fr_arrays *arrays, ferrule_type_t type,
                                         ferrule_redop_t op)
{
	struct fr_request r = request(FR_COLL_REDUCE_SCATTER, send, recv, arrays, type, -1);

	r.op = op;
	return r;
}

ferrule_status_t ferrule_reduce_scatterv(ferrule_comm_t comm, const void *send, void *recv,
                                         const size_t *counts, ferrule_type_t type,
                                         ferrule_redop_t op)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts}};
	const struct fr_request r = reduce_scatterv(send, recv, &arrays, type, op);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_reduce_scatterv_start(ferrule_comm_t comm, const void *send, void *recv,
                                               const size_t *counts, ferrule_type_t type,
                                               ferrule_redop_t op, ferrule_op_t *op_out)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts}};
	const struct fr_request r = reduce_scatterv(send, recv, &arrays, type, op);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_reduce_scatterv_init(ferrule_comm_t comm, const void *send, void *recv,
                                              const size_t *counts, ferrule_type_t type,
                                              ferrule_redop_t op, ferrule_op_t *op_out)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts}};
	const struct fr_request r = reduce_scatterv(send, recv, &arrays, type, op);

	return fr_submit_init(comm, &r, op_out);
}

ferrule_status_t ferrule_allgatherv(ferrule_comm_t comm, const void *send, void *recv,
                                    const size_t *counts, const size_t *displs, ferrule_type_t type)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts, [FR_ARRAY_DISPLS] = displs}};
	const struct fr_request r = request(FR_COLL_ALLGATHER, send, recv, &arrays, type, -1);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_allgatherv_start(ferrule_comm_t comm, const void *send, void *recv,
                                          const size_t *counts, const size_t *displs,
                                          ferrule_type_t type, ferrule_op_t *op_out)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts, [FR_ARRAY_DISPLS] = displs}};
	const struct fr_request r = request(FR_COLL_ALLGATHER, send, recv, &arrays, type, -1);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_allgatherv_init(ferrule_comm_t comm, const void *send, void *recv,
                                         const size_t *counts, const size_t *displs,
                                         ferrule_type_t type, ferrule_op_t *op_out)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts, [FR_ARRAY_DISPLS] = displs}};
	const struct fr_request r = request(FR_COLL_ALLGATHER, send, recv, &arrays, type, -1);

	return fr_submit_init(comm, &r, op_out);
}

ferrule_status_t ferrule_gatherv(ferrule_comm_t comm, const void *send, void *recv,
                                 const size_t *counts, const size_t *displs, ferrule_type_t type,
                                 int root)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts, [FR_ARRAY_DISPLS] = displs}};
	const struct fr_request r = request(FR_COLL_GATHER, send, recv, &arrays, type, root);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_gatherv_start(ferrule_comm_t comm, const void *send, void *recv,
                                       const size_t *counts, const size_t *displs,
                                       ferrule_type_t type, int root, ferrule_op_t *op_out)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts, [FR_ARRAY_DISPLS] = displs}};
	const struct fr_request r = request(FR_COLL_GATHER, send, recv, &arrays, type, root);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_gatherv_init(ferrule_comm_t comm, const void *send, void *recv,
                                      const size_t *counts, const size_t *displs,
                                      ferrule_type_t type, int root, ferrule_op_t *op_out)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts, [FR_ARRAY_DISPLS] = displs}};
	const struct fr_request r = request(FR_COLL_GATHER, send, recv, &arrays, type, root);

	return fr_submit_init(comm, &r, op_out);
}

ferrule_status_t ferrule_scatterv(ferrule_comm_t comm, const void *send, void *recv,
                                  const size_t *counts, const size_t *displs, ferrule_type_t type,
                                  int root)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts, [FR_ARRAY_DISPLS] = displs}};
	const struct fr_request r = request(FR_COLL_SCATTER, send, recv, &arrays, type, root);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_scatterv_start(ferrule_comm_t comm, const void *send, void *recv,
                                        const size_t *counts, const size_t *displs,
                                        ferrule_type_t type, int root, ferrule_op_t *op_out)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts, [FR_ARRAY_DISPLS] = displs}};
	const struct fr_request r = request(FR_COLL_SCATTER, send, recv, &arrays, type, root);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_scatterv_init(ferrule_comm_t comm, const void *send, void *recv,
                                       const size_t *counts, const size_t *displs,
                                       ferrule_type_t type, int root, ferrule_op_t *op_out)
{
	const struct fr_arrays arrays = {{[FR_ARRAY_COUNTS] = counts, [FR_ARRAY_DISPLS] = displs}};
	const struct fr_request r = request(FR_COLL_SCATTER, send, recv, &arrays, type, root);

	return fr_submit_init(comm, &r, op_out);
}

static struct fr_arrays alltoallv(const size_t *send_counts, const size_t *send_displs,
                                  const size_t *recv_counts, const size_t *recv_displs)
{
	return (struct fr_arrays){{[FR_ARRAY_SEND_COUNTS] = send_counts,
	                           [FR_ARRAY_SEND_DISPLS] = send_displs,
	                           [FR_ARRAY_RECV_COUNTS] = recv_counts,
	                           [FR_ARRAY_RECV_DISPLS] = recv_displs}};
}

ferrule_status_t ferrule_alltoallv(ferrule_comm_t comm, const void *send, const size_t *send_counts,
                                   const size_t *send_displs, void *recv, const size_t *recv_counts,
                                   const size_t *recv_displs, ferrule_type_t type)
{
	const struct fr_arrays arrays =
		alltoallv(send_counts, send_displs, recv_counts, recv_displs);
	const struct fr_request r = request(FR_COLL_ALLTOALL, send, recv, &arrays, type, -1);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_alltoallv_start(ferrule_comm_t comm, const void *send,
                                         const size_t *send_counts, const size_t *send_displs,
                                         void *recv, const size_t *recv_counts,
                                         const size_t *recv_displs, ferrule_type_t type,
                                         ferrule_op_t *op_out)
{
	const struct fr_arrays arrays =
		alltoallv(send_counts, send_displs, recv_counts, recv_displs);
	const struct fr_request r = request(FR_COLL_ALLTOALL, send, recv, &arrays, type, -1);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_alltoallv_init(ferrule_comm_t comm, const void *send,
                                        const size_t *send_counts, const size_t *send_displs,
                                        void *recv, const size_t *recv_counts,
                                        const size_t *recv_displs, ferrule_type_t type,
                                        ferrule_op_t *op_out)
{
	const struct fr_arrays arrays =
		alltoallv(send_counts, send_displs, recv_counts, recv_displs);
	const struct fr_request r = request(FR_COLL_ALLTOALL, send, recv, &arrays, type, -1);

	return fr_submit_init(comm, &r, op_out);
}

/*
 * Collectives with one count: each call becomes a request, and submit.c does the rest.
 */
#include "config.h"

#include "lib/api/submit.h"

static struct fr_request allreduce(const void *send, void *recv, size_t count, ferrule_type_t type,
                                   ferrule_redop_t op)
{
	return (struct fr_request){
		.coll = FR_COLL_ALLREDUCE,
		.type = type,
		.op = op,
		.root = -1,
		.count = count,
		.send = send,
		.recv = recv,
	};
}

ferrule_status_t ferrule_allreduce(ferrule_comm_t comm, const void *send, void *recv, size_t count,
                                   ferrule_type_t type, ferrule_redop_t op)
{
	const struct fr_request r = allreduce(send, recv, count, type, op);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_allreduce_start(ferrule_comm_t comm, const void *send, void *recv,
                                         size_t count, ferrule_type_t type, ferrule_redop_t op,
                                         ferrule_op_t *op_out)
{
	const struct fr_request r = allreduce(send, recv, count, type, op);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_allreduce_init(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t count, ferrule_type_t type, ferrule_redop_t op,
                                        ferrule_op_t *op_out)
{
	const struct fr_request r = allreduce(send, recv, count, type, op);

	return fr_submit_init(comm, &r, op_out);
}

static struct fr_request reduce(const void *send, void *recv, size_t count, ferrule_type_t type,
                                ferrule_redop_t op, int root)
{
	return (struct fr_request){
		.coll = FR_COLL_REDUCE,
		.type = type,
		.op = op,
		.root = root,
		.count = count,
		.send = send,
		.recv = recv,
	};
}

ferrule_status_t ferrule_reduce(ferrule_comm_t comm, const void *send, void *recv, size_t count,
                                ferrule_type_t type, ferrule_redop_t op, int root)
{
	const struct fr_request r = reduce(send, recv, count, type, op, root);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_reduce_start(ferrule_comm_t comm, const void *send, void *recv,
                                      size_t count, ferrule_type_t type, ferrule_redop_t op,
                                      int root, ferrule_op_t *op_out)
{
	const struct fr_request r = reduce(send, recv, count, type, op, root);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_reduce_init(ferrule_comm_t comm, const void *send, void *recv,
                                     size_t count, ferrule_type_t type, ferrule_redop_t op,
                                     int root, ferrule_op_t *op_out)
{
	const struct fr_request r = reduce(send, recv, count, type, op, root);

	return fr_submit_init(comm, &r, op_out);
}

static struct fr_request reduce_scatter(const void *send, void *recv, size_t recv_count,
                                        ferrule_type_t type, ferrule_redop_t op)
{
	return (struct fr_request){
		.coll = FR_COLL_REDUCE_SCATTER,
		.type = type,
		.op = op,
		.root = -1,
		.count = recv_count,
		.send = send,
		.recv = recv,
	};
}

ferrule_status_t ferrule_reduce_scatter(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t recv_count, ferrule_type_t type, ferrule_redop_t op)
{
	const struct fr_request r = reduce_scatter(send, recv, recv_count, type, op);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_reduce_scatter_start(ferrule_comm_t comm, const void *send, void *recv,
                                              size_t recv_count, ferrule_type_t type,
                                              ferrule_redop_t op, ferrule_op_t *op_out)
{
	const struct fr_request r = reduce_scatter(send, recv, recv_count, type, op);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_reduce_scatter_init(ferrule_comm_t comm, const void *send, void *recv,
                                             size_t recv_count, ferrule_type_t type,
                                             ferrule_redop_t op, ferrule_op_t *op_out)
{
	const struct fr_request r = reduce_scatter(send, recv, recv_count, type, op);

	return fr_submit_init(comm, &r, op_out);
}

static struct fr_request allgather(const void *send, void *recv, size_t send_count,
                                   ferrule_type_t type)
{
	return (struct fr_request){
		.coll = FR_COLL_ALLGATHER,
		.type = type,
		.op = FR_OP_NONE,
		.root = -1,
		.count = send_count,
		.send = send,
		.recv = recv,
	};
}

ferrule_status_t ferrule_allgather(ferrule_comm_t comm, const void *send, void *recv,
                                   size_t send_count, ferrule_type_t type)
{
	const struct fr_request r = allgather(send, recv, send_count, type);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_allgather_start(ferrule_comm_t comm, const void *send, void *recv,
                                         size_t send_count, ferrule_type_t type,
                                         ferrule_op_t *op_out)
{
	const struct fr_request r = allgather(send, recv, send_count, type);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_allgather_init(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t send_count, ferrule_type_t type,
                                        ferrule_op_t *op_out)
{
	const struct fr_request r = allgather(send, recv, send_count, type);

	return fr_submit_init(comm, &r, op_out);
}

static struct fr_request broadcast(const void *send, void *recv, size_t count, ferrule_type_t type,
                                   int root)
{
	return (struct fr_request){
		.coll = FR_COLL_BROADCAST,
		.type = type,
		.op = FR_OP_NONE,
		.root = root,
		.count = count,
		.send = send,
		.recv = recv,
	};
}

ferrule_status_t ferrule_broadcast(ferrule_comm_t comm, const void *send, void *recv, size_t count,
                                   ferrule_type_t type, int root)
{
	const struct fr_request r = broadcast(send, recv, count, type, root);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_broadcast_start(ferrule_comm_t comm, const void *send, void *recv,
                                         size_t count, ferrule_type_t type, int root,
                                         ferrule_op_t *op_out)
{
	const struct fr_request r = broadcast(send, recv, count, type, root);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_broadcast_init(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t count, ferrule_type_t type, int root,
                                        ferrule_op_t *op_out)
{
	const struct fr_request r = broadcast(send, recv, count, type, root);

	return fr_submit_init(comm, &r, op_out);
}

static struct fr_request gather(const void *send, void *recv, size_t send_count,
                                ferrule_type_t type, int root)
{
	return (struct fr_request){
		.coll = FR_COLL_GATHER,
		.type = type,
		.op = FR_OP_NONE,
		.root = root,
		.count = send_count,
		.send = send,
		.recv = recv,
	};
}

ferrule_status_t ferrule_gather(ferrule_comm_t comm, const void *send, void *recv,
                                size_t send_count, ferrule_type_t type, int root)
{
	const struct fr_request r = gather(send, recv, send_count, type, root);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_gather_start(ferrule_comm_t comm, const void *send, void *recv,
                                      size_t send_count, ferrule_type_t type, int root,
                                      ferrule_op_t *op_out)
{
	const struct fr_request r = gather(send, recv, send_count, type, root);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_gather_init(ferrule_comm_t comm, const void *send, void *recv,
                                     size_t send_count, ferrule_type_t type, int root,
                                     ferrule_op_t *op_out)
{
	const struct fr_request r = gather(send, recv, send_count, type, root);

	return fr_submit_init(comm, &r, op_out);
}

static struct fr_request scatter(const void *send, void *recv, size_t recv_count,
                                 ferrule_type_t type, int root)
{
	return (struct fr_request){
		.coll = FR_COLL_SCATTER,
		.type = type,
		.op = FR_OP_NONE,
		.root = root,
		.count = recv_count,
		.send = send,
		.recv = recv,
	};
}

ferrule_status_t ferrule_scatter(ferrule_comm_t comm, const void *send, void *recv,
                                 size_t recv_count, ferrule_type_t type, int root)
{
	const struct fr_request r = scatter(send, recv, recv_count, type, root);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_scatter_start(ferrule_comm_t comm, const void *send, void *recv,
                                       size_t recv_count, ferrule_type_t type, int root,
                                       ferrule_op_t *op_out)
{
	const struct fr_request r = scatter(send, recv, recv_count, type, root);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_scatter_init(ferrule_comm_t comm, const void *send, void *recv,
                                      size_t recv_count, ferrule_type_t type, int root,
                                      ferrule_op_t *op_out)
{
	const struct fr_request r = scatter(send, recv, recv_count, type, root);

	return fr_submit_init(comm, &r, op_out);
}

static struct fr_request alltoall(const void *send, void *recv, size_t count, ferrule_type_t type)
{
	return (struct fr_request){
		.coll = FR_COLL_ALLTOALL,
		.type = type,
		.op = FR_OP_NONE,
		.root = -1,
		.count = count,
		.send = send,
		.recv = recv,
	};
}

ferrule_status_t ferrule_alltoall(ferrule_comm_t comm, const void *send, void *recv, size_t count,
                                  ferrule_type_t type)
{
	const struct fr_request r = alltoall(send, recv, count, type);

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_alltoall_start(ferrule_comm_t comm, const void *send, void *recv,
                                        size_t count, ferrule_type_t type, ferrule_op_t *op_out)
{
	const struct fr_request r = alltoall(send, recv, count, type);

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_alltoall_init(ferrule_comm_t comm, const void *send, void *recv,
                                       size_t count, ferrule_type_t type, ferrule_op_t *op_out)
{
	const struct fr_request r = alltoall(send, recv, count, type);

	return fr_submit_init(comm, &r, op_out);
}

static struct fr_request barrier(void)
{
	return (struct fr_request){
		.coll = FR_COLL_BARRIER,
		.type = FERRULE_UINT8,
		.op = FR_OP_NONE,
		.root = -1,
	};
}

ferrule_status_t ferrule_barrier(ferrule_comm_t comm)
{
	const struct fr_request r = barrier();

	return fr_submit_run(comm, &r);
}

ferrule_status_t ferrule_barrier_start(ferrule_comm_t comm, ferrule_op_t *op_out)
{
	const struct fr_request r = barrier();

	return fr_submit_start(comm, &r, op_out);
}

ferrule_status_t ferrule_barrier_init(ferrule_comm_t comm, ferrule_op_t *op_out)
{
	const struct fr_request r = barrier();

	return fr_submit_init(comm, &r, op_out);
}

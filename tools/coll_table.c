#include "tools/coll_table.h"

#include <string.h>

static double factor_allreduce(int n)
{
	return n > 1 ? 2.0 * (n - 1) / n : 1;
}

static double factor_blocks(int n)
{
	return n > 1 ? (double)(n - 1) / n : 1;
}

static double factor_one(int n)
{
	(void)n;
	return 1;
}

static ferrule_status_t call_allreduce(const struct fr_coll_call *c)
{
	return ferrule_allreduce(c->comm, c->send, c->recv, c->count, c->type, c->op);
}

static ferrule_status_t call_allgather(const struct fr_coll_call *c)
{
	return ferrule_allgather(c->comm, c->send, c->recv, c->count, c->type);
}

static ferrule_status_t call_reduce_scatter(const struct fr_coll_call *c)
{
	return ferrule_reduce_scatter(c->comm, c->send, c->recv, c->count, c->type, c->op);
}

static ferrule_status_t call_broadcast(const struct fr_coll_call *c)
{
	return ferrule_broadcast(c->comm, c->send, c->recv, c->count, c->type, c->root);
}

static ferrule_status_t call_reduce(const struct fr_coll_call *c)
{
	return ferrule_reduce(c->comm, c->send, c->recv, c->count, c->type, c->op, c->root);
}

static ferrule_status_t call_alltoall(const struct fr_coll_call *c)
{
	return ferrule_alltoall(c->comm, c->send, c->recv, c->count, c->type);
}

static ferrule_status_t call_gather(const struct fr_coll_call *c)
{
	return ferrule_gather(c->comm, c->send, c->recv, c->count, c->type, c->root);
}

static ferrule_status_t call_scatter(const struct fr_coll_call *c)
{
	return ferrule_scatter(c->comm, c->send, c->recv, c->count, c->type, c->root);
}

/* Every rank sends to the next one. */
static ferrule_status_t call_sendrecv(const struct fr_coll_call *c)
{
	const int rank = ferrule_comm_rank(c->comm), n = ferrule_comm_size(c->comm);
	return ferrule_sendrecv(c->comm, c->send, c->count, (rank + 1) % n, c->recv, c->count,
	                        (rank + n - 1) % n, c->type);
}

static ferrule_status_t call_barrier(const struct fr_coll_call *c)
{
	return ferrule_barrier(c->comm);
}

static const struct fr_coll colls[] = {
	{.name = "allreduce",
         .call = call_allreduce,
         .send_shape = FR_SHAPE_ONE,
         .recv_shape = FR_SHAPE_ONE,
         .has_op = true,
         .has_in_place = true,
         .bus_factor = factor_allreduce},
	{.name = "allgather",
         .call = call_allgather,
         .send_shape = FR_SHAPE_ONE,
         .recv_shape = FR_SHAPE_ALL,
         .has_in_place = true,
         .bus_factor = factor_blocks},
	{.name = "reduce_scatter",
         .call = call_reduce_scatter,
         .send_shape = FR_SHAPE_ALL,
         .recv_shape = FR_SHAPE_ONE,
         .has_op = true,
         .has_in_place = true,
         .bus_factor = factor_blocks},
	{.name = "broadcast",
         .call = call_broadcast,
         .send_shape = FR_SHAPE_ONE,
         .recv_shape = FR_SHAPE_ONE,
         .has_root = true,
         .send_at_root_only = true,
         .has_in_place = true,
         .bus_factor = factor_one},
	{.name = "reduce",
         .call = call_reduce,
         .send_shape = FR_SHAPE_ONE,
         .recv_shape = FR_SHAPE_ONE,
         .has_op = true,
         .has_root = true,
         .recv_at_root_only = true,
         .has_in_place = true,
         .bus_factor = factor_one},
	{.name = "alltoall",
         .call = call_alltoall,
         .send_shape = FR_SHAPE_ALL,
         .recv_shape = FR_SHAPE_ALL,
         .bus_factor = factor_blocks},
	{.name = "gather",
         .call = call_gather,
         .send_shape = FR_SHAPE_ONE,
         .recv_shape = FR_SHAPE_ALL,
         .has_root = true,
         .recv_at_root_only = true,
         .has_in_place = true,
         .bus_factor = factor_blocks},
	{.name = "scatter",
         .call = call_scatter,
         .send_shape = FR_SHAPE_ALL,
         .recv_shape = FR_SHAPE_ONE,
         .has_root = true,
         .send_at_root_only = true,
         .has_in_place = true,
         .bus_factor = factor_blocks},
	{.name = "sendrecv",
         .call = call_sendrecv,
         .send_shape = FR_SHAPE_ONE,
         .recv_shape = FR_SHAPE_ONE,
         .bus_factor = factor_one},
	{.name = "barrier",
         .call = call_barrier,
         .send_shape = FR_SHAPE_NONE,
         .recv_shape = FR_SHAPE_NONE,
         .bus_factor = factor_one},
};
#define N_COLLS ((int)(sizeof(colls) / sizeof(colls[0])))

const struct fr_coll *fr_coll_at(int i)
{
	return i >= 0 && i < N_COLLS ? &colls[i] : NULL;
}

const struct fr_coll *fr_coll_find(const char *name)
{
	for (int i = 0; i < N_COLLS; i++) {
		if (strcmp(colls[i].name, name) == 0)
			return &colls[i];
	}
	return NULL;
}

/* Blocks of the larger buffer. */
static size_t n_blocks(const struct fr_coll *coll, int n_ranks)
{
	const bool is_all = coll->send_shape == FR_SHAPE_ALL || coll->recv_shape == FR_SHAPE_ALL;
	return is_all ? (size_t)n_ranks : 1;
}

size_t fr_coll_count(const struct fr_coll *coll, size_t bytes, ferrule_type_t type, int n_ranks)
{
	if (coll->send_shape == FR_SHAPE_NONE || bytes == 0)
		return 0;
	const size_t count = bytes / ferrule_type_bytes(type) / n_blocks(coll, n_ranks);
	return count ? count : 1;
}

size_t fr_coll_bytes(const struct fr_coll *coll, size_t count, ferrule_type_t type, int n_ranks)
{
	return count * ferrule_type_bytes(type) * n_blocks(coll, n_ranks);
}

static size_t shape_count(enum fr_coll_shape shape, size_t count, int n_ranks)
{
	switch (shape) {
	case FR_SHAPE_ONE:
		return count;
	case FR_SHAPE_ALL:
		return count * (size_t)n_ranks;
	case FR_SHAPE_NONE:
		break;
	}
	return 0;
}

size_t fr_coll_send_count(const struct fr_coll *coll, size_t count, int rank, int n_ranks, int root)
{
	if (coll->send_at_root_only && rank != root)
		return 0;
	return shape_count(coll->send_shape, count, n_ranks);
}

size_t fr_coll_recv_count(const struct fr_coll *coll, size_t count, int rank, int n_ranks, int root)
{
	if (coll->recv_at_root_only && rank != root)
		return 0;
	return shape_count(coll->recv_shape, count, n_ranks);
}

size_t fr_coll_in_place_offset(const struct fr_coll *coll, size_t count, int rank)
{
	return coll->send_shape == coll->recv_shape ? 0 : count * (size_t)rank;
}

bool fr_type_by_name(const char *name, ferrule_type_t *type_out)
{
	/* Also the names that the API uses. */
	static const struct {
		const char *name;
		ferrule_type_t type;
	} aliases[] = {{"float16", FERRULE_FLOAT16},
	               {"float32", FERRULE_FLOAT32},
	               {"float64", FERRULE_FLOAT64}};

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (strcmp(aliases[i].name, name) == 0) {
			*type_out = aliases[i].type;
			return true;
		}
	}
	for (int t = 0; t < FERRULE_N_TYPES; t++) {
		if (strcmp(ferrule_type_name((ferrule_type_t)t), name) == 0) {
			*type_out = (ferrule_type_t)t;
			return true;
		}
	}
	return false;
}

bool fr_redop_by_name(const char *name, ferrule_redop_t *op_out)
{
	for (ferrule_redop_t op = 0; op < FERRULE_N_REDOPS; op++) {
		if (strcmp(ferrule_redop_name(op), name) == 0) {
			*op_out = op;
			return true;
		}
	}
	return false;
}

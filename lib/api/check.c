#include "config.h"

#include "lib/api/check.h"

#include <stdio.h>

#include "lib/base/error.h"

ferrule_status_t fr_no_output(const char *name)
{
	return fr_error(FERRULE_ERR_ARGUMENT, "%s: NULL, must point to where the result goes",
	                name);
}

/* What the header calls the count of a collective. */
static const char *count_name(enum fr_coll coll)
{
	switch (coll) {
	case FR_COLL_REDUCE_SCATTER:
	case FR_COLL_SCATTER:
		return "recv_count";
	case FR_COLL_ALLGATHER:
	case FR_COLL_GATHER:
		return "send_count";
	default:
		return "count";
	}
}

/* How many blocks of `count` the largest buffer has. */
static size_t n_blocks(const struct ferrule_comm *c, enum fr_coll coll)
{
	switch (coll) {
	case FR_COLL_REDUCE_SCATTER:
	case FR_COLL_SCATTER:
	case FR_COLL_ALLGATHER:
	case FR_COLL_GATHER:
	case FR_COLL_ALLTOALL:
		return (size_t)c->n_ranks;
	default:
		return 1;
	}
}

static ferrule_status_t too_many(const struct ferrule_comm *c, const struct fr_request *r,
                                 const char *name, size_t count)
{
	return fr_error(FERRULE_ERR_ARGUMENT,
	                "%s: %zu elements of %s do not fit in memory, which has %llu bytes here",
	                name, count, ferrule_type_name(r->type),
	                (unsigned long long)c->memory_limit);
}

static ferrule_status_t check_count(const struct ferrule_comm *c, const struct fr_request *r)
{
	const size_t most = c->memory_limit / ferrule_type_bytes(r->type) / n_blocks(c, r->coll);

	if (r->count <= c->safe_count || r->count <= most)
		return FERRULE_OK;
	return too_many(c, r, count_name(r->coll), r->count);
}

static const char *const array_names[FR_N_ARRAYS] = {
	[FR_ARRAY_COUNTS] = "counts",           [FR_ARRAY_DISPLS] = "displs",
	[FR_ARRAY_SEND_COUNTS] = "send_counts", [FR_ARRAY_SEND_DISPLS] = "send_displs",
	[FR_ARRAY_RECV_COUNTS] = "recv_counts", [FR_ARRAY_RECV_DISPLS] = "recv_displs",
};

/* Every count and displacement, and the sum of the counts, must stay within memory. */
static ferrule_status_t check_array(const struct ferrule_comm *c, const struct fr_request *r,
                                    enum fr_array which)
{
	const size_t *values = r->arrays->of[which];
	const size_t most = c->memory_limit / ferrule_type_bytes(r->type);
	const bool adds_up = which == FR_ARRAY_COUNTS || which == FR_ARRAY_SEND_COUNTS ||
	                     which == FR_ARRAY_RECV_COUNTS;
	size_t total = 0;
	char name[40];

	for (int i = 0; values && i < c->n_ranks; i++) {
		snprintf(name, sizeof(name), "%s[%d]", array_names[which], i);
		if (values[i] > most)
			return too_many(c, r, name, values[i]);
		total += adds_up ? values[i] : 0;
		if (total > most)
			return too_many(c, r, array_names[which], total);
	}
	return FERRULE_OK;
}

static ferrule_status_t missing_array(enum fr_array which)
{
	return fr_error(FERRULE_ERR_ARGUMENT, "%s: NULL, must be an array with one count a rank",
	                array_names[which]);
}

static ferrule_status_t check_arrays(const struct ferrule_comm *c, const struct fr_request *r)
{
	const size_t *const *of = r->arrays->of;

	if (r->coll == FR_COLL_ALLTOALL && !of[FR_ARRAY_SEND_COUNTS])
		return missing_array(FR_ARRAY_SEND_COUNTS);
	if (r->coll == FR_COLL_ALLTOALL && !of[FR_ARRAY_RECV_COUNTS])
		return missing_array(FR_ARRAY_RECV_COUNTS);
	if (r->coll != FR_COLL_ALLTOALL && !of[FR_ARRAY_COUNTS])
		return missing_array(FR_ARRAY_COUNTS);
	for (int i = 0; i < FR_N_ARRAYS; i++) {
		const ferrule_status_t status = check_array(c, r, (enum fr_array)i);

		if (status != FERRULE_OK)
			return status;
	}
	if (r->coll == FR_COLL_ALLTOALL &&
	    of[FR_ARRAY_SEND_COUNTS][c->rank] != of[FR_ARRAY_RECV_COUNTS][c->rank])
		return fr_error(
			FERRULE_ERR_ARGUMENT,
			"send_counts[%d]: %zu, must equal recv_counts[%d], which is %zu, since "
			"both are this rank's block for itself",
			c->rank, of[FR_ARRAY_SEND_COUNTS][c->rank], c->rank,
			of[FR_ARRAY_RECV_COUNTS][c->rank]);
	return FERRULE_OK;
}

ferrule_status_t fr_check_redop(const struct ferrule_comm *c, ferrule_redop_t op,
                                ferrule_type_t type)
{
	const int made = op - FERRULE_N_REDOPS;

	if (op >= 0 && op < FERRULE_N_REDOPS)
		return FERRULE_OK;
	if (made < 0 || made >= FR_MAX_PREMULS || !c->premuls[made].live)
		return fr_error(
			FERRULE_ERR_ARGUMENT,
			"op: %d, must be FERRULE_SUM (0) to FERRULE_AVG (%d) or an operator "
			"made for this communicator",
			op, FERRULE_N_REDOPS - 1);
	if (c->premuls[made].type != type)
		return fr_error(FERRULE_ERR_ARGUMENT, "op: %d was made for %s, the call is of %s",
		                op, ferrule_type_name(c->premuls[made].type),
		                ferrule_type_name(type));
	return FERRULE_OK;
}

static ferrule_status_t check_rank(const struct ferrule_comm *c, const char *name, int rank)
{
	if (rank >= 0 && rank < c->n_ranks)
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_ARGUMENT, "%s: %d, must be a rank from 0 to %d", name, rank,
	                c->n_ranks - 1);
}

ferrule_status_t fr_check_request(const struct ferrule_comm *c, const struct fr_request *r)
{
	ferrule_status_t status = FERRULE_OK;

	if (ferrule_type_bytes(r->type) == 0)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "type: %d, must be FERRULE_INT8 (0) to FERRULE_FP8_E5M2 (%d)",
		                (int)r->type, FERRULE_N_TYPES - 1);
	if (fr_coll_reduces(r->coll))
		status = fr_check_redop(c, r->op, r->type);
	if (status == FERRULE_OK && fr_coll_has_root(r->coll))
		status = check_rank(c, "root", r->root);
	if (status == FERRULE_OK && r->coll == FR_COLL_P2P)
		status = check_rank(c, "peer", r->root);
	if (status != FERRULE_OK)
		return status;
	return r->arrays ? check_arrays(c, r) : check_count(c, r);
}

ferrule_status_t fr_check_buffers_slow(const struct fr_shape *shape, const void *send,
                                       const void *recv)
{
	if (!send && shape->send_bytes)
		return fr_error(FERRULE_ERR_ARGUMENT, "send: NULL, must be a buffer of %zu bytes",
		                shape->send_bytes);
	if (!recv && shape->recv_bytes)
		return fr_error(FERRULE_ERR_ARGUMENT, "recv: NULL, must be a buffer of %zu bytes",
		                shape->recv_bytes);
	if (!shape->has_in_place)
		return fr_error(
			FERRULE_ERR_ARGUMENT,
			"recv: %p with %zu bytes overlaps send, %p with %zu bytes; %s is not "
			"possible in place",
			recv, shape->recv_bytes, send, shape->send_bytes,
			fr_coll_name(shape->args.coll));
	return fr_error(
		FERRULE_ERR_ARGUMENT,
		"recv: %p with %zu bytes overlaps send, %p with %zu bytes, without being in "
		"place, which is recv == send %c %zu bytes",
		recv, shape->recv_bytes, send, shape->send_bytes,
		shape->in_place_bytes < 0 ? '-' : '+',
		(size_t)(shape->in_place_bytes < 0 ? -shape->in_place_bytes
	                                           : shape->in_place_bytes));
}

/* bench_verify.c - is every element of every rank's result the right one? */
#include "tools/bench.h"

#include <string.h>

#include "tools/bench_data.h"

/* What a result buffer holds before the call: nothing that passes for a result. */
#define STALE_BYTE 0xa5

static void fill_inputs(const struct fr_bench *b, const struct fr_bench_case *what,
                        const struct fr_bench_data *d)
{
	const size_t type_bytes = ferrule_type_bytes(what->type);
	const struct fr_coll_call c = fr_bench_call(b, what);
	const size_t n_send =
		fr_coll_send_count(what->coll, what->count, b->rank, b->n_ranks, what->root);
	const size_t n_recv =
		fr_coll_recv_count(what->coll, what->count, b->rank, b->n_ranks, what->root);

	memset(c.recv, STALE_BYTE, n_recv * type_bytes);
	/* In place the send buffer lies in the receive buffer, so it comes second.  It is one of
	 * b->send and b->recv, which are ours to write. */
	if (what->coll->has_op)
		fr_bench_fill(d, b->rank, 0, n_send, (void *)c.send);
	else
		fr_bench_fill_bytes(d, b->rank, 0, n_send, (void *)c.send);
}

/* Where block `block` of this rank's result came from. */
static int source_rank(const struct fr_bench *b, const struct fr_bench_case *what, int block)
{
	if (what->coll->recv_shape == FR_SHAPE_ALL)
		return block;
	if (what->coll->send_at_root_only)
		return what->root;
	return (b->rank + b->n_ranks - 1) % b->n_ranks; /* sendrecv */
}

static size_t count_wrong(const struct fr_bench *b, const struct fr_bench_case *what,
                          const struct fr_bench_data *d)
{
	const struct fr_coll *const coll = what->coll;
	const struct fr_coll_call c = fr_bench_call(b, what);
	const size_t block_bytes = what->count * ferrule_type_bytes(what->type);
	/* Which part of a sender's buffer is meant for this rank. */
	const uint64_t first =
		coll->send_shape == FR_SHAPE_ALL ? (uint64_t)b->rank * what->count : 0;
	size_t n_wrong = 0;

	if (coll->recv_shape == FR_SHAPE_NONE || (coll->recv_at_root_only && b->rank != what->root))
		return 0;
	if (coll->has_op)
		return fr_bench_check_reduced(d, first, what->count, c.recv);
	const int n_blocks = coll->recv_shape == FR_SHAPE_ALL ? b->n_ranks : 1;
	for (int block = 0; block < n_blocks; block++)
		n_wrong += fr_bench_check_bytes(d, source_rank(b, what, block), first, what->count,
		                                (const char *)c.recv + (size_t)block * block_bytes);
	return n_wrong;
}

ferrule_status_t fr_bench_verify(struct fr_bench *b, const struct fr_bench_case *what,
                                 struct fr_bench_result *result)
{
	struct fr_bench_data d = {.type = what->type, .op = what->op, .n_ranks = b->n_ranks};
	uint64_t n_wrong = 0;

	for (int64_t check = 0; check < b->options->checks; check++) {
		/* In place and out of place see different data, too. */
		d.repetition = 2 * (uint64_t)check + what->is_in_place;
		fill_inputs(b, what, &d);
		const struct fr_coll_call c = fr_bench_call(b, what);
		const ferrule_status_t status = what->coll->call(&c);
		if (status != FERRULE_OK)
			return status;
		n_wrong += count_wrong(b, what, &d);
	}
	result->n_wrong = 0;
	return ferrule_allreduce(b->comm, &n_wrong, &result->n_wrong, 1, FERRULE_UINT64,
	                         FERRULE_SUM);
}

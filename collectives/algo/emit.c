#include "config.h"

#include "collectives/algo/emit.h"

#include "collectives/pattern/partition.h"

#define LINE_BYTES 64
/* A piece below this is bound by latency, not by bandwidth. */
#define CHUNK_MIN_BYTES ((size_t)64 << 10)
#define CHUNKS_MAX      64

struct fr_range fr_emit_whole(const struct fr_coll_args *a, enum fr_space space)
{
	return fr_range(space, 0, a->count);
}

struct fr_range fr_emit_cut(const struct fr_coll_args *a, struct fr_range range, int n, int i)
{
	const size_t line =
		a->elem_bytes && a->elem_bytes < LINE_BYTES ? LINE_BYTES / a->elem_bytes : 1;
	const struct fr_part part = fr_partition(range.count, n, i, line);

	return fr_range(range.space, range.first + part.first, part.count);
}

struct fr_range fr_emit_part(const struct fr_coll_args *a, enum fr_space space, int n, int i)
{
	return fr_emit_cut(a, fr_emit_whole(a, space), n, i);
}

size_t fr_emit_block_count(const struct fr_coll_args *a, int r)
{
	return a->counts ? a->counts[r] : a->count;
}

static size_t sum_before(const size_t *counts, int r)
{
	size_t sum = 0;

	for (int i = 0; i < r; i++)
		sum += counts[i];
	return sum;
}

static size_t place(const size_t *counts, const size_t *displs, size_t count, int r)
{
	if (displs)
		return displs[r];
	return counts ? sum_before(counts, r) : (size_t)r * count;
}

static bool large_is_recv(enum fr_coll coll)
{
	return coll == FR_COLL_ALLGATHER || coll == FR_COLL_GATHER;
}

struct fr_range fr_emit_block(const struct fr_coll_args *a, int r)
{
	return fr_range(large_is_recv(a->coll) ? FR_RECV : FR_SEND,
	                place(a->counts, a->displs, a->count, r), fr_emit_block_count(a, r));
}

struct fr_range fr_emit_small(const struct fr_coll_args *a)
{
	return fr_range(large_is_recv(a->coll) ? FR_SEND : FR_RECV, 0,
	                fr_emit_block_count(a, a->rank));
}

struct fr_range fr_emit_to(const struct fr_coll_args *a, int r)
{
	return fr_range(FR_SEND, place(a->send_counts, a->send_displs, a->count, r),
	                a->send_counts ? a->send_counts[r] : a->count);
}

struct fr_range fr_emit_from(const struct fr_coll_args *a, int r)
{
	return fr_range(FR_RECV, place(a->recv_counts, a->recv_displs, a->count, r),
	                a->recv_counts ? a->recv_counts[r] : a->count);
}

void fr_emit_own(struct fr_sched *s, const struct fr_coll_args *a)
{
	switch (a->coll) {
	case FR_COLL_ALLREDUCE:
	case FR_COLL_REDUCE:
	case FR_COLL_BROADCAST:
		fr_sched_copy(s, fr_emit_whole(a, FR_RECV), fr_emit_whole(a, FR_SEND));
		break;
	case FR_COLL_ALLGATHER:
	case FR_COLL_GATHER:
		fr_sched_copy(s, fr_emit_block(a, a->rank), fr_emit_small(a));
		break;
	case FR_COLL_REDUCE_SCATTER:
	case FR_COLL_SCATTER:
		fr_sched_copy(s, fr_emit_small(a), fr_emit_block(a, a->rank));
		break;
	case FR_COLL_ALLTOALL:
		fr_sched_copy(s, fr_emit_from(a, a->rank), fr_emit_to(a, a->rank));
		break;
	case FR_COLL_BARRIER:
	case FR_COLL_P2P:
	case FR_N_COLLS:
		break;
	}
}

bool fr_emit_alone(struct fr_sched *s, const struct fr_coll_args *a)
{
	if (a->n_ranks > 1)
		return false;
	fr_emit_own(s, a);
	return true;
}

int fr_emit_chunks(const struct fr_coll_args *a, size_t count, int depth)
{
	const size_t chunks = count / (CHUNK_MIN_BYTES / a->elem_bytes);
	/* Filling a pipeline of d stages with c chunks wastes (d - 1) / c of the time. */
	const size_t enough = 4 * (size_t)depth;
	const size_t most = enough < CHUNKS_MAX ? enough : CHUNKS_MAX;
	const size_t wanted = chunks < most ? chunks : most;

	return wanted > 1 ? (int)wanted : 1;
}

bool fr_applies_always(const struct fr_coll_args *a)
{
	(void)a;
	return true;
}

size_t fr_emit_largest_block(const struct fr_coll_args *a)
{
	size_t largest = 0;

	if (!a->counts)
		return a->count;
	for (int r = 0; r < a->n_ranks; r++)
		largest = a->counts[r] > largest ? a->counts[r] : largest;
	return largest;
}

struct fr_span fr_span(const struct fr_coll_args *a, int first, int n_blocks)
{
	const struct fr_range begin = fr_emit_block(a, first), whole = fr_emit_block(a, 0);
	const bool wraps = first + n_blocks > a->n_ranks;
	const int last = wraps ? a->n_ranks - 1 : first + n_blocks - 1;
	const struct fr_range end = fr_emit_block(a, last);
	struct fr_span span = {begin, whole};

	span.head.count = end.first + end.count - begin.first;
	span.tail.count = 0;
	if (wraps) {
		const struct fr_range rest = fr_emit_block(a, first + n_blocks - a->n_ranks - 1);

		span.tail.count = rest.first + rest.count;
	}
	return span;
}

void fr_store_init(struct fr_sched *s, struct fr_store *store, const struct fr_span *span)
{
	*store = (struct fr_store){.in_tmp = span != NULL};
	if (!span)
		return;
	store->from = span->head.first;
	store->head = fr_sched_tmp(s, span->head.count).first;
	store->tail = fr_sched_tmp(s, span->tail.count).first;
}

struct fr_range fr_store_range(const struct fr_store *store, struct fr_range r)
{
	if (!store->in_tmp)
		return r;
	/* Nothing is kept of nothing, wherever it lies. */
	if (!r.count)
		return fr_range(FR_TMP, 0, 0);
	if (r.first >= store->from)
		return fr_range(FR_TMP, store->head + r.first - store->from, r.count);
	return fr_range(FR_TMP, store->tail + r.first, r.count);
}

struct fr_span fr_store_span(const struct fr_store *store, struct fr_span span)
{
	return (struct fr_span){fr_store_range(store, span.head), fr_store_range(store, span.tail)};
}

bool fr_applies_packed(const struct fr_coll_args *a)
{
	return !a->displs;
}

bool fr_applies_board(const struct fr_coll_args *a)
{
	return a->n_ranks > 1 && a->board_count > 0 && fr_emit_largest_block(a) <= a->board_count;
}

bool fr_applies_board_total(const struct fr_coll_args *a)
{
	return a->n_ranks > 1 && a->board_count > 0 && fr_coll_total_count(a) <= a->board_count;
}

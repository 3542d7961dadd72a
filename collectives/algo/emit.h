/*
 * emit.h - what most emitters begin with: which elements are whose.
 */
#ifndef FR_EMIT_H
#define FR_EMIT_H

#include "collectives/algo/algo.h"

/* fr_emit_whole - the vector of allreduce, reduce and broadcast. */
struct fr_range fr_emit_whole(const struct fr_coll_args *a, enum fr_space space);

/* fr_emit_part - part i of the vector cut into n parts, on cache lines where that pays. */
struct fr_range fr_emit_part(const struct fr_coll_args *a, enum fr_space space, int n, int i);

/* fr_emit_cut - the same for any range. */
struct fr_range fr_emit_cut(const struct fr_coll_args *a, struct fr_range range, int n, int i);

/* fr_emit_block_count, fr_emit_block - block r of the large buffer (recv of allgather and
 * gather, send of reduce_scatter and scatter).  The first costs nothing; the second adds up the
 * counts before it in v forms without displacements. */
size_t fr_emit_block_count(const struct fr_coll_args *a, int r);
struct fr_range fr_emit_block(const struct fr_coll_args *a, int r);

/* fr_emit_small - this rank's whole small buffer: its one block. */
struct fr_range fr_emit_small(const struct fr_coll_args *a);

/* fr_emit_largest_block - elements of the largest block. */
size_t fr_emit_largest_block(const struct fr_coll_args *a);

/* fr_emit_to, fr_emit_from - alltoall: the block for rank r, and the one from it. */
struct fr_range fr_emit_to(const struct fr_coll_args *a, int r);
struct fr_range fr_emit_from(const struct fr_coll_args *a, int r);

/* fr_emit_own - this rank's own part goes from send to recv; nothing in place. */
void fr_emit_own(struct fr_sched *s, const struct fr_coll_args *a);

/* fr_emit_alone - with one rank that is all: true, and done. */
bool fr_emit_alone(struct fr_sched *s, const struct fr_coll_args *a);

/* fr_emit_chunks - into how many pieces a pipeline over `depth` ranks cuts `count` elements, so
 * that filling it costs little and no piece is small. */
int fr_emit_chunks(const struct fr_coll_args *a, size_t count, int depth);

/*
 * The blocks of ranks that follow each other, rank 0 after rank n-1, in the large buffer: up to
 * its end and, where they go round it, from its beginning.  For packed blocks only.
 */
struct fr_span {
	struct fr_range head, tail;
};
struct fr_span fr_span(const struct fr_coll_args *a, int first, int n_blocks);

/* Where a rank keeps blocks that are to be in the large buffer elsewhere. */
struct fr_store {
	bool in_tmp;
	size_t from;       /* elements of the large buffer from here on are kept from `head` on, */
	size_t head, tail; /* those at its beginning from `tail` on */
};
/* fr_store_init - reserves scratch for a span; NULL: the large buffer itself is here. */
void fr_store_init(struct fr_sched *s, struct fr_store *store, const struct fr_span *span);
/* fr_store_range, fr_store_span - where a part of the large buffer is kept. */
struct fr_range fr_store_range(const struct fr_store *store, struct fr_range r);
struct fr_span fr_store_span(const struct fr_store *store, struct fr_span span);

/* fr_applies_always - for algorithms that can do everything. */
bool fr_applies_always(const struct fr_coll_args *a);
/* fr_applies_packed - blocks lie one after the other, without displacements. */
bool fr_applies_packed(const struct fr_coll_args *a);
/* fr_applies_board - the vector, or the largest block, fits one publication. */
bool fr_applies_board(const struct fr_coll_args *a);
/* fr_applies_board_total - all blocks together fit one publication. */
bool fr_applies_board_total(const struct fr_coll_args *a);

#endif

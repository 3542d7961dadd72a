/*
 * shape.h - calls that were seen before.
 *
 * A shape is all of a call but its buffers: collective, count, type, operator, root, and the
 * counts of the v forms.  It keeps what is worked out once: how many bytes the buffers hold,
 * where they lie in each other in place, the sealed call that travels with every message,
 * and the compiled plans.  A training loop makes the same few calls for ever, so the common
 * path is one comparison with the last shape; the next one a hash table.
 */
#ifndef FR_SHAPE_H
#define FR_SHAPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <ferrule/types.h>
#include "collectives/algo/algo.h"
#include "lib/base/call.h"

struct ferrule_comm;
struct fr_plan;

/* Operators of calls that reduce nothing. */
#define FR_OP_NONE 255
/* Directions of point-to-point calls; they stand where the operator stands. */
#define FR_OP_SEND 0
#define FR_OP_RECV 1

/* The arrays of the v forms, in a fixed order; NULL where the call has none. */
enum fr_array {
	FR_ARRAY_COUNTS,
	FR_ARRAY_DISPLS,
	FR_ARRAY_SEND_COUNTS,
	FR_ARRAY_SEND_DISPLS,
	FR_ARRAY_RECV_COUNTS,
	FR_ARRAY_RECV_DISPLS,
	FR_N_ARRAYS
};
struct fr_arrays {
	const size_t *of[FR_N_ARRAYS]; /* each [n_ranks] */
};

/* Names of calls that are no collective of their own, and go on where enum fr_coll ends.  What
 * another name was called with is another call. */
enum fr_called {
	FR_CALLED_SEND = FR_N_COLLS,
	FR_CALLED_RECV,
	FR_CALLED_CREATE,
	FR_CALLED_SPLIT,
	FR_CALLED_DUP,
	FR_CALLED_FINALIZE,
	FR_N_CALLED
};
/* fr_called_name - for fr_call.coll: a collective or one of these, with the bits of
 * lib/base/call.h.
 */
const char *fr_called_name(int coll);

/* A call as the API took it. */
struct fr_request {
	enum fr_coll coll;
	int called; /* enum fr_called, or 0: by the collective's own name */
	ferrule_type_t type;
	int op;
	int root; /* -1 where there is none; the other rank of point-to-point calls */
	size_t count;
	const struct fr_arrays *arrays; /* NULL but for v forms */
	const void *send;
	void *recv;
};

/* What tells shapes apart, arrays aside; compared as three words. */
struct fr_shape_key {
	uint64_t what;  /* collective, name, arrays given, operator */
	uint64_t where; /* type, root */
	uint64_t count;
};

struct fr_shape {
	struct fr_shape_key key;
	struct fr_call call;           /* sealed; only its number changes */
	size_t send_bytes, recv_bytes; /* that this rank's buffers hold; 0: not looked at */
	bool has_in_place;
	bool is_premul;
	bool is_unproven;         /* this rank only sends, and peers were not yet seen to agree */
	ptrdiff_t in_place_bytes; /* recv - send, when in place */
	struct fr_plan *plans[2]; /* by in place; NULL until used */
	ferrule_type_t type;
	int op;
	uint32_t in_use;            /* operations that hold it; not evicted then */
	uint64_t used;              /* the cache's clock when last found */
	struct fr_shape *next;      /* in its bucket */
	const struct fr_algo *algo; /* NULL for point-to-point */
	struct fr_coll_args args;
	size_t *arrays;
};

#define FR_SHAPE_BUCKETS 1024 /* a power of two */
#define FR_MAX_SHAPES    512

struct fr_shape_cache {
	struct fr_shape *last;
	uint64_t clock;
	uint32_t n_shapes;
	uint64_t n_plans; /* compiled since creation */
	struct fr_shape *buckets[FR_SHAPE_BUCKETS];
};

static inline struct fr_shape_key fr_shape_key(const struct fr_request *r)
{
	return (struct fr_shape_key){
		.what = (uint64_t)r->coll | (uint64_t)r->called << 8 |
	                (uint64_t)(r->arrays != NULL) << 16 | (uint64_t)(uint32_t)r->op << 32,
		.where = (uint64_t)(uint32_t)r->type | (uint64_t)(uint32_t)r->root << 32,
		.count = r->count,
	};
}

static inline bool fr_shape_key_equal(const struct fr_shape_key *a, const struct fr_shape_key *b)
{
	return ((a->what ^ b->what) | (a->where ^ b->where) | (a->count ^ b->count)) == 0;
}

/* fr_shape_search - the shape of a request in the table, NULL when it is new. */
struct fr_shape *fr_shape_search(struct fr_shape_cache *cache, const struct fr_request *r,
                                 const struct fr_shape_key *key, int n_ranks);

/* fr_shape_find - the same, faster for a call like the last one. */
static inline struct fr_shape *fr_shape_find(struct fr_shape_cache *cache,
                                             const struct fr_request *r, int n_ranks)
{
	const struct fr_shape_key key = fr_shape_key(r);

	if (__builtin_expect(cache->last && !r->arrays, 1) &&
	    fr_shape_key_equal(&cache->last->key, &key))
		return cache->last;
	return fr_shape_search(cache, r, &key, n_ranks);
}

/* fr_shape_add - a new shape of a request whose arguments were checked.  May evict the one that
 * was not used for longest. */
ferrule_status_t fr_shape_add(struct ferrule_comm *c, const struct fr_request *r,
                              struct fr_shape **out);

/* fr_shape_compile - makes the plan for buffers in place or not. */
ferrule_status_t fr_shape_compile(struct ferrule_comm *c, struct fr_shape *shape, bool in_place);

/* fr_count_hash - one count's part in the hash of all, which is their sum. */
static inline uint32_t fr_count_hash(int i, size_t count)
{
	uint64_t h = (count + 1) * 0x9fb21c651e98df25u + (uint64_t)i * 0x9e3779b97f4a7c15u;

	h = (h ^ h >> 32) * 0xbf58476d1ce4e5b9u;
	return (uint32_t)(h >> 32);
}
uint32_t fr_counts_hash(const size_t *counts, int n);
/* fr_calls_differ_text - for fr_exec_params: which of the counts is another one on the peer. */
void fr_calls_differ_text(const void *owner, int peer, const struct fr_call *mine,
                          const struct fr_call *theirs, char *buf, size_t bytes);

/* fr_shape_forget_op - drops the shapes of an operator that is no more. */
void fr_shape_forget_op(struct fr_shape_cache *cache, int op);
/* fr_shape_cache_fini - frees all shapes. */
void fr_shape_cache_fini(struct fr_shape_cache *cache);

/* fr_shape_in_place - do the buffers lie in each other as this shape's in-place form has it? */
static inline bool fr_shape_in_place(const struct fr_shape *shape, const void *send,
                                     const void *recv)
{
	return shape->has_in_place &&
	       (uintptr_t)recv - (uintptr_t)send == (uintptr_t)shape->in_place_bytes;
}

#endif

#include "config.h"

#include "lib/comm/shape.h"

#include <stdlib.h>

#include "lib/base/error.h"
#include "lib/comm/comm.h"
#include "lib/exec/exec.h"

/* ---- the table ---- */

static inline uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15u; /* 2^64 over the golden ratio */
	return h ^ h >> 29;
}

static uint64_t hash_array(uint64_t h, const size_t *values, int n)
{
	for (int i = 0; i < n; i++)
		h = mix(h, values[i]);
	return h;
}

static uint64_t hash_request(const struct fr_request *r, const struct fr_shape_key *key,
                             int n_ranks)
{
	uint64_t h = mix(mix(mix(0, key->what), key->where), key->count);

	for (int i = 0; r->arrays && i < FR_N_ARRAYS; i++)
		if (r->arrays->of[i])
			h = hash_array(mix(h, (uint64_t)i), r->arrays->of[i], n_ranks);
	return h;
}

static struct fr_shape **bucket_of(struct fr_shape_cache *cache, const struct fr_request *r,
                                   const struct fr_shape_key *key, int n_ranks)
{
	return &cache->buckets[hash_request(r, key, n_ranks) & (FR_SHAPE_BUCKETS - 1)];
}

/* The request as the shape keeps it, so that one hash and one comparison serve both. */
static struct fr_arrays arrays_of(const struct fr_shape *shape)
{
	const struct fr_coll_args *a = &shape->args;

	return (struct fr_arrays){{a->counts, a->displs, a->send_counts, a->send_displs,
	                           a->recv_counts, a->recv_displs}};
}

static bool arrays_equal(const struct fr_shape *shape, const struct fr_arrays *arrays, int n_ranks)
{
	const struct fr_arrays mine = arrays_of(shape);

	for (int i = 0; i < FR_N_ARRAYS; i++) {
		if (!mine.of[i] != !arrays->of[i])
			return false;
		if (mine.of[i] &&
		    memcmp(mine.of[i], arrays->of[i], (size_t)n_ranks * sizeof(size_t)) != 0)
			return false;
	}
	return true;
}

struct fr_shape *fr_shape_search(struct fr_shape_cache *cache, const struct fr_request *r,
                                 const struct fr_shape_key *key, int n_ranks)
{
	struct fr_shape *shape = *bucket_of(cache, r, key, n_ranks);

	while (shape && (!fr_shape_key_equal(&shape->key, key) ||
	                 (r->arrays && !arrays_equal(shape, r->arrays, n_ranks))))
		shape = shape->next;
	if (shape) {
		shape->used = ++cache->clock;
		cache->last = shape;
	}
	return shape;
}

static void free_shape(struct fr_shape *shape)
{
	fr_plan_destroy(shape->plans[0]);
	fr_plan_destroy(shape->plans[1]);
	free(shape->arrays);
	free(shape);
}

static void drop(struct fr_shape_cache *cache, struct fr_shape **at)
{
	struct fr_shape *shape = *at;

	*at = shape->next;
	if (cache->last == shape)
		cache->last = NULL;
	cache->n_shapes--;
	free_shape(shape);
}

/* Slow, but only every new shape beyond the bound pays, and that compiles a plan besides. */
static void evict(struct fr_shape_cache *cache)
{
	struct fr_shape **oldest = NULL;

	for (int b = 0; b < FR_SHAPE_BUCKETS; b++)
		for (struct fr_shape **at = &cache->buckets[b]; *at; at = &(*at)->next)
			if ((*at)->in_use == 0 && (!oldest || (*at)->used < (*oldest)->used))
				oldest = at;
	if (oldest)
		drop(cache, oldest);
}

void fr_shape_forget_op(struct fr_shape_cache *cache, int op)
{
	for (int b = 0; b < FR_SHAPE_BUCKETS; b++) {
		struct fr_shape **at = &cache->buckets[b];

		while (*at) {
			const bool mine = (*at)->is_premul && (*at)->op == op;

			if (mine && (*at)->in_use == 0)
				drop(cache, at);
			else
				at = &(*at)->next;
		}
	}
}

void fr_shape_cache_fini(struct fr_shape_cache *cache)
{
	for (int b = 0; b < FR_SHAPE_BUCKETS; b++)
		while (cache->buckets[b])
			drop(cache, &cache->buckets[b]);
}

/* ---- a new shape ---- */

static size_t sum(const size_t *counts, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += counts[i];
	return total;
}

/* Elements up to the end of the last block. */
static size_t extent(const size_t *counts, const size_t *displs, int n)
{
	size_t end = 0;

	if (!displs)
		return sum(counts, n);
	for (int i = 0; i < n; i++)
		if (counts[i] > 0 && displs[i] + counts[i] > end)
			end = displs[i] + counts[i];
	return end;
}

/* The large buffer of blocks: its elements, this rank's block in it. */
struct blocks {
	size_t total, mine, mine_at;
};

static struct blocks blocks_of(const struct fr_coll_args *a)
{
	if (!a->counts)
		return (struct blocks){.total = a->count * (size_t)a->n_ranks,
		                       .mine = a->count,
		                       .mine_at = a->count * (size_t)a->rank};
	return (struct blocks){
		.total = extent(a->counts, a->displs, a->n_ranks),
		.mine = a->counts[a->rank],
		.mine_at = a->displs ? a->displs[a->rank] : sum(a->counts, a->rank),
	};
}

/* Elements in this rank's two buffers, and how far recv lies behind send in place. */
struct layout {
	size_t send, recv;
	ptrdiff_t behind;
};

/* long: one row a collective */
static struct layout layout_of(const struct fr_coll_args *a, int op)
{
	const bool at_root = a->rank == a->root;
	const struct blocks b = blocks_of(a);

	switch (a->coll) {
	case FR_COLL_ALLREDUCE:
		return (struct layout){a->count, a->count, 0};
	case FR_COLL_REDUCE:
		return (struct layout){a->count, at_root ? a->count : 0, 0};
	case FR_COLL_BROADCAST:
		return (struct layout){at_root ? a->count : 0, a->count, 0};
	case FR_COLL_REDUCE_SCATTER:
		return (struct layout){b.total, b.mine, (ptrdiff_t)b.mine_at};
	case FR_COLL_ALLGATHER:
		return (struct layout){b.mine, b.total, -(ptrdiff_t)b.mine_at};
	case FR_COLL_GATHER:
		return (struct layout){b.mine, at_root ? b.total : 0, -(ptrdiff_t)b.mine_at};
	case FR_COLL_SCATTER:
		return (struct layout){at_root ? b.total : 0, b.mine, (ptrdiff_t)b.mine_at};
	case FR_COLL_ALLTOALL:
		if (!a->send_counts)
			return (struct layout){b.total, b.total, 0};
		return (struct layout){extent(a->send_counts, a->send_displs, a->n_ranks),
		                       extent(a->recv_counts, a->recv_displs, a->n_ranks), 0};
	case FR_COLL_P2P:
		return (struct layout){op == FR_OP_SEND ? a->count : 0,
		                       op == FR_OP_RECV ? a->count : 0, 0};
	case FR_COLL_BARRIER:
	case FR_N_COLLS:
		break;
	}
	return (struct layout){0, 0, 0};
}

static ferrule_status_t copy_arrays(struct fr_shape *shape, const struct fr_arrays *arrays, int n)
{
	const size_t **to[FR_N_ARRAYS] = {
		&shape->args.counts,      &shape->args.displs,      &shape->args.send_counts,
		&shape->args.send_displs, &shape->args.recv_counts, &shape->args.recv_displs,
	};
	const size_t room = (size_t)n;
	size_t *at = malloc(FR_N_ARRAYS * room * sizeof(*at));

	if (!at)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory to keep %d counts", n);
	shape->arrays = at;
	for (int i = 0; i < FR_N_ARRAYS; i++, at += room) {
		if (!arrays->of[i])
			continue;
		memcpy(at, arrays->of[i], room * sizeof(*at));
		*to[i] = at;
	}
	return FERRULE_OK;
}

uint32_t fr_counts_hash(const size_t *counts, int n)
{
	uint32_t h = 0;

	for (int i = 0; counts && i < n; i++)
		h += fr_count_hash(i, counts[i]);
	return h;
}

static uint64_t count_to_tell(const struct fr_shape *shape)
{
	const struct fr_coll_args *a = &shape->args;

	if (a->send_counts)
		return sum(a->send_counts, a->n_ranks);
	return a->counts ? sum(a->counts, a->n_ranks) : a->count;
}

/* The arrays of alltoallv differ from rank to rank and are compared message by message. */
static int what_was_called(const struct fr_shape *shape, int called)
{
	const struct fr_coll_args *a = &shape->args;

	if (a->coll == FR_COLL_P2P)
		return shape->op == FR_OP_SEND ? FR_CALLED_SEND : FR_CALLED_RECV;
	if (called)
		return called;
	if (a->send_counts)
		return (int)a->coll | FR_CALL_VECTOR | FR_CALL_OWN;
	return (int)a->coll | (a->counts ? FR_CALL_VECTOR : 0);
}

static void seal(const struct ferrule_comm *c, struct fr_shape *shape, int called)
{
	const bool is_p2p = shape->args.coll == FR_COLL_P2P;

	shape->call = (struct fr_call){
		.count = count_to_tell(shape),
		.comm = (uint32_t)c->comm_id +
	                fr_counts_hash(shape->args.counts, shape->args.n_ranks),
		.root = fr_coll_has_root(shape->args.coll) || is_p2p ? shape->args.root : -1,
		.coll = (uint8_t)what_was_called(shape, called),
		.type = shape->args.coll == FR_COLL_BARRIER || called ? FERRULE_N_TYPES
	                                                              : (uint8_t)shape->type,
		.op = fr_coll_reduces(shape->args.coll) ? (uint8_t)shape->op : FR_OP_NONE,
		.algo = is_p2p ? FR_CALL_PAIRWISE : (uint8_t)fr_algo_index(shape->algo),
	};
	fr_call_seal(&shape->call);
}

static void fill_args(const struct ferrule_comm *c, const struct fr_request *r,
                      struct fr_coll_args *a)
{
	const size_t elem_bytes = ferrule_type_bytes(r->type);

	a->coll = r->coll;
	a->rank = c->rank;
	a->n_ranks = c->n_ranks;
	a->root = r->root;
	a->count = r->count;
	a->elem_bytes = elem_bytes;
	a->board_count = c->board_bytes / elem_bytes;
	a->host_of = c->host_of;
	a->n_hosts = c->n_hosts;
}

static void insert(struct fr_shape_cache *cache, struct fr_shape *shape, const struct fr_request *r,
                   int n_ranks)
{
	struct fr_shape **bucket = bucket_of(cache, r, &shape->key, n_ranks);

	shape->next = *bucket;
	*bucket = shape;
	shape->used = ++cache->clock;
	cache->last = shape;
	cache->n_shapes++;
}

ferrule_status_t fr_shape_add(struct ferrule_comm *c, const struct fr_request *r,
                              struct fr_shape **out)
{
	struct fr_shape *shape = calloc(1, sizeof(*shape));

	if (!shape)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for the plan of a %s",
		                fr_coll_name(r->coll));
	shape->key = fr_shape_key(r);
	shape->type = r->type;
	shape->op = r->op;
	fill_args(c, r, &shape->args);
	if (r->arrays && copy_arrays(shape, r->arrays, c->n_ranks) != FERRULE_OK) {
		free_shape(shape);
		return FERRULE_ERR_NO_MEMORY;
	}
	const struct layout layout = layout_of(&shape->args, r->op);

	shape->send_bytes = layout.send * shape->args.elem_bytes;
	shape->recv_bytes = layout.recv * shape->args.elem_bytes;
	shape->in_place_bytes = layout.behind * (ptrdiff_t)shape->args.elem_bytes;
	shape->has_in_place = layout.send > 0 && layout.recv > 0 && r->coll != FR_COLL_ALLTOALL;
	shape->is_premul = fr_coll_reduces(shape->args.coll) && r->op >= FERRULE_N_REDOPS;
	/* A root that waits for nobody would never hear from one who thinks to be it as well. */
	shape->is_unproven = (r->coll == FR_COLL_BROADCAST || r->coll == FR_COLL_SCATTER) &&
	                     r->root == c->rank && c->n_ranks > 1;
	if (r->coll != FR_COLL_P2P)
		shape->algo = fr_select(&shape->args, &c->machine, &c->overrides);
	seal(c, shape, r->called);
	if (c->shapes.n_shapes >= FR_MAX_SHAPES)
		evict(&c->shapes);
	insert(&c->shapes, shape, r, c->n_ranks);
	*out = shape;
	return FERRULE_OK;
}

/* ---- plans ---- */

static ferrule_status_t compose(const struct fr_shape *shape, bool in_place, struct fr_sched *sched)
{
	const int op = shape->op;
	struct fr_coll_args args = shape->args;
	const struct fr_range whole = fr_range(op == FR_OP_SEND ? FR_SEND : FR_RECV, 0, args.count);

	if (shape->algo) {
		args.in_place = in_place;
		return fr_compose(shape->algo, &args,
		                  (struct fr_frame){.premul = shape->is_premul,
		                                    .average = fr_coll_reduces(args.coll) &&
		                                               op == FERRULE_AVG},
		                  sched);
	}
	fr_sched_init(sched, args.rank, args.n_ranks, FR_ALIAS_NONE, 0);
	sched->keeps_empty = true;
	if (op == FR_OP_SEND)
		fr_sched_send(sched, args.root, whole);
	else
		fr_sched_recv(sched, args.root, whole);
	return fr_sched_finish(sched);
}

ferrule_status_t fr_shape_compile(struct ferrule_comm *c, struct fr_shape *shape, bool in_place)
{
	const bool sums = !fr_coll_reduces(shape->args.coll) || shape->is_premul;
	struct fr_sched sched;

	ferrule_status_t status = compose(shape, in_place, &sched);

	if (status == FERRULE_OK)
		status = fr_plan_create(c->exec, &sched, shape->type,
		                        sums ? FERRULE_SUM : shape->op, &shape->plans[in_place]);
	if (status == FERRULE_OK)
		c->shapes.n_plans++;
	fr_sched_fini(&sched);
	return status;
}

#include "config.h"

#include "lib/api/op.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/api/op_table.h"
#include "lib/base/error.h"

/* A handle, from its low bits: 24 of the place in the table plus one, 40 of the generation. */
#define PLACE_BITS   24
#define PLACE_MASK   ((UINT64_C(1) << PLACE_BITS) - 1)
#define OPS_A_CHUNK  64u
#define N_CHUNKS_MAX 16384u
_Static_assert(N_CHUNKS_MAX *OPS_A_CHUNK < PLACE_MASK, "every place fits a handle");
_Static_assert(sizeof(ferrule_op_t) == sizeof(uint64_t), "a handle has 64 bits");

static struct {
	pthread_mutex_t lock;
	pthread_once_t once;
	_Atomic uint32_t n_chunks;
	struct ferrule_op *free;
	struct ferrule_op *_Atomic chunks[N_CHUNKS_MAX];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

/* ---- fork(): the child's table is its own, and whole ---- */

static void lock(void)
{
	pthread_mutex_lock(&table.lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&table.lock);
}

static void renew_lock(void)
{
	pthread_mutex_init(&table.lock, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(lock, unlock, renew_lock);
}

/* ---- the table ---- */

static uint64_t generation_of(ferrule_op_t handle)
{
	return (uint64_t)(uintptr_t)handle >> PLACE_BITS;
}

/* With the lock held: one more chunk of free operations. */
static bool grow(void)
{
	const uint32_t n = atomic_load_explicit(&table.n_chunks, memory_order_relaxed);
	struct ferrule_op *ops = n < N_CHUNKS_MAX ? calloc(OPS_A_CHUNK, sizeof(*ops)) : NULL;

	if (!ops)
		return false;
	for (uint32_t i = OPS_A_CHUNK; i-- > 0;) {
		ops[i].place = n * OPS_A_CHUNK + i;
		ops[i].next = table.free;
		table.free = &ops[i];
	}
	atomic_store_explicit(&table.chunks[n], ops, memory_order_relaxed);
	atomic_store_explicit(&table.n_chunks, n + 1, memory_order_release);
	return true;
}

struct ferrule_op *fr_op_new(void)
{
	struct ferrule_op *op = NULL;

	pthread_once(&table.once, watch_forks);
	lock();
	if (table.free || grow()) {
		op = table.free;
		table.free = op->next;
	}
	unlock();
	if (!op)
		fr_error(FERRULE_ERR_NO_MEMORY, "no memory for an operation");
	return op;
}

void fr_op_recycle(struct ferrule_op *op)
{
	lock();
	op->next = table.free;
	table.free = op;
	unlock();
}

/* ---- handles ---- */

ferrule_op_t fr_op_handle(const struct ferrule_op *op)
{
	const uint64_t generation = atomic_load_explicit(&op->generation, memory_order_relaxed);

	return (ferrule_op_t)(uintptr_t)(generation << PLACE_BITS | (op->place + 1));
}

bool fr_op_is(const struct ferrule_op *op, ferrule_op_t handle)
{
	const uint64_t generation = atomic_load_explicit(&op->generation, memory_order_acquire);

	return (generation << PLACE_BITS) >> PLACE_BITS == generation_of(handle);
}

struct ferrule_op *fr_op_find(ferrule_op_t handle)
{
	/* Wraps for 0, to a place beyond all chunks. */
	const uint32_t place = (uint32_t)((uint64_t)(uintptr_t)handle & PLACE_MASK) - 1;
	const uint32_t n = atomic_load_explicit(&table.n_chunks, memory_order_acquire);
	struct ferrule_op *op = NULL;

	if (!handle) {
		fr_error(FERRULE_ERR_ARGUMENT, "op: NULL, must be an operation");
		return NULL;
	}
	if (place / OPS_A_CHUNK < n)
		op = atomic_load_explicit(&table.chunks[place / OPS_A_CHUNK],
		                          memory_order_relaxed) +
		     place % OPS_A_CHUNK;
	if (op && fr_op_is(op, handle))
		return op;
	fr_error(FERRULE_ERR_ARGUMENT,
	         "op: %p is no operation, or one that was destroyed; nothing may follow "
	         "ferrule_op_destroy()",
	         (void *)handle);
	return NULL;
}

void fr_op_retire(struct ferrule_op *op)
{
	atomic_fetch_add_explicit(&op->generation, 1, memory_order_release);
}

bool fr_op_claim(struct ferrule_op *op, ferrule_op_t handle)
{
	uint64_t generation = atomic_load_explicit(&op->generation, memory_order_relaxed);

	return (generation << PLACE_BITS) >> PLACE_BITS == generation_of(handle) &&
	       atomic_compare_exchange_strong(&op->generation, &generation, generation + 1);
}

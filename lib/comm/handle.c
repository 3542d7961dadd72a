#include "config.h"

#include "lib/comm/handle.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/exec/exec.h"

/* How often a destroyer looks whether the thread inside has left. */
#define LOOK_NS 50000

/* Every communicator's memory, in use or not, and which of it is free, oldest first. */
static struct {
	pthread_mutex_t lock;
	pthread_once_t once;
	struct ferrule_comm *all;
	struct ferrule_comm *free, **free_tail;
} memory = {
	.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT, .free_tail = &memory.free};

static inline uint32_t guard_of(const struct ferrule_comm *c)
{
	return atomic_load_explicit(&c->guard, memory_order_acquire);
}

/* ---- fork() ---- */

static void before_fork(void)
{
	pthread_mutex_lock(&memory.lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&memory.lock);
}

/* Whoever held a lock or was inside is a thread that this process has not got. */
static void after_fork_in_child(void)
{
	for (struct ferrule_comm *c = memory.all; c; c = c->lasting.next) {
		uint32_t guard = guard_of(c) | FR_GUARD_FORKED;

		if (pthread_mutex_trylock(&c->lasting.lock) != 0)
			guard |= FR_GUARD_BUSY;
		pthread_mutex_init(&c->lasting.lock, NULL);
		atomic_store(&c->lasting.readers, 0);
		atomic_store(&c->guard, guard);
	}
	pthread_mutex_init(&memory.lock, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- memory ---- */

/* With the lock held: what was free for longest, under its next generation; or NULL. */
static struct ferrule_comm *take_free(void)
{
	struct ferrule_comm *c = memory.free;

	if (!c)
		return NULL;
	memory.free = c->lasting.next_free;
	if (!memory.free)
		memory.free_tail = &memory.free;
	const size_t from = offsetof(struct ferrule_comm, state);
	const uint32_t generation = (guard_of(c) & FR_GUARD_GENERATION) + 1;

	memset((char *)c + from, 0, offsetof(struct ferrule_comm, lasting) - from);
	atomic_store(&c->guard, generation | FR_GUARD_CLOSED);
	return c;
}

static struct ferrule_comm *allocate(void)
{
	const size_t bytes = (sizeof(struct ferrule_comm) + FR_HANDLE_ALIGN - 1) / FR_HANDLE_ALIGN *
	                     FR_HANDLE_ALIGN;
	struct ferrule_comm *c = aligned_alloc(FR_HANDLE_ALIGN, bytes);

	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	atomic_store(&c->guard, 1 | FR_GUARD_CLOSED);
	pthread_mutex_init(&c->lasting.lock, NULL);
	c->lasting.next = memory.all;
	memory.all = c;
	return c;
}

struct ferrule_comm *fr_comm_take(void)
{
	pthread_once(&memory.once, watch_forks);
	pthread_mutex_lock(&memory.lock);
	struct ferrule_comm *c = take_free();

	if (!c)
		c = allocate();
	if (c)
		atomic_store(&c->lasting.owner, getpid());
	pthread_mutex_unlock(&memory.lock);
	return c;
}

void fr_comm_give(struct ferrule_comm *c)
{
	const uint32_t generation = guard_of(c) & FR_GUARD_GENERATION;

	pthread_mutex_lock(&memory.lock);
	atomic_store(&c->guard, generation | FR_GUARD_CLOSED);
	c->lasting.next_free = NULL;
	if (generation < FR_MAX_GENERATION) {
		*memory.free_tail = c;
		memory.free_tail = &c->lasting.next_free;
	}
	pthread_mutex_unlock(&memory.lock);
}

/* ---- in and out ---- */

ferrule_comm_t fr_comm_open(struct ferrule_comm *c)
{
	const uint32_t generation = guard_of(c) & FR_GUARD_GENERATION;

	atomic_store(&c->guard, generation | (c->thread_multiple ? FR_GUARD_LOCKED : 0));
	return fr_comm_handle(c);
}

static ferrule_status_t busy(const struct ferrule_comm *c)
{
	const uint8_t called = atomic_load_explicit(&c->called, memory_order_relaxed);

	return fr_error(
		FERRULE_ERR_BUSY,
		"comm: another thread is inside a call on this communicator, the last that began "
		"is %s; create it with FERRULE_THREAD_MULTIPLE to have calls wait for each other",
		called == FR_CALL_IDLE ? "none" : fr_called_name(called));
}

static ferrule_status_t forked(const struct ferrule_comm *c)
{
	return fr_error(
		FERRULE_ERR_ARGUMENT,
		"comm: belongs to process %d, which created it; this is process %d, forked from it "
		"later, and may only destroy its copy.  Create communicators after the fork, or "
		"start processes that exec (\"spawn\" in Python's multiprocessing)",
		(int)atomic_load(&c->lasting.owner), (int)getpid());
}

/* Why a handle is not let in. */
static ferrule_status_t refusal(ferrule_comm_t handle, uint32_t guard)
{
	const struct ferrule_comm *c = fr_comm_of(handle);

	if ((guard & FR_GUARD_GENERATION) != fr_handle_generation(handle) ||
	    guard & FR_GUARD_CLOSED)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "comm: %p was destroyed, or is being destroyed by another thread; "
		                "nothing may follow ferrule_comm_destroy()",
		                (void *)handle);
	return guard & FR_GUARD_FORKED ? forked(c) : busy(c);
}

ferrule_status_t fr_comm_enter_slowly(ferrule_comm_t handle)
{
	struct ferrule_comm *c = fr_comm_of(handle);
	const uint32_t open = fr_handle_generation(handle) | FR_GUARD_LOCKED;

	if (!c)
		return fr_error(FERRULE_ERR_ARGUMENT, "comm: NULL, must be a communicator");
	if (guard_of(c) != open)
		return refusal(handle, guard_of(c));
	pthread_mutex_lock(&c->lasting.lock);
	const uint32_t guard = guard_of(c);

	if (guard == open)
		return FERRULE_OK;
	/* Destroyed while this thread waited. */
	pthread_mutex_unlock(&c->lasting.lock);
	return refusal(handle, guard);
}

bool fr_comm_enter_if_free(struct ferrule_comm *c)
{
	uint32_t idle = guard_of(c) & FR_GUARD_GENERATION;

	if (c->thread_multiple)
		return pthread_mutex_trylock(&c->lasting.lock) == 0;
	return atomic_compare_exchange_strong(&c->guard, &idle, idle | FR_GUARD_BUSY);
}

struct ferrule_comm *fr_comm_visit(ferrule_comm_t handle)
{
	struct ferrule_comm *c = fr_comm_of(handle);

	if (!c) {
		fr_comm_enter_slowly(handle);
		return NULL;
	}
	/* Either this is seen by fr_comm_close(), or what that wrote is seen here. */
	atomic_fetch_add(&c->lasting.readers, 1);
	const uint32_t guard = atomic_load(&c->guard);

	if ((guard & FR_GUARD_GENERATION) == fr_handle_generation(handle) &&
	    !(guard & (FR_GUARD_CLOSED | FR_GUARD_FORKED)))
		return c;
	fr_comm_visited(c);
	refusal(handle, guard);
	return NULL;
}

void fr_comm_visited(struct ferrule_comm *c)
{
	atomic_fetch_sub(&c->lasting.readers, 1);
}

const struct ferrule_comm *fr_comm_peek(ferrule_comm_t handle)
{
	const struct ferrule_comm *c = fr_comm_of(handle);

	if (!c)
		return NULL;
	const uint32_t guard = guard_of(c);

	return (guard & FR_GUARD_GENERATION) == fr_handle_generation(handle) &&
	                       !(guard & FR_GUARD_CLOSED)
	               ? c
	               : NULL;
}

/* ---- the end ---- */

static void rest(void)
{
	const struct timespec t = {.tv_nsec = LOOK_NS};

	nanosleep(&t, NULL);
}

/* Whoever waits inside learns it within milliseconds, and tells the peers, for whom that call
 * has failed too. */
static void cancel(struct ferrule_comm *c)
{
	char text[128];
	int state = FR_COMM_READY;

	snprintf(
		text, sizeof(text),
		"rank %d destroyed the communicator while another of its threads was inside a call",
		c->rank);
	if (!atomic_compare_exchange_strong(&c->state, &state, FR_COMM_CLOSING) &&
	    state == FR_COMM_GROUP)
		atomic_compare_exchange_strong(&c->state, &state, FR_COMM_CLOSING);
	fr_exec_cancel(c->exec, text);
}

bool fr_comm_is_forked(ferrule_comm_t handle)
{
	return guard_of(fr_comm_of(handle)) & FR_GUARD_FORKED;
}

/* Gets everybody out, and keeps them out. */
static void empty(struct ferrule_comm *c)
{
	while (!fr_comm_enter_if_free(c)) {
		cancel(c);
		rest();
	}
	atomic_store(&c->guard, (guard_of(c) & FR_GUARD_GENERATION) | FR_GUARD_CLOSED);
	if (c->thread_multiple)
		pthread_mutex_unlock(&c->lasting.lock);
	while (atomic_load(&c->lasting.readers) != 0)
		rest();
}

ferrule_status_t fr_comm_close(ferrule_comm_t handle, struct ferrule_comm **out,
                               enum fr_closed *how_out)
{
	struct ferrule_comm *c = fr_comm_of(handle);
	const uint32_t generation = fr_handle_generation(handle), guard = guard_of(c);
	uint32_t closer = atomic_load(&c->lasting.closer);

	if ((guard & FR_GUARD_GENERATION) != generation || guard & FR_GUARD_CLOSED ||
	    closer == generation ||
	    !atomic_compare_exchange_strong(&c->lasting.closer, &closer, generation))
		return refusal(handle, guard | FR_GUARD_CLOSED);
	*out = c;
	if (!(guard & FR_GUARD_FORKED)) {
		empty(c);
		*how_out = FR_CLOSED_OURS;
	} else {
		atomic_store(&c->guard, guard | FR_GUARD_CLOSED);
		*how_out = guard & FR_GUARD_BUSY ? FR_CLOSED_TORN : FR_CLOSED_COPY;
	}
	return FERRULE_OK;
}

/*
 * handle.h - what users hold of a communicator, and who may be inside of it.
 *
 * A handle is the communicator's address plus its generation: communicators lie at multiples of
 * FR_HANDLE_ALIGN, and their memory is never given back, only used again under the next
 * generation.  So a handle that was destroyed can be told from a living one at any time, by one
 * word that lies on the line which every call touches anyway:
 *
 *   guard == generation                 nobody is inside
 *   guard == generation | GUARD_BUSY    a thread is
 *   any other bit set                   fr_comm_enter() takes the slow way, which knows why
 *
 * Entering is one compare-and-exchange, which fails for a stale handle as it does for a busy
 * communicator.
 *
 * Three rules make the end safe.  fr_comm_close() is won by one thread a generation.  It waits
 * until who is inside has left, after cancelling what that thread waits for.  And it waits for
 * fr_comm_visit(), the door of those few functions that any thread may call at any time.
 *
 * fork(): in the child every communicator gets GUARD_FORKED before anything else runs there.  All
 * that could be touched through it, shared memory, sockets and hardware, is its parent's.
 */
#ifndef FR_HANDLE_H
#define FR_HANDLE_H

#include "lib/comm/comm.h"

#define FR_HANDLE_ALIGN 4096u
/* A communicator's memory is retired after so many lives: three bytes a life are the price. */
#define FR_MAX_GENERATION (FR_HANDLE_ALIGN - 1)

enum fr_guard {
	FR_GUARD_GENERATION = FR_MAX_GENERATION, /* these bits: 1 to FR_MAX_GENERATION */
	FR_GUARD_BUSY = 1 << 16,
	FR_GUARD_LOCKED = 1 << 17, /* with thread_multiple: the lock decides who is inside */
	FR_GUARD_CLOSED = 1 << 18, /* not open yet, being destroyed, or destroyed */
	FR_GUARD_FORKED = 1 << 19, /* made by a process of which this one is a child; with
	                            * GUARD_BUSY: while a thread was inside */
};

static inline struct ferrule_comm *fr_comm_of(ferrule_comm_t handle)
{
	return (struct ferrule_comm *)((uintptr_t)handle & ~(uintptr_t)FR_GUARD_GENERATION);
}

static inline uint32_t fr_handle_generation(ferrule_comm_t handle)
{
	return (uint32_t)((uintptr_t)handle & FR_GUARD_GENERATION);
}

/* fr_comm_handle - the handle of a communicator. */
static inline ferrule_comm_t fr_comm_handle(const struct ferrule_comm *c)
{
	return (ferrule_comm_t)((uintptr_t)c + (c->guard & FR_GUARD_GENERATION));
}

/* fr_comm_take, fr_comm_give - memory for a communicator, zeroed and closed; and back.  NULL when
 * there is none. */
struct ferrule_comm *fr_comm_take(void);
void fr_comm_give(struct ferrule_comm *c);

/* fr_comm_open - from now on calls may enter; returns the handle. */
ferrule_comm_t fr_comm_open(struct ferrule_comm *c);

/* fr_comm_enter_slowly - fr_comm_enter() for who found the guard not free: waits for the lock, or
 * says why not. */
ferrule_status_t fr_comm_enter_slowly(ferrule_comm_t handle);

/*
 * fr_comm_enter - takes the communicator of a handle, NULL included, for this thread.  ERR_BUSY
 * when another call is inside; with thread_multiple it waits for the lock.  ERR_ARGUMENT for one
 * that is no more, or that is another process's.  The exchange costs nothing that can be measured
 * in an allreduce of 8 bytes, since no other core wants the line.
 */
static inline ferrule_status_t fr_comm_enter(ferrule_comm_t handle, struct ferrule_comm **out)
{
	struct ferrule_comm *c = fr_comm_of(handle);
	uint32_t idle = fr_handle_generation(handle);

	*out = c;
	if (__builtin_expect(c && atomic_compare_exchange_strong_explicit(
					  &c->guard, &idle, idle | FR_GUARD_BUSY,
					  memory_order_acquire, memory_order_relaxed),
	                     1))
		return FERRULE_OK;
	return fr_comm_enter_slowly(handle);
}

/* fr_comm_leave - the end of fr_comm_enter(). */
static inline void fr_comm_leave(struct ferrule_comm *c)
{
	const uint32_t guard = atomic_load_explicit(&c->guard, memory_order_relaxed);

	if (__builtin_expect(c->thread_multiple, 0))
		pthread_mutex_unlock(&c->lasting.lock);
	else
		atomic_store_explicit(&c->guard, guard & FR_GUARD_GENERATION, memory_order_release);
}

/* fr_comm_enter_if_free - enters without waiting and without an error; false when somebody is
 * inside.  For who knows that the communicator lives. */
bool fr_comm_enter_if_free(struct ferrule_comm *c);

/*
 * fr_comm_visit - for the functions that any thread may call while another one is inside: the
 * communicator lives until fr_comm_visited().  NULL, and the error that says why not, when the
 * handle's communicator is no more or is another process's.
 */
struct ferrule_comm *fr_comm_visit(ferrule_comm_t handle);
void fr_comm_visited(struct ferrule_comm *c);

/* fr_comm_peek - for plain numbers of a communicator, in a forked child as well; NULL, and no
 * error, when it is no more. */
const struct ferrule_comm *fr_comm_peek(ferrule_comm_t handle);

/* fr_comm_is_forked - does it belong to a process of which this one is a child? */
bool fr_comm_is_forked(ferrule_comm_t handle);

/* What may follow fr_comm_close(). */
enum fr_closed {
	FR_CLOSED_OURS, /* fr_comm_destroy() */
	FR_CLOSED_COPY, /* a forked child's copy: fr_comm_discard() */
	FR_CLOSED_TORN, /* the same, but a thread was inside when fork() was called: nothing, since
	                 * its lists may be half-written */
};

/*
 * fr_comm_close - takes the communicator for good: cancels the call that another thread is in,
 * waits for its end, and lets nobody in any more.  An error when it is no more, or is being
 * destroyed already.
 */
ferrule_status_t fr_comm_close(ferrule_comm_t handle, struct ferrule_comm **out,
                               enum fr_closed *how_out);

#endif

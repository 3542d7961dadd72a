/*
 * Publications: the store and the poll.
 *
 * This is the path of small messages, where a nanosecond counts.  A publication is payload,
 * signature and number in one cache line (larger ones: in the first of several), written by
 * plain stores; every reader polls that one line.  Readers acknowledge now and then only, so
 * that in steady state a rank writes one line and reads one line a peer.
 */
#include "config.h"
#include "lib/exec/exec_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"

/* The first bytes of a slot. */
struct slot_head {
	_Atomic uint32_t number; /* of the publication, plus one; stored last */
	uint32_t signature;
};
_Static_assert(sizeof(struct slot_head) == FR_BOARD_HEAD_BYTES, "as transport.h draws it");

ferrule_status_t fr_board_init(struct fr_exec *x)
{
	const size_t n = (size_t)x->params.n_ranks;

	if (!x->params.board)
		return FERRULE_OK;
	for (int c = 0; c < FR_BOARD_N_CLASSES; c++) {
		x->board[c].next_of = calloc(n, sizeof(uint32_t));
		x->board[c].acked_of = calloc(n, sizeof(uint32_t));
		if (!x->board[c].next_of || !x->board[c].acked_of)
			return FERRULE_ERR_NO_MEMORY;
	}
	return FERRULE_OK;
}

void fr_board_fini(struct fr_exec *x)
{
	for (int c = 0; c < FR_BOARD_N_CLASSES; c++) {
		free(x->board[c].next_of);
		free(x->board[c].acked_of);
	}
}

static inline int class_for(const struct fr_board *b, size_t bytes)
{
	int c = 0;

	while (bytes > b->classes[c].payload)
		c++;
	return c;
}

static inline struct slot_head *slot_at(const struct fr_board_class *class, int writer,
                                        uint32_t number)
{
	return (struct slot_head *)(class->base[writer] +
	                            (size_t)(number & (class->n_slots - 1)) * class->stride);
}

static inline _Atomic uint32_t *ack_at(const struct fr_board_class *class, int reader, int writer)
{
	return (_Atomic uint32_t *)(class->acks[reader] + (size_t)writer * FR_BOARD_ACK_STRIDE);
}

/* memcpy for at most 56 bytes, without the call. */
static inline void copy_small(unsigned char *dst, const unsigned char *src, size_t bytes)
{
	if (bytes >= 8) {
		for (size_t at = 0; at + 8 < bytes; at += 8)
			memcpy(dst + at, src + at, 8);
		memcpy(dst + bytes - 8, src + bytes - 8, 8);
	} else if (bytes >= 4) {
		memcpy(dst, src, 4);
		memcpy(dst + bytes - 4, src + bytes - 4, 4);
	} else {
		for (size_t at = 0; at < bytes; at++)
			dst[at] = src[at];
	}
}

/* Has the slowest reader of our publications left a slot free?  Its rank in *peer_out. */
static bool has_room(struct fr_exec *x, int c, int *peer_out)
{
	const struct fr_board_class *class = &x->params.board->classes[c];
	struct fr_exec_board_class *mine = &x->board[c];
	uint32_t min = mine->next;

	for (int r = 0; r < x->params.n_ranks; r++) {
		if (r == x->params.rank)
			continue;
		const uint32_t acked = atomic_load_explicit(ack_at(class, r, x->params.rank),
		                                            memory_order_acquire);

		if ((int32_t)(acked - min) < 0) {
			min = acked;
			*peer_out = r;
		}
	}
	mine->min_acked = min;
	return mine->next - min < class->n_slots;
}

/* False: a reader, named in *peer_out, still needs the slot. */
static inline bool publish(struct fr_exec *x, int c, const void *src, size_t bytes,
                           uint32_t signature, int *peer_out)
{
	const struct fr_board_class *class = &x->params.board->classes[c];
	struct fr_exec_board_class *mine = &x->board[c];
	struct slot_head *slot = slot_at(class, x->params.rank, mine->next);

	if (mine->next - mine->min_acked >= class->n_slots && !has_room(x, c, peer_out))
		return false;
	if (c == 0)
		copy_small((unsigned char *)(slot + 1), src, bytes);
	else
		memcpy(slot + 1, src, bytes);
	slot->signature = signature;
	mine->next++;
	atomic_store_explicit(&slot->number, mine->next, memory_order_release);
	return true;
}

/* The peer's next publication, or NULL while it is not there. */
static inline const struct slot_head *look(const struct fr_exec *x, int c, int writer)
{
	const uint32_t number = x->board[c].next_of[writer];
	const struct slot_head *slot = slot_at(&x->params.board->classes[c], writer, number);

	if (atomic_load_explicit(&slot->number, memory_order_acquire) != number + 1)
		return NULL;
	return slot;
}

/* A quarter of the slots at a time: then one acknowledgement line serves many publications. */
static inline void consume(struct fr_exec *x, int c, int writer)
{
	struct fr_exec_board_class *mine = &x->board[c];
	const struct fr_board_class *class = &x->params.board->classes[c];
	const uint32_t next = ++mine->next_of[writer];

	if (next - mine->acked_of[writer] < class->n_slots / 4)
		return;
	mine->acked_of[writer] = next;
	atomic_store_explicit(ack_at(class, x->params.rank, writer), next, memory_order_release);
}

static ferrule_status_t disagree(struct fr_exec *x, int writer, uint32_t signature,
                                 const struct fr_call *call)
{
	struct fr_ep *ep = x->params.eps[writer];
	struct fr_call theirs = {.sequence = call->sequence, .coll = FR_CALL_IDLE};

	/* It may have gone on since. */
	if (ep->ops->past_call && ep->ops->past_call(ep, call->sequence, &theirs))
		return fr_fault_mismatch(x, writer, call, &theirs);
	if (!ep->ops->peer_call(ep, &theirs) || theirs.signature == call->signature)
		theirs.signature = signature;
	return fr_fault_mismatch(x, writer, call, &theirs);
}

/* INPROGRESS as soon as one part is missing: nothing is consumed before all are there. */
static inline ferrule_status_t fold(struct fr_exec *x, const struct fr_plan *plan, void *dst,
                                    const void *own, size_t bytes, const struct fr_call *call,
                                    int *peer_out)
{
	const int n = x->params.n_ranks, rank = x->params.rank;
	const int c = class_for(x->params.board, bytes);

	for (int r = 0; r < n; r++) {
		const struct slot_head *slot;

		if (r == rank) {
			x->fold_sources[r] = own;
			continue;
		}
		slot = look(x, c, r);
		if (!slot) {
			*peer_out = r;
			return FERRULE_INPROGRESS;
		}
		if (slot->signature != call->signature)
			return disagree(x, r, slot->signature, call);
		x->fold_sources[r] = slot + 1;
	}
	if (bytes > 0) {
		const size_t count = bytes / plan->elem_bytes;

		if (n == 2)
			plan->kernel->reduce[0](dst, x->fold_sources[0], x->fold_sources[1], count);
		else
			plan->kernel->fold(dst, x->fold_sources, n, count);
	}
	for (int r = 0; r < n; r++)
		if (r != rank)
			consume(x, c, r);
	return FERRULE_OK;
}

static inline ferrule_status_t collect(struct fr_exec *x, const struct fr_plan_step *step,
                                       void *dst, const struct fr_call *call, int *peer_out)
{
	const int c = class_for(x->params.board, step->part_of);
	const struct slot_head *slot;

	/* Unread, it need not even be there: the acknowledgement only says "not needed". */
	if (step->bytes > 0 || step->is_empty) {
		slot = look(x, c, step->peer);
		if (!slot) {
			*peer_out = step->peer;
			return FERRULE_INPROGRESS;
		}
		if (slot->signature != call->signature)
			return disagree(x, step->peer, slot->signature, call);
		const unsigned char *src = (const unsigned char *)(slot + 1) + step->part_at;

		if (c == 0)
			copy_small(dst, src, step->bytes);
		else if (step->bytes > 0)
			memcpy(dst, src, step->bytes);
	}
	consume(x, c, step->peer);
	return FERRULE_OK;
}

static inline void *at(unsigned char *const base[FR_N_SPACES], const struct fr_operand *o)
{
	/* As a number: the buffers of an empty operation may be null, and C adds nothing to null.
	 */
	return (void *)((uintptr_t)base[o->space] + o->at);
}

inline ferrule_status_t fr_board_step(struct fr_exec *x, const struct fr_plan *plan,
                                      const struct fr_plan_step *step,
                                      unsigned char *const base[FR_N_SPACES],
                                      const struct fr_call *call, int *peer_out)
{
	switch (step->kind) {
	case FR_STEP_PUBLISH:
		return publish(x, class_for(x->params.board, step->bytes), at(base, &step->src),
		               step->bytes, call->signature, peer_out)
		               ? FERRULE_OK
		               : FERRULE_INPROGRESS;
	case FR_STEP_FOLD:
		return fold(x, plan, at(base, &step->dst), at(base, &step->src), step->bytes, call,
		            peer_out);
	default:
		return collect(x, step, at(base, &step->dst), call, peer_out);
	}
}

/* A root that runs ahead has written the next publications too; fetched early, their trips
 * overlap.  Only for a reader that is behind: a line fetched before it is written costs its
 * writer a trip. */
#define AHEAD 4
static inline void fetch_ahead(const struct fr_exec *x, const struct fr_plan_step *step)
{
	const int c = class_for(x->params.board, step->part_of);

	__builtin_prefetch(slot_at(&x->params.board->classes[c], step->peer,
	                           x->board[c].next_of[step->peer] + AHEAD));
}

/* Program order satisfies every conflict, so nothing but the steps themselves is looked at. */
ferrule_status_t fr_board_run(struct fr_exec *x, const struct fr_plan *plan,
                              unsigned char *const base[FR_N_SPACES], double premul,
                              const struct fr_call *call)
{
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		const struct fr_plan_step *step = &plan->steps[i];
		struct fr_waiting waiting = {.polls = 0};
		ferrule_status_t status;
		int peer = -1;

		if (step->kind < FR_STEP_SEND) {
			fr_step_local(plan, step, base, premul, 0, step->bytes);
			continue;
		}
		while ((status = fr_board_step(x, plan, step, base, call, &peer)) ==
		       FERRULE_INPROGRESS) {
			status = fr_wait_look(x, &waiting, call, peer);
			if (status != FERRULE_OK)
				return status;
			fr_wait_rest(x, &waiting);
		}
		if (status != FERRULE_OK)
			return status;
		if (step->kind == FR_STEP_COLLECT && waiting.polls == 0)
			fetch_ahead(x, step);
	}
	return FERRULE_OK;
}

/*
 * call.h - one operation as ranks compare and report it.
 *
 * Every message and publication carries the signature of the call it belongs to, so that
 * ranks which disagree about collective, count, type, operator or root find out on first
 * contact and can say who called what.
 */
#ifndef FR_CALL_H
#define FR_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 32 bytes, all members filled, so that it travels as it is (host byte order; a
 * communicator is of one byte order, checked at set-up). */
struct fr_call {
	uint64_t sequence; /* number of the operation on its communicator, from 1; for
	                    * pairwise calls: on its ordered pair */
	uint64_t count;    /* elements; for v forms the sum of the counts */
	uint32_t comm;     /* low half of the communicator's id, plus a hash of all counts */
	int32_t root;      /* -1 where there is none; the peer for send and recv */
	uint8_t coll; /* what was called, and the bits below; FR_CALL_IDLE between operations */
	uint8_t type; /* ferrule_type_t */
	uint8_t op;   /* ferrule_redop_t, 255 where there is none */
	uint8_t algo; /* index into fr_algos, as chosen; 255 none; FR_CALL_PAIRWISE */
	uint32_t signature; /* fr_call_signature() of the rest */
};
_Static_assert(sizeof(struct fr_call) == 32, "struct fr_call travels between ranks");
#define FR_CALL_IDLE 255
/* Bits of `coll`: a count for every rank; a sum of counts that is this rank's own, and so is not
 * part of the signature. */
#define FR_CALL_VECTOR 0x40
#define FR_CALL_OWN    0x80
/* A message between two ranks: its number and root (the other rank) say nothing to third ones. */
#define FR_CALL_PAIRWISE 254

/*
 * A part of a call without elements travels as a message whose content means nothing, and whose
 * signature differs by this from that of the call: so no other part can be taken for it.
 */
#define FR_CALL_EMPTY 0x55555555u
static inline struct fr_call fr_call_empty(const struct fr_call *call)
{
	struct fr_call empty = *call;

	empty.signature ^= FR_CALL_EMPTY;
	return empty;
}

/*
 * Whom a rank waits for, as it tells its peers at every slow look.  One cache line; a reader that
 * catches it half written sees a call that does not fit its signature.
 */
#define FR_WAITS_MAX 6
struct fr_wait {
	struct fr_call call;      /* the operation that does not get on */
	uint32_t beat;            /* counts this rank's looks: while it stands still, the rank is
	                           * stopped, or not waiting on this communicator */
	int32_t n;                /* ranks in `on`: without a move of theirs nothing can go on */
	int32_t on[FR_WAITS_MAX]; /* the first of them */
};
_Static_assert(sizeof(struct fr_wait) == 64, "struct fr_wait travels between ranks");
/* fr_wait_is_sound - does what another rank wrote make sense among so many ranks? */
bool fr_wait_is_sound(const struct fr_wait *wait, int n_ranks);

/*
 * A call that a rank refused before it began, as it tells those who may be in it already.  The
 * call is the one that would have come next: its number and collective; for a message its
 * direction (op: 0 send, 1 recv), the other rank (root), and the number of the collective before
 * it (count).
 */
#define FR_REFUSAL_TEXT_BYTES 216
struct fr_refusal {
	struct fr_call call;
	uint32_t count; /* how often this rank has refused its call of this number, from 1 */
	int32_t status; /* what it returned */
	char text[FR_REFUSAL_TEXT_BYTES]; /* why, with a NUL at its end */
};
_Static_assert(sizeof(struct fr_refusal) == 256, "struct fr_refusal travels between ranks");
/* What a rank refuses next does not hide what it refused before: a place for the collective, one
 * for a message sent and one for a message received.  fr_refusal_place - which it is. */
#define FR_REFUSAL_PLACES 3
static inline int fr_refusal_place(const struct fr_refusal *refusal)
{
	if (refusal->call.algo != FR_CALL_PAIRWISE)
		return 0;
	return refusal->call.op == 0 ? 1 : 2;
}
/* fr_refusal_is_sound - does what another rank wrote make sense? */
bool fr_refusal_is_sound(const struct fr_refusal *refusal);

/*
 * fr_call_signature - 32 bits that differ, but for accidents of 2^-32, between calls that differ.
 *
 * The root and the name of pairwise calls are left out, since each side has the other one there.
 */
uint32_t fr_call_signature(const struct fr_call *call);
/* fr_call_seal - fills call->signature. */
void fr_call_seal(struct fr_call *call);
/*
 * fr_call_number - a sealed call again, with another sequence.  The sequence enters the signature
 * last and by addition, so that this takes a few instructions, which every operation pays.
 */
#define FR_CALL_STRIDE 0x9e3779b1u /* odd: 2^32 sequences have as many signatures */
static inline void fr_call_number(struct fr_call *call, uint64_t sequence)
{
	call->signature += (uint32_t)(sequence - call->sequence) * FR_CALL_STRIDE;
	call->sequence = sequence;
}
/*
 * fr_call_text - "allreduce #17 (1024 float, sum)", "broadcast #3 (8 double, root 2)", a type
 * that is none leaves out the brackets, or "idle after #16"; cut off to fit; returns buf.
 * `coll_name` is the caller's name for call->coll (this room knows no collective).
 */
char *fr_call_text(const struct fr_call *call, const char *coll_name, char *buf, size_t bytes);

#endif

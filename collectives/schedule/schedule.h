/*
 * schedule.h - what moves.
 *
 * A schedule is one rank's part of one collective, as data: an array of steps over symbolic
 * ranges.  It holds no pointer, communicator, transport, clock or lock, so it can be printed,
 * verified for all ranks at once, cached, and run by any executor.
 *
 * An emitter only says WHAT moves, in any convenient program order.  The ORDER is derived:
 *   - a step that reads or writes elements which an earlier step writes, or writes elements
 *     which an earlier step reads, follows it, element by element (an executor may run two
 *     conflicting steps overlapped as long as the earlier one stays ahead at every element);
 *   - sends to one peer leave in program order, receives from one peer complete in program
 *     order (first in, first out per ordered pair of ranks), so they match without tags;
 *   - publications of one rank are consumed by every rank in program order.
 * Nothing else is ordered.  Steps run from the first element of their range to the last.
 */
#ifndef FR_SCHEDULE_H
#define FR_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>

/* Where elements live: the caller's two buffers and the operation's scratch. */
enum fr_space {
	FR_SEND, /* the caller's input, read only */
	FR_RECV, /* the caller's output */
	FR_TMP,  /* scratch of this operation, undefined at the start */
	FR_N_SPACES
};

/* `count` elements of `space` from element `first` on. */
struct fr_range {
	enum fr_space space;
	size_t first;
	size_t count;
};

enum fr_step_kind {
	FR_STEP_COPY,        /* dst = src */
	FR_STEP_REDUCE,      /* dst = src op src2; dst may equal src or src2 */
	FR_STEP_SCALE,       /* dst = factor * src; dst may equal src.  See fr_scale */
	FR_STEP_SEND,        /* src -> peer */
	FR_STEP_RECV,        /* dst <- peer */
	FR_STEP_RECV_REDUCE, /* dst = src op (<- peer); dst may equal src */
	FR_STEP_PUBLISH,     /* src -> the board, for every rank to see */
	FR_STEP_FOLD,        /* dst = rank 0's publication op rank 1's op ... op rank n-1's,
	                      * combined in rank order; this rank's own part is read from src.
	                      * dst may equal src.  Consumes one publication of every peer. */
	FR_STEP_COLLECT,     /* dst = elements part.first .. part.first + dst.count of peer's
	                      * publication, which has part.total elements in all.  An empty
	                      * dst consumes it unread. */
	FR_N_STEP_KINDS
};

/* Which factor a scale step multiplies with; the executor knows the value. */
enum fr_scale {
	FR_SCALE_PREMUL,  /* the operator's scalar, before combining */
	FR_SCALE_AVERAGE, /* one over the number of ranks, after combining */
};

/* One step.  Members that its kind does not mention are zero. */
struct fr_step {
	enum fr_step_kind kind;
	enum fr_scale scale;
	bool is_reply; /* receive: see fr_sched_recv_reply() */
	int peer;      /* rank, -1 where there is none */
	struct fr_range dst, src, src2;
	struct {
		size_t first, total;
	} part; /* collect: see FR_STEP_COLLECT */
	/* Steps this one conflicts with, all earlier in program order:
	 * sched->deps[first_dep .. first_dep + n_deps).  Set by fr_sched_finish(). */
	uint32_t first_dep, n_deps;
};

/* In place: one caller's buffer lies inside the other.  The builder rewrites every range to
 * the outer buffer's space, so that conflicts are seen. */
enum fr_alias {
	FR_ALIAS_NONE,
	FR_ALIAS_SEND_IN_RECV, /* send element e is recv element e + offset */
	FR_ALIAS_RECV_IN_SEND, /* recv element e is send element e + offset */
};

struct fr_sched {
	int rank, n_ranks;
	enum fr_alias alias;
	size_t alias_offset;
	bool keeps_empty; /* see the builders; set after fr_sched_init() */
	struct fr_step *steps;
	uint32_t n_steps, steps_room;
	uint32_t *deps;
	uint32_t n_deps;
	size_t tmp_count;                /* elements of FR_TMP the schedule needs */
	size_t space_count[FR_N_SPACES]; /* bound of each space as used: max(first + count) */
	ferrule_status_t error;          /* the first error; later calls do nothing */
	char error_text[160];
};

/* fr_sched_init - an empty schedule.  alias_offset is in elements. */
void fr_sched_init(struct fr_sched *s, int rank, int n_ranks, enum fr_alias alias,
                   size_t alias_offset);
/* fr_sched_fini - frees what the schedule holds.  Safe after any failure. */
void fr_sched_fini(struct fr_sched *s);

/* A range, by value. */
static inline struct fr_range fr_range(enum fr_space space, size_t first, size_t count)
{
	return (struct fr_range){space, first, count};
}

/* fr_sched_tmp - reserves `count` elements of scratch; returns the range. */
struct fr_range fr_sched_tmp(struct fr_sched *s, size_t count);

/*
 * The builders append one step each.  Empty ranges are dropped, except where the peer must
 * see a message or publication (publish, fold, collect): an empty send and its empty receive
 * are both dropped, so emitters need no special case for zero counts.  With keeps_empty, empty
 * messages stay, and a collect out of an empty publication looks at it: then ranks whose counts
 * differ find out, though one of them has nothing to move.  Ranges of unequal
 * count, a peer out of range and a copy onto itself in whole (dropped) are handled here;
 * errors are kept and reported by fr_sched_finish().
 */
void fr_sched_copy(struct fr_sched *s, struct fr_range dst, struct fr_range src);
void fr_sched_reduce(struct fr_sched *s, struct fr_range dst, struct fr_range src,
                     struct fr_range src2);
void fr_sched_scale(struct fr_sched *s, enum fr_scale scale, struct fr_range dst,
                    struct fr_range src);
void fr_sched_send(struct fr_sched *s, int peer, struct fr_range src);
void fr_sched_recv(struct fr_sched *s, int peer, struct fr_range dst);
/* A receive into exactly the range that was sent to the same peer before, by a peer that makes
 * element e of its answer from element e of what it got (recv_reduce, then send): so e is
 * read there before it can be overwritten here, and an executor may let the peer write into
 * dst while it still reads from it. */
void fr_sched_recv_reply(struct fr_sched *s, int peer, struct fr_range dst);
void fr_sched_recv_reduce(struct fr_sched *s, int peer, struct fr_range dst, struct fr_range src);
void fr_sched_publish(struct fr_sched *s, struct fr_range src);
void fr_sched_fold(struct fr_sched *s, struct fr_range dst, struct fr_range src);
void fr_sched_collect(struct fr_sched *s, int peer, struct fr_range dst);
/* The same for a part: dst = elements first .. first + dst.count of the peer's publication of
 * `total` elements.  dst.count 0: consumes it unread (an executor must know `total`, since
 * publications of different sizes travel in different slots). */
void fr_sched_collect_part(struct fr_sched *s, int peer, struct fr_range dst, size_t first,
                           size_t total);

/*
 * fr_sched_finish - derives the order and returns the first error of any call above.
 * Linear in the number of steps for schedules whose ranges nest or repeat (a last-access
 * index over intervals), so that n = 64 ranks stay cheap.
 */
ferrule_status_t fr_sched_finish(struct fr_sched *s);

/* fr_step_kind_name - "copy", "recv_reduce", ...; for print, verify and error texts. */
const char *fr_step_kind_name(enum fr_step_kind kind);

#endif

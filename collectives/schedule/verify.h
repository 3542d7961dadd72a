/*
 * verify.h - proves the schedules of all ranks at once.
 *
 * Runs them on symbolic elements, one random order after another, and checks that
 *   - messages and publications match, and nothing is read or written outside the buffers;
 *   - every conflict is ordered (races.h) and nothing deadlocks, with messages that leave at
 *     once as well as with messages that only leave when they are taken;
 *   - every element of the result is the one that was asked for: the right one of the right
 *     rank, or all ranks' combined, each exactly once, in the same order on all ranks so that
 *     results are equal to the last bit;
 *   - send buffers and the elements between blocks stay as they were.
 */
#ifndef FR_VERIFY_H
#define FR_VERIFY_H

#include "collectives/schedule/schedule.h"

/* fr_expect.from: every rank's element, combined. */
#define FR_FROM_ALL (-1)

/*
 * recv elements [first, first + count) of `rank` are to be the send elements
 * [from_first, from_first + count) of rank `from`.
 */
struct fr_expect {
	int rank;
	size_t first, count;
	int from;
	size_t from_first;
};

struct fr_verify_job {
	const struct fr_sched *scheds; /* [n_ranks], finished */
	int n_ranks;
	const size_t *send_counts, *recv_counts; /* [n_ranks]: elements of each rank's buffers */
	const struct fr_expect *expects;
	size_t n_expects;
	/* Each message leaves only when it is taken, whole.  Otherwise it leaves at once, and
	 * both ends move it in pieces of random size. */
	bool rendezvous;
	/* Messages carry nothing: scratch may be sent before it is written. */
	bool empty_messages;
	uint64_t seed; /* of the order in which ready steps run */
};

/* What the schedules do, and what is wrong with them. */
struct fr_verify_report {
	size_t steps;      /* of all ranks */
	size_t most_sends; /* messages the busiest rank sends */
	size_t most_sent;  /* elements the busiest rank sends */
	size_t total_sent; /* elements all ranks send */
	size_t most_tmp;   /* elements of scratch, at most */
	char text[256];    /* the first fault found; "" when there is none */
};

/* fr_verify_count - only the report's numbers. */
void fr_verify_count(const struct fr_verify_job *job, struct fr_verify_report *report);

/* fr_verify - FERRULE_OK, or FERRULE_ERR_INTERNAL with the fault in the report's text, or
 * FERRULE_ERR_NO_MEMORY.  The report's numbers are right in either case. */
ferrule_status_t fr_verify(const struct fr_verify_job *job, struct fr_verify_report *report);

/* fr_verify_barrier - the same, and that no rank gets through while any one has not begun. */
ferrule_status_t fr_verify_barrier(const struct fr_verify_job *job,
                                   struct fr_verify_report *report);

#endif

/*
 * perf_internal.h - what the files of this room share.
 *
 *   perf.c            the public functions: agree, then measure size by size
 *   perf_params.c     defaults, checks, and the comparison of both sides' parameters
 *   perf_control.c    the TCP connection beside the measured path; perf_connect.c makes it
 *   perf_stats.c      figures from times
 *   perf_memory.c     the buffer; what is in it and whether it arrived
 *   perf_verbs*.c     an engine: queue pairs, as perftest uses them
 *   perf_contract.c   an engine: a transport, through transport.h
 *
 * An engine makes the path and runs the loop that is measured.  The side that sends is called
 * active: the client, and with is_bidirectional the server too.
 */
#ifndef FR_PERF_INTERNAL_H
#define FR_PERF_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ferrule/perf.h>
#include "lib/perf/perf_control.h"
#include "lib/perf/perf_stats.h"

struct fr_perf_engine {
	/* open - makes the path; both sides at the same time. */
	ferrule_status_t (*open)(struct ferrule_perf *perf);
	/* prepare - whatever must be ready before the other side may begin with this size. */
	ferrule_status_t (*prepare)(struct ferrule_perf *perf, uint64_t bytes);
	/* run - the loop.  Fills perf->outcome, and marks or samples on a side that measures. */
	ferrule_status_t (*run)(struct ferrule_perf *perf, uint64_t bytes);
	/* count_wrong - bytes of this side's memory that are not what was sent to it. */
	uint64_t (*count_wrong)(struct ferrule_perf *perf, uint64_t bytes);
	/* close - also after a failed open. */
	void (*close)(struct ferrule_perf *perf);
};
extern const struct fr_perf_engine fr_perf_verbs_engine;
extern const struct fr_perf_engine fr_perf_contract_engine;

/* What a loop counted. */
struct fr_perf_outcome {
	uint64_t n_messages; /* in the time that counts */
	uint64_t ns;
};

/* Trips before a latency is taken, at most; both sides must have the same. */
#define FR_PERF_WARM_UP 100

struct ferrule_perf {
	struct ferrule_perf_params params; /* its texts are ours */
	bool is_active;
	pid_t owner; /* the process that opened it; in a forked child it may only be closed */
	struct fr_perf_control control;
	struct fr_perf_watch watch;
	const struct fr_perf_engine *engine;
	void *engine_state;
	struct ferrule_perf_setup setup;
	/* Of the size that is measured. */
	struct fr_perf_outcome outcome;
	struct fr_perf_mark *marks; /* [marks_max]; BW by iterations */
	size_t n_marks, marks_max;
	struct fr_perf_samples samples; /* LAT */
};

/* ---- parameters ---- */

/* fr_perf_params_check - what no measurement can be made of; names the member, its value and what
 * is allowed. */
ferrule_status_t fr_perf_params_check(const struct ferrule_perf_params *p);
/* fr_perf_params_agree - exchanges the parameters and compares those that must be equal. */
ferrule_status_t fr_perf_params_agree(struct ferrule_perf *perf);
/* fr_perf_moderation - messages a completion at this size. */
int fr_perf_moderation(const struct ferrule_perf_params *p, uint64_t bytes);

/* ---- the time that counts ---- */

/* A measurement by duration leaves out a margin at either end; by iterations everything counts. */
struct fr_perf_window {
	uint64_t from_ns, to_ns; /* what counts */
	uint64_t end_ns;         /* when to stop */
};
void fr_perf_window_open(const struct ferrule_perf_params *p, uint64_t now_ns,
                         struct fr_perf_window *out);

/* How many messages were done when: from the first look inside the window to the last. */
struct fr_perf_tally {
	struct fr_perf_window window;
	bool is_counting;
	uint64_t first_ns, last_ns, n_first, n_last;
};
void fr_perf_tally_open(const struct ferrule_perf_params *p, uint64_t now_ns,
                        struct fr_perf_tally *out);
/* fr_perf_tally_look - in the measured loop: n_done messages are done now. */
static inline void fr_perf_tally_look(struct fr_perf_tally *t, uint64_t now_ns, uint64_t n_done)
{
	if (!t->is_counting && now_ns >= t->window.from_ns) {
		t->is_counting = true;
		t->first_ns = now_ns;
		t->n_first = n_done;
	}
	if (now_ns <= t->window.to_ns) {
		t->last_ns = now_ns;
		t->n_last = n_done;
	}
}
void fr_perf_tally_close(const struct fr_perf_tally *t, struct fr_perf_outcome *out);

/* fr_perf_await_done - for a side that has nothing to do: until the other one is done, at most as
 * long as that could take on the slowest of paths. */
ferrule_status_t fr_perf_await_done(struct ferrule_perf *perf, uint64_t bytes);

/* ---- memory ---- */

/*
 * The buffer, cut for each of n_lanes queue pairs (or the transport) into a part that it sends
 * from and a part that it receives into.
 */
struct fr_perf_memory {
	unsigned char *base;
	size_t bytes, stride;
	int n_lanes;
	int gpu;               /* -1: host memory */
	unsigned char *shadow; /* a part of GPU memory, in host memory */
};
ferrule_status_t fr_perf_memory_open(struct fr_perf_memory *m, const struct ferrule_perf_params *p,
                                     int n_lanes);
void fr_perf_memory_close(struct fr_perf_memory *m);
static inline unsigned char *fr_perf_memory_out(const struct fr_perf_memory *m, int lane)
{
	return m->base + (size_t)(2 * lane) * m->stride;
}
static inline unsigned char *fr_perf_memory_in(const struct fr_perf_memory *m, int lane)
{
	return m->base + (size_t)(2 * lane + 1) * m->stride;
}
/* fr_perf_memory_fill - the pattern of this size into what is sent, something else into what is
 * received. */
ferrule_status_t fr_perf_memory_fill(const struct fr_perf_memory *m, uint64_t bytes);
/* fr_perf_memory_wrong - how many of the first `compared` bytes of a lane's received part differ
 * from the pattern of messages of `bytes`; all of them when the memory cannot be read. */
uint64_t fr_perf_memory_wrong(const struct fr_perf_memory *m, int lane, uint64_t bytes,
                              uint64_t compared);

#endif

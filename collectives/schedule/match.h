/*
 * match.h - who meets whom when the schedules of all ranks run together.
 *
 * Messages match first in, first out per ordered pair of ranks, and the k-th publication of a
 * rank is the k-th that each other rank consumes of it; so the matching is known before
 * anything runs.  Steps of all ranks are numbered through: step i of rank r is base[r] + i.
 */
#ifndef FR_MATCH_H
#define FR_MATCH_H

#include "collectives/schedule/schedule.h"

#define FR_MATCH_NONE UINT32_MAX

/* For each step a list of steps: those of step g are items[first[g]] to items[first[g + 1]]. */
struct fr_step_lists {
	uint32_t *first; /* [n_steps + 1] */
	uint32_t *items;
};

struct fr_match {
	const struct fr_sched *scheds; /* [n_ranks]; must outlive this */
	int n_ranks;
	uint32_t n_steps;               /* of all ranks */
	uint32_t *base;                 /* [n_ranks + 1] */
	int *rank_of;                   /* [n_steps] */
	struct fr_step_lists sources;   /* what a receive, collect or fold takes in */
	struct fr_step_lists sinks;     /* the other way round */
	struct fr_step_lists before;    /* same rank, must be complete first: the queues' order */
	struct fr_step_lists followers; /* those that have this one in `before` or as dependency */
};

/*
 * fr_match_create - matches the finished schedules of ranks 0 to n_ranks-1.
 *
 * FERRULE_ERR_INTERNAL, with what does not match in `text`, when a message has no receiver or
 * another length there, or a publication is not consumed by all other ranks.
 * FERRULE_ERR_NO_MEMORY.  On failure nothing needs to be freed.
 */
ferrule_status_t fr_match_create(struct fr_match *m, const struct fr_sched *scheds, int n_ranks,
                                 char *text, size_t text_bytes);
void fr_match_destroy(struct fr_match *m);

/* fr_match_step - step g, of rank m->rank_of[g]. */
const struct fr_step *fr_match_step(const struct fr_match *m, uint32_t g);

#endif

/*
 * races.h - does the derived order cover every conflict?
 */
#ifndef FR_RACES_H
#define FR_RACES_H

#include "collectives/schedule/schedule.h"

/*
 * fr_races_check - proves one rank's order element by element, without using what the builder
 * knew: two steps that touch an element, at least one writing it, must be joined by a chain of
 * dependencies whose every link is a conflict over that same element.
 *
 * FERRULE_ERR_INTERNAL names the two steps and the element in `text`; FERRULE_ERR_NO_MEMORY.
 */
ferrule_status_t fr_races_check(const struct fr_sched *s, char *text, size_t text_bytes);

#endif

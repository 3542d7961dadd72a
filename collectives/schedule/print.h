/*
 * print.h - schedules as text, for people and for golden tests.
 *
 * All ranks together, in rounds: a step stands in the first round in which all that it follows
 * has happened before.  One item an arrival or local step:
 *
 *     0>1 +4-7    rank 1 combines its elements 4 to 7 with a message from rank 0
 *     0>1 =4-7    rank 1 stores them
 *     0>*         rank 0 publishes; *>1 +4-7: rank 1 combines what all have published
 *     1: 4-7=t0-3 rank 1 copies; with + or * it combines or scales
 *
 * Elements are those of recv; t marks scratch and s send.
 */
#ifndef FR_PRINT_H
#define FR_PRINT_H

#include <stdio.h>

#include "collectives/schedule/schedule.h"

enum fr_print_form {
	FR_PRINT_TEXT, /* a line (or more, when it gets long) a round */
	FR_PRINT_JSON, /* one array, an object a step: round step rank peer space first count */
};

/* fr_print_rounds - of the finished schedules of ranks 0 to n_ranks-1.  FERRULE_ERR_INTERNAL when
 * they do not fit each other, FERRULE_ERR_NO_MEMORY; what went wrong is in fr_error_text(). */
ferrule_status_t fr_print_rounds(FILE *out, const struct fr_sched *scheds, int n_ranks,
                                 enum fr_print_form form);

#endif

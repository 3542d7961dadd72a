/* ranks.h - sets of ranks as people read them. */
#ifndef FR_RANKS_H
#define FR_RANKS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * fr_ranks_text - "rank 3", "ranks 2, 5-7" or "no rank": those with member[r] == wanted.
 * A list that does not fit ends in "..."; `bytes` is at least 32.  Returns buf.
 */
char *fr_ranks_text(const bool *member, bool wanted, int n_ranks, char *buf, size_t bytes);

#endif

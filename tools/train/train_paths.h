/* train_paths.h - what is written must not be what is read, or something else. */
#ifndef FR_TRAIN_PATHS_H
#define FR_TRAIN_PATHS_H

#include <stdbool.h>
#include <stddef.h>

struct fr_train_options;

/*
 * fr_train_paths_check - false, with the options and the path in `why`, when a result would
 * replace a file that the run reads, another of its results, or a file that is no checkpoint.
 * A checkpoint may replace the one that the run resumes from.
 */
bool fr_train_paths_check(const struct fr_train_options *o, char *why, size_t n);

#endif

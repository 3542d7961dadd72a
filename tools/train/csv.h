/* csv.h - samples from comma-separated text: features first, the label last. */
#ifndef FR_CSV_H
#define FR_CSV_H

#include "tools/train/dataset.h"

/*
 * fr_csv_parse - all of `text`, n bytes, which need not end in NUL or a line feed.
 *
 * Every line has as many numbers as the first, finite decimal ones; the last is a whole
 * number from 0 to FR_MAX_CLASSES - 1.  Lines may end in CR LF, blank lines are skipped, and
 * a first line of column names is recognised: none of its fields is a number, or all but
 * the last count 0, 1, 2 and so on.  Anything else is an error "NAME:LINE:COLUMN: ...", with
 * lines and (byte) columns from 1.  Pure: reads nothing but `text`.
 */
bool fr_csv_parse(const char *name, const char *text, size_t n, struct fr_dataset *out,
                  struct fr_train_error *error);

#endif

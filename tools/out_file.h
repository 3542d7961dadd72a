/*
 * out_file.h - files that a user names for results: plots, curves, JSON.
 *
 * The path may be anything that can be written: a file, a link to one, a pipe with a reader, a
 * device.  None of these functions hangs, and none takes a write for done that was not.
 */
#ifndef FR_OUT_FILE_H
#define FR_OUT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * fr_out_open - opens `path` for writing; a file may be read too.
 *
 * A file is emptied unless `keep`; then it is left as it is, at its beginning.  A pipe gets a few
 * seconds for its reader to come.  NULL, with the reason in `why`, on failure.
 */
FILE *fr_out_open(const char *path, bool keep, char *why, size_t n);
/* fr_out_is_file - can one go back in it, and cut it off? */
bool fr_out_is_file(FILE *f);
/* fr_out_flush - is all that was written so far where it belongs?  If not, the reason in `why`. */
bool fr_out_flush(FILE *f, char *why, size_t n);
/* fr_out_close - a pipe's reader has a moment to take what is left: scripts end it when this
 * program ends.  What fr_out_flush() did not see may be lost. */
void fr_out_close(FILE *f);
/* fr_out_put - `path` becomes these bytes; nothing of them is left in a file when that fails. */
bool fr_out_put(const char *path, const void *bytes, size_t n_bytes, char *why, size_t n);

#endif

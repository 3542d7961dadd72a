/*
 * stream.h - the program's standard streams: there when it starts, and checked when it ends.
 *
 * Whoever runs `ferrule` believes its exit status, so what could not be written makes it a failure.
 */
#ifndef FR_STREAM_H
#define FR_STREAM_H

#include <stdio.h>

/*
 * fr_streams_open - makes sure that descriptors 0, 1 and 2 are taken.
 *
 * Else the first socket or file that anybody opens would become the standard output of a program
 * that was started without one (">&-"), and get what is printed.  To write there fails, as before.
 */
void fr_streams_open(void);

/* fr_flush - fflush(), which remembers why standard output could not be written. */
void fr_flush(FILE *stream);

/*
 * fr_stdout_finish - at the end of the program or of a rank: writes what is left of standard
 * output.
 *
 * Returns `status`; or `failed`, after saying on stderr as `command` what went wrong, when standard
 * output was not written as a whole and `status` is 0.
 */
int fr_stdout_finish(const char *command, int status, int failed);

#endif

/* gnuplot.h - pictures, drawn by the program gnuplot. */
#ifndef FR_GNUPLOT_H
#define FR_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* fr_gnuplot_is_there - else false, with what to do about it in `why`. */
bool fr_gnuplot_is_there(char *why, size_t n);

/* fr_gnuplot_quote - writes a text for gnuplot, in its single quotes. */
void fr_gnuplot_quote(FILE *script, const char *text);

/*
 * fr_gnuplot_draw - runs a script, a file that was written up to its end, and writes the picture to
 * `path`.
 *
 * The script sets a terminal and no output: the picture comes through a pipe and is written here,
 * since gnuplot itself does not notice a full disk.  Its own messages go to stderr.
 */
bool fr_gnuplot_draw(FILE *script, const char *path, char *why, size_t n);

#endif

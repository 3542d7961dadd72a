/*
 * text.h - printf into memory and files, with a point in numbers whatever the program's locale.
 *
 * A program may have called setlocale() with a decimal comma.  Ranks and tools read what others
 * wrote, JSON among it, so whatever has a %f, %g or %e in it goes through here; the lint holds the
 * library to it.  Only the calling thread's locale is changed, and only while it formats.
 */
#ifndef FR_TEXT_H
#define FR_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* fr_format - snprintf(). */
int fr_format(char *out, size_t bytes, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* fr_vformat - vsnprintf(). */
int fr_vformat(char *out, size_t bytes, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
/* fr_print - fprintf(). */
int fr_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

/*
 * parse.h - numbers and hexadecimal digits from text that a person or a stranger wrote.
 *
 * Every function takes the whole text or refuses it: no leading or trailing blanks, no
 * empty text, no overflow, independent of the locale.  Outputs are written on success only.
 */
#ifndef FR_PARSE_H
#define FR_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* fr_parse_int - decimal digits, with or without a minus, between low and high. */
bool fr_parse_int(const char *text, int64_t low, int64_t high, int64_t *out);
/* fr_parse_real - decimal, as "0.5" or "1e3", between low and high; no infinity, no NaN. */
bool fr_parse_real(const char *text, double low, double high, double *out);
/* fr_parse_size - digits and one optional K, M, G or T (powers of 1024, either case). */
bool fr_parse_size(const char *text, uint64_t low, uint64_t high, uint64_t *out);
/* fr_parse_bool - 0, 1, yes, no, on or off. */
bool fr_parse_bool(const char *text, bool *out);
/* fr_parse_hex - exactly 2 * bytes hexadecimal digits. */
bool fr_parse_hex(const char *text, void *out, size_t bytes);
/* fr_hex_text - 2 * bytes digits and a NUL into `text`; returns text. */
char *fr_hex_text(const void *data, size_t bytes, char *text);

#endif

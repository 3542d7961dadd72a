/*
 * json.h - writing JSON, one value after the other, straight to a stream.
 *
 * The caller opens and closes objects and arrays in order; commas, quotes and escapes come
 * from here.  `key` is NULL inside an array and for the outermost value.
 */
#ifndef FR_JSON_H
#define FR_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct fr_json {
	FILE *out;
	bool needs_comma;
};

/* fr_json_init - prepares to write one document to `out`, which stays the caller's. */
void fr_json_init(struct fr_json *j, FILE *out);
/* fr_json_end - ends the document with a newline and flushes it. */
void fr_json_end(struct fr_json *j);

void fr_json_object_open(struct fr_json *j, const char *key);
void fr_json_object_close(struct fr_json *j);
void fr_json_array_open(struct fr_json *j, const char *key);
void fr_json_array_close(struct fr_json *j);

/* fr_json_text - NULL is written as null; bytes that are no UTF-8 become U+FFFD. */
void fr_json_text(struct fr_json *j, const char *key, const char *value);
void fr_json_int(struct fr_json *j, const char *key, int64_t value);
void fr_json_uint(struct fr_json *j, const char *key, uint64_t value);
/* fr_json_real - nine significant digits; infinities and NaN, which JSON lacks, as null. */
void fr_json_real(struct fr_json *j, const char *key, double value);
void fr_json_bool(struct fr_json *j, const char *key, bool value);
void fr_json_null(struct fr_json *j, const char *key);

#endif

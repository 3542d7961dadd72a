/* See csv.h. */
#include "config.h"

#include "tools/train/csv.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number that needs more digits than this is a mistake. */
#define FIELD_MAX 63

struct field {
	const char *begin, *end; /* without blanks around */
};

struct parser {
	const char *name;
	const char *at, *end; /* what is left of the text */
	const char *line_begin, *line_end;
	size_t line;       /* number of the current line */
	size_t n_columns;  /* of every line; 0: none seen yet */
	size_t first_line; /* the line that set n_columns */
	size_t row_capacity;
	struct fr_dataset *d;
	struct fr_train_error *error;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Moves to the next line that is not blank; false at the end of the text. */
static bool next_line(struct parser *p)
{
	while (p->at < p->end) {
		const char *feed = memchr(p->at, '\n', (size_t)(p->end - p->at));

		p->line++;
		p->line_begin = p->at;
		p->line_end = feed ? feed : p->end;
		p->at = feed ? feed + 1 : p->end;
		for (const char *c = p->line_begin; c < p->line_end; c++)
			if (!is_blank(*c))
				return true;
	}
	return false;
}

/* The field that begins at *cursor, and steps over its comma; false after the last one. */
static bool next_field(const struct parser *p, const char **cursor, struct field *out)
{
	if (!*cursor)
		return false;
	const char *comma = memchr(*cursor, ',', (size_t)(p->line_end - *cursor));

	out->begin = *cursor;
	out->end = comma ? comma : p->line_end;
	*cursor = comma ? comma + 1 : NULL;
	while (out->begin < out->end && is_blank(*out->begin))
		out->begin++;
	while (out->end > out->begin && is_blank(out->end[-1]))
		out->end--;
	return true;
}

/* Whole numbers are most of what image files hold. */
static bool parse_digits(const struct field *f, double *out)
{
	uint64_t x = 0;

	if (f->end == f->begin || f->end - f->begin > 15)
		return false;
	for (const char *c = f->begin; c < f->end; c++) {
		if (*c < '0' || *c > '9')
			return false;
		x = x * 10 + (uint64_t)(*c - '0');
	}
	*out = (double)x;
	return true;
}

/* A finite number in decimal, as float32 can hold it. */
static bool parse_number(const struct field *f, double *out)
{
	const size_t length = (size_t)(f->end - f->begin);
	char copy[FIELD_MAX + 1], *rest;

	if (parse_digits(f, out))
		return true;
	/* strtod() would also take "nan", "inf" and hexadecimal. */
	if (length == 0 || length > FIELD_MAX)
		return false;
	for (const char *c = f->begin; c < f->end; c++)
		if (!*c || !strchr("0123456789+-.eE", *c))
			return false;
	memcpy(copy, f->begin, length);
	copy[length] = '\0';
	const double x = strtod(copy, &rest);

	if (*rest || !(fabs(x) <= FLT_MAX))
		return false;
	*out = x;
	return true;
}

static bool fail_at(const struct parser *p, const char *where, const char *what)
{
	return fr_train_fail(p->error, "%s:%zu:%zu: %s", p->name, p->line,
	                     (size_t)(where - p->line_begin) + 1, what);
}

static bool fail_field(const struct parser *p, const struct field *f, const char *what)
{
	char shown[41], text[128];
	size_t n = 0;

	for (const char *c = f->begin; c < f->end && n < sizeof(shown) - 1; c++)
		shown[n++] = *c > ' ' && *c <= '~' ? *c : '?';
	shown[n] = '\0';
	snprintf(text, sizeof(text), "\"%s\" is not %s", shown, what);
	return fail_at(p, f->begin, text);
}

/* Is the current line one of column names?  See csv.h for the rule. */
static bool is_header(const struct parser *p)
{
	const char *cursor = p->line_begin;
	size_t n_fields = 0, n_numbers = 0, n_counting = 0;
	bool last_is_number = false;
	struct field f;
	double x;

	while (next_field(p, &cursor, &f)) {
		last_is_number = parse_number(&f, &x);
		n_numbers += last_is_number;
		n_counting += last_is_number && x == (double)n_fields;
		n_fields++;
	}
	return n_numbers == 0 || (!last_is_number && n_fields > 2 && n_counting == n_fields - 1);
}

/* Fixes the number of columns by the current line. */
static bool set_columns(struct parser *p)
{
	p->n_columns = 1;
	p->first_line = p->line;
	for (const char *c = p->line_begin; c < p->line_end; c++)
		p->n_columns += *c == ',';
	if (p->n_columns < 2)
		return fail_at(p, p->line_begin,
		               "one value where at least a feature and a label are needed");
	p->d->n_features = p->n_columns - 1;
	return true;
}

/* Room for one row more.  Grows with the rows really read, so that a hostile file cannot
 * ask for more memory than a multiple of its own size. */
static bool reserve_row(struct parser *p)
{
	if (p->d->n < p->row_capacity)
		return true;
	const size_t capacity = p->row_capacity ? 2 * p->row_capacity : 16;
	const size_t row_bytes = p->d->n_features * sizeof(float);
	float *floats = NULL;
	uint32_t *labels = NULL;

	if (capacity <= SIZE_MAX / 2 / row_bytes) {
		floats = realloc(p->d->floats, capacity * row_bytes);
		p->d->floats = floats ? floats : p->d->floats;
		labels = realloc(p->d->labels, capacity * sizeof(*labels));
		p->d->labels = labels ? labels : p->d->labels;
	}
	if (!floats || !labels)
		return fr_train_fail(p->error, "%s: no memory for %zu samples of %zu features",
		                     p->name, capacity, p->d->n_features);
	p->row_capacity = capacity;
	return true;
}

static bool store_label(struct parser *p, const struct field *f, double x)
{
	struct fr_dataset *d = p->d;

	if (!(x >= 0 && x < FR_MAX_CLASSES) || x != floor(x))
		return fail_field(p, f, "a label: a whole number from 0 to 65535");
	d->labels[d->n] = (uint32_t)x;
	if (d->labels[d->n] >= d->n_classes)
		d->n_classes = d->labels[d->n] + 1;
	return true;
}

static bool parse_row(struct parser *p)
{
	const char *cursor = p->line_begin;
	const size_t n_features = p->n_columns - 1;
	float *row = p->d->floats + p->d->n * n_features;
	struct field f;
	size_t i = 0;
	double x = 0;

	for (; next_field(p, &cursor, &f); i++) {
		if (i >= p->n_columns)
			return fr_train_fail(p->error,
			                     "%s:%zu:%zu: more values than the %zu of "
			                     "line %zu",
			                     p->name, p->line,
			                     (size_t)(f.begin - p->line_begin) + 1, p->n_columns,
			                     p->first_line);
		if (!parse_number(&f, &x))
			return fail_field(p, &f, "a finite decimal number");
		if (i < n_features)
			row[i] = (float)x;
		else if (!store_label(p, &f, x))
			return false;
	}
	if (i < p->n_columns)
		return fr_train_fail(p->error, "%s:%zu:%zu: %zu values where line %zu has %zu",
		                     p->name, p->line, (size_t)(p->line_end - p->line_begin) + 1, i,
		                     p->first_line, p->n_columns);
	p->d->n++;
	return true;
}

static bool parse_all(struct parser *p)
{
	bool is_first = true;

	while (next_line(p)) {
		const bool skip = is_first && is_header(p);

		is_first = false;
		if (p->n_columns == 0 && !set_columns(p))
			return false;
		if (!skip && !(reserve_row(p) && parse_row(p)))
			return false;
	}
	if (p->d->n == 0)
		return fr_train_fail(p->error, "%s: no samples in it", p->name);
	return true;
}

bool fr_csv_parse(const char *name, const char *text, size_t n, struct fr_dataset *out,
                  struct fr_train_error *error)
{
	struct fr_dataset d = {0};
	struct parser p = {.name = name, .at = text, .end = text + n, .d = &d, .error = error};

	/* UTF-8's byte order mark, as spreadsheets write it. */
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		p.at += 3;
	if (!parse_all(&p)) {
		fr_dataset_fini(&d);
		return false;
	}
	*out = d;
	return true;
}

#include "tools/json.h"

#include <inttypes.h>
#include <math.h>

#include "tools/stream.h"

void fr_json_init(struct fr_json *j, FILE *out)
{
	j->out = out;
	j->needs_comma = false;
}

void fr_json_end(struct fr_json *j)
{
	fputc('\n', j->out);
	fr_flush(j->out);
}

/* Length of the valid UTF-8 sequence at `s`, 0 when there is none (RFC 3629: no surrogates, no
 * overlong forms, nothing above U+10FFFF). */
static int utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	const int length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	for (int i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))
		return 0;
	if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return length;
}

static void write_escaped(FILE *out, unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		fprintf(out, "\\%c", c);
		return;
	case '\n':
		fputs("\\n", out);
		return;
	case '\t':
		fputs("\\t", out);
		return;
	case '\r':
		fputs("\\r", out);
		return;
	default:
		if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
}

static void write_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		const int length = utf8_length(s);
		if (length == 0) {
			fputs("\\ufffd", out);
			s++;
		} else if (length == 1) {
			write_escaped(out, *s++);
		} else {
			fwrite(s, 1, (size_t)length, out);
			s += length;
		}
	}
	fputc('"', out);
}

/* What stands before any value: a comma after an earlier one, and the key. */
static void begin_value(struct fr_json *j, const char *key)
{
	if (j->needs_comma)
		fputs(", ", j->out);
	if (key) {
		write_string(j->out, key);
		fputs(": ", j->out);
	}
	j->needs_comma = true;
}

static void open_bracket(struct fr_json *j, const char *key, char bracket)
{
	begin_value(j, key);
	fputc(bracket, j->out);
	j->needs_comma = false;
}

static void close_bracket(struct fr_json *j, char bracket)
{
	fputc(bracket, j->out);
	j->needs_comma = true;
}

void fr_json_object_open(struct fr_json *j, const char *key)
{
	open_bracket(j, key, '{');
}

void fr_json_object_close(struct fr_json *j)
{
	close_bracket(j, '}');
}

void fr_json_array_open(struct fr_json *j, const char *key)
{
	open_bracket(j, key, '[');
}

void fr_json_array_close(struct fr_json *j)
{
	close_bracket(j, ']');
}

void fr_json_text(struct fr_json *j, const char *key, const char *value)
{
	begin_value(j, key);
	if (value)
		write_string(j->out, value);
	else
		fputs("null", j->out);
}

void fr_json_int(struct fr_json *j, const char *key, int64_t value)
{
	begin_value(j, key);
	fprintf(j->out, "%" PRId64, value);
}

void fr_json_uint(struct fr_json *j, const char *key, uint64_t value)
{
	begin_value(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void fr_json_real(struct fr_json *j, const char *key, double value)
{
	begin_value(j, key);
	if (isfinite(value))
		fprintf(j->out, "%.9g", value);
	else
		fputs("null", j->out);
}

void fr_json_bool(struct fr_json *j, const char *key, bool value)
{
	begin_value(j, key);
	fputs(value ? "true" : "false", j->out);
}

void fr_json_null(struct fr_json *j, const char *key)
{
	begin_value(j, key);
	fputs("null", j->out);
}

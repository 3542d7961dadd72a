#include "config.h"

#include "lib/base/parse.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Digits from the start of `text`; returns their end, or NULL when there are none or too many. */
static const char *take_digits(const char *text, uint64_t *out)
{
	const char *at = text;
	uint64_t value = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		const uint64_t digit = (uint64_t)(*at - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return NULL;
		value = value * 10 + digit;
	}
	if (at == text)
		return NULL;
	*out = value;
	return at;
}

bool fr_parse_int(const char *text, int64_t low, int64_t high, int64_t *out)
{
	const bool negative = text[0] == '-';
	uint64_t magnitude;
	const char *end = take_digits(text + negative, &magnitude);

	if (!end || *end != '\0' || magnitude > INT64_MAX)
		return false;
	const int64_t value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	if (value < low || value > high)
		return false;
	*out = value;
	return true;
}

bool fr_parse_real(const char *text, double low, double high, double *out)
{
	char *end;

	/* Keeps out what strtod takes besides: blanks, hexadecimal, "inf" and "nan". */
	if (text[0] == '\0' || strspn(text, "+-.eE0123456789") != strlen(text))
		return false;
	/* A program may have set a locale whose decimal point is a comma. */
	locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (c_locale == (locale_t)0)
		return false;
	const double value = strtod_l(text, &end, c_locale);
	freelocale(c_locale);
	if (*end != '\0' || !isfinite(value) || value < low || value > high)
		return false;
	*out = value;
	return true;
}

/* Power of two that a suffix stands for, -1 for what is no suffix. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "kKmMgGtT";

	if (suffix[0] == '\0')
		return 0;
	const char *found = strchr(letters, suffix[0]);
	if (!found || suffix[1] != '\0')
		return -1;
	return 10 * (1 + (int)(found - letters) / 2);
}

bool fr_parse_size(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
	uint64_t value;
	const char *suffix = take_digits(text, &value);

	if (!suffix)
		return false;
	const int shift = suffix_shift(suffix);
	if (shift < 0 || value > UINT64_MAX >> shift)
		return false;
	value <<= shift;
	if (value < low || value > high)
		return false;
	*out = value;
	return true;
}

bool fr_parse_bool(const char *text, bool *out)
{
	static const char *const words[] = {"0", "1", "no", "yes", "off", "on"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		*out = i % 2 == 1;
		return true;
	}
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool fr_parse_hex(const char *text, void *out, size_t bytes)
{
	unsigned char *to = out;

	if (strlen(text) != 2 * bytes)
		return false;
	for (size_t i = 0; i < 2 * bytes; i++)
		if (hex_digit(text[i]) < 0)
			return false;
	for (size_t i = 0; i < bytes; i++)
		to[i] = (unsigned char)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return true;
}

char *fr_hex_text(const void *data, size_t bytes, char *text)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *from = data;

	for (size_t i = 0; i < bytes; i++) {
		text[2 * i] = digits[from[i] >> 4];
		text[2 * i + 1] = digits[from[i] & 15];
	}
	text[2 * bytes] = '\0';
	return text;
}

#include "config.h"

#include "lib/comm/boot_pmi_wire.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/parse.h"

/* One pair "name=value" of a message. */
struct pair {
	const char *name, *value;
	size_t name_bytes, value_bytes;
};

/* Where the pair ends: at a separator, of which PMI-2 takes two for one that is meant. */
static const char *end_of_pair(enum fr_pmi_version version, const char *at)
{
	if (version == FR_PMI_1)
		return at + strcspn(at, " \n");
	for (;; at += 2) {
		at += strcspn(at, ";");
		if (*at == '\0' || at[1] != ';')
			return at;
	}
}

/* Reads the pair at `at`; returns where the next one begins, NULL at the end. */
static const char *next_pair(enum fr_pmi_version version, const char *at, struct pair *out)
{
	at += version == FR_PMI_1 ? strspn(at, " \n") : 0;
	if (*at == '\0')
		return NULL;
	const char *end = end_of_pair(version, at);
	const char *equals = memchr(at, '=', (size_t)(end - at));
	if (!equals)
		equals = end;
	out->name = at;
	out->name_bytes = (size_t)(equals - at);
	out->value = equals < end ? equals + 1 : end;
	out->value_bytes = (size_t)(end - out->value);
	return *end ? end + 1 : end;
}

/* Copies a value; false when it does not fit. */
static bool copy_value(enum fr_pmi_version version, const struct pair *pair, char *out,
                       size_t bytes)
{
	size_t n = 0;

	/* Escapes only make it shorter. */
	if (pair->value_bytes >= bytes)
		return false;
	for (size_t i = 0; i < pair->value_bytes; i++) {
		out[n++] = pair->value[i];
		i += version == FR_PMI_2 && pair->value[i] == ';';
	}
	out[n] = '\0';
	return true;
}

bool fr_pmi_value(enum fr_pmi_version version, const char *message, const char *name, char *out,
                  size_t bytes)
{
	const size_t length = strlen(name);
	struct pair pair;

	while ((message = next_pair(version, message, &pair)) != NULL)
		if (pair.name_bytes == length && memcmp(pair.name, name, length) == 0)
			return copy_value(version, &pair, out, bytes);
	return false;
}

bool fr_pmi_number(enum fr_pmi_version version, const char *message, const char *name, int low,
                   int high, int *out)
{
	char text[24];
	int64_t value;

	if (!fr_pmi_value(version, message, name, text, sizeof(text)) ||
	    !fr_parse_int(text, low, high, &value))
		return false;
	*out = (int)value;
	return true;
}

bool fr_pmi_is(enum fr_pmi_version version, const char *message, const char *command)
{
	char text[40];

	return fr_pmi_value(version, message, "cmd", text, sizeof(text)) &&
	       strcmp(text, command) == 0;
}

void fr_pmi_put_length(size_t bytes, char out[FR_PMI_LENGTH_BYTES])
{
	char text[24];

	snprintf(text, sizeof(text), "%6zu", bytes);
	memcpy(out, text, FR_PMI_LENGTH_BYTES);
}

bool fr_pmi_get_length(const char in[FR_PMI_LENGTH_BYTES], size_t *bytes_out)
{
	char text[FR_PMI_LENGTH_BYTES + 1] = "";
	int64_t value;

	/* Some launchers fill up on the left, some on the right. */
	memcpy(text, in, FR_PMI_LENGTH_BYTES);
	const char *at = text + strspn(text, " ");
	text[(size_t)(at - text) + strcspn(at, " ")] = '\0';
	if (!fr_parse_int(at, 1, FR_PMI_MESSAGE_BYTES - 1, &value))
		return false;
	*bytes_out = (size_t)value;
	return true;
}

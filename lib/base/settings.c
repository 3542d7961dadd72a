/*
 * settings.c - parses the table in settings.h.
 *
 * The text of every setting is checked even when nobody will use it: a typing error should
 * stop a job at its start, not on the one machine that takes the other path.
 */
#include "config.h"

#include "lib/base/settings.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/netif.h"
#include "lib/base/parse.h"

enum kind { KIND_INT, KIND_REAL, KIND_BOOL, KIND_SIZE, KIND_TEXT, KIND_WORD };

struct row {
	const char *name;
	enum kind kind;
	const char *default_value;
	double low, high;
	const char *allowed;
	size_t offset; /* of the member in struct fr_settings */
};

static const struct row rows[FR_N_SETTINGS] = {
#define SETTING_ROW(member, name, kind, value, low, high, allowed, meaning) \
	{name, KIND_##kind, value, low, high, allowed, offsetof(struct fr_settings, member)},
	FR_SETTING_MAP(SETTING_ROW)
#undef SETTING_ROW
};

#define PREFIX "FERRULE_"

/* Environment names that are longer match no setting; the warning shows this much of them. */
#define NAME_MAX_BYTES 64

/* Is `text` one of the words in "one|two|three"? */
static bool is_one_of(const char *text, const char *words)
{
	const size_t length = strlen(text);

	for (const char *at = words;; at++) {
		const char *end = strchrnul(at, '|');
		if ((size_t)(end - at) == length && memcmp(at, text, length) == 0)
			return true;
		if (*end == '\0')
			return false;
		at = end;
	}
}

/* Stores `text` as the value of a setting; false when it is not allowed. */
static bool store(const struct row *row, const char *text, struct fr_settings *out)
{
	void *member = (char *)out + row->offset;

	switch (row->kind) {
	case KIND_INT:
		return fr_parse_int(text, (int64_t)row->low, (int64_t)row->high, member);
	case KIND_REAL:
		return fr_parse_real(text, row->low, row->high, member);
	case KIND_BOOL:
		return fr_parse_bool(text, member);
	case KIND_SIZE:
		return fr_parse_size(text, (uint64_t)row->low, (uint64_t)row->high, member);
	case KIND_WORD:
		if (!is_one_of(text, row->allowed))
			return false;
		break;
	case KIND_TEXT:
		break;
	}
	*(const char **)member = text;
	return true;
}

static void store_defaults(struct fr_settings *out)
{
	memset(out, 0, sizeof(*out));
	for (int i = 0; i < FR_N_SETTINGS; i++)
		store(&rows[i], rows[i].default_value, out);
}

/* The key is a secret: its error says how long it is, not what it is. */
static ferrule_status_t check_job_key(const char *text)
{
	unsigned char key[32];

	if (text[0] == '\0' || fr_parse_hex(text, key, sizeof(key)))
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_SETTING,
	                "FERRULE_JOB_KEY has %zu characters%s; allowed: 64 hexadecimal digits",
	                strlen(text), strlen(text) == 64 ? ", some of them no digits" : "");
}

static ferrule_status_t check_socket_ifname(const char *text)
{
	char why[200];

	if (fr_netif_check(text, why, sizeof(why)))
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_SETTING, "FERRULE_SOCKET_IFNAME=%.120s is not allowed: %s",
	                text, why);
}

/* Row of the setting that "NAME=value" sets and its value; NULL when it sets none. */
static const struct row *find_row(const char *assignment, const char **value_out)
{
	const char *equals = strchr(assignment, '=');

	if (!equals)
		return NULL;
	for (int i = 0; i < FR_N_SETTINGS; i++) {
		const size_t length = strlen(rows[i].name);
		if ((size_t)(equals - assignment) != length ||
		    memcmp(assignment, rows[i].name, length) != 0)
			continue;
		*value_out = equals + 1;
		return &rows[i];
	}
	return NULL;
}

ferrule_status_t fr_settings_parse(const char *const *env, struct fr_settings *out)
{
	struct fr_settings parsed;

	store_defaults(&parsed);
	for (; *env; env++) {
		const char *value;
		const struct row *row = find_row(*env, &value);
		if (!row)
			continue;
		/* Set but empty is how a shell says "not set". */
		if (value[0] == '\0')
			value = row->default_value;
		if (!store(row, value, &parsed))
			return fr_error(FERRULE_ERR_SETTING, "%s=%.80s is not allowed; allowed: %s",
			                row->name, value, row->allowed);
	}
	ferrule_status_t status = check_job_key(parsed.job_key);
	if (status == FERRULE_OK)
		status = check_socket_ifname(parsed.socket_ifname);
	if (status == FERRULE_OK)
		*out = parsed;
	return status;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	const size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Insertions, removals and replacements that turn `a` into `b` (Levenshtein). */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_BYTES + 1];
	const size_t n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			const size_t above = row[j + 1];
			row[j + 1] = min3(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
			diagonal = above;
		}
	}
	return row[n];
}

const char *fr_settings_nearest(const char *name)
{
	const char *best = NULL;
	/* More than this many slips and the guess helps nobody. */
	size_t best_distance = 5;

	for (int i = 0; i < FR_N_SETTINGS; i++) {
		const size_t distance = edit_distance(name, rows[i].name);
		if (distance >= best_distance)
			continue;
		best = rows[i].name;
		best_distance = distance;
	}
	return best;
}

static void warn_unknown(const char *const *env)
{
	for (; *env; env++) {
		char name[NAME_MAX_BYTES];
		const char *value;
		if (strncmp(*env, PREFIX, strlen(PREFIX)) != 0 || find_row(*env, &value))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*env, "="), *env);
		const char *nearest = fr_settings_nearest(name);
		if (nearest)
			fr_log(FR_LOG_WARNING, "%s is no setting; did you mean %s?", name, nearest);
		else
			fr_log(FR_LOG_WARNING, "%s is no setting; `ferrule info` lists them", name);
	}
}

/* Room for all texts that the environment sets. */
#define TEXTS_BYTES 16384

/* The read-once answer, written by load_once() only.  Values are the defaults after a failure. */
static struct {
	pthread_once_t once;
	ferrule_status_t status;
	struct fr_settings values;
	char why[512];
	char texts[TEXTS_BYTES]; /* of values that the environment sets */
} loaded = {.once = PTHREAD_ONCE_INIT};

/*
 * Texts point into the environment, which the program may change later, so they are copied.
 * The copies live as long as the process, and are not allocated: nobody could free them.
 */
static ferrule_status_t copy_texts(struct fr_settings *values)
{
	size_t used = 0;

	for (int i = 0; i < FR_N_SETTINGS; i++) {
		if (rows[i].kind != KIND_TEXT && rows[i].kind != KIND_WORD)
			continue;
		const char **text = (const char **)((char *)values + rows[i].offset);
		const size_t bytes = strlen(*text) + 1;
		if (*text == rows[i].default_value)
			continue;
		if (bytes > sizeof(loaded.texts) - used)
			return fr_error(FERRULE_ERR_SETTING,
			                "%s has %zu characters; allowed: %zu for all settings that "
			                "are texts together",
			                rows[i].name, bytes - 1, sizeof(loaded.texts));
		*text = memcpy(loaded.texts + used, *text, bytes);
		used += bytes;
	}
	return FERRULE_OK;
}

static enum fr_log_level level_of(const char *word)
{
	static const char *const words[] = {"error", "warning", "info", "debug"};
	int level = FR_LOG_ERROR;

	while (level < FR_LOG_DEBUG && strcmp(word, words[level]) != 0)
		level++;
	return (enum fr_log_level)level;
}

/*
 * Children of this process are no ranks, and have no business with the key.  The kernel writes over
 * it first, since a string given to putenv() may be one that cannot be written to; then it is gone
 * from /proc/PID/environ as well.
 */
static void hide_job_key(void)
{
	char *key = getenv("FERRULE_JOB_KEY");
	const size_t bytes = key ? strlen(key) : 0;

	if (!key)
		return;
	if (bytes > 0 && getrandom(key, bytes, 0) == (ssize_t)bytes)
		memset(key, 0, bytes);
	unsetenv("FERRULE_JOB_KEY");
}

static void load_once(void)
{
	static const char *const empty[] = {NULL};
	const char *const *env = environ ? (const char *const *)environ : empty;
	struct fr_settings values;

	store_defaults(&loaded.values);
	loaded.status = fr_settings_parse(env, &values);
	if (loaded.status == FERRULE_OK)
		loaded.status = copy_texts(&values);
	if (loaded.status != FERRULE_OK) {
		snprintf(loaded.why, sizeof(loaded.why), "%s", fr_error_text());
		return;
	}
	loaded.values = values;
	hide_job_key();
	fr_log_set_level(level_of(values.log));
	warn_unknown(env);
}

ferrule_status_t fr_settings_load(void)
{
	pthread_once(&loaded.once, load_once);
	if (loaded.status != FERRULE_OK)
		return fr_error(loaded.status, "%s", loaded.why);
	return FERRULE_OK;
}

const struct fr_settings *fr_settings(void)
{
	pthread_once(&loaded.once, load_once);
	return &loaded.values;
}

#include "tools/options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/command.h"

#define MAX_OPTIONS 64

/* One reading of one command line. */
struct parser {
	const struct fr_usage *usage;
	char *fields;
	char **argv;
	int argc;
	int at; /* the argument being read */
};

bool fr_size_parse(const char *text, uint64_t *bytes_out)
{
	static const char suffixes[] = "KMGT";

	if (text[0] < '0' || text[0] > '9')
		return false;
	char *end;
	errno = 0;
	const unsigned long long number = strtoull(text, &end, 10);
	if (errno)
		return false;
	int shift = 0;
	if (*end) {
		const char upper = *end >= 'a' && *end <= 'z' ? (char)(*end - 'a' + 'A') : *end;
		const char *const suffix = strchr(suffixes, upper);
		if (!suffix || end[1])
			return false;
		shift = 10 * (int)(suffix - suffixes + 1);
	}
	if (number > UINT64_MAX >> shift)
		return false;
	*bytes_out = (uint64_t)number << shift;
	return true;
}

const char *fr_size_format(uint64_t bytes, char out[24])
{
	static const char suffixes[] = " KMGT";

	int step = 0;
	while (step < 4 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		step++;
	}
	if (step)
		snprintf(out, 24, "%llu%c", (unsigned long long)bytes, suffixes[step]);
	else
		snprintf(out, 24, "%llu", (unsigned long long)bytes);
	return out;
}

static void print_usage_error(const struct fr_usage *usage, const char *format, va_list args)
{
	fprintf(stderr, "%s: ", usage->command);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\nTry '%s --help'.\n", usage->command);
}

int fr_usage_error(const struct fr_usage *usage, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	print_usage_error(usage, format, args);
	va_end(args);
	return FR_EXIT_USAGE;
}

/* The column at which every option's help begins. */
#define HELP_COLUMN 26

static void print_option_help(char short_name, const char *long_name, const char *argument,
                              const char *help)
{
	char left[96];
	if (short_name)
		snprintf(left, sizeof(left), "  -%c, --%s%s%s", short_name, long_name,
		         argument ? " " : "", argument ? argument : "");
	else
		snprintf(left, sizeof(left), "      --%s%s%s", long_name, argument ? " " : "",
		         argument ? argument : "");
	printf("%-*s", HELP_COLUMN, left);
	if (strlen(left) >= HELP_COLUMN)
		printf("\n%*s", HELP_COLUMN, "");
	while (true) {
		const size_t line = strcspn(help, "\n");
		printf("%.*s\n", (int)line, help);
		if (!help[line])
			return;
		help += line + 1;
		printf("%*s", HELP_COLUMN, "");
	}
}

void fr_options_help(const struct fr_usage *usage)
{
	printf("Usage: %s %s\n\n%s\n\nOptions:\n", usage->command, usage->synopsis, usage->summary);
	for (const struct fr_option *o = usage->options; o->long_name; o++)
		print_option_help(o->short_name, o->long_name, o->argument, o->help);
	print_option_help('h', "help", NULL, "print this and exit");
	if (usage->notes)
		printf("\n%s\n", usage->notes);
}

/* "-b, --minbytes", as errors name an option. */
static const char *option_title(const struct fr_option *o, char *title, size_t n)
{
	if (o->short_name)
		snprintf(title, n, "-%c, --%s", o->short_name, o->long_name);
	else
		snprintf(title, n, "--%s", o->long_name);
	return title;
}

static enum fr_parsed bad_value(const struct parser *p, const struct fr_option *o,
                                const char *value, const char *allowed)
{
	char title[64];
	fr_usage_error(p->usage, "option %s: '%s' is not allowed; allowed: %s",
	               option_title(o, title, sizeof(title)), value, allowed);
	return FR_PARSED_BAD;
}

static enum fr_parsed store_int(struct parser *p, const struct fr_option *o, const char *value)
{
	char *end;
	errno = 0;
	const long long number = strtoll(value, &end, 10);
	if (end == value || *end || errno || (double)number < o->low || (double)number > o->high) {
		char allowed[80];
		snprintf(allowed, sizeof(allowed), "a whole number, %.0f to %.0f", o->low, o->high);
		return bad_value(p, o, value, allowed);
	}
	*(int64_t *)(p->fields + o->offset) = number;
	return FR_PARSED_RUN;
}

static enum fr_parsed store_real(struct parser *p, const struct fr_option *o, const char *value)
{
	char *end;
	const double number = strtod(value, &end);
	if (end == value || *end || !isfinite(number) || number < o->low || number > o->high) {
		char allowed[80];
		snprintf(allowed, sizeof(allowed), "a number, %g to %g", o->low, o->high);
		return bad_value(p, o, value, allowed);
	}
	*(double *)(p->fields + o->offset) = number;
	return FR_PARSED_RUN;
}

static enum fr_parsed store_size(struct parser *p, const struct fr_option *o, const char *value)
{
	uint64_t bytes;
	if (!fr_size_parse(value, &bytes) || (double)bytes < o->low || (double)bytes > o->high) {
		char allowed[120], low[24], high[24];
		snprintf(allowed, sizeof(allowed),
		         "bytes, or with K, M, G or T for powers of 1024; %s to %s",
		         fr_size_format((uint64_t)o->low, low),
		         fr_size_format((uint64_t)o->high, high));
		return bad_value(p, o, value, allowed);
	}
	*(uint64_t *)(p->fields + o->offset) = bytes;
	return FR_PARSED_RUN;
}

static bool is_one_of(const char *value, const char *words)
{
	const size_t length = strlen(value);
	while (length && *words) {
		const size_t word = strcspn(words, "|");
		if (word == length && memcmp(words, value, length) == 0)
			return true;
		words += word + (words[word] == '|');
	}
	return false;
}

static enum fr_parsed store_text(struct parser *p, const struct fr_option *o, const char *value)
{
	if (!value[0])
		return bad_value(p, o, value, "a text that is not empty");
	if (o->kind == FR_OPTION_WORD && !is_one_of(value, o->words))
		return bad_value(p, o, value, o->words);
	*(const char **)(p->fields + o->offset) = value;
	return FR_PARSED_RUN;
}

static enum fr_parsed store_value(struct parser *p, const struct fr_option *o, const char *value)
{
	switch (o->kind) {
	case FR_OPTION_INT:
		return store_int(p, o, value);
	case FR_OPTION_REAL:
		return store_real(p, o, value);
	case FR_OPTION_SIZE:
		return store_size(p, o, value);
	case FR_OPTION_TEXT:
	case FR_OPTION_WORD:
		return store_text(p, o, value);
	case FR_OPTION_FLAG:
		*(bool *)(p->fields + o->offset) = true;
		return FR_PARSED_RUN;
	}
	return FR_PARSED_BAD;
}

/* An option and its argument, which is `attached` (after = or a short name) or the next word. */
static enum fr_parsed take_option(struct parser *p, const struct fr_option *o, const char *attached)
{
	char title[64];
	option_title(o, title, sizeof(title));
	if (o->kind == FR_OPTION_FLAG) {
		if (!attached)
			return store_value(p, o, NULL);
		fr_usage_error(p->usage, "option %s takes no argument, got '%s'", title, attached);
		return FR_PARSED_BAD;
	}
	if (attached)
		return store_value(p, o, attached);
	if (p->at + 1 >= p->argc) {
		fr_usage_error(p->usage, "option %s needs an argument, %s", title, o->argument);
		return FR_PARSED_BAD;
	}
	return store_value(p, o, p->argv[++p->at]);
}

static void unknown_long_option(const struct parser *p, const char *name)
{
	const char *names[MAX_OPTIONS + 2];
	int n = 0;
	for (const struct fr_option *o = p->usage->options; o->long_name && n < MAX_OPTIONS; o++)
		names[n++] = o->long_name;
	names[n++] = "help";
	names[n] = NULL;
	const char *const nearest = fr_nearest(name, names);
	if (nearest)
		fr_usage_error(p->usage, "unknown option --%s; did you mean --%s?", name, nearest);
	else
		fr_usage_error(p->usage, "unknown option --%s", name);
}

static enum fr_parsed take_long(struct parser *p, const char *text)
{
	char name[64];
	const size_t length = strcspn(text, "=");
	const char *const attached = text[length] == '=' ? text + length + 1 : NULL;
	snprintf(name, sizeof(name), "%.*s", (int)length, text);
	if (strcmp(name, "help") == 0 && !attached) {
		fr_options_help(p->usage);
		return FR_PARSED_HELP;
	}
	for (const struct fr_option *o = p->usage->options; o->long_name; o++) {
		if (strcmp(o->long_name, name) == 0)
			return take_option(p, o, attached);
	}
	unknown_long_option(p, name);
	return FR_PARSED_BAD;
}

static const struct fr_option *find_short(const struct fr_usage *usage, char name)
{
	for (const struct fr_option *o = usage->options; o->long_name; o++) {
		if (o->short_name == name)
			return o;
	}
	return NULL;
}

/* "-b8", "-b 8", and several flags in one word. */
static enum fr_parsed take_short(struct parser *p, const char *text)
{
	for (; *text; text++) {
		const struct fr_option *const o = find_short(p->usage, *text);
		if (!o && *text == 'h') {
			fr_options_help(p->usage);
			return FR_PARSED_HELP;
		}
		if (!o) {
			fr_usage_error(p->usage, "unknown option -%c", *text);
			return FR_PARSED_BAD;
		}
		if (o->kind != FR_OPTION_FLAG)
			return take_option(p, o, text[1] ? text + 1 : NULL);
		const enum fr_parsed parsed = take_option(p, o, NULL);
		if (parsed != FR_PARSED_RUN)
			return parsed;
	}
	return FR_PARSED_RUN;
}

/* Moves the operands found so far behind the options just read: [.. operands options] becomes
 * [.. options operands]. */
static void rotate(char **argv, int first, int middle, int end)
{
	while (middle < end) {
		char *const moved = argv[middle];
		memmove(argv + first + 1, argv + first, sizeof(*argv) * (size_t)(middle - first));
		argv[first++] = moved;
		middle++;
	}
}

static enum fr_parsed check_operands(const struct fr_usage *usage, int argc, char **argv, int first)
{
	const int n = argc - first;
	if (n < usage->min_operands) {
		fr_usage_error(usage, "%s is missing", usage->operands);
		return FR_PARSED_BAD;
	}
	if (usage->max_operands >= 0 && n > usage->max_operands) {
		fr_usage_error(usage, "unexpected argument '%s'; allowed: %s",
		               argv[first + usage->max_operands],
		               usage->operands ? usage->operands : "options only");
		return FR_PARSED_BAD;
	}
	return FR_PARSED_RUN;
}

enum fr_parsed fr_options_parse(const struct fr_usage *usage, int argc, char **argv, void *fields,
                                int *first_operand_out)
{
	struct parser p = {.usage = usage, .fields = fields, .argv = argv, .argc = argc};
	int first = 1; /* operands are argv[first .. p.at) while the loop runs */

	for (p.at = 1; p.at < argc; p.at++) {
		const char *const text = argv[p.at];
		const int begin = p.at;
		const bool is_end = strcmp(text, "--") == 0;
		if (text[0] != '-' || !text[1]) {
			if (usage->stop_at_operand)
				break;
			continue;
		}
		enum fr_parsed parsed = FR_PARSED_RUN;
		if (!is_end)
			parsed =
				text[1] == '-' ? take_long(&p, text + 2) : take_short(&p, text + 1);
		if (parsed != FR_PARSED_RUN)
			return parsed;
		rotate(argv, first, begin, p.at + 1);
		first += p.at + 1 - begin;
		if (is_end)
			break;
	}
	*first_operand_out = first;
	return check_operands(usage, argc, argv, first);
}

/*
 * options.h - one way to read a command line for every subcommand.
 *
 * A subcommand states its options as a table; parsing, checking and --help follow from it.
 * Options may stand before and after operands, unless the command passes the rest of its line
 * on to another program; "--" ends them.  A later option wins over an earlier one.
 */
#ifndef FR_OPTIONS_H
#define FR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fr_option_kind {
	FR_OPTION_FLAG, /* bool, no argument */
	FR_OPTION_INT,  /* int64_t in [low, high] */
	FR_OPTION_REAL, /* double in [low, high] */
	FR_OPTION_SIZE, /* uint64_t bytes in [low, high]: digits and K, M, G or T (powers of 1024)
	                 */
	FR_OPTION_TEXT, /* const char *, anything but empty */
	FR_OPTION_WORD, /* const char *, one of `words` */
};

struct fr_option {
	char short_name; /* 0: none */
	const char *long_name;
	const char *argument; /* its name in --help; NULL for a flag */
	enum fr_option_kind kind;
	size_t offset; /* of the field in the command's structure that receives the value */
	double low, high;
	const char *words; /* "shm|tcp" */
	const char *help;  /* one or more lines, parted by \n */
};

struct fr_usage {
	const char *command;             /* "ferrule bench" */
	const char *synopsis;            /* what follows the command: "[OPTIONS] COLLECTIVE" */
	const char *summary;             /* a few lines on what it does */
	const char *notes;               /* after the options: examples, exit status; may be NULL */
	const struct fr_option *options; /* ended by long_name NULL; --help is added */
	int min_operands, max_operands;
	const char *operands; /* in words, for errors: "one COLLECTIVE" */
	bool stop_at_operand; /* what follows the first operand is not ours to read */
};

/* What parsing came to. */
enum fr_parsed {
	FR_PARSED_RUN,  /* go on */
	FR_PARSED_HELP, /* --help was printed: exit with 0 */
	FR_PARSED_BAD,  /* the error was printed on stderr: exit with 2 */
};

/*
 * fr_options_parse - reads argv into `fields`, which holds the defaults on entry.
 *
 * Operands are moved to the end of argv, in order; *first_operand_out is the first one's index.
 * Texts and words point into argv.
 */
enum fr_parsed fr_options_parse(const struct fr_usage *usage, int argc, char **argv, void *fields,
                                int *first_operand_out);

/* fr_options_help - prints what --help prints to stdout. */
void fr_options_help(const struct fr_usage *usage);

/* fr_usage_error - "ferrule bench: TEXT" and where to find help, on stderr; returns the exit
 * status 2, so that `return fr_usage_error(...)` reads well. */
int fr_usage_error(const struct fr_usage *usage, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* fr_size_parse - "64K" to 65536; false when `text` is no size or does not fit. */
bool fr_size_parse(const char *text, uint64_t *bytes_out);

/* fr_size_format - the shortest exact form of `bytes`, "64K"; returns `out`. */
const char *fr_size_format(uint64_t bytes, char out[24]);

#endif

/* How command lines are read; what is refused, and how, is in options.sh. */
#include "config.h"

#include "tools/options.h"

#include <string.h>

#include <CUnit/CUnit.h>

#include "tests/support/t_main.h"
#include "tools/command.h"

struct fields {
	bool flag, other;
	int64_t number;
	double real;
	uint64_t size;
	const char *text, *word;
};

static const struct fr_option options[] = {
	{'f', "flag", NULL, FR_OPTION_FLAG, offsetof(struct fields, flag), 0, 0, NULL, "a"},
	{'o', "other", NULL, FR_OPTION_FLAG, offsetof(struct fields, other), 0, 0, NULL, "b"},
	{'n', "number", "N", FR_OPTION_INT, offsetof(struct fields, number), -5, 5, NULL, "c"},
	{'x', "real", "X", FR_OPTION_REAL, offsetof(struct fields, real), 0, 1, NULL, "d"},
	{'s', "size", "S", FR_OPTION_SIZE, offsetof(struct fields, size), 1, 1e12, NULL, "e"},
	{0, "text", "T", FR_OPTION_TEXT, offsetof(struct fields, text), 0, 0, NULL, "f"},
	{'w', "word", "W", FR_OPTION_WORD, offsetof(struct fields, word), 0, 0, "a|bc", "g"},
	{0, NULL, NULL, FR_OPTION_FLAG, 0, 0, 0, NULL, NULL},
};

static const struct fr_usage permuting = {.command = "test",
                                          .synopsis = "",
                                          .summary = "",
                                          .options = options,
                                          .max_operands = 3,
                                          .operands = "operands"};
static const struct fr_usage stopping = {.command = "test",
                                         .synopsis = "",
                                         .summary = "",
                                         .options = options,
                                         .max_operands = -1,
                                         .operands = "operands",
                                         .stop_at_operand = true};

#define MAX_ARGUMENTS 16
static char *arguments[MAX_ARGUMENTS];
static char line_copy[256];
static int n_arguments, first;

/* Splits `line` at its spaces, as argv after the program's name, and parses it. */
static enum fr_parsed parse(const struct fr_usage *usage, const char *line, struct fields *fields)
{
	char *position = NULL;

	strcpy(line_copy, line);
	arguments[0] = line_copy;
	n_arguments = 1;
	for (char *word = strtok_r(line_copy, " ", &position); word;
	     word = strtok_r(NULL, " ", &position))
		arguments[n_arguments++] = word;
	memset(fields, 0, sizeof(*fields));
	return fr_options_parse(usage, n_arguments, arguments, fields, &first);
}

static void test_every_kind_in_every_form(void)
{
	struct fields f;

	CU_ASSERT_EQUAL(parse(&permuting, "-n3 -x 0.25 --size=2K --text a=b -w bc -fo", &f),
	                FR_PARSED_RUN);
	CU_ASSERT_EQUAL(f.number, 3);
	CU_ASSERT_EQUAL(f.real, 0.25);
	CU_ASSERT_EQUAL(f.size, 2048);
	CU_ASSERT_STRING_EQUAL(f.text, "a=b");
	CU_ASSERT_STRING_EQUAL(f.word, "bc");
	CU_ASSERT(f.flag && f.other);
	CU_ASSERT_EQUAL(first, n_arguments);
	CU_ASSERT_EQUAL(parse(&permuting, "-n -5 -n 4 -n=1", &f), FR_PARSED_BAD);
	CU_ASSERT_EQUAL(f.number, 4);
}

static void test_operands_keep_their_order(void)
{
	struct fields f;

	CU_ASSERT_EQUAL(parse(&permuting, "one -n 1 two -f three -s 4", &f), FR_PARSED_RUN);
	CU_ASSERT_EQUAL_FATAL(n_arguments - first, 3);
	CU_ASSERT_STRING_EQUAL(arguments[first], "one");
	CU_ASSERT_STRING_EQUAL(arguments[first + 1], "two");
	CU_ASSERT_STRING_EQUAL(arguments[first + 2], "three");
	CU_ASSERT(f.number == 1 && f.flag && f.size == 4);
	CU_ASSERT_EQUAL(parse(&permuting, "one two three four", &f), FR_PARSED_BAD);
}

static void test_two_dashes_end_options(void)
{
	struct fields f;

	CU_ASSERT_EQUAL(parse(&permuting, "one -- -f --", &f), FR_PARSED_RUN);
	CU_ASSERT_EQUAL_FATAL(n_arguments - first, 3);
	CU_ASSERT_STRING_EQUAL(arguments[first], "one");
	CU_ASSERT_STRING_EQUAL(arguments[first + 1], "-f");
	CU_ASSERT_STRING_EQUAL(arguments[first + 2], "--");
	CU_ASSERT_FALSE(f.flag);
}

static void test_a_lone_dash_is_an_operand(void)
{
	struct fields f;

	CU_ASSERT_EQUAL(parse(&permuting, "- -f", &f), FR_PARSED_RUN);
	CU_ASSERT_EQUAL_FATAL(n_arguments - first, 1);
	CU_ASSERT_STRING_EQUAL(arguments[first], "-");
}

static void test_another_programs_options_are_left_alone(void)
{
	struct fields f;

	CU_ASSERT_EQUAL(parse(&stopping, "-f program -n 99 --nonsense", &f), FR_PARSED_RUN);
	CU_ASSERT_EQUAL_FATAL(n_arguments - first, 4);
	CU_ASSERT_STRING_EQUAL(arguments[first], "program");
	CU_ASSERT_STRING_EQUAL(arguments[first + 3], "--nonsense");
	CU_ASSERT(f.flag && f.number == 0);
}

static void test_sizes(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0},
	            {"7", 7},
	            {"1k", 1024},
	            {"3M", 3 << 20},
	            {"2G", UINT64_C(2) << 30},
	            {"16777215T", UINT64_C(16777215) << 40},
	            {"18446744073709551615", UINT64_MAX}};
	static const char *const bad[] = {
		"",     "K",    "-1", "+1",        "1KB",
		"1.5M", "0x10", " 1", "16777216T", "18446744073709551616"};
	uint64_t bytes;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT(fr_size_parse(good[i].text, &bytes));
		CU_ASSERT_EQUAL(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_FALSE(fr_size_parse(bad[i], &bytes));
}

static void test_a_size_is_printed_as_it_is_read(void)
{
	static const uint64_t sizes[] = {0,         1, 1023, 1024, 1025, 3 << 20, UINT64_C(5) << 40,
	                                 UINT64_MAX};
	char text[24];
	uint64_t bytes;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CU_ASSERT(fr_size_parse(fr_size_format(sizes[i], text), &bytes));
		CU_ASSERT_EQUAL(bytes, sizes[i]);
	}
}

static void test_the_nearest_name(void)
{
	static const char *const names[] = {"run", "bench", "train", NULL};

	CU_ASSERT_STRING_EQUAL(fr_nearest("bnech", names), "bench");
	CU_ASSERT_STRING_EQUAL(fr_nearest("rn", names), "run");
	CU_ASSERT_PTR_NULL(fr_nearest("doctor", names));
	CU_ASSERT_PTR_NULL(fr_nearest("a-word-that-is-longer-than-any-name-at-all", names));
}

int main(void)
{
	static const struct t_case cases[] = {
		{"every kind in every form", test_every_kind_in_every_form},
		{"operands keep their order", test_operands_keep_their_order},
		{"two dashes end options", test_two_dashes_end_options},
		{"a lone dash is an operand", test_a_lone_dash_is_an_operand},
		{"another program's options are left alone",
	         test_another_programs_options_are_left_alone},
		{"sizes", test_sizes},
		{"a size is printed as it is read", test_a_size_is_printed_as_it_is_read},
		{"the nearest name", test_the_nearest_name},
		{NULL, NULL},
	};
	return t_main("options", cases);
}

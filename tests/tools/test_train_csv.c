/* CSV: what is read, and that everything wrong is an error with its place. */
#include "config.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/t_main.h"
#include "tools/train/csv.h"

static struct fr_dataset data;
static struct fr_train_error error;

/* Parses a copy of exactly its size, so that a sanitizer sees a read past the end. */
static bool parse_bytes(const char *text, size_t n)
{
	char *copy = malloc(n > 0 ? n : 1);

	memcpy(copy, text, n);
	fr_dataset_fini(&data);
	memset(&error, 0, sizeof(error));
	const bool ok = fr_csv_parse("f.csv", copy, n, &data, &error);

	free(copy);
	return ok;
}

static bool parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

/* Is `text` refused with a message that begins like this? */
static bool refuses(const char *text, const char *message)
{
	if (!parse(text) && strncmp(error.text, message, strlen(message)) == 0)
		return true;
	printf("  \"%s\" gave \"%s\"\n", text, error.text);
	return false;
}

static void test_rows_become_samples(void)
{
	CU_ASSERT_FATAL(parse("1,2.5,0\n-3e2,.5,2\n"));
	CU_ASSERT_EQUAL(data.n, 2);
	CU_ASSERT_EQUAL(data.n_features, 2);
	CU_ASSERT_EQUAL(data.n_classes, 3);
	CU_ASSERT_EQUAL(data.floats[1], 2.5f);
	CU_ASSERT_EQUAL(data.floats[2], -300.0f);
	CU_ASSERT_EQUAL(data.floats[3], 0.5f);
	CU_ASSERT_EQUAL(data.labels[0], 0);
	CU_ASSERT_EQUAL(data.labels[1], 2);
}

static void test_blanks_and_line_ends_do_not_matter(void)
{
	CU_ASSERT_FATAL(parse("\xef\xbb\xbf"
	                      "1, 2 ,0\r\n\r\n \t\n\t3,4,1.0"));
	CU_ASSERT_EQUAL(data.n, 2);
	CU_ASSERT_EQUAL(data.floats[0], 1.0f);
	CU_ASSERT_EQUAL(data.floats[1], 2.0f);
	CU_ASSERT_EQUAL(data.floats[3], 4.0f);
	CU_ASSERT_EQUAL(data.labels[1], 1);
}

static void test_names_of_columns_are_skipped(void)
{
	CU_ASSERT_FATAL(parse("a,b,label\n1,2,0\n"));
	CU_ASSERT_EQUAL(data.n, 1);
	CU_ASSERT_FATAL(parse("0,1,2,target\n5,6,7,1\n"));
	CU_ASSERT_EQUAL(data.n, 1);
	CU_ASSERT_EQUAL(data.floats[0], 5.0f);
	CU_ASSERT(refuses("a,b,c\n1,2\n", "f.csv:2:4: 2 values where line 1 has 3"));
	CU_ASSERT(refuses("a,b,label\n", "f.csv: no samples in it"));
	CU_ASSERT(refuses("a,b,label\nc,d,e\n", "f.csv:2:1: \"c\" is not"));
	CU_ASSERT(refuses("1,x,0\n", "f.csv:1:3: \"x\" is not"));
	CU_ASSERT(refuses("1,2,x\n", "f.csv:1:5: \"x\" is not"));
}

static void test_ragged_lines_name_their_place(void)
{
	CU_ASSERT(refuses("1,2,0\n1,0\n", "f.csv:2:4: 2 values where line 1 has 3"));
	CU_ASSERT(refuses("1,2,0\n\n1,2,0,0\n", "f.csv:3:7: more values than the 3 of line 1"));
	CU_ASSERT(refuses("1\n2\n", "f.csv:1:1: one value where"));
	CU_ASSERT(refuses("1,2,0\n1,2,\n", "f.csv:2:5: \"\" is not a finite decimal number"));
	CU_ASSERT(refuses(",,\n1,2,0\n,,\n", "f.csv:3:1: \"\" is not"));
}

static void test_what_is_no_number_names_its_place(void)
{
	static const char *const bad[] = {"nan", "inf", "0x10", "1e999", "1e39",  "1 2",
	                                  "--1", "1e",  "+",    ".",     "1,5\"", "\"1\""};
	char line[128], message[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "1,2,3,0\n1,2,%s,0\n", bad[i]);
		const bool has_comma = strchr(bad[i], ',') != NULL;

		snprintf(message, sizeof(message), "f.csv:2:%d: \"", has_comma ? 7 : 5);
		CU_ASSERT(refuses(line, message));
	}
	CU_ASSERT(refuses("1,0\n"
	                  "1111111111222222222233333333334444444444555555555566666666667777,0\n",
	                  "f.csv:2:1: \"1111"));
	/* Binary is shown as something printable. */
	CU_ASSERT(!parse_bytes("1,0\n\0\x1b,0\n", 9));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "f.csv:2:1: \"??\""));
}

static void test_labels_are_small_whole_numbers(void)
{
	CU_ASSERT_FATAL(parse("1,65535\n"));
	CU_ASSERT_EQUAL(data.n_classes, 65536);
	CU_ASSERT(refuses("1,65536\n", "f.csv:1:3: \"65536\" is not a label"));
	CU_ASSERT(refuses("1,-1\n", "f.csv:1:3: \"-1\" is not a label"));
	CU_ASSERT(refuses("1,1.5\n", "f.csv:1:3: \"1.5\" is not a label"));
}

static void test_nothing_is_an_error(void)
{
	CU_ASSERT(refuses("", "f.csv: no samples in it"));
	CU_ASSERT(refuses("\n\n \r\n", "f.csv: no samples in it"));
}

static void test_many_rows(void)
{
	enum { N = 3000 };
	char *text = malloc(N * 16);
	size_t n = 0, n_bad = 0;

	for (int i = 0; i < N; i++)
		n += (size_t)sprintf(text + n, "%d,%d,%d\n", i, -i, i % 7);
	CU_ASSERT_FATAL(parse_bytes(text, n));
	CU_ASSERT_EQUAL(data.n, N);
	for (int i = 0; i < N; i++)
		n_bad += data.floats[2 * i] != (float)i || data.floats[2 * i + 1] != (float)-i ||
		         data.labels[i] != (unsigned)i % 7;
	CU_ASSERT_EQUAL(n_bad, 0);
	free(text);
	fr_dataset_fini(&data);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"rows become samples", test_rows_become_samples},
		{"blanks and line ends do not matter", test_blanks_and_line_ends_do_not_matter},
		{"names of columns are skipped", test_names_of_columns_are_skipped},
		{"ragged lines name their place", test_ragged_lines_name_their_place},
		{"what is no number names its place", test_what_is_no_number_names_its_place},
		{"labels are small whole numbers", test_labels_are_small_whole_numbers},
		{"nothing is an error", test_nothing_is_an_error},
		{"many rows", test_many_rows},
		{NULL, NULL},
	};

	return t_main("train csv", cases);
}

/* What the JSON writer makes of awkward values. */
#include "config.h"

#include "tools/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "tests/support/t_main.h"

static char *text;
static size_t text_bytes;

static void begin(struct fr_json *j)
{
	fr_json_init(j, open_memstream(&text, &text_bytes));
	CU_ASSERT_PTR_NOT_NULL_FATAL(j->out);
}

/* Ends the document and compares all of it. */
static void expect(struct fr_json *j, const char *want)
{
	fr_json_end(j);
	fclose(j->out);
	CU_ASSERT_STRING_EQUAL(text, want);
	free(text);
}

static void test_commas_and_nesting(void)
{
	struct fr_json j;

	begin(&j);
	fr_json_object_open(&j, NULL);
	fr_json_array_open(&j, "a");
	fr_json_array_close(&j);
	fr_json_array_open(&j, "b");
	fr_json_int(&j, NULL, -1);
	fr_json_object_open(&j, NULL);
	fr_json_object_close(&j);
	fr_json_null(&j, NULL);
	fr_json_array_close(&j);
	fr_json_bool(&j, "c", true);
	fr_json_object_close(&j);
	expect(&j, "{\"a\": [], \"b\": [-1, {}, null], \"c\": true}\n");
}

static void test_text_is_escaped(void)
{
	struct fr_json j;

	begin(&j);
	fr_json_text(&j, NULL, "\"\\/\b\n\t\r\x01\x7f");
	expect(&j, "\"\\\"\\\\/\\u0008\\n\\t\\r\\u0001\\u007f\"\n");
}

static void test_utf8_passes_and_the_rest_is_replaced(void)
{
	struct fr_json j;

	begin(&j);
	fr_json_array_open(&j, NULL);
	fr_json_text(&j, NULL, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	fr_json_text(&j, NULL, "\xc0\xaf");     /* overlong */
	fr_json_text(&j, NULL, "\xed\xa0\x80"); /* a surrogate */
	fr_json_text(&j, NULL, "\xe2\x82");     /* cut short */
	fr_json_text(&j, NULL, NULL);
	fr_json_array_close(&j);
	expect(&j, "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\", \"\\ufffd\\ufffd\", "
	           "\"\\ufffd\\ufffd\\ufffd\", \"\\ufffd\\ufffd\", null]\n");
}

static void test_numbers(void)
{
	struct fr_json j;

	begin(&j);
	fr_json_array_open(&j, NULL);
	fr_json_int(&j, NULL, INT64_MIN);
	fr_json_uint(&j, NULL, UINT64_MAX);
	fr_json_real(&j, NULL, 0.1);
	fr_json_real(&j, NULL, 1e300);
	fr_json_real(&j, NULL, NAN);
	fr_json_real(&j, NULL, -INFINITY);
	fr_json_array_close(&j);
	expect(&j, "[-9223372036854775808, 18446744073709551615, 0.1, 1e+300, null, null]\n");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"commas and nesting", test_commas_and_nesting},
		{"text is escaped", test_text_is_escaped},
		{"UTF-8 passes and the rest is replaced",
	         test_utf8_passes_and_the_rest_is_replaced},
		{"numbers", test_numbers},
		{NULL, NULL},
	};
	return t_main("json", cases);
}

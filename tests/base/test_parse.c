/* Numbers are taken whole, within bounds, in every locale, or refused. */
#include "config.h"

#include "lib/base/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/t_locale.h"
#include "tests/support/t_main.h"

static void test_integers(void)
{
	static const struct {
		const char *text;
		bool is_good;
		int64_t value;
	} rows[] = {
		{"0", true, 0},
		{"-0", true, 0},
		{"42", true, 42},
		{"-1000", true, -1000},
		{"007", true, 7},
		{"1000", true, 1000},
		{"1001", false, 0},
		{"-1001", false, 0},
		{"", false, 0},
		{"-", false, 0},
		{"+1", false, 0},
		{" 1", false, 0},
		{"1 ", false, 0},
		{"1.0", false, 0},
		{"0x10", false, 0},
		{"--1", false, 0},
		{"9223372036854775808", false, 0},
		{"18446744073709551617", false, 0},
		{"99999999999999999999999", false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t value = 12345;
		CU_ASSERT_EQUAL(fr_parse_int(rows[i].text, -1000, 1000, &value), rows[i].is_good);
		CU_ASSERT_EQUAL(value, rows[i].is_good ? rows[i].value : 12345);
	}
	int64_t value;
	CU_ASSERT_TRUE(fr_parse_int("9223372036854775807", INT64_MIN, INT64_MAX, &value));
	CU_ASSERT_EQUAL(value, INT64_MAX);
}

static void test_reals(void)
{
	static const struct {
		const char *text;
		bool is_good;
		double value;
	} rows[] = {
		{"0.5", true, 0.5}, {"1e2", true, 100},   {".25", true, 0.25}, {"100.0", true, 100},
		{"3", true, 3},     {"100.01", false, 0}, {"0", false, 0},     {"", false, 0},
		{"nan", false, 0},  {"inf", false, 0},    {"0x1p3", false, 0}, {"1,5", false, 0},
		{" 1", false, 0},   {"1 ", false, 0},     {"1e", false, 0},    {"1e999", false, 0},
		{"-1", false, 0},   {"1.2.3", false, 0},  {"e", false, 0},     {"5s", false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double value = -7;
		CU_ASSERT_EQUAL(fr_parse_real(rows[i].text, 0.1, 100, &value), rows[i].is_good);
		CU_ASSERT_EQUAL(value, rows[i].is_good ? rows[i].value : -7);
	}
}

static void test_reals_do_not_follow_the_locale(void)
{
	double value = 0;

	if (!t_locale_comma())
		return;
	CU_ASSERT_TRUE(fr_parse_real("0.5", 0, 1, &value));
	CU_ASSERT_EQUAL(value, 0.5);
	CU_ASSERT_FALSE(fr_parse_real("0,5", 0, 1, &value));
	t_locale_end();
}

static void test_sizes(void)
{
	static const struct {
		const char *text;
		bool is_good;
		uint64_t value;
	} rows[] = {
		{"1024", true, 1024},
		{"2K", true, 2048},
		{"3m", true, 3u << 20},
		{"1G", true, 1u << 30},
		{"2t", true, (uint64_t)2 << 40},
		{"16384T", true, (uint64_t)1 << 54},
		{"1023", false, 0},
		{"K", false, 0},
		{"", false, 0},
		{"2KB", false, 0},
		{"2 K", false, 0},
		{"-1K", false, 0},
		{"1.5K", false, 0},
		{"2P", false, 0},
		{"16777216T", false, 0},
		{"18446744073709551615K", false, 0},
		{"18446744073709551616", false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 5;
		CU_ASSERT_EQUAL(fr_parse_size(rows[i].text, 1024, (uint64_t)1 << 60, &value),
		                rows[i].is_good);
		CU_ASSERT_EQUAL(value, rows[i].is_good ? rows[i].value : 5);
	}
}

static void test_booleans(void)
{
	const char *const yes[] = {"1", "yes", "on"};
	const char *const no[] = {"0", "no", "off"};
	const char *const neither[] = {"", "2", "true", "YES", "1 ", "onn", "n"};
	bool value;

	for (int i = 0; i < 3; i++) {
		value = false;
		CU_ASSERT_TRUE(fr_parse_bool(yes[i], &value) && value);
		CU_ASSERT_TRUE(fr_parse_bool(no[i], &value) && !value);
	}
	for (int i = 0; i < 7; i++)
		CU_ASSERT_FALSE(fr_parse_bool(neither[i], &value));
}

static void test_hexadecimal_goes_there_and_back(void)
{
	unsigned char bytes[4] = {0}, untouched[4] = {1, 2, 3, 4};
	char text[9];

	CU_ASSERT_TRUE(fr_parse_hex("00fFa97e", bytes, sizeof(bytes)));
	CU_ASSERT_STRING_EQUAL(fr_hex_text(bytes, sizeof(bytes), text), "00ffa97e");
	const char *const bad[] = {"", "00ffa97", "00ffa97e0", "00ffa97g", "0x00ffa9", " 0ffa97e"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_FALSE(fr_parse_hex(bad[i], untouched, sizeof(untouched)));
	CU_ASSERT_EQUAL(memcmp(untouched, "\1\2\3\4", 4), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"integers", test_integers},
		{"reals", test_reals},
		{"reals do not follow the locale", test_reals_do_not_follow_the_locale},
		{"sizes", test_sizes},
		{"booleans", test_booleans},
		{"hexadecimal goes there and back", test_hexadecimal_goes_there_and_back},
		{NULL, NULL},
	};

	return t_main("parse", cases);
}

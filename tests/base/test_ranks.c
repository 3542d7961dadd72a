/* Lists of ranks as they stand in errors. */
#include "config.h"

#include "lib/base/ranks.h"

#include <string.h>

#include "tests/support/t_main.h"

/* "x..xx" has ranks 0, 3 and 4. */
static void expect(const char *pattern, const char *text)
{
	bool member[64], absent[64];
	char buf[100];
	const int n = (int)strlen(pattern);

	for (int rank = 0; rank < n; rank++) {
		member[rank] = pattern[rank] == 'x';
		absent[rank] = !member[rank];
	}
	CU_ASSERT_STRING_EQUAL(fr_ranks_text(member, true, n, buf, sizeof(buf)), text);
	CU_ASSERT_STRING_EQUAL(fr_ranks_text(absent, false, n, buf, sizeof(buf)), text);
}

static void test_lists_and_ranges(void)
{
	expect("", "no rank");
	expect("....", "no rank");
	expect("..x.", "rank 2");
	expect("xx..", "ranks 0, 1");
	expect("..x..xxx", "ranks 2, 5-7");
	expect("x.x.xxxx.x", "ranks 0, 2, 4-7, 9");
	expect("xxxxx", "ranks 0-4");
}

static void test_a_long_list_is_cut_between_ranks(void)
{
	bool member[200];

	for (int rank = 0; rank < 200; rank++)
		member[rank] = rank % 2 == 1;
	for (size_t bytes = 32; bytes < 100; bytes++) {
		char buf[101];
		memset(buf, '~', sizeof(buf));
		fr_ranks_text(member, true, 200, buf, bytes);
		const size_t length = strlen(buf);
		CU_ASSERT_TRUE(length < bytes);
		CU_ASSERT_TRUE(length > bytes - 12);
		CU_ASSERT_EQUAL(strncmp(buf, "ranks 1, 3, 5", 13), 0);
		CU_ASSERT_STRING_EQUAL(buf + length - 5, ", ...");
		CU_ASSERT_EQUAL(buf[bytes], '~');
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"lists and ranges", test_lists_and_ranges},
		{"a long list is cut between ranks", test_a_long_list_is_cut_between_ranks},
		{NULL, NULL},
	};

	return t_main("ranks", cases);
}

/* What the rendezvous puts on the wire comes back, and what it never puts there is refused. */
#include "config.h"

#include "lib/comm/boot_wire.h"

#include <string.h>

#include "tests/support/t_main.h"

static void test_a_head_travels(void)
{
	const struct fr_boot_head head = {FR_BOOT_DATA, 0x01020304, 0xfffefdfc};
	const unsigned char wire[16] = {'F', 'R', 'B', 'T', FR_BOOT_DATA, 0,    0,    0,
	                                4,   3,   2,   1,   0xfc,         0xfd, 0xfe, 0xff};
	unsigned char bytes[FR_BOOT_HEAD_BYTES];
	struct fr_boot_head back;

	fr_boot_put_head(&head, bytes);
	CU_ASSERT_EQUAL(memcmp(bytes, wire, sizeof(wire)), 0);
	CU_ASSERT_TRUE(fr_boot_get_head(bytes, &back));
	CU_ASSERT_EQUAL(back.kind, head.kind);
	CU_ASSERT_EQUAL(back.round, head.round);
	CU_ASSERT_EQUAL(back.length, head.length);
}

static void test_no_other_first_eight_bytes_make_a_head(void)
{
	const struct fr_boot_head head = {FR_BOOT_HELLO, 0, 64};
	struct fr_boot_head back;

	for (int at = 0; at < 8; at++) {
		for (int value = 0; value < 256; value++) {
			unsigned char bytes[FR_BOOT_HEAD_BYTES];
			fr_boot_put_head(&head, bytes);
			const bool is_known =
				bytes[at] == value ||
				(at == 4 && value >= FR_BOOT_HELLO && value <= FR_BOOT_FAIL);
			bytes[at] = (unsigned char)value;
			CU_ASSERT_EQUAL(fr_boot_get_head(bytes, &back), is_known);
		}
	}
}

static void test_a_statement_travels_and_impossible_ones_are_refused(void)
{
	static const struct {
		uint32_t rank, n_ranks;
		bool is_possible;
	} rows[] = {
		{0, 1, true},       {0, 0, false},          {1, 1, false},
		{4095, 4096, true}, {7, 8, true},           {4096, 4096, false},
		{0, 4097, false},   {0xffffffff, 8, false}, {0, 0xffffffff, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct fr_boot_statement s = {
			.version = 9, .rank = rows[i].rank, .n_ranks = rows[i].n_ranks};
		unsigned char bytes[FR_AUTH_STATEMENT_BYTES];
		struct fr_boot_statement back;
		fr_boot_put_statement(&s, bytes);
		CU_ASSERT_EQUAL(fr_boot_get_statement(bytes, &back), rows[i].is_possible);
		if (!rows[i].is_possible)
			continue;
		CU_ASSERT_EQUAL(back.version, 9);
		CU_ASSERT_EQUAL(back.rank, s.rank);
		CU_ASSERT_EQUAL(back.n_ranks, s.n_ranks);
		CU_ASSERT_TRUE(back.same_byte_order);
		/* The mark of a host of the other order. */
		for (int b = 0; b < 2; b++) {
			const unsigned char low = bytes[12 + b];
			bytes[12 + b] = bytes[15 - b];
			bytes[15 - b] = low;
		}
		CU_ASSERT_TRUE(fr_boot_get_statement(bytes, &back));
		CU_ASSERT_FALSE(back.same_byte_order);
	}
}

static void test_a_failure_travels(void)
{
	unsigned char bytes[FR_BOOT_FAIL_MAX_BYTES];
	char text[FR_BOOT_FAIL_MAX_TEXT + 1], longest[FR_BOOT_FAIL_MAX_TEXT + 50];
	ferrule_status_t status;

	size_t n = fr_boot_put_fail(FERRULE_ERR_TIMEOUT, "rank 3 is late", bytes);
	CU_ASSERT_TRUE(fr_boot_get_fail(bytes, n, &status, text));
	CU_ASSERT_EQUAL(status, FERRULE_ERR_TIMEOUT);
	CU_ASSERT_STRING_EQUAL(text, "rank 3 is late");

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	n = fr_boot_put_fail(FERRULE_ERR_INTERNAL, longest, bytes);
	CU_ASSERT_EQUAL(n, FR_BOOT_FAIL_MAX_BYTES);
	CU_ASSERT_TRUE(fr_boot_get_fail(bytes, n, &status, text));
	CU_ASSERT_EQUAL(strlen(text), FR_BOOT_FAIL_MAX_TEXT);
}

static void test_a_failure_is_an_error_with_printable_text(void)
{
	unsigned char bytes[FR_BOOT_FAIL_MAX_BYTES];
	char text[FR_BOOT_FAIL_MAX_TEXT + 1];
	ferrule_status_t status;

	size_t n = fr_boot_put_fail(FERRULE_ERR_AUTH, "a\033[2Jb\nc\x80", bytes);
	CU_ASSERT_TRUE(fr_boot_get_fail(bytes, n, &status, text));
	CU_ASSERT_STRING_EQUAL(text, "a?[2Jb?c?");
	CU_ASSERT_FALSE(fr_boot_get_fail(bytes, 3, &status, text));
	CU_ASSERT_FALSE(fr_boot_get_fail(bytes, sizeof(bytes) + 1, &status, text));
	n = fr_boot_put_fail(FERRULE_OK, "no error", bytes);
	CU_ASSERT_FALSE(fr_boot_get_fail(bytes, n, &status, text));
	n = fr_boot_put_fail((ferrule_status_t)-77, "unknown", bytes);
	CU_ASSERT_FALSE(fr_boot_get_fail(bytes, n, &status, text));
}

static struct fr_boot_id sample_id(void)
{
	struct fr_boot_id id = {.port = 40000, .network = 0x1122334455667788u, .n_addrs = 2};

	memset(id.secret, 0xab, sizeof(id.secret));
	id.addrs[0] = (struct fr_boot_id_addr){4, {10, 0, 0, 7}};
	id.addrs[1] = (struct fr_boot_id_addr){6, {0xfd, 0, 1}};
	return id;
}

static void test_a_unique_id_travels(void)
{
	const struct fr_boot_id id = sample_id();
	ferrule_unique_id_t bytes;
	struct fr_boot_id back;

	fr_boot_put_id(&id, &bytes);
	CU_ASSERT_TRUE(fr_boot_get_id(&bytes, &back));
	CU_ASSERT_EQUAL(back.port, id.port);
	CU_ASSERT_EQUAL(back.network, id.network);
	CU_ASSERT_EQUAL(back.n_addrs, 2);
	CU_ASSERT_EQUAL(memcmp(back.secret, id.secret, sizeof(id.secret)), 0);
	CU_ASSERT_EQUAL(memcmp(back.addrs, id.addrs, 2 * sizeof(id.addrs[0])), 0);
}

static void test_damaged_unique_ids_are_refused(void)
{
	/* Offset of a byte and a value that no id has there. */
	static const unsigned char damage[][2] = {
		{0, 'f'}, {3, 'E'}, {4, 1}, {5, 1}, {48, 5}, {48, 255}, {49, 1}, {50, 5}, {67, 0},
	};
	const struct fr_boot_id id = sample_id();
	ferrule_unique_id_t bytes;
	struct fr_boot_id back;

	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		fr_boot_put_id(&id, &bytes);
		bytes.bytes[damage[i][0]] = damage[i][1];
		CU_ASSERT_FALSE(fr_boot_get_id(&bytes, &back));
	}
	fr_boot_put_id(&id, &bytes);
	bytes.bytes[6] = bytes.bytes[7] = 0; /* port 0 */
	CU_ASSERT_FALSE(fr_boot_get_id(&bytes, &back));
	memset(&bytes, 0, sizeof(bytes));
	CU_ASSERT_FALSE(fr_boot_get_id(&bytes, &back));
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a head travels", test_a_head_travels},
		{"no other first eight bytes make a head",
	         test_no_other_first_eight_bytes_make_a_head},
		{"a statement travels, impossible ones are refused",
	         test_a_statement_travels_and_impossible_ones_are_refused},
		{"a failure travels", test_a_failure_travels},
		{"a failure is an error with printable text",
	         test_a_failure_is_an_error_with_printable_text},
		{"a unique id travels", test_a_unique_id_travels},
		{"damaged unique ids are refused", test_damaged_unique_ids_are_refused},
		{NULL, NULL},
	};

	return t_main("boot_wire", cases);
}

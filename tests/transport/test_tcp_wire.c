#include "config.h"

#include <string.h>

#include "lib/transport/tcp/tcp_wire.h"
#include "tests/support/t_main.h"

static struct fr_tcp_head make_head(enum fr_tcp_kind kind, uint64_t bytes, uint64_t offset)
{
	struct fr_tcp_head head = {.kind = (uint8_t)kind, .bytes = bytes, .offset = offset};
	fr_tcp_head_seal(&head);
	return head;
}

static ferrule_status_t parse_data(const struct fr_tcp_head *head)
{
	struct fr_tcp_head out;
	const char *why = NULL;
	const ferrule_status_t status = fr_tcp_data_parse(head, &out, &why);
	CU_ASSERT((status == FERRULE_OK) == (why == NULL));
	CU_ASSERT(status != FERRULE_OK || memcmp(head, &out, sizeof(out)) == 0);
	return status;
}

static void test_good_data_heads_are_taken(void)
{
	struct fr_tcp_head head = make_head(FR_TCP_MESSAGE, 1, 0);
	CU_ASSERT_EQUAL(parse_data(&head), FERRULE_OK);
	head = make_head(FR_TCP_MESSAGE, (uint64_t)1 << 62, 0);
	CU_ASSERT_EQUAL(parse_data(&head), FERRULE_OK);
	head = make_head(FR_TCP_CHUNK, 100, 99);
	CU_ASSERT_EQUAL(parse_data(&head), FERRULE_OK);
}

static void test_impossible_lengths_are_refused(void)
{
	const struct {
		enum fr_tcp_kind kind;
		uint64_t bytes, offset;
	} bad[] = {
		{FR_TCP_MESSAGE, 0, 0},      {FR_TCP_MESSAGE, UINT64_MAX, 0},
		{FR_TCP_MESSAGE, 100, 1},    {FR_TCP_CHUNK, 100, 0},
		{FR_TCP_CHUNK, 100, 100},    {FR_TCP_CHUNK, UINT64_MAX, 5},
		{FR_TCP_CHUNK, 0, 0},        {(enum fr_tcp_kind)3, 0, 0},
		{(enum fr_tcp_kind)6, 8, 0}, {(enum fr_tcp_kind)0, 1, 0},
		{(enum fr_tcp_kind)9, 1, 0},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct fr_tcp_head head = make_head(bad[i].kind, bad[i].bytes, bad[i].offset);
		CU_ASSERT_EQUAL(parse_data(&head), FERRULE_ERR_PROTOCOL);
	}
}

/* Every bit of a head is either checked or makes the check fail. */
static void test_every_flipped_bit_is_noticed(void)
{
	struct fr_tcp_head head = {.kind = FR_TCP_CHUNK, .number = 5, .bytes = 1000, .offset = 64};
	memset(&head.call, 0x5c, sizeof(head.call));
	fr_tcp_head_seal(&head);
	CU_ASSERT_EQUAL(parse_data(&head), FERRULE_OK);
	for (unsigned bit = 0; bit < 8 * sizeof(head); bit++) {
		struct fr_tcp_head bad = head;
		((unsigned char *)&bad)[bit / 8] ^= (unsigned char)(1u << bit % 8);
		CU_ASSERT_EQUAL(parse_data(&bad), FERRULE_ERR_PROTOCOL);
	}
}

static void test_chunks_only_when_there_are_lanes_to_share(void)
{
	CU_ASSERT_EQUAL(fr_tcp_chunk_bytes((uint64_t)1 << 40, 1), (uint64_t)1 << 40);
	CU_ASSERT_EQUAL(fr_tcp_chunk_bytes(FR_TCP_STRIPE_BYTES - 1, 4), FR_TCP_STRIPE_BYTES - 1);
	CU_ASSERT_EQUAL(fr_tcp_chunk_bytes(FR_TCP_STRIPE_BYTES, 4), FR_TCP_CHUNK_BYTES);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"good data heads are taken", test_good_data_heads_are_taken},
		{"impossible lengths are refused", test_impossible_lengths_are_refused},
		{"every flipped bit is noticed", test_every_flipped_bit_is_noticed},
		{"chunks only when there are lanes to share",
	         test_chunks_only_when_there_are_lanes_to_share},
		{NULL, NULL},
	};
	return t_main("transport/tcp_wire", cases);
}

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
		{FR_TCP_CHUNK, 0, 0},        {FR_TCP_STATUS, 0, 0},
		{FR_TCP_GOODBYE, 0, 0},      {(enum fr_tcp_kind)0, 1, 0},
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

static void test_control_frames_need_all_their_bytes(void)
{
	unsigned char wire[sizeof(struct fr_tcp_head) + 5];
	const struct fr_tcp_head head = make_head(FR_TCP_ABORT, 5, 0);
	struct fr_tcp_notice notice;
	size_t used = 0;
	const char *why = NULL;
	memcpy(wire, &head, sizeof(head));
	memcpy(wire + sizeof(head), "alas!", 5);
	for (size_t have = 0; have < sizeof(wire); have++)
		CU_ASSERT_EQUAL(fr_tcp_control_parse(wire, have, &notice, &used, &why),
		                FERRULE_INPROGRESS);
	CU_ASSERT_EQUAL(fr_tcp_control_parse(wire, sizeof(wire), &notice, &used, &why), FERRULE_OK);
	CU_ASSERT_EQUAL(used, sizeof(wire));
	CU_ASSERT_EQUAL(notice.kind, FR_TCP_ABORT);
	CU_ASSERT_EQUAL(notice.reason_bytes, 5);
	CU_ASSERT(memcmp(notice.reason, "alas!", 5) == 0);
}

static void test_bad_control_frames_are_refused(void)
{
	const struct fr_tcp_head bad[] = {
		make_head(FR_TCP_ABORT, FR_TCP_REASON_BYTES + 1, 0),
		make_head(FR_TCP_ABORT, UINT64_MAX, 0),
		make_head(FR_TCP_STATUS, 1, 0),
		make_head(FR_TCP_GOODBYE, 0, 1),
		make_head(FR_TCP_MESSAGE, 8, 0),
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fr_tcp_notice notice;
		size_t used;
		const char *why = NULL;
		CU_ASSERT_EQUAL(fr_tcp_control_parse(&bad[i], sizeof(bad[i]), &notice, &used, &why),
		                FERRULE_ERR_PROTOCOL);
		CU_ASSERT_PTR_NOT_NULL(why);
	}
}

static void test_hello_of_the_wrong_role_is_refused(void)
{
	struct fr_tcp_hello out,
		hello = {.magic = FR_TCP_MAGIC, .version = FR_TCP_VERSION, .role = FR_AUTH_CLIENT};
	CU_ASSERT_EQUAL(fr_tcp_hello_parse(&hello, FR_AUTH_CLIENT, &out), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_tcp_hello_parse(&hello, FR_AUTH_SERVER, &out), FERRULE_ERR_PROTOCOL);
	hello.version++;
	CU_ASSERT_EQUAL(fr_tcp_hello_parse(&hello, FR_AUTH_CLIENT, &out), FERRULE_ERR_PROTOCOL);
}

static void test_addresses_are_checked(void)
{
	const struct fr_tcp_address good = {
		.magic = FR_TCP_MAGIC,
		.version = FR_TCP_VERSION,
		.n_places = 2,
		.n_lanes = 1,
		.places = {{.family = 4, .port = 1}, {.family = 6, .port = 65535}}};
	struct fr_tcp_address out, bad[7];
	CU_ASSERT_EQUAL(fr_tcp_address_parse(&good, &out), FERRULE_OK);
	for (int i = 0; i < 7; i++)
		bad[i] = good;
	bad[0].magic = 0;
	bad[1].n_places = 0;
	bad[2].n_places = FR_TCP_PLACES_MAX + 1;
	bad[3].n_lanes = 0;
	bad[4].n_lanes = FR_TCP_LANES_MAX + 1;
	bad[5].places[1].family = 5;
	bad[6].places[0].port = 0;
	for (int i = 0; i < 7; i++)
		CU_ASSERT_EQUAL(fr_tcp_address_parse(&bad[i], &out), FERRULE_ERR_PROTOCOL);
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
		{"control frames need all their bytes", test_control_frames_need_all_their_bytes},
		{"bad control frames are refused", test_bad_control_frames_are_refused},
		{"hello of the wrong role is refused", test_hello_of_the_wrong_role_is_refused},
		{"addresses are checked", test_addresses_are_checked},
		{"chunks only when there are lanes to share",
	         test_chunks_only_when_there_are_lanes_to_share},
		{NULL, NULL},
	};
	return t_main("transport/tcp_wire", cases);
}

#include "config.h"

#include <string.h>

#include "lib/transport/link/link_wire.h"
#include "tests/support/t_main.h"

static struct fr_link_head make_head(enum fr_link_kind kind, uint64_t bytes, uint64_t zeros)
{
	struct fr_link_head head = {.kind = (uint8_t)kind, .bytes = bytes, .zeros = zeros};
	fr_link_head_seal(&head);
	return head;
}

static void test_control_frames_need_all_their_bytes(void)
{
	unsigned char wire[sizeof(struct fr_link_head) + 5];
	const struct fr_link_head head = make_head(FR_LINK_ABORT, 5, 0);
	struct fr_link_frame frame;
	size_t used = 0;
	const char *why = NULL;
	memcpy(wire, &head, sizeof(head));
	memcpy(wire + sizeof(head), "alas!", 5);
	for (size_t have = 0; have < sizeof(wire); have++)
		CU_ASSERT_EQUAL(fr_link_frame_parse(wire, have, &frame, &used, &why),
		                FERRULE_INPROGRESS);
	CU_ASSERT_EQUAL(fr_link_frame_parse(wire, sizeof(wire), &frame, &used, &why), FERRULE_OK);
	CU_ASSERT_EQUAL(used, sizeof(wire));
	CU_ASSERT_EQUAL(frame.kind, FR_LINK_ABORT);
	CU_ASSERT_EQUAL(frame.body_bytes, 5);
	CU_ASSERT(memcmp(frame.body, "alas!", 5) == 0);
}

static void test_notes_carry_their_kind_and_bytes(void)
{
	unsigned char wire[sizeof(struct fr_link_head) + FR_LINK_NOTE_BYTES];
	struct fr_link_head head = {.kind = FR_LINK_NOTE, .note = 255, .bytes = FR_LINK_NOTE_BYTES};
	struct fr_link_frame frame;
	size_t used = 0;
	const char *why = NULL;
	fr_link_head_seal(&head);
	memcpy(wire, &head, sizeof(head));
	memset(wire + sizeof(head), 0x3c, FR_LINK_NOTE_BYTES);
	CU_ASSERT_EQUAL(fr_link_frame_parse(wire, sizeof(wire) - 1, &frame, &used, &why),
	                FERRULE_INPROGRESS);
	CU_ASSERT_EQUAL(fr_link_frame_parse(wire, sizeof(wire), &frame, &used, &why), FERRULE_OK);
	CU_ASSERT_EQUAL(used, sizeof(wire));
	CU_ASSERT_EQUAL(frame.note, 255);
	CU_ASSERT_EQUAL(frame.body_bytes, FR_LINK_NOTE_BYTES);
	CU_ASSERT_PTR_EQUAL(frame.body, wire + sizeof(head));
}

/* Every bit of a head is either checked or makes the check fail. */
static void test_every_flipped_bit_is_noticed(void)
{
	struct fr_link_head head = make_head(FR_LINK_ASK, 0, 0);
	memset(&head.call, 0x5c, sizeof(head.call));
	fr_link_head_seal(&head);
	for (unsigned bit = 0; bit < 8 * sizeof(head); bit++) {
		struct fr_link_head bad = head;
		struct fr_link_frame frame;
		size_t used;
		const char *why = NULL;
		((unsigned char *)&bad)[bit / 8] ^= (unsigned char)(1u << bit % 8);
		CU_ASSERT_EQUAL(fr_link_frame_parse(&bad, sizeof(bad), &frame, &used, &why),
		                FERRULE_ERR_PROTOCOL);
	}
}

static void test_bad_control_frames_are_refused(void)
{
	struct fr_link_head bad[] = {
		make_head(FR_LINK_ABORT, FR_LINK_REASON_BYTES + 1, 0),
		make_head(FR_LINK_ABORT, UINT64_MAX, 0),
		make_head(FR_LINK_STATUS, 0, 0),
		make_head(FR_LINK_STATUS, sizeof(struct fr_wait) - 1, 0),
		make_head(FR_LINK_STATUS, sizeof(struct fr_wait) + 1, 0),
		make_head(FR_LINK_ASK, 1, 0),
		make_head(FR_LINK_GOODBYE, 0, 1),
		make_head(FR_LINK_NOTE, FR_LINK_NOTE_BYTES + 1, 0),
		make_head(FR_LINK_NOTE, 8, 1),
		make_head((enum fr_link_kind)(FR_LINK_STATUS - 1), 0, 0),
		make_head((enum fr_link_kind)(FR_LINK_ASK + 1), 0, 0),
		{.kind = FR_LINK_NOTE, .note = 256},
		{.kind = FR_LINK_GOODBYE, .note = 1},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fr_link_frame frame;
		size_t used;
		const char *why = NULL;
		fr_link_head_seal(&bad[i]);
		CU_ASSERT_EQUAL(fr_link_frame_parse(&bad[i], sizeof(bad[i]), &frame, &used, &why),
		                FERRULE_ERR_PROTOCOL);
		CU_ASSERT_PTR_NOT_NULL(why);
	}
}

static void test_hello_of_the_wrong_role_is_refused(void)
{
	struct fr_link_hello out, hello = {.magic = FR_LINK_MAGIC,
	                                   .version = FR_LINK_VERSION,
	                                   .role = FR_AUTH_CLIENT};
	CU_ASSERT_EQUAL(fr_link_hello_parse(&hello, FR_AUTH_CLIENT, &out), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_link_hello_parse(&hello, FR_AUTH_SERVER, &out), FERRULE_ERR_PROTOCOL);
	hello.version++;
	CU_ASSERT_EQUAL(fr_link_hello_parse(&hello, FR_AUTH_CLIENT, &out), FERRULE_ERR_PROTOCOL);
}

static void test_addresses_are_checked(void)
{
	const struct fr_link_address good = {
		.magic = FR_LINK_MAGIC,
		.version = FR_LINK_VERSION,
		.n_places = 2,
		.n_lanes = 1,
		.places = {{.family = 4, .port = 1}, {.family = 6, .port = 65535}}};
	struct fr_link_address out, bad[7];
	CU_ASSERT_EQUAL(fr_link_address_parse(&good, &out), FERRULE_OK);
	struct fr_link_address without = good;
	without.n_lanes = 0;
	CU_ASSERT_EQUAL(fr_link_address_parse(&without, &out), FERRULE_OK);
	for (int i = 0; i < 7; i++)
		bad[i] = good;
	bad[0].magic = 0;
	bad[1].n_places = 0;
	bad[2].n_places = FR_LINK_PLACES_MAX + 1;
	bad[3].process.zero = 1;
	bad[4].n_lanes = FR_LINK_LANES_MAX + 1;
	bad[5].places[1].family = 5;
	bad[6].places[0].port = 0;
	for (int i = 0; i < 7; i++)
		CU_ASSERT_EQUAL(fr_link_address_parse(&bad[i], &out), FERRULE_ERR_PROTOCOL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"control frames need all their bytes", test_control_frames_need_all_their_bytes},
		{"notes carry their kind and bytes", test_notes_carry_their_kind_and_bytes},
		{"every flipped bit is noticed", test_every_flipped_bit_is_noticed},
		{"bad control frames are refused", test_bad_control_frames_are_refused},
		{"hello of the wrong role is refused", test_hello_of_the_wrong_role_is_refused},
		{"addresses are checked", test_addresses_are_checked},
		{NULL, NULL},
	};
	return t_main("transport/link_wire", cases);
}

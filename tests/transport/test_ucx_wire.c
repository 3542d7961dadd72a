#include "config.h"

#include <string.h>

#include "lib/transport/ucx/ucx_wire.h"
#include "tests/support/t_main.h"

static struct fr_ucx_head make_piece(uint64_t bytes, uint64_t offset)
{
	return (struct fr_ucx_head){.magic = FR_UCX_MAGIC,
	                            .version = FR_UCX_VERSION,
	                            .kind = FR_UCX_PIECE,
	                            .bytes = bytes,
	                            .offset = offset};
}

static ferrule_status_t parse(const struct fr_ucx_head *head, size_t payload)
{
	struct fr_ucx_head out;
	const char *why = NULL;
	const ferrule_status_t status = fr_ucx_head_parse(head, sizeof(*head), payload, &out, &why);
	CU_ASSERT((status == FERRULE_OK) == (why == NULL));
	CU_ASSERT(status != FERRULE_OK || memcmp(head, &out, sizeof(out)) == 0);
	return status;
}

static void test_pieces_lie_inside_their_message(void)
{
	struct fr_ucx_head head = make_piece(1000, 0);
	CU_ASSERT_EQUAL(parse(&head, 1000), FERRULE_OK);
	CU_ASSERT_EQUAL(parse(&head, 1001), FERRULE_ERR_PROTOCOL);
	CU_ASSERT_EQUAL(parse(&head, 0), FERRULE_ERR_PROTOCOL);
	head = make_piece(1000, 990);
	CU_ASSERT_EQUAL(parse(&head, 10), FERRULE_OK);
	CU_ASSERT_EQUAL(parse(&head, 11), FERRULE_ERR_PROTOCOL);
	head = make_piece(1000, UINT64_MAX - 5);
	CU_ASSERT_EQUAL(parse(&head, 10), FERRULE_ERR_PROTOCOL);
	head = make_piece(UINT64_MAX, 0);
	CU_ASSERT_EQUAL(parse(&head, 10), FERRULE_ERR_PROTOCOL);
	head = make_piece((uint64_t)1 << 40, 0);
	CU_ASSERT_EQUAL(parse(&head, FR_UCX_BULK_BYTES), FERRULE_OK);
	CU_ASSERT_EQUAL(parse(&head, FR_UCX_BULK_BYTES + 1), FERRULE_ERR_PROTOCOL);
}

static void test_heads_of_others_are_refused(void)
{
	struct fr_ucx_head head = make_piece(8, 0), out;
	const char *why;
	CU_ASSERT_EQUAL(fr_ucx_head_parse(&head, sizeof(head) - 1, 8, &out, &why),
	                FERRULE_ERR_PROTOCOL);
	head.magic++;
	CU_ASSERT_EQUAL(parse(&head, 8), FERRULE_ERR_PROTOCOL);
	head = make_piece(8, 0);
	head.version++;
	CU_ASSERT_EQUAL(parse(&head, 8), FERRULE_ERR_PROTOCOL);
	head = make_piece(8, 0);
	head.kind = 9;
	CU_ASSERT_EQUAL(parse(&head, 8), FERRULE_ERR_PROTOCOL);
	head.kind = FR_UCX_CREDIT;
	CU_ASSERT_EQUAL(parse(&head, 0), FERRULE_OK);
	CU_ASSERT_EQUAL(parse(&head, 8), FERRULE_ERR_PROTOCOL);
}

/* One note of an address: what it says, and how many bytes of the address it has. */
static ferrule_status_t parse_part(uint32_t total, uint32_t at, size_t bytes, uint32_t have)
{
	unsigned char note[sizeof(struct fr_ucx_part) + 100];
	const struct fr_ucx_part part = {.token = 7, .total = total, .at = at};
	struct fr_ucx_part out;
	const unsigned char *data;
	size_t data_bytes;
	memset(note, 0, sizeof(note));
	memcpy(note, &part, sizeof(part));
	const ferrule_status_t status =
		fr_ucx_part_parse(note, sizeof(part) + bytes, have, &out, &data, &data_bytes);
	if (status == FERRULE_OK) {
		CU_ASSERT_EQUAL(data_bytes, bytes);
		CU_ASSERT_PTR_EQUAL(data, note + sizeof(part));
		CU_ASSERT_EQUAL(out.token, 7);
	}
	return status;
}

static void test_parts_of_an_address_come_in_order(void)
{
	CU_ASSERT_EQUAL(parse_part(150, 0, 100, 0), FERRULE_OK);
	CU_ASSERT_EQUAL(parse_part(150, 100, 50, 100), FERRULE_OK);
	CU_ASSERT_EQUAL(parse_part(150, 100, 51, 100), FERRULE_ERR_PROTOCOL);
	CU_ASSERT_EQUAL(parse_part(150, 50, 100, 100), FERRULE_ERR_PROTOCOL);
	CU_ASSERT_EQUAL(parse_part(150, 200, 1, 200), FERRULE_ERR_PROTOCOL);
	CU_ASSERT_EQUAL(parse_part(150, 0, 0, 0), FERRULE_ERR_PROTOCOL);
	CU_ASSERT_EQUAL(parse_part(FR_UCX_ADDRESS_MAX + 1, 0, 100, 0), FERRULE_ERR_PROTOCOL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"pieces lie inside their message", test_pieces_lie_inside_their_message},
		{"heads of others are refused", test_heads_of_others_are_refused},
		{"parts of an address come in order", test_parts_of_an_address_come_in_order},
		{NULL, NULL},
	};
	return t_main("transport/ucx_wire", cases);
}

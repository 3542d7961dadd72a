/* Calls that differ have different signatures, and read well. */
#include "config.h"

#include "lib/base/call.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/types.h>

#include "tests/support/t_main.h"

static struct fr_call sample(void)
{
	return (struct fr_call){.sequence = 17,
	                        .count = 1024,
	                        .comm = 0xdeadbeef,
	                        .root = -1,
	                        .coll = 0,
	                        .type = FERRULE_FLOAT32,
	                        .op = FERRULE_SUM,
	                        .algo = 3};
}

/* Flips every bit of the members [from, to) in turn: does the signature follow? */
static void flip_bits(const struct fr_call *call, size_t from, size_t to, bool follows)
{
	const uint32_t signature = fr_call_signature(call);
	int n_wrong = 0;

	for (size_t bit = 8 * from; bit < 8 * to; bit++) {
		struct fr_call other = *call;
		((unsigned char *)&other)[bit / 8] ^= (unsigned char)(1 << bit % 8);
		n_wrong += (fr_call_signature(&other) != signature) != follows;
	}
	CU_ASSERT_EQUAL(n_wrong, 0);
}

static void test_every_bit_changes_the_signature_but_the_sequences_upper_half(void)
{
	const struct fr_call call = sample();
	const size_t half = offsetof(struct fr_call, sequence) + sizeof(uint32_t);

	flip_bits(&call, offsetof(struct fr_call, sequence), half, true);
	flip_bits(&call, half, offsetof(struct fr_call, count), false);
	flip_bits(&call, offsetof(struct fr_call, count), offsetof(struct fr_call, signature),
	          true);
	flip_bits(&call, offsetof(struct fr_call, signature), sizeof(call), false);
}

static void test_a_call_gets_another_number(void)
{
	static const uint64_t numbers[] = {18, 17, 1, 0, UINT32_MAX, UINT64_C(1) << 40};
	struct fr_call call = sample();

	fr_call_seal(&call);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		fr_call_number(&call, numbers[i]);
		CU_ASSERT_EQUAL(call.sequence, numbers[i]);
		CU_ASSERT_EQUAL(call.signature, fr_call_signature(&call));
	}
}

static void test_the_two_ends_of_a_message_have_one_signature(void)
{
	struct fr_call sender = sample(), receiver;

	sender.algo = FR_CALL_PAIRWISE;
	receiver = sender;
	sender.root = 1;
	receiver.root = 0;
	receiver.coll ^= 1;
	CU_ASSERT_EQUAL(fr_call_signature(&sender), fr_call_signature(&receiver));
	receiver.count++;
	CU_ASSERT_NOT_EQUAL(fr_call_signature(&sender), fr_call_signature(&receiver));
}

static void test_sums_of_ones_own_are_not_compared(void)
{
	struct fr_call mine = sample(), theirs;

	mine.coll |= FR_CALL_VECTOR;
	theirs = mine;
	theirs.count++;
	CU_ASSERT_NOT_EQUAL(fr_call_signature(&mine), fr_call_signature(&theirs));
	mine.coll |= FR_CALL_OWN;
	theirs.coll |= FR_CALL_OWN;
	CU_ASSERT_EQUAL(fr_call_signature(&mine), fr_call_signature(&theirs));
}

/* What a peer tells of its waiting is believed only where it makes sense. */
static void test_waits_that_make_no_sense_are_refused(void)
{
	struct fr_wait good = {.call = sample(), .beat = 1, .n = 2, .on = {0, 3}}, bad;

	fr_call_seal(&good.call);
	CU_ASSERT_TRUE(fr_wait_is_sound(&good, 4));
	CU_ASSERT_FALSE(fr_wait_is_sound(&good, 3));
	bad = good;
	bad.on[1] = -1;
	CU_ASSERT_FALSE(fr_wait_is_sound(&bad, 4));
	bad = good;
	bad.n = FR_WAITS_MAX + 1;
	CU_ASSERT_FALSE(fr_wait_is_sound(&bad, 4));
	bad.n = -1;
	CU_ASSERT_FALSE(fr_wait_is_sound(&bad, 4));
	bad = good;
	bad.call.count++;
	CU_ASSERT_FALSE(fr_wait_is_sound(&bad, 4));
}

static void test_sealing_stores_the_signature(void)
{
	struct fr_call call = sample();

	fr_call_seal(&call);
	CU_ASSERT_EQUAL(call.signature, fr_call_signature(&call));
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* 2^16 signatures of 32 bits have half a collision on average; many more mean a bad hash. */
static void test_neighbouring_calls_rarely_collide(void)
{
	const int n = 1 << 16;
	uint32_t *signatures = malloc((size_t)n * sizeof(*signatures));
	int n_same = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(signatures);
	for (int i = 0; i < n; i++) {
		struct fr_call call = sample();
		call.comm = (uint32_t)(i & 15);
		call.count = (uint64_t)(i >> 4 & 255) << 10;
		call.root = i >> 12 & 3;
		call.type = (uint8_t)(i >> 14);
		signatures[i] = fr_call_signature(&call);
	}
	qsort(signatures, (size_t)n, sizeof(*signatures), compare);
	for (int i = 1; i < n; i++)
		n_same += signatures[i] == signatures[i - 1];
	CU_ASSERT_TRUE(n_same <= 6);
	free(signatures);
}

static void test_calls_read_well(void)
{
	struct fr_call call = sample();
	char text[100];

	CU_ASSERT_STRING_EQUAL(fr_call_text(&call, "allreduce", text, sizeof(text)),
	                       "allreduce #17 (1024 float, sum)");
	call.algo = FR_CALL_PAIRWISE;
	call.op = 255;
	call.root = 5;
	CU_ASSERT_STRING_EQUAL(fr_call_text(&call, "send", text, sizeof(text)),
	                       "send #17 (1024 float, rank 5)");
	call.algo = 3;
	call.root = 2;
	call.type = FERRULE_FLOAT64;
	call.count = 18446744073709551615u;
	CU_ASSERT_STRING_EQUAL(fr_call_text(&call, "broadcast", text, sizeof(text)),
	                       "broadcast #17 (18446744073709551615 double, root 2)");
	call.root = -1;
	call.coll = 3 | FR_CALL_VECTOR;
	CU_ASSERT_STRING_EQUAL(fr_call_text(&call, "allgatherv", text, sizeof(text)),
	                       "allgatherv #17 (18446744073709551615 double in all)");
	call.coll |= FR_CALL_OWN;
	CU_ASSERT_STRING_EQUAL(fr_call_text(&call, "alltoallv", text, sizeof(text)),
	                       "alltoallv #17 (18446744073709551615 double to send)");
	call.type = 255;
	CU_ASSERT_STRING_EQUAL(fr_call_text(&call, "barrier", text, sizeof(text)), "barrier #17");
	call.coll = FR_CALL_IDLE;
	CU_ASSERT_STRING_EQUAL(fr_call_text(&call, "", text, sizeof(text)), "idle after #17");
	call.sequence = 0;
	CU_ASSERT_STRING_EQUAL(fr_call_text(&call, "", text, sizeof(text)),
	                       "idle, no operation so far");
}

static void test_a_text_is_cut_to_the_room_it_has(void)
{
	const struct fr_call call = sample();
	const char *whole = "allreduce #17 (1024 float, sum)";

	for (size_t bytes = 1; bytes <= strlen(whole) + 1; bytes++) {
		char text[64];
		memset(text, '~', sizeof(text));
		fr_call_text(&call, "allreduce", text, bytes);
		CU_ASSERT_EQUAL(strlen(text), bytes - 1);
		CU_ASSERT_EQUAL(strncmp(text, whole, bytes - 1), 0);
		CU_ASSERT_EQUAL(text[bytes], '~');
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"every bit changes the signature, but the sequence's upper half",
	         test_every_bit_changes_the_signature_but_the_sequences_upper_half},
		{"a call gets another number", test_a_call_gets_another_number},
		{"the two ends of a message have one signature",
	         test_the_two_ends_of_a_message_have_one_signature},
		{"sums of one's own are not compared", test_sums_of_ones_own_are_not_compared},
		{"waits that make no sense are refused", test_waits_that_make_no_sense_are_refused},
		{"sealing stores the signature", test_sealing_stores_the_signature},
		{"neighbouring calls rarely collide", test_neighbouring_calls_rarely_collide},
		{"calls read well", test_calls_read_well},
		{"a text is cut to the room it has", test_a_text_is_cut_to_the_room_it_has},
		{NULL, NULL},
	};

	return t_main("call", cases);
}

#include "config.h"

#include <string.h>

#include "lib/transport/verbs/verbs_wire.h"
#include "tests/support/t_main.h"

static struct fr_verbs_offer good_offer(void)
{
	struct fr_verbs_offer o = {.magic = FR_VERBS_MAGIC,
	                           .generation = 1,
	                           .n_slots = 16,
	                           .slot_bytes = 65536,
	                           .zero_copy = 32768,
	                           .inbox = 0x1000,
	                           .next = UINT32_MAX,
	                           .arrived = 0xffff,
	                           .grants_from = UINT32_MAX};

	o.rails[2] = (struct fr_verbs_offer_rail){.n_qps = FR_VERBS_QPS_MAX,
	                                          .is_ethernet = 1,
	                                          .mtu_code = IBV_MTU_4096,
	                                          .n_gids = FR_VERBS_OFFERED};
	for (int g = 0; g < FR_VERBS_OFFERED; g++)
		o.rails[2].gids[g].type = FR_GID_ROCE_V2;
	return o;
}

static ferrule_status_t parse(const struct fr_verbs_offer *o)
{
	struct fr_verbs_offer out;
	const char *why = NULL;
	const ferrule_status_t status = fr_verbs_offer_parse(o, sizeof(*o), &out, &why);

	CU_ASSERT_EQUAL(status == FERRULE_OK, why == NULL);
	CU_ASSERT(status != FERRULE_OK || memcmp(o, &out, sizeof(out)) == 0);
	return status;
}

static void test_good_offers_are_taken(void)
{
	struct fr_verbs_offer o = good_offer();

	CU_ASSERT_EQUAL(parse(&o), FERRULE_OK);
	o.rails[2].is_ethernet = 0;
	o.rails[2].n_gids = 0;
	CU_ASSERT_EQUAL(parse(&o), FERRULE_OK);
}

/* Each breaks one member of a good offer. */
static void no_magic(struct fr_verbs_offer *o)
{
	o->magic++;
}
static void no_generation(struct fr_verbs_offer *o)
{
	o->generation = 0;
}
static void no_slots(struct fr_verbs_offer *o)
{
	o->n_slots = 0;
}
static void odd_slots(struct fr_verbs_offer *o)
{
	o->n_slots = 12;
}
static void too_many_slots(struct fr_verbs_offer *o)
{
	o->n_slots = 2 * FR_VERBS_SLOTS_MAX;
}
static void no_bytes(struct fr_verbs_offer *o)
{
	o->slot_bytes = 0;
}
static void no_threshold(struct fr_verbs_offer *o)
{
	o->zero_copy = 0;
}
static void more_than_slots(struct fr_verbs_offer *o)
{
	o->arrived = 0x10000;
}
static void no_rail(struct fr_verbs_offer *o)
{
	o->rails[2].n_qps = 0;
}
static void many_qps(struct fr_verbs_offer *o)
{
	o->rails[2].n_qps = FR_VERBS_QPS_MAX + 1;
}
static void many_gids(struct fr_verbs_offer *o)
{
	o->rails[2].n_gids = FR_VERBS_OFFERED + 1;
}
static void no_gids(struct fr_verbs_offer *o)
{
	o->rails[2].n_gids = 0;
}
static void no_mtu(struct fr_verbs_offer *o)
{
	o->rails[2].mtu_code = 0;
}
static void big_mtu(struct fr_verbs_offer *o)
{
	o->rails[2].mtu_code = IBV_MTU_4096 + 1;
}
static void wide_number(struct fr_verbs_offer *o)
{
	o->rails[2].qp_num[7] = 1u << 24;
}
static void wide_psn(struct fr_verbs_offer *o)
{
	o->rails[2].psn[0] = 1u << 24;
}
static void odd_gid(struct fr_verbs_offer *o)
{
	o->rails[2].gids[5].type = FR_GID_ROCE_V2 + 1;
}
static void odd_layer(struct fr_verbs_offer *o)
{
	o->rails[2].is_ethernet = 2;
}

static void test_bad_offers_are_refused(void)
{
	static void (*const breaks[])(struct fr_verbs_offer *) = {
		no_magic, no_generation, no_slots,    odd_slots,       too_many_slots, no_bytes,
		no_rail,  no_threshold,  many_qps,    more_than_slots, many_gids,      no_gids,
		no_mtu,   big_mtu,       wide_number, wide_psn,        odd_gid,        odd_layer};

	for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		struct fr_verbs_offer o = good_offer();

		breaks[i](&o);
		CU_ASSERT_EQUAL(parse(&o), FERRULE_ERR_PROTOCOL);
	}
}

static void test_lengths_must_be_exact(void)
{
	const struct fr_verbs_offer o = good_offer();
	const struct fr_verbs_state_note s = {FR_VERBS_MAGIC, 3, 5};
	struct fr_verbs_offer offer;
	struct fr_verbs_state_note state;
	const char *why;

	CU_ASSERT_EQUAL(fr_verbs_offer_parse(&o, sizeof(o) - 1, &offer, &why),
	                FERRULE_ERR_PROTOCOL);
	CU_ASSERT_EQUAL(fr_verbs_state_parse(&s, sizeof(s) - 1, &state, &why),
	                FERRULE_ERR_PROTOCOL);
	CU_ASSERT_EQUAL(fr_verbs_state_parse(&s, sizeof(s), &state, &why), FERRULE_OK);
	CU_ASSERT(state.generation == 3 && state.rails == 5);
}

static void test_states_are_checked(void)
{
	const struct fr_verbs_state_note bad[] = {
		{FR_VERBS_MAGIC + 1, 1, 0}, {FR_VERBS_MAGIC, 0, 0}, {FR_VERBS_MAGIC, 1, 16}};
	struct fr_verbs_state_note out;
	const char *why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(fr_verbs_state_parse(&bad[i], sizeof(bad[i]), &out, &why),
		                FERRULE_ERR_PROTOCOL);
}

/* 24 bits travel; the rest comes from what is near. */
static void test_numbers_are_expanded_to_the_nearest(void)
{
	static const uint32_t nears[] = {0, 1, 1000, 0xffffff, 0x1000000, 0x7fffffff, UINT32_MAX};
	static const int32_t steps[] = {0, 1, -1, 16, -16, 31, 100000, -100000};

	for (size_t n = 0; n < sizeof(nears) / sizeof(nears[0]); n++)
		for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
			const uint32_t number = nears[n] + (uint32_t)steps[s];

			CU_ASSERT_EQUAL(fr_verbs_expand(fr_verbs_imm(number, 3), nears[n]), number);
		}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"good offers are taken", test_good_offers_are_taken},
		{"bad offers are refused", test_bad_offers_are_refused},
		{"lengths must be exact", test_lengths_must_be_exact},
		{"states are checked", test_states_are_checked},
		{"numbers are expanded to the nearest", test_numbers_are_expanded_to_the_nearest},
		{NULL, NULL},
	};

	return t_main("transport/verbs_wire", cases);
}

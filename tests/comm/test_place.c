/* Cards, places, and what they decide, without any rank running. */
#include "config.h"

#include "lib/comm/place.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/comm/card_wire.h"
#include "lib/transport/transport.h"
#include "tests/support/t_main.h"

static int index_of(const char *name)
{
	for (int t = 0; fr_transports[t]; t++)
		if (strcmp(fr_transports[t]->name, name) == 0)
			return t;
	return -1;
}

/* n cards of one kind, to be changed here and there. */
static struct fr_card *make_cards(int n)
{
	struct fr_card *cards = calloc((size_t)n, sizeof(*cards));

	for (int r = 0; r < n; r++)
		fr_card_fill(&cards[r], "", "FERRULE_TRANSPORT");
	return cards;
}

static void test_lists_are_checked(void)
{
	char longer[FR_TRANSPORT_LIST_BYTES + 8];

	CU_ASSERT_EQUAL(fr_transport_list_check("", "x"), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_transport_list_check("tcp,shm", "x"), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_transport_list_check("tcp,tcp", "x"), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_transport_list_check("tcp,,shm", "FERRULE_TRANSPORT"),
	                FERRULE_ERR_SETTING);
	CU_ASSERT_EQUAL(fr_transport_list_check("shm ", "FERRULE_TRANSPORT"), FERRULE_ERR_SETTING);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "FERRULE_TRANSPORT"));
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "shm,verbs,tcp,ucx"));
	CU_ASSERT_EQUAL(fr_transport_list_check("sh", "x"), FERRULE_ERR_SETTING);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CU_ASSERT_EQUAL(fr_transport_list_check(longer, "x"), FERRULE_ERR_SETTING);
}

static void disagree(struct fr_card *cards, ferrule_status_t wanted, const char *says)
{
	CU_ASSERT_EQUAL(fr_cards_agree(cards, 3), wanted);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "rank 2"));
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), says));
	free(cards);
}

static void test_cards_that_disagree(void)
{
	struct fr_card *cards = make_cards(3);

	CU_ASSERT_EQUAL(fr_cards_agree(cards, 3), FERRULE_OK);
	cards[2].magic = 0x31435246u; /* the same in the other byte order */
	disagree(cards, FERRULE_ERR_PROTOCOL, "kind of machine");
	cards = make_cards(3);
	strcpy(cards[2].version, "9.9.9");
	disagree(cards, FERRULE_ERR_SETTING, "9.9.9");
	cards = make_cards(3);
	memset(cards[2].built, 'b', sizeof(cards[2].built)); /* without an end */
	disagree(cards, FERRULE_ERR_SETTING, "bbb");
	cards = make_cards(3);
	strcpy(cards[2].algo, "allreduce=ring");
	cards[2].algo_hash++;
	disagree(cards, FERRULE_ERR_SETTING, "allreduce=ring");
	cards = make_cards(3);
	cards[2].sockets_per_peer = 7;
	disagree(cards, FERRULE_ERR_SETTING, "FERRULE_SOCKETS_PER_PEER \"7\"");
	cards = make_cards(3);
	cards[2].probe = !cards[2].probe;
	disagree(cards, FERRULE_ERR_SETTING, "FERRULE_PROBE");
	cards = make_cards(3);
	cards[2].status = FERRULE_ERR_TRANSPORT;
	memset(cards[2].text, 'w', sizeof(cards[2].text));
	disagree(cards, FERRULE_ERR_TRANSPORT, "www");
}

static void test_hosts_are_numbered_by_first_rank(void)
{
	static const uint64_t ids[] = {9, 4, 9, 7, 4, 9};
	static const int hosts[] = {0, 1, 0, 2, 1, 0}, local[] = {0, 0, 1, 0, 1, 2};
	struct fr_card *cards = make_cards(6);
	struct fr_place places[6];

	for (int r = 0; r < 6; r++)
		cards[r].machine_id = ids[r];
	CU_ASSERT_EQUAL(fr_places_from_cards(cards, 6, places), 3);
	for (int r = 0; r < 6; r++) {
		CU_ASSERT_EQUAL(places[r].host, hosts[r]);
		CU_ASSERT_EQUAL(places[r].local_rank, local[r]);
	}
	CU_ASSERT_EQUAL(fr_places_local_size(places, 6, 0), 3);
	CU_ASSERT_EQUAL(fr_places_local_size(places, 6, 2), 1);
	/* Some of them, as in a split. */
	places[0] = places[3];
	places[1] = places[4];
	CU_ASSERT_EQUAL(fr_places_number(places, 2), 2);
	CU_ASSERT_EQUAL(places[0].host, 0);
	CU_ASSERT_EQUAL(places[1].host, 1);
	CU_ASSERT_EQUAL(places[1].local_rank, 0);
	free(cards);
}

static void test_cores_are_counted_together(void)
{
	struct fr_place places[3] = {{.host = 0}, {.host = 1}, {.host = 0}};

	places[0].cpus.mask[0] = 0x3;
	places[1].cpus.mask[0] = 0xff;
	places[2].cpus.mask[0] = 0x6;
	CU_ASSERT_EQUAL(fr_places_cores(places, 3, 0), 3);
	CU_ASSERT_EQUAL(fr_places_cores(places, 3, 1), 8);
}

static void expect_choice(const struct fr_place *places, int a, int b, int wanted)
{
	CU_ASSERT_EQUAL(fr_places_choose(places, a, b), wanted);
	CU_ASSERT_EQUAL(fr_places_choose(places, b, a), wanted);
}

static void test_both_ends_choose_the_same(void)
{
	static const char *const lists[] = {"shm,tcp", "tcp,shm", "shm,tcp", "tcp", "shm"};
	static const uint64_t ids[] = {1, 1, 2, 1, 1};
	const int shm = index_of("shm"), tcp = index_of("tcp");
	struct fr_card *cards = make_cards(5);
	struct fr_place places[5];

	for (int r = 0; r < 5; r++) {
		strcpy(cards[r].transports, lists[r]);
		cards[r].machine_id = ids[r];
	}
	fr_places_from_cards(cards, 5, places);
	expect_choice(places, 0, 1, shm); /* the lower rank's order */
	expect_choice(places, 1, 4, shm);
	expect_choice(places, 0, 2, tcp); /* two hosts */
	expect_choice(places, 0, 3, tcp); /* the other has no more */
	expect_choice(places, 3, 4, -1);
	expect_choice(places, 2, 4, -1);
	free(cards);
}

static void test_a_card_without_transports_says_so(void)
{
	struct fr_card card;

	/* No list of built-in names is unusable here, so an unknown one stands for it. */
	fr_card_fill(&card, "none", "options->transport");
	CU_ASSERT_EQUAL(card.status, FERRULE_ERR_TRANSPORT);
	CU_ASSERT_PTR_NOT_NULL(strstr(card.text, "options->transport"));
	CU_ASSERT_PTR_NOT_NULL(strstr(card.text, "none"));
}

/* Looking at some transports has a price, so an empty list leaves them out. */
static void test_some_transports_want_to_be_named(void)
{
	struct fr_card card;

	fr_card_fill(&card, "", "FERRULE_TRANSPORT");
	CU_ASSERT_EQUAL(card.status, FERRULE_OK);
	CU_ASSERT_PTR_NULL(strstr(card.transports, "ucx"));
	CU_ASSERT_PTR_NOT_NULL(strstr(card.transports, "tcp"));
}

int main(void)
{
	static const struct t_case cases[] = {
		{"lists are checked", test_lists_are_checked},
		{"cards that disagree", test_cards_that_disagree},
		{"hosts are numbered by first rank", test_hosts_are_numbered_by_first_rank},
		{"cores are counted together", test_cores_are_counted_together},
		{"both ends choose the same", test_both_ends_choose_the_same},
		{"a card without transports says so", test_a_card_without_transports_says_so},
		{"some transports want to be named", test_some_transports_want_to_be_named},
		{NULL, NULL},
	};

	return t_main("place", cases);
}

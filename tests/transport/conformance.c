#include "config.h"

#include "tests/transport/conformance.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

#include "tests/support/t_main.h"

/* CUnit's test functions take no argument; set once, before they run. */
static const struct t_subject *subject;

#define DIED (128 + 9)

/* How long a world may last; in tests/support/guest processors are emulated. */
static int seconds(void)
{
	return getenv("IN_GUEST") != NULL ? 150 : 60;
}

static void run(int n_ranks, t_rank_fn *fn)
{
	CU_ASSERT_EQUAL(t_world_run(subject, n_ranks, seconds(), fn, NULL), 0);
}

/* The last of the ranks dies. */
static void run_with_death(int n_ranks, t_rank_fn *fn)
{
	int expected[8] = {0};
	expected[n_ranks - 1] = DIED;
	CU_ASSERT_EQUAL(t_world_run(subject, n_ranks, seconds(), fn, expected), 0);
}

static void test_exchange_both_ways(void)
{
	run(2, t_exchange_both_ways);
	run(3, t_exchange_both_ways);
}

static void test_many_small_messages_in_a_row(void)
{
	run(2, t_many_small_messages);
}

static void test_sender_runs_ahead_of_receiver(void)
{
	run(2, t_sender_runs_ahead);
}

static void test_huge_message_of_odd_length(void)
{
	run(2, t_huge_message);
}

static void test_all_sizes_to_300_bytes(void)
{
	run(2, t_all_small_sizes);
}

static void test_pieces_of_all_kinds_on_both_sides(void)
{
	run(2, t_piece_mixes);
}

static void test_bulk_in_both_directions_does_not_deadlock(void)
{
	run(2, t_full_duplex_bulk);
}

static void test_traffic_with_four_peers_interleaved(void)
{
	run(5, t_interleaved_peers);
}

static void test_random_traffic_among_three(void)
{
	run(3, t_random_traffic);
}

static void test_reusable_counts_payload_bytes(void)
{
	run(2, t_reusable_counts_bytes);
}

static void test_receives_posted_ahead(void)
{
	run(2, t_posted_receives);
}

static void test_a_window_of_part_of_an_element_grows(void)
{
	run(2, t_window_grows);
}

static void test_another_call_is_a_mismatch(void)
{
	run(2, t_call_differs);
}

static void test_another_length_is_a_mismatch(void)
{
	run(2, t_length_differs);
}

static void test_data_of_a_peer_that_left_is_readable(void)
{
	run(2, t_left_with_data_unread);
}

static void test_peer_that_leaves_while_awaited(void)
{
	run(2, t_left_while_awaited);
}

static void test_peer_killed_while_idle(void)
{
	run_with_death(3, t_killed_while_idle);
}

static void test_peer_killed_while_receiving_from_it(void)
{
	run_with_death(2, t_killed_while_receiving);
}

static void test_peer_killed_while_sending_to_it(void)
{
	run_with_death(2, t_killed_while_sending);
}

static void test_forked_peer_killed_while_idle(void)
{
	run_with_death(3, t_forked_and_killed_while_idle);
}

static void test_forked_peer_killed_while_receiving_from_it(void)
{
	run_with_death(2, t_forked_and_killed_while_receiving);
}

static void test_forked_peer_killed_while_sending_to_it(void)
{
	run_with_death(2, t_forked_and_killed_while_sending);
}

static void test_peer_that_leaves_with_a_message_half_sent(void)
{
	run(2, t_left_with_a_message_half_sent);
}

static void test_peer_that_leaves_while_sent_to(void)
{
	run(2, t_left_while_sent_to);
}

static void test_forked_peer_that_aborted_and_died(void)
{
	run_with_death(2, t_aborted_then_died);
}

static void test_forked_peer_that_left_and_died(void)
{
	run_with_death(2, t_left_then_died);
}

static void test_abort_reaches_peers_with_its_reason(void)
{
	run(3, t_abort_reason);
}

static void test_peers_learn_what_a_rank_waits_in(void)
{
	run(2, t_status_reaches_peers);
}

static void test_nap_returns(void)
{
	run(2, t_nap_returns);
}

static void test_memory_is_reported_and_bounded(void)
{
	run(2, t_memory_is_reported);
}

static void test_memory_for_peers(void)
{
	run(2, t_memory_for_peers);
}

static void test_nothing_is_left_after_close(void)
{
	run(2, t_nothing_leaks);
}

static void test_missing_rank_is_named_in_time(void)
{
	run(3, t_missing_rank_is_named);
}

static void test_wrong_key_is_refused(void)
{
	run(2, t_wrong_key_is_refused);
}

static void test_only_wanted_peers_are_joined(void)
{
	run(3, t_unwanted_peers);
}

/* The cases about processes and sockets come last, so that a transport of threads stops
 * before them. */
#define N_COMMON 25
static const struct t_case cases[] = {
	{"exchange both ways", test_exchange_both_ways},
	{"many small messages in a row", test_many_small_messages_in_a_row},
	{"sender runs ahead of receiver", test_sender_runs_ahead_of_receiver},
	{"huge message of odd length", test_huge_message_of_odd_length},
	{"all sizes to 300 bytes", test_all_sizes_to_300_bytes},
	{"pieces of all kinds on both sides", test_pieces_of_all_kinds_on_both_sides},
	{"bulk in both directions does not deadlock",
         test_bulk_in_both_directions_does_not_deadlock},
	{"traffic with four peers interleaved", test_traffic_with_four_peers_interleaved},
	{"random traffic among three", test_random_traffic_among_three},
	{"reusable counts payload bytes", test_reusable_counts_payload_bytes},
	{"receives posted ahead", test_receives_posted_ahead},
	{"a window of part of an element grows", test_a_window_of_part_of_an_element_grows},
	{"another call is a mismatch", test_another_call_is_a_mismatch},
	{"another length is a mismatch", test_another_length_is_a_mismatch},
	{"data of a peer that left is readable", test_data_of_a_peer_that_left_is_readable},
	{"peer that leaves while awaited", test_peer_that_leaves_while_awaited},
	{"peer killed while idle", test_peer_killed_while_idle},
	{"peer killed while receiving from it", test_peer_killed_while_receiving_from_it},
	{"peer killed while sending to it", test_peer_killed_while_sending_to_it},
	{"peer that leaves with a message half sent",
         test_peer_that_leaves_with_a_message_half_sent},
	{"peer that leaves while sent to", test_peer_that_leaves_while_sent_to},
	{"abort reaches peers with its reason", test_abort_reaches_peers_with_its_reason},
	{"peers learn what a rank waits in", test_peers_learn_what_a_rank_waits_in},
	{"nap returns", test_nap_returns},
	{"memory is reported and bounded", test_memory_is_reported_and_bounded},
	{"memory for peers", test_memory_for_peers},
	{"forked peer killed while idle", test_forked_peer_killed_while_idle},
	{"forked peer killed while receiving from it",
         test_forked_peer_killed_while_receiving_from_it},
	{"forked peer killed while sending to it", test_forked_peer_killed_while_sending_to_it},
	{"forked peer that aborted and died", test_forked_peer_that_aborted_and_died},
	{"forked peer that left and died", test_forked_peer_that_left_and_died},
	{"nothing is left after close", test_nothing_is_left_after_close},
	{"missing rank is named in time", test_missing_rank_is_named_in_time},
	{"wrong key is refused", test_wrong_key_is_refused},
	{"only wanted peers are joined", test_only_wanted_peers_are_joined},
	{NULL, NULL},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

int t_conformance(const char *suite, const struct t_subject *s)
{
	struct t_case chosen[N_CASES];
	const size_t n = s->net_create != NULL ? N_COMMON : N_CASES - 1;
	subject = s;
	for (size_t i = 0; i < n; i++)
		chosen[i] = cases[i];
	chosen[n] = cases[N_CASES - 1];
	return t_main(suite, chosen);
}

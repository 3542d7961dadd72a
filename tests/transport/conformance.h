/*
 * conformance.h - the cases that every transport must pass.
 *
 * A transport is run through them by one line: a test program whose main returns
 * t_conformance() of its subject.
 */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include "tests/transport/t_world.h"

/* t_conformance - runs all cases; returns what main should.  `suite` as for t_main(). */
int t_conformance(const char *suite, const struct t_subject *subject);

/* The ranks' side of each case, by the file they are in. */

/* conformance_data.c: bytes arrive, whole and in order, however they are moved. */
t_rank_fn t_exchange_both_ways, t_many_small_messages, t_sender_runs_ahead, t_huge_message,
	t_all_small_sizes, t_piece_mixes, t_full_duplex_bulk, t_interleaved_peers,
	t_reusable_counts_bytes, t_posted_receives, t_window_grows, t_random_traffic;

/* conformance_fault.c: what is not as it should be is said so, soon. */
t_rank_fn t_call_differs, t_length_differs, t_left_with_data_unread, t_left_while_awaited,
	t_killed_while_idle, t_killed_while_receiving, t_killed_while_sending,
	t_forked_and_killed_while_idle, t_forked_and_killed_while_receiving,
	t_forked_and_killed_while_sending, t_left_with_a_message_half_sent, t_left_while_sent_to,
	t_aborted_then_died, t_left_then_died, t_abort_reason, t_status_reaches_peers,
	t_nap_returns, t_memory_is_reported, t_memory_for_peers, t_nothing_leaks,
	t_missing_rank_is_named, t_wrong_key_is_refused, t_unwanted_peers;

#endif

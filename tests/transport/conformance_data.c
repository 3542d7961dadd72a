#include "config.h"

#include "tests/transport/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

#define OPEN_S 10
#define PUMP_S 30

/* Where two ranks of a pair agree on the bytes that one sends the other. */
static uint64_t seed_of(int from, int to, uint64_t number)
{
	return (uint64_t)from * 1000003 + (uint64_t)to * 7919 + number;
}

/* Memory that a test may leave to the end of its process. */
static unsigned char *take(size_t bytes)
{
	unsigned char *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
	if (memory == NULL) {
		fprintf(stderr, "no memory for %zu bytes\n", bytes);
		exit(1);
	}
	return memory;
}

/* In tests/support/guest, where a message takes twenty times as long. */
static bool is_emulated(void)
{
	return getenv("IN_GUEST") != NULL;
}

int t_exchange_both_ways(struct t_rank *r)
{
	const struct fr_call call = t_call(1);
	const int next = (r->rank + 1) % r->n_ranks;
	const int before = (r->rank + r->n_ranks - 1) % r->n_ranks;
	unsigned char out[1000], in[1000];
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	t_fill(out, sizeof(out), seed_of(r->rank, next, 1));
	struct t_move moves[] = {
		{.peer = next, .is_send = true, .call = &call, .memory = out, .bytes = 1000},
		{.peer = before, .call = &call, .memory = in, .bytes = 1000},
	};
	T_CHECK(t_pump(r, moves, 2, PUMP_S, NULL) == FERRULE_OK);
	T_CHECK(t_differs(in, sizeof(in), seed_of(before, r->rank, 1)) == sizeof(in));
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_many_small_messages(struct t_rank *r)
{
	const int peer = 1 - r->rank;
	const uint64_t n = is_emulated() ? 2000 : 10000;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	for (uint64_t i = 0; i < n; i++) {
		const struct fr_call call = t_call(i + 1);
		const uint64_t bytes = 1 + i % 64;
		unsigned char out[64], in[64];
		t_fill(out, bytes, seed_of(r->rank, peer, i));
		struct t_move moves[] = {
			{.peer = peer,
		         .is_send = true,
		         .call = &call,
		         .memory = out,
		         .bytes = bytes},
			{.peer = peer,
		         .by_window = i % 2,
		         .call = &call,
		         .memory = in,
		         .bytes = bytes},
		};
		T_CHECK(t_pump(r, moves, 2, PUMP_S, NULL) == FERRULE_OK);
		T_CHECK(t_differs(in, bytes, seed_of(peer, r->rank, i)) == bytes);
	}
	return 0;
}

/* One way only, so that messages pile up and several arrive with one look. */
int t_sender_runs_ahead(struct t_rank *r)
{
	const int peer = 1 - r->rank;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	for (uint64_t i = 0; i < 3000; i++) {
		const struct fr_call call = t_call(i + 1);
		const uint64_t bytes = 1 + i * 7 % 500;
		unsigned char memory[500];
		t_fill(memory, bytes, r->rank == 0 ? i : i + 1);
		struct t_move move = {.peer = peer,
		                      .is_send = r->rank == 0,
		                      .by_window = i % 3 == 0,
		                      .is_hidden = true,
		                      .call = &call,
		                      .memory = memory,
		                      .bytes = bytes};
		T_CHECK(t_pump(r, &move, 1, PUMP_S, NULL) == FERRULE_OK);
		T_CHECK(t_differs(memory, bytes, i) == bytes);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

/* Moves `bytes` from rank 0 to rank 1 and compares. */
static int one_way(struct t_rank *r, struct t_move move, uint64_t number)
{
	const struct fr_call call = t_call(number);
	const size_t bytes = move.bytes;
	unsigned char *memory = take(bytes + 1);
	t_fill(memory, bytes, r->rank == 0 ? number : number + 1);
	memory[bytes] = 0x77;
	move.call = &call;
	move.memory = memory;
	move.peer = 1 - r->rank;
	move.is_send = r->rank == 0;
	const ferrule_status_t status = t_pump(r, &move, 1, PUMP_S, NULL);
	const bool is_same = t_differs(memory, bytes, number) == bytes && memory[bytes] == 0x77;
	free(memory);
	T_CHECK(status == FERRULE_OK);
	T_CHECK(is_same);
	return 0;
}

int t_huge_message(struct t_rank *r)
{
	const size_t bytes = (64u << 20) + 13;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	T_CHECK(one_way(r, (struct t_move){.bytes = bytes}, 1) == 0);
	T_CHECK(one_way(r, (struct t_move){.bytes = bytes, .by_window = true}, 2) == 0);
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_all_small_sizes(struct t_rank *r)
{
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	for (size_t bytes = 1; bytes <= 300; bytes++) {
		T_CHECK(one_way(r, (struct t_move){.bytes = bytes}, bytes) == 0);
		T_CHECK(one_way(r, (struct t_move){.bytes = bytes, .by_window = true}, bytes) == 0);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_piece_mixes(struct t_rank *r)
{
	static const size_t sizes[] = {8, 63, 64, 1000, 16384, 70001, 300000, 1048576 + 24};
	static const size_t pieces[] = {0, 8, 64, 4096, 4100, 131072};
	uint64_t number = 0;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	/* The two sides take different turns through kinds and sizes of pieces. */
	for (unsigned mix = 0; mix < 8 * 6 * 6 * 8; mix++) {
		const size_t bytes = sizes[mix % 8];
		const size_t piece = pieces[r->rank == 0 ? mix / 8 % 6 : mix / 48 % 6];
		const unsigned kinds = mix / 288;
		/* Tiny pieces of large messages take long and show nothing new. */
		if (bytes > 70001 && (mix / 8 % 6 < 3 || mix / 48 % 6 < 3) && mix / 8 % 6 != 0)
			continue;
		if (is_emulated() && bytes > 1000 && (mix / 8 % 6 == 1 || mix / 48 % 6 == 1))
			continue;
		if (is_emulated() && bytes > 16384 && (mix / 8 % 6 == 2 || mix / 48 % 6 == 2))
			continue;
		const struct t_move move = {
			.bytes = bytes,
			.piece = piece,
			.by_window = r->rank == 0 ? kinds & 1 : kinds >> 1 & 1,
			.is_hidden = kinds >> 2 & 1,
		};
		T_CHECK(one_way(r, move, ++number) == 0);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_full_duplex_bulk(struct t_rank *r)
{
	enum { BYTES = 12 << 20, N = 3 };
	const int peer = 1 - r->rank;
	const struct fr_call call = t_call(1);
	unsigned char *out = take(BYTES), *in = take((size_t)N * BYTES);
	struct t_move moves[2 * N];
	t_fill(out, BYTES, seed_of(r->rank, peer, 0));
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	/* All sends come before all receives: a transport that blocks in one never returns. */
	for (int i = 0; i < N; i++) {
		moves[i] = (struct t_move){.peer = peer,
		                           .is_send = true,
		                           .by_window = i == 1,
		                           .call = &call,
		                           .memory = out,
		                           .bytes = BYTES};
		moves[N + i] = (struct t_move){.peer = peer,
		                               .by_window = i == 1,
		                               .call = &call,
		                               .memory = in + (size_t)i * BYTES,
		                               .bytes = BYTES};
	}
	T_CHECK(t_pump(r, moves, 2 * N, PUMP_S, NULL) == FERRULE_OK);
	for (int i = 0; i < N; i++)
		T_CHECK(t_differs(in + (size_t)i * BYTES, BYTES, seed_of(peer, r->rank, 0)) ==
		        BYTES);
	T_CHECK(t_rank_barrier(r));
	free(in);
	free(out);
	return 0;
}

/* Everybody sends everybody several messages of several sizes, all at once. */
int t_interleaved_peers(struct t_rank *r)
{
	enum { N_EACH = 3, PEERS_MAX = 4 };
	static const size_t sizes[N_EACH] = {12, 100000, 3001};
	const struct fr_call call = t_call(1);
	struct t_move moves[2 * N_EACH * PEERS_MAX];
	int n = 0;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	for (int p = 0; p < r->n_ranks; p++) {
		if (p == r->rank)
			continue;
		for (int i = 0; i < N_EACH; i++) {
			unsigned char *out = take(sizes[i]);
			t_fill(out, sizes[i], seed_of(r->rank, p, (uint64_t)i));
			moves[n++] = (struct t_move){.peer = p,
			                             .is_send = true,
			                             .call = &call,
			                             .memory = out,
			                             .bytes = sizes[i],
			                             .piece = 5000};
			moves[n++] = (struct t_move){.peer = p,
			                             .by_window = p % 2,
			                             .call = &call,
			                             .memory = take(sizes[i]),
			                             .bytes = sizes[i]};
		}
	}
	T_CHECK(t_pump(r, moves, n, PUMP_S, NULL) == FERRULE_OK);
	for (int i = 0; i < n; i++) {
		const uint64_t number = (uint64_t)(i / 2 % N_EACH);
		if (!moves[i].is_send)
			T_CHECK(t_differs(moves[i].memory, moves[i].bytes,
			                  seed_of(moves[i].peer, r->rank, number)) ==
			        moves[i].bytes);
		free(moves[i].memory);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* Sizes are drawn alike by both ends of a pair, all else by each rank for itself. */
int t_random_traffic(struct t_rank *r)
{
	enum { N_ROUNDS = 60, BYTES_MAX = 400000 };
	uint64_t mine = 17 + (uint64_t)r->rank;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	for (uint64_t round = 0; round < N_ROUNDS; round++) {
		const struct fr_call call = t_call(round + 1);
		struct t_move moves[4];
		int n = 0;
		for (int p = 0; p < r->n_ranks; p++) {
			if (p == r->rank)
				continue;
			for (int is_send = 0; is_send < 2; is_send++) {
				const int from = is_send ? r->rank : p, to = is_send ? p : r->rank;
				uint64_t pair = seed_of(from, to, round);
				next_random(&pair);
				const size_t bytes =
					1 + next_random(&pair) % (round % 4 ? 3000 : BYTES_MAX);
				moves[n] = (struct t_move){.peer = p,
				                           .is_send = is_send,
				                           .by_window = next_random(&mine) % 2,
				                           .is_hidden = next_random(&mine) % 2,
				                           .call = &call,
				                           .memory = take(bytes),
				                           .bytes = bytes};
				if (next_random(&mine) % 2)
					moves[n].piece = 1 + next_random(&mine) % 9000;
				t_fill(moves[n].memory, bytes, seed_of(from, to, round) + !is_send);
				n++;
			}
		}
		T_CHECK(t_pump(r, moves, n, PUMP_S, NULL) == FERRULE_OK);
		for (int i = 0; i < n; i++) {
			const int from = moves[i].is_send ? r->rank : moves[i].peer;
			const int to = moves[i].is_send ? moves[i].peer : r->rank;
			T_CHECK(t_differs(moves[i].memory, moves[i].bytes,
			                  seed_of(from, to, round)) == moves[i].bytes);
			free(moves[i].memory);
		}
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_reusable_counts_bytes(struct t_rank *r)
{
	enum { BYTES = 100000, N = 5 };
	unsigned char *memory = take(BYTES);
	uint64_t before = 0;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	T_CHECK(ep->ops->send_reusable(ep) == 0);
	for (uint64_t i = 0; i < N; i++) {
		const struct fr_call call = t_call(i + 1);
		t_fill(memory, BYTES, r->rank == 0 ? i : 99);
		struct t_move move = {.peer = 1 - r->rank,
		                      .is_send = r->rank == 0,
		                      .by_window = i == 2,
		                      .call = &call,
		                      .memory = memory,
		                      .bytes = BYTES};
		T_CHECK(t_pump(r, &move, 1, PUMP_S, NULL) == FERRULE_OK);
		T_CHECK(t_differs(memory, BYTES, i) == BYTES);
		const uint64_t now = ep->ops->send_reusable(ep);
		T_CHECK(now >= before && now <= (i + 1) * BYTES);
		before = now;
		/* The peer has consumed the message: all of it is ours again. */
		T_CHECK(t_rank_barrier(r));
		T_CHECK(ep->ops->send_reusable(ep) == (r->rank == 0 ? (i + 1) * BYTES : 0));
	}
	free(memory);
	return 0;
}

int t_posted_receives(struct t_rank *r)
{
	enum { N = FR_POSTS_MAX, BYTES = 20011 };
	const struct fr_call call = t_call(1);
	struct t_move moves[N];
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	for (int i = 0; i < N; i++) {
		moves[i] = (struct t_move){.peer = 1 - r->rank,
		                           .is_send = r->rank == 0,
		                           .call = &call,
		                           .memory = take(BYTES),
		                           .bytes = BYTES};
		t_fill(moves[i].memory, BYTES, r->rank == 0 ? (uint64_t)i : 99);
		const struct fr_message m = {&call, BYTES, moves[i].memory};
		if (r->rank == 1 && ep->ops->recv_post != NULL)
			ep->ops->recv_post(ep, &m);
	}
	T_CHECK(t_rank_barrier(r));
	T_CHECK(t_pump(r, moves, N, PUMP_S, NULL) == FERRULE_OK);
	for (int i = 0; i < N; i++)
		T_CHECK(t_differs(moves[i].memory, BYTES, (uint64_t)i) == BYTES);
	/* The peer may still read out of this memory until it has everything. */
	T_CHECK(t_rank_barrier(r));
	for (int i = 0; i < N; i++)
		free(moves[i].memory);
	return 0;
}

#define GROWS_BYTES 1000
/* No part of an element, as pieces of a stream may be. */
#define GROWS_FIRST 251

/* The head of a message, then, once the other side has looked at it, the rest. */
static int send_in_two(struct t_rank *r, const struct fr_message *m)
{
	struct fr_ep *ep = t_rank_ep(r, 1);
	const unsigned char *bytes = m->memory;
	const struct fr_message plain = {m->call, m->bytes, NULL};
	const uint64_t until = fr_clock_ns() + PUMP_S * UINT64_C(1000000000);
	uint64_t sent = 0;
	while (ep->ops->send_begin(ep, &plain) == FERRULE_INPROGRESS)
		T_CHECK(fr_clock_ns() < until);
	while (sent < m->bytes) {
		const size_t want = (sent < GROWS_FIRST ? GROWS_FIRST : m->bytes) - sent;
		const int64_t n = ep->ops->send_some(ep, bytes + sent, want);
		T_CHECK(n >= 0 && fr_clock_ns() < until);
		sent += (uint64_t)n;
		if (n > 0 && sent == GROWS_FIRST) {
			T_CHECK(t_rank_barrier(r));
			T_CHECK(t_rank_barrier(r));
		}
	}
	return 0;
}

/* Takes whole elements alone, as a reduction does. */
static int take_by_elements(struct t_rank *r, const struct fr_message *m)
{
	struct fr_ep *ep = t_rank_ep(r, 0);
	unsigned char *to = m->memory;
	const uint64_t until = fr_clock_ns() + PUMP_S * UINT64_C(1000000000);
	uint64_t taken = 0;
	bool has_waited = false;
	while (ep->ops->recv_begin(ep, m) == FERRULE_INPROGRESS)
		T_CHECK(fr_clock_ns() < until);
	while (taken < m->bytes) {
		ferrule_status_t status = FERRULE_OK;
		size_t avail = 0;
		const void *window = ep->ops->recv_window(ep, &avail, &status);
		const size_t whole = window != NULL ? avail & ~(size_t)(FR_WINDOW_MIN - 1) : 0;
		T_CHECK(status >= 0 && fr_clock_ns() < until);
		if (whole > 0) {
			memcpy(to + taken, window, whole);
			ep->ops->recv_release(ep, whole);
			taken += whole;
		} else if (!has_waited) {
			has_waited = true;
			T_CHECK(t_rank_barrier(r));
		}
	}
	return 0;
}

int t_window_grows(struct t_rank *r)
{
	const struct fr_call call = t_call(1);
	unsigned char *memory = take(GROWS_BYTES);
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	/* First contact may need both sides at once. */
	struct t_move hello = {.peer = 1 - r->rank,
	                       .is_send = r->rank == 0,
	                       .call = &call,
	                       .memory = memory,
	                       .bytes = GROWS_BYTES};
	T_CHECK(t_pump(r, &hello, 1, PUMP_S, NULL) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	t_fill(memory, GROWS_BYTES, r->rank == 0 ? 7 : 99);
	const struct fr_message m = {&call, GROWS_BYTES, r->rank == 0 ? memory : NULL};
	if (r->rank == 0) {
		T_CHECK(send_in_two(r, &m) == 0);
	} else {
		const struct fr_message into = {&call, GROWS_BYTES, memory};
		T_CHECK(t_rank_barrier(r));
		T_CHECK(take_by_elements(r, &into) == 0);
		T_CHECK(t_differs(memory, GROWS_BYTES, 7) == GROWS_BYTES);
	}
	T_CHECK(t_rank_barrier(r));
	free(memory);
	return 0;
}

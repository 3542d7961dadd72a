#include "config.h"

#include "tests/transport/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tests/support/t_folder.h"

#define OPEN_S   10
#define PUMP_S   10
#define SECOND   1000000000u
#define DIED     (128 + 9)
#define DEATH_NS (2u * (uint64_t)SECOND) /* how soon a death is noticed */

/* Sends or receives one message with the other rank of two.  Hidden when sent, because the
 * peer may never take it. */
static ferrule_status_t move_one(struct t_rank *r, bool is_send, const struct fr_call *call,
                                 void *memory, uint64_t bytes)
{
	struct t_move move = {.peer = 1 - r->rank,
	                      .is_send = is_send,
	                      .is_hidden = is_send,
	                      .call = call,
	                      .memory = memory,
	                      .bytes = bytes};
	return t_pump(r, &move, 1, PUMP_S, NULL);
}

/* check() of one peer until it is no more OK, as an idle executor does. */
static ferrule_status_t wait_for_fault(struct t_rank *r, int peer)
{
	const uint64_t end = fr_clock_ns() + 5u * (uint64_t)SECOND;
	struct fr_ep *ep = t_rank_ep(r, peer);
	while (fr_clock_ns() < end) {
		const ferrule_status_t status = ep->ops->check(ep);
		if (status != FERRULE_OK)
			return status;
		r->t->ops->nap(r->t, 1000000);
	}
	return FERRULE_OK;
}

/* Waits for the word another rank posts. */
static bool wait_for_post(struct t_rank *r, int slot)
{
	const uint64_t end = fr_clock_ns() + 10u * (uint64_t)SECOND;
	while (t_rank_look(r, slot) == 0) {
		if (fr_clock_ns() > end)
			return false;
		r->t->ops->nap(r->t, 200000);
	}
	return true;
}

int t_call_differs(struct t_rank *r)
{
	const struct fr_call sent = t_call(17), expected = t_call(18);
	unsigned char bytes[40] = {0};
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	r->t->ops->announce(r->t, r->rank == 0 ? &sent : &expected);
	if (r->rank == 0) {
		T_CHECK(move_one(r, true, &sent, bytes, sizeof(bytes)) == FERRULE_OK);
	} else {
		struct fr_ep *ep = t_rank_ep(r, 0);
		T_CHECK(move_one(r, false, &expected, bytes, sizeof(bytes)) ==
		        FERRULE_ERR_MISMATCH);
		T_CHECK(memcmp(&ep->peer_call, &sent, sizeof(sent)) == 0);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_length_differs(struct t_rank *r)
{
	const struct fr_call call = t_call(17);
	unsigned char bytes[40] = {0};
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	r->t->ops->announce(r->t, &call);
	if (r->rank == 0) {
		T_CHECK(move_one(r, true, &call, bytes, 32) == FERRULE_OK);
	} else {
		struct fr_ep *ep = t_rank_ep(r, 0);
		T_CHECK(move_one(r, false, &call, bytes, 40) == FERRULE_ERR_MISMATCH);
		T_CHECK(memcmp(&ep->peer_call, &call, sizeof(call)) == 0);
		T_CHECK(ep->why[0] != '\0');
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_left_with_data_unread(struct t_rank *r)
{
	enum { N = 3, BYTES = 5000 };
	const struct fr_call hello = t_call(100);
	unsigned char memory[BYTES];
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	/* A transport may join two ranks when they first speak, which takes both of them. */
	T_CHECK(move_one(r, r->rank == 1, &hello, memory, 8) == FERRULE_OK);
	if (r->rank == 1) {
		for (uint64_t i = 0; i < N; i++) {
			const struct fr_call call = t_call(i + 1);
			t_fill(memory, BYTES, i);
			struct t_move move = {.peer = 0,
			                      .is_send = true,
			                      .is_hidden = true,
			                      .call = &call,
			                      .memory = memory,
			                      .bytes = BYTES};
			T_CHECK(t_pump(r, &move, 1, PUMP_S, NULL) == FERRULE_OK);
		}
		t_rank_close(r);
		return t_rank_barrier(r) ? 0 : 1;
	}
	T_CHECK(t_rank_barrier(r));
	struct fr_ep *ep = t_rank_ep(r, 1);
	for (uint64_t i = 0; i < N; i++) {
		const struct fr_call call = t_call(i + 1);
		T_CHECK(ep->ops->check(ep) == FERRULE_OK);
		T_CHECK(move_one(r, false, &call, memory, BYTES) == FERRULE_OK);
		T_CHECK(t_differs(memory, BYTES, i) == BYTES);
	}
	const struct fr_call call = t_call(N + 1);
	T_CHECK(move_one(r, false, &call, memory, BYTES) == FERRULE_ERR_PEER_LEFT);
	T_CHECK(strstr(ep->why, "rank 1") != NULL);
	return 0;
}

int t_left_while_awaited(struct t_rank *r)
{
	const struct fr_call call = t_call(1);
	unsigned char memory[8];
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	if (r->rank == 1) {
		T_CHECK(wait_for_post(r, 0));
		t_rank_close(r);
		return 0;
	}
	t_rank_post(r, 0, 1);
	T_CHECK(move_one(r, false, &call, memory, sizeof(memory)) == FERRULE_ERR_PEER_LEFT);
	/* A fault stays. */
	struct fr_ep *ep = t_rank_ep(r, 1);
	T_CHECK(ep->ops->check(ep) == FERRULE_ERR_PEER_LEFT);
	return 0;
}

/* What survivors see: the right fault, soon, with the rank in its text. */
static int expect_death(struct t_rank *r, ferrule_status_t status, int peer)
{
	char name[24];
	struct fr_ep *ep = t_rank_ep(r, peer);
	snprintf(name, sizeof(name), "rank %d", peer);
	if (status != FERRULE_ERR_PEER_DIED)
		fprintf(stderr, "rank %d got %d: %s\n", r->rank, (int)status, ep->why);
	T_CHECK(status == FERRULE_ERR_PEER_DIED);
	T_CHECK(strstr(ep->why, name) != NULL);
	T_CHECK(fr_clock_ns() - t_rank_look(r, 1) < DEATH_NS);
	return 0;
}

static int die(struct t_rank *r)
{
	t_rank_post(r, 1, fr_clock_ns());
	t_rank_die(r);
	return DIED;
}

int t_killed_while_idle(struct t_rank *r)
{
	const int victim = r->n_ranks - 1;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	if (r->rank == victim)
		return die(r);
	T_CHECK(expect_death(r, wait_for_fault(r, victim), victim) == 0);
	/* The other survivor is as well as before. */
	struct fr_ep *other = t_rank_ep(r, 1 - r->rank);
	T_CHECK(other->ops->check(other) == FERRULE_OK);
	t_rank_post(r, 2 + r->rank, 1);
	T_CHECK(wait_for_post(r, 3 - r->rank));
	return 0;
}

int t_killed_while_receiving(struct t_rank *r)
{
	enum { BYTES = 32 << 20 };
	const struct fr_call call = t_call(5);
	unsigned char *memory = calloc(1, BYTES);
	T_CHECK(memory != NULL && t_rank_open(r, OPEN_S) == FERRULE_OK);
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	r->t->ops->announce(r->t, &call);
	if (r->rank == 1) {
		/* A part of the message, then death. */
		const struct fr_message m = {&call, BYTES, NULL};
		while (ep->ops->send_begin(ep, &m) == FERRULE_INPROGRESS)
			;
		struct t_move part = {.peer = 0,
		                      .is_send = true,
		                      .call = &call,
		                      .memory = memory,
		                      .bytes = 1 << 16,
		                      .has_begun = true};
		part.by_window = ep->send_has_window;
		const ferrule_status_t status = t_pump(r, &part, 1, PUMP_S, NULL);
		free(memory);
		T_CHECK(status == FERRULE_OK);
		/* What a device has not sent yet dies with its process. */
		while (t_rank_look(r, 0) == 0)
			r->t->ops->nap(r->t, 100000);
		return die(r);
	}
	struct t_move first = {.peer = 1, .call = &call, .memory = memory, .bytes = BYTES};
	const struct fr_message m = {&call, BYTES, NULL};
	while (ep->ops->recv_begin(ep, &m) == FERRULE_INPROGRESS)
		;
	first.has_begun = true;
	t_rank_post(r, 0, 1);
	const ferrule_status_t status = t_pump(r, &first, 1, PUMP_S, NULL);
	free(memory);
	T_CHECK(expect_death(r, status, 1) == 0);
	struct fr_call last;
	T_CHECK(ep->ops->peer_call(ep, &last) && last.signature == call.signature);
	return 0;
}

int t_killed_while_sending(struct t_rank *r)
{
	enum { BYTES = 32 << 20 };
	const struct fr_call call = t_call(5);
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	if (r->rank == 1) {
		T_CHECK(wait_for_post(r, 0));
		return die(r);
	}
	unsigned char *memory = calloc(1, BYTES);
	T_CHECK(memory != NULL);
	t_rank_post(r, 0, 1);
	/* Hidden, so that no transport can say it is done while the peer has not read it. */
	struct t_move move = {.peer = 1,
	                      .is_send = true,
	                      .is_hidden = true,
	                      .call = &call,
	                      .memory = memory,
	                      .bytes = BYTES};
	const ferrule_status_t status = t_pump(r, &move, 1, PUMP_S, NULL);
	free(memory);
	return expect_death(r, status, 1);
}

int t_abort_reason(struct t_rank *r)
{
	static const char reason[] = "rank 0 says: allreduce #3 was too much";
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	if (r->rank == 0) {
		r->t->ops->abort(r->t, reason);
		/* A second one changes nothing. */
		r->t->ops->abort(r->t, "something else");
		T_CHECK(wait_for_post(r, 1) && wait_for_post(r, 2));
		return 0;
	}
	const ferrule_status_t status = wait_for_fault(r, 0);
	t_rank_post(r, r->rank, 1);
	T_CHECK(status == FERRULE_ERR_ABORTED);
	T_CHECK(strstr(t_rank_ep(r, 0)->why, reason) != NULL);
	return 0;
}

int t_status_reaches_peers(struct t_rank *r)
{
	const struct fr_call call = t_call(41 + (uint64_t)r->rank);
	const uint64_t end = fr_clock_ns() + 3u * (uint64_t)SECOND;
	struct fr_call seen;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	r->t->ops->announce(r->t, &call);
	const struct fr_call expected = t_call(41 + (uint64_t)(1 - r->rank));
	while (!ep->ops->peer_call(ep, &seen) || seen.signature != expected.signature) {
		T_CHECK(fr_clock_ns() < end);
		T_CHECK(ep->ops->check(ep) == FERRULE_OK);
		r->t->ops->nap(r->t, 1000000);
	}
	T_CHECK(memcmp(&seen, &expected, sizeof(seen)) == 0);
	/* The other one waits for our word until it has come. */
	t_rank_post(r, r->rank, 1);
	while (t_rank_look(r, 1 - r->rank) == 0) {
		T_CHECK(fr_clock_ns() < end);
		T_CHECK(ep->ops->check(ep) == FERRULE_OK);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_nap_returns(struct t_rank *r)
{
	const struct fr_call call = t_call(1);
	unsigned char bytes[16] = {0};
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	for (int i = 0; i < 10; i++) {
		const uint64_t start = fr_clock_ns();
		r->t->ops->nap(r->t, 2000000);
		T_CHECK(fr_clock_ns() - start < SECOND);
	}
	/* Asleep for long, woken by the message. */
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	if (r->rank == 0) {
		T_CHECK(wait_for_post(r, 0));
		T_CHECK(move_one(r, true, &call, bytes, sizeof(bytes)) == FERRULE_OK);
	} else {
		const uint64_t start = fr_clock_ns();
		const struct fr_message m = {&call, sizeof(bytes), bytes};
		ferrule_status_t status;
		while ((status = ep->ops->recv_begin(ep, &m)) == FERRULE_INPROGRESS) {
			t_rank_post(r, 0, 1);
			r->t->ops->nap(r->t, SECOND / 2);
			T_CHECK(fr_clock_ns() - start < 5u * (uint64_t)SECOND);
		}
		T_CHECK(status == FERRULE_OK);
		struct t_move rest = {.peer = 0,
		                      .call = &call,
		                      .memory = bytes,
		                      .bytes = sizeof(bytes),
		                      .has_begun = true};
		T_CHECK(t_pump(r, &rest, 1, PUMP_S, NULL) == FERRULE_OK);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_memory_is_reported(struct t_rank *r)
{
	enum { BYTES = 2 << 20 };
	const struct fr_call call = t_call(1);
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	const uint64_t before = r->t->ops->memory_bytes(r->t);
	T_CHECK(before > 0 && before <= 16u << 20);
	unsigned char *out = calloc(1, BYTES), *in = calloc(1, BYTES);
	T_CHECK(out != NULL && in != NULL);
	struct t_move moves[] = {
		{.peer = 1 - r->rank,
	         .is_send = true,
	         .call = &call,
	         .memory = out,
	         .bytes = BYTES},
		{.peer = 1 - r->rank, .call = &call, .memory = in, .bytes = BYTES},
	};
	T_CHECK(t_pump(r, moves, 2, PUMP_S, NULL) == FERRULE_OK);
	T_CHECK(r->t->ops->memory_bytes(r->t) <= 16u << 20);
	T_CHECK(t_rank_barrier(r));
	free(in);
	free(out);
	return 0;
}

/* Supported or not, and if so: aligned, zeroed, usable for messages, and given back. */
int t_memory_for_peers(struct t_rank *r)
{
	enum { BYTES = 3 << 20 };
	void *memory = NULL;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	const ferrule_status_t status = fr_transport_mem_alloc(r->t, BYTES, &memory);
	T_CHECK(status == FERRULE_OK || status == FERRULE_ERR_UNSUPPORTED);
	if (status == FERRULE_ERR_UNSUPPORTED) {
		T_CHECK(memory == NULL);
		return 0;
	}
	unsigned char *bytes = memory;
	T_CHECK((uintptr_t)memory % 4096 == 0);
	for (size_t i = 0; i < BYTES; i++)
		T_CHECK(bytes[i] == 0);
	const struct fr_call call = t_call(1);
	t_fill(bytes, BYTES, r->rank == 0 ? 5 : 6);
	struct t_move move = {.peer = 1 - r->rank,
	                      .is_send = r->rank == 0,
	                      .call = &call,
	                      .memory = bytes,
	                      .bytes = BYTES};
	T_CHECK(t_pump(r, &move, 1, PUMP_S, NULL) == FERRULE_OK);
	T_CHECK(t_differs(bytes, BYTES, 5) == BYTES);
	T_CHECK(t_rank_barrier(r));
	T_CHECK(r->t->ops->mem_free(r->t, memory) == FERRULE_OK);
	return 0;
}

int t_nothing_leaks(struct t_rank *r)
{
	/* Once, so that what is opened only once a process does not count. */
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	t_rank_close(r);
	const int fds = t_folder_count("/proc/self/fd", "");
	for (int i = 0; i < 3; i++) {
		T_CHECK(t_rank_barrier(r));
		T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
		T_CHECK(t_rank_barrier(r));
		t_rank_close(r);
	}
	T_CHECK(t_rank_barrier(r));
	T_CHECK(t_folder_count("/proc/self/fd", "") == fds);
	T_CHECK(!t_has_meeting_place());
	return 0;
}

int t_missing_rank_is_named(struct t_rank *r)
{
	const uint64_t start = fr_clock_ns();
	T_CHECK(t_rank_listen(r) == FERRULE_OK);
	/* The middle one never connects: missed by one that accepts it and one that calls it. */
	if (r->rank != 1) {
		const ferrule_status_t status = t_rank_connect(r, NULL, 0.5);
		T_CHECK(status == FERRULE_ERR_TIMEOUT);
		T_CHECK(strstr(r->why, "1") != NULL && strstr(r->why, "2,") == NULL);
		T_CHECK(fr_clock_ns() - start < 3u * (uint64_t)SECOND);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_wrong_key_is_refused(struct t_rank *r)
{
	if (r->rank == 1)
		r->key[31] ^= 1;
	T_CHECK(t_rank_listen(r) == FERRULE_OK);
	const ferrule_status_t status = t_rank_connect(r, NULL, 1.0);
	T_CHECK(status == FERRULE_ERR_AUTH || status == FERRULE_ERR_TIMEOUT);
	T_CHECK(r->why[0] != '\0');
	T_CHECK(t_rank_barrier(r));
	return 0;
}

int t_unwanted_peers(struct t_rank *r)
{
	/* 0 - 1 and 1 - 2, not 0 - 2. */
	const bool wanted[3] = {r->rank == 1, r->rank != 1, r->rank == 1};
	const struct fr_call call = t_call(1);
	unsigned char bytes[3] = {0};
	T_CHECK(t_rank_listen(r) == FERRULE_OK);
	T_CHECK(t_rank_connect(r, wanted, OPEN_S) == FERRULE_OK);
	struct t_move moves[4];
	int n = 0;
	for (int p = 0; p < 3; p++) {
		if (!wanted[p])
			continue;
		moves[n++] = (struct t_move){
			.peer = p, .is_send = true, .call = &call, .memory = &bytes[p], .bytes = 1};
		moves[n++] = (struct t_move){.peer = p,
		                             .call = &call,
		                             .memory = &bytes[p],
		                             .bytes = 1,
		                             .by_window = true};
	}
	T_CHECK(t_pump(r, moves, n, PUMP_S, NULL) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	return 0;
}

#include "config.h"

#include "tests/transport/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/process.h"
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

#define DEATH_SEEN 6 /* the slot where a survivor says that children of the dead may go */

/* A child that holds whatever this rank has, as a data loader does, until its death was seen. */
static bool leave_child(struct t_rank *r)
{
	const uint64_t end = fr_clock_ns() + 2 * DEATH_NS;
	const struct timespec moment = {.tv_nsec = 1000000};
	const pid_t pid = fork();
	if (pid != 0)
		return pid > 0;
	while (t_rank_look(r, DEATH_SEEN) == 0 && fr_clock_ns() < end)
		nanosleep(&moment, NULL);
	_exit(0);
}

static int killed_while_idle(struct t_rank *r, bool has_forked)
{
	const int victim = r->n_ranks - 1;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	T_CHECK(t_rank_barrier(r));
	if (r->rank == victim) {
		T_CHECK(!has_forked || leave_child(r));
		return die(r);
	}
	T_CHECK(expect_death(r, wait_for_fault(r, victim), victim) == 0);
	/* The other survivor is as well as before. */
	struct fr_ep *other = t_rank_ep(r, 1 - r->rank);
	T_CHECK(other->ops->check(other) == FERRULE_OK);
	t_rank_post(r, 2 + r->rank, 1);
	T_CHECK(wait_for_post(r, 3 - r->rank));
	t_rank_post(r, DEATH_SEEN, 1);
	return 0;
}

int t_killed_while_idle(struct t_rank *r)
{
	return killed_while_idle(r, false);
}

int t_forked_and_killed_while_idle(struct t_rank *r)
{
	return killed_while_idle(r, true);
}

/* The first `bytes` of a message of BULK to the other rank of two.  OK, or the fault. */
enum { BULK = 32 << 20 };
static ferrule_status_t send_part(struct t_rank *r, const struct fr_call *call, uint64_t bytes)
{
	unsigned char *memory = calloc(1, bytes);
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	const struct fr_message m = {call, BULK, NULL};
	ferrule_status_t status;
	while ((status = ep->ops->send_begin(ep, &m)) == FERRULE_INPROGRESS)
		;
	struct t_move part = {.peer = 1 - r->rank,
	                      .is_send = true,
	                      .call = call,
	                      .memory = memory,
	                      .bytes = bytes,
	                      .has_begun = true};
	part.by_window = ep->send_has_window;
	if (status == FERRULE_OK)
		status = t_pump(r, &part, 1, PUMP_S, NULL);
	free(memory);
	return status;
}

/* Receives a message of BULK of which only a part will come; says in slot 0 that it has begun. */
static ferrule_status_t receive_part(struct t_rank *r, const struct fr_call *call)
{
	unsigned char *memory = calloc(1, BULK);
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	const struct fr_message m = {call, BULK, NULL};
	while (ep->ops->recv_begin(ep, &m) == FERRULE_INPROGRESS)
		;
	struct t_move move = {.peer = 1 - r->rank,
	                      .call = call,
	                      .memory = memory,
	                      .bytes = BULK,
	                      .has_begun = true};
	t_rank_post(r, 0, 1);
	const ferrule_status_t status = t_pump(r, &move, 1, PUMP_S, NULL);
	free(memory);
	return status;
}

static int killed_while_receiving(struct t_rank *r, bool has_forked)
{
	const struct fr_call call = t_call(5);
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	struct fr_ep *ep = t_rank_ep(r, 1 - r->rank);
	r->t->ops->announce(r->t, &call);
	if (r->rank == 1) {
		/* A part of the message, then death. */
		T_CHECK(send_part(r, &call, 1 << 16) == FERRULE_OK);
		/* What a device has not sent yet dies with its process. */
		while (t_rank_look(r, 0) == 0)
			r->t->ops->nap(r->t, 100000);
		T_CHECK(!has_forked || leave_child(r));
		return die(r);
	}
	T_CHECK(expect_death(r, receive_part(r, &call), 1) == 0);
	t_rank_post(r, DEATH_SEEN, 1);
	struct fr_call last;
	T_CHECK(ep->ops->peer_call(ep, &last) && last.signature == call.signature);
	return 0;
}

int t_killed_while_receiving(struct t_rank *r)
{
	return killed_while_receiving(r, false);
}

int t_forked_and_killed_while_receiving(struct t_rank *r)
{
	return killed_while_receiving(r, true);
}

/* Sends a message of BULK to rank 1, which will not take it. */
static ferrule_status_t send_in_vain(struct t_rank *r, const struct fr_call *call)
{
	unsigned char *memory = calloc(1, BULK);
	/* Hidden, so that no transport can say it is done while the peer has not read it. */
	struct t_move move = {.peer = 1,
	                      .is_send = true,
	                      .is_hidden = true,
	                      .call = call,
	                      .memory = memory,
	                      .bytes = BULK};
	const ferrule_status_t status = t_pump(r, &move, 1, PUMP_S, NULL);
	free(memory);
	return status;
}

static int killed_while_sending(struct t_rank *r, bool has_forked)
{
	const struct fr_call call = t_call(5);
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	if (r->rank == 1) {
		T_CHECK(wait_for_post(r, 0));
		T_CHECK(!has_forked || leave_child(r));
		return die(r);
	}
	t_rank_post(r, 0, 1);
	T_CHECK(expect_death(r, send_in_vain(r, &call), 1) == 0);
	t_rank_post(r, DEATH_SEEN, 1);
	return 0;
}

int t_killed_while_sending(struct t_rank *r)
{
	return killed_while_sending(r, false);
}

int t_forked_and_killed_while_sending(struct t_rank *r)
{
	return killed_while_sending(r, true);
}

/* The peer leaves: the text names it, and nobody waits for what will never come. */
static int expect_leave(struct t_rank *r, ferrule_status_t status)
{
	struct fr_ep *ep = t_rank_ep(r, 1);
	if (status != FERRULE_ERR_PEER_LEFT)
		fprintf(stderr, "rank %d got %d: %s\n", r->rank, (int)status, ep->why);
	T_CHECK(status == FERRULE_ERR_PEER_LEFT);
	T_CHECK(strstr(ep->why, "rank 1") != NULL);
	T_CHECK(fr_clock_ns() - t_rank_look(r, 1) < DEATH_NS);
	return 0;
}

static int leave(struct t_rank *r)
{
	t_rank_post(r, 1, fr_clock_ns());
	t_rank_close(r);
	return 0;
}

int t_left_with_a_message_half_sent(struct t_rank *r)
{
	const struct fr_call call = t_call(5);
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	if (r->rank == 0)
		return expect_leave(r, receive_part(r, &call));
	T_CHECK(send_part(r, &call, (1 << 16) + 40) == FERRULE_OK);
	while (t_rank_look(r, 0) == 0)
		r->t->ops->nap(r->t, 100000);
	return leave(r);
}

/* What it sent before it left, and nobody reads, does not hide that it reads no more. */
int t_left_while_sent_to(struct t_rank *r)
{
	const struct fr_call hello = t_call(1), word = t_call(2), call = t_call(5);
	unsigned char bytes[40] = {0};
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	T_CHECK(move_one(r, r->rank == 1, &hello, bytes, sizeof(bytes)) == FERRULE_OK);
	if (r->rank == 0) {
		t_rank_post(r, 0, 1);
		return expect_leave(r, send_in_vain(r, &call));
	}
	T_CHECK(move_one(r, true, &word, bytes, sizeof(bytes)) == FERRULE_OK);
	T_CHECK(wait_for_post(r, 0));
	return leave(r);
}

/* Rank 1 says its last words, and ends while a child holds what it had.  Rank 0 looks when all that
 * has happened: words come before death. */
static int words_before_death(struct t_rank *r, void (*say)(struct t_rank *),
                              ferrule_status_t expected, const char *text)
{
	struct fr_process_id id;
	struct fr_process process;
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	if (r->rank == 1) {
		fr_process_self(&id);
		t_rank_post(r, 2, id.space);
		t_rank_post(r, 3, id.start);
		t_rank_post(r, 4, id.pid);
		T_CHECK(t_rank_barrier(r) && wait_for_post(r, 5) && leave_child(r));
		say(r);
		t_rank_die(r);
	}
	T_CHECK(t_rank_barrier(r));
	id = (struct fr_process_id){.space = t_rank_look(r, 2),
	                            .start = t_rank_look(r, 3),
	                            .pid = (uint32_t)t_rank_look(r, 4)};
	fr_process_watch(&process, -1, &id);
	t_rank_post(r, 5, 1);
	const uint64_t end = fr_clock_ns() + 10u * (uint64_t)SECOND;
	while (fr_process_is_watched(&process) && !fr_process_has_ended(&process))
		T_CHECK(fr_clock_ns() < end);
	fr_process_unwatch(&process);
	T_CHECK(wait_for_fault(r, 1) == expected);
	t_rank_post(r, DEATH_SEEN, 1);
	T_CHECK(strstr(t_rank_ep(r, 1)->why, text) != NULL);
	return 0;
}

static void say_abort(struct t_rank *r)
{
	r->t->ops->abort(r->t, "rank 1 says: that was too much");
}

int t_aborted_then_died(struct t_rank *r)
{
	return words_before_death(r, say_abort, FERRULE_ERR_ABORTED, "that was too much");
}

int t_left_then_died(struct t_rank *r)
{
	return words_before_death(r, t_rank_close, FERRULE_ERR_PEER_LEFT, "has left");
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

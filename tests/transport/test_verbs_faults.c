/*
 * What breaks under a running transfer, on the stand-in device: nothing is lost, nothing comes
 * twice, and what cannot be mended is said.  The guest shows the same on kernel verbs.
 */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/transport/transport.h"
#include "lib/mem/region.h"
#include "tests/support/standin/standin_control.h"
#include "tests/support/t_main.h"
#include "tests/support/t_sanitizer.h"
#include "tests/transport/t_world.h"

#define OPEN_S 10
#define PUMP_S 40
#define MS     1000000u
#define BUFFER ((size_t)1 << 20)
/* Traffic goes on for so long after the last fault was set, and for so many rounds. */
#define AFTER_NS   (600u * MS)
#define MIN_ROUNDS 12u
/* Of 400 exchanges each.  A sanitizer sees a leak the first time. */
#define N_OPENS (T_SANITIZED ? 5 : 25)

/* ---- one case ---- */

/* What happens to the devices, by the clock, while ranks exchange. */
struct event {
	unsigned after_ms; /* the one before; 0 after_ms and no action: the end */
	void (*action)(struct standin_control *c);
};

struct fault {
	const struct event *events;
	bool is_registered;        /* buffers are known to the device */
	ferrule_status_t expected; /* of the exchange */
	const char *why[3];        /* what the text must hold */
};

/* Set before ranks are forked. */
static const struct fault *fault;
static struct standin_control *control;
/* The devices of this program alone. */
static char space[32];

static void settings(const char *const *pairs)
{
	static const char *const all[] = {
		"STANDIN_DEVICES",    "STANDIN_TIME_SCALE", "FERRULE_IB_STALL",
		"FERRULE_IB_RECOVER", "FERRULE_IB_RAILS",   "FERRULE_IB_QPS_PER_PEER",
		"FERRULE_IB_SLOT",    "FERRULE_IB_SLOTS",   "FERRULE_IB_TIMEOUT"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		unsetenv(all[i]);
	/* Soon enough for a test. */
	setenv("FERRULE_IB_STALL", "0.4", 1);
	setenv("FERRULE_IB_TIMEOUT", "14", 1);
	for (; pairs != NULL && *pairs != NULL; pairs += 2)
		setenv(pairs[0], pairs[1], 1);
}

static void *play(void *done)
{
	for (const struct event *e = fault->events; e->action != NULL; e++) {
		const struct timespec pause = {0, (long)e->after_ms * MS};

		nanosleep(&pause, NULL);
		e->action(control);
	}
	__atomic_store_n((uint64_t *)done, fr_clock_ns(), __ATOMIC_RELEASE);
	return NULL;
}

struct buffers {
	unsigned char *out, *in;
};

static int prepare(struct t_rank *r, struct buffers *b)
{
	char why[200];

	b->out = aligned_alloc(4096, BUFFER);
	b->in = aligned_alloc(4096, BUFFER);
	T_CHECK(b->out != NULL && b->in != NULL);
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	for (int i = 0; i < 2 && fault->is_registered; i++) {
		const struct fr_mem_block block = {
			.base = i ? b->in : b->out, .bytes = BUFFER, .dmabuf_fd = -1};
		T_CHECK(r->t->ops->mem_register(r->t, &block, why, sizeof(why)) == FERRULE_OK);
	}
	return 0;
}

/* One message each way, of a size that both know. */
static ferrule_status_t exchange(struct t_rank *r, struct buffers *b, uint64_t number,
                                 bool *is_right, struct fr_ep **ep_out)
{
	static const size_t sizes[] = {8, 300, 5000, 70000, 400000, BUFFER};
	const size_t bytes = sizes[number % 6];
	const struct fr_call call = t_call(number + 1);
	struct t_move moves[2] = {
		{.peer = 1 - r->rank,
	         .is_send = true,
	         .call = &call,
	         .memory = b->out,
	         .bytes = bytes},
		{.peer = 1 - r->rank, .call = &call, .memory = b->in, .bytes = bytes},
	};

	t_fill(b->out, bytes, number * 2 + (uint64_t)r->rank);
	const ferrule_status_t status = t_pump(r, moves, 2, PUMP_S, ep_out);

	*is_right = status != FERRULE_OK ||
	            t_differs(b->in, bytes, number * 2 + (uint64_t)(1 - r->rank)) == bytes;
	return status;
}

/* Rank 0 decides whether to go on and tells the other by a message, so that both are always in
 * the transport: who is elsewhere cannot help to mend. */
static ferrule_status_t agree(struct t_rank *r, uint64_t number, unsigned char *goes_on,
                              struct fr_ep **ep_out)
{
	const struct fr_call call = t_call(number + 1);
	struct t_move move = {.peer = 1 - r->rank,
	                      .is_send = r->rank == 0,
	                      .call = &call,
	                      .memory = goes_on,
	                      .bytes = 1};

	return t_pump(r, &move, 1, PUMP_S, ep_out);
}

static int traffic(struct t_rank *r)
{
	struct buffers b;
	struct fr_ep *ep = NULL;
	ferrule_status_t status = FERRULE_OK;
	uint64_t played = 0, number = 0;
	unsigned char goes_on = 1;
	pthread_t player;

	T_CHECK(prepare(r, &b) == 0);
	if (r->rank == 0)
		T_CHECK(pthread_create(&player, NULL, play, &played) == 0);
	while (status == FERRULE_OK && goes_on) {
		bool is_right;

		status = exchange(r, &b, number, &is_right, &ep);
		T_CHECK(is_right);
		const uint64_t last = __atomic_load_n(&played, __ATOMIC_ACQUIRE);

		if (r->rank == 0 && number >= MIN_ROUNDS && last != 0 &&
		    fr_clock_ns() - last > AFTER_NS)
			goes_on = 0;
		if (status == FERRULE_OK)
			status = agree(r, number++, &goes_on, &ep);
	}
	if (r->rank == 0)
		pthread_join(player, NULL);
	if (status != fault->expected)
		fprintf(stderr, "rank %d: status %d after %llu rounds: %s\n", r->rank, status,
		        (unsigned long long)number, ep != NULL ? ep->why : "");
	/* As the executor does: all learn it, and the first one's words. */
	if (status != FERRULE_OK)
		r->t->ops->abort(r->t, ep->why);
	T_CHECK(status == fault->expected ||
	        (fault->expected != FERRULE_OK && status == FERRULE_ERR_ABORTED));
	for (int i = 0; i < 3 && status != FERRULE_OK && fault->why[i] != NULL; i++)
		T_CHECK(strstr(ep->why, fault->why[i]) != NULL);
	/* Both find out by themselves: who closes first would tell the other another story. */
	T_CHECK(t_rank_barrier(r));
	free(b.out);
	free(b.in);
	return 0;
}

/* Two ranks; `first`, if any, is done to the devices before they start. */
static void run_ranks(t_rank_fn *fn, void (*first)(struct standin_control *c))
{
	const struct t_subject subject = {.ops = fr_transport_find("verbs")};

	control = standin_control_open(space);
	CU_ASSERT_PTR_NOT_NULL_FATAL(control);
	if (first != NULL)
		first(control);
	CU_ASSERT_EQUAL(t_world_run(&subject, 2, 100, fn, NULL), 0);
	standin_control_close(control);
}

static void run(const struct fault *f, const char *const *pairs)
{
	settings(pairs);
	fault = f;
	run_ranks(traffic, NULL);
}

/* ---- faults ---- */

static void port_down(struct standin_control *c)
{
	standin_control_port(c, 0, STANDIN_PORT_DOWN);
}

static void port_silent(struct standin_control *c)
{
	standin_control_port(c, 0, STANDIN_PORT_SILENT);
}

static void second_port_silent(struct standin_control *c)
{
	standin_control_port(c, 1, STANDIN_PORT_SILENT);
}

static void port_up(struct standin_control *c)
{
	standin_control_port(c, 0, STANDIN_PORT_UP);
}

static void fail_a_request(struct standin_control *c)
{
	standin_control_kill(c, 0, 20, IBV_WC_RETRY_EXC_ERR);
}

static void remove_gid(struct standin_control *c)
{
	standin_control_gid(c, 0, 1, STANDIN_GID_REMOVED);
}

static void restore_gid(struct standin_control *c)
{
	standin_control_gid(c, 0, 1, STANDIN_GID_PRESENT);
}

static void deaden_gid(struct standin_control *c)
{
	standin_control_gid(c, 0, 1, STANDIN_GID_DEAD);
}

static void deaden_all(struct standin_control *c)
{
	standin_control_gid(c, 0, 0, STANDIN_GID_DEAD);
	standin_control_gid(c, 0, 1, STANDIN_GID_DEAD);
}

static const struct event nothing[] = {{0, NULL}};

static void both(const struct event *events, const char *const *pairs)
{
	const struct fault plain = {.events = events};
	const struct fault registered = {.events = events, .is_registered = true};

	run(&plain, pairs);
	run(&registered, pairs);
}

static void test_nothing_breaks(void)
{
	both(nothing, NULL);
}

static void test_a_port_that_comes_back_in_time(void)
{
	static const struct event events[] = {{60, port_down}, {30, port_up}, {0, NULL}};

	both(events, NULL);
}

static void test_a_port_that_comes_back_late(void)
{
	static const struct event events[] = {{60, port_down}, {900, port_up}, {0, NULL}};

	both(events, NULL);
}

static void test_a_port_that_loses_work_silently(void)
{
	static const struct event events[] = {{60, port_silent}, {200, port_up}, {0, NULL}};

	both(events, NULL);
}

static void test_requests_that_fail(void)
{
	static const struct event events[] = {
		{40, fail_a_request}, {100, fail_a_request}, {100, fail_a_request}, {0, NULL}};

	both(events, NULL);
}

static void test_an_address_that_goes_and_returns(void)
{
	static const struct event events[] = {{60, remove_gid}, {300, restore_gid}, {0, NULL}};

	both(events, NULL);
}

static void test_an_address_that_goes_for_good(void)
{
	static const struct event events[] = {{60, remove_gid}, {0, NULL}};

	both(events, NULL);
}

static void test_the_best_address_is_dead_from_the_start(void)
{
	static const struct fault f = {.events = nothing};

	settings(NULL);
	fault = &f;
	run_ranks(traffic, deaden_gid);
}

static void test_a_rail_is_lost(void)
{
	static const struct event events[] = {{60, second_port_silent}, {0, NULL}};
	static const char *const pairs[] = {"STANDIN_DEVICES", "2", "FERRULE_IB_QPS_PER_PEER", "2",
	                                    NULL};

	both(events, pairs);
}

static void test_no_path_is_left(void)
{
	static const struct event events[] = {{60, deaden_all}, {0, NULL}};
	static const char *const pairs[] = {"FERRULE_IB_RECOVER", "1", NULL};
	static const struct fault f = {
		.events = events,
		.expected = FERRULE_ERR_FABRIC,
		.why = {"no RDMA path to rank", "FERRULE_IB_RECOVER", "GID"}};

	run(&f, pairs);
}

/* ---- grants and mending ---- */

#define LARGE    ((size_t)70000)
#define N_LARGE  14
#define N_BEFORE 3 /* messages that go before the fault */
#define N_AHEAD  8 /* posted before there is a connection, and so never granted */

static void post_large(struct t_rank *r, struct buffers *b, int i)
{
	const struct fr_call call = t_call((uint64_t)i + 1);
	const struct fr_message m = {
		.call = &call, .bytes = LARGE, .memory = b->in + (size_t)i * LARGE};
	struct fr_ep *ep = t_rank_ep(r, 0);

	if (r->rank == 1 && i < N_LARGE)
		ep->ops->recv_post(ep, &m);
}

static int move_large(struct t_rank *r, struct buffers *b, int i)
{
	const struct fr_call call = t_call((uint64_t)i + 1);
	const bool is_send = r->rank == 0;
	unsigned char *memory = (is_send ? b->out : b->in) + (size_t)i * LARGE;
	struct t_move move = {.peer = 1 - r->rank,
	                      .is_send = is_send,
	                      .call = &call,
	                      .memory = memory,
	                      .bytes = LARGE};

	if (is_send)
		t_fill(memory, LARGE, (uint64_t)i);
	T_CHECK(t_pump(r, &move, 1, PUMP_S, NULL) == FERRULE_OK);
	T_CHECK(t_differs(memory, LARGE, (uint64_t)i) == LARGE);
	post_large(r, b, i + N_AHEAD);
	return 0;
}

/* The first grant is for message N_AHEAD; the connection breaks long before that one's turn. */
static int break_before_the_first_grant(struct t_rank *r)
{
	static const struct fault registered = {.is_registered = true};
	struct buffers b;

	fault = &registered;
	T_CHECK(prepare(r, &b) == 0);
	for (int i = 0; i < N_AHEAD; i++)
		post_large(r, &b, i);
	for (int i = 0; i < N_BEFORE; i++)
		T_CHECK(move_large(r, &b, i) == 0);
	T_CHECK(t_rank_barrier(r));
	if (r->rank == 0)
		standin_control_kill(control, 0, 0, IBV_WC_RETRY_EXC_ERR);
	T_CHECK(t_rank_barrier(r));
	for (int i = N_BEFORE; i < N_LARGE; i++)
		T_CHECK(move_large(r, &b, i) == 0);
	T_CHECK(t_rank_barrier(r));
	t_rank_close(r);
	free(b.out);
	free(b.in);
	return 0;
}

static void test_a_connection_that_breaks_before_its_first_grant(void)
{
	settings(NULL);
	run_ranks(break_before_the_first_grant, NULL);
}

/* ---- without a fault ---- */

/* Opens, talks, closes, again and again; the device's tables must be as before. */
static int open_and_close(struct t_rank *r)
{
	static const struct fault registered = {.is_registered = true};

	fault = &registered;
	for (int i = 0; i < N_OPENS; i++) {
		struct buffers b;
		bool is_right;

		T_CHECK(prepare(r, &b) == 0);
		for (uint64_t n = 0; n < 400; n++)
			T_CHECK(exchange(r, &b, n, &is_right, NULL) == FERRULE_OK && is_right);
		t_rank_close(r);
		free(b.out);
		free(b.in);
		T_CHECK(t_rank_barrier(r));
	}
	if (r->rank == 0) {
		struct standin_counts counts;

		standin_control_count(control, 0, &counts);
		T_CHECK(counts.n_qps == 0 && counts.n_mrs == 0 && counts.n_cqs == 0);
		T_CHECK(counts.n_pds == 0 && counts.n_contexts == 0);
	}
	T_CHECK(t_rank_barrier(r));
	return 0;
}

static void test_thousands_of_exchanges_leave_nothing(void)
{
	settings(NULL);
	run_ranks(open_and_close, NULL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"nothing breaks", test_nothing_breaks},
		{"a port that comes back in time", test_a_port_that_comes_back_in_time},
		{"a port that comes back late", test_a_port_that_comes_back_late},
		{"a port that loses work silently", test_a_port_that_loses_work_silently},
		{"requests that fail", test_requests_that_fail},
		{"an address that goes and returns", test_an_address_that_goes_and_returns},
		{"an address that goes for good", test_an_address_that_goes_for_good},
		{"the best address is dead from the start",
	         test_the_best_address_is_dead_from_the_start},
		{"a rail is lost", test_a_rail_is_lost},
		{"no path is left", test_no_path_is_left},
		{"a connection that breaks before its first grant",
	         test_a_connection_that_breaks_before_its_first_grant},
		{"thousands of exchanges leave nothing", test_thousands_of_exchanges_leave_nothing},
		{NULL, NULL},
	};

	setenv("FERRULE_VERBS_LIBRARY", "tests/support/standin/libstandin.so", 1);
	snprintf(space, sizeof(space), "verbs-faults-%d", (int)getpid());
	setenv("STANDIN_NAMESPACE", space, 1);
	return t_main("transport/verbs_faults", cases);
}

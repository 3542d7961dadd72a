/*
 * Counted proof that moving messages over verbs asks the system for nothing: no system call, no
 * lock, no allocation and no registration of Ferrule's own, neither through the transport (put
 * and notify: one write with immediate a piece) nor in the loops of `ferrule bw` and `ferrule
 * lat`.  What exactly is counted, and whose calls are told apart, is in t_calls.h.
 *
 * In a steady state, after a warm-up, N messages and then 2 N each way must cost none.  Nothing
 * depends on time: what waits does by design (a look at the links once in 4096 polls that found
 * nothing, check() once a millisecond) is counted apart, and the former is held to its number.
 *
 * Not covered: naps, which begin after milliseconds of waiting, and FERRULE_MR_CACHE=1, whose one
 * system call a message is documented in lib/mem/region.h.
 */
#include "config.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ferrule/comm.h>
#include <ferrule/perf.h>

#include "lib/base/clock.h"
#include "lib/base/settings.h"
#include "lib/mem/region.h"
#include "lib/transport/transport.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"
#include "tests/transport/t_calls.h"
#include "tests/transport/t_world.h"

#define OPEN_S        20
#define WAIT_NS       UINT64_C(60000000000)
#define LOOK_NS       1000000u
#define POLLS_A_YIELD 1024u
/* verbs_move.c looks at the links once in so many polls that found nothing. */
#define POLLS_A_LOOK 4096u
/* Messages one way before the other way's are taken. */
#define BURST 4u
#define MOST  ((size_t)1 << 20)

static bool is_possible(void)
{
	char why[160];
	const bool is = t_calls_possible(why, sizeof(why));

	if (!is)
		t_skip("%s", why);
	return is;
}

/* ---- put and notify, through the transport ---- */

struct flow {
	const char *name;
	size_t bytes;
	uint64_t n_rounds; /* of BURST messages each way */
	bool is_registered;
	bool is_placed; /* written straight to where it belongs */
};

static const struct flow flows[] = {
	{"8 B", 8, 100, true, false},
	{"4 KiB, in place from registered memory", 4096, 100, true, false},
	{"64 KiB, zero copy", 65536, 50, true, true},
	{"1 MiB, zero copy", MOST, 20, true, true},
	{"4 KiB, copied", 4096, 100, false, false},
	{"64 KiB, copied", 65536, 50, false, false},
};
#define N_FLOWS (sizeof(flows) / sizeof(flows[0]))

/* One rank. */
struct end {
	struct t_rank *r;
	struct fr_ep *ep;
	struct fr_call call;
	unsigned char *out[2], *in[2]; /* [is_registered][BURST * MOST] */
	uint64_t number;               /* of the message, told in its first and last bytes */
	uint64_t sent, n_idle, looked_ns, since_ns;
	uint64_t n_in_place; /* windows that were the memory itself */
};

/* After a look that found nothing, as a wait of the executor does; false: a fault, or too long. */
static bool wait_more(struct end *e)
{
	if (++e->n_idle % POLLS_A_YIELD != 0)
		return true;
	const enum t_whose before = t_calls_by(T_LOOK);
	const uint64_t now = fr_clock_ns();
	bool goes_on = now - e->since_ns < WAIT_NS;

	sched_yield();
	if (now - e->looked_ns > LOOK_NS) {
		goes_on &= e->ep->ops->check(e->ep) == FERRULE_OK;
		e->looked_ns = now;
	}
	if (!goes_on)
		fprintf(stderr, "rank %d waits in vain: %s\n", e->r->rank, e->ep->why);
	t_calls_by(before);
	return goes_on;
}

static bool send_one(struct end *e, const struct fr_message *m)
{
	ferrule_status_t status;

	while ((status = e->ep->ops->send_begin(e->ep, m)) == FERRULE_INPROGRESS)
		if (!wait_more(e))
			return false;
	for (uint64_t moved = 0; status == FERRULE_OK && moved < m->bytes;) {
		const int64_t n = e->ep->ops->send_some(
			e->ep, (const unsigned char *)m->memory + moved, m->bytes - moved);

		if (n < 0 || (n == 0 && !wait_more(e)))
			return false;
		moved += (uint64_t)n;
	}
	e->sent += m->bytes;
	return status == FERRULE_OK;
}

static bool receive_one(struct end *e, const struct fr_message *m)
{
	ferrule_status_t status;

	while ((status = e->ep->ops->recv_begin(e->ep, m)) == FERRULE_INPROGRESS)
		if (!wait_more(e))
			return false;
	for (uint64_t moved = 0; status == FERRULE_OK && moved < m->bytes;) {
		unsigned char *to = (unsigned char *)m->memory + moved;
		size_t avail = 0;
		const void *window = e->ep->ops->recv_window(e->ep, &avail, &status);

		if (window == NULL) {
			if (status < 0 || !wait_more(e))
				return false;
			continue;
		}
		if (window == to)
			e->n_in_place++;
		else
			memcpy(to, window, avail);
		e->ep->ops->recv_release(e->ep, avail);
		moved += avail;
	}
	return status == FERRULE_OK;
}

static struct fr_message message(struct end *e, const struct flow *f, unsigned char *const area[2],
                                 unsigned i)
{
	return (struct fr_message){
		.call = &e->call, .bytes = f->bytes, .memory = area[f->is_registered] + i * MOST};
}

static void stamp(const struct fr_message *m, uint64_t number)
{
	unsigned char *tail = (unsigned char *)m->memory + m->bytes - sizeof(number);

	memcpy(m->memory, &number, sizeof(number));
	memcpy(tail, &number, sizeof(number));
}

static bool has_stamp(const struct fr_message *m, uint64_t number)
{
	const unsigned char *tail = (unsigned char *)m->memory + m->bytes - sizeof(number);

	return memcmp(m->memory, &number, sizeof(number)) == 0 &&
	       memcmp(tail, &number, sizeof(number)) == 0;
}

/* BURST messages each way. */
static bool exchange(struct end *e, const struct flow *f)
{
	const uint64_t first = e->number;

	e->number += BURST;
	e->since_ns = fr_clock_ns();
	for (unsigned i = 0; i < BURST; i++) {
		const struct fr_message m = message(e, f, e->in, i);

		e->ep->ops->recv_post(e->ep, &m);
	}
	for (unsigned i = 0; i < BURST; i++) {
		const struct fr_message m = message(e, f, e->out, i);

		stamp(&m, first + i);
		if (!send_one(e, &m))
			return false;
	}
	for (unsigned i = 0; i < BURST; i++) {
		const struct fr_message m = message(e, f, e->in, i);

		if (!receive_one(e, &m) || !has_stamp(&m, first + i))
			return false;
	}
	while (e->ep->ops->send_reusable(e->ep) < e->sent)
		if (!wait_more(e))
			return false;
	return true;
}

static bool many(struct end *e, const struct flow *f, uint64_t n_rounds)
{
	for (uint64_t i = 0; i < n_rounds; i++)
		if (!exchange(e, f))
			return false;
	return true;
}

static int open_end(struct t_rank *r, struct end *e)
{
	char why[200];

	*e = (struct end){.r = r, .call = t_call(1)};
	T_CHECK(t_calls_verbs());
	T_CHECK(t_rank_open(r, OPEN_S) == FERRULE_OK);
	e->ep = t_rank_ep(r, 1 - r->rank);
	for (int i = 0; i < 4; i++) {
		unsigned char *memory = aligned_alloc(4096, BURST * MOST);
		const struct fr_mem_block block = {
			.base = memory, .bytes = BURST * MOST, .dmabuf_fd = -1};

		T_CHECK(memory != NULL);
		/* Else the first messages would fault pages in. */
		memset(memory, 0, BURST * MOST);
		*(i % 2 ? &e->in[i / 2] : &e->out[i / 2]) = memory;
		if (i / 2 == 1)
			T_CHECK(r->t->ops->mem_register(r->t, &block, why, sizeof(why)) ==
			        FERRULE_OK);
	}
	for (size_t i = 0; i < N_FLOWS; i++)
		T_CHECK(many(e, &flows[i], 20));
	T_CHECK(t_calls_trap());
	return 0;
}

static void close_end(struct end *e)
{
	t_rank_close(e->r);
	for (int i = 0; i < 2; i++) {
		free(e->out[i]);
		free(e->in[i]);
	}
}

static void print_figures(const struct flow *f, uint64_t n, const struct t_calls *c)
{
	char text[120];

	printf("      %s: %llu messages each way: %s of ours;\n", f->name,
	       (unsigned long long)(n * BURST), t_calls_text(c, text, sizeof(text)));
	printf("            %llu posts, %llu system calls of the device; %llu looks in %llu empty "
	       "polls\n",
	       (unsigned long long)c->n_posts, (unsigned long long)c->n[T_DEVICE][T_SYSTEM_CALL],
	       (unsigned long long)c->n_looks, (unsigned long long)c->n_empty_polls);
}

/* A number of rounds that must cost nothing. */
static int measure(struct end *e, const struct flow *f, uint64_t n)
{
	struct t_calls c;

	e->n_in_place = 0;
	t_calls_start();
	const bool is_done = many(e, f, n);

	t_calls_stop(&c);
	T_CHECK(is_done);
	if (e->r->rank == 0)
		print_figures(f, n, &c);
	T_CHECK(t_calls_are_none(&c));
	/* A message is at least a request, and a look is paid for by polls that found nothing. */
	T_CHECK(c.n_posts >= n * BURST);
	T_CHECK(c.n_looks <= c.n_empty_polls / POLLS_A_LOOK + 1);
	T_CHECK((e->n_in_place >= n * BURST) == f->is_placed);
	return 0;
}

static int traffic(struct t_rank *r)
{
	struct end e;

	T_CHECK(open_end(r, &e) == 0);
	for (size_t i = 0; i < N_FLOWS; i++) {
		T_CHECK(measure(&e, &flows[i], flows[i].n_rounds) == 0);
		T_CHECK(measure(&e, &flows[i], 2 * flows[i].n_rounds) == 0);
	}
	T_CHECK(t_rank_barrier(r));
	close_end(&e);
	return 0;
}

static void test_put_and_notify(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("verbs")};

	if (is_possible())
		CU_ASSERT_EQUAL(t_world_run(&subject, 2, 100, traffic, NULL), 0);
}

static void test_put_and_notify_over_two_rails(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("verbs")};

	if (!is_possible())
		return;
	setenv("STANDIN_DEVICES", "2", 1);
	setenv("FERRULE_IB_QPS_PER_PEER", "2", 1);
	CU_ASSERT_EQUAL(t_world_run(&subject, 2, 100, traffic, NULL), 0);
	unsetenv("STANDIN_DEVICES");
	unsetenv("FERRULE_IB_QPS_PER_PEER");
}

/* ---- that the counters count ---- */

static void call_the_system(struct end *e)
{
	(void)e;
	getppid();
}

static void allocate(struct end *e)
{
	/* Inside the C library, where no linker's option would find it. */
	char *volatile copy = strdup(e->r->why);

	free(copy);
}

static void lock(struct end *e)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

	(void)e;
	pthread_mutex_lock(&m);
	pthread_mutex_unlock(&m);
}

/* The stand-in locks and calls the system for it, too. */
static void register_memory(struct end *e)
{
	const struct fr_mem_block block = {
		.base = e->out[0], .bytes = MOST, .kind = FR_MEM_HOST, .dmabuf_fd = -1};
	char why[200];

	if (e->r->t->ops->mem_register(e->r->t, &block, why, sizeof(why)) == FERRULE_OK)
		e->r->t->ops->mem_deregister(e->r->t, block.base, why, sizeof(why));
}

static int offend(struct t_rank *r)
{
	static const struct {
		void (*act)(struct end *e);
		enum t_asked what;
		uint64_t n;
		bool is_alone;
	} offences[] = {
		{call_the_system, T_SYSTEM_CALL, 1, true},
		{allocate, T_ALLOCATION, 2, true},
		{lock, T_LOCK, 1, true},
		{register_memory, T_REGISTRATION, 2, false},
	};
	struct end e;

	T_CHECK(open_end(r, &e) == 0);
	for (size_t i = 0; i < sizeof(offences) / sizeof(offences[0]); i++) {
		struct t_calls c;

		t_calls_start();
		const bool is_done = many(&e, &flows[0], 5);

		offences[i].act(&e);
		const bool goes_on = many(&e, &flows[0], 5);

		t_calls_stop(&c);
		T_CHECK(is_done && goes_on);
		T_CHECK(c.n[T_OURS][offences[i].what] == offences[i].n && c.first != NULL);
		for (int k = 0; k < T_N_ASKED && offences[i].is_alone; k++)
			T_CHECK(k == (int)offences[i].what || c.n[T_OURS][k] == 0);
	}
	T_CHECK(t_rank_barrier(r));
	close_end(&e);
	return 0;
}

static void test_what_is_done_on_purpose_is_noticed(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("verbs")};

	if (is_possible())
		CU_ASSERT_EQUAL(t_world_run(&subject, 2, 100, offend, NULL), 0);
}

/* ---- the loops of `ferrule bw` and `ferrule lat` ---- */

struct loop {
	ferrule_perf_test_t test;
	ferrule_perf_via_t via;
	uint64_t bytes, n;
	int fds[2];
};

/* So many posts at either end of a loop are not counted. */
#define MARGIN 100u

static int run_loop(ferrule_perf_t perf, const struct loop *l, bool is_counted)
{
	struct ferrule_perf_result result = {.size = sizeof(result)};
	char text[120];
	struct t_calls c;

	if (is_counted)
		t_calls_between(MARGIN, l->n - MARGIN);
	const ferrule_status_t status = ferrule_perf_measure(perf, l->bytes, &result);

	t_calls_stop(&c);
	if (status != FERRULE_OK)
		fprintf(stderr, "%s\n", ferrule_comm_error_text(NULL));
	T_CHECK(status == FERRULE_OK && result.n_wrong == 0);
	if (!is_counted)
		return 0;
	printf("      %llu posts of %llu B: %s of ours\n", (unsigned long long)c.n_posts,
	       (unsigned long long)l->bytes, t_calls_text(&c, text, sizeof(text)));
	T_CHECK(t_calls_is_over() && c.n_posts == l->n - 2 * MARGIN);
	T_CHECK(t_calls_are_none(&c));
	return 0;
}

static int loop_side(int rank, int n_ranks, void *arg)
{
	const struct loop *l = arg;
	struct ferrule_perf_params p;
	ferrule_perf_t perf = NULL;

	(void)n_ranks;
	close(l->fds[1 - rank]);
	ferrule_perf_defaults(&p, sizeof(p), l->test, FERRULE_PERF_WRITE);
	p.via = l->via;
	p.transport = l->via == FERRULE_PERF_VIA_CONTRACT ? "verbs" : NULL;
	p.control_fd = l->fds[rank];
	p.is_server = rank == 0;
	p.iterations = l->n;
	p.max_bytes = l->bytes;
	T_CHECK(fr_settings_load() == FERRULE_OK && t_calls_verbs());
	const ferrule_status_t status = ferrule_perf_open(&p, &perf);

	if (status != FERRULE_OK)
		fprintf(stderr, "%s\n", ferrule_comm_error_text(NULL));
	T_CHECK(status == FERRULE_OK);
	T_CHECK(t_calls_trap());
	/* The passive end of a bandwidth test has no loop, or only takes. */
	const int code = run_loop(perf, l, rank == 1 || l->test == FERRULE_PERF_LAT);

	ferrule_perf_close(perf);
	return code;
}

static void run_loops(ferrule_perf_via_t via)
{
	struct loop loops[] = {
		{FERRULE_PERF_BW, via, 8, 3000, {-1, -1}},
		{FERRULE_PERF_BW, via, 65536, 1000, {-1, -1}},
		{FERRULE_PERF_LAT, via, 8, 500, {-1, -1}},
		{FERRULE_PERF_LAT, via, 65536, 500, {-1, -1}},
	};

	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]) && is_possible(); i++) {
		int codes[2] = {-1, -1};

		CU_ASSERT_EQUAL_FATAL(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, loops[i].fds), 0);
		CU_ASSERT_EQUAL(t_spawn(2, 100, loop_side, &loops[i], codes), 0);
		close(loops[i].fds[0]);
		close(loops[i].fds[1]);
	}
}

static void test_queue_pairs(void)
{
	run_loops(FERRULE_PERF_VIA_VERBS);
}

static void test_transport(void)
{
	run_loops(FERRULE_PERF_VIA_CONTRACT);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"what is done on purpose is noticed", test_what_is_done_on_purpose_is_noticed},
		{"put and notify", test_put_and_notify},
		{"put and notify over two rails of two queue pairs",
	         test_put_and_notify_over_two_rails},
		{"bw and lat of queue pairs", test_queue_pairs},
		{"bw and lat of the transport", test_transport},
		{NULL, NULL},
	};
	char space[40];

	snprintf(space, sizeof(space), "hot-path-%d", (int)getpid());
	setenv("FERRULE_VERBS_LIBRARY", "tests/support/standin/libstandin.so", 1);
	setenv("STANDIN_NAMESPACE", space, 1);
	setenv("FERRULE_MR_CACHE", "0", 1);
	return t_main("transport/verbs_hot_path", cases);
}

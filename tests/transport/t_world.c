#include "config.h"

#include "tests/transport/t_world.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/clock.h"
#include "lib/base/settings.h"
#include "lib/mem/region.h"
#include "tests/support/t_spawn.h"

#define RANKS_MAX  16
#define SLOTS      8
#define MOVES_MAX  64
#define BARRIER_NS 10000000000u

/* Lies in memory that all ranks share. */
struct t_world {
	const struct t_subject *subject;
	t_rank_fn *fn;
	void *net;
	int host_of[RANKS_MAX];
	uint64_t comm_id;
	unsigned char key[32];
	atomic_int arrived;
	_Atomic uint64_t slots[SLOTS];
	unsigned char addresses[RANKS_MAX * FR_ADDRESS_BYTES];
	int codes[RANKS_MAX];
	int n_ranks;
};

bool t_check(bool holds, const char *text, const char *file, int line)
{
	if (!holds)
		fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
	return holds;
}

struct fr_call t_call(uint64_t sequence)
{
	struct fr_call call = {.sequence = sequence, .count = sequence, .comm = 7, .root = -1};
	fr_call_seal(&call);
	return call;
}

static inline unsigned char byte_at(size_t i, uint64_t seed)
{
	const uint64_t x = (i + seed * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
	return (unsigned char)(x >> 56 ^ x >> 24);
}

void t_fill(unsigned char *memory, size_t bytes, uint64_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = byte_at(i, seed);
}

size_t t_differs(const unsigned char *memory, size_t bytes, uint64_t seed)
{
	for (size_t i = 0; i < bytes; i++) {
		if (memory[i] != byte_at(i, seed))
			return i;
	}
	return bytes;
}

/* ---- running ranks ---- */

static int rank_main(int rank, int n_ranks, void *arg)
{
	struct t_world *w = arg;
	struct t_rank r = {.world = w, .subject = w->subject, .rank = rank, .n_ranks = n_ranks};
	memcpy(r.key, w->key, sizeof(r.key));
	if (fr_settings_load() != FERRULE_OK)
		return 1;
	const int code = w->fn(&r);
	t_rank_close(&r);
	return code;
}

struct thread_arg {
	struct t_world *world;
	int rank;
};

static void *thread_main(void *arg)
{
	const struct thread_arg *a = arg;
	a->world->codes[a->rank] = rank_main(a->rank, a->world->n_ranks, a->world);
	return NULL;
}

/* Threads cannot be killed at a deadline; every wait of a case has its own. */
static int run_threads(struct t_world *w)
{
	pthread_t threads[RANKS_MAX];
	struct thread_arg args[RANKS_MAX];
	w->net = w->subject->net_create(w->n_ranks);
	if (w->net == NULL)
		return -1;
	int n = 0;
	for (; n < w->n_ranks; n++) {
		args[n] = (struct thread_arg){w, n};
		if (pthread_create(&threads[n], NULL, thread_main, &args[n]) != 0)
			break;
	}
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	w->subject->net_destroy(w->net);
	return n == w->n_ranks ? 0 : -1;
}

static int count_surprises(const struct t_world *w, const int *expected)
{
	int n = 0;
	for (int r = 0; r < w->n_ranks; r++) {
		const int want = expected != NULL ? expected[r] : 0;
		if (w->codes[r] == want)
			continue;
		fprintf(stderr, "%s: rank %d of %d returned %d, not %d\n", w->subject->ops->name, r,
		        w->n_ranks, w->codes[r], want);
		n++;
	}
	return n;
}

int t_world_run(const struct t_subject *subject, int n_ranks, double deadline_s, t_rank_fn *fn,
                const int *expected)
{
	if (n_ranks > RANKS_MAX)
		return -1;
	struct t_world *w =
		mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w == MAP_FAILED)
		return -1;
	w->subject = subject;
	w->fn = fn;
	w->n_ranks = n_ranks;
	w->comm_id = fr_clock_ns();
	memset(w->key, 0x42, sizeof(w->key));
	int result;
	if (subject->net_create != NULL)
		result = run_threads(w);
	else
		result = t_spawn(n_ranks, deadline_s, rank_main, w, w->codes) < 0 ? -1 : 0;
	if (result == 0)
		result = count_surprises(w, expected);
	munmap(w, sizeof(*w));
	return result;
}

/* ---- what ranks do ---- */

ferrule_status_t t_rank_listen(struct t_rank *r)
{
	struct t_world *w = r->world;
	if (r->subject->net_rank != NULL) {
		r->t = r->subject->net_rank(w->net, r->rank);
	} else {
		const struct fr_transport_params params = {
			.rank = r->rank,
			.n_ranks = r->n_ranks,
			.host_of = w->host_of,
			.comm_id = w->comm_id,
			.job_key = r->key,
			.master_addr = "127.0.0.1",
			.one_host = true,
			.one_network = true,
		};
		const ferrule_status_t status =
			r->subject->ops->open(&params, &r->t, r->why, sizeof(r->why));
		if (status != FERRULE_OK) {
			fprintf(stderr, "rank %d: open: %s\n", r->rank, r->why);
			return status;
		}
	}
	r->t->ops->address(r->t, w->addresses + (size_t)r->rank * FR_ADDRESS_BYTES);
	return t_rank_barrier(r) ? FERRULE_OK : FERRULE_ERR_TIMEOUT;
}

ferrule_status_t t_rank_connect(struct t_rank *r, const bool *wanted, double deadline_s)
{
	bool everybody[RANKS_MAX];
	for (int i = 0; i < r->n_ranks; i++)
		everybody[i] = i != r->rank;
	return r->t->ops->connect(r->t, wanted != NULL ? wanted : everybody, r->world->addresses,
	                          fr_clock_ns() + (uint64_t)(deadline_s * 1e9), r->why,
	                          sizeof(r->why));
}

ferrule_status_t t_rank_open(struct t_rank *r, double deadline_s)
{
	const ferrule_status_t status = t_rank_listen(r);
	if (status != FERRULE_OK)
		return status;
	return t_rank_connect(r, NULL, deadline_s);
}

void t_rank_close(struct t_rank *r)
{
	if (r->t != NULL)
		r->t->ops->close(r->t);
	r->t = NULL;
}

struct fr_ep *t_rank_ep(struct t_rank *r, int peer)
{
	return r->t->ops->ep(r->t, peer);
}

bool t_rank_barrier(struct t_rank *r)
{
	struct t_world *w = r->world;
	const uint64_t end = fr_clock_ns() + BARRIER_NS;
	const int mine = atomic_fetch_add(&w->arrived, 1);
	const int target = (mine / w->n_ranks + 1) * w->n_ranks;
	while (atomic_load(&w->arrived) < target) {
		if (fr_clock_ns() > end)
			return false;
		sched_yield();
	}
	return true;
}

void t_rank_post(struct t_rank *r, int slot, uint64_t value)
{
	atomic_store(&r->world->slots[slot], value);
}

uint64_t t_rank_look(struct t_rank *r, int slot)
{
	return atomic_load(&r->world->slots[slot]);
}

void t_rank_die(struct t_rank *r)
{
	if (r->subject->net_kill == NULL)
		raise(SIGKILL);
	r->subject->net_kill(r->world->net, r->rank);
	r->t = NULL;
}

const unsigned char *t_rank_address(struct t_rank *r, int rank)
{
	return r->world->addresses + (size_t)rank * FR_ADDRESS_BYTES;
}

/* ---- the pump ---- */

static ferrule_status_t begin(struct fr_ep *ep, struct t_move *m)
{
	const struct fr_message message = {
		.call = m->call,
		.bytes = m->bytes,
		.memory = m->is_hidden ? NULL : m->memory,
	};
	const ferrule_status_t status =
		m->is_send ? ep->ops->send_begin(ep, &message) : ep->ops->recv_begin(ep, &message);
	m->has_begun = status == FERRULE_OK;
	return status;
}

static int64_t send_by_window(struct fr_ep *ep, struct t_move *m, size_t want)
{
	size_t room;
	bool stream;
	void *window = ep->ops->send_window(ep, &room, &stream);
	if (window == NULL)
		return 0;
	const size_t n = room < want ? room : want;
	memcpy(window, m->memory + m->moved, n);
	ep->ops->send_commit(ep, n);
	return (int64_t)n;
}

static int64_t recv_by_window(struct fr_ep *ep, struct t_move *m, size_t want)
{
	size_t avail;
	ferrule_status_t status = FERRULE_OK;
	const void *window = ep->ops->recv_window(ep, &avail, &status);
	if (status < 0)
		return status;
	if (window == NULL)
		return 0;
	const size_t n = avail < want ? avail : want;
	if (window != m->memory + m->moved)
		memcpy(m->memory + m->moved, window, n);
	ep->ops->recv_release(ep, n);
	return (int64_t)n;
}

static int64_t move_some(struct fr_ep *ep, struct t_move *m)
{
	size_t want = m->bytes - m->moved;
	if (m->piece > 0 && m->piece < want)
		want = m->piece;
	if (m->is_send && m->by_window && ep->send_has_window)
		return send_by_window(ep, m, want);
	if (m->is_send)
		return ep->ops->send_some(ep, m->memory + m->moved, want);
	if (m->by_window)
		return recv_by_window(ep, m, want);
	return ep->ops->recv_some(ep, m->memory + m->moved, want);
}

/* One try; bytes moved (begun counts as one), 0, or the fault. */
static int64_t advance(struct fr_ep *ep, struct t_move *m)
{
	if (!m->has_begun) {
		const ferrule_status_t status = begin(ep, m);
		if (status != FERRULE_OK)
			return status == FERRULE_INPROGRESS ? 0 : (int64_t)status;
	}
	const int64_t n = move_some(ep, m);
	if (n > 0)
		m->moved += (uint64_t)n;
	return n;
}

/* Does an unfinished earlier move use the same endpoint and direction? */
static bool must_wait(const struct t_move *moves, int i)
{
	for (int k = 0; k < i; k++) {
		if (moves[k].peer == moves[i].peer && moves[k].is_send == moves[i].is_send &&
		    moves[k].moved < moves[k].bytes)
			return true;
	}
	return false;
}

/* One try at every move.  Returns whether anything moved; faults in *status. */
static bool pump_once(struct t_rank *r, struct t_move *moves, int n_moves, bool *is_done,
                      ferrule_status_t *status, struct fr_ep **ep_out)
{
	bool has_moved = false;
	*is_done = true;
	for (int i = 0; i < n_moves && *status == FERRULE_OK; i++) {
		struct t_move *m = &moves[i];
		if (m->moved == m->bytes)
			continue;
		*is_done = false;
		if (must_wait(moves, i))
			continue;
		struct fr_ep *ep = t_rank_ep(r, m->peer);
		const int64_t n = advance(ep, m);
		if (n >= 0) {
			has_moved |= n > 0;
			continue;
		}
		*status = (ferrule_status_t)n;
		if (ep_out != NULL)
			*ep_out = ep;
	}
	return has_moved;
}

/* What send_reusable must have reached when all moves are done: the memory is ours again. */
struct debts {
	uint64_t to[RANKS_MAX];
};

static void add_debts(struct t_rank *r, const struct t_move *moves, int n_moves, struct debts *d)
{
	memset(d, 0, sizeof(*d));
	for (int i = 0; i < n_moves; i++) {
		const struct t_move *m = &moves[i];
		struct fr_ep *ep = t_rank_ep(r, m->peer);
		if (!m->is_send)
			continue;
		/* Every pump ends with nothing owed, so this is all that was sent before. */
		if (d->to[m->peer] == 0)
			d->to[m->peer] = ep->ops->send_reusable(ep);
		d->to[m->peer] += m->bytes - m->moved;
	}
}

static bool has_debts(struct t_rank *r, const struct debts *d)
{
	for (int p = 0; p < r->n_ranks; p++) {
		struct fr_ep *ep = d->to[p] > 0 ? t_rank_ep(r, p) : NULL;
		if (ep != NULL && ep->ops->send_reusable(ep) < d->to[p])
			return true;
	}
	return false;
}

/* The slow look at the peers that are waited for. */
static ferrule_status_t check_peers(struct t_rank *r, const struct t_move *moves, int n_moves,
                                    struct fr_ep **ep_out)
{
	for (int i = 0; i < n_moves; i++) {
		/* What was sent is waited for as well, as long as its memory is lent. */
		if (moves[i].moved == moves[i].bytes && !moves[i].is_send)
			continue;
		struct fr_ep *ep = t_rank_ep(r, moves[i].peer);
		const ferrule_status_t status = ep->ops->check(ep);
		if (status == FERRULE_OK)
			continue;
		if (ep_out != NULL)
			*ep_out = ep;
		return status;
	}
	return FERRULE_OK;
}

static ferrule_status_t say_stuck(struct t_rank *r, const struct t_move *moves, int n_moves)
{
	for (int i = 0; i < n_moves; i++)
		if (moves[i].moved < moves[i].bytes)
			fprintf(stderr, "rank %d is stuck: %s rank %d, %s, %llu of %llu bytes\n",
			        r->rank, moves[i].is_send ? "to" : "from", moves[i].peer,
			        moves[i].has_begun ? "begun" : "not begun",
			        (unsigned long long)moves[i].moved,
			        (unsigned long long)moves[i].bytes);
	return FERRULE_ERR_TIMEOUT;
}

/* With T_REGISTER in the environment the device knows the memory of all moves, so that a transport
 * that can moves it in place. */
static bool does_register(const struct t_rank *r)
{
	return getenv("T_REGISTER") != NULL && r->t->ops->mem_register != NULL;
}

static void register_moves(struct t_rank *r, const struct t_move *moves, int n_moves,
                           bool *is_registered)
{
	char why[200];
	for (int i = 0; i < n_moves; i++) {
		const struct fr_mem_block block = {
			.base = moves[i].memory, .bytes = moves[i].bytes, .dmabuf_fd = -1};
		/* Refused where two moves use parts of one buffer; those are copied. */
		is_registered[i] =
			does_register(r) && !moves[i].is_hidden &&
			r->t->ops->mem_register(r->t, &block, why, sizeof(why)) == FERRULE_OK;
	}
}

static void deregister_moves(struct t_rank *r, const struct t_move *moves, int n_moves,
                             const bool *is_registered)
{
	char why[200];
	for (int i = 0; i < n_moves; i++)
		if (is_registered[i])
			r->t->ops->mem_deregister(r->t, moves[i].memory, why, sizeof(why));
}

static ferrule_status_t pump(struct t_rank *r, struct t_move *moves, int n_moves, double deadline_s,
                             struct fr_ep **ep_out)
{
	const uint64_t end = fr_clock_ns() + (uint64_t)(deadline_s * 1e9);
	ferrule_status_t status = FERRULE_OK;
	unsigned n_idle = 0;
	struct debts debts;
	add_debts(r, moves, n_moves, &debts);
	for (;;) {
		bool is_done;
		const bool has_moved = pump_once(r, moves, n_moves, &is_done, &status, ep_out);
		if (status != FERRULE_OK || (is_done && !has_debts(r, &debts)))
			return status;
		n_idle = has_moved ? 0 : n_idle + 1;
		if (n_idle % 1000 != 999)
			continue;
		status = check_peers(r, moves, n_moves, ep_out);
		if (status != FERRULE_OK)
			return status;
		if (fr_clock_ns() > end)
			return say_stuck(r, moves, n_moves);
		if (n_idle > 3000)
			r->t->ops->nap(r->t, 500000);
		else
			sched_yield();
	}
}

ferrule_status_t t_pump(struct t_rank *r, struct t_move *moves, int n_moves, double deadline_s,
                        struct fr_ep **ep_out)
{
	bool is_registered[MOVES_MAX];
	if (n_moves > MOVES_MAX)
		return FERRULE_ERR_ARGUMENT;
	register_moves(r, moves, n_moves, is_registered);
	const ferrule_status_t status = pump(r, moves, n_moves, deadline_s, ep_out);
	deregister_moves(r, moves, n_moves, is_registered);
	return status;
}

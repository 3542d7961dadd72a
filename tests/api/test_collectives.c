/*
 * Every collective in every form against an oracle, for several rank counts, types, operators
 * and counts, in place and not, on each transport.
 */
#include "config.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/t_elements.h"
#include "tests/api/t_job.h"
#include "tests/support/t_main.h"

#define MAX_RANKS  8
#define GUARD      64 /* bytes after each buffer that nobody may touch */
#define GUARD_BYTE 0xa5

/* One call to make and check. */
struct call {
	struct t_job_rank *r;
	enum {
		ALLREDUCE,
		REDUCE,
		REDUCE_SCATTER,
		ALLGATHER,
		BROADCAST,
		GATHER,
		SCATTER,
		ALLTOALL
	} coll;
	ferrule_type_t type;
	ferrule_redop_t op;
	size_t count;
	int root;
	bool in_place;
	bool is_v; /* with counts (and displacements, where there are any) */
	size_t counts[MAX_RANKS], displs[MAX_RANKS];
	int form; /* 0 blocking, 1 started, 2 persistent */
	/* Laid out for the call: */
	unsigned char *send, *recv;
	size_t n_send, n_recv; /* elements */
};

/* ---- starting each collective in the wanted form ---- */

typedef ferrule_status_t status_t;

#define FORM(name, ...)                                           \
	(c->form == 0   ? ferrule_##name(__VA_ARGS__)             \
	 : c->form == 1 ? ferrule_##name##_start(__VA_ARGS__, op) \
	                : ferrule_##name##_init(__VA_ARGS__, op))

static status_t issue_v(const struct call *c, ferrule_op_t *op)
{
	ferrule_comm_t m = c->r->comm;

	switch (c->coll) {
	case REDUCE_SCATTER:
		return FORM(reduce_scatterv, m, c->send, c->recv, c->counts, c->type, c->op);
	case ALLGATHER:
		return FORM(allgatherv, m, c->send, c->recv, c->counts, c->displs, c->type);
	case GATHER:
		return FORM(gatherv, m, c->send, c->recv, c->counts, c->displs, c->type, c->root);
	case SCATTER:
		return FORM(scatterv, m, c->send, c->recv, c->counts, c->displs, c->type, c->root);
	default:
		return FERRULE_ERR_UNSUPPORTED;
	}
}

static status_t issue(const struct call *c, ferrule_op_t *op)
{
	ferrule_comm_t m = c->r->comm;

	if (c->is_v)
		return issue_v(c, op);
	switch (c->coll) {
	case ALLREDUCE:
		return FORM(allreduce, m, c->send, c->recv, c->count, c->type, c->op);
	case REDUCE:
		return FORM(reduce, m, c->send, c->recv, c->count, c->type, c->op, c->root);
	case REDUCE_SCATTER:
		return FORM(reduce_scatter, m, c->send, c->recv, c->count, c->type, c->op);
	case ALLGATHER:
		return FORM(allgather, m, c->send, c->recv, c->count, c->type);
	case BROADCAST:
		return FORM(broadcast, m, c->send, c->recv, c->count, c->type, c->root);
	case GATHER:
		return FORM(gather, m, c->send, c->recv, c->count, c->type, c->root);
	case SCATTER:
		return FORM(scatter, m, c->send, c->recv, c->count, c->type, c->root);
	default:
		return FORM(alltoall, m, c->send, c->recv, c->count, c->type);
	}
}

static void run(const struct call *c)
{
	ferrule_op_t op = NULL;

	if (!t_ok(c->r, issue(c, &op)))
		return;
	if (c->form == 2)
		t_ok(c->r, ferrule_op_start(op));
	if (c->form == 1) {
		status_t status;

		while ((status = ferrule_op_test(op)) == FERRULE_INPROGRESS)
			;
		t_ok(c->r, status);
	}
	if (c->form == 2)
		t_ok(c->r, ferrule_op_wait(op));
	t_ok(c->r, ferrule_op_destroy(op));
}

/* ---- where things lie ---- */

static size_t block_count(const struct call *c, int r)
{
	return c->is_v ? c->counts[r] : c->count;
}

static size_t block_at(const struct call *c, int r)
{
	size_t at = 0;

	if (c->is_v && c->coll != REDUCE_SCATTER)
		return c->displs[r];
	for (int i = 0; i < r; i++)
		at += block_count(c, i);
	return at;
}

static size_t extent(const struct call *c)
{
	size_t end = 0;

	for (int r = 0; r < c->r->n; r++)
		if (block_count(c, r) > 0 && block_at(c, r) + block_count(c, r) > end)
			end = block_at(c, r) + block_count(c, r);
	return end;
}

static void sizes(struct call *c)
{
	const bool at_root = c->r->rank == c->root;
	const size_t mine = block_count(c, c->r->rank);

	switch (c->coll) {
	case ALLREDUCE:
		c->n_send = c->n_recv = c->count;
		break;
	case REDUCE:
		c->n_send = c->count;
		c->n_recv = at_root ? c->count : 0;
		break;
	case BROADCAST:
		c->n_send = at_root ? c->count : 0;
		c->n_recv = c->count;
		break;
	case REDUCE_SCATTER:
		c->n_send = extent(c);
		c->n_recv = mine;
		break;
	case ALLGATHER:
		c->n_send = mine;
		c->n_recv = extent(c);
		break;
	case GATHER:
		c->n_send = mine;
		c->n_recv = at_root ? extent(c) : 0;
		break;
	case SCATTER:
		c->n_send = at_root ? extent(c) : 0;
		c->n_recv = mine;
		break;
	case ALLTOALL:
		c->n_send = c->n_recv = (size_t)c->r->n * c->count;
		break;
	}
}

/* What rank r has at element i of its send buffer. */
static double input_at(const struct call *c, int r, size_t i)
{
	return t_input(r, i, c->op);
}

/* Which element of which rank's send buffer ends at element i of this rank's recv; false where
 * nothing is written. */
static bool source_of(const struct call *c, size_t i, int *rank, size_t *at)
{
	const int me = c->r->rank;

	*rank = c->root;
	*at = i;
	if (c->coll == BROADCAST)
		return true;
	if (c->coll == SCATTER) {
		*at = block_at(c, me) + i;
		return true;
	}
	for (int r = 0; r < c->r->n; r++) {
		if (i < block_at(c, r) || i >= block_at(c, r) + block_count(c, r))
			continue;
		*rank = r;
		*at = i - block_at(c, r);
		if (c->coll == ALLTOALL)
			*at += (size_t)me * c->count;
		return true;
	}
	return false;
}

static bool reduces(const struct call *c)
{
	return c->coll == ALLREDUCE || c->coll == REDUCE || c->coll == REDUCE_SCATTER;
}

/* Does the call have both buffers on this rank, one inside the other? */
static bool lies_in_place(const struct call *c)
{
	return c->in_place && c->n_send > 0 && c->n_recv > 0;
}

static void layout(struct call *c)
{
	const size_t bytes = ferrule_type_bytes(c->type);
	const size_t offset = block_at(c, c->r->rank) * bytes;
	const bool recv_in_send = c->coll == REDUCE_SCATTER || c->coll == SCATTER;

	sizes(c);
	c->send = malloc(c->n_send * bytes + GUARD);
	c->recv = malloc(c->n_recv * bytes + GUARD);
	memset(c->send + c->n_send * bytes, GUARD_BYTE, GUARD);
	memset(c->recv, GUARD_BYTE, c->n_recv * bytes + GUARD);
	if (!lies_in_place(c)) {
		/* nothing to do */
	} else if (recv_in_send) {
		free(c->recv);
		c->recv = c->send + offset;
	} else {
		const bool whole =
			c->coll == ALLREDUCE || c->coll == REDUCE || c->coll == BROADCAST;

		free(c->send);
		c->send = c->recv + (whole ? 0 : offset);
	}
	for (size_t i = 0; i < c->n_send; i++)
		t_put(c->send, c->type, i, input_at(c, c->r->rank, i));
}

static void release(struct call *c)
{
	const bool recv_in_send = c->coll == REDUCE_SCATTER || c->coll == SCATTER;

	if (!lies_in_place(c) || !recv_in_send)
		free(c->recv);
	if (!lies_in_place(c) || recv_in_send)
		free(c->send);
}

/* ---- the check ---- */

static void report(const struct call *c, size_t i, double got, double wanted)
{
	c->r->failures++;
	if (c->r->failures > 5)
		return;
	fprintf(stderr,
	        "rank %d of %d: collective %d%s, %zu %s, op %d, root %d, in place %d, form %d: "
	        "element %zu is %g, not %g\n",
	        c->r->rank, c->r->n, (int)c->coll, c->is_v ? "v" : "", c->count,
	        ferrule_type_name(c->type), c->op, c->root, c->in_place, c->form, i, got, wanted);
}

static void check_result(const struct call *c)
{
	for (size_t i = 0; i < c->n_recv; i++) {
		const double got = t_get(c->recv, c->type, i);
		double wanted;
		int rank;
		size_t at;

		if (reduces(c)) {
			at = i + (c->coll == REDUCE_SCATTER ? block_at(c, c->r->rank) : 0);
			wanted = t_expected(c->r->n, at, c->type, c->op);
		} else if (source_of(c, i, &rank, &at)) {
			wanted = input_at(c, rank, at);
		} else {
			continue;
		}
		if (got != wanted) {
			report(c, i, got, wanted);
			return;
		}
	}
}

/* The send buffer is as it was, but for what in place overwrites; guards are whole. */
static void check_untouched(const struct call *c)
{
	const size_t bytes = ferrule_type_bytes(c->type);
	const unsigned char *guard = c->recv + c->n_recv * bytes;

	if (lies_in_place(c))
		return;
	for (size_t i = 0; i < c->n_send; i++)
		if (t_get(c->send, c->type, i) != input_at(c, c->r->rank, i)) {
			report(c, i, t_get(c->send, c->type, i), input_at(c, c->r->rank, i));
			return;
		}
	for (int i = 0; i < GUARD; i++)
		t_check(c->r, guard[i] == GUARD_BYTE &&
		                      c->send[c->n_send * bytes + (size_t)i] == GUARD_BYTE);
}

static void try_call(struct call c, int *turn)
{
	c.form = *turn % 3;
	*turn += 1;
	layout(&c);
	run(&c);
	check_result(&c);
	check_untouched(&c);
	release(&c);
}

/* ---- what is tried ---- */

static const size_t counts[] = {0, 1, 2, 7, 64, 1000, 5003, 70001};
#define N_COUNTS (sizeof(counts) / sizeof(counts[0]))

static void try_both_places(struct call c, int *turn)
{
	c.in_place = false;
	try_call(c, turn);
	c.in_place = true;
	if (c.coll != ALLTOALL)
		try_call(c, turn);
}

/* With many ranks on few cores every call is slow, so one type of each kind must do. */
static bool is_tried(const struct t_job_rank *r, int type)
{
	return r->n <= 3 || type == FERRULE_INT8 || type == FERRULE_UINT64 ||
	       type == FERRULE_FLOAT32 || type == FERRULE_FP8_E5M2;
}

/* Types with every operator at one small count, and every count in float. */
static void reductions(struct t_job_rank *r)
{
	int turn = 0;

	for (int coll = ALLREDUCE; coll <= REDUCE_SCATTER; coll++) {
		struct call c = {.r = r, .coll = coll, .count = 37};

		for (int type = 0; type < FERRULE_N_TYPES; type++)
			for (int op = 0; is_tried(r, type) && op < FERRULE_N_REDOPS; op++) {
				c.type = (ferrule_type_t)type;
				c.op = op;
				c.root = (type + op) % r->n;
				try_both_places(c, &turn);
			}
		c.type = FERRULE_FLOAT32;
		c.op = FERRULE_SUM;
		for (size_t i = 0; i < N_COUNTS; i++) {
			c.count = counts[i];
			c.root = (int)i % r->n;
			try_both_places(c, &turn);
		}
	}
}

static void premultiplied(struct t_job_rank *r)
{
	static const size_t few[] = {0, 3, 1000, 70001};
	int turn = 0;

	for (int type = 0; type < FERRULE_N_TYPES; type++) {
		struct call c = {.r = r, .type = (ferrule_type_t)type, .root = r->n - 1};
		unsigned char scalar[8];

		if (!is_tried(r, type))
			continue;
		t_put(scalar, c.type, 0, t_factor(r->rank));
		if (!t_ok(r, ferrule_redop_create_premul_sum(r->comm, scalar, c.type, &c.op)))
			return;
		for (int coll = ALLREDUCE; coll <= REDUCE_SCATTER; coll++)
			for (int i = 0; i < (type == FERRULE_FLOAT32 ? 4 : 2); i++) {
				c.coll = coll;
				c.count = few[i];
				try_both_places(c, &turn);
			}
		t_ok(r, ferrule_redop_destroy(r->comm, c.op));
	}
}

static void movements(struct t_job_rank *r)
{
	static const ferrule_type_t types[] = {FERRULE_FLOAT64, FERRULE_UINT8, FERRULE_BFLOAT16};
	int turn = 0;

	for (int coll = ALLGATHER; coll <= ALLTOALL; coll++)
		for (int t = 0; t < 3; t++)
			for (size_t i = 0; i < N_COUNTS - (r->n > 4); i++) {
				struct call c = {.r = r,
				                 .coll = coll,
				                 .type = types[t],
				                 .count = counts[i],
				                 .root = (int)(i + (size_t)t) % r->n};

				try_both_places(c, &turn);
			}
}

/* Uneven blocks, some empty, with gaps between them where there are displacements. */
static void uneven_blocks(struct t_job_rank *r)
{
	static const int colls[] = {REDUCE_SCATTER, ALLGATHER, GATHER, SCATTER};
	static const size_t scale[] = {1, 40, 3000};
	int turn = 0;

	for (int k = 0; k < 4; k++)
		for (int s = 0; s < 3; s++) {
			struct call c = {.r = r,
			                 .coll = colls[k],
			                 .type = FERRULE_INT32,
			                 .root = (k + s) % r->n,
			                 .is_v = true};
			size_t at = 0;

			for (int b = 0; b < r->n; b++) {
				c.counts[b] = (size_t)((b + k) % 3) * scale[s];
				c.displs[b] = at;
				at += c.counts[b] + (size_t)(s * b);
			}
			try_both_places(c, &turn);
		}
}

static void uneven_alltoall(struct t_job_rank *r)
{
	size_t send_counts[MAX_RANKS], recv_counts[MAX_RANKS], send_displs[MAX_RANKS];
	size_t sent = 0, at = 0;

	for (int p = 0; p < r->n; p++) {
		send_counts[p] = (size_t)((r->rank * 3 + p) % 4) * 50;
		recv_counts[p] = (size_t)((p * 3 + r->rank) % 4) * 50;
		send_displs[p] = sent + (size_t)p;
		sent += send_counts[p];
	}
	int64_t *send = calloc(MAX_RANKS * 200, sizeof(*send));
	int64_t *recv = calloc(MAX_RANKS * 200, sizeof(*recv));

	for (int p = 0; p < r->n; p++)
		for (size_t i = 0; i < send_counts[p]; i++)
			send[send_displs[p] + i] = r->rank * 1000000 + p * 10000 + (int64_t)i;
	t_ok(r, ferrule_alltoallv(r->comm, send, send_counts, send_displs, recv, recv_counts, NULL,
	                          FERRULE_INT64));
	bool is_right = true;

	for (int p = 0; p < r->n && is_right; p++)
		for (size_t i = 0; i < recv_counts[p] && is_right; i++)
			is_right = recv[at++] == p * 1000000 + r->rank * 10000 + (int64_t)i;
	t_check(r, is_right);
	free(send);
	free(recv);
}

/* ---- inexact sums: all ranks must still have the same bytes, run after run ---- */

static uint64_t hash_bytes(const void *data, size_t bytes)
{
	const unsigned char *at = data;
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < bytes; i++)
		h = (h ^ at[i]) * 0x100000001b3u;
	return h;
}

static void same_bits_at(struct t_job_rank *r, size_t count)
{
	float *send = malloc(count * sizeof(*send)), *recv = malloc(count * sizeof(*recv));
	uint64_t all[MAX_RANKS], first = 0;
	double worst = 0;

	for (size_t i = 0; i < count; i++)
		send[i] = (float)((int)((i * 2654435761u + (size_t)r->rank * 40503u) % 20001) -
		                  10000) *
		          1.1f;
	for (int run_number = 0; run_number < 3; run_number++) {
		t_ok(r,
		     ferrule_allreduce(r->comm, send, recv, count, FERRULE_FLOAT32, FERRULE_SUM));
		const uint64_t mine = hash_bytes(recv, count * sizeof(*recv));

		t_ok(r, ferrule_allgather(r->comm, &mine, all, 1, FERRULE_UINT64));
		if (run_number == 0)
			first = mine;
		for (int p = 0; p < r->n; p++)
			t_check(r, all[p] == first);
	}
	for (size_t i = 0; i < count; i++) {
		double sum = 0;

		for (int p = 0; p < r->n; p++)
			sum += (double)((float)((int)((i * 2654435761u + (size_t)p * 40503u) %
			                              20001) -
			                        10000) *
			                1.1f);
		const double off =
			sum > (double)recv[i] ? sum - (double)recv[i] : (double)recv[i] - sum;

		worst = off > worst ? off : worst;
	}
	t_check(r, worst < 0.1); /* sums of up to 8 * 11000 in steps of 2^-7 */
	free(send);
	free(recv);
}

static void same_bits(struct t_job_rank *r)
{
	for (size_t i = 1; i < N_COUNTS; i++)
		same_bits_at(r, counts[i]);
	same_bits_at(r, 300007);
}

static void barriers(struct t_job_rank *r)
{
	ferrule_op_t op;

	for (int i = 0; i < 20; i++)
		t_ok(r, ferrule_barrier(r->comm));
	t_ok(r, ferrule_barrier_start(r->comm, &op));
	t_ok(r, ferrule_op_wait(op));
	t_ok(r, ferrule_op_destroy(op));
	t_ok(r, ferrule_barrier_init(r->comm, &op));
	for (int i = 0; i < 3; i++) {
		t_ok(r, ferrule_op_start(op));
		t_ok(r, ferrule_op_wait(op));
	}
	t_ok(r, ferrule_op_destroy(op));
}

static void everything(struct t_job_rank *r)
{
	reductions(r);
	premultiplied(r);
	movements(r);
	uneven_blocks(r);
	uneven_alltoall(r);
	same_bits(r);
	barriers(r);
}

static void chosen(struct t_job_rank *r)
{
	reductions(r);
	movements(r);
	same_bits(r);
}

static void try_all(const char *transport, int from, int to)
{
	static const int ranks[] = {1, 2, 3, 4, 5, 8};

	for (int i = from; i < to; i++)
		t_job(ranks[i], transport, NULL, everything, NULL);
}

static void test_shared_memory_up_to_three_ranks(void)
{
	try_all("shm", 0, 3);
}

static void test_shared_memory_up_to_eight_ranks(void)
{
	try_all("shm", 3, 6);
}

static void test_sockets_up_to_three_ranks(void)
{
	try_all("tcp", 0, 3);
}

static void test_sockets_up_to_eight_ranks(void)
{
	try_all("tcp", 3, 6);
}

static void test_user_algorithms(void)
{
	static const char *const settings[] = {
		"FERRULE_ALGO=allreduce=halving,allgather=bruck,reduce_scatter=halving,"
		"broadcast=scatter_ring,alltoall=bruck,reduce=rsg",
		NULL};

	t_job(5, "shm", settings, chosen, NULL);
}

static void test_without_measuring(void)
{
	static const char *const settings[] = {"FERRULE_PROBE=0", NULL};

	t_job(3, "shm", settings, chosen, NULL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"shared memory, 1 to 3 ranks", test_shared_memory_up_to_three_ranks},
		{"shared memory, 4 to 8 ranks", test_shared_memory_up_to_eight_ranks},
		{"sockets, 1 to 3 ranks", test_sockets_up_to_three_ranks},
		{"sockets, 4 to 8 ranks", test_sockets_up_to_eight_ranks},
		{"algorithms the user chose", test_user_algorithms},
		{"built-in constants", test_without_measuring},
		{NULL, NULL},
	};

	return t_main("collectives", cases);
}

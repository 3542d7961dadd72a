#include "config.h"

#include "tests/algo/t_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/schedule/match.h"

static bool in_place(const struct t_call *c, int rank)
{
	return c->in_place == T_IN_PLACE || (c->in_place == T_MIXED && rank % 2 == 0);
}

struct fr_coll_args t_call_args(const struct t_call *c, int rank, size_t *arrays)
{
	struct fr_coll_args a = {
		.coll = c->algo->coll,
		.rank = rank,
		.n_ranks = c->n_ranks,
		.root = c->root,
		.count = c->count,
		.elem_bytes = c->elem_bytes ? c->elem_bytes : 4,
		.counts = c->counts,
		.displs = c->displs,
		.in_place = in_place(c, rank),
		.board_count = c->board_count,
		.host_of = c->host_of,
		.n_hosts = c->host_of ? c->n_hosts : 1,
	};
	const size_t n = (size_t)c->n_ranks;

	if (!c->matrix)
		return a;
	for (size_t p = 0; p < n; p++) {
		arrays[p] = c->matrix[(size_t)rank * n + p];
		arrays[n + p] = c->matrix[p * n + (size_t)rank];
		/* Blocks with one element between them, so that displacements matter. */
		arrays[2 * n + p] = p ? arrays[2 * n + p - 1] + arrays[p - 1] + 1 : 0;
		arrays[3 * n + p] = p ? arrays[3 * n + p - 1] + arrays[n + p - 1] + 1 : 0;
	}
	a.send_counts = arrays;
	a.recv_counts = arrays + n;
	a.send_displs = arrays + 2 * n;
	a.recv_displs = arrays + 3 * n;
	return a;
}

static size_t block_count(const struct t_call *c, int r)
{
	return c->counts ? c->counts[r] : c->count;
}

static size_t block_first(const struct t_call *c, int r)
{
	size_t first = 0;

	if (c->displs)
		return c->displs[r];
	for (int i = 0; i < r; i++)
		first += block_count(c, i);
	return first;
}

/* Elements of the buffer with a block for each rank. */
static size_t large_count(const struct t_call *c)
{
	size_t end = 0;

	for (int r = 0; r < c->n_ranks; r++) {
		const size_t this_end = block_first(c, r) + block_count(c, r);

		end = this_end > end ? this_end : end;
	}
	return end;
}

static void expect(struct t_call_run *run, struct fr_expect e)
{
	run->expects[run->n_expects++] = e;
}

static void expect_alltoall(const struct t_call *c, struct t_call_run *run, int r)
{
	size_t *mine = run->arrays + 4 * (size_t)c->n_ranks * (size_t)r;
	const size_t n = (size_t)c->n_ranks, last = n - 1;

	run->send_counts[r] = run->recv_counts[r] = n * c->count;
	if (c->matrix) {
		run->send_counts[r] = mine[2 * n + last] + mine[last];
		run->recv_counts[r] = mine[3 * n + last] + mine[n + last];
	}
	for (size_t p = 0; p < n; p++) {
		const size_t *theirs = run->arrays + 4 * n * p;
		const size_t at = (size_t)r;

		if (c->matrix)
			expect(run, (struct fr_expect){r, mine[3 * n + p], mine[n + p], (int)p,
			                               theirs[2 * n + at]});
		else
			expect(run, (struct fr_expect){r, p * c->count, c->count, (int)p,
			                               at * c->count});
	}
}

/* What rank r's buffers hold and must hold. */
static void expect_rank(const struct t_call *c, struct t_call_run *run, int r)
{
	const bool is_root = r == c->root;
	const size_t own = block_count(c, r), first = block_first(c, r);

	switch (c->algo->coll) {
	case FR_COLL_ALLREDUCE:
	case FR_COLL_REDUCE:
		run->send_counts[r] = c->count;
		if (c->algo->coll == FR_COLL_REDUCE && !is_root)
			break;
		run->recv_counts[r] = c->count;
		expect(run, (struct fr_expect){r, 0, c->count, FR_FROM_ALL, 0});
		break;
	case FR_COLL_BROADCAST:
		run->send_counts[r] = is_root ? c->count : 0;
		run->recv_counts[r] = c->count;
		expect(run, (struct fr_expect){r, 0, c->count, c->root, 0});
		break;
	case FR_COLL_REDUCE_SCATTER:
		run->send_counts[r] = large_count(c);
		run->recv_counts[r] = own;
		expect(run, (struct fr_expect){r, 0, own, FR_FROM_ALL, first});
		break;
	case FR_COLL_SCATTER:
		run->send_counts[r] = is_root ? large_count(c) : 0;
		run->recv_counts[r] = own;
		expect(run, (struct fr_expect){r, 0, own, c->root, first});
		break;
	case FR_COLL_ALLGATHER:
	case FR_COLL_GATHER:
		run->send_counts[r] = own;
		if (c->algo->coll == FR_COLL_GATHER && !is_root)
			break;
		run->recv_counts[r] = large_count(c);
		for (int p = 0; p < c->n_ranks; p++)
			expect(run,
			       (struct fr_expect){r, block_first(c, p), block_count(c, p), p, 0});
		break;
	case FR_COLL_ALLTOALL:
		expect_alltoall(c, run, r);
		break;
	case FR_COLL_BARRIER:
	case FR_COLL_P2P:
	case FR_N_COLLS:
		break;
	}
}

ferrule_status_t t_call_emit(const struct t_call *c, struct t_call_run *run)
{
	const size_t n = (size_t)c->n_ranks;
	ferrule_status_t first_error = FERRULE_OK;

	memset(run, 0, sizeof(*run));
	run->n_ranks = c->n_ranks;
	run->scheds = calloc(n, sizeof(*run->scheds));
	run->send_counts = calloc(n, sizeof(*run->send_counts));
	run->recv_counts = calloc(n, sizeof(*run->recv_counts));
	run->expects = calloc(n * n + n, sizeof(*run->expects));
	run->arrays = calloc(4 * n * n, sizeof(*run->arrays));
	for (int r = 0; r < c->n_ranks; r++) {
		const struct fr_coll_args a = t_call_args(c, r, run->arrays + 4 * n * (size_t)r);
		ferrule_status_t status;
		size_t offset;
		const enum fr_alias alias = fr_coll_alias(&a, &offset);

		fr_sched_init(&run->scheds[r], r, c->n_ranks, alias, offset);
		run->scheds[r].keeps_empty = fr_coll_keeps_empty(&a);
		c->algo->emit(&run->scheds[r], &a);
		status = fr_sched_finish(&run->scheds[r]);
		if (first_error == FERRULE_OK)
			first_error = status;
	}
	for (int r = 0; r < c->n_ranks; r++)
		expect_rank(c, run, r);
	return first_error;
}

void t_call_free(struct t_call_run *run)
{
	for (int r = 0; r < run->n_ranks; r++)
		fr_sched_fini(&run->scheds[r]);
	free(run->scheds);
	free(run->send_counts);
	free(run->recv_counts);
	free(run->expects);
	free(run->arrays);
}

struct fr_verify_job t_call_job(const struct t_call_run *run, bool rendezvous, uint64_t seed)
{
	return (struct fr_verify_job){
		.scheds = run->scheds,
		.n_ranks = run->n_ranks,
		.send_counts = run->send_counts,
		.recv_counts = run->recv_counts,
		.expects = run->expects,
		.n_expects = run->n_expects,
		.rendezvous = rendezvous,
		.seed = seed,
	};
}

static void describe(const struct t_call *c, uint64_t seed, const char *what)
{
	static const char *const places[] = {"apart", "in place", "mixed"};

	fprintf(stderr, "%s %s n=%d count=%zu%s%s root=%d %s hosts=%d seed=%llu: %s\n",
	        fr_coll_name(c->algo->coll), c->algo->name, c->n_ranks, c->count,
	        c->counts || c->matrix ? " (v)" : "", c->displs ? " displs" : "", c->root,
	        places[c->in_place], c->host_of ? c->n_hosts : 1, (unsigned long long)seed, what);
}

bool t_call_verify(const struct t_call *c, uint64_t seed, struct fr_verify_report *report)
{
	struct t_call_run run;
	bool ok = t_call_emit(c, &run) == FERRULE_OK;

	if (!ok) {
		for (int r = 0; r < run.n_ranks && run.scheds[r].error == FERRULE_OK; r++) {
			if (r + 1 < run.n_ranks && run.scheds[r + 1].error != FERRULE_OK)
				describe(c, seed, run.scheds[r + 1].error_text);
		}
	}
	for (int mode = 0; ok && mode < 2; mode++) {
		struct fr_verify_job job = t_call_job(&run, mode == 1, seed + (uint64_t)mode);

		job.empty_messages = c->algo->coll == FR_COLL_BARRIER;
		ok = (job.empty_messages && c->n_ranks > 1 ? fr_verify_barrier
		                                           : fr_verify)(&job, report) == FERRULE_OK;
		if (!ok)
			describe(c, seed, report->text);
	}
	t_call_free(&run);
	return ok;
}

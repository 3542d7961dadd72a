#include "config.h"

#include "tests/exec/t_exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *name_of(int coll)
{
	return coll >= 0 && coll < FR_N_COLLS ? fr_coll_name((enum fr_coll)coll) : "nothing";
}

bool t_exec_open(struct t_exec *e, struct t_rank *r, double timeout_s)
{
	*e = (struct t_exec){.rank = r};
	if (t_rank_open(r, 10) != FERRULE_OK)
		return false;
	for (int p = 0; p < r->n_ranks; p++)
		e->eps[p] = p == r->rank ? NULL : t_rank_ep(r, p);
	e->transports[0] = r->t;
	const struct fr_exec_params params = {
		.rank = r->rank,
		.n_ranks = r->n_ranks,
		.eps = e->eps,
		.transports = e->transports,
		.board = fr_transport_board(r->t),
		.timeout_ns = (uint64_t)(timeout_s * 1e9),
		.spin_us = -1,
		.oversubscribed = true,
		.coll_name = name_of,
	};
	e->has_board = params.board != NULL;
	/* A board may be written as soon as everybody is connected. */
	return t_rank_barrier(r) && fr_exec_create(&params, &e->exec) == FERRULE_OK;
}

void t_exec_close(struct t_exec *e)
{
	fr_exec_destroy(e->exec);
}

static bool has_many_blocks(enum fr_coll coll, bool at_send)
{
	switch (coll) {
	case FR_COLL_REDUCE_SCATTER:
	case FR_COLL_SCATTER:
		return at_send;
	case FR_COLL_ALLGATHER:
	case FR_COLL_GATHER:
		return !at_send;
	case FR_COLL_ALLTOALL:
		return true;
	default:
		return false;
	}
}

static int32_t *take(struct t_exec *e, struct t_coll *c, size_t count)
{
	const size_t bytes = count * sizeof(int32_t) + 64;
	void *p = NULL;

	if (c->shared && fr_transport_mem_alloc(e->rank->t, bytes, &p) == FERRULE_OK)
		return p;
	c->shared = false;
	return malloc(bytes);
}

static void give(struct t_exec *e, const struct t_coll *c, int32_t *p)
{
	if (c->shared && p)
		e->rank->t->ops->mem_free(e->rank->t, p);
	else
		free(p);
}

/* In place one buffer lies in the other, as ferrule/coll.h says for each collective. */
static void place_buffers(struct t_exec *e, struct t_coll *c)
{
	size_t offset;
	const enum fr_alias alias = fr_coll_alias(&c->args, &offset);

	if (alias == FR_ALIAS_RECV_IN_SEND) {
		c->blocks[0] = c->send = take(e, c, c->send_count);
		c->recv = c->send + offset;
	} else if (alias == FR_ALIAS_SEND_IN_RECV) {
		c->blocks[0] = c->recv = take(e, c, c->recv_count);
		c->send = c->recv + offset;
	} else {
		c->blocks[0] = c->send = take(e, c, c->send_count);
		c->blocks[1] = c->recv = take(e, c, c->recv_count);
	}
}

bool t_coll_create(struct t_exec *e, const struct t_job *job, struct t_coll *c)
{
	const int n = e->rank->n_ranks;
	struct fr_sched sched;
	size_t offset;

	*c = (struct t_coll){.shared = job->shared};
	c->args = (struct fr_coll_args){.coll = job->algo->coll,
	                                .rank = e->rank->rank,
	                                .n_ranks = n,
	                                .root = job->root,
	                                .count = job->count,
	                                .elem_bytes = sizeof(int32_t),
	                                .board_count = e->has_board ? 16384 / sizeof(int32_t) : 0,
	                                .in_place = job->in_place};
	if (!job->algo->applies(&c->args))
		return false;
	c->call = (struct fr_call){.count = job->count,
	                           .coll = (uint8_t)job->algo->coll,
	                           .type = FERRULE_INT32,
	                           .root = job->root};
	fr_call_seal(&c->call);
	c->send_count = job->count * (has_many_blocks(job->algo->coll, true) ? (size_t)n : 1);
	c->recv_count = job->count * (has_many_blocks(job->algo->coll, false) ? (size_t)n : 1);
	place_buffers(e, c);
	const enum fr_alias alias = fr_coll_alias(&c->args, &offset);
	fr_sched_init(&sched, e->rank->rank, n, alias, offset);
	job->algo->emit(&sched, &c->args);
	const bool ok =
		fr_sched_finish(&sched) == FERRULE_OK &&
		fr_plan_create(e->exec, &sched, FERRULE_INT32, FERRULE_SUM, &c->plan) == FERRULE_OK;
	if (!ok)
		fprintf(stderr, "%s %s: %s\n", name_of(job->algo->coll), job->algo->name,
		        sched.error_text);
	fr_sched_fini(&sched);
	return ok;
}

void t_coll_destroy(struct t_exec *e, struct t_coll *c)
{
	fr_plan_destroy(c->plan);
	give(e, c, c->blocks[0]);
	give(e, c, c->blocks[1]);
}

static int32_t value(int rank, size_t i)
{
	return (int32_t)((size_t)(rank + 1) * 1000003u + i * 7919u);
}

void t_coll_fill(struct t_exec *e, struct t_coll *c)
{
	for (size_t i = 0; c->blocks[1] && i < c->recv_count; i++)
		c->recv[i] = -1;
	for (size_t i = 0; i < c->send_count; i++)
		c->send[i] = value(e->rank->rank, i);
}

static int32_t sum_of(int n, size_t i)
{
	uint32_t sum = 0;

	for (int r = 0; r < n; r++)
		sum += (uint32_t)value(r, i);
	return (int32_t)sum;
}

static int32_t expected(const struct t_exec *e, const struct t_coll *c, size_t i)
{
	const size_t count = c->args.count, rank = (size_t)e->rank->rank;

	switch (c->args.coll) {
	case FR_COLL_BROADCAST:
		return value(c->args.root, i);
	case FR_COLL_SCATTER:
		return value(c->args.root, rank * count + i);
	case FR_COLL_ALLGATHER:
	case FR_COLL_GATHER:
		return value((int)(i / count), i % count);
	case FR_COLL_ALLTOALL:
		return value((int)(i / count), rank * count + i % count);
	case FR_COLL_REDUCE_SCATTER:
		return sum_of(e->rank->n_ranks, rank * count + i);
	default:
		return sum_of(e->rank->n_ranks, i);
	}
}

size_t t_coll_wrong(const struct t_exec *e, const struct t_coll *c)
{
	const enum fr_coll coll = c->args.coll;
	const bool at_root_only = coll == FR_COLL_REDUCE || coll == FR_COLL_GATHER;
	size_t wrong = 0;

	if (coll == FR_COLL_BARRIER || (at_root_only && e->rank->rank != c->args.root))
		return 0;
	for (size_t i = 0; i < c->recv_count; i++)
		wrong += c->recv[i] != expected(e, c, i);
	return wrong;
}

bool t_coll_run(struct t_exec *e, struct t_coll *c)
{
	const char *text;
	ferrule_status_t status;
	size_t wrong;

	t_coll_fill(e, c);
	fr_call_number(&c->call, ++e->sequence);
	status = fr_exec_run(e->exec, c->plan, c->send, c->recv, 1.0, &c->call);
	if (status != FERRULE_OK) {
		fr_exec_fault(e->exec, &text);
		fprintf(stderr, "rank %d: %s, %zu elements: %s\n", e->rank->rank,
		        name_of(c->args.coll), c->args.count, text);
		return false;
	}
	wrong = t_coll_wrong(e, c);
	if (wrong)
		fprintf(stderr, "rank %d of %d: %s, %zu elements, root %d%s%s: %zu wrong\n",
		        e->rank->rank, e->rank->n_ranks, name_of(c->args.coll), c->args.count,
		        c->args.root, c->args.in_place ? ", in place" : "",
		        c->shared ? ", shared" : "", wrong);
	return wrong == 0;
}

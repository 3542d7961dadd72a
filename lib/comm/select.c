#include "config.h"

#include "lib/comm/select.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"

static ferrule_status_t unknown_collective(const char *name)
{
	char allowed[200] = "";
	size_t used = 0;

	for (int c = 0; c < FR_N_COLLS && used < sizeof(allowed); c++)
		if (c != FR_COLL_P2P)
			used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s",
			                         used ? ", " : "", fr_coll_name((enum fr_coll)c));
	return fr_error(FERRULE_ERR_SETTING,
	                "FERRULE_ALGO: \"%s\" is not a collective with algorithms; allowed: %s",
	                name, allowed);
}

static ferrule_status_t unknown_algorithm(enum fr_coll coll, const char *name)
{
	char allowed[200] = "";
	size_t used = 0;

	for (int i = 0; i < fr_n_algos && used < sizeof(allowed); i++)
		if (fr_algos[i]->coll == coll)
			used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s",
			                         used ? ", " : "", fr_algos[i]->name);
	return fr_error(FERRULE_ERR_SETTING,
	                "FERRULE_ALGO: \"%s\" is not an algorithm for %s; allowed: %s", name,
	                fr_coll_name(coll), allowed);
}

/* One "collective=algorithm". */
static ferrule_status_t parse_pair(char *pair, struct fr_overrides *out)
{
	char *equals = strchr(pair, '=');

	if (!equals)
		return fr_error(FERRULE_ERR_SETTING,
		                "FERRULE_ALGO: \"%s\" is not of the form COLLECTIVE=ALGORITHM",
		                pair);
	*equals = '\0';
	const enum fr_coll coll = fr_coll_parse(pair);

	if (coll == FR_N_COLLS || coll == FR_COLL_P2P)
		return unknown_collective(pair);
	const struct fr_algo *algo = fr_algo_find(coll, equals + 1);

	if (!algo)
		return unknown_algorithm(coll, equals + 1);
	out->algo[coll] = algo;
	return FERRULE_OK;
}

ferrule_status_t fr_overrides_parse(const char *text, struct fr_overrides *out)
{
	struct fr_overrides overrides = {.algo = {NULL}};
	char pair[80];

	while (*text) {
		const size_t length = strcspn(text, ",");

		snprintf(pair, sizeof(pair), "%.*s", (int)(length < 70 ? length : 70), text);
		const ferrule_status_t status = parse_pair(pair, &overrides);

		if (status != FERRULE_OK)
			return status;
		text += length + (text[length] == ',');
	}
	*out = overrides;
	return FERRULE_OK;
}

const struct fr_algo *fr_select(const struct fr_coll_args *args, const struct fr_machine *machine,
                                const struct fr_overrides *overrides)
{
	const struct fr_algo *wanted = overrides->algo[args->coll];
	struct fr_coll_args common = *args;

	/* In place or not is each rank's own business, and so is where it puts the blocks of an
	 * allgatherv: any displacements may differ, so all count as given. */
	common.in_place = false;
	if (common.coll == FR_COLL_ALLGATHER && common.counts)
		common.displs = common.counts;
	if (wanted && wanted->applies(&common))
		return wanted;
	return fr_algo_choose(&common, machine, NULL);
}

int fr_algo_index(const struct fr_algo *algo)
{
	int i = 0;

	while (i < fr_n_algos && fr_algos[i] != algo)
		i++;
	return i;
}

/* ---- composing ---- */

/* The result of a reduction on this rank; empty where there is none. */
static struct fr_range result_range(const struct fr_coll_args *a)
{
	const bool has_result = a->coll != FR_COLL_REDUCE || a->rank == a->root;
	const size_t count =
		a->coll == FR_COLL_REDUCE_SCATTER && a->counts ? a->counts[a->rank] : a->count;

	return fr_range(FR_RECV, 0, has_result ? count : 0);
}

/* How the steps of one schedule are appended to another. */
struct replay {
	struct fr_sched *out;
	bool moves_send; /* FR_SEND lies in scratch, from here on: */
	size_t send_in_tmp;
};

static struct fr_range moved(const struct replay *p, struct fr_range r)
{
	if (p->moves_send && r.space == FR_SEND)
		return fr_range(FR_TMP, p->send_in_tmp + r.first, r.count);
	return r;
}

static void replay_step(const struct replay *p, const struct fr_step *step)
{
	const struct fr_range dst = moved(p, step->dst), src = moved(p, step->src);

	switch (step->kind) {
	case FR_STEP_COPY:
		fr_sched_copy(p->out, dst, src);
		break;
	case FR_STEP_REDUCE:
		fr_sched_reduce(p->out, dst, src, moved(p, step->src2));
		break;
	case FR_STEP_SCALE:
		fr_sched_scale(p->out, step->scale, dst, src);
		break;
	case FR_STEP_SEND:
		fr_sched_send(p->out, step->peer, src);
		break;
	case FR_STEP_RECV:
		if (step->is_reply)
			fr_sched_recv_reply(p->out, step->peer, dst);
		else
			fr_sched_recv(p->out, step->peer, dst);
		break;
	case FR_STEP_RECV_REDUCE:
		fr_sched_recv_reduce(p->out, step->peer, dst, src);
		break;
	case FR_STEP_PUBLISH:
		fr_sched_publish(p->out, src);
		break;
	case FR_STEP_FOLD:
		fr_sched_fold(p->out, dst, src);
		break;
	case FR_STEP_COLLECT:
		fr_sched_collect_part(p->out, step->peer, dst, step->part.first, step->part.total);
		break;
	case FR_N_STEP_KINDS:
		break;
	}
}

static size_t send_count(const struct fr_coll_args *a)
{
	return a->coll == FR_COLL_REDUCE_SCATTER ? fr_coll_total_count(a) : a->count;
}

/*
 * The input is scaled first, and the algorithm then works on the scaled copy.  Where the result
 * is as large as the input, the copy lies in the receive buffer and the algorithm runs in
 * place; else it lies in scratch.
 */
static void emit_scaled(const struct fr_algo *algo, const struct fr_coll_args *a,
                        struct fr_sched *out)
{
	const bool in_recv =
		a->coll == FR_COLL_ALLREDUCE || (a->coll == FR_COLL_REDUCE && a->rank == a->root);
	const struct fr_range input = fr_range(FR_SEND, 0, send_count(a));
	struct fr_coll_args inner_args = *a;
	struct fr_sched inner;
	size_t offset;

	inner_args.in_place = in_recv;
	const enum fr_alias alias = fr_coll_alias(&inner_args, &offset);

	fr_sched_init(&inner, a->rank, a->n_ranks, alias, offset);
	inner.keeps_empty = out->keeps_empty;
	algo->emit(&inner, &inner_args);
	fr_sched_tmp(out, inner.tmp_count); /* the first scratch, so inner's ranges stay */

	struct fr_range scaled = fr_range(FR_RECV, 0, input.count);

	if (!in_recv)
		scaled = fr_sched_tmp(out, input.count);
	const struct replay replay = {
		.out = out, .moves_send = !in_recv, .send_in_tmp = scaled.first};

	fr_sched_scale(out, FR_SCALE_PREMUL, scaled, input);
	for (uint32_t i = 0; i < inner.n_steps; i++)
		replay_step(&replay, &inner.steps[i]);
	if (inner.error != FERRULE_OK && out->error == FERRULE_OK) {
		out->error = inner.error;
		memcpy(out->error_text, inner.error_text, sizeof(out->error_text));
	}
	fr_sched_fini(&inner);
}

ferrule_status_t fr_compose(const struct fr_algo *algo, const struct fr_coll_args *args,
                            struct fr_frame frame, struct fr_sched *out)
{
	size_t offset;
	const enum fr_alias alias = fr_coll_alias(args, &offset);

	fr_sched_init(out, args->rank, args->n_ranks, alias, offset);
	out->keeps_empty = fr_coll_keeps_empty(args);
	if (frame.premul)
		emit_scaled(algo, args, out);
	else
		algo->emit(out, args);
	if (frame.average)
		fr_sched_scale(out, FR_SCALE_AVERAGE, result_range(args), result_range(args));
	return fr_sched_finish(out);
}

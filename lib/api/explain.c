/* ferrule_explain(): what the cost model would choose, why, and what would then happen. */
#include "config.h"

#include <ferrule/info.h>

#include <stdlib.h>
#include <string.h>

#include "collectives/algo/algo.h"
#include "collectives/schedule/print.h"
#include "lib/api/check.h"
#include "lib/base/error.h"
#include "lib/base/settings.h"
#include "lib/base/text.h"
#include "lib/comm/place.h"
#include "lib/comm/select.h"
#include "lib/transport/transport.h"

#define MAX_RANKS        4096
#define MAX_RANKS_ROUNDS 256
#define MAX_COUNT        (UINT64_C(1) << 44)
#define MAX_CANDIDATES   16

/* One question, worked out. */
struct question {
	const struct ferrule_explain_call *what;
	struct fr_coll_args args;
	struct fr_machine machine;
	struct fr_frame frame;
	const char *transport;
	int *host_of;
	const struct fr_algo *candidates[MAX_CANDIDATES]; /* cheapest first */
	double cost_s[MAX_CANDIDATES];
	int n_candidates;
	struct fr_overrides overrides; /* what FERRULE_ALGO says */
	const struct fr_algo *choice;  /* what the call would use */
	const struct fr_algo *shown;   /* whose rounds are printed */
};

/* ---- the question ---- */

static ferrule_status_t check_call(const struct ferrule_explain_call *w)
{
	if (w->size != sizeof(*w))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "size: %zu, must be sizeof(struct ferrule_explain_call), %zu",
		                w->size, sizeof(*w));
	if (w->n_ranks < 1 || w->n_ranks > MAX_RANKS)
		return fr_error(FERRULE_ERR_ARGUMENT, "n_ranks: %d, must be from 1 to %d",
		                w->n_ranks, MAX_RANKS);
	if (w->n_hosts < 0 || w->n_hosts > w->n_ranks)
		return fr_error(
			FERRULE_ERR_ARGUMENT,
			"n_hosts: %d, must be from 0 (meaning 1) to the number of ranks, %d",
			w->n_hosts, w->n_ranks);
	if (w->rounds && w->n_ranks > MAX_RANKS_ROUNDS)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "n_ranks: %d, must be at most %d for rounds to be printed",
		                w->n_ranks, MAX_RANKS_ROUNDS);
	if (ferrule_type_bytes(w->type) == 0)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "type: %d, must be FERRULE_INT8 (0) to FERRULE_FP8_E5M2 (%d)",
		                (int)w->type, FERRULE_N_TYPES - 1);
	if (w->count > MAX_COUNT / ferrule_type_bytes(w->type) / (size_t)w->n_ranks)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "count: %zu elements of %s on %d ranks do not fit in any memory",
		                w->count, ferrule_type_name(w->type), w->n_ranks);
	return FERRULE_OK;
}

static ferrule_status_t unknown_collective(const char *name)
{
	return fr_error(FERRULE_ERR_ARGUMENT,
	                "collective: \"%s\", must be one of allreduce, reduce, reduce_scatter, "
	                "allgather, broadcast, gather, scatter, alltoall, barrier",
	                name ? name : "");
}

static ferrule_status_t check_coll(const struct ferrule_explain_call *w, enum fr_coll coll)
{
	if (coll == FR_N_COLLS || coll == FR_COLL_P2P)
		return unknown_collective(w->collective);
	if (fr_coll_has_root(coll) && (w->root < 0 || w->root >= w->n_ranks))
		return fr_error(FERRULE_ERR_ARGUMENT, "root: %d, must be a rank from 0 to %d",
		                w->root, w->n_ranks - 1);
	if (fr_coll_reduces(coll) && (w->op < 0 || w->op >= FERRULE_N_REDOPS))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "op: %d, must be FERRULE_SUM (0) to FERRULE_AVG (%d)", w->op,
		                FERRULE_N_REDOPS - 1);
	if (w->in_place && coll == FR_COLL_ALLTOALL)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "in_place: alltoall is not possible in place");
	return FERRULE_OK;
}

/* What ranks of a host would use without being asked: the first that FERRULE_TRANSPORT allows. */
static const struct fr_transport_ops *first_allowed(void)
{
	const char *list = fr_settings()->transport;

	while (*list) {
		const size_t length = strcspn(list, ",");
		char name[16];

		snprintf(name, sizeof(name), "%.*s", (int)(length < 15 ? length : 15), list);
		const struct fr_transport_ops *const ops = fr_transport_find(name);

		if (ops && fr_transport_reaches(ops, true))
			return ops;
		list += length + (list[length] == ',');
	}
	return fr_transports[0];
}

/* The transport inside a host decides whether there is a board, and what a message costs. */
static ferrule_status_t set_transport(struct question *q)
{
	const char *name = q->what->transport;
	const struct fr_transport_ops *ops = first_allowed();

	if (name && name[0]) {
		ops = strchr(name, ',') ? NULL : fr_transport_find(name);
		if (!ops)
			return fr_transport_list_check(name, "transport") == FERRULE_OK
			               ? fr_error(FERRULE_ERR_ARGUMENT,
			                          "transport: \"%s\", must be a single one", name)
			               : FERRULE_ERR_ARGUMENT;
	}
	q->transport = ops->name;
	if (q->args.n_hosts == 1)
		q->args.board_count = ops->board_bytes / q->args.elem_bytes;
	if (!fr_transport_reaches(ops, true) && q->args.n_hosts == 1)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "transport: \"%s\" does not join ranks of a host", ops->name);
	if (ops->board_bytes == 0) {
		q->machine.message_s = q->machine.net_message_s;
		q->machine.message_byte_s = q->machine.net_byte_s;
		q->machine.direct_byte_s = 0;
	}
	return FERRULE_OK;
}

static ferrule_status_t set_hosts(struct question *q)
{
	const int n = q->args.n_ranks, hosts = q->args.n_hosts;
	struct fr_cpu_share here;

	q->host_of = calloc((size_t)n, sizeof(*q->host_of));
	if (!q->host_of)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d ranks", n);
	for (int r = 0; r < n; r++)
		q->host_of[r] = (int)((int64_t)r * hosts / n);
	q->args.host_of = q->host_of;
	fr_cpu_share_get(&here);
	q->machine.cores = fr_cpu_share_count(&here, 1);
	return FERRULE_OK;
}

/* Keeps the candidates sorted; the first of equal ones stays first, as in the registry. */
static void add_candidate(struct question *q, const struct fr_algo *algo)
{
	const double cost_s = algo->cost(&q->args, &q->machine);
	int at = q->n_candidates;

	if (q->n_candidates == MAX_CANDIDATES)
		return;
	for (; at > 0 && q->cost_s[at - 1] > cost_s; at--) {
		q->candidates[at] = q->candidates[at - 1];
		q->cost_s[at] = q->cost_s[at - 1];
	}
	q->candidates[at] = algo;
	q->cost_s[at] = cost_s;
	q->n_candidates++;
}

/* As a communicator does: what FERRULE_ALGO asks for where it applies, else the cheapest. */
static ferrule_status_t choose(struct question *q)
{
	const ferrule_status_t status = fr_overrides_parse(fr_settings()->algo, &q->overrides);

	if (status == FERRULE_OK)
		q->choice = fr_select(&q->args, &q->machine, &q->overrides);
	return status;
}

/* Did FERRULE_ALGO choose? */
static bool is_overridden(const struct question *q)
{
	return q->overrides.algo[q->args.coll] == q->choice;
}

/* The cheapest besides the choice; -1: there is no other. */
static int runner_up(const struct question *q)
{
	for (int i = 0; i < q->n_candidates; i++) {
		if (q->candidates[i] != q->choice)
			return i;
	}
	return -1;
}

static double cost_of_choice(const struct question *q)
{
	int i = 0;

	while (q->candidates[i] != q->choice)
		i++;
	return q->cost_s[i];
}

static ferrule_status_t choose_shown(struct question *q)
{
	const char *name = q->what->algorithm;
	char allowed[200] = "";
	size_t used = 0;

	q->shown = q->choice;
	if (!name || !name[0])
		return FERRULE_OK;
	for (int i = 0; i < q->n_candidates; i++) {
		if (strcmp(q->candidates[i]->name, name) == 0) {
			q->shown = q->candidates[i];
			return FERRULE_OK;
		}
		if (used < sizeof(allowed))
			used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s",
			                         used ? ", " : "", q->candidates[i]->name);
	}
	return fr_error(FERRULE_ERR_ARGUMENT, "algorithm: \"%s\", must be one of %s for this call",
	                name, allowed);
}

static ferrule_status_t work_out(struct question *q)
{
	const struct ferrule_explain_call *w = q->what;
	const enum fr_coll coll = w->collective ? fr_coll_parse(w->collective) : FR_N_COLLS;
	ferrule_status_t status = check_call(w);

	if (status == FERRULE_OK)
		status = check_coll(w, coll);
	if (status == FERRULE_OK)
		status = fr_settings_load();
	if (status != FERRULE_OK)
		return status;
	q->machine = fr_machine_default;
	q->args = (struct fr_coll_args){
		.coll = coll,
		.n_ranks = w->n_ranks,
		.root = fr_coll_has_root(coll) ? w->root : -1,
		.count = coll == FR_COLL_BARRIER ? 0 : w->count,
		.elem_bytes = ferrule_type_bytes(w->type),
		.n_hosts = w->n_hosts > 0 ? w->n_hosts : 1,
	};
	q->frame.average = fr_coll_reduces(coll) && w->op == FERRULE_AVG;
	status = set_hosts(q);
	if (status == FERRULE_OK)
		status = set_transport(q);
	if (status != FERRULE_OK)
		return status;
	for (int i = 0; i < fr_n_algos; i++)
		if (fr_algos[i]->coll == coll && fr_algos[i]->applies(&q->args))
			add_candidate(q, fr_algos[i]);
	status = choose(q);
	return status == FERRULE_OK ? choose_shown(q) : status;
}

/* ---- the answer ---- */

static void print_bytes(FILE *out, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	int unit = 0;

	for (; bytes >= 1024 && unit < 4; unit++)
		bytes /= 1024;
	fr_print(out, "%.4g %s", bytes, units[unit]);
}

/* What FERRULE_ALGO has to do with the choice. */
static void print_reason(const struct question *q, FILE *out)
{
	const struct fr_algo *const wanted = q->overrides.algo[q->args.coll];

	if (!wanted)
		return;
	fprintf(out, "\nFERRULE_ALGO asks for %s", wanted->name);
	if (!is_overridden(q))
		fprintf(out, ", which cannot do this call\n");
	else if (q->choice == q->candidates[0])
		fprintf(out, ", which the cost model would choose too\n");
	else
		fprintf(out, "; the cost model would choose %s\n", q->candidates[0]->name);
}

static void print_text(const struct question *q, FILE *out)
{
	const struct fr_coll_args *a = &q->args;

	fprintf(out, "%s of %zu %s, ", fr_coll_name(a->coll), a->count,
	        ferrule_type_name(q->what->type));
	print_bytes(out, (double)fr_coll_total_count(a) * (double)a->elem_bytes);
	if (fr_coll_reduces(a->coll))
		fprintf(out, ", %s", ferrule_redop_name(q->what->op));
	if (fr_coll_has_root(a->coll))
		fprintf(out, ", root %d", a->root);
	fprintf(out, ", %d rank%s on %d host%s with %d usable threads, %s inside a host\n",
	        a->n_ranks, a->n_ranks == 1 ? "" : "s", a->n_hosts, a->n_hosts == 1 ? "" : "s",
	        q->machine.cores, q->transport);
	fprintf(out, "predicted with the built-in constants; a communicator measures its own\n\n");
	fprintf(out, "  %-10s %-14s %12s  %s\n", "", "algorithm", "time us", "what it does");
	for (int i = 0; i < q->n_candidates; i++)
		fr_print(out, "  %-10s %-14s %12.3f  %s\n",
		         q->candidates[i] == q->choice  ? "choice"
		         : i == runner_up(q)            ? "runner-up"
		         : q->candidates[i] == q->shown ? "asked for"
		                                        : "",
		         q->candidates[i]->name, q->cost_s[i] * 1e6, q->candidates[i]->summary);
	print_reason(q, out);
}

static void print_json(const struct question *q, FILE *out)
{
	const struct fr_coll_args *a = &q->args;
	const int second = runner_up(q);

	fprintf(out, "{\"collective\": \"%s\", \"ranks\": %d, \"hosts\": %d, \"count\": %zu, ",
	        fr_coll_name(a->coll), a->n_ranks, a->n_hosts, a->count);
	fprintf(out, "\"bytes\": %zu, \"type\": \"%s\", ", fr_coll_total_count(a) * a->elem_bytes,
	        ferrule_type_name(q->what->type));
	if (fr_coll_reduces(a->coll))
		fprintf(out, "\"op\": \"%s\", ", ferrule_redop_name(q->what->op));
	if (fr_coll_has_root(a->coll))
		fprintf(out, "\"root\": %d, ", a->root);
	fprintf(out, "\"transport\": \"%s\", \"cores\": %d, \"in_place\": %s, ", q->transport,
	        q->machine.cores, q->what->in_place ? "true" : "false");
	fprintf(out, "\"choice\": \"%s\", \"chosen_by\": \"%s\", \"runner_up\": ", q->choice->name,
	        is_overridden(q) ? "FERRULE_ALGO" : "cost model");
	if (second >= 0)
		fprintf(out, "\"%s\", ", q->candidates[second]->name);
	else
		fprintf(out, "null, ");
	fr_print(out, "\"time_us\": %.3f, \"candidates\": [", cost_of_choice(q) * 1e6);
	for (int i = 0; i < q->n_candidates; i++)
		fr_print(out, "%s{\"algorithm\": \"%s\", \"time_us\": %.3f, \"summary\": \"%s\"}",
		         i ? ", " : "", q->candidates[i]->name, q->cost_s[i] * 1e6,
		         q->candidates[i]->summary);
	fprintf(out, "]");
}

/* Every rank's schedule; all of them are to be freed, also after an error. */
static ferrule_status_t compose_all(const struct question *q, struct fr_sched *scheds)
{
	ferrule_status_t status = FERRULE_OK;

	for (int r = 0; r < q->args.n_ranks && status == FERRULE_OK; r++) {
		struct fr_coll_args args = q->args;

		args.rank = r;
		args.in_place = q->what->in_place;
		status = fr_compose(q->shown, &args, q->frame, &scheds[r]);
	}
	return status;
}

static ferrule_status_t print_rounds(const struct question *q, FILE *out)
{
	const bool json = q->what->json;
	struct fr_sched *scheds = calloc((size_t)q->args.n_ranks, sizeof(*scheds));

	if (!scheds)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d schedules",
		                q->args.n_ranks);
	ferrule_status_t status = compose_all(q, scheds);

	if (status == FERRULE_OK) {
		fprintf(out, json ? ", \"rounds_of\": \"%s\", \"rounds\": " : "\nrounds of %s:\n",
		        q->shown->name);
		status = fr_print_rounds(out, scheds, q->args.n_ranks,
		                         json ? FR_PRINT_JSON : FR_PRINT_TEXT);
	}
	for (int r = 0; r < q->args.n_ranks; r++)
		fr_sched_fini(&scheds[r]);
	free(scheds);
	return status;
}

ferrule_status_t ferrule_explain(const struct ferrule_explain_call *what, FILE *out)
{
	struct question q = {.what = what};
	ferrule_status_t status;

	if (!what)
		return fr_error(FERRULE_ERR_ARGUMENT, "what: NULL, must be a call to explain");
	if (!out)
		return fr_no_output("out");
	status = work_out(&q);
	if (status == FERRULE_OK) {
		if (what->json)
			print_json(&q, out);
		else
			print_text(&q, out);
		if (what->rounds)
			status = print_rounds(&q, out);
		if (what->json)
			fprintf(out, "}\n");
	}
	if (status == FERRULE_OK && ferror(out))
		status = fr_error(FERRULE_ERR_SYSTEM, "out: what is explained cannot be written");
	free(q.host_of);
	return status;
}

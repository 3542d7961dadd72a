/* cmd_explain.c - `ferrule explain`: which algorithm a call would use, and why. */
#include "tools/command.h"

#include <stdio.h>
#include <string.h>

#include <ferrule/ferrule.h>

#include "tools/coll_table.h"
#include "tools/launch.h"
#include "tools/options.h"
#include "tools/stream.h"

struct explain_options {
	int64_t n_ranks, n_hosts, root;
	uint64_t bytes;
	const char *type, *op, *transport, *algorithm;
	bool is_in_place, rounds, json;
};

#define FIELD(name) offsetof(struct explain_options, name)

static const struct fr_option options[] = {
	{'n', "ranks", "N", FR_OPTION_INT, FIELD(n_ranks), 1, FR_LAUNCH_MAX_RANKS, NULL,
         "ranks that take part (default 2)"},
	{0, "hosts", "N", FR_OPTION_INT, FIELD(n_hosts), 1, FR_LAUNCH_MAX_RANKS, NULL,
         "hosts they are spread over, in blocks (default 1)"},
	{'b', "bytes", "SIZE", FR_OPTION_SIZE, FIELD(bytes), 0, 1099511627776.0, NULL,
         "bytes of the larger buffer, with K, M, G or T\n(default 1M)"},
	{'d', "type", "TYPE", FR_OPTION_WORD, FIELD(type), 0, 0, FR_TYPE_NAMES,
         "element type (default float)"},
	{'o', "op", "OP", FR_OPTION_WORD, FIELD(op), 0, 0, FR_REDOP_NAMES,
         "sum, prod, min, max or avg (default sum)"},
	{'r', "root", "RANK", FR_OPTION_INT, FIELD(root), 0, FR_LAUNCH_MAX_RANKS - 1, NULL,
         "root of broadcast, reduce, gather, scatter (default 0)"},
	{0, "in-place", NULL, FR_OPTION_FLAG, FIELD(is_in_place), 0, 0, NULL,
         "the call is in place"},
	{0, "transport", "NAME", FR_OPTION_TEXT, FIELD(transport), 0, 0, NULL,
         "between ranks of a host (default: what ranks would use,\n"
         "by FERRULE_TRANSPORT)"},
	{0, "algorithm", "NAME", FR_OPTION_TEXT, FIELD(algorithm), 0, 0, NULL,
         "whose rounds to print instead of the choice's"},
	{0, "rounds", NULL, FR_OPTION_FLAG, FIELD(rounds), 0, 0, NULL,
         "also print who sends what in which round"},
	{0, "json", NULL, FR_OPTION_FLAG, FIELD(json), 0, 0, NULL, "one JSON object"},
	{0, NULL, NULL, FR_OPTION_FLAG, 0, 0, 0, NULL, NULL},
};

static const struct fr_usage usage = {
	.command = "ferrule explain",
	.synopsis = "[OPTIONS] COLLECTIVE",
	.summary = "Prints which algorithm a call would use, the runner-up, and the predicted\n"
		   "time of each.  Contacts nobody: any number of ranks may be asked about.",
	.notes = "  ferrule explain allreduce --ranks 8 --bytes 64M\n"
		 "  ferrule explain broadcast --ranks 16 --hosts 4 --root 3 --rounds",
	.options = options,
	.min_operands = 1,
	.max_operands = 1,
	.operands = "one COLLECTIVE (" FR_COLL_NAMES ")",
};

/* Into the library's terms; 0 or the exit status. */
static int make_call(const struct explain_options *o, const char *collective,
                     struct ferrule_explain_call *call)
{
	const struct fr_coll *const coll = fr_coll_find(collective);

	if (!coll)
		return fr_usage_error(&usage, "COLLECTIVE: '%s' is not allowed; allowed: %s",
		                      collective, FR_COLL_NAMES);
	if (!fr_type_by_name(o->type, &call->type))
		return fr_usage_error(&usage, "option -d, --type: '%s' is not one type", o->type);
	if (!fr_redop_by_name(o->op, &call->op))
		return fr_usage_error(&usage, "option -o, --op: '%s' is not one operator", o->op);
	if (o->root >= o->n_ranks)
		return fr_usage_error(&usage,
		                      "option -r, --root: %lld is not allowed; allowed: a rank, 0 "
		                      "to %lld",
		                      (long long)o->root, (long long)o->n_ranks - 1);
	call->collective = coll->name;
	call->count = fr_coll_count(coll, o->bytes, call->type, (int)o->n_ranks);
	return FR_EXIT_OK;
}

int fr_cmd_explain(int argc, char **argv)
{
	struct explain_options o = {
		.n_ranks = 2, .n_hosts = 1, .bytes = 1 << 20, .type = "float", .op = "sum"};
	int first;

	const enum fr_parsed parsed = fr_options_parse(&usage, argc, argv, &o, &first);
	if (parsed != FR_PARSED_RUN)
		return parsed == FR_PARSED_HELP ? FR_EXIT_OK : FR_EXIT_USAGE;
	struct ferrule_explain_call call = {
		.size = sizeof(call),
		.n_ranks = (int)o.n_ranks,
		.n_hosts = (int)o.n_hosts,
		.root = (int)o.root,
		.in_place = o.is_in_place,
		.transport = o.transport,
		.algorithm = o.algorithm,
		.rounds = o.rounds,
		.json = o.json,
	};
	const int exit_status = make_call(&o, argv[first], &call);
	if (exit_status != FR_EXIT_OK)
		return exit_status;
	const ferrule_status_t status = ferrule_explain(&call, stdout);
	if (status == FERRULE_OK)
		return FR_EXIT_OK;
	fr_flush(stdout);
	fprintf(stderr, "ferrule explain: %s\n", ferrule_comm_error_text(NULL));
	return FR_EXIT_FAILED;
}

#include "tools/bench_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/json.h"
#include "tools/stream.h"

/* What ranks tell rank 0 about themselves. */
struct introduction {
	char host[64];
	int64_t pid;
};

#define MAX_INTRODUCED 16

static int count_hosts(const struct introduction *all, int n)
{
	int n_hosts = 0;
	for (int i = 0; i < n; i++) {
		int before = 0;
		while (before < i && strcmp(all[before].host, all[i].host) != 0)
			before++;
		n_hosts += before == i;
	}
	return n_hosts;
}

/* Every transport in use, once. */
static void list_transports(struct fr_bench_report *r, const struct fr_bench *b)
{
	for (int peer = 0; peer < b->n_ranks; peer++) {
		const char *const name = ferrule_comm_transport(b->comm, peer);
		if ((peer == b->rank && b->n_ranks > 1) || strstr(r->transports, name))
			continue;
		const size_t used = strlen(r->transports);
		snprintf(r->transports + used, sizeof(r->transports) - used, "%s%s",
		         used ? "+" : "", name);
	}
}

static void describe_joins(struct fr_bench_report *r, const struct fr_bench *b)
{
	struct ferrule_comm_report report = {.size = sizeof(report)};

	if (ferrule_comm_report(b->comm, &report) == FERRULE_OK)
		snprintf(r->joins, sizeof(r->joins), "%s", report.joins);
}

static void print_job(const struct fr_bench_report *r, const struct introduction *all)
{
	const struct fr_bench_options *const o = r->options;

	printf("# ferrule %s bench %s\n", ferrule_version(), o->collective);
	printf("# ranks %d on %d host%s, transport %s, memory %s, warmup %lld, iters %lld, "
	       "check %lld%s\n",
	       r->n_ranks, r->n_hosts, r->n_hosts == 1 ? "" : "s", r->transports, o->memory,
	       (long long)o->warmup, (long long)o->iterations, (long long)o->checks,
	       o->rewrite ? ", send buffers rewritten" : "");
	printf("# rank 0: %s\n", r->joins);
	for (int i = 0; i < r->n_ranks && i < MAX_INTRODUCED; i++)
		printf("#  Rank %2d Pid %6lld on %10s\n", i, (long long)all[i].pid, all[i].host);
	if (r->n_ranks > MAX_INTRODUCED)
		printf("#  and %d more\n", r->n_ranks - MAX_INTRODUCED);
}

ferrule_status_t fr_report_job(struct fr_bench_report *r, const struct fr_bench *b)
{
	struct introduction me = {.pid = getpid()};
	struct introduction *const all = calloc((size_t)b->n_ranks, sizeof(*all));

	if (!all)
		return FERRULE_ERR_NO_MEMORY;
	gethostname(me.host, sizeof(me.host) - 1);
	const ferrule_status_t status =
		ferrule_allgather(b->comm, &me, all, sizeof(me), FERRULE_UINT8);
	if (status == FERRULE_OK) {
		r->n_hosts = count_hosts(all, b->n_ranks);
		list_transports(r, b);
		describe_joins(r, b);
		if (!r->is_silent && !r->options->json)
			print_job(r, all);
	}
	free(all);
	return status;
}

void fr_report_begin(struct fr_bench_report *r, const struct fr_coll *coll)
{
	r->n_wrong = 0;
	r->busbw_sum = 0;
	r->n_busbw = 0;
	if (r->options->json || r->is_silent)
		return;
	printf("#\n# %s\n", coll->name);
	printf("#%51s  %31s  %31s\n", "", "out-of-place         ", "in-place           ");
	printf("# %10s  %12s  %8s  %6s  %6s  %7s  %6s  %6s  %6s  %7s  %6s  %6s  %6s\n", "size",
	       "count", "type", "redop", "root", "time", "algbw", "busbw", "#wrong", "time",
	       "algbw", "busbw", "#wrong");
	printf("# %10s  %12s  %8s  %6s  %6s  %7s  %6s  %6s  %6s  %7s  %6s  %6s  %6s\n", "(B)",
	       "(elements)", "", "", "", "(us)", "(GB/s)", "(GB/s)", "", "(us)", "(GB/s)", "(GB/s)",
	       "");
	fr_flush(stdout);
}

void fr_report_end(struct fr_bench_report *r)
{
	if (r->options->json || r->is_silent)
		return;
	if (r->options->checks > 0)
		printf("# Out of bounds values : %llu %s\n", (unsigned long long)r->n_wrong,
		       r->n_wrong ? "FAILED" : "OK");
	else
		printf("# Out of bounds values : not checked\n");
	printf("# Avg bus bandwidth    : %g\n", r->n_busbw ? r->busbw_sum / r->n_busbw : 0);
	fr_flush(stdout);
}

/* As many decimals as fit the column. */
static void print_number(int width, double value)
{
	printf("  %*.*f", width, value < 10 ? 3 : value < 100 ? 2 : value < 10000 ? 1 : 0, value);
}

static void print_result(const struct fr_bench_report *r, const struct fr_bench_result *result)
{
	if (!result) {
		printf("  %7s  %6s  %6s  %6s", "N/A", "N/A", "N/A", "N/A");
		return;
	}
	print_number(7, result->median_us);
	print_number(6, result->algbw);
	print_number(6, result->busbw);
	if (r->options->checks > 0)
		printf("  %6llu", (unsigned long long)result->n_wrong);
	else
		printf("  %6s", "N/A");
}

static const char *op_name(const struct fr_bench_case *what)
{
	return what->coll->has_op ? ferrule_redop_name(what->op) : "none";
}

static const char *type_name(const struct fr_bench_case *what)
{
	return what->coll->send_shape == FR_SHAPE_NONE ? "none" : ferrule_type_name(what->type);
}

static int root_number(const struct fr_bench_case *what)
{
	return what->coll->has_root ? what->root : -1;
}

static void print_json(const struct fr_bench_report *r, const struct fr_bench_case *what,
                       const struct fr_bench_result *result, bool is_in_place)
{
	struct fr_json j;

	fr_json_init(&j, stdout);
	fr_json_object_open(&j, NULL);
	fr_json_text(&j, "collective", what->coll->name);
	fr_json_uint(&j, "bytes", what->bytes);
	fr_json_uint(&j, "count", what->count);
	fr_json_text(&j, "type", type_name(what));
	fr_json_text(&j, "op", op_name(what));
	fr_json_int(&j, "root", root_number(what));
	fr_json_int(&j, "ranks", r->n_ranks);
	fr_json_text(&j, "transport", r->transports);
	fr_json_text(&j, "mem", r->options->memory);
	fr_json_bool(&j, "in_place", is_in_place);
	fr_json_real(&j, "time_us_min", result->min_us);
	fr_json_real(&j, "time_us_median", result->median_us);
	fr_json_int(&j, "timed_calls", result->n_calls);
	fr_json_real(&j, "algbw_GBps", result->algbw);
	fr_json_real(&j, "busbw_GBps", result->busbw);
	/* The same under names that speak of bits: for one release more. */
	fr_json_real(&j, "algbw_gbps", result->algbw);
	fr_json_real(&j, "busbw_gbps", result->busbw);
	if (r->options->checks > 0)
		fr_json_uint(&j, "wrong", result->n_wrong);
	else
		fr_json_null(&j, "wrong");
	fr_json_object_close(&j);
	fr_json_end(&j);
}

static void add_up(struct fr_bench_report *r, const struct fr_bench_result *result)
{
	r->n_wrong += result->n_wrong;
	r->busbw_sum += result->busbw;
	r->n_busbw++;
}

void fr_report_row(struct fr_bench_report *r, const struct fr_bench_case *what,
                   const struct fr_bench_result *out_of_place,
                   const struct fr_bench_result *in_place)
{
	if (r->is_silent)
		return;
	add_up(r, out_of_place);
	if (in_place)
		add_up(r, in_place);
	if (r->options->json) {
		print_json(r, what, out_of_place, false);
		if (in_place)
			print_json(r, what, in_place, true);
		return;
	}
	printf("%12zu  %12zu  %8s  %6s  %6d", what->bytes, what->count, type_name(what),
	       op_name(what), root_number(what));
	print_result(r, out_of_place);
	print_result(r, in_place);
	printf("\n");
	fr_flush(stdout);
}

/* bench_run.c - one rank's way through collectives, types, operators and sizes. */
#include "tools/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench_plot.h"
#include "tools/bench_report.h"
#include "tools/command.h"

struct run {
	struct fr_bench bench;
	struct fr_bench_report report;
	struct fr_plot *plot; /* rank 0 only, and only when wanted */
	uint64_t n_wrong;
};

static void print_failure(const struct run *run, ferrule_status_t status, const char *doing)
{
	const char *text = ferrule_comm_error_text(run->bench.comm);
	if (!text || !text[0])
		text = ferrule_status_text(status);
	if (run->bench.comm)
		fprintf(stderr, "ferrule bench: rank %d: %s: %s\n", run->bench.rank, doing, text);
	else
		fprintf(stderr, "ferrule bench: %s: %s\n", doing, text);
}

static void add_to_plot(const struct run *run, const struct fr_bench_case *what,
                        const struct fr_bench_result *result, bool is_in_place)
{
	const bool has_op = what->coll->has_op;
	/* One rank has no bus bandwidth. */
	const double gbytes_s = run->bench.n_ranks > 1 ? result->busbw : result->algbw;
	char label[96];

	if (!run->plot)
		return;
	snprintf(label, sizeof(label), "%s %s%s%s", what->coll->name, ferrule_type_name(what->type),
	         has_op ? " " : "", has_op ? ferrule_redop_name(what->op) : "");
	if (!fr_plot_add(run->plot, label, is_in_place, (double)what->bytes, gbytes_s))
		fprintf(stderr, "ferrule bench: no memory to plot %s\n", label);
}

static ferrule_status_t run_point(struct run *run, struct fr_bench_case *what, bool is_in_place,
                                  struct fr_bench_result *result)
{
	char doing[160];

	*result = (struct fr_bench_result){.n_wrong = 0};
	what->is_in_place = is_in_place;
	ferrule_status_t status = fr_bench_measure(&run->bench, what, result);
	if (status == FERRULE_OK)
		status = fr_bench_verify(&run->bench, what, result);
	if (status != FERRULE_OK) {
		snprintf(doing, sizeof(doing), "%s of %zu %s%s", what->coll->name, what->count,
		         ferrule_type_name(what->type), is_in_place ? " in place" : "");
		print_failure(run, status, doing);
		return status;
	}
	run->n_wrong += result->n_wrong;
	add_to_plot(run, what, result, is_in_place);
	return FERRULE_OK;
}

static ferrule_status_t run_size(struct run *run, struct fr_bench_case *what)
{
	struct fr_bench_result out_of_place, in_place;
	const bool has_in_place = what->coll->has_in_place;

	ferrule_status_t status = run_point(run, what, false, &out_of_place);
	if (status == FERRULE_OK && has_in_place)
		status = run_point(run, what, true, &in_place);
	if (status == FERRULE_OK)
		fr_report_row(&run->report, what, &out_of_place, has_in_place ? &in_place : NULL);
	return status;
}

static uint64_t next_size(const struct fr_bench_options *o, uint64_t bytes)
{
	if (o->step_bytes)
		return bytes + o->step_bytes;
	return bytes ? bytes * (uint64_t)o->step_factor : 1;
}

static ferrule_status_t run_sizes(struct run *run, struct fr_bench_case *what)
{
	const struct fr_bench_options *const o = run->bench.options;
	const int n = run->bench.n_ranks;
	size_t last_bytes = SIZE_MAX;
	ferrule_status_t status = FERRULE_OK;

	for (uint64_t bytes = o->min_bytes; bytes <= o->max_bytes && status == FERRULE_OK;
	     bytes = next_size(o, bytes)) {
		what->count = fr_coll_count(what->coll, bytes, what->type, n);
		what->bytes = fr_coll_bytes(what->coll, what->count, what->type, n);
		/* Sizes below an element a block all come to the same. */
		if (what->bytes == last_bytes)
			continue;
		last_bytes = what->bytes;
		status = run_size(run, what);
	}
	return status;
}

static ferrule_status_t run_types(struct run *run, const struct fr_coll *coll)
{
	const struct fr_bench_options *const o = run->bench.options;
	struct fr_bench_case what = {.coll = coll, .root = (int)o->root};
	ferrule_type_t wanted = FERRULE_FLOAT32;
	const bool is_all_types = !fr_type_by_name(o->type, &wanted); /* it is "all" */
	ferrule_status_t status = FERRULE_OK;

	fr_report_begin(&run->report, coll);
	for (int t = 0; t < FERRULE_N_TYPES; t++) {
		what.type = (ferrule_type_t)t;
		const bool is_wanted = is_all_types || what.type == wanted;
		for (what.op = 0; is_wanted && what.op < FERRULE_N_REDOPS; what.op++) {
			const char *const op = ferrule_redop_name(what.op);
			/* Without a reduction the operator is one that is not used. */
			const bool is_op =
				coll->has_op ? strcmp(o->op, "all") == 0 || strcmp(o->op, op) == 0
					     : what.op == 0;
			if (is_op && status == FERRULE_OK)
				status = run_sizes(run, &what);
		}
		if (coll->send_shape == FR_SHAPE_NONE && is_wanted)
			break; /* no data, so no types */
	}
	return status;
}

static ferrule_status_t run_collectives(struct run *run)
{
	const char *const wanted = run->bench.options->collective;
	const struct fr_coll *coll;
	ferrule_status_t status = FERRULE_OK;

	for (int i = 0; (coll = fr_coll_at(i)) && status == FERRULE_OK; i++) {
		if (strcmp(wanted, "all") != 0 && strcmp(wanted, coll->name) != 0)
			continue;
		status = run_types(run, coll);
		if (status == FERRULE_OK)
			fr_report_end(&run->report);
	}
	return status;
}

static ferrule_status_t allocate(struct fr_bench *b)
{
	const size_t smallest = (size_t)b->n_ranks * 8;
	void **const buffers[] = {&b->send, &b->recv};

	b->buffer_bytes = b->options->max_bytes > smallest ? b->options->max_bytes : smallest;
	b->samples = calloc((size_t)fr_bench_max_batches(b->options), sizeof(*b->samples));
	if (!b->samples)
		return FERRULE_ERR_NO_MEMORY;
	for (int i = 0; i < 2; i++) {
		if (strcmp(b->options->memory, "ferrule") == 0) {
			const ferrule_status_t status =
				ferrule_mem_alloc(b->comm, b->buffer_bytes, buffers[i]);
			if (status != FERRULE_OK)
				return status;
		} else if (posix_memalign(buffers[i], 4096, b->buffer_bytes) != 0) {
			return FERRULE_ERR_NO_MEMORY;
		}
		/* Pages must be there before anything is timed; 1 is a harmless number in every
		 * type. */
		memset(*buffers[i], 1, b->buffer_bytes);
	}
	return FERRULE_OK;
}

static void release(struct fr_bench *b)
{
	if (strcmp(b->options->memory, "ferrule") == 0) {
		ferrule_mem_free(b->comm, b->send);
		ferrule_mem_free(b->comm, b->recv);
	} else {
		free(b->send);
		free(b->recv);
	}
	free(b->samples);
}

static bool draw(const struct run *run)
{
	const struct fr_bench_options *const o = run->bench.options;
	char title[256], why[512];

	if (!run->plot)
		return true;
	snprintf(title, sizeof(title), "ferrule %s bench %s: %d ranks, %s, %s buffers",
	         ferrule_version(), o->collective, run->report.n_ranks, run->report.transports,
	         o->memory);
	if (fr_plot_write(run->plot, title, o->plot, why, sizeof(why)))
		return true;
	fprintf(stderr, "ferrule bench: option --plot: %s\n", why);
	return false;
}

/* With a communicator: everything between its creation and its end. */
static ferrule_status_t run_all(struct run *run)
{
	char doing[80];

	ferrule_status_t status = allocate(&run->bench);
	if (status != FERRULE_OK) {
		snprintf(doing, sizeof(doing), "allocating two buffers of %zu bytes",
		         run->bench.buffer_bytes);
		print_failure(run, status, doing);
		return status;
	}
	status = fr_report_job(&run->report, &run->bench);
	if (status != FERRULE_OK) {
		print_failure(run, status, "meeting the other ranks");
		return status;
	}
	return run_collectives(run);
}

static bool check_root(const struct fr_bench *b)
{
	if (b->options->root < b->n_ranks)
		return true;
	if (b->rank == 0)
		fprintf(stderr,
		        "ferrule bench: option -r, --root: %lld is not allowed; allowed: a rank, "
		        "0 to %d\n",
		        (long long)b->options->root, b->n_ranks - 1);
	return false;
}

int fr_bench_run(const struct fr_bench_options *options)
{
	struct run run = {.bench.options = options, .report.options = options};
	struct fr_bench *const b = &run.bench;
	const struct ferrule_comm_options comm_options = {.size = sizeof(comm_options),
	                                                  .transport = options->transport};

	ferrule_status_t status = ferrule_comm_create_from_env(&comm_options, &b->comm);
	if (status != FERRULE_OK) {
		print_failure(&run, status, "creating the communicator");
		return FR_EXIT_FAILED;
	}
	b->rank = ferrule_comm_rank(b->comm);
	b->n_ranks = run.report.n_ranks = ferrule_comm_size(b->comm);
	run.report.is_silent = b->rank != 0;
	if (!check_root(b)) {
		ferrule_comm_destroy(b->comm);
		return FR_EXIT_USAGE;
	}
	if (options->plot && b->rank == 0)
		run.plot = fr_plot_create();
	if (run.plot && b->n_ranks == 1)
		fr_plot_set_axis(run.plot, "size / time (GB/s)");
	status = run_all(&run);
	if (status == FERRULE_OK) {
		status = ferrule_comm_finalize(b->comm);
		if (status != FERRULE_OK)
			print_failure(&run, status, "parting from the other ranks");
	}
	const bool is_drawn = status != FERRULE_OK || draw(&run);
	release(b);
	ferrule_comm_destroy(b->comm);
	fr_plot_destroy(run.plot);
	return status == FERRULE_OK && is_drawn && run.n_wrong == 0 ? FR_EXIT_OK : FR_EXIT_FAILED;
}

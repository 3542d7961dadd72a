/* cmd_bench.c - `ferrule bench`: measure and verify collectives. */
#include "tools/command.h"

#include <stdlib.h>
#include <string.h>

#include "tools/bench.h"
#include "tools/bench_plot.h"
#include "tools/launch.h"
#include "tools/options.h"

#define FIELD(name) offsetof(struct fr_bench_options, name)
#define MAX_BYTES   1099511627776.0 /* 1T */

static const struct fr_option options[] = {
	{'b', "minbytes", "SIZE", FR_OPTION_SIZE, FIELD(min_bytes), 0, MAX_BYTES, NULL,
         "smallest size (default 8)"},
	{'e', "maxbytes", "SIZE", FR_OPTION_SIZE, FIELD(max_bytes), 0, MAX_BYTES, NULL,
         "largest size (default 64M)"},
	{'i', "stepbytes", "SIZE", FR_OPTION_SIZE, FIELD(step_bytes), 1, MAX_BYTES, NULL,
         "add this much from size to size"},
	{'f', "stepfactor", "N", FR_OPTION_INT, FIELD(step_factor), 2, 1 << 20, NULL,
         "multiply from size to size, without -i (default 2)"},
	{'n', "iters", "N", FR_OPTION_INT, FIELD(iterations), 1, 1e9, NULL,
         "timed calls a size, at least (default 20)"},
	{'w', "warmup_iters", "N", FR_OPTION_INT, FIELD(warmup), 0, 1e9, NULL,
         "calls before that, not timed (default 5)"},
	{'c', "check", "N", FR_OPTION_INT, FIELD(checks), 0, 1e6, NULL,
         "verify that many results of every size, each with\nother data; 0: do not (default 1)"},
	{'a', "average", "N", FR_OPTION_INT, FIELD(average), 0, 3, NULL,
         "the time of a batch is that of 0: rank 0, 1: the mean,\n"
         "2: the fastest, 3: the slowest rank (default 3)"},
	{'d', "datatype", "TYPE", FR_OPTION_WORD, FIELD(type), 0, 0, FR_TYPE_NAMES,
         "int8, uint8, int16, uint16, int32, uint32, int64,\n"
         "uint64, half, bfloat16, float, double, f8e4m3, f8e5m2\n"
         "or all (default float)"},
	{'o', "op", "OP", FR_OPTION_WORD, FIELD(op), 0, 0, FR_REDOP_NAMES,
         "sum, prod, min, max, avg or all (default sum)"},
	{'r', "root", "RANK", FR_OPTION_INT, FIELD(root), 0, FR_LAUNCH_MAX_RANKS - 1, NULL,
         "root of broadcast, reduce, gather, scatter (default 0)"},
	{'N', "ranks", "N", FR_OPTION_INT, FIELD(own_ranks), 1, FR_LAUNCH_MAX_RANKS, NULL,
         "start N ranks on this host, as 'ferrule run -n N'"},
	{0, "mem", "malloc|ferrule", FR_OPTION_WORD, FIELD(memory), 0, 0, "malloc|ferrule",
         "buffers from malloc or ferrule_mem_alloc\n(default malloc)"},
	{0, "transport", "LIST", FR_OPTION_TEXT, FIELD(transport), 0, 0, NULL,
         "transports that may be used, best first: shm, verbs, tcp, ucx"},
	{0, "rewrite", NULL, FR_OPTION_FLAG, FIELD(rewrite), 0, 0, NULL,
         "write the send buffer anew before every timed call;\n"
         "then each call is timed by itself"},
	{0, "plot", "FILE", FR_OPTION_TEXT, FIELD(plot), 0, 0, NULL,
         "draw bus bandwidth (of one rank: algbw) against size to\n"
         "FILE.svg or FILE.png"},
	{0, "json", NULL, FR_OPTION_FLAG, FIELD(json), 0, 0, NULL,
         "one JSON object a line and size instead of the table"},
	{0, NULL, NULL, FR_OPTION_FLAG, 0, 0, 0, NULL, NULL},
};

static const struct fr_usage usage = {
	.command = "ferrule bench",
	.synopsis = "[OPTIONS] COLLECTIVE",
	.summary = "Measures and verifies a collective over a range of sizes: allreduce,\n"
		   "allgather, reduce_scatter, broadcast, reduce, alltoall, gather, scatter,\n"
		   "sendrecv, barrier, or all of them.  Runs under 'ferrule run', mpirun, srun or\n"
		   "torchrun; with -N it starts its own ranks; else it is one rank alone.",
	.notes =
		"SIZE is bytes, or with K, M, G or T for powers of 1024; it counts the larger\n"
		"buffer of a rank, rounded down to whole elements a block, but not to none.\n"
		"\n"
		"time   microseconds a call.  Calls are timed in batches of at least 100 us, 10\n"
		"       to 1000 of them (or -n, if less), each after a barrier; a batch counts as\n"
		"       on the slowest rank (see -a); the median over the batches is shown.\n"
		"       Buffers are not rewritten between calls, as in nccl-tests, unless\n"
		"       --rewrite is given.\n"
		"algbw  size / time.  busbw  algbw times 2(n-1)/n for allreduce, (n-1)/n for\n"
		"       allgather, reduce_scatter, alltoall, gather, scatter, 1 for the others;\n"
		"       0 for one rank, of which nothing crosses a bus.  Both are in GB/s, 10^9\n"
		"       bytes a second: in JSON algbw_GBps and busbw_GBps (and, for this release\n"
		"       only, the same numbers once more as algbw_gbps and busbw_gbps).\n"
		"#wrong elements that differ from the exact result, over all ranks and checks.\n"
		"\n"
		"Exit status: 0 all right, 1 wrong results or an error, 2 wrong command line.\n"
		"\n"
		"  ferrule bench -N 2 allreduce\n"
		"  ferrule run -n 4 ferrule bench -b 1K -e 16M -f 4 -d bfloat16 allgather\n"
		"  mpirun -n 4 ferrule bench --json all",
	.options = options,
	.min_operands = 1,
	.max_operands = 1,
	.operands = "one COLLECTIVE (" FR_COLL_NAMES "|all)",
};

static bool is_collective(const char *name)
{
	return strcmp(name, "all") == 0 || fr_coll_find(name);
}

/* What the option table cannot say; 0 or the exit status. */
static int check_options(const struct fr_bench_options *o)
{
	char why[256];

	if (!is_collective(o->collective))
		return fr_usage_error(&usage, "COLLECTIVE: '%s' is not allowed; allowed: %s",
		                      o->collective, FR_COLL_NAMES "|all");
	if (o->min_bytes > o->max_bytes)
		return fr_usage_error(
			&usage, "option -b, --minbytes: %llu is more than --maxbytes, %llu",
			(unsigned long long)o->min_bytes, (unsigned long long)o->max_bytes);
	if (o->own_ranks && fr_launch_is_rank(why, sizeof(why)))
		return fr_usage_error(&usage,
		                      "option -N, --ranks: this process already is %s; leave "
		                      "-N away",
		                      why);
	if (o->own_ranks && o->root >= o->own_ranks)
		return fr_usage_error(&usage,
		                      "option -r, --root: %lld is not allowed; allowed: a rank, 0 "
		                      "to %lld",
		                      (long long)o->root, (long long)o->own_ranks - 1);
	if (o->rewrite && o->iterations > FR_BENCH_MAX_REWRITES)
		return fr_usage_error(&usage,
		                      "option -n, --iters: %lld is not allowed; allowed with "
		                      "--rewrite: 1 to %d",
		                      (long long)o->iterations, FR_BENCH_MAX_REWRITES);
	if (o->plot && strcmp(o->collective, "barrier") == 0)
		return fr_usage_error(&usage, "option --plot: barrier has no sizes to draw");
	if (o->plot && !fr_plot_check(o->plot, why, sizeof(why)))
		return fr_usage_error(&usage, "option --plot: %s", why);
	return FR_EXIT_OK;
}

static int run_entry(void *options_)
{
	return fr_bench_run(options_);
}

int fr_cmd_bench(int argc, char **argv)
{
	struct fr_bench_options o = {
		.min_bytes = 8,
		.max_bytes = 64 << 20,
		.step_factor = 2,
		.iterations = 20,
		.warmup = 5,
		.checks = 1,
		.average = FR_AVERAGE_MAX,
		.type = "float",
		.op = "sum",
		.memory = "malloc",
	};
	int first;

	const enum fr_parsed parsed = fr_options_parse(&usage, argc, argv, &o, &first);
	if (parsed != FR_PARSED_RUN)
		return parsed == FR_PARSED_HELP ? FR_EXIT_OK : FR_EXIT_USAGE;
	o.collective = argv[first];
	const int status = check_options(&o);
	if (status != FR_EXIT_OK)
		return status;
	if (!o.own_ranks)
		return fr_bench_run(&o);
	const struct fr_launch job = {
		.command = usage.command,
		.n_ranks = (int)o.own_ranks,
		.grace_s = 3,
		.entry = run_entry,
		.arg = &o,
	};
	return fr_launch_run(&job);
}

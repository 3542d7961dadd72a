/* cmd_bw.c - `ferrule bw`: bandwidth between two processes, in perftest's manner. */
#include "tools/command.h"

#include "tools/perf_tool.h"

static const struct fr_usage usage = {
	.command = "ferrule bw",
	.synopsis = "[OPTIONS] [HOST]",
	.summary =
		"Measures bandwidth from a client to a server, as ib_write_bw, ib_read_bw and\n"
		"ib_send_bw do.  Without HOST it is the server; give both sides the same options.",
	.notes =
		"SIZE is bytes, or with K, M or G for powers of 1024.\n"
		"\n"
		"Exit status: 0 all right, 1 a command line that makes no sense or is not that of\n"
		"the other side, 2 no device, no peer or a fault on the way, 3 wrong data.\n"
		"\n"
		"  ferrule bw -d mlx5_0                    on one machine, and\n"
		"  ferrule bw -d mlx5_0 192.168.7.1        on the other\n"
		"  ferrule bw -a --op read 192.168.7.1\n"
		"  ferrule bw --local --transport shm -a --plot shm.svg",
	.options = fr_perf_bw_options,
	.min_operands = 0,
	.max_operands = 1,
	.operands = "at most one HOST",
};

int fr_cmd_bw(int argc, char **argv)
{
	return fr_perf_command(&usage, FERRULE_PERF_BW, argc, argv);
}

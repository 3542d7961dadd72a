/* cmd_lat.c - `ferrule lat`: latency between two processes, in perftest's manner. */
#include "tools/command.h"

#include "tools/perf_tool.h"

int fr_cmd_lat(int argc, char **argv)
{
	const struct fr_usage usage = {
		.command = "ferrule lat",
		.synopsis = "[OPTIONS] [HOST]",
		.summary = "Measures latency between a client and a server, as ib_write_lat, "
			   "ib_read_lat\nand ib_send_lat do.  Without HOST it is the server; give "
			   "both sides the same\noptions.",
		.notes = "SIZE is bytes, or with K, M or G for powers of 1024.\n"
			 "\n"
			 "A time is half of a message there and one back; of a read, the whole "
			 "trip.\nEvery timed trip counts, the slowest too; via contract up to 100 "
			 "trips that are\nnot timed come first.  --local binds each side to a core "
			 "of its own, see --bind.\n"
			 "\n"
			 "Exit status: 0 all right, 1 a command line that makes no sense or is not "
			 "that of\nthe other side, 2 no device, no peer or a fault on the way, 3 "
			 "wrong data.\n"
			 "\n"
			 "  ferrule lat -d mlx5_0                   on one machine, and\n"
			 "  ferrule lat -d mlx5_0 192.168.7.1       on the other\n"
			 "  ferrule lat -a --op send 192.168.7.1\n"
			 "  ferrule lat --local --transport tcp -s 8 --json",
		.options = fr_perf_lat_options,
		.min_operands = 0,
		.max_operands = 1,
		.operands = "at most one HOST",
	};

	return fr_perf_command(&usage, FERRULE_PERF_LAT, argc, argv);
}

/*
 * perf_tool.h - `ferrule bw` and `ferrule lat`: what their files share.
 *
 *   cmd_bw.c, cmd_lat.c   usage
 *   perf_options.c        the flags, most of them perftest's, and what they mean to the library
 *   perf_cores.c          which cores two sides on one host run on
 *   perf_run.c            one side, or both (--local): size by size
 *   perf_report.c         banner, table and JSON
 */
#ifndef FR_PERF_TOOL_H
#define FR_PERF_TOOL_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <ferrule/perf.h>

#include "tools/options.h"

/* Exit statuses of these two commands; they say more than those of the others. */
enum fr_perf_exit {
	FR_PERF_EXIT_OK = 0,
	FR_PERF_EXIT_USAGE = 1, /* the command line makes no sense, here or for the other side */
	FR_PERF_EXIT_FAULT = 2, /* no device, no peer, a fault on the way */
	FR_PERF_EXIT_WRONG = 3, /* other bytes arrived than were sent */
};

/* The command line; -1 and NULL: not given. */
struct fr_perf_options {
	const char *op, *via, *transport;
	const char *device, *port, *key_file;
	int64_t ib_port, gid_index, mtu;
	uint64_t bytes; /* 0: not given */
	bool all_sizes;
	int64_t iterations;
	double duration_s, margin_s;
	int64_t tx_depth, rx_depth, n_qps, post_list, cq_moderation, inline_bytes;
	bool is_bidirectional, use_events, use_rdma_cm, cpu_freq;
	int64_t service_level, traffic_class, qp_timeout, retry_count;
	bool validate;
	int64_t gpu;
	double timeout_s;
	bool is_local;
	const char *bind; /* "core", "none", or NULL: core where there are two */
	bool report_gbits, json;
	const char *json_file, *plot;
	const char *host; /* the operand */
};

/* The options of `ferrule bw`, and those of them that `ferrule lat` has too. */
extern const struct fr_option fr_perf_bw_options[];
extern const struct fr_option *const fr_perf_lat_options;

/* fr_perf_command - all of a command but its usage; returns the exit status. */
int fr_perf_command(const struct fr_usage *usage, ferrule_perf_test_t test, int argc, char **argv);
/* fr_perf_options_apply - the parameters that the options ask for; 0, or the exit status of a usage
 * error that has been printed. */
int fr_perf_options_apply(const struct fr_usage *usage, const struct fr_perf_options *o,
                          ferrule_perf_test_t test, struct ferrule_perf_params *out);

/* ---- perf_run.c ---- */

/* fr_perf_run - measures and reports; the exit status. */
int fr_perf_run(const struct fr_usage *usage, const struct fr_perf_options *o,
                const struct ferrule_perf_params *params);

/* ---- perf_cores.c ---- */

/* Where the two sides run when both are on this host; fewer than two: not bound. */
struct fr_perf_cores {
	int n;
	int cpu[2]; /* by name, the first hardware thread of each: of this side, of the other one */
	cpu_set_t set[2];
};

/* fr_perf_cores_choose - a core for each side, as `bind` wants it; false, with the reason, when
 * `bind` is "core" and there are not two. */
bool fr_perf_cores_choose(struct fr_perf_cores *c, const char *bind, char *why, size_t n);
/* fr_perf_cores_bind - this process to the core of side 0 or 1, if to any. */
void fr_perf_cores_bind(const struct fr_perf_cores *c, int side);

/* ---- perf_report.c ---- */

struct fr_perf_report;

/* fr_perf_report_create - NULL without memory. */
struct fr_perf_report *fr_perf_report_create(const struct fr_perf_options *o,
                                             const struct ferrule_perf_params *p);
void fr_perf_report_destroy(struct fr_perf_report *r);
/* fr_perf_report_cores - both sides are on this host; before all else that is reported. */
void fr_perf_report_cores(struct fr_perf_report *r, const struct fr_perf_cores *cores);
/* fr_perf_report_waiting, _setup, _row - as the test goes on.  The table is printed at once, JSON
 * when all has gone well. */
void fr_perf_report_waiting(struct fr_perf_report *r);
void fr_perf_report_setup(struct fr_perf_report *r, const struct ferrule_perf_setup *setup);
void fr_perf_report_row(struct fr_perf_report *r, const struct ferrule_perf_result *result);
/* fr_perf_report_finish - false with the reason when a file cannot be written. */
bool fr_perf_report_finish(struct fr_perf_report *r, char *why, size_t n);

#endif

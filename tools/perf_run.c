#include "tools/perf_tool.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ferrule/comm.h>

#include "tools/bench_plot.h"

/* How long the other side of --local may take to end once this one has. */
#define CHILD_TICKS     300
#define TICK_US         10000
#define SMALLEST_OF_ALL 2

/* One side of a test. */
struct side {
	const struct fr_usage *usage;
	const struct fr_perf_options *options;
	const struct ferrule_perf_params *params;
	struct fr_perf_report *report; /* NULL: say nothing */
	struct fr_plot *plot;
	uint64_t n_wrong;
};

/* ---- one side ---- */

static bool draw(struct side *s, const struct ferrule_perf_result *r)
{
	const double bytes = (double)r->bytes;

	if (!s->plot)
		return true;
	if (s->params->test == FERRULE_PERF_BW)
		return fr_plot_add(s->plot, s->options->op, false, bytes, r->bw_average / 1e9);
	return fr_plot_add(s->plot, "median", false, bytes, r->t_typical) &&
	       fr_plot_add(s->plot, "99 %", false, bytes, r->t_99) &&
	       fr_plot_add(s->plot, "99.9 %", false, bytes, r->t_999);
}

static ferrule_status_t measure_sizes(struct side *s, ferrule_perf_t perf)
{
	struct ferrule_perf_setup setup = {.size = sizeof(setup)};
	const uint64_t most = s->params->max_bytes;
	ferrule_status_t status = ferrule_perf_describe(perf, &setup);

	if (s->report && status == FERRULE_OK)
		fr_perf_report_setup(s->report, &setup);
	uint64_t bytes = s->options->all_sizes ? SMALLEST_OF_ALL : most;
	for (; status == FERRULE_OK && bytes <= most; bytes *= 2) {
		struct ferrule_perf_result result = {.size = sizeof(result)};
		status = ferrule_perf_measure(perf, bytes, &result);
		if (status != FERRULE_OK)
			break;
		s->n_wrong += result.n_wrong;
		if (s->report)
			fr_perf_report_row(s->report, &result);
		if (!draw(s, &result))
			status = FERRULE_ERR_NO_MEMORY;
	}
	return status;
}

/* A silent side tells the other one why it fails, and that one prints it. */
static int fail(const struct side *s, ferrule_status_t status)
{
	const char *text = ferrule_comm_error_text(NULL);

	if (s->report)
		fprintf(stderr, "%s: %s\n", s->usage->command,
		        text[0] ? text : ferrule_status_text(status));
	const bool is_usage = status == FERRULE_ERR_ARGUMENT || status == FERRULE_ERR_MISMATCH;
	return is_usage ? FR_PERF_EXIT_USAGE : FR_PERF_EXIT_FAULT;
}

static int run_side(struct side *s)
{
	ferrule_perf_t perf;
	ferrule_status_t status;

	if (s->report && s->params->control_fd < 0 && !s->params->host)
		fr_perf_report_waiting(s->report);
	status = ferrule_perf_open(s->params, &perf);
	if (status != FERRULE_OK)
		return fail(s, status);
	status = measure_sizes(s, perf);
	const int exit_status = status == FERRULE_OK ? FR_PERF_EXIT_OK : fail(s, status);
	ferrule_perf_close(perf);
	if (exit_status != FR_PERF_EXIT_OK || s->n_wrong == 0)
		return exit_status;
	if (s->report)
		fprintf(stderr, "%s: %llu bytes are not what was sent\n", s->usage->command,
		        (unsigned long long)s->n_wrong);
	return FR_PERF_EXIT_WRONG;
}

/* ---- both sides ---- */

/* The server of --local.  Says nothing and does not outlive its parent. */
static int run_child(const struct side *parent, int fd, pid_t parent_pid)
{
	struct ferrule_perf_params params = *parent->params;
	struct side s = {.usage = parent->usage, .options = parent->options, .params = &params};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent_pid)
		return FR_PERF_EXIT_FAULT;
	params.control_fd = fd;
	params.is_server = true;
	return run_side(&s);
}

/* It ends by itself as soon as the connection is closed, unless it hangs. */
static void await_child(pid_t pid)
{
	for (int i = 0; i < CHILD_TICKS; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		usleep(TICK_US);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int run_both(struct side *s)
{
	struct ferrule_perf_params params = *s->params;
	const pid_t me = getpid();
	struct fr_perf_cores cores;
	char why[160];
	int fds[2];

	if (!fr_perf_cores_choose(&cores, s->options->bind, why, sizeof(why))) {
		fr_usage_error(s->usage, "%s", why);
		return FR_PERF_EXIT_USAGE;
	}
	fr_perf_report_cores(s->report, &cores);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
		perror(s->usage->command);
		return FR_PERF_EXIT_FAULT;
	}
	fflush(NULL);
	const pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		fr_perf_cores_bind(&cores, 1);
		_exit(run_child(s, fds[1], me));
	}
	close(fds[1]);
	if (pid < 0) {
		perror(s->usage->command);
		close(fds[0]);
		return FR_PERF_EXIT_FAULT;
	}
	fr_perf_cores_bind(&cores, 0);
	params.control_fd = fds[0];
	s->params = &params;
	const int status = run_side(s);
	await_child(pid);
	return status;
}

/* ---- the command ---- */

static bool write_plot(struct side *s)
{
	const bool is_bw = s->params->test == FERRULE_PERF_BW;
	char title[128], why[256];

	fr_plot_set_axis(s->plot, is_bw ? "bandwidth (GB/s)" : "latency (us)");
	snprintf(title, sizeof(title), "ferrule %s, %s, %s", is_bw ? "bw" : "lat", s->options->op,
	         s->params->transport ? s->params->transport
	         : s->options->device ? s->options->device
	                              : "verbs");
	if (fr_plot_write(s->plot, title, s->options->plot, why, sizeof(why)))
		return true;
	fprintf(stderr, "%s: option --plot: %s\n", s->usage->command, why);
	return false;
}

int fr_perf_run(const struct fr_usage *usage, const struct fr_perf_options *o,
                const struct ferrule_perf_params *params)
{
	struct side s = {.usage = usage, .options = o, .params = params};
	char why[256];
	int status = FR_PERF_EXIT_FAULT;

	s.report = fr_perf_report_create(o, params);
	s.plot = o->plot ? fr_plot_create() : NULL;
	if (!s.report || (o->plot && !s.plot))
		fprintf(stderr, "%s: out of memory\n", usage->command);
	else
		status = o->is_local ? run_both(&s) : run_side(&s);
	s.params = params;
	const bool has_figures = status == FR_PERF_EXIT_OK || status == FR_PERF_EXIT_WRONG;
	if (has_figures && !fr_perf_report_finish(s.report, why, sizeof(why))) {
		fprintf(stderr, "%s: %s\n", usage->command, why);
		status = FR_PERF_EXIT_FAULT;
	}
	if (has_figures && s.plot && !write_plot(&s))
		status = FR_PERF_EXIT_FAULT;
	fr_plot_destroy(s.plot);
	fr_perf_report_destroy(s.report);
	return status;
}

#include "tools/perf_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/bench_plot.h"

#define FIELD(name) offsetof(struct fr_perf_options, name)
#define MAX_BYTES   2147483648.0 /* 2G */
#define ALL_BYTES   (UINT64_C(1) << 23)

/* How many options, at the front, only `ferrule bw` has. */
#define N_BW_ONLY 6

const struct fr_option fr_perf_bw_options[] = {
	{'b', "bidirectional", NULL, FR_OPTION_FLAG, FIELD(is_bidirectional), 0, 0, NULL,
         "both sides send; the sum is reported"},
	{'t', "tx-depth", "N", FR_OPTION_INT, FIELD(tx_depth), 1, 16384, NULL,
         "messages under way a queue pair (default 128)"},
	{'q', "qp", "N", FR_OPTION_INT, FIELD(n_qps), 1, 256, NULL, "queue pairs (default 1)"},
	{'l', "post_list", "N", FR_OPTION_INT, FIELD(post_list), 1, 16384, NULL,
         "messages a call of ibv_post_send (default 1)"},
	{'Q', "cq-mod", "N", FR_OPTION_INT, FIELD(cq_moderation), 1, 16384, NULL,
         "messages a completion (default 100, above 8K 1)"},
	{0, "report_gbits", NULL, FR_OPTION_FLAG, FIELD(report_gbits), 0, 0, NULL,
         "Gb/sec (10^9 bits) instead of MiB/sec"},

	{0, "op", "OP", FR_OPTION_WORD, FIELD(op), 0, 0, "write|write_imm|read|send",
         "write, write_imm, read or send (default write)"},
	{0, "transport", "NAME", FR_OPTION_TEXT, FIELD(transport), 0, 0, NULL,
         "verbs, ucx, tcp or shm (default verbs)"},
	{0, "via", "verbs|contract", FR_OPTION_WORD, FIELD(via), 0, 0, "verbs|contract",
         "verbs: queue pairs of a device, as perftest;\n"
         "contract: what Ferrule's collectives use, on any\n"
         "transport (default verbs for verbs, else contract)"},
	{0, "local", NULL, FR_OPTION_FLAG, FIELD(is_local), 0, 0, NULL,
         "start the other side too, on this machine"},
	{0, "bind", "core|none", FR_OPTION_WORD, FIELD(bind), 0, 0, "core|none",
         "with --local: each side to a core of its own (default:\n"
         "core where two may be used, else none)"},
	{'p', "port", "PORT", FR_OPTION_TEXT, FIELD(port), 0, 0, NULL,
         "TCP port or service by which the two sides meet\n(default 18515)"},
	{0, "key-file", "FILE", FR_OPTION_TEXT, FIELD(key_file), 0, 0, NULL,
         "a key that both sides prove: 64 hexadecimal digits in a\n"
         "file that only its owner may read (default\n"
         "FERRULE_JOB_KEY; without either, on one host, one is made)"},
	{'d', "ib-dev", "NAME", FR_OPTION_TEXT, FIELD(device), 0, 0, NULL,
         "RDMA device (default the first that can be used)"},
	{'i', "ib-port", "N", FR_OPTION_INT, FIELD(ib_port), 1, 255, NULL,
         "port of it (default the first that can be used)"},
	{'x', "gid-index", "N", FR_OPTION_INT, FIELD(gid_index), 0, 255, NULL,
         "GID table entry (default the best pair)"},
	{'m', "mtu", "BYTES", FR_OPTION_INT, FIELD(mtu), 256, 4096, NULL,
         "256, 512, 1024, 2048 or 4096 (default the active one)"},
	{'s', "size", "SIZE", FR_OPTION_SIZE, FIELD(bytes), 1, MAX_BYTES, NULL,
         "message size (default 65536 for bw, 2 for lat)"},
	{'a', "all", NULL, FR_OPTION_FLAG, FIELD(all_sizes), 0, 0, NULL,
         "all sizes from 2 to 2^23, by powers of two"},
	{'n', "iters", "N", FR_OPTION_INT, FIELD(iterations), 1, 1e8, NULL,
         "messages a queue pair (default 1000; bw of write 5000)"},
	{'D', "duration", "SECONDS", FR_OPTION_REAL, FIELD(duration_s), 0.01, 86400, NULL,
         "measure for so long instead"},
	{'f', "margin", "SECONDS", FR_OPTION_REAL, FIELD(margin_s), 0, 43200, NULL,
         "of it, not counted at either end\n(default 2, at most a quarter)"},
	{'r', "rx-depth", "N", FR_OPTION_INT, FIELD(rx_depth), 1, 16384, NULL,
         "receives posted a queue pair (default 512)"},
	{'I', "inline_size", "BYTES", FR_OPTION_INT, FIELD(inline_bytes), 0, 4096, NULL,
         "largest message inside the request\n(default bw 0; lat 220, send 236; or less)"},
	{'e', "events", NULL, FR_OPTION_FLAG, FIELD(use_events), 0, 0, NULL,
         "sleep until a completion comes"},
	{'R', "rdma_cm", NULL, FR_OPTION_FLAG, FIELD(use_rdma_cm), 0, 0, NULL,
         "connect queue pairs by librdmacm"},
	{'S', "sl", "N", FR_OPTION_INT, FIELD(service_level), 0, 15, NULL,
         "service level (default FERRULE_IB_SL)"},
	{0, "tclass", "N", FR_OPTION_INT, FIELD(traffic_class), 0, 255, NULL,
         "RoCE traffic class (default FERRULE_IB_TC)"},
	{'u', "qp-timeout", "N", FR_OPTION_INT, FIELD(qp_timeout), 0, 31, NULL,
         "4.096 us * 2^N (default FERRULE_IB_TIMEOUT)"},
	{0, "retry_count", "N", FR_OPTION_INT, FIELD(retry_count), 0, 7, NULL,
         "repetitions (default FERRULE_IB_RETRY)"},
	{0, "gpu", "N", FR_OPTION_INT, FIELD(gpu), 0, 1023, NULL, "memory of this CUDA device"},
	{0, "use_cuda", "N", FR_OPTION_INT, FIELD(gpu), 0, 1023, NULL, "the same"},
	{0, "data_validation", NULL, FR_OPTION_FLAG, FIELD(validate), 0, 0, NULL,
         "compare what arrived last with what was sent"},
	{0, "timeout", "SECONDS", FR_OPTION_REAL, FIELD(timeout_s), 0.1, 86400, NULL,
         "longest wait for the other side (default: for it to come\n"
         "3600 as the server, 10 as the client; later 60)"},
	{'F', "CPU-freq", NULL, FR_OPTION_FLAG, FIELD(cpu_freq), 0, 0, NULL,
         "taken and ignored: time is not that of the processor"},
	{0, "json", NULL, FR_OPTION_FLAG, FIELD(json), 0, 0, NULL,
         "one JSON object with perftest's keys instead of the\ntable"},
	{0, "out_json", NULL, FR_OPTION_FLAG, FIELD(json), 0, 0, NULL, "the same"},
	{0, "out_json_file", "FILE", FR_OPTION_TEXT, FIELD(json_file), 0, 0, NULL,
         "write it to FILE, beside the table"},
	{0, "plot", "FILE", FR_OPTION_TEXT, FIELD(plot), 0, 0, NULL,
         "draw the figures against size to FILE.svg or FILE.png"},
	{0, NULL, NULL, FR_OPTION_FLAG, 0, 0, 0, NULL, NULL},
};
const struct fr_option *const fr_perf_lat_options = fr_perf_bw_options + N_BW_ONLY;

static const char *const op_names[] = {"write", "write_imm", "read", "send"};

static ferrule_perf_op_t op_of(const char *name)
{
	int op = FERRULE_PERF_SEND;

	while (op > FERRULE_PERF_WRITE && strcmp(op_names[op], name) != 0)
		op--;
	return (ferrule_perf_op_t)op;
}

/* Takes an option's value where it was given. */
static void take(int64_t value, int *field)
{
	if (value >= 0)
		*field = (int)value;
}

static void take_numbers(const struct fr_perf_options *o, struct ferrule_perf_params *p)
{
	take(o->ib_port, &p->device_port);
	take(o->gid_index, &p->gid_index);
	take(o->mtu, &p->mtu);
	take(o->n_qps, &p->n_qps);
	take(o->tx_depth, &p->tx_depth);
	take(o->rx_depth, &p->rx_depth);
	take(o->post_list, &p->post_list);
	take(o->cq_moderation, &p->cq_moderation);
	take(o->inline_bytes, &p->inline_bytes);
	take(o->service_level, &p->service_level);
	take(o->traffic_class, &p->traffic_class);
	take(o->qp_timeout, &p->qp_timeout);
	take(o->retry_count, &p->retry_count);
	take(o->gpu, &p->gpu);
	if (o->iterations > 0)
		p->iterations = (uint64_t)o->iterations;
	if (o->bytes > 0)
		p->max_bytes = o->bytes;
	if (o->all_sizes)
		p->max_bytes = ALL_BYTES;
}

static int usage_error(const struct fr_usage *usage, const char *text)
{
	fr_usage_error(usage, "%s", text);
	return FR_PERF_EXIT_USAGE;
}

/* Options that mean something to a device alone.  A figure must not look as if it had been taken
 * with what nobody heeded. */
struct device_option {
	const char *name;
	size_t offset;     /* of an int64_t, -1 when it was not given */
	bool is_a_setting; /* the transport verbs takes it, by set_settings() */
};

static const struct device_option device_options[] = {
	{"-i, --ib-port", FIELD(ib_port), true},
	{"-x, --gid-index", FIELD(gid_index), true},
	{"-m, --mtu", FIELD(mtu), true},
	{"-I, --inline_size", FIELD(inline_bytes), true},
	{"-S, --sl", FIELD(service_level), true},
	{"--tclass", FIELD(traffic_class), true},
	{"-u, --qp-timeout", FIELD(qp_timeout), true},
	{"--retry_count", FIELD(retry_count), true},
	{"-t, --tx-depth", FIELD(tx_depth), false},
	{"-r, --rx-depth", FIELD(rx_depth), false},
};

/* The first option that was given and would be ignored via contract; NULL: none. */
static const char *ignored_option(const struct fr_perf_options *o, bool is_verbs)
{
	const size_t n = sizeof(device_options) / sizeof(device_options[0]);

	for (size_t i = 0; i < n; i++) {
		const struct device_option *const d = &device_options[i];
		const int64_t value = *(const int64_t *)((const char *)o + d->offset);
		if (value >= 0 && !(is_verbs && d->is_a_setting))
			return d->name;
	}
	if (o->use_rdma_cm)
		return "-R, --rdma_cm";
	return o->device && !is_verbs ? "-d, --ib-dev" : NULL;
}

static bool is_by_contract(const struct fr_perf_options *o, bool is_verbs)
{
	return o->via ? strcmp(o->via, "contract") == 0 : !is_verbs;
}

static int check_device_options(const struct fr_usage *usage, const struct fr_perf_options *o,
                                bool is_verbs)
{
	const char *const name = is_by_contract(o, is_verbs) ? ignored_option(o, is_verbs) : NULL;

	if (!name)
		return FR_PERF_EXIT_OK;
	if (is_verbs)
		fr_usage_error(usage,
		               "option %s: goes with queue pairs; via contract the transport "
		               "chooses, see FERRULE_IB_* in ferrule-settings(7)",
		               name);
	else
		fr_usage_error(usage, "option %s: the transport %s takes no notice of it", name,
		               o->transport);
	return FR_PERF_EXIT_USAGE;
}

/* What the option table and the library cannot say. */
static int check(const struct fr_usage *usage, const struct fr_perf_options *o, bool is_verbs)
{
	char why[256];

	if (o->is_local && o->host)
		return usage_error(usage, "option --local: the other side is started here, so that "
		                          "HOST makes no sense");
	if (o->bind && !o->is_local)
		return usage_error(usage, "option --bind: goes with --local; elsewhere bind each "
		                          "side by taskset or numactl");
	if (o->all_sizes && o->bytes)
		return usage_error(usage, "options -a, --all and -s, --size: give one of them");
	if (o->margin_s >= 0 && o->duration_s <= 0)
		return usage_error(usage, "option -f, --margin: goes with -D, --duration");
	if (o->via && strcmp(o->via, "verbs") == 0 && !is_verbs)
		return usage_error(usage, "option --via verbs: only the transport verbs has queue "
		                          "pairs; the others are measured via contract");
	if (o->plot && !fr_plot_check(o->plot, why, sizeof(why))) {
		fr_usage_error(usage, "option --plot: %s", why);
		return FR_PERF_EXIT_USAGE;
	}
	return check_device_options(usage, o, is_verbs);
}

/* The library takes the key out of the environment again, and takes it from nowhere else. */
static int take_key_file(const struct fr_usage *usage, const char *name)
{
	char text[66] = "";
	const char *why = NULL;
	struct stat st;
	const int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) != 0)
		why = strerror(errno);
	else if (st.st_mode & (S_IRWXG | S_IRWXO))
		why = "others may read it; chmod 600";
	else if (read(fd, text, 65) < 64 || strspn(text, "0123456789abcdefABCDEF") != 64 ||
	         (text[64] != '\0' && text[64] != '\n'))
		why = "not 64 hexadecimal digits, as `openssl rand -hex 32` writes them";
	if (fd >= 0)
		close(fd);
	if (why) {
		fr_usage_error(usage, "option --key-file: %s: %s", name, why);
		return FR_PERF_EXIT_USAGE;
	}
	text[64] = '\0';
	setenv("FERRULE_JOB_KEY", text, 1);
	explicit_bzero(text, sizeof(text));
	return FR_PERF_EXIT_OK;
}

static void set_number(const char *name, int64_t value)
{
	char text[24];

	if (value < 0)
		return;
	snprintf(text, sizeof(text), "%lld", (long long)value);
	setenv(name, text, 1);
}

/* A transport takes these from the library's settings, which nobody has read yet. */
static void set_settings(const struct fr_perf_options *o)
{
	char port[96];

	if (o->device) {
		snprintf(port, sizeof(port), o->ib_port > 0 ? "%s:%lld" : "%s", o->device,
		         (long long)o->ib_port);
		setenv("FERRULE_IB_HCA", port, 1);
	}
	set_number("FERRULE_IB_GID_INDEX", o->gid_index);
	set_number("FERRULE_IB_MTU", o->mtu);
	set_number("FERRULE_IB_SL", o->service_level);
	set_number("FERRULE_IB_TC", o->traffic_class);
	set_number("FERRULE_IB_TIMEOUT", o->qp_timeout);
	set_number("FERRULE_IB_RETRY", o->retry_count);
	set_number("FERRULE_IB_INLINE", o->inline_bytes);
}

int fr_perf_options_apply(const struct fr_usage *usage, const struct fr_perf_options *o,
                          ferrule_perf_test_t test, struct ferrule_perf_params *out)
{
	const bool is_verbs = !o->transport || strcmp(o->transport, "verbs") == 0;
	const int status = check(usage, o, is_verbs);
	struct ferrule_perf_params p;

	if (status != FR_PERF_EXIT_OK)
		return status;
	if (o->key_file) {
		const int key_status = take_key_file(usage, o->key_file);
		if (key_status != FR_PERF_EXIT_OK)
			return key_status;
	}
	ferrule_perf_defaults(&p, sizeof(p), test, op_of(o->op));
	const bool by_contract = is_by_contract(o, is_verbs);
	p.via = by_contract ? FERRULE_PERF_VIA_CONTRACT : FERRULE_PERF_VIA_VERBS;
	p.transport = by_contract ? (is_verbs ? "verbs" : o->transport) : NULL;
	p.host = o->host;
	if (o->port)
		p.port = o->port;
	p.device = o->device;
	take_numbers(o, &p);
	p.duration_s = o->duration_s;
	p.margin_s = o->margin_s;
	if (o->timeout_s > 0)
		p.timeout_s = p.wait_s = o->timeout_s;
	p.is_bidirectional = o->is_bidirectional;
	p.use_events = o->use_events;
	p.use_rdma_cm = o->use_rdma_cm;
	p.validate = o->validate;
	if (by_contract)
		set_settings(o);
	*out = p;
	return FR_PERF_EXIT_OK;
}

int fr_perf_command(const struct fr_usage *usage, ferrule_perf_test_t test, int argc, char **argv)
{
	struct fr_perf_options o = {
		.op = "write",
		.ib_port = -1,
		.gid_index = -1,
		.mtu = -1,
		.iterations = -1,
		.margin_s = -1,
		.tx_depth = -1,
		.rx_depth = -1,
		.n_qps = -1,
		.post_list = -1,
		.cq_moderation = -1,
		.inline_bytes = -1,
		.service_level = -1,
		.traffic_class = -1,
		.qp_timeout = -1,
		.retry_count = -1,
		.gpu = -1,
	};
	struct ferrule_perf_params params;
	int first;

	const enum fr_parsed parsed = fr_options_parse(usage, argc, argv, &o, &first);
	if (parsed != FR_PARSED_RUN)
		return parsed == FR_PARSED_HELP ? FR_PERF_EXIT_OK : FR_PERF_EXIT_USAGE;
	o.host = first < argc ? argv[first] : NULL;
	const int status = fr_perf_options_apply(usage, &o, test, &params);
	return status == FR_PERF_EXIT_OK ? fr_perf_run(usage, &o, &params) : status;
}

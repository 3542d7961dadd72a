/* perf_params.c - what is asked for, whether that makes sense, and whether both sides ask the same.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/parse.h"
#include "lib/base/text.h"
#include "lib/perf/perf_internal.h"
#include "lib/transport/transport.h"

#define HELLO_BYTES     2048
#define MODERATED_BYTES 8192 /* larger messages have a completion each, as in perftest */
#define NEVER           UINT64_MAX

static const char *const test_names[] = {"bw", "lat"};
static const char *const op_names[] = {"write", "write_imm", "read", "send"};
static const char *const via_names[] = {"verbs", "contract"};

void ferrule_perf_defaults(struct ferrule_perf_params *params, size_t size,
                           ferrule_perf_test_t test, ferrule_perf_op_t op)
{
	const bool is_bw = test == FERRULE_PERF_BW;

	const struct ferrule_perf_params defaults = {
		.size = size,
		.test = test,
		.op = op,
		.port = "18515",
		.control_fd = -1,
		.gid_index = -1,
		.max_bytes = is_bw ? 65536 : 2,
		.iterations = is_bw && op == FERRULE_PERF_WRITE ? 5000 : 1000,
		.margin_s = -1,
		.n_qps = 1,
		.tx_depth = 128,
		.rx_depth = 512,
		.post_list = 1,
		.cq_moderation = -1,
		.inline_bytes = -1,
		.service_level = -1,
		.traffic_class = -1,
		.qp_timeout = -1,
		.retry_count = -1,
		.gpu = -1,
		.timeout_s = 60,
	};

	/* A program that was built when there were fewer members has no room for the others. */
	memcpy(params, &defaults, size < sizeof(defaults) ? size : sizeof(defaults));
}

int fr_perf_moderation(const struct ferrule_perf_params *p, uint64_t bytes)
{
	if (p->test == FERRULE_PERF_LAT)
		return 1;
	const int wanted = p->cq_moderation > 0      ? p->cq_moderation
	                   : bytes > MODERATED_BYTES ? 1
	                                             : 100;
	/* Whenever there is no room for another list, a completion must be on its way. */
	const int most = p->tx_depth - p->post_list + 1;
	return wanted < most ? wanted : most;
}

/* ---- checks ---- */

struct bound {
	const char *name;
	int64_t value, low, high;
};

static ferrule_status_t check_bounds(const struct ferrule_perf_params *p)
{
	const struct bound bounds[] = {
		{"test", p->test, 0, FERRULE_PERF_LAT},
		{"op", p->op, 0, FERRULE_PERF_SEND},
		{"via", p->via, 0, FERRULE_PERF_VIA_CONTRACT},
		{"device_port", p->device_port, 0, 255},
		{"gid_index", p->gid_index, -1, 255},
		{"mtu", p->mtu, 0, 4096},
		{"max_bytes", (int64_t)p->max_bytes, 1, INT64_C(1) << 31},
		{"iterations", (int64_t)p->iterations, 1, 100000000},
		{"n_qps", p->n_qps, 1, 256},
		{"tx_depth", p->tx_depth, 1, 16384},
		{"rx_depth", p->rx_depth, 1, 16384},
		{"post_list", p->post_list, 1, p->tx_depth},
		{"cq_moderation", p->cq_moderation, -1, 16384},
		{"inline_bytes", p->inline_bytes, -1, 4096},
		{"service_level", p->service_level, -1, 15},
		{"traffic_class", p->traffic_class, -1, 255},
		{"qp_timeout", p->qp_timeout, -1, 31},
		{"retry_count", p->retry_count, -1, 7},
		{"gpu", p->gpu, -1, 1023},
	};

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		const struct bound *b = &bounds[i];
		if (b->value < b->low || b->value > b->high)
			return fr_error(FERRULE_ERR_ARGUMENT,
			                "%s: %lld is not allowed; allowed: %lld to %lld", b->name,
			                (long long)b->value, (long long)b->low, (long long)b->high);
	}
	const bool is_mtu = p->mtu == 0 || (p->mtu >= 256 && (p->mtu & (p->mtu - 1)) == 0);
	if (!is_mtu)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "mtu: %d is not allowed; allowed: 256, 512, 1024, 2048, 4096",
		                p->mtu);
	if (p->duration_s < 0 || p->duration_s > 86400 ||
	    (p->duration_s > 0 && 2 * p->margin_s >= p->duration_s))
		return fr_error(
			FERRULE_ERR_ARGUMENT,
			"duration of %g s with a margin of %g s at either end: allowed is a "
			"duration of 0 to 86400 s that is longer than both margins",
			p->duration_s, p->margin_s);
	return FERRULE_OK;
}

/* What each operation and each test can be combined with. */
static ferrule_status_t check_combination(const struct ferrule_perf_params *p)
{
	const bool is_lat = p->test == FERRULE_PERF_LAT;
	const char *why = NULL;

	if (p->via == FERRULE_PERF_VIA_CONTRACT && p->op != FERRULE_PERF_WRITE)
		why = "a transport does one thing, put and notify: use the operation write";
	else if (p->via == FERRULE_PERF_VIA_CONTRACT && p->use_events)
		why = "a transport has no events of its own; leave them out";
	else if (p->via == FERRULE_PERF_VIA_CONTRACT && (p->n_qps > 1 || p->post_list > 1))
		why = "through a transport there is one stream; its queue pairs are its settings";
	else if (p->via == FERRULE_PERF_VIA_CONTRACT && p->is_bidirectional)
		why = "through a transport only one direction is measured";
	else if (p->via == FERRULE_PERF_VIA_CONTRACT && p->gpu >= 0)
		why = "through a transport only host memory is measured";
	else if (p->gpu >= 0 && is_lat && p->op == FERRULE_PERF_WRITE)
		why = "the processor cannot poll GPU memory; use write_imm or send";
	else if (p->gpu >= 0 && p->inline_bytes > 0)
		why = "what is inline cannot come from a GPU";
	else if (is_lat && p->use_events && p->op == FERRULE_PERF_WRITE)
		why = "the receiver of a write gets no event; use write_imm or send";
	else if (is_lat && (p->n_qps > 1 || p->post_list > 1 || p->is_bidirectional))
		why = "latency is measured with one message at a time, on one queue pair";
	else if (p->is_bidirectional && p->op == FERRULE_PERF_READ)
		why = "reads are measured in one direction";
	if (why == NULL)
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_ARGUMENT, "%s of %s via %s: %s", test_names[p->test],
	                op_names[p->op], via_names[p->via], why);
}

/* Now, since a server would find out only when its client has come. */
static ferrule_status_t check_names(const struct ferrule_perf_params *p)
{
	char names[128] = "";
	int64_t number;

	/* A service is looked up by its name; what is a number has to be one of a port. */
	if (p->port && p->port[0] && strspn(p->port, "-0123456789") == strlen(p->port) &&
	    !fr_parse_int(p->port, 1, 65535, &number))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "port: %s is not allowed; allowed: 1 to 65535, or a service's name",
		                p->port);
	if (!p->transport || fr_transport_find(p->transport))
		return FERRULE_OK;
	for (const struct fr_transport_ops *const *ops = fr_transports; *ops != NULL; ops++) {
		const size_t used = strlen(names);
		snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
		         (*ops)->name);
	}
	return fr_error(FERRULE_ERR_ARGUMENT, "transport: '%s' is not in this build; allowed: %s",
	                p->transport, names);
}

ferrule_status_t fr_perf_params_check(const struct ferrule_perf_params *p)
{
	if (p->size != sizeof(*p))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "size: %zu is not that of struct ferrule_perf_params, %zu; fill it "
		                "in with ferrule_perf_defaults()",
		                p->size, sizeof(*p));
	ferrule_status_t status = check_bounds(p);
	if (status == FERRULE_OK)
		status = check_combination(p);
	return status == FERRULE_OK ? check_names(p) : status;
}

/* ---- both sides ---- */

/* One line a parameter, so that the other side can be told what differs, whatever it is. */
static size_t write_hello(const struct ferrule_perf_params *p, char *out, size_t bytes)
{
	static const uint16_t one = 1;
	const bool is_verbs = p->via == FERRULE_PERF_VIA_VERBS;
	const int n = fr_format(
		out, bytes,
		"byte order=%s\ntest=%s\nop=%s\nvia=%s\ntransport=%s\nsize=%llu\n"
		"iterations=%llu\nduration=%g\nmargin=%g\nqueue pairs=%d\nbidirectional=%s\n"
		"rdma_cm=%s\nvalidation=%s\nwarm-up trips=%d\n",
		*(const unsigned char *)&one ? "little" : "big", test_names[p->test],
		op_names[p->op], via_names[p->via],
		is_verbs || !p->transport ? "verbs" : p->transport,
		(unsigned long long)p->max_bytes,
		(unsigned long long)(p->duration_s > 0 ? 0 : p->iterations), p->duration_s,
		p->margin_s, p->n_qps, p->is_bidirectional ? "yes" : "no",
		p->use_rdma_cm ? "yes" : "no", p->validate ? "yes" : "no", FR_PERF_WARM_UP);

	return n < 0 || (size_t)n >= bytes ? 0 : (size_t)n;
}

/* The next line of *text, split at its "="; false at the end. */
static bool next_line(char **text, char **name, char **value)
{
	char *line = *text;
	char *const end = strchr(line, '\n');
	char *const equals = strchr(line, '=');

	if (end == NULL || equals == NULL || equals > end)
		return false;
	*end = *equals = '\0';
	*name = line;
	*value = equals + 1;
	*text = end + 1;
	return true;
}

static ferrule_status_t compare(const struct ferrule_perf *perf, char *mine, char *theirs)
{
	char *my_name, *my_value, *name, *value;

	for (;;) {
		const bool has_mine = next_line(&mine, &my_name, &my_value);
		const bool has_theirs = next_line(&theirs, &name, &value);
		if (!has_mine && !has_theirs)
			return FERRULE_OK;
		if (!has_mine || !has_theirs || strcmp(my_name, name) != 0)
			return fr_error(FERRULE_ERR_PROTOCOL,
			                "%s sent parameters that make no sense",
			                perf->control.peer);
		if (strcmp(my_value, value) != 0)
			return fr_error(FERRULE_ERR_MISMATCH,
			                "the two sides want different things: %s is %s here, %s at "
			                "%s; use the same on both",
			                my_name, my_value, value, perf->control.peer);
	}
}

ferrule_status_t fr_perf_params_agree(struct ferrule_perf *perf)
{
	char mine[HELLO_BYTES], theirs[HELLO_BYTES + 1];
	size_t bytes = HELLO_BYTES;
	const size_t length = write_hello(&perf->params, mine, sizeof(mine));

	if (length == 0)
		return fr_error(FERRULE_ERR_ARGUMENT, "transport: the name is too long");
	ferrule_status_t status = fr_perf_control_send(&perf->control, FR_PERF_HELLO, mine, length);
	if (status == FERRULE_OK)
		status = fr_perf_control_receive(&perf->control, FR_PERF_HELLO, theirs, &bytes,
		                                 perf->params.timeout_s);
	if (status != FERRULE_OK)
		return status;
	theirs[bytes] = '\0';
	return compare(perf, mine, theirs);
}

void fr_perf_window_open(const struct ferrule_perf_params *p, uint64_t now_ns,
                         struct fr_perf_window *out)
{
	const uint64_t duration = (uint64_t)(p->duration_s * 1e9);
	const uint64_t most = duration / 4 < 2000000000 ? duration / 4 : 2000000000;
	/* Negative: the default. */
	const uint64_t margin = p->margin_s < 0 ? most : (uint64_t)(p->margin_s * 1e9);

	*out = (struct fr_perf_window){now_ns, NEVER, NEVER};
	if (duration == 0)
		return;
	out->from_ns = now_ns + margin;
	out->to_ns = now_ns + duration - margin;
	out->end_ns = now_ns + duration;
}

void fr_perf_tally_open(const struct ferrule_perf_params *p, uint64_t now_ns,
                        struct fr_perf_tally *out)
{
	*out = (struct fr_perf_tally){.first_ns = now_ns, .last_ns = now_ns};
	fr_perf_window_open(p, now_ns, &out->window);
	out->is_counting = out->window.from_ns <= now_ns;
}

void fr_perf_tally_close(const struct fr_perf_tally *t, struct fr_perf_outcome *out)
{
	const bool has_counted = t->last_ns > t->first_ns;

	out->n_messages = has_counted ? t->n_last - t->n_first : 0;
	out->ns = has_counted ? t->last_ns - t->first_ns : 0;
}

/*
 * Measuring the machine.
 *
 * Design: each constant is one small experiment with the means that calls will use, namely
 * schedules run by the executor, repeated a few times, of which the fastest counts, since a
 * pause of the system makes things slower, never faster.  All ranks do all experiments at the same
 * time and in the same order, those without a partner in one sit it out.  What a rank did not
 * measure is zero; each constant becomes the median of those measured, within bounds around
 * the built-in value, so that one bad moment cannot send every later call down a wrong path.
 */
#include "config.h"

#include "lib/comm/probe.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/comm/establish.h"
#include "lib/exec/exec.h"

#define BUFFER_BYTES (256u << 10)
#define SMALL_BYTES  8u
#define SHORT_BYTES  128u         /* too long for the line that announces a message */
#define MIDDLE_BYTES (8u << 10)   /* staged */
#define LARGE_BYTES  (128u << 10) /* read in place where that can be */
/* How far from the built-in value a measurement is believed. */
#define BELIEVED 10.0

enum measure {
	PUBLISH,
	PUBLISH_BYTE,
	MESSAGE,
	MESSAGE_BYTE,
	DIRECT_BYTE,
	NET_MESSAGE,
	NET_BYTE,
	REDUCE_BYTE,
	COPY_BYTE,
	N_MEASURES
};

struct measures {
	double s[N_MEASURES]; /* seconds, or seconds a byte; 0: not measured here */
};

/* One rank's workplace. */
struct probe {
	struct ferrule_comm *c;
	unsigned char *in, *out;
	int repeats;
	struct measures got;
};

static double seconds_since(uint64_t begin_ns)
{
	return (double)(fr_clock_ns() - begin_ns) / 1e9;
}

static double less(double a, double b)
{
	return a > 0 && a < b ? a : b;
}

/* ---- alone ---- */

static void measure_memory(struct probe *p)
{
	const struct fr_kernel *sum = fr_kernel_get(FERRULE_FLOAT32, FERRULE_SUM);
	double copy = 0, reduce = 0;

	for (int i = 0; i < 3; i++) {
		uint64_t begin = fr_clock_ns();

		fr_copy(p->out, p->in, BUFFER_BYTES, FR_STREAM_NONE);
		copy = less(copy, seconds_since(begin));
		begin = fr_clock_ns();
		sum->reduce[FR_STREAM_NONE](p->out, p->out, p->in, BUFFER_BYTES / sizeof(float));
		reduce = less(reduce, seconds_since(begin));
	}
	p->got.s[COPY_BYTE] = copy / BUFFER_BYTES;
	p->got.s[REDUCE_BYTE] = reduce / BUFFER_BYTES;
}

/* ---- together ---- */

/* Seconds of one run: of the fastest, or, where ranks take turns, of all on average, since
 * then the turns are what is to be measured and the fastest run had none. */
static double typical(const struct probe *p, double best_s, double total_s)
{
	return p->c->oversubscribed ? total_s / p->repeats : best_s;
}

/* Runs a schedule a few times; seconds that one run takes in *seconds_out. */
static ferrule_status_t time_schedule(struct probe *p, struct fr_sched *sched, double *seconds_out)
{
	struct fr_call call = {
		.comm = (uint32_t)p->c->comm_id,
		.root = -1,
		.coll = FR_CALLED_CREATE,
		.type = FERRULE_N_TYPES,
		.op = FR_OP_NONE,
		.algo = 255,
	};
	struct fr_plan *plan = NULL;
	double best = 0, total = 0;
	ferrule_status_t status = fr_sched_finish(sched);

	if (status == FERRULE_OK)
		status = fr_plan_create(p->c->exec, sched, FERRULE_UINT8, FERRULE_MAX, &plan);
	fr_call_seal(&call);
	for (int i = 0; i < p->repeats && status == FERRULE_OK; i++) {
		const uint64_t begin = fr_clock_ns();

		status = fr_exec_run(p->c->exec, plan, p->in, p->out, 1.0, &call);
		const double seconds = seconds_since(begin);

		best = less(best, seconds);
		total += seconds;
	}
	fr_plan_destroy(plan);
	fr_sched_fini(sched);
	*seconds_out = typical(p, best, total);
	return status;
}

/* Every rank publishes, every rank combines all publications. */
static ferrule_status_t time_publication(struct probe *p, size_t bytes, double *seconds_out)
{
	const struct fr_range in = fr_range(FR_SEND, 0, bytes), out = fr_range(FR_RECV, 0, bytes);
	struct fr_sched sched;

	fr_sched_init(&sched, p->c->rank, p->c->n_ranks, FR_ALIAS_NONE, 0);
	fr_sched_publish(&sched, in);
	fr_sched_fold(&sched, out, in);
	return time_schedule(p, &sched, seconds_out);
}

/* A message to and one from `peer` at the same time, as collectives do; nothing without one. */
static ferrule_status_t time_messages(struct probe *p, int peer, size_t bytes, double *seconds_out)
{
	struct fr_sched sched;

	*seconds_out = 0;
	if (peer < 0)
		return FERRULE_OK;
	fr_sched_init(&sched, p->c->rank, p->c->n_ranks, FR_ALIAS_NONE, 0);
	fr_sched_send(&sched, peer, fr_range(FR_SEND, 0, bytes));
	fr_sched_recv(&sched, peer, fr_range(FR_RECV, 0, bytes));
	return time_schedule(p, &sched, seconds_out);
}

static ferrule_status_t measure_board(struct probe *p)
{
	const size_t large = p->c->board_bytes < MIDDLE_BYTES ? p->c->board_bytes : MIDDLE_BYTES;
	const double readings = p->c->n_ranks - 1;
	double small_s, large_s;
	ferrule_status_t status;

	if (p->c->board_bytes == 0)
		return FERRULE_OK;
	status = time_publication(p, SMALL_BYTES, &small_s);
	if (status == FERRULE_OK)
		status = time_publication(p, large, &large_s);
	if (status != FERRULE_OK)
		return status;
	p->got.s[PUBLISH] = small_s;
	p->got.s[PUBLISH_BYTE] = (large_s - small_s) / (double)large / readings;
	return FERRULE_OK;
}

static ferrule_status_t measure_messages(struct probe *p, int peer, enum measure message,
                                         enum measure byte)
{
	double small_s, middle_s;
	ferrule_status_t status = time_messages(p, peer, SHORT_BYTES, &small_s);

	if (status == FERRULE_OK)
		status = time_messages(p, peer, MIDDLE_BYTES, &middle_s);
	if (status != FERRULE_OK || peer < 0)
		return status;
	p->got.s[message] = small_s;
	p->got.s[byte] = (middle_s - small_s) / (double)(MIDDLE_BYTES - SHORT_BYTES);
	return FERRULE_OK;
}

static ferrule_status_t measure_direct(struct probe *p, int peer)
{
	double large_s;
	const ferrule_status_t status = time_messages(p, peer, LARGE_BYTES, &large_s);

	if (status == FERRULE_OK && peer >= 0)
		p->got.s[DIRECT_BYTE] = (large_s - p->got.s[MESSAGE]) / (double)LARGE_BYTES;
	return status;
}

/* Local ranks 0 and 1, 2 and 3, ... of a host are partners; -1 for the odd one out. */
static int partner_here(const struct ferrule_comm *c)
{
	const int wanted = c->local_rank ^ 1;

	for (int r = 0; r < c->n_ranks; r++)
		if (c->host_of[r] == c->host_of[c->rank] && c->places[r].local_rank == wanted)
			return r;
	return -1;
}

/* The first ranks of hosts 0 and 1, 2 and 3, ... are partners. */
static int partner_abroad(const struct ferrule_comm *c)
{
	const int wanted = c->host_of[c->rank] ^ 1;

	if (c->local_rank != 0)
		return -1;
	for (int r = 0; r < c->n_ranks; r++)
		if (c->host_of[r] == wanted)
			return r; /* the first one */
	return -1;
}

static ferrule_status_t measure_all(struct probe *p)
{
	const int here = partner_here(p->c), abroad = partner_abroad(p->c);
	ferrule_status_t status;

	measure_memory(p);
	status = measure_board(p);
	if (status == FERRULE_OK)
		status = measure_messages(p, here, MESSAGE, MESSAGE_BYTE);
	if (status == FERRULE_OK)
		status = measure_direct(p, here);
	if (status == FERRULE_OK)
		status = measure_messages(p, abroad, NET_MESSAGE, NET_BYTE);
	return status;
}

/* ---- what all agree on ---- */

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median of what was measured, near enough to `assumed`; that itself when nothing was. */
static double agree(const struct measures *all, int n, enum measure m, double assumed,
                    double *values)
{
	int n_values = 0;

	for (int r = 0; r < n; r++)
		if (all[r].s[m] != 0)
			values[n_values++] = all[r].s[m];
	if (n_values == 0)
		return assumed;
	qsort(values, (size_t)n_values, sizeof(*values), compare);
	const double median = values[n_values / 2];

	if (median < assumed / BELIEVED)
		return assumed / BELIEVED;
	return median > assumed * BELIEVED ? assumed * BELIEVED : median;
}

/* Ranks that take turns on a core measure the turns; those belong to handoff_s alone. */
static void agree_on_turns(struct fr_machine *m, double publish_s, double share)
{
	const double handoff = publish_s / share;

	m->publish_s = fr_machine_default.publish_s;
	m->publish_byte_s = fr_machine_default.publish_byte_s;
	m->message_s = fr_machine_default.message_s;
	/* Of the byte costs only that of long messages is more than turns. */
	m->message_byte_s = m->direct_byte_s;
	if (handoff > m->handoff_s / BELIEVED && handoff < m->handoff_s * BELIEVED)
		m->handoff_s = handoff;
}

/* Ranks a core, on the fullest host; the same number on every rank. */
static double ranks_a_core(const struct ferrule_comm *c)
{
	int most = 0;

	for (int h = 0; h < c->n_hosts; h++) {
		const int here = fr_places_local_size(c->places, c->n_ranks, h);

		most = here > most ? here : most;
	}
	return c->machine.cores > 0 ? (double)most / c->machine.cores : 1;
}

static void agree_on_machine(struct ferrule_comm *c, const struct measures *all, double *values)
{
	const int n = c->n_ranks;
	struct fr_machine *m = &c->machine;
	const double share = ranks_a_core(c);
	const double publish_s = agree(all, n, PUBLISH, m->publish_s, values);

	m->publish_byte_s = agree(all, n, PUBLISH_BYTE, m->publish_byte_s, values);
	m->message_s = agree(all, n, MESSAGE, m->message_s, values);
	m->message_byte_s = agree(all, n, MESSAGE_BYTE, m->message_byte_s, values);
	m->direct_byte_s = agree(all, n, DIRECT_BYTE, m->direct_byte_s, values);
	m->net_message_s = agree(all, n, NET_MESSAGE, m->net_message_s, values);
	m->net_byte_s = agree(all, n, NET_BYTE, m->net_byte_s, values);
	m->reduce_byte_s = agree(all, n, REDUCE_BYTE, m->reduce_byte_s, values);
	m->copy_byte_s = agree(all, n, COPY_BYTE, m->copy_byte_s, values);
	if (share > 1)
		agree_on_turns(m, publish_s, share);
	else
		m->publish_s = publish_s;
}

static ferrule_status_t share(const struct fr_exchange *exchange, struct probe *p,
                              ferrule_status_t mine)
{
	const size_t n = (size_t)p->c->n_ranks;
	struct measures *all = calloc(n, sizeof(*all));
	double *values = calloc(n, sizeof(*values));
	ferrule_status_t status;

	if (!all || !values)
		mine = fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %zu ranks' measurements", n);
	status = fr_exchange_outcome(exchange, mine, &p->got, sizeof(p->got), all);
	if (status == FERRULE_OK)
		agree_on_machine(p->c, all, values);
	free(all);
	free(values);
	return status;
}

ferrule_status_t fr_probe(const struct fr_exchange *exchange, struct ferrule_comm *c)
{
	struct probe p = {.c = c, .repeats = c->oversubscribed ? 6 : 12};
	unsigned char *buffers = aligned_alloc(4096, 2 * BUFFER_BYTES);
	ferrule_status_t status;
	const char *text;
	const uint64_t begin = fr_clock_ns();

	if (buffers) {
		memset(buffers, 0, 2 * BUFFER_BYTES);
		p.in = buffers;
		p.out = buffers + BUFFER_BYTES;
		status = measure_all(&p);
		/* What went wrong while a plan ran is told by the executor alone. */
		if (fr_exec_fault(c->exec, &text) != FERRULE_OK)
			status = fr_error(status, "%s", text);
	} else {
		status = fr_error(FERRULE_ERR_NO_MEMORY, "no memory to measure with");
	}
	status = share(exchange, &p, status);
	free(buffers);
	fr_log(FR_LOG_DEBUG,
	       "measured in %.2f ms: publish %.0f ns, message %.0f ns + %.3f ns/B, "
	       "direct %.3f ns/B, reduce %.3f ns/B, copy %.3f ns/B, handoff %.0f ns, %d cores",
	       seconds_since(begin) * 1e3, c->machine.publish_s * 1e9, c->machine.message_s * 1e9,
	       c->machine.message_byte_s * 1e9, c->machine.direct_byte_s * 1e9,
	       c->machine.reduce_byte_s * 1e9, c->machine.copy_byte_s * 1e9,
	       c->machine.handoff_s * 1e9, c->machine.cores);
	return status;
}

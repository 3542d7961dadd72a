#include "config.h"

#include <ferrule/perf.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/settings.h"
#include "lib/base/wire.h"
#include "lib/perf/perf_internal.h"

/* Where there are more messages than this, there is no peak (24 bytes each). */
#define MARKS_MAX ((size_t)1 << 22)

/* ---- open and close ---- */

static char *copy_text(const char *text, bool *is_complete)
{
	char *const copy = text ? strdup(text) : NULL;

	*is_complete &= text == NULL || copy != NULL;
	return copy;
}

static bool copy_params(struct ferrule_perf *perf, const struct ferrule_perf_params *params)
{
	struct ferrule_perf_params *p = &perf->params;
	bool is_complete = true;

	*p = *params;
	p->transport = copy_text(params->transport, &is_complete);
	p->host = copy_text(params->host, &is_complete);
	p->port = copy_text(params->port ? params->port : "18515", &is_complete);
	p->device = copy_text(params->device, &is_complete);
	if (p->control_fd < 0)
		p->is_server = p->host == NULL;
	/* One message at a time needs no more, and less memory is touched. */
	if (p->test == FERRULE_PERF_LAT)
		p->tx_depth = 1;
	return is_complete;
}

static void free_params(struct ferrule_perf_params *p)
{
	free((char *)p->transport);
	free((char *)p->host);
	free((char *)p->port);
	free((char *)p->device);
}

/* Memory for what a size leaves behind. */
static ferrule_status_t make_room(struct ferrule_perf *perf)
{
	const struct ferrule_perf_params *p = &perf->params;
	const bool is_bw = p->test == FERRULE_PERF_BW;
	bool is_made = true;

	if (!is_bw) {
		is_made =
			fr_perf_samples_init(&perf->samples, p->duration_s > 0 ? 0 : p->iterations);
	} else if (p->duration_s <= 0) {
		/* Large messages have the most completions; a queue pair's last one comes early. */
		const uint64_t group = (uint64_t)fr_perf_moderation(p, p->max_bytes);
		const uint64_t n = (uint64_t)p->n_qps * (p->iterations / group + 2);
		perf->marks_max = n < MARKS_MAX ? (size_t)n : MARKS_MAX;
		perf->marks = malloc(perf->marks_max * sizeof(*perf->marks));
		is_made = perf->marks != NULL;
		/* Touched here, so that the loop causes no page fault. */
		if (is_made)
			memset(perf->marks, 0, perf->marks_max * sizeof(*perf->marks));
	}
	if (is_made)
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for the times of %llu messages",
	                (unsigned long long)p->iterations);
}

static ferrule_status_t establish(struct ferrule_perf *perf)
{
	ferrule_status_t status = fr_settings_load();

	if (status == FERRULE_OK)
		status = make_room(perf);
	if (status == FERRULE_OK)
		status = fr_perf_control_open(&perf->control, &perf->params);
	if (status == FERRULE_OK)
		status = fr_perf_params_agree(perf);
	if (status == FERRULE_OK)
		status = perf->engine->open(perf);
	return status;
}

/* Tells the other side unless it was the one that told. */
static void tell_fault(struct ferrule_perf *perf, ferrule_status_t status)
{
	char text[512];

	if (status == FERRULE_ERR_ABORTED || status == FERRULE_ERR_PEER_DIED)
		return;
	/* Telling may fail as well, which is not what the caller should read. */
	snprintf(text, sizeof(text), "%s", fr_error_text());
	fr_perf_control_fault(&perf->control, text);
	fr_error(status, "%s", text);
}

ferrule_status_t ferrule_perf_open(const struct ferrule_perf_params *params,
                                   ferrule_perf_t *perf_out)
{
	ferrule_status_t status = fr_perf_params_check(params);

	if (status != FERRULE_OK)
		return status;
	struct ferrule_perf *perf = calloc(1, sizeof(*perf));
	if (perf == NULL || !copy_params(perf, params)) {
		ferrule_perf_close(perf);
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a measurement");
	}
	perf->control.fd = -1;
	perf->owner = getpid();
	perf->is_active = !perf->params.is_server || perf->params.is_bidirectional;
	perf->engine = perf->params.via == FERRULE_PERF_VIA_VERBS ? &fr_perf_verbs_engine
	                                                          : &fr_perf_contract_engine;
	status = establish(perf);
	if (status != FERRULE_OK) {
		tell_fault(perf, status);
		ferrule_perf_close(perf);
		return status;
	}
	*perf_out = perf;
	return FERRULE_OK;
}

void ferrule_perf_close(ferrule_perf_t perf)
{
	if (perf == NULL)
		return;
	/* Sockets, shared memory and hardware are the parent's in a forked child. */
	if (perf->engine != NULL && perf->owner == getpid()) {
		perf->engine->close(perf);
		fr_perf_control_close(&perf->control);
	}
	fr_perf_samples_fini(&perf->samples);
	free(perf->marks);
	free_params(&perf->params);
	free(perf);
}

ferrule_status_t ferrule_perf_describe(ferrule_perf_t perf, struct ferrule_perf_setup *out)
{
	if (out->size != sizeof(*out))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "size: %zu is not that of struct ferrule_perf_setup, %zu",
		                out->size, sizeof(*out));
	*out = perf->setup;
	out->size = sizeof(*out);
	out->tx_depth = perf->params.tx_depth;
	out->rx_depth = perf->params.rx_depth;
	out->cq_moderation = fr_perf_moderation(&perf->params, perf->params.max_bytes);
	return FERRULE_OK;
}

/* ---- one size ---- */

/* Both sides measure the same size, and neither begins before the other one is ready. */
static ferrule_status_t begin(struct ferrule_perf *perf, uint64_t bytes)
{
	struct fr_perf_control *c = &perf->control;
	unsigned char mine[8], theirs[8];

	fr_store_le64(mine, bytes);
	ferrule_status_t status =
		fr_perf_control_exchange(c, FR_PERF_BYTES, mine, theirs, sizeof(mine));
	if (status != FERRULE_OK)
		return status;
	if (fr_load_le64(theirs) != bytes)
		return fr_error(
			FERRULE_ERR_MISMATCH,
			"the two sides want different things: size is %llu here, %llu at %s",
			(unsigned long long)bytes, (unsigned long long)fr_load_le64(theirs),
			c->peer);
	perf->outcome = (struct fr_perf_outcome){0};
	perf->n_marks = 0;
	fr_perf_samples_clear(&perf->samples);
	perf->watch = (struct fr_perf_watch){
		.control = c,
		.ends_with_peer = !perf->is_active,
		.limit_ns = (uint64_t)(perf->params.timeout_s * 1e9),
	};
	c->peer_done = false;
	status = perf->engine->prepare(perf, bytes);
	if (status != FERRULE_OK)
		return status;
	return fr_perf_control_exchange(c, FR_PERF_READY, mine, theirs, sizeof(mine));
}

ferrule_status_t fr_perf_await_done(struct ferrule_perf *perf, uint64_t bytes)
{
	const struct ferrule_perf_params *p = &perf->params;
	const double messages = (double)p->iterations * p->n_qps;
	/* A millisecond and a byte a microsecond: nobody waits for less by hand. */
	const double work_s =
		p->duration_s > 0 ? p->duration_s : messages * (1e-3 + (double)bytes * 1e-6);
	size_t none = 0;

	if (perf->control.peer_done)
		return FERRULE_OK;
	const ferrule_status_t status = fr_perf_control_receive(&perf->control, FR_PERF_DONE, NULL,
	                                                        &none, p->timeout_s + work_s);
	perf->control.peer_done = status == FERRULE_OK;
	return status;
}

/* What the sides tell each other at the end, in this order, as 8 bytes each. */
enum told { TOLD_WRONG, TOLD_MESSAGES, TOLD_REALS };
static const size_t told_reals[] = {
#define REAL(name) offsetof(struct ferrule_perf_result, name)
	REAL(bw_peak), REAL(bw_average), REAL(message_rate), REAL(t_min),
	REAL(t_max),   REAL(t_typical),  REAL(t_avg),        REAL(t_stdev),
	REAL(t_99),    REAL(t_999),      REAL(seconds),
#undef REAL
};
#define N_REALS    (sizeof(told_reals) / sizeof(told_reals[0]))
#define TOLD_BYTES (8 * (TOLD_REALS + N_REALS))

static double *real_at(struct ferrule_perf_result *r, size_t i)
{
	return (double *)((char *)r + told_reals[i]);
}

static void write_told(struct ferrule_perf_result *r, unsigned char *out)
{
	fr_store_le64(out + 8 * TOLD_WRONG, r->n_wrong);
	fr_store_le64(out + 8 * TOLD_MESSAGES, r->iterations);
	for (size_t i = 0; i < N_REALS; i++) {
		uint64_t bits;
		memcpy(&bits, real_at(r, i), sizeof(bits));
		fr_store_le64(out + 8 * (TOLD_REALS + i), bits);
	}
}

static void read_told(const unsigned char *in, struct ferrule_perf_result *r)
{
	r->n_wrong = fr_load_le64(in + 8 * TOLD_WRONG);
	r->iterations = fr_load_le64(in + 8 * TOLD_MESSAGES);
	for (size_t i = 0; i < N_REALS; i++) {
		const uint64_t bits = fr_load_le64(in + 8 * (TOLD_REALS + i));
		memcpy(real_at(r, i), &bits, sizeof(bits));
	}
}

static void fill_bandwidth(struct ferrule_perf *perf, struct ferrule_perf_result *r)
{
	const double seconds = (double)perf->outcome.ns / 1e9;

	r->iterations = perf->outcome.n_messages;
	r->seconds = seconds;
	r->message_rate = seconds > 0 ? (double)r->iterations / seconds : 0;
	r->bw_average = r->message_rate * (double)r->bytes;
	r->bw_peak = fr_perf_peak(perf->marks, perf->n_marks) * (double)r->bytes;
}

static void fill_latency(struct ferrule_perf *perf, struct ferrule_perf_result *r)
{
	/* One way is half of there and back, but for a read, which is one trip there and back. */
	const double us = perf->params.op == FERRULE_PERF_READ ? 1e-3 : 0.5e-3;
	struct fr_perf_latency l;

	fr_perf_latency(&perf->samples, &l);
	r->iterations = l.n;
	r->seconds = (double)perf->outcome.ns / 1e9;
	r->t_min = l.min * us;
	r->t_max = l.max * us;
	r->t_typical = l.median * us;
	r->t_avg = l.average * us;
	r->t_stdev = l.deviation * us;
	r->t_99 = l.p99 * us;
	r->t_999 = l.p999 * us;
}

/* The figures of the side that measured become those of both. */
static ferrule_status_t share(struct ferrule_perf *perf, struct ferrule_perf_result *r)
{
	unsigned char mine[TOLD_BYTES], theirs[TOLD_BYTES];
	struct ferrule_perf_result other = {.size = sizeof(other), .bytes = r->bytes};

	write_told(r, mine);
	const ferrule_status_t status = fr_perf_control_exchange(&perf->control, FR_PERF_RESULT,
	                                                         mine, theirs, sizeof(mine));
	if (status != FERRULE_OK)
		return status;
	read_told(theirs, &other);
	const uint64_t n_wrong = r->n_wrong + other.n_wrong;
	if (!perf->is_active) {
		*r = other;
	} else if (perf->params.is_bidirectional) {
		r->bw_peak += other.bw_peak;
		r->bw_average += other.bw_average;
		r->message_rate += other.message_rate;
	}
	r->n_wrong = n_wrong;
	return FERRULE_OK;
}

static ferrule_status_t measure(struct ferrule_perf *perf, struct ferrule_perf_result *r)
{
	ferrule_status_t status = begin(perf, r->bytes);

	if (status == FERRULE_OK)
		status = perf->engine->run(perf, r->bytes);
	if (status != FERRULE_OK)
		return status;
	if (perf->params.validate)
		r->n_wrong = perf->engine->count_wrong(perf, r->bytes);
	if (perf->is_active && perf->params.test == FERRULE_PERF_BW)
		fill_bandwidth(perf, r);
	else if (perf->is_active)
		fill_latency(perf, r);
	return share(perf, r);
}

ferrule_status_t ferrule_perf_measure(ferrule_perf_t perf, uint64_t bytes,
                                      struct ferrule_perf_result *out)
{
	if (out->size != sizeof(*out))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "size: %zu is not that of struct ferrule_perf_result, %zu",
		                out->size, sizeof(*out));
	if (perf->owner != getpid())
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "perf: belongs to process %d, which opened it; this is process %d, "
		                "forked from it later, and may only close its copy",
		                (int)perf->owner, (int)getpid());
	if (bytes < 1 || bytes > perf->params.max_bytes)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "bytes: %llu is not allowed; allowed: 1 to max_bytes, %llu",
		                (unsigned long long)bytes,
		                (unsigned long long)perf->params.max_bytes);
	struct ferrule_perf_result result = {.size = sizeof(result), .bytes = bytes};
	const ferrule_status_t status = measure(perf, &result);
	if (status != FERRULE_OK) {
		tell_fault(perf, status);
		return status;
	}
	*out = result;
	return FERRULE_OK;
}

/* Checkpoints to and from bytes; the layout is drawn in checkpoint_format.h. */
#include "config.h"

#include "lib/trainer/checkpoint_format.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "lib/base/error.h"
#include "lib/trainer/optimizer_state.h"

static const char magic[8] = {'F', 'E', 'R', 'R', 'U', 'L', 'E', 'C'};

/* Where each field lies. */
enum {
	AT_VERSION = 8,
	AT_CRC = 12,
	AT_BYTES = 16,
	AT_SEED = 24,
	AT_EPOCH = 32,
	AT_BATCH = 40,
	AT_METRICS = 48,
	AT_STEPS = 80,
	AT_N_PARAMS = 88,
	AT_KIND = 96,
	AT_N_SLOTS = 100,
	AT_N_RANKS = 104,
	AT_CONFIG_BYTES = 108,
};

static void put32(unsigned char *p, uint32_t x)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(x >> 8 * i);
}

static void put64(unsigned char *p, uint64_t x)
{
	put32(p, (uint32_t)x);
	put32(p + 4, (uint32_t)(x >> 32));
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const unsigned char *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static unsigned char *put_floats(unsigned char *p, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		put32(p + 4 * i, bits);
	}
	return p + 4 * n;
}

static const unsigned char *get_floats(const unsigned char *p, float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const uint32_t bits = get32(p + 4 * i);

		memcpy(&x[i], &bits, sizeof(bits));
	}
	return p + 4 * n;
}

static uint32_t crc_from(const unsigned char *bytes, size_t n)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, n);
}

size_t fr_checkpoint_bytes(const struct ferrule_checkpoint *c)
{
	const size_t rows = 1 + (size_t)fr_optimizer_n_slots(c->optimizer->options.kind);

	return FR_CHECKPOINT_HEADER_BYTES + strlen(c->config) + rows * c->n_params * sizeof(float);
}

void fr_checkpoint_encode(const struct ferrule_checkpoint *c, int n_ranks, unsigned char *out)
{
	const size_t n = fr_checkpoint_bytes(c), config_bytes = strlen(c->config);
	const struct ferrule_optimizer *o = c->optimizer;
	const int n_slots = fr_optimizer_n_slots(o->options.kind);

	memcpy(out, magic, sizeof(magic));
	put32(out + AT_VERSION, FR_CHECKPOINT_VERSION);
	put64(out + AT_BYTES, n);
	put64(out + AT_SEED, c->seed);
	put64(out + AT_EPOCH, c->epoch);
	put64(out + AT_BATCH, c->batch);
	for (int i = 0; i < FERRULE_CHECKPOINT_METRICS; i++) {
		uint64_t bits;

		memcpy(&bits, &c->metrics[i], sizeof(bits));
		put64(out + AT_METRICS + 8 * i, bits);
	}
	put64(out + AT_STEPS, o->steps);
	put64(out + AT_N_PARAMS, c->n_params);
	put32(out + AT_KIND, (uint32_t)o->options.kind);
	put32(out + AT_N_SLOTS, (uint32_t)n_slots);
	put32(out + AT_N_RANKS, (uint32_t)n_ranks);
	put32(out + AT_CONFIG_BYTES, (uint32_t)config_bytes);

	unsigned char *p = out + FR_CHECKPOINT_HEADER_BYTES;

	memcpy(p, c->config, config_bytes);
	p = put_floats(p + config_bytes, c->params, c->n_params);
	for (int i = 0; i < n_slots; i++)
		p = put_floats(p, o->slots[i], c->n_params);
	put32(out + AT_CRC, crc_from(out + AT_BYTES, n - AT_BYTES));
}

/* Is this a whole, undamaged file of a version we know? */
static ferrule_status_t check_envelope(const unsigned char *bytes, size_t n)
{
	if (n < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) != 0)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "not a checkpoint: it does not begin with \"%.8s\"", magic);
	if (n < FR_CHECKPOINT_HEADER_BYTES)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint is truncated: %zu bytes, its header alone has %d", n,
		                FR_CHECKPOINT_HEADER_BYTES);

	const uint32_t version = get32(bytes + AT_VERSION);
	const uint64_t promised = get64(bytes + AT_BYTES);

	if (version != FR_CHECKPOINT_VERSION)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint has version %u; this program reads version %d", version,
		                FR_CHECKPOINT_VERSION);
	if (promised != n)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint is %s: %zu bytes where its header says %llu",
		                n < promised ? "truncated" : "too long or damaged", n,
		                (unsigned long long)promised);

	const uint32_t crc = crc_from(bytes + AT_BYTES, n - AT_BYTES);

	if (crc != get32(bytes + AT_CRC))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint is damaged: its CRC-32 is %08x, computed %08x",
		                get32(bytes + AT_CRC), crc);
	return FERRULE_OK;
}

/* Do the sizes inside add up?  A file with a right CRC may still be hostile. */
static ferrule_status_t check_sizes(const unsigned char *bytes, size_t n)
{
	const uint64_t n_params = get64(bytes + AT_N_PARAMS);
	const uint32_t kind = get32(bytes + AT_KIND), n_slots = get32(bytes + AT_N_SLOTS);
	const uint32_t config_bytes = get32(bytes + AT_CONFIG_BYTES);
	const uint32_t n_ranks = get32(bytes + AT_N_RANKS);
	const size_t rest = n - FR_CHECKPOINT_HEADER_BYTES;

	if (kind > INT_MAX || fr_optimizer_n_slots((enum ferrule_optimizer_kind)kind) < 0 ||
	    n_slots != (uint32_t)fr_optimizer_n_slots((enum ferrule_optimizer_kind)kind))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint of optimizer kind %u with %u state slots is none of "
		                "ours",
		                kind, n_slots);
	if (n_ranks < 1 || n_ranks > INT_MAX)
		return fr_error(FERRULE_ERR_ARGUMENT, "checkpoint of %u ranks; at least 1",
		                n_ranks);
	if (config_bytes > FERRULE_CHECKPOINT_MAX_CONFIG || config_bytes > rest ||
	    memchr(bytes + FR_CHECKPOINT_HEADER_BYTES, '\0', config_bytes))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint's description of %u bytes is not a text of at most %d",
		                config_bytes, FERRULE_CHECKPOINT_MAX_CONFIG);

	const size_t row = (1 + (size_t)n_slots) * sizeof(float);

	if ((rest - config_bytes) % row != 0 || n_params != (rest - config_bytes) / row)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint promises %llu parameters with %u state slots, but has "
		                "%zu bytes for them",
		                (unsigned long long)n_params, n_slots, rest - config_bytes);
	return FERRULE_OK;
}

ferrule_status_t fr_checkpoint_decode(const unsigned char *bytes, size_t n,
                                      struct fr_checkpoint_view *view_out)
{
	ferrule_status_t status = check_envelope(bytes, n);

	if (!status)
		status = check_sizes(bytes, n);
	if (status)
		return status;

	struct fr_checkpoint_view view = {
		.seed = get64(bytes + AT_SEED),
		.epoch = get64(bytes + AT_EPOCH),
		.batch = get64(bytes + AT_BATCH),
		.optimizer_steps = get64(bytes + AT_STEPS),
		.kind = (enum ferrule_optimizer_kind)get32(bytes + AT_KIND),
		.n_slots = (int)get32(bytes + AT_N_SLOTS),
		.n_ranks = (int)get32(bytes + AT_N_RANKS),
		.n_params = (size_t)get64(bytes + AT_N_PARAMS),
		.config = (const char *)bytes + FR_CHECKPOINT_HEADER_BYTES,
		.config_bytes = get32(bytes + AT_CONFIG_BYTES),
	};

	for (int i = 0; i < FERRULE_CHECKPOINT_METRICS; i++) {
		const uint64_t bits = get64(bytes + AT_METRICS + 8 * i);

		memcpy(&view.metrics[i], &bits, sizeof(bits));
	}
	view.numbers = bytes + FR_CHECKPOINT_HEADER_BYTES + view.config_bytes;
	*view_out = view;
	return FERRULE_OK;
}

ferrule_status_t fr_checkpoint_match(const struct fr_checkpoint_view *view,
                                     const struct ferrule_checkpoint *c)
{
	const struct ferrule_optimizer *o = c->optimizer;

	if (strlen(c->config) != view->config_bytes ||
	    memcmp(c->config, view->config, view->config_bytes) != 0)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint belongs to another run: it has \"%.*s\", this run is "
		                "\"%s\"",
		                (int)view->config_bytes, view->config, c->config);
	if (o->options.kind != view->kind)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint was made with optimizer %s, this run has %s",
		                ferrule_optimizer_kind_name(view->kind),
		                ferrule_optimizer_kind_name(o->options.kind));
	if (c->n_params != view->n_params || o->n_params != view->n_params)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint has %zu parameters, this run has %zu", view->n_params,
		                c->n_params);
	return FERRULE_OK;
}

void fr_checkpoint_apply(const struct fr_checkpoint_view *view, struct ferrule_checkpoint *c)
{
	const unsigned char *p = get_floats(view->numbers, c->params, view->n_params);

	for (int i = 0; i < view->n_slots; i++)
		p = get_floats(p, c->optimizer->slots[i], view->n_params);
	c->optimizer->steps = view->optimizer_steps;
	c->seed = view->seed;
	c->epoch = view->epoch;
	c->batch = view->batch;
	c->n_ranks = view->n_ranks;
	memcpy(c->metrics, view->metrics, sizeof(c->metrics));
}

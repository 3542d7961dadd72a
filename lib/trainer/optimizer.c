/*
 * Optimizers; formulas and sources are in ferrule/trainer.h.
 *
 * Each update is written once over a number of lanes; run in blocks of LANES, a constant, so
 * that compilers turn it into vector code at any optimisation level, and once more for what
 * is left over.  Every parameter sees the same operations in the same order either way.
 */
#include "config.h"

#include "lib/trainer/optimizer_state.h"

#include <math.h>
#include <stdlib.h>

#include "lib/base/error.h"

#define LANES 16

/* The options and the step number as the loops need them. */
struct rates {
	float lr, momentum, decay;
	float beta1, beta2, rest1, rest2; /* rest = 1 - beta */
	float step;                       /* lr / (1 - beta1^t) */
	float root;                       /* 1 / sqrt(1 - beta2^t) */
	float epsilon;
};

int fr_optimizer_n_slots(enum ferrule_optimizer_kind kind)
{
	switch (kind) {
	case FERRULE_OPTIMIZER_SGD:
		return 0;
	case FERRULE_OPTIMIZER_MOMENTUM:
		return 1;
	case FERRULE_OPTIMIZER_ADAM:
		return 2;
	}
	return -1;
}

const char *ferrule_optimizer_kind_name(enum ferrule_optimizer_kind kind)
{
	switch (kind) {
	case FERRULE_OPTIMIZER_SGD:
		return "sgd";
	case FERRULE_OPTIMIZER_MOMENTUM:
		return "momentum";
	case FERRULE_OPTIMIZER_ADAM:
		return "adam";
	}
	return NULL;
}

struct ferrule_optimizer_options ferrule_optimizer_defaults(enum ferrule_optimizer_kind kind)
{
	return (struct ferrule_optimizer_options){
		.size = sizeof(struct ferrule_optimizer_options),
		.kind = kind,
		.lr = kind == FERRULE_OPTIMIZER_ADAM ? 0.001 : 0.1,
		.momentum = 0.9,
		.beta1 = 0.9,
		.beta2 = 0.999,
		.epsilon = 1e-8,
	};
}

/* Is x in [0, 1)?  Written so that NaN is not. */
static ferrule_status_t check_fraction(const char *name, double x)
{
	if (x >= 0 && x < 1)
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_ARGUMENT, "%s is %g; it must be 0 or more and below 1", name,
	                x);
}

static ferrule_status_t check_above_zero(const char *name, double x)
{
	/* The loops hold rates in float32: what rounds to 0 or infinity there is no rate. */
	if ((float)x > 0 && isfinite((float)x))
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_ARGUMENT, "%s is %g; it must be above 0 and finite", name, x);
}

static ferrule_status_t check_options(const struct ferrule_optimizer_options *o)
{
	ferrule_status_t status;

	if (!o || o->size != sizeof(*o))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "optimizer options of %zu bytes; size must be %zu", o ? o->size : 0,
		                sizeof(*o));
	if (fr_optimizer_n_slots(o->kind) < 0)
		return fr_error(FERRULE_ERR_ARGUMENT, "optimizer kind is %d; it must be 0 to 2",
		                (int)o->kind);
	if ((status = check_above_zero("lr", o->lr)) ||
	    (status = check_fraction("momentum", o->momentum)) ||
	    (status = check_fraction("beta1", o->beta1)) ||
	    (status = check_fraction("beta2", o->beta2)) ||
	    (status = check_above_zero("epsilon", o->epsilon)))
		return status;
	if (!(o->weight_decay >= 0) || !isfinite((float)o->weight_decay))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "weight_decay is %g; it must be 0 or more and finite",
		                o->weight_decay);
	return FERRULE_OK;
}

ferrule_status_t ferrule_optimizer_create(const struct ferrule_optimizer_options *options,
                                          size_t n_params, ferrule_optimizer_t *optimizer_out)
{
	const ferrule_status_t status = check_options(options);

	if (status)
		return status;
	ferrule_optimizer_t o = calloc(1, sizeof(*o));

	if (!o)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for an optimizer");
	o->options = *options;
	o->n_params = n_params;
	for (int i = 0; i < fr_optimizer_n_slots(options->kind); i++) {
		o->slots[i] = calloc(n_params > 0 ? n_params : 1, sizeof(float));
		if (!o->slots[i]) {
			ferrule_optimizer_destroy(o);
			return fr_error(FERRULE_ERR_NO_MEMORY,
			                "no memory for the %s state of %zu parameters",
			                ferrule_optimizer_kind_name(options->kind), n_params);
		}
	}
	*optimizer_out = o;
	return FERRULE_OK;
}

void ferrule_optimizer_destroy(ferrule_optimizer_t o)
{
	if (!o)
		return;
	for (int i = 0; i < FR_OPTIMIZER_MAX_SLOTS; i++)
		free(o->slots[i]);
	free(o);
}

void ferrule_optimizer_begin(ferrule_optimizer_t o)
{
	o->steps++;
}

uint64_t ferrule_optimizer_steps(ferrule_optimizer_t o)
{
	return o->steps;
}

/* base^n by squaring: unlike pow(), the same bits with every libm. */
static double power(double base, uint64_t n)
{
	double result = 1;

	for (; n > 0; n >>= 1, base *= base)
		if (n & 1)
			result *= base;
	return result;
}

static struct rates rates_now(const struct ferrule_optimizer *o)
{
	const struct ferrule_optimizer_options *p = &o->options;

	return (struct rates){
		.lr = (float)p->lr,
		.momentum = (float)p->momentum,
		.decay = (float)p->weight_decay,
		.beta1 = (float)p->beta1,
		.beta2 = (float)p->beta2,
		.rest1 = (float)(1 - p->beta1),
		.rest2 = (float)(1 - p->beta2),
		.step = (float)(p->lr / (1 - power(p->beta1, o->steps))),
		.root = (float)(1 / sqrt(1 - power(p->beta2, o->steps))),
		.epsilon = (float)p->epsilon,
	};
}

static inline __attribute__((always_inline)) void sgd_lanes(const struct rates r, float *restrict w,
                                                            const float *restrict g, size_t n)
{
	for (size_t i = 0; i < n; i++)
		w[i] -= r.lr * (g[i] + r.decay * w[i]);
}

static void sgd(const struct rates r, float *restrict w, const float *restrict g, size_t n)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		sgd_lanes(r, w + i, g + i, LANES);
	sgd_lanes(r, w + i, g + i, n - i);
}

static inline __attribute__((always_inline)) void momentum_lanes(const struct rates r,
                                                                 float *restrict w,
                                                                 const float *restrict g,
                                                                 float *restrict v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		v[i] = r.momentum * v[i] + (g[i] + r.decay * w[i]);
		w[i] -= r.lr * v[i];
	}
}

static void momentum(const struct rates r, float *restrict w, const float *restrict g,
                     float *restrict v, size_t n)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		momentum_lanes(r, w + i, g + i, v + i, LANES);
	momentum_lanes(r, w + i, g + i, v + i, n - i);
}

/* Three loops, because the call to sqrtf may keep the middle one from becoming vector code. */
static inline __attribute__((always_inline)) void adam_lanes(const struct rates r,
                                                             float *restrict w,
                                                             const float *restrict g,
                                                             float *restrict m, float *restrict v,
                                                             size_t n)
{
	float deviation[LANES];

	for (size_t i = 0; i < n; i++) {
		const float grad = g[i] + r.decay * w[i];

		m[i] = r.beta1 * m[i] + r.rest1 * grad;
		v[i] = r.beta2 * v[i] + r.rest2 * (grad * grad);
	}
	for (size_t i = 0; i < n; i++)
		deviation[i] = sqrtf(v[i]);
	for (size_t i = 0; i < n; i++)
		w[i] -= r.step * m[i] / (deviation[i] * r.root + r.epsilon);
}

static void adam(const struct rates r, float *restrict w, const float *restrict g,
                 float *restrict m, float *restrict v, size_t n)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		adam_lanes(r, w + i, g + i, m + i, v + i, LANES);
	adam_lanes(r, w + i, g + i, m + i, v + i, n - i);
}

ferrule_status_t ferrule_optimizer_apply(ferrule_optimizer_t o, size_t first, size_t count,
                                         float *params, const float *mean)
{
	if (first > o->n_params || count > o->n_params - first)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "parameters %zu and the %zu from there; the optimizer has %zu",
		                first, count, o->n_params);
	if (o->steps == 0)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "no step to apply; ferrule_optimizer_begin() starts one");

	const struct rates r = rates_now(o);

	switch (o->options.kind) {
	case FERRULE_OPTIMIZER_SGD:
		sgd(r, params, mean, count);
		break;
	case FERRULE_OPTIMIZER_MOMENTUM:
		momentum(r, params, mean, o->slots[0] + first, count);
		break;
	case FERRULE_OPTIMIZER_ADAM:
		adam(r, params, mean, o->slots[0] + first, o->slots[1] + first, count);
		break;
	}
	return FERRULE_OK;
}

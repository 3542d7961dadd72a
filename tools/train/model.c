/* See model.h. */
#include "config.h"

#include "tools/train/model.h"

#include <math.h>
#include <stdlib.h>

#include <ferrule/trainer.h>

#include "tools/train/dense.h"

/* Stream of ferrule_random_init() for initial weights; the data split takes another. */
#define WEIGHTS_STREAM 2

int fr_model_n_tensors(const struct fr_model *m)
{
	return 2 * m->shape.n_layers;
}

void fr_model_tensor(const struct fr_model *m, int t, size_t *first_out, size_t *count_out)
{
	const size_t *w = m->shape.widths;
	size_t first = 0;

	for (int i = 0; i < t / 2; i++)
		first += (w[i] + 1) * w[i + 1];
	if (t % 2 == 1)
		first += w[t / 2] * w[t / 2 + 1];
	*first_out = first;
	*count_out = (t % 2 == 0 ? w[t / 2] : 1) * w[t / 2 + 1];
}

static struct fr_dense layer(const struct fr_model *m, int i)
{
	size_t weights, bias, count;

	fr_model_tensor(m, 2 * i, &weights, &count);
	fr_model_tensor(m, 2 * i + 1, &bias, &count);
	return (struct fr_dense){
		.n_in = m->shape.widths[i],
		.n_out = m->shape.widths[i + 1],
		.weights = m->params + weights,
		.bias = m->params + bias,
	};
}

static void draw_weights(struct fr_model *m, uint64_t seed)
{
	struct ferrule_random r;

	ferrule_random_init(&r, seed, WEIGHTS_STREAM);
	for (int i = 0; i < m->shape.n_layers; i++) {
		const double n_in = (double)m->shape.widths[i];
		const double n_out = (double)m->shape.widths[i + 1];
		const bool is_last = i == m->shape.n_layers - 1;
		const double bound = sqrt(6 / (is_last ? n_in + n_out : n_in));
		size_t first, count;

		fr_model_tensor(m, 2 * i, &first, &count);
		for (size_t j = first; j < first + count; j++)
			m->params[j] = (float)(bound * (2 * ferrule_random_unit(&r) - 1));
	}
}

bool fr_model_init(struct fr_model *m, const struct fr_model_shape *shape, uint64_t seed,
                   struct fr_train_error *error)
{
	size_t widest = 0;
	bool ok = true;

	*m = (struct fr_model){.shape = *shape};
	for (int i = 0; i < shape->n_layers; i++)
		m->n_params += (shape->widths[i] + 1) * shape->widths[i + 1];
	m->params = calloc(m->n_params, sizeof(float));
	for (int i = 0; i <= shape->n_layers; i++) {
		m->activations[i] = calloc(FR_MODEL_TILE * shape->widths[i], sizeof(float));
		ok = ok && m->activations[i];
		/* The input needs no gradient. */
		if (i > 0 && shape->widths[i] > widest)
			widest = shape->widths[i];
	}
	for (int i = 0; i < 2; i++) {
		m->deltas[i] = calloc(FR_MODEL_TILE * widest, sizeof(float));
		ok = ok && m->deltas[i];
	}
	if (!ok || !m->params) {
		fr_model_fini(m);
		return fr_train_fail(error, "no memory for a model of %zu parameters", m->n_params);
	}
	draw_weights(m, seed);
	return true;
}

void fr_model_fini(struct fr_model *m)
{
	free(m->params);
	for (int i = 0; i <= FR_MODEL_MAX_LAYERS; i++)
		free(m->activations[i]);
	free(m->deltas[0]);
	free(m->deltas[1]);
	*m = (struct fr_model){.n_params = m->n_params};
}

void fr_model_forward(struct fr_model *m, const unsigned *labels, size_t n,
                      struct fr_model_result *result)
{
	const int last = m->shape.n_layers - 1;

	for (int i = 0; i <= last; i++) {
		const struct fr_dense l = layer(m, i);

		fr_dense_forward(&l, m->activations[i], m->activations[i + 1], n);
		if (i < last)
			fr_dense_relu(m->activations[i + 1], n * l.n_out);
	}
	result->loss += fr_dense_softmax(m->activations[last + 1], labels, n,
	                                 m->shape.widths[last + 1], &result->n_correct);
}

/* The gradients of one layer's tensors, bias first: its sum is short. */
static bool layer_gradients(const struct fr_dense *l, const float *x, const float *delta, size_t n,
                            double *const *gradients, const struct fr_model_hooks *hooks)
{
	fr_dense_bias_gradient(l, delta, n, gradients[1]);
	for (size_t row = 0; row < l->n_in; row += FR_DENSE_ROWS) {
		fr_dense_weight_gradient(l, x, delta, n, row, FR_DENSE_ROWS, gradients[0]);
		if (!hooks->progress(hooks->context))
			return false;
	}
	return true;
}

bool fr_model_backward(struct fr_model *m, size_t n, double *const *gradients,
                       const struct fr_model_hooks *hooks)
{
	/* The softmax has left the gradient of the loss in place of its logits. */
	const float *delta = m->activations[m->shape.n_layers];

	for (int i = m->shape.n_layers - 1; i >= 0; i--) {
		const struct fr_dense l = layer(m, i);

		if (!layer_gradients(&l, m->activations[i], delta, n, gradients + 2 * i, hooks))
			return false;
		/* Sums over ranks start before the layer below is computed. */
		if (!hooks->ready(hooks->context, 2 * i + 1) ||
		    !hooks->ready(hooks->context, 2 * i))
			return false;
		if (i > 0) {
			float *below = m->deltas[i % 2];

			fr_dense_backward(&l, m->activations[i], delta, below, n);
			delta = below;
		}
	}
	return true;
}

/* The model's loss and gradients against a float64 oracle, and independence of the tile. */
#include "config.h"

#include <CUnit/CUnit.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/trainer.h>

#include "tests/support/t_main.h"
#include "tools/train/dataset.h"
#include "tools/train/model.h"

#define N_SAMPLES  13
#define MAX_PARAMS 2000

static const struct fr_model_shape shapes[] = {
	{1, {5, 3}},
	{2, {5, 19, 3}},
	{3, {7, 6, 33, 4}},
	{2, {3, 1, 1}},
};
#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

struct samples {
	float x[N_SAMPLES][8];
	unsigned labels[N_SAMPLES];
};

static void draw(struct samples *s, const struct fr_model_shape *shape)
{
	struct ferrule_random r;

	ferrule_random_init(&r, 3, 0);
	for (int i = 0; i < N_SAMPLES; i++) {
		for (int j = 0; j < 8; j++)
			s->x[i][j] = j == 1 ? 0 : (float)(2 * ferrule_random_unit(&r) - 1);
		s->labels[i] = (unsigned)ferrule_random_below(&r, shape->widths[shape->n_layers]);
	}
}

static void load(struct fr_model *m, const struct samples *s, int first, int n)
{
	const size_t width = m->shape.widths[0];

	for (int i = 0; i < n; i++)
		memcpy(m->activations[0] + (size_t)i * width, s->x[first + i],
		       width * sizeof(float));
}

static double loss_of(struct fr_model *m, const struct samples *s)
{
	struct fr_model_result result = {0};

	load(m, s, 0, N_SAMPLES);
	fr_model_forward(m, s->labels, N_SAMPLES, &result);
	return result.loss;
}

/* One layer of the oracle: y = bias + x * weights, at `w`; returns what lies behind it. */
static const double *oracle_layer(const double *w, const double *x, double *y, size_t n_in,
                                  size_t n_out)
{
	for (size_t j = 0; j < n_out; j++) {
		y[j] = w[n_in * n_out + j];
		for (size_t i = 0; i < n_in; i++)
			y[j] += x[i] * w[i * n_out + j];
	}
	return w + (n_in + 1) * n_out;
}

/* The loss by its definition, in float64 throughout. */
static double oracle_loss(const struct fr_model_shape *shape, const double *params,
                          const struct samples *s)
{
	double loss = 0;

	for (int k = 0; k < N_SAMPLES; k++) {
		double x[64], y[64], sum = 0;
		const double *w = params;
		const size_t n_classes = shape->widths[shape->n_layers];

		for (size_t i = 0; i < shape->widths[0]; i++)
			x[i] = s->x[k][i];
		for (int l = 0; l < shape->n_layers; l++) {
			w = oracle_layer(w, x, y, shape->widths[l], shape->widths[l + 1]);
			for (size_t j = 0; j < shape->widths[l + 1]; j++)
				x[j] = y[j] > 0 ? y[j] : 0;
		}
		for (size_t j = 0; j < n_classes; j++)
			sum += exp(y[j]);
		loss += log(sum) - y[s->labels[k]];
	}
	return loss;
}

static bool record_ready(void *context, int t)
{
	int *next = context;

	/* Last layer first, and in it the bias before the weights. */
	CU_ASSERT_EQUAL(t, *next);
	*next = t - 1;
	return true;
}

static bool go_on(void *context)
{
	(void)context;
	return true;
}

/* Adds the gradients of samples [first, first + n) to `out`, laid out as params. */
static void add_gradients(struct fr_model *m, const struct samples *s, int first, int n,
                          double *out)
{
	double *gradients[2 * FR_MODEL_MAX_LAYERS];
	int next = fr_model_n_tensors(m) - 1;
	const struct fr_model_hooks hooks = {&next, record_ready, go_on};
	struct fr_model_result result = {0};

	for (int t = 0; t < fr_model_n_tensors(m); t++) {
		size_t at, count;

		fr_model_tensor(m, t, &at, &count);
		gradients[t] = out + at;
	}
	load(m, s, first, n);
	fr_model_forward(m, s->labels + first, (size_t)n, &result);
	CU_ASSERT(fr_model_backward(m, (size_t)n, gradients, &hooks));
	CU_ASSERT_EQUAL(next, -1);
}

static void check_against_oracle(const struct fr_model_shape *shape)
{
	double gradient[MAX_PARAMS] = {0}, params[MAX_PARAMS];
	struct fr_train_error error;
	struct samples s;
	struct fr_model m;

	draw(&s, shape);
	CU_ASSERT_FATAL(fr_model_init(&m, shape, 11, &error));
	CU_ASSERT_FATAL(m.n_params <= MAX_PARAMS);
	for (size_t i = 0; i < m.n_params; i++) {
		/* Biases of zero may put a sample exactly on the kink of a ReLU. */
		m.params[i] += 0.01f * (float)(i % 7 + 1);
		params[i] = m.params[i];
	}
	CU_ASSERT_DOUBLE_EQUAL(loss_of(&m, &s), oracle_loss(shape, params, &s), 1e-5);
	add_gradients(&m, &s, 0, N_SAMPLES, gradient);
	for (size_t i = 0; i < m.n_params; i++) {
		const double before = params[i], h = 1e-6;

		params[i] = before + h;
		const double above = oracle_loss(shape, params, &s);

		params[i] = before - h;
		const double below = oracle_loss(shape, params, &s);

		params[i] = before;
		CU_ASSERT_DOUBLE_EQUAL((above - below) / (2 * h), gradient[i], 1e-5);
	}
	fr_model_fini(&m);
}

static void test_gradients_are_slopes_of_the_loss(void)
{
	for (size_t i = 0; i < N_SHAPES; i++)
		check_against_oracle(&shapes[i]);
}

static void test_tiles_do_not_change_the_result(void)
{
	for (size_t i = 0; i < N_SHAPES; i++) {
		double whole[MAX_PARAMS] = {0}, parts[MAX_PARAMS] = {0};
		struct fr_train_error error;
		struct samples s;
		struct fr_model m;

		draw(&s, &shapes[i]);
		CU_ASSERT_FATAL(fr_model_init(&m, &shapes[i], 1, &error));
		add_gradients(&m, &s, 0, N_SAMPLES, whole);
		for (int first = 0; first < N_SAMPLES; first += 4)
			add_gradients(&m, &s, first, N_SAMPLES - first < 4 ? N_SAMPLES - first : 4,
			              parts);
		/* Not nearly equal: the samples are added in the same order. */
		CU_ASSERT_EQUAL(memcmp(whole, parts, sizeof(whole)), 0);
		fr_model_fini(&m);
	}
}

static void test_loss_of_equal_logits_is_log_of_classes(void)
{
	static const struct fr_model_shape shape = {1, {5, 4}};
	struct fr_model_result result = {0};
	struct fr_train_error error;
	struct samples s;
	struct fr_model m;

	draw(&s, &shape);
	CU_ASSERT_FATAL(fr_model_init(&m, &shape, 1, &error));
	memset(m.params, 0, m.n_params * sizeof(float));
	load(&m, &s, 0, N_SAMPLES);
	fr_model_forward(&m, s.labels, N_SAMPLES, &result);
	CU_ASSERT_DOUBLE_EQUAL(result.loss, N_SAMPLES * log(4), 1e-9);
	size_t n_first = 0;

	for (int i = 0; i < N_SAMPLES; i++)
		n_first += s.labels[i] == 0;
	CU_ASSERT_EQUAL(result.n_correct, n_first);
	fr_model_fini(&m);
}

static void test_large_logits_do_not_overflow(void)
{
	static const struct fr_model_shape shape = {1, {5, 4}};
	struct fr_train_error error;
	struct samples s;
	struct fr_model m;

	draw(&s, &shape);
	CU_ASSERT_FATAL(fr_model_init(&m, &shape, 1, &error));
	for (size_t i = 0; i < m.n_params; i++)
		m.params[i] *= 1e6f;
	CU_ASSERT(isfinite(loss_of(&m, &s)));
	m.params[0] = NAN;
	CU_ASSERT(isnan(loss_of(&m, &s)));
	fr_model_fini(&m);
}

static void test_weights_are_a_function_of_the_seed(void)
{
	struct fr_train_error error;
	struct fr_model a, b, c;

	CU_ASSERT_FATAL(fr_model_init(&a, &shapes[1], 1, &error));
	CU_ASSERT_FATAL(fr_model_init(&b, &shapes[1], 1, &error));
	CU_ASSERT_FATAL(fr_model_init(&c, &shapes[1], 2, &error));
	CU_ASSERT_EQUAL(memcmp(a.params, b.params, a.n_params * sizeof(float)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a.params, c.params, a.n_params * sizeof(float)), 0);
	fr_model_fini(&a);
	fr_model_fini(&b);
	fr_model_fini(&c);
}

static void test_split_takes_every_row_once(void)
{
	for (size_t n = 1; n < 50; n += 7) {
		for (double fraction = 0; fraction < 1; fraction += 0.24) {
			struct fr_train_error error;
			struct fr_split s, again;
			int seen[50] = {0};

			CU_ASSERT_FATAL(fr_split_init(&s, n, fraction, 5, &error));
			CU_ASSERT_FATAL(fr_split_init(&again, n, fraction, 5, &error));
			CU_ASSERT_EQUAL(s.n_test, (size_t)((double)n * fraction));
			CU_ASSERT_EQUAL(s.n_train + s.n_test, n);
			CU_ASSERT(s.n_train > 0);
			for (size_t i = 0; i < n; i++)
				seen[s.train[i]]++;
			for (size_t i = 0; i < n; i++)
				CU_ASSERT_EQUAL(seen[i], 1);
			CU_ASSERT_EQUAL(memcmp(s.train, again.train, n * sizeof(*s.train)), 0);
			fr_split_fini(&s);
			fr_split_fini(&again);
		}
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"gradients are slopes of the loss", test_gradients_are_slopes_of_the_loss},
		{"tiles do not change the result", test_tiles_do_not_change_the_result},
		{"loss of equal logits is log of classes",
	         test_loss_of_equal_logits_is_log_of_classes},
		{"large logits do not overflow", test_large_logits_do_not_overflow},
		{"weights are a function of the seed", test_weights_are_a_function_of_the_seed},
		{"split takes every row once", test_split_takes_every_row_once},
		{NULL, NULL},
	};

	return t_main("train model", cases);
}

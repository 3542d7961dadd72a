/*
 * See dense.h.  Inner loops run over blocks of LANES, a constant, so that compilers make
 * vector code of them at any optimisation level; each element sees the same operations in
 * block and remainder.
 */
#include "config.h"

#include "tools/train/dense.h"

#include <math.h>
#include <string.h>

#define LANES 16

static inline __attribute__((always_inline)) void add_lanes(float *restrict y,
                                                            const float *restrict x, float factor,
                                                            size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += factor * x[i];
}

/* y += factor * x */
static void add_scaled(float *restrict y, const float *restrict x, float factor, size_t n)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		add_lanes(y + i, x + i, factor, LANES);
	add_lanes(y + i, x + i, factor, n - i);
}

static inline __attribute__((always_inline)) void add_lanes64(double *restrict y,
                                                              const float *restrict x,
                                                              double factor, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += factor * (double)x[i];
}

/* The same into float64; the product of two float32 is exact there. */
static void add_scaled64(double *restrict y, const float *restrict x, double factor, size_t n)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		add_lanes64(y + i, x + i, factor, LANES);
	add_lanes64(y + i, x + i, factor, n - i);
}

static inline __attribute__((always_inline)) void dot_lanes(float *restrict sums,
                                                            const float *restrict a,
                                                            const float *restrict b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sums[i] += a[i] * b[i];
}

/* LANES partial sums, added in a fixed order. */
static float dot(const float *restrict a, const float *restrict b, size_t n)
{
	float sums[LANES] = {0};
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		dot_lanes(sums, a + i, b + i, LANES);
	dot_lanes(sums, a + i, b + i, n - i);
	for (size_t width = LANES / 2; width > 0; width /= 2)
		for (size_t j = 0; j < width; j++)
			sums[j] += sums[j + width];
	return sums[0];
}

void fr_dense_forward(const struct fr_dense *l, const float *x, float *y, size_t n)
{
	for (size_t s = 0; s < n; s++)
		memcpy(y + s * l->n_out, l->bias, l->n_out * sizeof(float));
	/* Row by row of the weights, so that a row serves the whole tile from cache.  Zeros are
	 * skipped: most of an image, and half of what a ReLU lets through. */
	for (size_t i = 0; i < l->n_in; i++) {
		const float *row = l->weights + i * l->n_out;

		for (size_t s = 0; s < n; s++) {
			const float factor = x[s * l->n_in + i];

			if (factor != 0)
				add_scaled(y + s * l->n_out, row, factor, l->n_out);
		}
	}
}

void fr_dense_relu(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = x[i] < 0 ? 0 : x[i];
}

void fr_dense_weight_gradient(const struct fr_dense *l, const float *x, const float *delta,
                              size_t n, size_t row, size_t n_rows, double *gradient)
{
	for (size_t i = row; i < row + n_rows && i < l->n_in; i++) {
		for (size_t s = 0; s < n; s++) {
			const float factor = x[s * l->n_in + i];

			if (factor != 0)
				add_scaled64(gradient + i * l->n_out, delta + s * l->n_out, factor,
				             l->n_out);
		}
	}
}

void fr_dense_bias_gradient(const struct fr_dense *l, const float *delta, size_t n,
                            double *gradient)
{
	for (size_t s = 0; s < n; s++)
		add_scaled64(gradient, delta + s * l->n_out, 1, l->n_out);
}

void fr_dense_backward(const struct fr_dense *l, const float *x, const float *delta, float *dx,
                       size_t n)
{
	for (size_t i = 0; i < l->n_in; i++) {
		const float *row = l->weights + i * l->n_out;

		for (size_t s = 0; s < n; s++) {
			const size_t at = s * l->n_in + i;

			dx[at] = x[at] > 0 ? dot(row, delta + s * l->n_out, l->n_out) : 0;
		}
	}
}

double fr_dense_softmax(float *logits, const unsigned *labels, size_t n, size_t width,
                        size_t *n_correct_out)
{
	double loss = 0;

	for (size_t s = 0; s < n; s++) {
		float *z = logits + s * width;
		size_t best = 0;
		double sum = 0;

		for (size_t j = 1; j < width; j++)
			best = z[j] > z[best] ? j : best;
		*n_correct_out += best == labels[s];
		const double max = z[best], wanted = z[labels[s]];

		for (size_t j = 0; j < width; j++)
			sum += exp((double)z[j] - max);
		loss += log(sum) - (wanted - max);
		for (size_t j = 0; j < width; j++)
			z[j] = (float)(exp((double)z[j] - max) / sum);
		z[labels[s]] -= 1;
	}
	return loss;
}

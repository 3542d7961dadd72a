/*
 * dense.h - the arithmetic of a fully connected layer over a tile of samples.
 *
 * Weights lie as n_in rows of n_out numbers.  Every sample's result is computed by the same
 * float32 operations in the same order whichever samples share its tile, and gradients are
 * summed over samples in float64.  That makes a run independent, but for the last bits of a
 * float64 sum, of how many ranks share a batch.
 */
#ifndef FR_DENSE_H
#define FR_DENSE_H

#include <stddef.h>

struct fr_dense {
	size_t n_in, n_out;
	const float *weights, *bias;
};

/* fr_dense_forward - y[s] = bias + x[s] * weights, for n samples. */
void fr_dense_forward(const struct fr_dense *l, const float *x, float *y, size_t n);
/* fr_dense_relu - x = max(x, 0), keeping NaN. */
void fr_dense_relu(float *x, size_t n);
/* fr_dense_weight_gradient - rows [row, row + n_rows) of the gradient of the weights grow by
 * the sum over n samples of x[s] * delta[s]. */
void fr_dense_weight_gradient(const struct fr_dense *l, const float *x, const float *delta,
                              size_t n, size_t row, size_t n_rows, double *gradient);
#define FR_DENSE_ROWS 64 /* a good n_rows: communication progresses between pieces */
/* fr_dense_bias_gradient - the same for the bias. */
void fr_dense_bias_gradient(const struct fr_dense *l, const float *delta, size_t n,
                            double *gradient);
/* fr_dense_backward - dx[s] = weights * delta[s] where x[s] > 0, else 0: through the ReLU
 * that produced x. */
void fr_dense_backward(const struct fr_dense *l, const float *x, const float *delta, float *dx,
                       size_t n);
/*
 * fr_dense_softmax - cross-entropy of n rows of `width` logits against their labels.
 * Returns the sum of the losses; turns logits into the gradient of that sum; adds to
 * *n_correct_out the rows whose largest logit (the first of equal ones) is the label's.
 */
double fr_dense_softmax(float *logits, const unsigned *labels, size_t n, size_t width,
                        size_t *n_correct_out);

#endif

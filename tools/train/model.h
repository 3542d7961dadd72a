/*
 * model.h - a classifier: fully connected layers with ReLU between them and a softmax with
 * cross-entropy at the end.  Without hidden layers it is softmax regression.
 *
 * Tensors, in forward order: weights of layer 0, bias of layer 0, weights of layer 1, ...
 */
#ifndef FR_MODEL_H
#define FR_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/train/train_error.h"

#define FR_MODEL_MAX_LAYERS 16
#define FR_MODEL_MAX_WIDTH  65536
/* Samples computed at a time: their activations stay in cache. */
#define FR_MODEL_TILE 64

struct fr_model_shape {
	int n_layers;
	size_t widths[FR_MODEL_MAX_LAYERS + 1]; /* inputs, hidden layers, classes */
};

struct fr_model {
	struct fr_model_shape shape;
	size_t n_params;
	float *params;                               /* all tensors, one after the other */
	float *activations[FR_MODEL_MAX_LAYERS + 1]; /* a tile of each; [0] is the input */
	float *deltas[2]; /* gradients of activations, this layer's and the one below */
};

/* fr_model_init - initial weights are a function of `seed` alone: uniform within
 * sqrt(6 / n_in) before a ReLU (He et al. 2015), sqrt(6 / (n_in + n_out)) before the softmax
 * (Glorot and Bengio 2010); biases 0. */
bool fr_model_init(struct fr_model *m, const struct fr_model_shape *shape, uint64_t seed,
                   struct fr_train_error *error);
void fr_model_fini(struct fr_model *m);

int fr_model_n_tensors(const struct fr_model *m);
/* fr_model_tensor - where tensor t lies in params. */
void fr_model_tensor(const struct fr_model *m, int t, size_t *first_out, size_t *count_out);

/* What backward tells while it works; false from a call stops it. */
struct fr_model_hooks {
	void *context;
	/* Tensor t's gradient of this tile is complete.  Called for every tensor, last first. */
	bool (*ready)(void *context, int t);
	/* Called now and then inside long computations. */
	bool (*progress)(void *context);
};

/* Results of the forward pass over one tile, summed over samples. */
struct fr_model_result {
	double loss;
	size_t n_correct;
};

/* fr_model_forward - classifies the n samples in activations[0]; adds to *result. */
void fr_model_forward(struct fr_model *m, const unsigned *labels, size_t n,
                      struct fr_model_result *result);
/* fr_model_backward - after forward on the same tile: adds each tensor's gradient, summed over
 * the samples, to gradients[t].  Returns false when a hook did. */
bool fr_model_backward(struct fr_model *m, size_t n, double *const *gradients,
                       const struct fr_model_hooks *hooks);

#endif

/* train_step.h - what is trained, and one step of it. */
#ifndef FR_TRAIN_STEP_H
#define FR_TRAIN_STEP_H

#include "tools/train/train_data.h"
#include "tools/train/train_options.h"

struct fr_trainer {
	const struct fr_train_options *o;
	ferrule_comm_t comm;
	int rank, n_ranks;
	struct fr_train_data data;
	struct fr_model model;
	ferrule_optimizer_t optimizer;
	/* The model's tensors, then one of a single number: the batch's loss.  So every rank
	 * learns the loss of the global batch without an operation of its own. */
	ferrule_buckets_t buckets;
	/* Where a tensor's gradient is summed over this rank's samples, in float64: the bucket
	 * itself, or `sums` when the buckets hold float32. */
	double *gradients[2 * FR_MODEL_MAX_LAYERS + 1];
	double *sums;
	float *mean; /* the largest tensor's mean gradient */
	unsigned labels[FR_MODEL_TILE];
};

/* fr_trainer_init - collective; after t->data has been loaded. */
bool fr_trainer_init(struct fr_trainer *t, struct fr_train_error *error);
void fr_trainer_fini(struct fr_trainer *t);

/* fr_trainer_step - one optimizer step on global batch `k` of the epoch with this order.
 * *loss_out is the mean loss of the batch; one that is not finite is an error everywhere. */
bool fr_trainer_step(struct fr_trainer *t, const uint64_t *order, size_t k, double *loss_out,
                     size_t *batch_count_out, struct fr_train_error *error);

/* fr_trainer_test - collective: mean loss and accuracy over all test samples; NaN without. */
bool fr_trainer_test(struct fr_trainer *t, double *loss_out, double *accuracy_out,
                     struct fr_train_error *error);

#endif

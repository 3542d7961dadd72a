/* See train_step.h. */
#include "config.h"

#include "tools/train/train_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/coll.h>
#include <ferrule/comm.h>

static int loss_tensor(const struct fr_trainer *t)
{
	return fr_model_n_tensors(&t->model);
}

static size_t tensor_count(const struct fr_trainer *t, int tensor)
{
	size_t first, count = 1;

	if (tensor != loss_tensor(t))
		fr_model_tensor(&t->model, tensor, &first, &count);
	return count;
}

/* The layers that the options ask for. */
static struct fr_model_shape shape_of(const struct fr_trainer *t)
{
	const struct fr_train_options *o = t->o;
	const int n_hidden = strcmp(o->model, "mlp") == 0 ? o->n_hidden : 0;

	struct fr_model_shape shape = {.n_layers = n_hidden + 1};

	shape.widths[0] = t->data.set.n_features;
	for (int i = 0; i < n_hidden; i++)
		shape.widths[i + 1] = o->hidden[i];
	shape.widths[n_hidden + 1] = t->data.set.n_classes;
	return shape;
}

static bool init_buckets(struct fr_trainer *t, struct fr_train_error *error)
{
	size_t counts[2 * FR_MODEL_MAX_LAYERS + 1], total = 0, largest = 0;
	const int n_tensors = loss_tensor(t) + 1;
	const bool is_float = t->o->gradient_type == FERRULE_FLOAT32;

	for (int i = 0; i < n_tensors; i++) {
		counts[i] = tensor_count(t, i);
		total += counts[i];
		largest = counts[i] > largest ? counts[i] : largest;
	}
	if (!fr_train_ok(error, t->comm,
	                 ferrule_buckets_create(t->comm, counts, n_tensors, t->o->gradient_type,
	                                        t->o->bucket_bytes, &t->buckets),
	                 "cannot prepare gradients"))
		return false;
	t->mean = malloc(largest * sizeof(float));
	t->sums = is_float ? malloc(total * sizeof(double)) : NULL;
	if (!t->mean || (is_float && !t->sums))
		return fr_train_fail(error, "no memory for the gradients of %zu parameters", total);
	double *sums = t->sums;

	for (int i = 0; i < n_tensors; i++) {
		t->gradients[i] = is_float ? sums : ferrule_buckets_gradient(t->buckets, i);
		sums = is_float ? sums + counts[i] : NULL;
	}
	return true;
}

bool fr_trainer_init(struct fr_trainer *t, struct fr_train_error *error)
{
	const struct fr_model_shape shape = shape_of(t);

	return fr_model_init(&t->model, &shape, t->o->seed, error) &&
	       fr_train_ok(
		       error, t->comm,
		       ferrule_optimizer_create(&t->o->optimizer, t->model.n_params, &t->optimizer),
		       "cannot prepare the optimizer") &&
	       init_buckets(t, error);
}

void fr_trainer_fini(struct fr_trainer *t)
{
	ferrule_buckets_destroy(t->buckets);
	ferrule_optimizer_destroy(t->optimizer);
	fr_model_fini(&t->model);
	free(t->sums);
	free(t->mean);
	fr_train_data_fini(&t->data);
}

/* What the hooks of the model work on. */
struct pass {
	struct fr_trainer *t;
	bool is_last; /* this rank's last tile: gradients become complete */
	struct fr_train_error *error;
};

static bool on_ready(void *context, int tensor)
{
	const struct pass *pass = context;
	struct fr_trainer *t = pass->t;

	if (!pass->is_last)
		return true;
	if (t->sums) {
		float *out = ferrule_buckets_gradient(t->buckets, tensor);
		const size_t count = tensor_count(t, tensor);

		for (size_t i = 0; i < count; i++)
			out[i] = (float)t->gradients[tensor][i];
	}
	return fr_train_ok(pass->error, t->comm, ferrule_buckets_ready(t->buckets, tensor),
	                   "cannot sum gradients");
}

static bool on_progress(void *context)
{
	const struct pass *pass = context;

	return fr_train_ok(pass->error, pass->t->comm, ferrule_buckets_progress(pass->t->buckets),
	                   "cannot sum gradients");
}

/* Adds the gradients of one tile. */
static bool train_tile(struct fr_trainer *t, const uint64_t *order, size_t n, struct pass *pass)
{
	const struct fr_model_hooks hooks = {
		.context = pass, .ready = on_ready, .progress = on_progress};
	struct fr_model_result result = {0};

	fr_train_data_gather(&t->data, order, n,
	                     (struct fr_train_rows){t->model.activations[0], t->labels});
	fr_model_forward(&t->model, t->labels, n, &result);
	*t->gradients[loss_tensor(t)] += result.loss;
	return on_ready(pass, loss_tensor(t)) &&
	       fr_model_backward(&t->model, n, t->gradients, &hooks);
}

/* This rank's part of the batch, a tile at a time. */
static bool train_shard(struct fr_trainer *t, const uint64_t *order, size_t n,
                        struct fr_train_error *error)
{
	struct pass pass = {.t = t, .error = error};

	while (n > 0) {
		const size_t tile = n < FR_MODEL_TILE ? n : FR_MODEL_TILE;

		pass.is_last = n == tile;
		if (!train_tile(t, order, tile, &pass))
			return false;
		order += tile;
		n -= tile;
	}
	if (pass.is_last)
		return true;
	/* No samples on this rank: it contributes zeros. */
	pass.is_last = true;
	for (int i = loss_tensor(t); i >= 0; i--)
		if (!on_ready(&pass, i))
			return false;
	return true;
}

static bool update(struct fr_trainer *t, size_t batch_count, struct fr_train_error *error)
{
	ferrule_optimizer_begin(t->optimizer);
	for (int i = 0; i < loss_tensor(t); i++) {
		size_t first, count;
		ferrule_status_t status = ferrule_buckets_mean(t->buckets, i, batch_count, t->mean);

		fr_model_tensor(&t->model, i, &first, &count);
		if (!status)
			status = ferrule_optimizer_apply(t->optimizer, first, count,
			                                 t->model.params + first, t->mean);
		if (!fr_train_ok(error, t->comm, status, "cannot update the parameters"))
			return false;
	}
	return true;
}

/* The batch's loss, which the buckets have summed. */
static double summed_loss(const struct fr_trainer *t)
{
	const void *sum = ferrule_buckets_gradient(t->buckets, loss_tensor(t));

	return t->sums ? (double)*(const float *)sum : *(const double *)sum;
}

bool fr_trainer_step(struct fr_trainer *t, const uint64_t *order, size_t k, double *loss_out,
                     size_t *batch_count_out, struct fr_train_error *error)
{
	const size_t n = t->data.split.n_train;
	struct ferrule_shard shard = {0};

	if (!fr_train_ok(error, t->comm,
	                 ferrule_shard_batch(n, t->o->batch, k, t->rank, t->n_ranks, &shard),
	                 "cannot share out the batch") ||
	    !fr_train_ok(error, t->comm, ferrule_buckets_begin(t->buckets), "cannot begin a step"))
		return false;
	if (t->sums)
		memset(t->sums, 0, (t->model.n_params + 1) * sizeof(double));
	if (!train_shard(t, order + shard.first, shard.count, error) ||
	    !fr_train_ok(error, t->comm, ferrule_buckets_finish(t->buckets),
	                 "cannot sum gradients"))
		return false;

	const double loss = summed_loss(t) / (double)shard.batch_count;

	if (!isfinite(loss))
		return fr_train_fail_everywhere(error,
		                                "loss is %g; training has diverged, a smaller --lr "
		                                "than %g may help",
		                                loss, t->o->optimizer.lr);
	*loss_out = loss;
	*batch_count_out = shard.batch_count;
	return update(t, shard.batch_count, error);
}

bool fr_trainer_test(struct fr_trainer *t, double *loss_out, double *accuracy_out,
                     struct fr_train_error *error)
{
	const size_t n_test = fr_train_data_n_test(&t->data);
	struct fr_model_result mine = {0};
	struct ferrule_shard shard = {0};
	ferrule_status_t status = FERRULE_OK;

	*loss_out = *accuracy_out = NAN;
	if (n_test == 0)
		return true;
	/* One "batch" of all test samples: every rank takes a piece. */
	status = ferrule_shard_batch(n_test, n_test, 0, t->rank, t->n_ranks, &shard);
	for (size_t done = 0; !status && done < shard.count; done += FR_MODEL_TILE) {
		const size_t left = shard.count - done;
		const size_t tile = left < FR_MODEL_TILE ? left : FR_MODEL_TILE;

		fr_train_data_gather_test(
			&t->data, shard.first + done, tile,
			(struct fr_train_rows){t->model.activations[0], t->labels});
		fr_model_forward(&t->model, t->labels, tile, &mine);
	}
	double sums[2] = {mine.loss, (double)mine.n_correct};

	if (!status)
		status = ferrule_allreduce(t->comm, sums, sums, 2, FERRULE_FLOAT64, FERRULE_SUM);
	if (!fr_train_ok(error, t->comm, status, "cannot test"))
		return false;
	*loss_out = sums[0] / (double)n_test;
	*accuracy_out = sums[1] / (double)n_test;
	return true;
}

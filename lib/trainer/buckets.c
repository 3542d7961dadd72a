/*
 * Gradient buckets; see ferrule/trainer.h.
 *
 * Design: all gradients lie in one piece of ferrule_mem_alloc() memory, last tensor first,
 * so that a bucket is a contiguous range which peers on the host read without a copy.  Each
 * bucket has a persistent allreduce in place over its range.  Buckets are started in their
 * own order whatever order tensors become ready in: collectives must be issued in the same
 * order by all ranks.
 */
#include "config.h"

#include <ferrule/trainer.h>

#include <stdlib.h>
#include <string.h>

#include <ferrule/coll.h>
#include <ferrule/mem.h>

#include "lib/base/error.h"

/* Tensors begin on cache lines; the gap is zero on all ranks and stays so in the sum. */
#define TENSOR_ALIGN 64

struct tensor {
	size_t offset; /* bytes into memory */
	size_t count;
	int bucket;
	bool ready;
};

struct bucket {
	size_t offset, bytes;
	int n_tensors, n_ready;
	ferrule_op_t op; /* persistent */
};

struct ferrule_buckets {
	ferrule_comm_t comm;
	ferrule_type_t type;
	unsigned char *memory;
	size_t memory_bytes;
	struct tensor *tensors;
	int n_tensors;
	struct bucket *buckets;
	int n_buckets;
	int n_started; /* buckets [0, n_started) have been started in this step, */
	int n_done;    /* and [0, n_done) are known to be complete */
	bool in_step;  /* between begin and finish */
	bool summed;   /* finish has succeeded and no new step has begun */
};

static ferrule_status_t check_shape(const size_t *counts, int n_tensors, ferrule_type_t type,
                                    size_t bucket_bytes)
{
	size_t total = 0;

	if (n_tensors < 1)
		return fr_error(FERRULE_ERR_ARGUMENT, "n_tensors is %d; it must be at least 1",
		                n_tensors);
	if (type != FERRULE_FLOAT32 && type != FERRULE_FLOAT64)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "gradients of type %s; they must be float or double",
		                ferrule_type_name(type));
	if (bucket_bytes == 0)
		return fr_error(FERRULE_ERR_ARGUMENT, "bucket_bytes is 0; it must be at least 1");
	for (int t = 0; t < n_tensors; t++) {
		const size_t limit = (SIZE_MAX / 2 - total) / ferrule_type_bytes(type);

		if (limit < TENSOR_ALIGN || counts[t] > limit - TENSOR_ALIGN)
			return fr_error(FERRULE_ERR_ARGUMENT,
			                "tensor %d has %zu elements, more than memory can address",
			                t, counts[t]);
		total += counts[t] * ferrule_type_bytes(type) + TENSOR_ALIGN;
	}
	return FERRULE_OK;
}

/* Places the tensors, last first, and draws the borders of buckets. */
static void lay_out(ferrule_buckets_t b, const size_t *counts, size_t bucket_bytes)
{
	struct bucket *bucket = NULL;
	size_t offset = 0;

	for (int t = b->n_tensors - 1; t >= 0; t--) {
		size_t bytes = counts[t] * ferrule_type_bytes(b->type);

		bytes = (bytes + TENSOR_ALIGN - 1) / TENSOR_ALIGN * TENSOR_ALIGN;
		/* A tensor without elements fits anywhere, and no bucket is made of such alone. */
		if (!bucket ||
		    (bytes > 0 && bucket->bytes > 0 && bucket->bytes + bytes > bucket_bytes)) {
			bucket = &b->buckets[b->n_buckets++];
			bucket->offset = offset;
		}
		b->tensors[t] = (struct tensor){
			.offset = offset, .count = counts[t], .bucket = b->n_buckets - 1};
		bucket->bytes += bytes;
		bucket->n_tensors++;
		offset += bytes;
	}
	b->memory_bytes = offset;
}

static ferrule_status_t prepare(ferrule_buckets_t b)
{
	const size_t bytes = b->memory_bytes > 0 ? b->memory_bytes : TENSOR_ALIGN;
	void *memory;
	ferrule_status_t status = ferrule_mem_alloc(b->comm, bytes, &memory);

	if (status)
		return status;
	b->memory = memory;
	for (int i = 0; i < b->n_buckets && !status; i++) {
		struct bucket *bucket = &b->buckets[i];
		void *data = b->memory + bucket->offset;

		status = ferrule_allreduce_init(b->comm, data, data,
		                                bucket->bytes / ferrule_type_bytes(b->type),
		                                b->type, FERRULE_SUM, &bucket->op);
	}
	return status;
}

ferrule_status_t ferrule_buckets_create(ferrule_comm_t comm, const size_t *counts, int n_tensors,
                                        ferrule_type_t type, size_t bucket_bytes,
                                        ferrule_buckets_t *buckets_out)
{
	ferrule_status_t status = check_shape(counts, n_tensors, type, bucket_bytes);

	if (status)
		return status;
	ferrule_buckets_t b = calloc(1, sizeof(*b));

	if (!b)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for gradient buckets");
	b->comm = comm;
	b->type = type;
	b->n_tensors = n_tensors;
	b->tensors = calloc((size_t)n_tensors, sizeof(*b->tensors));
	b->buckets = calloc((size_t)n_tensors, sizeof(*b->buckets));
	if (!b->tensors || !b->buckets) {
		status = fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d tensors", n_tensors);
		goto err_destroy;
	}
	lay_out(b, counts, bucket_bytes);
	status = prepare(b);
	if (status)
		goto err_destroy;
	*buckets_out = b;
	return FERRULE_OK;

err_destroy:
	ferrule_buckets_destroy(b);
	return status;
}

void ferrule_buckets_destroy(ferrule_buckets_t b)
{
	if (!b)
		return;
	/* Destroying an operation waits for it, and a failed communicator answers at once. */
	for (int i = 0; i < b->n_buckets; i++)
		ferrule_op_destroy(b->buckets[i].op);
	if (b->memory)
		ferrule_mem_free(b->comm, b->memory);
	free(b->buckets);
	free(b->tensors);
	free(b);
}

int ferrule_buckets_count(ferrule_buckets_t b)
{
	return b->n_buckets;
}

int ferrule_buckets_of(ferrule_buckets_t b, int t)
{
	return t >= 0 && t < b->n_tensors ? b->tensors[t].bucket : -1;
}

void *ferrule_buckets_gradient(ferrule_buckets_t b, int t)
{
	return t >= 0 && t < b->n_tensors ? b->memory + b->tensors[t].offset : NULL;
}

ferrule_status_t ferrule_buckets_begin(ferrule_buckets_t b)
{
	if (b->in_step)
		return fr_error(FERRULE_ERR_BUSY,
		                "a step is under way; ferrule_buckets_finish() ends it");
	memset(b->memory, 0, b->memory_bytes);
	for (int t = 0; t < b->n_tensors; t++)
		b->tensors[t].ready = false;
	for (int i = 0; i < b->n_buckets; i++)
		b->buckets[i].n_ready = 0;
	b->n_started = 0;
	b->n_done = 0;
	b->in_step = true;
	b->summed = false;
	return FERRULE_OK;
}

ferrule_status_t ferrule_buckets_ready(ferrule_buckets_t b, int t)
{
	if (t < 0 || t >= b->n_tensors)
		return fr_error(FERRULE_ERR_ARGUMENT, "tensor %d; it must be 0 to %d", t,
		                b->n_tensors - 1);
	if (!b->in_step)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "tensor %d is ready outside a step; ferrule_buckets_begin() "
		                "starts one",
		                t);
	if (b->tensors[t].ready)
		return fr_error(FERRULE_ERR_ARGUMENT, "tensor %d is ready twice in one step", t);

	b->tensors[t].ready = true;
	b->buckets[b->tensors[t].bucket].n_ready++;
	while (b->n_started < b->n_buckets) {
		const struct bucket *next = &b->buckets[b->n_started];

		if (next->n_ready < next->n_tensors)
			break;
		const ferrule_status_t status = ferrule_op_start(next->op);

		if (status < 0)
			return status;
		b->n_started++;
	}
	return ferrule_buckets_progress(b);
}

ferrule_status_t ferrule_buckets_progress(ferrule_buckets_t b)
{
	while (b->n_done < b->n_started) {
		const ferrule_status_t status = ferrule_op_test(b->buckets[b->n_done].op);

		if (status == FERRULE_INPROGRESS)
			break;
		if (status)
			return status;
		b->n_done++;
	}
	return FERRULE_OK;
}

ferrule_status_t ferrule_buckets_finish(ferrule_buckets_t b)
{
	if (!b->in_step)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "no step to finish; ferrule_buckets_begin() starts one");
	for (int t = b->n_tensors - 1; t >= 0; t--) {
		if (!b->tensors[t].ready)
			return fr_error(FERRULE_ERR_ARGUMENT,
			                "tensor %d was not declared ready in this step", t);
	}
	while (b->n_done < b->n_buckets) {
		const ferrule_status_t status = ferrule_op_wait(b->buckets[b->n_done].op);

		if (status)
			return status;
		b->n_done++;
	}
	b->in_step = false;
	b->summed = true;
	return FERRULE_OK;
}

ferrule_status_t ferrule_buckets_mean(ferrule_buckets_t b, int t, size_t n_samples, float *mean_out)
{
	if (t < 0 || t >= b->n_tensors)
		return fr_error(FERRULE_ERR_ARGUMENT, "tensor %d; it must be 0 to %d", t,
		                b->n_tensors - 1);
	if (n_samples == 0)
		return fr_error(FERRULE_ERR_ARGUMENT, "a mean over 0 samples");
	if (!b->summed)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "gradients are not summed yet; ferrule_buckets_finish() does it");

	const struct tensor *tensor = &b->tensors[t];
	const void *sum = b->memory + tensor->offset;
	const double n = (double)n_samples;

	if (b->type == FERRULE_FLOAT64) {
		const double *sum64 = sum;

		for (size_t i = 0; i < tensor->count; i++)
			mean_out[i] = (float)(sum64[i] / n);
	} else {
		const float *sum32 = sum;

		for (size_t i = 0; i < tensor->count; i++)
			mean_out[i] = (float)(sum32[i] / n);
	}
	return FERRULE_OK;
}

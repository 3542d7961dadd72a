/*
 * What a data-parallel trainer in C needs besides collectives: which samples are mine,
 * gradients that are summed while the backward pass still runs, optimizers, checkpoints.
 *
 * One step of synchronous training with them:
 *
 *     ferrule_shard_batch(n_samples, batch, k, rank, n_ranks, &mine);
 *     ferrule_buckets_begin(buckets);
 *     for (each layer, last first) {
 *         ... add the gradients of order[mine.first .. +mine.count) to
 *             ferrule_buckets_gradient(buckets, tensor) ...
 *         ferrule_buckets_ready(buckets, tensor);
 *     }
 *     ferrule_buckets_finish(buckets);
 *     ferrule_optimizer_begin(optimizer);
 *     for (each tensor) {
 *         ferrule_buckets_mean(buckets, tensor, mine.batch_count, mean);
 *         ferrule_optimizer_apply(optimizer, first, count, params, mean);
 *     }
 *
 * Every error has a text in ferrule_comm_error_text(): that of the communicator for what
 * happened in a collective, that of NULL for everything else.  Threads: each object belongs
 * to one thread at a time.
 */
#ifndef FERRULE_TRAINER_H
#define FERRULE_TRAINER_H

#include <stdbool.h>

#include <ferrule/status.h>
#include <ferrule/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * Randomness that is the same on every rank and machine (xoshiro256++, seeded by splitmix64).
 * For shuffling and initial weights; not for secrets.
 */
struct ferrule_random {
	uint64_t state[4];
};
/* ferrule_random_init - `stream` tells apart the uses of one seed: different streams of a
 * seed are independent sequences. */
void ferrule_random_init(struct ferrule_random *r, uint64_t seed, uint64_t stream);
/* ferrule_random_u64 - 64 uniform bits. */
uint64_t ferrule_random_u64(struct ferrule_random *r);
/* ferrule_random_below - uniform in [0, bound), without bias; 0 when bound is 0. */
uint64_t ferrule_random_below(struct ferrule_random *r, uint64_t bound);
/* ferrule_random_unit - uniform in [0, 1), a multiple of 2^-53. */
double ferrule_random_unit(struct ferrule_random *r);

/* ferrule_shard_order - fills order[0..n) with the permutation of 0..n-1 in which `epoch` of
 * a run with `seed` visits its samples.  The same on every rank and for every rank count. */
void ferrule_shard_order(uint64_t seed, uint64_t epoch, uint64_t *order, size_t n);

/* One rank's part of one global batch. */
struct ferrule_shard {
	size_t first;       /* positions in the epoch's order, this rank's samples: */
	size_t count;       /* [first, first + count); may be empty */
	size_t batch_count; /* samples of the whole batch, over all ranks */
};
/* ferrule_shard_n_batches - batches an epoch has; the last one may be short.  0 when
 * there are no samples or the batch is 0. */
size_t ferrule_shard_n_batches(size_t n_samples, size_t batch);
/*
 * ferrule_shard_batch - which part of global batch k is `rank`'s.
 *
 * Batch k is positions [k * batch, min((k + 1) * batch, n_samples)), whatever the rank count,
 * so that runs with different rank counts see the same batches.  It is cut into n_ranks
 * contiguous pieces whose lengths differ by at most one; pieces are empty when there are
 * more ranks than samples.  Returns FERRULE_ERR_ARGUMENT for a batch of 0, a k past the
 * epoch's end, or a rank that is none.
 */
ferrule_status_t ferrule_shard_batch(size_t n_samples, size_t batch, size_t k, int rank,
                                     int n_ranks, struct ferrule_shard *shard_out);

/*
 * Gradient buckets: memory for the gradients of all tensors, grouped so that a group is
 * summed over the ranks as soon as the backward pass has finished it.
 *
 * Tensors are numbered in forward order; buckets are filled from the last tensor to the
 * first, because the backward pass finishes them in this order.
 */
typedef struct ferrule_buckets *ferrule_buckets_t;

/*
 * ferrule_buckets_create - collective; counts[t] elements of `type` (FERRULE_FLOAT32 or
 * FERRULE_FLOAT64) for each of n_tensors tensors, equal on all ranks.
 *
 * A tensor joins the current bucket while that stays within bucket_bytes; a larger tensor
 * has a bucket of its own.  The communicator must outlive the buckets, and each
 * communicator serves its operations in one order: do not mix other collectives on it
 * between ready and finish unless every rank does so at the same place.
 */
ferrule_status_t ferrule_buckets_create(ferrule_comm_t comm, const size_t *counts, int n_tensors,
                                        ferrule_type_t type, size_t bucket_bytes,
                                        ferrule_buckets_t *buckets_out);
/* ferrule_buckets_destroy - collective when a step is under way (it is waited for).  NULL is
 * a no-op. */
void ferrule_buckets_destroy(ferrule_buckets_t b);

/* ferrule_buckets_count - how many buckets the tensors were grouped into. */
int ferrule_buckets_count(ferrule_buckets_t b);
/* ferrule_buckets_of - the bucket that tensor t is in, -1 when there is no such tensor;
 * bucket 0 is the first to be sent and holds the last tensor. */
int ferrule_buckets_of(ferrule_buckets_t b, int t);
/*
 * ferrule_buckets_gradient - tensor t's gradient, NULL when there is no such tensor.
 * The caller's from begin until ready(t); afterwards read-only, and the sum over all ranks
 * once finish has returned.  64-byte aligned; valid until destroy.
 */
void *ferrule_buckets_gradient(ferrule_buckets_t b, int t);

/* ferrule_buckets_begin - start a step: all gradients become zero, none is ready. */
ferrule_status_t ferrule_buckets_begin(ferrule_buckets_t b);
/*
 * ferrule_buckets_ready - this rank's contribution to tensor t is complete.  Never waits.
 *
 * Any order is right; buckets are nevertheless sent in their own order, as all ranks must
 * agree on it.  The last tensor of a bucket starts its allreduce.
 */
ferrule_status_t ferrule_buckets_ready(ferrule_buckets_t b, int t);
/* ferrule_buckets_progress - moves sums that are under way without waiting; call it now and
 * then inside a long backward computation. */
ferrule_status_t ferrule_buckets_progress(ferrule_buckets_t b);
/* ferrule_buckets_finish - waits until every gradient is the sum over all ranks.  A tensor
 * that was not declared ready is FERRULE_ERR_ARGUMENT. */
ferrule_status_t ferrule_buckets_finish(ferrule_buckets_t b);
/*
 * ferrule_buckets_mean - tensor t's summed gradient divided by n_samples, as float32.
 * With n_samples the size of the global batch this weighs every sample alike, however
 * unevenly the batch was spread over the ranks.  Only after finish.
 */
ferrule_status_t ferrule_buckets_mean(ferrule_buckets_t b, int t, size_t n_samples,
                                      float *mean_out);

/*
 * Optimizers, on float32 parameters w with mean gradient g.  All add weight_decay * w to g
 * first (an L2 penalty of weight_decay / 2 * |w|^2, as in the classic forms of all three;
 * not the decoupled form of AdamW).
 *
 *   SGD       w -= lr * g
 *   MOMENTUM  v = momentum * v + g;  w -= lr * v
 *             (Polyak 1964, "heavy ball", in the form where lr scales the whole velocity)
 *   ADAM      m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g^2
 *             w -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
 *             (Kingma and Ba 2015, algorithm 1; t counts steps from 1)
 *
 * The same inputs give the same bits, on any number of ranks.
 */
enum ferrule_optimizer_kind {
	FERRULE_OPTIMIZER_SGD = 0,
	FERRULE_OPTIMIZER_MOMENTUM = 1,
	FERRULE_OPTIMIZER_ADAM = 2,
};

/* Set `size` to sizeof(struct ferrule_optimizer_options); every other member counts as it
 * stands, so start from ferrule_optimizer_defaults(). */
struct ferrule_optimizer_options {
	size_t size;
	enum ferrule_optimizer_kind kind;
	double lr;           /* above 0 */
	double momentum;     /* 0 to below 1 */
	double beta1, beta2; /* 0 to below 1 */
	double epsilon;      /* above 0 */
	double weight_decay; /* 0 or more */
};
/* ferrule_optimizer_defaults - lr 0.1 (Adam: 0.001), momentum 0.9, betas 0.9 and 0.999,
 * epsilon 1e-8, no weight decay. */
struct ferrule_optimizer_options ferrule_optimizer_defaults(enum ferrule_optimizer_kind kind);

typedef struct ferrule_optimizer *ferrule_optimizer_t;

/* ferrule_optimizer_create - state for n_params parameters, all zero.  Local. */
ferrule_status_t ferrule_optimizer_create(const struct ferrule_optimizer_options *options,
                                          size_t n_params, ferrule_optimizer_t *optimizer_out);
/* ferrule_optimizer_destroy - frees it.  NULL is a no-op. */
void ferrule_optimizer_destroy(ferrule_optimizer_t o);
/* ferrule_optimizer_begin - a new step: t grows by one. */
void ferrule_optimizer_begin(ferrule_optimizer_t o);
/* ferrule_optimizer_apply - updates params[0..count), which are parameters first to
 * first + count - 1 of the whole, with mean gradient mean[0..count).  Once a parameter and
 * step, after begin. */
ferrule_status_t ferrule_optimizer_apply(ferrule_optimizer_t o, size_t first, size_t count,
                                         float *params, const float *mean);
/* ferrule_optimizer_steps - steps begun so far, also before a checkpoint was restored. */
uint64_t ferrule_optimizer_steps(ferrule_optimizer_t o);
/* ferrule_optimizer_kind_name - "sgd", "momentum", "adam"; NULL for a value that is none. */
const char *ferrule_optimizer_kind_name(enum ferrule_optimizer_kind kind);

/*
 * Checkpoints: one file that holds all a run needs to go on as if it had never stopped.
 * Bit-identical when resumed with the same options and rank count; with another rank count
 * it goes on from the same state, and sums may round differently from then on.
 *
 * Format, little-endian: see lib/trainer/checkpoint_format.h.  It carries a version, all
 * sizes and a CRC-32 of everything; a file that is truncated, longer, or damaged in any
 * byte is refused as a whole.
 */
#define FERRULE_CHECKPOINT_METRICS    4
#define FERRULE_CHECKPOINT_MAX_CONFIG 4096
struct ferrule_checkpoint {
	size_t size;                                /* sizeof(struct ferrule_checkpoint) */
	uint64_t seed, epoch, batch;                /* the next batch to train on */
	double metrics[FERRULE_CHECKPOINT_METRICS]; /* the caller's own running numbers */
	const char *config; /* text that must be equal to resume: model, data, batch;
	                     * at most FERRULE_CHECKPOINT_MAX_CONFIG bytes */
	float *params;      /* written by save, filled by load */
	size_t n_params;
	ferrule_optimizer_t optimizer; /* its kind must be equal to resume */
	int n_ranks;                   /* set by load: ranks of the run that saved it */
};
/*
 * ferrule_checkpoint_save - collective; rank 0 writes and syncs a file beside PATH and renames it
 * to PATH, so that PATH is always a whole checkpoint, old or new, also when the disk is full.
 *
 * Symbolic links are followed to the file that they lead to.  A file that is replaced hands its
 * permissions on, and its owner where that is allowed.  What is no regular file (a pipe, a device)
 * and what is write-protected is refused.  All ranks return the same verdict and text.
 */
ferrule_status_t ferrule_checkpoint_save(ferrule_comm_t comm, const char *path,
                                         const struct ferrule_checkpoint *c);
/*
 * ferrule_checkpoint_load - collective; rank 0 reads PATH and gives it to all, so only its
 * host needs the file.  config, n_params and optimizer must fit; then seed, epoch, batch,
 * metrics, params, the optimizer's state and n_ranks are filled.  On an error nothing was
 * changed, on all ranks.
 */
ferrule_status_t ferrule_checkpoint_load(ferrule_comm_t comm, const char *path,
                                         struct ferrule_checkpoint *c);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

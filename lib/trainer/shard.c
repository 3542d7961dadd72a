/* Which samples a rank works on; see ferrule/trainer.h. */
#include "config.h"

#include <ferrule/trainer.h>

#include "lib/base/error.h"

/* Streams of ferrule_random_init() that shuffles take; callers use small numbers. */
#define ORDER_STREAM UINT64_C(0x6f72646572000000)

void ferrule_shard_order(uint64_t seed, uint64_t epoch, uint64_t *order, size_t n)
{
	struct ferrule_random r;

	ferrule_random_init(&r, seed, ORDER_STREAM + epoch);
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	/* Fisher and Yates. */
	for (size_t i = n; i > 1; i--) {
		const size_t j = ferrule_random_below(&r, i);
		const uint64_t swapped = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swapped;
	}
}

size_t ferrule_shard_n_batches(size_t n_samples, size_t batch)
{
	if (n_samples == 0 || batch == 0)
		return 0;
	return (n_samples - 1) / batch + 1;
}

ferrule_status_t ferrule_shard_batch(size_t n_samples, size_t batch, size_t k, int rank,
                                     int n_ranks, struct ferrule_shard *shard_out)
{
	const size_t n_batches = ferrule_shard_n_batches(n_samples, batch);

	if (batch == 0)
		return fr_error(FERRULE_ERR_ARGUMENT, "batch is 0; it must be at least 1 sample");
	if (k >= n_batches)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "batch number %zu is past the epoch's end; %zu samples in batches "
		                "of %zu are %zu batches",
		                k, n_samples, batch, n_batches);
	if (n_ranks < 1 || rank < 0 || rank >= n_ranks)
		return fr_error(FERRULE_ERR_ARGUMENT, "rank %d of %d; it must be 0 to %d", rank,
		                n_ranks, n_ranks - 1);

	const size_t begin = k * batch;
	const size_t length = n_samples - begin < batch ? n_samples - begin : batch;
	const size_t n = (size_t)n_ranks, r = (size_t)rank;
	const size_t share = length / n, longer = length % n;

	/* The first `longer` ranks take one sample more. */
	shard_out->first = begin + r * share + (r < longer ? r : longer);
	shard_out->count = share + (r < longer);
	shard_out->batch_count = length;
	return FERRULE_OK;
}

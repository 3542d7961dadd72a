/* Sharding and seeded randomness: exact partitions, the same for every rank count. */
#include "config.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/trainer.h>

#include "lib/base/error.h"
#include "tests/support/t_main.h"

/* Do the ranks' pieces lie one after the other and fill batch k, evenly? */
static bool covers_batch(size_t n_samples, size_t batch, size_t k, int n_ranks)
{
	const size_t begin = k * batch;
	const size_t end = begin + batch < n_samples ? begin + batch : n_samples;
	size_t at = begin, shortest = SIZE_MAX, longest = 0;

	for (int rank = 0; rank < n_ranks; rank++) {
		struct ferrule_shard s;

		if (ferrule_shard_batch(n_samples, batch, k, rank, n_ranks, &s))
			return false;
		if (s.first != at || s.batch_count != end - begin)
			return false;
		at += s.count;
		shortest = s.count < shortest ? s.count : shortest;
		longest = s.count > longest ? s.count : longest;
	}
	return at == end && longest - shortest <= 1;
}

static void test_pieces_partition_every_batch(void)
{
	static const size_t samples[] = {1, 2, 3, 7, 64, 65, 100, 1438};
	static const size_t batches[] = {1, 2, 3, 5, 64, 100, 1438, 5000};
	size_t n_bad = 0, n_checked = 0;

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		for (size_t j = 0; j < sizeof(batches) / sizeof(batches[0]); j++) {
			const size_t n_batches = ferrule_shard_n_batches(samples[i], batches[j]);
			size_t total = 0;

			for (size_t k = 0; k < n_batches; k++) {
				struct ferrule_shard s = {0};

				for (int n = 1; n <= 17; n++, n_checked++)
					n_bad += !covers_batch(samples[i], batches[j], k, n);
				CU_ASSERT_EQUAL(
					ferrule_shard_batch(samples[i], batches[j], k, 0, 1, &s),
					FERRULE_OK);
				total += s.count;
			}
			CU_ASSERT_EQUAL(total, samples[i]);
		}
	}
	CU_ASSERT_EQUAL(n_bad, 0);
	CU_ASSERT(n_checked > 10000);
}

static void test_more_ranks_than_samples_leaves_ranks_empty(void)
{
	struct ferrule_shard s;

	for (int rank = 0; rank < 7; rank++) {
		CU_ASSERT_EQUAL(ferrule_shard_batch(10, 3, 3, rank, 7, &s), FERRULE_OK);
		CU_ASSERT_EQUAL(s.count, rank == 0 ? 1 : 0);
		CU_ASSERT_EQUAL(s.batch_count, 1);
	}
}

static void test_no_samples_are_no_batches(void)
{
	CU_ASSERT_EQUAL(ferrule_shard_n_batches(0, 5), 0);
	CU_ASSERT_EQUAL(ferrule_shard_n_batches(5, 0), 0);
	CU_ASSERT_EQUAL(ferrule_shard_n_batches(SIZE_MAX, 1), SIZE_MAX);
	CU_ASSERT_EQUAL(ferrule_shard_n_batches(SIZE_MAX, SIZE_MAX), 1);
}

static void test_bad_arguments_are_named(void)
{
	struct ferrule_shard s = {.count = 99};

	CU_ASSERT_EQUAL(ferrule_shard_batch(10, 0, 0, 0, 1, &s), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(ferrule_shard_batch(10, 5, 2, 0, 1, &s), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "batch number 2"));
	CU_ASSERT_EQUAL(ferrule_shard_batch(10, 5, 0, 3, 3, &s), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "rank 3 of 3"));
	CU_ASSERT_EQUAL(ferrule_shard_batch(10, 5, 0, -1, 3, &s), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(ferrule_shard_batch(0, 5, 0, 0, 1, &s), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(s.count, 99);
}

static bool is_permutation(const uint64_t *order, size_t n)
{
	unsigned char *seen = calloc(n + 1, 1);
	bool ok = true;

	for (size_t i = 0; i < n && ok; i++) {
		ok = order[i] < n && !seen[order[i]];
		if (ok)
			seen[order[i]] = 1;
	}
	free(seen);
	return ok;
}

static void test_order_is_a_permutation_of_seed_and_epoch(void)
{
	uint64_t a[500], b[500];

	for (size_t n = 0; n <= 500; n += n < 4 ? 1 : 31) {
		ferrule_shard_order(3, 1, a, n);
		CU_ASSERT(is_permutation(a, n));
	}
	ferrule_shard_order(3, 1, a, 500);
	ferrule_shard_order(3, 1, b, 500);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	ferrule_shard_order(3, 2, b, 500);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	ferrule_shard_order(4, 1, b, 500);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	ferrule_shard_order(4, 0, a, 500);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
}

/* Over many epochs each sample is about as often first as any other. */
static void test_order_is_fair(void)
{
	enum { N = 10, EPOCHS = 20000 };
	int first[N] = {0};
	uint64_t order[N];

	for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
		ferrule_shard_order(1, epoch, order, N);
		first[order[0]]++;
	}
	/* 2000 expected, standard deviation 42: six of them never happen by chance. */
	for (int i = 0; i < N; i++)
		CU_ASSERT(first[i] > 2000 - 6 * 43 && first[i] < 2000 + 6 * 43);
}

static void test_random_is_the_published_generator(void)
{
	/* xoshiro256++ from state 1, 2, 3, 4: the first outputs, computed by hand from its
	 * definition: rotl(1 + 4, 23) + 1, then rotl(7 + rotl(6, 45), 23) + 7. */
	struct ferrule_random r = {{1, 2, 3, 4}};

	CU_ASSERT_EQUAL(ferrule_random_u64(&r), 41943041);
	CU_ASSERT_EQUAL(ferrule_random_u64(&r), 58720359);
}

static void test_random_below_stays_below(void)
{
	struct ferrule_random r;
	int count[3] = {0};

	ferrule_random_init(&r, 1, 0);
	CU_ASSERT_EQUAL(ferrule_random_below(&r, 0), 0);
	CU_ASSERT_EQUAL(ferrule_random_below(&r, 1), 0);
	for (int i = 0; i < 30000; i++)
		count[ferrule_random_below(&r, 3)]++;
	for (int i = 0; i < 3; i++)
		CU_ASSERT(count[i] > 10000 - 500 && count[i] < 10000 + 500);
	for (int i = 0; i < 1000; i++) {
		const double x = ferrule_random_unit(&r);

		CU_ASSERT(x >= 0 && x < 1);
		CU_ASSERT(ferrule_random_below(&r, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
	}
}

static void test_random_streams_differ(void)
{
	struct ferrule_random a, b;

	ferrule_random_init(&a, 1, 2);
	ferrule_random_init(&b, 2, 1);
	CU_ASSERT_NOT_EQUAL(ferrule_random_u64(&a), ferrule_random_u64(&b));
	ferrule_random_init(&a, 0, 0);
	ferrule_random_init(&b, 0, 1);
	CU_ASSERT_NOT_EQUAL(ferrule_random_u64(&a), ferrule_random_u64(&b));
}

int main(void)
{
	static const struct t_case cases[] = {
		{"pieces partition every batch", test_pieces_partition_every_batch},
		{"more ranks than samples leaves ranks empty",
	         test_more_ranks_than_samples_leaves_ranks_empty},
		{"no samples are no batches", test_no_samples_are_no_batches},
		{"bad arguments are named", test_bad_arguments_are_named},
		{"order is a permutation of seed and epoch",
	         test_order_is_a_permutation_of_seed_and_epoch},
		{"order is fair", test_order_is_fair},
		{"random is the published generator", test_random_is_the_published_generator},
		{"random below stays below", test_random_below_stays_below},
		{"random streams differ", test_random_streams_differ},
		{NULL, NULL},
	};

	return t_main("shard", cases);
}

/* Gradient buckets over real ranks: layout, sums, any order of readiness, misuse. */
#include "config.h"

#include <CUnit/CUnit.h>
#include <stdint.h>
#include <string.h>

#include <ferrule/ferrule.h>
#include <ferrule/trainer.h>

#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

#define DEADLINE_S 30

static const size_t counts[] = {5, 0, 300, 7, 1, 64};
#define N_TENSORS ((int)(sizeof(counts) / sizeof(counts[0])))

/* One way to use buckets, run by every rank. */
struct variant {
	ferrule_type_t type;
	size_t bucket_bytes;
	int n_buckets;    /* expected */
	bool is_shuffled; /* each rank declares its tensors ready in an order of its own */
};

/* What rank r contributes to element i of tensor t in a step; small whole numbers, so that
 * any order of summing gives the same bits. */
static double contribution(int r, int t, size_t i, int step)
{
	return (double)((r + 1) * (t + 2) + (int)i % 11 - 3 * step);
}

static void fill(ferrule_buckets_t b, const struct variant *v, int rank, int t, int step)
{
	float *f = ferrule_buckets_gradient(b, t);
	double *d = ferrule_buckets_gradient(b, t);

	CU_ASSERT_EQUAL((uintptr_t)f % 64, 0);
	for (size_t i = 0; i < counts[t]; i++) {
		/* begin has zeroed it. */
		if (v->type == FERRULE_FLOAT32)
			f[i] += (float)contribution(rank, t, i, step);
		else
			d[i] += contribution(rank, t, i, step);
	}
}

static void check_sums(ferrule_buckets_t b, const struct variant *v, int n_ranks, int step)
{
	size_t n_wrong = 0;

	for (int t = 0; t < N_TENSORS; t++) {
		const float *f = ferrule_buckets_gradient(b, t);
		const double *d = ferrule_buckets_gradient(b, t);
		float mean[300];

		CU_ASSERT_EQUAL(ferrule_buckets_mean(b, t, 3, mean), FERRULE_OK);
		for (size_t i = 0; i < counts[t]; i++) {
			double sum = 0;

			for (int r = 0; r < n_ranks; r++)
				sum += contribution(r, t, i, step);
			n_wrong += (v->type == FERRULE_FLOAT32 ? (double)f[i] : d[i]) != sum;
			n_wrong += mean[i] != (float)(sum / 3);
		}
	}
	CU_ASSERT_EQUAL(n_wrong, 0);
}

static void one_step(ferrule_buckets_t b, const struct variant *v, int rank, int n_ranks, int step)
{
	uint64_t order[N_TENSORS];

	for (int i = 0; i < N_TENSORS; i++)
		order[i] = (uint64_t)(N_TENSORS - 1 - i);
	if (v->is_shuffled)
		ferrule_shard_order((uint64_t)rank, (uint64_t)step, order, N_TENSORS);
	CU_ASSERT_EQUAL(ferrule_buckets_begin(b), FERRULE_OK);
	for (int i = 0; i < N_TENSORS; i++) {
		fill(b, v, rank, (int)order[i], step);
		CU_ASSERT_EQUAL(ferrule_buckets_ready(b, (int)order[i]), FERRULE_OK);
		CU_ASSERT_EQUAL(ferrule_buckets_progress(b), FERRULE_OK);
	}
	CU_ASSERT_EQUAL(ferrule_buckets_finish(b), FERRULE_OK);
	check_sums(b, v, n_ranks, step);
}

static int sum_steps(int rank, int n_ranks, void *arg)
{
	const unsigned failures_before = t_failures();
	const struct variant *v = arg;
	ferrule_buckets_t b = NULL;
	ferrule_comm_t comm;

	if (ferrule_comm_create_from_env(NULL, &comm))
		return 1;
	if (ferrule_buckets_create(comm, counts, N_TENSORS, v->type, v->bucket_bytes, &b))
		return 1;
	CU_ASSERT_EQUAL(ferrule_buckets_count(b), v->n_buckets);
	CU_ASSERT_EQUAL(ferrule_buckets_of(b, N_TENSORS - 1), 0);
	CU_ASSERT_EQUAL(ferrule_buckets_of(b, 0), v->n_buckets - 1);
	for (int step = 0; step < 4; step++)
		one_step(b, v, rank, n_ranks, step);
	ferrule_buckets_destroy(b);
	CU_ASSERT_EQUAL(ferrule_comm_finalize(comm), FERRULE_OK);
	ferrule_comm_destroy(comm);
	return t_failures() != failures_before;
}

static void run_on_all(struct variant *v)
{
	static const int n_ranks[] = {1, 2, 3, 4};

	for (size_t i = 0; i < sizeof(n_ranks) / sizeof(n_ranks[0]); i++)
		CU_ASSERT_EQUAL(t_spawn(n_ranks[i], DEADLINE_S, sum_steps, v, NULL), 0);
}

static void test_one_bucket_sums_everything(void)
{
	run_on_all(&(struct variant){FERRULE_FLOAT64, 1 << 20, 1, false});
}

static void test_tensors_larger_than_a_bucket_have_their_own(void)
{
	/* Every tensor of more than 0 bytes begins a new one; the empty one joins. */
	run_on_all(&(struct variant){FERRULE_FLOAT32, 1, 5, false});
}

static void test_buckets_fill_from_the_last_tensor(void)
{
	/* 64 float64 fill a bucket of 512 bytes; then 64 + 64 bytes; then 2432; then 64. */
	run_on_all(&(struct variant){FERRULE_FLOAT64, 512, 4, false});
}

static void test_ranks_may_be_ready_in_different_orders(void)
{
	run_on_all(&(struct variant){FERRULE_FLOAT64, 512, 4, true});
}

static void expect_misuse(ferrule_status_t status, const char *text)
{
	CU_ASSERT_EQUAL(status, FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(ferrule_comm_error_text(NULL), text));
}

static void misuse_a_step(ferrule_buckets_t b)
{
	float mean[300];

	expect_misuse(ferrule_buckets_ready(b, 0), "outside a step");
	expect_misuse(ferrule_buckets_finish(b), "no step to finish");
	expect_misuse(ferrule_buckets_mean(b, 0, 1, mean), "not summed yet");
	CU_ASSERT_EQUAL(ferrule_buckets_begin(b), FERRULE_OK);
	CU_ASSERT_EQUAL(ferrule_buckets_begin(b), FERRULE_ERR_BUSY);
	expect_misuse(ferrule_buckets_ready(b, N_TENSORS), "tensor 6; it must be 0 to 5");
	expect_misuse(ferrule_buckets_ready(b, -1), "tensor -1");
	CU_ASSERT_EQUAL(ferrule_buckets_ready(b, 2), FERRULE_OK);
	expect_misuse(ferrule_buckets_ready(b, 2), "tensor 2 is ready twice");
	expect_misuse(ferrule_buckets_finish(b), "tensor 5 was not declared ready");
	for (int t = 0; t < N_TENSORS; t++)
		CU_ASSERT_EQUAL(t == 2 ? FERRULE_OK : ferrule_buckets_ready(b, t), FERRULE_OK);
	CU_ASSERT_EQUAL(ferrule_buckets_finish(b), FERRULE_OK);
	expect_misuse(ferrule_buckets_mean(b, N_TENSORS, 1, mean), "tensor 6");
	expect_misuse(ferrule_buckets_mean(b, 0, 0, mean), "0 samples");
	CU_ASSERT_PTR_NULL(ferrule_buckets_gradient(b, N_TENSORS));
	CU_ASSERT_PTR_NULL(ferrule_buckets_gradient(b, -1));
	CU_ASSERT_EQUAL(ferrule_buckets_of(b, N_TENSORS), -1);
}

static int misuse(int rank, int n_ranks, void *arg)
{
	static const size_t too_many[] = {SIZE_MAX / 8};
	const unsigned failures_before = t_failures();
	ferrule_buckets_t b = NULL;
	ferrule_comm_t comm;

	(void)rank, (void)n_ranks, (void)arg;
	if (ferrule_comm_create_from_env(NULL, &comm))
		return 1;
	expect_misuse(ferrule_buckets_create(comm, counts, 0, FERRULE_FLOAT32, 1, &b),
	              "n_tensors is 0");
	expect_misuse(ferrule_buckets_create(comm, counts, 1, FERRULE_INT32, 1, &b),
	              "must be float or double");
	expect_misuse(ferrule_buckets_create(comm, counts, 1, FERRULE_FLOAT32, 0, &b),
	              "bucket_bytes is 0");
	expect_misuse(ferrule_buckets_create(comm, too_many, 1, FERRULE_FLOAT64, 1, &b),
	              "tensor 0 has");
	CU_ASSERT_PTR_NULL(b);
	if (ferrule_buckets_create(comm, counts, N_TENSORS, FERRULE_FLOAT32, 256, &b))
		return 1;
	misuse_a_step(b);
	ferrule_buckets_destroy(b);
	ferrule_buckets_destroy(NULL);
	CU_ASSERT_EQUAL(ferrule_comm_finalize(comm), FERRULE_OK);
	ferrule_comm_destroy(comm);
	return t_failures() != failures_before;
}

static void test_misuse_is_named_and_does_no_harm(void)
{
	CU_ASSERT_EQUAL(t_spawn(2, DEADLINE_S, misuse, NULL, NULL), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"one bucket sums everything", test_one_bucket_sums_everything},
		{"tensors larger than a bucket have their own",
	         test_tensors_larger_than_a_bucket_have_their_own},
		{"buckets fill from the last tensor", test_buckets_fill_from_the_last_tensor},
		{"ranks may be ready in different orders",
	         test_ranks_may_be_ready_in_different_orders},
		{"misuse is named and does no harm", test_misuse_is_named_and_does_no_harm},
		{NULL, NULL},
	};

	return t_main("buckets", cases);
}

/* Figures from times: known answers, and nothing left out. */
#include "config.h"

#include "lib/perf/perf_stats.h"

#include <math.h>
#include <stdlib.h>

#include "tests/support/t_main.h"

static bool is_near(double value, double wanted, double share)
{
	return fabs(value - wanted) <= share * fabs(wanted) + 1e-12;
}

static struct fr_perf_latency latency_of(const uint64_t *times, size_t n)
{
	struct fr_perf_samples s;
	struct fr_perf_latency l;

	CU_ASSERT_FATAL(fr_perf_samples_init(&s, n > 0 ? n : 1));
	for (size_t i = 0; i < n; i++)
		fr_perf_samples_add(&s, times[i]);
	fr_perf_latency(&s, &l);
	fr_perf_samples_fini(&s);
	return l;
}

static void test_textbook_deviation(void)
{
	static const uint64_t times[] = {9, 2, 4, 5, 4, 7, 4, 5};
	const struct fr_perf_latency l = latency_of(times, 8);

	CU_ASSERT_EQUAL(l.n, 8);
	CU_ASSERT_DOUBLE_EQUAL(l.average, 5, 1e-12);
	CU_ASSERT_DOUBLE_EQUAL(l.deviation, 2, 1e-12);
	CU_ASSERT_DOUBLE_EQUAL(l.median, 4.5, 1e-12);
	CU_ASSERT_DOUBLE_EQUAL(l.min, 2, 0);
	CU_ASSERT_DOUBLE_EQUAL(l.max, 9, 0);
	CU_ASSERT_DOUBLE_EQUAL(l.p99, 9, 0);
}

static void test_percentiles(void)
{
	static const struct {
		size_t n;
		double median, p99, p999;
	} rows[] = {
		{1, 1, 1, 1},
		{2, 1.5, 2, 2},
		{3, 2, 3, 3},
		{100, 50.5, 99, 100},
		{101, 51, 100, 101},
		{200, 100.5, 198, 200},
		{1000, 500.5, 990, 999},
		{10000, 5000.5, 9900, 9990},
	};
	uint64_t times[10000];

	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		const size_t n = rows[row].n;
		/* 1 to n, the largest first. */
		for (size_t i = 0; i < n; i++)
			times[i] = n - i;
		const struct fr_perf_latency l = latency_of(times, n);
		CU_ASSERT_DOUBLE_EQUAL(l.median, rows[row].median, 0);
		CU_ASSERT_DOUBLE_EQUAL(l.p99, rows[row].p99, 0);
		CU_ASSERT_DOUBLE_EQUAL(l.p999, rows[row].p999, 0);
	}
}

static void test_outliers_count(void)
{
	uint64_t times[1000];

	for (size_t i = 0; i < 1000; i++)
		times[i] = 10;
	times[0] = 5000;
	times[999] = 7000;
	const struct fr_perf_latency l = latency_of(times, 1000);
	CU_ASSERT_DOUBLE_EQUAL(l.max, 7000, 0);
	CU_ASSERT_DOUBLE_EQUAL(l.p999, 5000, 0);
	CU_ASSERT_DOUBLE_EQUAL(l.average, (998 * 10 + 12000) / 1000.0, 1e-9);
}

static void test_no_times(void)
{
	const struct fr_perf_latency l = latency_of(NULL, 0);

	CU_ASSERT_EQUAL(l.n, 0);
	CU_ASSERT_DOUBLE_EQUAL(l.max, 0, 0);
	CU_ASSERT_DOUBLE_EQUAL(l.deviation, 0, 0);
}

static void test_full_array_takes_no_more(void)
{
	struct fr_perf_samples s;

	CU_ASSERT_FATAL(fr_perf_samples_init(&s, 2));
	for (int i = 0; i < 5; i++)
		fr_perf_samples_add(&s, 7);
	CU_ASSERT_EQUAL(s.n, 2);
	fr_perf_samples_clear(&s);
	CU_ASSERT_EQUAL(s.n, 0);
	fr_perf_samples_fini(&s);
}

static void test_bins_are_in_order(void)
{
	unsigned before = 0;

	for (int shift = 0; shift < 64; shift++) {
		for (int part = 0; part < 2; part++) {
			const uint64_t ns =
				(UINT64_C(1) << shift) + (part ? (UINT64_C(1) << shift) - 1 : 0);
			const unsigned bin = fr_perf_bin(ns);
			CU_ASSERT(bin >= before && bin < FR_PERF_BINS);
			before = bin;
		}
	}
	CU_ASSERT_EQUAL(fr_perf_bin(UINT64_MAX), FR_PERF_BINS - 1);
}

static uint64_t state = 88172645463325252u;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Bins must tell what kept times tell, but for the width of a bin. */
static void test_bins_agree_with_times(void)
{
	enum { N = 20000 };
	struct fr_perf_samples kept, binned;
	struct fr_perf_latency exact, coarse;

	CU_ASSERT_FATAL(fr_perf_samples_init(&kept, N));
	CU_ASSERT_FATAL(fr_perf_samples_init(&binned, 0));
	for (int round = 0; round < 2; round++) {
		fr_perf_samples_clear(&kept);
		fr_perf_samples_clear(&binned);
		for (int i = 0; i < N; i++) {
			/* From tens of nanoseconds to seconds. */
			const uint64_t ns =
				50 + draw() % 1000 + (draw() % 50 == 0 ? draw() >> 34 : 0);
			fr_perf_samples_add(&kept, ns);
			fr_perf_samples_add(&binned, ns);
		}
		fr_perf_latency(&kept, &exact);
		fr_perf_latency(&binned, &coarse);
		CU_ASSERT_EQUAL(coarse.n, exact.n);
		CU_ASSERT_DOUBLE_EQUAL(coarse.min, exact.min, 0);
		CU_ASSERT_DOUBLE_EQUAL(coarse.max, exact.max, 0);
		CU_ASSERT(is_near(coarse.average, exact.average, 1e-9));
		CU_ASSERT(is_near(coarse.deviation, exact.deviation, 1e-6));
		CU_ASSERT(is_near(coarse.median, exact.median, 0.004));
		CU_ASSERT(is_near(coarse.p99, exact.p99, 0.004));
		CU_ASSERT(is_near(coarse.p999, exact.p999, 0.004));
	}
	fr_perf_samples_fini(&kept);
	fr_perf_samples_fini(&binned);
}

/* ---- the peak ---- */

/* By its definition: every run is looked at. */
static double slow_peak(const struct fr_perf_mark *m, size_t n)
{
	double best = INFINITY;

	for (size_t i = 0; i < n; i++) {
		double messages = 0;
		for (size_t j = i; j < n; j++) {
			messages += m[j].n;
			const double time = (double)(m[j].done_ns - m[i].posted_ns) / messages;
			best = time < best ? time : best;
		}
	}
	return 1e9 / best;
}

static void test_peak_of_steady_stream(void)
{
	struct fr_perf_mark marks[50];

	CU_ASSERT_DOUBLE_EQUAL(fr_perf_peak(marks, 0), 0, 0);
	for (uint64_t i = 0; i < 50; i++)
		marks[i] = (struct fr_perf_mark){1000 + i * 100, 1000 + (i + 1) * 100, 4};
	/* 4 messages in 100 ns. */
	CU_ASSERT(is_near(fr_perf_peak(marks, 50), 4e7, 1e-9));
	CU_ASSERT(is_near(fr_perf_peak(marks, 1), 4e7, 1e-9));
}

static void test_peak_finds_the_fast_run(void)
{
	struct fr_perf_mark marks[90];
	uint64_t now = 5000000;

	/* 30 messages at 100 ns, 30 at 20 ns, 30 at 300 ns, one after the other. */
	for (int i = 0; i < 90; i++) {
		const uint64_t step = i < 30 ? 100 : i < 60 ? 20 : 300;
		marks[i] = (struct fr_perf_mark){now, now + step, 1};
		now += step;
	}
	CU_ASSERT(is_near(fr_perf_peak(marks, 90), 5e7, 1e-9));
}

static void test_peak_is_that_of_its_definition(void)
{
	struct fr_perf_mark marks[120];

	for (int round = 0; round < 200; round++) {
		const size_t n = 1 + draw() % 120;
		uint64_t posted = draw() % 1000000, done = posted;
		for (size_t i = 0; i < n; i++) {
			posted += draw() % 100;
			done = (done > posted ? done : posted) + 1 + draw() % 200;
			marks[i] =
				(struct fr_perf_mark){posted, done, 1 + (uint32_t)(draw() % 100)};
		}
		CU_ASSERT(is_near(fr_perf_peak(marks, n), slow_peak(marks, n), 1e-9));
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"deviation of a textbook", test_textbook_deviation},
		{"percentiles", test_percentiles},
		{"outliers count", test_outliers_count},
		{"no times", test_no_times},
		{"a full array takes no more", test_full_array_takes_no_more},
		{"bins are in order", test_bins_are_in_order},
		{"bins agree with times", test_bins_agree_with_times},
		{"peak of a steady stream", test_peak_of_steady_stream},
		{"peak finds the fast run", test_peak_finds_the_fast_run},
		{"peak is that of its definition", test_peak_is_that_of_its_definition},
		{NULL, NULL},
	};

	return t_main("perf_stats", cases);
}

#include "config.h"

#include "lib/perf/perf_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- bandwidth ---- */

/* The best run's time a message is at most `best`: is there one that is faster?  Its time. */
static double faster_than(const struct fr_perf_mark *marks, size_t n, double best)
{
	/*
	 * A run [i..j] takes less than `best` a message when done[j] - best * messages before and
	 * in j is less than posted[i] - best * messages before i: the largest value so far of the
	 * right side is all one has to remember.
	 */
	const uint64_t origin = marks[0].posted_ns;
	double largest = -INFINITY, before = 0, first = 0, first_before = 0, found = best;

	for (size_t k = 0; k < n; k++) {
		const double posted = (double)(int64_t)(marks[k].posted_ns - origin);
		if (posted - best * before > largest) {
			largest = posted - best * before;
			first = posted;
			first_before = before;
		}
		before += marks[k].n;
		const double done = (double)(int64_t)(marks[k].done_ns - origin);
		const double time = (done - first) / (before - first_before);
		if (done - best * before < largest && time < found)
			found = time;
	}
	return found;
}

double fr_perf_peak(const struct fr_perf_mark *marks, size_t n)
{
	if (n == 0 || marks[n - 1].done_ns <= marks[0].posted_ns)
		return 0;
	uint64_t messages = 0;
	for (size_t k = 0; k < n; k++)
		messages += marks[k].n;
	double best = (double)(marks[n - 1].done_ns - marks[0].posted_ns) / (double)messages;
	/* Each turn finds a better run or none; the number of turns is small, and bounded. */
	for (int turn = 0; turn < 64; turn++) {
		const double better = faster_than(marks, n, best);
		if (better >= best || better <= 0)
			break;
		best = better;
	}
	return 1e9 / best;
}

/* ---- latency ---- */

bool fr_perf_samples_init(struct fr_perf_samples *s, size_t capacity)
{
	const size_t bytes = (capacity ? capacity : FR_PERF_BINS) * sizeof(uint64_t);
	uint64_t *memory = malloc(bytes);

	memset(s, 0, sizeof(*s));
	if (memory == NULL)
		return false;
	memset(memory, 0, bytes);
	s->capacity = capacity;
	if (capacity)
		s->times_ns = memory;
	else
		s->bins = memory;
	return true;
}

void fr_perf_samples_fini(struct fr_perf_samples *s)
{
	free(s->times_ns);
	free(s->bins);
	memset(s, 0, sizeof(*s));
}

void fr_perf_samples_clear(struct fr_perf_samples *s)
{
	s->n = 0;
	s->sum = s->sum_of_squares = 0;
	if (s->bins != NULL)
		memset(s->bins, 0, FR_PERF_BINS * sizeof(*s->bins));
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The place, from 0, of the smallest time that `share` of n times do not exceed. */
static size_t rank_of(double share, size_t n)
{
	/* A share such as 0.99 is a little more than it says in binary; 99 of 100 is still 99. */
	const double place = ceil(share * (double)n - 1e-9 * (double)n);

	return place < 1 ? 0 : (size_t)place - 1;
}

static void from_times(struct fr_perf_samples *s, struct fr_perf_latency *out)
{
	uint64_t *t = s->times_ns;
	const size_t n = s->n;
	double sum = 0, squares = 0;

	qsort(t, n, sizeof(*t), compare);
	for (size_t i = 0; i < n; i++)
		sum += (double)t[i];
	out->average = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += ((double)t[i] - out->average) * ((double)t[i] - out->average);
	out->deviation = sqrt(squares / (double)n);
	out->min = (double)t[0];
	out->max = (double)t[n - 1];
	out->median = ((double)t[(n - 1) / 2] + (double)t[n / 2]) / 2;
	out->p99 = (double)t[rank_of(0.99, n)];
	out->p999 = (double)t[rank_of(0.999, n)];
}

/* The middle of the bin that holds the time at this place, within the extremes. */
static double time_at(const struct fr_perf_samples *s, size_t place)
{
	unsigned bin = 0;
	uint64_t below = s->bins[0];

	while (below <= place && bin + 1 < FR_PERF_BINS)
		below += s->bins[++bin];
	const unsigned group = bin >> FR_PERF_BIN_BITS;
	const unsigned shift = group > 1 ? group - 1 : 0;
	const double low = (double)((uint64_t)(bin - (shift << FR_PERF_BIN_BITS)) << shift);
	const double middle = low + (double)((UINT64_C(1) << shift) - 1) / 2;

	return fmin(fmax(middle, (double)s->min_ns), (double)s->max_ns);
}

static void from_bins(const struct fr_perf_samples *s, struct fr_perf_latency *out)
{
	const double n = (double)s->n, mean = s->sum / n;

	out->average = (double)s->first_ns + mean;
	out->deviation = sqrt(fmax(s->sum_of_squares / n - mean * mean, 0));
	out->min = (double)s->min_ns;
	out->max = (double)s->max_ns;
	out->median = (time_at(s, (s->n - 1) / 2) + time_at(s, s->n / 2)) / 2;
	out->p99 = time_at(s, rank_of(0.99, s->n));
	out->p999 = time_at(s, rank_of(0.999, s->n));
}

void fr_perf_latency(struct fr_perf_samples *s, struct fr_perf_latency *out)
{
	memset(out, 0, sizeof(*out));
	out->n = s->n;
	if (s->n == 0)
		return;
	if (s->times_ns != NULL)
		from_times(s, out);
	else
		from_bins(s, out);
}

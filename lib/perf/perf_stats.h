/*
 * perf_stats.h - figures from times.  Pure; nothing is left out of them.
 */
#ifndef FR_PERF_STATS_H
#define FR_PERF_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Consecutive messages that one completion covers. */
struct fr_perf_mark {
	uint64_t posted_ns; /* the first of them, or a moment before */
	uint64_t done_ns;   /* the last of them, or a moment after */
	uint32_t n;
};

/* fr_perf_peak - messages a second of the best run of marks [i..j], from i's post to j's
 * completion; 0 for no marks. */
double fr_perf_peak(const struct fr_perf_mark *marks, size_t n);

/*
 * Times of a latency test.  Each is kept when there is room for all of them, which there is when
 * the number is known.  A test by duration counts them in bins instead, 128 to a doubling, so
 * that no percentile is more than 0.4 % away from the true one; extremes and moments are exact.
 */
#define FR_PERF_BIN_BITS 7
#define FR_PERF_BINS     ((64 - FR_PERF_BIN_BITS + 1) << FR_PERF_BIN_BITS)
struct fr_perf_samples {
	uint64_t *times_ns; /* [capacity], or NULL: bins */
	size_t n, capacity;
	uint64_t *bins; /* [FR_PERF_BINS] */
	uint64_t min_ns, max_ns;
	double sum, sum_of_squares; /* of differences to the first time, where squares stay small */
	uint64_t first_ns;
};

/* fr_perf_samples_init - room for `capacity` times, 0: bins.  False without memory.  The memory
 * is touched, so that adding causes no page fault. */
bool fr_perf_samples_init(struct fr_perf_samples *s, size_t capacity);
void fr_perf_samples_fini(struct fr_perf_samples *s);
void fr_perf_samples_clear(struct fr_perf_samples *s);

/* fr_perf_bin - which bin a time is counted in. */
static inline unsigned fr_perf_bin(uint64_t ns)
{
	if (ns >> FR_PERF_BIN_BITS == 0)
		return (unsigned)ns;
	const unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - FR_PERF_BIN_BITS;

	return (shift << FR_PERF_BIN_BITS) + (unsigned)(ns >> shift);
}

/* fr_perf_samples_add - in the measured loop; a full array takes no more. */
static inline void fr_perf_samples_add(struct fr_perf_samples *s, uint64_t ns)
{
	if (s->times_ns != NULL) {
		if (s->n < s->capacity)
			s->times_ns[s->n++] = ns;
		return;
	}
	if (s->n++ == 0)
		s->first_ns = s->min_ns = s->max_ns = ns;
	const double difference = (double)ns - (double)s->first_ns;
	s->sum += difference;
	s->sum_of_squares += difference * difference;
	s->min_ns = ns < s->min_ns ? ns : s->min_ns;
	s->max_ns = ns > s->max_ns ? ns : s->max_ns;
	s->bins[fr_perf_bin(ns)]++;
}

/* All in nanoseconds.  The median of an even number is the mean of the middle two; a percentile
 * is the smallest time that so many of the times do not exceed. */
struct fr_perf_latency {
	size_t n;
	double min, max, median, average, deviation, p99, p999;
};
/* fr_perf_latency - sorts what is kept.  All zero without times. */
void fr_perf_latency(struct fr_perf_samples *s, struct fr_perf_latency *out);

#endif

/*
 * kernel_bench - how near the reduction kernels come to what the machine can move.
 *
 *     kernel_bench [ISA]        reference, avx2, avx512; default: the best of this machine
 *
 * Every row is a kernel (sum) beside the simplest vector loop with the same loads and stores,
 * on the same memory, as float32: c = a + b, two destinations, four sources, a copy.  The two
 * take turns; `ratio` is the median over the rounds of loop time / kernel time, so 1.00 is
 * the machine's own speed.  GB/s count one buffer.  The second table is the time of small calls.
 */
#include "config.h"

#include "kernels/kernels.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_ROUNDS    15
#define N_SOURCES   4
#define MAX_BYTES   ((size_t)64 << 20)
#define ROUND_BYTES ((size_t)16 << 20) /* moved at least in each turn */

/* Buffers begin in different lines of their pages, as those of a real program do. */
struct buffers {
	char *src[N_SOURCES];
	char *dst, *dst2;
};

enum pattern { REDUCE, REDUCE2, FOLD, COPY, COPY2, N_PATTERNS };

/* One row of the table. */
struct row {
	const char *name;
	enum pattern pattern;
	enum fr_stream stream;
};

static const struct row rows[] = {
	{"reduce", REDUCE, FR_STREAM_NONE},
	{"reduce nt", REDUCE, FR_STREAM_DST},
	{"reduce2", REDUCE2, FR_STREAM_NONE},
	{"reduce2 nt dst", REDUCE2, FR_STREAM_DST},
	{"reduce2 nt dst2", REDUCE2, FR_STREAM_DST2},
	{"reduce2 nt both", REDUCE2, FR_STREAM_BOTH},
	{"fold 4", FOLD, FR_STREAM_NONE},
	{"copy", COPY, FR_STREAM_NONE},
	{"copy nt", COPY, FR_STREAM_DST},
	{"copy2", COPY2, FR_STREAM_NONE},
	{"copy2 nt dst2", COPY2, FR_STREAM_DST2},
	{"copy2 nt both", COPY2, FR_STREAM_BOTH},
};

#ifdef __x86_64__
#include <immintrin.h>
typedef __m256 vector;
#define LOOP_TARGET      __attribute__((target("avx2"), noinline))
#define STREAM(place, x) _mm256_stream_ps((float *)(place), x)
#else
typedef float vector __attribute__((vector_size(16)));
#define LOOP_TARGET      __attribute__((noinline))
#define STREAM(place, x) (*(place) = (x))
#endif

/* The loops that stand for the machine. */

LOOP_TARGET static void loop_add(vector *d, vector *e, vector *const *s, size_t n)
{
	(void)e;
	for (size_t i = 0; i < n; i++)
		d[i] = s[0][i] + s[1][i];
}

LOOP_TARGET static void loop_add_nt(vector *d, vector *e, vector *const *s, size_t n)
{
	(void)e;
	for (size_t i = 0; i < n; i++)
		STREAM(d + i, s[0][i] + s[1][i]);
}

LOOP_TARGET static void loop_add2(vector *d, vector *e, vector *const *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		d[i] = e[i] = s[0][i] + s[1][i];
}

LOOP_TARGET static void loop_add2_nt(vector *d, vector *e, vector *const *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const vector x = s[0][i] + s[1][i];
		d[i] = x;
		STREAM(e + i, x);
	}
}

LOOP_TARGET static void loop_add2_nt_both(vector *d, vector *e, vector *const *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const vector x = s[0][i] + s[1][i];
		STREAM(d + i, x);
		STREAM(e + i, x);
	}
}

LOOP_TARGET static void loop_add4(vector *d, vector *e, vector *const *s, size_t n)
{
	(void)e;
	for (size_t i = 0; i < n; i++)
		d[i] = s[0][i] + s[1][i] + s[2][i] + s[3][i];
}

LOOP_TARGET static void loop_copy(vector *d, vector *e, vector *const *s, size_t n)
{
	(void)e;
	for (size_t i = 0; i < n; i++) {
		d[i] = s[0][i];
		__asm__ volatile("" ::: "memory"); /* or it would become a call of memcpy */
	}
}

LOOP_TARGET static void loop_copy_nt(vector *d, vector *e, vector *const *s, size_t n)
{
	(void)e;
	for (size_t i = 0; i < n; i++)
		STREAM(d + i, s[0][i]);
}

LOOP_TARGET static void loop_copy2(vector *d, vector *e, vector *const *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		d[i] = e[i] = s[0][i];
}

LOOP_TARGET static void loop_copy2_nt(vector *d, vector *e, vector *const *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		d[i] = s[0][i];
		STREAM(e + i, s[0][i]);
	}
}

LOOP_TARGET static void loop_copy2_nt_both(vector *d, vector *e, vector *const *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		STREAM(d + i, s[0][i]);
		STREAM(e + i, s[0][i]);
	}
}

typedef void loop_fn(vector *d, vector *e, vector *const *s, size_t n);

/* NT to one of two destinations costs the same whichever it is. */
static loop_fn *const loops[N_PATTERNS][FR_N_STREAMS] = {
	[REDUCE] = {loop_add, loop_add_nt},
	[REDUCE2] = {loop_add2, loop_add2_nt, loop_add2_nt, loop_add2_nt_both},
	[FOLD] = {loop_add4},
	[COPY] = {loop_copy, loop_copy_nt},
	[COPY2] = {loop_copy2, loop_copy2_nt, loop_copy2_nt, loop_copy2_nt_both},
};

static void run_loop(const struct row *row, const struct buffers *m, size_t bytes)
{
	vector *src[N_SOURCES];
	char *dst = m->dst, *dst2 = m->dst2;

	for (int s = 0; s < N_SOURCES; s++)
		src[s] = (vector *)(void *)m->src[s];
	if (row->pattern == REDUCE2 && row->stream == FR_STREAM_DST) {
		dst = m->dst2;
		dst2 = m->dst;
	}
	loops[row->pattern][row->stream]((vector *)(void *)dst, (vector *)(void *)dst2, src,
	                                 bytes / sizeof(vector));
}

static void run_kernel(const struct row *row, const struct fr_kernel *k, const struct buffers *m,
                       size_t bytes, size_t count)
{
	switch (row->pattern) {
	case REDUCE:
		k->reduce[row->stream](m->dst, m->src[0], m->src[1], count);
		break;
	case REDUCE2:
		k->reduce2[row->stream](m->dst, m->dst2, m->src[0], m->src[1], count);
		break;
	case FOLD:
		k->fold(m->dst, (const void *const *)m->src, N_SOURCES, count);
		break;
	case COPY:
		fr_copy(m->dst, m->src[0], bytes, row->stream);
		break;
	default:
		fr_copy2(m->dst, m->dst2, m->src[0], bytes, row->stream);
		break;
	}
}

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
	qsort(x, n, sizeof *x, by_value);
	return x[n / 2];
}

static void measure(const struct row *row, ferrule_type_t type, const struct buffers *m,
                    size_t bytes)
{
	const struct fr_kernel *k = fr_kernel_get(type, FERRULE_SUM);
	const size_t count = bytes / ferrule_type_bytes(type);
	const size_t n_calls = bytes < ROUND_BYTES ? ROUND_BYTES / bytes : 1;
	double loop[N_ROUNDS], kernel[N_ROUNDS], ratio[N_ROUNDS];

	run_kernel(row, k, m, bytes, count);
	for (int r = 0; r < N_ROUNDS; r++) {
		const double start = now_ns();
		for (size_t i = 0; i < n_calls; i++)
			run_loop(row, m, bytes);
		fr_stream_fence();
		const double middle = now_ns();
		for (size_t i = 0; i < n_calls; i++)
			run_kernel(row, k, m, bytes, count);
		fr_stream_fence();
		kernel[r] = now_ns() - middle;
		loop[r] = middle - start;
		ratio[r] = loop[r] / kernel[r];
	}
	const double moved = (double)bytes * (double)n_calls;
	printf("  %7.1f %7.1f %5.2f", moved / median(kernel, N_ROUNDS),
	       moved / median(loop, N_ROUNDS), median(ratio, N_ROUNDS));
}

static void print_row(const char *type_name, const struct row *row, ferrule_type_t type,
                      const struct buffers *m)
{
	static const size_t sizes[] = {(size_t)16 << 10, (size_t)256 << 10, MAX_BYTES};

	printf("%-9s %-16s", type_name, row->name);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		measure(row, type, m, sizes[i]);
	printf("\n");
	fflush(stdout);
}

static void print_bandwidth(const struct buffers *m)
{
	printf("GB/s of kernel and loop, and ratio, at bytes a buffer\n%-26s  %21s  %21s  %21s\n",
	       "", "16 KiB", "256 KiB", "64 MiB");
	for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
		if (rows[r].pattern == COPY || rows[r].pattern == COPY2) {
			print_row("any", &rows[r], FERRULE_UINT8, m);
			continue;
		}
		for (int type = 0; type < FERRULE_N_TYPES; type++)
			print_row(ferrule_type_name((ferrule_type_t)type), &rows[r],
			          (ferrule_type_t)type, m);
	}
}

static void print_small_calls(const struct buffers *m)
{
	static const size_t counts[] = {1, 2, 4, 8, 16, 32, 64, 128};
	const size_t n_counts = sizeof counts / sizeof counts[0];

	printf("\nns a call of reduce, at elements\n%-9s", "");
	for (size_t i = 0; i < n_counts; i++)
		printf(" %6zu", counts[i]);
	printf("\n");
	for (int type = 0; type < FERRULE_N_TYPES; type++) {
		const struct fr_kernel *k = fr_kernel_get((ferrule_type_t)type, FERRULE_SUM);
		printf("%-9s", ferrule_type_name((ferrule_type_t)type));
		for (size_t i = 0; i < n_counts; i++) {
			double t[N_ROUNDS];
			for (int r = 0; r < N_ROUNDS; r++) {
				const double start = now_ns();
				for (int c = 0; c < 10000; c++)
					k->reduce[0](m->dst, m->src[0], m->src[1], counts[i]);
				t[r] = (now_ns() - start) / 10000;
			}
			printf(" %6.1f", median(t, N_ROUNDS));
		}
		printf("\n");
	}
}

/* Ones of float32, harmless in all types; `line` staggers the buffers. */
static char *make_buffer(char **memory, int line)
{
	*memory = aligned_alloc(4096, MAX_BYTES + 4096);
	if (*memory == NULL) {
		fprintf(stderr, "kernel_bench: no memory for six buffers of 64 MiB\n");
		exit(1);
	}
	const float one = 1.0f;
	for (size_t i = 0; i < MAX_BYTES + 4096; i += sizeof one)
		memcpy(*memory + i, &one, sizeof one);
	return *memory + line * 64;
}

int main(int argc, char **argv)
{
	char *memory[N_SOURCES + 2];
	struct buffers m;

	if (argc > 2 || (argc == 2 && !fr_kernel_use_isa(argv[1]))) {
		fprintf(stderr,
		        "usage: kernel_bench [reference|avx2|avx512], if this machine has it\n");
		return 2;
	}
	for (int s = 0; s < N_SOURCES; s++)
		m.src[s] = make_buffer(&memory[s], 11 * s);
	m.dst = make_buffer(&memory[N_SOURCES], 47);
	m.dst2 = make_buffer(&memory[N_SOURCES + 1], 58);
	printf("kernels: %s\n", fr_kernel_isa());
	print_bandwidth(&m);
	print_small_calls(&m);
	for (int i = 0; i < N_SOURCES + 2; i++)
		free(memory[i]);
	return 0;
}

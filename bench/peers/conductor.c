/*
 * The conductor: lets libraries take turns and compares neighbours in time.
 *
 * Every library's ranks are started once and sleep.  For each collective, size and round the
 * conductor orders one short measurement from each library in turn, and times a ping-pong
 * between the two cores before the first and after the last: "near" and "far" rounds (cores
 * that share a cache or do not) are kept apart, rounds in which it changed are thrown away.
 *
 * usage: conductor DIR N_RANKS ROUNDS FAST COLLECTIVES MIN MAX NAME [NAME ...]
 * The first NAME is compared with the best of the others.  Prints one line a size and tag, and
 * as its last lines the geometric means of the ratios.
 */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAMES_MAX  8
#define ROUNDS_MAX 64
#define NEAR_NS    70.0 /* one way; measured: 25 to 40 near, 140 to 170 far */
#define TARGET_US  12000.0

static const char *const colls[] = {"allreduce", "allgather", "broadcast", "reduce_scatter",
                                    "barrier"};
#define N_COLLS ((int)(sizeof(colls) / sizeof(colls[0])))

enum tag { TAG_NEAR, TAG_FAR, TAG_MIXED, N_TAGS };
static const char *const tag_names[] = {"near", "far", "mixed"};

struct library {
	const char *name;
	int *orders; /* [n_ranks] */
};

struct stage {
	int n_ranks, rounds, fast, n_libraries;
	struct library libraries[NAMES_MAX];
	FILE *answers;
	double log_sum[N_COLLS][N_TAGS];
	int n_ratios[N_COLLS][N_TAGS];
};

/* ---- the distance of two cores ---- */

#define TRIPS 2000
static _Alignas(128) _Atomic int ball;

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *return_balls(void *unused)
{
	(void)unused;
	pin(1);
	for (int i = 0; i < TRIPS; i++) {
		while (atomic_load_explicit(&ball, memory_order_acquire) != 2 * i + 1)
			;
		atomic_store_explicit(&ball, 2 * i + 2, memory_order_release);
	}
	return NULL;
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The best of a few short bursts, so that another job on the core does not count. */
static enum tag look_at_distance(void)
{
	pthread_t thread;
	double best = 1e9, burst;

	atomic_store(&ball, 0);
	pthread_create(&thread, NULL, return_balls, NULL);
	for (int i = 0; i < TRIPS; i += 100) {
		burst = now_us();
		for (int k = i; k < i + 100; k++) {
			atomic_store_explicit(&ball, 2 * k + 1, memory_order_release);
			while (atomic_load_explicit(&ball, memory_order_acquire) != 2 * k + 2)
				;
		}
		burst = (now_us() - burst) * 1000 / 200;
		if (burst < best)
			best = burst;
	}
	pthread_join(thread, NULL);
	return best < NEAR_NS ? TAG_NEAR : TAG_FAR;
}

/* ---- orders and answers ---- */

/* All ranks' answers to one order: the slowest rank's median; negative: wrong results. */
static double gather(struct stage *s, const char *name)
{
	double worst = 0;

	for (int i = 0; i < s->n_ranks; i++) {
		char line[256], who[64];
		double min, median;
		size_t wrong;
		int rank;

		if (!fgets(line, sizeof(line), s->answers) ||
		    sscanf(line, "%63s %d %lf %lf %zu", who, &rank, &min, &median, &wrong) != 5 ||
		    strcmp(who, name) != 0) {
			fprintf(stderr, "conductor: %s did not answer\n", name);
			exit(1);
		}
		if (wrong) {
			fprintf(stderr, "conductor: %s rank %d: %zu wrong elements\n", name, rank,
			        wrong);
			exit(1);
		}
		if (median > worst)
			worst = median;
	}
	return worst;
}

/* Gloo has no reduce-scatter of the usual kind. */
static int lacks(const struct library *l, int coll)
{
	return strcmp(l->name, "gloo") == 0 && strcmp(colls[coll], "reduce_scatter") == 0;
}

static double order(struct stage *s, int library, int coll, size_t bytes, double guess_us)
{
	struct library *l = &s->libraries[library];
	int iterations = (int)(TARGET_US / guess_us), batch = 1;

	if (lacks(l, coll))
		return INFINITY;
	iterations = iterations < 5 ? 5 : iterations > 20000 ? 20000 : iterations;
	/* Reading the clock takes 0.03 us; a batch makes that disappear. */
	while (batch * guess_us < 30 && batch * 4 <= iterations)
		batch *= 2;
	for (int r = 0; r < s->n_ranks; r++)
		dprintf(l->orders[r], "%d %zu %d %d %d\n", coll, bytes, iterations, batch,
		        s->fast && library == 0);
	return gather(s, l->name);
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return values[n / 2];
}

/* ---- one size ---- */

struct samples {
	double us[NAMES_MAX][N_TAGS][ROUNDS_MAX];
	int n[N_TAGS];
};

static void print_tag(struct stage *s, int coll, size_t bytes, struct samples *t, enum tag tag)
{
	double med[NAMES_MAX], best = INFINITY;
	int best_index = 1;

	if (t->n[tag] == 0)
		return;
	for (int l = 0; l < s->n_libraries; l++) {
		med[l] = median(t->us[l][tag], t->n[tag]);
		if (l > 0 && med[l] < best) {
			best = med[l];
			best_index = l;
		}
	}
	printf("%-14s %10zu %-5s %3d", colls[coll], bytes, tag_names[tag], t->n[tag]);
	for (int l = 0; l < s->n_libraries; l++)
		printf(" %12.3f", med[l]);
	printf("  %6.3f  %s\n", med[0] / best, s->libraries[best_index].name);
	fflush(stdout);
	s->log_sum[coll][tag] += log(med[0] / best);
	s->n_ratios[coll][tag]++;
}

static void measure_size(struct stage *s, int coll, size_t bytes, double guess[NAMES_MAX])
{
	struct samples *t = calloc(1, sizeof(*t));

	for (int round = 0; round < s->rounds; round++) {
		enum tag tag = look_at_distance();
		double us[NAMES_MAX];

		for (int l = 0; l < s->n_libraries; l++) {
			us[l] = order(s, l, coll, bytes, guess[l]);
			if (isfinite(us[l]))
				guess[l] = us[l] > 0.02 ? us[l] : 0.02;
		}
		if (look_at_distance() != tag)
			tag = TAG_MIXED;
		for (int l = 0; l < s->n_libraries; l++)
			t->us[l][tag][t->n[tag]] = us[l];
		t->n[tag]++;
	}
	print_tag(s, coll, bytes, t, TAG_NEAR);
	print_tag(s, coll, bytes, t, TAG_FAR);
	if (t->n[TAG_NEAR] + t->n[TAG_FAR] == 0)
		print_tag(s, coll, bytes, t, TAG_MIXED);
	free(t);
}

static void measure_coll(struct stage *s, int coll, size_t min, size_t max)
{
	double guess[NAMES_MAX];

	for (int l = 0; l < s->n_libraries; l++)
		guess[l] = 50;
	for (size_t bytes = min; bytes <= max; bytes *= bytes < 1024 ? 2 : 4) {
		for (int l = 0; l < s->n_libraries; l++)
			guess[l] = guess[l] < 1e5 ? guess[l] * 2 : guess[l];
		measure_size(s, coll, bytes, guess);
		if (coll == 4)
			break; /* a barrier has no size */
	}
}

static void open_libraries(struct stage *s, const char *dir, char **names)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/answers", dir);
	s->answers = fopen(path, "r+");
	for (int l = 0; l < s->n_libraries; l++) {
		s->libraries[l].name = names[l];
		s->libraries[l].orders = calloc((size_t)s->n_ranks, sizeof(int));
		for (int r = 0; r < s->n_ranks; r++) {
			snprintf(path, sizeof(path), "%s/%s.%d", dir, names[l], r);
			s->libraries[l].orders[r] = open(path, O_RDWR | O_CLOEXEC);
		}
	}
	for (int i = 0; i < s->n_libraries * s->n_ranks; i++) {
		char line[256];

		if (!fgets(line, sizeof(line), s->answers))
			exit(1);
	}
}

static void print_means(const struct stage *s)
{
	for (int c = 0; c < N_COLLS; c++)
		for (int t = 0; t < N_TAGS; t++)
			if (s->n_ratios[c][t])
				printf("# geometric mean of ratios: %s %s %.3f (%d sizes)\n",
				       colls[c], tag_names[t],
				       exp(s->log_sum[c][t] / s->n_ratios[c][t]),
				       s->n_ratios[c][t]);
}

int main(int argc, char **argv)
{
	struct stage s = {0};

	if (argc < 10 || argc - 8 > NAMES_MAX) {
		fprintf(stderr,
		        "usage: %s DIR N_RANKS ROUNDS FAST COLLECTIVES MIN MAX NAME NAME...\n",
		        argv[0]);
		return 2;
	}
	alarm(3500);
	s.n_ranks = atoi(argv[2]);
	s.rounds = atoi(argv[3]) < ROUNDS_MAX ? atoi(argv[3]) : ROUNDS_MAX;
	s.fast = atoi(argv[4]);
	s.n_libraries = argc - 8;
	open_libraries(&s, argv[1], argv + 8);
	printf("%-14s %10s %-5s %3s", "# collective", "bytes", "cores", "n");
	for (int l = 0; l < s.n_libraries; l++)
		printf(" %9s us", s.libraries[l].name);
	printf("   ratio  best peer\n");
	for (int c = 0; c < N_COLLS; c++)
		if (strstr(argv[5], colls[c]))
			measure_coll(&s, c, strtoull(argv[6], NULL, 10),
			             strtoull(argv[7], NULL, 10));
	print_means(&s);
	return 0;
}

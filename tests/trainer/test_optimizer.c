/* Optimizers against the formulas of ferrule/trainer.h in float64. */
#include "config.h"

#include <CUnit/CUnit.h>
#include <math.h>
#include <string.h>

#include <ferrule/trainer.h>

#include "lib/base/error.h"
#include "tests/support/t_main.h"

#define N 71 /* no multiple of the block that the loops work in */

/* The textbook, one parameter at a time. */
struct oracle {
	double w[N], a[N], b[N];
	int t;
};

static void oracle_step(struct oracle *o, const struct ferrule_optimizer_options *p, const float *g)
{
	o->t++;
	for (int i = 0; i < N; i++) {
		const double grad = g[i] + p->weight_decay * o->w[i];

		switch (p->kind) {
		case FERRULE_OPTIMIZER_SGD:
			o->w[i] -= p->lr * grad;
			break;
		case FERRULE_OPTIMIZER_MOMENTUM:
			o->a[i] = p->momentum * o->a[i] + grad;
			o->w[i] -= p->lr * o->a[i];
			break;
		case FERRULE_OPTIMIZER_ADAM:
			o->a[i] = p->beta1 * o->a[i] + (1 - p->beta1) * grad;
			o->b[i] = p->beta2 * o->b[i] + (1 - p->beta2) * grad * grad;
			o->w[i] -= p->lr * (o->a[i] / (1 - pow(p->beta1, o->t))) /
			           (sqrt(o->b[i] / (1 - pow(p->beta2, o->t))) + p->epsilon);
			break;
		}
	}
}

static void draw(struct ferrule_random *r, float *x)
{
	for (int i = 0; i < N; i++)
		x[i] = (float)(2 * ferrule_random_unit(r) - 1);
}

/* Largest distance from the oracle after `steps` steps, relative to the way walked. */
static double distance(const struct ferrule_optimizer_options *p, int steps)
{
	struct oracle oracle = {.t = 0};
	struct ferrule_random r;
	ferrule_optimizer_t o;
	float w[N], g[N];
	double worst = 0;

	ferrule_random_init(&r, 7, 0);
	draw(&r, w);
	for (int i = 0; i < N; i++)
		oracle.w[i] = w[i];
	if (ferrule_optimizer_create(p, N, &o))
		return INFINITY;
	for (int t = 0; t < steps; t++) {
		draw(&r, g);
		oracle_step(&oracle, p, g);
		ferrule_optimizer_begin(o);
		if (ferrule_optimizer_apply(o, 0, N, w, g))
			return INFINITY;
	}
	for (int i = 0; i < N; i++)
		worst = fmax(worst, fabs(w[i] - oracle.w[i]) / fmax(1, fabs(oracle.w[i])));
	CU_ASSERT_EQUAL(ferrule_optimizer_steps(o), (uint64_t)steps);
	ferrule_optimizer_destroy(o);
	return worst;
}

static void test_all_follow_their_formula(void)
{
	for (int kind = 0; kind <= 2; kind++) {
		struct ferrule_optimizer_options p =
			ferrule_optimizer_defaults((enum ferrule_optimizer_kind)kind);

		CU_ASSERT(distance(&p, 1) < 1e-6);
		CU_ASSERT(distance(&p, 300) < 2e-5);
		p.weight_decay = 0.01;
		CU_ASSERT(distance(&p, 300) < 2e-5);
		p.momentum = 0.5;
		p.beta1 = 0;
		p.beta2 = 0.9;
		p.lr = 0.02;
		CU_ASSERT(distance(&p, 300) < 2e-5);
	}
}

/* Known answers, by hand: w = 1, g = 0.5 twice, lr = 0.1. */
static void test_known_answers(void)
{
	static const float expected[3][2] = {
		{0.95f, 0.90f},  /* 1 - 0.05 - 0.05 */
		{0.95f, 0.855f}, /* v = 0.5, then 0.9 * 0.5 + 0.5 = 0.95 */
		{0.9f, 0.8f},    /* constant gradients: Adam walks lr a step */
	};

	for (int kind = 0; kind <= 2; kind++) {
		struct ferrule_optimizer_options p =
			ferrule_optimizer_defaults((enum ferrule_optimizer_kind)kind);
		ferrule_optimizer_t o = NULL;
		const float g = 0.5f;
		float w = 1;

		p.lr = 0.1;
		CU_ASSERT_EQUAL_FATAL(ferrule_optimizer_create(&p, 1, &o), FERRULE_OK);
		for (int t = 0; t < 2; t++) {
			ferrule_optimizer_begin(o);
			CU_ASSERT_EQUAL(ferrule_optimizer_apply(o, 0, 1, &w, &g), FERRULE_OK);
			CU_ASSERT_DOUBLE_EQUAL(w, expected[kind][t], 1e-6);
		}
		ferrule_optimizer_destroy(o);
	}
}

/* Cutting the parameters into tensors, or a different place in a block, changes no bit. */
static void test_pieces_give_the_same_bits(void)
{
	for (int kind = 0; kind <= 2; kind++) {
		const struct ferrule_optimizer_options p =
			ferrule_optimizer_defaults((enum ferrule_optimizer_kind)kind);
		float whole[N], pieces[N], g[N];
		ferrule_optimizer_t a = NULL, b = NULL;
		struct ferrule_random r;

		ferrule_random_init(&r, 1, 0);
		draw(&r, whole);
		memcpy(pieces, whole, sizeof(whole));
		CU_ASSERT_EQUAL_FATAL(ferrule_optimizer_create(&p, N, &a), FERRULE_OK);
		CU_ASSERT_EQUAL_FATAL(ferrule_optimizer_create(&p, N, &b), FERRULE_OK);
		for (int t = 0; t < 20; t++) {
			draw(&r, g);
			ferrule_optimizer_begin(a);
			ferrule_optimizer_begin(b);
			ferrule_optimizer_apply(a, 0, N, whole, g);
			for (size_t first = 0; first < N; first += 5) {
				const size_t count = N - first < 5 ? N - first : 5;

				ferrule_optimizer_apply(b, first, count, pieces + first, g + first);
			}
		}
		CU_ASSERT_EQUAL(memcmp(whole, pieces, sizeof(whole)), 0);
		ferrule_optimizer_destroy(a);
		ferrule_optimizer_destroy(b);
	}
}

static bool refuses(struct ferrule_optimizer_options p, const char *name)
{
	ferrule_optimizer_t o = NULL;

	return ferrule_optimizer_create(&p, 1, &o) == FERRULE_ERR_ARGUMENT && !o &&
	       strstr(fr_error_text(), name);
}

static void test_bad_options_are_named(void)
{
	const struct ferrule_optimizer_options good =
		ferrule_optimizer_defaults(FERRULE_OPTIMIZER_ADAM);
	struct ferrule_optimizer_options p;

	p = good, p.size = 3;
	CU_ASSERT(refuses(p, "size"));
	p = good, p.kind = (enum ferrule_optimizer_kind)7;
	CU_ASSERT(refuses(p, "kind is 7"));
	for (int i = 0; i < 4; i++) {
		static const double bad[] = {0, -1, INFINITY, NAN};

		p = good, p.lr = bad[i];
		CU_ASSERT(refuses(p, "lr is"));
		p = good, p.epsilon = bad[i];
		CU_ASSERT(refuses(p, "epsilon is"));
	}
	for (int i = 0; i < 3; i++) {
		static const double bad[] = {1, -0.1, NAN};

		p = good, p.momentum = bad[i];
		CU_ASSERT(refuses(p, "momentum is"));
		p = good, p.beta1 = bad[i];
		CU_ASSERT(refuses(p, "beta1 is"));
		p = good, p.beta2 = bad[i];
		CU_ASSERT(refuses(p, "beta2 is"));
	}
	p = good, p.weight_decay = -1;
	CU_ASSERT(refuses(p, "weight_decay is -1"));
	p = good, p.weight_decay = NAN;
	CU_ASSERT(refuses(p, "weight_decay is"));
}

static void test_apply_checks_its_range(void)
{
	const struct ferrule_optimizer_options p =
		ferrule_optimizer_defaults(FERRULE_OPTIMIZER_SGD);
	ferrule_optimizer_t o = NULL;
	float w[4] = {0}, g[4] = {1, 1, 1, 1};

	CU_ASSERT_EQUAL_FATAL(ferrule_optimizer_create(&p, 4, &o), FERRULE_OK);
	CU_ASSERT_EQUAL(ferrule_optimizer_apply(o, 0, 4, w, g), FERRULE_ERR_ARGUMENT);
	ferrule_optimizer_begin(o);
	CU_ASSERT_EQUAL(ferrule_optimizer_apply(o, 5, 0, w, g), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(ferrule_optimizer_apply(o, 1, 4, w, g), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(ferrule_optimizer_apply(o, 1, SIZE_MAX, w, g), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(w[0], 0);
	CU_ASSERT_EQUAL(ferrule_optimizer_apply(o, 4, 0, w, g), FERRULE_OK);
	ferrule_optimizer_destroy(o);
	ferrule_optimizer_destroy(NULL);
}

static void test_names(void)
{
	CU_ASSERT_STRING_EQUAL(ferrule_optimizer_kind_name(FERRULE_OPTIMIZER_MOMENTUM), "momentum");
	CU_ASSERT_PTR_NULL(ferrule_optimizer_kind_name((enum ferrule_optimizer_kind)3));
}

int main(void)
{
	static const struct t_case cases[] = {
		{"all follow their formula", test_all_follow_their_formula},
		{"known answers", test_known_answers},
		{"pieces give the same bits", test_pieces_give_the_same_bits},
		{"bad options are named", test_bad_options_are_named},
		{"apply checks its range", test_apply_checks_its_range},
		{"names", test_names},
		{NULL, NULL},
	};

	return t_main("optimizer", cases);
}

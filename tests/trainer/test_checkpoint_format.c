/* The checkpoint's bytes: what was written comes back, and nothing else is believed. */
#include "config.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/base/error.h"
#include "lib/trainer/checkpoint_format.h"
#include "tests/support/t_main.h"

#define N_PARAMS 9

/* A small run in the middle of training. */
struct fixture {
	struct ferrule_checkpoint c;
	float params[N_PARAMS];
	unsigned char *bytes;
	size_t n;
};

static void set_up(struct fixture *f, enum ferrule_optimizer_kind kind)
{
	const struct ferrule_optimizer_options p = ferrule_optimizer_defaults(kind);
	float g[N_PARAMS];

	*f = (struct fixture){.c = {.size = sizeof(f->c),
	                            .seed = 5,
	                            .epoch = 3,
	                            .batch = 17,
	                            .metrics = {1.5, -0.25, 1e-300, 4},
	                            .config = "model x",
	                            .n_params = N_PARAMS}};
	f->c.params = f->params;
	CU_ASSERT_EQUAL_FATAL(ferrule_optimizer_create(&p, N_PARAMS, &f->c.optimizer), FERRULE_OK);
	for (int step = 0; step < 3; step++) {
		for (int i = 0; i < N_PARAMS; i++)
			g[i] = (float)(i - step) / 3;
		ferrule_optimizer_begin(f->c.optimizer);
		ferrule_optimizer_apply(f->c.optimizer, 0, N_PARAMS, f->params, g);
	}
	f->n = fr_checkpoint_bytes(&f->c);
	f->bytes = malloc(f->n);
	fr_checkpoint_encode(&f->c, 4, f->bytes);
}

static void tear_down(struct fixture *f)
{
	ferrule_optimizer_destroy(f->c.optimizer);
	free(f->bytes);
}

static ferrule_status_t decode(const unsigned char *bytes, size_t n)
{
	struct fr_checkpoint_view view;

	return fr_checkpoint_decode(bytes, n, &view);
}

static void test_everything_comes_back(void)
{
	for (int kind = 0; kind <= 2; kind++) {
		struct fr_checkpoint_view view;
		struct fixture a, b;

		set_up(&a, (enum ferrule_optimizer_kind)kind);
		set_up(&b, (enum ferrule_optimizer_kind)kind);
		memset(b.params, 0, sizeof(b.params));
		ferrule_optimizer_begin(b.c.optimizer);
		ferrule_optimizer_apply(b.c.optimizer, 0, N_PARAMS, b.params, a.params);
		b.c.seed = b.c.epoch = b.c.batch = 0;
		memset(b.c.metrics, 0, sizeof(b.c.metrics));

		CU_ASSERT_EQUAL_FATAL(fr_checkpoint_decode(a.bytes, a.n, &view), FERRULE_OK);
		CU_ASSERT_EQUAL_FATAL(fr_checkpoint_match(&view, &b.c), FERRULE_OK);
		fr_checkpoint_apply(&view, &b.c);
		CU_ASSERT_EQUAL(b.c.n_ranks, 4);
		CU_ASSERT_EQUAL(b.c.batch, 17);
		CU_ASSERT_EQUAL(b.c.metrics[2], 1e-300);
		CU_ASSERT_EQUAL(ferrule_optimizer_steps(b.c.optimizer), 3);
		/* Equal bytes when written again: params, state and all the rest. */
		CU_ASSERT_EQUAL_FATAL(fr_checkpoint_bytes(&b.c), a.n);
		fr_checkpoint_encode(&b.c, 4, b.bytes);
		CU_ASSERT_EQUAL(memcmp(a.bytes, b.bytes, a.n), 0);
		tear_down(&a);
		tear_down(&b);
	}
}

static void test_every_flipped_bit_is_found(void)
{
	struct fixture f;
	size_t n_believed = 0;

	set_up(&f, FERRULE_OPTIMIZER_ADAM);
	for (size_t i = 0; i < f.n; i++) {
		for (int bit = 0; bit < 8; bit++) {
			f.bytes[i] ^= (unsigned char)(1 << bit);
			n_believed += decode(f.bytes, f.n) != FERRULE_ERR_ARGUMENT;
			f.bytes[i] ^= (unsigned char)(1 << bit);
		}
	}
	CU_ASSERT_EQUAL(n_believed, 0);
	CU_ASSERT_EQUAL(decode(f.bytes, f.n), FERRULE_OK);
	tear_down(&f);
}

static void test_every_truncation_is_found(void)
{
	struct fixture f;
	size_t n_believed = 0;

	set_up(&f, FERRULE_OPTIMIZER_MOMENTUM);
	for (size_t n = 0; n < f.n; n++) {
		/* In memory of exactly this size, so that a sanitizer sees a read past it. */
		unsigned char *copy = malloc(n > 0 ? n : 1);

		memcpy(copy, f.bytes, n);
		n_believed += decode(copy, n) != FERRULE_ERR_ARGUMENT;
		free(copy);
	}
	CU_ASSERT_EQUAL(n_believed, 0);
	unsigned char *longer = calloc(1, f.n + 1);

	memcpy(longer, f.bytes, f.n);
	CU_ASSERT_EQUAL(decode(longer, f.n + 1), FERRULE_ERR_ARGUMENT);
	free(longer);
	tear_down(&f);
}

/* Changes 4 or 8 bytes and makes the CRC right again, as a malicious writer would. */
static ferrule_status_t decode_forged(struct fixture *f, size_t at, uint64_t value, size_t bytes)
{
	unsigned char *copy = malloc(f->n);

	memcpy(copy, f->bytes, f->n);
	for (size_t i = 0; i < bytes; i++)
		copy[at + i] = (unsigned char)(value >> 8 * i);
	const uint32_t crc = (uint32_t)crc32(crc32(0, NULL, 0), copy + 16, (unsigned)(f->n - 16));

	for (size_t i = 0; i < 4; i++)
		copy[12 + i] = (unsigned char)(crc >> 8 * i);
	const ferrule_status_t status = decode(copy, f->n);

	free(copy);
	return status;
}

static void test_forged_sizes_are_refused(void)
{
	static const uint64_t sizes[] = {0,
	                                 1,
	                                 N_PARAMS - 1,
	                                 N_PARAMS + 1,
	                                 UINT32_MAX,
	                                 UINT64_MAX / 4,
	                                 UINT64_MAX / 8 + 1,
	                                 UINT64_MAX};
	struct fixture f;

	set_up(&f, FERRULE_OPTIMIZER_ADAM);
	CU_ASSERT_EQUAL(decode_forged(&f, 24, 99, 8), FERRULE_OK); /* the seed is free */
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CU_ASSERT_EQUAL(decode_forged(&f, 88, sizes[i], 8), FERRULE_ERR_ARGUMENT);
		CU_ASSERT_EQUAL(decode_forged(&f, 16, sizes[i], 8), FERRULE_ERR_ARGUMENT);
		CU_ASSERT_EQUAL(decode_forged(&f, 108, sizes[i], 4), FERRULE_ERR_ARGUMENT);
	}
	CU_ASSERT_EQUAL(decode_forged(&f, 96, 1, 4), FERRULE_ERR_ARGUMENT); /* kind */
	CU_ASSERT_EQUAL(decode_forged(&f, 96, UINT32_MAX, 4), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(decode_forged(&f, 100, 1, 4), FERRULE_ERR_ARGUMENT); /* slots */
	CU_ASSERT_EQUAL(decode_forged(&f, 104, 0, 4), FERRULE_ERR_ARGUMENT); /* ranks */
	CU_ASSERT_EQUAL(decode_forged(&f, 112, 0, 1), FERRULE_ERR_ARGUMENT); /* NUL in config */
	CU_ASSERT_EQUAL(decode_forged(&f, 8, 2, 4), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "version 2"));
	tear_down(&f);
}

static void test_another_run_does_not_match(void)
{
	struct fr_checkpoint_view view;
	struct fixture f, g;

	set_up(&f, FERRULE_OPTIMIZER_ADAM);
	set_up(&g, FERRULE_OPTIMIZER_SGD);
	CU_ASSERT_EQUAL_FATAL(fr_checkpoint_decode(f.bytes, f.n, &view), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_checkpoint_match(&view, &g.c), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "optimizer adam"));
	f.c.config = "model y";
	CU_ASSERT_EQUAL(fr_checkpoint_match(&view, &f.c), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "\"model x\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "\"model y\""));
	f.c.config = "model x";
	f.c.n_params = 3;
	CU_ASSERT_EQUAL(fr_checkpoint_match(&view, &f.c), FERRULE_ERR_ARGUMENT);
	tear_down(&f);
	tear_down(&g);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"everything comes back", test_everything_comes_back},
		{"every flipped bit is found", test_every_flipped_bit_is_found},
		{"every truncation is found", test_every_truncation_is_found},
		{"forged sizes are refused", test_forged_sizes_are_refused},
		{"another run does not match", test_another_run_does_not_match},
		{NULL, NULL},
	};

	return t_main("checkpoint format", cases);
}

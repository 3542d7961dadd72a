/* Explicit registrations. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem/region.h"
#include "tests/mem/t_device.h"
#include "tests/support/t_main.h"

static struct fr_regions *create(struct t_device *d)
{
	struct fr_regions *r = NULL;
	char why[200] = "";

	*d = (struct t_device){.n_attached = 0};
	CU_ASSERT_EQUAL_FATAL(fr_regions_create(&t_device_ops, d, false, &r, why, sizeof(why)),
	                      FERRULE_OK);
	return r;
}

static void destroy(struct fr_regions *r, const struct t_device *d)
{
	fr_regions_destroy(r);
	CU_ASSERT_EQUAL(d->n_attached, d->n_detached);
}

/* No memory is behind these addresses: regions never look. */
static ferrule_status_t add(struct fr_regions *r, uintptr_t base, size_t bytes, char *why)
{
	const struct fr_mem_block block = {
		.base = (void *)base, .bytes = bytes, .device = -1, .dmabuf_fd = -1};

	return fr_regions_add(r, &block, why, 200);
}

static ferrule_status_t take(struct fr_regions *r, uintptr_t base, char *why)
{
	return fr_regions_remove(r, (void *)base, why, 200);
}

static const struct t_handle *find(struct fr_regions *r, uintptr_t at, size_t bytes)
{
	return fr_regions_find(r, (void *)at, bytes);
}

static void test_a_region_is_found_by_every_range_inside_it(void)
{
	struct t_device d;
	struct fr_regions *r = create(&d);
	char why[200] = "";

	CU_ASSERT_EQUAL(add(r, 1000, 100, why), FERRULE_OK);
	const struct t_handle *h = find(r, 1000, 100);

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_EQUAL(h->base, 1000);
	CU_ASSERT_PTR_EQUAL(find(r, 1000, 1), h);
	CU_ASSERT_PTR_EQUAL(find(r, 1099, 1), h);
	CU_ASSERT_PTR_EQUAL(find(r, 1050, 50), h);
	destroy(r, &d);
}

static void test_nothing_is_found_that_reaches_over_an_end(void)
{
	struct t_device d;
	struct fr_regions *r = create(&d);
	char why[200] = "";

	CU_ASSERT_PTR_NULL(find(r, 1000, 1));
	CU_ASSERT_EQUAL(add(r, 1000, 100, why), FERRULE_OK);
	CU_ASSERT_EQUAL(add(r, 1100, 100, why), FERRULE_OK);
	for (int again = 0; again < 2; again++) { /* by search, and by the last one found */
		CU_ASSERT_PTR_NULL(find(r, 999, 1));
		CU_ASSERT_PTR_NULL(find(r, 999, 50));
		CU_ASSERT_PTR_NULL(find(r, 1000, 101));
		CU_ASSERT_PTR_NULL(find(r, 1050, 100));
		CU_ASSERT_PTR_NULL(find(r, 1200, 1));
		CU_ASSERT_PTR_NULL(find(r, 1000, SIZE_MAX));
		CU_ASSERT_PTR_NULL(find(r, 1099, SIZE_MAX - 1000));
		CU_ASSERT_PTR_NOT_NULL(find(r, 1000, 100));
	}
	destroy(r, &d);
}

static void test_the_same_range_counts_up_and_is_detached_at_zero(void)
{
	struct t_device d;
	struct fr_regions *r = create(&d);
	char why[200] = "";

	CU_ASSERT_EQUAL(add(r, 4096, 4096, why), FERRULE_OK);
	CU_ASSERT_EQUAL(add(r, 4096, 4096, why), FERRULE_OK);
	CU_ASSERT_EQUAL(d.n_attached, 1);
	CU_ASSERT_EQUAL(take(r, 4096, why), FERRULE_OK);
	CU_ASSERT_PTR_NOT_NULL(find(r, 4096, 4096));
	CU_ASSERT_EQUAL(take(r, 4096, why), FERRULE_OK);
	CU_ASSERT_EQUAL(d.n_detached, 1);
	CU_ASSERT_PTR_NULL(find(r, 4096, 4096));
	CU_ASSERT_EQUAL(take(r, 4096, why), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "0x1000"));
	destroy(r, &d);
}

static void test_ranges_that_overlap_are_refused_with_both_in_the_text(void)
{
	static const uintptr_t ranges[][2] = {{900, 101}, {1000, 99}, {1000, 101},
	                                      {1001, 99}, {1050, 10}, {1099, 100}};
	struct t_device d;
	struct fr_regions *r = create(&d);

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		char why[200] = "";

		if (i == 0)
			CU_ASSERT_EQUAL(add(r, 1000, 100, why), FERRULE_OK);
		CU_ASSERT_EQUAL(add(r, ranges[i][0], ranges[i][1], why), FERRULE_ERR_ARGUMENT);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "the 100 bytes at 0x3e8"));
	}
	CU_ASSERT_EQUAL(d.n_attached, 1);
	destroy(r, &d);
}

static void test_ranges_that_are_none_are_refused(void)
{
	struct t_device d;
	struct fr_regions *r = create(&d);
	char why[200] = "";

	CU_ASSERT_EQUAL(add(r, 0, 10, why), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(add(r, 1000, 0, why), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(add(r, UINTPTR_MAX - 9, 11, why), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(d.n_attached, 0);
	CU_ASSERT_EQUAL(add(r, UINTPTR_MAX - 9, 10, why), FERRULE_OK);
	CU_ASSERT_PTR_NOT_NULL(find(r, UINTPTR_MAX - 9, 10));
	CU_ASSERT_PTR_NULL(find(r, UINTPTR_MAX - 9, 11));
	destroy(r, &d);
}

static void test_a_failed_attach_leaves_nothing(void)
{
	struct t_device d;
	struct fr_regions *r = create(&d);
	char why[200] = "";

	d.fail_at = 1;
	CU_ASSERT_EQUAL(add(r, 1000, 100, why), FERRULE_ERR_NO_MEMORY);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "as the test wanted"));
	CU_ASSERT_PTR_NULL(find(r, 1000, 100));
	CU_ASSERT_EQUAL(add(r, 1000, 100, why), FERRULE_OK);
	destroy(r, &d);
}

/* ---- against a model that has an entry for each of 256 addresses ---- */

#define N_ADDRESSES 256
#define N_ROUNDS    10000

struct model {
	uintptr_t base[N_ADDRESSES]; /* of the region that holds the address; 0: none */
	size_t bytes[N_ADDRESSES];
	int n_uses[N_ADDRESSES]; /* of the region that begins here */
};

static void model_set(struct model *m, uintptr_t base, size_t bytes, bool is_there)
{
	for (size_t i = 0; i < bytes; i++) {
		m->base[base + i] = is_there ? base : 0;
		m->bytes[base + i] = is_there ? bytes : 0;
	}
}

static bool model_is_free(const struct model *m, uintptr_t base, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (m->base[base + i])
			return false;
	return true;
}

static void random_add(struct fr_regions *r, struct model *m, uintptr_t base, size_t bytes)
{
	char why[200];
	const bool is_same = m->base[base] == base && m->bytes[base] == bytes;
	const bool is_allowed = is_same || model_is_free(m, base, bytes);

	CU_ASSERT_EQUAL(add(r, base, bytes, why), is_allowed ? FERRULE_OK : FERRULE_ERR_ARGUMENT);
	if (!is_allowed)
		return;
	model_set(m, base, bytes, true);
	m->n_uses[base]++;
}

static void random_take(struct fr_regions *r, struct model *m, uintptr_t base)
{
	char why[200];
	const bool is_there = m->base[base] == base;

	CU_ASSERT_EQUAL(take(r, base, why), is_there ? FERRULE_OK : FERRULE_ERR_ARGUMENT);
	if (is_there && --m->n_uses[base] == 0)
		model_set(m, base, m->bytes[base], false);
}

static void random_find(struct fr_regions *r, const struct model *m, uintptr_t at, size_t bytes)
{
	const struct t_handle *h = find(r, at, bytes);
	const bool is_there = m->base[at] && m->base[at] + m->bytes[at] >= at + bytes;

	CU_ASSERT_EQUAL(h != NULL, is_there);
	if (h)
		CU_ASSERT_TRUE(h->base == m->base[at] && h->bytes == m->bytes[at]);
}

static void test_random_calls_agree_with_a_model(void)
{
	static struct model m;
	struct t_device d;
	struct fr_regions *r = create(&d);
	unsigned seed = 20;

	memset(&m, 0, sizeof(m));
	for (int i = 0; i < N_ROUNDS; i++) {
		const uintptr_t at = 1 + (uintptr_t)rand_r(&seed) % (N_ADDRESSES - 1);
		size_t bytes = 1 + (size_t)rand_r(&seed) % 12;

		if (bytes > N_ADDRESSES - at)
			bytes = N_ADDRESSES - at;
		switch (rand_r(&seed) % 5) {
		case 0:
			random_add(r, &m, at, bytes);
			break;
		case 1:
			random_take(r, &m, at);
			break;
		default:
			random_find(r, &m, at, bytes);
		}
	}
	struct fr_region_counts n;
	size_t expected = 0;

	for (int i = 0; i < N_ADDRESSES; i++)
		expected += m.base[i] != 0;
	fr_regions_count(r, &n);
	CU_ASSERT_EQUAL(n.bytes, expected);
	CU_ASSERT_EQUAL(n.n_explicit, (uint64_t)(d.n_attached - d.n_detached));
	CU_ASSERT_TRUE(n.n_hits > 0 && n.n_misses > 0);
	destroy(r, &d);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a region is found by every range inside it",
	         test_a_region_is_found_by_every_range_inside_it},
		{"nothing is found that reaches over an end",
	         test_nothing_is_found_that_reaches_over_an_end},
		{"the same range counts up and is detached at zero",
	         test_the_same_range_counts_up_and_is_detached_at_zero},
		{"ranges that overlap are refused with both in the text",
	         test_ranges_that_overlap_are_refused_with_both_in_the_text},
		{"ranges that are none are refused", test_ranges_that_are_none_are_refused},
		{"a failed attach leaves nothing", test_a_failed_attach_leaves_nothing},
		{"random calls agree with a model", test_random_calls_agree_with_a_model},
		{NULL, NULL},
	};
	return t_main("mem/region", cases);
}

#include "config.h"

#include "collectives/pattern/partition.h"

#include "tests/support/t_main.h"

/* The parts cover the vector in order, and none is larger than the first. */
static void check_cover(size_t count, int n, size_t align)
{
	const size_t largest = fr_partition(count, n, 0, align).count;
	size_t next = 0;

	for (int i = 0; i < n; i++) {
		const struct fr_part part = fr_partition(count, n, i, align);

		CU_ASSERT_EQUAL(part.first, next);
		CU_ASSERT(part.count <= largest);
		next = part.first + part.count;
	}
	CU_ASSERT_EQUAL(next, count);
}

static void test_parts_cover_the_vector(void)
{
	static const size_t aligns[] = {1, 8, 16, 64};

	for (int n = 1; n <= 70; n++) {
		for (size_t a = 0; a < sizeof(aligns) / sizeof(aligns[0]); a++) {
			for (size_t count = 0; count < 200; count++)
				check_cover(count, n, aligns[a]);
			check_cover(100003, n, aligns[a]);
			check_cover(((size_t)1 << 33) + 5, n, aligns[a]);
		}
	}
}

static void test_small_vectors_are_cut_to_the_element(void)
{
	for (int n = 1; n <= 64; n++) {
		for (size_t count = 0; count < 300; count++) {
			const size_t most = fr_partition(count, n, 0, 16).count;
			const size_t least = fr_partition(count, n, n - 1, 16).count;

			if (count / 16 / (size_t)n < 8)
				CU_ASSERT(most - least <= 1);
		}
	}
}

static void test_large_parts_begin_on_cache_lines(void)
{
	for (int n = 1; n <= 64; n++) {
		for (int i = 0; i < n; i++)
			CU_ASSERT_EQUAL(fr_partition(1000003, n, i, 16).first % 16, 0);
	}
}

static void test_aligned_parts_are_nearly_equal(void)
{
	for (int n = 2; n <= 64; n++) {
		const struct fr_part first = fr_partition(1000003, n, 0, 16);
		const struct fr_part last = fr_partition(1000003, n, n - 1, 16);

		CU_ASSERT(first.count - last.count <= 2 * 16);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"parts cover the vector", test_parts_cover_the_vector},
		{"small vectors are cut to the element", test_small_vectors_are_cut_to_the_element},
		{"large parts begin on cache lines", test_large_parts_begin_on_cache_lines},
		{"aligned parts are nearly equal", test_aligned_parts_are_nearly_equal},
		{NULL, NULL},
	};

	return t_main("partition", cases);
}

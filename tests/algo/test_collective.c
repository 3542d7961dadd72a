/* test_collective.c - names of collectives, their sizes, and how their buffers lie in place. */
#include "config.h"

#include "collectives/algo/algo.h"

#include "tests/support/t_main.h"

#define RANKS 4

static void test_names_are_read_as_they_are_printed(void)
{
	for (int coll = 0; coll < FR_N_COLLS; coll++)
		CU_ASSERT_EQUAL((int)fr_coll_parse(fr_coll_name((enum fr_coll)coll)), coll);
	CU_ASSERT_EQUAL(fr_coll_parse("allreduce"), FR_COLL_ALLREDUCE);
	CU_ASSERT_EQUAL(fr_coll_parse("Allreduce"), FR_N_COLLS);
	CU_ASSERT_EQUAL(fr_coll_parse(""), FR_N_COLLS);
	CU_ASSERT_STRING_EQUAL(fr_coll_name(FR_N_COLLS), "unknown");
	CU_ASSERT_STRING_EQUAL(fr_coll_name((enum fr_coll)255), "unknown");
}

static void test_properties(void)
{
	CU_ASSERT(fr_coll_reduces(FR_COLL_REDUCE_SCATTER));
	CU_ASSERT(!fr_coll_reduces(FR_COLL_ALLGATHER));
	CU_ASSERT(fr_coll_has_root(FR_COLL_SCATTER));
	CU_ASSERT(!fr_coll_has_root(FR_COLL_ALLREDUCE));
	CU_ASSERT(!fr_coll_has_root(FR_N_COLLS));
	CU_ASSERT(!fr_coll_reduces(FR_N_COLLS));
}

static struct fr_coll_args in_place(enum fr_coll coll, int rank, int root)
{
	return (struct fr_coll_args){.coll = coll,
	                             .rank = rank,
	                             .n_ranks = RANKS,
	                             .root = root,
	                             .count = 10,
	                             .elem_bytes = 4,
	                             .in_place = true};
}

static void expect_alias(struct fr_coll_args a, enum fr_alias alias, size_t offset)
{
	size_t got = 999;

	CU_ASSERT_EQUAL(fr_coll_alias(&a, &got), alias);
	CU_ASSERT_EQUAL(got, offset);
	a.in_place = false;
	CU_ASSERT_EQUAL(fr_coll_alias(&a, &got), FR_ALIAS_NONE);
}

static void test_buffers_in_place_lie_as_the_api_says(void)
{
	expect_alias(in_place(FR_COLL_ALLREDUCE, 2, 0), FR_ALIAS_SEND_IN_RECV, 0);
	expect_alias(in_place(FR_COLL_REDUCE, 2, 2), FR_ALIAS_SEND_IN_RECV, 0);
	expect_alias(in_place(FR_COLL_BROADCAST, 2, 2), FR_ALIAS_SEND_IN_RECV, 0);
	expect_alias(in_place(FR_COLL_ALLGATHER, 2, 0), FR_ALIAS_SEND_IN_RECV, 20);
	expect_alias(in_place(FR_COLL_GATHER, 2, 2), FR_ALIAS_SEND_IN_RECV, 20);
	expect_alias(in_place(FR_COLL_REDUCE_SCATTER, 3, 0), FR_ALIAS_RECV_IN_SEND, 30);
	expect_alias(in_place(FR_COLL_SCATTER, 3, 3), FR_ALIAS_RECV_IN_SEND, 30);
	expect_alias(in_place(FR_COLL_ALLTOALL, 2, 0), FR_ALIAS_NONE, 0);
	expect_alias(in_place(FR_COLL_BARRIER, 2, 0), FR_ALIAS_NONE, 0);
}

/* Only the root has both buffers. */
static void test_others_than_the_root_have_nothing_in_place(void)
{
	expect_alias(in_place(FR_COLL_REDUCE, 1, 2), FR_ALIAS_NONE, 0);
	expect_alias(in_place(FR_COLL_BROADCAST, 1, 2), FR_ALIAS_NONE, 0);
	expect_alias(in_place(FR_COLL_GATHER, 1, 2), FR_ALIAS_NONE, 0);
	expect_alias(in_place(FR_COLL_SCATTER, 1, 2), FR_ALIAS_NONE, 0);
}

static void test_blocks_of_different_counts_move_the_offset(void)
{
	const size_t counts[RANKS] = {3, 0, 5, 1}, displs[RANKS] = {7, 2, 20, 0};
	struct fr_coll_args a = in_place(FR_COLL_REDUCE_SCATTER, 3, 0);

	a.counts = counts;
	expect_alias(a, FR_ALIAS_RECV_IN_SEND, 8);
	a = in_place(FR_COLL_ALLGATHER, 2, 0);
	a.counts = counts;
	a.displs = displs;
	expect_alias(a, FR_ALIAS_SEND_IN_RECV, 20);
}

static void test_the_size_is_that_of_the_largest_buffer(void)
{
	const size_t counts[RANKS] = {3, 0, 5, 1}, fewer[RANKS] = {1, 1, 1, 1};
	struct fr_coll_args a = in_place(FR_COLL_ALLREDUCE, 0, 0);

	CU_ASSERT_EQUAL(fr_coll_total_count(&a), 10);
	a.coll = FR_COLL_SCATTER;
	CU_ASSERT_EQUAL(fr_coll_total_count(&a), 40);
	a.counts = counts;
	CU_ASSERT_EQUAL(fr_coll_total_count(&a), 9);
	a = in_place(FR_COLL_ALLTOALL, 0, 0);
	CU_ASSERT_EQUAL(fr_coll_total_count(&a), 40);
	a.send_counts = fewer;
	a.recv_counts = counts;
	CU_ASSERT_EQUAL(fr_coll_total_count(&a), 9);
	a.coll = FR_COLL_BARRIER;
	CU_ASSERT_EQUAL(fr_coll_total_count(&a), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"names are read as they are printed", test_names_are_read_as_they_are_printed},
		{"properties", test_properties},
		{"buffers in place lie as the API says", test_buffers_in_place_lie_as_the_api_says},
		{"others than the root have nothing in place",
	         test_others_than_the_root_have_nothing_in_place},
		{"blocks of different counts move the offset",
	         test_blocks_of_different_counts_move_the_offset},
		{"the size is that of the largest buffer",
	         test_the_size_is_that_of_the_largest_buffer},
		{NULL, NULL},
	};

	return t_main("collective", cases);
}

/*
 * t_main.h - the main function of every unit test program.
 *
 *     static void test_ring_with_more_ranks_than_elements(void) { ... CU_ASSERT(...); }
 *
 *     int main(void)
 *     {
 *             static const struct t_case cases[] = {
 *                     {"ring with more ranks than elements", test_ring_with_...},
 *                     {NULL, NULL},
 *             };
 *             return t_main("ring", cases);
 *     }
 */
#ifndef T_MAIN_H
#define T_MAIN_H

#include <CUnit/CUnit.h>

struct t_case {
	const char *name;
	void (*function)(void);
};

/*
 * t_main - runs the cases in order, up to the one with a NULL name.
 *
 * Prints a line for each case, the failed assertions below it, and as the last line
 * "suite: N passed, N failed, N skipped".  A case that lasts longer than T_CASE_SECONDS
 * (environment, default 120) ends the program as a failure that names it.  Arguments are
 * not needed: T_CASE (environment) runs only the cases whose name contains it.
 * With T_LIST set the names are printed and nothing is run.
 *
 * Returns what main should: 0, 1 when a case failed, 77 when every case was skipped.
 */
int t_main(const char *suite, const struct t_case *cases);

/*
 * t_skip - the running case cannot be tried here; `reason` is printed with it.  Return from
 * the case afterwards.  A failed assertion still counts as a failure.
 */
void t_skip(const char *reason, ...) __attribute__((format(printf, 1, 2)));

/*
 * t_lacking - before t_main(): none of this program's cases can be tried here, and each is counted
 * as skipped for that reason.
 */
void t_lacking(const char *reason, ...) __attribute__((format(printf, 1, 2)));

/*
 * t_failures - assertions that have failed so far in this process.  A forked rank returns
 * `t_failures() != 0` as its exit code, since its assertions are not seen by the parent.
 */
unsigned t_failures(void);

#endif

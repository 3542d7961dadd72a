#!/bin/sh
# What this build leaves out for want of a part: unit test programs that were not built are
# skipped ones, each with its cases and the reason.
# usage: left_out.sh      in the build directory.  TEST_PROGRAMS and LEFT_OUT (words as in
#                         tests/transport/test_ucx@ucx) come from `make check`
. "$(dirname "$0")/../lint/lint.sh"

# reason FEATURE - why it is not there, as configure found it.
reason() {
	detail=$(sed -n "s/.*X(\"$1\", 0, \"\([^\"]*\)\").*/: \1/p" config.h)
	echo "built without $1$detail"
}

for word in $LEFT_OUT; do
	n=$(sh "$lint_dir/../support/cases.sh" "${word%@*}" | wc -l)
	echo "skip  ${word%@*}: $n cases: $(reason "${word#*@}")"
	n_skipped=$((n_skipped + n))
done

# Those that were built say themselves what they have.
for program in $TEST_PROGRAMS; do
	[ -x "$program" ] || continue
	T_LIST=1 "$program" | sed -n "s/^case  //p" >"$work/said"
	sh "$lint_dir/../support/cases.sh" "$program" | cmp -s - "$work/said" ||
		echo "$program: cases.sh sees other cases than it has itself"
done >"$work/problem"
[ -n "$TEST_PROGRAMS" ] || lacking="no unit test program was built"
verdict "cases are counted as their programs have them" "$work/problem"
finish

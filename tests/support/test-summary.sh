#!/bin/sh
# The last line of a test run is true: summary.sh counts case by case, and what is left out for
# want of a part counts as skipped, with the reason.
# usage: test-summary.sh      in the build directory
. "$(dirname "$0")/../lint/lint.sh"

support=$lint_dir/../support
mkdir -p "$work/build/tests/room"

# left NAME RESULT TEXT - what a test leaves behind.
left() {
	printf ':test-result: %s\n' "$2" >"$work/build/tests/room/$1.trs"
	printf '%b\n' "$3" >"$work/build/tests/room/$1.log"
}

# says LINE WHAT - the summary has this line.
says() {
	: >"$work/problem"
	grep -qxF -- "$1" "$work/summary" || { echo "no line '$1' in:"; cat "$work/summary"; } >"$work/problem"
	verdict "$2" "$work/problem"
}

left sound PASS 'ok    one (1 ms)\nok    two (2 ms)\nsound: 2 passed, 0 failed, 0 skipped'
left silent PASS 'no sum'
left killed FAIL 'ok    one (1 ms)'
left liar FAIL 'ok    one (1 ms)\nliar: 1 passed, 0 failed, 0 skipped'
left bare SKIP 'skip  all: no such device\nbare: 0 passed, 0 failed, 22 skipped'
left some PASS 'skip  one: no ruler: none\nskip  two: no ruler: none\nskip  three: no pen
ok    four\nsome: 1 passed, 0 failed, 3 skipped'
sh "$support/summary.sh" "$work/build" >"$work/summary"
says "5 passed, 2 failed, 25 skipped" "a suite counts by its cases, one without a sum as one"
says "tests/room/liar: ended with an error although no case failed" "an error without a failed case is told"
says "  skip  all: no such device" "the reason for 22 skipped cases is told"
says "  skip  one: no ruler: none" "the first case skipped for a reason is told"
says "        and 1 more for the same reason" "the others of one reason are counted"
says "  skip  three: no pen" "another reason is told"

# tools_lib.sh: where something is lacking, every case is skipped and none runs.
cat >"$work/lacks.sh" <<'END'
. "$srcdir/tests/tools/tools_lib.sh"
check "before" true
lacking="no ink"
for n in 1 2 3; do check "line $n" touch "$work/written"; done
lacking=
check "nothing was done" test ! -e "$work/written"
finish lacks
END
(cd "$work" && srcdir=$root sh "$work/lacks.sh") >"$work/summary"
says "skip  line 2: no ink" "a case that lacks something is skipped with the reason"
says "lacks: 2 passed, 0 failed, 3 skipped" "each of them counts"

# guest_lib.sh: the same for tests that need a virtual machine, which must not touch this one.
cat >"$work/guest.sh" <<'END'
. "$srcdir/tests/guest/guest_lib.sh"
enter_guest -t 10
guest_one_device || exit 1
touch "$reached"
kill -9 $PPID
check "a case" true
unit "a suite" 10 tests/base/test_parse
finish guest
END
echo '#define HAVE_VERBS 1' >"$work/config.h"
reached=$work/reached
export reached
: >"$work/problem"
(cd "$work" && srcdir=$root WITHOUT_GUEST=yes sh "$work/guest.sh"; true) >"$work/summary"
n=$(srcdir=$root sh "$support/cases.sh" tests/base/test_parse | wc -l)
says "guest: 0 passed, 0 failed, $((n + 2)) skipped" "without a guest all of its cases are skipped"
: >"$work/problem"
[ ! -e "$reached" ] || echo "a program ran" >"$work/problem"
verdict "and nothing is done to this machine" "$work/problem"

finish

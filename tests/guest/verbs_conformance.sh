#!/bin/sh
# Every transport's suite over Soft-RoCE.
. "$srcdir/tests/guest/guest_lib.sh"
enter_guest -t 290

guest_one_device || exit 1
export FERRULE_IB_HCA=rxe0

# How many queue pairs, regions and so on there are.
held() {
	rdma resource show rxe0 | tr -s ' '
}

before=$(held)
if [ -x tests/transport/test_verbs ]; then
	T_CASE_SECONDS=160 timeout -k 5 260 tests/transport/test_verbs >$work/out 2>&1
	status=$?
	grep -E '^(ok|FAIL|skip|      )' $work/out
	# "suite: N passed, N failed, N skipped"
	set -- $(sed -n 's/.*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		$work/out | tail -n 1)
	passed=$((passed + ${1:-0})) failed=$((failed + ${2:-0})) skipped=$((skipped + ${3:-0}))
	check "the suite ends well" test "$status" -eq 0
else
	skip "the transports' suite" "built without CUnit"
fi

check "the kernel holds what it held before" test "$(held)" = "$before"
finish guest/verbs_conformance

#!/bin/sh
# The verbs transport's parts that only a kernel's devices can try: librdmacm and fork().
. "$srcdir/tests/guest/guest_lib.sh"
enter_guest -t 200

# What the unit tests count is added to this test's sum.
unit() {
	what=$1
	shift
	if [ ! -x "$1" ]; then
		skip "$what" "$1 is not in this build"
		return
	fi
	timeout -k 5 90 "$@" >$work/out 2>&1
	status=$?
	grep -E '^(ok|FAIL|skip|      )' $work/out
	# "suite: N passed, N failed, N skipped"
	set -- $(sed -n 's/.*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		$work/out | tail -n 1)
	passed=$((passed + ${1:-0})) failed=$((failed + ${2:-0})) skipped=$((skipped + ${3:-0}))
	check "$what" test "$status" -eq 0
}

held() {
	rdma resource show rxe0 | tr -s ' '
}

guest_one_device || exit 1
export FERRULE_IB_HCA=rxe0
before=$(held)
unit "registered memory and fork()" tests/transport/test_verbs_fork
unit "librdmacm by IPv4" tests/transport/test_verbs_cm
guest_gid rxe0 del
unit "librdmacm by link-local IPv6" tests/transport/test_verbs_cm
check "the kernel holds what it held before" test "$(held)" = "$before"
finish guest/verbs_units

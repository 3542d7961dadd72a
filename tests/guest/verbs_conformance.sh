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
export T_CASE_SECONDS=160
unit "the suite ends well" 260 tests/transport/test_verbs

check "the kernel holds what it held before" test "$(held)" = "$before"
finish guest/verbs_conformance

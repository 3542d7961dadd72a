#!/bin/sh
# The verbs transport's parts that only a kernel's devices can try: librdmacm and fork().
. "$srcdir/tests/guest/guest_lib.sh"
enter_guest -t 200

held() {
	rdma resource show rxe0 | tr -s ' '
}

guest_one_device || exit 1
export FERRULE_IB_HCA=rxe0
before=$(held)
unit "registered memory and fork()" 90 tests/transport/test_verbs_fork
unit "librdmacm by IPv4" 90 tests/transport/test_verbs_cm
guest_gid rxe0 del
unit "librdmacm by link-local IPv6" 90 tests/transport/test_verbs_cm
check "the kernel holds what it held before" test "$(held)" = "$before"
finish guest/verbs_units

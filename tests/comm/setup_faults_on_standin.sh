#!/bin/sh
# A rank that is killed at every call of a set-up over verbs, on the stand-in device.
standin=$PWD/tests/support/standin/libstandin.so
name=comm/setup_faults_on_standin

if [ ! -f "$standin" ]; then
	echo "skip  $name: this build has no stand-in device (built without verbs)"
	exit 77
fi
if [ ! -x tests/comm/test_setup_faults ]; then
	echo "skip  $name: this build has no unit tests (built without CUnit)"
	exit 77
fi
work=$(mktemp -d ./test-setup-faults-XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT
if T_TRANSPORT=verbs FERRULE_VERBS_LIBRARY="$standin" STANDIN_NAMESPACE="setup-$$" \
	T_CASE="a rank is killed at every call of set-up" FERRULE_LOG=error \
	tests/comm/test_setup_faults >"$work/out" 2>&1; then
	grep 'errors,' "$work/out"
	echo "ok    a rank is killed at every call of set-up over verbs"
	echo "$name: 1 passed, 0 failed, 0 skipped"
else
	cat "$work/out"
	echo "$name: 0 passed, 1 failed, 0 skipped"
	exit 1
fi

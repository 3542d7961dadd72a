#!/bin/sh
# The suite that every transport is run through, over verbs on the stand-in device: as it is, and in
# the ways that hardware may differ.  Each line is one case that stands for the whole suite.
. "$srcdir/tests/tools/tools_lib.sh"

use_standin
[ -n "$lacking" ] || [ -x tests/transport/test_verbs ] ||
	lacking="tests/transport/test_verbs is not in this build"

# suite WHAT VARIABLE=VALUE... - the whole suite with these settings.
suite() {
	what=$1
	shift
	if [ -n "$lacking" ]; then
		skip "$what" "$lacking"
	elif env FERRULE_VERBS_LIBRARY="$standin" STANDIN_NAMESPACE="suite-$$" "$@" \
		timeout -k 5 200 tests/transport/test_verbs >"$work/out" 2>&1; then
		passed=$((passed + 1))
		echo "ok    $what: $(tail -n 1 "$work/out" | sed 's/^[^:]*: //; s/ passed,.*/ cases/')"
	else
		failed=$((failed + 1))
		echo "FAIL  $what"
		grep -v '^ok' "$work/out" | tail -n 20 | sed 's/^/      /'
	fi
}

# A sanitizer is slow, and sees in the rest what these have to show.
if [ -z "${T_IS_SANITIZED:-}" ]; then
	suite "one device"
	suite "registered memory, written in place" T_REGISTER=1
	suite "InfiniBand instead of Ethernet" STANDIN_LINK=ib
fi
suite "two rails of three queue pairs, registered memory" \
	STANDIN_DEVICES=2 FERRULE_IB_QPS_PER_PEER=3 T_REGISTER=1
suite "the last part of a write lands first" STANDIN_SCRAMBLE=2000 T_REGISTER=1
suite "few and small slots" FERRULE_IB_SLOTS=8 FERRULE_IB_SLOT=4096 FERRULE_IB_ZERO_COPY=1000
finish transport/verbs_on_standin

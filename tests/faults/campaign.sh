#!/bin/sh
# A few jobs with each kind of fault; `make check-faults` runs as many as one likes.
# Environment: FAULTS (jobs a kind and transport, default 1), FAULT_SEED (default 1), FAULT_KINDS (of
# the kinds that fault_campaign --help lists; default all).

standin=$PWD/tests/support/standin/libstandin.so
transports=shm,tcp
if [ -f "$standin" ]; then
	FERRULE_VERBS_LIBRARY=$standin
	export FERRULE_VERBS_LIBRARY
	transports=$transports,verbs
fi
rows=$(mktemp) || exit 1
trap 'rm -f "$rows"' EXIT
# Who stops in set-up is told together with ranks that wait for it, now and then; make check-faults
# counts how often.
: "${FAULT_KINDS:=none,kill,kill-in-setup,fork-and-die,exit,leave,abort,stop,no-buffer,other-count,\
empty,call-dies,call-fails,no-allocation,no-descriptors,no-memory,stranger,partition}"
tests/faults/fault_campaign --trials "${FAULTS:-1}" --seed "${FAULT_SEED:-1}" \
	--transports "$transports" --kinds "$FAULT_KINDS" >"$rows" 2>&1
status=$?
awk -v status="$status" '
/^  [a-z-]+ +(shm|tcp|verbs) / {
	# fault transport jobs fine told | p50 p99 max | late unnamed wrong hung unexpected
	bad = $11 + $12 + $13 + $14 + $15
	if (bad == 0) { passed++; print "ok    " $1 " over " $2; next }
	failed++
	print "FAIL  " $1 " over " $2 ": " $11 " late, " $12 " unnamed, " $13 " wrong, " $14 " hung, " \
		$15 " unexpected"
	next
}
/^      first:/ { print; next }
/^  [a-z-]+ +skipped: / { skipped++; sub(/^ +/, ""); print "skip  " $0; next }
END {
	skipped++
	print "skip  stop-in-setup: those that wait for the rank may be named with it"
	# It died, or said nothing.
	if (failed == 0 && (status != 0 || passed == 0)) {
		failed++
		print "FAIL  fault_campaign ended with status " status
	}
	printf "campaign: %d passed, %d failed, %d skipped\n", passed, failed, skipped
	exit failed > 0
}' "$rows" || { rc=$?; tail -n 3 "$rows" >&2; exit $rc; }

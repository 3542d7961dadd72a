#!/bin/sh
# summary.sh - adds up what `make check` left behind, case by case.
#
# usage: summary.sh BUILD-DIRECTORY [-r]
#
# A test's log ends with "NAME: N passed, N failed, N skipped".  One that does not (it crashed,
# was killed, or is no suite of cases) counts as a single case by its exit status.  Prints what
# failed or was skipped and why, and as the last line the sum.  With -r the last line says
# nothing but the three numbers, for scripts.  The exit status is 1 when something failed, or
# when nothing was run at all.

cd "$1" || exit 2
find tests -name '*.trs' | sort | while read -r trs; do
	log=${trs%.trs}.log
	result=$(sed -n 's/^:test-result: \([A-Z]*\).*/\1/p' "$trs")
	# automake appends a line of its own to the log.
	sum=$(sed -n 's/^[^:]*: \([0-9]* passed, [0-9]* failed, [0-9]* skipped\)$/sum: \1/p' "$log" | tail -n 1)
	echo "@ ${trs%.trs} $result ${sum:-none}"
	# What failed and the indented lines below it; what was skipped.
	awk '/^FAIL  / { on = 1 } !/^(FAIL  |      )/ { on = 0 } on || /^skip  / { print "| " $0 }' "$log"
	if [ -z "$sum" ] && [ "$result" != PASS ]; then
		tail -n 20 "$log" | sed 's/^/| /'
	fi
done | awk -v raw="$2" '
# Details follow their test; print its name once, before the first of them.
/^@ / {
	tell_more()
	name = $2
	if ($4 == "none") {
		passed += $3 == "PASS"; skipped += $3 == "SKIP"
		failed += $3 != "PASS" && $3 != "SKIP"
		next
	}
	passed += $5; failed += $7; skipped += $9
	# A suite that says all is well and then dies is not well.
	if ($7 == 0 && $3 != "PASS" && $3 != "SKIP") {
		failed++
		print name ": ended with an error although no case failed"
	}
	next
}
raw != "" { next }
# Cases that were skipped for one reason are told together.
/^\| skip  / && match($0, /: /) {
	reason = substr($0, RSTART)
	case_name = substr($0, 3, RSTART - 3)
	if (reason == last_reason && named == name) {
		n_more++
		next
	}
	tell_more()
	last_reason = reason
	say(case_name reason)
	next
}
{ say(substr($0, 3)) }
function tell_more() {
	if (n_more > 0) printf "        and %d more for the same reason\n", n_more
	n_more = 0
	last_reason = ""
}
function say(text) {
	if (text !~ /^skip  /) tell_more()
	if (named != name) print name ":"
	named = name
	print "  " text
}
END {
	tell_more()
	if (raw == "") printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
	else printf "%d %d %d\n", passed, failed, skipped
	exit failed > 0 || passed + skipped == 0
}'

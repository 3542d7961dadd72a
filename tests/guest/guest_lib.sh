# What the tests on kernel verbs share; sourced, in the build directory, with $srcdir set.
#
# A test is one script that begins with enter_guest: outside, that runs the same script in a
# guest and ends with its status; inside, it returns, and the cases follow.
set -u
support=$srcdir/tests/support/guest

# enter_guest OPTION... - of guest.sh.
enter_guest() {
	[ -z "${IN_GUEST:-}" ] || return 0
	has_verbs
	exec sh "$support/guest.sh" "$@" "$0"
}

# enter_pair OPTION... - of guest-pair.sh.  Node 0 counts the cases, node 1 helps.
enter_pair() {
	[ -z "${IN_GUEST:-}" ] || return 0
	has_verbs
	sh "$support/guest-pair.sh" "$@" "$0" >pair.$$.out 2>&1
	status=$?
	# The sum must be the last line, and as the summary expects it.
	sed -n 's/^0: //p' pair.$$.out
	[ $status -eq 0 ] || [ $status -eq 77 ] || sed -n 's/^1: /      node 1: /p' pair.$$.out
	[ $status -ne 77 ] || grep '^guest: ' pair.$$.out
	rm -f pair.$$.out
	exit $status
}

# A build without verbs has nothing to show here, and whoever tests many builds one after the
# other sets WITHOUT_GUEST.
has_verbs() {
	reason=
	[ -z "${WITHOUT_GUEST:-}" ] || reason="WITHOUT_GUEST is set"
	grep -q '^#define HAVE_VERBS 1' config.h || reason="built without verbs"
	[ -n "$reason" ] || return 0
	echo "skip: $reason"
	exit 77
}

if [ -n "${IN_GUEST:-}" ]; then
	. "$support/guest-setup.sh"
	work=/tmp
	passed=0
	failed=0
	skipped=0
fi

# check WHAT COMMAND... - counts whether the command succeeds; shows the last output if not.
check() {
	what=$1
	began=$(date +%s%N)
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok    $what ($((($(date +%s%N) - began) / 1000000)) ms)"
	else
		failed=$((failed + 1))
		echo "FAIL  $what ($((($(date +%s%N) - began) / 1000000)) ms)"
		head -n 40 "$work/out" 2>/dev/null | cut -c 1-300 | sed 's/^/      /'
	fi
}

# skip WHAT WHY
skip() {
	skipped=$((skipped + 1))
	echo "skip  $1: $2"
}

# gives STATUS SECONDS COMMAND... - output and errors in $work/out.
gives() {
	want=$1 limit=$2
	shift 2
	timeout -k 5 "$limit" "$@" >"$work/out" 2>&1 </dev/null
	got=$?
	[ $got -eq "$want" ] && return 0
	echo "      exit status $got, expected $want: $*"
	return 1
}

# prints PATTERN - the last output has such a line.
prints() {
	grep -qE -- "$1" "$work/out"
}

# finish SUITE
finish() {
	echo "$1: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
	exit
}

# What the tests on kernel verbs share; sourced, in the build directory, with $srcdir set.
#
# A test is one script that begins with enter_guest: outside, that runs the same script in a
# guest and ends with its status; inside, it returns, and the cases follow.  Where no guest can run
# it returns as well, and each case counts as skipped.
set -u
support=$srcdir/tests/support/guest
passed=0
failed=0
skipped=0
lacking=

# enter_guest OPTION... - of guest.sh.
enter_guest() {
	[ -z "${IN_GUEST:-}" ] || return 0
	why_no_guest
	[ -n "$lacking" ] || exec sh "$support/guest.sh" "$@" "$0"
	leave_out
}

# enter_pair OPTION... - of guest-pair.sh.  Node 0 counts the cases, node 1 helps.
enter_pair() {
	[ -z "${IN_GUEST:-}" ] || return 0
	why_no_guest
	if [ -n "$lacking" ]; then
		leave_out
		return
	fi
	sh "$support/guest-pair.sh" "$@" "$0" >pair.$$.out 2>&1
	status=$?
	# The sum must be the last line, and as the summary expects it.
	sed -n 's/^0: //p' pair.$$.out
	[ $status -eq 0 ] || [ $status -eq 77 ] || sed -n 's/^1: /      node 1: /p' pair.$$.out
	[ $status -ne 77 ] || grep '^guest: ' pair.$$.out
	rm -f pair.$$.out
	exit $status
}

# why_no_guest - in $lacking.  A build without verbs has nothing to show here, and whoever tests many
# builds one after the other sets WITHOUT_GUEST.
why_no_guest() {
	if ! grep -q '^#define HAVE_VERBS 1' config.h; then
		lacking="built without verbs"
	elif [ -n "${WITHOUT_GUEST:-}" ]; then
		lacking="WITHOUT_GUEST is set"
	else
		said=$(sh "$support/guest-prepare.sh" 2>&1) || lacking=${said##*guest: }
	fi
}

# leave_out - the script goes on, and counts its cases as skipped.  What it does between them is
# meant for a guest and must not happen to this machine: no program is found any more, and the
# built-in command that reaches other processes does nothing.
leave_out() {
	outside=$PATH
	work=$(mktemp -d) || exit 1
	trap 'PATH=$outside; rm -rf "$work"' EXIT
	PATH=/nonexistent NODE=0
	exec 2>/dev/null
	set +u
	kill() { :; }
	cat() { echo 0; }
	date() { echo 0; }
	for device in guest_one_device guest_two_devices guest_two_rails guest_pair_device; do
		eval "$device() { :; }"
	done
}

if [ -n "${IN_GUEST:-}" ]; then
	. "$support/guest-setup.sh"
	work=/tmp
fi

# check WHAT COMMAND... - counts whether the command succeeds; shows the last output if not.
check() {
	what=$1
	if [ -n "$lacking" ]; then
		skip "$what" "$lacking"
		return
	fi
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

# unit WHAT SECONDS PROGRAM - runs a program of unit tests, whose cases are added to this test's sum.
unit() {
	what=$1 limit=$2
	shift 2
	why=$lacking
	[ -n "$why" ] || [ -x "$1" ] || why="$1 is not in this build"
	if [ -n "$why" ]; then
		n=$(PATH=${outside:-$PATH} sh -c 'sh "$srcdir/tests/support/cases.sh" "$0" | wc -l' "$1")
		skipped=$((skipped + n + 1))
		echo "skip  $what: $n cases of $1, and how it ends: $why"
		return
	fi
	timeout -k 5 "$limit" "$@" >$work/out 2>&1
	status=$?
	grep -E '^(ok|FAIL|skip|      )' $work/out
	# "suite: N passed, N failed, N skipped"
	set -- $(sed -n 's/.*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		$work/out | tail -n 1)
	passed=$((passed + ${1:-0})) failed=$((failed + ${2:-0})) skipped=$((skipped + ${3:-0}))
	check "$what" test "$status" -eq 0
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
	[ "$failed" -eq 0 ] || exit 1
	[ "$passed" -gt 0 ] || exit 77
	exit 0
}

# What the tests of `ferrule train` share; sourced.  Runs in the build directory, with $srcdir.
set -u
data=$srcdir/tests/data/digits.csv.gz
work=$(mktemp -d ./test-train-XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# check WHAT COMMAND...: counts whether the command succeeds.
check() {
	what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok    $what"
	else
		failed=$((failed + 1))
		echo "FAIL  $what"
	fi
}

# train RANKS OPTIONS...: output in $work/out, errors in $work/err; ends within a minute.
train() {
	n=$1
	shift
	timeout -k 5 60 ./ferrule run -n "$n" ./ferrule train "$@" \
		>"$work/out" 2>"$work/err" && return 0
	status=$?
	[ -n "${expect_failure-}" ] || cat "$work/err"
	return $status
}

# finish SUITE: the last line, and the exit status.
finish() {
	echo "$1: $passed passed, $failed failed, 0 skipped"
	[ "$failed" -eq 0 ]
}

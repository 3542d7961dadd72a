# What the tests of the program `ferrule` share; sourced.  Runs in the build directory.
set -u
work=$(mktemp -d ./test-tools-XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
skipped=0
# Why the cases that follow cannot be tried here: set, it makes check count each of them as
# skipped, so that what is left out is told case by case.
lacking=

# check WHAT COMMAND...: counts whether the command succeeds; shows the last output if not.
check() {
	what=$1
	shift
	if [ -n "$lacking" ]; then
		skip "$what" "$lacking"
	elif "$@"; then
		passed=$((passed + 1))
		echo "ok    $what"
	else
		failed=$((failed + 1))
		echo "FAIL  $what"
		head -n 20 "$work/out" "$work/err" 2>/dev/null | sed 's/^/      /'
	fi
}

# skip WHAT WHY
skip() {
	skipped=$((skipped + 1))
	echo "skip  $1: $2"
}

# gives STATUS COMMAND...: runs it, at most a minute; output in $work/out, errors in $work/err.
gives() {
	want=$1
	shift
	timeout -k 5 60 "$@" >"$work/out" 2>"$work/err" </dev/null
	got=$?
	[ $got -eq "$want" ] && return 0
	echo "      exit status $got, expected $want: $*"
	return 1
}

# prints TEXT: the last output holds the text.  complains TEXT: the last errors do.
prints() {
	grep -qF -- "$1" "$work/out"
}
complains() {
	grep -qF -- "$1" "$work/err"
}

# refuses TEXT COMMAND...: a usage error that says TEXT, and nothing on stdout.
refuses() {
	text=$1
	shift
	gives 2 "$@" && complains "$text" && [ ! -s "$work/out" ]
}

# no_process TEXT: nobody runs a command line with TEXT in it (zombies have none).
no_process() {
	for cmdline in /proc/[0-9]*/cmdline; do
		if { tr '\0' ' ' <"$cmdline" | grep -qF -- "$1"; } 2>/dev/null; then
			[ "${cmdline#/proc/$$/}" != "$cmdline" ] || return 1
		fi
	done
	return 0
}

# is_json FILE: every line is a JSON value.
is_json() {
	[ -s "$1" ] || return 1
	if command -v python3 >/dev/null 2>&1; then
		python3 -c 'import json, sys
for line in open(sys.argv[1]): json.loads(line)' "$1"
		return
	fi
	# Without a parser: strings taken out, brackets must match and nothing odd be left.
	awk '{
		gsub(/"([^"\\]|\\.)*"/, "s")
		while (gsub(/\{[^{}\[\]]*\}|\[[^{}\[\]]*\]/, "v"));
		if ($0 != "v") exit 1
	}' "$1"
}

# use_standin: the stand-in device is $standin, standin-ctl is $control; without them all that
# follows is lacking.
use_standin() {
	standin=$PWD/tests/support/standin/libstandin.so
	control=$PWD/tests/support/standin/standin-ctl
	[ -f "$standin" ] && [ -x "$control" ] ||
		lacking="this build has no stand-in device (built without verbs)"
}

# use_ports SCRIPT: runs the script again while ports are held for it that nobody else gets;
# next_port: the next of them is $port.
use_ports() {
	if [ -z "${T_PORTS:-}" ]; then
		tests/support/with_ports 50 sh "$1"
		exit
	fi
	next_ports=$T_PORTS
}
next_port() {
	# All of them have been used when the last one has.
	[ -n "${next_ports# }" ] || next_ports=$T_PORTS
	port=${next_ports%% *}
	next_ports=${next_ports#* }
}

# finish SUITE: the last line, and the exit status.
finish() {
	echo "$1: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] || exit 1
	[ "$passed" -gt 0 ] || exit 77
	exit 0
}

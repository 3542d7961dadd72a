# lint.sh - sourced by the checks here: one line a case, one sum a script.
#
# A check is run as `sh tests/lint/check-X.sh [ROOT]`; ROOT is the tree to look at, by default
# $srcdir (as `make check` sets it) or the directory above tests/.

lint_dir=$(cd "$(dirname "$0")" && pwd)
root=${1:-${srcdir:-$lint_dir/../..}}
root=$(cd "$root" && pwd) || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
n_passed=0
n_failed=0
n_skipped=0
# Why the cases that follow cannot be tried here; set, it makes each of them a skipped one.
lacking=

# verdict NAME FILE - the case fails when FILE holds problems, which are printed.
verdict() {
	if [ -n "$lacking" ]; then
		skip "$1" "$lacking"
	elif [ -s "$2" ]; then
		n_failed=$((n_failed + 1))
		printf 'FAIL  %s\n' "$1"
		sed 's/^/      /' "$2"
	else
		n_passed=$((n_passed + 1))
		printf 'ok    %s\n' "$1"
	fi
}

# skip NAME REASON
skip() {
	n_skipped=$((n_skipped + 1))
	echo "skip  $1: $2"
}

# finish - the last line and the exit status.
finish() {
	echo "$(basename "$0" .sh): $n_passed passed, $n_failed failed, $n_skipped skipped"
	[ "$n_failed" -eq 0 ] || exit 1
	[ "$n_passed" -gt 0 ] || exit 77
	exit 0
}

# sources ROOM... - the C files of rooms that exist, one a line, relative to the tree.
sources() {
	for room in "$@"; do
		[ ! -d "$root/$room" ] || (cd "$root" && find "$room" -name '*.[ch]' -o -name '*.inc' \
			! -name Makefile.inc)
	done | sort
}

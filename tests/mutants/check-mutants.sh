#!/bin/sh
# check-mutants.sh - breaks what matters, one line at a time, and sees that some test notices.
#
# usage: check-mutants.sh SOURCE [-l] [-p K/N] [NAME...]    in a build directory
#
# mutants.txt holds the mutants.  Each is applied to a copy of the source in ./mutants, the tests
# that it names are built and run there, and one of them has to fail.  A mutant whose text is not
# found exactly once is an error: the list follows the code.  -p runs the K-th of N parts of the
# list, -l prints the names.  The last line is "N passed, N failed, N skipped"; a mutant that
# survives, or does not compile, is a failure.

source=$1
shift
list=$source/tests/mutants/mutants.txt
make=${MAKE:-make}
jobs=$(nproc)
part=1
parts=1
wanted=
while [ $# -gt 0 ]; do
	case $1 in
	-l)
		sed -n 's/^mutant  *//p' "$list"
		exit 0
		;;
	-p)
		part=${2%/*}
		parts=${2#*/}
		shift
		;;
	-*)
		sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	*) wanted="$wanted $1 " ;;
	esac
	shift
done

# field NAME FIELD - of that mutant in the list; of several lines, all.
field() {
	awk -v name="$1" -v field="$2" '
	/^mutant / { on = $2 == name; next }
	on && index($0, field " ") == 1 { print substr($0, length(field) + 2) }' "$list"
}

# replace FILE FROM TO - the text FROM, which must be there exactly once, becomes TO.
replace() {
	FROM=$2 TO=$3 awk '
	BEGIN { from = ENVIRON["FROM"]; to = ENVIRON["TO"] }
	{ text = text $0 "\n" }
	END {
		at = index(text, from)
		if (at == 0) exit 3
		rest = substr(text, at + length(from))
		if (index(rest, from) != 0) exit 4
		printf "%s%s%s", substr(text, 1, at - 1), to, rest
	}' "$1" >"$1.mutant" && mv "$1.mutant" "$1"
}

# build LOG TEST... - the library, the program and these tests; false when they do not compile.
build() {
	log=$1
	shift
	programs=$(printf '%s\n' "$@" | grep -v '\.sh$')
	# shellcheck disable=SC2086
	"$make" -s -C build -j"$jobs" libferrule.la ferrule standin $programs >"$log" 2>&1
}

# run LOG TEST... - the names of those that fail, on stdout.  One that is skipped does not.
run() {
	log=$1
	shift
	srcdir=$PWD/source
	export srcdir
	for test in "$@"; do
		shell=
		path=./$test
		case $test in *.sh) shell=sh path=$srcdir/$test ;; esac
		(cd build && timeout -k 5 120 $shell "$path") >>"$log" 2>&1 </dev/null
		case $? in 0 | 77) ;; *) echo "$test" ;; esac
	done
}

names=$(sed -n 's/^mutant  *//p' "$list" | awk -v k="$part" -v n="$parts" 'NR % n == k % n')
if [ -n "$wanted" ]; then
	names=$(for name in $(sed -n 's/^mutant  *//p' "$list"); do
		case $wanted in *" $name "*) echo "$name" ;; esac
	done)
fi
if [ -z "$names" ]; then
	echo "check-mutants: no mutant of that name; -l lists them" >&2
	exit 2
fi

rm -rf mutants/source
mkdir -p mutants/source mutants/build && cd mutants || exit 2
(cd "$source" && tar cf - --exclude=./build --exclude=./.git .) |
	tar xf - -C source || exit 2
# Newer than what an earlier run made of its mutants.
find source -name '*.[ch]' -exec touch {} +
if [ ! -f build/Makefile ]; then
	(cd build && ../source/configure --enable-assert --disable-shared) >configure.out 2>&1 || {
		tail -n 5 configure.out
		echo "0 passed, 1 failed, 0 skipped"
		exit 1
	}
fi

# What fails without any mutant would kill all of them.
tests=$(for name in $names; do field "$name" tests; done | tr ' ' '\n' | sort -u)
# shellcheck disable=SC2086
if ! build unchanged.out $tests; then
	tail -n 20 unchanged.out
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi
# shellcheck disable=SC2086
broken=$(run unchanged.out $tests)
if [ -n "$broken" ]; then
	echo "check-mutants: these fail without a mutant: $broken"
	tail -n 20 unchanged.out
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi

passed=0
failed=0
verdict() {
	if [ "$1" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	printf '%-5s %s: %s\n' "$1" "$name" "$2"
}

for name in $names; do
	file=source/$(field "$name" file)
	if [ ! -f "$file" ]; then
		verdict FAIL "there is no file $(field "$name" file)"
		continue
	fi
	cp -p "$file" saved
	tests=$(field "$name" tests)
	# shellcheck disable=SC2086
	if ! replace "$file" "$(field "$name" from)" "$(field "$name" to)"; then
		verdict FAIL "its text is not found exactly once in $(field "$name" file)"
	elif ! build "$name.out" $tests; then
		verdict FAIL "does not compile: $(grep -m1 'error' "$name.out")"
	else
		killed=$(run "$name.out" $tests | tr '\n' ' ')
		if [ -n "$killed" ]; then
			verdict ok "killed by $killed"
		else
			verdict FAIL "survives $tests"
		fi
	fi
	mv saved "$file"
	# Newer than what was made of the mutant.
	touch "$file"
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]

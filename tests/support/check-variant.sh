#!/bin/sh
# check-variant.sh - builds the tree in another way, beside this build, and runs its tests.
#
# usage: check-variant.sh SOURCE NAME CONFIGURE-ARGUMENT...    in a build directory
#
# Leaves the build in ./NAME, so that a second run is fast.  The name fuzz runs the fuzzers for
# FUZZ_SECONDS each instead of the tests; without-FEATURE runs the tests that FEATURE has to do with.
# The last line is "N passed, N failed, N skipped".

source=$1
name=$2
shift 2
make=${MAKE:-make}
jobs=$(nproc)

mkdir -p "$name" && cd "$name" || exit 2
# The arguments that a build was configured with, to notice that they changed.
if [ ! -f Makefile ] || [ "$(cat configured 2>/dev/null)" != "$*" ] ||
	! sh "$source/m4/found.sh" config.found >/dev/null; then
	# By a relative path: configure takes no other with a blank in it.
	if ! "$(realpath --relative-to=. "$source")/configure" "$@" >configure.out 2>&1; then
		# A machine without this compiler or sanitizer is no failure of the code.
		echo "$name: skipped: $(grep -E '^configure: error' configure.out || tail -n 1 configure.out)"
		echo "0 passed, 0 failed, 1 skipped"
		exit 77
	fi
	echo "$*" >configured
fi

run=
if [ "$name" = tsan ]; then
	TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 $TSAN_OPTIONS"
	export TSAN_OPTIONS
	# The thread sanitizer of older compilers cannot live with much address randomisation.
	if setarch -R true 2>/dev/null; then
		run="setarch -R"
	fi
fi
# abort_on_error: a report must look like a crash to whoever waits for the process.
ASAN_OPTIONS="detect_leaks=1 abort_on_error=1 detect_stack_use_after_return=1 $ASAN_OPTIONS"
UBSAN_OPTIONS="print_stacktrace=1 $UBSAN_OPTIONS"
# Leaks of libraries that are not ours.
LSAN_OPTIONS="suppressions=$source/tests/support/lsan.supp print_suppressions=0 $LSAN_OPTIONS"
export ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS

# fuzz_one FUZZER - from what earlier runs found, and the seeds that lie in the tree.
fuzz_one() {
	short=$(basename "$1")
	corpus=corpus/$short
	mkdir -p "$corpus"
	seeds=$source/tests/fuzz/corpus/${short#fuzz_}
	[ -d "$seeds" ] || seeds=
	# -rss_limit_mb: an input that makes the parser reserve gigabytes is a find, too.
	# shellcheck disable=SC2086
	"$1" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$corpus-" "$corpus" $seeds >"$short.log" 2>&1
}

if [ "$name" = fuzz ]; then
	"$make" -s -j"$jobs" fuzzers >build.out 2>&1 || { cat build.out; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
	fuzzers=$("$make" -s list-fuzzers)
	running=0
	for fuzzer in $fuzzers; do
		short=$(basename "$fuzzer")
		rm -f "$short.ok"
		{ fuzz_one "$fuzzer" && : >"$short.ok"; } &
		running=$(((running + 1) % jobs))
		[ "$running" -ne 0 ] || wait
	done
	wait
	passed=0
	failed=0
	for fuzzer in $fuzzers; do
		if [ -f "$(basename "$fuzzer").ok" ]; then
			passed=$((passed + 1))
			echo "ok    $fuzzer: $(sed -n 's/^stat::number_of_executed_units: *//p' "$(basename "$fuzzer").log") inputs"
		else
			failed=$((failed + 1))
			echo "FAIL  $fuzzer:"
			tail -n 40 "$(basename "$fuzzer").log"
		fi
	done
	echo "$passed passed, $failed failed, 0 skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
fi

if ! "$make" -s -j"$jobs" all >build.out 2>&1; then
	cat build.out
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi
grep -n 'warning:' build.out
rm -f test-suite.log
find tests -name '*.trs' -exec rm -f {} +
# Lint looks at sources and the installation at files, which are the same in every variant, as is
# the stand-in device, which is built without sanitizers; a guest emulates its processor, and a
# sanitizer on top takes longer than deadlines allow.  What runs in one thread of one process
# alone has no races for the thread sanitizer to find.  The campaign of faults limits memory and
# takes the allocator's place, which a sanitizer does too.  What the program prints is looked at by
# the first stage and under the address sanitizer.
left_out='tests/(lint|install|guest|standin|faults)/'
# A process that the sanitizer takes for threaded may not start threads after a fork, as the stand-in
# does in every rank of a test.
on_standin='comm/test_report|mem/test_memory_verbs|mem/gpu_tools'
on_standin=$on_standin'|transport/(test_verbs_faults|test_verbs_standin|verbs_on_standin)'
case $name in
without-*)
	left_out='tests/(lint/test-lint|lint/check-format|lint/check-functions|guest/|faults/)'
	;;
tsan)
	left_out='tests/(lint|install|guest|standin|faults|algo|schedule|pattern|kernels|tools|perf)/'
	left_out="$left_out|tests/($on_standin)"
	;;
esac
# What a feature has to do with; without CUnit there are scripts alone.
only=.
case $name in
without-pmix) only='tests/(support|base|comm|install)/|tests/tools/(inform|options|run)' ;;
without-scdoc) only='tests/(support|install|lint)/' ;;
without-vector) only='tests/(support|kernels|exec|api|trainer)/|tests/tools/(bench|inform|train)' ;;
without-cunit) ;;
without-*) only='tests/(support|mem|standin|transport|comm|perf|tools|install)/' ;;
esac
# For scripts; programs know by themselves.
[ "${name#without-}" != "$name" ] || export T_IS_SANITIZED=yes
tests=$("$make" -s list-tests | grep -E "$only" | grep -vE "$left_out" | tr '\n' ' ')
# shellcheck disable=SC2086
$run "$make" -s -j"${CHECK_JOBS:-$jobs}" check TESTS="$tests" >check.out 2>&1
rc=$?
if [ ! -f test-suite.log ]; then
	# The tests did not even build.
	cat check.out
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi
sh "$source/tests/support/summary.sh" . || exit 1
exit $rc

#!/bin/sh
# What cannot be written is said, and is a failure: of every subcommand, and of what ranks write.
. "$srcdir/tests/tools/tools_lib.sh"

printf '0,0,0\n1,0,1\n0,1,0\n1,1,1\n2,1,1\n0,2,0\n' >"$work/d.csv"

# lost STATUS TEXT COMMAND...: fails so when stdout is a full device, and says TEXT.
lost() {
	want=$1
	text=$2
	shift 2
	timeout -k 5 60 "$@" >/dev/full 2>"$work/err" </dev/null
	got=$?
	: >"$work/out"
	[ $got -eq "$want" ] && complains "$text" && return 0
	echo "      exit status $got, expected $want: $*"
	return 1
}

# closed COMMAND...: fails when there is no stdout at all, and says so.
closed() {
	timeout -k 5 60 "$@" >&- 2>"$work/err" </dev/null
	got=$?
	: >"$work/out"
	[ $got -ne 0 ] && complains "cannot write standard output: Bad file descriptor" && return 0
	echo "      exit status $got: $*"
	return 1
}

full="cannot write standard output: No space left on device"
[ -c /dev/full ] ||
	lacking="/dev/full is no device here"
for option in --version --help; do
	check "$option into a full device" lost 1 "ferrule: $full" ./ferrule $option
done
for command in run bench train info explain doctor; do
	check "$command --help" lost 1 "ferrule $command: $full" ./ferrule $command --help
done
check "bw --help" lost 2 "ferrule bw: $full" ./ferrule bw --help
check "lat --help" lost 2 "ferrule lat: $full" ./ferrule lat --help
for json in "" --json; do
	# The option may be missing.
	# shellcheck disable=SC2086
	{
		check "info $json" lost 1 "$full" ./ferrule info $json
		check "explain $json" lost 1 "$full" ./ferrule explain allreduce $json
		check "doctor --pairs $json" lost 1 "ferrule doctor: $full" \
			./ferrule doctor --pairs 2 $json
		check "bench $json" lost 1 "ferrule bench: $full" \
			./ferrule bench allreduce -b 8 -e 8 -n 1 -w 0 $json
		check "bench -N $json" lost 1 "ferrule bench: $full" \
			./ferrule bench -N 2 allreduce -b 8 -e 8 -n 1 -w 0 $json
		check "train $json" lost 1 "ferrule train: $full" \
			./ferrule train --data "$work/d.csv" --epochs 1 $json
		check "bw --local $json" lost 2 "ferrule bw: $full" \
			./ferrule bw --local --transport shm -n 5 $json
		check "lat --local $json" lost 2 "ferrule lat: $full" \
			./ferrule lat --local --transport shm -n 5 $json
	}
done
check "ranks' output with tags" lost 1 "ferrule run: $full" \
	./ferrule run -n 2 --tag-output echo hello
check "ranks that write themselves" lost 1 "exited with status 1" \
	./ferrule run -n 2 ./ferrule --version
check "what is said in JSON about ranks" sh -c '! ./ferrule run --json true 2>/dev/full'
check "a rank's own status comes first" lost 7 "$full" \
	./ferrule run -n 1 --tag-output sh -c 'echo hello; exit 7'
lacking=

check "no stdout" closed ./ferrule --version
check "no stdout for info" closed ./ferrule info
check "no stdout for bench" closed ./ferrule bench -N 2 allreduce -b 8 -e 8 -n 1
check "no stdout for a training" closed ./ferrule train --data "$work/d.csv" --epochs 1
check "no stdout for tagged ranks" closed ./ferrule run --tag-output echo hello
check "no stdout, and nothing to write" sh -c './ferrule run -n 2 true >&-'
check "a command line that makes no sense stays that" sh -c \
	'./ferrule bench --bogus >/dev/null 2>&1; [ $? -eq 2 ]'

# A reader that has seen enough: quietly, by SIGPIPE, as other programs.
# The statuses are those of the inner shell.
# shellcheck disable=SC2016
check "a reader that goes away" sh -c \
	'{ ./ferrule info --json 2>'"$work/err"'; echo $? >'"$work/status"'; } | :'
check "... is no failure of ours to tell" test ! -s "$work/err"
check "... but SIGPIPE's" grep -qxE '141|0' "$work/status"

finish output

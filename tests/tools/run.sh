#!/bin/sh
# `ferrule run`: environment, exit statuses, signals, cleaning up, output.
. "$srcdir/tests/tools/tools_lib.sh"
# The ranks' scripts are for their shells, not for this one.
# shellcheck disable=SC2016

# How long ranks sleep that are to be ended: a number that finds them again among all processes,
# those of the same test in another place too.
mark=47.$(od -An -N8 -tu8 /dev/urandom | awk '{ printf "%020d", $1 }')
export mark

# lines TEXT N: the last output has exactly N lines TEXT.
lines() {
	[ "$(grep -cxF -- "$1" "$work/out")" -eq "$2" ]
}

# --- what a rank finds
check "three ranks" gives 0 ./ferrule run -n 3 sh -c \
	'echo "$RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE, $MASTER_ADDR"'
for rank in 0 1 2; do
	check "... rank $rank" lines "$rank of 3, $rank of 3, 127.0.0.1" 1
done
check "key and port" gives 0 ./ferrule run -n 2 sh -c 'echo "${#FERRULE_JOB_KEY} $MASTER_PORT"'
check "... are the same for all" test "$(sort -u "$work/out" | grep -Ec '^64 [0-9]+$')" -eq 1
check "a key of one's own" gives 0 env FERRULE_JOB_KEY=mine ./ferrule run -n 1 \
	sh -c 'echo $FERRULE_JOB_KEY'
check "... is kept" lines mine 1
check "--transport" gives 0 ./ferrule run --transport tcp sh -c 'echo $FERRULE_TRANSPORT'
check "... is set" lines tcp 1
check "unknown transport" refuses "'ether' is not allowed; allowed, separated by commas: shm" \
	./ferrule run --transport shm,ether true
check "'ferrule' is this program" gives 0 env PATH=/nowhere ./ferrule run -n 2 ferrule --version
check "... on both ranks" test "$(grep -c '^ferrule ' "$work/out")" -eq 2
check "options of the program are its own" gives 0 ./ferrule run -n 1 echo -n 7 --json
check "... and reach it" prints "7 --json"
printf 'line\n' >"$work/in"
check "stdin goes to rank 0" sh -c \
	"./ferrule run -n 2 sh -c 'sed s/^/\$RANK:/' <$work/in >$work/out && [ \"\$(cat $work/out)\" = 0:line ]"

# --- exit statuses
check "status of the first to fail" gives 7 ./ferrule run -n 3 --grace 0.1 sh -c \
	'[ $RANK = 1 ] && exit 7; exec sleep 50'
check "... is told" complains "exited with status 7"
check "... and the others' end" complains "ended the 2 ranks that were still running"
check "killed by a signal" gives 137 ./ferrule run -n 2 --grace 0.1 sh -c \
	'[ $RANK = 0 ] && kill -9 $$; exec sleep 50'
check "... is told" complains "was killed by signal 9"
check "survivors have time to say why" gives 3 ./ferrule run -n 2 sh -c \
	'[ $RANK = 0 ] && exit 3; sleep 0.3; echo "I noticed"; exit 4'
check "... and do" lines "I noticed" 1
check "... and are told of" complains "then exited with status 4"
check "no such program" gives 127 ./ferrule run -n 2 no-such-program-anywhere
check "... is told once" test "$(grep -c 'was not found in PATH' "$work/err")" -eq 1
check "not a program" gives 126 ./ferrule run "$srcdir/tests/tools/tools_lib.sh"
check "a directory" gives 126 ./ferrule run ./
check "time over" gives 124 ./ferrule run -n 2 --timeout 0.3 sleep 50
check "... is told" complains "2 of 2 ranks still run after 0.3 seconds"
check "--json" gives 5 ./ferrule run -n 2 --json --grace 0 sh -c \
	'[ $RANK = 1 ] && exit 5; exec sleep 50'
grep '^{' "$work/err" >"$work/json"
check "... is JSON" is_json "$work/json"
check "... with status and rank" grep -q '"status": 5, "first_failed": 1,' "$work/json"

# --- nothing stays behind
check "ranks that ignore SIGTERM" gives 9 ./ferrule run -n 2 --grace 0 sh -c \
	'[ $RANK = 0 ] && exit 9; trap "" TERM; while :; do sleep 0.1${mark#*.}; done'
check "... are gone" no_process "sleep 0.1${mark#*.}"
check "grandchildren in sessions of their own" gives 9 ./ferrule run -n 2 --grace 0 sh -c \
	'(setsid sleep ${mark}1 &); [ $RANK = 0 ] && exit 9; exec sleep ${mark}2'
check "... are gone" no_process "sleep $mark"
check "stopped ranks" gives 9 ./ferrule run -n 2 --grace 0.3 sh -c \
	'[ $RANK = 0 ] && { sleep 0.1; exit 9; }; kill -STOP $$; exec sleep ${mark}3'
check "... are gone" no_process "sleep ${mark}3"
check "what is left in the background" gives 0 ./ferrule run -n 2 sh -c 'sleep ${mark}4 & exit 0'
check "... is ended" no_process "sleep ${mark}4"
check "... and told of" complains "left running in the background"

# signalled SIGNAL STATUS SCRIPT: a job whose ranks have all said "ready" gets SIGNAL.
signalled() {
	: >"$work/out"
	timeout -k 5 60 ./ferrule run -n 2 sh -c "$3" >"$work/out" 2>"$work/err" &
	job=$!
	tries=0
	until [ "$(grep -c ready "$work/out")" -eq 2 ] || [ $tries -eq 200 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	launcher=$(cat "/proc/$job/task/$job/children" 2>/dev/null)
	kill -"$1" ${launcher:-$job}
	wait $job 2>/dev/null
	got=$?
	[ $got -eq "$2" ] || echo "      exit status $got, expected $2"
	[ $got -eq "$2" ]
}
check "SIGTERM reaches the ranks" signalled TERM 143 'echo ready; exec sleep ${mark}5'
check "... which are gone" no_process "sleep ${mark}5"
check "SIGUSR1 is theirs to handle" signalled USR1 6 \
	'trap "echo got it; exit 6" USR1; echo ready; while :; do sleep 0.05; done'
check "... by every rank" lines "got it" 2
check "the launcher is killed" signalled KILL 137 'echo ready; exec sleep ${mark}6'
sleep 0.2 # the kernel kills the ranks once it has buried the launcher
check "... and takes its ranks along" no_process "sleep ${mark}6"

# --- output
check "--tag-output" gives 0 ./ferrule run -n 2 --tag-output sh -c \
	'echo out; echo err >&2; printf "no newline"'
check "... on stdout" test "$(sort "$work/out" | tr '\n' '|')" = \
	"[0] no newline|[0] out|[1] no newline|[1] out|"
check "... on stderr" test "$(sort "$work/err" | tr '\n' '|')" = "[0] err|[1] err|"
# Lines far longer than a pipe holds, on both streams at once, into one pipe.
long='for i in 1 2 3; do head -c 300000 /dev/zero | tr "\0" $RANK; echo;
head -c 200000 /dev/zero | tr "\0" $RANK >&2; echo >&2; done'
timeout -k 5 60 ./ferrule run -n 3 --tag-output sh -c "$long" 2>&1 |
	awk '{ if ($0 !~ /^\[[0-2]\] /) bad++
		rank = substr($0, 2, 1); text = substr($0, 5); length_of[length(text)]++
		gsub(rank, "", text); if (text != "") bad++ }
	END { print bad + 0, length_of[300000], length_of[200000], NR }' >"$work/out"
check "long lines stay whole" test "$(cat "$work/out")" = "0 9 9 18"
check "a reader that leaves early" sh -c \
	"timeout -k 5 20 ./ferrule run -n 2 --tag-output yes $mark 2>/dev/null | head -n 2 >$work/out"
check "... gets its lines" test "$(wc -l <"$work/out")" -eq 2
check "... and ends the job" no_process "--tag-output yes $mark"

# --- cores
command -v taskset >/dev/null 2>&1 && [ "$(nproc)" -ge 2 ] || lacking="needs taskset and two cores"
check "ranks are bound by default" gives 0 ./ferrule run -n 2 sh -c \
	'taskset -p $$ | sed "s/.*: //"'
check "... to different cores" test "$(sort -u "$work/out" | wc -l)" -eq 2
check "--bind none" gives 0 ./ferrule run -n 2 --bind none sh -c \
	'taskset -p $$ | sed "s/.*: //"'
check "... does not" test "$(sort -u "$work/out" | wc -l)" -eq 1
lacking=
check "--bind core needs the cores" gives 1 ./ferrule run -n 4096 --bind core true
check "... and says so" complains "4096 ranks do not fit"

finish run

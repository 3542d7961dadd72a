#!/bin/sh
# `ferrule bench`: every result is right, and the table and JSON are what they say they are.
. "$srcdir/tests/tools/tools_lib.sh"

# all_right N TRANSPORT: all collectives, types and operators, on sizes that divide and do not.
all_right() {
	gives 0 ./ferrule bench -N "$1" --transport "$2" -b 4 -e 5000 -f 1250 -n 1 -w 0 \
		-d all -o all --json all &&
		[ "$(wc -l <"$work/out")" -ge 800 ] && ! grep -v '"wrong": 0}$' "$work/out"
}
for n in 1 2 3 4; do
	for transport in shm tcp; do
		check "all types and operators, $n ranks, $transport" all_right $n $transport
	done
done
check "... as valid JSON" is_json "$work/out"
check "large messages, shm" gives 0 ./ferrule bench -N 2 -b 3M -e 5M -i 2M -n 1 -w 0 -c 2 all
check "large messages, tcp" gives 0 ./ferrule bench -N 2 --transport tcp -b 3M -e 5M -i 2M -n 1 \
	-w 0 -c 2 all
check "--mem ferrule" gives 0 ./ferrule bench -N 2 --mem ferrule -b 8 -e 4M -f 64 -n 1 all
check "other roots" gives 0 ./ferrule bench -N 3 -r 2 -b 8 -e 8K -f 32 -n 1 all
check "zero bytes" gives 0 ./ferrule bench -N 2 -b 0 -e 0 -n 1 all

# --- the table
check "a table" gives 0 ./ferrule bench -N 2 -b 8 -e 4K -f 8 -n 2 allreduce
grep -v '^#' "$work/out" >"$work/rows"
check "... of four sizes" test "$(awk '{ printf "%s ", $1 }' "$work/rows")" = "8 64 512 4096 "
check "... and thirteen columns" test "$(awk 'NF == 13' "$work/rows" | wc -l)" -eq 4
check "... size, count, type, redop, root" grep -Eq '^ +64 +16 +float +sum +-1 ' "$work/rows"
check "... algbw is size over time" awk '{ want = $1 / $6 / 1000
	if ($7 < 0.9 * want - 0.001 || $7 > 1.1 * want + 0.001) exit 1 }' "$work/rows"
check "... busbw is algbw at two ranks" awk '$7 != $8 { exit 1 }' "$work/rows"
check "... and a footer" prints "# Out of bounds values : 0 OK"
check "... with the mean" grep -Eq '^# Avg bus bandwidth    : [0-9.e+-]+$' "$work/out"
check "in place is not for all" gives 0 ./ferrule bench -N 2 -b 8 -e 8 -n 1 alltoall
check "... N/A" grep -Eq ' N/A +N/A +N/A +N/A$' "$work/out"
check "-c 0" gives 0 ./ferrule bench -N 2 -b 8 -e 8 -n 1 -c 0 broadcast
check "... checks nothing" prints "not checked"
check "sizes of whole elements" gives 0 ./ferrule bench -N 3 -b 1 -e 64 -n 1 -d double allgather
check "... and none twice" test \
	"$(grep -v '^#' "$work/out" | awk '{ printf "%s ", $1 }')" = "24 48 "
check "-i" gives 0 ./ferrule bench -N 2 -b 8 -e 24 -i 8 -n 1 allreduce
check "... adds" test "$(grep -v '^#' "$work/out" | awk '{ printf "%s ", $1 }')" = "8 16 24 "
check "a barrier" gives 0 ./ferrule bench -N 2 -n 1 barrier
check "... is one row" test "$(grep -vc '^#' "$work/out")" -eq 1

# --- JSON
check "JSON" gives 0 ./ferrule bench -N 4 -b 64 -e 64 -n 2 --json reduce_scatter
check "... is valid" is_json "$work/out"
check "... a line for each way" test "$(wc -l <"$work/out")" -eq 2
check "... in this order" grep -Eqx '\{"collective": "reduce_scatter", "bytes": 64, "count": 4, '\
'"type": "float", "op": "sum", "root": -1, "ranks": 4, "transport": "shm", "mem": "malloc", '\
'"in_place": true, "time_us_min": [0-9.e+-]+, "time_us_median": [0-9.e+-]+, '\
'"timed_calls": [0-9]+, "algbw_GBps": [0-9.e+-]+, "busbw_GBps": [0-9.e+-]+, '\
'"algbw_gbps": [0-9.e+-]+, "busbw_gbps": [0-9.e+-]+, "wrong": 0\}' "$work/out"
check "... busbw is 3/4 algbw at four ranks" awk -F'[:,}]' '{
	for (i = 1; i < NF; i++) { if ($i ~ /algbw/) a = $(i + 1); if ($i ~ /busbw/) b = $(i + 1) }
	if (b < 0.7499 * a || b > 0.7501 * a) exit 1 }' "$work/out"
check "-a" gives 0 ./ferrule bench -N 2 -a 0 -b 8 -e 8 -n 1 --json allreduce
check "--rewrite" gives 0 ./ferrule bench -N 2 --rewrite -b 64K -e 64K -n 3 --json allreduce
check "alone" gives 0 ./ferrule bench -b 8 -e 8 -n 1 --json allreduce
check "... on one rank" prints '"ranks": 1,'
check "... with no bus" prints '"busbw_GBps": 0,'
check "alone, one to all" gives 0 ./ferrule bench -b 8 -e 8 -n 1 --json broadcast
check "... with no bus" prints '"busbw_GBps": 0,'
check "a number of calls" gives 0 ./ferrule bench -b 1M -e 1M -n 2500 -c 0 --json broadcast
check "... are made" awk '{ sub(/.*"timed_calls": /, ""); if ($1 + 0 < 2500) exit 1 }' "$work/out"
check "... and rewritten" gives 0 ./ferrule bench -b 8 -e 8 -n 1500 --rewrite --json broadcast
check "... are made, each by itself" prints '"timed_calls": 1500,'
check "more than can be kept" refuses "allowed with --rewrite: 1 to 10000000" \
	./ferrule bench --rewrite -n 10000001 allreduce
check "under ferrule run" gives 0 ./ferrule run -n 3 ferrule bench -b 8 -e 8 -n 1 --json gather
check "... on three" prints '"ranks": 3,'
check "... only rank 0 prints" test "$(wc -l <"$work/out")" -eq 2
check "names of the API" gives 0 ./ferrule bench -b 8 -e 8 -n 1 -d float32 --json allreduce
check "... are the table's" prints '"type": "float",'

# --- mistakes
check "unknown collective" refuses "COLLECTIVE: 'allredcue' is not allowed" \
	./ferrule bench allredcue
check "sizes the wrong way round" refuses "is more than --maxbytes" \
	./ferrule bench -b 2M -e 1M allreduce
check "root beyond the ranks" refuses "allowed: a rank, 0 to 1" ./ferrule bench -N 2 -r 2 reduce
check "... that others started" gives 2 ./ferrule run -n 2 ferrule bench -r 2 reduce
check "... is told once" test "$(grep -c 'allowed: a rank, 0 to 1' "$work/err")" -eq 1
check "-N inside a job" gives 2 ./ferrule run -n 1 ferrule bench -N 2 allreduce
check "... says so" complains "already is rank 0 of 1"
check "a setting that is wrong" gives 1 env FERRULE_TIMEOUT=soon ./ferrule bench allreduce
check "... is named" complains "FERRULE_TIMEOUT"

finish bench

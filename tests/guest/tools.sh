#!/bin/sh
# `ferrule lat` and `ferrule bw` on Soft-RoCE, beside the programs of perftest that they resemble.
. "$srcdir/tests/guest/guest_lib.sh"
enter_guest -t 280

guest_one_device || exit 1

# pair SECONDS TOOL... - its server, and its client whose output is in $work/out.
pair() {
	limit=$1
	shift
	timeout -k 5 "$limit" "$@" >$work/server 2>&1 </dev/null &
	server=$!
	# The client's first knock may come too early.
	tries=0
	until gives 0 "$limit" "$@" 127.0.0.1 >$work/why; do
		tries=$((tries + 1))
		kill -0 $server 2>/dev/null && [ $tries -lt 20 ] || break
		sleep 0.25
	done
	wait $server || {
		cat $work/why $work/server
		return 1
	}
	[ ! -s $work/why ]
}

# figure COLUMN - of the last line that is a row of the table.
figure() {
	awk -v column="$1" '$1 ~ /^[0-9]+$/ { value = $column } END { print value }' $work/out
}

# header - the names of perftest's columns without their units, on one line.
header() {
	sed -n 's/\[[^]]*\]//g; s/^ *#bytes */#bytes /p' $work/out | tr -s ' \t' '  ' | sed 's/ $//'
}

# is_positive NUMBER
is_positive() {
	awk -v a="$1" 'BEGIN { exit !(a + 0 > 0) }'
}

for op in write send read write_imm; do
	check "lat --op $op" pair 30 ./ferrule lat --op $op -d rxe0 -x 1 -s 8 -n 300
	check "... gives a time" is_positive "$(figure 5)"
	check "bw --op $op" pair 30 ./ferrule bw --op $op -d rxe0 -x 1 -s 65536 -n 200
	check "... gives a bandwidth" is_positive "$(figure 4)"
done

for tool in lat bw; do
	check "ib_write_$tool" pair 30 ib_write_$tool -F -d rxe0 -x 1 -s 4096 -n 300
	theirs=$(header)
	check "ferrule $tool, the same flags" pair 30 ./ferrule $tool -F -d rxe0 -x 1 -s 4096 -n 300
	check "... and columns" test "$(header)" = "$theirs"
done

check "lat by librdmacm" pair 30 ./ferrule lat -R -d rxe0 -x 1 -s 8 -n 300
check "lat with events" pair 30 ./ferrule lat --op send -e -d rxe0 -x 1 -s 8 -n 100
check "data is compared" pair 30 ./ferrule bw --data_validation -d rxe0 -x 1 -s 100000 -n 50
check "two queue pairs, both ways" pair 30 ./ferrule bw -q 2 -b -d rxe0 -x 1 -s 65536 -n 100
check "for a second" pair 30 ./ferrule bw -D 1 -d rxe0 -x 1 -s 65536
check "the transport's contract" pair 30 ./ferrule lat --via contract -d rxe0 -x 1 -s 8 -n 300
check "JSON" pair 30 ./ferrule lat --json -d rxe0 -x 1 -s 8 -n 300
check "... with perftest's keys" prints '"t_typical"'
check "no such device" gives 2 30 ./ferrule lat --local -d rxe9
check "... is told" prints 'rxe9'
finish guest/tools

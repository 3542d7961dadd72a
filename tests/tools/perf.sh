#!/bin/sh
# `ferrule bw` and `ferrule lat`: over transports, and over the stand-in device as perftest would.
. "$srcdir/tests/tools/tools_lib.sh"
use_ports "$0"

# Settings of the tester's own are for other devices.
unset FERRULE_IB_HCA FERRULE_IB_GID_INDEX

# rows: the lines of figures in the last output.
rows() {
	grep -E '^ [0-9]+ ' "$work/out"
}
# refuses_line TEXT COMMAND...: a usage error, which is status 1 here.
refuses_line() {
	text=$1
	shift
	gives 1 "$@" && complains "$text" && [ ! -s "$work/out" ]
}
# pair STATUS-OF-SERVER STATUS-OF-CLIENT SERVER-OPTIONS CLIENT-OPTIONS: two processes over a port.
pair() {
	next_port
	# The options are words on purpose.
	# shellcheck disable=SC2086
	timeout -k 5 60 ./ferrule $3 -p "$port" >"$work/server" 2>"$work/server.err" </dev/null &
	server=$!
	# shellcheck disable=SC2086
	gives "$2" ./ferrule $4 -p "$port"
	client_is_right=$?
	wait "$server"
	got=$?
	[ "$got" -eq "$1" ] || echo "      the server returned $got, expected $1: $(cat "$work/server.err")"
	[ "$got" -eq "$1" ] && [ $client_is_right -eq 0 ]
}
# same_rows: both sides printed the same figures.
same_rows() {
	grep -E '^ [0-9]+ ' "$work/server" >"$work/server.rows"
	rows | cmp -s - "$work/server.rows" && [ -s "$work/server.rows" ]
}

# --- through transports
for transport in shm tcp; do
	check "bw, $transport" gives 0 ./ferrule bw --local --transport $transport -n 200 --data_validation
	check "... one row of five columns" test "$(rows | awk 'NF == 5' | wc -l)" -eq 1
	check "... average at most peak, rate times size" awk '/^ [0-9]+ / {
		rate = $4 * 1048576 / $1 / 1e6
		if ($4 > $3 * 1.001 || $5 < 0.99 * rate || $5 > 1.01 * rate) exit 1 }' "$work/out"
	check "lat, $transport" gives 0 ./ferrule lat --local --transport $transport -n 200 --data_validation
	check "... one row of nine columns" test "$(rows | awk 'NF == 9' | wc -l)" -eq 1
	check "... min, median, 99 %, 99.9 %, max in order" awk '/^ [0-9]+ / {
		if ($3 <= 0 || $3 > $5 || $5 > $8 || $8 > $9 || $9 > $4 || $6 < $3) exit 1 }' "$work/out"
	check "all sizes, $transport" gives 0 ./ferrule bw --local --transport $transport -a -n 20 \
		--data_validation --json
	check "... is one line of JSON" test "$(wc -l <"$work/out")" -eq 1
	check "... valid" is_json "$work/out"
	check "... of 23 sizes" test "$(grep -o '"MsgSize": [0-9]*' "$work/out" | wc -l)" -eq 23
	check "... nothing wrong" test "$(grep -o '"wrong_bytes": 0}' "$work/out" | wc -l)" -eq 23
	check "bw by duration, $transport" gives 0 ./ferrule bw --local --transport $transport -D 0.4
	check "lat by duration, $transport" gives 0 ./ferrule lat --local --transport $transport -D 0.4 \
		--data_validation
done

# --- two processes
check "a server and a client" pair 0 0 "bw --transport tcp -s 1000 -n 50" \
	"bw --transport tcp -s 1000 -n 50 localhost"
check "... print the same" same_rows
grep -q ' lo$' /proc/net/if_inet6 2>/dev/null || lacking="this host has no IPv6"
check "over IPv6" pair 0 0 "lat --transport shm -n 50" "lat --transport shm -n 50 ::1"
check "... print the same" same_rows
check "... in brackets" pair 0 0 "lat --transport shm -n 50" "lat --transport shm -n 50 [::1]"
lacking=
check "another size" pair 1 1 "bw --transport shm -s 4096" "bw --transport shm -s 8K 127.0.0.1"
check "... names both, there" grep -q "size is 4096 here, 8192 at 127.0.0.1" "$work/server.err"
check "... and here" complains "8192"
check "another test" pair 1 1 "bw --transport shm" "lat --transport shm 127.0.0.1"
check "another transport" pair 1 1 "lat --transport tcp" "lat --transport shm 127.0.0.1"
check "another number" pair 1 1 "lat --transport tcp -n 7" "lat --transport tcp -n 8 127.0.0.1"

# --- keys
printf '%064d\n' 7 >"$work/key"
printf '%064d\n' 8 >"$work/other_key"
chmod 600 "$work/key" "$work/other_key"
small="--transport tcp -s 100 -n 20"
check "a key from a file" pair 0 0 "bw $small --key-file $work/key" \
	"bw $small --key-file $work/key localhost"
check "another key" pair 2 2 "lat $small --timeout 3 --key-file $work/key" \
	"lat $small --key-file $work/other_key localhost"
check "... is told" complains "does not prove a key"
check "... there too" grep -q "was turned away: it has another key" "$work/server.err"
check "a key on one side" pair 2 2 "lat $small --timeout 3 --key-file $work/key" \
	"lat $small localhost"
check "... is told" complains "has a key that it was given, this side has"
chmod 644 "$work/key"
check "a key that others may read" refuses_line "others may read it" \
	./ferrule bw --local --key-file "$work/key"
echo short >"$work/other_key"
check "a key that is none" refuses_line "not 64 hexadecimal digits" \
	./ferrule bw --local --key-file "$work/other_key"

# has_met: the server has had its client; before that it would go on waiting for another.
has_met() {
	tries=0
	until grep -q 'has proved the key' "$work/server.err"; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || return 1
		sleep 0.1
	done
}
# dies WHO KIND: one of two processes is killed while they measure; the other ends within 2 s.
dies() {
	next_port
	FERRULE_LOG=info ./ferrule $2 -D 20 -p "$port" >"$work/server" 2>"$work/server.err" </dev/null &
	server=$!
	./ferrule $2 -D 20 -p "$port" localhost >"$work/out" 2>"$work/err" </dev/null &
	client=$!
	has_met || { kill -9 $server $client; wait; return 1; }
	sleep 0.5
	if [ "$1" = server ]; then victim=$server other=$client; else victim=$client other=$server; fi
	kill -9 "$victim" 2>/dev/null
	wait "$victim" 2>/dev/null
	begin=$(date +%s%N)
	wait "$other"
	code=$?
	ms=$((($(date +%s%N) - begin) / 1000000))
	[ $code -eq 2 ] && [ $ms -lt 2000 ] && return 0
	echo "      status $code after $ms ms"
	return 1
}
for kind in "bw --transport tcp" "lat --transport shm"; do
	check "server killed, $kind" dies server "$kind"
	check "... is told" test -s "$work/err"
	check "client killed, $kind" dies client "$kind"
	check "... is told" grep -qvE ' info: ' "$work/server.err"
done
next_port
check "nobody listens" gives 2 ./ferrule bw --transport tcp -p $port --timeout 1 localhost
check "... says where" complains "port $port"

# --- JSON and pictures
check "JSON, bw" gives 0 ./ferrule bw --local --transport shm -n 100 --out_json --report_gbits
check "... valid" is_json "$work/out"
check "... perftest's keys" grep -Eq '"results": \{"MsgSize": 65536, "n_iterations": 100, '\
'"BW_peak": [0-9.e+-]+, "BW_average": [0-9.e+-]+, "MsgRate": [0-9.e+-]+\}' "$work/out"
check "... in Gb/sec" prints '"BW_unit": "Gb/sec"'
check "JSON, lat" gives 0 ./ferrule lat --local --transport shm -n 100 --json
check "... valid" is_json "$work/out"
check "... perftest's keys" grep -Eq '"t_min": [0-9.e+-]+, "t_max": [0-9.e+-]+, '\
'"t_typical": [0-9.e+-]+, "t_avg": [0-9.e+-]+, "t_stdev": [0-9.e+-]+, '\
'"percentile_99": [0-9.e+-]+, "percentile_99.9": [0-9.e+-]+' "$work/out"
check "unbound" gives 0 ./ferrule lat --local --bind none --transport shm -n 100 --json
check "... says so" prints '"Bound_to_cores": "none"'
check "binding goes with --local" refuses_line "goes with --local" ./ferrule lat --bind core
[ "$(lscpu -p=core 2>/dev/null | grep -v '^#' | sort -u | wc -l)" -ge 2 ] ||
	lacking="this machine has one core"
check "two cores" gives 0 ./ferrule lat --local --transport shm -n 100
check "... a side has one of its own" grep -Eq 'Bound to cores  : ([0-9]+) and [0-9]+$' "$work/out"
lacking=
{ [ "$(taskset -c 0 nproc 2>/dev/null)" = 1 ] && [ "$(nproc)" -ge 2 ]; } ||
	lacking="needs taskset and two processors"
check "one core" gives 0 taskset -c 0 ./ferrule lat --local --transport shm -n 20
check "... is left unbound" prints "Bound to cores  : none"
check "... or refused" gives 1 taskset -c 0 ./ferrule bw --local --bind core --transport shm
check "... with the number" complains "two sides do not fit the 1 core that may be used"
lacking=
check "a file of JSON" gives 0 ./ferrule lat --local --transport shm -n 100 \
	--out_json_file "$work/lat.json"
check "... valid" is_json "$work/lat.json"
check "... beside the table" test "$(rows | wc -l)" -eq 1
check "a file that cannot be" gives 2 ./ferrule lat --local --transport shm -n 10 \
	--out_json_file "$work/no/lat.json"
check "... is told" complains "option --out_json_file"
command -v gnuplot >/dev/null 2>&1 || lacking="gnuplot is not installed"
check "a plot" gives 0 ./ferrule lat --local --transport shm -a -n 20 --plot "$work/lat.svg"
check "... is a picture" grep -q '</svg>' "$work/lat.svg"
check "... of latency" grep -q 'latency (us)' "$work/lat.svg"
lacking=

# --- mistakes
check "an option that is none" refuses_line "unknown option" ./ferrule bw --frob
check "an option of bw" refuses_line "unknown option" ./ferrule lat --bidirectional
for option in "-d mlx5_0" "-i 1" "-x 3" "-m 1024" "-t 4" "-r 10" "-I 16" -R "-S 3" "--tclass 5" "-u 10" \
	"--retry_count 3"; do
	# shellcheck disable=SC2086
	check "$option means nothing to shared memory" refuses_line "takes no notice of it" \
		./ferrule bw --local --transport shm $option
done
check "what only queue pairs have" refuses_line "goes with queue pairs" \
	./ferrule bw --local --via contract -t 4
check "an operation that is none" refuses_line "allowed: write|write_imm|read|send" \
	./ferrule bw --op push
check "a transport that is none" gives 1 ./ferrule bw --local --transport pigeon
check "... names those that are" complains "allowed: shm"
# A server, which would find out when its client comes.
check "... at once" gives 1 timeout 20 ./ferrule bw --transport pigeon
for number in 0 -1 65536 70000; do
	check "port $number" gives 1 timeout 20 ./ferrule bw --transport tcp -p $number
	check "... is told" complains "port: $number is not allowed; allowed: 1 to 65535"
done
check "read through a transport" gives 1 ./ferrule bw --local --transport tcp --op read
check "... is told" complains "put and notify"
check "queue pairs of tcp" refuses_line "only the transport verbs has queue pairs" \
	./ferrule bw --local --transport tcp --via verbs
check "--local and a host" refuses_line "HOST makes no sense" ./ferrule bw --local somewhere
check "two hosts" refuses_line "unexpected argument" ./ferrule bw here there
check "-a and -s" refuses_line "give one of them" ./ferrule bw -a -s 8
check "a margin of nothing" refuses_line "goes with -D" ./ferrule bw -f 1
check "margins longer than all" gives 1 ./ferrule bw --local --transport shm -D 2 -f 1
why="libnothing.so.9"
grep -q '^#define HAVE_VERBS 1' config.h || why="built without verbs"
check "no verbs library" gives 2 env FERRULE_VERBS_LIBRARY=libnothing.so.9 ./ferrule bw --local
check "... is told" complains "$why"

# --- over the stand-in device
use_standin
FERRULE_VERBS_LIBRARY=$standin
STANDIN_NAMESPACE=perf-$$
export FERRULE_VERBS_LIBRARY STANDIN_NAMESPACE

for op in write write_imm read send; do
	check "bw, $op" gives 0 ./ferrule bw --local --op $op -n 300 --data_validation
	check "... one row" test "$(rows | awk 'NF == 5' | wc -l)" -eq 1
	check "lat, $op" gives 0 ./ferrule lat --local --op $op -s 40 -n 300 --data_validation
	check "... one row" test "$(rows | awk 'NF == 9' | wc -l)" -eq 1
	check "all sizes, $op" gives 0 ./ferrule bw --local --op $op -a -n 30 --data_validation --json
	check "... nothing wrong" test "$(grep -o '"wrong_bytes": 0}' "$work/out" | wc -l)" -eq 23
	check "lat of all sizes, $op" gives 0 ./ferrule lat --local --op $op -a -n 20 --data_validation
	check "by duration, $op" gives 0 ./ferrule bw --local --op $op -D 0.3 -s 4K
	check "lat by duration, $op" gives 0 ./ferrule lat --local --op $op -D 0.3
	check "queue pairs, lists, moderation, $op" gives 0 ./ferrule bw --local --op $op -s 512 \
		-n 333 -q 3 -t 20 -l 8 -Q 7 --data_validation
	check "... counts them all" prints " 512        999 "
	check "by duration, moderated, $op" gives 0 ./ferrule bw --local --op $op -s 512 -q 2 -l 3 \
		-Q 11 -D 0.3
	check "by events, $op" gives 0 ./ferrule bw --local --op $op -e -n 200
done
for op in write write_imm send; do
	check "both ways, $op" gives 0 ./ferrule bw --local --op $op -b -n 200 -q 2 --data_validation
done
check "lat by events" gives 0 ./ferrule lat --local --op send -e -n 100
check "lat of writes by events" gives 1 ./ferrule lat --local -e
check "... is told" complains "use write_imm or send"
check "a window of one" gives 0 ./ferrule bw --local -t 1 -n 100
check "inline" gives 0 ./ferrule bw --local -s 64 -I 128 -n 300 --data_validation
check "... is granted" grep -Eq 'Max inline data : (1[2-9][0-9]|[2-9][0-9][0-9])' "$work/out"
check "too much inline" gives 1 ./ferrule bw --local -I 4000
check "... is told" complains "inline_bytes: 4000"
check "a smaller MTU" gives 0 ./ferrule bw --local -m 1024 -n 50
check "... is used" prints "Mtu             : 1024[B]"
check "no such device" gives 2 ./ferrule bw --local -d mlx9_9
check "... names those that are" complains "standin0"
check "no such GID" gives 1 ./ferrule bw --local -x 77
check "... is told" complains "gid_index: 77"
check "the banner's fields" gives 0 ./ferrule bw --local -d standin0 -n 10
for field in "Device          : standin0" "Number of qps   : 1" "TX depth        : 128" \
	"CQ Moderation   : 1" "GID index" "Link type" "rdma_cm QPs     : OFF"; do
	check "... $field" prints "$field"
done
check "two processes" pair 0 0 "lat --op send -n 50" "lat --op send -n 50 localhost"
check "... print the same" same_rows
check "another operation" pair 1 1 "bw --op send" "bw --op write localhost"
for kind in "bw" "bw --op send" "lat" "lat --op write_imm" "lat --op read -e"; do
	check "server killed, $kind" dies server "$kind"
	check "client killed, $kind" dies client "$kind"
done
check "order of bytes does not matter to completions" gives 0 env STANDIN_SCRAMBLE=2000 \
	./ferrule bw --local --op write_imm -n 100 --data_validation

finish perf

#!/bin/sh
# Unmodified perftest programs run on the stand-in device and print sane rows.
# usage: perftest.sh      in the build directory; srcdir names the source's

. "$srcdir/tests/tools/tools_lib.sh"
use_ports "$0"

here=$srcdir/tests/support/standin
use_standin
command -v ib_write_bw >/dev/null || lacking="perftest is not installed (Debian: perftest)"
STANDIN_NAMESPACE=perftest-$$
export STANDIN_NAMESPACE

# listens PORT - a process of this host listens there; perftest says nothing when it does.
listens() {
	grep -qi ":$(printf '%04x' "$1") 00000000:0000 0A" /proc/net/tcp ||
		grep -qi ":$(printf '%04x' "$1") 00000000000000000000000000000000:0000 0A" /proc/net/tcp6
}

# pair PORT TOOL OPTIONS - runs server and client; the client's row is left in $work/row.
pair() {
	port=$1
	tool=$2
	shift 2
	sh "$here/run-on-standin.sh" timeout 60 "$tool" -d standin0 -F -p "$port" \
		"$@" >"$work/server" 2>&1 &
	server=$!
	tries=0
	until listens "$port" || [ $tries -ge 100 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	sh "$here/run-on-standin.sh" timeout 60 "$tool" -d standin0 -F -p "$port" \
		"$@" 127.0.0.1 >"$work/client" 2>&1
	rc=$?
	wait "$server" || rc=1
	grep -E '^ *[0-9]+ +[0-9]+ +[0-9.]+' "$work/client" | tail -n 1 >"$work/row"
	return $rc
}

# try COLUMN LEAST MOST TOOL OPTIONS - the row's column is between the two.
try() {
	column=$1
	least=$2
	most=$3
	shift 3
	if [ -n "$lacking" ]; then
		skip "$*" "$lacking"
		return
	fi
	next_port
	if pair "$port" "$@" &&
		awk -v c="$column" -v least="$least" -v most="$most" \
			'{ ok = $c > least && $c < most } END { exit !ok }' "$work/row"; then
		passed=$((passed + 1))
		echo "ok    $*: $(awk '{ $1 = $1; print }' "$work/row")"
	else
		failed=$((failed + 1))
		echo "FAIL  $*"
		cat "$work/server" "$work/client" | grep -v '^-----'
	fi
}

# Column 4 of a bandwidth row is the average in MiB/s, 3 of a latency row t_min in us.
try 4 50 1000000 ib_write_bw -s 65536 -n 2000
try 4 50 1000000 ib_write_bw -s 65536 -n 2000 --use_old_post_send
try 4 50 1000000 ib_send_bw -s 65536 -n 1000
try 4 50 1000000 ib_read_bw -s 65536 -n 1000
try 4 1 1000000 ib_write_bw -s 4096 -q 4 -n 2000
try 3 0 1000 ib_write_lat -s 8 -n 1000
try 3 0 1000 ib_write_lat -s 8 -n 1000 --use_old_post_send
try 3 0 1000 ib_send_lat -s 8 -n 1000
try 3 0 1000 ib_send_lat -s 4096 -e -n 500
try 3 0 1000 ib_read_lat -s 4096 -n 1000
try 3 0 1000 ib_atomic_lat -n 1000

finish perftest

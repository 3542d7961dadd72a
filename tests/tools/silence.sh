#!/bin/sh
# A path that goes silent: two ranks in networks of their own, joined by one wire.  Who is silent is
# lost and named in time; who is only stopped is not.
. "$srcdir/tests/tools/tools_lib.sh"

a=ferrule-a-$$
b=ferrule-b-$$
leave() {
	for pid in $(jobs -p); do
		kill -KILL "$pid" 2>/dev/null
	done
	ip netns del "$a" 2>/dev/null
	ip netns del "$b" 2>/dev/null
	rm -rf "$work"
}
trap leave EXIT
[ "$(id -u)" = 0 ] && ip netns add "$a" 2>/dev/null && ip netns add "$b" 2>/dev/null &&
	ip link add w0 netns "$a" type veth peer name w1 netns "$b" 2>/dev/null ||
	lacking="needs root, unshare and ip of iproute2"
if [ -z "$lacking" ]; then
	ip -n "$a" addr add 10.99.0.1/24 dev w0
	ip -n "$b" addr add 10.99.0.2/24 dev w1
	ip -n "$a" link set w0 up
	ip -n "$b" link set w1 up
fi
unset LOCAL_RANK
MASTER_ADDR=10.99.0.1
MASTER_PORT=29500
WORLD_SIZE=2
FERRULE_JOB_KEY=$(printf '%064d' 7)
FERRULE_TIMEOUT=30
export MASTER_ADDR MASTER_PORT WORLD_SIZE FERRULE_JOB_KEY FERRULE_TIMEOUT

# packets_go yes|no: packets arrive at their host; or at a card that nobody has, so that they are
# dropped without a word, in both directions.
packets_go() {
	[ -z "$lacking" ] || return
	if [ "$1" = yes ]; then
		ip -n "$a" neigh del 10.99.0.2 dev w0
		ip -n "$b" neigh del 10.99.0.1 dev w1
	else
		ip -n "$a" neigh replace 10.99.0.2 lladdr 02:00:00:00:00:99 dev w0 nud permanent
		ip -n "$b" neigh replace 10.99.0.1 lladdr 02:00:00:00:00:99 dev w1 nud permanent
	fi
}

# start BYTES: two ranks that reduce again and again, each with a network of its own, and waits
# until they are at it.  $apart gives each process ids of its own too, so that none can watch the
# other's process.
apart="unshare --pid --fork --kill-child --mount-proc"
start() {
	for rank in 0 1; do
		[ $rank = 0 ] && net=$a || net=$b
		# shellcheck disable=SC2086
		RANK=$rank ip netns exec "$net" $apart \
			./ferrule bench -b "$1" -e "$1" -n 100000000 allreduce \
			>"$work/out$rank" 2>"$work/err$rank" </dev/null &
		eval "job$rank=$!"
	done
	tries=0
	until grep -q elements "$work/out0"; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || return 1
		sleep 0.1
	done
	inner=$job1
	[ -z "$apart" ] || inner=$(tr -d ' ' <"/proc/$job1/task/$job1/children")
}

# signal NAME: to rank 1.
signal() {
	[ -n "$lacking" ] || kill "-$1" "$inner"
}

# ends RANK TEXT: the rank fails, and says so.
ends() {
	eval "job=\$job$1"
	wait "$job"
	code=$?
	cp "$work/err$1" "$work/err"
	[ $code -eq 1 ] && complains "$2"
}

# within N.N LIMIT: of the seconds of silence that the last error tells of.
within() {
	told=$(sed -n 's/.*has not answered for \([0-9.]*\) s.*/\1/p' "$work/err" | head -n 1)
	awk -v told="${told:-none}" -v low="$1" -v high="$2" \
		'BEGIN { exit !(told >= low && told <= high) }'
}

# busy TRANSPORT: silence while ranks exchange.
busy() {
	check "$1: two hosts reduce" start 64M
	packets_go no
	check "$1: ... silence is told at rank 0" ends 0 "rank 1 (10.99.0.2:"
	check "$1: ... in time" within 1.5 10
	check "$1: ... and at rank 1" ends 1 "rank 0 (10.99.0.1:"
	packets_go yes
}

# idle TRANSPORT: silence while one waits for the other.
idle() {
	check "$1: one host waits for the other" start 1M
	signal STOP
	packets_go no
	check "$1: ... silence is told" ends 0 "rank 1 (10.99.0.2:"
	check "$1: ... in time" within 1.5 10
	packets_go yes
	signal KILL
	[ -n "$lacking" ] || wait "$job1"
}

# stopped TRANSPORT: a kernel answers for its process, for longer than silence is borne.
stopped() {
	check "$1: a rank is stopped" start 1M
	signal STOP
	[ -n "$lacking" ] || sleep 4
	check "$1: ... which is no silence" kill -0 "${job0:-0}"
	check "$1: ... and no error" test ! -s "$work/err0"
	signal KILL
	check "$1: ... until it is killed" ends 0 "rank 1 (10.99.0.2:"
	[ -n "$lacking" ] || wait "$job1"
}

FERRULE_TRANSPORT=tcp
FERRULE_SOCKET_KEEPALIVE=2
export FERRULE_TRANSPORT FERRULE_SOCKET_KEEPALIVE
busy tcp
idle tcp
stopped tcp

# Over verbs that is the default.  The stand-in passes memory by process ids.
apart=
[ -n "$lacking" ] || use_standin
FERRULE_TRANSPORT=verbs
FERRULE_VERBS_LIBRARY=${standin:-}
STANDIN_NAMESPACE=silence-$$
export FERRULE_VERBS_LIBRARY STANDIN_NAMESPACE
idle verbs
stopped verbs
finish silence

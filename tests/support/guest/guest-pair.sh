#!/bin/sh
# guest-pair.sh - runs a script in two guests that are joined by one link.
#
# usage: guest-pair.sh [-c CPUS] [-m MIB] [-t SECONDS] [-o OUT] [-s PATH]... [-e NAME=VALUE]...
#                      [-d NODE] SCRIPT [ARGUMENT...]
#
# Options are those of guest.sh, for each of the two; -d names the node that is meant to die in
# the script (guest_die), whose own status then does not count.  In the script NODE is 0 or 1,
# eth0 the link, OUT one directory for both, in which guest_barrier (see guest-setup.sh) keeps
# its marks.  Every line of output is preceded by the node's number.
#
# The status is the first that is not 0 of node 0's and node 1's; 77 where guests cannot run.

set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
pids=
end() {
	# shellcheck disable=SC2086
	[ -z "$pids" ] || kill $pids 2>/dev/null
	wait
	rm -rf "$work"
}
trap end EXIT
trap 'exit 143' HUP INT TERM

out=$work/out dies='' words=
while getopts c:m:t:o:s:e:d: option; do
	case $option in
	o) out=$(realpath "$OPTARG") ;;
	d) dies=$OPTARG ;;
	[cmtse])
		words="$words -$option '$(printf '%s' "$OPTARG" | sed "s/'/'\\\\''/g")'"
		;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
mkdir -p "$out"
rm -rf "$out/.barrier"
# Once for both.
sh "$here/guest-prepare.sh" || exit

# node NUMBER ROLE SCRIPT [ARGUMENT...] - starts it; its process is $node.
node() {
	number=$1 role=$2
	shift 2
	mkfifo "$work/lines.$number" || exit 1
	sed -u "s/^/$number: /" <"$work/lines.$number" &
	eval 'sh "$here/guest.sh"' "$words" '-o "$out" -e NODE="$number" -l "$role:$work/link" "$@"' \
		>"$work/lines.$number" 2>&1 &
	node=$!
	pids="$pids $node"
}

node 0 server "$@"
zero=$node
tries=0
until [ -S "$work/link" ] || ! kill -0 "$zero" 2>/dev/null || [ $tries -ge 200 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
node 1 client "$@"
one=$node
wait "$zero"
status_0=$?
wait "$one"
status_1=$?
pids=
wait
[ "$dies" != 0 ] || status_0=0
[ "$dies" != 1 ] || status_1=0
[ $status_0 -eq 0 ] || exit $status_0
exit $status_1

#!/bin/sh
# standin-ctl sets faults in a namespace that somebody lives in, shows them, and counts.
# usage: standin_ctl.sh      in the build directory
. "$srcdir/tests/tools/tools_lib.sh"

use_standin
ctl=$control
[ -z "$lacking" ] || ctl=:
STANDIN_NAMESPACE=ctl-$$
export STANDIN_NAMESPACE
"$ctl" hold 60 &
holder=$!
trap 'kill $holder 2>/dev/null; rm -rf "$work"' EXIT
says() {
	text=$1
	shift
	[ "$("$ctl" "$@")" = "$text" ]
}
refused() {
	! "$ctl" "$@" 2>/dev/null
}

# Until the holder is there, what is set is gone at once.
tries=0
down="device 0 port down gid0 present gid1 present blocked 0 kill -1"
until [ -n "$lacking" ] || { "$ctl" port 0 down && says "$down" show; } || [ $tries -ge 50 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
check "a port that is down" says "$down" show
"$ctl" port 0 up
check "a port that is up again" says "" show
"$ctl" gid 2 1 removed
"$ctl" block 2 3 on
"$ctl" kill 2 100 10
check "the rest" says "device 2 port up gid0 present gid1 removed blocked 0x8 kill 100" show
check "counts" says "processes 0 contexts 0 pds 0 mrs 0 cqs 0 qps 0" count
check "no such device" refused port 16 up
check "no such word" refused port 0 sideways
check "no command" refused
kill $holder
wait $holder 2>/dev/null
check "all is forgotten with the last" says "" show

finish standin_ctl

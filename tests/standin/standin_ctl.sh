#!/bin/sh
# standin-ctl sets faults in a namespace that somebody lives in, shows them, and counts.
# usage: standin_ctl.sh      in the build directory

ctl=$PWD/tests/support/standin/standin-ctl
if [ ! -x "$ctl" ]; then
	echo "skip  standin-ctl (it is not built)"
	exit 77
fi
STANDIN_NAMESPACE=ctl-$$
export STANDIN_NAMESPACE
"$ctl" hold 60 &
holder=$!
trap 'kill $holder 2>/dev/null' EXIT
passed=0
failed=0

# check NAME COMMAND... - the command succeeds.
check() {
	name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok    $name"
	else
		failed=$((failed + 1))
		echo "FAIL  $name"
	fi
}
says() {
	text=$1
	shift
	[ "$("$ctl" "$@")" = "$text" ]
}
refuses() {
	! "$ctl" "$@" 2>/dev/null
}

# Until the holder is there, what is set is gone at once.
tries=0
until "$ctl" port 0 down && says "device 0 port down gid0 present gid1 present blocked 0 kill -1" show ||
	[ $tries -ge 50 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
check "a port that is down" says "device 0 port down gid0 present gid1 present blocked 0 kill -1" show
"$ctl" port 0 up
check "a port that is up again" says "" show
"$ctl" gid 2 1 removed
"$ctl" block 2 3 on
"$ctl" kill 2 100 10
check "the rest" says "device 2 port up gid0 present gid1 removed blocked 0x8 kill 100" show
check "counts" says "processes 0 contexts 0 pds 0 mrs 0 cqs 0 qps 0" count
check "no such device" refuses port 16 up
check "no such word" refuses port 0 sideways
check "no command" refuses
kill $holder
wait $holder 2>/dev/null
check "all is forgotten with the last" says "" show

echo "standin_ctl: $passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]

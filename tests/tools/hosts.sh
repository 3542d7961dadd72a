#!/bin/sh
# What is one host?  Two ranks here and two in other namespaces: memory is shared where it can be,
# TCP is used where it cannot, pair by pair, and the sums are right.
. "$srcdir/tests/tools/tools_lib.sh"

FERRULE_LOG=info
export FERRULE_LOG

# here_and_there COMMAND...: ranks 2 and 3 run under the command.
here_and_there() {
	cat >"$work/rank" <<-END
	#!/bin/sh
	[ "\$RANK" -lt 2 ] || exec $* ./ferrule bench -b 8 -e 256K -f 32768 -n 2 -c 1 allreduce
	exec ./ferrule bench -b 8 -e 256K -f 32768 -n 2 -c 1 allreduce
	END
	chmod +x "$work/rank"
	gives 0 ./ferrule run -n 4 "$work/rank" && prints 'Out of bounds values : 0 OK'
}

# try WHAT NEEDED EXPECTED COMMAND...: tries COMMAND with `true` first; without it the cases up to the
# next try are lacking.
try() {
	what=$1
	needed=$2
	expected=$3
	shift 3
	lacking=
	"$@" true >/dev/null 2>&1 || lacking=$needed
	check "$what" here_and_there "$*"
	check "... $expected" complains "rank 0 of 4: $expected"
}

cat >"$work/other_shm" <<'END'
#!/bin/sh
mount -t tmpfs none /dev/shm && exec "$@"
END
chmod +x "$work/other_shm"

all='shm to ranks 1-3'
apart='shm to rank 1, tcp to ranks 2, 3'
try "other process ids" "cannot unshare process ids" "$all" unshare -p -f
try "other System V memory" "cannot unshare it" "$all" unshare -i
try "another user namespace, the same user" "cannot unshare users" "$all" unshare -U
try "another user" "cannot become another user" "$apart" \
	setpriv --reuid 65534 --regid 65534 --clear-groups
check "... and the reason is told" \
	grep -q 'on this machine, but memory is not shared with it: .*Permission denied' "$work/err"
try "another /dev/shm" "cannot mount" "$apart" unshare -m "$work/other_shm"
lacking=

# Two networks, joined by a cable: loopback leads nowhere else.
a=ferrule-a-$$
b=ferrule-b-$$
make_networks() {
	ip netns add $a && ip netns add $b &&
		ip -n $a link add eth0 type veth peer name eth0 netns $b || return 1
	for net in "$a 1" "$b 2"; do
		ip -n "${net% *}" link set lo up
		ip -n "${net% *}" addr add "10.78.0.${net#* }/24" dev eth0
		ip -n "${net% *}" link set eth0 up
	done
}

# across TRANSPORTS: ranks 0 and 1 in one network, 2 and 3 in the other.
across() {
	cat >"$work/rank" <<-END
	#!/bin/sh
	export MASTER_ADDR=10.78.0.1 FERRULE_TRANSPORT=$1
	[ "\$RANK" -lt 2 ] && net=$a || net=$b
	exec ip netns exec \$net ./ferrule bench -b 8 -e 256K -f 32768 -n 2 -c 1 allreduce
	END
	chmod +x "$work/rank"
	gives 0 ./ferrule run -n 4 "$work/rank" && prints 'Out of bounds values : 0 OK'
}

if make_networks >/dev/null 2>&1; then
	trap 'ip netns del $a; ip netns del $b; rm -rf "$work"' EXIT
	check "another network, one memory" across ''
	check "... $all" complains "rank 0 of 4: $all"
	check "another network, over TCP" across tcp
	check "... tcp to ranks 1-3" complains "rank 0 of 4: tcp to ranks 1-3"
else
	ip netns del $a 2>/dev/null
	ip netns del $b 2>/dev/null
	skip "another network" "cannot make network namespaces"
fi


finish hosts

#!/bin/sh
# Hosts with other networks than usual, in network namespaces: IPv6 alone, link-local addresses
# alone, loopback down, several networks to choose from.
. "$srcdir/tests/tools/tools_lib.sh"
# The ranks' scripts are for their shells, not for this one.
# shellcheck disable=SC2016

[ "$(id -u)" = 0 ] && unshare -n ip link set lo up 2>/dev/null ||
	lacking="needs root, unshare and ip of iproute2"
privileged=$lacking
unset RANK WORLD_SIZE MASTER_ADDR MASTER_PORT FERRULE_SOCKET_IFNAME

# in_network SETUP COMMAND: runs it where only what SETUP made is there.
in_network() {
	gives "$1" unshare -n sh -ec "$2
		$3"
}
bench="./ferrule bench allreduce -b 8 -e 8 -n 1"
v6_only="ip link set lo up; ip addr del 127.0.0.1/8 dev lo"
bare="$v6_only; ip addr del ::1/128 dev lo
	ip link add v0 type veth peer name v1; ip link set v0 addrgenmode none
	ip link set v1 addrgenmode none; ip link set v0 up; ip link set v1 up"

# --- one host
[ -n "$lacking" ] ||
	unshare -n sh -ec "ip link set lo up; ip addr show dev lo | grep -q ::1" 2>/dev/null ||
	lacking="the kernel has no IPv6"
no_ipv6=$lacking
for transport in tcp shm; do
	check "IPv6 alone, $transport" in_network 0 "$v6_only" \
		"./ferrule run -n 3 --transport $transport $bench"
	check "... joins all" grep -q "^# ranks 3 on 1 host, transport $transport" "$work/out"
done
check "ranks are told of it" in_network 0 "$v6_only" './ferrule run sh -c "echo \$MASTER_ADDR"'
check "... so" prints "::1"
for address in '[::1]' ::1 localhost; do
	check "MASTER_ADDR=$address" in_network 0 "$v6_only" \
		"export MASTER_ADDR='$address' MASTER_PORT=29500 WORLD_SIZE=2
		RANK=1 $bench & RANK=0 $bench; wait \$!"
done
if [ -x tests/comm/test_boot_pmi ]; then
	check "a unique id" in_network 0 "$v6_only" \
		"T_CASE='meet through PMI-1' tests/comm/test_boot_pmi"
else
	skip "a unique id" "needs CUnit"
fi
check "no loopback address" in_network 0 "$bare; ip addr add fd00::7/64 dev v0 nodad" \
	"./ferrule run -n 2 --transport tcp $bench; ./ferrule run sh -c 'echo \$MASTER_ADDR'"
check "... takes another" prints "fd00::7"
check "link-local alone" in_network 0 "$bare; ip addr add fe80::7/64 dev v0 nodad" \
	"./ferrule run -n 2 --transport tcp $bench; ./ferrule run sh -c 'echo \$MASTER_ADDR'"
check "... takes it" prints "fe80::7%v0"
lacking=$privileged

# --- loopback is down
check "loopback down" in_network 1 : "./ferrule run -n 2 $bench"
check "... is told" complains "ip link set lo up"
check "loopback down, one rank" in_network 0 : "./ferrule run -n 1 $bench"
for rank in 0 1; do
	check "loopback down, rank $rank by itself" in_network 1 : \
		"RANK=$rank WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 $bench"
	check "... is told" complains "MASTER_ADDR=127.0.0.1 is loopback, which is down"
done

# --- two hosts, as two namespaces that two cables join
a=ferrule-$$-a
b=ferrule-$$-b
trap 'rm -rf "$work"; ip netns del $a 2>/dev/null; ip netns del $b 2>/dev/null' EXIT
cable() { # NAME NUMBER: an interface of this name in both, with addresses of this network
	ip link add "$1" netns $a type veth peer name "$1" netns $b || return 1
	for host in "$a 1" "$b 2"; do
		ip -n "${host% *}" addr add "10.77.$2.${host#* }/24" dev "$1"
		ip -n "${host% *}" addr add "fd77:$2::${host#* }/64" dev "$1" nodad 2>/dev/null
		ip -n "${host% *}" link set "$1" addrgenmode none 2>/dev/null
		ip -n "${host% *}" addr add "fe80::$2:${host#* }/64" dev "$1" nodad 2>/dev/null
		ip -n "${host% *}" link set "$1" up
	done
}
[ -n "$lacking" ] ||
	{ ip netns add $a && ip netns add $b && ip -n $a link set lo up && ip -n $b link set lo up &&
		cable net1 1 && cable net2 2; } 2>"$work/err" ||
	lacking="no network namespaces or no veth: $(head -n 1 "$work/err")"

# two_hosts STATUS MASTER_ADDR [VARIABLE=VALUE]...: a rank in each; rank 0's output and status.
two_hosts() {
	want=$1
	MASTER_ADDR=$2
	shift 2
	export MASTER_ADDR MASTER_PORT=29500 WORLD_SIZE=2 FERRULE_TRANSPORT=tcp
	RANK=1 timeout -k 5 60 ip netns exec $b env FERRULE_LOG=info "$@" $bench \
		>"$work/out.1" 2>"$work/err.1" </dev/null &
	gives "$want" ip netns exec $a env RANK=0 FERRULE_LOG=info "$@" $bench
	result=$?
	wait $!
	unset MASTER_ADDR MASTER_PORT WORLD_SIZE FERRULE_TRANSPORT
	return $result
}
check "two hosts" two_hosts 0 10.77.1.1
both=$lacking
lacking=${both:-$no_ipv6}
check "IPv6 between them" two_hosts 0 '[fd77:1::1]'
lacking=$both
check "an interface by name" two_hosts 0 10.77.1.1 FERRULE_SOCKET_IFNAME==net2
check "a network" two_hosts 0 10.77.1.1 FERRULE_SOCKET_IFNAME=10.77.2.0/24
check "all but one" two_hosts 0 10.77.1.1 FERRULE_SOCKET_IFNAME=^net1,lo
check "an interface that there is not" two_hosts 1 10.77.1.1 FERRULE_SOCKET_IFNAME=eth9
check "... is named with what there is" complains \
	"FERRULE_SOCKET_IFNAME=eth9 and FERRULE_SOCKET_FAMILY=any; with addresses and up are: lo 127.0.0.1"
for host in $a $b; do
	[ -z "$lacking" ] || break
	ip -n $host link set net2 down
	for network in 10.77.1.1/24 10.77.1.2/24 fd77:1::1/64 fd77:1::2/64; do
		ip -n $host addr del $network dev net1 2>/dev/null
	done
done
lacking=${both:-$no_ipv6}
check "link-local alone" two_hosts 0 '[fe80::1:1%net1]'
finish networks

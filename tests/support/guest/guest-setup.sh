# guest-setup.sh - RDMA devices and faults; sourced by scripts that run inside the guest.
#
# All devices are Soft-RoCE with an MTU of 9000 below, so that the active MTU is 4096.  GID 0 is
# link-local IPv6, GID 1 IPv4, both RoCE v2.
#
#   guest_one_device            rxe0; its packets to itself touch no network card
#   guest_two_devices           rxe0 and rxe1 on the two ends of a wire: real packets
#   guest_two_rails             the same, and rxe2 and rxe3 on the ends of a second wire
#   guest_pair_device           in one of two guests: rxe0 on the link between them
#   guest_loss DEVICE WHAT...   what netem does to the packets that rxe* sends, "none" to end it
#   guest_link DEVICE up|down   the network card below rxe*
#   guest_gid DEVICE add|del    its IPv4 address, and the GID with it
#   guest_within SECONDS CMD... until the command succeeds; fails when the time is over
#   guest_barrier NAME          in two guests: waits until both are there, 60 seconds at most
#   guest_die                   ends this guest as a loss of power would
#
# Addresses: rxe0 and rxe1 have 192.168.77.1 and .2, rxe2 and rxe3 192.168.78.1 and .2, the two
# guests' rxe0 192.168.79.1 and .2.

ip link set lo up
# Verbs need locked memory; the guest's root has no limit, but the programs ask.
ulimit -l unlimited

# netdev_of DEVICE, address_of DEVICE
guest_netdev() {
	case $1 in
	rxe0) [ -z "${NODE:-}" ] && echo v0 || echo eth0 ;;
	rxe1) echo v1 ;;
	rxe2) echo w0 ;;
	rxe3) echo w1 ;;
	esac
}

guest_address() {
	case $1 in
	rxe0) [ -z "${NODE:-}" ] && echo 192.168.77.1 || echo "192.168.79.$((NODE + 1))" ;;
	rxe1) echo 192.168.77.2 ;;
	rxe2) echo 192.168.78.1 ;;
	rxe3) echo 192.168.78.2 ;;
	esac
}

guest_within() {
	guest_until=$(($(date +%s%N) + $1 * 1000000000))
	shift
	until "$@"; do
		[ "$(date +%s%N)" -lt $guest_until ] || return 1
		sleep 0.05
	done
}

# has_gid DEVICE INDEX - it is in the table.
guest_has_gid() {
	[ -n "$(tr -d ':0\n' <"/sys/class/infiniband/$1/ports/1/gids/$2" 2>/dev/null)" ]
}

# Adds the device on its network card, which exists, and waits until it can be used.
guest_add_device() {
	netdev=$(guest_netdev "$1")
	ip link set "$netdev" mtu 9000 up &&
		ip addr add "$(guest_address "$1")/24" dev "$netdev" &&
		rdma link add "$1" type rxe netdev "$netdev"
}

guest_one_device() {
	ip link add v0 type veth peer name v1
	ip link set v1 mtu 9000 up
	guest_add_device rxe0 && guest_within 10 guest_has_gid rxe0 1 &&
		guest_within 10 guest_has_gid rxe0 0
}

# The two ends of a wire have one kernel, which would hand packets from one to the other without
# the wire: those that leave by a certain card must not look at the table of local addresses
# first, and those that come in may have a local address as their sender's.
guest_wire() {
	ip link add "$(guest_netdev "$1")" type veth peer name "$(guest_netdev "$2")"
	for device in "$1" "$2"; do
		netdev=$(guest_netdev "$device")
		echo 1 >"/proc/sys/net/ipv4/conf/$netdev/accept_local"
		echo 0 >"/proc/sys/net/ipv4/conf/$netdev/rp_filter"
		# Each card answers for its own address alone.
		echo 1 >"/proc/sys/net/ipv4/conf/$netdev/arp_ignore"
		ip rule add pref 10 oif "$netdev" lookup main
		# Duplicate address detection would take two seconds.
		echo 0 >"/proc/sys/net/ipv6/conf/$netdev/accept_dad"
	done
	guest_add_device "$1" && guest_add_device "$2"
	guest_within 10 guest_has_gid "$1" 1 && guest_within 10 guest_has_gid "$2" 1
}

guest_two_devices() {
	echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
	ip rule add pref 20 lookup local
	ip rule del pref 0
	guest_wire rxe0 rxe1
}

guest_two_rails() {
	guest_two_devices && guest_wire rxe2 rxe3
}

guest_pair_device() {
	guest_add_device rxe0 && guest_within 10 guest_has_gid rxe0 1
}

guest_loss() {
	netdev=$(guest_netdev "$1")
	shift
	tc qdisc del dev "$netdev" root 2>/dev/null
	# shellcheck disable=SC2086
	[ "$1" = none ] || tc qdisc add dev "$netdev" root netem limit 100000 $*
}

guest_link() {
	ip link set "$(guest_netdev "$1")" "$2"
}

guest_gid() {
	ip addr "$2" "$(guest_address "$1")/24" dev "$(guest_netdev "$1")"
}

guest_barrier() {
	mkdir -p "$OUT/.barrier"
	: >"$OUT/.barrier/$1.$NODE"
	guest_within 60 [ -e "$OUT/.barrier/$1.$((1 - NODE))" ] && return
	echo "guest: node $((1 - NODE)) did not come to barrier $1 within 60 seconds"
	return 1
}

guest_die() {
	echo b >/proc/sysrq-trigger
	sleep 10
}

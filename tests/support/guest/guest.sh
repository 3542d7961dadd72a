#!/bin/sh
# guest.sh - runs a script on real kernel verbs (Soft-RoCE), where there is no RDMA hardware.
#
# usage: guest.sh [-c CPUS] [-m MIB] [-t SECONDS] [-o OUT] [-s PATH]... [-l LINK] [-e NAME=VALUE]...
#                 SCRIPT [ARGUMENT...]
#
# Boots the distribution's kernel in QEMU, purely emulated, with this machine's files mounted
# read-only, so that programs that were built here run there.  SCRIPT runs as the guest's root,
# in the same directory; what it prints comes out here as it appears, and its exit status is
# this one's.  It begins without any network: see guest-setup.sh.
#
#   -c CPUS         processors (default 4; with fewer, a polling process starves the kernel's
#                   own threads and latencies jump to milliseconds)
#   -m MIB          memory (default 1024)
#   -t SECONDS      at most, boot included (default 240)
#   -o OUT          a directory the script can write, $OUT there; its only way to leave files
#   -s PATH         what must be seen below /tmp or /run, where all else is empty.  The current
#                   directory and that of the script are shown anyway
#   -l ROLE:SOCKET  a network card, eth0, joined with that of another guest by a Unix socket;
#                   ROLE is server in the guest that starts first and client in the other
#   -e NAME=VALUE   in the script's environment, which else has OUT, PATH, HOME and srcdir alone
#
# Status 77, with the reason, where it cannot run; 124 when the time ran out; 125 when the guest
# died before the script ended.

set -u
here=$(cd "$(dirname "$0")" && pwd)
cache=${GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ferrule-guest}
cpus=4 mib=1024 limit=240 out='' link=''

# quoted WORD - as a word of the shell.
quoted() {
	printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

control=$(mktemp -d) || exit 1
guest=
end() {
	[ -z "$guest" ] || kill "$guest" 2>/dev/null
	rm -rf "$control"
}
trap end EXIT
trap 'exit 143' HUP INT TERM
: >"$control/show"
: >"$control/write"
{
	echo 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp'
	echo 'export LC_ALL=C IN_GUEST=1'
	[ -z "${srcdir:-}" ] || echo "export srcdir=$(quoted "$(realpath "$srcdir")")"
} >"$control/run"

# show PATH - only what lies on the scratch space needs to be listed.
show() {
	case $1/ in
	/tmp/?* | /run/?*) echo "$1" >>"$control/show" ;;
	esac
}

while getopts c:m:t:o:s:l:e: option; do
	case $option in
	c) cpus=$OPTARG ;;
	m) mib=$OPTARG ;;
	t) limit=$OPTARG ;;
	o) out=$(realpath "$OPTARG") ;;
	s) show "$(realpath "$OPTARG")" ;;
	l) link=$OPTARG ;;
	e) echo "export ${OPTARG%%=*}=$(quoted "${OPTARG#*=}")" >>"$control/run" ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if [ $# -lt 1 ] || [ ! -f "$1" ]; then
	sed -n 's/^# usage: /usage: /p; s/^#  *SCRIPT/       SCRIPT/p' "$0" >&2
	exit 2
fi

sh "$here/guest-prepare.sh" || exit

show "$(pwd -P)"
show "$(dirname "$(realpath "$1")")"
show "$(realpath "$1")"
show "$here"
[ -z "${srcdir:-}" ] || show "$(realpath "$srcdir")"
{
	[ -z "$out" ] || echo "export OUT=$(quoted "$out")"
	echo "cd $(quoted "$(pwd -P)") || exit 1"
	printf 'exec %s' "$(sed -n '1s/^#! *\(.*\)/\1/p' "$1" | grep . || echo sh)"
	script=$(realpath "$1")
	shift
	for word in "$script" "$@"; do printf ' %s' "$(quoted "$word")"; done
	echo
} >>"$control/run"

# The words of QEMU's command line, from here on.  The emulated processor's counter is a sound
# clock, which the kernel cannot know; with any other each reading of the time is a system call.
set -- -accel tcg,thread=multi -cpu max -smp "$cpus" -m "$mib" -no-reboot \
	-kernel "$cache/kernel/vmlinuz" -initrd "$cache/initramfs" \
	-display none -monitor none -serial stdio \
	-append 'console=ttyS0 quiet no_timer_check panic=-1 random.trust_cpu=on tsc=reliable clocksource=tsc' \
	-fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap \
	-device virtio-9p-pci,fsdev=root,mount_tag=root \
	-fsdev "local,id=control,path=$control,security_model=none" \
	-device virtio-9p-pci,fsdev=control,mount_tag=control
if [ -n "$out" ]; then
	echo "out $out" >"$control/write"
	set -- "$@" -fsdev "local,id=out,path=$out,security_model=none,multidevs=remap" \
		-device virtio-9p-pci,fsdev=out,mount_tag=out
fi
case $link in
'') set -- "$@" -nic none ;;
server:*) is_server=on mac=52:54:00:00:00:01 ;;
client:*) is_server=off mac=52:54:00:00:00:02 ;;
*)
	echo "guest.sh: -l $link: server:SOCKET or client:SOCKET" >&2
	exit 2
	;;
esac
# A Unix socket keeps the order and loses nothing; host_mtu lets RoCE use 4096 bytes a packet.
[ -z "$link" ] ||
	set -- "$@" -netdev "stream,id=link,server=$is_server,addr.type=unix,addr.path=${link#*:}" \
		-device "virtio-net-pci,netdev=link,mac=$mac,host_mtu=9000"

# Whatever becomes of this shell, the guest does not outlive it, nor its time.
mkfifo "$control/console" || exit 1
sed -u 's/\r//g; /reboot: Power down$/d' <"$control/console" &
console=$!
setpriv --pdeathsig TERM timeout --foreground -k 5 "$limit" \
	setpriv --pdeathsig KILL qemu-system-x86_64 "$@" </dev/null >"$control/console" 2>&1 &
guest=$!
wait $guest
ended=$?
guest=
wait $console
[ ! -s "$control/status" ] || exit "$(cat "$control/status")"
if [ $ended -eq 124 ]; then
	echo "guest: stopped after $limit seconds"
	exit 124
fi
echo "guest: ended without a status; QEMU's is $ended"
exit 125

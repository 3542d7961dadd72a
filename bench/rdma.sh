#!/bin/sh
# Ferrule against perftest and Open MPI on one RDMA device, in one run.
#
# The device is Soft-RoCE in a virtual machine (tests/support/guest), or with --standin the
# user-space device of tests/support/standin on this host.  Everybody takes turns, round after
# round, and the ratio of the medians is what counts: neither device says how fast hardware is.
set -eu

usage() {
	cat <<USAGE
usage: bench/rdma.sh [options]
  --build DIR      where ./quickstart build put Ferrule (default: build)
  --standin        on this host with the stand-in device, instead of in a guest
  --what LIST      of lat, bw, allreduce (default: all; the stand-in has no allreduce, as UCX
                   does not run on it)
  --rounds N       turns that everybody gets for every figure (default: 5)
  --max BYTES      of allreduce (default: 4194304)
  --json           one JSON object a line instead of the table
  --seconds N      at most, in the guest (default: 900)
Needs perftest; for allreduce openmpi-bin, libopenmpi-dev; and what the guest needs.
USAGE
}

top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build standin='' what=lat,bw,allreduce rounds=5 max=4194304 json='' seconds=900
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage; exit 0 ;;
	--standin | --json)
		eval "${1#--}=yes"
		shift
		continue
		;;
	--build) build=$(cd "$2" && pwd) ;;
	--what) what=$2 ;;
	--rounds) rounds=$2 ;;
	--max) max=$2 ;;
	--seconds) seconds=$2 ;;
	*) echo "rdma.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
	esac
	shift 2
done
[ -x "$build/ferrule" ] || { echo "rdma.sh: no $build/ferrule; run ./quickstart build" >&2; exit 1; }
command -v ib_write_lat >/dev/null || { echo "rdma.sh: perftest is not installed" >&2; exit 77; }

# ---- outside the guest: builds the peers, starts the guest, shows the table ----

# has WORD - is in the list of what to measure.
has() {
	case ,$what, in *,"$1",*) return 0 ;; *) return 1 ;; esac
}

build_peers() {
	src=$top/bench/peers
	cc="${CC:-cc} -std=c11 -D_GNU_SOURCE -O2"
	$cc -o "$1/conductor" "$src/conductor.c" -lm -lpthread
	$cc -I"$top/include" -o "$1/peer_ferrule" "$src/peer_main.c" "$src/peer_ferrule.c" \
		-L"$build/.libs" -Wl,-rpath,"$build/.libs" -lferrule
	mpicc.openmpi -D_GNU_SOURCE -O2 -o "$1/peer_openmpi" "$src/peer_main.c" "$src/peer_mpi.c"
}

# Rows are "what bytes ferrule peer ratio target unit peer's-name".
show() {
	awk -v json="$json" -v device="$1" '
	$1 == "row" && json != "" {
		printf "{\"device\": \"%s\", \"what\": \"%s\", \"bytes\": %d, \"unit\": \"%s\", ", device, $2, $3, $8
		printf "\"ferrule\": %s, \"peer\": \"%s\", \"peers\": %s, ", $4, $9, $5
		printf "\"ratio\": %s, \"limit\": \"%s\"}\n", $6, $7
		next
	}
	$1 == "row" {
		if (!titled++) printf "%-18s %9s %12s %12s %-5s  %6s  %-7s %s\n", "what", "bytes",
			"Ferrule", "peer", "", "ratio", "aim", "peer"
		printf "%-18s %9d %12s %12s %-5s  %6s  %-7s %s\n", $2, $3, $4, $5, $8, $6, $7, $9
		fflush()
		next
	}
	json == "" { print; fflush() } json != "" { print > "/dev/stderr" }'
}

if [ -z "${IN_GUEST:-}" ] && [ -z "$standin" ]; then
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
	trap 'exit 130' INT TERM
	if has allreduce && ! command -v mpicc.openmpi >/dev/null; then
		echo "# libopenmpi-dev is not installed: no allreduce"
		what=$(echo "$what" | sed 's/,*allreduce//')
	fi
	! has allreduce || build_peers "$out"
	{
		status=0
		sh "$top/tests/support/guest/guest.sh" -t "$seconds" -o "$out" -s "$build" -s "$top" \
			"$top/bench/rdma.sh" --build "$build" --what "$what" --rounds "$rounds" --max "$max" ||
			status=$?
		echo $status >"$out/status"
	} | show Soft-RoCE
	exit "$(cat "$out/status")"
fi

# ---- where the device is ----

work=$(mktemp -d)
pids=
end() {
	for p in $pids; do kill "$p" 2>/dev/null || :; done
	rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM

if [ -n "$standin" ]; then
	device=standin0 perftest_flags="-F --use_old_post_send" gid=1
	library=$build/tests/support/standin/libstandin.so
	[ -f "$library" ] || make -s -C "$build" standin >&2
	STANDIN_NAMESPACE=rdma-$$ FERRULE_VERBS_LIBRARY=$library
	export STANDIN_NAMESPACE FERRULE_VERBS_LIBRARY
else
	. "$top/tests/support/guest/guest-setup.sh"
	guest_one_device
	device=rxe0 perftest_flags=-F gid=1
fi
export FERRULE_IB_HCA=$device
ferrule=$build/ferrule

# on_device COMMAND... - perftest needs the stand-in loaded over libibverbs.
on_device() {
	case $1 in
	ib_*)
		[ -z "$standin" ] || set -- env STANDIN_LIBRARY="$FERRULE_VERBS_LIBRARY" \
			sh "$top/tests/support/standin/run-on-standin.sh" "$@"
		;;
	esac
	timeout -k 5 60 "$@"
}

# figure COLUMN TOOL... - runs its server and its client; prints what the client's last row has
# there, or nothing.  The client may have to knock more than once.
figure() {
	column=$1
	shift
	on_device "$@" >"$work/server" 2>&1 </dev/null &
	server=$!
	began=$(date +%s)
	until on_device "$@" 127.0.0.1 >"$work/client" 2>&1 </dev/null; do
		if [ $(($(date +%s) - began)) -gt 15 ] || ! kill -0 $server 2>/dev/null; then
			kill $server 2>/dev/null || :
			echo "# failed: $*: $(tail -n 1 "$work/client")" >&2
			break
		fi
		sleep 0.2
	done
	wait $server || :
	awk -v column="$column" '$1 ~ /^[0-9]+$/ && $column ~ /^[0-9.]+$/ { value = $column }
		END { if (value > 0) print value }' "$work/client"
}

median() {
	sort -n "$1" | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print "nan" }'
}

# compare WHAT BYTES UNIT AIM COLUMN PEER "FERRULE'S COMMAND" "PEER'S COMMAND"
compare() {
	: >"$work/ours"
	: >"$work/theirs"
	round=0
	while [ $round -lt "$rounds" ]; do
		round=$((round + 1))
		# shellcheck disable=SC2086
		figure "$5" $7 >>"$work/ours"
		# shellcheck disable=SC2086
		figure "$5" $8 $perftest_flags >>"$work/theirs"
	done
	ours=$(median "$work/ours")
	theirs=$(median "$work/theirs")
	ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { if (b > 0) printf "%.3f", a / b; else print "nan" }')
	echo "row $1 $2 $ours $theirs $ratio $4 $3 $6"
}

[ -z "$standin" ] && aims="<=1.05 >=0.97 <=1.25 >=0.93" || aims="<=1.05 >=0.98 <=1.2 >=0.95"
# shellcheck disable=SC2086
set -- $aims
lat_aim=$1 bw_aim=$2 contract_lat_aim=$3 contract_bw_aim=$4
# Messages for a latency; bytes for a bandwidth, so that the beginning does not count.
[ -z "$standin" ] && iterations=1000 volume=16777216 || iterations=20000 volume=4294967296

measure_lat() {
	for bytes in 8 64 1024 4096; do
		flags="-d $device -x $gid -s $bytes -n $iterations"
		compare lat_write $bytes us "$lat_aim" 5 ib_write_lat "$ferrule lat --op write $flags" \
			"ib_write_lat $flags"
		compare lat_send $bytes us - 5 ib_send_lat "$ferrule lat --op send $flags" \
			"ib_send_lat $flags"
		compare lat_contract $bytes us "$contract_lat_aim" 5 ib_write_lat \
			"$ferrule lat --via contract $flags" "ib_write_lat $flags"
	done
}

measure_bw() {
	for bytes in 4096 65536 1048576 4194304; do
		n=$((volume / bytes))
		[ $n -ge 30 ] || n=30
		[ $n -le $((iterations * 2)) ] || n=$((iterations * 2))
		flags="-d $device -x $gid -s $bytes -n $n"
		compare bw_write $bytes MiB/s "$bw_aim" 4 ib_write_bw "$ferrule bw --op write $flags" \
			"ib_write_bw $flags"
		aim=-
		[ $bytes -ne 1048576 ] || aim=$contract_bw_aim
		compare bw_contract $bytes MiB/s "$aim" 4 ib_write_bw "$ferrule bw --via contract $flags" \
			"ib_write_bw $flags"
	done
}

# The same conductor and programs as bench/peers.sh, over this device.
measure_allreduce() {
	dir=$work/allreduce
	mkdir "$dir"
	mkfifo "$dir/answers" "$dir/ferrule.0" "$dir/ferrule.1" "$dir/openmpi.0" "$dir/openmpi.1"
	"$ferrule" run -n 2 --bind none --transport verbs "$OUT/peer_ferrule" "$dir" ferrule &
	pids="$pids $!"
	# With its IPv4 GID UCX does not get through on Soft-RoCE, and without the mca parameters
	# Open MPI refuses to use UCX for such a device.
	OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 UCX_TLS=rc,self \
		UCX_NET_DEVICES=$device:1 UCX_IB_GID_INDEX=0 mpirun.openmpi --oversubscribe --bind-to none \
		--mca pml ucx --mca pml_ucx_tls any --mca pml_ucx_devices any --mca osc ^ucx \
		-n 2 "$OUT/peer_openmpi" "$dir" openmpi &
	pids="$pids $!"
	timeout -k 5 600 "$OUT/conductor" "$dir" 2 "$rounds" 0 allreduce 8 "$max" ferrule openmpi |
		awk '$1 == "allreduce" && NF == 8 {
			printf "row allreduce %s %s %s %s %s us openmpi-ucx-rc\n", $2, $5, $6, $7,
				$2 <= 512 ? "<=0.6" : "<=0.75"
			fflush()
		}'
}

measure() {
	echo "# $(date -u +%Y-%m-%dT%H:%MZ), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)," \
		"$(nproc) cores, kernel $(uname -r | cut -d- -f1), device $device," \
		"medians of $rounds turns"
	! has lat || measure_lat
	! has bw || measure_bw
	[ -n "$standin" ] || ! has allreduce || measure_allreduce
}

if [ -n "$standin" ]; then
	measure | show stand-in
else
	measure
fi

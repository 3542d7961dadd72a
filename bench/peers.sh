#!/bin/sh
# Ferrule against Open MPI, MPICH and Gloo, on this host, in one run.
#
# All libraries are started once and take turns within milliseconds (see peers/peer_main.c and
# peers/conductor.c); every table says how far apart the cores were.  Ratio = Ferrule's median
# time / the best peer's median time of the same rounds: below 1 Ferrule is faster.
set -eu

usage() {
	cat <<USAGE
usage: bench/peers.sh [options]
  --build DIR          where ./quickstart build put Ferrule (default: build)
  --transport WHICH    shm, tcp (default: both, one after the other)
  --ranks LIST         rank counts, comma-separated (default: 2,4)
  --collectives LIST   of allreduce,allgather,broadcast,reduce_scatter,barrier (default: all)
  --min BYTES, --max BYTES   sizes, times 2 below 1 KiB and 4 above (default: 8, 67108864)
  --rounds N           rounds a size, 1 to 64 (default: 7)
  --mem malloc|ferrule Ferrule's buffers (default: malloc)
  --peers LIST         of openmpi,mpich,gloo (default: those installed)
Needs Debian's openmpi-bin, libopenmpi-dev, mpich, libmpich-dev; libgloo-dev if wanted.
USAGE
}

top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build transports="shm tcp" ranks=2,4 rounds=7 min=8 max=67108864 fast=0 peers=
colls=allreduce,allgather,broadcast,reduce_scatter,barrier
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage; exit 0 ;;
	--build) build=$(cd "$2" && pwd) ;;
	--transport) transports=$2 ;;
	--ranks) ranks=$2 ;;
	--collectives) colls=$2 ;;
	--min) min=$2 ;;
	--max) max=$2 ;;
	--rounds) rounds=$2 ;;
	--mem) case $2 in malloc) fast=0 ;; ferrule) fast=1 ;; *) echo "peers.sh: --mem $2: malloc or ferrule" >&2; exit 2 ;; esac ;;
	--peers) peers=$(echo "$2" | tr , ' ') ;;
	*) echo "peers.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
	esac
	shift 2
done
[ -x "$build/ferrule" ] || { echo "peers.sh: no $build/ferrule; run ./quickstart build" >&2; exit 1; }

work=$(mktemp -d)
pids=
cleanup() {
	for p in $pids; do kill "$p" 2>/dev/null || :; done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

src=$top/bench/peers
cc="${CC:-cc} -std=c11 -D_GNU_SOURCE -O2"
$cc -o "$work/conductor" "$src/conductor.c" -lm -lpthread
$cc -I"$top/include" -o "$work/peer_ferrule" "$src/peer_main.c" "$src/peer_ferrule.c" \
	-L"$build/.libs" -Wl,-rpath,"$build/.libs" -lferrule

# Builds one peer if its tools are here.
build_peer() {
	case $1 in
	openmpi | mpich)
		command -v "mpicc.$1" >/dev/null &&
			"mpicc.$1" -D_GNU_SOURCE -O2 -o "$work/peer_$1" "$src/peer_main.c" "$src/peer_mpi.c"
		;;
	gloo)
		[ -e /usr/include/gloo/allreduce.h ] &&
			$cc -c -o "$work/main.o" "$src/peer_main.c" &&
			${CXX:-c++} -std=c++14 -O2 -o "$work/peer_gloo" "$src/peer_gloo.cc" "$work/main.o" -lgloo -lpthread
		;;
	esac
}
have=
for p in ${peers:-openmpi mpich gloo}; do
	if build_peer "$p"; then have="$have $p"; else echo "# $p: not installed, left out"; fi
done
[ -n "$have" ] || { echo "peers.sh: no peer is installed" >&2; exit 1; }

# start NAME N TRANSPORT DIR: one library's ranks, in the background.
start() {
	case $1.$3 in
	ferrule.*) "$build/ferrule" run -n "$2" --transport "$3" "$work/peer_ferrule" "$4" ferrule & ;;
	gloo.*) "$build/ferrule" run -n "$2" "$work/peer_gloo" "$4" gloo & ;;
	openmpi.shm) OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun.openmpi --oversubscribe $bind_openmpi \
		-n "$2" "$work/peer_openmpi" "$4" openmpi & ;;
	openmpi.tcp) OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun.openmpi --oversubscribe $bind_openmpi \
		--mca pml ob1 --mca btl tcp,self --mca btl_tcp_if_include lo \
		-n "$2" "$work/peer_openmpi" "$4" openmpi & ;;
	mpich.shm) mpirun.mpich $bind_mpich -n "$2" "$work/peer_mpich" "$4" mpich & ;;
	mpich.tcp) UCX_TLS=tcp,self MPIR_CVAR_NOLOCAL=1 mpirun.mpich $bind_mpich -n "$2" "$work/peer_mpich" "$4" mpich & ;;
	esac
	pids="$pids $!"
}

echo "# $(date -u +%Y-%m-%dT%H:%MZ), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, kernel $(uname -r | cut -d- -f1)"
for transport in $transports; do
	for n in $(echo "$ranks" | tr , ' '); do
		dir=$work/$transport.$n
		mkdir "$dir"
		mkfifo "$dir/answers"
		list="ferrule"
		for p in $have; do
			# Gloo has TCP only; MPICH spins without yielding, which more ranks than
			# cores turn into seconds a call.
			[ "$p" = gloo ] && { [ "$transport" = tcp ] || continue; }
			[ "$p" = mpich ] && [ "$n" -gt "$(nproc)" ] && { echo "# mpich: left out at $n ranks on $(nproc) cores"; continue; }
			list="$list $p"
		done
		bind_openmpi="--bind-to none" bind_mpich=
		[ "$n" -le "$(nproc)" ] && bind_openmpi="--bind-to core" bind_mpich="-bind-to core"
		for p in $list; do
			i=0
			while [ $i -lt "$n" ]; do mkfifo "$dir/$p.$i"; i=$((i + 1)); done
			start "$p" "$n" "$transport" "$dir"
		done
		echo "# transport $transport, $n ranks, Ferrule's buffers from $([ $fast = 1 ] && echo ferrule_mem_alloc || echo malloc)"
		"$work/conductor" "$dir" "$n" "$rounds" "$fast" "$colls" "$min" "$max" $list
		for p in $pids; do kill "$p" 2>/dev/null || :; done
		for p in $pids; do wait "$p" 2>/dev/null || :; done
		pids=
	done
done

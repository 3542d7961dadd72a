#!/bin/sh
# Two machines, one rank each: Ferrule over the link between two guests, and one that dies.
. "$srcdir/tests/guest/guest_lib.sh"
enter_pair -c 2 -t 240 -d 1

guest_pair_device || exit 1
export FERRULE_IB_HCA=rxe0 RANK=$NODE WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1
export MASTER_ADDR=192.168.79.1 FERRULE_TRANSPORT=verbs
FERRULE_JOB_KEY=$(printf '%064d' 7)
export FERRULE_JOB_KEY

# both PORT COMMAND... - on both machines at once; node 1 only helps, and says what went wrong.
both() {
	port=$1
	shift
	guest_barrier "port$port" || return 1
	MASTER_PORT=$port gives 0 90 "$@"
}

if [ "$NODE" = 1 ]; then
	check() {
		shift
		"$@" || cat $work/out
	}
fi

check "the link has a GID" guest_has_gid rxe0 1
check "sums of every size" both 18700 ./ferrule bench allreduce -b 8 -e 1M -f 8 -n 3 -w 1 -c 1
check "... are exact" prints '^# Out of bounds values : 0 OK|^$'
check "every collective" both 18701 ./ferrule bench all -b 8 -e 64K -f 16 -n 2 -w 0 -c 1
# UCX cannot connect over Soft-RoCE with an IPv4 GID.
UCX_IB_GID_INDEX=0
export UCX_IB_GID_INDEX
check "the doctor finds nothing wrong" both 18702 ./ferrule doctor
check "sums for five seconds" both 18703 tests/guest/t_traffic 5 50000

# Node 1 loses its power while sums are made.
guest_barrier death
if [ "$NODE" = 1 ]; then
	MASTER_PORT=18704 tests/guest/t_traffic 60 50000 >$work/out 2>&1 &
	guest_within 30 grep -q ready $work/out || cat $work/out
	sleep 1
	echo dying
	guest_die
fi
check "a machine that dies is noticed" \
	eval 'MASTER_PORT=18704 gives 3 60 tests/guest/t_traffic 60 50000'
check "... and its rank named" prints 'fault after .*rank 1'
sed -n 's/^rank 0: fault/      fault/p' $work/out
finish guest/verbs_pair

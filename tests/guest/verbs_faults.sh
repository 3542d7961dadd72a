#!/bin/sh
# What goes wrong while two ranks add over Soft-RoCE, each with an own device on one end of a
# wire: packets lost and late, links and addresses that go and come, peers that stop or die, and
# one wire of two lost for good.  Every sum is looked at, element by element.
. "$srcdir/tests/guest/guest_lib.sh"
enter_guest -t 290

guest_two_rails || exit 1

# The launched program: each rank has the devices of its end.
cat >$work/rank <<'END'
#!/bin/sh
[ "$LOCAL_RANK" = 0 ] && FERRULE_IB_HCA=$ENDS_0 || FERRULE_IB_HCA=$ENDS_1
export FERRULE_IB_HCA
exec tests/guest/t_traffic "$@"
END
chmod 755 $work/rank
export ENDS_0=rxe0 ENDS_1=rxe1

# traffic SECONDS COUNT - starts it, and returns when the first sum is made.  The launcher gives
# survivors time to speak.
traffic() {
	rm -f $work/out
	timeout -k 5 $(($1 + 40)) ./ferrule run -n 2 --transport verbs --grace 10 \
		$work/rank "$@" >$work/out 2>&1 </dev/null &
	job=$!
	guest_within 20 grep -q 'rank 1: ready' $work/out
}

# ends STATUS - how the traffic ends.
ends() {
	wait $job
	got=$?
	[ $got -eq "$1" ] || echo "      exit status $got, expected $1"
	[ $got -eq "$1" ]
}

# all_exact - both ranks have seen the end.
all_exact() {
	ends 0 && prints 'rank 0: [0-9]+ exact sums' && prints 'rank 1: [0-9]+ exact sums' &&
		sed -n 's/^rank 0: /      /p' $work/out
}

# rank_pid RANK - the process.
rank_pid() {
	for environment in $(grep -lz "^RANK=$1\$" /proc/[0-9]*/environ 2>/dev/null); do
		directory=${environment%/environ}
		[ "$(cat "$directory/comm" 2>/dev/null)" != t_traffic ] || echo "${directory#/proc/}"
	done
}

# sent DEVICE - bytes that went out through its network card.
sent() {
	cat "/sys/class/net/$(guest_netdev "$1")/statistics/tx_bytes"
}

# lost DEVICE - packets that netem dropped there.
lost() {
	tc -s qdisc show dev "$(guest_netdev "$1")" | sed -n 's/.*(dropped \([0-9]*\),.*/\1/p' | head -n 1
}

# --- a good wire
before=$(sent rxe0)
check "two ranks on two ends of a wire" traffic 2 50000
check "... add for two seconds" all_exact
check "... over the wire" test $(($(sent rxe0) - before)) -gt 200000

# --- packets lost and late
for trouble in "loss 0.1%" "loss 1%" "delay 10ms"; do
	guest_loss rxe0 $trouble
	guest_loss rxe1 $trouble
	check "$trouble: starts" traffic 3 50000
	check "$trouble: exact" all_exact
	[ "${trouble#loss}" = "$trouble" ] ||
		check "... although packets were lost" test "$(lost rxe0)" -gt 0
	guest_loss rxe0 none
	guest_loss rxe1 none
done

# --- a link goes down and comes back
for who in rxe0 rxe1; do
	check "link of $who: starts" traffic 4 50000
	guest_link $who down
	sleep 0.5
	guest_link $who up
	check "link of $who down for 0.5 s: exact" all_exact
done

# --- an address goes and comes back, and its GID with it
check "GID: starts" traffic 5 50000
guest_gid rxe0 del
sleep 1
guest_gid rxe0 add
check "GID removed for 1 s: exact" all_exact

# --- a peer that stops for a while, and one that dies
check "a peer that stops: starts" traffic 5 50000
stopped=$(rank_pid 1)
kill -STOP $stopped
sleep 3
kill -CONT $stopped
check "a peer that stops for 3 s: exact" all_exact

check "a peer that dies: starts" traffic 30 50000
kill -9 $(rank_pid 1)
killed=$(date +%s%N)
# The wait for the survivor's words, by the clock.
check "... is noticed in less than 2 s" guest_within 2 grep -q 'rank 0: fault' $work/out
echo "      noticed after $((($(date +%s%N) - killed) / 1000000)) ms"
check "... and named" prints 'rank 0: fault.*rank 1'
check "... and ends the job" ends 137

# --- two rails, one of them lost for good
export ENDS_0=rxe0,rxe2 ENDS_1=rxe1,rxe3
before_0=$(sent rxe0)
before_2=$(sent rxe2)
check "two rails: starts" traffic 8 500000 registered
sleep 1
check "... the first is used" test $(($(sent rxe0) - before_0)) -gt 100000
check "... the second, too" test $(($(sent rxe2) - before_2)) -gt 100000
guest_link rxe0 down
sleep 2
before_2=$(sent rxe2)
check "... the first lost for good: exact" all_exact
check "... over the second" test $(($(sent rxe2) - before_2)) -gt 1000000
guest_link rxe0 up
finish guest/verbs_faults

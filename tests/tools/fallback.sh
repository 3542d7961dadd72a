#!/bin/sh
# RDMA that does not reach: all ranks use the next transport, and the warning names the pair.
. "$srcdir/tests/tools/tools_lib.sh"

use_standin
FERRULE_VERBS_LIBRARY=$standin
STANDIN_NAMESPACE=fallback-$$
FERRULE_IB_RECOVER=1
FERRULE_LOG=info
export FERRULE_VERBS_LIBRARY STANDIN_NAMESPACE FERRULE_IB_RECOVER FERRULE_LOG

# on_host: one rank on a "host" of its own: its device is standin-ctl's number RANK.
cat >"$work/on_host" <<'END'
#!/bin/sh
STANDIN_NODE=$RANK exec ./ferrule bench -b 8 -e 1M -f 131072 -n 1 allreduce "$@"
END
chmod +x "$work/on_host"

# faults last while somebody keeps the namespace.
holder=
tries=0
if [ -z "$lacking" ]; then
	"$control" hold 120 &
	holder=$!
fi
trap '[ -z "$holder" ] || kill $holder; rm -rf "$work"' EXIT
until [ -n "$lacking" ] || ls /dev/shm/*-"$STANDIN_NAMESPACE" >/dev/null 2>&1 || [ $tries -ge 100 ]; do
	tries=$((tries + 1))
	sleep 0.1
done

joined='rank 0 of 3: '
check "all is well" gives 0 ./ferrule run -n 3 --transport verbs,tcp "$work/on_host"
check "... over verbs" complains "${joined}verbs (standin0:1) to ranks 1, 2"
check "... without a warning" test "$(grep -c 'warning' "$work/err")" -eq 0

check "a way is blocked" "$control" block 0 2 on
check "a job goes on" gives 0 ./ferrule run -n 3 --transport verbs,tcp "$work/on_host"
check "... with a warning" grep -qE 'rank 0: warning: verbs does not carry data between rank 0 and '\
'rank 2; tcp is used instead, by all ranks: no RDMA path to rank 2 ' "$work/err"
check "... one" test "$(grep -c 'does not carry data' "$work/err")" -eq 1
check "... over TCP, all ranks" test "$(grep -cE ' of 3: tcp to ranks' "$work/err")" -eq 3
check "... in the end with right sums" grep -q 'Out of bounds values : 0 OK' "$work/out"
check "where nothing else is allowed" gives 1 ./ferrule run -n 3 --transport verbs "$work/on_host"
check "... there is an error" complains \
	"verbs does not carry data between rank 0 and rank 2, and nothing else is allowed or usable"
check "nobody looks without FERRULE_PROBE" gives 1 env FERRULE_PROBE=0 \
	./ferrule run -n 3 --transport verbs,tcp "$work/on_host"
check "... and the first use fails" complains "no RDMA path to rank"
check "a way is free again" "$control" block 0 2 off

check "an address dies" "$control" gid 1 1 dead
check "the other one is found" gives 0 ./ferrule run -n 3 --transport verbs,tcp "$work/on_host"
check "... over verbs still" complains "${joined}verbs (standin0:1) to ranks 1, 2"

finish fallback

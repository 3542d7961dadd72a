#!/bin/sh
# `ferrule doctor` about RDMA, on the stand-in device: ports, and every pair of ranks.
. "$srcdir/tests/tools/tools_lib.sh"

use_standin
FERRULE_VERBS_LIBRARY=$standin
STANDIN_NAMESPACE=doctor-$$
export FERRULE_VERBS_LIBRARY STANDIN_NAMESPACE

# on_host: one rank of --pairs 0, on a "host" of its own: its device is standin-ctl's number RANK.
cat >"$work/on_host" <<'END'
#!/bin/sh
STANDIN_NODE=$RANK exec ./ferrule doctor --pairs 0 "$@"
END
chmod +x "$work/on_host"

# hold FAULT...: sets what standin-ctl knows; it lasts until release.
hold() {
	if [ -n "$lacking" ]; then
		check "set: $*"
		return
	fi
	"$control" hold 60 &
	holder=$!
	tries=0
	until ls /dev/shm/*-"$STANDIN_NAMESPACE" >/dev/null 2>&1 || [ $tries -ge 100 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	check "set: $*" "$control" "$@"
}
release() {
	[ -z "$lacking" ] || return
	kill "$holder"
	wait "$holder" 2>/dev/null
}

# --- this host
check "a port" gives 0 env -u MASTER_ADDR ./ferrule doctor
check "... with all that matters" grep -q '^ok    rdma port     standin0 port 1: active, RoCE, '\
'100 Gb/s, MTU 4096, .*GIDs: 10.77.0.1 (v2, index 1), fe80' "$work/out"
# How much of it a user may lock is this machine's affair.
check "... and memory that it locks" grep -qE \
	'^(ok  |warn)  memlock .*RDMA locks 2.0 MiB for each peer' "$work/out"
check "InfiniBand" gives 0 env -u MASTER_ADDR STANDIN_LINK=ib ./ferrule doctor --json
check "... is JSON" is_json "$work/out"
check "... has LIDs" grep -q '"rdma port", "verdict": "ok", "seen": "standin0 port 1: active, Infini' \
	"$work/out"
check "two ports" gives 0 env -u MASTER_ADDR STANDIN_DEVICES=2 ./ferrule doctor
check "... are listed" grep -q '^ok    rdma port     standin1 port 1: ' "$work/out"
hold port 0 down
check "a port that is down" gives 0 env -u MASTER_ADDR ./ferrule doctor
check "... is a warning" grep -q '^warn  rdma port     standin0 port 1 .*: port is down' "$work/out"
check "... and no pair" gives 1 ./ferrule doctor -N 2
check "... for each rank" grep -q '^fail  rdma rank     rank 1 (.*) cannot use RDMA: ' "$work/out"
release
check "no library" gives 0 env -u MASTER_ADDR FERRULE_VERBS_LIBRARY=/nonexistent.so ./ferrule doctor
check "... is named" grep -q '  rdma port     .*/nonexistent.so' "$work/out"

# --- pairs
check "pairs" gives 0 ./ferrule doctor -N 3
for pair in "0 .* and 1" "0 .* and 2" "1 .* and 2"; do
	check "... $pair" grep -qE "^ok    rdma pair     ranks $pair \(.*\): verbs: standin0 port 1, "\
"GID 10\.77\.0\.1 \(v2, index 1\) to 10\.77\.0\.1 .*, MTU 4096; 8 B both ways in [0-9.]+ us, 1 MiB" \
		"$work/out"
done
check "pairs in JSON" gives 0 ./ferrule doctor --pairs 2 --json
check "... are JSON" is_json "$work/out"
check "... with a verdict" prints '{"check": "rdma pair", "verdict": "ok", "seen": "ranks 0 ('
check "hosts" gives 0 ./ferrule run -n 4 "$work/on_host"
check "... six pairs" test "$(grep -c '^ok    rdma pair' "$work/out")" -eq 6
check "... each with its addresses" grep -q 'ranks 1 .* and 3 .*GID 10.77.0.2 .* to 10.77.0.4 ' \
	"$work/out"

# --- an address that does not answer: another one is used
hold gid 1 1 dead
check "a dead GID" gives 0 ./ferrule run -n 3 "$work/on_host"
check "... is a warning" grep -qE '^warn  rdma pair     ranks 0 .* and 1 .*GID fe80.* to fe80.*; '\
'the first GID, 10\.77\.0\.1 \(v2, index 1\), is not used' "$work/out"
check "... with a fix" grep -q ' fix: look at the address and route' "$work/out"
check "... for its pairs alone" grep -q '^ok    rdma pair     ranks 0 .* and 2 ' "$work/out"
release

# --- a way that is blocked: one pair fails and is named, the others do not
hold block 0 2 on
FERRULE_IB_RECOVER=2
export FERRULE_IB_RECOVER
check "a blocked pair" gives 1 ./ferrule run -n 3 "$work/on_host"
check "... is named" grep -qE '^fail  rdma pair     ranks 0 .* and 2 .*FERRULE_ERR_FABRIC: .*no RDMA path' \
	"$work/out"
check "... with a fix" grep -q ' fix: compare the two ports' "$work/out"
check "... alone" test "$(grep -c '^ok    rdma pair' "$work/out")" -eq 2
check "... in the sum" prints "2 ok, 0 warnings, 1 failures"
release

# --- command line
check "one rank alone" gives 1 ./ferrule doctor --pairs 0
check "... is no pair" prints "this rank is alone"
check "ranks in a rank" gives 2 env RANK=0 WORLD_SIZE=1 ./ferrule doctor -N 2
check "... are refused" complains "this process already is rank "

finish doctor_rdma

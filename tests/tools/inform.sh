#!/bin/sh
# `ferrule info`, `explain` and `doctor`, and the examples.
. "$srcdir/tests/tools/tools_lib.sh"

# --- info
check "info" gives 0 ./ferrule info
for text in "built with:" "libsodium" "transports:" "shm " "tcp " "FERRULE_TIMEOUT = 300"; do
	check "... has $text" prints "$text"
done
check "... has GPUs or why there are none" sh -c \
	"grep -A1 '^gpu memory over RDMA:' $work/out | grep -qE '^  (none: .+|GPU [0-9]+ )'"
check "a setting" gives 0 env FERRULE_TIMEOUT=12.5 ./ferrule info --json
check "... is JSON" is_json "$work/out"
check "... with GPUs" grep -q '"gpu_rdma": \[.*\], "gpu_rdma_none": ' "$work/out"
check "... with value and source" grep -q '"name": "FERRULE_TIMEOUT", "value": "12.5", '\
'"default": "300", "source": "environment"' "$work/out"
check "a wrong setting" gives 1 env FERRULE_TIMEOUT=-1 ./ferrule info
check "... is pointed out" prints "wrong setting: FERRULE_TIMEOUT"
key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
check "the job key" gives 0 env FERRULE_JOB_KEY=$key ./ferrule info
check "... is not shown" test "$(grep -c "$key" "$work/out")" -eq 0

# --- explain
check "explain" gives 0 ./ferrule explain allreduce --ranks 8 --bytes 64M
check "... a choice" grep -q '^ *choice ' "$work/out"
check "... and a runner-up" grep -q '^ *runner-up ' "$work/out"
for coll in allreduce allgather reduce_scatter broadcast reduce alltoall gather scatter barrier; do
	check "explain $coll" gives 0 ./ferrule explain $coll -n 6 --hosts 2 -b 1M --json
	check "... as JSON" is_json "$work/out"
done
check "rounds" gives 0 ./ferrule explain allreduce -n 4 -b 1K --algorithm ring --rounds
check "... are listed" grep -qi 'round' "$work/out"
check "unknown algorithm" gives 1 ./ferrule explain allreduce --algorithm nonesuch
check "... with what is allowed" complains "ring"
check "unknown collective" refuses "COLLECTIVE: 'allgathr' is not allowed" \
	./ferrule explain allgathr
check "'all' is not one type" refuses "'all' is not one type" ./ferrule explain -d all allreduce
check "root beyond the ranks" refuses "allowed: a rank, 0 to 3" \
	./ferrule explain -n 4 -r 4 broadcast

# --- doctor
check "doctor" gives 0 env -u MASTER_ADDR ./ferrule doctor --json
check "... is JSON" is_json "$work/out"
for name in settings cores memory /dev/shm memlock "open files" cross-memory "huge pages" \
	interface "host name" launcher MASTER_ADDR; do
	check "... looks at $name" prints "{\"check\": \"$name\", \"verdict\": \""
done
for transport in shm tcp; do
	check "... tries $transport" prints "\"ok\", \"seen\": \"$transport: two ranks"
done
check "a launcher that says too little" gives 1 env PMI_RANK=1 PMI_SIZE=4 ./ferrule doctor
check "... fails" grep -q '^fail  launcher .*PMI_RANK=1 and PMI_SIZE=4 say' "$work/out"
check "a launcher's rank" gives 0 env RANK=1 WORLD_SIZE=4 MASTER_ADDR=::1 MASTER_PORT=7 \
	./ferrule doctor
check "... is described" grep -q '^ok    launcher .*rank 1 of 4 by RANK and WORLD_SIZE' "$work/out"
check "interfaces that are left out" gives 1 env FERRULE_SOCKET_IFNAME=nosuch ./ferrule doctor
check "... are told" grep -q '^fail  interface .*none that is up is allowed' "$work/out"
check "peers that cannot be" gives 1 ./ferrule doctor --peers nowhere.invalid:1,portless
check "... fail with a reason" grep -q '^fail  peer .*nowhere.invalid does not resolve' "$work/out"
check "... and what is allowed" grep -q "^fail  peer .*'portless' is not allowed" "$work/out"
check "... and a fix" grep -q ' fix: ' "$work/out"
# So many may be too many for other limits as well, and that a failure.
check "too many ranks for the cores" sh -c \
	"./ferrule doctor -n 300 >$work/out 2>$work/err; [ \$? -le 1 ]"
check "... is a warning" grep -q '^warn  cores ' "$work/out"
check "too few open files" sh -c \
	"ulimit -n 64; ./ferrule doctor >$work/out 2>$work/err; [ \$? -eq 1 ]"
check "... is a failure" grep -q '^fail  open files ' "$work/out"
check "a wrong setting" gives 1 env FERRULE_LOG=loud ./ferrule doctor
check "... is a failure" grep -q '^fail  settings .*FERRULE_LOG' "$work/out"

# --- examples
for n in 1 2 3; do
	check "hello_allreduce, $n ranks" gives 0 ./ferrule run -n $n tools/examples/hello_allreduce
	check "... on each" test "$(grep -c "of $n: .* $n " "$work/out")" -eq $n
	check "overlap, $n ranks" gives 0 ./ferrule run -n $n tools/examples/overlap
	check "ping_pong, $n ranks" gives 0 ./ferrule run -n $n tools/examples/ping_pong
	check "... round the ring" grep -q "rank 0: my left neighbour is $((n - 1))" "$work/out"
done
check "ping_pong over TCP" gives 0 ./ferrule run -n 2 --transport tcp tools/examples/ping_pong

finish inform

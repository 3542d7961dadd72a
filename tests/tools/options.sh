#!/bin/sh
# Every subcommand explains itself, and says what is wrong with a command line.
. "$srcdir/tests/tools/tools_lib.sh"

# helps COMMAND OPTION...: --help succeeds and names every option.
helps() {
	command=$1
	shift
	gives 0 ./ferrule "$command" --help || return 1
	head -n 1 "$work/out" | grep -q "^Usage: ferrule $command " || return 1
	[ ! -s "$work/err" ] || return 1
	for option in "$@" --help; do
		prints "$option" || return 1
	done
}

check "ferrule --help" gives 0 ./ferrule --help
for command in run bench bw lat train info explain doctor; do
	check "... lists $command" prints "  $command "
done
check "ferrule --version" gives 0 ./ferrule --version
check "... is a version" grep -Eq '^ferrule [0-9]+\.[0-9]+\.[0-9]+$' "$work/out"
check "no command" refuses "no command given" ./ferrule
check "unknown command, with a suggestion" refuses "did you mean 'bench'?" ./ferrule bnech
check "unknown command, nothing near" refuses "unknown command 'zzzzzzzzzz'" ./ferrule zzzzzzzzzz

check "run --help" helps run --ranks --transport --tag-output --timeout --grace --bind --json
check "bench --help" helps bench --minbytes --maxbytes --stepfactor --stepbytes --iters \
	--warmup_iters --check --average --datatype --op --root --ranks --mem --transport --rewrite \
	--plot --json
common="--op --transport --via --local --port --ib-dev --ib-port --gid-index --mtu --size --all --iters
	--duration --margin --rx-depth --inline_size --events --rdma_cm --sl --tclass --qp-timeout
	--retry_count --gpu --data_validation --timeout --CPU-freq --out_json --out_json_file --plot --json"
# The options are words on purpose.
# shellcheck disable=SC2086
check "bw --help" helps bw $common --bidirectional --tx-depth --qp --post_list --cq-mod --report_gbits
# shellcheck disable=SC2086
check "lat --help" helps lat $common
check "info --help" helps info --json
check "explain --help" helps explain --ranks --hosts --bytes --type --op --root --in-place \
	--transport --algorithm --rounds --json
check "doctor --help" helps doctor --ranks --peers --timeout --json
check "train --help" gives 0 ./ferrule train --help

check "unknown long option, with a suggestion" refuses "did you mean --minbytes?" \
	./ferrule bench --minbyte 8 allreduce
check "unknown short option" refuses "unknown option -Z" ./ferrule bench -Z allreduce
check "missing argument" refuses "option -b, --minbytes needs an argument" ./ferrule bench -b
check "argument of a flag" refuses "takes no argument, got 'yes'" \
	./ferrule bench --json=yes allreduce
check "no size" refuses "'12Q' is not allowed; allowed: bytes" ./ferrule bench -b 12Q allreduce
check "negative size" refuses "'-8' is not allowed" ./ferrule bench -b -8 allreduce
check "size that does not fit" refuses "'99999999999999T' is not allowed" \
	./ferrule bench -e 99999999999999T allreduce
check "no number" refuses "'x' is not allowed; allowed: a whole number, 1 to" \
	./ferrule bench -n x allreduce
check "number with a tail" refuses "'3x' is not allowed" ./ferrule bench -N 3x allreduce
check "number out of range" refuses "'0' is not allowed; allowed: a whole number, 1 to 4096" \
	./ferrule run -n 0 true
check "not a finite number" refuses "'nan' is not allowed; allowed: a number, 0 to" \
	./ferrule run --timeout nan true
check "unknown word" refuses "'heap' is not allowed; allowed: malloc|ferrule" \
	./ferrule bench --mem heap allreduce
check "part of a word" refuses "'sum|' is not allowed" ./ferrule bench -o 'sum|' allreduce
check "empty text" refuses "'' is not allowed" ./ferrule bench --plot= allreduce
check "no operand" refuses "one COLLECTIVE (allreduce|" ./ferrule bench
check "two operands" refuses "unexpected argument 'allgather'" ./ferrule bench allreduce allgather
check "operand where there is none" refuses "unexpected argument 'me'" ./ferrule info me
check "options after the operand" gives 0 ./ferrule bench barrier --json -n1 -w 0
check "... count" is_json "$work/out"
check "-- ends options" refuses "'--json' is not allowed" ./ferrule bench -- --json

finish options

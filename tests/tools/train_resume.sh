#!/bin/sh
# A resumed run is bit-identical to one that was never interrupted.
. "$srcdir/tests/tools/train_lib.sh"

# resume_is_identical RANKS OPTIONS...: 3 epochs in one go, against 1 epoch and the rest.
resume_is_identical() {
	ranks=$1
	shift
	rm -f "$work"/*.ckpt "$work"/*.csv
	train "$ranks" --data "$data" --epochs 3 --checkpoint "$work/whole.ckpt" \
		--loss-csv "$work/whole.csv" "$@" &&
		train "$ranks" --data "$data" --epochs 1 --checkpoint "$work/part.ckpt" \
			--loss-csv "$work/part.csv" "$@" &&
		train "$ranks" --data "$data" --epochs 3 --resume "$work/part.ckpt" \
			--checkpoint "$work/part.ckpt" --loss-csv "$work/part.csv" "$@" &&
		cmp "$work/whole.ckpt" "$work/part.ckpt" && cmp "$work/whole.csv" "$work/part.csv"
}
for optimizer in sgd momentum adam; do
	check "after an epoch: $optimizer" resume_is_identical 2 --model mlp --hidden 16 \
		--optimizer $optimizer --lr 0.01
done
check "float gradients, 3 ranks" resume_is_identical 3 --gradient-type float

# The run is killed in the middle of an epoch, some steps after its first checkpoint.
killed_run_is_identical() {
	set -- --data "$data" --model mlp --hidden 16 --optimizer adam --epochs 150 --batch 50
	train 2 "$@" --checkpoint "$work/whole.ckpt" --loss-csv "$work/whole.csv" || return 1
	rm -f "$work/killed.ckpt" "$work/pipe"
	mkfifo "$work/pipe" || return 1
	timeout -k 5 60 ./ferrule run -n 2 ./ferrule train "$@" --checkpoint "$work/killed.ckpt" \
		--checkpoint-every 17 --loss-csv "$work/killed.csv" --json \
		>"$work/pipe" 2>"$work/err" &
	pid=$!
	while read -r line; do
		case $line in
		*'"checkpoint"'*) break ;;
		esac
	done <"$work/pipe"
	kill -TERM $pid
	wait $pid && return 1
	train 2 "$@" --resume "$work/killed.ckpt" --checkpoint "$work/killed.ckpt" \
		--loss-csv "$work/killed.csv" --json &&
		grep -q '"resumed_step": *[0-9]*[1-9]' "$work/out" &&
		cmp "$work/whole.ckpt" "$work/killed.ckpt" && cmp "$work/whole.csv" "$work/killed.csv"
}
check "killed in the middle" killed_run_is_identical

at_the_end_there_is_nothing_to_do() {
	train 2 --data "$data" --epochs 2 --checkpoint "$work/e.ckpt" --json &&
		tail -n 1 "$work/out" >"$work/first" &&
		train 2 --data "$data" --epochs 2 --resume "$work/e.ckpt" --json || return 1
	for name in train_loss test_loss test_accuracy steps epochs; do
		a=$(sed 's/.*"'$name'": *\([^,}]*\).*/\1/' "$work/first")
		b=$(sed -n '$s/.*"'$name'": *\([^,}]*\).*/\1/p' "$work/out")
		[ "$a" = "$b" ] || return 1
	done
}
check "at the end there is nothing to do" at_the_end_there_is_nothing_to_do

other_ranks_may_resume() {
	train 2 --data "$data" --epochs 1 --checkpoint "$work/r.ckpt" &&
		train 3 --data "$data" --epochs 2 --resume "$work/r.ckpt" --json &&
		tail -n 1 "$work/out" | grep -q '"steps": *46'
}
check "another rank count may resume" other_ranks_may_resume

finish "train resume"

#!/bin/sh
# What is wrong is said once, in words, with a failing exit status, on every rank count.
. "$srcdir/tests/tools/train_lib.sh"
expect_failure=yes

# fails STATUS TEXT RANKS OPTIONS...
fails() {
	status=$1
	text=$2
	shift 2
	train "$@"
	got=$?
	if [ $got -ne "$status" ] || ! grep -qF -- "$text" "$work/err"; then
		echo "status $got, stderr:"
		cat "$work/err"
		return 1
	fi
}

# says_once: the last failure was told by one rank only.
says_once() {
	[ "$(grep -c '^ferrule train: ' "$work/err")" -eq 1 ]
}

check "no such file" fails 1 "nope.csv: No such file" 3 --data nope.csv
check "... is said once" says_once
printf '1,2,0\n1,x,1\n' >"$work/bad.csv"
check "bad CSV has its place" fails 1 "bad.csv:2:3: \"x\"" 3 --data "$work/bad.csv"
printf '1,2,0\n1,1\n' >"$work/ragged.csv"
check "ragged CSV has its place" fails 1 "ragged.csv:2:4: 2 values" 2 --data "$work/ragged.csv"
head -c 20000 "$data" >"$work/cut.csv.gz"
check "truncated gzip" fails 1 "cut.csv.gz: " 2 --data "$work/cut.csv.gz"
check "a directory" fails 1 "is a directory" 2 --data "$work"
printf 'junk' >"$work/junk"
check "IDX without magic" fails 1 "junk: magic" 2 --data "$work/junk:$work/junk"
printf '1,2,3,0\n' >"$work/wide.csv"
check "test data of another width" fails 1 "samples of 3 features" 2 \
	--data "$data" --test-data "$work/wide.csv"
check "... is said once" says_once
printf '1,0\n2,1\n' >"$work/two.csv"
printf '1,2\n' >"$work/third.csv"
check "test data with a new label" fails 1 "has label 2" 2 \
	--data "$work/two.csv" --test-data "$work/third.csv"

check "a loss that is not finite" fails 1 "loss is " 3 \
	--data "$data" --model mlp --lr 1e20
check "... names the step" grep -q "step [0-9]* (batch [0-9]* of 23 in epoch 1)" "$work/err"
check "... is said once" says_once

train 2 --data "$data" --epochs 1 --checkpoint "$work/c.ckpt"
check "another model's checkpoint" fails 1 "belongs to another run" 2 \
	--data "$data" --model mlp --resume "$work/c.ckpt"
check "... is said once" says_once
check "another seed's checkpoint" fails 1 "seed 1" 2 --data "$data" --seed 2 \
	--resume "$work/c.ckpt"
head -c 1000 "$work/c.ckpt" >"$work/short.ckpt"
check "a truncated checkpoint" fails 1 "checkpoint is truncated" 2 \
	--data "$data" --resume "$work/short.ckpt"
check "no checkpoint" fails 1 "none.ckpt" 2 --data "$data" --resume "$work/none.ckpt"
check "a checkpoint that cannot be written" fails 1 "no/where" 2 \
	--data "$data" --checkpoint "$work/no/where"
check "... is said once" says_once
check "a curve that cannot be written" fails 1 "no/curve.csv" 2 \
	--data "$data" --loss-csv "$work/no/curve.csv"

# One of three ranks is killed in the middle: the others end by themselves, and say why.
survivors_end() {
	mkfifo "$work/pipe" || return 1
	./ferrule run -n 3 --timeout 60 --grace 20 ./ferrule train --data "$data" --epochs 100000 \
		--json >"$work/pipe" 2>"$work/err" &
	pid=$!
	{
		while read -r line; do
			case $line in
			*'"epoch"'*) break ;;
			esac
		done
		begin=$(date +%s)
		# The last of the launcher's children.
		victim=$(sed 's/ *$//; s/.* //' "/proc/$pid/task/$pid/children")
		kill -KILL "$victim"
		cat >/dev/null
	} <"$work/pipe"
	wait $pid
	[ $? -eq 137 ] && [ $(($(date +%s) - begin)) -le 4 ] && grep -q "^ferrule train: " "$work/err"
}
check "survivors of a killed rank end by themselves" survivors_end

# Only what the test itself needs is in this PATH.
without_gnuplot() {
	mkdir "$work/bin" || return 1
	for program in timeout cat grep; do
		ln -s "$(command -v $program)" "$work/bin/$program" || return 1
	done
	before=$PATH
	PATH=$(cd "$work/bin" && pwd)
	fails 1 "needs the program gnuplot" 2 --data "$data" --plot "$work/x.svg"
	got=$?
	PATH=$before
	return $got
}
check "--plot without gnuplot" without_gnuplot

for bad in "--model svm" "--hidden 0" "--hidden 8,,8" "--optimizer rmsprop" "--lr 0" "--lr x" \
	"--batch 0" "--epochs 0" "--test-fraction 1" "--momentum 1" "--bucket-bytes 0" \
	"--plot x.pdf" "--checkpoint-every 5" "--gradient-type half" "--no-such"; do
	# shellcheck disable=SC2086
	check "refuses $bad" fails 2 "${bad%% *}" 1 --data "$data" $bad
done
check "data is needed" fails 2 "--data" 1

finish "train errors"

#!/bin/sh
# With one global batch, every rank count has the same loss curve, and it leads somewhere.
. "$srcdir/tests/tools/train_lib.sh"

# agrees A B: every number of two loss curves is equal to 1e-5 relative, row by row.
agrees() {
	awk -F, '
	NR == FNR { row[FNR] = $0; n = FNR; next }
	{
		if (FNR == 1) { bad += $0 != row[1]; next }
		m = split(row[FNR], x, ",")
		if (m != NF || x[1] != $1 || x[2] != $2) { bad++; next }
		for (i = 3; i <= NF; i++) {
			if ((x[i] == "") != ($i == "")) bad++
			d = x[i] - $i
			if (d < 0) d = -d
			if (d > 1e-5 * (x[i] < 0 ? -x[i] : x[i])) bad++
		}
		rows++
	}
	END { exit bad || rows < 10 || FNR != n }' "$1" "$2"
}

# curve RANKS FILE OPTIONS...
curve() {
	ranks=$1
	file=$2
	shift 2
	train "$ranks" --data "$data" --loss-csv "$file" "$@"
}

curves_agree() {
	curve 1 "$work/1.csv" "$@" || return 1
	for n in 2 3 4 7; do
		curve $n "$work/$n.csv" "$@" && agrees "$work/1.csv" "$work/$n.csv" || return 1
	done
}

for model in softmax mlp; do
	for optimizer in sgd momentum adam; do
		lr=0.1
		[ $optimizer = adam ] && lr=0.005
		check "curves agree: $model $optimizer" curves_agree \
			--model $model --hidden 32 --optimizer $optimizer --lr $lr --epochs 5
	done
done
check "curves agree: uneven batch, several buckets, two hidden layers, weight decay" curves_agree \
	--model mlp --hidden 24,17 --batch 61 --bucket-bytes 4K --weight-decay 1e-4 --epochs 5
check "curves agree: a batch larger than the data" curves_agree --batch 5000 --epochs 12

# field NAME: a number of the last JSON line.
field() {
	sed -n '$s/.*"'"$1"'": *\([^,}]*\).*/\1/p' "$work/out"
}

# reaches ACCURACY OPTIONS...
reaches() {
	wanted=$1
	shift
	train 4 --data "$data" --seed 1 --json "$@" || return 1
	tail -n 1 "$work/out" | grep -q '"event": *"done"' || return 1
	[ "$(field ranks)" = 4 ] && [ "$(field epochs)" = 20 ] || return 1
	awk -v a="$(field test_accuracy)" -v w="$wanted" -v l="$(field train_loss)" \
		-v s="$(field samples_per_s)" 'BEGIN { exit !(a > w && l > 0 && l < 1 && s > 0) }'
}
check "softmax reaches 0.93" reaches 0.93 --model softmax --lr 0.5 --epochs 20
check "mlp reaches 0.96" reaches 0.96 --model mlp --hidden 128 --optimizer momentum --epochs 20

fewer_samples_than_ranks() {
	printf '1,2,0\n3,1,1\n' >"$work/tiny.csv"
	train 4 --data "$work/tiny.csv" --batch 1 --test-fraction 0 --json &&
		[ "$(field test_accuracy)" = null ] && [ "$(field steps)" = 10 ]
}
check "fewer samples than ranks" fewer_samples_than_ranks

one_sample_of_one_class() {
	printf '5,0\n' >"$work/one.csv"
	train 2 --data "$work/one.csv" --json && [ "$(field train_loss)" = 0 ]
}
check "one sample of one class" one_sample_of_one_class

own_ranks() {
	timeout -k 5 60 ./ferrule train -N 3 --data "$data" --json --epochs 1 >"$work/out" &&
		[ "$(field ranks)" = 3 ]
}
check "-N starts ranks" own_ranks

idx_files() {
	# 40 images of 2 x 2 in two classes, told apart by their first pixel.
	awk 'BEGIN {
		printf "%c%c%c%c%c%c%c%c%c%c%c%c%c%c%c%c", 0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 2
		for (i = 0; i < 40; i++) printf "%c%c%c%c", i % 2 ? 100 : 1, i, 3, 100
	}' </dev/null >"$work/images"
	awk 'BEGIN {
		printf "%c%c%c%c%c%c%c%c", 0, 0, 8, 1, 0, 0, 0, 40
		for (i = 0; i < 40; i++) printf "%c", i % 2
	}' </dev/null >"$work/labels"
	gzip -f "$work/images"
	train 2 --data "$work/images.gz:$work/labels" --batch 8 --epochs 30 --lr 1 --json \
		--test-data "$work/images.gz:$work/labels" && [ "$(field test_accuracy)" = 1 ]
}
check "IDX files, plain and gzip" idx_files

finish "train curves"

#!/bin/sh
# Files that a user names for results: pipes and devices work, nothing hangs, and what could not be
# written is said.
. "$srcdir/tests/tools/tools_lib.sh"

printf '0,0,0\n1,0,1\n0,1,0\n1,1,1\n2,1,1\n0,2,0\n' >"$work/d.csv"
train="./ferrule train --data $work/d.csv --epochs 2 --batch 2 --log-every 0"
mkfifo "$work/pipe"

# through FILE COMMAND...: what the command writes into the pipe goes to FILE.
through() {
	into=$1
	shift
	timeout 60 cat "$work/pipe" >"$into" &
	gives 0 "$@"
	result=$?
	# Lets the reader go if nobody ever wrote.
	[ $result -eq 0 ] || kill $! 2>/dev/null
	wait $!
	return $result
}

# --- the loss curve
check "a curve into a file" gives 0 $train --loss-csv "$work/curve.csv"
check "... and into a pipe" through "$work/piped.csv" $train --loss-csv "$work/pipe"
check "... is the same" cmp "$work/curve.csv" "$work/piped.csv"
check "into a device" gives 0 $train --loss-csv /dev/null
check "into standard output" sh -c "$train --loss-csv /dev/stdout | grep -q '^step,epoch,loss,'"
ln -s curve.csv "$work/link.csv"
check "through a link" gives 0 $train --loss-csv "$work/link.csv"
check "... that stays one" test -L "$work/link.csv"
check "a pipe without a reader" gives 1 $train --loss-csv "$work/pipe"
check "... is told" complains "nobody reads from this pipe"
check "a directory" gives 1 $train --loss-csv "$work"
check "... is told" complains "$work: Is a directory"
[ -c /dev/full ] ||
	lacking="/dev/full is no device here"
check "a full device" gives 1 $train --loss-csv /dev/full
check "... is told" complains "/dev/full: No space left on device"
lacking=

# --- checkpoints
check "a checkpoint into a pipe is refused" gives 1 $train --checkpoint "$work/pipe"
check "... and why" complains "is a pipe; a checkpoint is replaced as a whole"
check "a checkpoint into a device" gives 1 $train --checkpoint /dev/null
check "... and why" complains "/dev/null: is a device"
check "... which stays one" test -c /dev/null
ln -s real.ckpt "$work/link.ckpt"
check "a checkpoint through a link" gives 0 $train --checkpoint "$work/link.ckpt"
check "... that stays one" test -L "$work/link.ckpt"
check "... is where it leads" gives 0 $train --resume "$work/real.ckpt"

# --- what must not be overwritten
cp "$work/d.csv" "$work/kept.csv"
kept="./ferrule train --data $work/kept.csv --epochs 1 --batch 2 --log-every 0"
ln -s kept.csv "$work/kept.link"
check "a curve over the data" gives 2 $kept --loss-csv "$work/kept.link"
check "... is told" complains "options --data and --loss-csv name one file"
check "a checkpoint over the data" gives 2 $kept --checkpoint "$work/kept.csv"
check "... is told" complains "options --data and --checkpoint name one file"
check "a curve over the test data" gives 2 $train --test-data "$work/kept.csv" \
	--loss-csv "$work/kept.csv"
check "a checkpoint over something else" gives 2 $train --checkpoint "$work/kept.csv"
check "... is told" complains "is there and is no checkpoint"
check "... all of which is still there" cmp "$work/d.csv" "$work/kept.csv"
check "a curve over a checkpoint" gives 2 $train --resume "$work/real.ckpt" \
	--loss-csv "$work/real.ckpt"
check "two results in one file" gives 2 $train --checkpoint "$work/two" --loss-csv "$work/two"
check "a checkpoint over the one before" gives 0 $train --checkpoint "$work/real.ckpt"
check "ranks that start ranks" gives 2 env RANK=0 WORLD_SIZE=1 $train -N 2
check "... are told" complains "leave -N away"

# --- data
check "data from a pipe" sh -c \
	"cat $work/d.csv | ./ferrule train --data /dev/stdin --epochs 1 >/dev/null"

# --- JSON
bw="./ferrule bw --local --transport shm -n 5"
check "JSON into a pipe" through "$work/bw.json" $bw --out_json_file "$work/pipe"
check "... is JSON" is_json "$work/bw.json"
check "JSON into a pipe without a reader" gives 2 $bw --out_json_file "$work/pipe"
check "... is told" complains "option --out_json_file: cannot write to $work/pipe: nobody reads"

# --- pictures
command -v gnuplot >/dev/null 2>&1 ||
	lacking="gnuplot is not installed"
bench="./ferrule bench -b 8 -e 64 -n 1 -w 0 allreduce"
for command in "$bench" "$train" "$bw -a"; do
	name=${command#./ferrule }
	name=${name%% *}
	ln -sf "$(cd "$work" && pwd)/pipe" "$work/plot.svg"
	check "$name --plot into a pipe" through "$work/plot" $command --plot "$work/plot.svg"
	check "... is a whole picture" grep -q '</svg>' "$work/plot"
	[ -c /dev/full ] || continue
	ln -sf /dev/full "$work/plot.svg"
	want=1
	[ "$name" = bw ] && want=2
	check "$name --plot into a full device" gives $want $command --plot "$work/plot.svg"
	check "... is told" complains "plot.svg: No space left on device"
done
check "curve and picture" through "$work/piped.csv" $train --loss-csv "$work/pipe" \
	--plot "$work/curve.svg"
check "... are both there" grep -q '</svg>' "$work/curve.svg"
# Room for gnuplot's script, but not for its picture.
check "a disk that is full in the middle" sh -c "trap '' XFSZ; ulimit -f 8; \
	! $bench --plot $work/cut.svg >/dev/null 2>$work/err"
check "... is told" complains "cut.svg: File too large"
check "... and leaves no half of a picture" test ! -s "$work/cut.svg"
lacking=

finish out_files

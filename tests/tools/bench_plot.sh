#!/bin/sh
# `ferrule bench --plot`: files that a viewer opens.
. "$srcdir/tests/tools/tools_lib.sh"

check "a plot that is no picture" refuses "allowed: a name that ends in .svg or .png" \
	./ferrule bench --plot "$work/plot.pdf" allreduce
check "a barrier has no sizes" refuses "barrier has no sizes" \
	./ferrule bench --plot "$work/plot.svg" barrier
check "no gnuplot" refuses "needs the program gnuplot" env PATH=/nowhere \
	./ferrule bench --plot "$work/plot.svg" allreduce

command -v gnuplot >/dev/null 2>&1 || lacking="gnuplot is not installed"
check "SVG" gives 0 ./ferrule bench -N 2 -b 8 -e 64K -f 8 -n 1 --plot "$work/p.svg" allreduce
check "... is XML of a picture" sh -c "head -n 8 $work/p.svg | grep -q '<svg'"
check "... that ends" grep -q '</svg>' "$work/p.svg"
check "... names its curves" grep -q 'allreduce float sum, in place' "$work/p.svg"
check "... and its ranks" grep -q '2 ranks, shm, malloc buffers' "$work/p.svg"
check "PNG, in a file with a quote" gives 0 ./ferrule bench -N 2 -b 8 -e 4K -f 8 -n 1 \
	--plot "$work/it's.png" all
check "... is PNG" sh -c "head -c 4 \"$work/it's.png\" | grep -q PNG"
check "a directory that is not there" gives 1 ./ferrule bench -b 8 -e 8 -n 1 \
	--plot "$work/no/p.svg" allreduce
check "... is told" complains "option --plot"

finish bench_plot

#!/bin/sh
# Under valgrind: nothing undefined leaves a process or decides anything, and whoever creates and
# destroys a communicator loses no memory.
. "$srcdir/tests/tools/tools_lib.sh"

# Memory that is reachable to the end is no leak: the table of handles, what libraries keep.
valgrind="./libtool --mode=execute valgrind -q --error-exitcode=99 --leak-check=full
	--errors-for-leak-kinds=definite,indirect,possible --show-leak-kinds=definite,indirect,possible"
# shellcheck disable=SC2086
timeout -k 5 60 $valgrind ./ferrule --version >"$work/out" 2>&1 ||
	lacking="valgrind cannot run this build"
command -v valgrind >/dev/null 2>&1 || lacking="valgrind is not installed"

# clean RANKS TRANSPORT COLLECTIVE: a benchmark that verifies, small and large.
clean() {
	# shellcheck disable=SC2086
	FERRULE_PROBE=0 timeout -k 5 200 ./ferrule run -n "$1" $valgrind ./ferrule bench \
		--transport "$2" -b 8 -e 256K -f 32768 -n 1 -w 0 "$3" >"$work/out" 2>"$work/err" </dev/null
}

for transport in shm tcp; do
	check "$transport, every collective, two ranks" clean 2 $transport all
	check "$transport, barriers of three ranks" clean 3 $transport barrier
done

finish valgrind

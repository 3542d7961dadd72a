#!/bin/sh
# Where the job's key comes from when no launcher gives one, and who gets it.
. "$srcdir/tests/tools/tools_lib.sh"

# without_key MORE...: a command for ranks that have no key, after MORE.
without_key() {
	cat >"$work/rank" <<-END
	#!/bin/sh
	unset FERRULE_JOB_KEY LOCAL_WORLD_SIZE
	$*
	exec \$AS ./ferrule bench -b 8 -e 8 -n 1 -w 0 allreduce
	END
	chmod +x "$work/rank"
}

without_key
check "sixteen ranks of one host need no key" gives 0 ./ferrule run -n 16 "$work/rank"
check "... and nobody is warned" test ! -s "$work/err"

# Rank 1 is somebody else.
without_key '[ "$RANK" = 0 ] || AS="setpriv --reuid 65534 --regid 65534 --clear-groups"'
setpriv --reuid 65534 --regid 65534 --clear-groups ./ferrule --version >/dev/null 2>&1 ||
	lacking="cannot become one, or it cannot run ./ferrule"
check "another user does not join" gives 1 env FERRULE_SETUP_TIMEOUT=2 \
	./ferrule run -n 2 "$work/rank"
check "... and is told what is missing" complains "it has left no key for port"
check "... as is rank 0" complains "rank 1 of 2 did not arrive within"
lacking=

address=$(hostname -I 2>/dev/null | awk '{ print $1 }')
[ -n "$address" ] ||
	lacking="no address but loopback"
without_key "export MASTER_ADDR=$address"
check "between hosts a job without a key runs" gives 0 ./ferrule run -n 2 "$work/rank"
check "... with a warning that names the risk" complains \
	"can guess this job's key, join it, and read and change its data"
check "... unless a key is demanded" gives 1 env FERRULE_REQUIRE_KEY=1 \
	./ferrule run -n 2 "$work/rank"
check "... which is the error" complains "FERRULE_REQUIRE_KEY is set, FERRULE_JOB_KEY is not"
check "a demanded key that is there is enough" gives 0 env FERRULE_REQUIRE_KEY=1 \
	./ferrule run -n 2 ./ferrule bench -b 8 -e 8 -n 1 -w 0 allreduce
lacking=

finish keys

#!/bin/sh
# What README.md tells to type works as it stands: every line of its blocks of code is run, in the
# order in which they stand there, but for those that this machine alone cannot run.
# usage: test-readme.sh      in the build directory
#
# `make install` goes where it goes, but into a file system that only this test sees: it runs in a
# mount namespace of its own, and a line about an address of another host in a network namespace.
. "$(dirname "$0")/../lint/lint.sh"

prefix=$(sed -n 's/^prefix = //p' Makefile)

# why_not LINE - why the line is not run here; nothing when it is.
why_not() {
	case $1 in
	./quickstart*) echo "it is what runs this test" ;;
	*"--host a,b"*) echo "needs two hosts, a and b" ;;
	*mlx5_host*) echo "needs another host with a RDMA port" ;;
	mpirun*) command -v mpirun >/dev/null || echo "mpirun is not installed (Debian: openmpi-bin)" ;;
	man*)
		if ! command -v man >/dev/null; then
			echo "man is not installed (Debian: man-db)"
		elif [ -z "$(find build/docs -name ferrule.7)" ]; then
			echo "built without scdoc, so there is no manual"
		fi
		;;
	RANK=*)
		unshare --net true 2>/dev/null && command -v ip >/dev/null ||
			echo "no address of another host can be had here"
		;;
	esac
}

# lines - of the blocks of code that are not C, without remarks.
lines() {
	awk '/^```/ { block = !block; shell = $0 == "```"; next } block && shell && /^[^ #]/' \
		"$root/README.md" |
		sed 's/  *#  *[^ ].*//'
}

# as_promised LINE - what the last line printed is what it is there for.
as_promised() {
	case $1 in
	*"-n 4 ./hello"*) [ "$(grep -c '^rank [0-3] of 4: 1.5$' "$work/out")" -eq 4 ] ;;
	"ferrule info"*) grep -q '^transports:' "$work/out" ;;
	"ferrule doctor"*) grep -qE '^[0-9]+ ok, [0-9]+ warnings' "$work/out" ;;
	"man "*) grep -q 'NAME' "$work/out" ;;
	esac
}

# run LINE - status 1 of the doctor is about this machine.
run() {
	eval "$1" >"$work/out" 2>&1 </dev/null
	status=$?
	[ $status -eq 0 ] || { [ $status -eq 1 ] && [ "${1#ferrule doctor}" != "$1" ]; } ||
		echo "status $status"
	as_promised "$1" || echo "not what it should print"
}

# run_two_hosts - the two lines of a job between hosts, on one that has the address of the first.
run_two_hosts() {
	lines | grep '^RANK=' >"$work/hosts.sh"
	unshare --net sh -c 'ip link set lo up && ip addr add 10.0.0.1/32 dev lo || exit 1
		while read -r line; do eval "$line" & pids="$pids $!"; done
		for pid in $pids; do wait "$pid" || exit 1; done' <"$work/hosts.sh" >"$work/out" 2>&1 ||
		echo "one of the two failed"
	[ "$(grep -c '^rank [01] of 2: 0.5$' "$work/out")" -eq 2 ] || echo "not what they should print"
}

# try LINE - one case.
try() {
	lacking=$unable
	[ -n "$lacking" ] || lacking=$(why_not "$1")
	if [ -n "$lacking" ]; then
		:
	elif [ "${1#RANK=0}" != "$1" ]; then
		run_two_hosts >"$work/problem"
		cp "$work/problem" "$work/both"
	elif [ "${1#RANK=}" != "$1" ]; then
		cp "$work/both" "$work/problem"
	else
		run "$1" >"$work/problem"
	fi
	[ -n "$lacking" ] || [ ! -s "$work/problem" ] || tail -n 20 "$work/out" >>"$work/problem"
	verdict "$1" "$work/problem"
}

# Inside, the place of the installation is empty and nobody else's.
inside() {
	mount -t tmpfs tmpfs "$prefix" || exit 1
	# Where it is not /usr/local users say where things are.
	if [ "$prefix" != /usr/local ]; then
		PATH=$prefix/bin:$PATH PKG_CONFIG_PATH=$prefix/lib/pkgconfig
		export PATH PKG_CONFIG_PATH
	fi
	# mpirun is meant to be Open MPI's, whoever's comes first here.
	mkdir "$work/bin"
	openmpi=$(command -v mpirun.openmpi) && ln -s "$openmpi" "$work/bin/mpirun"
	PATH=$work/bin:$PATH
	unset LD_LIBRARY_PATH MAKEFLAGS MFLAGS MAKELEVEL
	ln -s "$PWD" "$work/build" && cd "$work" || exit 1
	awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' "$root/README.md" >hello.c
}

# namespaces - the options of unshare that give this user one.
namespaces() {
	for options in "-m" "-r -m"; do
		# shellcheck disable=SC2086
		unshare $options sh -c "mount -t tmpfs tmpfs '$prefix'" 2>/dev/null && echo "$options" && return
	done
}

unable=
if [ -z "${README_INSIDE:-}" ]; then
	options=$(namespaces)
	if [ -z "$(find .libs -name 'libferrule.so' 2>/dev/null)" ]; then
		unable="this build has no shared library"
	elif [ -z "$options" ]; then
		unable="no place for an installation of one's own can be had here (unshare, $prefix)"
	else
		rm -rf "$work"
		# shellcheck disable=SC2086
		README_INSIDE=yes exec unshare $options sh "$0" "$@"
	fi
else
	inside
fi

lines >"$work/lines"
[ "$(wc -l <"$work/lines")" -ge 10 ] || echo "only $(wc -l <"$work/lines") lines" >"$work/few"
lacking=
[ -f "$work/few" ] || : >"$work/few"
verdict "README.md has lines to run" "$work/few"
while IFS= read -r line <&3; do
	try "$line"
done 3<"$work/lines"
finish

#!/bin/sh
# What configure refuses, and what it leaves for later: m4/found.sh tells what came or went since.
# usage: test-configure.sh      in the build directory
. "$(dirname "$0")/../lint/lint.sh"

# configure takes no source path with a blank in it.
ln -s "$root" "$work/source"
mkdir "$work/build"

# refuses SWITCH TEXT - configure stops, and says TEXT.
refuses() {
	: >"$work/problem"
	(cd "$work/build" && ../source/configure "$1") >"$work/configure.log" 2>&1 &&
		echo "configure $1 succeeds" >"$work/problem"
	grep -qF -- "$2" "$work/configure.log" ||
		{ echo "no such text: $2"; tail -n 3 "$work/configure.log"; } >>"$work/problem"
	verdict "configure $1 is an error" "$work/problem"
}

if [ -x "$root/configure" ]; then
	refuses --without-coffee "unrecognized options: --without-coffee"
	refuses --enable-vector "unrecognized options: --enable-vector"
	refuses --enable-werror=perhaps "--enable-werror=perhaps: allowed: yes or no"
	refuses --without-hwloc "--without-hwloc: no topology without it; it cannot be left out"
	refuses --with-ucx=/opt/ucx "set PKG_CONFIG_PATH"
else
	lacking="there is no configure in $root"
	for switch in --without-coffee --enable-vector --enable-werror=perhaps --without-hwloc \
		--with-ucx=/opt/ucx; do
		skip "configure $switch is an error" "$lacking"
	done
fi

# now WHAT SED-SCRIPT PATTERN - config.found, so edited, is told to be different, by this pattern.
now() {
	: >"$work/problem"
	sed "$2" config.found >"$work/config.found"
	sh "$root/m4/found.sh" "$work/config.found" >"$work/difference" &&
		echo "no difference is seen" >"$work/problem"
	grep -qE "$3" "$work/difference" || sed "s/^/got: /" "$work/difference" >>"$work/problem"
	verdict "$1 is seen" "$work/problem"
}

sh "$root/m4/found.sh" config.found >"$work/problem"
verdict "what was there when this tree was configured still is" "$work/problem"
now "a library that came" 's/^module zlib .*/module zlib none/' '^zlib: none before, [0-9.]+ now$'
now "a library of another version" 's/^module zlib .*/module zlib 0.9/' '^zlib: 0.9 before, [0-9.]+ now$'
now "a library that went" '$a module no-such-library 3.1' '^no-such-library: 3.1 before, none now$'
now "a program that came" '$a program no-such-program,sh none' '^no-such-program,sh: none before, .*/sh now$'
now "a program that went" '$a program no-such-program /nowhere/no-such-program' \
	'^no-such-program: /nowhere/no-such-program before, none now$'
: >"$work/problem"
sed '$a program sh /bin/sh' config.found >"$work/config.found"
sh "$root/m4/found.sh" "$work/config.found" >"$work/problem"
verdict "a program that is still there is no difference" "$work/problem"
sh "$root/m4/found.sh" "$work/nowhere" >"$work/said" && echo "it is not seen" >"$work/problem"
verdict "a tree without config.found is seen" "$work/problem"

finish

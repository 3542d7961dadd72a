#!/bin/sh
# What `make install` leaves is what a user needs: a program builds against it with pkg-config
# alone, shared and static, and runs; the manual is there; uninstalling takes all of it away.
# usage: test-install.sh      in the build directory; CC comes from `make check`
. "$(dirname "$0")/../lint/lint.sh"

# libtool's installation splits a path at a blank.
case $work in
*[[:space:]]*)
	rm -rf "$work"
	work=$(mktemp -d /tmp/ferrule-install.XXXXXX) || exit 2
	;;
esac
stage=$work/stage
# Another prefix than the build was configured for would be written into nothing that is tested.
if ! make -s install DESTDIR="$stage" >"$work/install.log" 2>&1; then
	verdict "make install succeeds" "$work/install.log"
	finish
fi
: >"$work/install.log"
verdict "make install succeeds" "$work/install.log"

pc=$(find "$stage" -name ferrule.pc)
if [ -z "$pc" ] || ! command -v pkg-config >/dev/null; then
	lacking="pkg-config or ferrule.pc is missing"
fi
PKG_CONFIG_SYSROOT_DIR=$stage
PKG_CONFIG_PATH=$(dirname "$pc")
# The system's own .pc files are not below the stage: their flags are asked for without it.
export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH
[ -n "$lacking" ] || libdir=$stage$(pkg-config --variable=libdir ferrule | sed "s|^$stage||")
bindir=$(dirname "$(find "$stage" -type f -name ferrule -perm -u+x)")

# example FILE - the program inside the first block of code that has a main function.
example() {
	awk '/^```/ { if (on && text ~ /int main/) { printf "%s", text; exit } on = !on; text = ""; next }
		on { text = text $0 "\n" }' "$1"
}

# builds NAME LANGUAGE COMPILER FLAGS...
builds() {
	name=$1
	source=$2
	shift 2
	[ -n "$lacking" ] || "$@" -o "$work/program" "$source" $flags >"$work/build.log" 2>&1 && : >"$work/build.log"
	[ -x "$work/program" ] || echo "no program" >>"$work/build.log"
	verdict "$name builds" "$work/build.log"
}

# runs NAME - on two ranks, of which each prints a line.
runs() {
	: >"$work/run.problem"
	# Only the loader needs to be told, of a place that the library is not installed for.
	[ -n "$lacking" ] || LD_LIBRARY_PATH=$libdir timeout 60 "$bindir/ferrule" run -n 2 "$work/program" \
		>"$work/run.log" 2>&1 || echo "status $?" >"$work/run.problem"
	[ -n "$lacking" ] || [ "$(grep -c '^rank [01]' "$work/run.log")" -eq 2 ] || cat "$work/run.log" >>"$work/run.problem"
	verdict "$1 runs on two ranks" "$work/run.problem"
	rm -f "$work/program"
}

shared=$(find "$stage" -name 'libferrule.so')
# An instrumented library needs the compiler's flag for it; the variants build no shared one.
[ -n "$shared" ] || lacking="this build has no shared library"
flags=$(pkg-config --cflags --libs ferrule)
example "$root/docs/man/ferrule.3.scd" >"$work/manual.c"
builds "the example of ferrule(3)" "$work/manual.c" ${CC:-cc} -std=c11 -Wall -Wextra -Werror
runs "the example of ferrule(3)"
example "$root/README.md" >"$work/readme.c"
builds "the example of README.md" "$work/readme.c" ${CC:-cc} -std=c11 -Wall -Wextra -Werror
runs "the example of README.md"

unset PKG_CONFIG_SYSROOT_DIR
flags="-I$stage$(pkg-config --variable=includedir ferrule) $libdir/libferrule.a
	$(pkg-config --static --libs ferrule | sed 's/-lferrule//')"
builds "the example of ferrule(3), linked statically," "$work/manual.c" ${CC:-cc} -std=c11
runs "the example of ferrule(3), linked statically,"

soname=$(readelf -d "$shared" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
: >"$work/soname"
[ "$soname" = libferrule.so.0 ] || echo "$soname instead of libferrule.so.0" >"$work/soname"
verdict "the library's name is libferrule.so.0" "$work/soname"
lacking=

# Public headers and nothing but them.
find "$stage" -name '*.h' | sed 's|.*/||' | sort >"$work/installed"
ls "$root/include/ferrule" | grep '\.h$' | sort >"$work/public"
diff "$work/public" "$work/installed" >"$work/headers"
verdict "all public headers are installed" "$work/headers"

[ -n "$(find "$stage" -name ferrule.1)" ] || lacking="scdoc is not installed"
: >"$work/pages"
for page in ferrule.1 ferrule.3 ferrule.7 ferrule-settings.7 ferrule_allreduce.3 ferrule_comm_split.3; do
	[ -s "$(find "$stage" -name "$page")" ] || echo "$page is missing or empty" >>"$work/pages"
done
verdict "the manual is installed, a page for each function" "$work/pages"
lacking=

make -s uninstall DESTDIR="$stage" >"$work/uninstall.log" 2>&1
find "$stage" ! -type d >"$work/left"
verdict "make uninstall leaves nothing" "$work/left"

finish

#!/bin/sh
# Every header compiles alone, public ones as C++ too.
# usage: check-headers.sh [ROOT]      CC, HEADER_CXX and CPPFLAGS come from `make check`
. "$(dirname "$0")/lint.sh"

cc=${CC:-cc}
build=$PWD
cd "$root" || exit 2
sources include lib kernels collectives tools tests | grep '\.h$' >"$work/headers"
[ -f "$build/config.h" ] || : >"$work/config.h"

# compile COMPILER-AND-FLAGS HEADER - twice included, as a guard must allow.
compile() {
	printf '#include "%s"\n#include "%s"\n' "$2" "$2" >"$work/one.$suffix"
	# The flags are words on purpose.
	# shellcheck disable=SC2086
	$1 $CPPFLAGS -Wall -Wextra -Werror -I"$build" -I"$work" -I. -Iinclude -fsyntax-only \
		"$work/one.$suffix" >"$work/log" 2>&1 || { echo "$2 does not compile alone:"; cat "$work/log"; }
}

suffix=c
while read -r header; do
	compile "$cc -std=c11" "$header"
done <"$work/headers" >"$work/alone"
verdict "headers compile alone" "$work/alone"

if [ -n "$HEADER_CXX" ]; then
	suffix=cc
	grep '^include/' "$work/headers" | sed 's|^include/||' | while read -r header; do
		compile "$HEADER_CXX -std=c++11 -pedantic" "$header"
	done >"$work/cxx"
	verdict "public headers are C++11 too" "$work/cxx"
else
	skip "public headers are C++11 too" "no C++ compiler was found"
fi

grep '^include/' "$work/headers" | xargs grep -nE '^[[:space:]]*#[[:space:]]*include' /dev/null |
	grep -vE '<(ferrule/[a-z_]+|[a-z]+)\.h>' >"$work/public"
verdict "public headers include only public and system headers" "$work/public"

finish

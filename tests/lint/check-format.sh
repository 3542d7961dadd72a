#!/bin/sh
# Sources are as clang-format 14 would write them; other versions differ in small things.
# usage: check-format.sh [ROOT]
. "$(dirname "$0")/lint.sh"

case=$(printf 'sources are formatted as .clang-format says')
version=$(clang-format --version 2>/dev/null | sed 's/.*version \([0-9]*\).*/\1/')
if [ "$version" != 14 ]; then
	skip "$case" "clang-format 14 is not installed"
	finish
fi
cd "$root" || exit 2
sources include lib kernels collectives tools bench tests | grep '\.[ch]$' |
	xargs clang-format --dry-run 2>&1 | grep 'warning: ' | cut -d: -f1 | sort | uniq -c |
	awk '{ print $2 ": " $1 " places; run clang-format -i on it" }' >"$work/format"
verdict "$case" "$work/format"
finish

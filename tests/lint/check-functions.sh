#!/bin/sh
# Functions stay short: at most 60 lines and 8 parameters (aim at 40 and 6).  A line
# "/* long: <why> */" directly above a function lets it through; the public interface may
# have as many parameters as its operations have.
# usage: check-functions.sh [ROOT]
. "$(dirname "$0")/lint.sh"

limit=60
parameters=8
if ! ctags --version 2>/dev/null | grep -q 'Universal Ctags'; then
	skip "functions are short" "universal-ctags is not installed"
	finish
fi
sources include lib kernels collectives tools bench tests >"$work/files"
cd "$root" || exit 2
# path|first line|last line|name|signature
ctags -x --languages=C --langmap=C:+.inc.h --kinds-C=f --fields=+neS \
	--_xformat='%F|%n|%{end}|%N|%{signature}' -L "$work/files" >"$work/functions"
if [ ! -s "$work/functions" ]; then
	echo "ctags found no function under $root" >"$work/functions.none"
	verdict "functions were found" "$work/functions.none"
	finish
fi

awk -F'|' -v limit="$limit" '
$3 - $2 + 1 > limit {
	cmd = "sed -n \"" ($2 > 2 ? $2 - 2 : 1) "," $2 "p\" " $1; allow = 0
	while ((cmd | getline text) > 0) if (text ~ /\/\* long: /) allow = 1
	close(cmd)
	if (!allow) printf "%s:%d: %s is %d lines, at most %d\n", $1, $2, $4, $3 - $2 + 1, limit
}' "$work/functions" >"$work/long"
verdict "functions have at most $limit lines" "$work/long"

# Commas inside the parentheses of a function pointer do not separate parameters.
awk -F'|' -v limit="$parameters" '
$4 ~ /^ferrule_/ { next }
{
	text = substr($5, 2, length($5) - 2)
	while (gsub(/\([^()]*\)/, "", text)) continue
	n = gsub(/,/, "", text) + 1
	if (n > limit) printf "%s:%d: %s has %d parameters, at most %d\n", $1, $2, $4, n, limit
}' "$work/functions" >"$work/wide"
verdict "functions have at most $parameters parameters" "$work/wide"

finish

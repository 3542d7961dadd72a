#!/bin/sh
# Holds the tree to its picture: who may include whom, and where each file belongs.
# usage: check-layers.sh [ROOT]
. "$(dirname "$0")/lint.sh"

layers=$lint_dir/layers.txt
sources include lib kernels collectives tools bench tests >"$work/files"
cd "$root" || exit 2

# file:line:header of every quoted include.
xargs grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' /dev/null <"$work/files" |
	sed 's/:[[:space:]]*#[^"]*"\([^"]*\)".*/:\1/' >"$work/includes"

awk -F: -v layers="$layers" '
function room(path,   r, best) {
	best = ""
	for (r in allowed) if (index(path "/", r "/") == 1 && length(r) > length(best)) best = r
	return best
}
BEGIN {
	while ((getline line < layers) > 0) {
		if (line ~ /^[[:space:]]*(#|$)/) continue
		split(line, half, ":"); gsub(/[[:space:]]/, "", half[1])
		allowed[half[1]] = " " half[2] " "
	}
}
# bench/ is built by hand against other libraries; its own header lies beside its sources.
$1 ~ /^bench\// && $3 !~ /\// { next }
$3 == "config.h" || $3 ~ /^ferrule\// { next }
{
	from = room($1); to = room($3)
	if (from == "") print $1 ": its room is not in layers.txt"
	else if (to == "") print $1 ":" $2 ": \"" $3 "\" is in no room of layers.txt"
	else if (to != from && allowed[from] !~ / \* / && index(allowed[from], " " to " ") == 0)
		print $1 ":" $2 ": " from " may not include " to
}' "$work/includes" >"$work/layers"
verdict "rooms include only the rooms below them" "$work/layers"

# Paths are written from the top of the tree, so that a reader knows the room at a glance.
grep -v '^bench/' "$work/includes" | while IFS=: read -r file line header; do
	case $header in
	config.h) ;;
	ferrule/*) [ -f "include/$header" ] || echo "$file:$line: \"$header\" does not exist" ;;
	*) [ -f "$header" ] || echo "$file:$line: \"$header\" is not a path from the top" ;;
	esac
done >"$work/paths"
verdict "quoted includes are paths from the top" "$work/paths"

xargs grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<(lib|kernels|collectives|tools|tests)/' \
	/dev/null <"$work/files" >"$work/angles"
verdict "own headers are not included with angle brackets" "$work/angles"

# tsort names the members of each loop it meets on stderr.
awk -F: '$1 ~ /\.h$/ && $3 != "config.h" {
	to = $3 ~ /^ferrule\// ? "include/" $3 : $3
	print $1, to
}' "$work/includes" | tsort 2>"$work/cycles" >/dev/null
verdict "no header includes itself by way of others" "$work/cycles"

# A public header may have a room's header of the same name behind it.
grep -v '^include/' "$work/files" | sed 's|.*/||' | sort | uniq -d >"$work/twice"
verdict "file names are unique in the tree" "$work/twice"

# A file that no Makefile.inc names is not built, not tested or missing from a release.
find . -name Makefile.inc -o -name Makefile.am | grep -v '/build' |
	xargs cat /dev/null | tr -s ' \t\\' '\n' | sort -u >"$work/listed"
while read -r file; do
	grep -qxF "$file" "$work/listed" || echo "$file: in no Makefile.inc"
done <"$work/files" >"$work/unlisted"
verdict "every source file is listed in a Makefile.inc" "$work/unlisted"

finish

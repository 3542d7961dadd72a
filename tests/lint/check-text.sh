#!/bin/sh
# What the guide says about the text of sources, as far as a pattern can tell.
# usage: check-text.sh [ROOT]
. "$(dirname "$0")/lint.sh"

cd "$root" || exit 2
sources lib kernels collectives >"$work/library"
sources include lib kernels collectives tools bench tests >"$work/files"

# in_files LIST PATTERN - file:line:text of lines that match; a comment's own lines do not count.
in_files() {
	xargs grep -nE "$2" /dev/null <"$1" | grep -vE '^[^:]*:[0-9]+:[[:space:]]*(/?\*|//)'
}

in_files "$work/library" '(^|[^a-zA-Z0-9_>.])(exit|_exit|quick_exit|abort)[[:space:]]*\(' >"$work/exits"
verdict "the library never ends the process" "$work/exits"

in_files "$work/library" '(^|[^a-zA-Z0-9_>.])(printf|puts|putchar|perror)[[:space:]]*\(|[^a-zA-Z0-9_]stdout([^a-zA-Z0-9_]|$)' \
	>"$work/prints"
verdict "the library does not print to stdout" "$work/prints"

in_files "$work/library" '(^|[^a-zA-Z0-9_>.])(alloca|strcat|sprintf|vsprintf|gets)[[:space:]]*\(' >"$work/unbounded"
verdict "no call that cannot know the room it has" "$work/unbounded"

# A statement, from one ; { or } to the next, that formats a real number by itself.
grep -v '^lib/base/text\.[ch]$' "$work/library" | while read -r file; do
	awk -v file="$file" '
		{ statement = statement $0 }
		/[;{}]/ {
			if (statement ~ /(^|[^a-zA-Z0-9_])v?(snprintf|fprintf|dprintf|asprintf) *\(/ &&
			    statement ~ /%[-+ #0-9.*]*l?[aefgAEFG]|vsnprintf|vfprintf/)
				print file ":" NR ": a text that follows the locale; see lib/base/text.h"
			statement = ""
		}' "$file"
done >"$work/locale"
verdict "numbers in texts do not follow the program's locale" "$work/locale"

grep '\.c$' "$work/library" | while read -r file; do
	first=$(grep -m 1 -E '^[[:space:]]*#[[:space:]]*include' "$file")
	[ "$first" = '#include "config.h"' ] || echo "$file: begins with ${first:-no include}"
done >"$work/config"
verdict "every .c file of the library includes config.h first" "$work/config"

xargs grep -nE '(^|[^A-Za-z0-9_])(TODO|FIXME|XXX|HACK)([^A-Za-z0-9_]|$)' /dev/null <"$work/files" >"$work/todo"
verdict "no work is left as a note in the source" "$work/todo"

find . -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.md' -o -name '*.scd' -o -name '*.am' \
	-o -name '*.ac' -o -name '*.inc' \) ! -path './build*' ! -path './.git/*' >"$work/texts"
xargs grep -nE '(^|[^A-Za-z0-9_.])/(work|home|root)/[a-z]' /dev/null <"$work/texts" |
	grep -v '^./tests/lint/' >"$work/paths"
verdict "no path of one machine" "$work/paths"

xargs grep -nE '[[:space:]]+$' /dev/null <"$work/files" >"$work/blank"
verdict "no line ends in blanks" "$work/blank"

# A tab counts up to the next multiple of eight, a UTF-8 character counts once.
while read -r file; do
	expand -t 8 "$file" | LC_ALL=C sed 's/[\x80-\xbf]//g' |
		awk -v file="$file" 'length($0) > 100 { print file ":" NR ": " length($0) " columns, at most 100" }'
done <"$work/files" >"$work/columns"
verdict "no line is wider than 100 columns" "$work/columns"

finish

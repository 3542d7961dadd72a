#!/bin/sh
# The checks see what they are for: a small clean tree passes, and each violation planted in
# it is reported with its place.
# usage: test-lint.sh      CC and HEADER_CXX come from `make check`
. "$(dirname "$0")/lint.sh"

tree=$work/tree

# plant FILE - writes stdin to a file of the tree and lists it for the build.
plant() {
	mkdir -p "$tree/$(dirname "$1")"
	cat >"$tree/$1"
	echo "EXTRA_DIST += $1" >>"$tree/Makefile.am"
}

clean_tree() {
	rm -rf "$tree"
	mkdir "$tree"
	cp "$lint_dir/../../.clang-format" "$tree"
	plant include/ferrule/types.h <<-'END'
		#ifndef FERRULE_TYPES_H
		#define FERRULE_TYPES_H
		#include <stddef.h>
		#endif
	END
	plant lib/base/list.h <<-'END'
		#ifndef FR_LIST_H
		#define FR_LIST_H
		#include <ferrule/types.h>
		size_t fr_list_length(const void *list);
		#endif
	END
	# Not a here-document: those lose the tabs at the beginning of a line.
	printf '%s\n' '#include "config.h"' '' '#include "lib/base/list.h"' '' \
		'size_t fr_list_length(const void *list)' '{' '	return list != NULL;' '}' |
		plant lib/base/list.c
	plant lib/comm/room.c <<-'END'
		#include "config.h"

		#include "lib/base/list.h"
	END
}

# sees CHECK NAME EXPECTED - the check fails on the tree, and its report holds EXPECTED.
sees() {
	: >"$work/problem"
	if [ -n "$lacking" ]; then
		:
	elif sh "$lint_dir/$1.sh" "$tree" >"$work/report" 2>&1; then
		echo "$1 passed" >"$work/problem"
	elif ! grep -qF "$3" "$work/report"; then
		{ echo "$1 did not print \"$3\" but:"; cat "$work/report"; } >"$work/problem"
	fi
	verdict "$1 sees $2" "$work/problem"
	clean_tree
}

# passes CHECK
passes() {
	: >"$work/problem"
	sh "$lint_dir/$1.sh" "$tree" >"$work/report" 2>&1 || [ $? = 77 ] || cp "$work/report" "$work/problem"
	verdict "$1 passes a clean tree" "$work/problem"
}

# function_of NAME LINES - a function of that many lines.
function_of() {
	echo "int $1(void)"
	echo "{"
	i=3
	while [ $i -lt "$2" ]; do
		echo "	/* $i */"
		i=$((i + 1))
	done
	echo "}"
}

clean_tree
for check in check-layers check-functions check-headers check-text check-format; do
	passes "$check"
done

printf '#include "config.h"\n#include "lib/comm/room.h"\n' | plant lib/base/up.c
plant lib/comm/room.h </dev/null
sees check-layers "an include of a room above" "lib/base/up.c:2: lib/base may not include lib/comm"

plant lib/comm/room.h </dev/null
printf '#include "lib/comm/room.h"\n' | plant tools/inside.c
sees check-layers "a tool that looks inside the library" "tools/inside.c:1: tools may not include lib/comm"

printf '#include "config.h"\n#include "list.h"\n' | plant lib/base/short.c
sees check-layers "an include that is no full path" 'lib/base/short.c:2: "list.h" is not a path from the top'

printf '#include "config.h"\n#include "lib/base/gone.h"\n' | plant lib/base/gone.c
sees check-layers "an include of a file that is not there" 'lib/base/gone.c:2: "lib/base/gone.h"'

printf '#include <lib/base/list.h>\n' | plant lib/base/angle.c
sees check-layers "an own header in angle brackets" 'lib/base/angle.c:1:'

printf '#include "lib/base/two.h"\n' | plant lib/base/one.h
printf '#include "lib/base/one.h"\n' | plant lib/base/two.h
sees check-layers "headers that include each other" "lib/base/one.h"

plant lib/comm/list.c </dev/null
sees check-layers "two files of one name" "list.c"

mkdir -p "$tree/lib/attic"
: >"$tree/lib/attic/lost.c"
sees check-layers "a file in a room that nobody knows" "lib/attic/lost.c: in no Makefile.inc"

printf '#include "config.h"\n#include "lib/base/list.h"\n' | plant lib/attic/old.c
sees check-layers "a room without a line in layers.txt" "lib/attic/old.c: its room is not in layers.txt"

printf '#ifndef FR_NEEDY_H\n#define FR_NEEDY_H\nsize_t fr_needy(void);\n#endif\n' | plant lib/base/needy.h
sees check-headers "a header that needs another before it" "lib/base/needy.h does not compile alone"

printf 'struct fr_open {\n\tint member;\n};\n' | plant lib/base/open.h
sees check-headers "a header without a guard" "lib/base/open.h does not compile alone"

printf '#ifndef FERRULE_IN_H\n#define FERRULE_IN_H\n#include "lib/base/list.h"\n#endif\n' |
	plant include/ferrule/in.h
sees check-headers "a public header that includes a private one" "include/ferrule/in.h:3:"

[ -n "$HEADER_CXX" ] || lacking="no C++ compiler was found"
printf '#ifndef FERRULE_C_H\n#define FERRULE_C_H\nint ferrule_new(int class);\n#endif\n' |
	plant include/ferrule/c.h
sees check-headers "a public header that is no C++" "ferrule/c.h does not compile alone"
lacking=

ctags --version 2>/dev/null | grep -q 'Universal Ctags' || lacking="universal-ctags is not installed"
function_of fr_long 61 | plant lib/base/long.c
sees check-functions "a function of 61 lines" "lib/base/long.c:1: fr_long is 61 lines"

function_of fr_fits 60 | plant lib/base/fits.c
{ echo "/* long: a table. */"; function_of fr_table 90; } | plant lib/base/table.c
passes check-functions
clean_tree

echo "void fr_wide(int a, int b, int c, int d, int e, int f, int g, int h, int i) {}" |
	plant lib/base/wide.c
sees check-functions "a function of nine parameters" "fr_wide has 9 parameters"

echo "void fr_call(void (*f)(int, int, int), int b, int c, int d, int e, int f2, int g, int h) {}" |
	plant lib/base/pointer.c
passes check-functions
clean_tree
lacking=

printf '#include "config.h"\nvoid fr_stop(void)\n{\n\texit(1);\n}\n' | plant lib/base/stop.c
sees check-text "a library that exits" "lib/base/stop.c:4:"

printf '#include "config.h"\nvoid fr_say(void)\n{\n\tprintf("x");\n}\n' | plant kernels/say.c
sees check-text "a library that prints" "kernels/say.c:4:"

printf '%s\n' '#include "config.h"' 'void fr_say(char *s, double x)' '{' '	snprintf(s, 8,' \
	'	         "%.1f", x);' '}' | plant kernels/comma.c
sees check-text "a number that follows the locale" "kernels/comma.c:5:"

printf '#include "lib/base/list.h"\n' | plant lib/base/late.c
sees check-text "a file that forgets config.h" "lib/base/late.c: begins with"

printf '/* TODO: later */\n' | plant tools/later.c
sees check-text "a note of work left" "tools/later.c:1:"

printf 'int x; \n' | plant tools/blank.c
sees check-text "blanks at the end of a line" "tools/blank.c:1:"

{ printf '\t/*'; printf '%100s' x; echo '*/'; } | plant tools/broad.c
sees check-text "a line that is too wide" "tools/broad.c:1:"

printf 'See /%s/someone/notes.\n' home | plant docs/notes.md
sees check-text "a path of one machine" "docs/notes.md:1:"

clang-format --version 2>/dev/null | grep -q 'version 14' ||
	lacking="clang-format 14 is not installed"
printf 'int  x ;\n' | plant tools/ugly.c
sees check-format "a file that was not formatted" "tools/ugly.c: "
lacking=

plant lib/base/settings.h </dev/null
echo 'Call ferrule_alreduce().' | plant docs/call.md
sees check-docs "a function that does not exist" "./docs/call.md:1: ferrule_alreduce"

plant lib/base/settings.h </dev/null
echo 'Set FERRULE_TIMEOUTS=3.' | plant docs/set.md
sees check-docs "a setting that does not exist" "./docs/set.md:1: FERRULE_TIMEOUTS"

plant lib/base/settings.h </dev/null
echo 'See [there](gone.md).' | plant docs/link.md
sees check-docs "a link that leads nowhere" "./docs/link.md:1: gone.md does not exist"

plant lib/base/settings.h </dev/null
echo 'Run `T_CASE=gone build/tests/base/test_list`.' | plant docs/case.md
printf '{"it is here", test_it},\n' | plant tests/base/test_list.c
sees check-docs "a case that does not exist" "./docs/case.md:1: tests/base/test_list has no case gone"

plant lib/base/settings.h </dev/null
echo 'See `lib/base/gone.c`.' | plant docs/file.md
sees check-docs "a file that does not exist" "./docs/file.md:1: lib/base/gone.c does not exist"

# check-symbols looks at what was built: a library of three functions and two variables.
mkdir -p "$work/build/.libs"
plant include/ferrule/lib.h <<-'END'
	int ferrule_there(void);
	int ferrule_gone(void);
END
printf '%s\n' 'int fr_state = 1; static int count;' 'int ferrule_there(void);' \
	'int ferrule_there(void) { return fr_state++ + count++; }' \
	'int fr_inside(void);' 'int fr_inside(void) { return 2; }' >"$work/lib.c"
(
	cd "$work/build" || exit
	${CC:-cc} -fPIC -c "$work/lib.c" -o lib.o && ar rc .libs/libferrule.a lib.o &&
		${CC:-cc} -shared lib.o -o .libs/libferrule.so
	sh "$lint_dir/check-symbols.sh" "$tree" >"$work/symbols" 2>&1
)
for expected in fr_inside ferrule_gone "fr_state: writable" "count: writable"; do
	: >"$work/problem"
	grep -q "^      $expected" "$work/symbols" || cp "$work/symbols" "$work/problem"
	verdict "check-symbols sees $expected" "$work/problem"
done

finish

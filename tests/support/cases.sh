#!/bin/sh
# cases.sh - prints the names of a unit test program's cases as its source has them, one a line:
# for programs that are not in this build.  tests/support/left_out.sh holds it to what those that
# are say themselves.
#
# usage: cases.sh PROGRAM...      PROGRAM as in tests/base/test_parse; $srcdir is the source's

for program in "$@"; do
	source=${srcdir:-.}/$program.c
	most=0
	if grep -q 't_conformance(' "$source"; then
		# A transport of threads stops before the cases about processes.
		! grep -q 'net_create' "$source" || most=$(sed -n 's/^#define N_COMMON //p' \
			"$(dirname "$source")/conformance.c")
		source=$(dirname "$source")/conformance.c
	fi
	awk -v most="$most" '
	/struct t_case [a-z_]+\[\] = \{/ { on = 1; next }
	/^\t?\};/ { on = 0 }
	on && match($0, /\{"([^"\\]|\\.)*"/) {
		if (most > 0 && ++n > most) exit
		print substr($0, RSTART + 2, RLENGTH - 3)
	}' "$source"
done

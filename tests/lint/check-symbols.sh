#!/bin/sh
# What leaves the library is its public interface, all of it and nothing else; what stays
# inside holds no state that two communicators would share.
# usage: check-symbols.sh [ROOT]     in the build directory
. "$(dirname "$0")/lint.sh"

shared=.libs/libferrule.so
archive=.libs/libferrule.a
[ -f "$archive" ] || archive=libferrule.a

# Declarations begin in column one or follow `*`; a function's name is followed by "(".
cat "$root"/include/ferrule/*.h | sed 's|/\*.*||' | grep -E '^[a-z].*ferrule_[a-z0-9_]+\(' |
	grep -vE '^(typedef|[[:space:]]*\*)' |
	sed 's/.*[ *]\(ferrule_[a-z0-9_]*\)(.*/\1/' | sort -u >"$work/declared"
if [ -f "$shared" ]; then
	nm -D --defined-only "$shared" | awk '{ print $3 }' | sort -u >"$work/exported"
	bytes=$(stat -Lc %s "$shared")
	strip -o "$work/stripped" "$shared" && bytes=$(stat -c %s "$work/stripped")
else
	lacking="this build has no shared library"
	: >"$work/exported"
	bytes=0
fi
comm -13 "$work/declared" "$work/exported" >"$work/extra"
verdict "libferrule.so exports only what the headers declare" "$work/extra"
comm -23 "$work/declared" "$work/exported" >"$work/missing"
verdict "libferrule.so defines all that the headers declare" "$work/missing"
: >"$work/size"
[ "$bytes" -lt 2097152 ] || echo "$bytes bytes without symbols, at most 2097152" >"$work/size"
verdict "libferrule.so is smaller than 2 MiB" "$work/size"
lacking=

# Objects in sections that stay writable; constants with addresses in them are in .data.rel.ro.
# Instrumented builds add objects of their own.
if nm "$archive" 2>/dev/null | grep -qE ' (__asan|__tsan|__ubsan|__sancov)'; then
	skip "no writable globals" "this build is instrumented"
else
	objdump -t "$archive" 2>/dev/null | awk 'NF >= 5 {
		section = $(NF - 2); name = $NF
		if (section !~ /^(\.t?data|\.t?bss|\*COM\*)/ || section ~ /^\.data\.rel\.ro/) next
		if (name ~ /^\./) next
		sub(/\.[0-9]+$/, "", name)
		print name
	}' | sort -u >"$work/writable"
	sed -n 's/^\([a-z_][a-zA-Z0-9_]*\).*/\1/p' "$lint_dir/globals.txt" | sort -u >"$work/known"
	comm -23 "$work/writable" "$work/known" | sed 's/$/: writable, and not in globals.txt/' >"$work/globals"
	verdict "no writable globals but those in globals.txt" "$work/globals"
fi

finish

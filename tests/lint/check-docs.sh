#!/bin/sh
# What the documents name exists: functions, settings, files they link to, options they show.
# usage: check-docs.sh [ROOT]     in the build directory
. "$(dirname "$0")/lint.sh"

program=$PWD/ferrule
cd "$root" || exit 2
find . \( -name '*.md' -o -name '*.scd' \) ! -path './build*' ! -path './.git/*' | sort >"$work/docs"

cat include/ferrule/*.h lib/base/settings.h >"$work/source"
grep -ohE '(ferrule_[a-z0-9_]*[a-z0-9]|FERRULE_[A-Z0-9_]*[A-Z0-9])' "$work/source" | sort -u >"$work/names"

# Manual pages of a group are called as the header is.
ls include/ferrule | sed -n 's/\.h$//p' | sed 's/^/ferrule_/' >>"$work/names"
# A backslash keeps scdoc from underlining; a name that ends in _ or * stands for many.
while read -r file; do
	tr -d '\\' <"$file" | grep -noE '(ferrule_[a-z0-9_]*|FERRULE_[A-Z0-9_]*)[A-Za-z0-9_*]*' |
		sed "s|^|$file:|"
done <"$work/docs" | grep -vE '[_*]$' | while IFS=: read -r file line name; do
	grep -qxF "$name" "$work/names" || echo "$file:$line: $name is in no public header, and no setting"
done | grep -vE 'FERRULE_(ABI|X)[^A-Z_]' >"$work/unknown"
verdict "functions and settings in documents exist" "$work/unknown"

# [text](target), but not to the web or to a place on the same page.
grep -noE '\]\([^)]*\)' $(cat "$work/docs") /dev/null | sed 's/\](\(.*\))$/\1/' |
	grep -vE ':(https?:|#)' | while IFS=: read -r file line target; do
	[ -e "$(dirname "$file")/${target%%#*}" ] || echo "$file:$line: $target does not exist"
done >"$work/links"
verdict "links in documents lead somewhere" "$work/links"

# A file called by its path in running text: `lib/exec/exec_wait.c`.
grep -noE '`(lib|collectives|kernels|tools|tests|include|docs|bench)/[A-Za-z0-9_./-]*[a-z0-9]`' \
	$(grep '\.md$' "$work/docs") /dev/null | tr -d '`' | while IFS=: read -r file line target; do
	[ -e "$target" ] || echo "$file:$line: $target does not exist"
done >"$work/paths"
verdict "files that documents name exist" "$work/paths"

# T_CASE=text build/tests/ROOM/test_NAME: a case of that file has the text in its name.
grep -noE 'T_CASE=[^ `]+ build/tests/[a-z_/]+' $(cat "$work/docs") /dev/null |
	while IFS=: read -r file line text; do
	case=${text%% *}
	case=${case#T_CASE=}
	test=${text#* build/}
	grep -qE "^[[:space:]]*\{\"[^\"]*$case" "$test.c" 2>/dev/null ||
		echo "$file:$line: $test has no case $case"
done >"$work/cases"
verdict "cases of tests in documents exist" "$work/cases"

if [ -x "$program" ]; then
	# ferrule COMMAND ... --option: as far as the line goes, without what another program gets.
	grep -noE 'ferrule (bench|bw|lat|run|info|explain|doctor|train) [^`|]*--[a-z-]+' $(cat "$work/docs") /dev/null |
		while IFS=: read -r file line text; do
		for command in bench bw lat run info explain doctor train; do
			case $text in
			*"ferrule $command "*) last=${text##*"ferrule $command "} ;;
			*) continue ;;
			esac
			case $last in *"ferrule "*) continue ;; esac
			for word in $last; do
				case $word in
				--[a-z]*) ;;
				*) continue ;;
				esac
				"$program" "$command" --help 2>&1 | grep -qE -- "$word([ =,]|\$)" ||
					echo "$file:$line: ferrule $command has no $word"
			done
		done
	done >"$work/options"
	verdict "options in documents are taken" "$work/options"
else
	skip "options in documents are taken" "the program is not built"
fi

finish

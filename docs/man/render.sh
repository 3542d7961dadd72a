#!/bin/sh
# render.sh - fills in what a manual page takes from the source, so that it cannot be untrue.
#
# usage: render.sh PAGE.scd >PAGE       in the build directory
#
# These lines of a page are replaced:
#   @OPTIONS command@   the options of `ferrule command`, from its own --help
#   @NOTES command@     what --help says below the options
#   @SETTINGS@          the table of lib/base/settings.h
#   @HEADER name.h@     every declaration of include/ferrule/name.h with its comment
# and @VERSION@ anywhere.  Environment: srcdir, CC, CPPFLAGS, FERRULE (the program; empty when
# it cannot be run here), VERSION, SCDOC.

set -e

# Text that scdoc shall take as it is.
escape='
function escape(text) {
	gsub(/[\\*_]/, "\\\\&", text)
	# What a comment has between backquotes is underlined.
	while (match(text, /`[^`]+`/))
		text = substr(text, 1, RSTART - 1) "_" substr(text, RSTART + 1, RLENGTH - 2) "_" \
			substr(text, RSTART + RLENGTH)
	# These mean something at the beginning of a line, plus signs at its end.
	if (text ~ /^[-#|\[\].\047+]/) text = "\\" text
	sub(/\+\+$/, "+\\+", text)
	return text
}
function literal(text) {
	if (text ~ /[^ \t\n]/) printf "```\n%s\n```\n\n", text
}'

# One paragraph for each option: its form in bold, below it the text, indented.
options() {
	if [ -z "$FERRULE" ]; then
		printf 'See *ferrule %s --help*.\n' "$1"
		return
	fi
	"$FERRULE" "$1" --help | awk "$escape"'
	/^Options:/ { on = 1; next }
	on && /^ *$/ { exit }
	!on { next }
	/^  (    )?-/ {
		line = $0
		sub(/^ +/, "", line)
		# Two blanks end the form; an option with a long one has its text below.
		at = match(line, /  +/)
		form = at ? substr(line, 1, at - 1) : line
		text = at ? substr(line, at + RLENGTH) : ""
		if (begun) print ""
		begun = 1
		n = split(form, words, " ")
		out = ""
		for (i = 1; i <= n; i++) {
			comma = sub(/,$/, "", words[i]) ? "," : ""
			mark = words[i] ~ /^-/ ? "*" : "_"
			word = words[i]
			gsub(/[\\*_]/, "\\\\&", word)
			out = out (i > 1 ? " " : "") mark word mark comma
		}
		print out
		if (text != "") print "\t" escape(text)
		next
	}
	{ sub(/^ +/, ""); print "\t" escape($0) }
	END { if (!begun) exit 1 }'
}

notes() {
	if [ -z "$FERRULE" ]; then
		return
	fi
	"$FERRULE" "$1" --help | awk "$escape"'
	/^Options:/ { on = 1; next }
	on == 1 && /^ *$/ { on = 2; next }
	on < 2 { next }
	/^  / { code = code (code == "" ? "" : "\n") substr($0, 3); next }
	{
		if (code != "") { literal(code); code = "" }
		print escape($0)
	}
	END { literal(code) }'
}

# The preprocessor lists the table, so that what is compiled is what is printed.
settings() {
	# shellcheck disable=SC2086
	printf '%s\n' '#include "lib/base/settings.h"' \
		'#define ROW(m, name, kind, def, low, high, allowed, meaning) @ROW name @ def @ allowed @ meaning @' \
		'FR_SETTING_MAP(ROW)' |
		$CC -E -P -x c $CPPFLAGS -I. -I"$srcdir" -I"$srcdir/include" - | tr -d '\n' |
		sed 's/@ROW/\n@ROW/g' | awk "$escape"'
	# Joins adjacent string literals and takes their quotes away.
	function text(literals) {
		gsub(/"[ \t]*"/, "", literals)
		gsub(/^[ \t]*"?|"?[ \t]*$/, "", literals)
		return literals
	}
	/^@ROW/ {
		split(substr($0, 5), field, "@")
		if (n++) print ""
		printf "*%s*\n", escape(text(field[1]))
		printf "\t%s.\n\n", escape(text(field[4]))
		value = text(field[2])
		if (value == "") value = "empty"
		printf "\tAllowed: %s.  Default: %s.\n", escape(text(field[3])), escape(value)
	}
	END { if (!n) exit 1 }'
}

header() {
	awk "$escape"'
	function flush_code() {
		sub(/\n+$/, "", code)
		literal(code)
		code = ""
	}
	# Paragraphs of a comment; lines that are indented are code.
	function show(text,   lines, n, i, block) {
		n = split(text, lines, "\n")
		block = ""
		for (i = 1; i <= n; i++) {
			if (lines[i] ~ /^(  |\t)/) {
				block = block (block == "" ? "" : "\n") lines[i]
				continue
			}
			if (block != "") { print ""; literal(block); block = "" }
			print escape(lines[i])
		}
		if (block != "") { print ""; literal(block) }
		print ""
	}
	# A comment that begins with "name - " or "name, name - " opens a subsection.
	function item(   at, title) {
		if (comment == "" && code == "") return
		if (match(comment, /^ferrule_[a-z0-9_, ]+ +- /)) {
			title = substr(comment, 1, RLENGTH)
			sub(/ +- $/, "", title)
			comment = substr(comment, RLENGTH + 1)
			printf "## %s\n\n", title
		}
		flush_code()
		if (comment != "") show(comment)
		comment = ""
	}
	/^#(ifndef FERRULE_|define FERRULE_[A-Z]+_H$|include|pragma|ifdef __cplusplus|endif)/ { next }
	/^extern "C"|^}$/ { next }
	!in_code && /^\/\*/ {
		item()
		in_comment = 1
		sub(/^\/\*[ ]?/, "")
	}
	in_comment {
		ends = sub(/[ ]*\*\/$/, "")
		sub(/^ \*[ ]?/, "")
		if ($0 != "" || comment != "") comment = comment (comment == "" ? "" : "\n") $0
		if (ends) in_comment = 0
		next
	}
	/^[ \t]*$/ && !in_code { item(); next }
	{
		# The macro and struct bodies end where braces do, or where no line is continued.
		code = code (code == "" ? "" : "\n") $0
		depth += gsub(/\{/, "{") - gsub(/\}/, "}")
		in_code = depth > 0 || /\\$/
	}
	END { item() }' "$srcdir/include/ferrule/$1"
}

# A pipe would hide the failure of all but its last command.
page=$(mktemp)
trap 'rm -f "$page"' EXIT
sed "s/@VERSION@/$VERSION/g" "$1" | while IFS= read -r line; do
	case $line in
	'@OPTIONS '*@) options "$(echo "$line" | sed 's/@OPTIONS \(.*\)@/\1/')" ;;
	'@NOTES '*@) notes "$(echo "$line" | sed 's/@NOTES \(.*\)@/\1/')" ;;
	'@HEADER '*@) header "$(echo "$line" | sed 's/@HEADER \(.*\)@/\1/')" ;;
	@SETTINGS@) settings ;;
	*) printf '%s\n' "$line" ;;
	esac
done >"$page"
${SCDOC:-scdoc} <"$page"

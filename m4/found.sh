#!/bin/sh
# found.sh - looks again for what configure looked for, and prints what is not as it was then.
#
# usage: found.sh CONFIG.FOUND
#
# CONFIG.FOUND is what configure left in its build directory.  Prints a line for each difference;
# the exit status is 1 when there are any, or when there is no such file.

if [ ! -f "$1" ]; then
	echo "configure left no $1"
	exit 1
fi

# where NAME,... - the first of these programs that is in PATH, or "none".
where() {
	for name in $(echo "$1" | tr ',' ' '); do
		command -v "$name" && return
	done
	echo none
}

differences=$(while read -r kind name was; do
	case $kind in
	pkg-config) pkg_config="$name${was:+ $was}" ;;
	PKG_CONFIG_PATH | PKG_CONFIG_LIBDIR)
		[ -z "$name" ] || export "$kind=$name${was:+ $was}"
		;;
	module)
		now=$($pkg_config --modversion "$name" 2>/dev/null) || now=none
		[ "$now" = "$was" ] || echo "$name: $was before, $now now"
		;;
	program)
		# Where it is does not matter, as long as it is there.
		if [ "$was" = none ] || ! command -v "$was" >/dev/null; then
			now=$(where "$name")
			[ "$now" = "$was" ] || echo "$name: $was before, $now now"
		fi
		;;
	esac
done <"$1")
[ -z "$differences" ] && exit 0
echo "$differences"
exit 1

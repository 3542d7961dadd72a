#!/bin/sh
# Runs a command on the stand-in device, in a namespace of its own unless one is set.
# usage: run-on-standin.sh COMMAND [ARGUMENT ...]
#
# A program that is linked with libibverbs gets the device in its place: by LD_PRELOAD, which takes
# a blank for the end of a path, so that it names the library and LD_LIBRARY_PATH its folder.  Ferrule
# opens it by FERRULE_VERBS_LIBRARY.  STANDIN_LIBRARY names the library; otherwise it is looked
# for in the build directory that is the current one, and beside this script.  Two sides of a
# test need the same STANDIN_NAMESPACE; other settings are in standin.h.

if [ $# -eq 0 ]; then
	sed -n '2,9s/^# \{0,1\}//p' "$0"
	exit 1
fi
for library in "$STANDIN_LIBRARY" tests/support/standin/libstandin.so \
	"$(dirname "$0")/libstandin.so"; do
	[ -f "$library" ] && break
done
if [ ! -f "$library" ]; then
	echo "run-on-standin.sh: libstandin.so is not built; 'make standin' in the build directory," \
		"or say where it is with STANDIN_LIBRARY" >&2
	exit 1
fi
folder=$(cd "$(dirname "$library")" && pwd)
: "${STANDIN_NAMESPACE:=run-$$}"
FERRULE_VERBS_LIBRARY=$folder/libstandin.so
LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export STANDIN_NAMESPACE FERRULE_VERBS_LIBRARY LD_LIBRARY_PATH
LD_PRELOAD=libstandin.so${LD_PRELOAD:+:$LD_PRELOAD} exec "$@"

# fr_flags.m4 - compiler flags that are asked for before they are used.

# FR_TRY_CFLAGS(VARIABLE, FLAGS)
# Appends each of FLAGS that the C compiler takes to VARIABLE.
AC_DEFUN([FR_TRY_CFLAGS], [
for fr_flag in $2; do
	AC_MSG_CHECKING([whether $CC takes $fr_flag])
	fr_saved_cflags="$CFLAGS"
	CFLAGS="$CFLAGS -Werror $fr_flag"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
		[AC_MSG_RESULT([yes])
		 AS_VAR_APPEND([$1], [" $fr_flag"])],
		[AC_MSG_RESULT([no])])
	CFLAGS="$fr_saved_cflags"
done
])

# FR_CHECK_SANITIZER(LIST)
# Sets SANITIZER_FLAGS for a comma-separated list of address, undefined and thread, or stops.
AC_DEFUN([FR_CHECK_SANITIZER], [
for fr_word in `echo "$1" | tr ',' ' '`; do
	AS_CASE([$fr_word], [address|undefined|thread], [],
		[AC_MSG_ERROR([--enable-sanitizer=$1: '$fr_word' is not address, undefined or thread])])
done
SANITIZER_FLAGS="-fsanitize=$1 -fno-omit-frame-pointer -fno-sanitize-recover=all"
fr_saved_cflags="$CFLAGS"
CFLAGS="$CFLAGS $SANITIZER_FLAGS"
AC_MSG_CHECKING([whether $CC links with $SANITIZER_FLAGS])
AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AC_MSG_RESULT([yes])],
	[AC_MSG_RESULT([no])
	 AC_MSG_ERROR([the compiler cannot build with --enable-sanitizer=$1])])
CFLAGS="$fr_saved_cflags"
])

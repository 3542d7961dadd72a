# fr_feature.m4 - what configure looks for, and the table it ends with.
#
# Every feature ends up in three places: the table printed last, a HAVE_* in config.h when it
# was found, and one row X(name, present, detail) of FR_FEATURE_MAP in config.h, from which
# `ferrule info` tells the same.

# FR_FEATURE_ROW(NAME, PRESENT, DETAIL)
# PRESENT is a shell word "yes" or "no"; DETAIL is shell text without double quotes.
AC_DEFUN([FR_FEATURE_ROW], [
AS_IF([test "x$2" = xyes],
	[fr_feature_map="$fr_feature_map X(\"$1\", 1, \"$3\")"
	 fr_row=`printf '  %-10s %-4s %s' "$1" yes "$3"`],
	[fr_feature_map="$fr_feature_map X(\"$1\", 0, \"$3\")"
	 fr_row=`printf '  %-10s %-4s %s' "$1" no "$3"`])
fr_feature_table="$fr_feature_table
$fr_row"
])

# FR_FEATURE_PKG(NAME, PREFIX, MODULE, NEED, DEBIAN-PACKAGE, COST, [NOTE-WHEN-FOUND])
# Looks for the pkg-config MODULE.  Sets PREFIX_CFLAGS, PREFIX_LIBS, the automake conditional
# HAVE_PREFIX and the macro HAVE_PREFIX.  NEED is "required" (its absence is an error that says
# what to install; there is no switch) or "optional" (--with-NAME, --without-NAME; asked for by
# name and missing is an error).
AC_DEFUN([FR_FEATURE_PKG], [
m4_if([$4], [required], [with_$1=required],
	[AC_ARG_WITH([$1],
		[AS_HELP_STRING([--with-$1], [$6 without it; default: when found])],
		[], [with_$1=auto])])
fr_found=no
fr_detail="$6"
AS_IF([test "x$with_$1" = xno],
	[fr_detail="left out by --without-$1; $6"],
	[PKG_CHECK_MODULES([$2], [$3],
		[fr_found=yes
		 fr_detail=`$PKG_CONFIG --modversion "$3"`m4_ifval([$7], ["; $7"])],
		[AS_CASE(["x$with_$1"],
			[xrequired|xyes],
			[AC_MSG_ERROR([$1 was not found; on Debian: apt install $5])])])])
AS_IF([test "x$fr_found" = xyes], [AC_DEFINE([HAVE_$2], [1], [Define to 1 if $1 was found.])])
AM_CONDITIONAL([HAVE_$2], [test "x$fr_found" = xyes])
FR_FEATURE_ROW([$1], [$fr_found], [$fr_detail])
])

# FR_FEATURE_PROGRAM(NAME, VARIABLE, PROGRAM, DEBIAN-PACKAGE, COST)
# Looks for a program that the build or the tests can do without.
AC_DEFUN([FR_FEATURE_PROGRAM], [
AC_PATH_PROG([$2], [$3], [])
AS_IF([test -n "$$2"],
	[FR_FEATURE_ROW([$1], [yes], [$$2])],
	[FR_FEATURE_ROW([$1], [no], [$5 (Debian: $4)])])
])

# FR_FEATURES_DONE
# Defines FR_FEATURE_MAP.  The table itself is printed by configure's last lines.
AC_DEFUN([FR_FEATURES_DONE], [
AC_DEFINE_UNQUOTED([FR_FEATURE_MAP(X)], [$fr_feature_map],
	[What configure looked for: name, found (1 or 0), version or what its absence costs.])
])

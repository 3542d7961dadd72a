# fr_feature.m4 - what configure looks for, and the table it ends with.
#
# Every feature ends up in three places: the table printed last, a HAVE_* in config.h when it
# was found, and one row X(name, present, detail) of FR_FEATURE_MAP in config.h, from which
# `ferrule info` tells the same.  What was looked for, and what was there, is also left in
# config.found, so that m4/found.sh can tell when that is no longer so.

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

# FR_FOUND(KIND, NAMES, WHAT)
# A line of config.found: KIND is module (of pkg-config) or program, NAMES the words to look for,
# separated by commas, any of which would do, and WHAT the version or path, or "none".
AC_DEFUN([FR_FOUND], [
fr_found_list="$fr_found_list
$1 $2 $3"
])

# FR_FEATURE_PKG(NAME, PREFIX, MODULE, NEED, DEBIAN-PACKAGE, COST, [NOTE-WHEN-FOUND],
#                [NEEDED-FEATURE])
# Looks for the pkg-config MODULE.  Sets PREFIX_CFLAGS, PREFIX_LIBS, the automake conditional
# HAVE_PREFIX and the macro HAVE_PREFIX.  NEED is "required" (its absence is an error that says
# what to install, and so is --without-NAME) or "optional" (--with-NAME, --without-NAME; asked for
# by name and missing is an error).  Without the NEEDED-FEATURE it is left out.
AC_DEFUN([FR_FEATURE_PKG], [
AC_ARG_WITH([$1],
	m4_if([$4], [required], [],
		[AS_HELP_STRING([--with-$1], [$6 without it; default: when found])]),
	[], [with_$1=m4_if([$4], [required], [yes], [auto])])
AS_CASE([$with_$1],
	m4_if([$4], [required],
		[[no], [AC_MSG_ERROR([--without-$1: $6 without it; it cannot be left out])],])
	[yes|no|auto], [],
	[AC_MSG_ERROR([--with-$1=$with_$1: pkg-config says where it is; set PKG_CONFIG_PATH])])
fr_found=no
fr_detail="$6"
AS_IF([test "x$with_$1" = xno], [fr_detail="left out by --without-$1; $6"])
m4_ifval([$8], [AS_CASE([$with_$1$fr_have_$8],
	[yesno], [AC_MSG_ERROR([--with-$1: it goes with $8, which is not there])],
	[autono], [with_$1=no
		fr_detail="goes with $8, which is not there; $6"])])
AS_IF([test "x$with_$1" != xno],
	[PKG_CHECK_MODULES([$2], [$3],
		[fr_found=yes
		 fr_version=`$PKG_CONFIG --modversion "$3"`
		 fr_detail="$fr_version[]m4_ifval([$7], [; $7])"],
		[fr_version=none
		 AS_IF([test "x$with_$1" = xyes],
			[AC_MSG_ERROR([$1 was not found; on Debian: apt install $5])])])
	 FR_FOUND([module], [$3], [$fr_version])])
AS_IF([test "x$fr_found" = xyes], [AC_DEFINE([HAVE_$2], [1], [Define to 1 if $1 was found.])])
AM_CONDITIONAL([HAVE_$2], [test "x$fr_found" = xyes])
fr_have_$1=$fr_found
FR_FEATURE_ROW([$1], [$fr_found], [$fr_detail])
])

# FR_FEATURE_PROGRAM(NAME, VARIABLE, PROGRAM, DEBIAN-PACKAGE, COST)
# Looks for a program that can be done without.  Who uses it looks in PATH at run time; nothing
# that is built depends on it, so there is no switch.
AC_DEFUN([FR_FEATURE_PROGRAM], [
AC_PATH_PROG([$2], [$3], [])
FR_FOUND([program], [$3], [${$2:-none}])
AS_IF([test -n "$$2"],
	[FR_FEATURE_ROW([$1], [yes], [$$2])],
	[FR_FEATURE_ROW([$1], [no], [$5 (Debian: $4)])])
])

# FR_BUILD_PROGRAM(NAME, VARIABLE, PROGRAM, DEBIAN-PACKAGE, COST)
# The same for one that makes a part of what is installed: --with-NAME, --without-NAME.
AC_DEFUN([FR_BUILD_PROGRAM], [
AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1], [$5 without it; default: when found])],
	[], [with_$1=auto])
AS_CASE([$with_$1], [yes|no|auto], [],
	[AC_MSG_ERROR([--with-$1=$with_$1: it is looked for in PATH; set $2 to name another])])
AS_IF([test "x$with_$1" = xno],
	[$2=
	 AC_SUBST([$2])
	 FR_FEATURE_ROW([$1], [no], [left out by --without-$1; $5])],
	[FR_FEATURE_PROGRAM($@)
	 AS_IF([test "x$with_$1$$2" = xyes],
		[AC_MSG_ERROR([$3 was not found; on Debian: apt install $4])])])
])

# FR_FEATURES_DONE
# Defines FR_FEATURE_MAP.  The table itself is printed by configure's last lines.
AC_DEFUN([FR_FEATURES_DONE], [
AC_DEFINE_UNQUOTED([FR_FEATURE_MAP(X)], [$fr_feature_map],
	[What configure looked for: name, found (1 or 0), version or what its absence costs.])
])

# FR_FOUND_WRITE
# Writes config.found; --recheck does that too, unlike what config.status makes.
AC_DEFUN([FR_FOUND_WRITE], [
AS_ECHO(["pkg-config $PKG_CONFIG
PKG_CONFIG_PATH $PKG_CONFIG_PATH
PKG_CONFIG_LIBDIR $PKG_CONFIG_LIBDIR$fr_found_list"]) | grep . >config.found
])

# FR_YES_OR_NO(NAME, [ALSO])
# --enable-NAME takes yes, no, or ALSO, and nothing else.
AC_DEFUN([FR_YES_OR_NO], [
AS_CASE([$enable_$1], [yes|no[]m4_ifval([$2], [|$2])], [],
	[AC_MSG_ERROR([--enable-$1=$enable_$1: allowed: yes or no])])
])

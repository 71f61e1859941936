# The tests of preforkd's configure.ac, one macro each, in the order they are called.

# PREFORKD_C17: the language is C17 with GNU extensions, of the compiler and of the C library. It goes into CC, where
# AC_PROG_CC puts the standard too, so that every compile gets it (config.h is not the first thing the sources include).
AC_DEFUN([PREFORKD_C17], [
AC_MSG_CHECKING([whether $CC takes -std=gnu17])
preforkd_save_CC=$CC
CC="$CC -std=gnu17 -D_GNU_SOURCE"
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[_Static_assert(__STDC_VERSION__ >= 201710L, "C17"); int main(void) { return 0; }]])],
	[AC_MSG_RESULT([yes])],
	[AC_MSG_RESULT([no])
	CC=$preforkd_save_CC
	AC_MSG_ERROR([a C17 compiler is needed (gcc 8 or clang 6, or later)])])
])

# PREFORKD_TRY_CFLAG(VARIABLE, FLAG): append FLAG to VARIABLE when the compiler takes it without a word.
AC_DEFUN([PREFORKD_TRY_CFLAG], [
AS_VAR_PUSHDEF([cache], [preforkd_cv_cflag_$2])
AC_CACHE_CHECK([whether $CC takes $2], [cache], [
	preforkd_save_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS -Werror $2"
	AC_COMPILE_IFELSE([AC_LANG_SOURCE([[int main(void) { return 0; }]])],
		[AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
	CFLAGS=$preforkd_save_CFLAGS])
AS_VAR_IF([cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([cache])
])

# PREFORKD_TRY_LDFLAG(VARIABLE, FLAG): append FLAG to VARIABLE when a program links with it without a word.
AC_DEFUN([PREFORKD_TRY_LDFLAG], [
AS_VAR_PUSHDEF([cache], [preforkd_cv_ldflag_$2])
AC_CACHE_CHECK([whether $CC links with $2], [cache], [
	preforkd_save_CFLAGS=$CFLAGS
	preforkd_save_LDFLAGS=$LDFLAGS
	CFLAGS="$CFLAGS -Werror -fPIE"
	LDFLAGS="$LDFLAGS $2"
	AC_LINK_IFELSE([AC_LANG_SOURCE([[int main(void) { return 0; }]])],
		[AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
	CFLAGS=$preforkd_save_CFLAGS
	LDFLAGS=$preforkd_save_LDFLAGS])
AS_VAR_IF([cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([cache])
])

# PREFORKD_WARNINGS: WARN_CFLAGS, and --enable-werror.
AC_DEFUN([PREFORKD_WARNINGS], [
AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [a warning of the compiler ends the build])],
	[], [enable_werror=no])
WARN_CFLAGS=
m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Wundef
		-Wconversion -Wno-sign-conversion], [PREFORKD_TRY_CFLAG([WARN_CFLAGS], flag)])
AS_IF([test "$enable_werror" = yes], [AS_VAR_APPEND([WARN_CFLAGS], [" -Werror"])])
AC_SUBST([WARN_CFLAGS])
])

# PREFORKD_ENABLE_SANITIZERS: SAN_CFLAGS, SAN_LDFLAGS, and PREFORKD_SANITIZERS 1 or 0 in config.h.
AC_DEFUN([PREFORKD_ENABLE_SANITIZERS], [
AC_ARG_ENABLE([sanitizers],
	[AS_HELP_STRING([--enable-sanitizers], [build with the address and undefined behaviour sanitizers, for tests])],
	[], [enable_sanitizers=no])
SAN_CFLAGS=
SAN_LDFLAGS=
preforkd_sanitizers=0
AS_IF([test "$enable_sanitizers" = yes], [
	preforkd_sanitizers=1
	SAN_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
	PREFORKD_TRY_LDFLAG([SAN_LDFLAGS], [-fsanitize=address,undefined])
	AS_IF([test -z "$SAN_LDFLAGS"],
		[AC_MSG_ERROR([--enable-sanitizers: $CC cannot link them (Debian: gcc, or libclang-rt-14-dev for clang)])])])
AC_DEFINE_UNQUOTED([PREFORKD_SANITIZERS], [$preforkd_sanitizers], [1 when built with --enable-sanitizers, else 0])
AC_SUBST([SAN_CFLAGS])
AC_SUBST([SAN_LDFLAGS])
])

# PREFORKD_HARDENING: HARDEN_CFLAGS, HARDEN_LDFLAGS; STATIC_LDFLAGS for a program without shared libraries; MODULE_LDFLAGS
# are those that a shared object takes.
# With sanitizers neither _FORTIFY_SOURCE (its __*_chk functions go past the sanitizer's own checks) nor the zeroing of
# variables (it hides those that were never set). _FORTIFY_SOURCE does nothing but warn without optimisation.
AC_DEFUN([PREFORKD_HARDENING], [
HARDEN_CFLAGS=
HARDEN_LDFLAGS=
MODULE_LDFLAGS=
m4_foreach_w([flag], [-fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection],
	[PREFORKD_TRY_CFLAG([HARDEN_CFLAGS], flag)])
AS_IF([test "$enable_sanitizers" != yes], [
	PREFORKD_TRY_CFLAG([HARDEN_CFLAGS], [-ftrivial-auto-var-init=zero])
	AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#ifndef __OPTIMIZE__
#error "no optimisation"
#endif
int main(void) { return 0; }]])], [AS_VAR_APPEND([HARDEN_CFLAGS], [" -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"])])])
PREFORKD_TRY_LDFLAG([HARDEN_LDFLAGS], [-pie])
PREFORKD_TRY_LDFLAG([HARDEN_LDFLAGS], [-Wl,-z,relro,-z,now])
PREFORKD_TRY_LDFLAG([MODULE_LDFLAGS], [-Wl,-z,relro,-z,now])
dnl Of the program of workers: without a linker at run time it starts in half of the time.
STATIC_LDFLAGS=
AS_IF([test "$enable_sanitizers" != yes], [PREFORKD_TRY_LDFLAG([STATIC_LDFLAGS], [-static-pie])])
AS_IF([test -n "$STATIC_LDFLAGS"], [PREFORKD_TRY_LDFLAG([STATIC_LDFLAGS], [-Wl,-z,relro,-z,now])],
	[STATIC_LDFLAGS=$HARDEN_LDFLAGS])
AC_SUBST([STATIC_LDFLAGS])
AC_SUBST([HARDEN_CFLAGS])
AC_SUBST([HARDEN_LDFLAGS])
AC_SUBST([MODULE_LDFLAGS])
])

# PREFORKD_PHP: --with-php[=PHP-CONFIG], for the module php: PHP_CFLAGS, PHP_LIBS, and the conditional WITH_PHP. The
# embed library has no one name; Debian calls it libphp8.2. Its headers do not stand our warnings: they are the system's.
AC_DEFUN([PREFORKD_PHP], [
AC_ARG_WITH([php], [AS_HELP_STRING([--with-php@<:@=PHP-CONFIG@:>@],
	[build the handler php, with this php-config (when it and the embed library are there)])], [], [with_php=auto])
PHP_CFLAGS=
PHP_LIBS=
preforkd_php=no
AS_CASE([$with_php], [yes|auto], [preforkd_php_config=php-config], [preforkd_php_config=$with_php])
AS_IF([test "$with_php" = no], [preforkd_php_missing="--without-php"],
	[test "$enable_sanitizers" = yes], [preforkd_php_missing="the interpreter does not go with --enable-sanitizers"],
	[preforkd_php_version=`"$preforkd_php_config" --version 2>/dev/null`], [PREFORKD_PHP_EMBED],
	[preforkd_php_missing="there is no $preforkd_php_config (Debian: php-dev)"])
AS_IF([test "$preforkd_php" != no], [],
	[test "$with_php" != no && test "$with_php" != auto], [AC_MSG_ERROR([--with-php: $preforkd_php_missing])],
	[preforkd_php="no ($preforkd_php_missing)"])
AM_CONDITIONAL([WITH_PHP], [test -n "$PHP_LIBS"])
AC_SUBST([PHP_CFLAGS])
AC_SUBST([PHP_LIBS])
])

# PREFORKD_PHP_EMBED: the compiler's flags of this php-config, and the first library that a program links with.
AC_DEFUN([PREFORKD_PHP_EMBED], [
PHP_CFLAGS=`"$preforkd_php_config" --includes | $SED 's/-I */-isystem /g'`
preforkd_php_prefix=`"$preforkd_php_config" --prefix`
AC_MSG_CHECKING([for the embed library of PHP $preforkd_php_version])
preforkd_save_CFLAGS=$CFLAGS
preforkd_save_LIBS=$LIBS
CFLAGS="$CFLAGS $PHP_CFLAGS"
for preforkd_lib in "php${preforkd_php_version%.*}" "php${preforkd_php_version%%.*}" php; do
	for preforkd_dir in '' "-L$preforkd_php_prefix/lib -Wl,-rpath,$preforkd_php_prefix/lib "; do
		LIBS="$preforkd_dir-l$preforkd_lib"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <sapi/embed/php_embed.h>]], [[return php_embed_init(0, NULL);]])],
			[PHP_LIBS=$LIBS
			break 2])
	done
done
CFLAGS=$preforkd_save_CFLAGS
LIBS=$preforkd_save_LIBS
AC_MSG_RESULT([${PHP_LIBS:-no}])
AS_IF([test -n "$PHP_LIBS"], [preforkd_php=$preforkd_php_version],
	[preforkd_php_missing="PHP $preforkd_php_version has no embed library (Debian: libphp-embed)"])
])

# PREFORKD_RUNSTATEDIR: the runtime directory of a daemon is /run, whatever the prefix, unless somebody says otherwise.
AC_DEFUN([PREFORKD_RUNSTATEDIR], [
AS_IF([test "$runstatedir" = '${localstatedir}/run'],
	[AS_CASE([$localstatedir], ['${prefix}/var'|/var], [runstatedir=/run])])
])

# PREFORKD_SYSTEMD_DIR(NAME, SUBDIRECTORY, WHAT): --with-NAME=DIR. Where systemd itself says, when it can be asked and
# the prefix is one it looks into; below the prefix otherwise. "no" installs nothing (automake skips an empty directory).
AC_DEFUN([PREFORKD_SYSTEMD_DIR], [
AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1=DIR], [directory of systemd's $3])],
	[$1=$withval],
	[$1=
	AS_CASE([$prefix], [NONE|/usr|/usr/local], [$1=`$PKG_CONFIG --variable=$1 systemd 2>/dev/null`])
	AS_IF([test -z "$$1"], [$1='${prefix}/lib/$2'])])
AS_IF([test "$$1" = no], [$1=])
AC_SUBST([$1])
])

# PREFORKD_BASH_COMPLETION_DIR: --with-bashcompletiondir=DIR. bash-completion looks below every data directory of the
# system, /usr/local/share among them, so it need not be asked.
AC_DEFUN([PREFORKD_BASH_COMPLETION_DIR], [
AC_ARG_WITH([bashcompletiondir], [AS_HELP_STRING([--with-bashcompletiondir=DIR], [directory of completions for bash])],
	[bashcompletiondir=$withval], [bashcompletiondir='${datadir}/bash-completion/completions'])
AS_IF([test "$bashcompletiondir" = no], [bashcompletiondir=])
AC_SUBST([bashcompletiondir])
])

# PREFORKD_SUMMARY: what was decided, after AC_OUTPUT.
AC_DEFUN([PREFORKD_SUMMARY], [
preforkd_expand() {
	preforkd_dir=$[1]
	while :; do
		eval "preforkd_next=\"$preforkd_dir\""
		test "$preforkd_next" != "$preforkd_dir" || break
		preforkd_dir=$preforkd_next
	done
	AS_ECHO(["${preforkd_dir:-(nothing is installed)}"])
}
cat <<_SUMMARY

$PACKAGE_NAME $PACKAGE_VERSION is configured:

  program      `preforkd_expand "$sbindir"`
  config       `preforkd_expand "$sysconfdir/preforkd"`
  runtime      `preforkd_expand "$runstatedir/preforkd"`
  modules      `preforkd_expand "$moduledir"`
  completion   `preforkd_expand "$bashcompletiondir"`
  man pages    `preforkd_expand "$mandir"`
  units        `preforkd_expand "$systemdsystemunitdir"`
  sysusers.d   `preforkd_expand "$sysusersdir"`
  tmpfiles.d   `preforkd_expand "$tmpfilesdir"`

  compiler     $CC $CFLAGS
  hardening   $HARDEN_CFLAGS$HARDEN_LDFLAGS
  libconfuse   `$PKG_CONFIG --modversion libconfuse`
  libsystemd   `$PKG_CONFIG --modversion libsystemd`
  php          $preforkd_php
  sanitizers   $enable_sanitizers
  werror       $enable_werror

Next: make, make check, make install.

_SUMMARY
])

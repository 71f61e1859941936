#!/bin/sh
# Makes configure and the Makefile.in files, in a checkout from git. A release tarball has them already.
set -eu
cd "$(dirname "$0")"

missing=
for tool in autoreconf:autoconf automake:automake pkg-config:pkg-config; do
	command -v "${tool%%:*}" >/dev/null 2>&1 || missing="$missing ${tool#*:}"
done
if [ -n "$missing" ]; then
	echo "autogen.sh: missing:$missing. On Debian: apt-get install$missing" >&2
	exit 69
fi

exec autoreconf -fi

#!/usr/bin/env bats
# Who may include whom (src/README).

SRC=$BATS_TEST_DIRNAME/../src

# a file or its room | what it may include: rooms, and single headers
rule() {
	cat <<-'END'
	base               base
	net                base net
	board              base board
	handler            base handler
	modules            handler/handler.h
	conf               base net conf handler/handlers.h handler/module.h handler/env.h confuse.h
	worker             base net conf board handler worker
	master             base net conf board handler master systemd
	master/launch.c    base net conf board handler master systemd worker/order.h
	master/spawn.c     base net conf board handler master systemd worker/worker.h
	master/reap.c      base net conf board handler master systemd worker/worker.h
	ctl                base net conf ctl
	main.c             base net conf handler master about.h
	about.c            about.h net handler/handlers.h
	END
}

# includes DIRECTORY: "file header" for each include of our own, of libconfuse and of systemd
includes() {
	(cd "$1" && grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include' .) |
		sed -nE 's,^\./([^:]*):[0-9]+:[^<"]*("([^"]*)"|<(confuse\.h|systemd/[^>]*)>).*,\1 \3\4,p'
}

# forbidden DIRECTORY: the includes that no rule allows
forbidden() {
	{ rule; echo; includes "$1"; } | awk '
		NF == 0 { table_read = 1; next }
		!table_read { for (i = 2; i <= NF; i++) may[$1, $i] = 1; known[$1] = 1; next }
		{
			room = $1; sub(/\/.*/, "", room); other = $2; sub(/\/.*/, "", other)
			who = ($1 in known) ? $1 : room
			if (!((who, other) in may) && !((who, $2) in may))
				print $1 " may not include " $2
		}'
}

@test "no file includes what its room may not see" {
	[ "$(includes "$SRC" | wc -l)" -gt 100 ]
	run forbidden "$SRC"
	[ -z "$output" ] || { echo "$output"; false; }
}

@test "each rule is needed, and each is found broken" {
	local tree=$BATS_TEST_TMPDIR/src room
	for room in base net board handler modules conf worker master; do
		mkdir -p "$tree/$room"
	done
	echo '#include "net/address.h"' >"$tree/base/log.c"
	echo '#include "conf/conf.h"' >"$tree/net/address.c"
	echo '#include "net/address.h"' >"$tree/board/board.c"
	echo '  # include  "worker/conn.h"' >"$tree/handler/echo.h"
	printf '#include "handler/handler.h"\n#include "handler/env.h"\n' >"$tree/modules/php.c"
	printf '#include "handler/handlers.h"\n#include "handler/handler.h"\n#include <confuse.h>\n' >"$tree/conf/check.c"
	printf '#include "master/state.h"\n#include <systemd/sd-event.h>\n' >"$tree/worker/setup.c"
	printf '#include "worker/worker.h"\n#include <confuse.h>\n' >"$tree/master/loop.c"
	printf '#include "worker/worker.h"\n#include "worker/conn.h"\n' >"$tree/master/spawn.c"
	printf '#include "worker/order.h"\n#include "worker/seat.h"\n' >"$tree/master/launch.c"
	printf '#include "worker/worker.h"\n#include <stdio.h>\n' >"$tree/main.c"
	run forbidden "$tree"
	[ "$(sort <<<"$output")" = "$(sort <<-'END'
	base/log.c may not include net/address.h
	net/address.c may not include conf/conf.h
	board/board.c may not include net/address.h
	handler/echo.h may not include worker/conn.h
	modules/php.c may not include handler/env.h
	conf/check.c may not include handler/handler.h
	worker/setup.c may not include master/state.h
	worker/setup.c may not include systemd/sd-event.h
	master/loop.c may not include worker/worker.h
	master/loop.c may not include confuse.h
	master/launch.c may not include worker/seat.h
	master/spawn.c may not include worker/conn.h
	main.c may not include worker/worker.h
	END
	)" ]
}

# loads.bash - clients of three families that see every loss; reload.bats has the control run that shows it. Loaded after
# lib/daemon.
# shellcheck shell=bash disable=SC2154  # BATS_..., TEST_BIN, SOCK, ... are set elsewhere

# three_families [PORT]: an echo service of each; the unix socket is $SOCK
three_families() {
	write_config <<-END
	service tcp { address = "127.0.0.1" port = ${1:-0} handler = echo workers { min = 4 } }
	service six { family = inet6 address = "::1" port = ${1:-0} handler = echo workers { min = 4 } }
	service path { family = unix path = "$SOCK" handler = echo workers { min = 4 } }
	END
}

# start_loads N [OPTION]...: three loads on the three services, each for so many connections
start_loads() {
	local options=(-c 4 -n "$@")
	LOADS=
	beside "$BATS_TEST_TMPDIR/load.tcp" "$TEST_BIN/load" -p "$(port_of tcp)" "${options[@]}"
	LOADS+=" $BESIDE"
	beside "$BATS_TEST_TMPDIR/load.six" "$TEST_BIN/load" -6 -p "$(port_of six)" "${options[@]}"
	LOADS+=" $BESIDE"
	beside "$BATS_TEST_TMPDIR/load.path" "$TEST_BIN/load" -u "$SOCK" "${options[@]}"
	LOADS+=" $BESIDE"
}

loads_are_over() {
	local pid
	for pid in $LOADS; do
		process_gone "$pid" || return 1
	done
}

# load_figure FAMILY KEY: what the load of tcp, six or path says
load_figure() {
	sed -n "s/.*\b$2=\([0-9]*\).*/\1/p" "$BATS_TEST_TMPDIR/load.$1"
}

# check_loads N: each of them had so many connections, or more, and all were answered
check_loads() {
	local name
	cat "$BATS_TEST_TMPDIR"/load.{tcp,six,path}
	for name in tcp six path; do
		grep -Eq '^connections=([0-9]+) ok=\1 refused=0 reset=0 wrong=0 timeout=0 ' "$BATS_TEST_TMPDIR/load.$name" &&
			[ "$(load_figure "$name" ok)" -ge "$1" ] || return 1
	done
}

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

# start_loads N: three loads on the three services, each for so many connections
start_loads() {
	LOADS=
	beside "$BATS_TEST_TMPDIR/load.tcp" "$TEST_BIN/load" -p "$(port_of tcp)" -c 4 -n "$1"
	LOADS+=" $BESIDE"
	beside "$BATS_TEST_TMPDIR/load.six" "$TEST_BIN/load" -6 -p "$(port_of six)" -c 4 -n "$1"
	LOADS+=" $BESIDE"
	beside "$BATS_TEST_TMPDIR/load.path" "$TEST_BIN/load" -u "$SOCK" -c 4 -n "$1"
	LOADS+=" $BESIDE"
}

loads_run() {
	local pid
	for pid in $LOADS; do
		process_gone "$pid" || return 0
	done
	return 1
}

loads_are_over() {
	! loads_run
}

# check_loads N: each of them had so many connections, and all were answered
check_loads() {
	local name
	cat "$BATS_TEST_TMPDIR"/load.{tcp,six,path}
	for name in tcp six path; do
		grep -q "^connections=$1 ok=$1 refused=0 reset=0 wrong=0 timeout=0 " "$BATS_TEST_TMPDIR/load.$name" || return 1
	done
}

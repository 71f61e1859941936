#!/usr/bin/env bats
# sockets.bats - sockets that outlive a master: systemd's store, socket units, an upgrade; with the units as installed.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon and machine

bats_require_minimum_version 1.5.0
load ../lib/daemon
load ../lib/examples
load machine

setup() { machine_setup; }

teardown() { machine_teardown; }

# clients TO...: each connects, asks and closes, over and over, until the gate is there; one that is lost ends its client
clients() {
	local to
	CLIENTS=()
	for to in "$@"; do
		beside "$BATS_TEST_TMPDIR/client${#CLIENTS[@]}" perl "$BATS_TEST_DIRNAME/../lib/client.pl" loop "$to" \
			"$BATS_TEST_TMPDIR/gate"
		CLIENTS+=("$BESIDE")
	done
}

# and none was
clients_end() {
	local i
	: >"$BATS_TEST_TMPDIR/gate"
	for i in "${!CLIENTS[@]}"; do
		wait "${CLIENTS[$i]}" || { cat "$BATS_TEST_TMPDIR/client$i"; return 1; }
		[ "$(cat "$BATS_TEST_TMPDIR/client$i")" -gt 50 ]
	done
}

upgraded_twice() {
	read_log
	[ "$(log_count event=upgrade_done)" -eq 2 ]
}

is_active() {
	property_is ActiveState active
}

@test "five restarts under load over TCP and a unix path: systemd keeps the sockets, nobody is refused or reset" {
	local i inode
	start_with 'service four { port = 1337 handler = echo }' 'service six { family = inet6 port = 1337 handler = echo }' \
		'service path { family = unix path = "/run/preforkd/path.sock" handler = echo socket { mode = 0666 } }'
	inode=$(stat -c %i /run/preforkd/path.sock)
	clients 1337 '[::1]:1337' /run/preforkd/path.sock
	for i in 1 2 3 4 5; do
		systemctl restart "$UNIT"
		wait_for 20 "the service" is_active
	done
	clients_end
	[ "$(stat -c %i /run/preforkd/path.sock)" = "$inode" ]
	[ "$(property NFileDescriptorStore)" -eq 3 ]
}

@test "an upgrade in place: the main process and its start are the same, nobody is refused or reset" {
	local main
	start_with 'service four { port = 1337 handler = echo }'
	main=$MASTER
	clients 1337
	kill -USR2 "$MASTER"
	wait_for 20 "the upgrade" says event=upgrade_done
	preforkctl -c "$DIR/preforkd.conf" upgrade
	wait_for 20 "the second one" upgraded_twice
	clients_end
	property_is MainPID "$main"
	property_is NRestarts 0
	is_active
}

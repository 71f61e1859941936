#!/usr/bin/env bats
# sockets.bats - sockets that outlive a master: systemd's store, an upgrade; with the unit as installed.
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

# ---- the store ----

two_and_a_path() {
	printf '%s\n' 'service a { port = 1337 handler = echo }' 'service b { port = 1338 handler = echo }' \
		'service path { family = unix path = "/run/preforkd/store.sock" handler = echo }'
}

reloaded() {
	systemctl reload "$UNIT"
	wait_for 20 "the end of the reload" says "event=reload_done generation=$1"
}

# the services of what systemd had in its store when it started the master, as the names say
named() {
	tr '\0' '\n' <"/proc/$1/environ" | sed -n 's/^LISTEN_FDNAMES=//p' | tr : '\n' |
		sed -n 's/^preforkd+\([^+]*\)+.*/\1/p' | sort | xargs
}

@test "the store: a reload puts in what it adds and takes out what it drops; a restart gets back these, by address" {
	local sockets
	two_and_a_path | head -n 1 | configure
	start_unit
	wait_for 30 "one in the store" property_is NFileDescriptorStore 1
	two_and_a_path | configure
	reloaded 2
	wait_for 30 "three in the store" property_is NFileDescriptorStore 3
	two_and_a_path | tail -n +2 | configure
	reloaded 3
	wait_for 30 "two in the store" property_is NFileDescriptorStore 2
	# systemd, which had it as well, has closed it
	refuses 1337
	sockets="$(inode_of 127.0.0.1:1338) $(inode_of /run/preforkd/store.sock)"
	[ "$(wc -w <<<"$sockets")" -eq 2 ]

	# what it was called does not matter
	two_and_a_path | tail -n +2 | sed 's/service b /service other /' | configure
	systemctl restart "$UNIT"
	! property_is MainPID "$MASTER" || false
	MASTER=$(property MainPID)
	[ "$(named "$MASTER")" = "b path" ]
	says 'event=listener_adopted service=other from=store'
	log_has 'event=listener_adopted service=path from=store'
	[ "$(inode_of 127.0.0.1:1338) $(inode_of /run/preforkd/store.sock)" = "$sockets" ]
	answers 1338
	wait_for 30 "two in the store" property_is NFileDescriptorStore 2

	# a stop is the end of it
	systemctl stop "$UNIT"
	property_is NFileDescriptorStore 0
	refuses 1338
}

@test "the store: who comes while nothing runs waits, and is served by the next master" {
	local gate=/run/$NAME.gate restart
	edit "ExecStopPost=/bin/sh -c 'until [ -e $gate ]; do sleep 0.05; done'"
	start_with 'service a { port = 1337 handler = echo }'
	beside "$BATS_TEST_TMPDIR/restart" systemctl restart "$UNIT"
	restart=$BESIDE
	wait_for 20 "the end of the master" property_is SubState stop-post
	process_gone "$MASTER"
	eval "exec 9<>/dev/tcp/127.0.0.1/1337"
	echo "still here 9" >&9
	queue_is 1337 1
	touch "$gate"
	wait "$restart"
	read -rt 30 line <&9
	[ "$line" = "still here 9" ]
	release
	says 'event=listener_adopted service=a from=store'
}

@test "the store: a master that is killed is started again on the same sockets, and nobody is refused" {
	local before inode n=0
	GATE=$BATS_TEST_TMPDIR/gate
	start_with 'service a { port = 1337 handler = echo }'
	wait_for 30 "one in the store" property_is NFileDescriptorStore 1
	inode=$(inode_of 127.0.0.1:1337)
	beside "$BATS_TEST_TMPDIR/client" asks 1337
	for _ in 1 2 3; do
		wait_for 20 "answers" client_has client $((n + 20))
		before=$(property MainPID)
		kill -KILL "$before"
		wait_for 20 "another master" is_another_master "$before"
		n=$(wc -l <"$BATS_TEST_TMPDIR/client")
	done
	wait_for 20 "answers of the last one" client_has client $((n + 20))
	touch "$GATE"
	wait "$BESIDE"
	sort "$BATS_TEST_TMPDIR/client" | uniq -c
	! grep refused "$BATS_TEST_TMPDIR/client" || false
	# systemd kills the workers of a dead master, and whom they serve: this one client, if it comes to it
	[ "$(grep -c cut "$BATS_TEST_TMPDIR/client")" -le 3 ]
	property_is NRestarts 3
	[ "$(inode_of 127.0.0.1:1337)" = "$inode" ]
	says 'event=listener_adopted service=a from=store'
}

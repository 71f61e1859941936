#!/usr/bin/env bats
# transitions.bats - reload, restart and stop by systemctl, with clients who are being served.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon and machine

bats_require_minimum_version 1.5.0
load ../lib/daemon
load ../lib/examples
load machine

setup() {
	machine_setup
	GATE=$BATS_TEST_TMPDIR/gate
}

teardown() { machine_teardown; }

# echo_service DRAIN [LINE...]
echo_service() {
	printf '%s\n' 'reload = all' "service a { port = 1337 handler = echo workers { min = 4 } timeouts { drain = $1 } }" "${@:2}"
}

reload_ends() {
	says "event=reload_($1)"
}

@test "reload: another config is in effect, the master stays, who is being served stays" {
	start_with "$(echo_service 20s)"
	hold 1337
	old=$(workers_of "$MASTER" a)
	echo_service 20s 'service b { port = 1338 handler = echo workers { min = 1 } }' | configure
	systemctl reload "$UNIT"
	wait_for 20 "the end of the reload" reload_ends 'done generation=2'
	property_is MainPID "$MASTER"
	status='5 of 5 workers ready, 2 services, generation 2'
	wait_for 30 "the status" property_is StatusText "$status; 1 old workers finishing"
	property_is ActiveState active
	answers 1338
	serve_on 9
	release
	wait_for 30 "the status" property_is StatusText "$status"
	no_process_left "$old"
}

@test "reload of a config that is wrong: all stays as it is" {
	start_with "$(echo_service 20s)"
	old=$(workers_of "$MASTER" a)
	echo_service 20s 'service b { prot = 1338 handler = echo }' | configure
	run -1 systemctl reload "$UNIT"
	wait_for 20 "the end of the reload" reload_ends refused
	log_has "$DIR/preforkd.conf:3: service .*b.*: unknown key prot"
	# what preforkctl says, so that "systemctl status" shows it
	log_has "^$DIR/preforkd.conf:3: service \"b\": unknown key prot"
	property_is ActiveState active
	property_is MainPID "$MASTER"
	[ "$(workers_of "$MASTER" a)" = "$old" ]
	answers 1337
	# and the next one that is right is taken
	echo_service 20s 'service b { port = 1338 handler = echo }' | configure
	systemctl reload "$UNIT"
	wait_for 20 "the end of the reload" reload_ends 'done'
	answers 1338
}

@test "five reloads with clients: nobody is refused or cut off" {
	start_with "$(echo_service 20s)"
	beside "$BATS_TEST_TMPDIR/client" asks 1337
	wait_for 20 "the first answers" client_has client 5
	for generation in 2 3 4 5 6; do
		systemctl reload "$UNIT"
		wait_for 20 "the end of the reload" reload_ends "done generation=$generation"
		n=$(wc -l <"$BATS_TEST_TMPDIR/client")
		wait_for 20 "answers after it" client_has client $((n + 3))
	done
	touch "$GATE"
	wait "$BESIDE"
	[ "$(sort -u "$BATS_TEST_TMPDIR/client")" = ok ]
}

@test "restart with clients: who is being served is served to the end, and then the new one serves" {
	start_with "$(echo_service 20s)"
	before=$MASTER
	hold 1337
	beside "$BATS_TEST_TMPDIR/client" asks 1337
	wait_for 20 "the first answers" client_has client 5
	beside "$BATS_TEST_TMPDIR/restart" systemctl restart "$UNIT"
	restart=$BESIDE
	wait_for 20 "the old one to stop" says 'event=stopping how=graceful'
	property_is ActiveState deactivating
	serve_on 9
	release
	wait_for 20 "systemctl restart" process_gone "$restart"
	wait "$restart"
	[ "$(property MainPID)" -ne "$before" ]
	n=$(grep -c ok "$BATS_TEST_TMPDIR/client")
	wait_for 20 "answers of the new one" client_has client $((n + 5))
	wait_for 20 "the new one to serve" answers 1337
	touch "$GATE"
	end_beside "$(awk '{ print $1 }' <<<"$BESIDES")"
	sort "$BATS_TEST_TMPDIR/client" | uniq -c
	says 'event=account service=a .*lost=0 '
	property_is NRestarts 0
}

is_draining() {
	[[ $(property StatusText) =~ ^draining\ 1\ of\ 4,\ [0-9]+\ s\ left$ ]]
}

@test "stop: a connection that is being served ends first, and STATUS says what is waited for" {
	start_with "$(echo_service 20s)"
	pids=$(processes)
	hold 1337
	beside "$BATS_TEST_TMPDIR/stop" systemctl stop "$UNIT"
	stop=$BESIDE
	wait_for 20 "the status" is_draining
	property_is ActiveState deactivating
	serve_on 9
	release
	wait_for 20 "systemctl stop" process_gone "$stop"
	property_is Result success
	no_process_left "$pids"
	read_log
	account_is a lost=0 failed=0
}

@test "stop: a client who never ends is waited for as long as the drain time, and no longer" {
	start_with "$(echo_service 1s)"
	pids=$(processes)
	hold 1337
	began=$(now_ms)
	systemctl stop "$UNIT"
	took=$(($(now_ms) - began))
	echo "$took ms"
	((took >= 1000 && took < 30000))
	property_is Result success
	no_process_left "$pids"
	says 'event=worker_killed service=a .*reason=drain'
}

@test "stop: a drain time that is longer than TimeoutStopSec= is granted by systemd" {
	edit TimeoutStopSec=3s
	start_with "$(echo_service 6s)"
	hold 1337
	systemctl stop "$UNIT"
	property_is Result success
	says 'event=stopped status=0'
}

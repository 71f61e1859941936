#!/usr/bin/env bats
# notify.bats - what the service manager hears (sd_notify(3)), and that nobody waits for it.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup() {
	daemon_setup
	HEARD=$BATS_TEST_TMPDIR/heard
	write_config <<-END
	service a {
		address = "127.0.0.1"
		port = 0
		handler = echo
		workers { min = 3 }
		timeouts { drain = 30s }
	}
	END
}

teardown() {
	daemon_teardown
}

# start_manager [SOCKET]: play the service manager; what it hears is in $HEARD
start_manager() {
	export NOTIFY_SOCKET=${1:-$BATS_TEST_TMPDIR/notify}
	beside "$HEARD" "$TEST_BIN/recorder" "$NOTIFY_SOCKET"
	MANAGER=$BESIDE
	wait_for 20 "the manager" grep -q bound "$HEARD"
}

heard() {
	grep -Eq -- "^pid=$MASTER now_us=[0-9]+ $1" "$HEARD"
}

n_heard() {
	grep -Ec -- " now_us=[0-9]+ $1" "$HEARD" || :
}

# the number of the line in which something was heard for the first time
line_of() {
	grep -En -- " now_us=[0-9]+ $1" "$HEARD" | head -n 1 | cut -d: -f1
}

@test "READY=1 is said once, by the master, when every worker is ready" {
	start_manager
	start_daemon
	wait_for 20 "READY=1" heard 'READY=1$'
	[ "$(n_heard 'READY=1')" -eq 1 ]
	wait_for 20 "STATUS=" heard 'STATUS=3 of 3 workers ready, 1 services, generation 1$'
	# it was never said of fewer
	[ "$(n_heard 'STATUS=[012] of 3')" -eq 0 ]
	stop_daemon
	[ "$(n_heard 'READY=1')" -eq 1 ]
	# nobody but the master ever spoke
	[ "$(sed -n 's/^pid=\([0-9]*\) .*/\1/p' "$HEARD" | sort -u | wc -l)" -eq 1 ]
}

@test "a start that fails never says READY=1" {
	start_manager
	sed -i 's/port = 0/port = 0\n\tsocket { backlog = 0 }/' "$CONF"
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -eq 78 ]
	[ "$(id -u)" -eq 0 ] || return 0
	mkdir -m 700 "$BATS_TEST_TMPDIR/closed"
	sed -i "s,socket { backlog = 0 },run { directory = \"$BATS_TEST_TMPDIR/closed\" }," "$CONF"
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -eq 71 ]
	[ "$(n_heard 'READY=1')" -eq 0 ]
}

@test "a reload says RELOADING=1 with the time in one message, then READY=1" {
	local us heard_us
	start_manager
	start_daemon
	reload_daemon
	wait_for 20 "the second READY=1" n_heard_is 2 'READY=1$'
	[ "$(n_heard 'RELOADING=1\|MONOTONIC_USEC=[0-9]+$')" -eq 1 ]
	[ "$(line_of 'RELOADING=1')" -gt "$(line_of 'READY=1')" ]
	# the same clock, and a moment ago
	us=$(sed -n 's/.*MONOTONIC_USEC=//p' "$HEARD")
	heard_us=$(sed -n 's/.*now_us=\([0-9]*\) RELOADING.*/\1/p' "$HEARD")
	[ "$us" -le "$heard_us" ]
	[ $((heard_us - us)) -le 20000000 ]
	wait_for 20 "the new generation" heard 'STATUS=3 of 3 workers ready, 1 services, generation 2$'
	stop_daemon
}

n_heard_is() {
	[ "$(n_heard "$2")" -eq "$1" ]
}

@test "a reload that is refused ends with READY=1 as well" {
	start_manager
	start_daemon
	echo 'nonsense' >>"$CONF"
	reload_daemon
	log_has 'event=reload_refused'
	wait_for 20 "the second READY=1" n_heard_is 2 'READY=1$'
	[ "$(n_heard 'RELOADING=1')" -eq 1 ]
	rm "$CONF"
	reload_daemon
	wait_for 20 "the third READY=1" n_heard_is 3 'READY=1$'
	[ "$(n_heard 'RELOADING=1')" -eq 2 ]
	stop_daemon
}

seconds_differ() {
	[ "$(sed -nE 's/.*STATUS=draining 1 of [0-9]+, ([0-9]+) s left$/\1/p' "$HEARD" | sort -u | wc -l)" -ge 2 ]
}

@test "STOPPING=1 is the first word of the stop, said once, and the status counts down" {
	start_manager
	start_daemon
	hold "$(port_of a)"
	kill -TERM "$MASTER"
	wait_for 20 "the status" heard 'STATUS=draining 1 of [0-9]+, [0-9]+ s left$'
	wait_for 20 "a second less" seconds_differ
	kill -TERM "$MASTER"
	wait_daemon
	[ "$(n_heard 'STOPPING=1(\|EXTEND_TIMEOUT_USEC=[0-9]+)?$')" -eq 1 ]
	[ "$(line_of 'STOPPING=1')" -lt "$(line_of 'STATUS=draining')" ]
	[ "$(n_heard 'READY=1')" -eq 1 ]
}

@test "the status says what lives, when a worker has died as well" {
	start_manager
	start_daemon
	wait_for 20 "3 of 3" heard 'STATUS=3 of 3 workers'
	kill -KILL "$(workers_of "$MASTER" | head -n 1)"
	wait_for 20 "2 of 3" heard 'STATUS=2 of 3 workers'
	wait_for 20 "3 of 3 again" n_heard_is 2 'STATUS=3 of 3 workers'
	hold "$(port_of a)"
	reload_daemon
	wait_for 20 "the old worker" heard 'STATUS=3 of 3 workers ready, 1 services, generation 2; 1 old workers finishing'
	release
	stop_daemon
}

@test "the watchdog is fed by the master, and by nobody when it is not asked for" {
	start_manager
	start_daemon
	stop_daemon
	[ "$(n_heard 'WATCHDOG=1')" -eq 0 ]
	: >"$LOG"
	WATCHDOG_USEC=400000 start_daemon
	wait_for 20 "WATCHDOG=1" n_heard_at_least 4 'WATCHDOG=1'
	[ "$(sed -n 's/^pid=\([0-9]*\) .*WATCHDOG=1$/\1/p' "$HEARD" | sort -u)" = "$MASTER" ]
	# a master that hangs does not feed it; what it has said before may still be on its way
	kill -STOP "$MASTER"
	wait_for 20 "the stop of the master" is_stopped "$MASTER"
	wait_for 20 "nobody who feeds it" is_silent
	kill -CONT "$MASTER"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

# three times as long as it lasts between two of them
is_silent() {
	local n
	n=$(n_heard 'WATCHDOG=1')
	read -rt 0.6 <> <(:) || :
	n_heard_is "$n" 'WATCHDOG=1'
}

is_stopped() {
	grep -q '^State:[[:space:]]*T' "/proc/$1/status"
}

n_heard_at_least() {
	[ "$(n_heard "$2")" -ge "$1" ]
}

# a reload is at least four messages, and some more fit into no socket
reload_more_often_than_a_socket_can_hold() {
	local i n
	n=$(($(cat /proc/sys/net/unix/max_dgram_qlen) / 4 + 10))
	for ((i = 0; i < n; i++)); do
		reload_daemon
	done
	[ "$(log_count 'event=reload_done')" -eq "$n" ]
}

@test "a manager that does not read holds up nothing" {
	start_manager
	start_daemon
	kill -STOP "$MANAGER"
	reload_more_often_than_a_socket_can_hold
	answers "$(port_of a)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a manager that does not read its watchdog messages holds up nothing" {
	start_manager
	export WATCHDOG_USEC=20000
	start_daemon
	kill -STOP "$MANAGER"
	reload_more_often_than_a_socket_can_hold
	wait_for 20 "the new workers alone" n_workers_is 3
	kill -KILL "$(workers_of "$MASTER" | head -n 1)"
	wait_for 20 "the exit line" log_has 'event=worker_exit .*reason=SIGKILL'
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}


@test "an abstract notify socket works, and one that nobody has is no trouble" {
	start_manager "@preforkd-test-$$-$RANDOM"
	start_daemon
	wait_for 20 "READY=1" heard 'READY=1$'
	stop_daemon
	: >"$LOG"
	NOTIFY_SOCKET=$BATS_TEST_TMPDIR/nobody start_daemon
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	: >"$LOG"
	NOTIFY_SOCKET=relative start_daemon
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

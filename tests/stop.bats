#!/usr/bin/env bats
# stop.bats - the end: gracefully and in time, or now; nothing is left behind.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup() {
	daemon_setup
	SOCK=$BATS_TEST_TMPDIR/sock
}

teardown() {
	daemon_teardown
}

# echo_config WORKERS DRAIN
echo_config() {
	write_config <<-END
	service a {
		address = "127.0.0.1"
		port = 0
		handler = echo
		workers { min = $1 }
		timeouts { drain = $2 }
	}
	END
}

# The order of events in the log, as words; account before stopped, and so on.
assert_order() {
	local event line last=0
	for event; do
		line=$(grep -nE "event=$event( |$)" "$LOG" | head -n 1 | cut -d: -f1)
		echo "event=$event: line ${line:-none}, after line $last"
		[ "${line:-0}" -gt "$last" ]
		last=$line
	done
}

@test "TERM with idle workers ends at once with status 0, in a documented order" {
	local begin
	echo_config 4 1m
	start_daemon
	answers "$(port_of a)"
	begin=$(now_ms)
	stop_daemon TERM
	[ $(($(now_ms) - begin)) -le 30000 ]
	[ "$DAEMON_STATUS" -eq 0 ]
	assert_order listening ready stopping worker_exit account stopped
	log_has 'event=stopping how=graceful drain_ms=60000'
	log_has 'event=account service=a accepted=1 served=1 failed=0 refused=0 lost=0 in_flight=0'
	log_has 'event=stopped status=0 accepted_after=0$'
	[ "$(log_count 'event=worker_exit .*reason=left')" -eq 4 ]
	[ "$(tail -n 1 "$LOG" | grep -c 'event=stopped')" -eq 1 ]
}

@test "every service gets its account line at the end" {
	echo_config 2 10s
	sed '/^reload/d; s/service a/service b/' "$CONF" >"$CONF.b"
	cat "$CONF.b" >>"$CONF"
	start_daemon
	answers "$(port_of b)"
	stop_daemon
	[ "$(log_count 'event=account ')" -eq 2 ]
	[ "$(account_of a accepted)" -eq 0 ]
	[ "$(account_of b accepted)" -eq 1 ]
}

@test "TERM lets a busy worker finish its connection" {
	echo_config 3 1m
	start_daemon
	hold "$(port_of a)"
	kill -TERM "$MASTER"
	wait_for 20 "the end of the idle workers" n_workers_is 1
	serve_on 9
	serve_on 9
	release
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of a served)" -eq 1 ]
	log_lacks 'event=worker_killed'
}

@test "who waits in the queue at TERM is served, not reset" {
	echo_config 1 1m
	start_daemon
	hold "$(port_of a)"
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$(port_of a)" -c 50 -n 50 --timeout 60000
	wait_for 20 "50 that wait" queue_is "$(port_of a)" 50
	kill -TERM "$MASTER"
	wait_for 20 "the begin of the stop" log_has 'event=stopping'
	serve_on 9
	release
	wait_for 60 "the clients" process_gone "$BESIDE"
	cat "$BATS_TEST_TMPDIR/load"
	grep -q '^connections=50 ok=50 ' "$BATS_TEST_TMPDIR/load"
	wait_daemon
	log_has 'event=stopped status=0 accepted_after=50$'
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of a served)" -eq 51 ]
}

@test "who waits in the queue of a unix path at TERM is served" {
	write_config <<-END
	service a {
		family = unix
		path = "$SOCK"
		handler = echo
		workers { min = 1 }
	}
	END
	start_daemon
	beside "$BATS_TEST_TMPDIR/first" socat -t 60 "EXEC:cat,fdin=0,fdout=1" "UNIX-CONNECT:$SOCK"
	wait_for 20 "a busy worker" busy_worker a
	local first=$BESIDE
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -u "$SOCK" -c 30 -n 30 --timeout 60000
	wait_for 20 "30 that wait" unix_queue_is 30
	kill -TERM "$MASTER"
	wait_for 20 "the begin of the stop" log_has 'event=stopping'
	wait_for 20 "the end of its path" test ! -e "$SOCK"
	end_beside "$first"
	wait_for 60 "the clients" process_gone "$BESIDE"
	cat "$BATS_TEST_TMPDIR/load"
	grep -q '^connections=30 ok=30 ' "$BATS_TEST_TMPDIR/load"
	wait_daemon
	log_has 'event=stopped status=0 accepted_after=30$'
	[ "$DAEMON_STATUS" -eq 0 ]
}

unix_queue_is() {
	[ "$(ss -Hlx src "$SOCK" | awk '{ print $3 }')" -eq "$1" ]
}

@test "who comes after TERM, when the queue has been served, is refused and not kept waiting" {
	echo_config 3 1m
	start_daemon
	hold "$(port_of a)"
	kill -TERM "$MASTER"
	wait_for 20 "the end of the idle workers" n_workers_is 1
	wait_for 20 "a closed port" refuses "$(port_of a)"
	serve_on 9
	release
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a stop does not wait for clients that came after it" {
	echo_config 2 1m
	start_daemon
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$(port_of a)" -c 8 -n 10000000
	wait_for 20 "clients" busy_worker a
	kill -TERM "$MASTER"
	wait_for 30 "the end of the master" process_gone "$MASTER"
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of a lost)" -eq 0 ]
}

@test "a removed service does not live on by the clients that still come" {
	local port
	echo_config 2 1m
	sed '/^reload/d; s/service a/service b/' "$CONF" >"$CONF.b"
	start_daemon
	port=$(port_of a)
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$port" -c 8 -n 10000000
	wait_for 20 "clients" busy_worker a >/dev/null
	mv "$CONF.b" "$CONF"
	reload_daemon
	wait_for 20 "the end of the service" log_has 'event=account service=a '
	[ "$(account_of a lost)" -eq 0 ]
	stop_daemon
}

@test "who is still busy after the drain time is killed with a line, and the master is gone" {
	local begin busy peer
	echo_config 2 400ms
	start_daemon
	hold "$(port_of a)"
	busy=$(busy_worker a)
	peer=$(ss -Htn "dport = :$(port_of a)" | awk '{ print $4 }')
	begin=$(now_ms)
	stop_daemon
	[ $(($(now_ms) - begin)) -ge 390 ]
	[ $(($(now_ms) - begin)) -le 30000 ]
	[ "$DAEMON_STATUS" -eq 0 ]
	log_has "level=warning .*event=worker_killed service=a worker=[12] worker_pid=$busy reason=drain_time_over serving=$peer"
	log_has "event=worker_exit .*worker_pid=$busy .*reason=SIGKILL serving=$peer .*lost=1"
	[ "$(account_of a lost)" -eq 1 ]
}

@test "a worker that is stopped does not hold up the end" {
	local begin
	echo_config 2 400ms
	start_daemon
	kill -STOP "$(workers_of "$MASTER" | head -n 1)"
	begin=$(now_ms)
	stop_daemon
	[ $(($(now_ms) - begin)) -le 30000 ]
	[ "$DAEMON_STATUS" -eq 0 ]
	log_has 'event=worker_killed service=a .*reason=drain_time_over serving=-'
}

@test "a master whose worker cannot even be killed leaves it behind in time" {
	local begin worker
	echo_config 2 200ms
	start_daemon
	worker=$(workers_of "$MASTER" | head -n 1)
	# who is held by a tracer stays as a dead file server would hold it
	beside "$BATS_TEST_TMPDIR/strace" strace -qq -p "$worker" -e trace=poll,dup3 \
		-e inject=poll,dup3:delay_enter=120000000
	wait_for 20 "strace" is_traced "$worker"
	begin=$(now_ms)
	kill -TERM "$MASTER"
	wait_daemon
	echo "took $(($(now_ms) - begin)) ms"
	[ $(($(now_ms) - begin)) -le 30000 ]
	log_has 'level=error .*event=workers_left_behind'
	end_beside "$BESIDE"
	wait_for 20 "the end of the worker" process_gone "$worker"
}

@test "a second TERM stops now" {
	local begin
	echo_config 2 1m
	start_daemon
	hold "$(port_of a)"
	kill -TERM "$MASTER"
	wait_for 20 "the begin of the stop" log_has 'event=stopping how=graceful'
	serve_on 9
	begin=$(now_ms)
	stop_daemon TERM
	[ $(($(now_ms) - begin)) -le 30000 ]
	[ "$DAEMON_STATUS" -eq 0 ]
	log_has 'event=stopping how=now'
	log_has 'event=worker_killed .*reason=stop_now'
	[ "$(account_of a lost)" -eq 1 ]
}

@test "INT and QUIT stop now" {
	local signal begin
	for signal in INT QUIT; do
		echo_config 2 1m
		: >"$LOG"
		start_daemon
		hold "$(port_of a)"
		begin=$(now_ms)
		stop_daemon "$signal"
		[ $(($(now_ms) - begin)) -le 30000 ]
		[ "$DAEMON_STATUS" -eq 0 ]
		log_has 'event=stopping how=now drain_ms=0'
		[ "$(account_of a lost)" -eq 1 ]
		release
	done
}

@test "INT and then TERM, before either was looked at, stops now" {
	echo_config 2 1m
	start_daemon
	hold "$(port_of a)"
	kill -STOP "$MASTER"
	wait_for 20 "a master that has stopped" grep -q '^State:.T' "/proc/$MASTER/status"
	kill -INT "$MASTER"
	kill -TERM "$MASTER"
	kill -CONT "$MASTER"
	wait_daemon
	log_has 'event=stopping how=now'
	log_lacks 'event=stopping how=graceful'
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "TERM in the middle of the start leaves nothing" {
	local workers
	echo_config 400 10s
	# however fast that is, a program that never says that it is ready keeps it from the end
	cat >>"$CONF" <<-END
	service never {
		address = "127.0.0.1"
		port = 0
		handler = persistent
		command = { "/bin/sleep", "1000" }
		ready = notify
		workers { min = 1 }
	}
	END
	start_daemon_nowait
	wait_for 20 "the first workers" some_workers
	kill -TERM "$MASTER"
	workers=$(workers_of "$MASTER")
	wait_daemon
	no_process_left "$workers"
	log_lacks 'event=ready'
	log_has 'event=stopped'
	log_has 'event=account service=a accepted=0'
}

some_workers() {
	[ "$(wc -w <"/proc/$MASTER/task/$MASTER/children")" -ge 10 ]
}

@test "TERM in the middle of a reload leaves nothing" {
	local workers i
	for i in 0 1 2 4 8 16; do
		echo_config 20 10s
		: >"$LOG"
		start_daemon
		kill -HUP "$MASTER"
		read -rt "0.0$(printf %02d "$i")" <> <(:) || :
		workers=$(workers_of "$MASTER")
		stop_daemon TERM
		[ "$DAEMON_STATUS" -eq 0 ]
		no_process_left "$workers"
		daemon_log_is_clean
		log_has 'event=stopped status=0'
	done
}

@test "HUP after TERM does not bring anything back" {
	echo_config 2 1m
	start_daemon
	hold "$(port_of a)"
	kill -TERM "$MASTER"
	wait_for 20 "the begin of the stop" log_has 'event=stopping'
	kill -HUP "$MASTER"
	kill -USR1 "$MASTER"
	serve_on 9
	release
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_lacks 'event=reload_started'
}

@test "a worker that dies while the master stops is not replaced" {
	echo_config 2 1m
	start_daemon
	hold "$(port_of a)"
	kill -TERM "$MASTER"
	wait_for 20 "one worker" n_workers_is 1
	kill -KILL "$(workers_of "$MASTER")"
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(log_count 'event=worker_exit')" -eq 2 ]
	[ "$(account_of a lost)" -eq 1 ]
}

@test "the unix path is removed at the end, but not one that somebody else put there" {
	write_config <<-END
	service a {
		family = unix
		path = "$SOCK"
		handler = echo
		workers { min = 1 }
	}
	END
	start_daemon
	[ -S "$SOCK" ]
	stop_daemon
	[ ! -e "$SOCK" ]
	: >"$LOG"
	start_daemon
	rm "$SOCK"
	echo mine >"$SOCK"
	stop_daemon
	[ "$(cat "$SOCK")" = mine ]
}

@test "a connection that ended with an error is counted as failed, and the account adds up" {
	write_config <<-END
	log_level = debug
	service a {
		address = "127.0.0.1"
		port = 0
		handler = echo
		workers { min = 2 }
		timeouts { idle = 1s }
	}
	END
	start_daemon
	hold "$(port_of a)"
	wait_for 20 "its end" log_has 'event=conn_failed service=a .*error="Connection timed out"'
	answers "$(port_of a)"
	stop_daemon
	[ "$(account_of a accepted)" -eq 2 ]
	[ "$(account_of a served)" -eq 1 ]
	[ "$(account_of a failed)" -eq 1 ]
}

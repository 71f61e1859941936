#!/usr/bin/env bats
# daemon.bats - the option -D: into the background, when the service is up and not before.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup() {
	daemon_setup
	PIDFILE=$BATS_TEST_TMPDIR/pid
	config_with 2
}

# Our daemon is nobody's child, so it is ended by the pid that it wrote itself.
teardown() {
	[ ! -s "$PIDFILE" ] || stop_by_pidfile
	daemon_teardown
}

# config_with WORKERS [PORT]
config_with() {
	write_config <<-END
	log = "$LOG"
	service a {
		address = "127.0.0.1"
		port = ${2:-0}
		handler = echo
		workers { min = $1 }
		timeouts { drain = 30s }
	}
	END
}

# go_to_background [OPTION...]: its exit status is $DAEMON_STATUS, what it said is in stderr
go_to_background() {
	DAEMON_STATUS=0
	timeout 60 "$PREFORKD" -D -c "$CONF" "$@" >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr" 3>&- || DAEMON_STATUS=$?
}

stop_by_pidfile() {
	local pid
	pid=$(cat "$PIDFILE")
	kill -TERM "$pid"
	wait_for 60 "the end of the daemon" process_gone "$pid"
}

@test "-D returns 0 when the service is up: the first client is served at once" {
	go_to_background -p "$PIDFILE"
	answers "$(port_of a)"
	[ "$DAEMON_STATUS" -eq 0 ]
	log_has 'event=ready'
	[ ! -s "$BATS_TEST_TMPDIR/stdout" ]
	stop_by_pidfile
	log_has 'event=stopped status=0'
	[ ! -e "$PIDFILE" ]
}

@test "-D does not return before all workers of a big pool are ready" {
	config_with 300
	go_to_background -p "$PIDFILE"
	[ "$(log_count 'event=ready')" -eq 1 ]
	[ "$DAEMON_STATUS" -eq 0 ]
	MASTER=$(cat "$PIDFILE") n_workers_is 300
	stop_by_pidfile
}

@test "-D is a session of its own, without terminal, with /dev/null for the standard descriptors" {
	local pid fd
	go_to_background -p "$PIDFILE"
	[ "$DAEMON_STATUS" -eq 0 ]
	pid=$(cat "$PIDFILE")
	[ "$(ps -o sid= -p "$pid" | tr -d ' ')" = "$pid" ]
	[ "$(ps -o tty= -p "$pid" | tr -d ' ')" = '?' ]
	[ "$(ps -o ppid= -p "$pid" | tr -d ' ')" != "$$" ]
	for fd in 0 1 2; do
		[ "$(readlink "/proc/$pid/fd/$fd")" = /dev/null ]
	done
	# nobody else of its making is left: the one who started it is gone
	[ "$(pgrep -cf -- "-c $CONF( |\$)")" -eq 1 ]
	# workers that are born later have nothing of the terminal either
	MASTER=$pid
	kill -KILL "$(workers_of "$pid" | head -n 1)"
	wait_for 20 "the end of one" log_has 'event=worker_exit .*reason=SIGKILL'
	wait_for 20 "2 workers" n_workers_is 2
	MASTER=
	for fd in 0 1 2; do
		[ "$(readlink "/proc/$(workers_of "$pid" | tail -n 1)/fd/$fd")" = /dev/null ]
	done
	stop_by_pidfile
}

@test "whoever reads the output of -D sees its end when it returns" {
	local reader
	sed -i '/^log =/d' "$CONF"
	mkfifo "$BATS_TEST_TMPDIR/output"
	beside "$LOG" cat "$BATS_TEST_TMPDIR/output"
	reader=$BESIDE
	timeout 60 "$PREFORKD" -D -c "$CONF" -p "$PIDFILE" >"$BATS_TEST_TMPDIR/output" 2>&1 3>&-
	# neither the daemon nor a worker holds it
	wait_for 20 "the end of its output" process_gone "$reader"
	log_has 'event=ready'
	answers "$(port_of a)"
	stop_by_pidfile
}

@test "-D says what is wrong and returns the status of it: a bad config" {
	echo nonsense >>"$CONF"
	go_to_background -p "$PIDFILE"
	[ "$DAEMON_STATUS" -eq 78 ]
	grep -q "$CONF:[0-9]*: " "$BATS_TEST_TMPDIR/stderr"
	[ ! -e "$PIDFILE" ]
}

@test "-D says what is wrong and returns the status of it: a port that is taken" {
	local port
	sed -i '/^log =/d' "$CONF"
	start_daemon
	port=$(port_of a)
	CONF=$BATS_TEST_TMPDIR/second.conf
	config_with 2 "$port"
	sed -i '/^log =/d' "$CONF"
	go_to_background -p "$PIDFILE"
	[ "$DAEMON_STATUS" -eq 69 ]
	grep -q "event=listen_failed service=a address=127.0.0.1:$port " "$BATS_TEST_TMPDIR/stderr"
	[ ! -e "$PIDFILE" ]
	answers "$port"
	stop_daemon
}

@test "-D says what is wrong and returns the status of it: a lock that is held" {
	sed -i '/^log =/d' "$CONF"
	start_daemon
	go_to_background -p "$PIDFILE"
	[ "$DAEMON_STATUS" -eq 75 ]
	grep -q "event=lock_failed .*pid_of_other=$MASTER" "$BATS_TEST_TMPDIR/stderr"
	answers "$(port_of a)"
	stop_daemon
	go_to_background -p "$PIDFILE"
	[ "$DAEMON_STATUS" -eq 0 ]
	second=$(cat "$PIDFILE")
	go_to_background -p "$PIDFILE"
	[ "$DAEMON_STATUS" -eq 75 ]
	[ "$(cat "$PIDFILE")" = "$second" ]
	stop_by_pidfile
}

@test "-D says what is wrong and returns the status of it: workers that cannot start" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	mkdir -m 700 "$BATS_TEST_TMPDIR/closed"
	sed -i "s,workers .*,&\n\trun { directory = \"$BATS_TEST_TMPDIR/closed\" }," "$CONF"
	sed -i '/^log =/d' "$CONF"
	go_to_background -p "$PIDFILE"
	cat "$BATS_TEST_TMPDIR/stderr"
	[ "$DAEMON_STATUS" -eq 71 ]
	grep -q 'event=start_failed' "$BATS_TEST_TMPDIR/stderr"
	[ ! -e "$PIDFILE" ]
}

@test "-D that is told to stop while it starts does not report success" {
	local starter child
	config_with 400
	beside "$BATS_TEST_TMPDIR/out" "$PREFORKD" -D -c "$CONF" -p "$PIDFILE"
	starter=$BESIDE
	wait_for 30 "the daemon" test -s "$PIDFILE"
	child=$(cat "$PIDFILE")
	kill -TERM "$child"
	wait_for 30 "the end of the daemon" process_gone "$child"
	wait_for 30 "the end of who started it" process_gone "$starter"
	DAEMON_STATUS=0
	wait "$starter" || DAEMON_STATUS=$?
	if log_has 'event=ready'; then
		[ "$DAEMON_STATUS" -eq 0 ]
	else
		[ "$DAEMON_STATUS" -ne 0 ]
	fi
}

@test "-D whose daemon is killed while it starts does not report success" {
	local starter child
	config_with 400
	beside "$BATS_TEST_TMPDIR/out" "$PREFORKD" -D -c "$CONF" -p "$PIDFILE"
	starter=$BESIDE
	wait_for 30 "the daemon" test -s "$PIDFILE"
	child=$(cat "$PIDFILE")
	kill -KILL "$child"
	wait_for 30 "the end of who started it" process_gone "$starter"
	DAEMON_STATUS=0
	wait "$starter" || DAEMON_STATUS=$?
	rm "$PIDFILE"
	[ "$DAEMON_STATUS" -ne 0 ] || log_has 'event=ready'
}

@test "a daemon in the background reloads and reopens its log" {
	go_to_background -p "$PIDFILE"
	MASTER=$(cat "$PIDFILE")
	config_with 4
	reload_daemon
	wait_for 20 "4 workers" n_workers_is 4
	mv "$LOG" "$LOG.old"
	kill -USR1 "$MASTER"
	wait_for 20 "the new log" grep -qs 'event=log_reopened' "$LOG"
	wait_for 20 "the workers of the new log" n_workers_is 4
	MASTER=
	stop_by_pidfile
	log_has 'event=stopped status=0'
}

#!/usr/bin/env bats
# supervise.bats - the master replaces what dies, explains it, and backs off from what cannot start.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup() {
	daemon_setup
}

teardown() {
	daemon_teardown
}

# one echo service "a" with N workers
echo_config() {
	write_config <<-END
	service a {
		address = "127.0.0.1"
		port = 0
		handler = echo
		workers { min = $1 }
		timeouts { drain = 1m }
	}
	END
}

# beside a healthy service "good", "bad" whose workers cannot start when $DIR cannot be entered by nobody
fragile_config() {
	DIR=$BATS_TEST_TMPDIR/dir
	mkdir -p "$DIR"
	write_config <<-END
	service good {
		address = "127.0.0.1"
		port = 0
		handler = echo
		workers { min = 2 }
	}
	service bad {
		address = "127.0.0.1"
		port = 0
		handler = echo
		workers { min = $1 }
		run {
			user = "nobody"
			directory = "$DIR"
		}
	}
	END
}

n_new_workers_are() {
	local pid n=0
	for pid in $(workers_of "$MASTER" "$2"); do
		[[ " ${OLD//$'\n'/ } " == *" $pid "* ]] || n=$((n + 1))
	done
	[ "$n" -eq "$1" ]
}

# When workers of "bad" that came to nothing were born, in ms: the time of their end less their age. Those that are
# born together, before there can be a probe, are one line.
failed_start_times() {
	local ends ages i born first=0
	mapfile -t ends < <(log_ms 'event=worker_exit service=bad .*reason=setup_failed')
	mapfile -t ages < <(sed -n 's/.*event=worker_exit service=bad .*reason=setup_failed.*age_ms=//p' "$LOG")
	for i in "${!ends[@]}"; do
		born=$((ends[i] - ages[i]))
		[ $((born - first)) -gt 70 ] || continue
		first=$born
		echo "$born"
	done
}

failed_starts_are() {
	[ "$(log_count 'event=worker_exit service=bad .*reason=setup_failed')" -ge "$1" ]
}

# assert_doubling TIME...: the gaps are at least 100, 200, 400, ... ms, and not far above; a line may be late, which
# makes the gap behind it shorter, but no gap is like the one before
assert_doubling() {
	local before=$1 at wanted=100
	shift
	for at; do
		echo "gap $((at - before)) ms, wanted $wanted"
		[ $((at - before)) -ge $((wanted * 6 / 10)) ]
		[ $((at - before)) -le $((wanted * 2 + 3000)) ]
		before=$at
		wanted=$((wanted * 2))
	done
}

@test "a worker that is killed while idle is replaced at once" {
	local victim died
	echo_config 4
	start_daemon
	victim=$(workers_of "$MASTER" a | head -n 1)
	OLD=$(workers_of "$MASTER" a)
	died=$(now_ms)
	kill -KILL "$victim"
	wait_for 20 "a new worker" n_new_workers_are 1 a
	[ $(($(now_ms) - died)) -le 4000 ]
	wait_for 20 "4 workers" n_workers_is 4 a
	log_has "event=worker_exit service=a .*worker_pid=$victim .*reason=SIGKILL serving=- .*lost=0"
	[ "$(log_count 'event=worker_exit')" -eq 1 ]
	answers "$(port_of a)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "64 workers killed at once are all back, and no client is refused meanwhile" {
	local port pid
	echo_config 64
	start_daemon
	port=$(port_of a)
	OLD=$(workers_of "$MASTER" a)
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$port" -s 2 -c 4
	wait_for 20 "the first conns" any_served "$port"
	# stopped first, so that no replacement dies as well
	for pid in $OLD; do
		kill -STOP "$pid"
	done
	# one that was woken and has not run yet would still take a second conn of a client
	wait_for 20 "a standstill" all_stopped
	for pid in $OLD; do
		kill -KILL "$pid"
	done
	wait_for 60 "64 new workers" n_new_workers_are 64 a
	answers "$port"
	wait "$BESIDE" || :
	cat "$BATS_TEST_TMPDIR/load"
	grep -q ' refused=0 .* wrong=0 timeout=0' "$BATS_TEST_TMPDIR/load"
	[ "$(log_count 'event=worker_exit .*reason=SIGKILL')" -eq 64 ]
	# at most what each of the clients had in flight
	[ "$(sed 's/.* reset=\([0-9]*\) .*/\1/' "$BATS_TEST_TMPDIR/load")" -le 4 ]
	stop_daemon
	[ "$(account_of a lost)" -le 4 ]
}

all_stopped() {
	local pid state
	for pid in $OLD; do
		read -r state <"/proc/$pid/stat"
		[[ ${state##*) } == T* ]] || return 1
	done
}

# any_served PORT: a client has ended, and the kernel remembers it
any_served() {
	[ -n "$(ss -Htn state time-wait "dport = :$1")" ]
}

@test "a worker that is killed while it serves is explained in one line and counted as lost" {
	local victim peer
	echo_config 2
	start_daemon
	hold "$(port_of a)"
	victim=$(busy_worker a)
	peer=$(ss -Htn "dport = :$(port_of a)" | awk '{ print $4 }')
	kill -KILL "$victim"
	wait_for 20 "its line" log_has "event=worker_exit .*worker_pid=$victim "
	[ "$(log_count "worker_pid=$victim ")" -eq 1 ]
	log_has "level=warning .* event=worker_exit service=a worker=[12] worker_pid=$victim .*reason=SIGKILL serving=$peer accepted=1 served=0 failed=0 refused=0 lost=1"
	wait_for 20 "2 workers" n_workers_is 2 a
	answers "$(port_of a)"
	stop_daemon
	[ "$(account_of a accepted)" -eq 2 ]
	[ "$(account_of a served)" -eq 1 ]
	[ "$(account_of a lost)" -eq 1 ]
	[ "$(account_of a in_flight)" -eq 0 ]
}

@test "every way of dying has its name in the log" {
	local signal victim
	echo_config 3
	start_daemon
	# what a worker does for SIGTERM and SIGUSR1 is to leave
	for signal in SEGV ABRT TERM USR1; do
		victim=$(workers_of "$MASTER" a | head -n 1)
		kill -s "$signal" "$victim"
		wait_for 20 "the line about SIG$signal" log_has "event=worker_exit .*worker_pid=$victim "
		wait_for 20 "3 workers" n_workers_is 3 a
		grep "worker_pid=$victim " "$LOG" >"$BATS_TEST_TMPDIR/line.$signal"
		[ "$(wc -l <"$BATS_TEST_TMPDIR/line.$signal")" -eq 1 ]
	done
	# a sanitizer may turn the signal into an exit with its own report
	grep -Eq 'reason="?(SIGSEGV|status)' "$BATS_TEST_TMPDIR/line.SEGV"
	grep -Eq 'reason="?SIGABRT' "$BATS_TEST_TMPDIR/line.ABRT"
	grep -q 'reason=left' "$BATS_TEST_TMPDIR/line.TERM"
	grep -q 'reason=left' "$BATS_TEST_TMPDIR/line.USR1"
	answers "$(port_of a)"
	stop_daemon
	# the report of a sanitizer about our own SIGSEGV is none of the daemon's faults
	sed -i '/Sanitizer/d' "$LOG"
}

@test "stray signals to a worker change nothing" {
	local before signal pid
	echo_config 2
	start_daemon
	hold "$(port_of a)"
	before=$(workers_of "$MASTER")
	for signal in HUP INT QUIT USR2 PIPE ALRM; do
		for pid in $before; do
			kill -s "$signal" "$pid"
		done
		serve_on 9
		answers "$(port_of a)"
	done
	[ "$(workers_of "$MASTER")" = "$before" ]
	[ "$(log_count 'event=worker_exit')" -eq 0 ]
	release
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "stray signals to the master change nothing" {
	local before signal
	echo_config 2
	start_daemon
	before=$(workers_of "$MASTER")
	for signal in PIPE CHLD WINCH; do
		kill -s "$signal" "$MASTER"
		answers "$(port_of a)"
	done
	[ "$(workers_of "$MASTER")" = "$before" ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a worker that is stopped does not stop the others" {
	local stopped
	echo_config 2
	start_daemon
	stopped=$(workers_of "$MASTER" a | head -n 1)
	kill -STOP "$stopped"
	for _ in 1 2 3 4 5; do
		answers "$(port_of a)"
	done
	kill -CONT "$stopped"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a pool that cannot start any more is probed with doubling pauses, and recovers when it is mended" {
	local pid times good
	need_root
	fragile_config 3
	start_daemon
	good=$(workers_of "$MASTER" good)
	chmod 700 "$DIR"
	# all at a time: it is told of them together
	stop_processes "$MASTER"
	for pid in $(workers_of "$MASTER" bad); do
		kill -KILL "$pid"
	done
	kill -CONT "$MASTER"
	# the three that were of use are replaced at once; then it is one probe at a time
	wait_for 20 "7 failed starts" failed_starts_are 7
	mapfile -t times < <(failed_start_times)
	[ "${#times[@]}" -ge 5 ]
	log_has 'event=worker_setup_failed service=bad .*step=.*run.directory.* error="Permission denied"'
	assert_doubling "${times[@]:0:5}"
	# whom it does not concern is not touched, and what it costs is little
	[ "$(workers_of "$MASTER" good)" = "$good" ]
	answers "$(port_of good)"
	[ "$(log_count 'event=worker_exit service=bad .*reason=setup_failed')" -le 9 ]
	chmod 755 "$DIR"
	wait_for 60 "3 workers again" n_workers_is 3 bad
	answers "$(port_of bad)"
	[ "$(workers_of "$MASTER" good)" = "$good" ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "one seat that cannot start backs off although its siblings are healthy" {
	local times others
	need_root
	fragile_config 3
	start_daemon
	# siblings count as healthy after a second
	wait_for 20 "a second of health" older_than 1500 'event=ready'
	chmod 700 "$DIR"
	others=$(workers_of "$MASTER" bad | tail -n 2)
	kill -KILL "$(workers_of "$MASTER" bad | head -n 1)"
	wait_for 20 "5 failed starts" failed_starts_are 5
	mapfile -t times < <(failed_start_times)
	assert_doubling "${times[@]:0:5}"
	answers "$(port_of bad)"
	[ "$(workers_of "$MASTER" bad | head -n 2)" = "$others" ]
	chmod 755 "$DIR"
	wait_for 60 "3 workers again" n_workers_is 3 bad
	stop_daemon
}

older_than() {
	[ $(($(now_ms) - $(log_ms "$2" | head -n 1))) -ge "$1" ]
}

@test "a first start that cannot come up ends with a status and a line that says why" {
	need_root
	fragile_config 2
	chmod 700 "$DIR"
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -eq 71 ]
	log_has 'event=worker_setup_failed service=bad .*run.directory'
	log_has 'level=error .*event=start_failed error='
	log_lacks 'event=ready'
	log_lacks 'event=fork_failed'
}

@test "fork failures back off and are said, and the pool is full again when they end" {
	local tracer pid before times
	echo_config 3
	start_daemon
	beside "$BATS_TEST_TMPDIR/strace" strace -qq -p "$MASTER" -e trace=clone,clone3,fork,vfork \
		-e inject=clone,clone3,fork,vfork:error=EAGAIN
	tracer=$BESIDE
	wait_for 20 "strace" is_traced "$MASTER"
	before=$(workers_of "$MASTER" | tail -n 1)
	for pid in $(workers_of "$MASTER" | head -n 2); do
		kill -KILL "$pid"
	done
	wait_for 20 "4 failures" fork_failed_times 4
	mapfile -t times < <(log_ms 'event=fork_failed')
	assert_doubling "${times[@]:0:4}"
	log_has 'event=fork_failed service=a workers=[12] error="Resource temporarily unavailable" retry_ms=100'
	log_has 'event=fork_failed .*retry_ms=200'
	[ "$(workers_of "$MASTER")" = "$before" ]
	answers "$(port_of a)"
	# a reload cannot even start its reader, and is refused; nothing else happens
	reload_daemon
	log_has 'event=reload_refused error="Resource temporarily unavailable"'
	answers "$(port_of a)"
	kill -TERM "$tracer"
	wait_for 60 "3 workers again" n_workers_is 3 a
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a user who may have no more processes: those that are there serve, and it goes on when he may" {
	local dir=$BATS_TEST_TMPDIR real
	need_root
	real=$(for_all "$PREFORKD" "$PREFORKD-worker"*)
	install -d -o 54325 "$dir/run"
	# the master and two workers
	cat >"$dir/preforkd" <<-END
		#!/bin/sh
		RUNTIME_DIRECTORY=$dir/run exec prlimit --nproc=3:64 setpriv --reuid=54325 --regid=54325 --clear-groups \
			--inh-caps=-all "$real" "\$@"
	END
	chmod 755 "$dir/preforkd"
	PREFORKD=$dir/preforkd
	start_with 'service a { handler = echo workers { min = 1 max = 4 spare = 1 on_crash_loop = exit } timeouts { drain = 1m } }'
	hold "$(port_of a)" 7
	wait_for 20 "a second worker" n_workers_is 2
	hold "$(port_of a)" 8
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	# that is no crash loop of the service
	wait_for 20 "6 failures" fork_failed_times 6
	log_has 'level=warning .*event=fork_failed service=a workers=1 error="Resource temporarily unavailable" retry_ms=100'
	reload_daemon
	log_has 'event=reload_refused error="Resource temporarily unavailable"'
	serve_on 7
	serve_on 8
	n_workers_is 2
	# root may not do so everywhere
	setpriv --reuid=54325 --regid=54325 --clear-groups prlimit --nproc=64:64 --pid "$MASTER"
	serve_on 9
	wait_for 20 "one to spare" n_workers_is 4
	reload_daemon
	log_has event=reload_done
	log_lacks event=crash_loop
	exec 7>&- 8>&- 9>&-
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

fork_failed_times() {
	[ "$(log_count 'event=fork_failed')" -ge "$1" ]
}

@test "when the master is killed, idle workers leave at once and a busy one finishes" {
	local busy idle pid
	echo_config 3
	start_daemon
	hold "$(port_of a)"
	busy=$(busy_worker a)
	idle=$(workers_of "$MASTER" a | grep -vx "$busy")
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	MASTER=
	for pid in $idle; do
		wait_for 20 "the end of the idle worker $pid" process_gone "$pid"
	done
	serve_on 9
	[ -e "/proc/$busy/fd" ]
	release
	wait_for 20 "the end of the busy worker" process_gone "$busy"
}

# stopped_listening PID: it has the connection that it serves, and no socket more
stopped_listening() {
	[ "$(sockets_of "$1")" -eq 1 ]
}

@test "when the master is killed, a worker that was to leave already has its drain time, and no more" {
	local busy
	start_with 'service a { handler = echo workers { min = 1 } timeouts { idle = 0 drain = 6s } }'
	hold "$(port_of a)"
	busy=$(busy_worker a)
	reload_daemon
	# it was told at the reload, and is told again and again
	wait_for 20 "the end of its listening" stopped_listening "$busy"
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	MASTER=
	serve_on 9
	wait_for 20 "the end of the busy worker" process_gone "$busy"
	release
}

@test "after its master was killed, a new master takes the same addresses at once" {
	local port old
	port=$(free_port)
	write_config <<-END
	service tcp {
		address = "127.0.0.1"
		port = $port
		handler = echo
		workers { min = 3 }
		timeouts { drain = 1m }
	}
	service path {
		family = unix
		path = "$BATS_TEST_TMPDIR/sock"
		handler = echo
		workers { min = 2 }
	}
	END
	start_daemon
	# a worker that still serves somebody does not keep the address either
	hold "$port"
	old=$(workers_of "$MASTER")
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	mv "$LOG" "$LOG.old"
	start_daemon
	answers "$port"
	[ "$(socat -t 20 - "UNIX-CONNECT:$BATS_TEST_TMPDIR/sock" <<<hello)" = hello ]
	serve_on 9
	release
	no_process_left "$old"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ ! -e "$BATS_TEST_TMPDIR/sock" ]
}

@test "workers of a master that was killed may take their time to leave its addresses" {
	local port old
	port=$(free_port)
	start_with "service a { port = $port handler = echo workers { min = 2 } timeouts { drain = 5s } }"
	old=$(workers_of "$MASTER")
	for pid in $old; do
		kill -STOP "$pid"
	done
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	rm "$LOG"
	start_daemon_nowait
	wait_for 20 "a line that it waits" log_has "event=listen_waiting service=a address=127.0.0.1:$port for_ms="
	for pid in $old; do
		kill -CONT "$pid"
	done
	wait_for 20 "event=ready" log_has event=ready
	answers "$port"
	stop_daemon
	# after an end of its own an address that somebody has is final
	rm "$LOG"
	start_daemon
	hold "$port"
	sed "s/service a/service b/" "$CONF" >"$CONF.two"
	run "$PREFORKD" -c "$CONF.two"
	[ "$status" -eq 69 ]
	[[ $output != *listen_waiting* ]]
	release
}

# each condition by its own, so that a failure names it; then all together
hostile_start() {
	local conditions=$1
	write_config <<-END
	log = "$LOG"
	service a {
		address = "127.0.0.1"
		port = 0
		handler = echo
		workers { min = 4 }
		run { nofile = 32 }
	}
	END
	: >"$LOG"
	"$TEST_BIN/hostile" "$conditions" "$PREFORKD" -c "$CONF" 3>&- 2>"$BATS_TEST_TMPDIR/stderr" &
	MASTER=$!
	wait_for 20 "event=ready with $conditions" daemon_is_ready_or_gone
	log_has 'event=ready' || { echo "with $conditions:"; cat "$LOG" "$BATS_TEST_TMPDIR/stderr"; return 1; }
	answers "$(port_of a)"
	OLD=$(workers_of "$MASTER")
	kill -KILL "$(workers_of "$MASTER" | head -n 1)"
	wait_for 20 "a new worker with $conditions" n_new_workers_are 1 a
	reload_daemon
	log_has 'event=reload_done'
	wait_for 20 "4 workers with $conditions" n_workers_is 4 a
	answers "$(port_of a)"
	if [[ $conditions == *closed* ]]; then
		[ "$(find "/proc/$MASTER/fd/"[012] -lname /dev/null | wc -l)" -eq 3 ]
	fi
	# what the parent left open does not reach the workers
	[ "$(find "/proc/$(workers_of "$MASTER" | head -n 1)/fd" -mindepth 1 | wc -l)" -le 8 ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a parent that ignores SIGCHLD does no harm" {
	hostile_start sigchld
}

@test "a parent that ignores or blocks all signals does no harm" {
	hostile_start ignored
	hostile_start blocked
}

@test "a parent that closed the standard descriptors or left 1000 others open does no harm" {
	hostile_start closed
	hostile_start stray
}

@test "a umask of 0777 and low limits of open files do no harm" {
	hostile_start umask
	hostile_start nofile
	hostile_start nofile_hard
}

@test "all hostile conditions together do no harm" {
	hostile_start ignored,sigchld,blocked,stray,umask,closed
}

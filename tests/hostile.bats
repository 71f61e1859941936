#!/usr/bin/env bats
# hostile.bats - workers that crash again and again, and workers that somebody has taken over: what they cost the others.
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup_file() {
	compile_module "$BATS_FILE_TMPDIR/wild.so" wild
	compile_module "$BATS_FILE_TMPDIR/talk.so" talk
}

setup() {
	daemon_setup
	DIR=$BATS_TEST_TMPDIR
	# a fault of a module is none of the sanitizers'
	export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0:handle_abort=0:handle_sigbus=0
}

teardown() {
	daemon_teardown
}

# wild WORDS...: to the service wild, on descriptor 9
wild() {
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of wild)"
	echo "$*" >&9
}

# says LINE: what descriptor 9 says next
says() {
	local line
	read -rt 30 line <&9 && [ "$line" = "$1" ]
}

# ticks_of PID: the processor time it has used, in 1/100 s
ticks_of() {
	awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# good MS: for so long the service good answers again and again, and the master works for less than a quarter of the time
good() {
	local began ticks n=0 slowest=0 at
	began=$(now_ms)
	ticks=$(ticks_of "$MASTER")
	while (($(now_ms) - began < $1)); do
		at=$(now_ms)
		answers "$(port_of good)" || { echo "answer $n is missing"; return 1; }
		at=$(($(now_ms) - at))
		((at <= slowest)) || slowest=$at
		n=$((n + 1))
	done
	ticks=$(($(ticks_of "$MASTER") - ticks))
	echo "$n answers, the slowest after $slowest ms; the master used $ticks ticks in $(($(now_ms) - began)) ms"
	((ticks * 10 * 4 < $(now_ms) - began))
}

wild_config() {
	cat <<-END
	service good { handler = echo workers { min = 1 } timeouts { drain = 30s } }
	service wild {
		handler = "$BATS_FILE_TMPDIR/wild.so"
		workers { $1 }
		timeouts { $2 drain = 30s }
	}
	END
}

# The accounts of a service that lies are what it says they are.
forget_account() {
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_lacks 'level=bug .*service=good'
	sed -i "/event=account.* service=wild/d" "$LOG"
}

# alive: the service wild works, with another worker if need be
alive() {
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of wild)"
	echo "spin 1" >&9
	says spin
}

@test "a worker that writes anything all over the memory it shares with the master harms nobody else" {
	local good
	start_with "$(wild_config 'min = 2 max = 4 idle_timeout = 100ms max_connections = 1000' \
		'total = 20s stuck = 20s slow = 100ms')"
	good=$(workers_of "$MASTER" good)
	wild scribble 1000
	good 900
	says scribble
	wild lie 1000
	good 900
	says lie
	# also when it dies with that
	wild lie 600000
	kill -KILL "$(workers_of "$MASTER" wild | head -n 1)"
	wait_for 20 "the line" log_has 'event=worker_exit service=wild .*reason=SIGKILL'
	wait_for 30 "a worker that works" alive
	[ "$(workers_of "$MASTER" good)" = "$good" ]
	log_lacks 'event=worker_(exit|stuck|killed) service=good'
	forget_account
}

# gaps_are MS: so long at least between two lines that match REGEX
gaps_are() {
	log_ms "$2" | awk -v least="$1" 'NR > 1 && $1 - last < least { print "only " $1 - last; bad = 1 } { last = $1 } END { exit bad }'
}

@test "slow: a worker that lies about its connections has one line in the time of a slow one, as an honest one has" {
	start_with "$(wild_config 'min = 1' 'slow = 100ms')"
	wild lie 1200
	says lie
	wait_for 20 "the line" log_has 'event=conn_slow service=wild '
	# 100 by the master's clock, which looks before it writes
	gaps_are 50 'event=conn_slow service=wild '
	forget_account
}

@test "a worker that calls the master as fast as it can harms nobody else" {
	start_with "$(wild_config 'min = 1 max = 4' 'total = 0')"
	wild flood 1200
	good 900
	says flood
	alive
	log_lacks 'event=worker_(exit|stuck|killed) service=good'
}

@test "a worker that calls the master as fast as it can harms nobody else, when it cannot grow either" {
	start_with "$(wild_config 'min = 2' 'slow = 100ms')"
	wild flood 1200
	good 900
	says flood
	alive
}

@test "a worker that closes everything is one worker less, and stuck is its end" {
	local pid
	start_with "$(wild_config 'min = 1 max = 2' 'total = 200ms stuck = 200ms')"
	pid=$(workers_of "$MASTER" wild)
	wild close
	wait_for 30 "its end" log_has "event=worker_exit service=wild .*worker_pid=$pid .*reason=SIGKILL .*lost=1"
	log_has "event=worker_killed service=wild .*worker_pid=$pid reason=stuck"
	# in its 200 ms
	wait_for 30 "another one" alive
	good 200
}

@test "who crashes his own worker again and again brakes nobody else of the service" {
	local held
	start_with "service a { handler = \"$BATS_FILE_TMPDIR/talk.so\" workers { min = 2 } timeouts { drain = 30s } }"
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	echo 1 >&9
	says 1
	held=$(busy_worker a)
	for _ in {1..20}; do
		printf 'crash\n' | socat -t 30 - "TCP:$(address_of a)" >"$DIR/crash" 2>&1 || :
		[ "$(echo 2 | socat -t 30 - "TCP:$(address_of a)")" = 2 ]
	done
	wait_for 20 "20 lines" crashed 20
	log_has 'level=warning .*event=worker_exit service=a .*reason="?SIGSEGV.* serving=127.0.0.1:[0-9]+ accepted=[0-9]+ .*lost=1 oom=no conn_age_ms='
	log_lacks event=crash_loop
	echo 3 >&9
	says 3
	[ -e "/proc/$held/fd" ]
	exec 9>&-
	wait_for 20 "2 workers" n_workers_is 2
	stop_daemon
	account_is a lost=20 served=21
}

crashed() {
	[ "$(log_count 'event=worker_exit .*reason="?SIGSEGV')" -eq "$1" ]
}

# crash_loop NAME=ACTION...: services whose workers cannot start any more, beside a good one
crash_loop() {
	local one pid
	need_root
	mkdir -p "$DIR/dir"
	{
		echo "control { path = \"$DIR/control.sock\" }"
		echo 'service good { handler = echo workers { min = 1 } timeouts { drain = 30s } }'
		for one; do
			echo "service ${one%=*} { handler = echo workers { min = 2 on_crash_loop = ${one#*=} }
				run { user = nobody directory = \"$DIR/dir\" } }"
		done
	} | write_config
	start_daemon
	chmod 700 "$DIR/dir"
	for one; do
		for pid in $(workers_of "$MASTER" "${one%=*}"); do
			kill -KILL "$pid"
		done
	done
	for one; do
		wait_for 60 "crash_loop" log_has "level=error .*event=crash_loop service=${one%=*} failures=5 action=${one#*=}"
	done
}

@test "on_crash_loop: backoff is said once and tries again, stop leaves clients waiting until a reload" {
	local failures
	crash_loop more=backoff halt=stop
	failures=$(log_count 'event=worker_exit service=halt .*reason=setup_failed')
	chmod 755 "$DIR/dir"
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of halt)"
	# the other one has waited as long as this one would have
	wait_for 60 "2 workers" n_workers_is 2 more
	answers "$(port_of more)"
	answers "$(port_of good)"
	n_workers_is 0 halt
	[ "$(log_count 'event=worker_exit service=halt .*reason=setup_failed')" -eq "$failures" ]
	reload_daemon
	log_has event=reload_done
	serve_on 9
	answers "$(port_of halt)"
	[ "$(log_count event=crash_loop)" -eq 2 ]
}

# crash_loops N: so many were said
crash_loops() {
	[ "$(log_count event=crash_loop)" -eq "$1" ]
}

@test "a pool that was stopped is tried again when it is resumed or reloaded, and stops again" {
	local again n=1
	export RELOAD_KEY=
	crash_loop halt=stop
	for again in "resume halt" "reload --wait"; do
		n_workers_is 0 halt
		# shellcheck disable=SC2086  # words
		"$PREFORKCTL" -s "$DIR/control.sock" $again
		n=$((n + 1))
		wait_for 60 "it stops again after $again" crash_loops $n
		"$PREFORKCTL" -s "$DIR/control.sock" status | grep -q '^halt  *stopped  *0 '
	done
	n_workers_is 0 halt
	[ "$(log_count 'event=worker_exit service=halt .*reason=setup_failed')" -ge 12 ]
}

@test "on_crash_loop = exit: the end, with status 70" {
	crash_loop bad=exit
	wait_daemon
	[ "$DAEMON_STATUS" -eq 70 ]
	log_has 'event=stopped status=70'
	# not when the next try is due, 1.6 s later
	[ $(($(log_ms 'event=stopping') - $(log_ms 'event=crash_loop'))) -lt 1500 ]
}

@test "64 workers that die at once while the master is stopped are all explained and back" {
	local pid old
	start_with 'service a { handler = echo workers { min = 64 } }'
	hold "$(port_of a)"
	old=$(workers_of "$MASTER")
	stop_processes "$MASTER"
	for pid in $old; do
		kill -KILL "$pid"
	done
	no_process_left "$old"
	kill -CONT "$MASTER"
	wait_for 30 "64 lines" killed 64
	wait_for 30 "64 workers" n_workers_is 64
	answers "$(port_of a)"
	killed 64
	[ "$(log_count 'event=worker_exit .*lost=1 ')" -eq 1 ]
	log_lacks 'event=crash_loop'
}

killed() {
	[ "$(log_count 'level=warning .*event=worker_exit .*reason=SIGKILL')" -eq "$1" ]
}

@test "on demand: who comes while no worker can be forked waits, and is served when that is over" {
	local tracer
	start_with 'service a { handler = echo workers { min = 0 max = 2 idle_timeout = 50ms } }' \
		'service good { handler = echo workers { min = 1 } }'
	wait_for 20 "no worker" n_workers_is 0 a
	beside "$DIR/strace" strace -qq -p "$MASTER" -e trace=clone,clone3,fork,vfork \
		-e inject=clone,clone3,fork,vfork:error=ENOMEM
	tracer=$BESIDE
	wait_for 30 "strace" is_traced "$MASTER"
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	wait_for 30 "3 failures" fork_failed_times 3
	log_has 'event=fork_failed service=a workers=[12] error="Cannot allocate memory" retry_ms=100'
	answers "$(port_of good)"
	kill -TERM "$tracer"
	wait_for 30 "its end" process_gone "$tracer"
	serve_on 9
}

fork_failed_times() {
	[ "$(log_count 'event=fork_failed')" -ge "$1" ]
}

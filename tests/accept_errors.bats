#!/usr/bin/env bats
# accept_errors.bats - when accept(2) or recvmmsg(2) fails: nobody spins, nobody gives up because of a shortage.
#
# strace makes the system calls of a worker fail (inject=).

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	TRACE=$BATS_TEST_TMPDIR/trace
	TRACER=
}

teardown() {
	if [ -n "$TRACER" ]; then
		end_trace
	fi
	daemon_teardown
}

# inject PID CALL:ERROR:WHEN: from now on these calls fail, until end_trace
inject() {
	strace -f -ttt -o "$TRACE" -e "inject=$2:error=$3:when=$4" -p "$1" 2>"$TRACE.messages" 3>&- &
	TRACER=$!
	wait_for 30 "strace to attach" grep -Eq 'attached$|not permitted' "$TRACE.messages"
	grep -q 'Operation not permitted' "$TRACE.messages" && strict_skip "kernel: no ptrace here"
	return 0
}

end_trace() {
	kill -TERM "$TRACER" 2>"$TRACE.kill" || :
	wait "$TRACER" || :
	TRACER=
}

# injected: how many calls failed by our hand
injected() {
	grep -c '(INJECTED)' "$TRACE" || :
}

injected_are() {
	[ "$(injected)" -ge "$1" ]
}

# pauses_ms: between the first and the last of them, in milliseconds
pauses_ms() {
	awk '/\(INJECTED\)/ && match($0, /[0-9]+\.[0-9]+ /) { at = substr($0, RSTART); first = first ? first : at }
		END { printf "%d\n", (at - first) * 1000 }' "$TRACE"
}

# start_one CONFIG: one service "hello" with one worker
start_one() {
	write_config <<<"service hello { ${1:-} handler = echo workers { min = 1 } }"
	start_daemon
	WORKER=$(workers_of "$MASTER")
}

echoes() {
	[ "$(echo hello | timeout 20 socat -t 20 - "TCP:$(address_of hello)")" = hello ]
}

still_the_same() {
	[ "$(workers_of "$MASTER")" = "$WORKER" ]
	[ "$(log_count 'event=worker_exit')" -eq 0 ]
}

@test "out of descriptors a worker pauses, says so once, and goes on" {
	for error in EMFILE ENFILE ENOBUFS ENOMEM; do
		echo "$error"
		: >"$LOG"
		start_one
		inject "$WORKER" accept4 "$error" 1..4
		# it waits in the queue meanwhile, and is served
		echoes
		still_the_same
		end_trace
		[ "$(injected)" -eq 4 ]
		# 50 + 100 + 200 ms
		echo "$(pauses_ms) ms"
		(($(pauses_ms) >= 350))
		[ "$(log_count 'event=accept_paused service=hello')" -eq 1 ]
		[ "$(log_count 'level=warning .*event=accept_paused')" -eq 1 ]
		stop_daemon
		[ "$(account_of hello served)" -eq 1 ]
	done
}

@test "a shortage that lasts does not make a worker spin" {
	start_one
	began=$(now_ms)
	inject "$WORKER" accept4 EMFILE 1+
	wait_for 20 "the first error" injected_are 1
	read -rt 3 <> <(:) || :
	still_the_same
	end_trace
	# 50, 100, 200, 400, 800 ms, then 1 s: never 100 in three seconds
	took=$(($(now_ms) - began))
	echo "$(injected) errors in $took ms"
	(($(injected) >= 3 && $(injected) <= 7 + took / 1000))
	[ "$(log_count 'event=accept_paused')" -eq 1 ]
	echoes
	still_the_same
}

@test "a shortage does not hold up a stop" {
	start_one 'timeouts { drain = 30s }'
	inject "$WORKER" accept4 EMFILE 1+
	wait_for 30 "the sixth error, after which pauses are a second" injected_are 6
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	end_trace
	# the last pause was cut short, and nothing came behind it
	grep -F 'poll(NULL, 0, 1000' "$TRACE" | tail -n 1 | grep ERESTART
}

@test "after a shortage is over, another one is said again" {
	start_one
	inject "$WORKER" accept4 EMFILE 1
	echoes
	end_trace
	wait_for 20 "the line" log_has 'event=accept_paused'
	inject "$WORKER" accept4 EMFILE 1
	echoes
	end_trace
	[ "$(log_count 'event=accept_paused')" -eq 2 ]
}

@test "an error of one connection is no matter: the next one is accepted at once, without a word" {
	for error in ECONNABORTED EPROTO ENETDOWN EHOSTUNREACH EPERM EINTR; do
		echo "$error"
		: >"$LOG"
		start_one
		inject "$WORKER" accept4 "$error" 1..5
		echoes
		still_the_same
		end_trace
		[ "$(injected)" -eq 5 ]
		[ "$(log_count 'event=accept_paused|listener_broken')" -eq 0 ]
		stop_daemon
	done
}

@test "an error of connections that never ends does not make a worker spin" {
	start_one
	began=$(now_ms)
	inject "$WORKER" accept4 ECONNABORTED 1+
	wait_for 20 "the first error" injected_are 1
	read -rt 2 <> <(:) || :
	end_trace
	still_the_same
	# 16 of them at once, then pauses of 50 ms to 1 s
	took=$(($(now_ms) - began))
	echo "$(injected) errors in $took ms"
	(($(injected) <= 30 + took / 1000))
	echoes
}

@test "datagrams: a shortage is a pause, an error of the network is none" {
	start_one 'type = dgram'
	inject "$WORKER" recvmmsg ENOBUFS 1..3
	"$TEST_BIN/dgram" -w 10000 "$(address_of hello)" hello
	end_trace
	[ "$(injected)" -eq 3 ]
	[ "$(log_count 'event=accept_paused')" -eq 1 ]
	# what an ICMP message leaves on a socket
	inject "$WORKER" recvmmsg ECONNREFUSED 1..3
	"$TEST_BIN/dgram" -w 10000 "$(address_of hello)" hello
	end_trace
	[ "$(log_count 'event=accept_paused')" -eq 1 ]
	still_the_same
}

@test "an answer that cannot be sent fails alone" {
	start_one 'type = dgram'
	inject "$WORKER" sendmmsg EPERM 1
	run -1 "$TEST_BIN/dgram" -w 500 "$(address_of hello)" hello
	"$TEST_BIN/dgram" -w 10000 "$(address_of hello)" hello
	end_trace
	still_the_same
	stop_daemon
	[ "$(account_of hello failed)" -eq 1 ]
	[ "$(account_of hello served)" -eq 1 ]
}

@test "a listener that is broken ends its worker, and another one takes its place" {
	for error in EINVAL EBADF ENOTSOCK; do
		echo "$error"
		: >"$LOG"
		start_one
		inject "$WORKER" accept4 "$error" 1
		wait_for 20 "the end of the worker" log_has 'event=worker_exit .*reason=listener_broken'
		[ "$(log_count 'level=error .*event=listener_broken service=hello')" -eq 1 ]
		end_trace
		wait_for 30 "another worker" has_another
		echoes
		stop_daemon
		[ "$DAEMON_STATUS" -eq 0 ]
	done
}

has_another() {
	local now
	now=$(workers_of "$MASTER")
	[ -n "$now" ] && [ "$now" != "$WORKER" ]
}

@test "workers whose listener is broken for good are replaced with growing pauses, not in a tight loop" {
	write_config <<<'service hello { handler = echo workers { min = 1 } }'
	strace -qq -o "$TRACE.probe" true || strict_skip "kernel: no ptrace here"
	# each process under this strace, so each new worker too
	cat >"$BATS_TEST_TMPDIR/preforkd" <<-END
		#!/bin/sh
		exec strace -f -qq -o "$TRACE" -e trace=accept4 -e inject=accept4:error=EINVAL:when=1+ "$PREFORKD" "\$@"
	END
	chmod 755 "$BATS_TEST_TMPDIR/preforkd"
	PREFORKD=$BATS_TEST_TMPDIR/preforkd
	# the leak checker of sanitizer builds does not work in a process that is traced
	export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
	start_daemon_nowait
	tracer=$MASTER MASTER=
	wait_for 30 "the first end of a worker" log_has 'reason=listener_broken'
	wait_for 30 "event=ready" log_has 'event=ready'
	began=$(now_ms)
	read -rt 3 <> <(:) || :
	kill -TERM "$(sed -n 's/.* pid=\([0-9]*\) event=ready.*/\1/p' "$LOG")"
	wait_for 20 "the end of the master" process_gone "$tracer"
	wait "$tracer" || :
	# 100, 200, 400, 800, 1600 ms
	took=$(($(now_ms) - began))
	echo "$(log_count 'reason=listener_broken') workers in $took ms"
	(($(log_count 'reason=listener_broken') >= 2 && $(log_count 'reason=listener_broken') <= 7 + took / 3000))
	log_has 'event=stopped'
}

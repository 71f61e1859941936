#!/usr/bin/env bats
# timeouts.bats - timeouts { idle total }: clients that are silent, slow, or never stop.
#
# Times are taken by the client, whose clock starts before the server's: an end before the deadline is a fault. One much
# later is, too; how much depends on what else the machine has to do, so it is 15 s, of times that end otherwise never
# or after a minute.

bats_require_minimum_version 1.5.0
load lib/daemon

setup() { daemon_setup; }

teardown() { daemon_teardown; }

# service NAME KEYS TIMEOUTS
service() {
	echo "service $1 { $2 workers { min = 1 } timeouts { $3 } }"
}

# within DEADLINE MS: not before the deadline (the server's clock counts whole milliseconds), at most 15 s later.
within() {
	echo "deadline $1 ms, ended after $2 ms"
	(($2 >= $1 - 2 && $2 <= $1 + 15000))
}

# silence PORT: connect, say nothing; prints after how many ms the end came.
silence() {
	local began fd
	began=$(now_ms)
	exec {fd}<>"/dev/tcp/127.0.0.1/$1"
	read -rt 40 -n 1 -u "$fd" && return 1
	echo $(($(now_ms) - began))
	exec {fd}>&-
}

# drip PORT: a byte every 100 ms until the end comes, for at most 30 s.
drip() {
	local began fd status=0 i
	trap '' PIPE
	began=$(now_ms)
	exec {fd}<>"/dev/tcp/127.0.0.1/$1"
	for ((i = 0; i < 300; i++)); do
		{ printf x >&"$fd"; } 2>/dev/null || break
		# more than 128: nothing yet
		status=0
		read -rt 0.1 -N 2000 -u "$fd" || status=$?
		((status > 128)) || break
	done
	echo $(($(now_ms) - began))
}

failed_is() {
	[ "$(log_count "event=conn_failed service=$1 ")" -eq "$2" ]
}

# age_of SERVICE: how long its connection lasted, by the log.
age_of() {
	sed -n "s/.*event=conn_failed service=$1 .*age_ms=\([0-9]*\).*/\1/p" "$LOG"
}

@test "silence ends when the idle time is over, and is counted as failed" {
	start_debug "$(service hello 'handler = echo' 'idle = 500ms total = 0')"
	within 500 "$(silence "$(port_of hello)")"
	log_has 'event=conn_failed service=hello .*error="?Connection timed out'
	stop_daemon
	[ "$(account_of hello failed)" -eq 1 ]
	[ "$(account_of hello served)" -eq 0 ]
}

@test "silence ends on unix streams and records, too" {
	start_debug "$(service path "family = unix path = \"$BATS_TEST_TMPDIR/s\" handler = echo" 'idle = 400ms')" \
		"$(service rec "family = unix type = seqpacket path = \"$BATS_TEST_TMPDIR/r\" handler = discard" 'idle = 400ms')"
	for to in "$BATS_TEST_TMPDIR/s" "$BATS_TEST_TMPDIR/r,socktype=5"; do
		began=$(now_ms)
		# it only reads: nothing to send, and its sending side stays open
		socat -u "UNIX-CONNECT:$to" - >"$BATS_TEST_TMPDIR/got"
		within 400 $(($(now_ms) - began))
	done
	failed_is path 1
	failed_is rec 1
}

@test "the idle time begins anew with every byte: a slow drip goes on" {
	start_debug "$(service hello 'handler = echo' 'idle = 2s total = 0')"
	exec {fd}<>"/dev/tcp/127.0.0.1/$(port_of hello)"
	began=$(now_ms)
	while (($(now_ms) - began < 4500)); do
		printf x >&"$fd"
		read -rt 30 -N 1 -u "$fd" byte
		[ "$byte" = x ]
		read -rt 0.1 <> <(:) || :
	done
	exec {fd}>&-
	stop_daemon
	[ "$(account_of hello served)" -eq 1 ]
}

@test "a slow drip ends when the total time is over" {
	start_debug "$(service hello 'handler = echo' 'idle = 2s total = 4s')"
	within 4000 "$(drip "$(port_of hello)")"
	wait_for 20 "the failed connection" failed_is hello 1
	within 4000 "$(age_of hello)"
}

@test "total alone ends silence, when idle is 0" {
	start_debug "$(service hello 'handler = echo' 'idle = 0 total = 700ms')"
	within 700 "$(silence "$(port_of hello)")"
}

@test "a client that never stops sending ends when the total time is over" {
	start_debug "$(service sink 'handler = discard' 'idle = 2s total = 3s')"
	began=$(now_ms)
	timeout 40 socat -b 1000000 -u /dev/zero "TCP:$(address_of sink)" 2>"$BATS_TEST_TMPDIR/socat" || :
	within 3000 $(($(now_ms) - began))
	wait_for 20 "the failed connection" failed_is sink 1
}

@test "a client that never stops reading ends when the total time is over" {
	start_debug "$(service flood 'handler = chargen' 'idle = 2s total = 3s')"
	began=$(now_ms)
	timeout 40 socat -u "TCP:$(address_of flood)" OPEN:/dev/null || :
	within 3000 $(($(now_ms) - began))
	wait_for 20 "the failed connection" failed_is flood 1
}

@test "a client that does not read ends when the idle time is over" {
	start_debug "$(service flood 'handler = chargen' 'idle = 600ms total = 0')"
	exec {fd}<>"/dev/tcp/127.0.0.1/$(port_of flood)"
	wait_for 20 "the failed connection" failed_is flood 1
	within 600 "$(age_of flood)"
	log_has 'event=conn_failed service=flood .*error="?Connection timed out'
	exec {fd}>&-
	stop_daemon
	[ "$(account_of flood failed)" -eq 1 ]
}

@test "a client that has been timed out leaves the worker for the next one at once" {
	start_debug "$(service hello 'handler = echo' 'idle = 1s')"
	worker=$(workers_of "$MASTER")
	within 1000 "$(silence "$(port_of hello)")"
	[ "$(echo again | socat -t 20 - "TCP:$(address_of hello)")" = again ]
	[ "$(workers_of "$MASTER")" = "$worker" ]
}

@test "a timer left over from one connection does not shorten the next one" {
	start_debug "$(service hello 'handler = echo' 'idle = 1s')"
	# arms the timer, which then runs on
	echo short | socat -t 20 - "TCP:$(address_of hello)"
	read -rt 0.6 <> <(:) || :
	within 1000 "$(silence "$(port_of hello)")"
	# and one after a time-out, too
	within 1000 "$(silence "$(port_of hello)")"
	failed_is hello 2
}

@test "idle = 0 and total = 0 wait for ever" {
	start_debug "$(service hello 'handler = echo' 'idle = 0 total = 0')" \
		"$(service other 'handler = echo' 'idle = 300ms total = 300ms')"
	exec {fd}<>"/dev/tcp/127.0.0.1/$(port_of hello)"
	# as long as others need to end seven times
	for _ in {1..7}; do
		within 300 "$(silence "$(port_of other)")"
	done
	printf x >&"$fd"
	read -rt 30 -N 1 -u "$fd" byte
	[ "$byte" = x ]
	exec {fd}>&-
	stop_daemon
	[ "$(account_of hello served)" -eq 1 ]
	[ "$(account_of other failed)" -eq 7 ]
}

@test "a worker that waits for a silent client leaves when the idle time is over after SIGTERM" {
	start_debug "$(service hello 'handler = echo' 'idle = 2s drain = 1m')"
	exec {fd}<>"/dev/tcp/127.0.0.1/$(port_of hello)"
	printf x >&"$fd"
	read -rt 30 -N 1 -u "$fd" byte
	began=$(now_ms)
	stop_daemon
	# the stop signal is repeated every 100 ms and interrupts the read, but the deadline stays; it began before we saw it
	within 1000 $(($(now_ms) - began))
	[ "$(account_of hello failed)" -eq 1 ]
	exec {fd}>&-
}

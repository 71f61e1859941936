#!/usr/bin/env bats
# hotpath.bats - system calls: per connection those of a bare loop and none more; while idle none at all.

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	TRACE=$BATS_TEST_TMPDIR/trace
	STARTED=$SECONDS
	TRACER=
}

teardown() {
	if [ -n "$TRACER" ]; then
		end_trace
	fi
	daemon_teardown
}

# trace PID...: write the system calls of these processes to $TRACE, until end_trace
trace() {
	local pid args=()
	for pid in "$@"; do
		args+=(-p "$pid")
	done
	strace -f -o "$TRACE" "${args[@]}" 2>"$TRACE.messages" 3>&- &
	TRACER=$!
	wait_for 30 "strace to attach" attached $#
	grep -q 'Operation not permitted' "$TRACE.messages" && strict_skip "kernel: no ptrace here"
	return 0
}

attached() {
	[ "$(grep -c 'attached$' "$TRACE.messages")" -ge "$1" ] || grep -q 'not permitted' "$TRACE.messages"
}

# traced NAME N: so many of these calls have come back; the last one may be on its way when its client has its answer
traced() {
	[ "$(count "$1")" -ge "$2" ]
}

end_trace() {
	kill -TERM "$TRACER"
	wait "$TRACER" || :
	TRACER=
}

# The one who takes the last idle worker tells the master, at most once a second.
BELL='write\([0-9]+, "\\1(\\0){7}", 8\)'

bell_calls() {
	grep -cE "$BELL" "$TRACE" || :
}

# calls: "number name" for each system call that was made, the waiting one that was cut by strace's end is not one
calls() {
	grep -vE "$BELL" "$TRACE" | sed -nE '/<unfinished|<detached|= \? ERESTART|--- SIG|resumed>/d; s/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' | sort | uniq -c
}

count() {
	calls | awk -v name="$1" '$2 == name { n = $1 } END { print n + 0 }'
}

others() {
	calls | grep -Ev ' (accept4|read|write|close)$' | awk '{ n += $1 } END { print n + 0 }'
}

# served_by_one CONNECTIONS OPTION...: so many echo connections, one after the other
clients() {
	run -0 "$TEST_BIN/load" -n "$1" -c 1 "${@:2}" --timeout 60000
	[[ $output = *"ok=$1 "* ]]
}

# trace_clients SERVICE CONNECTIONS OPTION...: what its one worker, which waits now, does for them
trace_clients() {
	local worker
	worker=$(workers_of "$MASTER" "$1")
	wait_for 20 "a worker that waits" are_idle "$worker"
	trace "$worker"
	clients "${@:2}"
	wait_for 20 "the last close" traced close "$2"
	end_trace
}

# bare_loop_only CONNECTIONS: accept4, read, write, read, close for each, and a handful for the deadline's timer
bare_loop_only() {
	calls
	[ "$(count accept4)" -eq "$1" ]
	[ "$(count read)" -eq $(($1 * 2)) ]
	[ "$(count write)" -eq "$1" ]
	[ "$(count close)" -eq "$1" ]
	[ "$(others)" -le 8 ]
	[ "$(bell_calls)" -le $((2 + SECONDS - STARTED)) ]
}

@test "an echo connection costs accept4, read, write, read, close and no other system call" {
	write_config <<-END
		service tcp { handler = echo workers { min = 1 } }
		service path { family = unix path = "$BATS_TEST_TMPDIR/s" handler = echo workers { min = 1 } }
	END
	start_daemon
	# the first connection arms the timer, and touches what was never touched before
	clients 1 -p "$(port_of tcp)"
	trace_clients tcp 200 -p "$(port_of tcp)"
	bare_loop_only 200
	trace_clients path 200 -u "$BATS_TEST_TMPDIR/s"
	bare_loop_only 200
}

@test "the calls of each connection come in the order of a bare loop" {
	write_config <<<'service tcp { handler = echo workers { min = 1 } }'
	start_daemon
	clients 1 -p "$(port_of tcp)"
	trace_clients tcp 10 -p "$(port_of tcp)"
	order=$(sed -nE '/<unfinished|<detached|ERESTART/d; s/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$TRACE" | tr '\n' ' ')
	want=
	for _ in {1..10}; do
		want+="accept4 read write read close "
	done
	echo "$order"
	[ "$order" = "$want" ]
}

@test "deadlines cost no system call per connection" {
	write_config <<-END
		service tcp { handler = echo workers { min = 1 } timeouts { idle = 10s total = 20s } }
	END
	start_daemon
	began=$EPOCHREALTIME
	trace_clients tcp 500 -p "$(port_of tcp)"
	seconds=$(((${EPOCHREALTIME/./} - ${began/./}) / 1000000))
	calls
	[ "$(count accept4)" -eq 500 ]
	# once at the begin, and once more a second, however many connections there are
	(($(count timer_settime) >= 1))
	(($(count timer_settime) <= seconds + 2))
}

@test "a datagram that finds its worker waiting costs two system calls" {
	write_config <<<'service udp { type = dgram handler = echo workers { min = 1 } }'
	start_daemon
	"$TEST_BIN/dgram" "$(address_of udp)" hello
	trace "$(workers_of "$MASTER")"
	for _ in {1..20}; do
		"$TEST_BIN/dgram" "$(address_of udp)" hello
	done
	wait_for 20 "the last answer" traced sendmmsg 20
	end_trace
	calls
	[ "$(count recvmmsg)" -eq 20 ]
	[ "$(count sendmmsg)" -eq 20 ]
	[ "$(calls | awk '{ n += $1 } END { print n }')" -le 44 ]
}

@test "many datagrams that wait are received and answered in batches" {
	write_config <<<'service udp { type = dgram handler = echo workers { min = 1 } }'
	start_daemon
	"$TEST_BIN/dgram" "$(address_of udp)" hello
	worker=$(workers_of "$MASTER")
	stop_processes "$worker"
	"$TEST_BIN/dgram" -c 64 -w 0 "$(address_of udp)" hello >"$BATS_TEST_TMPDIR/lines" || :
	trace "$worker"
	kill -CONT "$worker"
	# behind those 64
	"$TEST_BIN/dgram" -w 10000 "$(address_of udp)" hello
	end_trace
	calls
	(($(count recvmmsg) >= 4 && $(count recvmmsg) <= 6))
}

# switches PID...: how often each has run, by the kernel's own count
switches() {
	local pid
	for pid in "$@"; do
		awk '/ctxt_switches/ { print FILENAME, $0 }' "/proc/$pid/status"
	done
}

@test "an idle daemon makes no system call, in the master and in any worker" {
	write_config <<-END
		service tcp { handler = echo workers { min = 4 } timeouts { idle = 300ms } }
		service udp { type = dgram handler = echo workers { min = 2 } }
		service path { family = unix path = "$BATS_TEST_TMPDIR/s" handler = echo workers { min = 2 } }
	END
	start_daemon
	# it was not always idle: timers have been armed
	clients 100 -p "$(port_of tcp)"
	clients 100 -u "$BATS_TEST_TMPDIR/s" -P 1
	"$TEST_BIN/dgram" -c 20 "$(address_of udp)" hello
	# they run off within the default idle time of the path's service, so end its workers first: theirs are new
	for pid in $(workers_of "$MASTER" path); do
		kill -KILL "$pid"
	done
	wait_for 20 "eight workers" n_workers_is 8
	wait_for 30 "quiet" is_quiet
	mapfile -t workers < <(workers_of "$MASTER")
	trace "$MASTER" "${workers[@]}"
	# their calls were cut short, and have been begun again
	wait_for 30 "quiet under strace" is_quiet
	before=$(switches "${workers[@]}")
	read -rt 3 <> <(:) || :
	after=$(switches "${workers[@]}")
	end_trace
	calls
	[ "$(calls | wc -l)" -eq 0 ]
	# nine waiting calls were begun again when strace came, and nothing else happened
	[ "$(grep -cE '^[0-9]+ +[a-z0-9_]+\(' "$TRACE")" -le 9 ]
	[ "$before" = "$after" ]
}

# is_quiet: for a second nobody was switched to
is_quiet() {
	local before pids
	mapfile -t pids < <(workers_of "$MASTER")
	before=$(switches "$MASTER" "${pids[@]}")
	read -rt 1 <> <(:) || :
	[ "$(switches "$MASTER" "${pids[@]}")" = "$before" ]
}

@test "pools that may grow, that are empty, or that have limits of time and memory make no system call either, when idle" {
	local workers before after
	write_config <<-END
		service grows { handler = echo workers { min = 2 max = 8 idle_timeout = 100ms } }
		service none { handler = echo workers { min = 0 max = 8 idle_timeout = 100ms } }
		service udp { type = dgram handler = echo workers { min = 0 max = 2 idle_timeout = 100ms } }
		service limits {
			handler = echo
			workers { min = 2 max_rss = 1G max_connections = 1000 }
			timeouts { slow = 100ms total = 2s stuck = 1s }
		}
	END
	start_daemon
	clients 8 -p "$(port_of grows)" -c 8
	clients 8 -p "$(port_of none)" -c 8
	clients 8 -p "$(port_of limits)" -c 1
	"$TEST_BIN/dgram" -c 20 "$(address_of udp)" hello
	wait_for 30 "four workers" n_workers_is 4
	# after the look at their memory that the clients made due
	wait_for 20 "the last look" older_than_the_looks "$(now_ms)"
	wait_for 30 "quiet" is_quiet
	mapfile -t workers < <(workers_of "$MASTER")
	trace "$MASTER" "${workers[@]}"
	# their calls were cut short, and have been begun again
	wait_for 30 "quiet under strace" is_quiet
	before=$(switches "${workers[@]}")
	read -rt 3 <> <(:) || :
	after=$(switches "${workers[@]}")
	end_trace
	calls
	[ "$(calls | wc -l)" -eq 0 ]
	[ "$before" = "$after" ]
}

# older_than_the_looks MS: clients that went then are longer gone than the five seconds between two looks at memory
older_than_the_looks() {
	(($(now_ms) - $1 >= 6500))
}

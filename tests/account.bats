#!/usr/bin/env bats
# account.bats - accepted = served + failed + refused + lost: what the daemon counts is what clients saw.

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
}

teardown() { daemon_teardown; }

# hold PORT: a connection that has been taken by a worker; its descriptor is $held
hold() {
	local byte
	exec {held}<>"/dev/tcp/127.0.0.1/$1"
	printf x >&"$held"
	read -rt 30 -N 1 -u "$held" byte
	[ "$byte" = x ]
}

# kill_busy SERVICE: kill the worker that has a connection open
kill_busy() {
	local pid
	for pid in $(workers_of "$MASTER" "$1"); do
		# 0 to 2, the listener, and the connection
		[ "$(find "/proc/$pid/fd" -lname 'socket:*' | wc -l)" -eq 2 ] || continue
		kill -KILL "$pid"
		return 0
	done
	echo "no busy worker"
	return 1
}

exits_are() {
	[ "$(log_count 'event=worker_exit')" -ge "$1" ]
}

@test "a service that nobody came to has an account of zeros" {
	write_config <<<'service hello { handler = echo }'
	start_daemon
	stop_daemon
	account_is hello accepted=0 served=0 failed=0 refused=0 lost=0 in_flight=0
	[ "$(log_count 'event=account')" -eq 1 ]
}

@test "the account is what clients saw: served, reset, timed out, and lost with a killed worker" {
	write_config <<-END
		log_level = debug
		service hello { handler = echo workers { min = 4 } timeouts { idle = 4s } }
	END
	start_daemon
	port=$(port_of hello)
	run -0 "$TEST_BIN/load" -n 500 -c 20 -p "$port" --timeout 60000
	[[ $output = *"ok=500 "* ]]
	"$TEST_BIN/reset" -n 30 "127.0.0.1:$port"
	"$TEST_BIN/reset" -n 20 -q "127.0.0.1:$port"
	wait_for 30 "the resets" failures_are 50
	hold "$port"
	kill_busy hello
	# the client sees the end of its connection
	run read -rt 30 -N 1 -u "$held" byte
	((status != 0 && status < 128))
	exec {held}>&-
	# silent, until the server ends it
	exec {silent}<>"/dev/tcp/127.0.0.1/$port"
	run read -rt 30 -N 1 -u "$silent" byte
	((status != 0 && status < 128))
	run -0 "$TEST_BIN/load" -n 100 -c 5 -p "$port" --timeout 60000
	stop_daemon
	account_is hello accepted=652 served=600 failed=51 lost=1 refused=0 in_flight=0
	[ "$(log_count 'event=worker_exit .*reason=SIGKILL.* serving=127\.0\.0\.1:[0-9]+ .* lost=1 ')" -eq 1 ]
}

failures_are() {
	[ "$(log_count 'event=conn_failed')" -eq "$1" ]
}

@test "an idle worker that is killed loses nothing, and what the killed have served stays counted" {
	write_config <<<'service hello { handler = echo workers { min = 2 } }'
	start_daemon
	for round in 1 2 3; do
		run -0 "$TEST_BIN/load" -n 50 -c 1 -p "$(port_of hello)"
		mapfile -t workers < <(workers_of "$MASTER")
		# the last one of them may still be closing, or counting
		wait_for 20 "idle workers" are_idle "${workers[@]}"
		kill -KILL "${workers[@]}"
		wait_for 20 "their ends" exits_are $((round * 2))
		wait_for 20 "two workers" n_workers_is 2
	done
	stop_daemon
	account_is hello accepted=150 served=150 lost=0
}

@test "each service has an account of its own" {
	write_config <<-END
		service one { handler = echo }
		service two { handler = echo }
		service three { type = dgram handler = echo }
	END
	start_daemon
	run -0 "$TEST_BIN/load" -n 20 -c 2 -p "$(port_of one)"
	"$TEST_BIN/reset" -n 3 "$(address_of two)"
	"$TEST_BIN/dgram" -c 7 "$(address_of three)" hello
	stop_daemon
	account_is one accepted=20 served=20 failed=0 refused=0 lost=0
	account_is two accepted=3 served=0 failed=3 refused=0 lost=0
	account_is three accepted=7 served=7 failed=0 refused=0 lost=0
}

@test "datagrams are counted as served, failed and refused" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	write_config <<-END
		service udp { type = dgram address = "*" handler = echo workers { min = 1 } }
		service path { family = unix type = dgram path = "$BATS_TEST_TMPDIR/s" handler = echo workers { min = 1 } }
	END
	start_daemon
	port=$(port_of udp)
	"$TEST_BIN/dgram" -c 10 "127.0.0.1:$port" hello
	# from a port below 1024
	run -1 low_port "127.0.0.1:$port"
	"$TEST_BIN/dgram" "127.0.0.1:$port" last
	# a client without a name gets no answer, but is served
	run -1 "$TEST_BIN/dgram" -w 100 "$BATS_TEST_TMPDIR/s" hello
	# one that is gone before the answer: failed
	"$TEST_BIN/dgram" -f "$ABSTRACT" "$BATS_TEST_TMPDIR/s" hello
	stopped=$(workers_of "$MASTER" path)
	stop_processes "$stopped"
	run -1 "$TEST_BIN/dgram" -w 0 -f "$ABSTRACT-gone" "$BATS_TEST_TMPDIR/s" hello
	kill -CONT "$stopped"
	"$TEST_BIN/dgram" -f "$ABSTRACT" "$BATS_TEST_TMPDIR/s" hello
	stop_daemon
	account_is udp accepted=12 served=11 refused=1 failed=0 lost=0
	account_is path accepted=4 served=3 refused=0 failed=1 lost=0
}

# low_port TO: a datagram from a port below 1024 that is free, which is not answered
low_port() {
	local port
	for port in {600..1000}; do
		"$TEST_BIN/dgram" -w 200 -f "127.0.0.1:$port" "$1" hello 2>"$BATS_TEST_TMPDIR/error" && return 0
		grep -q 'Address already in use' "$BATS_TEST_TMPDIR/error" || return 1
	done
	return 2
}

@test "the account goes on over reloads" {
	write_config <<<'service hello { handler = echo workers { min = 2 } }'
	start_daemon
	for _ in 1 2 3; do
		run -0 "$TEST_BIN/load" -n 50 -c 5 -p "$(port_of hello)"
		reload_daemon
	done
	run -0 "$TEST_BIN/load" -n 50 -c 5 -p "$(port_of hello)"
	stop_daemon
	[ "$(log_count 'event=account service=hello')" -eq 1 ]
	account_is hello accepted=200 served=200
}

@test "a stop at once counts what it cuts off as lost" {
	write_config <<<'service hello { handler = echo workers { min = 3 } }'
	start_daemon
	hold "$(port_of hello)"
	hold "$(port_of hello)"
	stop_daemon INT
	account_is hello accepted=2 lost=2 served=0 failed=0 in_flight=0
}

@test "the account adds up after workers were killed in the midst of load" {
	write_config <<<'service hello { handler = echo workers { min = 4 } }'
	start_daemon
	"$TEST_BIN/load" -s 3 -c 20 -p "$(port_of hello)" >"$BATS_TEST_TMPDIR/load" 3>&- &
	loader=$!
	for i in {1..10}; do
		read -rt 0.1 <> <(:) || :
		victim=$(workers_of "$MASTER" | head -n 1)
		kill -KILL "$victim"
		wait_for 20 "its end" exits_are "$i"
		wait_for 20 "four workers" n_workers_is 4
	done
	# some of its connections were lost
	wait "$loader" || :
	cat "$BATS_TEST_TMPDIR/load"
	stop_daemon
	ok=$(sed -n 's/.*\bok=\([0-9]*\).*/\1/p' "$BATS_TEST_TMPDIR/load" | head -n 1)
	lost=$(account_of hello lost)
	served=$(account_of hello served)
	failed=$(account_of hello failed)
	# one that was killed after the echo and before the count was served for its client, and is lost for the daemon
	((served <= ok && ok <= served + lost && lost <= 10))
	[ "$(account_of hello accepted)" -eq $((served + failed + lost)) ]
	[ "$failed" -eq 0 ]
}

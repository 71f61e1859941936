#!/usr/bin/env bats
# drain.bats - a reload while all workers are busy: how long the old ones stay, and whom they serve to the end.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154,SC2034  # MASTER, LOG, ... are set by lib/daemon, and read there

bats_require_minimum_version 1.5.0
load ../lib/daemon
load soak

setup() { daemon_setup; }

teardown() { daemon_teardown; }

# fifty DRAIN MS: 50 workers, and 50 clients for so long
fifty() {
	write_config <<-END
	service a {
		address = "127.0.0.1"
		port = 0
		handler = echo
		workers { min = 50 }
		timeouts { drain = $1 }
	}
	END
	start_daemon
	OLD=$(workers_of "$MASTER")
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$(port_of a)" -c 50 -n 50 --hold "$2" --timeout 60000
	wait_for 30 "50 that are served" all_are_served
	pause 1000
	reload_daemon
}

all_are_served() {
	local pid
	for pid in $OLD; do
		[ "$(sockets_of "$pid")" -ge 2 ] || return 1
	done
}

@test "50 requests of 5 s each, HUP at 1 s: 50 of 50 are completed" {
	fifty 60s 5000
	wait_for 60 "the clients" process_gone "$BESIDE"
	cat "$BATS_TEST_TMPDIR/load"
	grep -q '^connections=50 ok=50 ' "$BATS_TEST_TMPDIR/load"
	no_process_left "$OLD"
	stop_daemon
	account_is a served=50 lost=0
}

@test "50 requests of 30 s each with drain = 2s: all old workers are gone between 2.0 and 2.5 s, each with its peer" {
	local first last began
	fifty 2s 30000
	no_process_left "$OLD"
	began=$(log_ms 'event=reload_done')
	first=$(($(log_ms 'event=worker_killed' | head -n 1) - began))
	last=$(($(log_ms 'event=worker_exit .*generation=1 ' | tail -n 1) - began))
	say "first killed after $first ms, last gone after $last ms"
	[ "$(log_count 'event=worker_killed .*reason=drain_time_over serving=127.0.0.1:[0-9]+')" -eq 50 ]
	[ "$(log_count 'event=worker_exit .*generation=1 .*serving=127.0.0.1:[0-9]+.* lost=1')" -eq 50 ]
	[ "$(sed -n 's/.*event=worker_killed .*serving=//p' "$LOG" | sort -u | wc -l)" -eq 50 ]
	[ "$first" -ge 1990 ]
	at_most "$last" 2500
	stop_daemon
}

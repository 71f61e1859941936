#!/usr/bin/env bats
# transitions.bats - reload, upgrade and restart under many connections: nobody is refused, reset or served wrongly.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154,SC2034  # MASTER, LOG, ... are set by lib/daemon, and read there

bats_require_minimum_version 1.5.0
load ../lib/daemon
load ../lib/loads
load ../lib/manager
load soak

setup() {
	daemon_setup
	manager_setup
	SOCK=$BATS_TEST_TMPDIR/sock
}

teardown() {
	daemon_teardown
}

# under_load N TIMES COMMAND...: COMMAND so many times while each family has N connections, or some N more when they
# are too fast for it; all are right. $SLOWEST is the p99.9, in microseconds.
under_load() {
	local n=$1 times=$2 i rounds=1
	shift 2
	SLOWEST=0
	start_loads "$n"
	for ((i = 1; i <= times; i++)); do
		"$@"
		say_at "$i" "$times" "$*"
		loads_run || { end_round "$n" && rounds=$((rounds + 1)) && start_loads "$n"; }
	done
	wait_for 300 "the loads" loads_are_over
	end_round "$n"
	say "$((3 * n * rounds)) connections: 0 refused, 0 reset, 0 wrong; p99.9 $SLOWEST us"
}

end_round() {
	local us
	check_loads "$1" || return 1
	us=$(slowest)
	[ "$us" -lt "$SLOWEST" ] || SLOWEST=$us
}

# quiet_run N: nothing happens meanwhile
quiet_run() {
	under_load "$1" 0
	QUIET=$SLOWEST
}

compare() {
	# no limit: what else the machine does says more of it
	say "p99.9 without: $QUIET us, with: $SLOWEST us, that is $((SLOWEST * 100 / QUIET)) %"
}

ends_clean() {
	local name
	wait_for 30 "the end of the old workers" children_are 12
	wait_for 5 "as many descriptors as before" fds_are "$FDS"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	for name in tcp six path; do
		account_is "$name" lost=0 failed=0
	done
	log_lacks 'event=worker_killed'
}

@test "150 000 connections over 100 reloads" {
	three_families
	start_daemon
	FDS=$(fds_of_master)
	quiet_run "$(scaled 50000)"
	under_load "$(scaled 50000)" "$(scaled 100)" reload_daemon
	compare
	[ "$(log_count 'event=reload_done')" -eq "$(scaled 100)" ]
	[ "$(log_count 'event=worker_exit')" -ge $((8 * $(scaled 100))) ]
	ends_clean
}

@test "75 000 connections over 20 upgrades" {
	own_binary
	three_families
	start_daemon
	FDS=$(fds_of_master)
	quiet_run "$(scaled 25000)"
	under_load "$(scaled 25000)" "$(scaled 20)" upgrade_daemon
	compare
	[ "$(log_count 'event=upgrade_done')" -eq "$(scaled 20)" ]
	[ "/proc/$MASTER/exe" -ef "$PREFORKD" ]
	ends_clean
}

@test "75 000 connections over 10 restarts, with the listeners in the store" {
	three_families
	start_manager
	wait_for 5 "the store" stored_is 3
	quiet_run "$(scaled 25000)"
	under_load "$(scaled 25000)" "$(scaled 10)" restart
	compare
	run_has 'event=listener_adopted service=six from=store'
	log_lacks 'event=worker_killed'
	end_manager 0
}

@test "control: the same clients lose connections when the sockets are closed and opened again" {
	three_families "$(free_port)"
	start_daemon
	start_loads "$(scaled 20000 5000)"
	wait_for 10 "clients" busy_worker tcp
	stop_daemon
	mv "$LOG" "$LOG.old"
	start_daemon
	wait_for 60 "the loads" loads_are_over
	say "$(grep -ho 'refused=[0-9]* reset=[0-9]*' "$BATS_TEST_TMPDIR"/load.{tcp,six,path} | paste -sd ,)"
	for name in tcp six path; do
		run grep ' refused=0 reset=0 ' "$BATS_TEST_TMPDIR/load.$name"
		[ "$status" -ne 0 ]
	done
}

# fifty DRAIN: 50 workers, and 50 clients for 5 s
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
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$(port_of a)" -c 50 -n 50 --hold 5000
	wait_for 10 "50 that are served" all_are_served
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
	fifty 30s
	wait_for 20 "the clients" process_gone "$BESIDE"
	cat "$BATS_TEST_TMPDIR/load"
	grep -q '^connections=50 ok=50 ' "$BATS_TEST_TMPDIR/load"
	no_process_left "$OLD"
	stop_daemon
	account_is a served=50 lost=0
}

@test "50 requests of 5 s each with drain = 2s: all old workers are gone between 2.0 and 2.5 s, each with its peer" {
	local first last began
	fifty 2s
	no_process_left "$OLD"
	began=$(log_ms 'event=reload_done')
	first=$(($(log_ms 'event=worker_killed' | head -n 1) - began))
	last=$(($(log_ms 'event=worker_exit .*generation=1 ' | tail -n 1) - began))
	say "first killed after $first ms, last gone after $last ms"
	[ "$(log_count 'event=worker_killed .*reason=drain_time_over serving=127.0.0.1:[0-9]+')" -eq 50 ]
	[ "$(log_count 'event=worker_exit .*generation=1 .*serving=127.0.0.1:[0-9]+.* lost=1')" -eq 50 ]
	[ "$(sed -n 's/.*event=worker_killed .*serving=//p' "$LOG" | sort -u | wc -l)" -eq 50 ]
	[ "$first" -ge 1990 ]
	[ "$last" -le 2500 ]
	stop_daemon
}

#!/usr/bin/env bats
# ends.bats - the end by TERM and by SIGKILL, the start after it, and the unix socket over many of both.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154,SC2034  # MASTER, LOG, ... are set by lib/daemon, and read there

bats_require_minimum_version 1.5.0
load ../lib/daemon
load ../lib/manager
load soak

setup() {
	daemon_setup
	SOCK=$BATS_TEST_TMPDIR/sock
	own_binary
}

teardown() {
	local status=0 left
	daemon_teardown || status=1
	# of a master that was killed
	mapfile -t left < <(ours)
	if [ "${#left[@]}" -gt 0 ]; then
		echo "left: ${left[*]}"
		kill -KILL "${left[@]}" || :
		status=1
	fi
	return "$status"
}

# both_config WORKERS [LINE...]: an echo service at a path, with these lines, and one at a port
both_config() {
	write_config <<-END
	service path {
		family = unix
		path = "$SOCK"
		handler = echo
		workers { min = $1 }
		${2:-}
	}
	service port {
		address = "127.0.0.1"
		port = ${PORT:-0}
		handler = echo
		workers { min = $1 }
	}
	END
}

asks_path() {
	[ "$(socat -t 30 - "UNIX-CONNECT:$SOCK" <<<'a path')" = 'a path' ]
}

@test "400 connections that queue at SIGTERM: 400 are served, and the log says so" {
	both_config 1
	start_daemon
	hold "$(port_of port)"
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$(port_of port)" -c 400 -n 400 --timeout 60000
	wait_for 20 "400 that wait" queue_is "$(port_of port)" 400
	kill -TERM "$MASTER"
	wait_for 20 "the begin of the stop" log_has 'event=stopping'
	release
	wait_for 90 "the clients" process_gone "$BESIDE"
	cat "$BATS_TEST_TMPDIR/load"
	grep -q '^connections=400 ok=400 ' "$BATS_TEST_TMPDIR/load"
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_has 'event=stopped status=0 accepted_after=400$'
	account_is port accepted=401 served=401
	say "$(grep -o 'connections=.*timeout=0' "$BATS_TEST_TMPDIR/load"), $(grep -o 'accepted_after=.*' "$LOG")"
}

# kill_at_random: a start, and perhaps a reload or an upgrade, are hit in the middle
kill_at_random() {
	local signals=(HUP USR2 URG)
	start_daemon_nowait
	if ((RANDOM % 2)); then
		wait_for 20 "event=ready" daemon_is_ready_or_gone
		kill -s "${signals[RANDOM % 3]}" "$MASTER"
	fi
	pause $((RANDOM % 60))
	kill -KILL "$MASTER"
	wait "$MASTER" 2>/dev/null || :
	MASTER=
}

@test "a master that is killed at random moments, 200 times: no orphan after 1 s, and the next one starts" {
	local i n began ms longest=0
	n=$(scaled 200)
	PORT=$(free_port)
	both_config 6
	for ((i = 1; i <= n; i++)); do
		kill_at_random
		began=$(now_ms)
		wait_for 30 "the end of all that it started" nothing_of_ours
		ms=$(($(now_ms) - began))
		[ "$ms" -le "$longest" ] || longest=$ms
		at_most "$ms" 1000
		say_at "$i" "$n" "kills"
		daemon_log_is_clean
		: >"$LOG"
	done
	say "the longest to the end of all workers: $longest ms"
	start_daemon
	log_lacks 'level=(error|warning)'
	asks_path
	answers "$PORT"
	stop_daemon
	[ ! -e "$SOCK" ]
}

@test "50 simultaneous starts, 20 times: exactly one lives" {
	local i j n pids living status
	n=$(scaled 20)
	PORT=$(free_port)
	both_config 2
	for ((i = 1; i <= n; i++)); do
		pids=()
		rm -f "$BATS_TEST_TMPDIR"/log.*
		for j in {1..50}; do
			"$PREFORKD" -c "$CONF" >"$BATS_TEST_TMPDIR/log.$j" 2>&1 3>&- &
			pids+=($!)
		done
		wait_for 120 "one that is ready and 49 that are gone" one_lives "${pids[@]}"
		for j in "${!pids[@]}"; do
			if process_gone "${pids[j]}"; then
				status=0
				wait "${pids[j]}" || status=$?
				[ "$status" -eq 75 ]
			else
				MASTER=${pids[j]}
				LOG=$BATS_TEST_TMPDIR/log.$((j + 1))
			fi
		done
		answers "$PORT"
		asks_path
		stop_daemon
		[ "$DAEMON_STATUS" -eq 0 ]
		nothing_of_ours
		say_at "$i" "$n" "rounds of 50 starts"
	done
}

one_lives() {
	local pid living=0
	for pid; do
		process_gone "$pid" || living=$((living + 1))
	done
	[ "$living" -eq 1 ] && grep -q 'event=ready' "$BATS_TEST_TMPDIR"/log.*
}

node() {
	stat -c '%d:%i %a %U %G' "$SOCK"
}

@test "a unix socket over 100 reloads, upgrades and restarts: same inode, owner and mode" {
	local i n before owner='owner = "nobody" group = "nogroup"'
	n=$(scaled 100 8)
	[ "$(id -u)" -eq 0 ] || owner=
	both_config 2 "socket { mode = 0622 $owner }"
	manager_setup
	start_manager
	wait_for 20 "the store" stored_is 2
	before=$(node)
	for ((i = 1; i <= n; i++)); do
		case $((i % 4)) in
		0) restart ;;
		1) upgrade_daemon ;;
		*) reload_daemon ;;
		esac
		[ "$(node)" = "$before" ] || { echo "cycle $i: $(node), not $before"; false; }
		asks_path
		say_at "$i" "$n" "cycles"
	done
	[[ $before == *' 622 '* ]]
	[ -z "$owner" ] || [[ $before == *' nobody nogroup' ]]
	! log_has 'event=(reload|upgrade)_(refused|failed)' || false
	end_manager 0
	nothing_of_ours
}

@test "a unix socket is removed at the end of 100 runs, but not what others put there" {
	local i n other
	n=$(scaled 100 4)
	both_config 1
	for ((i = 1; i <= n; i++)); do
		rm -f "$SOCK"
		: >"$LOG"
		start_daemon
		other=
		if ((i % 2)); then
			rm "$SOCK"
			beside "$BATS_TEST_TMPDIR/other" socat "UNIX-LISTEN:$SOCK,unlink-close=0" -
			other=$BESIDE
			wait_for 20 "another socket" test -S "$SOCK"
		fi
		stop_daemon
		if [ -n "$other" ]; then
			[ -S "$SOCK" ]
			end_beside "$other"
		else
			[ ! -e "$SOCK" ]
		fi
		say_at "$i" "$n" "runs"
	done
}

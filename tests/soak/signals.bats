#!/usr/bin/env bats
# signals.bats - storms of signals, and a thousand reloads good and bad: what runs afterwards is what was there before.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154,SC2034  # MASTER, LOG, ... are set by lib/daemon, and read there

bats_require_minimum_version 1.5.0
load ../lib/daemon
load soak

WORKERS=3

setup() {
	daemon_setup
	SOCK=$BATS_TEST_TMPDIR/sock
	FILE=$BATS_TEST_TMPDIR/file
	own_binary
}

teardown() {
	daemon_teardown
}

# good_config [LINE...]: an echo service, its log in a file that USR1 opens again
good_config() {
	{
		printf 'log = "%s"\nservice a {\n\taddress = "127.0.0.1"\n\tport = 0\n\thandler = echo\n' "$FILE"
		printf '\tworkers { min = %s }\n\ttimeouts { drain = 20s }\n' "$WORKERS"
		printf '\t%s\n' "$@" '}'
	} | write_config
}

start_logging() {
	rm -f "$FILE"
	touch "$FILE"
	chmod 640 "$FILE"
	LOG=$FILE
	"$PREFORKD" -c "$CONF" 3>&- &
	MASTER=$!
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	log_has 'event=ready'
}

# all_ended WHAT: what began has ended
all_ended() {
	[ "$(log_count "event=$1_started")" -le "$(log_count "event=$1_(done|refused|failed)")" ]
}

# no signal waits, nothing is on its way, and nobody but the workers of one generation is there
is_settled() {
	local pending
	pending=$(sed -n 's/^ShdPnd:[[:space:]]*//p' "/proc/$MASTER/status")
	# HUP, USR1, USR2
	((!(16#$pending & 16#a01))) && children_are "$WORKERS" && all_ended reload && all_ended upgrade
}

# stays_settled: what the master had written down is done as well
stays_settled() {
	is_settled && pause 30 && is_settled
}

# settles WHAT: within two seconds from now
settles() {
	local began
	began=$(now_ms)
	wait_for 20 "$WORKERS workers and nothing else after $1" stays_settled
	SETTLED_MS=$(($(now_ms) - began))
	say "$1: settled after $SETTLED_MS ms"
	at_most "$SETTLED_MS" 2000
	answers "$(port_of a)"
	wait_for 20 "as many descriptors as before" fds_are "$FDS"
}

@test "25 HUPs with gaps of 0 to 24 ms, then 1000 without gap" {
	local i pid
	good_config
	start_logging
	reload_daemon
	wait_for 30 "the workers" is_settled
	FDS=$(fds_of_master)
	for i in {0..24}; do
		kill -HUP "$MASTER"
		pause "$i"
	done
	settles "25 HUPs with gaps"
	for ((i = $(scaled 1000); i > 0; i--)); do
		kill -HUP "$MASTER"
	done
	settles "$(scaled 1000) HUPs without"
	say "$(log_count 'event=reload_done') reloads"
	for pid in $(workers_of "$MASTER"); do
		log_lacks "event=worker_exit .*worker_pid=$pid "
	done
	log_lacks 'event=(reload_refused|worker_killed)'
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

# storm N SIGNAL...: so many of them, at random, with gaps of up to 5 ms
storm() {
	local i n=$1 signals=("${@:2}")
	for ((i = 0; i < n; i++)); do
		kill -s "${signals[RANDOM % ${#signals[@]}]}" "$MASTER" 2>/dev/null || :
		pause $((RANDOM % 6))
	done
}

@test "HUP, USR1 and USR2 mixed" {
	local i
	good_config
	start_logging
	upgrade_daemon
	wait_for 30 "the workers" is_settled
	FDS=$(fds_of_master)
	for ((i = $(scaled 20); i > 0; i--)); do
		storm 60 HUP USR1 USR2
		settles "60 signals"
	done
	say "$(log_count 'event=reload_done') reloads, $(log_count 'event=upgrade_done') upgrades"
	log_has 'event=upgrade_done'
	log_lacks 'event=(reload_refused|worker_killed|upgrade_(refused|failed))'
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	nothing_of_ours
}

@test "HUP, USR1, USR2 and a TERM among them: the end, and nothing is left" {
	local i began longest=0 ms
	good_config
	for ((i = $(scaled 40); i > 0; i--)); do
		start_logging
		storm $((RANDOM % 20)) HUP USR1 USR2
		began=$(now_ms)
		kill -TERM "$MASTER"
		storm 5 HUP USR1 USR2
		wait_daemon
		ms=$(($(now_ms) - began))
		[ "$ms" -le "$longest" ] || longest=$ms
		[ "$DAEMON_STATUS" -eq 0 ]
		at_most "$ms" 3000
		wait_for 20 "nothing" nothing_of_ours
		daemon_log_is_clean
		log_has 'event=stopped status=0'
	done
	say "the longest end: $longest ms"
}

# spoil EXPRESSION: the good one, changed by sed
spoil() {
	good_config
	sed -i "$1" "$CONF"
}

# second LINE...: a second service, an echo, beside the good one
second() {
	good_config
	printf 'service b {\n\thandler = %s\n' "${HANDLER:-echo}" >>"$CONF"
	printf '\t%s\n' "$@" '}' >>"$CONF"
}

# bad_config KIND: one of twenty; $WHY is in the line that says what is wrong
bad_config() {
	local at='address = "127.0.0.1"'
	case $1 in
	0) WHY='unknown key hanlder' && spoil 's/handler = /hanlder = /' ;;
	1) WHY='ecko' && spoil 's/= echo/= ecko/' ;;
	2) WHY='timeouts.drain' && spoil 's/20s/20/' ;;
	3) WHY='socket.backlog: 0' && good_config 'socket { backlog = 0 }' ;;
	4) WHY='workers' && spoil 's/min = 3/min = 3 max = 1/' ;;
	5) WHY='port: 65536' && spoil 's/port = 0/port = 65536/' ;;
	6) WHY='127.0.0.256' && spoil 's/127.0.0.1/127.0.0.256/' ;;
	7) WHY='no user' && good_config 'run { user = "no-such-user" }' ;;
	8) WHY='} is missing' && spoil '/^\t}$/d' ;;
	9) WHY='drain: is written twice' && spoil 's/drain = 20s/& &/' ;;
	10) WHY='service .*a.*: is written twice' && spoil '/^reload/d' && cat "$CONF" "$CONF" >"$CONF.new" &&
		sed '1d' "$CONF.new" >"$CONF" ;;
	11) WHY='Address already in use' && second "$at" "port = $TAKEN" ;;
	12) WHY='No such file' && second 'family = unix' "path = \"$BATS_TEST_TMPDIR/missing/sock\"" ;;
	13) WHY='/no/such/program' && HANDLER='exec' second 'command = { "/no/such/program" }' "$at" 'port = 0' ;;
	14) WHY='/no/such/directory' && second "$at" 'port = 0' 'run { directory = "/no/such/directory" }' ;;
	15) WHY='Permission denied' && second "$at" 'port = 0' "run { directory = \"$CLOSED\" }" ;;
	16) WHY='control character' && head -c 3000 /dev/zero >"$CONF.new" && mv "$CONF.new" "$CONF" ;;
	17) WHY='cannot be read' && rm "$CONF" ;;
	18) WHY='not a regular file' && rm -f "$CONF" && mkdir "$CONF" ;;
	19) WHY='not a regular file' && rm -f "$CONF" && mkfifo "$CONF" ;;
	esac
}

# not VmRSS: pages of the binary come and go as the machine likes
rss_kib() {
	sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$MASTER/status"
}

end_good() {
	wait_for 20 "the new workers alone" children_are "$WORKERS"
	OLD=$(workers_of "$MASTER")
}

# reload_bad KIND: nothing changes
reload_bad() {
	local lines
	lines=$(log_count '')
	bad_config "$1"
	reload_daemon
	tail -n "+$((lines + 1))" "$LOG" >"$LOG.end"
	if ! grep -q 'event=reload_refused' "$LOG.end" ||
		! grep -Eq "level=error .*event=[a-z_]*_(error|failed) .*$WHY" "$LOG.end"; then
		echo "kind $1 was not refused for: $WHY"
		cat "$LOG.end"
		return 1
	fi
	wait_for 20 "the workers alone, kind $1" children_are "$WORKERS"
	[ "$(workers_of "$MASTER")" = "$OLD" ] || { echo "kind $1: other workers"; return 1; }
	wait_for 20 "as many descriptors as before, kind $1" fds_are "$FDS"
	[ ! -d "$CONF" ] || rmdir "$CONF"
}

# shorten_log: what port_of needs of it; the master only appends
shorten_log() {
	daemon_log_is_clean || return 1
	grep 'event=listening' "$LOG" >"$LOG.kept"
	cat "$LOG.kept" >"$LOG"
}

@test "1000 reloads, good and twenty kinds of bad by turns" {
	local i n rss
	need_root
	# sanitizers keep for a while what was freed
	export ASAN_OPTIONS="${ASAN_OPTIONS:-}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
	n=$(scaled 500 40)
	TAKEN=$(free_port)
	CLOSED=$BATS_TEST_TMPDIR/closed
	mkdir -m 700 "$CLOSED"
	beside "$BATS_TEST_TMPDIR/taken" socat "TCP-LISTEN:$TAKEN,bind=127.0.0.1" -
	wait_for 20 "a port that is taken" queue_is "$TAKEN" 0
	good_config
	start_logging
	end_good
	FDS=$(fds_of_master)
	for ((i = 1; i <= n; i++)); do
		reload_bad $((i % 20))
		good_config
		reload_daemon
		end_good
		fds_are "$FDS" || wait_for 20 "as many descriptors as before" fds_are "$FDS"
		say_at "$i" "$n" "two reloads"
		# when each kind was there
		[ "$i" -ne 20 ] || rss=$(rss_kib)
		((i % 50)) || shorten_log
	done
	say "$((2 * n)) reloads, RSS $rss KiB then, $(rss_kib) KiB now"
	[ $(($(rss_kib) - rss)) -le 256 ]
	[ $(($(rss_kib) - rss)) -ge -256 ]
	answers "$(port_of a)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

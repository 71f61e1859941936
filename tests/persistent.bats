#!/usr/bin/env bats
# persistent.bats - a worker becomes a program that stays: what it gets, what it may say, and how it is supervised.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154,SC2034  # MASTER, LOG, ... are set by lib/daemon, and ON is read by persistent
# shellcheck disable=SC2013,SC2046  # pids are words

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	# where the user of the workers can read it
	PROGRAM=$(for_all "$BATS_TEST_DIRNAME/lib/program.pl")
	CLIENT=$BATS_TEST_DIRNAME/lib/client.pl
	GATE=$BATS_TEST_TMPDIR/gate
	SOCK=$BATS_TEST_TMPDIR/sock
	ON='address = "127.0.0.1" port = 0'
	COUNT=
}

# What the daemon should have ended and did not is a fault, and ended here.
teardown() {
	local status=0 left pid
	daemon_teardown || status=1
	left=$(grep -lsaF "$PROGRAM" /proc/[0-9]*/cmdline | cut -d / -f 3) || :
	for pid in $left; do
		process_gone "$pid" || { echo "left behind: $pid" && status=1 && kill -KILL "$pid"; }
	done
	return "$status"
}

# persistent NAME LINE ACTION...: a service on the socket $ON, one more line, and what lib/program.pl shall do
persistent() {
	local name=$1 line=$2
	shift 2
	set -- "${@//\\/\\\\}"
	set -- "${@//\"/\\\"}"
	printf 'service %s {\n\t%s\n\thandler = persistent\n' "$name" "$ON"
	printf '\tcommand = { "/usr/bin/perl", "%s"' "$PROGRAM"
	printf ', "%s"' "$@"
	printf ' }\n\t%s\n}\n' "$line"
}

# sleeper NAME LINE: a service whose program does nothing, and leaves its environment as it is
sleeper() {
	printf 'service %s {\n\t%s\n\thandler = persistent\n' "$1" "$ON"
	printf '\tcommand = { "/bin/sleep", "1000" }\n\t%s\n}\n' "$2"
}

# builtin_echo NAME LINE: an echo service
builtin_echo() {
	printf 'service %s {\n\t%s\n\thandler = echo\n\t%s\n}\n' "$1" "$ON" "$2"
}

# programs_of SERVICE: the pids of its programs, oldest first
programs_of() {
	local pid
	for pid in $(workers_of "$MASTER"); do
		! process_gone "$pid" && environment_of "$pid" 2>/dev/null | grep -qx "PREFORKD_SERVICE=$1" && echo "$pid"
	done
	return 0
}

n_programs_is() {
	[ "$(programs_of "$2" | wc -l)" -eq "$1" ]
}

environment_of() {
	tr '\0' '\n' <"/proc/$1/environ"
}

# ask PORT TEXT: what a stream service says to it
ask() {
	socat -t 30 - "TCP:127.0.0.1:$1" <<<"$2"
}

# is_told PORT PATTERN: the answer of program.pl ("PID GENERATION hello") matches
is_told() {
	[[ $(ask "$1" hello) =~ ^$2$ ]]
}

log_count_is() {
	[ "$(log_count "$2")" -ge "$1" ]
}

older_than() {
	[ $(($(now_ms) - $(log_ms "$2" | tail -n 1))) -ge "$1" ]
}

# line_of REGEX: the number of the first line of the log that matches; a mark has no time, but a place
line_of() {
	grep -En -- "$1" "$LOG" | head -n 1 | cut -d : -f 1
}

last_line_of() {
	grep -En -- "$1" "$LOG" | tail -n 1 | cut -d : -f 1
}

@test "the environment of a program is complete and exact" {
	local pid
	sleeper a 'watchdog = 90s workers { min = 2 }
		run { environment = { "FOO=b a r", "LISTEN_FDS=7" } pass_environment = { "GIVEN", "NOT_THERE" } }' | write_config
	GIVEN='from outside' OTHER=hidden LISTEN_FDNAMES=hidden start_daemon
	for pid in $(programs_of a); do
		environment_of "$pid" | sort | tee "$BATS_TEST_TMPDIR/environment.$pid" |
			sed -E 's/^(NOTIFY_SOCKET=@)[0-9a-f]+$/\1name/; s/^(PREFORKD_WORKER=)[12]$/\1N/' | diff -u - <(
				cat <<-END
				FOO=b a r
				GIVEN=from outside
				LISTEN_FDNAMES=a
				LISTEN_FDS=1
				LISTEN_PID=$pid
				NOTIFY_SOCKET=@name
				PATH=/usr/local/bin:/usr/bin:/bin
				PREFORKD_GENERATION=1
				PREFORKD_SERVICE=a
				PREFORKD_WORKER=N
				SERVER_STARTER_GENERATION=1
				SERVER_STARTER_PORT=127.0.0.1:$(port_of a)=3
				WATCHDOG_PID=$pid
				WATCHDOG_USEC=90000000
				END
			)
	done
	[ "$(cat "$BATS_TEST_TMPDIR"/environment.* | grep -Ec '^PREFORKD_WORKER=(1|2)$')" -eq 2 ]
	[ "$(cat "$BATS_TEST_TMPDIR"/environment.* | sort | uniq -d | grep -c PREFORKD_WORKER)" -eq 0 ]
	reload_daemon
	wait_for 20 "the end of the old ones" n_programs_is 2 a
	for pid in $(programs_of a); do
		environment_of "$pid" | grep -qx 'PREFORKD_GENERATION=2'
		environment_of "$pid" | grep -qx 'SERVER_STARTER_GENERATION=2'
	done
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "without a watchdog there are no variables of it" {
	sleeper a '' | write_config
	start_daemon
	! environment_of "$(programs_of a | head -n 1)" | grep '^WATCHDOG' || false
	stop_daemon
}

starter_port_of() {
	environment_of "$(programs_of "$1" | head -n 1)" | sed -n 's/^SERVER_STARTER_PORT=//p'
}

@test "SERVER_STARTER_PORT has the forms of Server::Starter for each family" {
	{
		ON='family = inet6 address = "::1" port = 0' sleeper six 'workers { min = 1 }'
		ON="family = unix path = \"$SOCK\"" sleeper path 'workers { min = 1 }'
		ON='address = "*" port = 0' sleeper any 'workers { min = 1 }'
	} | write_config
	start_daemon
	[ "$(starter_port_of six)" = "[::1]:$(port_of six)=3" ]
	[ "$(starter_port_of path)" = "$SOCK=3" ]
	[ "$(starter_port_of any)" = "$(port_of any)=3" ]
	stop_daemon
}

# descriptors_of PID: "N TARGET", sorted
descriptors_of() {
	find "/proc/$1/fd" -mindepth 1 -printf '%f %l\n' | sort -n
}

inode_of() {
	ss -Hltne "sport = :$(port_of "$1")" | sed 's/.* ino:\([0-9]*\) .*/\1/'
}

@test "descriptor 3 is the listening socket, and nothing is inherited but standard error" {
	local log
	{
		sleeper a 'workers { min = 2 }'
		sleeper silent 'stderr = null workers { min = 1 }'
		sleeper inetd 'stdin = socket workers { min = 1 }'
		builtin_echo e ''
	} | write_config
	start_daemon
	log=$(readlink -f "$LOG")
	for pid in $(programs_of a); do
		[ "$(descriptors_of "$pid")" = "0 /dev/null
1 /dev/null
2 $log
3 socket:[$(inode_of a)]" ]
	done
	[ "$(descriptors_of "$(programs_of silent)")" = "0 /dev/null
1 /dev/null
2 /dev/null
3 socket:[$(inode_of silent)]" ]
	[ "$(descriptors_of "$(programs_of inetd)")" = "0 socket:[$(inode_of inetd)]
1 /dev/null
2 $log
3 socket:[$(inode_of inetd)]" ]
	stop_daemon
}

@test "with a log in a file a program inherits nothing of it" {
	{
		echo "log = \"$BATS_TEST_TMPDIR/file\""
		for name in a b c d e f; do
			sleeper "$name" 'stderr = null workers { min = 1 }'
		done
	} | write_config
	start_daemon_nowait
	LOG=$BATS_TEST_TMPDIR/file
	wait_for 20 "its log" test -s "$LOG"
	wait_for 20 "event=ready" log_has event=ready
	for name in a b c d e f; do
		[ "$(descriptors_of "$(programs_of "$name")")" = "0 /dev/null
1 /dev/null
2 /dev/null
3 socket:[$(inode_of "$name")]" ]
	done
	stop_daemon
}

@test "a socket for each worker: each program has its own as descriptor 3" {
	sleeper a 'socket { reuse_port = per-worker } workers { min = 3 }' | write_config
	start_daemon
	[ "$(for pid in $(programs_of a); do readlink "/proc/$pid/fd/3"; done | sort -u | grep -c '^socket:')" -eq 3 ]
	stop_daemon
}

status_of() {
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

@test "a program has the rights, the limits, the mask and the directory of its service, and default signals" {
	local pid user group
	mkdir -m 755 "$BATS_TEST_TMPDIR/dir"
	sleeper a "run { directory = \"$BATS_TEST_TMPDIR/dir\" umask = 0027 nofile = 77 }" | write_config
	# what whoever starts it ignores or blocks
	(
		trap '' HUP PIPE TSTP USR2 CONT
		exec "$PREFORKD" -c "$CONF" >>"$LOG" 2>&1 3>&-
	) &
	MASTER=$!
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	pid=$(programs_of a | head -n 1)
	user=$(id -u) group=$(id -g)
	if [ "$user" -eq 0 ]; then
		user=$(id -u nobody) group=$(id -g nobody)
	fi
	[ "$(status_of "$pid" Uid)" = "$user	$user	$user	$user" ]
	[ "$(status_of "$pid" Gid)" = "$group	$group	$group	$group" ]
	[ "$(status_of "$pid" CapEff)" = 0000000000000000 ]
	[ "$(status_of "$pid" CapPrm)" = 0000000000000000 ]
	[ "$(status_of "$pid" NoNewPrivs)" = 1 ]
	[ "$(status_of "$pid" Umask)" = 0027 ]
	[ "$(status_of "$pid" SigIgn)" = 0000000000000000 ] || { status_of "$pid" SigIgn && false; }
	[ "$(status_of "$pid" SigBlk)" = 0000000000000000 ]
	[ "$(readlink "/proc/$pid/cwd")" = "$BATS_TEST_TMPDIR/dir" ]
	grep -Eq '^Max open files +77 +77 ' "/proc/$pid/limits"
	stop_daemon
}

@test "ready = now: a program that says nothing is ready at once" {
	persistent a '' pause | write_config
	start_daemon
	wait_for 20 "4 programs" n_programs_is 4 a
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "ready = 700ms: ready after that time, not before" {
	persistent a 'ready = 700ms' pause | write_config
	start_daemon
	[ $(($(log_ms event=ready) - $(log_ms event=listening))) -ge 690 ]
	[ $(($(log_ms event=ready) - $(log_ms event=listening))) -le 30000 ]
	stop_daemon
}

@test "a program that ends before its time to be ready is over fails the start" {
	persistent a 'ready = 20s' exit=3 | write_config
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -eq 71 ]
	log_has 'event=worker_exit service=a .*reason="status 3"'
	log_has 'event=start_failed '
	log_lacks 'event=ready'
}

@test "ready = notify: READY=1 counts from the program itself, not from its child nor from a stranger" {
	local name
	persistent a 'ready = notify workers { min = 1 }' child=READY=1 tell=STATUS=one "gate=$GATE.1" tell=STATUS=two \
		"gate=$GATE.2" 'tell=STATUS=three\nREADY=1' serve | write_config
	start_daemon_nowait
	wait_for 20 "its status" log_has 'event=program_status service=a worker=1 status=one'
	name=$(environment_of "$(programs_of a)" | sed -n 's/^NOTIFY_SOCKET=@//p')
	[ -n "$name" ]
	printf 'READY=1\nSTATUS=stranger' | socat - "ABSTRACT-SENDTO:$name"
	# the master takes its messages in turn: what came before the second status had its effect
	touch "$GATE.1"
	wait_for 20 "its next status" log_has 'event=program_status .*status=two'
	log_lacks 'event=ready'
	log_lacks 'stranger'
	touch "$GATE.2"
	wait_for 20 "event=ready" log_has 'event=ready'
	log_has 'level=info .*event=program_status service=a worker=1 status=three'
	is_told "$(port_of a)" '[0-9]+ 1 hello'
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a socket for messages that could not be bound is tried again by the next reload" {
	strace -qq -o "$BATS_TEST_TMPDIR/probe" true || strict_skip "kernel: no ptrace here"
	builtin_echo e '' | write_config
	start_daemon
	{
		builtin_echo e ''
		persistent a 'ready = notify workers { min = 1 }' tell=READY=1 serve
	} | write_config
	beside "$BATS_TEST_TMPDIR/strace" strace -qq -p "$MASTER" -e trace=bind -e inject=bind:error=ENOMEM
	wait_for 20 "strace" is_traced "$MASTER"
	reload_daemon
	end_beside "$BESIDE"
	log_has 'event=loop_failed error="no socket for the messages of programs"'
	log_has 'event=reload_refused'
	reload_daemon
	log_has 'event=reload_done'
	is_told "$(port_of a)" '[0-9]+ 2 hello'
	stop_daemon
}

@test "a long message is obeyed to its last line" {
	persistent a 'ready = notify workers { min = 1 }' "tell=STATUS=$(printf '%03000d' 7)\\nREADY=1" pause | write_config
	start_daemon
	log_has 'event=program_status service=a worker=1 status=0{1000}$'
	stop_daemon
}

@test "READY=1 is nothing for a service that is ready by time" {
	persistent a 'ready = 1s workers { min = 1 }' tell=READY=1 serve | write_config
	start_daemon
	[ $(($(log_ms event=ready) - $(log_ms event=listening))) -ge 990 ]
	stop_daemon
}

@test "a program that never says READY=1 holds up the start, and SIGTERM ends both" {
	{
		persistent a 'ready = notify workers { min = 2 }' mark=here pause
		builtin_echo e ''
	} | write_config
	start_daemon_nowait
	wait_for 20 "the first one" log_has mark=here
	# what can serve does
	answers "$(port_of e)"
	log_lacks event=ready
	stop_daemon
	log_lacks event=ready
	log_lacks worker_killed
}

@test "a reload to a program that never says READY=1 leaves the old ones, and SIGTERM ends all" {
	local port old
	persistent a 'workers { min = 2 }' serve | write_config
	start_daemon
	port=$(port_of a)
	old=$(programs_of a)
	persistent a 'ready = notify workers { min = 2 }' mark=here pause | write_config
	kill -HUP "$MASTER"
	wait_for 20 "a new one" log_has 'mark=here .*generation=2'
	is_told "$port" '[0-9]+ 1 hello'
	[ "$(programs_of a | head -n 2)" = "$old" ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_lacks worker_killed
}

# dying_is_refused KEYS: a reload to a program that ends at once changes nothing
dying_is_refused() {
	local port old
	persistent a 'workers { min = 2 }' serve | write_config
	start_daemon
	port=$(port_of a)
	old=$(programs_of a)
	persistent a "$1 workers { min = 2 }" exit=4 | write_config
	reload_daemon
	log_has 'event=reload_refused error="a worker died during the start'
	wait_for 20 "the old ones alone" n_programs_is 2 a
	[ "$(programs_of a)" = "$old" ]
	is_told "$port" '[0-9]+ 1 hello'
	stop_daemon
}

@test "a reload to a program that ends before it is ready is refused, and the old ones serve on" {
	dying_is_refused 'ready = notify'
}

n_exits_are() {
	log_count_is "$1" 'event=worker_exit service=bad '
}

@test "a program that exits at once is tried again with doubling pauses, and nobody else notices" {
	local good echo times i
	{
		persistent bad 'workers { min = 1 }' "gate=$GATE" exit=3
		persistent good 'workers { min = 2 }' serve
		builtin_echo e 'workers { min = 2 }'
	} | write_config
	start_daemon
	good=$(programs_of good)
	echo=$(workers_of "$MASTER" e)
	touch "$GATE"
	wait_for 20 "5 ends" n_exits_are 5
	mapfile -t times < <(log_ms 'event=worker_exit service=bad ')
	# whether the first one was of use (it lived for a second) depends on the time
	for i in 2 3 4; do
		[ $((times[i] - times[i - 1])) -ge $((50 << (i - 1))) ]
	done
	log_all 'event=worker_exit' 'level=warning .*service=bad .*="status 3"'
	[ "$(programs_of good)" = "$good" ]
	[ "$(workers_of "$MASTER" e)" = "$echo" ]
	is_told "$(port_of good)" '[0-9]+ 1 hello'
	answers "$(port_of e)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of bad accepted)" -eq 0 ]
}

@test "ready = now: a program that ends within its first second fails the start, one worker or many" {
	local n
	for n in 1 8; do
		{
			persistent bad "workers { min = $n }" exit=3
			builtin_echo e ''
		} | write_config
		start_daemon_nowait
		wait_daemon
		[ "$DAEMON_STATUS" -eq 71 ]
		log_has 'event=worker_exit service=bad .*reason="status 3"'
		log_has 'event=start_failed error="a worker died during the start'
		log_lacks 'event=ready'
		# what became of the others, who served nobody, does not bury it
		log_lacks 'event=(worker_killed|worker_exit|account) service=e '
		rm "$LOG"
	done
}

@test "ready = now: a reload to such a program is refused, and the old ones serve on" {
	dying_is_refused ''
}

@test "ready = now: who comes during its first second is served" {
	persistent a 'workers { min = 1 }' serve | write_config
	start_daemon_nowait
	wait_for 20 "its address" log_has event=listening
	is_told "$(port_of a)" '[0-9]+ 1 hello'
	wait_for 20 event=ready log_has event=ready
	[ $(($(log_ms event=ready) - $(log_ms event=listening))) -ge 990 ]
	stop_daemon
}

@test "a program that is gone since the check is said in the log, wherever that is" {
	local log
	cp /bin/sleep "$BATS_TEST_TMPDIR/program"
	chmod 755 "$BATS_TEST_TMPDIR/program"
	for log in stderr "$BATS_TEST_TMPDIR/file"; do
		{
			echo "log = \"$log\""
			sleeper a 'workers { min = 1 }' | sed "s,/bin/sleep,$BATS_TEST_TMPDIR/program,"
		} | write_config
		start_daemon_nowait
		[ "$log" = stderr ] || LOG=$log
		wait_for 20 "its log" test -s "$LOG"
		wait_for 20 "event=ready" log_has event=ready
		mv "$BATS_TEST_TMPDIR/program" "$BATS_TEST_TMPDIR/away"
		kill -KILL "$(programs_of a)"
		wait_for 20 "a line about it in $log" log_has "level=error .*event=program_failed service=a worker=1 "
		log_has "event=program_failed .* program=$BATS_TEST_TMPDIR/program error=\"No such file or directory\""
		wait_for 20 "its exit" log_has 'event=worker_exit service=a .*reason="status 101"'
		mv "$BATS_TEST_TMPDIR/away" "$BATS_TEST_TMPDIR/program"
		wait_for 60 "it is back" n_programs_is 1 a
		stop_daemon
		rm "$LOG"
	done
}

@test "a program that is silent longer than its watchdog is killed and replaced; one that speaks is not" {
	local first
	persistent a 'watchdog = 2s workers { min = 1 }' "pings=$GATE" mark=silent pause | write_config
	start_daemon
	first=$(programs_of a)
	wait_for 20 "twice its watchdog" older_than 4100 event=ready
	[ "$(programs_of a)" = "$first" ]
	touch "$GATE"
	wait_for 20 "its end" process_gone "$first"
	wait_for 20 "its line" log_has "event=worker_exit .*worker_pid=$first .*reason=SIGKILL"
	log_has "level=warning .*event=worker_killed service=a worker=1 worker_pid=$first reason=watchdog serving=-"
	rm "$GATE"
	wait_for 20 "another one" n_programs_is 1 a
	stop_daemon
}

@test "WATCHDOG=1 of a child does not help" {
	local first
	persistent a 'ready = notify watchdog = 1s workers { min = 1 }' tell=READY=1 child=WATCHDOG=1 pause |
		write_config
	start_daemon
	first=$(programs_of a)
	wait_for 20 "its line" log_has "event=worker_killed .*worker_pid=$first reason=watchdog"
	# the line "ready" comes a bit after it was
	[ $(($(log_ms "event=worker_killed .*worker_pid=$first") - $(log_ms event=ready | head -n 1))) -ge 500 ]
	stop_daemon
}

@test "the watchdog does not bite a program that was told to leave and drains" {
	local first
	persistent a 'watchdog = 1s timeouts { drain = 1m } workers { min = 1 }' terms "pings=$GATE.1" mark=silent \
		"gate=$GATE.2" exit=0 | write_config
	start_daemon
	first=$(programs_of a)
	sleeper a 'workers { min = 1 }' | write_config
	reload_daemon
	wait_for 20 "it is told to leave" log_has "mark=term pid=$first"
	touch "$GATE.1"
	wait_for 20 "its silence" log_has "mark=silent pid=$first"
	touch "$BATS_TEST_TMPDIR/since"
	wait_for 20 "three times its watchdog" file_is_older_than 3000 "$BATS_TEST_TMPDIR/since"
	touch "$GATE.2"
	wait_for 20 "its end" log_has "event=worker_exit .*worker_pid=$first"
	log_lacks "event=worker_killed"
	log_has "level=info .*event=worker_exit .*worker_pid=$first .*reason=left"
	stop_daemon
}

file_is_older_than() {
	[ $(($(now_ms) - $(date -r "$2" +%s%3N))) -ge "$1" ]
}

@test "STATUS= is a line of the log that cannot be broken; other words are nothing" {
	persistent a 'workers { min = 1 }' 'tell=STATUS=all "well"\e[31m\nX_OTHER=1\nMAINPID=1\nSTATUS=two' \
		'tell=READY=1' 'tell=' "tell=STATUS=$(printf 'x%.0s' {1..3000})" tell=STATUS=last pause | write_config
	start_daemon
	wait_for 20 "its status" log_has 'event=program_status service=a worker=1 status=last'
	log_has 'level=info .*event=program_status service=a worker=1 status="all \\"well\\"\\x1b\[31m"'
	log_has 'event=program_status service=a worker=1 status=two'
	log_has 'event=program_status service=a worker=1 status=xxxxx'
	[ "$(log_count event=program_status)" -eq 4 ]
	[ "$(wc -L <"$LOG")" -le 1300 ]
	log_lacks 'MAINPID|X_OTHER'
	stop_daemon
}

@test "a program that leaves by itself is a warning, unless it said STOPPING=1" {
	local first
	{
		persistent a 'workers { min = 1 }' "gate=$GATE" exit=0
		persistent b 'workers { min = 1 }' "gate=$GATE" tell=STOPPING=1 exit=0
	} | write_config
	start_daemon
	first=$(programs_of a)
	touch "$GATE"
	wait_for 20 "the end of both" log_count_is 1 'event=worker_exit service=a '
	wait_for 20 "the end of both" log_count_is 1 'event=worker_exit service=b '
	rm "$GATE"
	log_has "level=warning .*event=worker_exit service=a worker=1 worker_pid=$first .*reason=left"
	[ "$(log_count 'level=info .*event=worker_exit service=b .*reason=left')" -ge 1 ]
	log_lacks 'level=warning .*event=worker_exit service=b'
	wait_for 20 "both again" n_programs_is 1 a
	wait_for 20 "both again" n_programs_is 1 b
	stop_daemon
}

@test "reload: new programs are ready before the old ones get SIGTERM, and no connection is lost" {
	local port i pid total=0
	persistent a 'ready = notify workers { min = 3 }' mark=ready tell=READY=1 serve | write_config
	start_daemon
	port=$(port_of a)
	for i in 1 2 3 4; do
		beside "$BATS_TEST_TMPDIR/client.$i" perl "$CLIENT" loop "$port" "$GATE"
	done
	for i in 2 3 4 5; do
		reload_daemon
		log_has "event=reload_done generation=$i"
		wait_for 20 "the old ones got SIGTERM" log_count_is 3 "mark=term .*generation=$((i - 1))\$"
		[ "$(log_count "mark=ready .*generation=$i\$")" -eq 3 ]
		[ "$(last_line_of "mark=ready .*generation=$i\$")" -lt "$(line_of "mark=term .*generation=$((i - 1))\$")" ]
		is_told "$port" "[0-9]+ $i hello"
	done
	touch "$GATE"
	for pid in $BESIDES; do
		wait "$pid" || { cat "$BATS_TEST_TMPDIR"/client.*; false; }
	done
	for i in 1 2 3 4; do
		total=$((total + $(cat "$BATS_TEST_TMPDIR/client.$i")))
	done
	[ "$total" -ge 40 ]
	wait_for 20 "the lines of the old ones" log_count_is 12 'event=worker_exit service=a '
	n_programs_is 3 a
	[ "$(log_count 'level=info .*event=worker_exit service=a .*reason=left')" -eq 12 ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of a accepted)" -eq 0 ]
}

@test "an old program finishes its connection, and gets exactly one SIGTERM" {
	local old line
	persistent a 'workers { min = 1 }' serve | write_config
	start_daemon
	old=$(programs_of a)
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	echo one >&9
	read -rt 30 line <&9
	[ "$line" = "$old 1 one" ]
	reload_daemon
	wait_for 20 "its SIGTERM" log_has "mark=term pid=$old"
	# more than enough for another one
	wait_for 20 "a second" older_than 1000 event=reload_done
	echo two >&9
	read -rt 30 line <&9
	[ "$line" = "$old 1 two" ]
	is_told "$(port_of a)" '[0-9]+ 2 hello'
	release
	wait_for 20 "its end" log_has "level=info .*event=worker_exit service=a .*worker_pid=$old .*reason=left"
	[ "$(log_count "mark=term pid=$old")" -eq 1 ]
	stop_daemon
}

@test "a program that ignores SIGTERM is killed after its drain time" {
	local old
	persistent a 'timeouts { drain = 2s } workers { min = 1 }' deaf mark=deaf pause | write_config
	start_daemon
	wait_for 20 "its deafness" log_has mark=deaf
	old=$(programs_of a)
	persistent a 'timeouts { drain = 2s } workers { min = 1 }' serve | write_config
	reload_daemon
	wait_for 20 "its end" log_has "event=worker_exit service=a .*worker_pid=$old .*reason=SIGKILL"
	log_has "level=warning .*event=worker_killed service=a worker=1 worker_pid=$old reason=drain_time_over serving=-"
	# the line "done" comes a bit after they were told
	[ $(($(log_ms event=worker_killed) - $(log_ms event=reload_done))) -ge 1500 ]
	is_told "$(port_of a)" '[0-9]+ 2 hello'
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a stop is one SIGTERM for each program, and SIGKILL after the drain time" {
	local programs
	{
		persistent a 'workers { min = 2 }' mark=here serve
		persistent b 'timeouts { drain = 600ms } workers { min = 1 }' terms mark=here pause
	} | write_config
	start_daemon
	wait_for 20 "all" log_count_is 3 mark=here
	wait_for 20 "two that serve" n_sleep_is 2 a
	programs=$(programs_of b)
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(log_count mark=term)" -eq 3 ]
	[ "$(log_count "mark=term pid=$programs")" -eq 1 ]
	log_has "event=worker_killed service=b worker=1 worker_pid=$programs reason=drain_time_over"
	[ "$(log_count 'event=worker_killed')" -eq 1 ]
	[ "$(log_count 'level=info .*event=worker_exit service=a .*reason=left')" -eq 2 ]
}

# n_sleep_is N SERVICE: so many of its programs wait for a client, or for anything else
n_sleep_is() {
	n_are "$1" is_asleep $(programs_of "$2")
}

# A stop while the programs are being started: each of them gets its SIGTERM and has the default action for it.
@test "a program that is told to leave before it began leaves" {
	sleeper a 'timeouts { drain = 20s } workers { min = 64 }' | write_config
	for _ in 1 2 3 4 5 6; do
		rm -f "$LOG"
		start_daemon_nowait
		wait_for 20 "the first ones" n_children_are 8
		stop_daemon
		log_lacks 'event=worker_killed'
	done
}

n_children_are() {
	[ "$(workers_of "$MASTER" | wc -l)" -ge "$1" ]
}

@test "a program that crashes is explained and replaced" {
	local signal victim
	persistent a 'workers { min = 2 }' serve | write_config
	start_daemon
	for signal in SEGV ABRT KILL TERM; do
		victim=$(programs_of a | head -n 1)
		kill -s "$signal" "$victim"
		wait_for 20 "its line" log_has "event=worker_exit service=a .*worker_pid=$victim "
		wait_for 20 "another one" n_programs_is 2 a
		is_told "$(port_of a)" '[0-9]+ 1 hello'
	done
	log_has 'level=warning .*event=worker_exit service=a .*reason="?SIGSEGV'
	log_has 'level=warning .*event=worker_exit service=a .*reason="?SIGABRT'
	log_has 'level=warning .*event=worker_exit service=a .*reason=SIGKILL'
	[ "$(log_count event=worker_exit)" -eq 4 ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "after a second of use a program that ends is replaced at once" {
	local died born
	persistent a 'workers { min = 1 }' mark=born "gate=$GATE" exit=1 | write_config
	start_daemon
	wait_for 20 "a second" older_than 1200 event=ready
	touch "$GATE"
	wait_for 20 "its line" log_has 'event=worker_exit '
	rm "$GATE"
	died=$(log_ms event=worker_exit | head -n 1)
	wait_for 20 "another one" log_count_is 2 mark=born
	born=$(now_ms)
	[ $((born - died)) -le 10000 ]
	stop_daemon
}

@test "a signal without a name has its number in the log" {
	persistent a 'workers { min = 1 }' pause | write_config
	start_daemon
	kill -s 40 "$(programs_of a)"
	wait_for 20 "its line" log_has 'event=worker_exit '
	log_lacks 'null'
	log_has 'event=worker_exit .*reason="?SIG[^ ]*(40|6)'
	stop_daemon
}

@test "a program that closes the listening socket: who connects is served by the next one" {
	local pid
	{
		persistent a 'workers { min = 1 }' close mark=closed pause
		builtin_echo e ''
	} | write_config
	start_daemon
	wait_for 20 "it" log_has mark=closed
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	echo hello >&9
	answers "$(port_of e)"
	pid=$(programs_of a)
	{
		persistent a 'workers { min = 1 }' serve
		builtin_echo e ''
	} | write_config
	reload_daemon
	read -rt 30 line <&9
	[[ $line =~ ^[0-9]+\ 2\ hello$ ]]
	release
	wait_for 20 "the end of the old one" process_gone "$pid"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a program that shuts the listening socket down: the next one serves" {
	persistent a 'workers { min = 1 }' shutdown mark=shut pause | write_config
	start_daemon
	wait_for 20 "it" log_has mark=shut
	persistent a 'workers { min = 1 }' serve | write_config
	reload_daemon
	is_told "$(port_of a)" '[0-9]+ 2 hello'
	stop_daemon
}

# switches_of SERVICE: how often its workers went to sleep
switches_of() {
	local pid
	for pid in $(workers_of "$MASTER" "$1"); do
		sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$pid/status"
	done | awk '{ n += $1 } END { print n + 0 }'
}

ticks_of() {
	local pid
	for pid in $(workers_of "$MASTER" "$1"); do
		sed 's/.*) //' "/proc/$pid/stat"
	done | awk '{ n += $12 + $13 } END { print n + 0 }'
}

@test "echo after a program that set O_NONBLOCK on the socket serves, and does not spin" {
	local switches ticks
	{
		persistent a 'workers { min = 2 }' nonblock mark=nonblock serve
		ON='type = dgram address = "127.0.0.1" port = 0' persistent d 'workers { min = 2 }' nonblock mark=nonblock packets
	} | write_config
	start_daemon
	wait_for 20 "all" log_count_is 4 mark=nonblock
	is_told "$(port_of a)" '[0-9]+ 1 hello'
	{
		builtin_echo a 'workers { min = 3 }'
		ON='type = dgram address = "127.0.0.1" port = 0' builtin_echo d 'workers { min = 3 }'
	} | write_config
	reload_daemon
	wait_for 20 "6 workers" n_workers_is 6
	for _ in 1 2 3 4 5; do
		answers "$(port_of a)"
		[ "$(perl "$CLIENT" datagram "$(port_of d)" hello)" = hello ]
	done
	switches=$(($(switches_of a) + $(switches_of d)))
	ticks=$(($(ticks_of a) + $(ticks_of d)))
	touch "$BATS_TEST_TMPDIR/since"
	wait_for 20 "a time" file_is_older_than 1000 "$BATS_TEST_TMPDIR/since"
	[ $(($(switches_of a) + $(switches_of d) - switches)) -le 10 ]
	[ $(($(ticks_of a) + $(ticks_of d) - ticks)) -le 5 ]
	hold "$(port_of a)"
	serve_on 9
	release
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of a accepted)" -eq 6 ]
	log_lacks 'event=worker_killed'
}

@test "programs after a sibling that set O_NONBLOCK do not break" {
	persistent a 'workers { min = 3 }' nonblock serve | write_config
	start_daemon
	for _ in 1 2 3 4 5 6; do
		is_told "$(port_of a)" '[0-9]+ 1 hello'
	done
	[ "$(log_count event=worker_exit)" -eq 0 ]
	stop_daemon
}

@test "datagram sockets: udp and unix" {
	{
		ON='type = dgram address = "127.0.0.1" port = 0' persistent udp 'workers { min = 2 }' packets
		ON="family = unix type = dgram path = \"$SOCK\"" persistent path 'workers { min = 1 } socket { mode = 0666 }' packets
	} | write_config
	start_daemon
	[[ $(perl "$CLIENT" datagram "$(port_of udp)" hello) =~ ^[0-9]+\ 1\ hello$ ]]
	[[ $(perl "$CLIENT" datagram "$SOCK" hello) =~ ^[0-9]+\ 1\ hello$ ]]
	reload_daemon
	wait_for 20 "the new ones alone" n_programs_is 2 udp
	wait_for 20 "the new ones alone" n_programs_is 1 path
	[[ $(perl "$CLIENT" datagram "$(port_of udp)" hello) =~ ^[0-9]+\ 2\ hello$ ]]
	[[ $(perl "$CLIENT" datagram "$SOCK" hello) =~ ^[0-9]+\ 2\ hello$ ]]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ ! -e "$SOCK" ]
}

@test "stdin = socket: the socket is descriptor 0 as for a wait program of inetd" {
	ON='type = dgram address = "127.0.0.1" port = 0' persistent a \
		'stdin = socket workers { min = 1 } run { environment = { "PROGRAM_FD=0" } }' packets | write_config
	start_daemon
	[[ $(perl "$CLIENT" datagram "$(port_of a)" hello) =~ ^[0-9]+\ 1\ hello$ ]]
	stop_daemon
}

@test "unix sockets with a path: stream and seqpacket" {
	{
		ON="family = unix path = \"$SOCK\"" persistent stream 'workers { min = 2 } socket { mode = 0666 }' serve
		ON="family = unix type = seqpacket path = \"$SOCK.seq\"" persistent seq 'workers { min = 2 }' serve
	} | write_config
	start_daemon
	[[ $(socat -t 30 - "UNIX-CONNECT:$SOCK" <<<hello) =~ ^[0-9]+\ 1\ hello$ ]]
	[[ $(socat -t 30 - "UNIX-CONNECT:$SOCK.seq,type=5" <<<hello) =~ ^[0-9]+\ 1\ hello$ ]]
	reload_daemon
	wait_for 20 "the new ones alone" n_programs_is 2 stream
	wait_for 20 "the new ones alone" n_programs_is 2 seq
	[[ $(socat -t 30 - "UNIX-CONNECT:$SOCK" <<<hello) =~ ^[0-9]+\ 2\ hello$ ]]
	[[ $(socat -t 30 - "UNIX-CONNECT:$SOCK.seq,type=5" <<<hello) =~ ^[0-9]+\ 2\ hello$ ]]
	stop_daemon
	[ ! -e "$SOCK" ]
	[ ! -e "$SOCK.seq" ]
}

# strays_of SERVICE: what its programs left behind: processes that run lib/program.pl, but not for the master
strays_of() {
	local pid programs
	programs=" $(programs_of "$1" | tr '\n' ' ')"
	for pid in $(grep -lsaF "$PROGRAM" /proc/[0-9]*/cmdline | cut -d / -f 3); do
		[[ $programs == *" $pid "* ]] || process_gone "$pid" ||
			{ environment_of "$pid" 2>/dev/null | grep -qx "PREFORKD_SERVICE=$1" && echo "$pid"; }
	done
	return 0
}

@test "what a program leaves behind lives as long as the program, and is killed after it" {
	local old strays pid
	persistent a 'workers { min = 1 }' leave=3 mark=left serve | write_config
	start_daemon
	wait_for 20 "it" log_has mark=left
	old=$(programs_of a)
	strays=$(strays_of a)
	[ "$(wc -w <<<"$strays")" -eq 3 ]
	is_told "$(port_of a)" "$old 1 hello"
	[ "$(strays_of a)" = "$strays" ]
	kill -KILL "$old"
	no_process_left "$strays"
	wait_for 20 "3 lines" log_count_is 3 'level=notice .*event=orphan_killed orphan_pid='
	for pid in $strays; do
		log_has "event=orphan_killed orphan_pid=$pid"
	done
	wait_for 20 "the next one" log_count_is 2 mark=left
	is_told "$(port_of a)" '[0-9]+ 1 hello'
	strays=$(strays_of a)
	[ "$(wc -w <<<"$strays")" -eq 3 ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	for pid in $strays; do
		process_gone "$pid"
	done
	[ "$(log_count event=orphan_killed)" -eq 6 ]
}

@test "what a living program started is not touched when another program ends" {
	local before
	{
		persistent a 'workers { min = 1 }' leave=2 mark=left pause
		persistent b 'workers { min = 1 }' leave=1 mark=left serve
	} | write_config
	start_daemon
	wait_for 20 "both" log_count_is 2 mark=left
	before=$(strays_of a)
	[ "$(wc -w <<<"$before")" -eq 2 ]
	kill -KILL "$(programs_of b)"
	wait_for 20 "its line" log_has 'event=worker_exit service=b '
	wait_for 20 "what it left" log_has event=orphan_killed
	wait_for 20 "another one" n_programs_is 1 b
	is_told "$(port_of b)" '[0-9]+ 1 hello'
	[ "$(strays_of a)" = "$before" ]
	[ "$(log_count event=orphan_killed)" -eq 1 ]
	stop_daemon
}

n_zombies_are() {
	n_are "$1" process_gone $(cat "/proc/$MASTER/task/$MASTER/children")
}

@test "children of a living program that end without a parent are no zombies of the master" {
	persistent a 'workers { min = 1 }' dust=20 mark=dust pause | write_config
	start_daemon
	wait_for 20 "it" log_has mark=dust
	wait_for 20 "no zombie" n_zombies_are 0
	stop_daemon
}

@test "a program that signals its process group reaches nobody else" {
	local echo other
	{
		persistent a 'workers { min = 1 }' "gate=$GATE" group mark=sent pause
		persistent b 'workers { min = 2 }' serve
		builtin_echo e 'workers { min = 2 }'
	} | write_config
	start_daemon
	echo=$(workers_of "$MASTER" e)
	other=$(programs_of b)
	hold "$(port_of e)"
	touch "$GATE"
	wait_for 20 "it" log_has mark=sent
	serve_on 9
	answers "$(port_of e)"
	is_told "$(port_of b)" '[0-9]+ 1 hello'
	[ "$(workers_of "$MASTER" e)" = "$echo" ]
	[ "$(programs_of b)" = "$other" ]
	log_lacks event=worker_exit
	release
	stop_daemon
}

@test "when the master is killed its programs get SIGTERM" {
	local programs pid
	persistent a 'workers { min = 3 }' mark=here serve | write_config
	start_daemon
	wait_for 20 "all" log_count_is 3 mark=here
	wait_for 20 "three that serve" n_sleep_is 3 a
	programs=$(programs_of a)
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	MASTER=
	no_process_left "$programs"
	for pid in $programs; do
		[ "$(log_count "mark=term pid=$pid")" -eq 1 ]
	done
}

# refused KEYS ERROR: of a service of handler persistent, with a command, unless KEYS say otherwise
refused() {
	local handler='handler = persistent' command='command = { "/bin/sleep", "1" }'
	[[ $1 != *handler* ]] || handler=
	[[ $1 != *command* && $1 != *echo* ]] || command=
	printf 'service a {\naddress = "127.0.0.1"\nport = 0\n%s\n%s\n%s\n}\n' "$handler" "$command" "$1" | write_config
	run --separate-stderr "$PREFORKD" -c "$CONF" -t
	if [ "$status" -ne 78 ] || ! grep -Eq -- "$2" <<<"$stderr"; then
		echo "$1: $status $output $stderr"
		return 1
	fi
}

@test "what a persistent service cannot have is refused by -t" {
	printf '#!/nowhere/interpreter\n' >"$BATS_TEST_TMPDIR/script"
	chmod 755 "$BATS_TEST_TMPDIR/script"
	refused 'command = {}' 'command.*is required'
	refused 'command = { "sleep", "1" }' 'absolute path'
	refused 'command = { "/nowhere/sleep" }' '/nowhere/sleep: No such file'
	refused 'command = { "/etc/passwd" }' 'cannot be executed'
	refused 'command = { "/bin" }' 'not a regular file'
	refused "command = { \"$BATS_TEST_TMPDIR/script\" }" 'interpreter /nowhere/interpreter'
	refused 'ready = soon' 'ready.*must be now, notify, or a duration'
	refused 'ready = 5' 'ready.*must be now, notify, or a duration'
	refused 'ready = 2m' 'ready'
	refused 'watchdog = 5' 'watchdog.*not a duration'
	refused 'stdin = log' 'stdin.*not one of'
	refused 'stderr = connection' 'stderr.*no connection of its own'
	refused 'handler = echo ready = now' 'ready.*only handler persistent'
	refused 'handler = echo stdin = null' 'stdin.*only handler persistent'
	refused 'handler = echo watchdog = 1s' 'watchdog.*only handler persistent'
	refused 'handler = exec stdin = socket' 'stdin.*only handler persistent'
}

@test "%{words} are for exec: a persistent program gets them as they are written" {
	sleeper a 'workers { min = 1 }' |
		sed 's|"/bin/sleep", .*|"/bin/sh", "-c", "sleep 1000; :", "%{remote_addr}", "100%%" }|' | write_config
	start_daemon
	tr '\0' '\n' <"/proc/$(programs_of a | head -n 1)/cmdline" | tail -n 2 | diff - <(printf '%%{remote_addr}\n100%%%%\n')
	stop_daemon
}

#!/usr/bin/env bats
# adopt.bats - sockets that are handed in, and the store of the service manager that keeps them over restarts.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2034,SC2154  # MASTER, LOG, ... are set by lib/daemon, STORE_MAX is read by lib/manager

load lib/daemon
load lib/manager

setup() {
	daemon_setup
	manager_setup
	SOCK=$BATS_TEST_TMPDIR/sock
	PORT=$(free_port)
}

teardown() {
	daemon_teardown
}

# echo_service NAME LINE...
echo_service() {
	echo "service $1 { handler = echo workers { min = 2 } timeouts { drain = 30s }"
	printf '%s\n' "${@:2}" '}'
}

# tcp_service NAME PORT [LINE...]
tcp_service() {
	echo_service "$1" 'address = "127.0.0.1"' "port = $2" "${@:3}"
}

unix_service() {
	echo_service "$1" 'family = unix' "path = \"$SOCK\"" "${@:2}"
}

inode_of_path() {
	stat -c '%d:%i %a' "$SOCK"
}

# socket_of ADDRESS: the inode of the socket that listens there
socket_of() {
	if [[ $1 == /* ]]; then
		awk -v path="$1" '$NF == path { print $7 }' /proc/net/unix
	else
		ss -Hltne "src = $1" | sed -n 's/.* ino:\([0-9]*\) .*/\1/p'
	fi
}

@test "systemd-socket-activate: the socket is served as it is, by its name with port 0" {
	echo_service web 'address = "127.0.0.1"' 'port = 0' | write_config
	beside "$LOG" systemd-socket-activate -l "127.0.0.1:$PORT" --fdname=web "$PREFORKD" -c "$CONF"
	MASTER=$BESIDE
	wait_for 20 "the socket" queue_is "$PORT" 0
	answers "$PORT"
	log_has 'event=listener_adopted service=web from=manager'
	log_has "event=listening service=web .* address=127.0.0.1:$PORT"
	log_lacks 'event=(socket_refused|listener_not_adjusted)'
	answers "$PORT"
	reload_daemon
	answers "$PORT"
	stop_daemon
}

@test "each socket goes to the service that has its address, whatever its name" {
	GIVEN=(hand x.socket tcp "[::1]:$PORT" hand x.socket unix "$SOCK" hand x.socket tcp "127.0.0.1:$PORT"
		hand x.socket udp "127.0.0.1:$PORT")
	{
		tcp_service four "$PORT"
		echo_service six 'family = inet6' 'address = "::1"' "port = $PORT"
		echo_service data 'type = dgram' 'address = "127.0.0.1"' "port = $PORT"
		unix_service path
	} | write_config
	start_manager
	for service in four six data path; do
		run_has "event=listener_adopted service=$service from=manager"
	done
	run_lacks 'event=(socket_refused|listener_not_adjusted)'
	answers "$PORT"
	answers "$PORT" ::1
	[ "$(socat -t 30 - "UNIX-CONNECT:$SOCK" <<<'a path')" = 'a path' ]
	[ "$(socat -t 30 - "UDP:127.0.0.1:$PORT" <<<'a datagram')" = 'a datagram' ]
	# nothing of it is put into the store: the socket unit keeps it
	run_lacks '^FDSTORE=1'
	end_manager 0
	# nor is the path ours to remove
	[ -S "$SOCK" ]
}

@test "what no service has is refused with a line, and the rest is served" {
	local other
	other=$(free_port)
	GIVEN=(hand a tcp "127.0.0.1:$PORT" hand b tcp "127.0.0.1:$other" hand c udp "127.0.0.1:$PORT"
		hand e udp "127.0.0.1:$other" hand e udp "127.0.0.1:$other")
	{
		tcp_service a "$PORT"
		echo_service e 'type = dgram' 'address = "127.0.0.1"' "port = $other"
	} | write_config
	start_manager
	answers "$PORT"
	run_has "event=socket_refused name=b socket=\"inet stream tcp 127.0.0.1:$other\" error=\"no service has this"
	run_has "event=socket_refused name=c socket=\"inet dgram udp 127.0.0.1:$PORT\""
	run_has 'event=socket_refused name=e .*error="the service has one already'
	[ "$(run_log | grep -c event=socket_refused)" -eq 3 ]
	# none of them stays open
	[ -z "$(find "/proc/$MASTER/fd" -lname "socket:\\[$(socket_of "127.0.0.1:$other")\\]")" ]
	end_manager 0
}

@test "a socket that was given to a service by name, with another address, is an error" {
	GIVEN=(hand web tcp "127.0.0.1:$PORT" hand other tcp "127.0.0.1:0")
	tcp_service web "$(free_port)" | write_config
	beside "$HEARD" "$TEST_BIN/manager" "$BATS_TEST_TMPDIR/notify" 0 "${GIVEN[@]}" -- "$PREFORKD" -c "$CONF"
	MANAGER=$BESIDE
	wait_for 20 "the refusal" grep -q 'event=stopped' "$HEARD"
	grep -q "level=error .*event=listen_failed service=web .*handed in by its name is inet stream tcp 127.0.0.1:$PORT" \
		"$HEARD"
	MASTER=$(started)
	end_manager 78
}

@test "a connection, of Accept=yes, is no listener" {
	GIVEN=(hand web connection "127.0.0.1:0")
	tcp_service web 0 | write_config
	beside "$HEARD" "$TEST_BIN/manager" "$BATS_TEST_TMPDIR/notify" 0 "${GIVEN[@]}" -- "$PREFORKD" -c "$CONF"
	MANAGER=$BESIDE
	wait_for 20 "the refusal" grep -q 'event=stopped' "$HEARD"
	grep -q 'event=listen_failed service=web .*handed in by its name is .*, a connection (' "$HEARD"
	MASTER=$(started)
	end_manager 78
}

@test "one unit with two addresses under one name, and port 0 by name only" {
	local second
	second=$(free_port)
	GIVEN=(hand web tcp "[::1]:$PORT" hand web tcp "127.0.0.1:$PORT" hand any tcp "127.0.0.1:$second")
	{
		tcp_service free 0
		tcp_service web "$PORT"
		tcp_service any 0
	} | write_config
	start_manager
	run_has "event=listening service=web .*address=127.0.0.1:$PORT"
	run_has "event=listening service=any .*address=127.0.0.1:$second"
	[ "$(run_log | sed -n 's/.*event=listener_adopted service=\([^ ]*\) from=manager$/\1/p' | sort | xargs)" = 'any web' ]
	run_has "event=socket_refused name=web socket=\"inet6 stream tcp \[::1\]:$PORT\""
	answers "$second"
	end_manager 0
}

@test "the options of a handed-in socket are those of the config; it blocks, and no program has it" {
	GIVEN=(hand web tcp "[::]:$PORT")
	echo_service web 'family = inet6' 'address = "*"' "port = $PORT" \
		'socket { backlog = 77 receive_buffer = 20000 v6only = true }' | write_config
	start_manager
	run_has 'event=listening service=web .*options="v6only=false receive_buffer=20000"'
	run_has 'event=listener_not_adjusted service=web error="socket.v6only: is as whoever opened the socket set it"'
	[ "$(ss -Hltn "sport = :$PORT" | awk '{ print $3 }')" -eq 77 ]
	for fd in "/proc/$MASTER/fd"/*; do
		[[ $(readlink "$fd") == socket:* ]] || continue
		[[ $fd == */0 || $fd == */1 || $fd == */2 ]] && continue
		flags=$(sed -n 's/^flags:\t//p' "/proc/$MASTER/fdinfo/${fd##*/}")
		((8#$flags & 8#2000000)) || { echo "$fd: $flags"; false; }
		[ "$(readlink "$fd")" != "socket:[$(socket_of "[::]:$PORT")]" ] || ! ((8#$flags & 8#4000)) || false
	done
	! tr '\0' '\n' <"/proc/$MASTER/environ" | grep -q '^LISTEN_FDS=0' || false
	end_manager 0
}

@test "per-worker: as many sockets as are handed in" {
	GIVEN=(hand a tcp "127.0.0.1:$PORT" hand a tcp "127.0.0.1:$PORT")
	tcp_service a "$PORT" 'socket { reuse_port = per-worker }' | write_config
	start_manager
	run_has 'event=listening service=a .*options="sockets=2 '
	for _ in {1..20}; do
		answers "$PORT"
	done
	end_manager 0
}

@test "the store keeps listeners over restarts and crashes: same socket, same path, same port 0" {
	local path sockets port
	{
		tcp_service four "$PORT"
		tcp_service zero 0
		unix_service path
	} | write_config
	start_manager
	wait_for 20 "three sockets in the store" stored_is 3
	port=$(port_of zero)
	path=$(inode_of_path)
	sockets="$(socket_of "127.0.0.1:$PORT") $(socket_of "127.0.0.1:$port") $(socket_of "$SOCK")"
	[ "$(wc -w <<<"$sockets")" -eq 3 ]
	for signal in HUP USR1 HUP; do
		restart "$signal"
		for service in four zero path; do
			run_has "event=listener_adopted service=$service from=store"
		done
		[ "$(inode_of_path)" = "$path" ]
		[ "$(socket_of "127.0.0.1:$PORT") $(socket_of "127.0.0.1:$port") $(socket_of "$SOCK")" = "$sockets" ]
		answers "$PORT"
		answers "$port"
		[ "$(socat -t 30 - "UNIX-CONNECT:$SOCK" <<<'a path')" = 'a path' ]
		stored_is 3
	done
	end_manager 0
}

@test "what queues while no master runs is served by the next one" {
	local workers line
	tcp_service a "$PORT" | write_config
	start_manager
	wait_for 20 "the store" stored_is 1
	# nothing takes the client, and nobody is there who could
	workers=$(workers_of "$MASTER")
	# shellcheck disable=SC2086  # pids are words
	stop_processes $workers
	eval "exec 9<>/dev/tcp/127.0.0.1/$PORT"
	echo "still here 9" >&9
	restart USR1
	# shellcheck disable=SC2086
	kill -CONT $workers
	no_process_left "$workers"
	read -rt 30 line <&9
	[ "$line" = "still here 9" ]
	release
	end_manager 0
}

@test "ten restarts under load: nobody is refused, nobody reset" {
	local done=$BATS_TEST_TMPDIR/done clients=() i
	{
		tcp_service four "$PORT"
		echo_service six 'family = inet6' 'address = "::1"' "port = $PORT"
		unix_service path
	} | write_config
	start_manager
	wait_for 20 "the store" stored_is 3
	for i in "$PORT" "[::1]:$PORT" "$SOCK"; do
		beside "$BATS_TEST_TMPDIR/client$((${#clients[@]}))" perl "$BATS_TEST_DIRNAME/lib/client.pl" loop "$i" "$done"
		clients+=("$BESIDE")
	done
	for i in {1..10}; do
		restart
	done
	touch "$done"
	for i in 0 1 2; do
		wait_for 20 "client $i" process_gone "${clients[i]}"
		wait "${clients[i]}" || { echo "client $i"; cat "$BATS_TEST_TMPDIR/client$i"; false; }
		[ "$(cat "$BATS_TEST_TMPDIR/client$i")" -gt 10 ]
	done
	end_manager 0
}

@test "what a reload drops is taken out of the store, what it adds is put in" {
	local other
	other=$(free_port)
	{ tcp_service a "$PORT"; unix_service path; } | write_config
	start_manager
	wait_for 20 "the store" stored_is 2
	{ tcp_service a "$PORT"; tcp_service b "$other"; } | write_config
	reload_daemon
	wait_for 20 "the other two" stored_is 2
	run_has '^FDSTOREREMOVE=1\|FDNAME=preforkd[+]path[+]'
	[ ! -e "$SOCK" ]
	# the same socket under another name
	{ tcp_service renamed "$PORT"; tcp_service b "$other"; } | write_config
	reload_daemon
	wait_for 20 "the new name" run_has 'FDNAME=preforkd[+]renamed[+]'
	run_has '^FDSTOREREMOVE=1\|FDNAME=preforkd[+]a[+]'
	restart
	run_has 'event=listener_adopted service=renamed from=store'
	run_has 'event=listener_adopted service=b from=store'
	end_manager 0
}

@test "a config that changed while nothing ran: what is gone leaves the store, and its port is free" {
	tcp_service a "$PORT" 'socket { nodelay = true receive_buffer = 30000 }' | write_config
	start_manager
	wait_for 20 "the store" stored_is 1
	# the same port, of all addresses: it is not free before the manager has let go
	echo_service a 'address = "*"' "port = $PORT" 'socket { nodelay = true receive_buffer = 30000 }' | write_config
	restart
	run_lacks 'event=listener_adopted'
	run_has "service=a .*address=0.0.0.0:$PORT options"
	wait_for 20 "the store" stored_is 1
	answers "$PORT"
	"$TEST_BIN/sockopt" "$MASTER" "0.0.0.0:$PORT" SO_RCVBUF >"$BATS_TEST_TMPDIR/set"
	# an option that is not there any more is the kernel's again
	echo_service a 'address = "*"' "port = $PORT" 'socket { nodelay = true }' | write_config
	restart
	run_has 'event=listener_adopted service=a from=store'
	run_has "service=a .*address=0.0.0.0:$PORT options=\"?nodelay=true\"?$"
	"$TEST_BIN/sockopt" "$MASTER" "0.0.0.0:$PORT" SO_RCVBUF >"$BATS_TEST_TMPDIR/back"
	grep -q '[0-9]' "$BATS_TEST_TMPDIR/back"
	! cmp "$BATS_TEST_TMPDIR/set" "$BATS_TEST_TMPDIR/back" || false
	# one that cannot change on an open socket
	echo_service a 'address = "*"' "port = $PORT" 'socket { reuse_port = per-worker }' | write_config
	restart
	run_has "service=a .*options=\"sockets=2 reuse_port=true\""
	wait_for 20 "both" stored_is 2
	restart
	run_has 'event=listener_adopted service=a from=store'
	# fewer of them
	echo_service a 'address = "*"' "port = $PORT" 'workers { max = 1 }' 'socket { reuse_port = per-worker }' |
		sed 's/workers { min = 2 }//' | write_config
	reload_daemon
	wait_for 20 "one" stored_is 1
	answers "$PORT"
	end_manager 0
}

@test "a path that was removed or replaced is made anew" {
	unix_service path | write_config
	start_manager
	wait_for 20 "the store" stored_is 1
	rm "$SOCK"
	restart
	run_lacks 'event=listener_adopted'
	[ "$(socat -t 30 - "UNIX-CONNECT:$SOCK" <<<'a path')" = 'a path' ]
	wait_for 20 "the store" stored_is 1
	unix_service path 'socket { mode = 0600 }' | write_config
	restart
	[[ $(inode_of_path) == *' 600' ]]
	end_manager 0
}

@test "without a store the path is removed, and nothing is sent" {
	STORE_MAX=0
	unix_service path | write_config
	start_manager
	run_lacks '^FDSTORE'
	end_manager 0
	[ ! -e "$SOCK" ]
	run_lacks '^FDSTORE'
}

@test "a store that is full takes what fits, and a line says so" {
	STORE_MAX=1
	{ tcp_service a "$PORT"; unix_service path; } | write_config
	start_manager
	run_has 'event=store_failed service=(a|path) error="there is no more room'
	restart
	[ "$(run_log | grep -c 'event=listener_adopted .*from=store')" -eq 1 ]
	end_manager 0
}

@test "the manager that does not read is not waited for" {
	tcp_service a "$PORT" | write_config
	start_manager
	wait_for 20 "the store" stored_is 1
	kill -STOP "$MANAGER"
	tcp_service a 0 | write_config
	reload_daemon
	kill -CONT "$MANAGER"
	wait_for 20 "the new one" run_has 'FDSTOREREMOVE=1'
	end_manager 0
}

upgrade_ended() {
	run_has 'event=upgrade_(done|refused|failed)'
}

@test "what an upgrade drops is taken out of the store" {
	local other
	other=$(free_port)
	{ tcp_service a "$PORT"; tcp_service b "$other"; } | write_config
	start_manager
	wait_for 20 "the store" stored_is 2
	tcp_service renamed "$PORT" | write_config
	kill -USR2 "$MASTER"
	wait_for 20 "the end of the upgrade" upgrade_ended
	run_has 'event=upgrade_done'
	wait_for 20 "the new name" run_has 'FDNAME=preforkd[+]renamed[+]'
	wait_for 20 "that one alone" stored_is 1
	end_manager 0
}

@test "after an upgrade that failed the store is still known: the next start gets socket and path" {
	local path closed=$BATS_TEST_TMPDIR/closed
	need_root
	mkdir -m 700 "$closed"
	unix_service path | write_config
	start_manager
	wait_for 20 "the store" stored_is 1
	path=$(inode_of_path)
	unix_service path "run { directory = \"$closed\" }" | write_config
	kill -USR2 "$MASTER"
	wait_for 20 "the end of the upgrade" upgrade_ended
	run_has 'event=upgrade_failed'
	unix_service path | write_config
	restart
	run_has 'event=listener_adopted service=path from=store'
	[ "$(inode_of_path)" = "$path" ]
	end_manager 0
}

@test "a service that was renamed while nothing ran is dropped from the store by the name that it has there" {
	local other
	other=$(free_port)
	{ tcp_service a "$PORT"; tcp_service b "$other"; } | write_config
	start_manager
	wait_for 20 "the store" stored_is 2
	{ tcp_service renamed "$PORT"; tcp_service b "$other"; } | write_config
	restart
	run_has 'event=listener_adopted service=renamed from=store'
	wait_for 20 "the new name" run_has 'FDNAME=preforkd[+]renamed[+]'
	wait_for 20 "both" stored_is 2
	tcp_service b "$other" | write_config
	reload_daemon
	wait_for 20 "the other one" stored_is 1
	end_manager 0
}

@test "an owner that was taken out of the config while nothing ran is the master's again" {
	need_root
	unix_service path 'socket { owner = nobody group = nogroup mode = 0600 }' | write_config
	start_manager
	wait_for 20 "the store" stored_is 1
	[ "$(stat -c %U:%G "$SOCK")" = nobody:nogroup ]
	unix_service path 'socket { mode = 0600 }' | write_config
	restart
	run_has 'event=listener_adopted service=path from=store'
	[ "$(stat -c %U:%G "$SOCK")" = root:root ]
	end_manager 0
}

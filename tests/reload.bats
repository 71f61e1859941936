#!/usr/bin/env bats
# reload.bats - SIGHUP puts the new config into force and loses nobody; what cannot be done changes nothing.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon
load lib/loads

setup() {
	daemon_setup
	SOCK=$BATS_TEST_TMPDIR/sock
}

teardown() {
	daemon_teardown
}

# echo_config [WORKERS [LINE...]]: one echo service "a", more lines inside of it
echo_config() {
	local workers=${1:-2}
	shift || :
	{
		echo 'service a {'
		echo '	address = "127.0.0.1"'
		echo '	port = 0'
		echo '	handler = echo'
		echo "	workers { min = $workers }"
		[ $# -eq 0 ] || printf '\t%s\n' "$@"
		echo '}'
	} | write_config
}

# The inodes of the master's sockets that listen, or are bound: those that ss knows an address of.
listeners_of_master() {
	find "/proc/$MASTER/fd" -lname 'socket:*' -printf '%l\n' | tr -dc '0-9\n' | sort -n
}

inode_of_port() {
	ss -Hltne "sport = :$1" | sed 's/.* ino:\([0-9]*\) .*/\1/'
}

# no worker but those that were born after the given log line count of reload_done
no_old_worker() {
	local pid
	for pid in $1; do
		process_gone "$pid" || return 1
	done
}

# ask PORT TEXT: what a stream service says to it
ask() {
	socat -t 30 - "TCP:127.0.0.1:$1" <<<"$2"
}

@test "a reload keeps the socket and replaces the workers, which serve by the new config" {
	local port old inode
	echo_config 2
	start_daemon
	port=$(port_of a)
	old=$(workers_of "$MASTER")
	inode=$(inode_of_port "$port")
	listeners_of_master | grep -qx "$inode"
	[ "$(ask "$port" hello)" = hello ]

	echo_config 3
	sed -i 's/handler = echo/handler = discard/' "$CONF"
	sed -i 's/workers .*/&\n\trun { umask = 0027 }/' "$CONF"
	reload_daemon
	log_has 'event=reload_done generation=2'
	[ "$(inode_of_port "$port")" = "$inode" ]
	listeners_of_master | grep -qx "$inode"
	wait_for 20 "the end of the old workers" no_old_worker "$old"
	wait_for 20 "3 workers" n_workers_is 3 a
	[ -z "$(ask "$port" hello)" ]
	grep -q '^Umask:[[:space:]]*0027' "/proc/$(workers_of "$MASTER" | head -n 1)/status"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "an old worker finishes its connection while new ones serve" {
	local old
	echo_config 2
	start_daemon
	hold "$(port_of a)"
	old=$(busy_worker a)
	reload_daemon
	for _ in 1 2 3 4; do
		answers "$(port_of a)"
	done
	serve_on 9
	[ -e "/proc/$old/fd" ]
	release
	wait_for 20 "the end of the old worker" process_gone "$old"
	wait_for 20 "its line" log_has "event=worker_exit service=a .*worker_pid=$old generation=1 reason=left serving=- accepted=1 served=1 failed=0 refused=0 lost=0"
	stop_daemon
	[ "$(account_of a served)" -eq 5 ]
}

@test "an old worker that is still busy after the drain time is killed, with a line that names its peer" {
	local old peer
	echo_config 2 'timeouts { drain = 1s }'
	start_daemon
	hold "$(port_of a)"
	old=$(busy_worker a)
	peer=$(ss -Htn "dport = :$(port_of a)" | awk '{ print $4 }')
	reload_daemon
	wait_for 20 "the end of the old worker" process_gone "$old"
	wait_for 20 "its line" log_has "event=worker_exit .*worker_pid=$old .*reason=SIGKILL serving=$peer .*lost=1"
	log_has "level=warning .*event=worker_killed service=a worker=[12] worker_pid=$old reason=drain_time_over serving=$peer"
	# the line "done" comes a bit after they were told
	[ $(($(log_ms 'event=worker_killed') - $(log_ms 'event=reload_done'))) -ge 500 ]
	answers "$(port_of a)"
	stop_daemon
	[ "$(account_of a lost)" -eq 1 ]
}

@test "a service that is added listens, and one that is removed is closed" {
	local a b
	echo_config 2
	start_daemon
	a=$(port_of a)
	sed '/^reload/d; s/service a/service b/' "$CONF" >"$CONF.b"
	cat "$CONF.b" >>"$CONF"
	reload_daemon
	b=$(port_of b)
	answers "$a"
	answers "$b"
	mv "$CONF.b" "$CONF"
	reload_daemon
	log_has 'event=listener_closed service=a'
	answers "$b"
	wait_for 20 "the account of what is gone" log_has 'event=account service=a '
	refuses "$a"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(log_count 'event=account service=a ')" -eq 1 ]
}

@test "who waits in the queue of a service that is removed is served" {
	local port
	echo_config 1
	sed '/^reload/d; s/service a/service b/' "$CONF" >"$CONF.b"
	start_daemon
	port=$(port_of a)
	hold "$port"
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$port" -c 20 -n 20 --timeout 60000
	wait_for 20 "20 that wait" queue_is "$port" 20
	mv "$CONF.b" "$CONF"
	reload_daemon
	serve_on 9
	release
	wait_for 20 "the clients" process_gone "$BESIDE"
	cat "$BATS_TEST_TMPDIR/load"
	grep -q '^connections=20 ok=20 ' "$BATS_TEST_TMPDIR/load"
	wait_for 20 "its account" log_has 'event=account service=a accepted=21 served=21 '
	refuses "$port"
	stop_daemon
}

@test "port 0 keeps its port while its service lives, whatever else changes" {
	local port
	echo_config 2
	start_daemon
	port=$(port_of a)
	sed -i 's/handler = echo/handler = discard/; s/min = 2/min = 1/' "$CONF"
	sed '/^reload/d; s/service a/service b/' "$CONF" >"$CONF.b"
	cat "$CONF.b" >>"$CONF"
	reload_daemon
	[ "$(log_count 'event=listening service=a')" -eq 1 ]
	[ "$(port_of b)" != "$port" ]
	echo_config 2
	reload_daemon
	# one of those that discard may still take a client
	wait_for 20 "the new workers alone" n_workers_is 2
	answers "$port"
	[ "$(log_count 'event=listening service=a')" -eq 1 ]
	stop_daemon
}

@test "a service that gets another name keeps the socket of its address" {
	local port inode
	port=$(free_port)
	echo_config 2
	sed -i "s/port = 0/port = $port/" "$CONF"
	start_daemon
	inode=$(inode_of_port "$port")
	sed -i 's/service a/service other/' "$CONF"
	reload_daemon
	log_has 'event=reload_done'
	[ "$(inode_of_port "$port")" = "$inode" ]
	answers "$port"
	log_lacks 'event=listener_closed'
	stop_daemon
}

@test "a unix path keeps its socket and follows mode and owner" {
	local inode
	cat >"$CONF" <<-END
	service a {
		family = unix
		path = "$SOCK"
		socket { mode = 0600 }
		handler = echo
		workers { min = 2 }
	}
	END
	start_daemon
	inode=$(stat -c %i "$SOCK")
	[ "$(stat -c %a "$SOCK")" = 600 ]
	sed -i 's/0600/0666/' "$CONF"
	[ "$(id -u)" -ne 0 ] || sed -i 's/mode/owner = "nobody" mode/' "$CONF"
	reload_daemon
	[ "$(stat -c %i "$SOCK")" = "$inode" ]
	[ "$(stat -c %a "$SOCK")" = 666 ]
	[ "$(id -u)" -ne 0 ] || [ "$(stat -c %U "$SOCK")" = nobody ]
	[ "$(socat -t 20 - "UNIX-CONNECT:$SOCK" <<<hello)" = hello ]
	stop_daemon
	[ ! -e "$SOCK" ]
}

# unix_config [LINE...]: one service at the path $SOCK
unix_config() {
	{
		printf 'service a {\n\tfamily = unix\n\tpath = "%s"\n\thandler = echo\n' "$SOCK"
		[ $# -eq 0 ] || printf '\t%s\n' "$@"
		echo '}'
	} | write_config
}

@test "a unix path whose owner and group are taken out of the config is the master's again" {
	local group
	need_root
	for group in root nogroup; do
		mkdir "$BATS_TEST_TMPDIR/$group"
		SOCK=$BATS_TEST_TMPDIR/$group/sock
		# in such a directory everything new has its group
		chgrp "$group" "${SOCK%/*}"
		chmod g+s "${SOCK%/*}"
		unix_config 'socket { owner = games group = games mode = 0660 }'
		[ -n "$MASTER" ] || start_daemon
		reload_daemon
		[ "$(stat -c '%U %G %a' "$SOCK")" = 'games games 660' ]
		unix_config 'socket { mode = 0640 }'
		reload_daemon
		[ "$(stat -c '%U %G %a' "$SOCK")" = "root $group 640" ]
	done
	log_lacks 'event=listener_not_adjusted'
	stop_daemon
}

@test "what somebody else put in the place of a unix path gets neither mode nor owner of the config" {
	local secret=$BATS_TEST_TMPDIR/secret
	unix_config 'socket { mode = 0600 }'
	start_daemon
	: >"$secret"
	chmod 600 "$secret"
	rm "$SOCK"
	ln -s "$secret" "$SOCK"
	unix_config 'socket { mode = 0666 }'
	reload_daemon
	log_has 'event=reload_done'
	log_has 'event=listener_not_adjusted service=a error=".*/sock leads to something else by now'
	[ "$(stat -c %a "$secret")" = 600 ]
	# with an owner, that of the link stays as well
	[ "$(id -u)" -ne 0 ] || {
		unix_config 'socket { owner = nobody }'
		reload_daemon
		[ "$(stat -c %U "$SOCK")" = root ]
	}
	stop_daemon
}

@test "another type at the same unix path is refused with what helps, and the old one goes on" {
	unix_config
	start_daemon
	unix_config 'type = seqpacket'
	reload_daemon
	log_has 'event=reload_refused'
	log_has 'event=listen_failed service=a .*error="service a serves this path with a socket of another type'
	[ "$(socat -t 20 - "UNIX-CONNECT:$SOCK" <<<hello)" = hello ]
	write_config <<<'service b { address = "127.0.0.1" port = 0 handler = echo }'
	reload_daemon
	unix_config 'type = seqpacket'
	reload_daemon
	[ "$(socat -t 20 - "UNIX-CONNECT:$SOCK,type=5" <<<hello)" = hello ]
	stop_daemon
}

@test "TCP becomes MPTCP and back on the same port" {
	local port protocol
	"$PREFORKD" --probe | grep -q '^inet  *stream  *mptcp  *accept  *works' || strict_skip "kernel: no MPTCP"
	port=$(free_port)
	for protocol in tcp mptcp tcp; do
		write_config <<-END
			service a { address = "127.0.0.1" port = $port protocol = $protocol handler = echo }
		END
		[ -n "$MASTER" ] || start_daemon
		reload_daemon
		log_lacks 'event=reload_refused'
		for _ in {1..5}; do
			answers "$port"
		done
	done
	[ "$(log_count 'event=listener_closed')" -eq 2 ]
	stop_daemon
}

@test "workers for a log that was reopened who cannot start are said, and the old ones go on" {
	local dir=$BATS_TEST_TMPDIR/dir old
	need_root
	mkdir "$dir"
	echo_config 2 "run { directory = \"$dir\" }"
	LOG=$BATS_TEST_TMPDIR/file
	: >"$LOG"
	chmod 640 "$LOG"
	sed -i "1i log = \"$LOG\"" "$CONF"
	start_daemon
	old=$(workers_of "$MASTER")
	chmod 700 "$dir"
	kill -USR1 "$MASTER"
	wait_for 20 "a line" log_has 'level=error .*event=respawn_failed error="a worker died during the start'
	wait_for 20 "the old ones alone" n_workers_is 2
	[ "$(workers_of "$MASTER")" = "$old" ]
	answers "$(port_of a)"
	stop_daemon
}

@test "a config with errors changes nothing, and each error is said" {
	local old port fds
	echo_config 2
	start_daemon
	port=$(port_of a)
	old=$(workers_of "$MASTER")
	hold "$port"
	fds=$(fds_of_master)
	echo_config 2 'socket { backlog = 0 }' 'timeouts { idle = 5 }'
	for _ in 1 2 3 4 5; do
		reload_daemon
	done
	[ "$(workers_of "$MASTER")" = "$old" ]
	wait_for 20 "its descriptors" fds_are "$fds"
	[ "$(log_count 'event=reload_refused error="the config has errors" generation=1')" -eq 5 ]
	log_has "event=config_error error=\"$CONF:[0-9]+: service .*timeouts.idle"
	log_has "event=config_error error=\"$CONF:[0-9]+: service .*backlog"
	serve_on 9
	answers "$port"
	release
	# and it is not stuck there
	echo_config 3
	reload_daemon
	log_has 'event=reload_done'
	wait_for 20 "3 workers" n_workers_is 3
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a reload that cannot open a new socket is refused and leaves nothing behind" {
	local old fds
	echo_config 2
	start_daemon
	old=$(workers_of "$MASTER")
	fds=$(fds_of_master)
	cat >>"$CONF" <<-END
	service b {
		address = "127.0.0.1"
		port = 0
		handler = echo
	}
	service c {
		family = unix
		path = "$BATS_TEST_TMPDIR/missing/sock"
		handler = echo
	}
	END
	reload_daemon
	log_has 'level=error .*event=listen_failed service=c .*No such file'
	log_has 'event=reload_refused error="a service cannot be started" generation=1'
	log_has 'event=listener_closed service=b'
	[ "$(workers_of "$MASTER")" = "$old" ]
	wait_for 20 "its descriptors" fds_are "$fds"
	answers "$(port_of a)"
	refuses "$(port_of b)"
	stop_daemon
}

@test "a reload whose new workers cannot start is refused, and the old ones go on" {
	local old fds dir=$BATS_TEST_TMPDIR/closed
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	mkdir -m 700 "$dir"
	echo_config 2
	start_daemon
	old=$(workers_of "$MASTER")
	fds=$(fds_of_master)
	hold "$(port_of a)"
	echo_config 4 "run { directory = \"$dir\" }"
	reload_daemon
	log_has 'event=worker_setup_failed service=a .*run.directory'
	log_has 'event=reload_refused error="a worker died during the start .*generation=1'
	serve_on 9
	release
	answers "$(port_of a)"
	wait_for 20 "the end of the failed generation" n_workers_is 2
	[ "$(workers_of "$MASTER")" = "$old" ]
	wait_for 20 "its descriptors" fds_are "$fds"
	chmod 755 "$dir"
	reload_daemon
	log_has 'event=reload_done'
	wait_for 20 "4 workers" n_workers_is 4
	answers "$(port_of a)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a config that is no plain file is refused in time" {
	local old begin
	echo_config 2
	start_daemon
	old=$(workers_of "$MASTER")
	mv "$CONF" "$CONF.good"
	mkfifo "$CONF"
	begin=$(now_ms)
	reload_daemon
	[ $(($(now_ms) - begin)) -le 20000 ]
	log_has 'event=reload_refused'
	log_has "event=config_error error=\"?$CONF"
	rm "$CONF"
	mkdir "$CONF"
	reload_daemon
	rmdir "$CONF"
	reload_daemon
	[ "$(log_count 'event=reload_refused')" -eq 3 ]
	[ "$(workers_of "$MASTER")" = "$old" ]
	answers "$(port_of a)"
	mv "$CONF.good" "$CONF"
	reload_daemon
	log_has 'event=reload_done'
	stop_daemon
}

# slow_reader MS: what reads the config waits so long before it opens a file
slow_reader() {
	beside "$BATS_TEST_TMPDIR/strace" strace -qq -f -p "$MASTER" -e trace=openat -e "inject=openat:delay_enter=$1"
	wait_for 20 "strace" is_traced "$MASTER"
}

# the pid of the process that reads the config
reader() {
	local pid
	for pid in $(workers_of "$MASTER"); do
		[[ $(cat "/proc/$pid/comm") == "preforkd: "* ]] || { echo "$pid" && return; }
	done
	return 1
}

# born_ms PID: when a worker that has ended by now was started
born_ms() {
	echo $(($(log_ms "event=worker_exit .*worker_pid=$1 ") - $(sed -n "s/.*event=worker_exit .*worker_pid=$1 .*age_ms=//p" "$LOG")))
}

@test "a reader of the config that hangs is given up after two seconds, and nobody waits for it" {
	local old new pid
	echo_config 2
	start_daemon
	old=$(workers_of "$MASTER")
	slow_reader 1500000
	kill -HUP "$MASTER"
	wait_for 20 "the reader" reader
	pid=$(reader)
	kill -STOP "$pid"
	end_beside "$BESIDE"
	# the master does its work meanwhile: one who dies is replaced
	kill -KILL "$(head -n 1 <<<"$old")"
	answers "$(port_of a)"
	wait_for 20 "the refusal" log_has 'event=reload_refused'
	log_has 'event=config_error error="reading the config took longer than 2 s'
	[ $(($(log_ms 'event=reload_refused') - $(log_ms 'event=reload_started'))) -le 20000 ]
	wait_for 20 "the end of the reader" process_gone "$pid"
	wait_for 20 "2 workers" n_workers_is 2
	new=$(workers_of "$MASTER" | tail -n 1)
	reload_daemon
	wait_for 20 "the line of the one that came" log_has "event=worker_exit .*worker_pid=$new "
	[ "$(born_ms "$new")" -lt "$(log_ms 'event=reload_refused')" ]
	log_has 'event=reload_done'
	wait_for 20 "2 workers" n_workers_is 2
	answers "$(port_of a)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a reader of the config that not even SIGKILL ends (a dead file server) does not hold up the master" {
	local old
	echo_config 2
	start_daemon
	old=$(workers_of "$MASTER")
	# who is held by a tracer stays as a file server would hold it
	slow_reader 120000000
	kill -HUP "$MASTER"
	wait_for 20 "the refusal" log_has 'event=reload_refused'
	kill -KILL "$(head -n 1 <<<"$old")"
	wait_for 20 "the exit line" log_has 'event=worker_exit .*reason=SIGKILL'
	end_beside "$BESIDE"
	wait_for 20 "2 workers" n_workers_is 2 a
	answers "$(port_of a)"
	wait_for 20 "the end of the reader" n_workers_is 2
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a reader of the config that is killed is explained" {
	local old
	echo_config 2
	start_daemon
	old=$(workers_of "$MASTER")
	slow_reader 1500000
	kill -HUP "$MASTER"
	wait_for 20 "the reader" reader
	kill -KILL "$(reader)"
	wait_for 20 "the refusal" log_has 'event=reload_refused'
	log_has 'event=config_error error="reading the config was ended by SIGKILL"'
	[ "$(workers_of "$MASTER")" = "$old" ]
	end_beside "$BESIDE"
	answers "$(port_of a)"
	reload_daemon
	log_has 'event=reload_done'
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "100 reloads under load lose nobody: TCP over IPv4 and IPv6, and unix" {
	local name
	three_families
	start_daemon
	start_loads 4000 --until "$BATS_TEST_TMPDIR/gate"
	for _ in {1..100}; do
		reload_daemon
	done
	touch "$BATS_TEST_TMPDIR/gate"
	[ "$(log_count 'event=reload_done')" -eq 100 ]
	wait_for 120 "the loads" loads_are_over
	check_loads 4000
	wait_for 20 "the end of the old generations" n_workers_is 12
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	for name in tcp six path; do
		[ "$(account_of "$name" lost)" -eq 0 ]
		[ "$(account_of "$name" failed)" -eq 0 ]
		[ "$(account_of "$name" accepted)" -ge 4000 ]
	done
	log_lacks 'event=worker_killed'
}

@test "the same clients do see it when the sockets are closed and opened again" {
	three_families "$(free_port)"
	start_daemon
	beside "$BATS_TEST_TMPDIR/load.tcp" "$TEST_BIN/load" -p "$(port_of tcp)" -c 4 -n 100 --until "$BATS_TEST_TMPDIR/gate"
	wait_for 20 "clients" busy_worker tcp
	stop_daemon INT
	mv "$LOG" "$LOG.old"
	start_daemon
	answers "$(port_of tcp)"
	touch "$BATS_TEST_TMPDIR/gate"
	wait_for 60 "the load" process_gone "$BESIDE"
	cat "$BATS_TEST_TMPDIR/load.tcp"
	run grep ' refused=0 reset=0 ' "$BATS_TEST_TMPDIR/load.tcp"
	[ "$status" -ne 0 ]
	grep -q ' ok=[1-9]' "$BATS_TEST_TMPDIR/load.tcp"
	stop_daemon
}

@test "HUPs at any distance, and a storm of them, leave one generation with the right workers" {
	local fds i pid newest
	echo_config 3
	start_daemon
	reload_daemon
	wait_for 20 "3 workers" n_workers_is 3
	fds=$(fds_of_master)
	for i in {0..24}; do
		kill -HUP "$MASTER"
		read -rt "0.0$(printf %02d "$i")" <> <(:) || :
	done
	for i in {1..200}; do
		kill -HUP "$MASTER"
	done
	echo_config 5
	wait_for 60 "calm" is_calm
	reload_daemon
	wait_for 20 "5 workers" n_workers_is 5
	answers "$(port_of a)"
	# each HUP before the first of a reload began has its effect: what runs is what was written last
	newest=$(sed -n 's/.*event=reload_done generation=//p' "$LOG" | tail -n 1)
	# one HUP more may have waited inside of the master
	wait_for 60 "calm" is_calm
	[ "$(log_count 'event=reload_started')" -eq "$(log_count 'event=reload_done')" ]
	log_lacks 'event=reload_refused'
	echo_config 3
	reload_daemon
	wait_for 20 "3 workers" n_workers_is 3
	wait_for 20 "as many descriptors as before" fds_are "$fds"
	for pid in $(workers_of "$MASTER"); do
		log_lacks "worker_pid=$pid "
	done
	[ "$newest" -ge 3 ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

# reloads: how many have begun, and how many have ended, in one read of a log that may be growing (and its older parts)
reloads() {
	cat "$LOG"* | awk '/event=reload_started/ { n++ } /event=reload_(done|refused)/ { m++ } END { print n + 0, m + 0 }'
}

# every reload that began has ended, and no HUP (bit 0) waits; nor one inside of the master, which begins at once
is_calm() {
	local now
	now=$(reloads)
	[ "${now% *}" -eq "${now#* }" ] && grep -Eq '^ShdPnd:.*[02468ace]$' "/proc/$MASTER/status" && [ -z "$(reader)" ] ||
		return 1
	read -rt 0.1 <> <(:) || :
	[ "$(reloads)" = "$now" ]
}

@test "the last HUP of many is the one that counts" {
	local i
	echo_config 2
	start_daemon
	for i in {1..30}; do
		echo_config $((i % 7 + 1))
		kill -HUP "$MASTER"
	done
	echo_config 6
	kill -HUP "$MASTER"
	wait_for 20 "6 workers of the last config" n_workers_is 6
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a HUP while a new generation starts is another reload after it" {
	echo_config 200
	start_daemon
	kill -HUP "$MASTER"
	wait_for 20 "the first of the new workers" more_children_than 202
	echo_config 2
	kill -HUP "$MASTER"
	wait_for 60 "2 workers" n_workers_is 2
	[ "$(log_count 'event=reload_done')" -eq 2 ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

# or they are there already, if nobody looked for so long
more_children_than() {
	[ "$(wc -w <"/proc/$MASTER/task/$MASTER/children")" -gt "$1" ] || log_has event=reload_done
}

@test "HUP and USR1 together leave every worker with the new config and the new log" {
	local i
	# many, so that a generation takes some time to start
	echo_config 100
	sed -i "1i log = \"$BATS_TEST_TMPDIR/file\"" "$CONF"
	LOG=$BATS_TEST_TMPDIR/file
	: >"$LOG"
	chmod 640 "$LOG"
	"$PREFORKD" -c "$CONF" 3>&- &
	MASTER=$!
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	for i in 00 05 15 30 60; do
		kill -HUP "$MASTER"
		read -rt "0.0$i" <> <(:) || :
		mv "$LOG" "$LOG.$i"
		kill -USR1 "$MASTER"
		wait_for 60 "workers that all write to the new log (USR1 $i ms after HUP)" all_log_to "$LOG"
		is_calm || wait_for 60 "calm" is_calm
	done
	answers "$(cat "$LOG".* | sed -n 's/.*event=listening service=a .*:\([0-9]*\)$/\1/p' | head -n 1)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

all_log_to() {
	local dirs
	n_workers_is 100 || return 1
	mapfile -t dirs < <(workers_of "$MASTER" | sed 's,.*,/proc/&/fd,')
	[ "$(find "${dirs[@]}" -lname "$1" 2>/dev/null | wc -l)" -eq 100 ]
}

@test "a stop while a faulty config is being read ends in order, whatever the reader finds" {
	echo_config 2
	start_daemon
	# this client keeps the master until the reader is done
	hold "$(port_of a)"
	slow_reader 900000
	echo 'service a { handler = ecko }' >"$CONF"
	kill -HUP "$MASTER"
	wait_for 20 "the reader" reader
	kill -TERM "$MASTER"
	wait_for 20 "the stop" log_has 'event=stopping'
	wait_for 20 "the end of the reader" no_reader
	end_beside "$BESIDE"
	serve_on 9
	release
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_has 'event=stopped status=0'
	log_lacks 'event=reload_(done|refused)'
}

no_reader() {
	! reader >/dev/null
}

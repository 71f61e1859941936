#!/usr/bin/env bats
# upgrade.bats - SIGUSR2: another binary takes over in the same process, and nobody notices; one that is no good changes
# nothing.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154,SC2034  # MASTER, LOG, ... are set by lib/daemon, and PREFORKD is read there
# shellcheck disable=SC2013  # pids are words

bats_require_minimum_version 1.5.0
load lib/daemon
load lib/loads

setup() {
	daemon_setup
	export RELOAD_KEY=
	SOCK=$BATS_TEST_TMPDIR/sock
	GATE=$BATS_TEST_TMPDIR/preforkd.gate
	WAITS=$BATS_TEST_TMPDIR/preforkd.waits
	STATE=$BATS_TEST_TMPDIR/state
	GOOD=$PREFORKD
	# what is started here, and what an upgrade finds, is a file that a test can replace
	BINARY=$BATS_TEST_TMPDIR/preforkd
	PREFORKD=$BINARY
	cp -t "${BINARY%/*}" "$GOOD-worker"*
	new_binary
}

teardown() {
	daemon_teardown
}

# new_binary: a copy of preforkd, another file each time, as an installation makes it
new_binary() {
	cp "$GOOD" "$BINARY.new"
	mv "$BINARY.new" "$BINARY"
}

# new_script LINE...: such a file whose rehearsal is a shell script; "$@" are the arguments of preforkd
new_script() {
	printf '%s\n' "$@" >"$BINARY.sh"
	ln -sf "$GOOD" "$BINARY.real"
	cp "$TEST_BIN/stand_in" "$BINARY.new"
	mv "$BINARY.new" "$BINARY"
}

echo_config() {
	local workers=${1:-2}
	shift || :
	{
		printf 'service a {\n\taddress = "127.0.0.1"\n\tport = 0\n\thandler = echo\n'
		printf '\tworkers { min = %s }\n' "$workers"
		[ $# -eq 0 ] || printf '\t%s\n' "$@"
		printf '}\n'
	} | write_config
}

begin_upgrade() {
	BEFORE=$(log_count 'event=upgrade_(done|refused|failed)')
	kill -USR2 "$MASTER"
}

end_upgrade() {
	wait_for 60 "the end of the upgrade" upgrade_ended
}

upgrade_ended() {
	[ "$(log_count 'event=upgrade_(done|refused|failed)')" -gt "$BEFORE" ]
}

upgrade_daemon() {
	begin_upgrade
	end_upgrade
}

# the flags of each descriptor of the master; those that are close-on-exec have $CLOEXEC
open_flags() {
	(cd "/proc/$MASTER/fdinfo" && grep -H '^flags' ./*)
}
CLOEXEC='02[0-7]\{6\}$'

runs_file() {
	[ "/proc/$MASTER/exe" -ef "$1" ]
}

@test "a new binary takes over in the same process, with the sockets, and its workers follow" {
	local old inode title inherited
	echo_config 2
	start_daemon
	inherited=$(open_flags | grep -vc "$CLOEXEC")
	hold "$(port_of a)"
	old=$(workers_of "$MASTER")
	inode=$(ss -Hltne "sport = :$(port_of a)" | sed 's/.* ino:\([0-9]*\) .*/\1/')
	title=$(tr '\0' ' ' <"/proc/$MASTER/cmdline")
	new_binary
	[ -n "$inode" ]
	run ! runs_file "$BINARY"
	upgrade_daemon
	log_has "level=notice pid=$MASTER event=upgrade_started binary=$BINARY"
	log_has "level=notice pid=$MASTER event=upgrade_done generation=2 version=[^ ]* binary=$BINARY"
	runs_file "$BINARY"
	[ "$(tr '\0' ' ' <"/proc/$MASTER/cmdline")" = "$title" ]
	[ "$(cat "/proc/$MASTER/comm")" = preforkd ]
	[ "$(ss -Hltne "sport = :$(port_of a)" | sed 's/.* ino:\([0-9]*\) .*/\1/')" = "$inode" ]
	[ "$(log_count event=listening)" -eq 1 ]
	[ "$(open_flags | grep -vc "$CLOEXEC")" -eq "$inherited" ]
	# one is held by its client, and the other one has left
	wait_for 20 "2 new workers beside an old one" n_workers_is 3
	answers "$(port_of a)"
	serve_on 9
	release
	wait_for 20 "the new workers alone" n_workers_is 2
	no_process_left "$old"
	wait_for 20 "its line" log_has 'event=worker_exit service=a .* generation=1 reason=left serving=- accepted=1 served=1 '
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	account_is a accepted=2 served=2 lost=0
	log_lacks 'level=(error|warning)'
}

@test "20 upgrades under load lose nobody: TCP over IPv4 and IPv6, and unix" {
	local i fds node
	three_families
	start_daemon
	fds=$(fds_of_master)
	node=$(stat -c %i "$SOCK")
	start_loads 3000 --until "$BATS_TEST_TMPDIR/gate"
	for _ in {1..20}; do
		new_binary
		upgrade_daemon
		runs_file "$BINARY" || { grep event=upgrade_ "$LOG" | tail -n 4; false; }
	done
	touch "$BATS_TEST_TMPDIR/gate"
	[ "$(log_count 'event=upgrade_done')" -eq 20 ]
	wait_for 120 "the loads" loads_are_over
	check_loads 3000
	wait_for 20 "the end of the old workers" n_workers_is 12
	[ "$(wc -w <"/proc/$MASTER/task/$MASTER/children")" -eq 12 ]
	wait_for 20 "its descriptors" fds_are "$fds" || { ls -l "/proc/$MASTER/fd"; false; }
	[ "$(stat -c %i "$SOCK")" = "$node" ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ ! -e "$SOCK" ]
	for i in tcp six path; do
		account_is "$i" lost=0 failed=0
		[ "$(account_of "$i" accepted)" -ge 3000 ]
	done
	log_lacks 'event=worker_killed|level=(error|warning)'
}

# refused_because ERE: an upgrade is refused with this error and changes nothing
refused_because() {
	local workers fds
	workers=$(workers_of "$MASTER")
	fds=$(fds_of_master)
	upgrade_daemon
	tail -n 3 "$LOG"
	grep 'event=upgrade_' "$LOG" | tail -n 1 | grep -Eq "level=error pid=$MASTER event=upgrade_refused error=\"?$1"
	[ "$(workers_of "$MASTER")" = "$workers" ]
	wait_for 20 "its descriptors" fds_are "$fds"
	runs_file "$BATS_TEST_TMPDIR/first"
	answers "$(port_of a)"
	serve_on 9
}

@test "a binary that is no good changes nothing: missing, truncated, foreign, failing, silent, of another kind" {
	echo_config 2
	start_daemon
	ln "$BINARY" "$BATS_TEST_TMPDIR/first"
	hold "$(port_of a)"
	rm "$BINARY"
	refused_because 'No such file or directory'
	mkdir "$BINARY"
	refused_because 'the rehearsal failed with status'
	log_has 'event=upgrade_output text="[^"]*Permission denied'
	rmdir "$BINARY"
	install -m 644 "$GOOD" "$BINARY"
	refused_because 'the rehearsal failed with status'
	: >"$BINARY.new"
	chmod 755 "$BINARY.new"
	mv "$BINARY.new" "$BINARY"
	refused_because 'the rehearsal failed with status'
	head -c 20000 "$GOOD" >"$BINARY"
	chmod 755 "$BINARY"
	refused_because 'the rehearsal (failed with status|was ended by)'
	new_binary
	# e_machine of an ELF header: aarch64, or x86-64 where this is one
	case $(uname -m) in
	aarch64) printf '\076' ;;
	*) printf '\267' ;;
	esac | dd of="$BINARY" bs=1 seek=18 conv=notrunc status=none
	refused_because 'the rehearsal failed with status'
	log_has 'event=upgrade_output text="[^"]*Exec format error'
	printf '#!/bin/sh\nexec %s "$@"\n' "$GOOD" >"$BINARY"
	refused_because 'it is a script'
	rm "$BINARY"
	new_script 'exit 0'
	refused_because 'the rehearsal did not answer as preforkd does'
	new_script 'echo preforkd >&4; exit 0'
	refused_because 'the rehearsal did not answer as preforkd does'
	new_script 'echo "some library is missing" >&2; exit 1'
	refused_because 'the rehearsal failed with status 1'
	log_has 'level=error .*event=upgrade_output text="some library is missing"'
	new_script 'kill -SEGV $$'
	refused_because 'the rehearsal was ended by SIGSEGV'
	# one from before there were upgrades does not know the option
	new_script "[ \"\$1\" != --rehearse ] || set -- --no-such-option \"\$@\"; exec $GOOD \"\$@\""
	refused_because 'the rehearsal failed with status 64'
	log_lacks 'event=upgrade_done'
	new_binary
	upgrade_daemon
	log_has 'event=upgrade_done generation=2'
	serve_on 9
	release
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a binary that hangs is given up, with all that it started, and nobody waits for it" {
	echo_config 2
	start_daemon
	ln "$BINARY" "$BATS_TEST_TMPDIR/first"
	hold "$(port_of a)"
	new_script 'trap "" TERM HUP INT' "sleep 1000 & echo \$\$ \$! >'$BINARY.pids'" 'while :; do sleep 1000; done'
	begin_upgrade
	wait_for 20 "the rehearsal" test -s "$BINARY.pids"
	answers "$(port_of a)"
	serve_on 9
	end_upgrade
	log_has 'event=upgrade_refused error="the rehearsal took longer than 10 s"'
	no_process_left "$(cat "$BINARY.pids")"
	wait_for 20 "nobody but its workers" only_workers_left 2
	runs_file "$BATS_TEST_TMPDIR/first"
	serve_on 9
	release
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

only_workers_left() {
	[ "$(wc -w <"/proc/$MASTER/task/$MASTER/children")" -eq "$1" ]
}

@test "a config that the new binary refuses changes nothing, and each error is said" {
	echo_config 2
	start_daemon
	ln "$BINARY" "$BATS_TEST_TMPDIR/first"
	hold "$(port_of a)"
	new_binary
	echo_config 2 'handlre = echo'
	refused_because 'the rehearsal failed with status 78'
	log_has "event=upgrade_output text=\"$CONF:[0-9]*: .*handlre"
	rm "$CONF"
	refused_because 'the rehearsal failed with status 66'
	echo_config 3
	upgrade_daemon
	log_has 'event=upgrade_done'
	release
	wait_for 20 "3 workers, as the config says by now" n_workers_is 3
	stop_daemon
}

# with_state COMMAND: a binary whose rehearsal finds the state as COMMAND has left it in the file $STATE
with_state() {
	new_script "cat /proc/\$\$/fd/3 >'$STATE'" "$1" "exec 3<'$STATE'" "exec $GOOD \"\$@\""
}

# set_byte OFFSET VALUE: a command for it, the value in octal
set_byte() {
	printf "printf '%s' | dd of='%s' bs=1 seek=%d conv=notrunc status=none" "\\$2" "$STATE" "$1"
}

@test "a state of an older or newer layout, or one that is not whole, is refused cleanly" {
	echo_config 2
	start_daemon
	ln "$BINARY" "$BATS_TEST_TMPDIR/first"
	hold "$(port_of a)"
	with_state "$(set_byte 8 000)"
	refused_because 'the rehearsal failed with status 65'
	log_has 'event=upgrade_output text="preforkd: what was handed over has layout 0, mine is 1"'
	with_state "$(set_byte 8 003)"
	refused_because 'the rehearsal failed with status 65'
	log_has 'event=upgrade_output text="preforkd: what was handed over has layout 3, mine is 1"'
	with_state "$(set_byte 12 077)"
	refused_because 'the rehearsal failed with status 65'
	log_has 'event=upgrade_output text="preforkd: what was handed over has layout 1 of another build'
	with_state "$(set_byte 100 077)"
	refused_because 'the rehearsal failed with status 65'
	log_has 'event=upgrade_output text="preforkd: what was handed over was changed \(wrong checksum\)"'
	with_state "truncate -s -1 '$STATE'"
	refused_because 'the rehearsal failed with status 65'
	log_has 'event=upgrade_output text="preforkd: what was handed over is cut off"'
	with_state ": >'$STATE'"
	refused_because 'the rehearsal failed with status 65'
	log_has 'event=upgrade_output text="preforkd: nothing was handed over"'
	with_state :
	upgrade_daemon
	log_has 'event=upgrade_done'
	serve_on 9
	release
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a file that is replaced while it is rehearsed is not run" {
	echo_config 2
	start_daemon
	ln "$BINARY" "$BATS_TEST_TMPDIR/first"
	hold "$(port_of a)"
	new_script "cp '$BINARY' '$BINARY.2' && mv '$BINARY.2' '$BINARY'" "exec $GOOD \"\$@\""
	refused_because 'it was replaced while it was rehearsed'
	release
	stop_daemon
}

# A binary that waits at $GATE in its rehearsal, or between the old master and the new one; it makes $WAITS.
gated_rehearsal() {
	new_script ": >'$WAITS'" "read -r _ <'$GATE'; rm '$GATE'" "exec $GOOD \"\$@\""
	mkfifo "$GATE"
}

gated() {
	new_script "exec $GOOD \"\$@\""
	mkfifo "$GATE"
}

open_gate() {
	# a program does it, since nobody may be there to read it
	echo | timeout 10 tee "$GATE"
}

@test "a worker that dies while nobody is the master is reaped, counted and replaced" {
	local victim
	echo_config 2
	start_daemon
	hold "$(port_of a)"
	victim=$(busy_worker a)
	gated
	begin_upgrade
	wait_for 20 "the moment between the two" test -e "$WAITS"
	kill -KILL "$victim"
	wait_for 20 "its end" process_gone "$victim"
	[ -e "/proc/$victim" ]
	open_gate
	end_upgrade
	log_has 'event=upgrade_done generation=2'
	wait_for 20 "its line" log_has "event=worker_exit service=a .*worker_pid=$victim generation=1 reason=SIGKILL .*lost=1"
	wait_for 20 "nobody but the new workers" only_workers_left 2
	[ ! -e "/proc/$victim" ]
	answers "$(port_of a)"
	release
	stop_daemon
	account_is a accepted=2 served=1 lost=1
}

@test "signals that come while nobody is the master have their effect afterwards" {
	echo_config 2
	start_daemon
	gated
	begin_upgrade
	wait_for 20 "the moment between the two" test -e "$WAITS"
	echo_config 3
	kill -HUP "$MASTER"
	kill -USR2 "$MASTER"
	# what runs from then on is what .real names: it has no gate
	open_gate
	wait_for 20 "the reload" log_has 'event=reload_done generation=3'
	wait_for 20 "the other upgrade" log_has 'event=upgrade_done generation=4'
	wait_for 20 "3 workers" n_workers_is 3
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "signals that come during the rehearsal wait for the end of the upgrade" {
	echo_config 2
	start_daemon
	gated_rehearsal
	begin_upgrade
	wait_for 20 "the rehearsal" test -e "$WAITS"
	echo_config 4
	kill -HUP "$MASTER"
	kill -USR2 "$MASTER"
	wait_for 20 "the signals to be taken" signals_are_taken
	answers "$(port_of a)"
	log_lacks 'event=reload_started'
	open_gate
	wait_for 20 "the reload" log_has 'event=reload_done generation=3'
	wait_for 20 "the other upgrade" log_has 'event=upgrade_done generation=4'
	wait_for 20 "4 workers" n_workers_is 4
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

signals_are_taken() {
	grep -Eq '^ShdPnd:.*0{16}$' "/proc/$MASTER/status"
}

@test "a stop during the rehearsal ends it at once, and goes on in order" {
	echo_config 2
	start_daemon
	hold "$(port_of a)"
	new_script "echo \$\$ >'$WAITS'" 'while :; do sleep 1000; done'
	begin_upgrade
	wait_for 20 "the rehearsal" test -s "$WAITS"
	kill -TERM "$MASTER"
	wait_for 20 "its end" process_gone "$(cat "$WAITS")"
	serve_on 9
	release
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_has 'event=stopped status=0'
	log_lacks 'event=upgrade_(done|refused|failed)'
}

@test "when the new workers cannot start the old ones go on, under the new master, until a reload" {
	local old fds dir=$BATS_TEST_TMPDIR/closed
	need_root
	mkdir -m 700 "$dir"
	echo_config 2
	start_daemon
	old=$(workers_of "$MASTER")
	hold "$(port_of a)"
	new_binary
	fds=$(fds_of_master)
	echo_config 2 "run { directory = \"$dir\" }"
	upgrade_daemon
	log_has 'level=error .*event=upgrade_failed error="a worker died during the start .* generation=1'
	runs_file "$BINARY"
	wait_for 20 "the old workers" n_workers_is 2
	[ "$(workers_of "$MASTER")" = "$old" ]
	wait_for 20 "its descriptors" fds_are "$fds"
	answers "$(port_of a)"
	serve_on 9
	chmod 755 "$dir"
	# nothing in the config has changed, but these are the workers of the binary before
	reload_daemon
	log_has 'event=reload_done'
	release
	no_process_left "$old"
	wait_for 20 "2 workers" n_workers_is 2
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	account_is a accepted=2 served=2 lost=0
}

@test "the drain time of an old worker goes on over an upgrade, and is kept" {
	local old
	echo_config 2 'timeouts { drain = 6s }'
	start_daemon
	hold "$(port_of a)"
	old=$(busy_worker a)
	sed -i 's/handler = echo/handler = discard/' "$CONF"
	reload_daemon
	serve_on 9
	upgrade_daemon
	serve_on 9
	wait_for 20 "its end" process_gone "$old"
	wait_for 20 "its line" log_has "event=worker_killed service=a .*worker_pid=$old reason=drain_time_over serving=127"
	[ $(($(log_ms 'event=worker_killed') - $(log_ms 'event=reload_done'))) -ge 5000 ]
	[ $(($(log_ms 'event=upgrade_done') - $(log_ms 'event=worker_killed'))) -lt 0 ]
	release
	stop_daemon
	account_is a lost=1
}

@test "services come, go and move with an upgrade, and who waits at one that goes is served" {
	local b
	echo_config 1
	sed 's/service a/service b/' "$CONF" >"$CONF.b"
	cat "$CONF.b" >>"$CONF"
	start_daemon
	b=$(port_of b)
	hold "$b"
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$b" -c 10 -n 10 --timeout 60000
	wait_for 20 "10 that wait" queue_is "$b" 10
	echo_config 1
	sed 's/service a/service c/' "$CONF" >"$CONF.c"
	cat "$CONF.c" >>"$CONF"
	upgrade_daemon
	log_has 'event=upgrade_done'
	log_has 'event=listener_closed service=b'
	answers "$(port_of a)"
	answers "$(port_of c)"
	serve_on 9
	release
	wait_for 20 "the clients" process_gone "$BESIDE"
	grep -q '^connections=10 ok=10 ' "$BATS_TEST_TMPDIR/load"
	wait_for 20 "its account" log_has 'event=account service=b accepted=11 served=11 '
	refuses "$b"
	stop_daemon
	account_is a accepted=1
	account_is c accepted=1
}

@test "the lock, the pid file and the log go on; another master is still refused" {
	local lock
	echo_config 2
	sed -i "1i log = \"$BATS_TEST_TMPDIR/file\"" "$CONF"
	LOG=$BATS_TEST_TMPDIR/file
	: >"$LOG"
	chmod 640 "$LOG"
	start_daemon -p "$BATS_TEST_TMPDIR/pid" -l debug
	new_binary
	upgrade_daemon
	log_has 'event=upgrade_done'
	[ "$(cat "$BATS_TEST_TMPDIR/pid")" -eq "$MASTER" ]
	lock=$(find "/proc/$MASTER/fd" -lname '*.lock' -printf '%l\n')
	[ -e "$lock" ]
	run -75 "$GOOD" -c "$CONF"
	log_has "event=lock_failed .*pid_of_other=$MASTER"
	kill -USR1 "$MASTER"
	wait_for 20 "the level of -l, still" log_has 'level=debug .*event=signal signal=USR1'
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ ! -e "$BATS_TEST_TMPDIR/pid" ]
	[ ! -e "$lock" ]
}

@test "a daemon of -D stays one: standard error is /dev/null, and nobody goes into the background again" {
	echo_config 2
	sed -i "1i log = \"$LOG\"" "$CONF"
	"$PREFORKD" -D -c "$CONF" -p "$BATS_TEST_TMPDIR/pid" 3>&-
	MASTER=$(cat "$BATS_TEST_TMPDIR/pid")
	new_binary
	upgrade_daemon
	log_has "pid=$MASTER event=upgrade_done"
	[ "$(readlink "/proc/$MASTER/fd/2")" = /dev/null ]
	answers "$(port_of a)"
	# it is nobody's child here
	kill -TERM "$MASTER"
	wait_for 20 "the end of the daemon" process_gone "$MASTER"
	MASTER=
	[ ! -e "$BATS_TEST_TMPDIR/pid" ]
}

@test "the service manager hears RELOADING and READY from the same pid, also if it is refused; the watchdog goes on" {
	local pings heard=$BATS_TEST_TMPDIR/heard
	export NOTIFY_SOCKET=$BATS_TEST_TMPDIR/notify WATCHDOG_USEC=400000
	beside "$heard" "$TEST_BIN/recorder" "$NOTIFY_SOCKET"
	wait_for 20 "the manager" grep -q bound "$heard"
	echo_config 2
	start_daemon
	new_binary
	upgrade_daemon
	wait_for 20 "READY=1" heard_times 2 'READY=1'
	heard_times 1 'RELOADING=1'
	pings=$(grep -c 'WATCHDOG=1' "$heard")
	wait_for 20 "the watchdog" heard_times $((pings + 2)) 'WATCHDOG=1'
	new_script 'exit 3'
	upgrade_daemon
	wait_for 20 "READY=1" heard_times 3 'READY=1'
	heard_times 2 'RELOADING=1'
	[ "$(sed -n 's/^pid=\([0-9]*\) .*/\1/p' "$heard" | sort -u)" = "$MASTER" ]
	stop_daemon
}

heard_times() {
	[ "$(grep -Ec -- " $2" "$BATS_TEST_TMPDIR/heard")" -ge "$1" ]
}

@test "programs that accept by themselves are replaced, and what the old ones say is still heard" {
	local old program
	program=$(for_all "$BATS_TEST_DIRNAME/lib/program.pl")
	write_config <<-END
	service p {
		address = "127.0.0.1"
		port = 0
		handler = persistent
		command = { "/usr/bin/perl", "$program", "tell=READY=1",
			"gate=$BATS_TEST_TMPDIR/go", "tell=STATUS=heard", "mark=told", "serve" }
		ready = notify
		workers { min = 1 max = 1 }
	}
	END
	start_daemon
	old=$(workers_of "$MASTER")
	gated
	begin_upgrade
	wait_for 20 "the moment between the two" test -e "$WAITS"
	: >"$BATS_TEST_TMPDIR/go"
	wait_for 20 "its mark" log_has 'mark=told'
	open_gate
	end_upgrade
	log_has 'event=upgrade_done'
	# the new one says it, too
	wait_for 20 "what it said while nobody was the master" said_by_both
	no_process_left "$old"
	[[ $(socat -t 30 - "TCP:127.0.0.1:$(port_of p)" <<<hello) == *" 2 hello" ]]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "an execve(2) that fails after the rehearsal leaves every descriptor as it was" {
	local before
	echo_config 2
	start_daemon
	ln "$BINARY" "$BATS_TEST_TMPDIR/first"
	hold "$(port_of a)"
	before=$(open_flags)
	new_script "chmod 644 '$BINARY'" "exec $GOOD \"\$@\""
	refused_because 'Permission denied'
	[ "$(open_flags)" = "$before" ]
	grep -q "$CLOEXEC" <<<"$before"
	release
	stop_daemon
}

@test "a search for orphans spares the rehearsal" {
	local victim
	write_config <<-END
	service x {
		address = "127.0.0.1"
		port = 0
		handler = exec
		command = { "/bin/cat" }
		workers { min = 2 }
	}
	END
	start_daemon
	gated_rehearsal
	begin_upgrade
	wait_for 20 "the rehearsal" test -e "$WAITS"
	victim=$(workers_of "$MASTER" x | head -n 1)
	kill -KILL "$victim"
	wait_for 20 "its line" log_has "event=worker_exit .*worker_pid=$victim .*reason=SIGKILL"
	wait_for 20 "another one in its place" n_workers_is 2 x
	open_gate
	end_upgrade
	log_has 'event=upgrade_done'
	log_lacks 'event=orphan_killed'
	stop_daemon
}

@test "a rehearsal ends with the master that started it" {
	local workers rehearsal
	echo_config 2
	start_daemon
	workers=$(workers_of "$MASTER")
	new_script "echo \$\$ >'$WAITS'" 'while :; do sleep 1000; done'
	begin_upgrade
	wait_for 20 "the rehearsal" test -s "$WAITS"
	rehearsal=$(cat "$WAITS")
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	MASTER=
	no_process_left "$workers $rehearsal"
}

@test "a service that the config has no more is served by its old workers if the upgrade fails, and starts none" {
	local b victim idle dir=$BATS_TEST_TMPDIR/closed
	need_root
	mkdir -m 700 "$dir"
	echo_config 2
	sed 's/service a/service b/' "$CONF" >"$CONF.b"
	cat "$CONF.b" >>"$CONF"
	start_daemon
	b=$(port_of b)
	echo_config 2 "run { directory = \"$dir\" }"
	upgrade_daemon
	log_has 'event=upgrade_failed'
	answers "$b"
	answers "$(port_of a)"
	mapfile -t idle < <(workers_of "$MASTER" b)
	wait_for 20 "two that have counted whom they served" are_idle "${idle[@]}"
	victim=${idle[0]}
	kill -KILL "$victim"
	wait_for 20 "why nobody takes its place" log_has 'event=fork_failed service=b .*error="Stale file handle"'
	answers "$b"
	rmdir "$dir"
	mkdir -m 755 "$dir"
	reload_daemon
	log_has 'event=reload_done'
	wait_for 20 "its account" log_has 'event=account service=b '
	refuses "$b"
	answers "$(port_of a)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	account_is b served=2
}

said_by_both() {
	[ "$(log_count 'event=program_status service=p .*status=heard')" -eq 2 ]
}

@test "a link is followed anew: what it names by then is run" {
	echo_config 2
	mv "$BINARY" "$BINARY-1"
	ln -s "$BINARY-1" "$BINARY"
	start_daemon
	cp "$GOOD" "$BINARY-2"
	ln -sfn "$BINARY-2" "$BINARY"
	upgrade_daemon
	log_has 'event=upgrade_done'
	runs_file "$BINARY-2"
	stop_daemon
}

@test "a handover that is none ends the new binary with a line, and nothing else happens" {
	echo_config 2
	PREFORKD_HANDOVER=77 run -70 "$GOOD" -c "$CONF"
	[[ $output == *'event=takeover_failed error="nothing was handed over"'* ]]
	PREFORKD_HANDOVER=x run -70 "$GOOD" -c "$CONF"
	[[ $output == *'event=takeover_failed error="nothing was handed over"'* ]]
}

@test "preforkctl upgrade does it, too; counters, uptime and the dead are remembered" {
	local pid idle
	start_with 'service a { handler = echo workers { min = 2 } }'
	pid=$MASTER
	answers "$(port_of a)"
	mapfile -t idle < <(workers_of "$MASTER")
	wait_for 20 "two that have counted whom they served" are_idle "${idle[@]}"
	kill -KILL "$(workers_of "$MASTER" a | head -n 1)"
	wait_for 20 "its line" log_has event=worker_exit
	run -0 "$PREFORKCTL" -c "$CONF" upgrade
	wait_for 20 "the new master" log_has event=upgrade_done
	answers "$(port_of a)"
	run -0 "$PREFORKCTL" -c "$CONF" status --json
	[[ $output == *"\"pid\":$pid"* ]]
	[[ $output == *'"accepted":2'* ]]
	run -0 "$PREFORKCTL" -c "$CONF" postmortem
	[[ $output == *SIGKILL* ]]
}

@test "the config is the one that the master has, whatever its name leads to by now" {
	echo_config 2
	mv "$CONF" "$CONF-1"
	sed 's/service a/service b/' "$CONF-1" >"$CONF-2"
	ln -s "$CONF-1" "$CONF"
	start_daemon
	ln -sfn "$CONF-2" "$CONF"
	upgrade_daemon
	log_has 'event=upgrade_done'
	# as a reload has it
	log_lacks 'event=listening service=b'
	answers "$(port_of a)"
	stop_daemon
}

@test "limits of files that a service may have are not those of the rehearsal" {
	need_root
	mkdir -m 777 "$BATS_TEST_TMPDIR/run"
	echo_config 1 'run { limits { fsize = 1G } }'
	# a master without the right to raise a limit; nobody's files, for nobody's lock
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run setpriv --reuid=nobody --regid=nogroup --clear-groups \
		"$PREFORKD" -c "$CONF" >>"$LOG" 2>&1 3>&- &
	MASTER=$!
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	upgrade_daemon
	log_has 'event=upgrade_done'
	stop_daemon
}

@test "what a rehearsal leaves behind is ended, also if it went well" {
	echo_config 2
	start_daemon
	new_script "sleep 1000 3>&- 4>&- & echo \$! >'$WAITS'" "exec $GOOD \"\$@\""
	upgrade_daemon
	log_has 'event=upgrade_done'
	no_process_left "$(cat "$WAITS")"
	wait_for 20 "nobody but its workers" only_workers_left 2
	stop_daemon
}

@test "after an upgrade that failed a reopened log is a reload, and nothing waits" {
	local dir=$BATS_TEST_TMPDIR/closed
	need_root
	mkdir -m 700 "$dir"
	echo_config 2
	sed 's/service a/service b/' "$CONF" >"$CONF.b"
	cat "$CONF.b" >>"$CONF"
	touch "$LOG"
	chmod 640 "$LOG"
	sed -i "1i log = \"$LOG\"" "$CONF"
	start_daemon
	echo_config 2 "run { directory = \"$dir\" }"
	sed -i "1i log = \"$LOG\"" "$CONF"
	upgrade_daemon
	log_has 'event=upgrade_failed'
	chmod 755 "$dir"
	kill -USR1 "$MASTER"
	wait_for 20 "the reload" log_has 'event=reload_done'
	wait_for 20 "the new workers alone" n_workers_is 2
	stop_daemon
}

@test "preforkctl finds a control socket that an upgrade has moved; the note of it stays one line" {
	local lock
	echo_config 1
	echo "control { path = \"$BATS_TEST_TMPDIR/one\" }" >>"$CONF"
	start_daemon
	run -0 "$PREFORKCTL" -c "$CONF" health
	sed -i 's,/one",/two",' "$CONF"
	upgrade_daemon
	run -0 "$PREFORKCTL" -c "$CONF" health
	[ ! -e "$BATS_TEST_TMPDIR/one" ]
	sed -i '/^control/d' "$CONF"
	upgrade_daemon
	run -0 "$PREFORKCTL" -c "$CONF" health
	lock=$(find "/proc/$MASTER/fd" -lname '*.lock' -printf '%l\n')
	[ "$(wc -l <"$lock")" -eq 2 ]
	[ ! -e "$BATS_TEST_TMPDIR/two" ]
	stop_daemon
}

@test "the age of a generation goes on over an upgrade" {
	local age
	echo_config 1
	start_daemon
	hold "$(port_of a)"
	upgrade_daemon
	age=$("$PREFORKCTL" -c "$CONF" status --json | sed 's/.*"generations":.*"age_ms":\([0-9]*\).*/\1/')
	echo "age: $age"
	[ "$age" -gt 0 ]
	[ "$age" -le $(($(now_ms) - $(log_ms 'event=control_listening' | head -n 1))) ]
	release
	stop_daemon
}

@test "the control socket goes on: who asks while nobody is the master is answered" {
	local inode upgrade n
	start_with "control { path = \"$SOCK\" }" 'service a { handler = echo workers { min = 2 } }'
	inode=$(stat -c %i "$SOCK")
	for upgrade in 1 2 3 4 5; do
		run -0 "$PREFORKCTL" -s "$SOCK" upgrade
		# it ends the connection of who waits, who then asks the new master
		run -0 "$PREFORKCTL" -s "$SOCK" reload --wait
		[[ $output == 'reload done generation='* ]]
		wait_for 20 "the new master" upgrades_are "$upgrade"
	done
	for upgrade in 6 7; do
		run -0 "$PREFORKCTL" -s "$SOCK" upgrade
		for n in {1..50}; do
			run -0 "$PREFORKCTL" -s "$SOCK" version
		done
		wait_for 20 "the new master" upgrades_are "$upgrade"
	done
	[ "$(stat -c %i "$SOCK")" = "$inode" ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ ! -e "$SOCK" ]
}

upgrades_are() {
	[ "$(log_count event=upgrade_done)" -eq "$1" ]
}

@test "a control socket that the config wants elsewhere, otherwise or not at all is so after an upgrade" {
	local service
	service='service a { handler = echo workers { min = 1 } }'
	start_with "control { path = \"$SOCK\" }" "$service"
	printf '%s\n' "control { path = \"$SOCK\" mode = 0666 }" "$service" | write_config
	upgrade_daemon
	[ "$(stat -c %a "$SOCK")" = 666 ]
	"$PREFORKCTL" -c "$CONF" version
	printf '%s\n' "control { path = \"$SOCK.2\" }" "$service" | write_config
	upgrade_daemon
	[ ! -e "$SOCK" ]
	"$PREFORKCTL" -c "$CONF" version
	printf '%s\n' 'control { path = "" }' "$service" | write_config
	upgrade_daemon
	[ ! -e "$SOCK.2" ]
	run -69 "$PREFORKCTL" -c "$CONF" version
	[[ $output == *'has no control socket'* ]]
}

#!/usr/bin/env bats
# log.bats - one grammar wherever it goes; nothing gets in that does not belong there; nobody waits for a reader.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2016  # a script for another shell
# shellcheck disable=SC2153,SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup() {
	daemon_setup
	FILE=$BATS_TEST_TMPDIR/file
	SOCK=$BATS_TEST_TMPDIR/sock
}

teardown() {
	daemon_teardown
}

# The grammar of preforkd(8), as one regular expression.
TIME='time=[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{3}Z '
PLAIN='[]!#-<>-[^-~]+'
QUOTED='"([] !#-[^-~]|\\["\\]|\\x[0-9a-f]{2})*"'
REST="level=(error|warning|notice|info|debug) pid=[1-9][0-9]* event=[a-z_]+( [a-z_]+=($PLAIN|$QUOTED))*"

# assert_grammar FILE [PREFIX]: every line is one event
assert_grammar() {
	[ -s "$1" ]
	run grep -aEnv "^${2-$TIME}$REST\$" "$1"
	echo "$output"
	[ "$status" -eq 1 ]
}

# echo_config [LINE...]: lines at the top
echo_config() {
	{
		[ $# -eq 0 ] || printf '%s\n' "$@"
		cat <<-END
		service a {
			address = "127.0.0.1"
			port = 0
			handler = echo
			workers { min = 2 }
			timeouts {
				idle = 1s
				drain = 5s
			}
		}
		END
	} | write_config
}

@test "every line of a whole life follows the grammar" {
	local event pid pids was_master
	echo_config
	start_daemon -l debug
	answers "$(port_of a)"
	hold "$(port_of a)"
	wait_for 20 "a conn that failed" log_has 'event=conn_failed'
	kill -KILL "$(workers_of "$MASTER" | head -n 1)"
	wait_for 20 "the exit line" log_has 'event=worker_exit'
	reload_daemon
	cat >>"$CONF" <<-'END'
	some nonsense = "quotes \" and \\ backslash"
	END
	reload_daemon
	printf 'service b {\n\tfamily = unix\n\tpath = "/missing dir/sock"\n\thandler = echo\n}\n' >"$CONF"
	reload_daemon
	rm "$CONF"
	reload_daemon
	kill -USR1 "$MASTER"
	wait_for 20 "log_reopened" log_has 'event=log_reopened'
	was_master=$MASTER
	stop_daemon
	assert_grammar "$LOG"
	for event in listening ready conn_failed worker_exit reload_started reload_done config_error reload_refused \
		listen_failed stopping account stopped; do
		log_has "event=$event( |$)"
	done
	# times do not go back (of one process: another one may write before it), and they are of now
	mapfile -t pids < <(sed -n 's/.* pid=\([0-9]*\) .*/\1/p' "$LOG" | sort -u)
	for pid in "${pids[@]}"; do
		[ "$(log_ms " pid=$pid " | sort -nc 2>&1)" = '' ]
	done
	[ "$(log_ms " pid=$was_master " | wc -l)" -ge 10 ]
	[ $(($(now_ms) - $(log_ms event=stopped))) -le 60000 ]
}

@test "the level of a line, and -l over log_level, now and after a reload" {
	echo_config 'log_level = error'
	# the log does not tell when it is ready: a worker that is killed before that is an error
	beside "$BATS_TEST_TMPDIR/heard" "$TEST_BIN/recorder" "$BATS_TEST_TMPDIR/notify"
	wait_for 20 "the manager" grep -q bound "$BATS_TEST_TMPDIR/heard"
	NOTIFY_SOCKET=$BATS_TEST_TMPDIR/notify start_daemon_nowait
	wait_for 20 "READY=1" grep -q 'READY=1' "$BATS_TEST_TMPDIR/heard"
	OLD=$(workers_of "$MASTER")
	kill -KILL "$(head -n 1 <<<"$OLD")"
	wait_for 20 "2 workers" two_new_workers
	stop_daemon
	[ ! -s "$LOG" ]
	start_daemon -l debug
	log_has 'level=info .*event=listening'
	log_has 'level=notice .*event=ready'
	reload_daemon
	wait_for 20 "debug lines after a reload" log_has 'level=debug .*event=generation_gone'
	stop_daemon
	: >"$LOG"
	echo_config 'log_level = notice'
	start_daemon
	log_lacks 'level=(info|debug)'
	sed -i 's/log_level = notice/log_level = info/' "$CONF"
	reload_daemon
	stop_daemon
	log_has 'level=info .*event=account'
}

@test "control characters, quotes and foreign bytes of a peer's name stay inside of their value" {
	write_config <<-END
	service a {
		family = unix
		path = "$SOCK"
		handler = echo
		workers { min = 1 }
	}
	END
	start_daemon
	beside "$BATS_TEST_TMPDIR/peer" "$TEST_BIN/rudepeer" "$SOCK" "pf$$"
	wait_for 20 "a served peer" grep -q served "$BATS_TEST_TMPDIR/peer"
	kill -KILL "$(workers_of "$MASTER")"
	wait_for 20 "the exit line" log_has 'event=worker_exit'
	assert_grammar "$LOG"
	log_has "event=worker_exit .*reason=SIGKILL serving=\"@pf$$\\\\+x0alevel=bug event=forged \\\\+x1b\[31m\\\\+\"\\\\+x7f\\\\+xff\" accepted=1"
	[ "$(log_count '^level=bug')" -eq 0 ]
	# as text it is no event of ours
	sed -i 's/level=bug event=forged//' "$LOG"
	stop_daemon
}

@test "control characters, quotes and foreign bytes of a file name stay inside of their value" {
	local dir
	dir=$BATS_TEST_TMPDIR/$'a b="c"\\d\x01\xc3\xa9'
	mkdir "$dir"
	echo_config
	mv "$CONF" "$dir/conf"
	CONF=$dir/conf
	start_daemon
	reload_daemon
	echo nonsense >>"$CONF"
	reload_daemon
	stop_daemon
	assert_grammar "$LOG"
	log_has 'event=reload_started config="/.*/a b=\\"c\\"\\\\d\\x01\\xc3\\xa9/conf"$'
	log_has 'event=config_error error="/.*nonsense'
}

@test "a line feed in the name of the config does not begin a line of its own" {
	local dir
	dir=$BATS_TEST_TMPDIR/$'x\nlevel=bug event=forged'
	mkdir "$dir"
	echo_config
	mv "$CONF" "$dir/conf"
	CONF=$dir/conf
	start_daemon
	echo nonsense >>"$CONF"
	reload_daemon
	[ "$(log_count '^level')" -eq 0 ]
	assert_grammar "$LOG"
	sed -i 's/level=bug//' "$LOG"
	stop_daemon
}

@test "a line that is too long is cut off, and still follows the grammar" {
	local long
	long=$(printf 'x%.0s' {1..6000})
	echo_config
	start_daemon
	echo "$long = \"\\\"\\\"\\\"\\\"\\\"\"" >>"$CONF"
	reload_daemon
	log_has 'event=reload_refused'
	# a value that ends in the middle of an escape
	long=$(printf '\\001%.0s' {1..900})
	echo_config
	printf 'user = "%b"\n' "$long" >>"$CONF"
	reload_daemon
	stop_daemon
	assert_grammar "$LOG"
	[ "$(wc -L <"$LOG")" -le 4096 ]
}

# start_with_file: $LOG is the file of the config, from here on
start_with_file() {
	LOG=$FILE
	"$PREFORKD" -c "$CONF" "$@" >"$BATS_TEST_TMPDIR/stderr" 2>&1 3>&- &
	MASTER=$!
	wait_for 20 "event=ready" file_is_ready_or_gone
}

file_is_ready_or_gone() {
	grep -qs 'event=ready' "$FILE" || [ ! -e "/proc/$MASTER" ]
}

@test "a log file gets the same lines, and nothing goes to stderr" {
	echo_config "log = \"$FILE\""
	start_with_file -l debug
	answers "$(port_of a)"
	stop_daemon
	assert_grammar "$FILE"
	log_has 'event=listening'
	log_has 'event=stopped'
	[ ! -s "$BATS_TEST_TMPDIR/stderr" ]
	# not for everybody to read, and appended to at the next start
	[ "$(stat -c %a "$FILE")" = 640 ]
	start_with_file
	# the one of the first life is there already
	wait_for 20 "the second event=ready" ready_again
	stop_daemon
	[ "$(log_count 'event=listening')" -eq 2 ]
}

ready_again() {
	[ "$(log_count 'event=ready')" -eq 2 ]
}

@test "after a rotation and USR1 the old file gets no more, the new one everything, from workers, too" {
	local worker size port
	echo_config "log = \"$FILE\""
	start_with_file -l debug
	port=$(port_of a)
	mv "$FILE" "$FILE.1"
	# until then the old one is written to
	hold "$port"
	wait_for 20 "a worker's line in the old file" grep -q 'event=conn_failed' "$FILE.1"
	release
	kill -USR1 "$MASTER"
	wait_for 20 "the new file" grep -qs 'event=log_reopened' "$FILE"
	wait_for 20 "the new workers" only_new_workers
	size=$(stat -c %s "$FILE.1")
	hold "$port"
	wait_for 20 "a worker's line in the new file" log_has 'event=conn_failed'
	worker=$(sed -n 's/.* pid=\([0-9]*\) event=conn_failed.*/\1/p' "$FILE")
	[ "$worker" -ne "$MASTER" ]
	release
	answers "$port"
	stop_daemon
	[ "$(stat -c %s "$FILE.1")" -eq "$size" ]
	log_has 'event=stopped'
	assert_grammar "$FILE"
	assert_grammar "$FILE.1"
	[ "$(account_of a accepted)" -eq 3 ]
}

only_new_workers() {
	[ "$(workers_of "$MASTER" | wc -l)" -eq 2 ] &&
		[ "$(workers_of "$MASTER" | sed 's,.*,/proc/&/fd,' | xargs -I '{}' find '{}' -lname "$FILE" 2>/dev/null | wc -l)" -eq 2 ]
}

# refused_file: a start with this log ends with status 73, and says so
refused_file() {
	local before
	before=$(cat "$BATS_TEST_TMPDIR/victim")
	DAEMON_STATUS=0
	timeout 20 "$PREFORKD" -c "$CONF" >"$BATS_TEST_TMPDIR/stderr" 2>&1 3>&- || DAEMON_STATUS=$?
	cat "$BATS_TEST_TMPDIR/stderr"
	[ "$DAEMON_STATUS" -eq 73 ]
	grep -q "level=error .*event=log_failed file=$FILE error=" "$BATS_TEST_TMPDIR/stderr"
	[ "$(cat "$BATS_TEST_TMPDIR/victim")" = "$before" ]
}

@test "a log file that is a symlink, hard link, FIFO or directory is refused" {
	echo_config "log = \"$FILE\""
	echo precious >"$BATS_TEST_TMPDIR/victim"
	ln -s "$BATS_TEST_TMPDIR/victim" "$FILE"
	refused_file
	rm "$FILE"
	ln "$BATS_TEST_TMPDIR/victim" "$FILE"
	refused_file
	rm "$FILE"
	mkfifo "$FILE"
	refused_file
	rm "$FILE"
	mkdir "$FILE"
	refused_file
}

@test "a log file of another user is refused, at start and at reload" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	echo_config "log = \"$FILE\""
	echo theirs >"$FILE"
	cp "$FILE" "$BATS_TEST_TMPDIR/victim"
	chown nobody "$FILE"
	refused_file
	echo_config
	start_daemon
	echo_config "log = \"$FILE\""
	reload_daemon
	log_has 'event=reload_refused error="the log cannot be opened"'
	answers "$(port_of a)"
	stop_daemon
	[ "$(cat "$FILE")" = theirs ]
}

@test "a reload can change where the log goes, and back" {
	echo_config
	start_daemon
	echo_config "log = \"$FILE\""
	kill -HUP "$MASTER"
	wait_for 20 "lines in the file" grep -qs 'event=reload_done generation=2' "$FILE"
	echo_config
	reload_daemon
	log_has 'event=reload_done generation=3'
	stop_daemon
	assert_grammar "$FILE"
	assert_grammar "$LOG"
}

@test "a reader of stderr that is stuck stops nothing; lines are dropped and counted" {
	local pipe=$BATS_TEST_TMPDIR/pipe dropped
	echo_config
	mkfifo "$pipe"
	# a reader that does not read
	exec 8<>"$pipe"
	"$PREFORKD" -c "$CONF" >"$pipe" 2>&1 3>&- 8>&- &
	MASTER=$!
	drain_pipe
	wait_for 20 "event=ready" drained_has 'event=ready'
	fill_pipe
	# everything that wants to say something
	kill -KILL "$(workers_of "$MASTER" | head -n 1)"
	wait_for 20 "2 workers" two_new_workers
	answers "$(port_of a)"
	echo_config 'user = "nobody-at-all"'
	kill -HUP "$MASTER"
	echo_config
	kill -HUP "$MASTER"
	answers "$(port_of a)"
	wait_for 20 "a reload" children_changed
	answers "$(port_of a)"
	# and when the reader comes back, it hears how many it missed
	beside "$LOG.rest" cat "$pipe"
	# not before it has it open: without any reader, what is written now would be lost, too
	wait_for 20 "the reader to read" test -s "$LOG.rest"
	exec 8>&-
	kill -HUP "$MASTER"
	wait_for 20 "the count" grep -aEq 'event=log_dropped lines=[1-9]' "$LOG.rest"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	wait_for 20 "the end of the pipe" process_gone "$BESIDE"
	tr -d '\0' <"$LOG.rest" >>"$LOG"
	dropped=$(sed -n 's/.*event=log_dropped lines=//p' "$LOG" | head -n 1)
	[ "$dropped" -ge 2 ]
	log_has 'event=stopped'
	assert_grammar "$LOG"
}

drain_pipe() {
	dd if="$BATS_TEST_TMPDIR/pipe" iflag=nonblock bs=65536 count=1 2>/dev/null >>"$LOG" || :
}

drained_has() {
	drain_pipe
	log_has "$1"
}

# NUL bytes, so that they are easily told from lines
fill_pipe() {
	drain_pipe
	OLD=$(workers_of "$MASTER")
	dd if=/dev/zero of="$BATS_TEST_TMPDIR/pipe" oflag=nonblock bs=4096 count=4096 2>/dev/null || :
}

two_new_workers() {
	n_workers_is 2 && [ "$(workers_of "$MASTER")" != "$OLD" ]
}

children_changed() {
	local pid
	n_workers_is 2 || return 1
	for pid in $(workers_of "$MASTER"); do
		[[ " ${OLD//$'\n'/ } " != *" $pid "* ]] || return 1
	done
}

# in_private_namespace COMMAND...: with a /run and a /dev of its own, that nobody else sees
in_private_namespace() {
	exec unshare -m --propagation private bash -c '
		set -e
		mount -t tmpfs none /run
		mkdir -p /run/systemd/journal "$0/dev"
		mount -t tmpfs none "$0/dev"
		for name in null zero urandom; do
			touch "$0/dev/$name"
			mount --bind "/dev/$name" "$0/dev/$name"
		done
		mkdir "$0/dev/shm"
		mount --rbind "$0/dev" /dev
		ln -s /proc/self/fd /dev/fd
		exec "$@"' "$BATS_TEST_TMPDIR" "$@"
}

need_namespace() {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	unshare -m --propagation private true || strict_skip "kernel: no mount namespaces here"
}

# start_with_recorder SOCKET COMMAND...: what is sent to SOCKET is in $LOG; the command is the master
start_with_recorder() {
	local socket=$1
	shift
	beside "$LOG" in_private_namespace "$TEST_BIN/recorder" "$socket"
	wait_for 20 "the recorder" grep -q bound "$LOG"
	nsenter -m -t "$BESIDE" "$@" 2>"$BATS_TEST_TMPDIR/stderr" 3>&- &
	MASTER=$!
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	log_has 'event=ready' || { cat "$LOG" "$BATS_TEST_TMPDIR/stderr"; return 1; }
}

@test "the journal gets each event with its fields" {
	need_namespace
	echo_config 'log = "journal"'
	start_with_recorder /run/systemd/journal/socket "$PREFORKD" -c "$CONF" -l debug
	[ ! -s "$BATS_TEST_TMPDIR/stderr" ]
	sed 's/.*now_us=[0-9]* //' "$LOG" | tr '|' '\n' | grep . >"$BATS_TEST_TMPDIR/fields"
	# every field has a name that journald takes, and a value
	run grep -Ev '^([A-Z][A-Z0-9_]*=.*|bound)$' "$BATS_TEST_TMPDIR/fields"
	[ "$status" -eq 1 ]
	log_has 'PRIORITY=6.*\|MESSAGE=.*event=listening .*\|PREFORKD_EVENT=listening\|.*PREFORKD_SERVICE=a\|PREFORKD_FAMILY=inet\|PREFORKD_TYPE=stream\|PREFORKD_PROTOCOL=tcp\|PREFORKD_ADDRESS=127\.0\.0\.1:[0-9]+'
	log_has 'PRIORITY=5.*PREFORKD_EVENT=ready\|'
	log_has 'SYSLOG_IDENTIFIER=preforkd'
	# the message is the line without time
	sed -n 's/.*|MESSAGE=\([^|]*\)|.*/\1/p' "$LOG" >"$BATS_TEST_TMPDIR/messages"
	assert_grammar "$BATS_TEST_TMPDIR/messages" ''
	# workers write there by themselves, although they have no rights
	hold "$(sed -n 's/.*PREFORKD_ADDRESS=127\.0\.0\.1:\([0-9]*\).*/\1/p' "$LOG")"
	wait_for 20 "a worker's line" log_has 'PRIORITY=7.*PREFORKD_EVENT=conn_failed\|PREFORKD_SERVICE=a\|'
	[ "$(sed -n 's/^pid=\([0-9]*\) .*PREFORKD_EVENT=conn_failed.*/\1/p' "$LOG")" -ne "$MASTER" ]
	echo nonsense >>"$CONF"
	kill -HUP "$MASTER"
	wait_for 20 "an error" log_has 'PRIORITY=3.*PREFORKD_EVENT=reload_refused\|PREFORKD_ERROR=the config has errors\|'
	stop_daemon
	# the recorder may not have written it yet
	wait_for 20 "the account" log_has 'PREFORKD_EVENT=account\|PREFORKD_SERVICE=a\|PREFORKD_ACCEPTED=1\|PREFORKD_SERVED=0\|PREFORKD_FAILED=1\|'
}

@test "stderr that is the journal becomes the journal" {
	local id
	need_namespace
	echo_config
	: >"$BATS_TEST_TMPDIR/stderr"
	id=$(stat -c %d:%i "$BATS_TEST_TMPDIR/stderr")
	start_with_recorder /run/systemd/journal/socket env "JOURNAL_STREAM=$id" "$PREFORKD" -c "$CONF"
	log_has 'PREFORKD_EVENT=ready'
	[ ! -s "$BATS_TEST_TMPDIR/stderr" ]
	stop_daemon
}

@test "stderr that is not the journal stays stderr, whatever JOURNAL_STREAM says" {
	echo_config
	JOURNAL_STREAM=1:2 start_daemon
	log_has 'event=ready'
	stop_daemon
}

@test "syslog gets each event with its priority and facility" {
	need_namespace
	echo_config 'log = "syslog"'
	start_with_recorder /dev/log "$PREFORKD" -c "$CONF"
	[ ! -s "$BATS_TEST_TMPDIR/stderr" ]
	# daemon (3): notice is 3 * 8 + 5
	log_has " <29>preforkd\[$MASTER\]: level=notice pid=$MASTER event=ready"
	log_has " <30>preforkd\[$MASTER\]: level=info pid=$MASTER event=listening"
	stop_daemon
	wait_for 20 "the last line" log_has 'event=stopped'
	tail -n +2 "$LOG" | sed 's/.*]: //' >"$BATS_TEST_TMPDIR/messages"
	assert_grammar "$BATS_TEST_TMPDIR/messages" ''
}

@test "workers that see no /dev/log, or can make no socket, write to syslog all the same" {
	local keys='handler = echo workers { min = 1 } timeouts { idle = 50ms }' name port
	need_namespace
	write_config <<-END
	log = syslog
	log_level = debug
	service strict { $keys run { sandbox = strict } }
	service root { $keys run { chroot = "/usr" } }
	END
	start_with_recorder /dev/log "$PREFORKD" -c "$CONF"
	for name in strict root; do
		port=$(sed -n "s/.*event=listening service=$name .*address=127\.0\.0\.1:\([0-9]*\).*/\1/p" "$LOG")
		exec 8<>"/dev/tcp/127.0.0.1/$port"
		wait_for 20 "the line of a worker of $name" log_has "event=conn_failed service=$name "
		exec 8>&-
	done
	stop_daemon
	wait_for 20 "the last line" log_has 'event=stopped'
	[ "$(log_count 'event=worker_exit .*reason=left')" -eq 2 ]
}

# The first lines after it reads again may be dropped as well: its queue is still full.
said_after_hup() {
	kill -HUP "$MASTER"
	log_has "$1"
}

@test "a journal that does not read, or is not there, stops nothing" {
	local port
	need_namespace
	echo_config 'log = "journal"'
	start_with_recorder /run/systemd/journal/socket "$PREFORKD" -c "$CONF"
	port=$(sed -n 's/.*PREFORKD_ADDRESS=127\.0\.0\.1:\([0-9]*\).*/\1/p' "$LOG")
	kill -STOP "$BESIDE"
	OLD=$(workers_of "$MASTER")
	for _ in $(seq $(($(cat /proc/sys/net/unix/max_dgram_qlen) / 4 + 5))); do
		OLD=$(workers_of "$MASTER")
		kill -HUP "$MASTER"
		wait_for 20 "new workers" children_changed
	done
	answers "$port"
	kill -CONT "$BESIDE"
	wait_for 20 "the count" said_after_hup 'PREFORKD_EVENT=log_dropped\|PREFORKD_LINES=[1-9]'
	end_beside "$BESIDE"
	kill -HUP "$MASTER"
	answers "$port"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

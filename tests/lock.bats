#!/usr/bin/env bats
# lock.bats - one master per config, and one per pid file; a crash leaves nothing that stops the next start.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup() {
	daemon_setup
	PIDFILE=$BATS_TEST_TMPDIR/pid
	SECOND=$BATS_TEST_TMPDIR/second
	write_config <<-END
	service a {
		address = "127.0.0.1"
		port = 0
		handler = echo
		workers { min = 2 }
		timeouts { drain = 5s }
	}
	END
}

teardown() {
	daemon_teardown
}

# second_start CONFIG [OPTION...]: its lines are in $SECOND, its exit status in $SECOND_STATUS
second_start() {
	local pid
	SECOND_STATUS=0
	"$PREFORKD" -c "$@" >"$SECOND" 2>&1 3>&- &
	pid=$!
	wait_for 60 "the end of the second start" process_gone "$pid"
	wait "$pid" || SECOND_STATUS=$?
	cat "$SECOND"
}

# kill_master: as a crash would
kill_master() {
	kill -KILL "$MASTER"
	wait "$MASTER" || :
}

@test "a second start with the same config is refused with status 75 and one clear line" {
	local workers port
	start_daemon
	workers=$(workers_of "$MASTER")
	port=$(port_of a)
	second_start "$CONF"
	[ "$SECOND_STATUS" -eq 75 ]
	[ "$(grep -c 'level=error' "$SECOND")" -eq 1 ]
	grep -q "event=lock_failed file=.* pid_of_other=$MASTER error=\"another preforkd runs with this config\"" "$SECOND"
	run grep 'event=listening' "$SECOND"
	[ "$status" -ne 0 ]
	[ "$(workers_of "$MASTER")" = "$workers" ]
	answers "$port"
	# and the first one still has its lock
	second_start "$CONF"
	[ "$SECOND_STATUS" -eq 75 ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "another name of the same file is the same config" {
	start_daemon
	ln -s "$CONF" "$BATS_TEST_TMPDIR/link.conf"
	second_start "$BATS_TEST_TMPDIR/link.conf"
	[ "$SECOND_STATUS" -eq 75 ]
	second_start "$BATS_TEST_TMPDIR/../$(basename "$BATS_TEST_TMPDIR")//preforkd.conf"
	[ "$SECOND_STATUS" -eq 75 ]
	cd "$BATS_TEST_TMPDIR"
	second_start preforkd.conf
	[ "$SECOND_STATUS" -eq 75 ]
	stop_daemon
}

@test "another config is another service" {
	local first=$MASTER
	start_daemon
	first=$MASTER
	cp "$CONF" "$BATS_TEST_TMPDIR/other.conf"
	CONF=$BATS_TEST_TMPDIR/other.conf
	LOG=$BATS_TEST_TMPDIR/other.log
	start_daemon
	answers "$(port_of a)"
	stop_daemon
	MASTER=$first
	LOG=$BATS_TEST_TMPDIR/log
	answers "$(port_of a)"
	stop_daemon
}

@test "of 20 simultaneous starts exactly one lives" {
	local i pids=() alive=0 status
	for i in {1..20}; do
		"$PREFORKD" -c "$CONF" >"$BATS_TEST_TMPDIR/log.$i" 2>&1 3>&- &
		pids+=($!)
	done
	wait_for 60 "one that is ready and 19 that are gone" one_of_many "${pids[@]}"
	for i in "${!pids[@]}"; do
		if ! process_gone "${pids[i]}"; then
			MASTER=${pids[i]}
			LOG=$BATS_TEST_TMPDIR/log.$((i + 1))
			continue
		fi
		status=0
		wait "${pids[i]}" || status=$?
		[ "$status" -eq 75 ]
	done
	answers "$(port_of a)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

one_of_many() {
	local pid alive=0
	for pid; do
		process_gone "$pid" || alive=$((alive + 1))
	done
	[ "$alive" -eq 1 ] && [ "$(cat "$BATS_TEST_TMPDIR"/log.* | grep -c 'event=ready')" -eq 1 ]
}

@test "starts and stops one behind the other never meet a stale lock" {
	local i
	for i in {1..10}; do
		: >"$LOG"
		start_daemon -p "$PIDFILE"
		if [ $((i % 2)) -eq 0 ]; then
			kill_master
		else
			stop_daemon INT
		fi
	done
	MASTER=
}

@test "after its master was killed, the next start works, with the pid file, too" {
	local old
	start_daemon -p "$PIDFILE"
	old=$MASTER
	[ "$(cat "$PIDFILE")" = "$old" ]
	kill_master
	[ "$(cat "$PIDFILE")" = "$old" ]
	: >"$LOG"
	start_daemon -p "$PIDFILE"
	[ "$(cat "$PIDFILE")" = "$MASTER" ]
	answers "$(port_of a)"
	stop_daemon
	[ ! -e "$PIDFILE" ]
}

@test "a start and stop leave no lock behind" {
	local file
	start_daemon
	second_start "$CONF"
	file=$(sed -n 's/.*event=lock_failed file=\([^ ]*\) .*/\1/p' "$SECOND")
	[ -e "$file" ]
	stop_daemon
	[ ! -e "$file" ]
}

@test "the pid file has the right pid while it lives, from the config or from -p, and is gone after" {
	local worker
	sed -i "1i pidfile = \"$BATS_TEST_TMPDIR/from_config\"" "$CONF"
	start_daemon
	[ "$(cat "$BATS_TEST_TMPDIR/from_config")" = "$MASTER" ]
	reload_daemon
	[ "$(cat "$BATS_TEST_TMPDIR/from_config")" = "$MASTER" ]
	# the end of a worker is not the end of the file; those of before the reload may be gone at any moment
	wait_for 20 "the new workers alone" n_workers_is 2
	worker=$(workers_of "$MASTER" | head -n 1)
	kill -TERM "$worker"
	wait_for 20 "the end of the worker" process_gone "$worker"
	[ "$(cat "$BATS_TEST_TMPDIR/from_config")" = "$MASTER" ]
	stop_daemon
	[ ! -e "$BATS_TEST_TMPDIR/from_config" ]
	: >"$LOG"
	start_daemon -p "$PIDFILE"
	[ "$(cat "$PIDFILE")" = "$MASTER" ]
	[ ! -e "$BATS_TEST_TMPDIR/from_config" ]
	stop_daemon
	[ ! -e "$PIDFILE" ]
}

@test "a pid file that somebody replaced is not ours to remove" {
	start_daemon -p "$PIDFILE"
	rm "$PIDFILE"
	echo 12345 >"$PIDFILE"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(cat "$PIDFILE")" = 12345 ]
}

@test "a pid file that somebody removed or renamed is no trouble" {
	start_daemon -p "$PIDFILE"
	rm "$PIDFILE"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	: >"$LOG"
	start_daemon -p "$PIDFILE"
	mv "$PIDFILE" "$PIDFILE.moved"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ ! -e "$PIDFILE" ]
}

@test "what stands in an old pid file does not matter, if it is a plain file" {
	local content
	# the pid of somebody who lives (this shell), nothing, garbage, and much of it
	for content in $$ '' 'no number' "$(printf '9%.0s' {1..5000})"; do
		: >"$LOG"
		printf '%s' "$content" >"$PIDFILE"
		start_daemon -p "$PIDFILE"
		[ "$(cat "$PIDFILE")" = "$MASTER" ]
		stop_daemon
		[ ! -e "$PIDFILE" ]
	done
}

# refused_pidfile: the start ends with status 73 and says why; nothing was written
refused_pidfile() {
	second_start "$CONF" -p "$PIDFILE"
	[ "$SECOND_STATUS" -eq 73 ]
	grep -q "level=error .*event=pidfile_failed file=$PIDFILE error=" "$SECOND"
	run grep 'event=listening' "$SECOND"
	[ "$status" -ne 0 ]
}

@test "a pid file that is a symlink, directory, FIFO or hard link is refused, and nothing is written through it" {
	echo precious >"$BATS_TEST_TMPDIR/victim"
	ln -s "$BATS_TEST_TMPDIR/victim" "$PIDFILE"
	refused_pidfile
	[ -L "$PIDFILE" ]
	rm "$PIDFILE"
	ln -s "$BATS_TEST_TMPDIR/not_there" "$PIDFILE"
	refused_pidfile
	[ ! -e "$BATS_TEST_TMPDIR/not_there" ]
	rm "$PIDFILE"
	ln "$BATS_TEST_TMPDIR/victim" "$PIDFILE"
	refused_pidfile
	rm "$PIDFILE"
	[ "$(cat "$BATS_TEST_TMPDIR/victim")" = precious ]
	mkdir "$PIDFILE"
	refused_pidfile
	rmdir "$PIDFILE"
	mkfifo "$PIDFILE"
	refused_pidfile
	rm "$PIDFILE"
	PIDFILE=$BATS_TEST_TMPDIR/missing/pid
	refused_pidfile
}

@test "a pid file of another user is refused" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	echo 1 >"$PIDFILE"
	chown nobody "$PIDFILE"
	refused_pidfile
	[ "$(cat "$PIDFILE")" = 1 ]
}

@test "two masters cannot have one pid file" {
	start_daemon -p "$PIDFILE"
	cp "$CONF" "$BATS_TEST_TMPDIR/other.conf"
	second_start "$BATS_TEST_TMPDIR/other.conf" -p "$PIDFILE"
	[ "$SECOND_STATUS" -eq 75 ]
	grep -q "event=pidfile_failed file=$PIDFILE pid_of_other=$MASTER error=\"another preforkd has this pid file\"" "$SECOND"
	[ "$(cat "$PIDFILE")" = "$MASTER" ]
	answers "$(port_of a)"
	stop_daemon
	# who was refused left no lock of its own behind
	: >"$LOG"
	CONF=$BATS_TEST_TMPDIR/other.conf
	start_daemon -p "$PIDFILE"
	stop_daemon
}

@test "workers do not hold the locks: a stopped one does not keep a new master from starting" {
	local worker
	start_daemon -p "$PIDFILE"
	worker=$(workers_of "$MASTER" | head -n 1)
	kill -STOP "$worker"
	kill_master
	: >"$LOG"
	start_daemon -p "$PIDFILE"
	kill -KILL "$worker"
	answers "$(port_of a)"
	stop_daemon
}

@test "without root the lock is in a directory of one's own, whatever the umask" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	local dir=$BATS_TEST_TMPDIR/xdg umask
	PREFORKD=$(for_all "$PREFORKD" "$PREFORKD-worker"*)
	mkdir "$dir"
	chown nobody "$dir"
	chmod 644 "$CONF"
	chown nobody "$CONF"
	for umask in 022 077 777; do
		: >"$LOG"
		rm -rf "$dir/preforkd"
		as_nobody "$umask" "$dir"
		wait_for 20 "event=ready" daemon_is_ready_or_gone
		log_has 'event=ready'
		answers "$(port_of a)"
		[ "$(find "$dir/preforkd" -name '*.lock' -user nobody | wc -l)" -eq 1 ]
		kill_master
		: >"$LOG"
		as_nobody "$umask" "$dir"
		wait_for 20 "event=ready" daemon_is_ready_or_gone
		log_has 'event=ready'
		stop_daemon
		[ "$DAEMON_STATUS" -eq 0 ]
	done
}

# as_nobody UMASK XDG_RUNTIME_DIR
as_nobody() {
	(
		umask "$1"
		exec env -u RUNTIME_DIRECTORY "XDG_RUNTIME_DIR=$2" setpriv --reuid nobody --regid nogroup --clear-groups \
			"$PREFORKD" -c "$CONF" >>"$LOG" 2>&1 3>&-
	) &
	MASTER=$!
}

@test "a directory of locks that others can write to is refused" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	local dir=$BATS_TEST_TMPDIR/xdg
	PREFORKD=$(for_all "$PREFORKD" "$PREFORKD-worker"*)
	mkdir -p "$dir/preforkd"
	chown nobody "$dir" "$dir/preforkd" "$CONF"
	chmod 777 "$dir/preforkd"
	as_nobody 022 "$dir"
	wait_daemon
	[ "$DAEMON_STATUS" -eq 73 ]
	log_has "event=lock_failed directory=$dir/preforkd error="
	rm -rf "$dir/preforkd"
	ln -s /tmp "$dir/preforkd"
	: >"$LOG"
	as_nobody 022 "$dir"
	wait_daemon
	[ "$DAEMON_STATUS" -eq 73 ]
	log_has "event=lock_failed directory=$dir/preforkd error="
}

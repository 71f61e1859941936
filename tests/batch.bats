#!/usr/bin/env bats
# batch.bats - workers are a program of their own, started many at a time: the first of them forks the others.
# shellcheck disable=SC2154,SC2034  # MASTER, LOG, ... are set by lib/daemon, and PREFORKD is read there
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2046  # pids are words

load lib/daemon

setup() {
	daemon_setup
	DIR=$BATS_TEST_TMPDIR
}

teardown() {
	daemon_teardown
}

# echo_service MIN MAX [LINE]: of a pool that nothing but preforkctl makes larger
echo_service() {
	echo "service a { handler = echo port = 0 workers { min = $1 max = $2 } timeouts { drain = 5s } ${3-} }"
}

# own_programs: copies that a test can replace
own_programs() {
	cp -t "$DIR" "$PREFORKD" "$PREFORKD-worker"*
	PREFORKD=$DIR/preforkd
}

# takes_installed: a master that has no good programs beside it takes those that are installed, or does not start
takes_installed() {
	local installed
	installed=$(strings "$PREFORKD" | grep -m 1 '/preforkd-worker$')
	[ -n "$installed" ]
	echo_service 1 1 | write_config
	if [ -e "$installed" ]; then
		start_daemon
		is_program "$installed" "$(workers_of "$MASTER")"
		return
	fi
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -eq 72 ]
	log_has 'level=error .*event=worker_program_missing files=.*remedy='
	log_lacks 'event=listening'
}

# is_program FILE PID...: that is what these processes run
is_program() {
	local pid
	for pid in "${@:2}"; do
		[ "/proc/$pid/exe" -ef "$1" ] || return
	done
}

# has_no_library PID: of the master's
has_no_library() {
	! grep -qE 'libsystemd|libconfuse' "/proc/$1/maps"
}

scale() {
	"$PREFORKCTL" -c "$CONF" scale a "$1" "$1"
}

# trace CALL WHAT: strace does this to a system call of the master and of those that it starts
trace() {
	strace -qq -o "$DIR/probe" true || strict_skip "kernel: no ptrace here"
	beside "$DIR/strace" strace -f -qq -o "$DIR/trace" -p "$MASTER" -e "trace=$1" -e "inject=$1:$2"
	TRACER=$BESIDE
	wait_for 20 "strace" is_traced "$MASTER"
}

# trace_births WHAT: to each third fork of a leader; the master starts programs otherwise
trace_births() {
	trace clone "$1:when=3"
}

# Who is stopped goes on; a tracer that is killed may take a signal with it that was on its way.
end_trace() {
	kill -TERM "$TRACER"
	wait_for 30 "the end of strace" process_gone "$TRACER"
}

# The leader of a batch of 7 stops after two of the other six: its pid is $LEADER.
begin_slow_batch() {
	local before
	start_with "$(echo_service 1 8)"
	before=$(workers_of "$MASTER")
	trace_births delay_enter=60000000
	scale 8
	wait_for 30 "a leader and two more" n_workers_is 4
	LEADER=$(workers_of "$MASTER" | grep -vx "$before" | head -n 1)
	OTHERS=$(workers_of "$MASTER" | grep -vx "$LEADER")
}

@test "workers run a program of their own, which has no library of the master's, and are its children" {
	local pid
	start_with "$(echo_service 5 5)"
	n_workers_is 5
	grep -q libsystemd "/proc/$MASTER/maps"
	is_program "$PREFORKD-worker" $(workers_of "$MASTER")
	for pid in $(workers_of "$MASTER"); do
		has_no_library "$pid"
		[ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | sed 's/ *$//')" = 'preforkd: a' ]
	done
	answers "$(port_of a)"
}

@test "a worker whose handler is a module runs one that can load it, and no library of the master's either" {
	compile_module "$DIR/x.so" talk
	start_with "service a { handler = \"$DIR/x.so\" port = 0 workers { min = 3 max = 3 } }"
	n_workers_is 3
	is_program "$PREFORKD-worker-module" $(workers_of "$MASTER")
	for pid in $(workers_of "$MASTER"); do
		grep -q "$DIR/x.so" "/proc/$pid/maps"
		has_no_library "$pid"
	done
}

@test "a master keeps to the programs that it began with" {
	own_programs
	start_with "$(echo_service 2 2)"
	rm "$PREFORKD-worker"
	echo broken >"$PREFORKD-worker"
	kill -KILL "$(workers_of "$MASTER" | head -n 1)"
	wait_for 20 "its end" log_has 'event=worker_exit .*reason=SIGKILL'
	wait_for 20 "another one" n_workers_is 2
	reload_daemon
	log_has 'event=reload_done'
	answers "$(port_of a)"
}

@test "a start without the programs of the workers fails, with what to do" {
	own_programs
	rm "$PREFORKD-worker"
	takes_installed
}

@test "a program that somebody else has put beside that of the master is none" {
	need_root
	own_programs
	chown nobody "$PREFORKD-worker"
	takes_installed
}

@test "workers of another version are no workers: a start says so" {
	local version
	version=$("$PREFORKD" -V | sed -n '1s/.* //p')
	own_programs
	# of the same length, so that it is a program all the same
	sed -i "s/$version/${version//[0-9]/9}/g" "$PREFORKD-worker"
	echo_service 1 1 | write_config
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -eq 71 ]
	log_has 'level=error .*event=worker_setup_failed .*error="preforkd and its workers are not of the same version"'
}

@test "nobody else starts the programs of the workers" {
	local program
	for program in "$PREFORKD-worker" "$PREFORKD-worker-module"; do
		run "$program"
		[ "$status" -eq 64 ]
		[[ $output == *"preforkd(8)"* ]]
		run "$program" x
		[ "$status" -eq 64 ]
		run "$program" 1234
		[ "$status" -eq 100 ]
		run "$program" 9 9<"$BATS_TEST_FILENAME"
		[ "$status" -eq 100 ]
		[[ $output == *event=worker_setup_failed* ]]
	done
}

@test "a leader that may not fork has forked those that there are; the rest is tried again" {
	start_with "$(echo_service 1 8)"
	trace_births error=EAGAIN
	scale 8
	# who has a name runs: a master that waits for a start (vfork(2)) and strace wait for each other at the end
	wait_for 30 "8 workers" n_workers_is 8 a
	# of the other six of the first batch two were there, of the other three of the second one
	log_has 'event=fork_failed service=a workers=4 error="Resource temporarily unavailable" retry_ms=100'
	[ "$(log_count event=worker_exit)" -eq 0 ]
	end_trace
	answers "$(port_of a)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "a leader that dies while it forks leaves those that there are, and the others come with another one" {
	begin_slow_batch
	kill -KILL "$LEADER"
	end_trace
	wait_for 30 "its end" log_has "event=worker_exit service=a .*worker_pid=$LEADER .*reason=SIGKILL"
	wait_for 30 "8 workers" n_workers_is 8
	for pid in $OTHERS; do
		[ -e "/proc/$pid" ]
	done
	[ "$(log_count event=worker_exit)" -eq 1 ]
	log_lacks 'event=orphan_killed'
	answers "$(port_of a)"
}

@test "a stop while a leader forks waits for it, and nobody is left" {
	begin_slow_batch
	kill -TERM "$MASTER"
	wait_for 20 "the stop" log_has 'event=stopping'
	end_trace
	OTHERS="$OTHERS $(workers_of "$MASTER")"
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	no_process_left "$OTHERS"
	log_lacks 'event=worker_killed'
}

nobody_runs() {
	local exe
	for exe in /proc/[0-9]*/exe; do
		[ ! "$exe" -ef "$1" ] || return
	done
}

# without strace, which may take the signal with it that a worker gets when its master dies
@test "a master that dies while leaders fork leaves nobody" {
	local i
	own_programs
	for i in {1..10}; do
		start_with "$(echo_service 1 256)"
		scale 200
		kill -KILL "$MASTER"
		wait "$MASTER" || :
		MASTER=
		wait_for 60 "the end of all workers" nobody_runs "$PREFORKD-worker"
	done
}

# is_between PID: a worker that has looked who its parent is, and hears nobody yet
is_between() {
	local state caught
	state=$(awk '/^State:/ { print $2 }' "/proc/$1/status")
	caught=$((16#$(awk '/^SigCgt:/ { print $2 }' "/proc/$1/status")))
	# SIGALRM, and not SIGUSR2
	[ "$state" = t ] && ((caught >> 13 & 1)) && ! ((caught >> 11 & 1))
}

@test "a worker whose master dies while it is set up leaves as well" {
	own_programs
	start_with "$(echo_service 1 8)"
	trace timer_create delay_enter=60000000
	scale 2
	wait_for 20 "a second worker" n_workers_is 2
	wait_for 20 "the midst of its setup" is_between "$(workers_of "$MASTER" | tail -n 1)"
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	MASTER=
	end_trace
	wait_for 60 "the end of all workers" nobody_runs "$PREFORKD-worker"
}

@test "an upgrade waits for a leader that forks, and hands over all of its workers" {
	own_programs
	begin_slow_batch
	kill -USR2 "$MASTER"
	# what is asked for later has to wait as well
	"$PREFORKCTL" -c "$CONF" status >"$DIR/status"
	log_lacks 'event=upgrade_started'
	end_trace
	wait_for 60 "the end of the upgrade" log_has 'event=upgrade_done'
	wait_for 30 "the new workers" n_workers_is 1
	[ "$(log_count 'event=worker_exit .* generation=1 .*reason=left')" -eq 8 ]
	log_lacks 'event=orphan_killed'
	answers "$(port_of a)"
}

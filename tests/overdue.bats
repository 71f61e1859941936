#!/usr/bin/env bats
# overdue.bats - timeouts { first_byte stuck slow }, and what is said of workers that are slow, stuck or dead.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup_file() {
	compile_module "$BATS_FILE_TMPDIR/wild.so" wild
	compile_module "$BATS_FILE_TMPDIR/talk.so" talk
}

setup() {
	daemon_setup
	DIR=$BATS_TEST_TMPDIR
	# a fault of a module is none of the sanitizers'
	export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0:handle_abort=0:handle_sigbus=0
}

teardown() {
	daemon_teardown
}

# service NAME HANDLER TIMEOUTS [KEYS]: a handler with a dot is a module of ours
service() {
	local handler=$2
	[[ $handler != *.so ]] || handler=$BATS_FILE_TMPDIR/$handler
	echo "service $1 { handler = \"$handler\" workers { min = 1 } timeouts { drain = 10s $3 } ${4-} }"
}

# peer_of FD: its own address; a worker calls it the peer
peer_of() {
	perl -MSocket -e 'my ($port, $ip) = sockaddr_in(getsockname(STDIN)); print inet_ntoa($ip), ":$port\n"' <&"$1"
}

# last_of EVENT KEY: in the last such line
last_of() {
	sed -n "s/.*event=$1 .*\b$2=\([^ ]*\).*/\1/p" "$LOG" | tail -n 1
}

# say FD TEXT: to a connection that is held open
say() {
	echo "$2" >&"$1"
}

# busy SERVICE: its worker has a connection
busy() {
	busy_worker "$1" >/dev/null
}

@test "first_byte: for the first byte, and no longer" {
	local began status=0
	start_debug "$(service a echo 'first_byte = 1s idle = 1m')" "$(service b echo 'first_byte = 1m idle = 300ms')"
	began=$(now_ms)
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	read -rt 20 -n 1 <&9 || status=$?
	[ "$status" -eq 1 ]
	began=$(($(now_ms) - began))
	((began >= 998))
	log_has 'event=conn_failed service=a .*error="?Connection timed out'
	hold "$(port_of a)"
	status=0
	read -rt 1.5 -n 1 <&9 || status=$?
	[ "$status" -gt 128 ]
	serve_on 9
	# the first byte may take as long as any other at least
	hold "$(port_of b)" 8
	status=0
	read -rt 20 -n 1 <&8 || status=$?
	[ "$status" -eq 1 ]
	log_has 'event=conn_failed service=b .*error="?Connection timed out'
}

stuck_are() {
	[ "$(log_count 'event=worker_killed .*reason=stuck')" -eq "$1" ]
}

@test "stuck: a handler that does not notice that its time is over, one that is stopped, a program: told, killed, replaced" {
	local loop stopped program peer
	# time enough to stop a worker before its connection is over
	start_with "$(service loop talk.so 'total = 1s stuck = 300ms')" "$(service stop echo 'total = 3s stuck = 300ms')" \
		"$(service prog exec 'total = 3s stuck = 300ms' 'command = { "/bin/cat" }')" \
		"$(service good echo 'total = 3s stuck = 300ms')"
	loop=$(workers_of "$MASTER" loop)
	stopped=$(workers_of "$MASTER" stop)
	program=$(workers_of "$MASTER" prog)
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of prog)"
	wait_for 20 "its conn" busy prog
	kill -STOP "$program"
	exec 8<>"/dev/tcp/127.0.0.1/$(port_of stop)"
	wait_for 20 "its conn" busy stop
	kill -STOP "$stopped"
	exec 7<>"/dev/tcp/127.0.0.1/$(port_of loop)"
	say 7 loop
	peer=$(peer_of 7)
	[ -n "$peer" ]
	wait_for 60 "their end" stuck_are 3
	log_has "level=warning .*event=worker_stuck service=loop worker=1 worker_pid=$loop age_ms=[0-9]{3,} kill_ms=2000"
	[ "$(last_of 'worker_stuck service=loop' age_ms)" -ge 1300 ]
	log_has "event=worker_killed service=loop worker=1 worker_pid=$loop reason=stuck serving=$peer"
	wait_for 20 "the line" log_has "event=worker_exit service=loop .*worker_pid=$loop .*reason=SIGKILL serving=$peer .*lost=1 oom=no"
	[ "$(last_of 'worker_exit service=loop' conn_age_ms)" -ge 3300 ]
	# it computed all the time; a machine with other things to do lets it have a part
	[ "$(last_of 'worker_exit service=loop' cpu_ms)" -ge 100 ]
	log_has "event=worker_stuck service=stop .*worker_pid=$stopped "
	log_has "event=worker_stuck service=prog .*worker_pid=$program "
	wait_for 20 "the line" log_has "event=worker_exit service=stop .*reason=SIGKILL .*lost=1"
	wait_for 20 "the line" log_has "event=worker_exit service=prog .*reason=SIGKILL .*lost=1"
	# each is told once, and has a successor; who is in time is left alone
	[ "$(log_count event=worker_stuck)" -eq 3 ]
	wait_for 20 "4 workers" n_workers_is 4
	[ "$(echo 1 | socat -t 20 - "TCP:$(address_of loop)")" = 1 ]
	answers "$(port_of stop)"
	answers "$(port_of good)"
	[ "$(log_count event=worker_exit)" -eq 3 ]
}

@test "stuck: who notices in the end, though late, is not killed" {
	# seen as stuck after 1200 ms, killed two seconds later: its end is in the midst of this
	start_with "$(service a wild.so 'total = 1s stuck = 200ms')"
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	say 9 'spin 2200'
	wait_for 20 "its end" log_has 'level=info .*event=worker_exit service=a .*reason=left .*failed=1 .*lost=0'
	log_has 'event=worker_stuck service=a '
	log_lacks event=worker_killed
	wait_for 20 "another one" n_workers_is 1
}

slow_are() {
	[ "$(log_count event=conn_slow)" -eq "$1" ]
}

@test "slow: one line about each connection that lasts, which goes on" {
	local worker
	start_with "$(service a echo 'slow = 3s')" "$(service other echo 'slow = 10m')"
	worker=$(workers_of "$MASTER" a)
	hold "$(port_of other)" 7
	hold "$(port_of a)"
	# 13 bytes: "still here 9" and a line feed
	wait_for 20 "the line" log_has "level=warning .*event=conn_slow service=a worker=1 worker_pid=$worker peer=$(peer_of 9) age_ms=[0-9]{3,} bytes_in=13 bytes_out=13 state=S wchan=[^ ]+ syscall="
	slow_are 1
	(($(last_of conn_slow age_ms) >= 3000))
	serve_on 9
	release
	# the next one of the same worker; short ones are none
	answers "$(port_of a)"
	hold "$(port_of a)"
	wait_for 20 "the next line" slow_are 2
	serve_on 9
	serve_on 9
	log_lacks 'event=(worker_exit|worker_stuck)'
	[ "$(workers_of "$MASTER" a)" = "$worker" ]
}

@test "slow: one line, however often its worker is looked at" {
	start_with 'service a { handler = echo workers { min = 3 } timeouts { slow = 200ms drain = 10s } }'
	hold "$(port_of a)" 7
	wait_for 20 "the line" slow_are 1
	# each one is a look at all of them
	hold "$(port_of a)" 8
	wait_for 20 "the next line" slow_are 2
	hold "$(port_of a)" 9
	wait_for 20 "the third line" slow_are 3
	[ "$(sed -n 's/.*event=conn_slow .* peer=\([^ ]*\).*/\1/p' "$LOG" | sort -u | wc -l)" -eq 3 ]
}

@test "slow: what a worker does that computes, and one that is stopped" {
	start_with "$(service run wild.so 'slow = 1s')" "$(service stop echo 'slow = 3s')"
	exec 7<>"/dev/tcp/127.0.0.1/$(port_of run)"
	say 7 'spin 4000'
	exec 8<>"/dev/tcp/127.0.0.1/$(port_of stop)"
	wait_for 20 "its conn" busy stop
	kill -STOP "$(workers_of "$MASTER" stop)"
	wait_for 20 "the lines" slow_are 2
	log_has 'event=conn_slow service=run .* bytes_in=10 bytes_out=0 state=R '
	log_has 'event=conn_slow service=stop .* bytes_in=0 bytes_out=0 state=T '
	kill -CONT "$(workers_of "$MASTER" stop)"
	read -rt 30 line <&7
	[ "$line" = spin ]
	serve_on 8
}

@test "a worker that dies is explained with what it had used, and with the OOM killer when it was that" {
	local root group
	need_root
	unshare -m true 2>"$DIR/unshare" || strict_skip "kernel: no mount namespaces"
	# the kernel's count, played by a file: where /proc/self/cgroup says it is
	group=$(sed -n 's/^0:://p' /proc/self/cgroup)
	[ -n "$group" ] || strict_skip "kernel: no cgroup2"
	mkdir -p "$DIR/group$group"
	root=$DIR/group
	echo 'oom_kill 3' >"$root$group/memory.events"
	# shellcheck disable=SC2016  # $0 and $@ are that shell's
	printf '#!/bin/sh\nexec unshare -m sh -c '\''mount --bind "$0" /sys/fs/cgroup && exec "$@"'\'' %q %q "$@"\n' \
		"$root" "$PREFORKD" >"$DIR/preforkd"
	chmod 755 "$DIR/preforkd"
	PREFORKD=$DIR/preforkd
	start_with "$(service a wild.so 'slow = 0')"
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	say 9 'alloc 50'
	read -rt 30 <&9
	exec 9>&-
	die KILL no
	[ "$(last_of worker_exit max_rss)" -gt 52428800 ]
	[ "$(last_of worker_exit max_rss)" -lt 524288000 ]
	echo 'oom_kill 4' >"$root$group/memory.events"
	die SEGV no
	die KILL yes
	log_has 'level=warning .*event=worker_exit .*reason=SIGKILL .*oom=yes conn_age_ms=0 cpu_ms=[0-9]+ max_rss=[0-9]+ age_ms=[0-9]+$'
	die KILL no
	sed -i '/Sanitizer/d' "$LOG"
}

# die SIGNAL OOM: a worker of "a", and so it is explained
die() {
	local pid
	wait_for 20 "a worker" n_workers_is 1
	pid=$(workers_of "$MASTER")
	kill -s "$1" "$pid"
	wait_for 20 "its line" log_has "event=worker_exit .*worker_pid=$pid "
	log_has "event=worker_exit .*worker_pid=$pid .*reason=\"?SIG$1.*oom=$2 "
}

@test "a worker whose memory limit is over is killed by the kernel, and the line says so" {
	local group=/sys/fs/cgroup/preforkd-test-$$ pid
	need_root
	[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && grep -qw memory /sys/fs/cgroup/cgroup.subtree_control &&
		mkdir "$group" 2>"$DIR/mkdir" || strict_skip "kernel: no cgroup2 of our own with a memory controller"
	echo $((100 << 20)) >"$group/memory.max"
	[ ! -e "$group/memory.swap.max" ] || echo 0 >"$group/memory.swap.max"
	# shellcheck disable=SC2016  # $0 and $@ are that shell's
	printf '#!/bin/sh\necho $$ >%q/cgroup.procs\nexec %q "$@"\n' "$group" "$PREFORKD" >"$DIR/preforkd"
	chmod 755 "$DIR/preforkd"
	PREFORKD=$DIR/preforkd
	start_with "$(service a wild.so 'slow = 0')"
	pid=$(workers_of "$MASTER")
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	say 9 'alloc 500'
	wait_for 20 "its line" log_has "event=worker_exit .*worker_pid=$pid .*reason=SIGKILL .*lost=1 oom=yes "
	wait_for 20 "another one" n_workers_is 1
	stop_daemon
	rmdir "$group"
}

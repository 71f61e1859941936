#!/usr/bin/env bats
# privileges.bats - what a worker may do: who it is, what it has open, its limits, directory and environment.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own WORKER and PREFORKD

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	DIR=
}

teardown() {
	daemon_teardown
	if [ -n "$DIR" ]; then
		rm -rf "$DIR"
	fi
}

# service RUN [KEYS]
service() {
	echo "service hello { handler = ${3:-echo} workers { min = 1 } ${2:-} run { $1 } }"
}

start_with() {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	printf '%s\n' "$@" | write_config
	start_daemon
	WORKER=$(workers_of "$MASTER")
}

# status_of KEY: a line of the worker's /proc/PID/status, blanks as one space
status_of() {
	sed -n "s/^$1:[[:space:]]*//p" "/proc/$WORKER/status" | tr -s '\t' ' ' | sed 's/ *$//'
}

# is UID GID GROUPS: exactly these, four times (real, effective, saved, file system)
is() {
	local groups
	groups=$(tr ' ' '\n' <<<"${3:-$2}" | sort -n | tr '\n' ' ')
	grep -E '^(Uid|Gid|Groups|Cap|NoNew)' "/proc/$WORKER/status"
	[ "$(status_of Uid)" = "$1 $1 $1 $1" ]
	[ "$(status_of Gid)" = "$2 $2 $2 $2" ]
	[ "$(status_of Groups) " = "$groups" ]
}

has_no_rights() {
	local set
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do
		[ "$(status_of $set)" = 0000000000000000 ] || {
			echo "$set: $(status_of $set)"
			return 1
		}
	done
	[ "$(status_of NoNewPrivs)" = 1 ]
}

refused_with() {
	write_config
	run -78 "$PREFORKD" -t -c "$CONF"
	[[ $output =~ $1 ]]
}

@test "by default a worker is nobody, with the groups of nobody and no right at all" {
	start_with "$(service '')"
	is "$(id -u nobody)" "$(id -g nobody)" "$(id -G nobody)"
	has_no_rights
	# the master stays what it is, and workers that follow are no more
	[ "$(awk '/^Uid/ { print $2 }' "/proc/$MASTER/status")" -eq 0 ]
	kill -KILL "$WORKER"
	wait_for 20 "another worker" is_replaced
	# who serves has become what it is
	answers "$(port_of hello)"
	WORKER=$(workers_of "$MASTER")
	is "$(id -u nobody)" "$(id -g nobody)" "$(id -G nobody)"
	has_no_rights
}

is_replaced() {
	local now
	now=$(workers_of "$MASTER")
	[ -n "$now" ] && [ "$now" != "$WORKER" ] && [ "$(log_count 'event=worker_exit')" -ge 1 ]
}

@test "run.user is a name, its group is the user's own" {
	start_with "$(service 'user = daemon')"
	is "$(id -u daemon)" "$(id -g daemon)"
	has_no_rights
}

@test "the global user and group are for all services without their own" {
	start_with 'user = daemon group = bin' "$(service '')"
	is "$(id -u daemon)" "$(getent group bin | cut -d: -f3)"
	has_no_rights
}

@test "run.user and run.group may be numbers that no file knows" {
	start_with "$(service 'user = 54321 group = 43210')"
	is 54321 43210
	has_no_rights
}

@test "run.group replaces the user's own group" {
	start_with "$(service 'user = daemon group = bin')"
	is "$(id -u daemon)" "$(getent group bin | cut -d: -f3)"
	has_no_rights
}

@test "a worker has the supplementary groups of its user, those and none of the master's" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	unshare -m true || strict_skip "kernel: no mount namespaces here"
	# the daemon sees a group file of its own, in a mount namespace of its own
	{
		cat /etc/group
		printf '%s\n' 'preforkd-one:x:54321:daemon' 'preforkd-two:x:54322:nobody,daemon' 'preforkd-no:x:54323:bin'
	} >"$BATS_TEST_TMPDIR/group"
	# and the master has groups that a worker must not get
	cat >"$BATS_TEST_TMPDIR/preforkd" <<-END
		#!/bin/sh
		exec unshare -m sh -c 'mount --bind "$BATS_TEST_TMPDIR/group" /etc/group &&
			exec setpriv --groups 0,54323,54324 "$PREFORKD" "\$@"' sh "\$@"
	END
	chmod 755 "$BATS_TEST_TMPDIR/preforkd"
	PREFORKD=$BATS_TEST_TMPDIR/preforkd
	start_with "$(service 'user = daemon')"
	[ "$(awk '/^Groups/ { print $2, $3, $4 }' "/proc/$MASTER/status")" = "0 54323 54324" ]
	is "$(id -u daemon)" "$(id -g daemon)" "$(id -g daemon) 54321 54322"
	has_no_rights
}

@test "root only where it is written, and then without new rights" {
	start_with 'service one { handler = echo workers { min = 1 } run { user = root } }' \
		'service two { handler = echo workers { min = 1 } }'
	WORKER=$(workers_of "$MASTER" one)
	[ "$(status_of Uid)" = "0 0 0 0" ]
	[ "$(status_of NoNewPrivs)" = 1 ]
	WORKER=$(workers_of "$MASTER" two)
	is "$(id -u nobody)" "$(id -g nobody)" "$(id -G nobody)"
	has_no_rights
}

# fds_of_worker: what its descriptors are, without 0 to 2
fds_of_worker() {
	local fd
	for fd in "/proc/$WORKER/fd/"*; do
		[ "${fd##*/}" -le 2 ] || readlink "$fd"
	done
}

@test "a worker has open: 0 to 2, its listener, the bell of its pool, and no more" {
	# three other services, whose sockets are none of its business, and stray descriptors of the one who starts it
	exec {stray}<"$BATS_TEST_FILENAME"
	start_with "$(service '')" 'service a { handler = echo workers { min = 3 } }' \
		'service b { type = dgram handler = echo }' \
		"service c { family = unix path = \"$BATS_TEST_TMPDIR/s\" handler = echo }"
	WORKER=$(workers_of "$MASTER" hello)
	ls -l "/proc/$WORKER/fd"
	[ "$(readlink "/proc/$WORKER/fd/2")" = "$LOG" ]
	[ "$(fds_of_worker | grep -c .)" -eq 2 ]
	[ "$(fds_of_worker | grep -c '^socket:')" -eq 1 ]
	[ "$(fds_of_worker | grep -c eventfd)" -eq 1 ]
	exec {stray}<&-
}

@test "standard input and output of a worker are /dev/null, whatever the master's are" {
	cat >"$BATS_TEST_TMPDIR/preforkd" <<-END
		#!/bin/sh
		exec "$PREFORKD" "\$@" <"$BATS_TEST_FILENAME" >"$BATS_TEST_TMPDIR/output"
	END
	chmod 755 "$BATS_TEST_TMPDIR/preforkd"
	PREFORKD=$BATS_TEST_TMPDIR/preforkd
	start_with "$(service '')"
	ls -l "/proc/$WORKER/fd"
	[ "$(readlink "/proc/$WORKER/fd/0")" = /dev/null ]
	[ "$(readlink "/proc/$WORKER/fd/1")" = /dev/null ]
}

@test "with a log file a worker has that open, too, and no more" {
	start_with "log = \"$LOG\"" "pidfile = \"$BATS_TEST_TMPDIR/pid\"" "$(service '')"
	ls -l "/proc/$WORKER/fd"
	[ "$(fds_of_worker | grep -c .)" -eq 3 ]
	[ "$(fds_of_worker | grep -c '^socket:')" -eq 1 ]
	[ "$(fds_of_worker | grep -c eventfd)" -eq 1 ]
	[ "$(fds_of_worker | grep -c "^$LOG$")" -eq 1 ]
}

@test "limits and umask of a worker are those of run" {
	start_with 'service hello { handler = echo workers { min = 1 } run { nofile = 77 umask = 0137 } }'
	grep 'Max open files' "/proc/$WORKER/limits"
	[ "$(awk '/^Max open files/ { print $4, $5 }' "/proc/$WORKER/limits")" = "77 77" ]
	[ "$(status_of Umask)" = 0137 ]
}

@test "limits and umask have their defaults whatever the master's are" {
	ulimit -Sn 1000
	cat >"$BATS_TEST_TMPDIR/preforkd" <<-END
		#!/bin/sh
		umask 0
		exec "$PREFORKD" "\$@"
	END
	chmod 755 "$BATS_TEST_TMPDIR/preforkd"
	PREFORKD=$BATS_TEST_TMPDIR/preforkd
	start_with "$(service '')"
	[ "$(awk '/^Max open files/ { print $4, $5 }' "/proc/$WORKER/limits")" = "256 256" ]
	[ "$(status_of Umask)" = 0022 ]
	[ "$(readlink "/proc/$WORKER/cwd")" = / ]
}

@test "a worker is in its directory, which it has to enter as its user" {
	DIR=$(mktemp -d /tmp/preforkd-test.XXXXXX)
	chown nobody "$DIR"
	chmod 700 "$DIR"
	start_with "$(service "directory = \"$DIR\"")"
	[ "$(readlink "/proc/$WORKER/cwd")" = "$DIR" ]
	stop_daemon
	# the master could, the worker cannot
	chown root "$DIR"
	service "directory = \"$DIR\"" | write_config
	: >"$LOG"
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -ne 0 ]
	log_has 'level=error .*event=worker_setup_failed .*run.directory'
}

@test "a worker has the environment of the config, not that of the master" {
	export TZ=Asia/Tokyo PREFORKD_TEST_SECRET=1
	start_with "$(service 'environment = {"TZ=XYZ-5:30", "OTHER=a b"}' '' daytime)"
	[[ $(socat -u "TCP:$(address_of hello)" -) = *-XYZ$'\r' ]]
	stop_daemon
	: >"$LOG"
	start_with "$(service '' '' daytime)"
	local=$(env -u TZ date +%Z)
	[[ $(socat -u "TCP:$(address_of hello)" -) = *-"$local"$'\r' ]]
}

@test "names and titles show which service a worker serves" {
	start_with "$(service '')"
	[ "$(cat "/proc/$WORKER/comm")" = "preforkd: hello" ]
	[[ $(tr '\0' ' ' <"/proc/$WORKER/cmdline") = "preforkd: hello"* ]]
}

# A directory that everybody may enter, with a copy of the program: bats' own are closed to others.
for_others() {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	command -v setpriv >"$BATS_TEST_TMPDIR/setpriv" || strict_skip "needs setpriv (util-linux)"
	DIR=$(mktemp -d /tmp/preforkd-test.XXXXXX)
	install -t "$DIR" "$PREFORKD" "$PREFORKD-worker"*
	cat >"$DIR/as_other" <<-END
		#!/bin/sh
		RUNTIME_DIRECTORY=$DIR/run exec setpriv --reuid=65534 --regid=65534 --clear-groups $* "$DIR/preforkd" "\$@"
	END
	chmod 755 "$DIR" "$DIR/as_other"
	install -d -o 65534 "$DIR/run"
	CONF=$DIR/preforkd.conf
	PREFORKD=$DIR/as_other
}

@test "a master without root serves, and so do its workers, as the user who started it" {
	for_others
	start_with "$(service '')" "service path { family = unix path = \"$DIR/run/s\" handler = echo workers { min = 1 } }"
	[ "$(awk '/^Uid/ { print $2, $3, $4, $5 }' "/proc/$MASTER/status")" = "65534 65534 65534 65534" ]
	WORKER=$(workers_of "$MASTER" hello)
	[ "$(status_of Uid)" = "65534 65534 65534 65534" ]
	[ "$(status_of Gid)" = "65534 65534 65534 65534" ]
	[ "$(status_of CapEff)" = 0000000000000000 ]
	[ "$(status_of CapPrm)" = 0000000000000000 ]
	[ "$(status_of NoNewPrivs)" = 1 ]
	[ "$(echo hello | socat -t 20 - "TCP:$(address_of hello)")" = hello ]
	[ "$(echo hello | socat -t 20 - "UNIX-CONNECT:$DIR/run/s")" = hello ]
	kill -KILL "$WORKER"
	wait_for 20 "another worker" is_replaced
	[ "$(echo hello | socat -t 20 - "TCP:$(address_of hello)")" = hello ]
}

@test "a master without root refuses what it could not do: another user or group for its workers" {
	for_others
	refused_with 'hello.*run\.user' <<<"$(service 'user = root')"
	refused_with 'hello.*run\.user' <<<"$(service 'user = daemon')"
	refused_with 'hello.*run\.group' <<<"$(service 'group = daemon')"
}

@test "the capabilities of a master without root do not reach its workers" {
	for_others --inh-caps=+net_bind_service --ambient-caps=+net_bind_service
	start_with "$(service '')"
	[ "$(awk '/^CapEff/ { print $2 }' "/proc/$MASTER/status")" != 0000000000000000 ]
	for set in CapInh CapPrm CapEff CapAmb; do
		[ "$(status_of $set)" = 0000000000000000 ]
	done
}

@test "a worker cannot look into the master or trace it" {
	start_with "$(service '')"
	# it is another user, without rights; and it does not dump core with the master's secrets either
	[ "$(stat -c %u "/proc/$MASTER/environ")" -eq 0 ]
	run setpriv --reuid=65534 --regid=65534 --clear-groups cat "/proc/$MASTER/environ"
	[ "$status" -ne 0 ]
}

#!/usr/bin/env bats
# listen.bats - opening and closing of sockets: addresses, paths and their rights, and what is in the way.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own MASTER, CONF and LOG

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	SOCK=$BATS_TEST_TMPDIR/sock
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
	OTHER=
}

teardown() {
	if [ -n "$OTHER" ]; then
		kill -KILL "$OTHER" || :
	fi
	daemon_teardown
}

# service NAME KEYS
service() {
	echo "service $1 { handler = echo workers { min = 1 } $2 }"
}

# Also an address like 127.0.0.2:7 of a wildcard.
echoes() {
	local answer
	case $1 in
	@*) answer=$(echo hello | socat -t 30 - "ABSTRACT-CONNECT:${1#@}") ;;
	/*) answer=$(echo hello | socat -t 30 - "UNIX-CONNECT:$1") ;;
	*) answer=$(echo hello | socat -t 30 - "TCP:$1" 2>"$BATS_TEST_TMPDIR/socat") ;;
	esac
	[ "$answer" = hello ]
}

# refused_start STATUS REGEX: the config in place does not start, and says one line that matches.
refused_start() {
	local status=0 log=$BATS_TEST_TMPDIR/refused
	timeout 60 "$PREFORKD" -c "${3:-$CONF}" >"$log" 2>&1 3>&- || status=$?
	cat "$log"
	[ "$status" -eq "$1" ]
	[ "$(grep -c 'level=error' "$log")" -eq 1 ]
	grep 'level=error' "$log" | grep -Eq "event=listen_failed .*$2"
	[ "$(grep -c 'event=ready' "$log")" -eq 0 ]
}

# traced REGEX OPTION...: run preforkd under strace, system calls to $BATS_TEST_TMPDIR/trace
traced() {
	local calls=$1
	shift
	# the leak checker of sanitizer builds does not work in a process that is traced
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
		strace -f -qq -o "$BATS_TEST_TMPDIR/trace" -e "trace=$calls" "$PREFORKD" -c "$CONF" "$@" 3>&-
}

need_strace() {
	strace -qq -o "$BATS_TEST_TMPDIR/probe" true || strict_skip "kernel: no ptrace here"
}

@test "port 0 is any free port, and the listening line says which" {
	start_with "$(service tcp '')" "$(service six 'family = inet6 address = "::1"')" \
		"$(service udp 'type = dgram')"
	[[ $(address_of tcp) =~ ^127\.0\.0\.1:[1-9][0-9]*$ ]]
	[[ $(address_of six) =~ ^\[::1\]:[1-9][0-9]*$ ]]
	[[ $(address_of udp) =~ ^127\.0\.0\.1:[1-9][0-9]*$ ]]
	log_has 'event=listening service=tcp family=inet type=stream protocol=tcp address='
	log_has 'event=listening service=six family=inet6 type=stream protocol=tcp address='
	log_has 'event=listening service=udp family=inet type=dgram protocol=udp address='
	echoes "$(address_of tcp)"
	echoes "$(address_of six)"
	"$TEST_BIN/dgram" "$(address_of udp)" hello
}

@test "unix sockets are opened by path and by abstract name, and the listening line says which" {
	start_with "$(service path "family = unix path = \"$SOCK\"")" \
		"$(service abstract "family = unix path = \"$ABSTRACT\"")"
	log_has "event=listening service=path family=unix type=stream protocol=none address=$SOCK\$"
	log_has "event=listening service=abstract family=unix type=stream protocol=none address=$ABSTRACT\$"
	echoes "$SOCK"
	echoes "$ABSTRACT"
}

@test "address * is every address of the family, another one is only that one" {
	start_with "$(service all 'address = "*"')" "$(service one 'address = "127.0.0.1"')" \
		"$(service six 'family = inet6 address = "*"')"
	[ "$(address_of all)" = "0.0.0.0:$(port_of all)" ]
	echoes "127.0.0.1:$(port_of all)"
	echoes "127.0.0.2:$(port_of all)"
	echoes "127.0.0.1:$(port_of one)"
	run ! echoes "127.0.0.2:$(port_of one)"
	echoes "[::1]:$(port_of six)"
}

@test "v6only says whether an IPv6 socket takes IPv4, too; by default it does not" {
	start_with "$(service default 'family = inet6 address = "*"')" \
		"$(service only 'family = inet6 address = "*" socket { v6only = true }')" \
		"$(service both 'family = inet6 address = "*" socket { v6only = false }')"
	for name in default only both; do
		echoes "[::1]:$(port_of $name)"
	done
	run ! echoes "127.0.0.1:$(port_of default)"
	run ! echoes "127.0.0.1:$(port_of only)"
	echoes "127.0.0.1:$(port_of both)"
}

# backlog_of ADDRESS: what the kernel says
backlog_of() {
	ss -Hltn | awk -v address="$1" '$4 == address { print $3 }'
}

@test "the kernel has the backlog that the config says" {
	command -v ss >"$BATS_TEST_TMPDIR/ss" || strict_skip "needs ss (iproute2)"
	start_with "$(service seven 'socket { backlog = 7 }')" "$(service most '')" "$(service word 'socket { backlog = somaxconn }')"
	[ "$(backlog_of "$(address_of seven)")" -eq 7 ]
	[ "$(backlog_of "$(address_of most)")" -eq "$(cat /proc/sys/net/core/somaxconn)" ]
	[ "$(backlog_of "$(address_of word)")" -eq "$(cat /proc/sys/net/core/somaxconn)" ]
}

@test "a path has the mode of the config, whatever the umask" {
	for mask in 000 022 077 0777; do
		umask "$mask"
		printf '%s\n' \
			"$(service default "family = unix path = \"$SOCK-default\"")" \
			"$(service narrow "family = unix path = \"$SOCK-narrow\" socket { mode = 0600 }")" \
			"$(service wide "family = unix path = \"$SOCK-wide\" socket { mode = 0666 }")" \
			"$(service rec "family = unix type = seqpacket path = \"$SOCK-rec\" socket { mode = 0640 }")" \
			"$(service dgram "family = unix type = dgram path = \"$SOCK-dgram\" socket { mode = 622 }")" >"$CONF.$mask"
		: >"$LOG.$mask"
		umask 022
		chmod 644 "$CONF.$mask" "$LOG.$mask"
		umask "$mask"
		CONF=$BATS_TEST_TMPDIR/preforkd.conf.$mask LOG=$BATS_TEST_TMPDIR/log.$mask
		start_daemon
		umask 022
		[ "$(stat -c %a "$SOCK"-{default,narrow,wide,rec,dgram} | tr '\n' ' ')" = "660 600 666 640 622 " ]
		stop_daemon
		daemon_log_is_clean
		CONF=$BATS_TEST_TMPDIR/preforkd.conf LOG=$BATS_TEST_TMPDIR/log
	done
}

@test "a path has the owner and group of the config, and the master's by default" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	start_with "$(service mine "family = unix path = \"$SOCK-mine\"")" \
		"$(service theirs "family = unix path = \"$SOCK-theirs\" socket { owner = nobody group = daemon }")" \
		"$(service numbers "family = unix type = dgram path = \"$SOCK-numbers\" socket { owner = 1234 group = 4321 }")" \
		"$(service group "family = unix path = \"$SOCK-group\" socket { group = daemon }")"
	[ "$(stat -c %U:%G "$SOCK-mine")" = "root:root" ]
	[ "$(stat -c %U:%G "$SOCK-theirs")" = "nobody:daemon" ]
	[ "$(stat -c %u:%g "$SOCK-numbers")" = "1234:4321" ]
	[ "$(stat -c %U:%G "$SOCK-group")" = "root:daemon" ]
}

@test "a path is at no moment open to more users than in the end" {
	need_strace
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	{
		echo 'control { path = "" }'
		service narrow "family = unix path = \"$SOCK\" socket { mode = 0600 owner = nobody }"
	} | write_config
	umask 0
	traced fchmod,chmod,fchmodat,bind,umask,lchown,chown,fchownat,listen 2>"$LOG" &
	tracer=$!
	wait_for 20 "event=ready" log_has event=ready
	MASTER=$(sed -n 's/.* pid=\([0-9]*\) event=ready.*/\1/p' "$LOG")
	kill -TERM "$MASTER"
	wait "$tracer"
	MASTER=
	grep -v 'AF_NETLINK' "$BATS_TEST_TMPDIR/trace"
	# the mode is set before there is a path, and not changed afterwards; the owner before anybody can connect
	[ "$(grep -Eo "(fchmod\([0-9]+, 0600|chmod\(\"$SOCK|fchmodat|bind\([0-9]+, \{sa_family=AF_UNIX|fchownat\([0-9]+, \"\", 65534, |listen)" \
		"$BATS_TEST_TMPDIR/trace" | grep -Eo '^[a-z]+' | tr '\n' ' ')" = "fchmod bind fchownat listen " ]
}

@test "the path of a service that was killed is taken over, for every type" {
	start_with "$(service s "family = unix path = \"$SOCK-s\"")" \
		"$(service p "family = unix type = seqpacket path = \"$SOCK-p\"")" \
		"$(service d "family = unix type = dgram path = \"$SOCK-d\"")"
	workers=$(workers_of "$MASTER")
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	no_process_left "$workers"
	for name in s p d; do
		[ -S "$SOCK-$name" ]
	done
	: >"$LOG"
	start_daemon
	echoes "$SOCK-s"
	[ "$(echo hello | socat -t 30 - "UNIX-CONNECT:$SOCK-p,socktype=5")" = hello ]
	"$TEST_BIN/dgram" -f "$ABSTRACT" "$SOCK-d" hello
	stop_daemon
	for name in s p d; do
		[ ! -e "$SOCK-$name" ]
	done
}

@test "the path of a service that was killed is taken over, whoever owns it" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	# the owner could not even enter the directory; the mode gives rights to the group only
	mkdir -m 750 "$BATS_TEST_TMPDIR/dir"
	chgrp daemon "$BATS_TEST_TMPDIR/dir"
	start_with "$(service one "family = unix path = \"$BATS_TEST_TMPDIR/dir/one\" socket { owner = nobody }")" \
		"$(service two "family = unix path = \"$BATS_TEST_TMPDIR/dir/two\" socket { owner = nobody mode = 0060 }")"
	workers=$(workers_of "$MASTER")
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	no_process_left "$workers"
	: >"$LOG"
	start_daemon
	echoes "$BATS_TEST_TMPDIR/dir/one"
	echoes "$BATS_TEST_TMPDIR/dir/two"
}

# in_the_way: nothing of it is touched by a start that is refused
in_the_way() {
	local before
	before=$(stat -c '%i %F %a %Y' "$SOCK")
	refused_start 73 "$SOCK exists and is not a socket"
	[ "$(stat -c '%i %F %a %Y' "$SOCK")" = "$before" ]
}

@test "a file, directory, FIFO or device in the place of the path is not removed" {
	service path "family = unix path = \"$SOCK\"" | write_config
	echo precious >"$SOCK"
	in_the_way
	[ "$(cat "$SOCK")" = precious ]
	rm "$SOCK"
	mkdir "$SOCK"
	in_the_way
	rmdir "$SOCK"
	mkfifo "$SOCK"
	in_the_way
	rm "$SOCK"
}

@test "a symlink in the place of the path is not followed and not removed, even to a stale socket" {
	service path "family = unix path = \"$SOCK\"" | write_config
	ln -s "$BATS_TEST_TMPDIR/nowhere" "$SOCK"
	in_the_way
	[ ! -e "$BATS_TEST_TMPDIR/nowhere" ]
	make_stale "$BATS_TEST_TMPDIR/stale"
	ln -sf "$BATS_TEST_TMPDIR/stale" "$SOCK"
	in_the_way
	[ -S "$BATS_TEST_TMPDIR/stale" ]
	[ "$(readlink "$SOCK")" = "$BATS_TEST_TMPDIR/stale" ]
}

make_stale() {
	local pid
	socat "UNIX-LISTEN:$1" - 3>&- &
	pid=$!
	wait_for 20 "a socket of somebody" test -S "$1"
	kill -KILL "$pid"
	wait "$pid" || :
	[ -S "$1" ]
}

# serve_other TYPE ADDRESS: a server of somebody else
serve_other() {
	socat "$1:$2" PIPE 3>&- 2>"$BATS_TEST_TMPDIR/other" &
	OTHER=$!
	wait_for 20 "the other server" is_served "$1"
}

# is_served TYPE: what is bound to $SOCK listens, if it is of a type that does
is_served() {
	awk -v path="$SOCK" -v "flags=$([ "$1" = UNIX-LISTEN ] && echo 00010000)" \
		'$NF == path && (flags == "" || $4 == flags) { found = 1 } END { exit !found }' /proc/net/unix
}

@test "the path of a living server is not taken, of whatever type it is" {
	service path "family = unix path = \"$SOCK\"" | write_config
	for type in UNIX-LISTEN UNIX-RECVFROM; do
		echo "$type"
		serve_other "$type" "$SOCK,fork"
		inode=$(stat -c %i "$SOCK")
		refused_start 69 "another program serves $SOCK"
		[ "$(stat -c %i "$SOCK")" = "$inode" ]
		run ! process_gone "$OTHER"
		kill -KILL "$OTHER"
		wait "$OTHER" || :
		OTHER=
		rm "$SOCK"
	done
}

@test "the path of a living preforkd is not taken, and it goes on" {
	start_with "$(service mine "family = unix path = \"$SOCK\"")"
	service theirs "family = unix path = \"$SOCK\" type = dgram" >"$BATS_TEST_TMPDIR/two.conf"
	refused_start 69 "another program serves" "$BATS_TEST_TMPDIR/two.conf"
	service theirs "family = unix path = \"$SOCK\"" >"$BATS_TEST_TMPDIR/two.conf"
	refused_start 69 "another program serves" "$BATS_TEST_TMPDIR/two.conf"
	echoes "$SOCK"
}

@test "at the end the path is removed" {
	start_with "$(service path "family = unix path = \"$SOCK\"")"
	[ -S "$SOCK" ]
	stop_daemon
	[ ! -e "$SOCK" ]
	# also when it has to be quick
	: >"$LOG"
	start_daemon
	[ -S "$SOCK" ]
	stop_daemon INT
	[ ! -e "$SOCK" ]
}

@test "at the end a path that somebody has put another thing in stays" {
	start_with "$(service file "family = unix path = \"$SOCK-file\"")" \
		"$(service sock "family = unix path = \"$SOCK-sock\"")" \
		"$(service gone "family = unix path = \"$SOCK-gone\"")"
	echo precious >"$SOCK-new"
	mv "$SOCK-new" "$SOCK-file"
	make_stale "$SOCK-new"
	mv "$SOCK-new" "$SOCK-sock"
	inode=$(stat -c %i "$SOCK-sock")
	rm "$SOCK-gone"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(cat "$SOCK-file")" = precious ]
	[ "$(stat -c %i "$SOCK-sock")" = "$inode" ]
}

@test "a port that another program has is refused by one line and status 69" {
	start_with "$(service tcp '')" "$(service udp 'type = dgram')" \
		"$(service six 'family = inet6 address = "::1"')" "$(service abstract "family = unix path = \"$ABSTRACT\"")"
	for keys in "port = $(port_of tcp)" "type = dgram port = $(port_of udp)" "address = \"*\" port = $(port_of tcp)" \
		"type = dgram address = \"*\" port = $(port_of udp)" "family = inet6 address = \"::1\" port = $(port_of six)" \
		"family = unix path = \"$ABSTRACT\""; do
		service late "$keys" >"$BATS_TEST_TMPDIR/two.conf"
		cat "$BATS_TEST_TMPDIR/two.conf"
		refused_start 69 'service=late .*Address already in use' "$BATS_TEST_TMPDIR/two.conf"
	done
	# what it has opened before it failed is closed and removed again
	printf '%s\n' "$(service early "family = unix path = \"$SOCK\"")" \
		"$(service late "port = $(port_of tcp)")" >"$BATS_TEST_TMPDIR/two.conf"
	refused_start 69 'service=late .*Address already in use' "$BATS_TEST_TMPDIR/two.conf"
	[ ! -e "$SOCK" ]
	echoes "$(address_of tcp)"
}

@test "a missing directory, an address of nobody and a right that is missing are one line with a remedy" {
	service path "family = unix path = \"$BATS_TEST_TMPDIR/no/such\"" | write_config
	refused_start 73 'No such file or directory.*create it first'
	service path "family = unix path = \"$LOG/sock\"" | write_config
	: >"$LOG"
	refused_start 73 'Not a directory'
	service far 'address = "192.0.2.1"' | write_config
	refused_start 69 'Cannot assign requested address'
}

# one_lingers PORT: the server closes first, so TIME_WAIT (06) is on its side
one_lingers() {
	socat -u "TCP:127.0.0.1:$1" - | grep -q 20
	grep -Eq " [0-9A-F]+:$(printf %04X "$1") [0-9A-F]+:[0-9A-F]+ 06 " /proc/net/tcp
}

@test "a restart gets its port back at once, though connections linger in TIME_WAIT" {
	start_with "service day { handler = daytime workers { min = 1 } }"
	port=$(port_of day)
	# (not on a machine whose table of them is full at the moment)
	wait_for 20 "a connection in TIME_WAIT" one_lingers "$port"
	stop_daemon
	: >"$LOG"
	start_with "service day { handler = daytime workers { min = 1 } port = $port }"
	socat -u "TCP:127.0.0.1:$port" - | grep -q 20
}

@test "-t opens, binds and removes nothing" {
	need_strace
	make_stale "$SOCK-stale"
	echo precious >"$SOCK-file"
	printf '%s\n' "$(service tcp '')" "$(service udp 'type = dgram')" \
		"$(service path "family = unix path = \"$SOCK-new\"")" \
		"$(service stale "family = unix path = \"$SOCK-stale\"")" \
		"$(service file "family = unix path = \"$SOCK-file\"")" | write_config
	run -0 traced bind,listen,unlink,unlinkat,rename,renameat,renameat2,chmod,fchmod,fchmodat,chown,lchown,fchownat,mkdir -t
	[[ $output = *"OK (5 services)"* ]]
	# the resolver of libc asks the kernel for interfaces over netlink
	grep -v 'AF_NETLINK' "$BATS_TEST_TMPDIR/trace" | grep -E '[a-z0-9]+\(' && return 1
	[ ! -e "$SOCK-new" ]
	[ -S "$SOCK-stale" ]
	[ "$(cat "$SOCK-file")" = precious ]
}

@test "-t says OK while the same config is being served, and does not disturb it" {
	start_with "$(service tcp '')" "$(service path "family = unix path = \"$SOCK\"")"
	inode=$(stat -c %i "$SOCK")
	workers=$(workers_of "$MASTER")
	run -0 "$PREFORKD" -t -c "$CONF"
	[ "$(stat -c %i "$SOCK")" = "$inode" ]
	echoes "$SOCK"
	echoes "$(address_of tcp)"
	[ "$(workers_of "$MASTER")" = "$workers" ]
}

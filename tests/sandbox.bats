#!/usr/bin/env bats
# sandbox.bats - run.sandbox: what a worker cannot do any more, asked of the worker itself by a debugger's means, of a
# module that tries it, and of programs.
# shellcheck disable=SC2016  # what perl and the programs' shells expand

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	DIR=
	if "$PREFORKD" -m | grep -qx sanitizers; then
		# not a lack of the system, but by design: the sanitizers need what a sandbox takes away
		skip "kernel: sanitizers"
	fi
	grep -q '^Seccomp:' /proc/self/status || strict_skip "kernel: no seccomp"
	LANDLOCK=$("$TEST_BIN/poke" version)
	[ "$LANDLOCK" -ge 1 ] || strict_skip "kernel: no Landlock"
	FILE=$BATS_TEST_TMPDIR/file
	echo old >"$FILE"
	chmod 666 "$FILE"
}

teardown() {
	local status=0
	daemon_teardown || status=$?
	[ -z "$DIR" ] || rm -rf "$DIR"
	return "$status"
}

# service NAME LEVEL [HANDLER] [KEYS]
service() {
	echo "service $1 { handler = ${3:-echo} workers { min = 1 } run { sandbox = $2 } ${4:-} }"
}

# poke SERVICE EXPECTED CALL [ARGUMENT]: its worker makes that call, and gets that
poke() {
	local got status=0
	got=$("$TEST_BIN/poke" "$(workers_of "$MASTER" "$1")" "${@:3}" 2>"$BATS_TEST_TMPDIR/poke") || status=$?
	[ "$status" -ne 77 ] || strict_skip "kernel: not for this machine"
	[ "$got" = "$2" ] || { echo "$1, ${*:3}: $got, not $2"; cat "$BATS_TEST_TMPDIR/poke"; return 1; }
}

need_trace() {
	[ "$(id -u)" -eq 0 ] || strict_skip "root: only root can trace a worker"
}

@test "a built-in handler cannot open a file, make a socket or a process, nor run one" {
	need_trace
	start_with "$(service a default)" "$(service b off)" "$(service c default)"
	poke a ok nothing
	poke a EPERM open "$FILE"
	poke a EPERM socket
	poke a EPERM fork
	poke a EPERM exec /bin/true
	# what no list of calls has, Landlock refuses
	[ "$LANDLOCK" -lt 3 ] || poke a EACCES truncate "$FILE"
	[ "$LANDLOCK" -lt 6 ] || poke a EPERM kill "$(workers_of "$MASTER" c)"
	answers "$(port_of a)"
	# it could without
	poke b ok open "$FILE"
	poke b ok socket
	poke b ok kill "$(workers_of "$MASTER" c)"
	poke b ok truncate "$FILE"
	answers "$(port_of b)"
	[ "$(log_count 'event=(worker_exit|sandbox_missing)')" -eq 0 ]
}

# dies_of NAME [PORT]: the worker of service a died by that call, as the log says, and there is another one; at that
# port it echoes
dies_of() {
	wait_for 20 "the end by $1" log_has "level=warning .*event=worker_exit service=a .*reason=\"SIGSYS( .core dumped.)? .run.sandbox: $1.\""
	wait_for 20 "another worker" n_workers_is 1 a
	# its name is there before its sandbox: who serves has that
	[ -z "${2-}" ] || answers "$2"
}

@test "in a strict sandbox such a call ends the worker, and the log says which" {
	need_trace
	start_with "$(service a strict)"
	poke a SIGSYS open "$FILE"
	dies_of openat "$(port_of a)"
	poke a SIGSYS socket
	dies_of socket "$(port_of a)"
	poke a SIGSYS fork
	dies_of clone "$(port_of a)"
	poke a SIGSYS exec /bin/true
	dies_of execve "$(port_of a)"
	poke a SIGSYS truncate "$FILE"
	dies_of "system call [0-9]+" "$(port_of a)"
	[ "$(cat "$FILE")" = old ]
	answers "$(port_of a)"
}

# module: try.so, the header below a directory of its name as make install leaves it
module() {
	mkdir -p "$BATS_TEST_TMPDIR/include"
	ln -s "$BATS_TEST_DIRNAME/../src/handler" "$BATS_TEST_TMPDIR/include/preforkd"
	MODULE=$BATS_TEST_TMPDIR/try.so
	cc -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -shared -fPIC -I"$BATS_TEST_TMPDIR/include" -o "$MODULE" \
		"$BATS_TEST_DIRNAME/modules/try.c"
}

# try SERVICE COMMAND EXPECTED
try() {
	local got
	got=$(echo "$2" | timeout 60 socat -t 60 - "TCP:$(address_of "$1")" 2>"$BATS_TEST_TMPDIR/socat") || :
	[ "$got" = "$3" ] || { echo "$1, $2: $got, not $3"; return 1; }
}

@test "a module can do what libraries do, but not what only attackers do" {
	module
	start_with "$(service a default "\"$MODULE\"")" \
		"service b { handler = \"$MODULE\" workers { min = 1 } run { read = {\"/etc\"} } }" \
		"service c { handler = \"$MODULE\" workers { min = 1 } run { write = {\"$FILE\"} } }" \
		"$(service d off "\"$MODULE\"")"
	for command in "open $FILE" "write $FILE" socket fork 'exec /bin/true' map memory; do
		try a "$command" ok
	done
	try a ptrace EPERM
	try b "open /etc/passwd" ok
	try b "open $FILE" EACCES
	try b "write $FILE" EACCES
	try b 'exec /bin/true' ok
	try b socket ok
	try c "write $FILE" ok
	try c "open $FILE" ok
	try c "open /etc/passwd" EACCES
	try d ptrace ok
}

@test "a strict sandbox of a module leaves it memory and its connection" {
	module
	start_with "$(service a strict "\"$MODULE\"")"
	try a memory ok
	for command in "open $FILE=openat" socket=socket fork='(clone|clone3)' ptrace=ptrace map=mmap; do
		try a "${command%=*}" ''
		dies_of "${command#*=}"
	done
	# abort(3) works: the reason is its own signal
	try a die ''
	wait_for 20 "the end" log_has 'event=worker_exit service=a .*reason="?SIGABRT'
}

@test "every built-in handler serves in a strict sandbox, on every kind of socket" {
	local name
	{
		for name in daytime time qotd discard chargen; do
			service "$name" strict "$name"
		done
		service stream strict echo "family = unix path = \"$BATS_TEST_TMPDIR/s\" socket { mode = 0666 }"
		service dgram strict echo "family = unix type = dgram path = \"$BATS_TEST_TMPDIR/d\" socket { mode = 0666 }"
		service udp strict echo 'type = dgram'
		service tcp strict echo 'socket { priority = 3 } timeouts { idle = 10s total = 20s }'
	} | write_config
	start_daemon
	for name in daytime time qotd; do
		[ -n "$(timeout 60 socat -u "TCP:$(address_of "$name")" - | tr -d '\0')" ]
	done
	timeout 60 socat -u "TCP:$(address_of chargen)" - 2>"$BATS_TEST_TMPDIR/socat" | head -c 1000 | grep -q ABC
	echo discarded | timeout 60 socat -u - "TCP:$(address_of discard)"
	[ "$(echo hello | timeout 60 socat -t 60 - "UNIX-CONNECT:$BATS_TEST_TMPDIR/s")" = hello ]
	# a client with an abstract name, as most have
	[ "$(timeout 60 perl -MSocket -e 'socket($s, AF_UNIX, SOCK_DGRAM, 0); bind($s, pack_sockaddr_un("\0preforkd-$$"));
		send($s, "hello", 0, pack_sockaddr_un($ARGV[0])); recv($s, $got, 9, 0); print $got' \
		"$BATS_TEST_TMPDIR/d")" = hello ]
	"$TEST_BIN/dgram" -o "$BATS_TEST_TMPDIR/answer" "$(address_of udp)" hello
	[ "$(cat "$BATS_TEST_TMPDIR/answer")" = hello ]
	answers "$(port_of tcp)"
	reload_daemon
	answers "$(port_of tcp)"
	stop_daemon
	log_lacks SIGSYS
}

@test "a strict worker has deadlines, drains and leaves" {
	start_with "$(service a strict echo 'timeouts { idle = 1s drain = 5s }')" \
		"$(service b strict echo 'timeouts { drain = 200ms idle = 1h }')" 'log_level = debug'
	# idle: the worker closes
	exec 8<>"/dev/tcp/127.0.0.1/$(port_of a)"
	run ! read -rt 30 <&8
	answers "$(port_of a)"
	# drain: ended at its deadline
	hold "$(port_of b)"
	stop_daemon
	log_lacks SIGSYS
	account_is b accepted=1 lost=1
}

@test "a program has the paths of read and write, and no other" {
	DIR=$(mktemp -d /tmp/preforkd-test.XXXXXX)
	chmod 755 "$DIR"
	mkdir -m 777 "$DIR/in" "$DIR/out"
	echo content >"$DIR/in/file"
	printf '#!/bin/sh\nread -r what; eval "$what"\n' >"$DIR/script"
	chmod 755 "$DIR/script"
	start_with "service a { handler = exec command = {\"$DIR/script\"} stderr = null workers { min = 1 }
		run { read = {\"$DIR/in\"} write = {\"$DIR/out\"} } }" \
		"service b { handler = exec command = {\"$DIR/script\"} stderr = null workers { min = 1 } }"
	try a "cat $DIR/in/file" content
	try a 'cat /etc/hostname' ''
	try a "echo x >$DIR/in/new; echo \$?" 2
	try a "echo x >$DIR/out/new && cat $DIR/out/new && mv $DIR/out/new $DIR/out/newer && rm $DIR/out/newer && echo all" \
		$'x\nall'
	try a 'echo x >/dev/null && ls /usr >/dev/null && echo usual' usual
	try a 'ls /proc || echo no' no
	# without the keys it is as ever
	try b "cat $DIR/in/file; echo x >$DIR/in/new && echo new" $'content\nnew'
}

@test "what a program leaves behind is found, though its worker cannot see /proc" {
	local left
	start_with "service a { handler = exec workers { min = 1 } run { read = {\"/etc\"} }
		command = {\"/bin/sh\", \"-c\", \"setsid sh -c 'echo \\\$\\\$; exec sleep 1000' & read -r line\"} }"
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	read -rt 30 left <&9
	[ -e "/proc/$left" ]
	echo >&9
	wait_for 20 "the end of $left" process_gone "$left"
}

@test "a persistent program is ready and serves in a strict sandbox" {
	local program
	program=$(for_all "$BATS_TEST_DIRNAME/lib/program.pl")
	start_with "service a { handler = persistent ready = notify workers { min = 1 }
		command = {\"/usr/bin/perl\", \"$program\", \"tell=READY=1\", \"serve\"}
		run { sandbox = strict read = {\"/etc\", \"/proc\", \"${program%/*}\"} } }"
	[[ $(echo hello | timeout 60 socat -t 60 - "TCP:$(address_of a)") = *hello ]]
	grep -q '^Seccomp:[[:space:]]*2' "/proc/$(awk '{ print $1 }' "/proc/$MASTER/task/$MASTER/children")/status"
}

# without landlock|seccomp|both: PREFORKD is run by that helper
without() {
	PROGRAM=${PROGRAM:-$PREFORKD}
	PREFORKD=$BATS_TEST_TMPDIR/without.$1
	printf '#!/bin/sh\nexec %q %q %q "$@"\n' "$TEST_BIN/without" "$1" "$PROGRAM" >"$PREFORKD"
	chmod 755 "$PREFORKD"
}

@test "a kernel that lacks a part of it is named once, and all goes on" {
	local lacks
	for lacks in landlock seccomp both; do
		: >"$LOG"
		without "$lacks"
		start_with "$(service a strict)" "$(service b default)"
		case $lacks in
		landlock) log_has 'level=warning .*event=sandbox_missing service=a lacks=Landlock ' ;;
		seccomp) log_has 'level=warning .*event=sandbox_missing service=a lacks=seccomp ' ;;
		both) log_has 'level=warning .*event=sandbox_missing service=a lacks="Landlock, seccomp" ' ;;
		esac
		answers "$(port_of a)"
		answers "$(port_of b)"
		reload_daemon
		answers "$(port_of b)"
		[ "$(log_count 'event=sandbox_missing')" -eq 1 ]
		stop_daemon
	done
}

@test "who has switched it off hears nothing of a kernel that lacks it" {
	without both
	start_with "$(service a off)"
	answers "$(port_of a)"
	log_lacks 'event=sandbox_missing'
}

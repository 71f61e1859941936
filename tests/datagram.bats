#!/usr/bin/env bats
# datagram.bats - UDP and unix datagrams: who is answered, from where, with how much, and what does no harm.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own variables

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
	SOCK=$BATS_TEST_TMPDIR/sock
	STOPPED=
}

teardown() {
	if [ -n "$STOPPED" ]; then
		kill -KILL "$STOPPED" || :
	fi
	daemon_teardown
}

# service NAME KEYS [HANDLER]
service() {
	echo "service $1 { type = dgram handler = ${3:-echo} workers { min = ${4:-1} } $2 }"
}

start_with() {
	printf '%s\n' "$@" | write_config
	start_daemon
}

dgram() {
	"$TEST_BIN/dgram" "$@"
}

no_answer() {
	run -1 dgram -w 300 "$@"
	[ -z "$output" ]
}

# account_is SERVICE KEY=N...
account_is() {
	local service=$1 want
	shift
	for want in "$@"; do
		[ "$(account_of "$service" "${want%=*}")" = "${want#*=}" ] || {
			echo "not $want"
			grep "event=account service=$service" "$LOG"
			return 1
		}
	done
}

# low_port TO: "answered" or "silence" for a datagram from a port below 1024 that is free
low_port() {
	local port
	for port in {600..1000}; do
		if dgram -w 300 -f "${2:-127.0.0.1}:$port" "$1" hello >"$BATS_TEST_TMPDIR/lines" 2>"$BATS_TEST_TMPDIR/error"; then
			echo answered
			return
		elif ! grep -q 'Address already in use' "$BATS_TEST_TMPDIR/error"; then
			cat "$BATS_TEST_TMPDIR/error"
			echo silence
			return
		fi
	done
}

@test "on a wildcard address the answer leaves from the address the request came to" {
	start_with "$(service four 'address = "*"')" "$(service both 'family = inet6 address = "*" socket { v6only = false }')"
	for name in four both; do
		port=$(port_of "$name")
		for to in 127.0.0.1 127.0.0.2 127.1.2.3; do
			[ "$(dgram "$to:$port" hello)" = "from=$to:$port length=5" ]
		done
		# also when the client is elsewhere
		[ "$(dgram -f 127.0.0.9:0 "127.0.0.5:$port" hello)" = "from=127.0.0.5:$port length=5" ]
	done
	[ "$(dgram "[::1]:$port" hello)" = "from=[::1]:$port length=5" ]
}

@test "many requests to many addresses in one batch each get their own answer" {
	start_with "$(service four 'address = "*"')"
	port=$(port_of four)
	# they wait together while the worker stands still
	STOPPED=$(workers_of "$MASTER")
	kill -STOP "$STOPPED"
	clients=()
	for i in {2..20}; do
		# not the function: it would be in a subshell with another pid
		"$TEST_BIN/dgram" -w 10000 "127.0.0.$i:$port" < <(head -c "$i" /dev/zero) >"$BATS_TEST_TMPDIR/answer.$i" 3>&- &
		clients+=($!)
	done
	wait_for 5 "19 clients that wait" all_wait "${clients[@]}"
	kill -CONT "$STOPPED"
	STOPPED=
	wait "${clients[@]}"
	for i in {2..20}; do
		[ "$(cat "$BATS_TEST_TMPDIR/answer.$i")" = "from=127.0.0.$i:$port length=$i" ]
	done
	stop_daemon
	account_is four accepted=19 served=19
}

# all_wait PID...: each has made its socket and sleeps, which it does only for its answer
all_wait() {
	local pid
	for pid in "$@"; do
		find "/proc/$pid/fd" -lname 'socket:*' | grep -q . && grep -q '^State:.S' "/proc/$pid/status" || return 1
	done
}

@test "a datagram from a port below 1024 is refused" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	start_with "$(service udp '')"  "$(service both 'family = inet6 address = "*" socket { v6only = false }')"
	[ "$(low_port "$(address_of udp)")" = silence ]
	[ "$(low_port "127.0.0.1:$(port_of both)")" = silence ]
	[ "$(low_port "[::1]:$(port_of both)" "[::1]")" = silence ]
	dgram "$(address_of udp)" hello
	stop_daemon
	account_is udp accepted=2 refused=1 served=1
	account_is both accepted=2 refused=2 served=0
}

need_spoof() {
	"$TEST_BIN/spoof" 127.0.0.1:9 127.0.0.1:9 probe 2>"$BATS_TEST_TMPDIR/probe" || strict_skip "needs CAP_NET_RAW"
}

@test "a datagram forged to come from the service itself is answered at most once" {
	need_spoof
	start_with "$(service udp 'address = "*"' echo 2)" "$(service both 'family = inet6 address = "*" socket { v6only = false }')"
	for name in udp both; do
		port=$(port_of $name)
		"$TEST_BIN/spoof" "127.0.0.1:$port" "127.0.0.1:$port" hello
		"$TEST_BIN/spoof" "127.0.0.7:$port" "127.0.0.1:$port" hello
		# port 0 is nobody's
		"$TEST_BIN/spoof" "127.0.0.1:0" "127.0.0.1:$port" hello
		dgram "127.0.0.1:$port" last
	done
	stop_daemon
	# the kernel drops the answer to ourselves
	account_is udp accepted=4 refused=1 served=3 dropped=2
	account_is both accepted=4 refused=1 served=3 dropped=2
}

# stop and say how many datagrams came to the services one and two
circles() {
	stop_daemon
	one=$(account_of one accepted)
	two=$(account_of two accepted)
	echo "one: $one, two: $two"
}

@test "two services cannot be made to answer each other for ever" {
	need_spoof
	for keys in '' 'address = "*"'; do
		: >"$LOG"
		start_with "$(service one "$keys")" "$(service two "$keys")"
		"$TEST_BIN/spoof" "127.0.0.1:$(port_of one)" "127.0.0.1:$(port_of two)" hello
		# they would have time for thousands
		for _ in {1..20}; do
			dgram "127.0.0.1:$(port_of one)" hello >"$BATS_TEST_TMPDIR/lines"
			dgram "127.0.0.1:$(port_of two)" hello >"$BATS_TEST_TMPDIR/lines"
		done
		circles
		# the forged one, and at most one answer to it
		((one + two <= 42))
	done
}

@test "two services with fixed ports cannot be made to answer each other, whoever starts first" {
	need_spoof
	# find two ports, then write them down
	start_with "$(service one '')" "$(service two '')"
	ports=("$(port_of one)" "$(port_of two)")
	stop_daemon
	: >"$LOG"
	start_with "$(service one "port = ${ports[0]}")" "$(service two "port = ${ports[1]}")"
	"$TEST_BIN/spoof" "127.0.0.1:${ports[0]}" "127.0.0.1:${ports[1]}" hello
	"$TEST_BIN/spoof" "127.0.0.1:${ports[1]}" "127.0.0.1:${ports[0]}" hello
	dgram "127.0.0.1:${ports[0]}" hello
	dgram "127.0.0.1:${ports[1]}" hello
	circles
	# each answers the forged one, and the other one's answer comes to nobody
	account_is one accepted=2 served=2 dropped=1
	account_is two accepted=2 served=2 dropped=1
}

@test "a datagram to a broadcast or multicast address is refused" {
	start_with "$(service udp 'address = "*"')" "$(service both 'family = inet6 address = "*" socket { v6only = false }')"
	for name in udp both; do
		no_answer "127.255.255.255:$(port_of $name)" hello
		dgram "127.0.0.1:$(port_of $name)" hello
	done
	stop_daemon
	account_is udp accepted=2 refused=1 served=1
	account_is both accepted=2 refused=1 served=1
}

@test "over inet and inet6 no answer is longer than its request" {
	for handler in chargen daytime qotd time; do
		: >"$LOG"
		start_with "$(service four '' $handler)" "$(service six 'family = inet6 address = "::1"' $handler)"
		for name in four six; do
			for size in 1 2 3; do
				[ "$(head -c "$size" /dev/zero | dgram "$(address_of $name)")" = "from=$(address_of $name) length=$size" ]
			done
			[ "$(head -c 1000 /dev/zero | dgram "$(address_of $name)" | sed 's/.*=//')" -le 512 ]
		done
		stop_daemon
	done
}

@test "over unix an answer is whole, however short the request" {
	start_with "$(service gen "family = unix path = \"$SOCK-gen\"" chargen)" \
		"$(service time "family = unix path = \"$SOCK-time\"" time)" \
		"$(service say "family = unix path = \"$SOCK-say\"" qotd)"
	[ "$(dgram -f "$ABSTRACT" "$SOCK-gen" x)" = "from=$SOCK-gen length=512" ]
	[ "$(dgram -f "$ABSTRACT" "$SOCK-time" x)" = "from=$SOCK-time length=4" ]
	[ "$(dgram -f "$ABSTRACT" "$SOCK-say" x | sed 's/.*=//')" -gt 10 ]
	# an empty one is a question, too
	[ "$(dgram -f "$ABSTRACT" "$SOCK-gen" '')" = "from=$SOCK-gen length=512" ]
}

@test "a unix client without a name is served and gets no answer" {
	start_with "$(service path "family = unix path = \"$SOCK\"")"
	no_answer "$SOCK" hello
	[ "$(dgram -f "$ABSTRACT" "$SOCK" hello)" = "from=$SOCK length=5" ]
	# a client with a path of its own, which workers must have the right to write to
	umask 0
	[ "$(dgram -f "$SOCK-client" "$SOCK" hello)" = "from=$SOCK length=5" ]
	stop_daemon
	account_is path accepted=3 served=3 failed=0
}

@test "an empty datagram is served and gets no answer" {
	start_with "$(service udp '')" "$(service six 'family = inet6 address = "::1"')" \
		"$(service path "family = unix path = \"$SOCK\"")"
	for name in udp six path; do
		no_answer "$(address_of $name)" ''
	done
	dgram "$(address_of udp)" hello
	stop_daemon
	account_is udp accepted=2 served=2 failed=0 refused=0
	account_is six accepted=1 served=1 failed=0 refused=0
	account_is path accepted=1 served=1 failed=0 refused=0
}

@test "a datagram that is too large fails, and is not echoed in part" {
	start_with "$(service path "family = unix path = \"$SOCK\"")"
	head -c 65536 /dev/urandom >"$BATS_TEST_TMPDIR/most"
	head -c 65537 /dev/urandom >"$BATS_TEST_TMPDIR/more"
	[ "$(dgram -f "$ABSTRACT" -o "$BATS_TEST_TMPDIR/got" "$SOCK" <"$BATS_TEST_TMPDIR/most")" = "from=$SOCK length=65536" ]
	cmp "$BATS_TEST_TMPDIR/most" "$BATS_TEST_TMPDIR/got"
	no_answer -f "$ABSTRACT" "$SOCK" <"$BATS_TEST_TMPDIR/more"
	dgram -f "$ABSTRACT" "$SOCK" hello
	stop_daemon
	account_is path accepted=3 served=2 failed=1
}

@test "the largest datagram of UDP comes back whole" {
	start_with "$(service udp '')" "$(service six 'family = inet6 address = "::1"')"
	head -c 65507 /dev/urandom >"$BATS_TEST_TMPDIR/most"
	for name in udp six; do
		rm -f "$BATS_TEST_TMPDIR/got"
		dgram -o "$BATS_TEST_TMPDIR/got" "$(address_of $name)" <"$BATS_TEST_TMPDIR/most"
		cmp "$BATS_TEST_TMPDIR/most" "$BATS_TEST_TMPDIR/got"
	done
}

@test "bursts of ten thousand datagrams harm nobody" {
	start_with "$(service udp '' echo 2)" "$(service path "family = unix path = \"$SOCK\"" echo 2)"
	workers=$(workers_of "$MASTER")
	for size in 0 1 1000 20000; do
		# nobody waits for the answers
		head -c "$size" /dev/zero | dgram -c 10000 -w 0 "$(address_of udp)" >"$BATS_TEST_TMPDIR/lines" || :
		head -c "$size" /dev/zero | dgram -c 10000 -w 0 "$SOCK" >"$BATS_TEST_TMPDIR/lines" || :
	done
	dgram -w 10000 "$(address_of udp)" hello
	dgram -w 10000 -f "$ABSTRACT" "$SOCK" hello
	[ "$(workers_of "$MASTER")" = "$workers" ]
	stop_daemon
	# the kernel may drop UDP on the way, unix waits
	account_is path accepted=40001 served=40001
	account_is udp lost=0
	(($(account_of udp accepted) <= 40001))
}

@test "a unix client that does not read its answers holds nobody up" {
	start_with "$(service path "family = unix path = \"$SOCK\"")"
	# it sends all its requests before it reads the first answer: more than its queue holds answers
	run -0 timeout 20 "$TEST_BIN/dgram" -c 500 -w 500 -f "$ABSTRACT-slow" "$SOCK" hello
	dgram -w 5000 -f "$ABSTRACT" "$SOCK" hello
	stop_daemon
	# what did not fit failed
	account_is path accepted=501
	(($(account_of path failed) > 300))
	[ "$(account_of path served)" -eq $((${#lines[@]} + 1)) ]
}

#!/usr/bin/env bats
# serve.bats - each built-in handler on each kind of socket, and clients of all sorts.

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
}

teardown() { daemon_teardown; }

SOCKETS="inet-stream inet6-stream path-stream abstract-stream path-seqpacket abstract-seqpacket
	inet-dgram inet6-dgram path-dgram abstract-dgram"

# everywhere HANDLER [WORKERS]: a config with the handler on every kind of socket.
everywhere() {
	local name where=
	for name in $SOCKETS; do
		case $name in
		inet-*) where='family = inet' ;;
		inet6-*) where='family = inet6 address = "::1"' ;;
		path-*) where="family = unix path = \"$BATS_TEST_TMPDIR/$name\"" ;;
		abstract-*) where="family = unix path = \"$ABSTRACT-$name\"" ;;
		esac
		echo "service $name { $where type = ${name#*-} handler = $1 workers { min = ${2:-1} } }"
	done
}

# client SERVICE: standard input goes to the service, the answer to standard output.
client() {
	local address file=$BATS_TEST_TMPDIR/answer
	address=$(address_of "$1")
	case $1 in
	*-dgram)
		rm -f "$file"
		case $address in
		[/@]*) "$TEST_BIN/dgram" -o "$file" -f "$ABSTRACT-client" "$address" ;;
		*) "$TEST_BIN/dgram" -o "$file" "$address" ;;
		esac >"$file.lines" || return 1
		cat "$file"
		;;
	inet*) socat -t 120 - "TCP:$address" ;;
	*-stream) socat -t 120 - "UNIX-CONNECT:$address" ;;
	*-seqpacket) socat -t 120 - "UNIX-CONNECT:$address,socktype=5" ;;
	esac
}

# The server's end has to come within 60 s; after -t socat would end by itself. It has a word of its own for abstract
# names.
socat() {
	local args=("${@/UNIX-CONNECT:@/ABSTRACT-CONNECT:}")
	timeout 60 socat "${args[@]}" || echo "socat: status $?"
}

# So many bytes.
request() {
	head -c "${1:-200}" /dev/zero | tr '\0' x
}

# poke SERVICE: ask without a word; but an answer to a datagram is no longer than the request.
poke() {
	case $1 in
	*-dgram) request | client "$1" ;;
	*) client "$1" </dev/null ;;
	esac
}

# stop and compare: every_account served=1 failed=0
every_account() {
	local name want
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	for name in $SOCKETS; do
		for want in "$@"; do
			[ "$(account_of "$name" "${want%=*}")" = "${want#*=}" ] || {
				echo "$name: not $want"
				grep "event=account service=$name" "$LOG"
				return 1
			}
		done
	done
}

@test "echo sends back what it got, on every kind of socket" {
	everywhere echo | write_config
	start_daemon
	for name in $SOCKETS; do
		echo "$name"
		[ "$(echo "hello $name" | client "$name")" = "hello $name" ]
	done
	every_account accepted=1 served=1 failed=0
}

@test "discard reads all and answers nothing, on every kind of socket" {
	everywhere discard | write_config
	start_daemon
	for name in $SOCKETS; do
		echo "$name"
		if [[ $name = *-dgram ]]; then
			address=$(address_of "$name")
			run -1 "$TEST_BIN/dgram" -w 100 "$address" "forget this"
			[ -z "$output" ]
		else
			[ -z "$(head -c 500011 /dev/zero | client "$name")" ]
		fi
	done
	every_account accepted=1 served=1 failed=0 bytes_out=0
	for name in $SOCKETS; do
		[ "$(account_of "$name" bytes_in)" -eq "$([[ $name = *-dgram ]] && echo 11 || echo 500011)" ]
	done
}

@test "chargen sends lines of 72 characters, each begun with the next one, on every kind of socket" {
	local line1 line2
	line1=' !"#$%&'\''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg'
	line2="${line1# }h"
	everywhere chargen | write_config
	start_daemon
	for name in $SOCKETS; do
		echo "$name"
		if [[ $name = *-dgram ]]; then
			request 512 | client "$name" >"$BATS_TEST_TMPDIR/got"
			[ "$(wc -c <"$BATS_TEST_TMPDIR/got")" -eq 512 ]
		else
			# the client has had enough after 20000 bytes
			(client "$name" </dev/zero 2>"$BATS_TEST_TMPDIR/socat" || :) | head -c 20000 >"$BATS_TEST_TMPDIR/got"
			[ "$(wc -c <"$BATS_TEST_TMPDIR/got")" -eq 20000 ]
			# 95 lines, then again from the first
			[ "$(sed -n 96p "$BATS_TEST_TMPDIR/got")" = "$line1"$'\r' ]
		fi
		[ "$(sed -n 1p "$BATS_TEST_TMPDIR/got")" = "$line1"$'\r' ]
		[ "$(sed -n 2p "$BATS_TEST_TMPDIR/got")" = "$line2"$'\r' ]
	done
	every_account accepted=1 served=1 failed=0
}

@test "daytime says date and time, on every kind of socket" {
	everywhere daytime | write_config
	start_daemon
	for name in $SOCKETS; do
		echo "$name"
		answer=$(poke "$name")
		echo "$answer"
		[[ $answer =~ ^([A-Z][a-z]+day,\ [A-Z][a-z]+\ [0-9]{2},\ [0-9]{4}\ [0-9:]{8})-[A-Z0-9+-]+$'\r'$ ]]
		# in the machine's zone, as the workers have no TZ
		then=$(env -u TZ date -d "${BASH_REMATCH[1]}" +%s)
		now=$(date +%s)
		((then <= now && then >= now - 60))
	done
	every_account accepted=1 served=1 failed=0
}

@test "time says the seconds since 1900 in four bytes, on every kind of socket" {
	everywhere time | write_config
	start_daemon
	for name in $SOCKETS; do
		echo "$name"
		poke "$name" >"$BATS_TEST_TMPDIR/got"
		[ "$(wc -c <"$BATS_TEST_TMPDIR/got")" -eq 4 ]
		then=$(($(od -An -tu4 --endian=big "$BATS_TEST_TMPDIR/got") - 2208988800))
		now=$(date +%s)
		((then <= now && then >= now - 60))
	done
	every_account accepted=1 served=1 failed=0 bytes_out=4
}

@test "qotd says one short quote, the same on every kind of socket" {
	local all=
	everywhere qotd | write_config
	start_daemon
	for name in $SOCKETS; do
		echo "$name"
		answer=$(poke "$name")
		[[ $answer =~ ^[[:print:]]{10,510}$'\r'$ ]]
		all+=$answer$'\n'
	done
	# a day may end meanwhile
	[ "$(printf %s "$all" | sort -u | wc -l)" -le 2 ]
	every_account accepted=1 served=1 failed=0
}

@test "daytime, time and qotd answer a client that sends nothing and a client that sends first" {
	write_config <<-END
		service day { handler = daytime }
		service sec { handler = time }
		service say { handler = qotd }
	END
	start_daemon
	for name in day sec say; do
		[ "$(socat -u "TCP:$(address_of $name)" - | wc -c)" -ge 4 ]
		[ "$(request 3000 | (socat -t 120 - "TCP:$(address_of $name)" 2>"$BATS_TEST_TMPDIR/socat" || :) | wc -c)" -ge 4 ]
	done
}

@test "large data comes back byte for byte over each kind of stream" {
	everywhere echo | write_config
	start_daemon
	head -c 5000000 /dev/urandom >"$BATS_TEST_TMPDIR/sent"
	for name in inet-stream inet6-stream path-stream abstract-stream; do
		echo "$name"
		client "$name" <"$BATS_TEST_TMPDIR/sent" >"$BATS_TEST_TMPDIR/got"
		cmp "$BATS_TEST_TMPDIR/sent" "$BATS_TEST_TMPDIR/got"
	done
	stop_daemon
	[ "$(account_of inet-stream bytes_out)" -eq 5000000 ]
	[ "$(account_of inet-stream bytes_in)" -eq 5000000 ]
}

@test "large records and datagrams come back whole" {
	everywhere echo | write_config
	start_daemon
	head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/100000"
	head -c 60000 "$BATS_TEST_TMPDIR/100000" >"$BATS_TEST_TMPDIR/60000"
	for name in path-seqpacket abstract-seqpacket; do
		echo "$name"
		socat -b 150000 -t 120 - "UNIX-CONNECT:$(address_of "$name"),socktype=5" \
			<"$BATS_TEST_TMPDIR/100000" >"$BATS_TEST_TMPDIR/got"
		cmp "$BATS_TEST_TMPDIR/100000" "$BATS_TEST_TMPDIR/got"
	done
	for name in inet-dgram inet6-dgram path-dgram abstract-dgram; do
		echo "$name"
		client "$name" <"$BATS_TEST_TMPDIR/60000" >"$BATS_TEST_TMPDIR/got"
		cmp "$BATS_TEST_TMPDIR/60000" "$BATS_TEST_TMPDIR/got"
	done
}

@test "records keep their bounds: each comes back as one" {
	everywhere echo | write_config
	start_daemon
	run -0 "$TEST_BIN/load" -n 100 -c 5 -q -u "$(address_of path-seqpacket)" -S 20000
	[[ $output = *"ok=100 "* ]]
	# two records of 3 and 2 bytes; read one at a time
	(printf abc; wait_for 20 "the first record" test -s "$BATS_TEST_TMPDIR/sizes"; printf de) |
		socat -x -t 120 - "UNIX-CONNECT:$(address_of abstract-seqpacket),socktype=5" \
			2>"$BATS_TEST_TMPDIR/hex" | (head -c 3; echo >"$BATS_TEST_TMPDIR/sizes"; cat) >"$BATS_TEST_TMPDIR/got"
	[ "$(cat "$BATS_TEST_TMPDIR/got")" = abcde ]
	[ "$(grep -c '^< .* length=3 ' "$BATS_TEST_TMPDIR/hex")" -eq 1 ]
	[ "$(grep -c '^< .* length=2 ' "$BATS_TEST_TMPDIR/hex")" -eq 1 ]
}

@test "a client that has closed its sending side still gets the rest, then the end" {
	write_config <<-END
		service hello { handler = echo workers { min = 1 } }
	END
	start_daemon
	# socat closes its sending side when its input ends
	head -c 300000 /dev/urandom >"$BATS_TEST_TMPDIR/sent"
	socat -t 120 - "TCP:$(address_of hello)" <"$BATS_TEST_TMPDIR/sent" >"$BATS_TEST_TMPDIR/got"
	cmp "$BATS_TEST_TMPDIR/sent" "$BATS_TEST_TMPDIR/got"
	stop_daemon
	[ "$(account_of hello served)" -eq 1 ]
}

@test "a graceful stop in the midst of a large answer takes nothing from it" {
	write_config <<-END
		service hello { handler = echo workers { min = 1 } }
	END
	start_daemon
	head -c 9000000 /dev/urandom >"$BATS_TEST_TMPDIR/sent"
	mkfifo "$BATS_TEST_TMPDIR/slow"
	socat -t 120 - "TCP:$(address_of hello)" <"$BATS_TEST_TMPDIR/sent" >"$BATS_TEST_TMPDIR/slow" 3>&- &
	exec {slow}<"$BATS_TEST_TMPDIR/slow"
	# the answer waits for its reader while the stop signal is sent again and again
	for i in {1..12}; do
		head -c 300000 <&"$slow"
		[ "$i" -ne 1 ] || kill -TERM "$MASTER"
		read -rt 0.1 <> <(:) || :
	done >"$BATS_TEST_TMPDIR/got"
	cat <&"$slow" >>"$BATS_TEST_TMPDIR/got"
	exec {slow}<&-
	cmp "$BATS_TEST_TMPDIR/sent" "$BATS_TEST_TMPDIR/got"
	wait_daemon
	[ "$(account_of hello served)" -eq 1 ]
}

@test "two thousand clients, fifty at a time, are all served by four workers" {
	write_config <<-END
		service tcp { handler = echo }
		service path { family = unix path = "$BATS_TEST_TMPDIR/s" handler = echo }
	END
	start_daemon
	# by all of them, not by one: four at a time
	hold "$(port_of tcp)" 7
	hold "$(port_of tcp)" 8
	hold "$(port_of tcp)" 9
	answers "$(port_of tcp)"
	release 7
	release 8
	release 9
	run -0 "$TEST_BIN/load" -n 2000 -c 50 -p "$(port_of tcp)" --timeout 60000
	[[ $output = *"ok=2000 "* ]]
	run -0 "$TEST_BIN/load" -n 2000 -c 50 -u "$BATS_TEST_TMPDIR/s" --timeout 60000
	[[ $output = *"ok=2000 "* ]]
	stop_daemon
	[ "$(account_of tcp served)" -eq 2004 ]
	[ "$(account_of path served)" -eq 2000 ]
}

@test "a client that resets is counted as failed, and the same worker serves the next one" {
	write_config <<-END
		log_level = debug
		service hello { handler = echo workers { min = 1 } }
	END
	start_daemon
	worker=$(workers_of "$MASTER")
	"$TEST_BIN/reset" -n 10 "$(address_of hello)"
	"$TEST_BIN/reset" -n 10 -q "$(address_of hello)"
	wait_for 20 "20 failed connections" all_failed 20
	[ "$(echo still here | socat -t 120 - "TCP:$(address_of hello)")" = "still here" ]
	[ "$(workers_of "$MASTER")" = "$worker" ]
	stop_daemon
	[ "$(account_of hello failed)" -eq 20 ]
	[ "$(account_of hello served)" -eq 1 ]
}

all_failed() {
	[ "$(log_count 'event=conn_failed')" -ge "$1" ]
}

@test "a client that goes away while chargen writes ends its connection, not the worker" {
	write_config <<-END
		service flood { handler = chargen workers { min = 1 } }
		service pipe { family = unix path = "$BATS_TEST_TMPDIR/s" handler = chargen workers { min = 1 } }
	END
	start_daemon
	workers=$(workers_of "$MASTER")
	for _ in {1..10}; do
		for address in "TCP:$(address_of flood),linger=0,shut-none" "TCP:$(address_of flood)" "UNIX-CONNECT:$BATS_TEST_TMPDIR/s"; do
			[ "$( (socat -u "$address" - 2>/dev/null || :) | head -c 1000 | wc -c)" -eq 1000 ]
		done
	done
	[ "$(workers_of "$MASTER")" = "$workers" ]
	stop_daemon
	[ "$(account_of flood accepted)" -eq 20 ]
	[ "$(account_of flood lost)" -eq 0 ]
	[ "$(account_of pipe served)" -eq 10 ]
}
